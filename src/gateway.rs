//! Shell. The path of a request through the gateway, and the one wrapper around it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, Version};
use http_body::Body as _;
use hyper::ext::ReasonPhrase;
use tokio::time::Instant;

use crate::answer::{Answer, Ending};
use crate::body::{self, Bounds};
use crate::config::{self, AccessLog, Config};
use crate::counsel::case::Docket;
use crate::counsel::{self, Desk, Inquiry};
use crate::forward;
use crate::forward::error::{ForwardError, chain};
use crate::forward::request::Manner;
use crate::model::{self, Requirement};
use crate::peer::Peer;
use crate::rejection::{PROBLEM_TYPE, Rejection};
use crate::route::{Matched, RouteId, Router};
use crate::server::head::{Expect, Fault, RequestHead};
use crate::server::limit::Budget;
use crate::server::pace::Pace;
use crate::server::spelling::has_capitals;
use crate::server::view::View;
use crate::server::wire::{Arrival, Transport, Wire};
use crate::server::worker::Worker;
use crate::signature::probe::Fault as ProbeFault;
use crate::signature::{Context, Deliverable, Fields, Mode, Verification, Verifier};
use crate::telemetry::identity::{GivenId, TraceId};
use crate::telemetry::metric::Meters;
use crate::telemetry::record::{Record, RouteLabel};
use crate::telemetry::roll::Roll;

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
    roll: Roll,
    budget: Arc<Budget>,
}

/// A route with everything that start-up can work out.
#[derive(Debug)]
struct Route {
    label: RouteLabel,
    verifier: Arc<Verifier>,
    methods: Vec<Method>,
    allow: String,
    max_body: u64,
    mode: Mode,
    manner: Manner,
    requirements: Vec<Requirement>,
    /// Where senders believe to send to; the schemes that sign it need it.
    public_url: Option<String>,
    upstream: usize,
    /// Where it is found out why a request does not verify, if that is wanted.
    inquiry: Option<Inquiry>,
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

/// A response, or the wish to end the connection without one.
pub type Exchanged<IO> = Result<Response<Answer<IO>>, Abandoned>;

/// Nobody is left to answer.
#[derive(Debug)]
pub struct Abandoned;

impl std::fmt::Display for Abandoned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the client went away before its request was complete")
    }
}

impl std::error::Error for Abandoned {}

/// Serves one request: every request begins and ends here.
///
/// # Errors
/// [`Abandoned`], and the connection is closed without an answer.
pub async fn exchange<IO: Transport>(worker: Rc<Worker>, wire: Rc<Wire<IO>>, peer: Peer) -> Exchanged<IO> {
    let arrival = wire.take_arrival().ok_or(Abandoned)?;
    let view = worker.view();
    wire.adopt(view.limits());
    let mut ending = Ending::new(&worker, &view, peer, arrival.at);
    let now = ending.begun_at();
    let outcome = walk(&view, &wire, arrival, now, &mut ending.record).await;
    let mut response = match outcome {
        Ok(answer) => pass_on(answer, ending, &wire),
        Err(rejection) => {
            let record = &mut ending.record;
            record.refused = true;
            record.reason = rejection.reason();
            record.status = rejection.status().as_u16();
            if let Some(detail) = rejection.detail() {
                record.detail = Some(detail.to_owned());
            }
            if rejection == Rejection::BodyIncomplete {
                record.status = 0;
                return Err(Abandoned);
            }
            refuse(&rejection, &worker, ending, &wire)
        }
    };
    if wire.is_draining()
        || wire.has_unread_content()
        || worker.crowd().is_wanting()
        || ends_by_closing(&response, &wire)
    {
        last(&mut response, &wire);
    }
    Ok(response)
}

/// Makes it the last response of its connection.
fn last<IO: Transport>(response: &mut Response<Answer<IO>>, wire: &Wire<IO>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    if wire.is_http_10() {
        // Or hyper would add the `keep-alive` that an HTTP/1.0 client may have asked for.
        *response.version_mut() = Version::HTTP_10;
    }
}

/// The heart of it. Checks run cheapest first; nothing is read before it must be, and nothing reaches an upstream before
/// all of it has verified.
async fn walk<IO: Transport>(
    view: &View,
    wire: &Wire<IO>,
    arrival: Arrival,
    now: SystemTime,
    record: &mut Record,
) -> Result<forward::Response, Rejection> {
    let Arrival { head, at } = arrival;
    let head = head.map_err(unserved)?;
    let gateway = view.gateway();
    gateway.identify(&head, record);
    let matched = gateway.router.find(head.path()).ok_or(Rejection::NoRoute)?;
    let route = gateway.route(matched.first())?;
    record.route = Some(route.label.clone());
    route.allows(head.method())?;
    if head.facts().expect == Expect::Unknown {
        return Err(Rejection::ExpectationFailed);
    }
    let mut share = gateway.budget.share(record.peer);
    let mut verification = route.claim(&head, now, record)?;
    let bounds = gateway.bounds(route);
    let received = body::receive(wire, head.facts(), at, bounds, &mut share, &mut verification).await;
    record.received = verification.len();
    received?;
    let deliverable = route.verify(verification, &head, record)?;
    let verified = Instant::now();
    share.prove(verified.into_std()).map_err(|_exhausted| Rejection::Overloaded)?;
    record.verified_after = Some(verified.saturating_duration_since(at));
    record.secret = deliverable.secret().map(Arc::clone);
    let route = gateway.select(&matched, route, &deliverable, record)?;
    let pool = view.pool(route.upstream).ok_or(Rejection::UpstreamUnreachable)?;
    let answer = forward::deliver(pool, &route.manner, record.peer, deliverable, share, verified).await;
    record.upstream_took = Some(verified.elapsed());
    answer
        .inspect(|response| record.status = response.head.status.as_u16())
        .map_err(|error| undelivered(&error, record))
}

impl Gateway {
    /// Compiles a configuration. `budget` and `meters` outlive it: memory that is held stays held, and what was counted stays
    /// counted, when the configuration changes.
    #[must_use]
    pub fn new(config: &Config, router: Router, budget: Arc<Budget>, meters: &Meters, desk: &Desk) -> Self {
        let docket = config.log.diagnose.then(|| Arc::new(Docket::of(config, counsel::ROUTE_TOKENS)));
        let mut upstreams: Vec<config::Upstream> = Vec::new();
        let mut routes = Vec::with_capacity(config.routes.len());
        for (number, route) in config.routes.iter().enumerate() {
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
                requirements: route.requirements.clone(),
                public_url: route.public_url.clone(),
                upstream,
                inquiry: docket.as_ref().map(|docket| Inquiry::new(desk, docket, number)),
            });
        }
        let pace = Pace { timeout: config.limits.body_timeout, min_rate: config.limits.min_body_rate };
        let request_id_field = config.log.request_id_field.clone();
        let (access, roll) = (config.log.access, Roll::of(config));
        Self { router, routes, upstreams, pace, access, request_id_field, roll, budget }
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
        matched: &Matched<'_, '_>,
        first: &'g Route,
        deliverable: &Deliverable<&RequestHead>,
        record: &mut Record,
    ) -> Result<&'g Route, Rejection> {
        let content = deliverable.content();
        let selected = if matched.asks_for_model() {
            let read = model::read(content, &first.verifier.scheme().model_pointers);
            read.map_err(|why| Rejection::ModelMismatch(Some(why))).and_then(|model| {
                let id = matched.select(model.as_deref());
                record.model = id.and(model);
                self.route(id.ok_or(Rejection::ModelMismatch(None))?)
            })
        } else {
            Ok(first)
        };
        let required = selected.and_then(|route| {
            let met = Requirement::all_met(&route.requirements, content);
            met.map(|()| route).map_err(|why| Rejection::ModelMismatch(Some(why)))
        });
        match (required, first.mode) {
            (Err(rejection), Mode::Observe) => {
                record.observed = record.observed.or(rejection.reason());
                Ok(first)
            }
            (selected, Mode::Enforce | Mode::Observe) => selected,
        }
    }
}

impl Route {
    fn allows(&self, method: &str) -> Result<(), Rejection> {
        if self.methods.iter().any(|allowed| allowed == method) {
            Ok(())
        } else {
            Err(Rejection::MethodNotAllowed(self.allow.clone()))
        }
    }

    /// Reads the claim out of the fields. A route that observes goes on without one.
    fn claim(
        &self,
        head: &RequestHead,
        now: SystemTime,
        record: &mut Record,
    ) -> Result<Verification<'_>, Rejection> {
        let context = self.context(head, now);
        match (self.verifier.claim(&context), self.mode) {
            (Ok(claim), Mode::Enforce | Mode::Observe) => Ok(self.verifier.begin(claim, now)),
            (Err(error), Mode::Enforce) => {
                let rejection = Rejection::Unsigned(error);
                self.inquire(head, None, now, rejection.reason(), record);
                Err(rejection)
            }
            (Err(error), Mode::Observe) => {
                record.observed = Rejection::Unsigned(error).reason();
                Ok(self.verifier.begin_without_claim(now))
            }
        }
    }

    fn context<'c>(&'c self, head: &'c RequestHead, now: SystemTime) -> Context<'c, RequestHead> {
        Context {
            method: head.method(),
            target: head.target(),
            origin: self.public_url.as_deref(),
            fields: head,
            now,
        }
    }

    /// Has it found out why a request does not verify. Apart from the rest, because good requests never come here.
    #[cold]
    #[inline(never)]
    fn inquire(
        &self,
        head: &RequestHead,
        content: Option<&[u8]>,
        now: SystemTime,
        reason: Option<&'static str>,
        record: &Record,
    ) {
        if let Some(inquiry) = &self.inquiry {
            inquiry.open(record, reason, &self.context(head, now), content);
        }
    }

    /// Decides. What comes out may be forwarded; what does not verify comes out only on a route that observes.
    fn verify<'h>(
        &self,
        verification: Verification<'_>,
        head: &'h RequestHead,
        record: &mut Record,
    ) -> Result<Deliverable<&'h RequestHead>, Rejection> {
        let mismatch = match verification.finish(head) {
            Ok(authentic) => return Ok(Deliverable::Authentic(authentic)),
            Err(mismatch) => mismatch,
        };
        let reason = record.observed.or(Rejection::SignatureMismatch.reason());
        self.inquire(mismatch.head, Some(&mismatch.content), mismatch.now, reason, record);
        let observed = mismatch.observe(self.mode).map_err(|_refused| Rejection::SignatureMismatch)?;
        record.observed = reason;
        Ok(Deliverable::Observed(observed))
    }
}

/// Whether only the end of the connection can end the response (RFC 9112, section 6.3).
fn ends_by_closing<IO: Transport>(response: &Response<Answer<IO>>, wire: &Wire<IO>) -> bool {
    wire.is_http_10() && response.body().size_hint().exact().is_none()
}

fn unserved(fault: Fault) -> Rejection {
    match fault {
        Fault::Malformed(what) => Rejection::Malformed(what),
        Fault::TooLarge => Rejection::HeadTooLarge,
        Fault::TimedOut => Rejection::HeadTimeout,
    }
}

/// What the sender is told of a failure behind us is little; the log gets all of it.
fn undelivered(error: &ForwardError, record: &mut Record) -> Rejection {
    record.detail = Some(chain(error));
    Rejection::from(error)
}

/// The upstream's response, as it came.
fn pass_on<IO: Transport>(
    answer: forward::Response,
    ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> Response<Answer<IO>> {
    let forward::Response { head, raw, content } = answer;
    let mut response = Response::new(Answer::relayed(content, ending, wire));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.fields;
    if let Some(reason) = head.reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
        response.extensions_mut().insert(reason);
    }
    if has_capitals(&raw) {
        wire.spell_as(raw);
    }
    response
}

fn refuse<IO: Transport>(
    rejection: &Rejection,
    worker: &Worker,
    ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> Response<Answer<IO>> {
    let mut response =
        Response::new(Answer::own(Bytes::from_static(rejection.problem().as_bytes()), ending, wire));
    *response.status_mut() = rejection.status();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
    fields.insert(header::DATE, date);
    if let Some((name, value)) = rejection.field() {
        fields.insert(name, value);
    }
    if rejection.ends_connection() {
        last(&mut response, wire);
    }
    response
}
