//! Test support: a gateway on its own port, a scripted upstream, a client that writes raw bytes.

pub(crate) mod acme_authority;
pub(crate) mod admin;
pub(crate) mod client;
pub(crate) mod deliveries;
pub(crate) mod event;
pub(crate) mod gate;
pub(crate) mod gateway;
pub(crate) mod http2;
pub(crate) mod hyper;
pub(crate) mod in_time;
pub(crate) mod message;
pub(crate) mod process;
pub(crate) mod request;
pub(crate) mod reserved;
mod selftest;
pub(crate) mod shelf;
pub(crate) mod sign;
pub(crate) mod tls;
pub(crate) mod upstream;

use std::time::Duration;

pub(crate) use client::{Client, End, Response, assert_refused, exchange};
pub(crate) use gate::{Release, gate};
pub(crate) use gateway::{Gateway, Setup, gateway};
pub(crate) use request::{Post, post, unsigned};
pub(crate) use reserved::Reserved;
pub(crate) use sign::{SECRET, SECRET_NAME, digest, signature, signature_with};
pub(crate) use upstream::Upstream;

/// The time limit of every wait. A test that passes never needs all of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The body of the published example signature.
pub(crate) const FIXTURE: &[u8] = br#"{"meta":{"object":"leases","integration_id":"cuid_1234567890"},"record_id":"cuid_1234567890","diff":{"previous":{"status":"pending"},"new":{"status":"approved"}}}"#;

/// Stops the gateway, and asserts that no byte has reached the upstream.
pub(crate) fn nothing_reached(gateway: Gateway, mut upstream: Upstream) {
    drop(gateway);
    upstream.settle();
    assert_eq!(upstream.bytes(), 0, "something reached the upstream: {:?}", upstream.requests());
}
