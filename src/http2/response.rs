//! Shell. A reply in the form that hyper sends: fields, and content that comes piece by piece.

use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};

use crate::gateway::rejection::Rejection;
use crate::gateway::reply::{OwnReply, Reply};
use crate::gateway::request_guard::RequestGuard;
use crate::gateway::resources::UpstreamContent;
use crate::http2::limits::PIECE;
use crate::http2::stream::Stream;
use crate::runtime::request_scope::Scope;
use crate::upstream::body::ResponseBody;
use crate::upstream::error::chain;
use crate::upstream::response::SURPLUS;

/// The guard of a request. The content of its response holds it.
type Guard = Box<RequestGuard<Scope>>;

/// The log text for an upstream's response with a field that no HTTP/2 response can have.
const NO_FIELD: &str = "the upstream's response has a field that HTTP/2 cannot carry";

/// The error that ends a stream early: the response has broken off.
#[derive(Debug, thiserror::Error)]
#[error("the response has broken off")]
pub(crate) struct BrokenOff;

/// The rest of a response's content.
#[derive(Debug)]
enum Rest {
    Whole(Bytes),
    Streaming(Box<ResponseBody>),
}

impl Rest {
    /// Reads and discards the rest of the response, so that the upstream sees no broken exchange.
    fn drain(self, guard: &Guard) {
        match self {
            Self::Whole(_) => {}
            Self::Streaming(body) => guard.resources().finish(body.drain()),
        }
    }
}

/// The content of a response. The request's record is emitted when the last piece is in the stream's send
/// queue, or when the stream has ended before that.
#[derive(Debug)]
pub(crate) struct ResponseContent {
    rest: Rest,
    /// The last byte of the piece that was handed over, if it may be the last byte of the content. See
    /// [`Self::keep_last`].
    last: Option<Bytes>,
    /// Whether there is no content. Then hyper asks for none.
    is_empty: bool,
    guard: Option<Guard>,
    stream: Rc<Stream>,
}

/// The response that hyper sends. `is_for_head` says that the request's method is HEAD.
///
/// If the upstream's response cannot be sent over HTTP/2, the client gets a 502, as for any other broken
/// exchange. The event has been delivered nevertheless.
pub(crate) fn of(
    reply: Reply<ResponseBody>,
    mut guard: Guard,
    stream: Rc<Stream>,
    is_for_head: bool,
) -> Response<ResponseContent> {
    let (status, fields, rest) = match reply {
        Reply::Refusal(refusal) => own(refusal.compose(), &guard, is_for_head),
        Reply::Own(reply) => own(reply, &guard, is_for_head),
        Reply::Upstream { head, content } => {
            let rest = match content {
                UpstreamContent::Whole(content) => Rest::Whole(content),
                UpstreamContent::Coming(body) => Rest::Streaming(body),
            };
            match relayed(&head.text) {
                Some(fields) => (head.status, fields, rest),
                None => {
                    let reply = OwnReply::to_broken_exchange(&mut guard.record, NO_FIELD);
                    rest.drain(&guard);
                    own(reply, &guard, is_for_head)
                }
            }
        }
    };
    let is_empty = match &rest {
        Rest::Whole(content) => content.is_empty(),
        Rest::Streaming(_) => false,
    };
    let mut response =
        Response::new(ResponseContent { rest, last: None, is_empty, guard: Some(guard), stream });
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// A response of the gateway's own, with its `date` field and its length.
fn own(reply: OwnReply, guard: &Guard, is_for_head: bool) -> (StatusCode, HeaderMap, Rest) {
    let content = Bytes::from(reply.content.into_owned());
    let mut fields = HeaderMap::new();
    let mut own = reply.fields.into_iter().flatten();
    let date = (header::DATE, guard.resources().date(guard.begun_at()));
    for (name, value) in own.next().into_iter().chain([date]).chain(own) {
        fields.append(name, value);
    }
    // A 204 has no length (RFC 9110, section 8.6).
    if reply.status != StatusCode::NO_CONTENT {
        fields.append(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
    }
    (reply.status, fields, Rest::Whole(if is_for_head { Bytes::new() } else { content }))
}

/// The fields of an upstream's response, in their order. `text` is the status line and the end-to-end lines.
fn relayed(text: &[u8]) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    let lines = text.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty());
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next()?, parts.next()?);
        let name = HeaderName::from_bytes(name).ok()?;
        fields.try_append(name, HeaderValue::from_bytes(value.trim_ascii()).ok()?).ok()?;
    }
    Some(fields)
}

impl ResponseContent {
    /// Ends a response that no stream is left for.
    pub(crate) fn abandon(mut self) {
        self.is_empty = false;
    }

    /// Keeps back the last byte of a piece that may be the end of the content. The byte follows as a piece of
    /// its own.
    ///
    /// hyper hands a piece to h2 as soon as the client's window has room for one byte of it, and then asks
    /// for the next piece. If there is none, hyper forgets the stream while h2 still holds the end of the
    /// response. Nothing could reset such a stream. hyper keeps the stream while it waits for the window to
    /// have room for the last byte: behind all other bytes.
    fn keep_last(&mut self, piece: &mut Bytes) {
        let may_be_the_end = match &self.rest {
            Rest::Whole(content) => content.is_empty(),
            Rest::Streaming(body) => body.left().is_none_or(|left| left == 0),
        };
        if may_be_the_end && piece.len() > 1 {
            self.last = Some(piece.split_off(piece.len().saturating_sub(1)));
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let body = match &mut self.rest {
            Rest::Whole(content) if content.is_empty() => return Poll::Ready(None),
            Rest::Whole(content) => {
                return Poll::Ready(Some(Ok(content.split_to(content.len().min(PIECE)))));
            }
            Rest::Streaming(body) => body,
        };
        self.stream.wait_for_more_of_upstream();
        let next = ready!(body.poll_piece(cx));
        let Some(RequestGuard { record, .. }) = self.guard.as_deref_mut() else { return Poll::Ready(None) };
        if body.has_surplus() {
            record.detail = Some(SURPLUS.to_owned());
        }
        Poll::Ready(match next {
            Some(Ok(piece)) => Some(Ok(piece)),
            Some(Err(error)) => {
                record.reason = Rejection::from(&error).reason();
                record.detail = Some(chain(&error));
                Some(Err(BrokenOff))
            }
            None => None,
        })
    }
}

impl Body for ResponseContent {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        this.stream.respond();
        let next = match this.last.take() {
            Some(last) => Some(Ok(last)),
            None => {
                let mut next = ready!(this.poll_piece(cx));
                if let Some(Ok(piece)) = &mut next {
                    this.keep_last(piece);
                }
                next
            }
        };
        match (&next, &mut this.guard) {
            (Some(Ok(piece)), Some(guard)) => {
                let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                guard.record.sent = guard.record.sent.saturating_add(length);
                this.stream.wait_for_reader(piece.len());
            }
            // The request has ended.
            (Some(_) | None, guard) => *guard = None,
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    /// hyper asks once more after the last piece, so it is known when that piece is in the send queue.
    fn is_end_stream(&self) -> bool {
        self.is_empty
    }

    fn size_hint(&self) -> SizeHint {
        let left = match &self.rest {
            Rest::Whole(content) => Some(u64::try_from(content.len()).unwrap_or(u64::MAX)),
            Rest::Streaming(body) => body.left(),
        };
        let last = u64::from(self.last.is_some());
        left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left.saturating_add(last)))
    }
}

impl Drop for ResponseContent {
    fn drop(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        if self.is_empty {
            return;
        }
        guard.is_evicted = self.stream.is_evicted();
        guard.cut_short();
        mem::replace(&mut self.rest, Rest::Whole(Bytes::new())).drain(&guard);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::{Duration, SystemTime};

    use tokio::time::Instant;

    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::admission::connections::ConnectionLimit;
    use crate::config::environment::Fixed;
    use crate::http2::streams::Streams;
    use crate::runtime::control::Control;
    use crate::runtime::worker::Worker;
    use crate::upstream::response::{Framing, ResponseHead};

    fn worker() -> Rc<Worker> {
        let text = "signature = { scheme = \"propify\", secrets = [{ env = \"KEY\" }] }\n\
                    [[routes]]\npath = \"/w\"\nupstream = \"http://127.0.0.1:9\"\n";
        let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "a secret that is long enough");
        let config = crate::config::read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH);
        let control =
            Control::new(&config.unwrap().config, crate::diagnosis::submitter::channel().0).unwrap();
        Worker::new(control, ConnectionLimit::new(1), 1)
    }

    /// The client's response to this head of an upstream's response: its status and its content. Also the
    /// reason in the record.
    fn answer(worker: &Rc<Worker>, text: &[u8]) -> (u16, String, Option<&'static str>) {
        let place = worker.connection_limit().enter_uncounted(ClientAddress::Unix);
        let streams = Streams::new(place.entry(), ClientAddress::Unix);
        let stream = Stream::open(&streams, Instant::now(), Duration::ZERO, 0);
        let scope = Scope::new(worker, &worker.view());
        let guard = RequestGuard::new(scope, ClientAddress::Unix, std::time::Instant::now());
        let head = ResponseHead {
            status: StatusCode::OK,
            text: text.to_vec(),
            framing: Framing::Length(2),
            is_persistent: true,
            keep_alive: None,
        };
        let reply = Reply::Upstream { head, content: UpstreamContent::Whole(Bytes::from_static(b"ok")) };
        let response = of(reply, guard, stream, false);
        let status = response.status().as_u16();
        let mut content = response.into_body();
        let reason = content.guard.as_ref().unwrap().record.reason.map(|reason| reason.as_str());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Some(Ok(piece))) = content.poll_piece(&mut cx) else { panic!("{content:?}") };
        (status, String::from_utf8(piece.to_vec()).unwrap(), reason)
    }

    #[tokio::test]
    async fn a_response_that_http2_cannot_carry_is_a_502() {
        let worker = worker();
        assert_eq!(answer(&worker, b"200 OK\r\na: b\r\n"), (200, "ok".to_owned(), None));
        for text in [&b"200 OK\r\na\x01: b\r\n"[..], b"200 OK\r\na: \x01\r\n", b"200 OK\r\nnothing\r\n"] {
            let (status, content, reason) = answer(&worker, text);
            assert_eq!((status, reason), (502, Some("upstream_failed")), "{text:?}");
            assert!(content.contains("\"reason\":\"upstream_failed\""), "{content}");
        }
    }
}
