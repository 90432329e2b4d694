//! Shell. `/doctor`: the state of the gateway, and the differences between its configuration and the
//! client's.
//!
//! The client sends digests of its configuration, and the answer names the parts that differ. The gateway
//! never sends its own digests. With them, values of the file such as an upstream's address could be guessed
//! offline.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::admin::json_content::{content, document, seconds};
use crate::config::digest::Part;
use crate::runtime::control::Control;
use crate::runtime::process;
use crate::tls::acme::issued::Orders;
use crate::tls::certificate::Facts;

/// The request of `hookgate doctor`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Compared {
    /// The client's version. Digests of two versions cannot be compared.
    pub version: String,
    /// The parts of the client's configuration.
    pub parts: Vec<Part>,
}

/// A part of the configuration that differs.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Both configurations have the part, with different settings.
    Changed(String),
    /// Only the client's configuration has the part.
    OnlyAsked(String),
    /// Only the gateway's configuration has the part.
    OnlyRunning(String),
}

/// The state of the gateway.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct State {
    /// The gateway's version.
    pub version: String,
    /// The number of the current configuration.
    pub generation: u64,
    /// The differences from the client's configuration. `None` if the versions differ.
    pub differences: Option<Vec<Difference>>,
    /// The keys whose new values take effect only after a restart.
    pub restart: Vec<String>,
    /// Whether the last reload failed.
    pub outdated: bool,
    /// The addresses on which the gateway listens.
    pub listening: Vec<String>,
    /// The gateway's clock, in seconds since 1970.
    pub now: u64,
    /// The limit on descriptors. `None` if there is no limit.
    pub descriptors_allowed: Option<u64>,
    /// How many descriptors the configuration may need.
    pub descriptors_needed: u64,
    /// The certificates that an authority issues.
    #[serde(default)]
    pub acme: Vec<IssuedState>,
}

/// The state of a certificate that an authority issues. Times are in seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct IssuedState {
    /// The name of the certificate.
    pub name: String,
    /// When the certificate expires. `None` if there is no certificate yet.
    pub expires: Option<u64>,
    /// Why the last order failed, if it failed.
    pub failure: Option<String>,
    /// When the next order begins.
    pub next: Option<u64>,
    /// Whether the authority asks for an early renewal.
    #[serde(default)]
    pub is_early: bool,
}

pub(super) async fn answer(control: &Control, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let content = match content(request.into_body(), MAX_CONTENT).await {
        Ok(content) => content,
        Err(refusal) => return refusal,
    };
    match serde_json::from_slice(&content) {
        Ok(asked) => document(StatusCode::OK, &json!(state(control, &asked))),
        Err(_undisclosed) => document(StatusCode::BAD_REQUEST, &json!({ "status": "not understood" })),
    }
}

/// The most bytes of a request. Some thousand routes fit.
const MAX_CONTENT: usize = 1 << 20;

fn state(control: &Control, asked: &Compared) -> State {
    let generation = control.generation();
    let is_comparable = asked.version == VERSION;
    State {
        version: VERSION.to_owned(),
        generation: generation.number,
        differences: is_comparable.then(|| differences(&asked.parts, &generation.parts)),
        restart: generation.fixed.iter().map(|key| (*key).to_owned()).collect(),
        outdated: control.reloads().is_outdated,
        listening: control.listening().iter().map(ToString::to_string).collect(),
        now: seconds(SystemTime::now()),
        descriptors_allowed: process::descriptors_allowed(),
        descriptors_needed: generation.descriptors,
        acme: control.issued().orders().into_iter().map(issued).collect(),
    }
}

fn issued((name, orders, facts): (Arc<str>, Orders, Option<Arc<Facts>>)) -> IssuedState {
    let expires = facts.map(|facts| seconds(facts.not_after));
    let (name, next) = (name.to_string(), orders.next.map(seconds));
    IssuedState { name, expires, failure: orders.failure, next, is_early: orders.is_early }
}

/// The version of this program, for the comparison.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn differences(asked: &[Part], running: &[Part]) -> Vec<Difference> {
    let theirs = asked.iter().filter_map(|part| {
        let name = part.name.clone();
        match running.iter().find(|ours| ours.name == name) {
            None => Some(Difference::OnlyAsked(name)),
            Some(ours) => (ours.digest != part.digest).then_some(Difference::Changed(name)),
        }
    });
    let ours = running.iter().filter(|ours| !asked.iter().any(|part| part.name == ours.name));
    theirs.chain(ours.map(|ours| Difference::OnlyRunning(ours.name.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_names_its_side() {
        let running = ["a 1", "b 1", "c 1"].map(|text| text.split_once(' ').unwrap());
        let running = running.map(|(name, digest)| Part { name: name.into(), digest: digest.into() });
        let asked = ["b 2", "c 1", "d 1"].map(|text| text.split_once(' ').unwrap());
        let asked = asked.map(|(name, digest)| Part { name: name.into(), digest: digest.into() });
        let want = [
            Difference::Changed("b".into()),
            Difference::OnlyAsked("d".into()),
            Difference::OnlyRunning("a".into()),
        ];
        assert_eq!(differences(&asked, &running), want);
    }
}
