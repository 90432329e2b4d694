//! Pure. Receives the content of a request within its limits, and hashes each piece.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::buf::Limit;

use super::resources::{Resources, Timer as _};
use crate::admission::memory::{Exhausted, Reservation};
use crate::admission::rate::Pace;
use crate::gateway::rejection::Rejection;
use crate::message::content::{Append, Content, ContentError, Length, Progress};
use crate::message::head::{Expect, RequestHead};
use crate::signature::Verification;

/// The limits of a request's content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The most bytes that the content may have.
    pub(super) max_body: u64,
    /// How fast the content must arrive.
    pub(super) pace: Pace,
}

/// Receives all content of a request into `verification`. `arrived` is when the head arrived. The reservation
/// grows as the content takes more memory.
///
/// # Errors
/// [`Rejection`]: too large, too slow, no memory left, malformed, incomplete, or evicted for another client.
pub(super) async fn receive<R: Resources, C: Content>(
    resources: &R,
    content: &mut C,
    arrived: Instant,
    bounds: Bounds,
    reservation: &mut Reservation,
    verification: &mut Verification<'_, RequestHead>,
) -> Result<(), Rejection> {
    let max = usize::try_from(bounds.max_body).unwrap_or(usize::MAX);
    let plan = match content.length() {
        Length::None => return Ok(()),
        Length::Known(length) => match usize::try_from(length) {
            Ok(length) if length <= max => Plan::Declared(length),
            Ok(_) | Err(_) => {
                let (declared, most) = (Some(length), bounds.max_body);
                return Err(Rejection::BodyTooLarge { declared, most });
            }
        },
        Length::Unknown => Plan::Counted { max },
    };
    // The head has only just arrived.
    let mut now = Some(arrived);
    if verification.head().facts().expect == Expect::Continue {
        if content.ask_for().await.is_err() {
            let is_evicted = content.is_evicted();
            return Err(if is_evicted { Rejection::Overloaded } else { Rejection::BodyIncomplete });
        }
        now = None;
    }
    let mut deadline = resources.timer();
    let before = reservation.bytes();
    let mut intake = Intake { verification, reservation, plan, before };
    let received = poll_fn(|cx| {
        loop {
            if intake.reservation.is_shed() {
                return Poll::Ready(Err(Rejection::Overloaded));
            }
            let polled = content.poll_read(cx, &mut intake);
            intake.check(content.announced())?;
            let progress = match polled {
                Poll::Ready(Ok(Progress::Full)) => {
                    let now = *now.get_or_insert_with(|| resources.now());
                    intake.poll_reserve(cx, content.buffered(), now)?
                }
                Poll::Ready(Ok(Progress::Complete)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(Progress::Some)) => Poll::Ready(()),
                Poll::Ready(Err(ContentError::Incomplete)) => {
                    return Poll::Ready(Err(Rejection::BodyIncomplete));
                }
                Poll::Ready(Err(ContentError::Malformed(why))) => {
                    return Poll::Ready(Err(Rejection::MalformedContent(why)));
                }
                Poll::Pending => {
                    let now = *now.get_or_insert_with(|| resources.now());
                    let seated =
                        intake.reservation.hold_while_waiting(cx, intake.verification.len(), arrived, now);
                    seated.map_err(|_exhausted| Rejection::Overloaded)?;
                    Poll::Pending
                }
            };
            if progress.is_pending() {
                content.wait_for_more(intake.verification.len());
                if content.is_evicted() {
                    return Poll::Ready(Err(Rejection::Overloaded));
                }
                deadline.set_at(arrived, bounds.pace.patience(intake.verification.len()));
                // The clock is read again at the next poll.
                now = None;
                return deadline.poll_passed(cx).map(|()| Err(Rejection::BodyTimeout));
            }
        }
    });
    let received = received.await;
    reservation.complete_content();
    received
}

/// The size of the content.
#[derive(Clone, Copy)]
enum Plan {
    /// Exactly this size. The request has declared it.
    Declared(usize),
    /// Not known before the end. At most `max`.
    Counted { max: usize },
}

/// The least memory for content of which only a part has arrived.
const LEAST_CAPACITY: usize = 1024;

/// Memory grows by this factor. So a sender makes the gateway hold at most a small multiple of the bytes that
/// it has sent.
const GROWTH: usize = 4;

impl Plan {
    /// The most memory that content within its limit can need. One byte above the limit shows that the limit
    /// is exceeded.
    fn ceiling(self) -> usize {
        match self {
            Self::Declared(length) => length,
            Self::Counted { max } => max.saturating_add(1),
        }
    }

    /// The next capacity, with `waiting` bytes to store. If no more bytes follow, this is exactly the size of
    /// the content. Otherwise it includes some memory for the bytes that follow.
    fn capacity_after(self, capacity: usize, waiting: usize) -> usize {
        let held = capacity.max(waiting);
        let most = match self {
            // The byte above the limit is reserved last, because the limit may be as large as the whole
            // budget.
            Self::Counted { max } if capacity < max => max,
            Self::Counted { .. } | Self::Declared(_) => self.ceiling(),
        };
        held.saturating_mul(GROWTH).max(LEAST_CAPACITY).min(most)
    }
}

struct Intake<'i, 'v> {
    verification: &'i mut Verification<'v, RequestHead>,
    reservation: &'i mut Reservation,
    plan: Plan,
    /// The bytes of the reservation that the head takes.
    before: usize,
}

impl Intake<'_, '_> {
    /// Refuses content that exceeds its limit. A chunk's announced bytes count before they arrive.
    fn check(&self, announced: u64) -> Result<(), Rejection> {
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        match self.plan {
            Plan::Counted { max } if self.verification.len().saturating_add(announced) > max => {
                let most = u64::try_from(max).unwrap_or(u64::MAX);
                Err(Rejection::BodyTooLarge { declared: None, most })
            }
            Plan::Counted { .. } | Plan::Declared(_) => Ok(()),
        }
    }

    /// Asks the budget first, then the allocator.
    fn poll_reserve(
        &mut self,
        cx: &mut Context<'_>,
        waiting: usize,
        now: Instant,
    ) -> Result<Poll<()>, Rejection> {
        let capacity = self.plan.capacity_after(self.verification.capacity(), waiting);
        match self.reservation.poll_grow_to(cx, self.before.saturating_add(capacity), now) {
            Poll::Ready(Ok(())) => {
                self.verification.grow_to(capacity);
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(Exhausted)) => Err(Rejection::Overloaded),
            Poll::Pending => Ok(Poll::Pending),
        }
    }
}

impl Append for Intake<'_, '_> {
    fn room(&self) -> usize {
        self.verification.capacity().min(self.plan.ceiling()).saturating_sub(self.verification.len())
    }

    fn push(&mut self, piece: &[u8]) {
        self.verification.push(piece);
    }

    fn receive<T>(&mut self, limit: usize, read: impl FnOnce(&mut Limit<&mut Vec<u8>>) -> T) -> T {
        let limit = limit.min(self.room());
        self.verification.receive(limit, read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_in_proportion_to_what_came_and_never_past_the_ceiling() {
        let steps = |plan: Plan, waiting: usize| {
            let mut capacity = 0;
            let mut steps = vec![];
            while capacity < plan.ceiling() {
                capacity = plan.capacity_after(capacity, waiting);
                steps.push(capacity);
            }
            steps
        };
        assert_eq!(steps(Plan::Declared(100), 1), [100]);
        assert_eq!(steps(Plan::Declared(6000), 6000), [6000]);
        assert_eq!(steps(Plan::Declared(100_000), 1), [1024, 4096, 16_384, 65_536, 100_000]);
        assert_eq!(steps(Plan::Declared(100_000), 8192), [32_768, 100_000]);
        assert_eq!(steps(Plan::Counted { max: 20_000 }, 1), [1024, 4096, 16_384, 20_000, 20_001]);
        assert_eq!(steps(Plan::Counted { max: 20_000 }, 8192), [20_000, 20_001]);
        assert_eq!(steps(Plan::Counted { max: 0 }, 1), [1]);
    }
}
