//! Pure. Tries a route's further secrets on content that the first secret does not verify.
//!
//! The content is hashed in pieces, and between two pieces the thread's other tasks run. Only one request of
//! a thread is hashed at a time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::admission::memory::Reservation;
use crate::gateway::rejection::Rejection;
use crate::gateway::resources::{Resources, Timer as _};
use crate::message::content::Content;
use crate::signature::{Check, Stepped};

/// The size of a piece. Hashing a piece takes some 50 µs with the processor's SHA extensions, and 300 µs
/// without.
pub(super) const PIECE: usize = 64 * 1024;

/// The longest time that a request waits for earlier requests. Guards against a queue of forged content that
/// takes longer than senders wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Finds the secret that verifies the content, if one does. A check with little left to hash is completed
/// immediately.
///
/// The content is complete but not verified yet. Until it is verified, the request can be shed and its
/// connection evicted.
///
/// # Errors
/// [`Rejection::Overloaded`]
#[inline]
pub(super) async fn secrets<R: Resources, C: Content, H>(
    resources: &R,
    content: &C,
    check: &mut Check<'_, H>,
    reservation: &mut Reservation,
    arrived: Instant,
) -> Result<(), Rejection> {
    match check.step(PIECE) {
        Stepped::Done => Ok(()),
        // The future is boxed because it is large and seldom needed.
        Stepped::More => Box::pin(in_turn(resources, content, check, reservation, arrived)).await,
    }
}

async fn in_turn<R: Resources, C: Content, H>(
    resources: &R,
    content: &C,
    check: &mut Check<'_, H>,
    reservation: &mut Reservation,
    arrived: Instant,
) -> Result<(), Rejection> {
    let mut turn = pin!(resources.turn());
    let mut deadline = resources.timer();
    deadline.set_at(resources.now(), LONGEST_WAIT);
    let turn = poll_fn(|cx| {
        let held = reservation.hold_while_waiting(cx, check.len(), arrived, resources.now());
        if held.is_err()
            || reservation.is_shed()
            || content.is_evicted()
            || deadline.poll_passed(cx).is_ready()
        {
            return Poll::Ready(Err(Rejection::Overloaded));
        }
        turn.as_mut().poll(cx).map(Ok)
    });
    let _until_done = turn.await?;
    while check.step(PIECE) == Stepped::More {
        resources.pause().await;
        if reservation.is_shed() || content.is_evicted() {
            return Err(Rejection::Overloaded);
        }
    }
    reservation.complete_content();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;
    use std::future::pending;
    use std::task::{Context, Waker};
    use std::time::SystemTime;

    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::admission::memory::Budget;
    use crate::gateway::resources::{Claim, Claimed, Delivery, Timer, UpstreamResponse};
    use crate::message::content::{Append, ContentError, Length, Progress};
    use crate::message::head::{Parsed, RequestHead, parse};
    use crate::queue::event::{DuplicateKey, Event, OrderKey, Receipt, RouteName};
    use crate::queue::id::EventId;
    use crate::queue::store::Refused;
    use crate::signature::scheme::Scheme;
    use crate::signature::secret::{Key, Secret};
    use crate::signature::{self, Verifier};
    use crate::telemetry::record::{Record, RequestId};
    use crate::upstream::error::ForwardError;

    /// A turn that is never given: another request keeps it.
    struct Busy;

    struct Unset;

    impl Timer for Unset {
        fn set_at(&mut self, _start: Instant, _after: Duration) {}

        fn poll_passed(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    impl Resources for Busy {
        type Timer = Unset;
        type Body = ();
        type Claim = Infallible;
        type Turn = ();

        fn now(&self) -> Instant {
            Instant::now()
        }

        fn wall_clock(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn timer(&self) -> Unset {
            Unset
        }

        fn next_id(&self) -> RequestId {
            RequestId(1)
        }

        fn turn(&self) -> impl Future<Output = ()> {
            pending()
        }

        async fn pause(&self) {}

        async fn deliver(&self, _delivery: Delivery<'_>) -> Result<UpstreamResponse<()>, ForwardError> {
            unreachable!("nothing is verified")
        }

        async fn beginning(&self, _response: &mut (), _most: usize) -> Vec<u8> {
            unreachable!("nothing is verified")
        }

        fn next_event_id(&self, _at: SystemTime) -> EventId {
            unreachable!("nothing is verified")
        }

        fn random(&self) -> u64 {
            0
        }

        async fn store(
            &self,
            _event: Event,
            _memory: Reservation,
            _claim: Option<Infallible>,
            _patience: Duration,
        ) -> Result<Receipt, Refused> {
            unreachable!("nothing is verified")
        }

        fn is_circuit_open(&self, _route: &RouteName) -> bool {
            false
        }

        fn upstream_works(&self, _route: &RouteName) {}

        async fn is_waiting(&self, _route: &RouteName, _order: &OrderKey, _patience: Duration) -> bool {
            false
        }

        async fn claim(
            &self,
            _route: &RouteName,
            _key: DuplicateKey,
            _patience: Duration,
        ) -> Result<Claimed<Infallible>, Refused> {
            unreachable!("nothing is verified")
        }

        fn is_draining(&self) -> bool {
            false
        }

        fn ended(&self, _record: &mut Record, _now: SystemTime) {}
    }

    impl Claim for Infallible {
        async fn delivered(self) {}
    }

    /// Content that is complete.
    #[derive(Default)]
    struct Received {
        is_evicted: Cell<bool>,
    }

    impl Content for Received {
        fn length(&self) -> Length {
            Length::Known(0)
        }

        async fn ask_for(&mut self) -> Result<(), ContentError> {
            Ok(())
        }

        fn poll_read(
            &mut self,
            _cx: &mut Context<'_>,
            _place: &mut impl Append,
        ) -> Poll<Result<Progress, ContentError>> {
            Poll::Ready(Ok(Progress::Complete))
        }

        fn buffered(&self) -> usize {
            0
        }

        fn announced(&self) -> u64 {
            0
        }

        fn is_evicted(&self) -> bool {
            self.is_evicted.get()
        }

        fn wait_for_more(&self, _received: usize) {}

        fn wait_for_upstream(&self, _is_authentic: bool) {}
    }

    /// If the request waited to the end, a connection with forged content would stay open while all earlier
    /// content is hashed.
    #[test]
    fn a_request_that_waits_for_its_turn_ends_when_it_is_evicted() {
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
        let Parsed::Complete(facts) = parse(&bytes, &mut 0, bytes.len()) else { panic!() };
        let head = RequestHead::new(facts, &bytes);
        let now = SystemTime::UNIX_EPOCH;
        let context = signature::Context { method: "POST", target: b"/", origin: None, fields: &head, now };
        let claim = verifier.claim(&context).unwrap();
        let mut verification = verifier.begin(claim, now);
        verification.push(&vec![b'x'; 4 * PIECE]);
        let mut check = verification.complete();
        let mut reservation = Budget::new(1 << 20).reservation(ClientAddress::Unix);
        let content = Received::default();
        let mut tried = pin!(secrets(&Busy, &content, &mut check, &mut reservation, Instant::now()));
        assert!(poll_once(tried.as_mut()).is_none());
        content.is_evicted.set(true);
        assert_eq!(poll_once(tried.as_mut()), Some(Err(Rejection::Overloaded)));
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }
}
