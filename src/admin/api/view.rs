//! Pure. Writes events as documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::filter::{millis, written};
use super::live_state::{LiveState, Seen, of_event};
use crate::queue::event::{Attempt, RouteName, StoredEvent, Upstream};
use crate::queue::store::{Class, DeliverySummary, Detail, Summary};
use crate::queue::stored_head;

/// Whether the document of an event has the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The document has the content.
    Shown,
    /// The document has no content.
    LeftOut,
}

/// An event in a list.
pub(super) fn summary(event: &Summary, live: &LiveState) -> Value {
    let (mut document, deliveries) = begun(event, live);
    document.insert("deliveries".to_owned(), deliveries.into());
    document.into()
}

/// An event with everything that is kept. The content is left out unless `content` requests it.
pub(super) fn detail(event: &Detail, live: &LiveState, content: Content) -> Value {
    let (mut document, mut deliveries) = begun(&event.summary, live);
    for (delivery, attempts) in deliveries.iter_mut().zip(&event.attempts) {
        if let Some(delivery) = delivery.as_object_mut() {
            let attempts: Vec<_> = attempts.iter().map(attempt).collect();
            delivery.insert("kept_attempts".to_owned(), attempts.into());
        }
    }
    document.insert("deliveries".to_owned(), deliveries.into());
    let kept = event.event.as_ref();
    document.insert("content_kept".to_owned(), kept.is_some().into());
    document.insert("fields".to_owned(), kept.map_or(Value::Null, |event| fields(event.head())));
    if content == Content::Shown {
        document.insert("content".to_owned(), kept.map_or(Value::Null, |event| bytes(event.content(), Both)));
    }
    document.into()
}

/// An event in an export: everything that is kept, with the head and the content as they are stored.
pub(super) fn exported(event: &Detail, live: &LiveState) -> Value {
    let mut document = detail(event, live, Content::LeftOut);
    if let Some(document) = document.as_object_mut() {
        let encoded = |part: fn(&StoredEvent) -> &[u8]| {
            event.event.as_ref().map_or(Value::Null, |event| STANDARD.encode(part(event)).into())
        };
        document.insert("head_base64".to_owned(), encoded(StoredEvent::head));
        document.insert("content_base64".to_owned(), encoded(StoredEvent::content));
    }
    document
}

/// The name of a route.
pub(super) fn route(route: &RouteName) -> Value {
    json!({ "path": &*route.path, "model": route.model.as_deref() })
}

/// The name of an upstream: `main`, or the address of a copy.
pub(super) fn upstream(upstream: &Upstream) -> &str {
    match upstream {
        Upstream::Main => "main",
        Upstream::Copy(address) => address,
    }
}

fn begun(event: &Summary, live: &LiveState) -> (Map<String, Value>, Vec<Value>) {
    let info = &event.info;
    let states: Vec<_> = event.deliveries.iter().map(|delivery| live.of(&info.route, delivery)).collect();
    let whole = of_event(&states);
    let mut document = Map::new();
    let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
    put("id", info.id.to_string().into());
    put("received", written(info.received).into());
    put("route", route(&info.route));
    put("state", whole.state.into());
    put("held", whole.held.into());
    put("cause", whole.cause.into());
    put("model", info.model.clone().into());
    put("scheme", info.scheme.clone().into());
    put("secret", (*info.secret).into());
    put("client", info.client.clone().into());
    put("method", info.method.clone().into());
    put("target", String::from_utf8_lossy(&info.target).into());
    put("length", event.length.into());
    put("sha256", hex::encode(info.digest).into());
    put("order", info.order.as_ref().map(|order| order.as_str()).into());
    let deliveries = event.deliveries.iter().zip(states).map(|(one, seen)| delivery(one, seen)).collect();
    (document, deliveries)
}

fn delivery(delivery: &DeliverySummary, seen: Seen) -> Value {
    json!({
        "id": delivery.id.0,
        "upstream": upstream(&delivery.upstream),
        "state": seen.state,
        "held": seen.held,
        "cause": seen.cause,
        "kind": match delivery.class {
            Class::New => "new",
            Class::Retry => "retry",
            Class::Replay => "replay",
        },
        "due": (seen.state == "queued").then(|| written(delivery.due)),
        "attempts": delivery.attempts,
        "ended": delivery.ended.map(written),
        "last": delivery.last.as_ref().map(last),
    })
}

/// An attempt in a list. The content of its answer is left out.
fn last(attempt: &Attempt) -> Value {
    json!({
        "at": written(attempt.at),
        "took_ms": millis(attempt.took),
        "outcome": attempt.outcome.as_str(),
        "status": attempt.status,
        "detail": attempt.detail,
    })
}

fn attempt(attempt: &Attempt) -> Value {
    let mut document = last(attempt);
    if let Some(document) = document.as_object_mut() {
        let response = (!attempt.response.is_empty()).then(|| bytes(&attempt.response, Either));
        document.insert("response".to_owned(), response.unwrap_or(Value::Null));
    }
    document
}

/// The forms in which a document has bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// As text if the bytes are text, and as base64 otherwise.
    Either,
    /// As base64. If the bytes are text, also as text.
    Both,
}
use Forms::{Both, Either};

fn bytes(bytes: &[u8], forms: Forms) -> Value {
    let text = std::str::from_utf8(bytes).ok();
    match (text, forms) {
        (Some(text), Either) => json!({ "text": text }),
        (Some(text), Both) => json!({ "text": text, "base64": STANDARD.encode(bytes) }),
        (None, Either | Both) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// The field lines of a head, in their order. A value that is not UTF-8 is written as base64.
fn fields(head: &[u8]) -> Value {
    let lines = head.split(|byte| *byte == b'\n').skip(1).map(<[u8]>::trim_ascii_end);
    let fields = lines.take_while(|line| !line.is_empty()).map(|line| {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let name = String::from_utf8_lossy(name);
        match std::str::from_utf8(value) {
            Ok(value) => json!({ "name": name, "value": stored_head::shown(value) }),
            Err(_binary) => json!({ "name": name, "base64": STANDARD.encode(value) }),
        }
    });
    fields.collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_lines_keep_their_order_and_spelling() {
        let head = b"POST /a HTTP/1.1\r\nHost: h\r\nX-Two: a: b\r\nx-two:c\r\nX-Bin: \xff\r\n\r\nnot: this";
        assert_eq!(
            fields(head),
            json!([
                { "name": "Host", "value": "h" },
                { "name": "X-Two", "value": "a: b" },
                { "name": "x-two", "value": "c" },
                { "name": "X-Bin", "base64": "/w==" },
            ])
        );
    }

    #[test]
    fn bytes_are_text_only_where_they_are_utf_8() {
        assert_eq!(bytes(b"\xffa", Both), json!({ "base64": "/2E=" }));
        assert_eq!(bytes(b"a", Both), json!({ "text": "a", "base64": "YQ==" }));
        assert_eq!(bytes(b"a", Either), json!({ "text": "a" }));
    }
}
