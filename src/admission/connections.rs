//! Shell. Connection limit and eviction: with all places taken, a connection that waits for its client is closed for a new one.
//!
//! All workers share one registry. A connection says in its [`Entry`] what it waits for, with a few stores and without a lock.
//! The lock is taken when a connection comes or goes, or when somebody wants a place and there is none.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::admission::client::{ClientAddress, ClientGroup};
use crate::admission::eviction::{Rank, Standing, Waits};
use crate::runtime::deadline::LazyNow;

/// Where no connection could be evicted, the search is repeated after this time.
const RECALL: Duration = Duration::from_millis(250);

/// How many connections are compared to find the one to evict. More are only where none of these can be evicted.
const LOOKED_AT: usize = 512;

/// A connection that has been idle for this long frees the memory that it can do without. The workers look for such connections
/// at this interval, so a shorter one would wake them more often.
const LONG_REST: Duration = Duration::from_millis(500);

/// The connections of all workers: how many there may be, and whether others wait for a place.
#[derive(Debug)]
pub struct ConnectionLimit {
    registry: Mutex<Registry>,
    /// How many wait for a place. It is kept beside the registry, to be read without its lock.
    waiting: AtomicUsize,
    /// The moment that the entries' times are counted from.
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Registry {
    /// Free places.
    free: usize,
    members: Vec<Member>,
    /// How many places each client holds.
    places: HashMap<ClientGroup, usize>,
    /// Those who wait for a place, in the order in which they came.
    waiters: VecDeque<oneshot::Sender<Permit>>,
    /// Evicted connections that have not left yet.
    evicting: usize,
    /// Where the next search begins.
    next: usize,
}

#[derive(Debug)]
struct Member {
    entry: Arc<Entry>,
    client: ClientGroup,
}

impl ConnectionLimit {
    /// A limit of `max` connections.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        let registry = Mutex::new(Registry { free: max, ..Registry::default() });
        Arc::new(Self { registry, waiting: AtomicUsize::new(0), epoch: Instant::now() })
    }

    /// Waits for a place for a connection of `client`. Where there is none, one connection is evicted. While none can be evicted,
    /// nothing is accepted, and new connections wait in the kernel's queue.
    pub async fn enter(self: &Arc<Self>, client: ClientAddress) -> Place {
        let waiting = {
            let mut registry = self.registry();
            match registry.free.checked_sub(1) {
                Some(free) => {
                    registry.free = free;
                    drop(registry);
                    return self.place(Some(Permit::of(self)), client);
                }
                None => self.wait(registry),
            }
        };
        let permit = waiting.permit().await;
        self.place(permit, client)
    }

    /// Evicts a connection, though there may be free places, and waits until one has left: to get back what a connection takes,
    /// such as its descriptor.
    pub async fn make_room(self: &Arc<Self>) {
        let waiting = self.wait(self.registry());
        drop(waiting.permit().await);
    }

    /// A place beside those that are counted.
    #[must_use]
    pub fn enter_uncounted(self: &Arc<Self>, client: ClientAddress) -> Place {
        self.place(None, client)
    }

    fn place(self: &Arc<Self>, permit: Option<Permit>, client: ClientAddress) -> Place {
        let entry = Arc::new(Entry::new(self));
        self.registry().add(&entry, client.group());
        Place { connection_limit: Arc::clone(self), permit, entry }
    }

    fn wait(self: &Arc<Self>, mut registry: MutexGuard<'_, Registry>) -> Waiting {
        let (waiter, receiver) = oneshot::channel();
        registry.waiters.push_back(waiter);
        self.evict(&mut registry);
        Waiting { connection_limit: Arc::clone(self), receiver }
    }

    /// Evicts one connection for each that waits, and not another one before that has left.
    fn evict(&self, registry: &mut Registry) {
        self.waiting.store(registry.waiters.len(), Ordering::Relaxed);
        let now = self.since_epoch(Instant::now());
        while registry.evicting < registry.waiters.len() && registry.evict_one(now) {}
    }

    /// How many places are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.registry().free
    }

    /// Whether others wait for a place, so that idle connections should not stay.
    #[must_use]
    pub fn is_wanting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn since_epoch(&self, moment: Instant) -> u64 {
        micros(moment.saturating_duration_since(self.epoch))
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn add(&mut self, entry: &Arc<Entry>, client: ClientGroup) {
        entry.index.store(self.members.len(), Ordering::Relaxed);
        self.members.push(Member { entry: Arc::clone(entry), client });
        self.count(client);
    }

    fn count(&mut self, client: ClientGroup) {
        let places = self.places.entry(client).or_default();
        *places = places.saturating_add(1);
    }

    fn uncount(&mut self, client: ClientGroup) {
        if let Some(places) = self.places.get_mut(&client) {
            *places = places.saturating_sub(1);
            if *places == 0 {
                self.places.remove(&client);
            }
        }
    }

    fn remove(&mut self, entry: &Entry) {
        let index = entry.index.load(Ordering::Relaxed);
        if index < self.members.len() {
            let member = self.members.swap_remove(index);
            self.uncount(member.client);
        }
        if let Some(moved) = self.members.get(index) {
            moved.entry.index.store(index, Ordering::Relaxed);
        }
        if entry.evicted.load(Ordering::Relaxed) {
            self.evicting = self.evicting.saturating_sub(1);
        }
    }

    fn rename(&mut self, entry: &Entry, client: ClientGroup) {
        let index = entry.index.load(Ordering::Relaxed);
        let Some(member) = self.members.get_mut(index) else { return };
        let before = std::mem::replace(&mut member.client, client);
        self.uncount(before);
        self.count(client);
    }

    /// Gives a place to the first that waits for one, or to nobody.
    fn give(&mut self, mut permit: Permit) {
        while let Some(waiter) = self.waiters.pop_front() {
            match waiter.send(permit) {
                Ok(()) => return,
                // It does not wait any more.
                Err(back) => permit = back,
            }
        }
        permit.give_up();
        self.free = self.free.saturating_add(1);
    }

    /// Evicts the connection of the least rank. `false` if there is none that may be evicted.
    fn evict_one(&mut self, now: u64) -> bool {
        // One that is not evicted after all has just become authentic: another one is looked for, but not for ever.
        for _ in 0..4 {
            let Some(entry) = self.least(now) else { return false };
            if entry.evict() {
                self.evicting = self.evicting.saturating_add(1);
                return true;
            }
        }
        false
    }

    /// The connection of the least rank among those that are looked at.
    fn least(&mut self, now: u64) -> Option<Arc<Entry>> {
        let total = self.members.len();
        let mut least: Option<(Rank, &Arc<Entry>)> = None;
        let mut index = self.next;
        for looked_at in 0..total {
            if looked_at >= LOOKED_AT && least.is_some() {
                break;
            }
            if index >= total {
                index = 0;
            }
            if let Some(member) = self.members.get(index)
                && let Some(rank) = self.rank(member, now)
                && least.as_ref().is_none_or(|(least, _)| rank < *least)
            {
                least = Some((rank, &member.entry));
            }
            index = index.saturating_add(1);
        }
        let least = least.map(|(_, entry)| Arc::clone(entry));
        self.next = index;
        least
    }

    fn rank(&self, member: &Member, now: u64) -> Option<Rank> {
        if member.entry.evicted.load(Ordering::Relaxed) {
            return None;
        }
        let places = self.places.get(&member.client).copied().unwrap_or(0);
        member.entry.standing(now, places).rank()
    }
}

/// A connection that waits for a place.
#[derive(Debug)]
struct Waiting {
    connection_limit: Arc<ConnectionLimit>,
    receiver: oneshot::Receiver<Permit>,
}

impl Waiting {
    /// The place. There is always one in the end: each place is given on when it is dropped.
    async fn permit(mut self) -> Option<Permit> {
        loop {
            match timeout(RECALL, &mut self.receiver).await {
                Ok(permit) => return permit.ok(),
                Err(_elapsed) => self.connection_limit.evict(&mut self.connection_limit.registry()),
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.receiver.close();
        let mut registry = self.connection_limit.registry();
        registry.waiters.retain(|waiter| !waiter.is_closed());
        self.connection_limit.waiting.store(registry.waiters.len(), Ordering::Relaxed);
        drop(registry);
        // A place that came too late is for the next.
        drop(self.receiver.try_recv());
    }
}

/// The right to one place. It is given on when it is dropped.
#[derive(Debug)]
struct Permit(Option<Arc<ConnectionLimit>>);

impl Permit {
    fn of(connection_limit: &Arc<ConnectionLimit>) -> Self {
        Self(Some(Arc::clone(connection_limit)))
    }

    /// Drops it without giving it on: it is counted as free.
    fn give_up(mut self) {
        self.0 = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(connection_limit) = self.0.take() {
            let mut registry = connection_limit.registry();
            registry.give(Self::of(&connection_limit));
            connection_limit.waiting.store(registry.waiters.len(), Ordering::Relaxed);
        }
    }
}

/// The place of one connection. When it is dropped, it is given to the next.
#[derive(Debug)]
pub struct Place {
    connection_limit: Arc<ConnectionLimit>,
    /// None for a place that is not counted.
    permit: Option<Permit>,
    entry: Arc<Entry>,
}

impl Place {
    /// Where the connection says what it waits for.
    #[must_use]
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The connection turns out to be another client's.
    pub fn belongs_to(&self, client: ClientAddress) {
        self.connection_limit.registry().rename(&self.entry, client.group());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut registry = self.connection_limit.registry();
        // Both under the lock: the evicted connection has left, and its place has been given on.
        registry.remove(&self.entry);
        if let Some(permit) = self.permit.take() {
            registry.give(permit);
            self.connection_limit.waiting.store(registry.waiters.len(), Ordering::Relaxed);
        }
    }
}

/// What the evictor knows of a connection.
///
/// Only the connection itself writes what it waits for and since when. The evictor reads it without a lock, and may be mistaken
/// for a moment; but an authentic request that waits for its upstream is never evicted.
#[derive(Debug)]
pub struct Entry {
    connection_limit: Weak<ConnectionLimit>,
    epoch: Instant,
    /// Where the registry has it, under its lock.
    index: AtomicUsize,
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
    evicted: AtomicBool,
    is_long: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

const NEVER: u64 = u64::MAX;

impl Entry {
    /// A connection of which nothing has come yet.
    fn new(connection_limit: &Arc<ConnectionLimit>) -> Self {
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

    /// Who reads this also sees what was stored before.
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

    /// The connection waits for the upstream of an authentic request. If it was just evicted, another one is evicted in its place.
    pub fn wait_for_upstream(&self) {
        // Sequentially consistent, as in `evict`: one of the two sees the other.
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

    fn evict(&self) -> bool {
        self.evicted.store(true, Ordering::SeqCst);
        if !Waits::of(self.waits.load(Ordering::SeqCst)).is_evictable() {
            self.evicted.store(false, Ordering::SeqCst);
            return false;
        }
        self.rouse();
        true
    }

    fn lengthen(&self, now: Instant) {
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

    fn standing(&self, now: u64, places: usize) -> Standing {
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub mod of_worker;
#[cfg(test)]
mod tests;
