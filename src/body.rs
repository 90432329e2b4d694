//! Shell. Reads the content of a request under its bounds, handing each piece on to be hashed.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;

use crate::deadline::{Deadline, Moment};
use crate::rejection::Rejection;
use crate::server::head::{Expect, Framing, RequestHead};
use crate::server::limit::{Exhausted, Share};
use crate::server::pace::Pace;
use crate::server::wire::{Append, ContentError, Progress, Transport, Wire};
use crate::signature::Verification;

/// What the content of a request is measured against.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes it may have.
    pub max_body: u64,
    /// How fast it must come.
    pub pace: Pace,
}

/// Reads all content of a request, whose head arrived at that time, into `verification`. `share` is made as large as the memory
/// that it takes.
///
/// # Errors
/// [`Rejection`]: too large, too slow, no memory left, malformed, or broken off.
pub async fn receive<IO: Transport>(
    wire: &Wire<IO>,
    arrived: Instant,
    bounds: Bounds,
    share: &mut Share,
    verification: &mut Verification<'_, RequestHead>,
) -> Result<(), Rejection> {
    let head = *verification.head().facts();
    let max = usize::try_from(bounds.max_body).unwrap_or(usize::MAX);
    let plan = match head.framing {
        Framing::None => return Ok(()),
        Framing::Length(length) => match usize::try_from(length) {
            Ok(length) if length <= max => Plan::Declared(length),
            Ok(_) | Err(_) => return Err(Rejection::BodyTooLarge),
        },
        Framing::Chunked => Plan::Counted { max },
    };
    // The head has only just arrived.
    let mut now = Moment::known(arrived);
    if head.expect == Expect::Continue && wire.has_unread_content() && wire.waiting() == 0 {
        wire.send_continue().await.map_err(|_gone| {
            if wire.entry().is_evicted() { Rejection::Overloaded } else { Rejection::BodyIncomplete }
        })?;
        now = Moment::default();
    }
    let mut deadline = Deadline::default();
    let before = share.bytes();
    let mut intake = Intake { verification, share, plan, before };
    let received = poll_fn(|cx| {
        loop {
            if intake.share.is_shed() {
                return Poll::Ready(Err(Rejection::Overloaded));
            }
            let polled = wire.poll_content(cx, &mut intake);
            intake.check(wire.announced())?;
            let progress = match polled {
                Poll::Ready(Ok(Progress::Full)) => intake.poll_make_room(cx, wire.waiting(), &mut now)?,
                Poll::Ready(Ok(Progress::Complete)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(Progress::Some)) => Poll::Ready(()),
                Poll::Ready(Err(ContentError::Incomplete)) => {
                    return Poll::Ready(Err(Rejection::BodyIncomplete));
                }
                Poll::Ready(Err(ContentError::Malformed(why))) => {
                    return Poll::Ready(Err(Rejection::MalformedContent(why)));
                }
                Poll::Pending => {
                    let (received, now) = (intake.verification.len(), now.get().into_std());
                    let seated = intake.share.sit(cx, received, arrived.into_std(), now);
                    seated.map_err(|_exhausted| Rejection::Overloaded)?;
                    Poll::Pending
                }
            };
            if progress.is_pending() {
                wire.entry().wait_for_more_content(intake.verification.len());
                if wire.entry().is_evicted() {
                    return Poll::Ready(Err(Rejection::Overloaded));
                }
                deadline.set_at(arrived, bounds.pace.patience(intake.verification.len()));
                // When there is more, it is later.
                now = Moment::default();
                return deadline.poll_passed(cx).map(|()| Err(Rejection::BodyTimeout));
            }
        }
    });
    let received = received.await;
    share.settle();
    received
}

/// How large the content is going to be.
#[derive(Clone, Copy)]
enum Plan {
    /// Exactly so large.
    Declared(usize),
    /// It shows as it comes, and must not be larger than this.
    Counted { max: usize },
}

/// The least memory for content that is not all there.
const LEAST_CAPACITY: usize = 1024;

/// Memory grows by this factor, so that a sender holds little more than a small multiple of what it really sent.
const GROWTH: usize = 4;

impl Plan {
    /// The most memory that content within its limit can need. One byte more than the limit shows that it is exceeded.
    fn ceiling(self) -> usize {
        match self {
            Self::Declared(length) => length,
            Self::Counted { max } => max.saturating_add(1),
        }
    }

    /// How much memory to have next, where so many bytes wait to be put into it: as much as they need if that is all, and
    /// otherwise some room for what follows.
    fn capacity_after(self, capacity: usize, waiting: usize) -> usize {
        let held = capacity.max(waiting);
        let most = match self {
            // The byte that is too much is asked for last: all of the budget may be as large as the limit.
            Self::Counted { max } if capacity < max => max,
            Self::Counted { .. } | Self::Declared(_) => self.ceiling(),
        };
        held.saturating_mul(GROWTH).max(LEAST_CAPACITY).min(most)
    }
}

struct Intake<'i, 'v> {
    verification: &'i mut Verification<'v, RequestHead>,
    share: &'i mut Share,
    plan: Plan,
    /// How much the share is for something else, which is the head.
    before: usize,
}

impl Intake<'_, '_> {
    /// Whether the content is within its limit, with so many bytes that a chunk has announced.
    fn check(&self, announced: u64) -> Result<(), Rejection> {
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        match self.plan {
            Plan::Counted { max } if self.verification.len().saturating_add(announced) > max => {
                Err(Rejection::BodyTooLarge)
            }
            Plan::Counted { .. } | Plan::Declared(_) => Ok(()),
        }
    }

    /// Asks the budget first, then the allocator.
    fn poll_make_room(
        &mut self,
        cx: &mut Context<'_>,
        waiting: usize,
        now: &mut Moment,
    ) -> Result<Poll<()>, Rejection> {
        let capacity = self.plan.capacity_after(self.verification.capacity(), waiting);
        match self.share.poll_grow_to(cx, self.before.saturating_add(capacity), now.get().into_std()) {
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

    fn poll_read_from<IO: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut IO,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        self.verification.receive(limit.min(self.room()), |buffer| {
            if buffer.has_remaining_mut() { pin!(io.read_buf(buffer)).poll(cx) } else { Poll::Ready(Ok(0)) }
        })
    }
}

/// The first `limit` bytes of a body, and whether there are more.
///
/// # Errors
/// The body's own.
pub async fn read_bounded<B>(mut body: B, limit: usize) -> Result<(Vec<u8>, bool), B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut content = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = limit.saturating_sub(content.len());
        content.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return Ok((content, true));
        }
    }
    Ok((content, false))
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
