//! Shell. Forwarding: sends a verified request to its upstream, unchanged, and returns the response.
//!
//! The input is a [`Deliverable`](crate::signature::Deliverable), which only `signature` can make, or a
//! [`StoredEvent`](crate::queue::event::StoredEvent), which only `queue` can make.

pub mod assertion;
pub mod body;
pub mod connection;
pub mod dial;
pub mod error;
mod failover;
pub mod origin;
pub mod pool;
mod reachability;
pub mod request;
pub mod response;
pub mod stored_delivery;

use std::io;
use std::rc::Rc;

use http::header::HeaderName;
use tokio::time::Instant;

use crate::gateway::resources::{Delivery, UpstreamContent, UpstreamResponse};
use crate::upstream::assertion::{Asserted, Assertion};
use crate::upstream::body::ResponseBody;
use crate::upstream::connection::{Connection, Outgoing, SendError};
use crate::upstream::error::{ForwardError, ProtocolError};
use crate::upstream::failover::{Reached, reach};
use crate::upstream::pool::Pool;
use crate::upstream::request::{RequestInfo, SMALL, compose};
use crate::upstream::response::{RequestKind, ResponseHead};

/// Forwards a request. Returns the upstream's response once its head is complete. Without a `pool`, the
/// upstream counts as unreachable.
///
/// The returned future does not hold the request's head. The upstream's head is composed before the future is
/// returned, so a waiting request holds only one of the two heads.
///
/// # Errors
/// [`ForwardError`]. The request is sent again only if no byte of it can have reached the upstream.
pub fn deliver<'p, 'd>(
    pool: Option<&'p Rc<Pool>>,
    delivery: Delivery<'d>,
) -> impl Future<Output = Result<UpstreamResponse<ResponseBody>, ForwardError>> + use<'p, 'd> {
    let Delivery { request, target, client, channel, memory, at, event, asserted } = delivery;
    let sent = pool.map(|pool| {
        let (length, origin) = (request.content().len(), &pool.upstream().origin);
        let secret = request.secret();
        let info = RequestInfo { client, channel: &channel, length, secret, origin, event };
        let head = compose(request.head(), &target.forward, &info);
        let head = match &target.forward.assertion {
            None => head,
            Some(assertion) => with_assertion(assertion, &head, asserted.as_ref(), &info),
        };
        let kind = RequestKind::by(request.head().method());
        (pool, Outgoing::new(head, request.into_content(), memory, kind))
    });
    async move {
        let (pool, request) =
            sent.ok_or_else(|| ForwardError::Unreachable(io::ErrorKind::NotFound.into()))?;
        exchange(pool, &target.forward.kept, request, at.into()).await.map(|(response, _)| response)
    }
}

/// The head with the gateway's assertion, if the request is verified. Otherwise, the head without the members
/// that a client has written under the gateway's label.
fn with_assertion(
    assertion: &Assertion,
    head: &[u8],
    asserted: Option<&Asserted>,
    info: &RequestInfo<'_>,
) -> Vec<u8> {
    let room = if info.length <= SMALL { info.length } else { 0 };
    match asserted {
        Some(asserted) => assertion.signed(head, asserted, info.event, room),
        None => assertion.removed(head, room),
    }
}

/// Sends a request to the first reachable origin of the upstream. Returns the response, and the pool of this
/// origin.
async fn exchange<'p>(
    first: &'p Rc<Pool>,
    kept: &[HeaderName],
    mut request: Box<Outgoing>,
    now: Instant,
) -> Result<(UpstreamResponse<ResponseBody>, &'p Rc<Pool>), ForwardError> {
    let mut idle = first.take(now);
    loop {
        let (Reached { pool, mut connection, is_fresh }, now) = match idle {
            Some(connection) => (Reached { pool: first, connection, is_fresh: false }, now),
            None => (reach(first, now).await?, Instant::now()),
        };
        match connection.send(request, kept, now, pool.upstream().response_timeout).await {
            Ok(head) => {
                let at = Instant::now();
                return Ok((arrived(head, connection, pool, at), pool));
            }
            Err(SendError::Unsent(unsent)) if !is_fresh => request = unsent,
            Err(SendError::Unsent(_)) => return Err(ForwardError::Broken(ProtocolError::Closed)),
            Err(SendError::Failed(error)) => return Err(error),
        }
        idle = first.take(now);
    }
}

/// The fast path: most responses are short, and their content arrives together with the head.
fn arrived(
    head: ResponseHead,
    mut connection: Box<Connection>,
    pool: &Rc<Pool>,
    at: Instant,
) -> UpstreamResponse<ResponseBody> {
    let Some(whole) = connection.take_whole() else {
        let patience = pool.upstream().response_timeout;
        let relay = Box::new(ResponseBody::new(head.framing, connection, Rc::clone(pool), patience));
        let content = UpstreamContent::Coming(relay);
        return UpstreamResponse { head, content, at: at.into_std(), has_surplus: false };
    };
    let has_surplus = connection.has_surplus();
    pool.take_back(connection, at);
    UpstreamResponse { head, content: UpstreamContent::Whole(whole), at: at.into_std(), has_surplus }
}
