//! Pure. What an operator sees of a store: lists of events, one event, counts, and the filter of a list.

use super::delivery_state::{Class, DeadCause, DeliveryId, Destination, State};
use super::event::{Attempt, AttemptOutcome, EventInfo, OrderKey, RouteName, StoredEvent, Upstream};
use super::id::EventId;
use super::time::Time;

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
    /// How a delivery has failed: by the status code of the app's last answer, such as `500`, by the word of
    /// the last attempt's outcome, or `damaged`. It must be the delivery that is in the state of the filter.
    pub failure: Option<String>,
}

/// How a delivery has failed, as a filter names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The last answer of the app had this status code.
    Status(u16),
    /// The last attempt had this outcome, without an answer.
    Outcome(AttemptOutcome),
    /// The record is damaged.
    Damaged,
}

impl Failure {
    /// Reads the word of a filter. `None` if no failure has this name.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        if word == DeadCause::Damaged.as_str() {
            return Some(Self::Damaged);
        }
        if let Ok(status) = word.parse() {
            return (100..=999).contains(&status).then_some(Self::Status(status));
        }
        match AttemptOutcome::read(word)? {
            AttemptOutcome::Delivered | AttemptOutcome::Refused => None,
            outcome @ (AttemptOutcome::Unreachable | AttemptOutcome::Failed | AttemptOutcome::TimedOut) => {
                Some(Self::Outcome(outcome))
            }
        }
    }

    /// Whether a delivery in this state can have this failure. The last attempt of a delivered event had an
    /// answer 2xx.
    fn can_be_of(&self, state: State) -> bool {
        match self {
            Self::Damaged => state == State::Dead(DeadCause::Damaged),
            Self::Status(200..=299) => true,
            Self::Status(_) | Self::Outcome(_) => state != State::Delivered,
        }
    }

    /// Whether a delivery in this state, with this last attempt, has this failure.
    #[must_use]
    pub fn is_of(&self, state: State, last: Option<&Attempt>) -> bool {
        if !self.can_be_of(state) {
            return false;
        }
        match self {
            Self::Damaged => state == State::Dead(DeadCause::Damaged),
            Self::Status(status) => last.is_some_and(|last| last.status == Some(*status)),
            Self::Outcome(outcome) => last.is_some_and(|last| last.outcome == *outcome),
        }
    }
}

/// The word of a failure, as a filter names it, of a dead delivery with this last attempt.
#[must_use]
pub fn failure_word(cause: DeadCause, last: Option<&Attempt>) -> String {
    match (cause, last) {
        (DeadCause::Damaged, _) | (DeadCause::Refused | DeadCause::Undeliverable, None) => {
            cause.as_str().to_owned()
        }
        (DeadCause::Refused | DeadCause::Undeliverable, Some(Attempt { status: Some(status), .. })) => {
            status.to_string()
        }
        (DeadCause::Refused | DeadCause::Undeliverable, Some(Attempt { outcome, .. })) => {
            outcome.as_str().to_owned()
        }
    }
}

/// Dead letters of one route with the same failure.
#[derive(Clone, Debug)]
pub struct DeadGroup {
    /// The route.
    pub route: RouteName,
    /// Why one of the deliveries was given up.
    pub cause: DeadCause,
    /// The last attempt of this delivery.
    pub last: Option<Attempt>,
    /// The event of this delivery.
    pub example: EventId,
    /// The number of the events.
    pub events: u64,
    /// When the event was received that was stored first.
    pub first: Time,
    /// When the event was received that was stored last.
    pub latest: Time,
}

/// A part of the dead letters.
#[derive(Clone, Debug, Default)]
pub struct DeadPart {
    /// The groups.
    pub groups: Vec<DeadGroup>,
    /// The number of the events. An event with two failures is in two groups.
    pub events: u64,
    /// The number before which the next part begins. `None` at the end.
    pub next: Option<i64>,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The event that was received last comes first.
    LatestFirst,
    /// The event that was received first comes first.
    EarliestFirst,
}

/// The bounds of one search in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most events that the search returns.
    pub found: usize,
    /// The most events at which the search looks, in the order of the list. A search that needs less for the
    /// whole list may look at more.
    pub looked_at: usize,
}

impl Bounds {
    /// The bounds of a short search that returns at most `found` events.
    #[must_use]
    pub const fn of(found: usize) -> Self {
        Self { found, looked_at: 10_000 }
    }
}

/// The result of one search in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What was found.
    pub found: Vec<T>,
    /// The event after which the next search begins. It need not match the filter, and need not exist any
    /// more. `None` at the end of the list.
    pub next: Option<EventId>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { found: Vec::new(), next: None }
    }
}

/// The most queued and dead deliveries with which a search begins, rather than with the events in their
/// order.
const FEW: u64 = 5_000;

/// The most milliseconds between the time in an event's id and the time of its receipt. The gateway makes the
/// id from the time of the receipt. Only the ids are in an index, so a filter by time searches a range of ids
/// that is wider by this much.
const APART: u64 = 60 * 1000;

/// The smallest id of the events at this time: those received then or later, or, if `is_end`, none that was
/// received earlier.
pub(crate) fn first_id(millis: u64, is_end: bool) -> Vec<u8> {
    let millis = if is_end { millis.saturating_add(APART) } else { millis.saturating_sub(APART) };
    let [_, _, a, b, c, d, e, f] = millis.min(0xffff_ffff_ffff).to_be_bytes();
    let mut id = vec![a, b, c, d, e, f];
    id.resize(16, 0);
    id
}

impl Filter {
    /// The states of a delivery that can match the filter.
    #[must_use]
    pub fn states(&self) -> Vec<State> {
        let failure = self.failure.as_deref().and_then(Failure::read);
        let can_fail = |state: State| failure.as_ref().is_none_or(|failure| failure.can_be_of(state));
        State::ALL.into_iter().filter(|state| self.takes(*state) && can_fail(*state)).collect()
    }

    /// Whether the counted deliveries of the whole store are so few that a search begins with them. A search
    /// for delivered events never begins with their deliveries, because those have no index.
    pub(crate) fn is_of_few(&self, counts: [u64; 3]) -> bool {
        !self.states().contains(&State::Delivered) && self.counted(counts) <= FEW
    }

    /// Of these numbers of queued, delivered and dead deliveries: how many are in a state that can match.
    pub(crate) fn counted(&self, [queued, delivered, dead]: [u64; 3]) -> u64 {
        let states = self.states();
        let of = |is: fn(&State) -> bool, number: u64| if states.iter().any(is) { number } else { 0 };
        of(|state| *state == State::Queued, queued)
            .saturating_add(of(|state| *state == State::Delivered, delivered))
            .saturating_add(of(|state| matches!(state, State::Dead(_)), dead))
    }

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

    /// Whether a delivery in this state, with this last attempt, matches the filter.
    #[must_use]
    pub fn takes_delivery(&self, state: State, last: Option<&Attempt>) -> bool {
        let has_failed = |word: &str| Failure::read(word).is_some_and(|failure| failure.is_of(state, last));
        self.takes(state) && self.failure.as_deref().is_none_or(has_failed)
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
    /// The attempts of each delivery, the earliest first. If there were many attempts, those in the middle
    /// are missing.
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

/// An event with a dead letter and without a queued delivery. It is removed after
/// [`Retention::dead`](super::store::Retention::dead).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub event: EventId,
    /// The route of the event.
    pub route: RouteName,
    /// When the last delivery of the event ended.
    pub ended: Time,
}
