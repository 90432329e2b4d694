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
use crate::server::crowd::Entry;
use crate::server::limit::Share;
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
pub(super) async fn secrets<H>(
    check: &mut Check<'_, H>,
    share: &mut Share,
    entry: &Entry,
    turn: &Semaphore,
    arrived: Instant,
) -> Result<(), Rejection> {
    match check.step(PIECE) {
        Stepped::Done => Ok(()),
        // In a box, because it is large and seldom needed.
        Stepped::More => Box::pin(in_turn(check, share, entry, turn, arrived)).await,
    }
}

async fn in_turn<H>(
    check: &mut Check<'_, H>,
    share: &mut Share,
    entry: &Entry,
    turn: &Semaphore,
    arrived: Instant,
) -> Result<(), Rejection> {
    let mut acquire = pin!(turn.acquire());
    let turn = poll_fn(|cx| {
        let seated = share.sit(cx, check.len(), arrived.into_std(), Instant::now().into_std());
        if seated.is_err() || share.is_shed() || entry.is_evicted() {
            return Poll::Ready(Err(Rejection::Overloaded));
        }
        acquire.as_mut().poll(cx).map(Ok)
    });
    let _until_done = timeout(LONGEST_WAIT, turn).await.map_err(|_passed| Rejection::Overloaded)??;
    while check.step(PIECE) == Stepped::More {
        yield_now().await;
        if share.is_shed() || entry.is_evicted() {
            return Err(Rejection::Overloaded);
        }
    }
    share.settle();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::peer::Peer;
    use crate::secret::{Key, Secret};
    use crate::server::crowd::Crowd;
    use crate::server::head::{Look, RequestHead, look};
    use crate::server::limit::Budget;
    use crate::signature::scheme::Scheme;
    use crate::signature::{Context, Verifier};

    /// Otherwise whoever has a place and forged content would keep the place for as long as all the content before it takes.
    #[tokio::test]
    async fn whoever_waits_for_a_turn_leaves_when_it_is_evicted() {
        let secret = |number: u8| Secret {
            name: number.to_string().into(),
            key: Key::new(vec![number; 32]),
            not_after: None,
        };
        let verifier =
            Verifier::new(Scheme::preset("propify").unwrap().clone(), (1..9).map(secret).collect());
        let verifier = verifier.unwrap();
        let bytes = format!("POST / HTTP/1.1\r\nhost: a\r\npropify-signature: {}\r\n\r\n", "0".repeat(64))
            .into_bytes();
        let Look::Complete(facts) = look(&bytes, &mut 0, bytes.len()) else { panic!() };
        let head = RequestHead::new(facts, &bytes);
        let now = SystemTime::UNIX_EPOCH;
        let context = Context { method: "POST", target: b"/", origin: None, fields: &head, now };
        let mut verification = verifier.begin(verifier.claim(&context).unwrap(), now);
        verification.push(&vec![b'x'; 4 * PIECE]);
        let mut check = verification.complete();
        let crowd = Crowd::new(1);
        let place = crowd.enter(Peer::Unix).await;
        place.entry().wait_for_content(Instant::now());
        let mut share = Budget::new(1 << 20).share(Peer::Unix);
        let turn = Semaphore::new(1);
        let _before = turn.acquire().await.unwrap();
        let arrived = Instant::now();
        let mut tried = pin!(secrets(&mut check, &mut share, place.entry(), &turn, arrived));
        assert!(poll_once(tried.as_mut()).is_none());
        let newcomer = Arc::clone(&crowd);
        let mut newcomer = pin!(newcomer.enter(Peer::Unix));
        assert!(poll_once(newcomer.as_mut()).is_none());
        assert_eq!(poll_once(tried.as_mut()), Some(Err(Rejection::Overloaded)));
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }
}
