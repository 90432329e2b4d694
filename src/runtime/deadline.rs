//! Shell. A moment by which something must have happened, cheap to move.
//!
//! Most deadlines never come: they are set, and set again for the next request. So the timer behind one is left as it is
//! while the deadline moves into the future, and is only corrected when it fires.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that may be moved, or off.
#[derive(Debug, Default)]
pub struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes.
    listener: Option<Waker>,
}

impl Deadline {
    /// Sets the deadline to `after` from now.
    pub fn set(&mut self, after: Duration) {
        self.set_at(Instant::now(), after);
    }

    /// Sets the deadline to `after` from `start`. A moment too far to be told apart from never is never.
    pub fn set_at(&mut self, start: Instant, after: Duration) {
        self.at = start.checked_add(after);
    }

    /// Takes the deadline off.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Whether one is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready when the deadline has passed; never, while none is set.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        let is_soon_enough = timer.deadline() <= at;
        if is_soon_enough
            && !timer.is_elapsed()
            && self.listener.as_ref().is_some_and(|listener| listener.will_wake(cx.waker()))
        {
            return Poll::Pending;
        }
        if !is_soon_enough {
            timer.as_mut().reset(at);
        }
        // A peer that keeps us busy can use up the task's budget for this turn. The timer must not starve for that.
        while pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
        self.listener = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Now, for several who want to know: the clock is looked at when the first of them asks.
#[derive(Debug, Default)]
pub struct LazyNow(Option<Instant>);

impl LazyNow {
    /// One that is known already.
    #[must_use]
    pub fn known(now: Instant) -> Self {
        Self(Some(now))
    }

    /// The time.
    pub fn get(&mut self) -> Instant {
        *self.0.get_or_insert_with(Instant::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_passes_when_it_should_however_it_was_moved() {
        let seconds = Duration::from_secs;
        let start = Instant::now();
        let mut deadline = Deadline::default();
        deadline.set(seconds(5));
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll_passed(cx).is_pending())).await);
        deadline.set(seconds(9));
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert_eq!(start.elapsed(), seconds(9));
        deadline.set(seconds(60));
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll_passed(cx).is_pending())).await);
        deadline.set(seconds(1));
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert_eq!(start.elapsed(), seconds(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_wakes_whoever_waits_for_it_last() {
        let seconds = Duration::from_secs;
        let start = Instant::now();
        let mut deadline = Deadline::default();
        deadline.set(seconds(5));
        assert!(deadline.poll_passed(&mut Context::from_waker(Waker::noop())).is_pending());
        // Moved into the future, and waited for by somebody else.
        deadline.set(seconds(7));
        for _ in 0..2 {
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll_passed(cx).is_pending())).await);
        }
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert_eq!(start.elapsed(), seconds(7));
        deadline.set(seconds(1));
        assert!(deadline.poll_passed(&mut Context::from_waker(Waker::noop())).is_pending());
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert_eq!(start.elapsed(), seconds(8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_passes_though_the_tasks_budget_is_used_up() {
        let mut deadline = Deadline::default();
        deadline.set(Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        let passed = poll_fn(|cx| {
            while tokio::task::coop::has_budget_remaining() {
                if let Poll::Ready(budget) = tokio::task::coop::poll_proceed(cx) {
                    budget.made_progress();
                }
            }
            Poll::Ready(deadline.poll_passed(cx).is_ready())
        });
        assert!(passed.await);
    }
}
