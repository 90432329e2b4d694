//! Pure. The state of deliveries that is not in the store: which deliveries are under way, and which are
//! held.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::queue::event::{RouteName, Upstream};
use crate::queue::handle::UnderWay;
use crate::queue::store::{DeliveryId, DeliverySummary, State};

/// The state that is only in memory: deliveries under way, and the settings of their routes.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveState {
    /// The deliveries whose attempt is under way.
    pub(super) under_way: HashMap<DeliveryId, UnderWay>,
    /// The routes that are paused.
    pub(super) paused: HashSet<RouteName>,
    /// The routes of the configuration, with the addresses of each route's copies.
    pub(super) routes: HashMap<RouteName, Vec<Arc<str>>>,
}

/// The state of a delivery as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// One of [`super::filter::STATES`].
    pub(super) state: &'static str,
    /// What holds the delivery, if it waits and is held.
    pub(super) held: Option<&'static str>,
    /// Why the delivery was given up, if it was.
    pub(super) cause: Option<&'static str>,
}

impl LiveState {
    /// The state of a delivery.
    pub(super) fn of(&self, route: &RouteName, delivery: &DeliverySummary) -> Seen {
        let seen = |state| Seen { state, held: None, cause: None };
        match delivery.state {
            State::Queued if self.is_under_way(delivery) => seen("delivering"),
            State::Queued => Seen { held: self.held(route, &delivery.upstream), ..seen("queued") },
            State::Delivered => seen("delivered"),
            State::Dead(cause) => Seen { cause: Some(cause.as_str()), ..seen("dead") },
        }
    }

    /// Whether an attempt is under way. The store may have recorded it since this state was read.
    fn is_under_way(&self, delivery: &DeliverySummary) -> bool {
        let recorded = delivery.last.as_ref().map(|attempt| attempt.at);
        self.under_way.get(&delivery.id).is_some_and(|attempt| recorded != Some(attempt.began))
    }

    /// What holds the deliveries to an upstream. `None` if they are not held.
    pub(super) fn held(&self, route: &RouteName, upstream: &Upstream) -> Option<&'static str> {
        let is_there = self.routes.get(route).is_some_and(|copies| match upstream {
            Upstream::Main => true,
            Upstream::Copy(address) => copies.contains(address),
        });
        if !is_there { Some("route_removed") } else { self.paused.contains(route).then_some("paused") }
    }
}

/// The state of an event: the state of one of its deliveries. A delivery under way comes first, then a queued
/// delivery, then a dead letter.
pub(super) fn of_event(deliveries: &[Seen]) -> Seen {
    let order = ["delivering", "queued", "dead", "delivered"];
    let first = order.iter().find_map(|state| deliveries.iter().find(|seen| seen.state == *state));
    first.copied().unwrap_or(Seen { state: "delivered", held: None, cause: None })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::queue::event::{Attempt, AttemptOutcome};
    use crate::queue::id::EventId;
    use crate::queue::store::{Class, DeadCause, Destination};
    use crate::queue::time::Time;

    fn route(path: &str) -> RouteName {
        RouteName { path: path.into(), model: None }
    }

    fn delivery(id: i64, state: State, upstream: Upstream) -> DeliverySummary {
        DeliverySummary {
            id: DeliveryId(id),
            upstream,
            state,
            class: Class::New,
            due: Time::default(),
            attempts: 0,
            order: None,
            ended: None,
            last: None,
        }
    }

    #[test]
    fn a_waiting_delivery_says_what_holds_it() {
        let mut live = LiveState::default();
        live.routes.insert(route("/a"), vec!["http://127.0.0.1:4000".into()]);
        live.routes.insert(route("/b"), Vec::new());
        live.paused.insert(route("/b"));
        let held = |path: &str, upstream: Upstream| {
            live.of(&route(path), &delivery(1, State::Queued, upstream)).held
        };
        assert_eq!(held("/a", Upstream::Main), None);
        assert_eq!(held("/a", Upstream::Copy("http://127.0.0.1:4000".into())), None);
        assert_eq!(held("/a", Upstream::Copy("http://127.0.0.1:5000".into())), Some("route_removed"));
        assert_eq!(held("/b", Upstream::Main), Some("paused"));
        assert_eq!(held("/gone", Upstream::Main), Some("route_removed"));
        let dead = live.of(&route("/gone"), &delivery(1, State::Dead(DeadCause::Refused), Upstream::Main));
        assert_eq!((dead.state, dead.held, dead.cause), ("dead", None, Some("refused")));
    }

    #[test]
    fn a_delivery_under_way_is_delivering_and_so_is_its_event() {
        let mut live = LiveState::default();
        let event = EventId::from_bytes([7; 16]);
        let destination = Destination { route: route("/a"), upstream: Upstream::Main };
        let began = Time::from_millis(2_000);
        live.under_way.insert(DeliveryId(1), UnderWay { event, destination, began });
        let states = [
            live.of(&route("/a"), &delivery(1, State::Queued, Upstream::Main)),
            live.of(&route("/a"), &delivery(2, State::Dead(DeadCause::Undeliverable), Upstream::Main)),
        ];
        assert_eq!(of_event(&states).state, "delivering");
        assert_eq!(of_event(&states[1..]).cause, Some("undeliverable"));
    }
    #[test]
    fn a_recorded_attempt_is_no_longer_under_way() {
        let mut live = LiveState::default();
        let event = EventId::from_bytes([7; 16]);
        let destination = Destination { route: route("/a"), upstream: Upstream::Main };
        let began = Time::from_millis(2_000);
        live.under_way.insert(DeliveryId(1), UnderWay { event, destination, began });
        let mut delivery = delivery(1, State::Queued, Upstream::Main);
        for (millis, want) in [(1_000, "delivering"), (2_000, "queued")] {
            delivery.last = Some(Attempt {
                at: Time::from_millis(millis),
                took: Duration::ZERO,
                outcome: AttemptOutcome::Refused,
                status: Some(503),
                response: Vec::new(),
                detail: None,
            });
            assert_eq!(live.of(&route("/a"), &delivery).state, want, "{millis}");
        }
    }
}
