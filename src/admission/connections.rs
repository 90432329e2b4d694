//! Shell. Connection limit and eviction: with all places taken, a connection that waits for its client is closed for a new one.
//!
//! All workers share one registry. A connection says in its [`Entry`] what it waits for, with a few stores and without a lock.
//! The lock is taken when a connection comes or goes, or when somebody wants a place and there is none.

mod entry;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::admission::client::{ClientAddress, ClientGroup};
pub use crate::admission::connections::entry::Entry;
pub use crate::admission::connections::of_worker::{Joined, WorkerConnections};
use crate::admission::eviction::Rank;

/// Where no connection could be evicted, it is looked again after this time.
const RECALL: Duration = Duration::from_millis(250);

/// How many connections are looked at, at most, to find the one to evict. Only where none of them can be evicted it is more.
const LOOKED_AT: usize = 512;

/// The connections of all workers: how many there may be, and whether more want to come in.
#[derive(Debug)]
pub struct ConnectionLimit {
    registry: Mutex<Registry>,
    /// How many wait for a place; kept beside the registry for those who only want to know whether anybody does.
    waiting: AtomicUsize,
    /// The moment that the entries' times are counted from.
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Registry {
    /// Places that nobody has.
    free: usize,
    members: Vec<Member>,
    /// How many places each client holds.
    places: HashMap<ClientGroup, usize>,
    /// Those who wait for a place, in the order in which they came.
    waiters: VecDeque<oneshot::Sender<Permit>>,
    /// Evicted connections that have not left yet.
    evicting: usize,
    /// Where the next look begins.
    next: usize,
}

#[derive(Debug)]
struct Member {
    entry: Arc<Entry>,
    client: ClientGroup,
}

impl ConnectionLimit {
    /// Holders for `max` connections.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        let registry = Mutex::new(Registry { free: max, ..Registry::default() });
        Arc::new(Self { registry, waiting: AtomicUsize::new(0), epoch: Instant::now() })
    }

    /// Waits for a place for a connection of `peer`. Where there is none, one connection is evicted; while there is none that
    /// can be, nobody is accepted, and whoever comes waits in the kernel's queue.
    pub async fn enter(self: &Arc<Self>, peer: ClientAddress) -> Place {
        let waiting = {
            let mut registry = self.registry();
            match registry.free.checked_sub(1) {
                Some(free) => {
                    registry.free = free;
                    drop(registry);
                    return self.place(Some(Permit::of(self)), peer);
                }
                None => self.wait(registry),
            }
        };
        let permit = waiting.permit().await;
        self.place(permit, peer)
    }

    /// Has a connection evicted, though there may be places left, and waits until one has left: for somebody who wants what goes with a
    /// connection, such as its descriptor.
    pub async fn make_room(self: &Arc<Self>) {
        let waiting = self.wait(self.registry());
        drop(waiting.permit().await);
    }

    /// A place beside those that are counted.
    #[must_use]
    pub fn enter_uncounted(self: &Arc<Self>, peer: ClientAddress) -> Place {
        self.place(None, peer)
    }

    fn place(self: &Arc<Self>, permit: Option<Permit>, peer: ClientAddress) -> Place {
        let entry = Arc::new(Entry::new(self));
        self.registry().add(&entry, peer.group());
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

    /// Whether somebody waits to come in, so that nobody should stay for longer than it takes.
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

/// Somebody waits for a place.
#[derive(Debug)]
struct Waiting {
    connection_limit: Arc<ConnectionLimit>,
    receiver: oneshot::Receiver<Permit>,
}

impl Waiting {
    /// The place. There is always one in the end: who has places gives them on.
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

/// One of as many as there are places. It is given on when it is dropped.
#[derive(Debug)]
struct Permit(Option<Arc<ConnectionLimit>>);

impl Permit {
    fn of(connection_limit: &Arc<ConnectionLimit>) -> Self {
        Self(Some(Arc::clone(connection_limit)))
    }

    /// It is accounted for otherwise.
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
    pub fn belongs_to(&self, peer: ClientAddress) {
        self.connection_limit.registry().rename(&self.entry, peer.group());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut registry = self.connection_limit.registry();
        // In one step: the evicted one has left, and its place has been given on.
        registry.remove(&self.entry);
        if let Some(permit) = self.permit.take() {
            registry.give(permit);
            self.connection_limit.waiting.store(registry.waiters.len(), Ordering::Relaxed);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub mod of_worker;
#[cfg(test)]
mod tests;
