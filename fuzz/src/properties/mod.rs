//! The properties. Each takes any bytes. They share a parser of HTTP that is independent of hookgate's
//! parser.

pub mod challenge;
pub mod chunked;
pub mod config;
pub mod connection;
pub mod field;
pub mod fields;
pub mod form;
pub mod head;
pub mod http2;
pub mod http2_head;
pub mod hyper;
pub mod response;
pub mod router;
mod stage;
mod strict;

/// The secret of all signatures here, and the content of the published example.
const SECRET: &str = "propify_test_secret";
const FIXTURE: &str = r#"{"meta":{"object":"leases","integration_id":"cuid_1234567890"},"record_id":"cuid_1234567890","diff":{"previous":{"status":"pending"},"new":{"status":"approved"}}}"#;

/// The tag of some content under [`SECRET`], computed without hookgate.
fn tag(content: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes any key");
    mac.update(content);
    #[allow(clippy::disallowed_methods, reason = "this computes what hookgate's own is compared with")]
    mac.finalize().into_bytes().to_vec()
}

/// Splits off the first byte, which selects a case. If there is no byte, the result is 0.
fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}
