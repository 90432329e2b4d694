//! Shell. Responses as hyper writes them: the upstream's, and our own.

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
use crate::server::spelling::has_capitals;
use crate::server::wire::{Transport, Wire};
use crate::server::worker::Worker;
use crate::signature::challenge;

/// The upstream's response, as it came.
pub(super) fn pass_on<IO: Transport>(
    answer: forward::Response,
    ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> Response<Answer<IO>> {
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
    if has_capitals(&raw) {
        wire.spell_as(raw);
    }
    response
}

/// The length of the content that a 304 does without, where it says so: `look` has found it to be one number.
fn withheld(head: &ResponseHead) -> Option<u64> {
    let length = head.fields.get(header::CONTENT_LENGTH).filter(|_| head.status == StatusCode::NOT_MODIFIED);
    length?.to_str().ok()?.parse().ok()
}

/// A challenge's answer. It is never markup to whoever reads it (`nosniff`), nor kept.
pub(super) fn answered<IO: Transport>(
    answer: challenge::Answer,
    worker: &Worker,
    mut ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> Response<Answer<IO>> {
    ending.record.status = StatusCode::OK.as_u16();
    ending.record.challenge = Some("answered");
    let date = worker.date(ending.begun_at());
    let mut response = Response::new(Answer::own(answer.content.into(), ending, wire));
    let fields = response.headers_mut();
    fields.insert(header::DATE, date);
    if let Some(media_type) = answer.media_type {
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A refusal: problem details (RFC 9457), and the field that its status code calls for.
pub(super) fn refuse<IO: Transport>(
    rejection: &Rejection,
    worker: &Worker,
    ending: Ending,
    wire: &Rc<Wire<IO>>,
) -> Response<Answer<IO>> {
    let date = worker.date(ending.begun_at());
    let mut response =
        Response::new(Answer::own(Bytes::from_static(rejection.problem().as_bytes()), ending, wire));
    *response.status_mut() = rejection.status();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
    fields.insert(header::DATE, date);
    if let Some((name, value)) = rejection.field() {
        fields.insert(name, value);
    }
    if rejection.ends_connection() {
        last(&mut response, wire);
    }
    response
}

/// Makes it the last response of its connection.
pub(super) fn last<IO: Transport>(response: &mut Response<Answer<IO>>, wire: &Wire<IO>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    if wire.is_http_10() {
        // Or hyper would add the `keep-alive` that an HTTP/1.0 client may have asked for.
        *response.version_mut() = Version::HTTP_10;
    }
}

/// Whether only the end of the connection can end the response (RFC 9112, section 6.3).
pub(super) fn ends_by_closing<IO: Transport>(response: &Response<Answer<IO>>, wire: &Wire<IO>) -> bool {
    wire.is_http_10() && response.body().size_hint().exact().is_none()
}
