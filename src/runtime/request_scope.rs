//! Shell. The resources of one request: its worker, and the configuration with which the request began.

use std::cell::RefMut;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::timeout;

use crate::admission::memory::Reservation;
use crate::gateway::resources::{Claimed, Delivery, Resources, Timer, UpstreamResponse};
use crate::http1::response::LastRefusal;
use crate::queue::circuit::Standing;
use crate::queue::duplicates::EventClaim;
use crate::queue::event::{DuplicateKey, Event, OrderKey, Receipt, RouteName};
use crate::queue::handle::{Held, HeldClaim};
use crate::queue::id::EventId;
use crate::queue::store::Refused;
use crate::queue::time::Time;
use crate::runtime::deadline::Deadline;
use crate::runtime::worker::Worker;
use crate::runtime::worker_view::View;
use crate::telemetry::recent::capture::Room;
use crate::telemetry::record::{Record, RequestId};
use crate::upstream;
use crate::upstream::body::ResponseBody;
use crate::upstream::error::ForwardError;

/// The resources of one request.
#[derive(Clone, Debug)]
pub struct Scope {
    worker: Rc<Worker>,
    view: Rc<View>,
}

impl Scope {
    /// The resources of a request that begins now.
    #[must_use]
    pub fn new(worker: &Rc<Worker>, view: &Rc<View>) -> Self {
        Self { worker: Rc::clone(worker), view: Rc::clone(view) }
    }

    /// The current time in the form of a `date` field, at most about a second old.
    #[must_use]
    pub fn date(&self, now: SystemTime) -> HeaderValue {
        self.worker.date(now)
    }

    /// The last response to a refused request on this thread.
    #[must_use]
    pub fn last_refusal(&self) -> RefMut<'_, LastRefusal> {
        self.worker.last_refusal()
    }

    /// Whether a new connection waits because the connection limit is reached.
    #[must_use]
    pub fn is_wanting(&self) -> bool {
        self.worker.connection_limit().is_wanting()
    }

    /// Runs a future to its end in the background. No caller awaits it.
    pub fn finish(&self, work: impl Future<Output = ()> + 'static) {
        self.worker.finish(work);
    }
}

impl Timer for Deadline {
    fn set_at(&mut self, start: Instant, after: Duration) {
        Self::set_at(self, start.into(), after);
    }

    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Self::poll_passed(self, cx)
    }
}

impl Resources for Scope {
    type Timer = Deadline;
    type Body = ResponseBody;
    type Claim = EventClaim;
    type Turn = Turn;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn timer(&self) -> Deadline {
        Deadline::default()
    }

    fn capture_room(&self) -> Option<&Arc<Room>> {
        self.worker.control().recent().capture_room()
    }

    fn next_id(&self) -> RequestId {
        self.worker.next_id()
    }

    async fn turn(&self) -> Turn {
        // The semaphore is never closed.
        Turn(Arc::clone(self.worker.turn()).acquire_owned().await.ok())
    }

    async fn pause(&self) {
        yield_now().await;
    }

    fn deliver(
        &self,
        delivery: Delivery<'_>,
    ) -> impl Future<Output = Result<UpstreamResponse<ResponseBody>, ForwardError>> {
        upstream::deliver(self.view.pool(delivery.target.slot), delivery)
    }

    fn beginning(&self, response: &mut ResponseBody, most: usize) -> impl Future<Output = Vec<u8>> {
        response.read_ahead(most)
    }

    fn next_event_id(&self, at: SystemTime) -> EventId {
        let mut random = [0; 10];
        let drawn = self.worker.random().to_be_bytes().into_iter().chain(self.worker.random().to_be_bytes());
        random.iter_mut().zip(drawn).for_each(|(byte, drawn)| *byte = drawn);
        EventId::new(at, &random)
    }

    fn random(&self) -> u64 {
        self.worker.random()
    }

    async fn store(
        &self,
        event: Event,
        memory: Reservation,
        claim: Option<EventClaim>,
        patience: Duration,
    ) -> Result<Receipt, Refused> {
        let claim = claim.map(|claim| -> Box<dyn HeldClaim> { Box::new(claim) });
        match self.worker.control().queue() {
            Some(queue) => queue.store(event, Held { memory, claim }, patience).await,
            None => Err(Refused::Unavailable),
        }
    }

    fn is_circuit_open(&self, route: &RouteName) -> bool {
        self.worker.control().queue().is_some_and(|queue| queue.circuit(route) == Standing::Open)
    }

    fn upstream_works(&self, route: &RouteName) {
        if let Some(queue) = self.worker.control().queue() {
            queue.works(route);
        }
    }

    async fn is_waiting(&self, route: &RouteName, order: &OrderKey, patience: Duration) -> bool {
        // What other gateways have stored is not counted here.
        let queue = self.worker.control().queue();
        let Some(queue) = queue.filter(|queue| queue.is_shared() || queue.has_backlog(route)) else {
            return false;
        };
        let (queue, route, order) = (queue.clone(), route.clone(), order.clone());
        let read = spawn_blocking(move || queue.read(|store| store.is_waiting(&route, &order)));
        // A store that does not answer may hold events with this key. To deliver past them would break their
        // order.
        match timeout(patience, read).await {
            Ok(Ok(Ok(is_waiting))) => is_waiting,
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => true,
        }
    }

    async fn claim(
        &self,
        route: &RouteName,
        key: DuplicateKey,
        patience: Duration,
    ) -> Result<Claimed<EventClaim>, Refused> {
        let control = self.worker.control();
        let (Some(queue), Some(duplicates)) = (control.queue(), control.duplicates()) else {
            return Err(Refused::Unavailable);
        };
        duplicates.claim(queue, route, key, Time::of(self.wall_clock()), patience).await
    }

    fn is_draining(&self) -> bool {
        self.worker.is_draining()
    }

    fn ended(&self, record: &mut Record, now: SystemTime) {
        self.worker.ended(&self.view, record, now);
    }
}

/// The permit of a request that hashes much content.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held until it is dropped")] Option<OwnedSemaphorePermit>);
