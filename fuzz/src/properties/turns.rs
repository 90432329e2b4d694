//! Turns within one task: whoever has written a piece lets the others of a `join!` look at it, and goes on.
//!
//! The runtime's own `yield_now` looks at clocks and sockets each time, which took nine tenths of a run.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Whether somebody has let the others go first.
#[derive(Default)]
pub struct Turns(Cell<bool>);

impl Turns {
    /// Lets the others go first, once.
    pub async fn pass(&self) {
        let mut has_passed = false;
        poll_fn(|_| {
            if has_passed {
                return Poll::Ready(());
            }
            has_passed = true;
            self.0.set(true);
            Poll::Pending
        })
        .await;
    }

    /// Drives them all, and again as long as anybody has only passed.
    pub async fn take<T>(&self, all: impl Future<Output = T>) -> T {
        let mut all = pin!(all);
        poll_fn(|cx| {
            loop {
                let polled = all.as_mut().poll(cx);
                if polled.is_ready() || !self.0.replace(false) {
                    return polled;
                }
            }
        })
        .await
    }
}
