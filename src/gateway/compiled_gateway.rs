//! Pure. The configured gateway: the whole configuration, compiled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::Method;
use http::header::HeaderName;

use super::delivery_routes::{self, DeliveryRoute};
use super::receive::Bounds;
use super::route::{self, Route, Target, questions};
use super::storing;
use crate::admission::client::{ClientAddress, ExemptClients};
use crate::admission::failures::FailureLimit;
use crate::admission::memory::Budget;
use crate::admission::rate::Pace;
use crate::admission::trusted_proxies::{Arrival, LastHop, NoAddress, TrustedProxies};
use crate::config::{self, AccessLog, Config};
use crate::diagnosis::sample::RouteContexts;
use crate::diagnosis::submitter::{ROUTE_TOKENS, RouteSubmitter, Submitter};
use crate::gateway::capture::Capture;
use crate::gateway::rejection::Rejection;
use crate::message::head::{Guarded, RequestHead};
use crate::queue::event::RouteName;
use crate::routing::router::{Candidates, RouteId, Router};
use crate::signature::self_check::Fault as ProbeFault;
use crate::signature::{Deliverable, Fields as _, Mode, Verifier};
use crate::telemetry::labels::Labels;
use crate::telemetry::metric::Meters;
use crate::telemetry::record::{Record, RouteLabel};
use crate::telemetry::request_id::{GivenId, TraceId};
use crate::tls::authorities::Authorities;
use crate::tls::session::Session;
use crate::upstream::origin::Origin;
use crate::upstream::request::{ForwardOptions, set_fields};

/// The configured gateway: the whole configuration, compiled. It never changes. A reload builds another
/// gateway.
#[derive(Debug)]
pub struct Gateway {
    pub(super) router: Router,
    routes: Vec<Route>,
    /// The upstreams. An upstream that several routes use is listed once.
    upstreams: Vec<config::Upstream>,
    pace: Pace,
    access: AccessLog,
    request_id_field: Option<HeaderName>,
    /// The fields that the gateway sets in requests it forwards, and the field in which proxies report the
    /// client.
    pub(super) set_fields: Guarded,
    labels: Labels,
    pub(super) budget: Arc<Budget>,
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
    pub(super) fn failures_of(&self, client: ClientAddress) -> Option<&FailureLimit> {
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

    /// Checks a request against its TLS connection: the client's certificate, and the hosts that the
    /// gateway's certificates cover (RFC 9110, section 7.4).
    pub(super) fn secured(
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
    pub(super) fn arrival(&self, peer: ClientAddress, head: &RequestHead) -> Result<Arrival, Rejection> {
        match &self.trusted_proxies {
            None => Ok(Arrival { client: peer, last_hop: LastHop::Unknown, protocol: None }),
            Some(proxies) => {
                proxies.arrival(peer, head).map_err(|NoAddress(what)| Rejection::ClientAddress(what))
            }
        }
    }

    /// Reads the request's method and its identifiers, for the log.
    pub(super) fn identify(&self, head: &RequestHead, record: &mut Record) {
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

    pub(super) fn route(&self, id: RouteId) -> Result<&Route, Rejection> {
        self.routes.get(id.0).ok_or(Rejection::NoRoute)
    }

    /// The origin of a route's upstream.
    pub(super) fn origin(&self, route: &Route) -> Result<&Origin, Rejection> {
        let upstream = self.upstreams.get(route.target.slot).ok_or(Rejection::UpstreamUnreachable)?;
        Ok(&upstream.origin)
    }

    pub(super) fn bounds(&self, route: &Route) -> Bounds {
        Bounds { max_body: route.max_body, pace: self.pace }
    }

    /// The route of this path that takes the signed model. Refuses content that does not meet the route's
    /// requirements.
    pub(super) fn select<'g>(
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
                // Content that does not verify may be forged. Its model is logged only if a route has this
                // model.
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
