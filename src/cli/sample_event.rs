//! Pure. The events of `send` and `demo`: a sample, its signed form, and the ways of forging it.

use std::time::SystemTime;

use clap::ValueEnum;
use http::{HeaderName, HeaderValue};

use crate::cli::sample_requests::{self, Sample};
use crate::signature::scheme::Scheme;
use crate::signature::template::Body;

/// A way to send an event that must not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Forgery {
    /// No signature
    Missing,
    /// A signature that lacks its last digit
    Malformed,
    /// A byte of the body changed after signing
    Tampered,
    /// Signed with a secret that is configured nowhere
    WrongSecret,
    /// The signature twice
    Duplicate,
    /// Signed correctly, but too long ago
    Expired,
}

impl Forgery {
    /// The reason with which the gateway must refuse the event.
    pub(super) fn expected_reason(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Malformed => "signature_malformed",
            Self::Tampered | Self::WrongSecret => "signature_mismatch",
            Self::Duplicate => "signature_duplicate",
            Self::Expired => "timestamp_expired",
        }
    }

    /// A text that says how the event was forged.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Missing => "without a signature",
            Self::Malformed => "with a signature that lacks its last digit",
            Self::Tampered => "with one byte changed after signing",
            Self::WrongSecret => "signed with a secret that is configured nowhere",
            Self::Duplicate => "with its signature twice",
            Self::Expired => "signed too long ago",
        }
    }
}

/// An event that is to be sent: the values of the signature field, one for each field line, and the content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) signatures: Vec<String>,
    pub(super) content: Vec<u8>,
}

/// Prepares an event with `content` and the `signature` over it. Forges the event in the requested way.
///
/// A wrong secret and an old time are the caller's work. For this function, such a signature is like any
/// other.
pub(super) fn prepare(content: Vec<u8>, mut signature: String, forgery: Option<Forgery>) -> Event {
    match forgery {
        None | Some(Forgery::WrongSecret | Forgery::Expired) => {
            Event { signatures: vec![signature], content }
        }
        Some(Forgery::Missing) => Event { signatures: Vec::new(), content },
        Some(Forgery::Malformed) => {
            // Base64 is valid without its padding, so more than the padding must be removed.
            signature.truncate(signature.trim_end_matches('=').len());
            signature.pop();
            Event { signatures: vec![signature], content }
        }
        Some(Forgery::Tampered) => Event { signatures: vec![signature], content: tampered(content) },
        Some(Forgery::Duplicate) => Event { signatures: vec![signature.clone(), signature], content },
    }
}

/// Replaces the last letter or digit. The length stays the same, and usually the form too.
fn tampered(mut content: Vec<u8>) -> Vec<u8> {
    match content.iter_mut().rev().find(|byte| byte.is_ascii_alphanumeric()) {
        Some(byte) => *byte = if *byte == b'0' { b'1' } else { b'0' },
        None => content.push(b' '),
    }
    content
}

/// A sample event in this scheme, for this model, sent at `now`.
pub(super) fn sample(scheme: &Scheme, model: &str, now: SystemTime) -> Vec<u8> {
    if let Some(content) = scheme.content_at(now) {
        return content;
    }
    if let Some(sample) = Sample::of(scheme) {
        return sample.content.as_bytes().to_vec();
    }
    if *scheme.content.content() == Body::Form {
        return b"event=sample&id=1".to_vec();
    }
    if scheme.model_pointers.is_empty() {
        return br#"{"event":"sample","id":"1","sent_by":"hookgate send"}"#.to_vec();
    }
    let model = serde_json::Value::from(model);
    let event = format!(
        r#"{{"meta":{{"object":{model},"integration_id":"cuid_1234567890"}},"record_id":"cuid_1234567890","diff":{{"previous":{{"status":"pending"}},"new":{{"status":"approved"}}}}}}"#
    );
    event.into_bytes()
}

/// The fields that come with a sample event in this scheme, besides the signed fields. `id` identifies the
/// event, so that no app takes it for one that it had before.
pub(super) fn sample_fields(scheme: &Scheme, id: &str) -> Vec<(HeaderName, HeaderValue)> {
    let sample = Sample::of(scheme).map(|sample| sample.fields).unwrap_or_default();
    let line = |(name, value): &(&'static str, &'static str)| {
        let value = if *value == sample_requests::ID { id } else { value };
        Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
    };
    sample.iter().filter_map(line).collect()
}

/// The media type that senders with this scheme use: a form, or JSON.
pub(super) fn media_type(scheme: &Scheme) -> &'static str {
    match scheme.content.content() {
        Body::Form => "application/x-www-form-urlencoded",
        Body::Whole | Body::Digest(_) | Body::Sha256(_) | Body::Jwt(_) => "application/json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(name: &str) -> &'static Scheme {
        Scheme::preset(name).unwrap()
    }

    #[test]
    fn the_sample_is_the_contracts_fixture_and_names_its_model() {
        let fixture = br#"{"meta":{"object":"leases","integration_id":"cuid_1234567890"},"record_id":"cuid_1234567890","diff":{"previous":{"status":"pending"},"new":{"status":"approved"}}}"#;
        let sample = |name, model| sample(preset(name), model, SystemTime::UNIX_EPOCH);
        assert_eq!(sample("propify", "leases"), fixture);
        let odd = sample("propexo", "le\"ads");
        let model = crate::routing::signed_model::read(&odd, &preset("propexo").model_pointers);
        assert_eq!(model, Ok(Some("le\"ads".to_owned())));
        assert!(sample("github", "leases").starts_with(b"{\"zen\""));
        assert_eq!(sample("linear", "leases"), b"{\"webhookTimestamp\":0}");
    }

    #[test]
    fn a_forged_event_differs_from_the_good_one_in_one_thing() {
        let made = |forgery| prepare(b"{\"a\":10}".to_vec(), "abcd".to_owned(), forgery);
        let event = |signatures: &[&str], content: &str| Event {
            signatures: signatures.iter().map(|s| (*s).to_owned()).collect(),
            content: content.as_bytes().to_vec(),
        };
        assert_eq!(made(None), event(&["abcd"], "{\"a\":10}"));
        assert_eq!(made(Some(Forgery::Missing)), event(&[], "{\"a\":10}"));
        assert_eq!(made(Some(Forgery::Malformed)), event(&["abc"], "{\"a\":10}"));
        assert_eq!(made(Some(Forgery::Tampered)), event(&["abcd"], "{\"a\":11}"));
        assert_eq!(made(Some(Forgery::Duplicate)), event(&["abcd", "abcd"], "{\"a\":10}"));
    }

    #[test]
    fn tampering_changes_every_content() {
        for content in ["", " ", "{}", "0", "abc", "{\"a\":\"z\"}"] {
            assert_ne!(tampered(content.into()), content.as_bytes(), "{content:?}");
        }
    }
}
