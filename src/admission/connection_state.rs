//! Shell. The state of a connection for eviction: what the connection waits for, and since when.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::admission::eviction::{Standing, Waits};
use crate::runtime::deadline::LazyNow;

/// The state of a connection, as eviction reads it.
///
/// Only the connection itself writes what it waits for, and since when. Eviction reads this without a lock,
/// so it may be outdated for a moment. But an authentic request that waits for its upstream is never evicted.
#[derive(Debug)]
pub struct ConnectionState {
    epoch: Instant,
    /// When the connection was opened.
    opened: u64,
    waits: AtomicU8,
    /// When the current wait began, in microseconds since the epoch.
    since: AtomicU64,
    /// When the client began to leave a response unread; [`NEVER`] if the client has read everything.
    unread_since: AtomicU64,
    /// When the head of the last request arrived.
    arrived: AtomicU64,
    /// How many bytes of the last request's content have arrived.
    received: AtomicU64,
    has_proved: AtomicBool,
    evicted: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

const NEVER: u64 = u64::MAX;

impl ConnectionState {
    /// The state of a new connection. Its times are counted from `epoch`.
    pub(super) fn new(epoch: Instant) -> Self {
        let now = micros(Instant::now().saturating_duration_since(epoch));
        Self {
            epoch,
            waits: AtomicU8::new(Waits::Head.number()),
            opened: now,
            since: AtomicU64::new(now),
            unread_since: AtomicU64::new(NEVER),
            arrived: AtomicU64::new(0),
            received: AtomicU64::new(0),
            has_proved: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            waker: Mutex::new(None),
        }
    }

    fn waits(&self) -> Waits {
        Waits::of(self.waits.load(Ordering::Acquire))
    }

    /// A thread that reads this value also sees the stores before it.
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

    /// Records that the connection waits for a head. `is_idle` says that the connection has had a request
    /// before, and that no byte of the next request has arrived.
    ///
    /// The time for a head begins with this wait, not with the first byte of the head.
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

    /// Records that a head arrived at this time. If the request has content, the connection now waits for it.
    pub fn wait_for_content(&self, at: Instant) {
        let at = self.since_epoch(at);
        self.arrived.store(at, Ordering::Relaxed);
        self.received.store(0, Ordering::Relaxed);
        self.set_since(Waits::Content, at);
    }

    /// Records that the connection waits for more content. `received` is the number of content bytes that
    /// have arrived.
    pub fn wait_for_more_content(&self, received: usize) {
        self.received.store(u64::try_from(received).unwrap_or(u64::MAX), Ordering::Relaxed);
        if self.waits() != Waits::Content {
            self.set_since(Waits::Content, self.arrived.load(Ordering::Relaxed));
        }
    }

    /// Records that a request is authentic.
    pub fn authenticate(&self) {
        if !self.has_proved.load(Ordering::Relaxed) {
            self.has_proved.store(true, Ordering::Relaxed);
        }
    }

    /// Records that the connection waits for the upstream of an authentic request. Returns whether the
    /// connection was just evicted.
    pub(super) fn protect(&self) -> bool {
        // The order is sequentially consistent, here and in `evict`. So at least one of the two threads sees
        // the other's store.
        self.waits.store(Waits::Upstream.number(), Ordering::SeqCst);
        self.evicted.load(Ordering::SeqCst)
    }

    /// Takes an eviction back. Returns whether the connection was evicted.
    pub(super) fn take_back_eviction(&self) -> bool {
        self.evicted.swap(false, Ordering::SeqCst)
    }

    /// Records that the connection waits for the upstream of an observed request.
    pub fn wait_for_observed(&self) {
        if self.waits() != Waits::Observed {
            self.set_since(Waits::Observed, self.arrived.load(Ordering::Relaxed));
        }
    }

    /// Records that the connection waits for its client to read a response. If the client reads a little now
    /// and then, the wait does not begin again.
    pub fn wait_for_reader(&self) {
        if self.waits() == Waits::Unread {
            return;
        }
        if self.unread_since.load(Ordering::Relaxed) == NEVER {
            self.unread_since.store(self.since_epoch(Instant::now()), Ordering::Relaxed);
        }
        self.set_since(Waits::Unread, self.unread_since.load(Ordering::Relaxed));
    }

    /// Records that the connection waits for its client to read a refusal.
    pub fn linger(&self) {
        self.set_since(Waits::Lingering, self.since_epoch(Instant::now()));
    }

    /// Whether the connection was chosen for eviction.
    pub(super) fn is_chosen(&self) -> bool {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Whether the connection is evicted and must end now.
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Relaxed) && self.waits().is_evictable()
    }

    /// Ready when the connection is evicted. It must be awaited inside the future that [`Self::watch`] polls.
    pub async fn evicted(&self) {
        poll_fn(|_| if self.is_evicted() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Polls a connection's future, and polls it again when the connection is evicted.
    pub fn watch<'e, F: Future>(&'e self, future: Pin<&'e mut F>) -> impl Future<Output = F::Output> + 'e {
        Watched { state: self, future, known: None }
    }

    /// Evicts the connection, if it waits for its client. Returns whether it is evicted.
    pub(super) fn evict(&self) -> bool {
        self.evicted.store(true, Ordering::SeqCst);
        if !Waits::of(self.waits.load(Ordering::SeqCst)).is_evictable() {
            self.evicted.store(false, Ordering::SeqCst);
            return false;
        }
        self.rouse();
        true
    }

    fn rouse(&self) {
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }

    /// The facts by which the connection is compared with others. `places` is the number of its client's
    /// connections.
    pub(super) fn standing(&self, now: u64, places: usize) -> Standing {
        Standing {
            waits: self.waits(),
            waited: Duration::from_micros(now.saturating_sub(self.since.load(Ordering::Relaxed))),
            age: Duration::from_micros(now.saturating_sub(self.opened)),
            received: self.received.load(Ordering::Relaxed),
            has_proved: self.has_proved.load(Ordering::Relaxed),
            places,
        }
    }
}

/// A connection's future, with the waker for its eviction. The future is pinned in place: it is large, and a
/// move would copy it.
struct Watched<'e, F> {
    state: &'e ConnectionState,
    future: Pin<&'e mut F>,
    known: Option<Waker>,
}

impl<F: Future> Future for Watched<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if !this.known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            this.known = Some(cx.waker().clone());
            *this.state.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        this.future.as_mut().poll(cx)
    }
}

/// A duration in microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
