//! Pure. The path of a request through the gateway, and the configured gateway.
//!
//! A front end, for any version of HTTP, hands in a head and a source of content ([`Incoming`]). It gets back
//! a [`Reply`], which is a value. No file here knows a front end, a socket or a runtime: clocks, timers and
//! upstreams come in through [`Resources`]. So all requests take one path, and their checks have one order.

mod capture;
mod forwarding;
pub mod reason;
mod receive;
mod refusal_detail;
mod route;
mod storing;

pub mod delivery_routes;
pub mod examine;
pub mod further_secrets;
pub mod rejection;
pub mod reply;
pub mod request_guard;
pub mod resources;

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Method;
use http::header::HeaderName;

use crate::admission::client::{ClientAddress, ExemptClients};
use crate::admission::failures::FailureLimit;
use crate::admission::memory::{Budget, Reservation};
use crate::admission::rate::Pace;
use crate::admission::trusted_proxies::{Arrival, LastHop, NoAddress, TrustedProxies};
use crate::config::{self, AccessLog, Config};
use crate::diagnosis::sample::RouteContexts;
use crate::diagnosis::submitter::{ROUTE_TOKENS, RouteSubmitter, Submitter};
use crate::gateway::capture::{Captor, Capture};
use crate::gateway::rejection::Rejection;
use crate::gateway::request_guard::RequestGuard;
use crate::message::content::Content;
use crate::message::forwarded::ReceivedIn;
use crate::message::head::{Expect, Guarded, HeadError, RefusedHead, RequestHead};
use crate::queue::event::RouteName;
use crate::routing::router::{Candidates, RouteId, Router};
use crate::signature::challenge;
use crate::signature::scheme::{Authentication, Refusal};
use crate::signature::self_check::Fault as ProbeFault;
use crate::signature::{Deliverable, Fields as _, Mode, Verification, Verifier};
use crate::telemetry::labels::Labels;
use crate::telemetry::metric::Meters;
use crate::telemetry::record::{Record, RouteLabel, SentPath};
use crate::telemetry::request_id::{GivenId, TraceId};
use crate::tls::authorities::Authorities;
use crate::tls::session::Session;
use crate::upstream::origin::Origin;
use crate::upstream::request::{Channel, ForwardOptions, set_fields};
use delivery_routes::DeliveryRoute;
use forwarding::{ObservedHold, answered, asserted, undelivered};
use receive::Bounds;
use reply::{OwnReply, Reply, Served};
use resources::{Delivery, Resources, UpstreamResponse};
use route::{Route, Target, Verified, questions};

/// The configured gateway: the whole configuration, compiled. It never changes. A reload builds another
/// gateway.
#[derive(Debug)]
pub struct Gateway {
    router: Router,
    routes: Vec<Route>,
    /// The upstreams. An upstream that several routes use is listed once.
    upstreams: Vec<config::Upstream>,
    pace: Pace,
    access: AccessLog,
    request_id_field: Option<HeaderName>,
    /// The fields that the gateway sets in requests it forwards, and the field in which proxies report the client.
    set_fields: Guarded,
    labels: Labels,
    budget: Arc<Budget>,
    /// The limit on the failures of each client, if there is one, and the clients to which it does not apply.
    failures: Option<Arc<FailureLimit>>,
    exempt: ExemptClients,
    /// The proxies whose reports of the client the gateway believes.
    trusted_proxies: Option<TrustedProxies>,
    /// The authorities of client certificates.
    client_ca: Option<Authorities>,
    /// The routes, in the form that deliveries of stored events need.
    deliveries: HashMap<RouteName, DeliveryRoute>,
}

/// A route whose verifier fails its probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The route's path.
    pub route: Arc<str>,
    /// How the probe failed.
    pub fault: ProbeFault,
}

/// The field that carries the trace context (W3C Trace Context). It is forwarded like any other.
const TRACEPARENT: &str = "traceparent";

/// The log text for a field name that an app could confuse with the name of a field that the gateway sets.
const LIKE_SET_FIELD: &str = "an app could read a field's name as that of one the gateway sets";
const LIKE_SIGNED_FIELD: &str = "an app could read a field's name as that of one the signature needs";

/// A request whose head has arrived, as a front end hands it in.
#[derive(Debug)]
pub struct Incoming<C> {
    /// The head, or the reason why the request is refused.
    pub head: Result<RequestHead, RefusedHead>,
    /// The content, as it arrives.
    pub content: C,
    /// The address at the other end of the connection: of the client, or of a proxy.
    pub peer: ClientAddress,
    /// The TLS connection that it came over, if it did.
    pub session: Option<Arc<Session>>,
    /// The version of HTTP that it came in.
    pub received_in: ReceivedIn,
    /// When the head was complete.
    pub at: Instant,
    /// The memory reservation of the head, if the head is large.
    pub memory: Option<Reservation>,
}

/// Serves one request. Every request begins here, in any version of HTTP. A request ends when its guard is
/// dropped: when the reply is written or given up.
///
/// Returns no reply if the client disconnected before its request was complete.
pub async fn handle<R: Resources, C: Content>(
    gateway: &Gateway,
    resources: R,
    incoming: Incoming<C>,
) -> (Option<Reply<R::Body>>, Box<RequestGuard<R>>) {
    let mut guard = RequestGuard::new(resources, incoming.peer, incoming.at);
    let mut refusal = Refusal::default();
    let mut authentication = Authentication::default();
    let outcome = {
        let walk = pin!(walk(gateway, incoming, &mut guard, &mut refusal, &mut authentication));
        walk.await
    };
    let (record, resources) = guard.parts();
    let reply = match outcome {
        Ok(Served::Relayed(UpstreamResponse { head, content, .. })) => {
            Some(Reply::Upstream { head, content })
        }
        Ok(Served::Own(acknowledgement)) => {
            record.status = acknowledgement.status.as_u16();
            Some(Reply::Own(OwnReply::acknowledging(acknowledgement)))
        }
        Ok(Served::Challenge(answer)) => {
            record.challenge = Some("answered");
            record.status = answer.status.as_u16();
            Some(Reply::Own(OwnReply::to_challenge(answer)))
        }
        Err(rejection) => {
            if let Some(failures) = gateway.failures_of(record.client)
                && rejection.is_failure_of_client()
            {
                failures.count(record.client, resources.now());
            }
            record.refused = true;
            record.reason = rejection.reason();
            // What the walk found out says more than the kind of the refusal.
            if record.detail.is_none() {
                record.detail = rejection.detail().map(Cow::into_owned);
            }
            if rejection == Rejection::BodyIncomplete {
                record.status = 0;
                return (None, guard);
            }
            record.status = rejection.status().as_u16();
            Some(Reply::Own(OwnReply::refusal(&rejection, refusal, authentication)))
        }
    };
    (reply, guard)
}

/// A request whose head is admitted. Its content is received next.
struct Admitted<'a, C> {
    content: C,
    /// When the head was complete.
    at: Instant,
    client: ClientAddress,
    channel: Channel,
    memory: Reservation,
    candidates: Candidates<'a>,
    route: &'a Route,
    captor: Option<Captor<'a>>,
    verification: Verification<'a, RequestHead>,
}

/// What becomes of a request that is not admitted.
enum Unadmitted {
    Rejected(Rejection),
    Answered(challenge::Answer),
}

impl From<Rejection> for Unadmitted {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// The path of a request. The cheapest checks come first. Content is not read before it is needed. Nothing
/// reaches an upstream before the whole request is verified. `authentication` is set to that of the route's
/// scheme.
async fn walk<R: Resources, C: Content>(
    gateway: &Gateway,
    incoming: Incoming<C>,
    guard: &mut RequestGuard<R>,
    refusal: &mut Refusal,
    authentication: &mut Authentication,
) -> Result<Served<R::Body>, Rejection> {
    let now = guard.begun_at();
    let (record, resources) = guard.parts();
    let mut admitted = match admit(gateway, resources, incoming, now, refusal, authentication, record) {
        Ok(admitted) => admitted,
        Err(Unadmitted::Rejected(rejection)) => return Err(rejection),
        Err(Unadmitted::Answered(answer)) => return Ok(Served::Challenge(answer)),
    };
    let Admitted { at, client, candidates, route, captor, .. } = admitted;
    let received = receive::receive(
        resources,
        &mut admitted.content,
        at,
        gateway.bounds(route),
        &mut admitted.memory,
        &mut admitted.verification,
    );
    let received = received.await;
    record.received = admitted.verification.len();
    received.inspect_err(|_refused| {
        let verification = &admitted.verification;
        capture::keep(captor, verification.head(), verification.unverified_content(), record);
    })?;
    let (content, mut memory) = (admitted.content, admitted.memory);
    let mut check = admitted.verification.complete();
    further_secrets::secrets(resources, &content, &mut check, &mut memory, at).await?;
    let request = match route.verify(check, captor, record)? {
        Verified::Deliverable(request) => request,
        Verified::Answer(answer) => return Ok(Served::Challenge(answer)),
    };
    content.wait_for_upstream(request.is_authentic());
    let verified = resources.now();
    let may_stay =
        if request.is_authentic() { memory.authenticate(verified) } else { memory.stay_unauthenticated() };
    may_stay.map_err(|_exhausted| Rejection::Overloaded)?;
    record.verified_after = Some(verified.saturating_duration_since(at));
    record.secret = request.secret().map(Arc::clone);
    if let Some(answer) = Route::answer(&request) {
        return Ok(Served::Challenge(answer));
    }
    let selected = gateway.select(candidates, route, &request, record);
    if selected.is_err() || record.observed.is_some() {
        capture::keep(captor, request.head(), request.content(), record);
    }
    let route = selected?;
    let channel = admitted.channel;
    let request = match request {
        Deliverable::Authentic(request) if route.stores() && !request.verifier().is_challenge(&request) => {
            let origin = gateway.origin(route)?;
            let arrived =
                storing::Arrived { request, client, channel, origin, memory, received: now, verified };
            // Boxed, because this future would enlarge the future of every other request.
            return Box::pin(storing::serve(resources, &content, route, arrived, record)).await;
        }
        request @ (Deliverable::Authentic(_) | Deliverable::Kept(_) | Deliverable::Observed(_)) => request,
    };
    let holder = if request.is_authentic() {
        None
    } else {
        Some(ObservedHold::new(&mut memory, request.content().len(), at, verified).await?)
    };
    let target = &route.target;
    let asserted = asserted(resources, target, &request).await;
    let delivery = Delivery { request, target, client, channel, memory, at: verified, event: None, asserted };
    let delivery = pin!(resources.deliver(delivery));
    let answer = answered(resources, &content, delivery, verified, holder, record).await?;
    answer.map(Served::Relayed).map_err(|error| undelivered(&error, record))
}

/// The checks that need only the head. This function is not async, so the future of a request does not hold its variables.
fn admit<'a, R: Resources, C: Content>(
    gateway: &'a Gateway,
    resources: &'a R,
    incoming: Incoming<C>,
    now: SystemTime,
    refusal: &mut Refusal,
    authentication: &mut Authentication,
    record: &mut Record,
) -> Result<Admitted<'a, C>, Unadmitted> {
    let Incoming { head, content, peer, session, received_in, at, mut memory } = incoming;
    let head = head.map_err(|refused| unserved(&refused, record))?;
    gateway.identify(&head, record);
    let keep_path = |record: &mut Record| record.sent_path = Some(SentPath::new(head.path()));
    let arrival = gateway.arrival(peer, &head).inspect_err(|_refused| keep_path(record))?;
    let client = arrival.client;
    record.client = client;
    if let LastHop::Proxy(..) = arrival.last_hop {
        content.belongs_to(client);
        memory.iter_mut().for_each(|memory| memory.assign(client));
    }
    if head.has_lookalike_of(&gateway.set_fields) {
        keep_path(record);
        return Err(Rejection::Ambiguous(LIKE_SET_FIELD).into());
    }
    let Some(matched) = gateway.router.find(head.path()) else {
        record.detail = Some(refusal_detail::of_missing_route(&gateway.router, head.path()).to_owned());
        keep_path(record);
        return Err(Rejection::NoRoute.into());
    };
    if matched.has_parameters() {
        keep_path(record);
    }
    let candidates = matched.candidates();
    let route = gateway.route(candidates.first())?;
    let scheme = route.verifier.judge(&head).scheme();
    record.route = Some(route.label.judged_by(&scheme.name));
    (*refusal, *authentication) = (scheme.refusal, scheme.authentication());
    let captor = route.captor(|| resources.capture_room(), now);
    let check = |record: &mut Record| {
        route.takes(client)?;
        if let Some(failures) = gateway.failures_of(client) {
            failures.check(client, at).map_err(Rejection::TooManyFailures)?;
        }
        matched.check().map_err(|ambiguity| Rejection::Ambiguous(ambiguity.as_str()))?;
        if head.has_lookalike_of(&route.signed_fields) {
            return Err(Rejection::Ambiguous(LIKE_SIGNED_FIELD));
        }
        let client_certificate = match &session {
            Some(session) => gateway.secured(session, route, &head, now, record)?,
            None => route.admits(None)?,
        };
        route.allows(head.method()).inspect_err(|_refused| route.explain(&head, record))?;
        match head.facts().expect {
            Expect::Unknown => Err(Rejection::ExpectationFailed),
            Expect::Nothing | Expect::Continue => Ok(client_certificate),
        }
    };
    let client_certificate =
        check(record).inspect_err(|_refused| capture::keep(captor, &head, &[], record))?;
    let channel = Channel {
        protocol: arrival.protocol_over(session.is_some()),
        received_in,
        client_certificate,
        last_hop: arrival.last_hop,
    };
    if let Some(answer) = route.answer_unsigned(&head, now, record) {
        return Err(Unadmitted::Answered(answer));
    }
    let memory = memory.unwrap_or_else(|| gateway.budget.reservation(client));
    let verification = route.claim(head, now, captor, record)?;
    Ok(Admitted { content, at, client, channel, memory, candidates, route, captor, verification })
}

impl Gateway {
    /// Compiles a configuration. `budget` and `meters` outlive the gateway: a reload keeps the reservations
    /// and the counts.
    #[must_use]
    pub fn new(
        config: &Config,
        router: Router,
        budget: Arc<Budget>,
        meters: &Meters,
        submitter: &Submitter,
    ) -> Self {
        let contexts = config.log.diagnose.then(|| Arc::new(RouteContexts::of(config, ROUTE_TOKENS)));
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
                    scheme: route.verifier.scheme().name.as_ref().into(),
                },
                verifier: Arc::clone(&route.verifier),
                methods: route.methods.clone(),
                allow: route.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "),
                max_body: route.max_body,
                mode: route.mode,
                name: route::name(route),
                delivery: route.delivery.clone(),
                copies: storing::copies(route),
                response_timeout: route.upstream.response_timeout,
                target: Target {
                    upstream: route.upstream.origin.to_string().into(),
                    slot: upstream,
                    forward: ForwardOptions::of_route(&config.forward, &route.verifier),
                },
                signed_fields: Guarded::new(route.verifier.all().flat_map(|one| one.scheme().names())),
                questions: questions(if number == 0 { siblings } else { &[] }),
                number,
                clients: route.allow.clone(),
                client_names: route.client_names.clone(),
                public_url: route.public_url.clone(),
                capture: route.capture.then(|| Box::new(Capture::of(&route.verifier))),
                submitter: contexts.as_ref().map(|contexts| RouteSubmitter::new(submitter, contexts, index)),
            });
        }
        let deliveries = delivery_routes::routes(config, &mut upstreams);
        let pace = Pace { timeout: config.limits.body_timeout, min_rate: config.limits.min_body_rate };
        let request_id_field = config.log.request_id_field.clone();
        let (access, labels) = (config.log.access, Labels::of(config));
        let reported = config.server.client_address.iter().map(|proxies| proxies.field.name());
        let set_fields = Guarded::new(set_fields(&config.forward).chain(reported));
        Self {
            router,
            routes,
            upstreams,
            pace,
            access,
            request_id_field,
            set_fields,
            labels,
            budget,
            failures: FailureLimit::renewed(config.limits.max_failures_per_client, None),
            exempt: ExemptClients::new(config.trusted_proxies()),
            trusted_proxies: config.server.client_address.clone(),
            client_ca: config.tls.as_ref().and_then(|tls| tls.settings.client_ca.clone()),
            deliveries,
        }
    }

    /// Takes over the failures of clients from the gateway before, if the limit is the same.
    pub fn continue_after(&mut self, before: &Self) {
        let rate = self.failures.as_ref().map(|failures| failures.rate());
        self.failures = FailureLimit::renewed(rate, before.failures.as_ref());
    }

    /// The limit on failures, if there is one for this client.
    fn failures_of(&self, client: ClientAddress) -> Option<&FailureLimit> {
        self.failures.as_deref().filter(|_| !self.exempt.contains(client))
    }

    /// The route with this name, in the form that deliveries of its stored events need.
    #[must_use]
    pub fn delivery_route(&self, name: &RouteName) -> Option<&DeliveryRoute> {
        self.deliveries.get(name)
    }

    /// All routes, in the form that deliveries of stored events need.
    pub fn delivery_routes(&self) -> impl Iterator<Item = (&RouteName, &DeliveryRoute)> {
        self.deliveries.iter()
    }

    /// The labels of this configuration.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Probes each route's verifier.
    ///
    /// # Errors
    /// [`Unfit`], with the first route whose verifier fails its probe.
    pub fn probe(&self, now: SystemTime) -> Result<(), Unfit> {
        let mut probed: Vec<&Arc<Verifier>> = Vec::new();
        for route in &self.routes {
            if !probed.iter().any(|other| Arc::ptr_eq(other, &route.verifier)) {
                let fault = |fault| Unfit { route: Arc::clone(&route.label.path), fault };
                route.verifier.all().try_for_each(|one| one.probe(now)).map_err(fault)?;
                probed.push(&route.verifier);
            }
        }
        Ok(())
    }

    /// Checks a request against its TLS connection: the client's certificate, and the hosts that the gateway's certificates
    /// cover (RFC 9110, section 7.4).
    fn secured(
        &self,
        session: &Session,
        route: &Route,
        head: &RequestHead,
        now: SystemTime,
        record: &mut Record,
    ) -> Result<Option<Arc<str>>, Rejection> {
        let client_certificate = route.admits(session.client(self.client_ca.as_ref(), now))?;
        record.client_certificate.clone_from(&client_certificate);
        record.is_required_client = route.client_names.is_some();
        // A request of HTTP/1.0 may name no host.
        if head.values("host").any(|host| !session.covers(host)) {
            return Err(Rejection::Misdirected);
        }
        Ok(client_certificate)
    }

    /// The client of a request, the other end of the connection, and the client's protocol.
    fn arrival(&self, peer: ClientAddress, head: &RequestHead) -> Result<Arrival, Rejection> {
        match &self.trusted_proxies {
            None => Ok(Arrival { client: peer, last_hop: LastHop::Unknown, protocol: None }),
            Some(proxies) => {
                proxies.arrival(peer, head).map_err(|NoAddress(what)| Rejection::ClientAddress(what))
            }
        }
    }

    /// Reads the request's method and its identifiers, for the log.
    fn identify(&self, head: &RequestHead, record: &mut Record) {
        record.set_method(head.method());
        if self.access == AccessLog::Off {
            return;
        }
        record.trace_id = TraceId::read(head.values(TRACEPARENT));
        let given = self.request_id_field.as_ref().map(|name| head.values(name.as_str()));
        record.given_id = given.and_then(GivenId::read);
    }

    /// The name of each route in the store, with the addresses of the route's copies.
    pub fn stored_names(&self) -> impl Iterator<Item = (&RouteName, &[Arc<str>])> {
        self.routes.iter().map(|route| (&route.name, route.copies.as_slice()))
    }

    /// The name of each route that stores events, with the addresses of the route's copies.
    pub fn storing_names(&self) -> impl Iterator<Item = (&RouteName, &[Arc<str>])> {
        let storing = self.routes.iter().filter(|route| route.delivery.mode != config::DeliveryMode::Direct);
        storing.map(|route| (&route.name, route.copies.as_slice()))
    }

    /// The upstreams, in the order of `Target::slot`.
    pub fn upstreams(&self) -> &[config::Upstream] {
        &self.upstreams
    }

    /// Which requests are logged.
    pub fn access(&self) -> AccessLog {
        self.access
    }

    fn route(&self, id: RouteId) -> Result<&Route, Rejection> {
        self.routes.get(id.0).ok_or(Rejection::NoRoute)
    }

    /// The origin of a route's upstream.
    fn origin(&self, route: &Route) -> Result<&Origin, Rejection> {
        let upstream = self.upstreams.get(route.target.slot).ok_or(Rejection::UpstreamUnreachable)?;
        Ok(&upstream.origin)
    }

    fn bounds(&self, route: &Route) -> Bounds {
        Bounds { max_body: route.max_body, pace: self.pace }
    }

    /// The route of this path that takes the signed model. Refuses content that does not meet the route's
    /// requirements.
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
        // A set-up request is not signed, so it names no model.
        if !deliverable.is_authentic() && first.mode == Mode::Enforce {
            return Ok(first);
        }
        let unfit = |why| Rejection::ModelMismatch(Some(why));
        let selected = first.questions.read(deliverable.content()).map_err(unfit).and_then(|mut facts| {
            let route = if candidates.asks_for_model() {
                let model = facts.model().map_err(unfit)?;
                let id = candidates.select(deliverable.head().path(), model.as_deref());
                // Content that does not verify may be forged. Its model is logged only if a route has this model.
                record.model = model.filter(|_| id.is_some() || deliverable.is_authentic());
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

/// The rejection of a head. The record gets the method and the path, if the request line is understood.
fn unserved(refused: &RefusedHead, record: &mut Record) -> Rejection {
    if let Some(line) = &refused.line {
        record.set_method(&line.method);
        record.sent_path = Some(SentPath::new(&line.path));
    }
    match refused.error {
        HeadError::Malformed(what) => Rejection::Malformed(what),
        HeadError::LineTooLong => Rejection::TargetTooLong,
        HeadError::TooLarge => Rejection::HeadTooLarge,
        HeadError::TimedOut => Rejection::HeadTimeout,
        HeadError::Overloaded => Rejection::Overloaded,
        HeadError::UnknownCoding => Rejection::UnknownCoding,
        HeadError::UnknownVersion => Rejection::UnknownVersion,
        HeadError::Asterisk => {
            record.method = Some(Method::OPTIONS);
            record.sent_path = Some(SentPath::new("*"));
            Rejection::NoRoute
        }
        // A CONNECT target has no path, so no method is allowed.
        HeadError::Tunnel => {
            record.method = Some(Method::CONNECT);
            Rejection::MethodNotAllowed(String::new())
        }
    }
}
