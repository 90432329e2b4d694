//! Pure. The trait of a store of events, and what a store takes and returns: transactions, changes, due
//! deliveries.
//!
//! The same test suite runs against every store (`tests/it/stores.rs`).

use std::collections::BTreeSet;
use std::time::Duration;

pub use super::delivery_state::{
    Class, Completion, DeadCause, DeliveryId, Destination, DueDelivery, Next, Settled, State, another_since,
};
use super::event::{DuplicateKey, Event, OrderKey, RouteName, Upstream};
use super::id::EventId;
pub use super::listing::{
    Bounds, Counts, DeadGroup, DeadLetter, DeadPart, DeliverySummary, Detail, FIRST_ATTEMPTS, Failure,
    Filter, Found, LAST_ATTEMPTS, Order, Statistics, Summary, failure_word,
};
pub use super::store_error::{OpenError, Refused, StoreError};
use super::time::Time;

/// A change that an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Pauses the route: none of its events is delivered until the route is resumed.
    Pause(RouteName),
    /// Resumes the route.
    Resume(RouteName),
    /// Sends the event again, to each of its upstreams, with a fresh budget of retries. A queued delivery
    /// keeps its number and becomes due at once. Its `since` becomes the time of the commit. If `since` has
    /// this value already, it becomes a millisecond more, so two budgets never have the same value. Each
    /// other upstream gets a new delivery, which replaces a dead letter.
    Replay(EventId),
    /// As [`Self::Replay`], but only to those upstreams for which the event is a dead letter.
    ReplayDead(EventId),
    /// Removes the event, with all its deliveries.
    Discard(EventId),
    /// Writes the row of a job. It replaces an earlier row with the same id.
    SaveJob(Job),
    /// Removes the row of a job.
    RemoveJob(EventId),
}

/// A job that an operator has started, such as a replay of many events. The store keeps its row and does not
/// interpret it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The id. Later jobs have greater ids.
    pub id: EventId,
    /// What the job does and how much of it is done, at most [`LARGEST_JOB`] bytes.
    pub document: Vec<u8>,
}

/// The most bytes of a job's document.
pub const LARGEST_JOB: usize = 64 * 1024;

/// The largest event that is handed to its delivery in memory. Larger ones are read from the store.
pub const LARGEST_HANDED: u64 = 64 << 10;

/// The contents of one transaction.
#[derive(Debug, Default)]
pub struct Batch<'b> {
    /// New events.
    pub events: Vec<&'b Event>,
    /// Finished attempts.
    pub completions: Vec<Completion>,
    /// The events that were delivered directly on routes that deduplicate: the route and the duplicate key.
    pub seen: Vec<(RouteName, DuplicateKey)>,
    /// Changes by operators.
    pub changes: Vec<Change>,
    /// Deliveries with a damaged record. They become dead letters with the cause `damaged`, without an
    /// attempt.
    pub damaged: Vec<DeliveryId>,
    /// Claims of this gateway that end without a delivery: the route and the digest of the duplicate key.
    pub released: Vec<(RouteName, [u8; 32])>,
    /// Upstreams to which this gateway sends nothing from memory at the moment.
    pub unhanded: BTreeSet<Destination>,
    /// The time of the commit.
    pub now: Time,
}

impl Batch<'_> {
    /// Whether this gateway has the delivery of a new event in memory from the commit on. Any gateway that
    /// shares the store may take the others.
    #[must_use]
    pub fn hands(&self, event: &Event, destination: &Destination) -> bool {
        event.info().order.is_none()
            && event.size() <= LARGEST_HANDED
            && (event.attempted().is_none() || destination.upstream != Upstream::Main)
            && !self.unhanded.contains(destination)
    }
}

/// The results of a commit.
#[derive(Debug, Default)]
pub struct Committed {
    /// The deliveries of each new event, in the order of the batch. The deliveries of one event are in the
    /// order of its upstreams.
    pub deliveries: Vec<Vec<DeliveryId>>,
    /// Completions of an earlier budget of retries. They did not settle their delivery, which keeps the due
    /// time of the replay.
    pub superseded: Vec<DeliveryId>,
    /// For each change, in the order of the batch: how many events or routes it met.
    pub changed: Vec<u64>,
    /// The destinations for which another delivery may be due now: the next delivery of a lane, a replay, or
    /// a delivery of a resumed route.
    pub ready: Vec<Destination>,
}

/// The result of a claim of an event on a route that deduplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claiming {
    /// The claim is this gateway's. It ends with a commit that records the key, or by [`Batch::released`].
    First,
    /// Such an event was stored or delivered before.
    Duplicate,
    /// Another gateway has the claim. The outcome is open.
    UnderWay,
}

/// A question for due deliveries.
#[derive(Clone, Debug)]
pub struct DueQuery<'q> {
    /// The upstream.
    pub destination: &'q Destination,
    /// The kind of the deliveries.
    pub class: Class,
    /// The time at which the deliveries are due.
    pub now: Time,
    /// Deliveries to leave out, because the caller has them.
    pub except: &'q [DeliveryId],
    /// The most deliveries.
    pub most: usize,
    /// The most bytes of heads and content. A single due delivery is returned even if it is larger.
    pub most_bytes: u64,
}

/// The result of a [`DueQuery`]: the due deliveries, and the time when the next delivery becomes due.
#[derive(Debug, Default)]
pub struct Due {
    /// The due deliveries. The delivery that has waited longest comes first. Of a lane, only the first
    /// delivery is due.
    pub deliveries: Vec<DueDelivery>,
    /// Deliveries with a damaged record. The caller has them marked with [`Batch::damaged`].
    pub damaged: Vec<DamagedDelivery>,
    /// Whether more deliveries may be due.
    pub has_more: bool,
    /// When the next delivery of this kind becomes due, if none is due now.
    pub next: Option<Time>,
}

/// A delivery whose record is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// The id of the event, if it can be read. The id may be damaged as well.
    pub event: Option<EventId>,
}

/// How long events and dead letters are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How long the content of a delivered event is kept.
    pub delivered: Duration,
    /// How long the facts of a delivered event are kept.
    pub info: Duration,
    /// How long a dead letter is kept.
    pub dead: Duration,
}

/// Whether a store is checked when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The store is opened for the first time, without a check.
    No,
    /// The store has failed before. It is searched for damage, for a bounded time.
    Yes,
}

/// Opens a store, repeatedly if the store fails. The process owns the store the whole time.
pub trait Engine: Send {
    /// Opens the store, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`OpenError`]
    fn open(&mut self, check: Check) -> Result<Box<dyn Store>, OpenError>;
}

/// An open store of events. One thread owns it: the writer.
pub trait Store: Send {
    /// Commits a batch in one transaction. Returns when everything is on disk.
    ///
    /// # Errors
    /// [`StoreError`]. After an error, no part of the batch is stored.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed, StoreError>;

    /// Removes rows whose retention has ended, in a step of at most `most` rows. Returns the number of
    /// removed rows. If no row was removed, returns the number of rows that were moved to free space. The
    /// number is zero if nothing is left to do.
    ///
    /// # Errors
    /// [`StoreError`]
    fn purge(&mut self, now: Time, retention: Retention, most: usize) -> Result<usize, StoreError>;

    /// Dead letters that ended after `after` and no later than `until`: the earliest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`]
    fn dead_letters(&mut self, after: Time, until: Time, most: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// The statistics of the store, from its counters.
    ///
    /// # Errors
    /// [`StoreError`]
    fn statistics(&mut self) -> Result<Statistics, StoreError>;

    /// A second, read-only view of the store, for another thread.
    ///
    /// # Errors
    /// [`StoreError`]
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Short work between two commits, after the receipts of the first commit are out: a checkpoint if one is
    /// due.
    ///
    /// # Errors
    /// [`StoreError`]
    fn between_commits(&mut self) -> Result<(), StoreError>;

    /// Tells the other gateways that share the store that this gateway is alive. Returns how long, from this
    /// call on, they take none of the deliveries in its memory. Returns `None` if no other gateway can share
    /// the store.
    ///
    /// # Errors
    /// [`StoreError`]
    fn keep_alive(&mut self) -> Result<Option<Duration>, StoreError> {
        Ok(None)
    }

    /// Events that another gateway has discarded, and that this gateway may have in memory. The store returns
    /// them until [`Self::confirm_discarded`].
    ///
    /// # Errors
    /// [`StoreError`]
    fn discarded_elsewhere(&mut self) -> Result<Vec<EventId>, StoreError> {
        Ok(Vec::new())
    }

    /// Tells the other gateways that no delivery of these events begins at this gateway any more.
    ///
    /// # Errors
    /// [`StoreError`]
    fn confirm_discarded(&mut self, _events: &[EventId]) -> Result<(), StoreError> {
        Ok(())
    }

    /// The events among these discarded events that another gateway may still have in memory. Such a gateway
    /// is alive, and has not confirmed the discard.
    ///
    /// # Errors
    /// [`StoreError`]
    fn unconfirmed(&mut self, _events: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        Ok(Vec::new())
    }

    /// One step of the work for an idle moment: a full checkpoint, or the return of free pages to the disk.
    ///
    /// # Errors
    /// [`StoreError`]
    fn idle(&mut self) -> Result<(), StoreError>;

    /// Whether the next start finds the committed data at the store's address. The files of a store can be
    /// moved, replaced or removed while the process has them open.
    fn is_in_place(&self) -> bool {
        true
    }
}

/// A read-only view of a store. It reads in short transactions.
pub trait Reader: Send {
    /// The due deliveries.
    ///
    /// # Errors
    /// [`StoreError`]
    fn due(&mut self, query: &DueQuery<'_>) -> Result<Due, StoreError>;

    /// Events that match a filter, the latest first. They begin after the event `before`. One call looks at a
    /// bounded part of the store, so it is short whatever the filter is.
    ///
    /// # Errors
    /// [`StoreError`]
    fn page(
        &mut self,
        filter: &Filter,
        before: Option<EventId>,
        bounds: Bounds,
    ) -> Result<Found<Summary>, StoreError>;

    /// The ids of the events that match a filter, the earliest first. They begin after the id `after`. One
    /// call looks at a bounded part of the store.
    ///
    /// # Errors
    /// [`StoreError`]
    fn ids(
        &mut self,
        filter: &Filter,
        after: Option<EventId>,
        bounds: Bounds,
    ) -> Result<Found<EventId>, StoreError>;

    /// A part of the dead letters, in groups of equal failures: the events that were stored before the number
    /// `before`, the latest first. The part has at least `most` dead deliveries, if there are as many. The
    /// time depends only on `most`. No event is in two parts.
    ///
    /// # Errors
    /// [`StoreError`]
    fn dead_part(&mut self, before: Option<i64>, most: usize) -> Result<DeadPart, StoreError>;

    /// The jobs, the earliest first.
    ///
    /// # Errors
    /// [`StoreError`]
    fn jobs(&mut self) -> Result<Vec<Job>, StoreError>;

    /// How many events match a filter. Stops counting at `most`. The call is as long as the search in the
    /// whole store.
    ///
    /// # Errors
    /// [`StoreError`]
    fn count(&mut self, filter: &Filter, most: u64) -> Result<u64, StoreError> {
        let (mut count, mut after) = (0_u64, None);
        while count < most {
            let room = usize::try_from(most.saturating_sub(count)).unwrap_or(usize::MAX);
            let bounds = Bounds::of(room.min(Bounds::of(0).looked_at));
            let Found { found, next } = self.ids(filter, after, bounds)?;
            count = count.saturating_add(u64::try_from(found.len()).unwrap_or(u64::MAX));
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(count)
    }

    /// One event.
    ///
    /// # Errors
    /// [`StoreError`]
    fn detail(&mut self, id: EventId) -> Result<Option<Detail>, StoreError>;

    /// Whether an event with this duplicate key was stored or delivered, and the key still counts.
    ///
    /// # Errors
    /// [`StoreError`]
    fn is_seen(&mut self, route: &RouteName, key: &[u8; 32], now: Time) -> Result<bool, StoreError>;

    /// Claims the events with this duplicate key, against other gateways that share the store.
    ///
    /// # Errors
    /// [`StoreError`]
    fn claim(&mut self, route: &RouteName, key: &[u8; 32], now: Time) -> Result<Claiming, StoreError> {
        Ok(if self.is_seen(route, key, now)? { Claiming::Duplicate } else { Claiming::First })
    }

    /// Whether a delivery of the route with this order key waits.
    ///
    /// # Errors
    /// [`StoreError`]
    fn is_waiting(&mut self, route: &RouteName, order: &OrderKey) -> Result<bool, StoreError>;
}
