//! Shell. Tries a route's further secrets on content that the first one does not verify: in pieces, and one request of the
//! thread at a time, so that all else on the thread goes on.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::rejection::Rejection;
use crate::server::limit::Share;
use crate::signature::{Check, Stepped};

/// Bytes that are hashed in one go: some 50 µs with the processor's SHA extensions, 300 µs without.
const PIECE: usize = 64 * 1024;

/// How long a request waits for those before it. Guards against a queue of forged content that is longer than any sender's
/// patience.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Finds out which secret verifies the content, if any does. Where there is little to do, it is done at once.
///
/// The content has come whole, but proves nothing yet: until it has, it can be shed for others that need its memory.
///
/// # Errors
/// [`Rejection::Overloaded`]
#[inline]
pub(super) async fn secrets(
    check: &mut Check<'_>,
    share: &mut Share,
    turn: &Semaphore,
    arrived: Instant,
) -> Result<(), Rejection> {
    match check.step(PIECE) {
        Stepped::Done => Ok(()),
        // In a box, because it is large and seldom needed.
        Stepped::More => Box::pin(in_turn(check, share, turn, arrived)).await,
    }
}

async fn in_turn(
    check: &mut Check<'_>,
    share: &mut Share,
    turn: &Semaphore,
    arrived: Instant,
) -> Result<(), Rejection> {
    let mut acquire = pin!(turn.acquire());
    let turn = poll_fn(|cx| {
        let seated = share.sit(cx, check.len(), arrived.into_std(), Instant::now().into_std());
        if seated.is_err() || share.is_shed() {
            return Poll::Ready(Err(Rejection::Overloaded));
        }
        acquire.as_mut().poll(cx).map(Ok)
    });
    let _until_done = timeout(LONGEST_WAIT, turn).await.map_err(|_passed| Rejection::Overloaded)??;
    while check.step(PIECE) == Stepped::More {
        yield_now().await;
        if share.is_shed() {
            return Err(Rejection::Overloaded);
        }
    }
    share.settle();
    Ok(())
}
