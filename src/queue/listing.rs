//! Pure. What an operator sees of a store: lists of events, one event, counts, and the filter of a list.

use super::delivery_state::{Class, DeliveryId, Destination, State};
use super::event::{Attempt, EventInfo, OrderKey, RouteName, StoredEvent, Upstream};
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

/// An event with a dead letter and without a queued delivery. It is removed after [`Retention::dead`](super::store::Retention::dead).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub event: EventId,
    /// The route of the event.
    pub route: RouteName,
    /// When the last delivery of the event ended.
    pub ended: Time,
}
