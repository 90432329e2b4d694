//! Shell. The writer's work for a store that several gateways share.

use std::time::{Duration, Instant};

use crate::queue::writer::{Writer, later};

/// How often a gateway renews its lease within the time for which it counts as alive.
const TIMES: u32 = 4;

/// How often the statistics of a shared store are read: other gateways change them.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

impl Writer {
    /// Renews the lease of this gateway, and reads the changes of other gateways, when each is due.
    pub(super) fn share(&mut self, now: Instant) {
        if self.keep_alive_at.is_some_and(|at| now >= at) {
            self.keep_alive();
            // Another gateway may be lost. Then its deliveries wait in the store.
            self.look_at_all();
        }
        if self.keep_alive_at.is_some() && now >= self.publish_at {
            self.publish();
            self.publish_at = later(PUBLISH_INTERVAL);
        }
    }

    /// Renews the lease of this gateway, if others share the store.
    pub(super) fn keep_alive(&mut self) {
        let began = Instant::now();
        let Some(store) = &mut self.store else { return };
        match store.keep_alive() {
            Ok(None) => self.keep_alive_at = None,
            Ok(Some(alive)) => {
                self.end.set_lease(began.checked_add(alive).unwrap_or(began));
                self.keep_alive_at = began.checked_add(alive.checked_div(TIMES).unwrap_or(alive));
            }
            Err(error) => {
                // A store whose disk is full stays open, and is asked again a little later.
                self.keep_alive_at = Some(later(PUBLISH_INTERVAL));
                self.note(error);
            }
        }
    }
}
