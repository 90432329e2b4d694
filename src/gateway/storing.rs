//! Pure. An authentic request on a route that stores events, or that deduplicates.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

use super::forwarding::{answered, asserted, undelivered};
use super::reply::{Acknowledgement, Served};
use super::resources::{Claim as _, Claimed, Delivery, Resources, UpstreamContent, UpstreamResponse};
use super::route::Route;
use crate::admission::client::ClientAddress;
use crate::admission::memory::Reservation;
use crate::config::{DeliveryMode, OrderBy};
use crate::gateway::reason::Reason;
use crate::gateway::rejection::Rejection;
use crate::message::content::Content;
use crate::message::head::RequestHead;
use crate::queue::event::{
    Attempt, AttemptOutcome, DuplicateKey, Event, FirstAttempt, Intake, MOST_KEPT_OF_RESPONSE, OrderKey,
    Receipt,
};
use crate::queue::id::EventId;
use crate::queue::retry::{self, Clocks, Ended, Spent, retry_after};
use crate::queue::store::Next;
use crate::queue::time::Time;
use crate::routing::signed_model::{Scalar, scalars};
use crate::signature::scheme::Acknowledgment;
use crate::signature::{AuthenticRequest, Deliverable, Fields as _};
use crate::telemetry::record::Record;
use crate::upstream::error::ForwardError;
use crate::upstream::origin::Origin;
use crate::upstream::request::Channel;

/// An authentic request, and the facts of its arrival.
pub(super) struct Arrived<'a> {
    pub(super) request: AuthenticRequest<'a, RequestHead>,
    pub(super) client: ClientAddress,
    /// How it came.
    pub(super) channel: Channel,
    /// The origin of the route's upstream.
    pub(super) origin: &'a Origin,
    /// The request's memory reservation.
    pub(super) memory: Reservation,
    /// The wall-clock time at which the request's head arrived.
    pub(super) received: SystemTime,
    /// When the request was verified.
    pub(super) verified: Instant,
}

/// Delivers or stores the request, as its route demands.
pub(super) async fn serve<R: Resources, C: Content>(
    resources: &R,
    content: &C,
    route: &Route,
    arrived: Arrived<'_>,
    record: &mut Record,
) -> Result<Served<R::Body>, Rejection> {
    let demanded = arrived.request.verifier().scheme().acknowledgment;
    let duplicate = route.delivery.deduplicate.map(|window| duplicate_key(&arrived, window));
    let claim = match duplicate {
        Some(key) => match resources.claim(&route.name, key, route.response_timeout).await? {
            Claimed::First(claim) => Some(claim),
            Claimed::UnderWay => return Err(Rejection::EqualUnderWay),
            Claimed::Duplicate => {
                record.reason = Some(Reason::Duplicate);
                return Ok(Served::Own(Acknowledgement::of_duplicate(&route.delivery, demanded)));
            }
        },
        None => None,
    };
    let event = NewEvent {
        id: resources.next_event_id(arrived.received),
        order: order_key(route, arrived.request.content()),
        duplicate,
        model: record.model.clone(),
    };
    match route.delivery.mode {
        DeliveryMode::Direct => {
            let Arrived { request, client, channel, memory, verified, .. } = arrived;
            let (request, target) = (Deliverable::Authentic(request), &route.target);
            let asserted = asserted(resources, target, &request).await;
            let delivery =
                Delivery { request, target, client, channel, memory, at: verified, event: None, asserted };
            let delivery = pin!(resources.deliver(delivery));
            let response = answered(resources, content, delivery, verified, None, record).await?;
            let response = response.map_err(|error| undelivered(&error, record))?;
            if let Some(claim) = claim.filter(|_| response.head.status.is_success()) {
                claim.delivered().await;
            }
            Ok(Served::Relayed(response))
        }
        DeliveryMode::Queue => {
            let receipt =
                store(resources, route, arrived, event, Before { claim, first: None }, record).await?;
            Ok(acknowledged(route, &receipt, demanded))
        }
        DeliveryMode::Fallback => fall_back(resources, content, route, arrived, event, claim, record).await,
    }
}

/// The data of an event before it is stored.
struct NewEvent {
    id: EventId,
    order: Option<OrderKey>,
    duplicate: Option<DuplicateKey>,
    model: Option<String>,
}

/// Forwards the request. If the upstream fails, stores the request; the failed attempt counts as the event's
/// first.
async fn fall_back<R: Resources, C: Content>(
    resources: &R,
    content: &C,
    route: &Route,
    arrived: Arrived<'_>,
    event: NewEvent,
    claim: Option<R::Claim>,
    record: &mut Record,
) -> Result<Served<R::Body>, Rejection> {
    let demanded = arrived.request.verifier().scheme().acknowledgment;
    let waits_behind = match &event.order {
        Some(order) => resources.is_waiting(&route.name, order, route.response_timeout).await,
        None => false,
    };
    let mut failed = None;
    if !waits_behind && !resources.is_circuit_open(&route.name) {
        let began = resources.wall_clock();
        let (request, target) = (Deliverable::Kept(&arrived.request), &route.target);
        let asserted = asserted(resources, target, &request).await;
        let delivery = Delivery {
            request,
            target,
            client: arrived.client,
            channel: arrived.channel.clone(),
            // The request keeps its reservation. Forwarding copies no content, so it needs none.
            memory: arrived.memory.another(),
            at: arrived.verified,
            event: Some(event.id),
            asserted,
        };
        let delivery = pin!(resources.deliver(delivery));
        let mut result = answered(resources, content, delivery, arrived.verified, None, record).await?;
        if let Ok(response) = &result
            && !is_failure(response.head.status.as_u16())
        {
            resources.upstream_works(&route.name);
            if let Some(claim) = claim.filter(|_| response.head.status.is_success()) {
                claim.delivered().await;
            }
            return result.map(Served::Relayed).map_err(|error| undelivered(&error, record));
        }
        let took = record.upstream_took.unwrap_or_default();
        let attempt = attempt(resources, &mut result, Time::of(began), took).await;
        match due(resources, route, &result, &attempt, arrived.received) {
            Some(due) => failed = Some((result, FirstAttempt { attempt, due })),
            // The route does not retry after such an answer, so the sender gets the answer.
            None => return result.map(Served::Relayed).map_err(|error| undelivered(&error, record)),
        }
    }
    let (result, first) = failed.unzip();
    match (store(resources, route, arrived, event, Before { claim, first }, record).await, result) {
        (Ok(receipt), _) => Ok(acknowledged(route, &receipt, demanded)),
        // The event is not stored. The sender gets the same answer as without a store.
        (Err(_), Some(Ok(response))) => Ok(Served::Relayed(response)),
        (Err(_), Some(Err(error))) => Err(undelivered(&error, record)),
        (Err(refused), None) => Err(refused),
    }
}

/// When the request is tried again after its direct attempt has failed. `None` if it is not tried again.
fn due<R: Resources>(
    resources: &R,
    route: &Route,
    result: &Result<UpstreamResponse<R::Body>, ForwardError>,
    attempt: &Attempt,
    received: SystemTime,
) -> Option<Time> {
    let now = resources.wall_clock();
    let asked = result.as_ref().ok().and_then(|response| response.head.only_value("retry-after"));
    let ended = Ended {
        outcome: attempt.outcome,
        status: attempt.status,
        retry_after: asked.and_then(|value| retry_after(value, now)),
    };
    let spent = Spent { attempts: 0, since: Time::of(received), spends: true };
    // A direct attempt ends soon after the receipt, so the wall clock serves as the steady clock too. If the
    // wall clock jumps forward meanwhile, the request may seem too old to be tried again. Then the sender
    // gets the failure.
    let clocks = Clocks { wall: Time::of(now), steady: Time::of(now) };
    match retry::next(&route.delivery.retry, &ended, spent, clocks, resources.random()) {
        Next::Again { due, .. } => Some(due),
        Next::Delivered | Next::Dead(_) => None,
    }
}

/// Whether the request is stored after an answer with this status code.
fn is_failure(status: u16) -> bool {
    status == 429 || (500..=599).contains(&status)
}

/// The failed attempt, in the form that the store keeps.
async fn attempt<R: Resources>(
    resources: &R,
    result: &mut Result<UpstreamResponse<R::Body>, ForwardError>,
    at: Time,
    took: Duration,
) -> Attempt {
    match result {
        Ok(response) => {
            let content = match &mut response.content {
                UpstreamContent::Whole(content) => {
                    content.get(..MOST_KEPT_OF_RESPONSE).unwrap_or(content).to_vec()
                }
                UpstreamContent::Coming(coming) => resources.beginning(coming, MOST_KEPT_OF_RESPONSE).await,
            };
            Attempt {
                at,
                took,
                outcome: AttemptOutcome::Refused,
                status: Some(response.head.status.as_u16()),
                response: content,
                detail: None,
            }
        }
        Err(error) => Attempt {
            at,
            took,
            outcome: AttemptOutcome::of(error),
            status: None,
            response: Vec::new(),
            detail: Some(Attempt::detail_of(error)),
        },
    }
}

/// The results of the steps before the store: the claim, and the direct attempt that failed.
struct Before<C> {
    claim: Option<C>,
    first: Option<FirstAttempt>,
}

async fn store<R: Resources>(
    resources: &R,
    route: &Route,
    arrived: Arrived<'_>,
    event: NewEvent,
    before: Before<R::Claim>,
    record: &mut Record,
) -> Result<Receipt, Rejection> {
    let Before { claim, first } = before;
    let Arrived { request, client, channel, origin, memory, received, verified: _ } = arrived;
    let NewEvent { id, order, duplicate, model } = event;
    let intake = Intake {
        id,
        received,
        route: &route.name,
        verifier: &route.verifier,
        model,
        client,
        channel: &channel,
        forward: &route.target.forward,
        origin,
        copies: &route.copies,
        order,
        duplicate,
    };
    let event = Event::of(request, intake);
    let event = match first {
        Some(first) => event.after(first),
        None => event,
    };
    let receipt = resources.store(event, memory, claim, route.response_timeout).await?;
    record.stored = Some(receipt.id());
    record.reason = None;
    record.detail = None;
    Ok(receipt)
}

fn acknowledged<B>(route: &Route, receipt: &Receipt, demanded: Acknowledgment) -> Served<B> {
    Served::Own(Acknowledgement::of_receipt(receipt, &route.delivery, demanded))
}

/// The order key of this content. `None` if the route does not order events, or the content lacks the value.
fn order_key(route: &Route, content: &[u8]) -> Option<OrderKey> {
    match route.delivery.order_by.as_ref()? {
        OrderBy::Route => Some(OrderKey::new("")),
        OrderBy::Pointer(pointer) => {
            let value = scalars(content, [pointer.as_str()]).ok()?.pop()??;
            Some(match value {
                Scalar::Text(text) => OrderKey::new(&text),
                Scalar::Number(number) => OrderKey::new(&number.to_string()),
            })
        }
    }
}

/// The duplicate key: made from the signed id, or else from the verified content.
fn duplicate_key(arrived: &Arrived<'_>, window: Duration) -> DuplicateKey {
    let request = &arrived.request;
    let scheme = request.verifier().scheme();
    let names = scheme.id.as_deref().into_iter().flat_map(|name| scheme.names_of(name));
    let id = names.into_iter().find_map(|name| request.head().values(name).next());
    let mut hash = Sha256::new();
    match id {
        Some(id) => hash.update([b"id:", id].concat()),
        None => {
            hash.update(b"content:");
            hash.update(request.content());
        }
    }
    DuplicateKey { digest: hash.finalize().into(), until: Time::of(arrived.received).plus(window) }
}

/// The addresses of a route's copies, as the store names them.
pub(super) fn copies(route: &crate::config::Route) -> Vec<Arc<str>> {
    route.delivery.copies.iter().map(|upstream| upstream.origin.to_string().into()).collect()
}
