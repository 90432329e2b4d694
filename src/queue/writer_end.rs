//! Shell. The end of the queue's handle that the writer's thread holds: the commands, and what the writer
//! publishes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::queue::event::RouteName;
use crate::queue::id::EventId;
use crate::queue::shared_state::Shared;
use crate::queue::store::{Destination, Reader, Statistics};
use crate::queue::writer_messages::{Command, Handed, Health};

/// How many discarded events are remembered: many times the number of deliveries that can be ready.
const MOST_DISCARDED: usize = 65_536;

/// The end of the handle that the writer's thread holds.
#[derive(Debug)]
pub struct WriterEnd {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) handed: mpsc::Sender<Handed>,
    pub(super) shared: Arc<Shared>,
}

impl WriterEnd {
    /// Takes the receiver of the commands. Only the first call gets it.
    pub fn take_commands(&mut self) -> mpsc::Receiver<Command> {
        let (_nothing_sends, none) = mpsc::channel(1);
        std::mem::replace(&mut self.commands, none)
    }

    /// Hands a message to the deliveries, if there is room. Without room, the deliveries find the event in
    /// the store.
    pub fn hand(&self, handed: Handed) -> bool {
        self.handed.try_send(handed).is_ok()
    }

    /// The upstreams whose circuit is open.
    #[must_use]
    pub fn open_circuits(&self) -> Vec<Destination> {
        self.shared.open_circuits()
    }

    /// The count of damage that is found.
    #[must_use]
    pub fn damage(&self) -> &Arc<AtomicU64> {
        &self.shared.damage
    }

    /// Publishes that several gateways share the store, and the time of the lease: in this time, other
    /// gateways take no delivery in the memory of this gateway. Returns whether the previous lease ended
    /// before `from`.
    pub fn set_lease(&self, from: Instant, until: Instant) -> bool {
        let mut lease = self.shared.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let has_lapsed = lease.is_some_and(|until| until < from);
        if has_lapsed {
            self.shared.lapses.fetch_add(1, Ordering::Release);
        }
        *lease = Some(until);
        drop(lease);
        self.shared.is_shared.store(true, Ordering::Release);
        has_lapsed
    }

    /// Ends the lease: other gateways may take the deliveries in the memory of this gateway.
    pub fn end_lease(&self) {
        let mut lease = self.shared.lease.lock().unwrap_or_else(PoisonError::into_inner);
        *lease = lease.map(|until| until.min(Instant::now()));
    }

    /// Takes the claims that ended while the channel of commands was full.
    #[must_use]
    pub fn take_released(&self) -> Vec<(RouteName, [u8; 32])> {
        std::mem::take(&mut *self.shared.released.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes the state of the store.
    pub fn set_health(&self, health: Health) {
        self.shared.health.store(health.number(), Ordering::Release);
    }

    /// Publishes that an event was discarded. From now on, no delivery of the event begins.
    pub fn note_discarded(&self, event: EventId) {
        let mut discarded = self.shared.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        if discarded.ids.insert(event) {
            discarded.in_order.push_back(event);
        }
        if discarded.in_order.len() > MOST_DISCARDED
            && let Some(oldest) = discarded.in_order.pop_front()
        {
            discarded.ids.remove(&oldest);
        }
    }

    /// Publishes the free bytes of the store's disk; `None` if they are not known.
    pub fn set_disk_free(&self, free: Option<u64>) {
        self.shared.disk_free.store(free.map_or(0, |free| free.saturating_add(1)), Ordering::Relaxed);
    }

    /// Counts a commit: the number of its events, and its duration with the sync.
    pub fn committed(&self, events: usize, took: Duration) {
        let mut commits = self.shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
        commits.0.observe(took);
        commits.1 = commits.1.wrapping_add(u64::try_from(events).unwrap_or(u64::MAX));
    }

    /// Publishes how many events with dead letters are removed soon, by route.
    pub fn set_removed_soon(&self, counts: Vec<(RouteName, u64)>) {
        *self.shared.removed_soon.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// Publishes the statistics of the store.
    pub fn set_statistics(&self, statistics: Statistics) {
        *self.shared.statistics.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
    }

    /// Publishes two views of the store for the threads that only read: one for short reads, one for lists.
    /// `None` while the store is not open. A read under way keeps its view.
    pub fn set_readers(&self, readers: Option<[Box<dyn Reader>; 2]>) {
        let shared = |reader| Arc::new(Mutex::new(reader));
        let (reader, list_reader) = readers.map(|readers| readers.map(shared).into()).unzip();
        *self.shared.reader.lock().unwrap_or_else(PoisonError::into_inner) = reader;
        *self.shared.list_reader.lock().unwrap_or_else(PoisonError::into_inner) = list_reader;
    }
}
