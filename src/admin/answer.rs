//! Shell. The answers of the admin listener.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::admin::access::Asker;
use crate::admin::json_content::{document, respond, seconds};
use crate::admin::{doctor, verify};
use crate::gateway::{Gateway, Unfit};
use crate::queue::event::Upstream;
use crate::queue::handle::{Health, Queue};
use crate::queue::store::Destination;
use crate::queue::time::Time;
use crate::runtime::control::Control;
use crate::runtime::process;
use crate::runtime::resource_use::ResourceUse;
use crate::telemetry;
use crate::telemetry::acme_metrics::{self, AcmeState};
use crate::telemetry::exposition::{self, Gauges};
use crate::telemetry::labels::{Labels, Validity};
use crate::telemetry::process_metrics::{self, ProcessState};
use crate::telemetry::queue_metrics::{self, QueueState, Totals};

/// Answers a request.
pub(super) async fn answer(
    control: &Control,
    asker: Asker,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let page = match request.uri().path() {
        "/healthz" => Page::Health,
        "/readyz" => Page::Readiness,
        "/metrics" => Page::Metrics,
        "/secrets" => Page::Secrets,
        "/doctor" => Page::Doctor,
        path if verify::is_asked_about(path) => Page::Verify,
        _ => {
            let paths =
                ["/healthz", "/readyz", "/metrics", "/secrets", "/doctor", "/verify/...", "/api/v1/..."];
            return document(StatusCode::NOT_FOUND, &json!({ "status": "not found", "paths": paths }));
        }
    };
    if let Some(allow) = page.refuses(request.method()) {
        let refusal = json!({ "status": "method not allowed" });
        let mut response = document(StatusCode::METHOD_NOT_ALLOWED, &refusal);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        return response;
    }
    let refused = match page {
        // Supervisors, load balancers and scrapers may use any host name.
        Page::Health | Page::Readiness | Page::Metrics => None,
        Page::Secrets => asker.may_read(request.headers()),
        // No scheme signs `host`. So an event can be sent here without the `host` of its sender.
        Page::Verify | Page::Doctor => asker.may_look_closer(request.uri(), request.headers()),
    };
    if let Some(why) = refused {
        return document(StatusCode::FORBIDDEN, &json!({ "status": why }));
    }
    match page {
        // Any answer shows that the gateway is alive. A failing upstream is no reason to restart the gateway.
        Page::Health => document(StatusCode::OK, &json!({ "status": "alive" })),
        Page::Readiness => readiness(control),
        Page::Metrics => respond(StatusCode::OK, exposition::MEDIA_TYPE, metrics(control)),
        Page::Secrets => document(StatusCode::OK, &json!(secrets(control))),
        Page::Doctor => doctor::answer(control, request).await,
        Page::Verify => verify::answer(control, request).await,
    }
}

enum Page {
    Health,
    Readiness,
    Metrics,
    Secrets,
    Doctor,
    Verify,
}

impl Page {
    /// The allowed methods, if `method` is not one of them. The content of a refused request is not read.
    fn refuses(&self, method: &Method) -> Option<&'static str> {
        match self {
            Self::Health | Self::Readiness | Self::Metrics | Self::Secrets => {
                (!matches!(*method, Method::GET | Method::HEAD)).then_some("GET, HEAD")
            }
            Self::Doctor => (*method != Method::POST).then_some("POST"),
            // The allowed methods are the methods of the event's route.
            Self::Verify => None,
        }
    }
}

fn readiness(control: &Control) -> Response<Full<Bytes>> {
    let generation = control.generation();
    if !control.is_ready() {
        return document(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "starting or draining" }));
    }
    if control.queue().is_some_and(|queue| queue.health() == Health::Failing) {
        return document(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": STORE_FAILS }));
    }
    match generation.gateway.probe(SystemTime::now()) {
        Ok(()) => document(StatusCode::OK, &json!({ "status": "ready", "generation": generation.number })),
        Err(Unfit { route, fault }) => {
            let what = json!({ "status": "does not verify", "route": &*route, "detail": fault.to_string() });
            document(StatusCode::SERVICE_UNAVAILABLE, &what)
        }
    }
}

/// Why a gateway is not ready if its store fails.
const STORE_FAILS: &str = "the queue's store fails: nothing is acknowledged until it is open again";

fn metrics(control: &Control) -> String {
    let generation = control.generation();
    let reloads = control.reloads();
    let gauges = Gauges {
        buffered_bytes: control.buffered_bytes(),
        reloads: reloads.ok,
        failed_reloads: reloads.failed,
        generation: generation.number,
        log_dropped: telemetry::dropped(),
        ready: control.is_ready()
            && !control.queue().is_some_and(|queue| queue.health() == Health::Failing)
            && generation.gateway.probe(SystemTime::now()).is_ok(),
        started: seconds(control.started_at()),
    };
    let labels = labels(control);
    let mut acme = AcmeState::default();
    for (name, orders, _facts) in control.issued().orders() {
        acme.orders.push((name, orders.succeeded, orders.failed));
    }
    let process = process_metrics::collector(process_state(gauges.started));
    let acme = generation.acme.is_some().then(|| acme_metrics::collector(acme));
    let further = std::iter::once(process).chain(acme).chain(
        control.queue().map(|queue| queue_metrics::collector(queue_state(&generation.gateway, queue))),
    );
    exposition::text(control.meters().sum(), labels, gauges, further)
}

/// The labels of the configuration in force, with the certificates that an authority has issued.
pub(crate) fn labels(control: &Control) -> Labels {
    let mut labels = control.generation().gateway.labels().clone();
    for (name, _orders, facts) in control.issued().orders() {
        facts.iter().for_each(|facts| labels.add_certificate(&name, Validity::of(facts)));
    }
    labels
}

fn process_state(started: u64) -> ProcessState {
    let ResourceUse { cpu_micros, resident_bytes, virtual_bytes, open_descriptors } = ResourceUse::now();
    let most_descriptors = process::descriptors_allowed();
    ProcessState { cpu_micros, resident_bytes, virtual_bytes, open_descriptors, most_descriptors, started }
}

fn queue_state(gateway: &Gateway, queue: &Queue) -> QueueState {
    let (statistics, (commits, committed), health) = (queue.statistics(), queue.commits(), queue.health());
    let mut state = QueueState::new(Totals {
        bytes: statistics.bytes,
        disk_free: queue.disk_free(),
        is_full: health == Health::Full,
        is_failing: health == Health::Failing,
        damage: queue.damage(),
        commits,
        committed,
        now: Time::of(SystemTime::now()),
    });
    for (route, copies) in gateway.storing_names() {
        let copies = copies.iter().map(|address| Upstream::Copy(Arc::clone(address)));
        for upstream in std::iter::once(Upstream::Main).chain(copies) {
            state.add_destination(&Destination { route: route.clone(), upstream });
        }
    }
    for (destination, counts) in &statistics.counts {
        state.add_counts(destination, counts);
    }
    for (route, count) in queue.removed_soon() {
        state.add_removed_soon(&route, count);
    }
    for (destination, counted) in queue.deliveries().all() {
        state.add_deliveries(&destination, &counted);
    }
    state
}

/// `/secrets`: the document that `hookgate secrets` reads.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SecretsReport {
    /// The gateway's clock, in seconds since 1970.
    pub now: u64,
    /// When the gateway was started, in seconds since 1970.
    pub started: u64,
    /// The gateway's secrets, in the order of the configuration.
    pub secrets: Vec<SecretReport>,
}

/// One secret of the report.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SecretReport {
    /// The `secret` label in the metrics.
    pub label: String,
    /// The secret's name.
    pub name: String,
    /// The scheme of the signature.
    pub scheme: String,
    /// The paths of the routes whose events the secret verifies.
    pub routes: Vec<String>,
    /// How many events the secret has verified since the start.
    pub verified: u64,
    /// When the secret last verified an event, in seconds since 1970.
    pub last_seen: Option<u64>,
    /// The time from which the secret verifies nothing, in seconds since 1970. An older gateway does not send
    /// this field.
    #[serde(default)]
    pub not_after: Option<u64>,
}

/// The report on the secrets.
pub(crate) fn secrets(control: &Control) -> SecretsReport {
    let sum = control.meters().sum();
    let generation = control.generation();
    let secrets = generation.gateway.labels().secrets.iter().map(|secret| {
        let seen = sum.seen(secret);
        SecretReport {
            label: secret.label.clone(),
            name: (*secret.name).to_owned(),
            scheme: secret.scheme.to_string(),
            routes: secret.routes.iter().map(|path| (**path).to_owned()).collect(),
            verified: seen.count,
            last_seen: (seen.count > 0).then_some(seen.last),
            not_after: secret.not_after.map(seconds),
        }
    });
    SecretsReport {
        now: seconds(SystemTime::now()),
        started: seconds(control.started_at()),
        secrets: secrets.collect(),
    }
}
