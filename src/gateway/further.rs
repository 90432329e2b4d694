//! Pure. Tries a route's further secrets on content that the first one does not verify: in pieces, and one request of the
//! thread at a time, so that all else on the thread goes on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::resources::{Resources, Timer as _};
use crate::admission::memory::Share;
use crate::gateway::rejection::Rejection;
use crate::message::content::Content;
use crate::message::head::RequestHead;
use crate::signature::{Check, Stepped};

/// Bytes that are hashed in one go: some 50 µs with the processor's SHA extensions, 300 µs without.
const PIECE: usize = 64 * 1024;

/// How long a request waits for those before it. Guards against a queue of forged content that is longer than any sender's
/// patience.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Finds out which secret verifies the content, if any does. Where there is little to do, it is done at once.
///
/// The content has come whole, but proves nothing yet: until it has, it can be shed for others that need its memory, and
/// its connection evicted for others that need its place.
///
/// # Errors
/// [`Rejection::Overloaded`]
#[inline]
pub(super) async fn secrets<R: Resources, C: Content>(
    resources: &R,
    content: &C,
    check: &mut Check<'_, RequestHead>,
    share: &mut Share,
    arrived: Instant,
) -> Result<(), Rejection> {
    match check.step(PIECE) {
        Stepped::Done => Ok(()),
        // In a box, because it is large and seldom needed.
        Stepped::More => Box::pin(in_turn(resources, content, check, share, arrived)).await,
    }
}

async fn in_turn<R: Resources, C: Content>(
    resources: &R,
    content: &C,
    check: &mut Check<'_, RequestHead>,
    share: &mut Share,
    arrived: Instant,
) -> Result<(), Rejection> {
    let mut turn = pin!(resources.turn());
    let mut deadline = resources.timer();
    deadline.set_at(resources.now(), LONGEST_WAIT);
    let turn = poll_fn(|cx| {
        let seated = share.sit(cx, check.len(), arrived, resources.now());
        if seated.is_err() || share.is_shed() || content.is_evicted() || deadline.poll_passed(cx).is_ready() {
            return Poll::Ready(Err(Rejection::Overloaded));
        }
        turn.as_mut().poll(cx).map(Ok)
    });
    let _until_done = turn.await?;
    while check.step(PIECE) == Stepped::More {
        resources.pause().await;
        if share.is_shed() || content.is_evicted() {
            return Err(Rejection::Overloaded);
        }
    }
    share.settle();
    Ok(())
}
