//! Pure. Forwards a request and waits for its upstream. Gives up if another request needs the connection or
//! the memory.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::further_secrets::PIECE;
use super::resources::{Resources, UpstreamResponse};
use super::route::Target;
use crate::admission::memory::Reservation;
use crate::admission::memory::holders::Holder;
use crate::gateway::rejection::Rejection;
use crate::message::content::Content;
use crate::message::head::RequestHead;
use crate::signature::Deliverable;
use crate::telemetry::record::Record;
use crate::upstream::assertion::Asserted;
use crate::upstream::error::{ForwardError, chain};
use crate::upstream::response::SURPLUS;

/// What the gateway asserts of a request, if its route demands an assertion.
pub(super) async fn asserted<R: Resources>(
    resources: &R,
    target: &Target,
    request: &Deliverable<'_, RequestHead>,
) -> Option<Asserted> {
    if target.forward.assertion.is_none() || !request.is_authentic() {
        return None;
    }
    // The future is boxed because it is large and seldom needed.
    let digest = Box::pin(digest(request.content(), || resources.pause())).await;
    Some(Asserted { digest, at: resources.wall_clock() })
}

/// Waits until the upstream has answered, and records how. `verified` is when the request was verified.
///
/// # Errors
/// The outer error means that the request was given up for another request. The inner error means that the
/// upstream failed.
pub(super) async fn answered<R: Resources>(
    resources: &R,
    content: &impl Content,
    delivery: Pin<&mut impl Future<Output = Result<UpstreamResponse<R::Body>, ForwardError>>>,
    verified: Instant,
    holder: Option<ObservedHold>,
    record: &mut Record,
) -> Result<Result<UpstreamResponse<R::Body>, ForwardError>, Rejection> {
    let delivery = pin!(unless_shed(holder, delivery));
    let answer = unless_evicted(content, delivery).await.ok_or(Rejection::Overloaded)??;
    let answered = answer.as_ref().map_or_else(|_failed| resources.now(), |response| response.at);
    record.upstream_took = Some(answered.saturating_duration_since(verified));
    if let Ok(response) = &answer {
        record.status = response.head.status.as_u16();
        if response.has_surplus {
            record.detail = Some(SURPLUS.to_owned());
        }
    }
    Ok(answer)
}

/// The digest of verified content. It is hashed in pieces, and between two pieces the thread's other tasks
/// run.
async fn digest<P: Future<Output = ()>>(content: &[u8], pause: impl Fn() -> P) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut pieces = content.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        hash.update(piece);
        if pieces.peek().is_some() {
            pause().await;
        }
    }
    hash.finalize().into()
}

/// Waits for `work`. Gives up if the request's connection is evicted.
async fn unless_evicted<F: Future>(content: &impl Content, mut work: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if content.is_evicted() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Waits for a delivery. Gives up if the request is a holder of memory and is shed.
async fn unless_shed<T>(
    holder: Option<ObservedHold>,
    delivery: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Rejection> {
    match holder {
        None => Ok(delivery.await),
        Some(holder) => holder.unless_shed(delivery).await,
    }
}

/// The memory that an observed, unverified request holds. While the request waits for its upstream, it can be
/// shed like any unverified request.
pub(super) struct ObservedHold {
    holder: Option<Arc<Holder>>,
    received: usize,
}

impl ObservedHold {
    pub(super) async fn new(
        reservation: &mut Reservation,
        received: usize,
        arrived: Instant,
        now: Instant,
    ) -> Result<Self, Rejection> {
        let held = poll_fn(|cx| Poll::Ready(reservation.hold_while_waiting(cx, received, arrived, now)));
        held.await.map_err(|_exhausted| Rejection::Overloaded)?;
        Ok(Self { holder: reservation.holder(), received })
    }

    /// Waits for the delivery. Gives up if the request is shed before all of it is sent.
    async fn unless_shed<T>(self, mut delivery: Pin<&mut impl Future<Output = T>>) -> Result<T, Rejection> {
        poll_fn(|cx| {
            if let Some(holder) = &self.holder {
                if holder.is_shed() && !holder.has_left() {
                    return Poll::Ready(Err(Rejection::Overloaded));
                }
                holder.advance(cx, self.received);
            }
            delivery.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}

/// The rejection for a failed delivery. The sender's answer says little; the log has the details.
pub(super) fn undelivered(error: &ForwardError, record: &mut Record) -> Rejection {
    record.detail = Some(chain(error));
    Rejection::from(error)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn between_two_pieces_of_content_the_other_tasks_run() {
        for (length, want) in [(0, 0), (1, 0), (PIECE, 0), (PIECE + 1, 1), (2 * PIECE, 1), (3 * PIECE + 1, 3)]
        {
            let content: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let pauses = Cell::new(0);
            let digest = digest(&content, || {
                pauses.set(pauses.get() + 1);
                ready(())
            });
            let Poll::Ready(got) = pin!(digest).poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("it waits for nothing else")
            };
            assert_eq!(got, <[u8; 32]>::from(Sha256::digest(&content)), "{length}");
            assert_eq!(pauses.get(), want, "{length}");
        }
    }
}
