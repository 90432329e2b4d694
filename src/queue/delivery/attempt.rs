//! Shell. One attempt to deliver a stored event.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::admission::memory::Reservation;
use crate::gateway::delivery_routes::DeliveryRoute;
use crate::queue::circuit::Kind;
use crate::queue::destination::End;
use crate::queue::event::{Attempt, AttemptOutcome, StoredEvent};
use crate::queue::id::EventId;
use crate::queue::new_signature::{RefreshedHead, asserted, is_late, refreshed, restored};
use crate::queue::retry::{Ended, retry_after};
use crate::queue::scheduler::Start;
use crate::queue::store::{Class, DeliveryId, Destination};
use crate::queue::time::Time;
use crate::runtime::worker_view::View;
use crate::upstream::error::ForwardError;
use crate::upstream::stored_delivery::{StoredAnswer, StoredDelivery, deliver_stored};

/// An attempt that has ended.
#[derive(Debug)]
pub(super) struct Attempted {
    destination: Arc<Destination>,
    address: Arc<str>,
    id: DeliveryId,
    event: EventId,
    class: Class,
    attempts: u32,
    since: Time,
    kind: Kind,
    began: Time,
    took: std::time::Duration,
    result: Result<StoredAnswer, ForwardError>,
}

/// The facts of an attempt that its record needs.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) destination: Arc<Destination>,
    /// The address of the upstream.
    pub(super) address: Arc<str>,
    pub(super) event: EventId,
    pub(super) class: Class,
    pub(super) attempt: Attempt,
}

/// Makes an attempt, by the configuration of `view`.
pub(super) async fn attempt(view: Rc<View>, start: Start, memory: Reservation, began: Time) -> Attempted {
    let Start { destination, delivery, kind } = start;
    let (event, id, class) = (delivery.event, delivery.id, delivery.class);
    let (attempts, since) = (delivery.attempts, delivery.since);
    let event_id = event.info().id;
    let route = view.gateway().delivery_route(&destination.route);
    let found = route.and_then(|route| Some((route, route.upstream(&destination.upstream)?)));
    let address = found.map_or_else(|| "".into(), |(_, upstream)| Arc::clone(&upstream.address));
    let at = Instant::now();
    let pool = found.and_then(|(route, upstream)| Some((route, view.pool(upstream.slot)?)));
    let result = match pool {
        Some((route, pool)) => {
            let was_tried = attempts > 0 || class != Class::New;
            let head = new_head(route, &event, was_tried, SystemTime::now());
            deliver_stored(pool, StoredDelivery { event, head, memory }, &route.kept).await
        }
        // The scheduler starts no delivery of a route that the configuration lacks.
        None => Err(ForwardError::Unreachable(io::ErrorKind::NotFound.into())),
    };
    let took = at.elapsed();
    Attempted { destination, address, id, event: event_id, class, attempts, since, kind, began, took, result }
}

/// The head to send instead of the stored head. It has the shared token, or a new signature if the route asks
/// for one and the delivery is late, and the gateway's assertion.
fn new_head(
    route: &DeliveryRoute,
    event: &StoredEvent,
    was_tried: bool,
    now: SystemTime,
) -> Option<RefreshedHead> {
    let head = senders_head(route, event, was_tried, now);
    match &route.assertion {
        Some(assertion) => Some(asserted(assertion, event, head, now)),
        None => head,
    }
}

fn senders_head(
    route: &DeliveryRoute,
    event: &StoredEvent,
    was_tried: bool,
    now: SystemTime,
) -> Option<RefreshedHead> {
    let verifier = route.verifier.of_scheme(&event.info().scheme);
    if !route.options.refresh_signature || !is_late(verifier, event, was_tried, now) {
        return restored(&route.verifier, event);
    }
    refreshed(verifier, route.public_url.as_ref(), event, now).or_else(|| restored(&route.verifier, event))
}

impl Attempted {
    /// Splits the attempt into the facts for its record, and the outcome that decides what follows.
    pub(super) fn split(self) -> (Sent, End) {
        let Self { destination, address, id, event, class, attempts, since, kind, began, took, result } =
            self;
        let mut address = address;
        let (outcome, status, asked, response, detail) = match result {
            Ok(StoredAnswer { status, retry_after, content, backup }) => {
                address = backup.map_or(address, Arc::from);
                let outcome =
                    if status.is_success() { AttemptOutcome::Delivered } else { AttemptOutcome::Refused };
                (outcome, Some(status.as_u16()), retry_after, content, None)
            }
            Err(error) => {
                (AttemptOutcome::of(&error), None, None, Vec::new(), Some(Attempt::detail_of(&error)))
            }
        };
        let retry_after = asked.and_then(|value| retry_after(&value, SystemTime::now()));
        let ended = Ended { outcome, status, retry_after };
        let attempt = Attempt { at: began, took, outcome, status, response, detail };
        let sent = Sent { destination, address, event, class, attempt };
        (sent, End { id, attempts, since, kind, ended })
    }
}
