//! Shell. The path of a request through the gateway, and the one wrapper around it.

mod examine;
mod further;
mod reply;
mod route;

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use http::Method;
use http::header::HeaderName;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::answer::Ending;
use crate::body::{self, Bounds};
use crate::config::{self, AccessLog, Config};
use crate::counsel::case::Docket;
use crate::counsel::{self, Desk, Inquiry};
use crate::forward;
use crate::forward::error::{ForwardError, chain};
use crate::forward::request::{Manner, set_fields};
use crate::forward::response::SURPLUS;
use crate::peer::Peer;
use crate::rejection::Rejection;
use crate::route::{Candidates, RouteId, Router};
use crate::server::head::{Expect, Fault, Guarded, RequestHead};
use crate::server::limit::{Budget, Share};
use crate::server::message::Message;
use crate::server::pace::Pace;
use crate::server::scribe::Coming;
use crate::server::seats::Seat;
use crate::server::view::View;
use crate::server::wire::{Arrival, Transport, Wire};
use crate::server::worker::Worker;
use crate::signature::probe::Fault as ProbeFault;
use crate::signature::{Deliverable, Fields as _, Mode, Verifier, challenge};
use crate::telemetry::identity::{GivenId, TraceId};
use crate::telemetry::metric::Meters;
use crate::telemetry::record::{Record, RouteLabel};
use crate::telemetry::roll::Roll;
use reply::{answered, coming, refuse, relayed};
use route::{Route, questions};

pub use examine::Examined;

/// The whole configuration, compiled. It never changes; to reconfigure is to build another.
#[derive(Debug)]
pub struct Gateway {
    router: Router,
    routes: Vec<Route>,
    /// Each upstream once, however many routes use it.
    upstreams: Vec<config::Upstream>,
    pace: Pace,
    access: AccessLog,
    request_id_field: Option<HeaderName>,
    /// The fields that are set on the way.
    set_fields: Guarded,
    roll: Roll,
    budget: Arc<Budget>,
}

/// A route whose verifier does not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The route's path.
    pub route: Arc<str>,
    /// What is wrong.
    pub fault: ProbeFault,
}

/// The field that says which trace a request is part of (W3C Trace Context). It is forwarded as any other.
const TRACEPARENT: &str = "traceparent";

/// What the log says of field names that an app could take for others.
const LIKE_SET_FIELD: &str = "an app could read a field's name as that of one the gateway sets";
const LIKE_SIGNED_FIELD: &str = "an app could read a field's name as that of one the signature needs";

/// What a request comes to.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most responses are whole, and a box would be an allocation for each"
)]
pub enum Exchanged<IO: Transport> {
    /// A response of which all is there, and the end of its request, for whoever writes it.
    Whole(Message, Ending),
    /// An upstream's response, whose content is still coming.
    Coming(Box<Coming<IO>>),
}

/// Nobody is left to answer.
#[derive(Debug)]
pub struct Abandoned;

impl std::fmt::Display for Abandoned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the client went away before its request was complete")
    }
}

impl std::error::Error for Abandoned {}

/// Serves one request: every request begins here. It ends when what comes out has been written, or given up.
///
/// # Errors
/// [`Abandoned`], and the connection is closed without an answer.
pub async fn exchange<IO: Transport>(
    worker: &Rc<Worker>,
    wire: &Rc<Wire<IO>>,
    arrival: Arrival,
    peer: Peer,
) -> Result<Exchanged<IO>, Abandoned> {
    let view = worker.view();
    wire.adopt(view.limits());
    let mut ending = Ending::new(worker, &view, peer, arrival.at);
    let now = ending.begun_at();
    let outcome = {
        let walk = pin!(walk(&view, worker.turn(), wire, arrival, now, &mut ending.record));
        walk.await
    };
    Ok(match outcome {
        Ok(Served::Relayed(forward::Response { head, content, .. })) => match content {
            forward::Content::Whole(content) => {
                let message = relayed(&head, &content, worker, &mut ending.record, wire);
                Exchanged::Whole(message, ending)
            }
            forward::Content::Coming(relay) => {
                Exchanged::Coming(Box::new(coming(&head, relay, worker, ending, wire)))
            }
        },
        Ok(Served::Challenge(answer)) => {
            let message = answered(&answer, worker, &mut ending, wire);
            Exchanged::Whole(message, ending)
        }
        Err(rejection) => {
            let record = &mut ending.record;
            record.refused = true;
            record.reason = rejection.reason();
            if let Some(detail) = rejection.detail() {
                record.detail = Some(detail.to_owned());
            }
            if rejection == Rejection::BodyIncomplete {
                record.status = 0;
                return Err(Abandoned);
            }
            let message = refuse(&rejection, worker, &mut ending, wire);
            Exchanged::Whole(message, ending)
        }
    })
}

/// What a request gets that is not refused.
enum Served {
    /// Its upstream's answer.
    Relayed(forward::Response),
    /// Ours, to a challenge.
    Challenge(challenge::Answer),
}

/// The heart of it. Checks run cheapest first; nothing is read before it must be, and nothing reaches an upstream before
/// all of it has verified.
async fn walk<IO: Transport>(
    view: &View,
    turn: &Semaphore,
    wire: &Wire<IO>,
    arrival: Arrival,
    now: SystemTime,
    record: &mut Record,
) -> Result<Served, Rejection> {
    let Arrival { head, at, share } = arrival;
    let head = head.map_err(unserved)?;
    let gateway = view.gateway();
    gateway.identify(&head, record);
    if head.has_lookalike_of(&gateway.set_fields) {
        return Err(Rejection::Ambiguous(LIKE_SET_FIELD));
    }
    let matched = gateway.router.find(head.path()).ok_or(Rejection::NoRoute)?;
    let candidates = matched.candidates();
    let route = gateway.route(candidates.first())?;
    record.route = Some(route.label.clone());
    matched.check().map_err(|ambiguity| Rejection::Ambiguous(ambiguity.as_str()))?;
    if head.has_lookalike_of(&route.signed_fields) {
        return Err(Rejection::Ambiguous(LIKE_SIGNED_FIELD));
    }
    route.allows(head.method())?;
    if head.facts().expect == Expect::Unknown {
        return Err(Rejection::ExpectationFailed);
    }
    if let Some(answer) = route.answer_unsigned(&head, record) {
        return Ok(Served::Challenge(answer));
    }
    let mut share = share.unwrap_or_else(|| gateway.budget.share(record.peer));
    let mut verification = route.claim(head, now, record)?;
    let bounds = gateway.bounds(route);
    let received = body::receive(wire, at, bounds, &mut share, &mut verification).await;
    record.received = verification.len();
    received?;
    let mut check = verification.complete();
    further::secrets(&mut check, &mut share, wire.entry(), turn, at).await?;
    let deliverable = route.verify(check, record)?;
    wire.wait_for_upstream(deliverable.is_authentic());
    let verified = Instant::now();
    let may_stay = match &deliverable {
        Deliverable::Authentic(_) => share.prove(verified.into_std()),
        Deliverable::Observed(_) => share.stay_unproven(),
    };
    may_stay.map_err(|_exhausted| Rejection::Overloaded)?;
    record.verified_after = Some(verified.saturating_duration_since(at));
    record.secret = deliverable.secret().map(Arc::clone);
    if let Some(answer) = route.answer(&deliverable) {
        return Ok(Served::Challenge(answer));
    }
    let route = gateway.select(candidates, route, &deliverable, record)?;
    let pool = view.pool(route.upstream).ok_or(Rejection::UpstreamUnreachable)?;
    let holder = match &deliverable {
        Deliverable::Authentic(_) => None,
        Deliverable::Observed(_) => {
            Some(Holder::new(&mut share, deliverable.content().len(), at, verified).await?)
        }
    };
    let delivery = pin!(forward::deliver(pool, &route.manner, record.peer, deliverable, share, verified));
    let answer = wire.unless_evicted(pin!(unless_shed(holder, delivery))).await;
    let answer = answer.ok_or(Rejection::Overloaded)??;
    let answered = answer.as_ref().map_or_else(|_failed| Instant::now(), |response| response.at);
    record.upstream_took = Some(answered.saturating_duration_since(verified));
    answer
        .inspect(|response| {
            record.status = response.head.status.as_u16();
            if response.has_surplus {
                record.detail = Some(SURPLUS.to_owned());
            }
        })
        .map(Served::Relayed)
        .map_err(|error| undelivered(&error, record))
}

/// Waits for a delivery, which is given up if its request has a seat and is shed.
async fn unless_shed<T>(
    holder: Option<Holder>,
    delivery: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Rejection> {
    match holder {
        None => Ok(delivery.await),
        Some(holder) => holder.unless_shed(delivery).await,
    }
}

/// The seat of a request that is observed and not authentic. While its upstream makes it wait, it is shed for others as any
/// request that has proved nothing.
struct Holder {
    seat: Option<Arc<Seat>>,
    received: usize,
}

impl Holder {
    async fn new(
        share: &mut Share,
        received: usize,
        arrived: Instant,
        now: Instant,
    ) -> Result<Self, Rejection> {
        let seated = poll_fn(|cx| Poll::Ready(share.sit(cx, received, arrived.into_std(), now.into_std())));
        seated.await.map_err(|_exhausted| Rejection::Overloaded)?;
        Ok(Self { seat: share.seat(), received })
    }

    /// Waits for the delivery. If the request is shed before all of it is sent, the delivery is given up.
    async fn unless_shed<T>(self, mut delivery: Pin<&mut impl Future<Output = T>>) -> Result<T, Rejection> {
        poll_fn(|cx| {
            if let Some(seat) = &self.seat {
                if seat.is_shed() && !seat.has_left() {
                    return Poll::Ready(Err(Rejection::Overloaded));
                }
                seat.advance(cx, self.received);
            }
            delivery.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}

impl Gateway {
    /// Compiles a configuration. `budget` and `meters` outlive it: memory that is held stays held, and what was counted stays
    /// counted, when the configuration changes.
    #[must_use]
    pub fn new(config: &Config, router: Router, budget: Arc<Budget>, meters: &Meters, desk: &Desk) -> Self {
        let docket = config.log.diagnose.then(|| Arc::new(Docket::of(config, counsel::ROUTE_TOKENS)));
        let mut upstreams: Vec<config::Upstream> = Vec::new();
        let mut routes = Vec::with_capacity(config.routes.len());
        let mut of_path: HashMap<&str, Vec<&config::Route>> = HashMap::new();
        for route in &config.routes {
            of_path.entry(route.path.shape()).or_default().push(route);
        }
        for (index, route) in config.routes.iter().enumerate() {
            let siblings = of_path.get(route.path.shape()).map(Vec::as_slice).unwrap_or_default();
            let number =
                siblings.iter().position(|sibling| std::ptr::eq(*sibling, route)).unwrap_or_default();
            let known = upstreams.iter().position(|upstream| *upstream == route.upstream);
            let upstream = known.unwrap_or(upstreams.len());
            if known.is_none() {
                upstreams.push(route.upstream.clone());
            }
            routes.push(Route {
                label: RouteLabel {
                    path: route.path.as_str().into(),
                    slot: meters.slot(route.path.as_str()),
                },
                verifier: Arc::clone(&route.verifier),
                methods: route.methods.clone(),
                allow: route.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "),
                max_body: route.max_body,
                mode: route.mode,
                manner: Manner::new(&config.forward, route.verifier.scheme()),
                signed_fields: Guarded::new(route.verifier.scheme().fields()),
                questions: questions(if number == 0 { siblings } else { &[] }),
                number,
                public_url: route.public_url.clone(),
                upstream,
                inquiry: docket.as_ref().map(|docket| Inquiry::new(desk, docket, index)),
            });
        }
        let pace = Pace { timeout: config.limits.body_timeout, min_rate: config.limits.min_body_rate };
        let request_id_field = config.log.request_id_field.clone();
        let (access, roll) = (config.log.access, Roll::of(config));
        let set_fields = Guarded::new(set_fields(&config.forward));
        Self { router, routes, upstreams, pace, access, request_id_field, set_fields, roll, budget }
    }

    /// The names that it has.
    pub fn roll(&self) -> &Roll {
        &self.roll
    }

    /// Lets each route's verifier show that it does its work.
    ///
    /// # Errors
    /// [`Unfit`], with the first route whose verifier does not.
    pub fn probe(&self, now: SystemTime) -> Result<(), Unfit> {
        let mut probed: Vec<&Arc<Verifier>> = Vec::new();
        for route in &self.routes {
            if !probed.iter().any(|other| Arc::ptr_eq(other, &route.verifier)) {
                let fault = |fault| Unfit { route: Arc::clone(&route.label.path), fault };
                route.verifier.probe(now).map_err(fault)?;
                probed.push(&route.verifier);
            }
        }
        Ok(())
    }

    /// Reads what the request says it is called, for the log.
    fn identify(&self, head: &RequestHead, record: &mut Record) {
        if self.access == AccessLog::Off {
            return;
        }
        record.trace_id = TraceId::read(head.values(TRACEPARENT));
        let given = self.request_id_field.as_ref().map(|name| head.values(name.as_str()));
        record.given_id = given.and_then(GivenId::read);
    }

    /// The upstreams, in the order that [`View::pool`] counts them.
    pub fn upstreams(&self) -> &[config::Upstream] {
        &self.upstreams
    }

    /// Which requests leave a line in the log.
    pub fn access(&self) -> AccessLog {
        self.access
    }

    fn route(&self, id: RouteId) -> Result<&Route, Rejection> {
        self.routes.get(id.0).ok_or(Rejection::NoRoute)
    }

    fn bounds(&self, route: &Route) -> Bounds {
        Bounds { max_body: route.max_body, pace: self.pace }
    }

    /// The route among those of the path that takes the signed model, if the content has what it requires.
    fn select<'g>(
        &'g self,
        candidates: Candidates<'_>,
        first: &'g Route,
        deliverable: &Deliverable<'_, RequestHead>,
        record: &mut Record,
    ) -> Result<&'g Route, Rejection> {
        if first.questions.is_empty() && !candidates.asks_for_model() {
            return Ok(first);
        }
        let unfit = |why| Rejection::ModelMismatch(Some(why));
        let selected = first.questions.read(deliverable.content()).map_err(unfit).and_then(|mut facts| {
            let route = if candidates.asks_for_model() {
                let model = facts.model().map_err(unfit)?;
                let id = candidates.select(deliverable.head().path(), model.as_deref());
                record.model = id.and(model);
                self.route(id.ok_or(Rejection::ModelMismatch(None))?)?
            } else {
                first
            };
            facts.met_by(route.number).map(|()| route).map_err(unfit)
        });
        match (selected, first.mode) {
            (Err(rejection), Mode::Observe(_)) => {
                record.observed = record.observed.or(rejection.reason());
                Ok(first)
            }
            (selected, Mode::Enforce | Mode::Observe(_)) => selected,
        }
    }
}

fn unserved(fault: Fault) -> Rejection {
    match fault {
        Fault::Malformed(what) => Rejection::Malformed(what),
        Fault::LineTooLong => Rejection::TargetTooLong,
        Fault::TooLarge => Rejection::HeadTooLarge,
        Fault::TimedOut => Rejection::HeadTimeout,
        Fault::Overloaded => Rejection::Overloaded,
        Fault::UnknownCoding => Rejection::UnknownCoding,
        Fault::UnknownVersion => Rejection::UnknownVersion,
        Fault::Asterisk => Rejection::NoRoute,
        // No method is allowed on what is no path.
        Fault::Tunnel => Rejection::MethodNotAllowed(String::new()),
    }
}

/// What the sender is told of a failure behind us is little; the log gets all of it.
fn undelivered(error: &ForwardError, record: &mut Record) -> Rejection {
    record.detail = Some(chain(error));
    Rejection::from(error)
}
