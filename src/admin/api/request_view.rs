//! Pure. Writes recent requests, deliveries and likely causes as documents.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::filter::written;
use crate::gateway::reason::Reason;
use crate::queue::time::Time;
use crate::telemetry::recent::capture::Captured;
use crate::telemetry::recent::entry::{DeliveryAttempt, Entry, LikelyCause, Numbered, Subject};
use crate::telemetry::recent::filter::State;
use crate::telemetry::record::Record;
use crate::telemetry::request_id::{GivenId, TraceId};

/// The document of an entry. A value that is not known is left out. The names are those of the log.
pub(crate) fn document(numbered: &Numbered) -> Value {
    let entry = &*numbered.entry;
    let mut document = Document::default();
    document.set("number", numbered.number);
    document.set("kind", kind(entry));
    document.set("at", time(entry.at));
    match &entry.subject {
        Subject::Request(record) => {
            document.set("state", State::of(entry).as_str());
            request(&mut document, record);
            document.set_if("cause", entry.cause().map(cause));
        }
        Subject::Delivery(attempt) => {
            document.set("state", State::of(entry).as_str());
            delivery(&mut document, attempt);
        }
        Subject::Cause(of) => {
            document.set("of", of.number);
            if let Some(record) = of.entry.request() {
                document.set("request_id", request_id(record));
                document.set_if("path", record.path());
                document.set_if("route", record.route_path());
                document.set_if("reason", record.reason.or(record.observed).map(Reason::as_str));
            }
            document.set_if("cause", entry.cause().map(cause));
        }
    }
    document.0.into()
}

/// The document of one entry, with its captured request, if there is one.
pub(super) fn detail(numbered: &Numbered, with_content: bool) -> Value {
    let mut document = document(numbered);
    if let (Value::Object(members), Some(one)) = (&mut document, numbered.entry.captured()) {
        members.insert("captured".to_owned(), captured(&one, with_content));
    }
    document
}

fn captured(captured: &Captured, with_content: bool) -> Value {
    let (_, target) = captured.request_line();
    let fields = captured.fields().map(|(name, value)| field(name, value));
    let mut document = json!({
        "target": String::from_utf8_lossy(target),
        "fields": fields.collect::<Vec<_>>(),
        "fields_left_out": captured.is_head_cut(),
        "content_received": captured.received(),
        "content_kept": captured.content().len(),
    });
    if with_content && let Value::Object(members) = &mut document {
        members.insert("content_base64".to_owned(), STANDARD.encode(captured.content()).into());
    }
    document
}

/// A field line. A value that is not UTF-8 is written as base64.
fn field(name: &[u8], value: &[u8]) -> Value {
    let name = String::from_utf8_lossy(name);
    match std::str::from_utf8(value) {
        Ok(value) => json!({ "name": name, "value": value }),
        Err(_binary) => json!({ "name": name, "base64": STANDARD.encode(value) }),
    }
}

/// The kind of an entry, as a word.
pub(crate) fn kind(entry: &Entry) -> &'static str {
    match &entry.subject {
        Subject::Request(_) => "request",
        Subject::Delivery(_) => "delivery",
        Subject::Cause(_) => "cause",
    }
}

#[derive(Default)]
struct Document(Map<String, Value>);

impl Document {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn set_if(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }
}

fn request(document: &mut Document, record: &Record) {
    document.set("request_id", request_id(record));
    document.set_if("trace_id", record.trace_id.as_ref().map(TraceId::as_str));
    document.set_if("method", record.method.as_ref().map(http::Method::as_str));
    document.set_if("path", record.path());
    document.set("client", record.client.to_string());
    document.set("peer", record.peer.to_string());
    document.set_if("route", record.route_path());
    document.set_if("model", record.model.as_deref());
    document.set("status", record.status);
    document.set_if("reason", record.reason.map(Reason::as_str));
    document.set_if("would_refuse", record.observed.map(Reason::as_str));
    document.set_if("challenge", record.challenge);
    document.set_if("detail", record.detail.as_deref());
    document.set_if("scheme", record.route.as_ref().map(|route| &*route.scheme));
    document.set_if("secret", record.secret.as_deref());
    document.set_if("client_certificate", record.client_certificate.as_deref());
    document.set_if("event", record.stored.map(|id| id.to_string()));
    document.set("bytes_in", record.received);
    document.set("bytes_out", record.sent);
    document.set("duration_ms", millis(record.took));
    document.set_if("verified_ms", record.verified_after.map(millis));
    document.set_if("upstream_ms", record.upstream_took.map(millis));
}

fn delivery(document: &mut Document, attempt: &DeliveryAttempt) {
    document.set("event", attempt.event.to_string());
    document.set("route", &*attempt.route.path);
    document.set_if("model", attempt.route.model.as_deref());
    document.set("upstream", &*attempt.upstream);
    document.set("attempt", attempt.number);
    document.set_if("probe", attempt.is_probe.then_some(true));
    document.set("outcome", attempt.outcome.as_str());
    document.set_if("status", attempt.status);
    document.set_if("detail", attempt.detail.as_deref());
    document.set("duration_ms", millis(attempt.took));
    document.set_if("again_ms", attempt.again_in.map(millis));
    document.set_if("dead", attempt.dead.map(|cause| cause.as_str()));
}

fn cause(cause: &LikelyCause) -> Value {
    json!({ "label": cause.label, "detail": cause.detail, "advice": cause.advice })
}

fn request_id(record: &Record) -> String {
    record.given_id.as_ref().map(GivenId::as_str).map_or_else(|| record.id.to_string(), str::to_owned)
}

fn time(at: SystemTime) -> String {
    written(Time::of(at))
}

/// Milliseconds with three decimals.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
