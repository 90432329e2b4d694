//! Pure. The trait of an engine that stores events, and what goes in and comes out of it.
//!
//! One suite of tests runs against every engine (`tests/it/stores.rs`).

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::event::{Attempt, DuplicateKey, Event, EventInfo, OrderKey, RouteName, StoredEvent, Upstream};
use super::id::EventId;
use super::time::Time;

/// The number of a delivery in its store: an event on its way to one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub i64);

/// The upstream of a route, for which deliveries wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The route.
    pub route: RouteName,
    /// The upstream of it.
    pub upstream: Upstream,
}

/// The kind of a delivery. New ones go before the others, and each kind has its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// It was not attempted yet.
    New,
    /// An attempt of it has failed.
    Retry,
    /// An operator sends the event again.
    Replay,
}

impl Class {
    /// The class of a delivery after a failed attempt. A replay stays behind other retries.
    #[must_use]
    pub const fn after_failure(self) -> Self {
        match self {
            Self::New | Self::Retry => Self::Retry,
            Self::Replay => Self::Replay,
        }
    }
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It waits, or is being delivered.
    Queued,
    /// The upstream has answered 2xx.
    Delivered,
    /// It was given up, for this cause.
    Dead(DeadCause),
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Delivered,
        Self::Dead(DeadCause::Refused),
        Self::Dead(DeadCause::Undeliverable),
        Self::Dead(DeadCause::Damaged),
    ];
}

/// Why a delivery was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeadCause {
    /// The app answered, and not with 2xx.
    Refused,
    /// The event could not be delivered: no connection, no answer in time, a broken exchange.
    Undeliverable,
    /// The record is damaged: its checksum does not match.
    Damaged,
}

impl DeadCause {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Undeliverable => "undeliverable",
            Self::Damaged => "damaged",
        }
    }
}

/// A delivery that is due, with its event.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// Its number.
    pub id: DeliveryId,
    /// Its kind.
    pub class: Class,
    /// The number of attempts so far in this budget of retries.
    pub attempts: u32,
    /// When the budget of retries began: the receipt of the event, or the replay.
    pub since: Time,
    /// The event.
    pub event: StoredEvent,
}

/// What a finished attempt makes of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The delivery.
    pub id: DeliveryId,
    /// When the budget of retries began that the attempt was made under ([`DueDelivery::since`]). A replay of a queued event
    /// begins another one, also while an attempt is under way. An attempt of an earlier budget ends its delivery only with
    /// [`Next::Delivered`]. Otherwise the attempt is kept and counted among all attempts, the delivery becomes a retry, and its
    /// due time and its budget stay what the replay has made them ([`Committed::superseded`]).
    pub since: Time,
    /// The attempt, which is kept with the delivery.
    pub attempt: Attempt,
    /// What follows.
    pub next: Next,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The delivery is done.
    Delivered,
    /// The delivery is tried again at this time. `spends` says whether the attempt counts: none does while the circuit is open.
    Again {
        /// When it is due.
        due: Time,
        /// Whether the attempt counts.
        spends: bool,
    },
    /// The delivery is given up.
    Dead(DeadCause),
}

/// Whether a completion has settled its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What follows the attempt is what its completion says.
    Yes,
    /// A replay has begun another budget of retries meanwhile: the delivery waits as the replay has made it.
    No,
}

/// When the budget of retries begins that a replay at `now` gives to a queued delivery, whose present one began at `since`.
#[must_use]
pub fn another_since(since: Time, now: Time) -> Time {
    if now == since { now.plus(Duration::from_millis(1)) } else { now }
}

/// A change that an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing of the route is delivered until it is resumed.
    Pause(RouteName),
    /// Deliveries of the route go on.
    Resume(RouteName),
    /// The event is sent again, to each of its upstreams, with a fresh budget of retries. An upstream for which it waits gets
    /// it at once: its delivery keeps its number, and its `since` becomes the time of the commit, or a millisecond more if it is
    /// that time already, so that no two budgets have the same. For the others a new delivery is made, which takes the place of
    /// a dead letter.
    Replay(EventId),
    /// The event is removed, with all its deliveries.
    Discard(EventId),
    /// The row of a job is written, in place of an earlier one with its id.
    SaveJob(Job),
    /// The row of a job is removed.
    RemoveJob(EventId),
}

/// A job that an operator has started, such as a replay of many events. The store keeps it as a small row that it does not
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id. Later jobs have greater ids.
    pub id: EventId,
    /// What it does and how far it is, at most [`LARGEST_JOB`] bytes.
    pub document: Vec<u8>,
}

/// The most bytes of a job's document.
pub const LARGEST_JOB: usize = 64 * 1024;

/// Everything that is committed in one transaction.
#[derive(Debug, Default)]
pub struct Batch<'b> {
    /// New events.
    pub events: Vec<&'b Event>,
    /// Finished attempts.
    pub completions: Vec<Completion>,
    /// What was delivered directly on routes that deduplicate: the route and the key.
    pub seen: Vec<(RouteName, DuplicateKey)>,
    /// Changes by operators.
    pub changes: Vec<Change>,
    /// Deliveries whose record is damaged. They become dead letters of that cause, without an attempt.
    pub damaged: Vec<DeliveryId>,
    /// The time of the commit.
    pub now: Time,
}

/// What a commit has made of a batch.
#[derive(Debug, Default)]
pub struct Committed {
    /// For each new event, in the order of the batch: its deliveries, in the order of its upstreams.
    pub deliveries: Vec<Vec<DeliveryId>>,
    /// Completions of an earlier budget of retries, which did not settle their delivery: it waits as the replay has made it.
    pub superseded: Vec<DeliveryId>,
    /// For each change, in the order of the batch: how many events or routes it met.
    pub changed: Vec<u64>,
    /// The upstreams for which something else may have become due: the next of a lane, a replay, a route that goes on.
    pub ready: Vec<Destination>,
}

/// Why a store did not do what was asked for.
#[derive(Debug)]
pub enum StoreError {
    /// The disk is full, or the limit of the store is reached. What was stored before is whole.
    Full,
    /// The engine failed. The store must be opened again before anything is acknowledged.
    Failed(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the store is full"),
            Self::Failed(_) => f.write_str("the store failed"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Full => None,
            Self::Failed(error) => Some(&**error),
        }
    }
}

/// Why the queue does not take an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A limit of the store or the disk is reached: `queue_full`.
    Full,
    /// The store fails: `queue_unavailable`.
    Unavailable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the queue is full",
            Self::Unavailable => "the queue's store is unavailable",
        })
    }
}

impl Error for Refused {}

/// Why a store cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process owns the store.
    InUse(PathBuf),
    /// A newer hookgate has written the store, in a schema of this version.
    Newer(PathBuf, i64),
    /// The library of the engine is too old to be trusted; this is its version.
    OldLibrary(&'static str),
    /// The engine failed.
    Failed(PathBuf, Box<dyn Error + Send + Sync>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(f, "{} is in use by another hookgate", path.display()),
            Self::Newer(path, version) => {
                write!(f, "{} was written by a newer hookgate (schema version {version})", path.display())
            }
            Self::OldLibrary(version) => {
                write!(f, "SQLite {version} is too old: its write-ahead log can lose what was committed")
            }
            Self::Failed(path, _) => write!(f, "cannot open the store {}", path.display()),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InUse(_) | Self::Newer(..) | Self::OldLibrary(_) => None,
            Self::Failed(_, error) => Some(&**error),
        }
    }
}

/// Which deliveries are asked for.
#[derive(Clone, Debug)]
pub struct DueQuery<'q> {
    /// The upstream.
    pub destination: &'q Destination,
    /// The kind.
    pub class: Class,
    /// Only what is due at this time.
    pub now: Time,
    /// Deliveries that the caller has already.
    pub except: &'q [DeliveryId],
    /// The most deliveries.
    pub most: usize,
    /// The most bytes of heads and content. At least one delivery is returned if any is due.
    pub most_bytes: u64,
}

/// The deliveries that are due, and when others will be.
#[derive(Debug, Default)]
pub struct Due {
    /// The deliveries, the one that has waited longest first. Of deliveries with the same order key only the first is due.
    pub deliveries: Vec<DueDelivery>,
    /// Deliveries whose record is damaged. The caller has them marked, by [`Batch::damaged`].
    pub damaged: Vec<DamagedDelivery>,
    /// Whether there may be more that are due.
    pub has_more: bool,
    /// When the next one of this kind becomes due, if none is due now.
    pub next: Option<Time>,
}

/// A delivery whose record is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// The event, if its id can still be read. It may be damaged as well.
    pub event: Option<EventId>,
}

/// A filter of events. Each part that is `None` lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Filter {
    /// The state of at least one delivery: `queued`, `delivering`, `delivered`, `dead`.
    pub state: Option<String>,
    /// The path of the route.
    pub route: Option<String>,
    /// Received at or after this time, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Received before this time, in milliseconds since 1970.
    pub until: Option<u64>,
    /// The ids of the events.
    pub ids: Vec<String>,
    /// The signed model.
    pub model: Option<String>,
}

impl Filter {
    /// Whether a delivery in this state meets the filter. A store does not know which of the queued ones are under way.
    #[must_use]
    pub fn takes(&self, state: State) -> bool {
        let word = match state {
            State::Queued => "queued",
            State::Delivered => "delivered",
            State::Dead(_) => "dead",
        };
        match self.state.as_deref() {
            None => true,
            Some("delivering") => word == "queued",
            Some(wanted) => word == wanted,
        }
    }

    /// Whether an event meets the filter, but for the state of its deliveries.
    #[must_use]
    pub fn takes_event(&self, info: &EventInfo) -> bool {
        let received = info.received.millis();
        self.route.as_deref().is_none_or(|route| *route == *info.route.path)
            && self.since.is_none_or(|since| received >= since)
            && self.until.is_none_or(|until| received < until)
            && self.model.as_ref().is_none_or(|model| info.model.as_ref() == Some(model))
            && (self.ids.is_empty() || self.event_ids().any(|id| id == info.id))
    }

    /// The ids of events that are named. What is no id is no event's.
    pub fn event_ids(&self) -> impl Iterator<Item = EventId> {
        self.ids.iter().filter_map(|id| id.parse().ok())
    }
}

/// The attempts of a delivery that are kept: the first few and the last few.
pub const FIRST_ATTEMPTS: u32 = 3;

/// See [`FIRST_ATTEMPTS`].
pub const LAST_ATTEMPTS: u32 = 20;

/// An event in a list.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What is known of the event.
    pub info: EventInfo,
    /// The length of its content in bytes.
    pub length: u64,
    /// Its deliveries.
    pub deliveries: Vec<DeliverySummary>,
}

/// A delivery in a list.
#[derive(Clone, Debug)]
pub struct DeliverySummary {
    /// Its number.
    pub id: DeliveryId,
    /// Its upstream.
    pub upstream: Upstream,
    /// Its state.
    pub state: State,
    /// Its kind.
    pub class: Class,
    /// When it is due, if it waits.
    pub due: Time,
    /// The number of attempts in all.
    pub attempts: u32,
    /// Its order key.
    pub order: Option<OrderKey>,
    /// When it ended, if it has.
    pub ended: Option<Time>,
    /// The last attempt, if there was one.
    pub last: Option<Attempt>,
}

/// An event with everything that is kept of it.
#[derive(Debug)]
pub struct Detail {
    /// The event in a list.
    pub summary: Summary,
    /// The attempts of each delivery, the earliest first; the middle ones of many are not kept.
    pub attempts: Vec<Vec<Attempt>>,
    /// Head and content; `None` if they are no longer kept, or the record is damaged.
    pub event: Option<StoredEvent>,
}

/// The number of deliveries to one upstream in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries that wait or are under way.
    pub queued: u64,
    /// Bytes of the events of those.
    pub queued_bytes: u64,
    /// When the event of the oldest of those was received.
    pub oldest: Option<Time>,
    /// Deliveries that succeeded and are kept.
    pub delivered: u64,
    /// Dead letters.
    pub dead: u64,
}

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// For each upstream of each route.
    pub counts: Vec<(Destination, Counts)>,
    /// The bytes that the store takes on its disk or server.
    pub bytes: u64,
    /// Of those, the bytes that it uses again before it takes more.
    pub reusable: u64,
    /// The routes that are paused.
    pub paused: Vec<RouteName>,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// The content of delivered events.
    pub delivered: Duration,
    /// What is known of delivered events.
    pub info: Duration,
    /// Dead letters.
    pub dead: Duration,
}

/// Whether a store is checked when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is opened for the first time.
    No,
    /// It has failed before. It is looked for damage, for a bounded time.
    Yes,
}

/// Opens a store, again and again if need be. It stays its owner in between.
pub trait Engine: Send {
    /// Opens the store, and makes it if it does not exist.
    ///
    /// # Errors
    /// [`OpenError`]
    fn open(&mut self, check: Check) -> Result<Box<dyn Store>, OpenError>;
}

/// An open store of events. It is owned by one thread, the writer.
pub trait Store: Send {
    /// Commits a batch in one transaction. It returns after everything is on disk.
    ///
    /// # Errors
    /// [`StoreError`]. Nothing of the batch is stored then.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed, StoreError>;

    /// Removes what has been kept for long enough, in a step of at most `most` rows. Returns how many were removed.
    ///
    /// # Errors
    /// [`StoreError`]
    fn purge(&mut self, now: Time, retention: Retention, most: usize) -> Result<usize, StoreError>;

    /// What it holds, from counters.
    ///
    /// # Errors
    /// [`StoreError`]
    fn statistics(&mut self) -> Result<Statistics, StoreError>;

    /// Another view of the store that only reads, for another thread.
    ///
    /// # Errors
    /// [`StoreError`]
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Short work between two commits, after the receipts of the first: a checkpoint where one is due.
    ///
    /// # Errors
    /// [`StoreError`]
    fn between_commits(&mut self) -> Result<(), StoreError>;

    /// A step of the work for a moment without events, such as a full checkpoint, or the return of free space to the disk.
    ///
    /// # Errors
    /// [`StoreError`]
    fn idle(&mut self) -> Result<(), StoreError>;
}

/// A view of a store that only reads, in short transactions.
pub trait Reader: Send {
    /// Deliveries that are due.
    ///
    /// # Errors
    /// [`StoreError`]
    fn due(&mut self, query: &DueQuery<'_>) -> Result<Due, StoreError>;

    /// A page of events, the latest first: those before `before`.
    ///
    /// # Errors
    /// [`StoreError`]
    fn page(
        &mut self,
        filter: &Filter,
        before: Option<EventId>,
        most: usize,
    ) -> Result<Vec<Summary>, StoreError>;

    /// The ids of the events that a filter meets, the earliest first: those after `after`, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`]
    fn ids(
        &mut self,
        filter: &Filter,
        after: Option<EventId>,
        most: usize,
    ) -> Result<Vec<EventId>, StoreError>;

    /// The jobs, the earliest first.
    ///
    /// # Errors
    /// [`StoreError`]
    fn jobs(&mut self) -> Result<Vec<Job>, StoreError>;

    /// How many events a filter meets, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`]
    fn count(&mut self, filter: &Filter, most: u64) -> Result<u64, StoreError>;

    /// One event.
    ///
    /// # Errors
    /// [`StoreError`]
    fn detail(&mut self, id: EventId) -> Result<Option<Detail>, StoreError>;

    /// Whether an event with this duplicate key was stored or delivered and counts still.
    ///
    /// # Errors
    /// [`StoreError`]
    fn is_seen(&mut self, route: &RouteName, key: &[u8; 32], now: Time) -> Result<bool, StoreError>;

    /// Whether a delivery of the route with this order key waits.
    ///
    /// # Errors
    /// [`StoreError`]
    fn is_waiting(&mut self, route: &RouteName, order: &OrderKey) -> Result<bool, StoreError>;
}
