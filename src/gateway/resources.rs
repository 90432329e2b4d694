//! Pure. What the path of a request needs from outside: clocks, timers, upstreams, and a receiver for its record.

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
use crate::telemetry::record::{Record, RequestId};
use crate::upstream::error::ForwardError;
use crate::upstream::response::ResponseHead;

/// A deadline.
pub trait Timer {
    /// Sets the deadline to `after` from `start`.
    fn set_at(&mut self, start: Instant, after: Duration);

    /// Ready when the deadline has passed; never ready if it is not set.
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// What a request is served with, from its beginning to its end.
pub trait Resources {
    /// The type of its timers.
    type Timer: Timer;
    /// The rest of a streaming upstream response.
    type Body;
    /// The provisional claim of an event.
    type Claim: Claim;
    /// The turn at further secrets. While it lives, no other request of the thread has it.
    type Turn;

    /// The monotonic time.
    fn now(&self) -> Instant;

    /// The wall-clock time.
    fn wall_clock(&self) -> SystemTime;

    /// A timer without a deadline.
    fn timer(&self) -> Self::Timer;

    /// A request identifier that no other request has.
    fn next_id(&self) -> RequestId;

    /// Waits for the turn of a request that has much to hash. The requests of a thread take turns in the order they ask.
    fn turn(&self) -> impl Future<Output = Self::Turn>;

    /// Yields to the thread's other tasks.
    fn pause(&self) -> impl Future<Output = ()>;

    /// Forwards a request. The reservation of its head is freed once the upstream's head is built from it.
    ///
    /// # Errors
    /// [`ForwardError`]
    fn deliver(
        &self,
        delivery: Delivery<'_>,
    ) -> impl Future<Output = Result<UpstreamResponse<Self::Body>, ForwardError>>;

    /// An event id that no other event has.
    fn next_event_id(&self, at: SystemTime) -> EventId;

    /// A random number, for the wait before an event is tried again.
    fn random(&self) -> u64;

    /// Stores an event. Its memory reservation is held until it is on disk.
    ///
    /// # Errors
    /// [`Refused`]. Then the event is not stored.
    fn store(&self, event: Event, memory: Reservation) -> impl Future<Output = Result<Receipt, Refused>>;

    /// Whether the circuit of a route's upstream is open, so that no attempt is spent.
    fn is_circuit_open(&self, route: &RouteName) -> bool;

    /// Whether an event of the route with this order key waits to be delivered.
    fn is_waiting(&self, route: &RouteName, order: &OrderKey) -> impl Future<Output = bool>;

    /// Claims an event. Waits at most `patience` for the outcome of one like it that is under way.
    ///
    /// # Errors
    /// [`Refused`]: the outcome did not come in time, or the store does not answer.
    fn claim(
        &self,
        route: &RouteName,
        key: DuplicateKey,
        patience: Duration,
    ) -> impl Future<Output = Result<Claimed<Self::Claim>, Refused>>;

    /// Whether the gateway is draining.
    fn is_draining(&self) -> bool;

    /// Takes the record of a request that has just ended.
    fn ended(&self, record: &Record, now: SystemTime);
}

/// A request on its way to its upstream.
#[derive(Debug)]
pub struct Delivery<'d> {
    /// The request.
    pub request: Deliverable<'d, RequestHead>,
    /// Where it goes, and with which options.
    pub target: &'d Target,
    /// The client address.
    pub client: ClientAddress,
    /// Its memory reservation, given back when the content is really freed.
    pub memory: Reservation,
    /// When the upstream's time limit begins.
    pub at: Instant,
    /// The id of the event, if its route stores events.
    pub event: Option<EventId>,
}

/// The answer to whether an event was there before.
#[derive(Debug)]
pub enum Claimed<C> {
    /// The event was not there before. Until the claim ends, equal events wait.
    First(C),
    /// It was delivered or stored within the route's time.
    Duplicate,
}

/// The provisional claim of an event that is the first of its kind. If it is dropped, the event was neither delivered nor
/// stored, and the next one like it is the first.
pub trait Claim {
    /// The event was stored, together with its duplicate key.
    fn stored(self);

    /// The upstream has answered 2xx to the event.
    fn delivered(self) -> impl Future<Output = ()>;
}

/// An upstream's response.
#[derive(Debug)]
pub struct UpstreamResponse<B> {
    /// Its head.
    pub head: ResponseHead,
    /// Its content.
    pub content: UpstreamContent<B>,
    /// When its head had arrived.
    pub at: Instant,
    /// Whether surplus bytes follow the response, as far as is known yet.
    pub has_surplus: bool,
}

/// The content of an upstream's response.
#[derive(Debug)]
pub enum UpstreamContent<B> {
    /// All of it, already read.
    Whole(Bytes),
    /// A streaming response.
    Coming(Box<B>),
}
