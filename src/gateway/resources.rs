//! Pure. The outside services that a request's path needs: clocks, timers, upstreams, the store, and a
//! receiver for the record.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::route::Target;
use crate::admission::client::ClientAddress;
use crate::admission::memory::Reservation;
use crate::message::head::RequestHead;
use crate::queue::event::{DuplicateKey, Event, OrderKey, Receipt, RouteName};
use crate::queue::id::EventId;
use crate::queue::store::Refused;
use crate::signature::Deliverable;
use crate::telemetry::recent::capture::Room;
use crate::telemetry::record::{Record, RequestId};
use crate::upstream::assertion::Asserted;
use crate::upstream::error::ForwardError;
use crate::upstream::request::Channel;
use crate::upstream::response::ResponseHead;

/// A deadline.
pub trait Timer {
    /// Sets the deadline to `after` from `start`.
    fn set_at(&mut self, start: Instant, after: Duration);

    /// Ready when the deadline has passed. Never ready without a deadline.
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// The services that a request uses, from its beginning to its end.
pub trait Resources {
    /// The type of the timers.
    type Timer: Timer;
    /// The rest of a streaming upstream response.
    type Body;
    /// The provisional claim of an event.
    type Claim: Claim;
    /// The turn to hash content under further secrets. While it exists, no other request of the thread has
    /// the turn.
    type Turn;

    /// The monotonic time.
    fn now(&self) -> Instant;

    /// The wall-clock time.
    fn wall_clock(&self) -> SystemTime;

    /// A timer without a deadline.
    fn timer(&self) -> Self::Timer;

    /// The room for captured requests, if any are captured.
    fn capture_room(&self) -> Option<&Arc<Room>> {
        None
    }

    /// A request identifier that no other request has.
    fn next_id(&self) -> RequestId;

    /// Waits for the turn of a request with much content to hash. Turns are given in the order of the calls.
    fn turn(&self) -> impl Future<Output = Self::Turn>;

    /// Yields to the thread's other tasks.
    fn pause(&self) -> impl Future<Output = ()>;

    /// Forwards a request. The reservation of the request's head is freed when the upstream's head has been
    /// built from it.
    ///
    /// # Errors
    /// [`ForwardError`]
    fn deliver(
        &self,
        delivery: Delivery<'_>,
    ) -> impl Future<Output = Result<UpstreamResponse<Self::Body>, ForwardError>>;

    /// The first bytes of a streaming response, at most `most`, if they arrive within a short time. The
    /// returned bytes remain part of the response.
    fn beginning(&self, response: &mut Self::Body, most: usize) -> impl Future<Output = Vec<u8>>;

    /// An event id that no other event has.
    fn next_event_id(&self, at: SystemTime) -> EventId;

    /// A random number, for the wait before an event is tried again.
    fn random(&self) -> u64;

    /// Stores an event. The event's memory reservation and claim are held until the event is on disk, even if
    /// the request has ended before. Waits at most `patience`.
    ///
    /// # Errors
    /// [`Refused`]. Then the event is not acknowledged.
    fn store(
        &self,
        event: Event,
        memory: Reservation,
        claim: Option<Self::Claim>,
        patience: Duration,
    ) -> impl Future<Output = Result<Receipt, Refused>>;

    /// Whether the circuit of a route's upstream is open. If so, no direct attempt is made.
    fn is_circuit_open(&self, route: &RouteName) -> bool;

    /// Records that the route's upstream has answered with a status code other than 429 and 5xx. Never waits.
    fn upstream_works(&self, route: &RouteName);

    /// Whether an event of the route with this order key may wait to be delivered. Also true if the store has
    /// not answered within `patience`.
    fn is_waiting(
        &self,
        route: &RouteName,
        order: &OrderKey,
        patience: Duration,
    ) -> impl Future<Output = bool>;

    /// Claims an event. If an equal event is under way, waits at most `patience` for its outcome.
    ///
    /// # Errors
    /// [`Refused`]: the store does not answer.
    fn claim(
        &self,
        route: &RouteName,
        key: DuplicateKey,
        patience: Duration,
    ) -> impl Future<Output = Result<Claimed<Self::Claim>, Refused>>;

    /// Whether the gateway is draining.
    fn is_draining(&self) -> bool;

    /// Takes the record of a request that has just ended. The receiver may move the record out, and
    /// leave an empty record.
    fn ended(&self, record: &mut Record, now: SystemTime);
}

/// A request that is to be sent to its upstream.
#[derive(Debug)]
pub struct Delivery<'d> {
    /// The request.
    pub request: Deliverable<'d, RequestHead>,
    /// The origin of the upstream, and the options of forwarding.
    pub target: &'d Target,
    /// The client address.
    pub client: ClientAddress,
    /// How the request came.
    pub channel: Channel,
    /// The request's memory reservation. It is given back when the memory of the content is freed.
    pub memory: Reservation,
    /// When the time limit for the upstream begins.
    pub at: Instant,
    /// The id of the event, if its route stores events.
    pub event: Option<EventId>,
    /// What the gateway asserts about the request. `None` if it is not verified, or if no assertion is asked
    /// for.
    pub asserted: Option<Asserted>,
}

/// The answer to a claim of an event.
#[derive(Debug)]
pub enum Claimed<C> {
    /// The event is the first of its kind. Equal events wait until the claim ends.
    First(C),
    /// An equal event was delivered or stored within the route's time.
    Duplicate,
    /// The first delivery of an equal event is still under way.
    UnderWay,
}

/// The provisional claim of an event that is the first of its kind. Dropping the claim ends it. If the event
/// was neither delivered nor stored by then, the next equal event becomes the first.
pub trait Claim {
    /// The upstream has answered 2xx to the event.
    fn delivered(self) -> impl Future<Output = ()>;
}

/// An upstream's response.
#[derive(Debug)]
pub struct UpstreamResponse<B> {
    /// The head of the response.
    pub head: ResponseHead,
    /// The content of the response.
    pub content: UpstreamContent<B>,
    /// When the head had arrived.
    pub at: Instant,
    /// Whether surplus bytes follow the response, as far as is known yet.
    pub has_surplus: bool,
}

/// The content of an upstream's response.
#[derive(Debug)]
pub enum UpstreamContent<B> {
    /// The whole content, already read.
    Whole(Bytes),
    /// A streaming response.
    Coming(Box<B>),
}
