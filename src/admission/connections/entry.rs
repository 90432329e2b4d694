//! Shell. What a connection waits for and since when, for those who may have to evict it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::admission::connections::{ConnectionLimit, micros};
use crate::admission::eviction::{Standing, Waits};
use crate::runtime::deadline::LazyNow;

/// A connection that has been at rest for this long is left alone with as little memory as can be. It is looked for as often,
/// and each look wakes a worker that may have nothing else to do.
pub(crate) const LONG_REST: Duration = Duration::from_millis(500);

/// What is known of a connection by those who may have to evict it.
///
/// Only the connection itself writes what it waits for and since when. The evictor reads it without a lock, and may be mistaken
/// for a moment; but an authentic request that waits for its upstream is never evicted.
#[derive(Debug)]
pub struct Entry {
    connection_limit: Weak<ConnectionLimit>,
    epoch: Instant,
    /// Where the registry has it, under its lock.
    pub(crate) index: AtomicUsize,
    /// When it came.
    came: u64,
    waits: AtomicU8,
    /// Since when it waits for that, in microseconds since the epoch.
    since: AtomicU64,
    /// Since when the client has not taken all that it was sent; [`NEVER`] if it has.
    unread_since: AtomicU64,
    /// When the head of the last request arrived.
    arrived: AtomicU64,
    /// Bytes of content that have come of it.
    received: AtomicU64,
    has_proved: AtomicBool,
    pub(crate) evicted: AtomicBool,
    is_long: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

const NEVER: u64 = u64::MAX;

impl Entry {
    /// A connection that has said nothing yet.
    pub(crate) fn new(connection_limit: &Arc<ConnectionLimit>) -> Self {
        let now = connection_limit.since_epoch(Instant::now());
        Self {
            connection_limit: Arc::downgrade(connection_limit),
            epoch: connection_limit.epoch,
            index: AtomicUsize::new(0),
            waits: AtomicU8::new(Waits::Head.number()),
            came: now,
            since: AtomicU64::new(now),
            unread_since: AtomicU64::new(NEVER),
            arrived: AtomicU64::new(0),
            received: AtomicU64::new(0),
            has_proved: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            is_long: AtomicBool::new(false),
            waker: Mutex::new(None),
        }
    }

    fn waits(&self) -> Waits {
        Waits::of(self.waits.load(Ordering::Acquire))
    }

    /// Whoever sees this sees what was stored before.
    fn set(&self, waits: Waits) {
        self.waits.store(waits.number(), Ordering::Release);
    }

    fn set_since(&self, waits: Waits, since: u64) {
        self.since.store(since, Ordering::Relaxed);
        self.set(waits);
    }

    fn since_epoch(&self, moment: Instant) -> u64 {
        micros(moment.saturating_duration_since(self.epoch))
    }

    /// The connection waits for a head. `is_idle` says that it has had a request before, and nothing of another one.
    ///
    /// The time for a head begins with the wait for it, and not with its first byte.
    pub fn wait_for_head(&self, is_idle: bool, now: &mut LazyNow) {
        let waits = if is_idle { Waits::Idle } else { Waits::Head };
        match self.waits() {
            known if known == waits => {}
            Waits::Idle | Waits::Head => self.set(waits),
            Waits::Lingering | Waits::Unread | Waits::Content | Waits::Observed | Waits::Upstream => {
                self.set_since(waits, self.since_epoch(now.get()));
            }
        }
        if is_idle {
            self.unread_since.store(NEVER, Ordering::Relaxed);
        }
    }

    /// A head has arrived at this moment. From now on the connection waits for content, if there is any.
    pub fn wait_for_content(&self, at: Instant) {
        let at = self.since_epoch(at);
        self.arrived.store(at, Ordering::Relaxed);
        self.received.store(0, Ordering::Relaxed);
        self.set_since(Waits::Content, at);
        self.is_long.store(false, Ordering::Relaxed);
    }

    /// The connection waits for more content; so many bytes have come since the head.
    pub fn wait_for_more_content(&self, received: usize) {
        self.received.store(u64::try_from(received).unwrap_or(u64::MAX), Ordering::Relaxed);
        if self.waits() != Waits::Content {
            self.set_since(Waits::Content, self.arrived.load(Ordering::Relaxed));
        }
    }

    /// A request has turned out to be authentic.
    pub fn authenticate(&self) {
        if !self.has_proved.load(Ordering::Relaxed) {
            self.has_proved.store(true, Ordering::Relaxed);
        }
    }

    /// The connection waits for the upstream of an authentic request. Whoever has evicted it evicts another one.
    pub fn wait_for_upstream(&self) {
        // In the same order for all as what `evict` does: one of the two sees the other.
        self.waits.store(Waits::Upstream.number(), Ordering::SeqCst);
        if self.evicted.load(Ordering::SeqCst)
            && let Some(connection_limit) = self.connection_limit.upgrade()
        {
            let mut registry = connection_limit.registry();
            if self.evicted.swap(false, Ordering::SeqCst) {
                registry.evicting = registry.evicting.saturating_sub(1);
            }
            connection_limit.evict(&mut registry);
        }
    }

    /// The connection waits for the upstream of a request that is observed.
    pub fn wait_for_observed(&self) {
        if self.waits() != Waits::Observed {
            self.set_since(Waits::Observed, self.arrived.load(Ordering::Relaxed));
        }
    }

    /// The connection waits for its client to take a response. A client that takes a little now and then has waited all the
    /// time.
    pub fn wait_for_reader(&self) {
        if self.waits() == Waits::Unread {
            return;
        }
        if self.unread_since.load(Ordering::Relaxed) == NEVER {
            self.unread_since.store(self.since_epoch(Instant::now()), Ordering::Relaxed);
        }
        self.set_since(Waits::Unread, self.unread_since.load(Ordering::Relaxed));
    }

    /// The connection waits for its client to read a refusal.
    pub fn linger(&self) {
        self.set_since(Waits::Lingering, self.since_epoch(Instant::now()));
    }

    /// Whether the connection is to end now, for another one.
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Relaxed) && self.waits().is_evictable()
    }

    /// Ready when the connection is evicted, within a future that [`Self::watch`] polls.
    pub async fn evicted(&self) {
        poll_fn(|_| if self.is_evicted() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Whether the connection has been waiting for a request for long.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.is_long.load(Ordering::Relaxed)
    }

    /// Polls a connection's future, which is polled again when the connection is evicted, or has been at rest for long.
    pub fn watch<'e, F: Future>(&'e self, future: Pin<&'e mut F>) -> impl Future<Output = F::Output> + 'e {
        Watched { entry: self, future, known: None }
    }

    pub(crate) fn evict(&self) -> bool {
        self.evicted.store(true, Ordering::SeqCst);
        if !Waits::of(self.waits.load(Ordering::SeqCst)).is_evictable() {
            self.evicted.store(false, Ordering::SeqCst);
            return false;
        }
        self.rouse();
        true
    }

    pub(crate) fn lengthen(&self, now: Instant) {
        if !matches!(self.waits(), Waits::Idle | Waits::Head) {
            return;
        }
        let since = self.since.load(Ordering::Relaxed);
        let is_long = self.since_epoch(now).saturating_sub(since) >= micros(LONG_REST);
        if is_long && !self.is_long.swap(true, Ordering::Relaxed) {
            self.rouse();
        }
    }

    fn rouse(&self) {
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn standing(&self, now: u64, places: usize) -> Standing {
        Standing {
            waits: self.waits(),
            waited: Duration::from_micros(now.saturating_sub(self.since.load(Ordering::Relaxed))),
            age: Duration::from_micros(now.saturating_sub(self.came)),
            received: self.received.load(Ordering::Relaxed),
            has_proved: self.has_proved.load(Ordering::Relaxed),
            places,
        }
    }
}

/// A connection's future, and whom to wake when the connection is evicted. It stays where it is: to move it would be to
/// have it twice, and it is large.
struct Watched<'e, F> {
    entry: &'e Entry,
    future: Pin<&'e mut F>,
    known: Option<Waker>,
}

impl<F: Future> Future for Watched<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if !this.known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            this.known = Some(cx.waker().clone());
            *this.entry.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        this.future.as_mut().poll(cx)
    }
}
