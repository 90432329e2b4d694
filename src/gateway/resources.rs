//! Pure. What the path of a request needs of the outside: clocks, timers, upstreams, and somebody to hand its record to.

use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::route::Target;
use crate::admission::client::ClientAddress;
use crate::admission::memory::Reservation;
use crate::message::head::RequestHead;
use crate::signature::Deliverable;
use crate::telemetry::record::{Record, RequestId};
use crate::upstream::error::ForwardError;
use crate::upstream::response::ResponseHead;

/// A moment by which something must have happened.
pub trait Timer {
    /// Sets it to `after` from `start`.
    fn set_at(&mut self, start: Instant, after: Duration);

    /// Ready when it has passed; never, while it is not set.
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// What a request is served with, from its beginning to its end.
pub trait Resources {
    /// Its timers.
    type Timer: Timer;
    /// The content of an upstream's response that is still coming.
    type Body;
    /// While it lives, no other request takes its turn at further secrets.
    type Turn;

    /// The moment.
    fn now(&self) -> Instant;

    /// The moment, as the world outside counts.
    fn wall_clock(&self) -> SystemTime;

    /// A timer that is not set.
    fn timer(&self) -> Self::Timer;

    /// A number that no other request has.
    fn next_id(&self) -> RequestId;

    /// Waits for the turn of a request that has much to hash. Requests of a thread take turns in the order they ask.
    fn turn(&self) -> impl Future<Output = Self::Turn>;

    /// Lets the thread's other tasks go on.
    fn pause(&self) -> impl Future<Output = ()>;

    /// Forwards a request. The memory of its head is free again once the upstream's head is made of it.
    ///
    /// # Errors
    /// [`ForwardError`]
    fn deliver(
        &self,
        delivery: Delivery<'_>,
    ) -> impl Future<Output = Result<UpstreamResponse<Self::Body>, ForwardError>>;

    /// Whether the gateway ends when what is under way is done.
    fn is_draining(&self) -> bool;

    /// Takes note of a request that has ended now.
    fn ended(&self, record: &Record, now: SystemTime);
}

/// A request on its way to its upstream.
#[derive(Debug)]
pub struct Delivery<'d> {
    /// The request.
    pub request: Deliverable<'d, RequestHead>,
    /// Where it goes, and how.
    pub target: &'d Target,
    /// Who sent it.
    pub client: ClientAddress,
    /// Its part of the memory budget, which is given back when the content is really freed.
    pub memory: Reservation,
    /// When the time that the upstream has begins.
    pub at: Instant,
}

/// An upstream's response.
#[derive(Debug)]
pub struct UpstreamResponse<B> {
    /// Its head.
    pub head: ResponseHead,
    /// Its content.
    pub content: UpstreamContent<B>,
    /// When its head had come.
    pub at: Instant,
    /// Whether bytes came behind it, as far as is known yet.
    pub has_surplus: bool,
}

/// The content of an upstream's response.
#[derive(Debug)]
pub enum UpstreamContent<B> {
    /// All of it is there.
    Whole(Bytes),
    /// It is still coming.
    Coming(Box<B>),
}
