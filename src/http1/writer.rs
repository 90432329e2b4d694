//! Shell. The response writer of HTTP/1.1. It writes a complete reply in one write, and an upstream's
//! response as it arrives.

use std::error::Error;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header;

use crate::connection::transport::Transport;
use crate::gateway::rejection::Rejection;
use crate::gateway::reply::{OwnReply, RefusalReply, Reply};
use crate::gateway::request_guard::RequestGuard;
use crate::gateway::resources::UpstreamContent;
use crate::http1::connection::Connection;
use crate::http1::response::{self, Delimited, RefusalContext, WholeResponse};
use crate::message::head::ResponseContext;
use crate::runtime::request_scope::Scope;
use crate::runtime::worker::second;
use crate::upstream::body::ResponseBody;
use crate::upstream::error::{ForwardError, chain};
use crate::upstream::response::{ResponseHead, SURPLUS};

/// How many bytes of a streaming response are collected for one write, if they have arrived.
pub const FULL: usize = 8 * 1024;

/// The most bytes around the data of a chunk: its length in 16 digits, and two line ends.
const AROUND: usize = 20;

/// The guard of a request. The writer of the response holds it.
pub(crate) type Guard = Box<RequestGuard<Scope>>;

/// Writes a reply, and then ends the connection if the reply is the last. Returns whether another request may
/// follow. Also returns the request's guard, because some bytes of the response may be unsent.
///
/// # Errors
/// The response broke off, the connection failed, or the client does not read the response. Then the
/// connection must close: the response must not look complete.
pub(crate) async fn write<IO: Transport>(
    connection: &Rc<Connection<IO>>,
    reply: Reply<ResponseBody>,
    mut guard: Guard,
) -> Result<(bool, Option<Guard>), Box<dyn Error>> {
    let asked = connection.asked();
    let message = match reply {
        Reply::Refusal(refusal) => refused(asked, refusal, &guard, connection),
        Reply::Own(reply) => {
            let is_last = reply.ends_connection() || ends_here(&guard, connection);
            own(asked, &reply, is_last, &guard)
        }
        Reply::Upstream { head, content: UpstreamContent::Whole(content) } => {
            WholeResponse::relayed(asked, &head.text, &content, ends_here(&guard, connection))
        }
        Reply::Upstream { head, content: UpstreamContent::Coming(relay) } => {
            // The future is boxed, because most responses are complete and do not need it.
            return Box::pin(stream(connection, &head, relay, guard)).await;
        }
    };
    guard.record.sent = length(message.content_length());
    connection.end(message.bytes(), message.keeps_open(), &mut guard.unwritten).await?;
    Ok((message.keeps_open(), Some(guard)))
}

/// The response to a refused request.
fn refused<IO: Transport>(
    asked: ResponseContext,
    refusal: RefusalReply,
    guard: &Guard,
    connection: &Connection<IO>,
) -> WholeResponse {
    let is_last = refusal.ends_connection() || ends_here(guard, connection);
    let context = RefusalContext { refusal, asked, is_last, second: second(guard.begun_at()) };
    let compose = |context: &RefusalContext| own(asked, &context.refusal.compose(), is_last, guard);
    guard.resources().last_refusal().response(context, compose)
}

/// A response of the gateway's own, with its `date` field.
fn own(asked: ResponseContext, reply: &OwnReply, is_last: bool, guard: &Guard) -> WholeResponse {
    let date = (header::DATE, guard.resources().date(guard.begun_at()));
    let (first, others) = reply.fields.split_at(1);
    let fields = first.iter().flatten().chain(std::iter::once(&date)).chain(others.iter().flatten());
    WholeResponse::new(asked, reply.status, fields, reply.content.as_bytes(), is_last)
}

/// Whether the connection ends: no other request can or should follow.
fn ends_here<IO: Transport>(guard: &Guard, connection: &Connection<IO>) -> bool {
    connection.is_draining()
        || connection.has_unread_content()
        || connection.entry().is_evicted()
        || guard.resources().is_wanting()
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Writes an upstream's response as it arrives.
async fn stream<IO: Transport>(
    connection: &Rc<Connection<IO>>,
    head: &ResponseHead,
    relay: Box<ResponseBody>,
    guard: Guard,
) -> Result<(bool, Option<Guard>), Box<dyn Error>> {
    let asked = connection.asked();
    let delimited = Delimited::of(asked, relay.left());
    if delimited == Delimited::ByClosing {
        connection.end_with_response();
    }
    let is_last = delimited == Delimited::ByClosing || ends_here(&guard, connection);
    let keeps_open = !is_last && asked.keeps_open();
    let mut bytes = response::head(asked, &head.text, delimited, is_last, 0);
    let mut content = Streamed { relay: Some(relay), guard: Some(guard), connection: Rc::clone(connection) };
    loop {
        // Bytes that have arrived are written immediately. They do not wait for more bytes.
        let next = poll_fn(|cx| match content.poll_piece(cx) {
            Poll::Ready(piece) => Poll::Ready(Ok(Some(piece))),
            Poll::Pending if !bytes.is_empty() => Poll::Ready(Ok(None)),
            Poll::Pending => {
                if let Poll::Ready(Err(error)) = connection.poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                connection.poll_upstream()
            }
        });
        match next.await? {
            Some(Some(Ok(piece))) => {
                if bytes.len().saturating_add(piece.len()) >= FULL {
                    // This piece is written next, so no further capacity is needed.
                    bytes.reserve_exact(piece.len().saturating_add(AROUND));
                }
                delimited.append(&piece, &mut bytes);
                if bytes.len() < FULL {
                    continue;
                }
            }
            Some(Some(Err(error))) => {
                connection.write_all(&bytes, content.unwritten().unwrap_or(&mut 0)).await?;
                return Err(error.into());
            }
            Some(None) => break,
            None => {}
        }
        connection.write_all(&bytes, content.unwritten().unwrap_or(&mut 0)).await?;
        // The memory is freed, so it is not held while no byte arrives.
        bytes = Vec::new();
    }
    // Only the bytes of this write are left.
    let mut guard = mem::take(&mut content.guard);
    delimited.finish(&mut bytes);
    let unwritten = guard.as_mut().map(|guard| &mut guard.unwritten);
    connection.end(&bytes, keeps_open, unwritten.unwrap_or(&mut 0)).await?;
    Ok((keeps_open, guard))
}

/// The content of an upstream's response on its way to the client. If it is dropped early, the request has
/// ended. Otherwise the guard passes to the writer of the last bytes.
struct Streamed<IO: Transport> {
    /// `None` when no content follows.
    relay: Option<Box<ResponseBody>>,
    guard: Option<Guard>,
    connection: Rc<Connection<IO>>,
}

impl<IO: Transport> Streamed<IO> {
    /// The guard's count of unwritten bytes. The writer updates it.
    fn unwritten(&mut self) -> Option<&mut usize> {
        self.guard.as_mut().map(|guard| &mut guard.unwritten)
    }

    /// The next piece of content; `None` after the last piece.
    ///
    /// An error is the last item. It means that the response has broken off.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ForwardError>>> {
        let Some(relay) = &mut self.relay else { return Poll::Ready(None) };
        let next = ready!(relay.poll_piece(cx));
        let has_surplus = relay.has_surplus();
        if !matches!(next, Some(Ok(_))) {
            self.relay = None;
        }
        let Some(RequestGuard { record, .. }) = self.guard.as_deref_mut() else { return Poll::Ready(next) };
        if has_surplus {
            record.detail = Some(SURPLUS.to_owned());
        }
        match &next {
            Some(Ok(piece)) => record.sent = record.sent.saturating_add(length(piece.len())),
            Some(Err(error)) => {
                record.reason = Rejection::from(error).reason();
                record.detail = Some(chain(error));
            }
            None => {}
        }
        Poll::Ready(next)
    }
}

impl<IO: Transport> Drop for Streamed<IO> {
    fn drop(&mut self) {
        let Some(relay) = self.relay.take().filter(|relay| !relay.is_complete()) else { return };
        let Some(guard) = &mut self.guard else { return };
        guard.is_evicted = self.connection.entry().is_evicted();
        guard.cut_short();
        guard.resources().finish(relay.drain());
    }
}
