//! Pure. A delivery in a store: where it goes, its state, and how an attempt changes the state.

use std::time::Duration;

use super::event::{Attempt, RouteName, StoredEvent, Upstream};
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
    /// When the budget of retries began under which the attempt was made ([`DueDelivery::since`]). A replay
    /// of a queued event begins another budget, also while an attempt is under way. An attempt of an earlier
    /// budget ends its delivery only with [`Next::Delivered`]. Otherwise the attempt is kept and counted, and
    /// the delivery becomes a retry. The due time and the budget of the replay remain
    /// ([`Committed::superseded`](super::store::Committed::superseded)).
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
