//! A reply in the form that hyper writes.

use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hookgate::gateway::rejection::Rejection;
use hookgate::gateway::reply::{After, OwnReply, Reply};
use hookgate::gateway::request_guard::RequestGuard;
use hookgate::gateway::resources::UpstreamContent;
use hookgate::message::head::{ResponseContext, Version};
use hookgate::runtime::request_scope::Scope;
use hookgate::upstream::body::ResponseBody;
use hookgate::upstream::error::chain;
use hookgate::upstream::response::SURPLUS;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use hyper::ext::ReasonPhrase;

use super::Fault;
use super::gate::Gate;

/// The rest of a response's content.
enum Left {
    Whole(Bytes),
    Coming(Box<ResponseBody>),
    /// The upstream has broken off. hyper must write the bytes that it has before it gets this error.
    Broken(Fault),
    Nothing,
}

/// The content of a response.
pub(super) struct Relayed {
    left: Left,
    guard: Option<Box<RequestGuard<Scope>>>,
    /// Whether only the end of the connection marks the end of the content.
    is_by_closing: bool,
    gate: Rc<Gate>,
}

/// The response that hyper writes.
pub(super) fn of(
    reply: Reply<ResponseBody>,
    mut guard: Box<RequestGuard<Scope>>,
    gate: &Rc<Gate>,
    asked: ResponseContext,
    mut is_last: bool,
) -> Response<Relayed> {
    let mut response = Response::new(());
    let mut own = |reply: OwnReply| {
        is_last |= reply.after == After::Close;
        *response.status_mut() = reply.status;
        let fields = response.headers_mut();
        fields.append(header::DATE, guard.resources().date(guard.begun_at()));
        for (name, value) in reply.fields.into_iter().flatten() {
            fields.append(name, value);
        }
        if !asked.is_for_head {
            guard.record.sent = reply.content.len() as u64;
        }
        Left::Whole(Bytes::from(reply.content.into_owned()))
    };
    let left = match reply {
        Reply::Refusal(refusal) => own(refusal.compose()),
        Reply::Own(reply) => own(reply),
        Reply::Upstream { head, content } => {
            read(&head.text, &mut response);
            match content {
                UpstreamContent::Whole(content) => {
                    guard.record.sent = content.len() as u64;
                    if content.is_empty() { Left::Nothing } else { Left::Whole(content) }
                }
                UpstreamContent::Coming(body) => Left::Coming(body),
            }
        }
    };
    let is_by_closing =
        asked.version == Version::Http10 && matches!(&left, Left::Coming(body) if body.left().is_none());
    if is_last || is_by_closing {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let body = Relayed { left, guard: Some(guard), is_by_closing, gate: Rc::clone(gate) };
    response.map(|()| body)
}

/// Reads the code, reason phrase and fields of an upstream's response.
fn read(text: &[u8], response: &mut Response<()>) {
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().unwrap();
    *response.status_mut() = StatusCode::from_bytes(&status[..3]).unwrap();
    let reason = Bytes::copy_from_slice(status.get(4..).unwrap_or_default());
    if let Ok(reason) = ReasonPhrase::try_from(reason) {
        response.extensions_mut().insert(reason);
    }
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        let name = HeaderName::from_bytes(&line[..colon]).unwrap();
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).unwrap();
        response.headers_mut().append(name, value);
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Self { left, guard, is_by_closing, gate } = &mut *self;
        let Some(guard) = guard else { return Poll::Ready(None) };
        match left {
            Left::Nothing => Poll::Ready(None),
            Left::Broken(fault) => {
                let fault = mem::replace(fault, "".into());
                *left = Left::Nothing;
                Poll::Ready(Some(Err(fault)))
            }
            Left::Whole(content) => {
                let content = mem::take(content);
                *left = Left::Nothing;
                Poll::Ready(Some(Ok(Frame::data(content))))
            }
            Left::Coming(body) => {
                gate.wait_for_more_of_upstream();
                let next = match body.poll_piece(cx) {
                    Poll::Pending if gate.is_evicted() => return Poll::Ready(Some(Err("evicted".into()))),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(next) => next,
                };
                if body.has_surplus() {
                    guard.record.detail = Some(SURPLUS.to_owned());
                }
                Poll::Ready(match next {
                    Some(Ok(piece)) => {
                        guard.record.sent += piece.len() as u64;
                        Some(Ok(Frame::data(piece)))
                    }
                    Some(Err(error)) => {
                        guard.record.reason = Rejection::from(&error).reason();
                        guard.record.detail = Some(chain(&error));
                        if *is_by_closing {
                            gate.reset_on_close();
                        }
                        *left = Left::Broken(error.to_string().into());
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    None => {
                        *left = Left::Nothing;
                        None
                    }
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.left, Left::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.left {
            Left::Nothing | Left::Broken(_) => SizeHint::with_exact(0),
            Left::Whole(content) => SizeHint::with_exact(content.len() as u64),
            Left::Coming(body) => body.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Drop for Relayed {
    /// hyper is finished with the content. Bytes that it has not flushed are not written yet.
    fn drop(&mut self) {
        let mut guard = self.guard.take().unwrap();
        if let Left::Coming(body) = mem::replace(&mut self.left, Left::Nothing)
            && !body.is_complete()
        {
            guard.is_evicted = self.gate.is_evicted();
            guard.cut_short();
            guard.resources().finish(body.drain());
            if self.is_by_closing {
                self.gate.reset_on_close();
            }
        }
        self.gate.end_response(guard);
    }
}
