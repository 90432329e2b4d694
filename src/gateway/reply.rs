//! Shell. What a client is answered: the upstream's response, for hyper to write, or our own, as it goes over the wire.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode, Version};
use http_body::Body as _;
use hyper::ext::ReasonPhrase;

use crate::answer::{Answer, Ending};
use crate::forward;
use crate::forward::response::ResponseHead;
use crate::rejection::{PROBLEM_TYPE, Rejection};
use crate::server::head::Asked;
use crate::server::message::{Kind, Message};
use crate::server::spelling::has_capitals;
use crate::server::wire::{Transport, Wire};
use crate::server::worker::{Worker, second};
use crate::signature::challenge;
use crate::telemetry::record::Record;

/// The upstream's response, as it came, and the head that its fields are spelled as in, if that is not as hyper does.
pub(super) fn pass_on<IO: Transport>(
    answer: forward::Response,
    worker: &Worker,
    ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> (Response<Answer<IO>>, Option<Bytes>) {
    let forward::Response { head, raw, content } = answer;
    let mut response = Response::new(match withheld(&head) {
        Some(length) => Answer::withheld(length, ending, wire),
        None => Answer::relayed(content, ending, wire),
    });
    *response.status_mut() = head.status;
    *response.headers_mut() = head.fields;
    if let Some(reason) = head.reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
        response.extensions_mut().insert(reason);
    }
    let ends_by_closing = ends_by_closing(&response, wire);
    if ends_by_closing {
        wire.end_with_response();
    }
    if ends_by_closing || ends_here(worker, wire) {
        last(&mut response, wire);
    }
    (response, Some(raw).filter(|raw| has_capitals(raw)))
}

/// The length of the content that a 304 does without, where it says so: `look` has found it to be one number.
fn withheld(head: &ResponseHead) -> Option<u64> {
    let length = head.fields.get(header::CONTENT_LENGTH).filter(|_| head.status == StatusCode::NOT_MODIFIED);
    length?.to_str().ok()?.parse().ok()
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
    wire.is_draining() || wire.has_unread_content() || worker.crowd().is_wanting()
}

/// Makes it the last response of its connection.
fn last<IO: Transport>(response: &mut Response<Answer<IO>>, wire: &Wire<IO>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    if wire.is_http_10() {
        // Or hyper would add the `keep-alive` that an HTTP/1.0 client may have asked for.
        *response.version_mut() = Version::HTTP_10;
    }
}

/// Whether only the end of the connection can end the response (RFC 9112, section 6.3).
fn ends_by_closing<IO: Transport>(response: &Response<Answer<IO>>, wire: &Wire<IO>) -> bool {
    wire.is_http_10() && response.body().size_hint().exact().is_none()
}
