//! Pure. The number of connections that were closed because their client already had the most connections
//! that it may have.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::telemetry::repeated_log_line::Repeated;

/// The count of all workers.
#[derive(Debug, Default)]
pub struct ClosedConnections {
    count: AtomicU64,
    said: Mutex<Repeated>,
}

impl ClosedConnections {
    /// Counts a closed connection. If a line of the log is due, returns the number of closed connections
    /// since the last line.
    pub fn count(&self, now: Instant) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.said.lock().unwrap_or_else(PoisonError::into_inner).count(now)
    }

    /// How many connections were closed so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
