//! Shell. A deadline that is cheap to move.
//!
//! Most deadlines never pass, because each request sets them again. So a later deadline leaves the timer
//! unchanged. When the timer fires too early, it is corrected.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that may be set or not.
#[derive(Debug, Default)]
pub struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The waker that the timer wakes.
    listener: Option<Waker>,
}

impl Deadline {
    /// Sets the deadline to `after` from now.
    pub fn set(&mut self, after: Duration) {
        self.set_at(Instant::now(), after);
    }

    /// Sets the deadline to `after` from `start`. If that time overflows, the deadline never passes.
    pub fn set_at(&mut self, start: Instant, after: Duration) {
        self.at = start.checked_add(after);
    }

    /// Clears the deadline.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Whether the deadline is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready when the deadline has passed. Never ready if no deadline is set.
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
        // A busy connection may use up the task's cooperative budget for this turn. The timer must fire
        // nevertheless.
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

/// The current time for several readers. The clock is read only on the first call.
#[derive(Debug, Default)]
pub struct LazyNow(Option<Instant>);

impl LazyNow {
    /// A time that is already known.
    #[must_use]
    pub fn known(now: Instant) -> Self {
        Self(Some(now))
    }

    /// The time, read from the clock on the first call.
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
    async fn a_deadline_wakes_the_task_that_polled_it_last() {
        let seconds = Duration::from_secs;
        let start = Instant::now();
        let mut deadline = Deadline::default();
        deadline.set(seconds(5));
        assert!(deadline.poll_passed(&mut Context::from_waker(Waker::noop())).is_pending());
        // The deadline moves to a later time, and another task polls it.
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
