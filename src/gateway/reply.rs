//! Shell. What a client is answered: the upstream's response, or our own, as it goes over the wire.

use std::rc::Rc;

use http::StatusCode;
use http::header::{self, HeaderValue};

use crate::answer::{Answer, Ending};
use crate::forward::relay::Relay;
use crate::forward::response::ResponseHead;
use crate::rejection::{PROBLEM_TYPE, Rejection};
use crate::server::head::Asked;
use crate::server::message::{self, Delimited, Kind, Message};
use crate::server::scribe::Coming;
use crate::server::wire::{Transport, Wire};
use crate::server::worker::{Worker, second};
use crate::signature::challenge;
use crate::telemetry::record::Record;

/// The upstream's response, all of which has come with its head.
pub(super) fn relayed<IO: Transport>(
    head: &ResponseHead,
    content: &[u8],
    worker: &Worker,
    record: &mut Record,
    wire: &Wire<IO>,
) -> Message {
    record.sent = u64::try_from(content.len()).unwrap_or(u64::MAX);
    Message::relayed(wire.asked(), &head.text, content, ends_here(worker, wire))
}

/// The upstream's response, whose content is still coming.
pub(super) fn coming<IO: Transport>(
    head: &ResponseHead,
    relay: Box<Relay>,
    worker: &Worker,
    ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> Coming<IO> {
    let asked = wire.asked();
    let delimited = Delimited::of(asked, relay.left());
    if delimited == Delimited::ByClosing {
        wire.end_with_response();
    }
    let is_last = delimited == Delimited::ByClosing || ends_here(worker, wire);
    Coming {
        head: message::head(asked, &head.text, delimited, is_last, 0),
        delimited,
        content: Answer::new(relay, ending, wire),
        goes_on: !is_last && asked.goes_on(),
    }
}

/// A challenge's answer. It is never markup to whoever reads it (`nosniff`), nor kept.
pub(super) fn answered<IO: Transport>(
    answer: &challenge::Answer,
    worker: &Worker,
    ending: &mut Ending,
    wire: &Wire<IO>,
) -> Message {
    let date = (header::DATE, worker.date(ending.begun_at()));
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let content = answer.content.as_bytes();
    let (asked, is_last) = (wire.asked(), ends_here(worker, wire));
    let said = |fields: &[_]| Message::new(asked, StatusCode::OK, fields, content, is_last);
    let message = match answer.media_type {
        Some(media_type) => {
            let media_type = (header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            let no_sniff = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            said(&[date, media_type, no_sniff, no_store])
        }
        None => said(&[date, no_store]),
    };
    ending.record.challenge = Some("answered");
    take_down(&mut ending.record, StatusCode::OK, asked, content);
    message
}

/// A refusal: problem details (RFC 9457), and the field that its status code calls for.
pub(super) fn refuse<IO: Transport>(
    rejection: &Rejection,
    worker: &Worker,
    ending: &mut Ending,
    wire: &Wire<IO>,
) -> Message {
    let (asked, status, problem) = (wire.asked(), rejection.status(), rejection.problem());
    let is_last = rejection.ends_connection() || ends_here(worker, wire);
    let now = ending.begun_at();
    let make = || {
        let content = problem.as_bytes();
        let media_type = (header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        let date = (header::DATE, worker.date(now));
        match rejection.field() {
            Some(field) => Message::new(asked, status, &[media_type, date, field], content, is_last),
            None => Message::new(asked, status, &[media_type, date], content, is_last),
        }
    };
    let message = if rejection.is_uniform() {
        worker.refusal().borrow_mut().or_make(Kind { second: second(now), problem, asked, is_last }, make)
    } else {
        make()
    };
    take_down(&mut ending.record, status, asked, problem.as_bytes());
    message
}

/// Takes down that this is the response.
fn take_down(record: &mut Record, status: StatusCode, asked: Asked, content: &[u8]) {
    record.status = status.as_u16();
    if !asked.is_for_head {
        record.sent = u64::try_from(content.len()).unwrap_or(u64::MAX);
    }
}

/// Whether no request can follow this one, or should.
fn ends_here<IO: Transport>(worker: &Worker, wire: &Wire<IO>) -> bool {
    wire.is_draining()
        || wire.has_unread_content()
        || wire.entry().is_evicted()
        || worker.crowd().is_wanting()
}
