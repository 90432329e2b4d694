//! Pure. The trait of a store of events, and the values that a store takes and returns.
//!
//! The same test suite runs against every store (`tests/it/stores.rs`).

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::event::{Attempt, DuplicateKey, Event, EventInfo, OrderKey, RouteName, StoredEvent, Upstream};
use super::id::EventId;
use super::time::Time;

/// The number of a delivery in its store. A delivery is an event on its way to one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub i64);

/// A destination: one upstream of a route. Deliveries wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The route.
    pub route: RouteName,
    /// The upstream of the route.
    pub upstream: Upstream,
}

/// The kind of a delivery. New deliveries come before the others, but each kind gets some of the starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// No attempt was made yet.
    New,
    /// An attempt has failed.
    Retry,
    /// An operator sends the event again.
    Replay,
}

impl Class {
    /// The class of a delivery after a failed attempt. A replay stays a replay, so it comes after other
    /// retries.
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
    /// The delivery waits or is under way.
    Queued,
    /// The upstream has answered 2xx.
    Delivered,
    /// The delivery was given up, for this cause.
    Dead(DeadCause),
}

impl State {
    /// All states.
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
    /// The app answered a status code other than 2xx.
    Refused,
    /// The event could not be delivered: no connection, no answer in time, a broken exchange.
    Undeliverable,
    /// The record is damaged: its checksum does not match.
    Damaged,
}

impl DeadCause {
    /// The cause as a word.
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
    /// The number of the delivery.
    pub id: DeliveryId,
    /// The kind of the delivery.
    pub class: Class,
    /// How many attempts have been made in this budget of retries.
    pub attempts: u32,
    /// When the budget of retries began: at the receipt of the event, or at its replay.
    pub since: Time,
    /// The event.
    pub event: StoredEvent,
}

/// A finished attempt, and what follows for its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The delivery.
    pub id: DeliveryId,
    /// When the budget of retries began under which the attempt was made ([`DueDelivery::since`]). A replay of
    /// a queued event begins another budget, also while an attempt is under way. An attempt of an earlier
    /// budget ends its delivery only with [`Next::Delivered`]. Otherwise the attempt is kept and counted, and
    /// the delivery becomes a retry. The due time and the budget of the replay remain
    /// ([`Committed::superseded`]).
    pub since: Time,
    /// The attempt, which is kept with the delivery.
    pub attempt: Attempt,
    /// What follows the attempt.
    pub next: Next,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The delivery is done.
    Delivered,
    /// The delivery is tried again later.
    Again {
        /// When the delivery is due.
        due: Time,
        /// Whether the attempt counts. While the circuit is open, no attempt counts.
        spends: bool,
    },
    /// The delivery is given up.
    Dead(DeadCause),
}

/// Whether a completion has settled its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The delivery is now as the completion says.
    Yes,
    /// A replay has begun another budget of retries meanwhile. The delivery keeps the due time of the replay.
    No,
}

/// The beginning of the new budget of retries, if a replay at `now` meets a queued delivery whose present
/// budget began at `since`.
#[must_use]
pub fn another_since(since: Time, now: Time) -> Time {
    if now == since { now.plus(Duration::from_millis(1)) } else { now }
}

/// A change that an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Pauses the route: none of its events is delivered until the route is resumed.
    Pause(RouteName),
    /// Resumes the route.
    Resume(RouteName),
    /// Sends the event again, to each of its upstreams, with a fresh budget of retries. A queued delivery keeps
    /// its number and becomes due at once. Its `since` becomes the time of the commit. If `since` has this
    /// value already, it becomes a millisecond more, so two budgets never have the same value. Each other
    /// upstream gets a new delivery, which replaces a dead letter.
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
    /// Whether this gateway has the delivery of a new event in memory from the commit on. Any gateway that shares the store may take
    /// the others.
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
    /// The destinations for which another delivery may be due now: the next delivery of a lane, a replay, or a
    /// delivery of a resumed route.
    pub ready: Vec<Destination>,
}

/// Why a store could not do its work.
#[derive(Debug)]
pub enum StoreError {
    /// The disk is full, or the store's limit is reached. The stored events are intact.
    Full,
    /// The store failed. It must be opened again before anything is acknowledged.
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

/// Why a store cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process owns the store.
    InUse(PathBuf),
    /// A newer hookgate has written the store. Its schema has this version.
    Newer(PathBuf, i64),
    /// The linked library of the store is too old to be safe. The text is its version.
    OldLibrary(&'static str),
    /// The server of the store is too old. The text is its version.
    OldServer(PathBuf, String),
    /// The server of the store cannot be reached at the moment.
    Unreachable(PathBuf, Box<dyn Error + Send + Sync>),
    /// The server of the store refused a request.
    Server(PathBuf, Box<dyn Error + Send + Sync>),
    /// The store's library failed.
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
            Self::OldServer(store, version) => {
                write!(f, "{} is PostgreSQL {version}: hookgate needs version 12 or later", store.display())
            }
            Self::Unreachable(store, _) => write!(f, "cannot reach the store {}", store.display()),
            Self::Server(store, _) | Self::Failed(store, _) => {
                write!(f, "cannot open the store {}", store.display())
            }
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InUse(_) | Self::Newer(..) | Self::OldLibrary(_) | Self::OldServer(..) => None,
            Self::Unreachable(_, error) | Self::Server(_, error) | Self::Failed(_, error) => Some(&**error),
        }
    }
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

/// A filter of events. A part that is `None` excludes no event.
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
    /// Whether a delivery in this state matches the filter. A store does not know which queued deliveries are
    /// under way.
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

    /// Whether an event matches the filter, apart from the state of its deliveries.
    #[must_use]
    pub fn takes_event(&self, info: &EventInfo) -> bool {
        let received = info.received.millis();
        self.route.as_deref().is_none_or(|route| *route == *info.route.path)
            && self.since.is_none_or(|since| received >= since)
            && self.until.is_none_or(|until| received < until)
            && self.model.as_ref().is_none_or(|model| info.model.as_ref() == Some(model))
            && (self.ids.is_empty() || self.event_ids().any(|id| id == info.id))
    }

    /// The ids that the filter names. Text that is not an id is skipped: it can match no event.
    pub fn event_ids(&self) -> impl Iterator<Item = EventId> {
        self.ids.iter().filter_map(|id| id.parse().ok())
    }
}

/// How many of a delivery's first attempts are kept. The last [`LAST_ATTEMPTS`] are kept as well.
pub const FIRST_ATTEMPTS: u32 = 3;

/// How many of a delivery's last attempts are kept, besides the first [`FIRST_ATTEMPTS`].
pub const LAST_ATTEMPTS: u32 = 20;

/// An event in a list.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The facts of the event.
    pub info: EventInfo,
    /// The length of the content in bytes.
    pub length: u64,
    /// The deliveries of the event.
    pub deliveries: Vec<DeliverySummary>,
}

/// A delivery in a list.
#[derive(Clone, Debug)]
pub struct DeliverySummary {
    /// The number of the delivery.
    pub id: DeliveryId,
    /// The upstream.
    pub upstream: Upstream,
    /// The state.
    pub state: State,
    /// The kind.
    pub class: Class,
    /// When the delivery is due, if it waits.
    pub due: Time,
    /// The number of all attempts.
    pub attempts: u32,
    /// The order key.
    pub order: Option<OrderKey>,
    /// When the delivery ended, if it has ended.
    pub ended: Option<Time>,
    /// The last attempt, if there was one.
    pub last: Option<Attempt>,
}

/// An event with everything that the store keeps of it.
#[derive(Debug)]
pub struct Detail {
    /// The event as it appears in a list.
    pub summary: Summary,
    /// The attempts of each delivery, the earliest first. If there were many attempts, those in the middle are
    /// missing.
    pub attempts: Vec<Vec<Attempt>>,
    /// Head and content. `None` if they are no longer kept, or if the record is damaged.
    pub event: Option<StoredEvent>,
}

/// The number of deliveries to one upstream in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries that wait or are under way.
    pub queued: u64,
    /// The bytes of the events of the queued deliveries.
    pub queued_bytes: u64,
    /// When the oldest event with a queued delivery was received.
    pub oldest: Option<Time>,
    /// Deliveries that succeeded and are still kept.
    pub delivered: u64,
    /// Dead letters.
    pub dead: u64,
}

/// The statistics of a store.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// The counts for each destination.
    pub counts: Vec<(Destination, Counts)>,
    /// The bytes that the store takes on its disk or server.
    pub bytes: u64,
    /// How many of these bytes are free inside the store. The store fills them before it grows.
    pub reusable: u64,
    /// The routes that are paused.
    pub paused: Vec<RouteName>,
}

/// An event with a dead letter and without a queued delivery. It is removed after [`Retention::dead`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub event: EventId,
    /// The route of the event.
    pub route: RouteName,
    /// When the last delivery of the event ended.
    pub ended: Time,
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

    /// Removes rows whose retention has ended, in a step of at most `most` rows. Returns the number of removed
    /// rows. If no row was removed, returns the number of rows that were moved to free space. The number is
    /// zero if nothing is left to do.
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

    /// Events that another gateway has discarded, and that this gateway may have in memory. The store returns them until
    /// [`Self::confirm_discarded`].
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

    /// Of these discarded events, those that another gateway may still have in memory: it is alive, and has not confirmed the
    /// discard.
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

    /// A page of events, the latest first. The page begins after the event `before`.
    ///
    /// # Errors
    /// [`StoreError`]
    fn page(
        &mut self,
        filter: &Filter,
        before: Option<EventId>,
        most: usize,
    ) -> Result<Vec<Summary>, StoreError>;

    /// The ids of the events that match a filter, the earliest first. They begin after the id `after`; at
    /// most `most` are returned.
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

    /// How many events match a filter. Stops counting at `most`.
    ///
    /// # Errors
    /// [`StoreError`]
    fn count(&mut self, filter: &Filter, most: u64) -> Result<u64, StoreError>;

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
