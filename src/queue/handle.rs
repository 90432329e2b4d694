//! Shell. The handle of the queue: the requests that workers, deliveries and the admin listener make to the
//! writer's thread.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::queue::circuit::Standing;
use crate::queue::counts::DeliveryCounts;
use crate::queue::event::{DuplicateKey, Event, Receipt, RouteName, Upstream};
use crate::queue::id::EventId;
pub use crate::queue::shared_state::UnderWay;
use crate::queue::shared_state::{Shared, read};
pub use crate::queue::store::Refused;
use crate::queue::store::{
    Change, Completion, DeliveryId, Destination, Reader, Settled, Statistics, StoreError,
};
pub use crate::queue::writer_end::WriterEnd;
pub use crate::queue::writer_messages::{Command, Handed, Health, Held, HeldClaim};
use crate::telemetry::histogram::Distribution;

/// How many commands may wait for the writer. The memory budget bounds the large ones, which carry events.
/// This constant bounds the small ones.
const MOST_COMMANDS: usize = 4096;

/// The most deliveries that the writer has handed over and that were not taken yet. Further deliveries are
/// read from the store later.
pub const MOST_HANDED: usize = 1024;

/// How long a request waits for room to record that its event was delivered directly. An unrecorded event is
/// remembered in memory for a while.
const RECORD_SEEN: Duration = Duration::from_secs(1);

/// The most signs that wait for the deliveries and say that an upstream works. Further signs are dropped,
/// because they say the same.
const MOST_SIGNS: usize = 64;

/// The most ended claims that wait beside the channel of commands. Further claims end when this gateway ends.
const MOST_RELEASED: usize = 4096;

/// The handle of the queue, which any thread may hold.
#[derive(Clone, Debug)]
pub struct Queue {
    commands: mpsc::Sender<Command>,
    works: mpsc::Sender<RouteName>,
    shared: Arc<Shared>,
}

/// The end of the handle that the delivery thread holds.
#[derive(Debug)]
pub struct DeliveryEnd {
    /// The deliveries that are due.
    pub handed: mpsc::Receiver<Handed>,
    /// Routes whose upstream has answered a request that was forwarded directly.
    pub works: mpsc::Receiver<RouteName>,
}

/// Makes a handle, and the ends for the writer's thread and the delivery thread.
#[must_use]
pub fn channel() -> (Queue, WriterEnd, DeliveryEnd) {
    let (commands, asked) = mpsc::channel(MOST_COMMANDS);
    let (hand, handed) = mpsc::channel(MOST_HANDED);
    let (works, told) = mpsc::channel(MOST_SIGNS);
    let shared = Arc::new(Shared::default());
    let queue = Queue { commands, works, shared: Arc::clone(&shared) };
    (queue, WriterEnd { commands: asked, handed: hand, shared }, DeliveryEnd { handed, works: told })
}

impl Queue {
    /// Stores an event. Returns when the event is on disk.
    ///
    /// # Errors
    /// [`Refused`]. Then the event is not acknowledged. If the store has not answered within `patience`, the
    /// store may still keep the event later.
    pub async fn store(&self, event: Event, held: Held, patience: Duration) -> Result<Receipt, Refused> {
        let (reply, receipt) = oneshot::channel();
        let command = Command::Store { event: Box::new(event), held, reply };
        let stored = async {
            self.commands.send(command).await.map_err(|_ended| Refused::Unavailable)?;
            receipt.await.unwrap_or(Err(Refused::Unavailable))
        };
        timeout(patience, stored).await.unwrap_or(Err(Refused::Unavailable))
    }

    /// Records a finished attempt. Returns when the attempt is on disk: until then, the store says that the
    /// delivery is due. Says whether the completion has settled the delivery.
    ///
    /// # Errors
    /// [`Refused`]. Then the attempt is not recorded, and the delivery would be made again.
    pub async fn complete(&self, completion: Completion) -> Result<Settled, Refused> {
        let (reply, done) = oneshot::channel();
        let command = Command::Complete { completion, reply };
        self.commands.send(command).await.map_err(|_ended| Refused::Unavailable)?;
        done.await.unwrap_or(Err(Refused::Unavailable))
    }

    /// Records finished attempts, as [`Self::complete`] does. The records wait together, so most of them
    /// share a commit.
    pub async fn complete_all(
        &self,
        completions: impl IntoIterator<Item = Completion>,
    ) -> Vec<Result<Settled, Refused>> {
        let mut replies = Vec::new();
        for completion in completions {
            let (reply, done) = oneshot::channel();
            // If the writer has ended, the reply is dropped.
            let _ended = self.commands.send(Command::Complete { completion, reply }).await;
            replies.push(done);
        }
        let mut settled = Vec::with_capacity(replies.len());
        for done in replies {
            settled.push(done.await.unwrap_or(Err(Refused::Unavailable)));
        }
        settled
    }

    /// Records that an event was delivered directly, on a route that deduplicates. Waits only a short time if
    /// the store is slow, because the sender waits for its answer.
    pub async fn record_seen(&self, route: RouteName, key: DuplicateKey) {
        let _too_late = timeout(RECORD_SEEN, self.commands.send(Command::Seen(route, key))).await;
    }

    /// Marks a delivery whose record is damaged. Returns when the mark is on disk: until then, the store says
    /// that the delivery is due.
    ///
    /// # Errors
    /// [`Refused`]. Then the delivery is not marked.
    pub async fn set_aside(&self, damaged: DeliveryId) -> Result<(), Refused> {
        let (reply, done) = oneshot::channel();
        let command = Command::SetAside { damaged, reply };
        self.commands.send(command).await.map_err(|_ended| Refused::Unavailable)?;
        done.await.unwrap_or(Err(Refused::Unavailable))
    }

    /// Makes a change. When the change is on disk, returns how many events or routes it affected.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn change(&self, change: Change) -> Result<u64, Refused> {
        let (reply, done) = oneshot::channel();
        self.commands.send(Command::Change { change, reply }).await.map_err(|_ended| Refused::Unavailable)?;
        done.await.unwrap_or(Err(Refused::Unavailable))
    }

    /// Makes changes, in this order. The changes wait together, so most of them share a commit. When all
    /// changes are on disk, returns how many events or routes each change affected.
    ///
    /// # Errors
    /// [`Refused`], for the first change that was not made. Later changes may have been made.
    pub async fn change_all(&self, changes: impl IntoIterator<Item = Change>) -> Result<Vec<u64>, Refused> {
        self.change_each(changes).await.into_iter().collect()
    }

    /// Like [`Self::change_all`], but returns the result of each change.
    pub async fn change_each(&self, changes: impl IntoIterator<Item = Change>) -> Vec<Result<u64, Refused>> {
        let mut replies = Vec::new();
        for change in changes {
            let (reply, done) = oneshot::channel();
            let command = Command::Change { change, reply };
            // If the writer has ended, the reply is dropped.
            let _ended = self.commands.send(command).await;
            replies.push(done);
        }
        let mut met = Vec::with_capacity(replies.len());
        for done in replies {
            met.push(done.await.unwrap_or(Err(Refused::Unavailable)));
        }
        met
    }

    /// Records that an attempt of this delivery begins.
    pub fn attempt_begins(&self, id: DeliveryId, under_way: UnderWay) {
        self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(id, under_way);
    }

    /// Records that an attempt of this delivery has ended.
    pub fn attempt_ended(&self, id: DeliveryId) {
        self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// The deliveries whose attempt is under way.
    #[must_use]
    pub fn under_way(&self) -> HashMap<DeliveryId, UnderWay> {
        self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads from the store. Blocks: call it only on a thread that may block.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn read<T>(
        &self,
        work: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&self.shared.reader, work)
    }

    /// Reads pages and counts of events, as [`Self::read`] does. Such reads wait only for each other.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn read_list<T>(
        &self,
        work: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&self.shared.list_reader, work)
    }

    /// Publishes the circuit of an upstream.
    pub fn set_circuit(&self, destination: &Destination, standing: Standing) {
        let mut circuits = self.shared.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        match standing {
            Standing::Calm => circuits.remove(destination),
            Standing::Counting | Standing::Open => circuits.insert(destination.clone(), standing),
        };
        self.shared.not_calm.store(circuits.len(), Ordering::Relaxed);
    }

    /// The circuit of a route's upstream.
    #[must_use]
    pub fn circuit(&self, route: &RouteName) -> Standing {
        if self.shared.not_calm.load(Ordering::Relaxed) == 0 {
            return Standing::Calm;
        }
        let circuits = self.shared.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let main = Destination { route: route.clone(), upstream: Upstream::Main };
        circuits.get(&main).copied().unwrap_or_default()
    }

    /// Records that the upstream of a route has answered a directly forwarded request. Never waits.
    pub fn works(&self, route: &RouteName) {
        match self.circuit(route) {
            Standing::Calm => {}
            Standing::Counting | Standing::Open => drop(self.works.try_send(route.clone())),
        }
    }

    /// The upstreams whose circuit is open.
    #[must_use]
    pub fn open_circuits(&self) -> Vec<Destination> {
        self.shared.open_circuits()
    }

    /// Whether a delivery of the route waits, as of the last commit.
    #[must_use]
    pub fn has_backlog(&self, route: &RouteName) -> bool {
        let statistics = self.shared.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        statistics.counts.iter().any(|(known, counts)| known.route == *route && counts.queued > 0)
    }

    /// The counts of deliveries.
    #[must_use]
    pub fn deliveries(&self) -> &Arc<DeliveryCounts> {
        &self.shared.deliveries
    }

    /// How often damage of the store was found. Damaged records do not count, because they become dead
    /// letters.
    #[must_use]
    pub fn damage(&self) -> u64 {
        self.shared.damage.load(Ordering::Relaxed)
    }

    /// The free bytes of the store's disk at the last measurement, if they are known.
    #[must_use]
    pub fn disk_free(&self) -> Option<u64> {
        self.shared.disk_free.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The distribution of the commits' durations, and the number of committed events.
    #[must_use]
    pub fn commits(&self) -> (Distribution, u64) {
        self.shared.commits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of events with dead letters that are removed soon, by route, at the last count.
    #[must_use]
    pub fn removed_soon(&self) -> Vec<(RouteName, u64)> {
        self.shared.removed_soon.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The state of the store.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.shared.health.load(Ordering::Acquire) {
            0 => Health::Failing,
            1 => Health::Full,
            _ => Health::Well,
        }
    }

    /// Whether an event was discarded, as of the last commit.
    #[must_use]
    pub fn is_discarded(&self, event: EventId) -> bool {
        let discarded = self.shared.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        discarded.ids.contains(&event)
    }

    /// Runs `work` with the events that were discarded, as of the last commit. Does nothing if no event was
    /// discarded.
    pub fn with_discarded(&self, work: impl FnOnce(&dyn Fn(EventId) -> bool)) {
        let discarded = self.shared.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        if !discarded.ids.is_empty() {
            work(&|event| discarded.ids.contains(&event));
        }
    }

    /// Whether deliveries of a route may begin. The route must not be paused, as of the last commit, and no
    /// other gateway may take the deliveries in the memory of this gateway.
    #[must_use]
    pub fn may_deliver(&self, route: &RouteName) -> bool {
        if self.is_shared() && !self.has_lease() {
            return false;
        }
        let statistics = self.shared.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        !statistics.paused.contains(route)
    }

    /// How often the lease has run out. Each time, other gateways may have taken the deliveries in the memory
    /// of this gateway.
    #[must_use]
    pub fn lapses(&self) -> u64 {
        self.shared.lapses.load(Ordering::Acquire)
    }

    fn has_lease(&self) -> bool {
        let lease = self.shared.lease.lock().unwrap_or_else(PoisonError::into_inner);
        lease.is_some_and(|until| Instant::now() < until)
    }

    /// Whether several gateways share the store.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.is_shared.load(Ordering::Acquire)
    }

    /// Ends a claim on a duplicate key without a delivery.
    pub fn release(&self, route: RouteName, digest: [u8; 32]) {
        if let Err(TrySendError::Full(Command::Release(route, digest))) =
            self.commands.try_send(Command::Release(route, digest))
        {
            // The writer is busy. It takes the claim with its next commit.
            let mut released = self.shared.released.lock().unwrap_or_else(PoisonError::into_inner);
            if released.len() < MOST_RELEASED {
                released.push((route, digest));
            }
        }
    }

    /// The store's statistics, as of the last commit.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.statistics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel as pipe;
    use std::thread;

    use super::*;
    use crate::queue::memory_store::Memory;
    use crate::queue::store::{Filter, Store as _};

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_lease_that_ran_out_before_it_was_renewed_is_a_lapse() {
        let (queue, end, _deliveries) = channel();
        let at = |seconds| Instant::now().checked_add(Duration::from_secs(seconds)).unwrap();
        assert!(!end.set_lease(at(0), at(10)));
        assert!(!end.set_lease(at(9), at(19)));
        assert_eq!(queue.lapses(), 0);
        assert!(end.set_lease(at(30), at(40)));
        assert_eq!(queue.lapses(), 1);
        end.end_lease();
        assert!(end.set_lease(at(31), at(41)));
    }

    #[test]
    fn a_store_is_closed_while_a_list_is_read() {
        let (queue, end, _deliveries) = channel();
        let readers = || [(); 2].map(|()| Memory::new().reader().unwrap());
        let count = |queue: &Queue| queue.read_list(|reader| reader.count(&Filter::default(), 9));
        end.set_readers(Some(readers()));
        let ((begun, begins), (go_on, goes_on)) = (pipe(), pipe());
        let of_list = queue.clone();
        let list = thread::spawn(move || {
            of_list.read_list(|reader| {
                begun.send(()).unwrap();
                goes_on.recv_timeout(PATIENCE * 3).unwrap();
                reader.count(&Filter::default(), 9)
            })
        });
        begins.recv_timeout(PATIENCE).unwrap();
        let (closed, closes) = pipe();
        let writer = thread::spawn(move || {
            end.set_readers(None);
            closed.send(()).unwrap();
            end
        });
        assert_eq!(closes.recv_timeout(PATIENCE), Ok(()), "closing the store waits for the list");
        assert!(count(&queue).is_err());
        // The next list does not wait for it either.
        let end = writer.join().unwrap();
        end.set_readers(Some(readers()));
        assert_eq!(count(&queue).unwrap(), 0);
        go_on.send(()).unwrap();
        assert_eq!(list.join().unwrap().unwrap(), 0);
    }
}
