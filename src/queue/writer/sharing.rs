//! Shell. What the writer does where several gateways share the store.

use std::time::{Duration, Instant};

use crate::queue::writer::{Writer, later};

/// A gateway says so many times that it lives, in the time for which the others believe it.
const TIMES: u32 = 4;

/// How often the statistics of a shared store are read: other gateways change them.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

impl Writer {
    /// Says that this gateway lives, and looks at what the others have changed, where it is time for that.
    pub(super) fn share(&mut self, now: Instant) {
        if self.keep_alive_at.is_some_and(|at| now >= at) {
            self.keep_alive();
            // Another gateway may have gone, and what it had in memory waits.
            self.look_at_all();
        }
        if self.keep_alive_at.is_some() && now >= self.publish_at {
            self.publish();
            self.publish_at = later(PUBLISH_INTERVAL);
        }
    }

    /// Says that this gateway lives, if others share the store.
    pub(super) fn keep_alive(&mut self) {
        let began = Instant::now();
        let Some(store) = &mut self.store else { return };
        match store.keep_alive() {
            Ok(None) => self.keep_alive_at = None,
            Ok(Some(alive)) => {
                self.end.set_lease(began.checked_add(alive).unwrap_or(began));
                self.keep_alive_at = began.checked_add(alive.checked_div(TIMES).unwrap_or(alive));
            }
            Err(error) => self.note(error),
        }
    }
}
