//! Shell. The path of a request through the gateway, and the one wrapper around it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::answer::{Answer, Ending};
use crate::body::{self, Bounds};
use crate::config::{self, AccessLog, Config};
use crate::forward::error::{ForwardError, chain};
use crate::forward::{self, Manner};
use crate::model::{Questions, Requirement};
use crate::peer::Peer;
use crate::rejection::{PROBLEM_TYPE, Rejection};
use crate::route::{Matched, ModelRule, RouteId, Router};
use crate::server::head::{Expect, Fault, Framing};
use crate::server::limit::Budget;
use crate::server::pace::Pace;
use crate::server::view::View;
use crate::server::wire::{Transport, Wire};
use crate::server::worker::Worker;
use crate::signature::challenge;
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
    /// What the routes of its path ask of content; asked of the first of them.
    questions: Questions,
    /// Which of the routes of its path it is, from 0.
    number: usize,
    /// Where senders believe to send to; the schemes that sign it need it.
    public_url: Option<String>,
    upstream: usize,
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
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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
pub async fn exchange<IO: Transport>(
    worker: Rc<Worker>,
    wire: Rc<Wire<IO>>,
    peer: Peer,
    request: Request<Incoming>,
) -> Exchanged<IO> {
    let view = worker.view();
    wire.adopt(view.limits());
    let mut ending = Ending::new(&worker, &view, peer);
    let outcome = walk(&view, &wire, request, &mut ending.record).await;
    let mut response = match outcome {
        Ok(Served::Relayed(response)) => {
            let (parts, relay) = response.into_parts();
            Response::from_parts(parts, Answer::relayed(relay, ending, &wire))
        }
        Ok(Served::Challenge(answer)) => answered(answer, &worker, ending, &wire),
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

/// What a request gets that is not refused.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
enum Served {
    /// Its upstream's answer.
    Relayed(Response<forward::relay::Relay>),
    /// Ours, to a challenge.
    Challenge(challenge::Answer),
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
    request: Request<Incoming>,
    record: &mut Record,
) -> Result<Served, Rejection> {
    let arrival = wire.take_arrival().ok_or(Rejection::Malformed("there is no request"))?;
    let head = arrival.head.map_err(unserved)?;
    let (parts, _no_content) = request.into_parts();
    let gateway = view.gateway();
    gateway.identify(&parts.headers, record);
    let target = parts.uri.clone();
    let matched = gateway.router.find(target.path()).ok_or(Rejection::NoRoute)?;
    let route = gateway.route(matched.first())?;
    record.route = Some(route.label.clone());
    route.allows(&parts.method)?;
    if head.expect == Expect::Unknown {
        return Err(Rejection::ExpectationFailed);
    }
    if let Some(answer) = route.answer_unsigned(&parts, head.framing, record) {
        return Ok(Served::Challenge(answer));
    }
    let mut share = gateway.budget.share(record.peer);
    let mut verification = route.claim(&parts, record)?;
    let received =
        body::receive(wire, &head, &arrival, gateway.bounds(route), &mut share, &mut verification).await;
    record.received = verification.len();
    received?;
    let deliverable = route.verify(verification, parts, record)?;
    share.prove(Instant::now().into_std()).map_err(|_exhausted| Rejection::Overloaded)?;
    record.verified_after = Some(arrival.at.elapsed());
    record.secret = deliverable.secret().map(Arc::clone);
    if let Some(answer) = route.answer(&deliverable) {
        return Ok(Served::Challenge(answer));
    }
    let route = gateway.select(&matched, route, &deliverable, record)?;
    let pool = view.pool(route.upstream).ok_or(Rejection::UpstreamUnreachable)?;
    let forwarded = Instant::now();
    let answer = forward::deliver(pool, &route.manner, record.peer, deliverable, share).await;
    record.upstream_took = Some(forwarded.elapsed());
    answer
        .inspect(|response| record.status = response.status().as_u16())
        .map(Served::Relayed)
        .map_err(|error| undelivered(&error, record))
}

impl Gateway {
    /// Compiles a configuration. `budget` and `meters` outlive it: memory that is held stays held, and what was counted stays
    /// counted, when the configuration changes.
    #[must_use]
    pub fn new(config: &Config, router: Router, budget: Arc<Budget>, meters: &Meters) -> Self {
        let mut upstreams: Vec<config::Upstream> = Vec::new();
        let mut routes = Vec::with_capacity(config.routes.len());
        let mut of_path: HashMap<&str, Vec<&config::Route>> = HashMap::new();
        for route in &config.routes {
            of_path.entry(route.path.shape()).or_default().push(route);
        }
        for route in &config.routes {
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
                questions: questions(if number == 0 { siblings } else { &[] }),
                number,
                public_url: route.public_url.clone(),
                upstream,
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
    fn identify(&self, fields: &HeaderMap, record: &mut Record) {
        let values = |name: &HeaderName| fields.get_all(name).iter().map(HeaderValue::as_bytes);
        record.trace_id = TraceId::read(values(&TRACEPARENT));
        record.given_id = self.request_id_field.as_ref().and_then(|name| GivenId::read(values(name)));
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
        deliverable: &Deliverable<Parts>,
        record: &mut Record,
    ) -> Result<&'g Route, Rejection> {
        if first.questions.is_empty() && !matched.asks_for_model() {
            return Ok(first);
        }
        let unfit = |why| Rejection::ModelMismatch(Some(why));
        let selected = first.questions.read(deliverable.content()).map_err(unfit).and_then(|mut facts| {
            let route = if matched.asks_for_model() {
                let model = facts.model().map_err(unfit)?;
                let id = matched.select(model.as_deref());
                record.model = id.and(model);
                self.route(id.ok_or(Rejection::ModelMismatch(None))?)?
            } else {
                first
            };
            facts.met_by(route.number).map(|()| route).map_err(unfit)
        });
        match (selected, first.mode) {
            (Err(rejection), Mode::Observe) => {
                record.observed = record.observed.or(rejection.reason());
                Ok(first)
            }
            (selected, Mode::Enforce | Mode::Observe) => selected,
        }
    }
}

impl Route {
    fn allows(&self, method: &Method) -> Result<(), Rejection> {
        if self.methods.contains(method) {
            Ok(())
        } else {
            Err(Rejection::MethodNotAllowed(self.allow.clone()))
        }
    }

    /// The answer to a challenge that nobody has signed, if it is one and answered here. Such a request has no content.
    fn answer_unsigned(
        &self,
        head: &Parts,
        framing: Framing,
        record: &mut Record,
    ) -> Option<challenge::Answer> {
        if !self.verifier.answers() || !matches!(framing, Framing::None | Framing::Length(0)) {
            return None;
        }
        let fields = HyperFields(&head.headers);
        // What nobody signs has no time that would be looked at.
        match self.verifier.answer_unsigned(&self.context(head, &fields, SystemTime::UNIX_EPOCH))? {
            Ok(answer) => Some(answer),
            Err(wrong) => {
                record.detail = Some(wrong.as_str().to_owned());
                None
            }
        }
    }

    /// The answer to a challenge that is authentic, if it is one and answered here.
    fn answer(&self, deliverable: &Deliverable<Parts>) -> Option<challenge::Answer> {
        match deliverable {
            Deliverable::Authentic(request) => self.verifier.answer(request),
            Deliverable::Observed(_) => None,
        }
    }

    fn context<'c>(
        &'c self,
        head: &'c Parts,
        fields: &'c HyperFields<'c>,
        now: SystemTime,
    ) -> Context<'c, HyperFields<'c>> {
        Context {
            method: head.method.as_str(),
            target: head.uri.path_and_query().map_or("/", PathAndQuery::as_str),
            origin: self.public_url.as_deref(),
            fields,
            now,
        }
    }

    /// Reads the claim out of the fields. A route that observes goes on without one.
    fn claim(&self, head: &Parts, record: &mut Record) -> Result<Verification<'_>, Rejection> {
        let now = SystemTime::now();
        let fields = HyperFields(&head.headers);
        let context = self.context(head, &fields, now);
        match (self.verifier.claim(&context), self.mode) {
            (Ok(claim), Mode::Enforce | Mode::Observe) => Ok(self.verifier.begin(claim, now)),
            (Err(error), Mode::Enforce) => Err(Rejection::Unsigned(error)),
            (Err(error), Mode::Observe) => {
                record.observed = Rejection::Unsigned(error).reason();
                Ok(self.verifier.begin_without_claim(now))
            }
        }
    }

    /// Decides. What comes out may be forwarded; what does not verify comes out only on a route that observes.
    fn verify<H>(
        &self,
        verification: Verification<'_>,
        head: H,
        record: &mut Record,
    ) -> Result<Deliverable<H>, Rejection> {
        let mismatch = match verification.finish(head) {
            Ok(authentic) => return Ok(Deliverable::Authentic(authentic)),
            Err(mismatch) => mismatch,
        };
        let observed = mismatch.observe(self.mode).map_err(|_refused| Rejection::SignatureMismatch)?;
        record.observed = record.observed.or(Rejection::SignatureMismatch.reason());
        Ok(Deliverable::Observed(observed))
    }
}

/// hyper's fields, as `signature` wants to see them.
struct HyperFields<'h>(&'h HeaderMap);

impl Fields for HyperFields<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// What the routes of one path, which have the same scheme, ask of content.
fn questions(routes: &[&config::Route]) -> Questions {
    let asks_for_model = routes.iter().any(|route| route.model != ModelRule::Any);
    let scheme = routes.first().map(|first| first.verifier.scheme()).filter(|_| asks_for_model);
    let model = scheme.map(|scheme| scheme.model_pointers.as_slice()).unwrap_or_default();
    let required: Vec<&[Requirement]> = routes.iter().map(|route| route.requirements.as_slice()).collect();
    Questions::new(model, &required)
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

/// A challenge's answer. It is never markup to whoever reads it (`nosniff`), nor kept.
fn answered<IO: Transport>(
    answer: challenge::Answer,
    worker: &Worker,
    mut ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> Response<Answer<IO>> {
    ending.record.status = StatusCode::OK.as_u16();
    ending.record.challenge = Some("answered");
    let mut response = Response::new(Answer::own(answer.content, ending, wire));
    let fields = response.headers_mut();
    fields.insert(header::DATE, worker.date());
    if let Some(media_type) = answer.media_type {
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refuse<IO: Transport>(
    rejection: &Rejection,
    worker: &Worker,
    ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> Response<Answer<IO>> {
    let mut response = Response::new(Answer::own(rejection.problem(), ending, wire));
    *response.status_mut() = rejection.status();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
    fields.insert(header::DATE, worker.date());
    if let Some((name, value)) = rejection.field()
        && let Ok(value) = HeaderValue::from_str(value)
    {
        fields.insert(name, value);
    }
    if rejection.ends_connection() {
        last(&mut response, wire);
    }
    response
}
