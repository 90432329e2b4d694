//! Shell. `/verify/PATH`: says whether the running gateway would accept an event. The event is not forwarded.
//!
//! The event is sent as its sender would send it, with `/verify` before its path. It passes through the
//! router and the verifier of the current configuration. It goes no further, because this code has no access
//! to an upstream.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;

use std::time::SystemTime;

use crate::admin::json_content::{content, document};
use crate::gateway::reason::Reason;
use crate::runtime::control::Control;

/// The prefix of an event's path.
const PREFIX: &str = "/verify";

/// The most bytes of content that are read. The memory budget does not count them.
const MAX_CONTENT: usize = 64 * 1024;

/// Whether a path of the admin listener is this prefix with an event's path after it.
pub(super) fn is_asked_about(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|path| path.starts_with('/'))
}

/// The result of a dry run.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Examination {
    /// Whether the event's signature verifies.
    pub verifies: bool,
    /// The path of the event's route, as configured. `None` if no route has it.
    pub route: Option<String>,
    /// The name of the secret that verifies the event.
    pub secret: Option<String>,
    /// Why the event would be refused.
    pub reason: Option<String>,
    /// Whether the route would forward the event although it does not verify, because the route is in observe
    /// mode.
    pub observed: bool,
    /// The number of the current configuration.
    pub generation: u64,
}

pub(super) async fn answer(control: &Control, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (mut head, body) = request.into_parts();
    let target = head.uri.path_and_query().and_then(|target| target.as_str().strip_prefix(PREFIX));
    let Some(target) = target.and_then(|target| target.parse::<PathAndQuery>().ok()) else {
        return document(StatusCode::NOT_FOUND, &json!({ "status": "not found" }));
    };
    head.uri = Uri::from(target);
    let content = match content(body, MAX_CONTENT).await {
        Ok(content) => content,
        Err(refusal) => return refusal,
    };
    let generation = control.generation();
    let dry_run = generation.gateway.dry_run(&head, &content, SystemTime::now());
    let route = dry_run.route.as_deref();
    let (status, secret, reason) = match &dry_run.verdict {
        Ok(secret) => (StatusCode::OK, Some(&**secret), None),
        Err(rejection) => (rejection.status(), None, rejection.reason().map(Reason::as_str)),
    };
    // A client may try signatures here. So each attempt is logged, as on the public listeners.
    info!(route, secret, reason, "an event was examined on the admin listener");
    let examination = Examination {
        verifies: secret.is_some(),
        route: route.map(str::to_owned),
        secret: secret.map(str::to_owned),
        reason: reason.map(str::to_owned),
        observed: dry_run.is_observed,
        generation: generation.number,
    };
    document(status, &json!(examination))
}
