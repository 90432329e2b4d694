//! Shell. The connection limit and eviction: at `max_connections`, a connection that waits for its client is
//! closed to admit a new connection.
//!
//! All workers share one registry. A connection records in its [`ConnectionState`] what it waits for. The
//! record takes a few atomic stores and no lock. The lock is taken when a connection opens or closes, or when
//! a connection needs a place and none is free.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::admission::client::{ClientAddress, ClientGroup};
use crate::admission::connection_state::{ConnectionState, micros};
use crate::admission::eviction::Rank;

/// If no connection could be evicted, the search is repeated after this time.
const RECALL: Duration = Duration::from_millis(50);

/// How many connections are compared to find the connection to evict. If none of them can be evicted, more
/// are compared.
const LOOKED_AT: usize = 512;

/// The connection limit of all workers: the open connections, and the connections that wait for a place.
#[derive(Debug)]
pub struct ConnectionLimit {
    registry: Mutex<Registry>,
    /// How many connections wait for a place. The number is kept outside the registry, so reading it takes no
    /// lock.
    waiting: AtomicUsize,
    /// The time from which the times in the entries are counted.
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Registry {
    /// The number of free places.
    free: usize,
    members: Vec<Member>,
    /// The number of places that each client group holds.
    places: HashMap<ClientGroup, usize>,
    /// The connections that wait for a place, in the order of their arrival.
    waiters: VecDeque<oneshot::Sender<Permit>>,
    /// How many evicted connections are not closed yet.
    evicting: usize,
    /// The index at which the next search begins.
    next: usize,
}

/// A client group has as many connections as it may have (`max_connections_per_client`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIsFull;

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

    /// Waits for a place for a connection of `client`. If no place is free, one connection is evicted. While
    /// no connection can be evicted, nothing is accepted, and new connections wait in the kernel's queue.
    ///
    /// # Errors
    /// [`ClientIsFull`]: the client group has `most` places already. Then no connection is evicted.
    pub async fn enter(
        self: &Arc<Self>,
        client: ClientAddress,
        most: Option<NonZeroUsize>,
    ) -> Result<Place, ClientIsFull> {
        let waiting = {
            let mut registry = self.registry();
            registry.check(client.group(), most)?;
            match registry.free.checked_sub(1) {
                Some(free) => {
                    registry.free = free;
                    drop(registry);
                    return self.place(Some(Permit::of(self)), client, most);
                }
                None => self.wait(registry),
            }
        };
        let permit = waiting.permit().await;
        self.place(permit, client, most)
    }

    /// Evicts a connection even if places are free, and waits until a connection has closed. Used to get back
    /// another resource of a connection, such as its descriptor.
    pub async fn make_room(self: &Arc<Self>) {
        let waiting = self.wait(self.registry());
        drop(waiting.permit().await);
    }

    /// A place that does not count towards the limit.
    #[must_use]
    pub fn enter_uncounted(self: &Arc<Self>, client: ClientAddress) -> Place {
        let entry = Arc::new(Entry::new(self));
        self.registry().add(&entry, client.group());
        Place { connection_limit: Arc::clone(self), permit: None, entry }
    }

    fn place(
        self: &Arc<Self>,
        permit: Option<Permit>,
        client: ClientAddress,
        most: Option<NonZeroUsize>,
    ) -> Result<Place, ClientIsFull> {
        let entry = Arc::new(Entry::new(self));
        {
            let mut registry = self.registry();
            registry.check(client.group(), most)?;
            registry.add(&entry, client.group());
        }
        Ok(Place { connection_limit: Arc::clone(self), permit, entry })
    }

    fn wait(self: &Arc<Self>, mut registry: MutexGuard<'_, Registry>) -> Waiting {
        let (waiter, receiver) = oneshot::channel();
        registry.waiters.push_back(waiter);
        self.evict(&mut registry);
        Waiting { connection_limit: Arc::clone(self), receiver }
    }

    /// Evicts connections until as many are being evicted as connections wait for a place.
    fn evict(&self, registry: &mut Registry) {
        self.waiting.store(registry.waiters.len(), Ordering::Relaxed);
        let now = self.since_epoch(Instant::now());
        while registry.evicting < registry.waiters.len() && registry.evict_one(now) {}
    }

    /// The number of free places.
    #[must_use]
    pub fn free(&self) -> usize {
        self.registry().free
    }

    /// Whether connections wait for a place. If so, idle connections should close.
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

    /// Checks that a client group has fewer places than `most`.
    fn check(&self, client: ClientGroup, most: Option<NonZeroUsize>) -> Result<(), ClientIsFull> {
        let Some(most) = most else { return Ok(()) };
        let places = self.places.get(&client).copied().unwrap_or(0);
        if places < most.get() { Ok(()) } else { Err(ClientIsFull) }
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
        if entry.is_chosen() {
            self.evicting = self.evicting.saturating_sub(1);
        }
    }

    fn rename(
        &mut self,
        entry: &Entry,
        client: ClientGroup,
        most: Option<NonZeroUsize>,
    ) -> Result<(), ClientIsFull> {
        let index = entry.index.load(Ordering::Relaxed);
        let Some(before) = self.members.get(index).map(|member| member.client) else { return Ok(()) };
        if before == client {
            return Ok(());
        }
        // The connection itself does not count.
        self.uncount(before);
        let checked = self.check(client, most);
        let now = checked.map_or(before, |()| client);
        self.count(now);
        if let Some(member) = self.members.get_mut(index) {
            member.client = now;
        }
        checked
    }

    /// Gives a place to the first connection that waits. If none waits, the place becomes free.
    fn give(&mut self, mut permit: Permit) {
        while let Some(waiter) = self.waiters.pop_front() {
            match waiter.send(permit) {
                Ok(()) => return,
                // That connection no longer waits.
                Err(back) => permit = back,
            }
        }
        permit.give_up();
        self.free = self.free.saturating_add(1);
    }

    /// Evicts the connection with the lowest rank. Returns `false` if no connection can be evicted.
    fn evict_one(&mut self, now: u64) -> bool {
        // A connection that has just become authentic is not evicted. Then another connection is searched
        // for, at most a few times.
        for _ in 0..4 {
            let Some(entry) = self.least(now) else { return false };
            if entry.evict() {
                self.evicting = self.evicting.saturating_add(1);
                return true;
            }
        }
        false
    }

    /// The connection with the lowest rank among those that are compared.
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
        if member.entry.is_chosen() {
            return None;
        }
        let places = self.places.get(&member.client).copied().unwrap_or(0);
        member.entry.standing(now, places).rank()
    }
}

/// A connection's wait for a place.
#[derive(Debug)]
struct Waiting {
    connection_limit: Arc<ConnectionLimit>,
    receiver: oneshot::Receiver<Permit>,
}

impl Waiting {
    /// Waits for the place. The wait always ends, because every place is passed on when it is dropped.
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
        // If a place arrives too late, dropping it passes it on.
        drop(self.receiver.try_recv());
    }
}

/// The right to one place. Dropping it passes it to another connection.
#[derive(Debug)]
struct Permit(Option<Arc<ConnectionLimit>>);

impl Permit {
    fn of(connection_limit: &Arc<ConnectionLimit>) -> Self {
        Self(Some(Arc::clone(connection_limit)))
    }

    /// Drops the place without passing it on. The place is then free.
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

/// The place of one connection. Dropping it passes it to another connection.
#[derive(Debug)]
pub struct Place {
    connection_limit: Arc<ConnectionLimit>,
    /// `None` for a place that is not counted.
    permit: Option<Permit>,
    entry: Arc<Entry>,
}

impl Place {
    /// The connection's entry. The entry says what the connection waits for.
    #[must_use]
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Moves the connection to another client, after the PROXY protocol has announced that client.
    ///
    /// # Errors
    /// [`ClientIsFull`]: the client group has `most` places already. The connection stays where it was.
    pub fn belongs_to(&self, client: ClientAddress, most: Option<NonZeroUsize>) -> Result<(), ClientIsFull> {
        self.connection_limit.registry().rename(&self.entry, client.group(), most)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut registry = self.connection_limit.registry();
        // Both steps are under one lock. So the evicted connection is removed and its place is passed on at
        // the same time.
        registry.remove(&self.entry);
        if let Some(permit) = self.permit.take() {
            registry.give(permit);
            self.connection_limit.waiting.store(registry.waiters.len(), Ordering::Relaxed);
        }
    }
}

/// A connection in the registry.
#[derive(Debug)]
pub struct Entry {
    connection_limit: Weak<ConnectionLimit>,
    /// The entry's index in the registry. The registry's lock guards it.
    index: AtomicUsize,
    state: ConnectionState,
}

impl Deref for Entry {
    type Target = ConnectionState;

    fn deref(&self) -> &ConnectionState {
        &self.state
    }
}

impl Entry {
    /// The entry of a new connection.
    fn new(connection_limit: &Arc<ConnectionLimit>) -> Self {
        Self {
            connection_limit: Arc::downgrade(connection_limit),
            index: AtomicUsize::new(0),
            state: ConnectionState::new(connection_limit.epoch),
        }
    }

    /// Records that the connection waits for the upstream of an authentic request. If the connection was just
    /// evicted, another connection is evicted instead.
    pub fn wait_for_upstream(&self) {
        if self.state.protect()
            && let Some(connection_limit) = self.connection_limit.upgrade()
        {
            let mut registry = connection_limit.registry();
            if self.state.take_back_eviction() {
                registry.evicting = registry.evicting.saturating_sub(1);
            }
            connection_limit.evict(&mut registry);
        }
    }

    /// Moves the connection to another client, after a trusted proxy has reported the client of a request.
    pub fn belongs_to(&self, client: ClientAddress) {
        if let Some(connection_limit) = self.connection_limit.upgrade() {
            // A reported client never closes the connection of its proxy.
            let _no_limit = connection_limit.registry().rename(self, client.group(), None);
        }
    }
}

#[cfg(test)]
mod tests;
