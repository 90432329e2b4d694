//! Shell. Sends a stored event to an upstream, unchanged. Returns the part of the answer that is kept.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderName;
use tokio::time::{Instant, timeout};

use crate::admission::memory::Reservation;
use crate::gateway::resources::{UpstreamContent, UpstreamResponse};
use crate::queue::event::{MOST_KEPT_OF_RESPONSE, StoredEvent};
use crate::queue::new_signature::RefreshedHead;
use crate::upstream::body::ResponseBody;
use crate::upstream::connection::Outgoing;
use crate::upstream::error::ForwardError;
use crate::upstream::exchange;
use crate::upstream::pool::Pool;
use crate::upstream::response::RequestKind;

/// The most bytes of an answer's content that are read, so the connection can be used again. Only the first
/// of these bytes are kept. If the upstream sends more, the gateway closes the connection.
const MOST_READ_OF_RESPONSE: usize = 64 * 1024;

/// The part of an upstream's answer to a stored event that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The status code.
    pub status: StatusCode,
    /// The value of the `retry-after` field, if the field has exactly one line.
    pub retry_after: Option<Vec<u8>>,
    /// The first bytes of the content, at most [`MOST_KEPT_OF_RESPONSE`].
    pub content: Vec<u8>,
    /// The further origin of the upstream that answered. `None` if it is the first.
    pub backup: Option<String>,
}

/// A stored event that is to be sent.
#[derive(Debug)]
pub struct StoredDelivery {
    /// The event.
    pub event: StoredEvent,
    /// The head to send instead of the stored head. There is one if a new signature or an assertion was made,
    /// or if the stored head lacks a shared token.
    pub head: Option<RefreshedHead>,
    /// The event's part of the memory budget. Empty if the scheduler of deliveries bounds the memory.
    pub memory: Reservation,
}

/// Sends a stored event and waits for the answer. Only the head of the answer decides the outcome. Content
/// that breaks off, stalls or does not end changes nothing.
///
/// # Errors
/// [`ForwardError`]. The event is sent again on another connection only if no byte of it can have reached the
/// upstream.
pub async fn deliver_stored(
    pool: &Rc<Pool>,
    delivery: StoredDelivery,
    kept: &[HeaderName],
) -> Result<StoredAnswer, ForwardError> {
    let StoredDelivery { event, head, memory } = delivery;
    let asked = RequestKind::by(&event.info().method);
    let (stored, content) = event.into_parts();
    let head = head.map_or(stored, RefreshedHead::into_bytes);
    let outgoing = Outgoing::new(head, content, memory, asked);
    let (response, origin) = exchange(pool, kept, outgoing, Instant::now()).await?;
    let backup = (!Rc::ptr_eq(origin, pool)).then(|| origin.upstream().origin.to_string());
    let UpstreamResponse { head, content, .. } = response;
    let retry_after = head.only_value("retry-after").map(<[u8]>::to_vec);
    let content = match content {
        UpstreamContent::Whole(content) => first(&content, MOST_KEPT_OF_RESPONSE).to_vec(),
        UpstreamContent::Coming(body) => beginning(*body, pool).await,
    };
    Ok(StoredAnswer { status: head.status, retry_after, content, backup })
}

/// Reads content to its end, and returns its beginning. If there is too much content, or if it takes longer
/// than the head of a response may, gives up and closes the connection.
async fn beginning(mut body: ResponseBody, pool: &Rc<Pool>) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut read: usize = 0;
    let reading = async {
        while let Some(Ok(piece)) = poll_fn(|cx| body.poll_piece(cx)).await {
            keep(&mut kept, &piece);
            read = read.saturating_add(piece.len());
            if read > MOST_READ_OF_RESPONSE {
                return;
            }
        }
    };
    // A timeout has the same result as too much content.
    let _in_time = timeout(pool.upstream().response_timeout, reading).await;
    kept
}

fn keep(kept: &mut Vec<u8>, piece: &Bytes) {
    let room = MOST_KEPT_OF_RESPONSE.saturating_sub(kept.len());
    kept.extend_from_slice(first(piece, room));
}

fn first(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}
