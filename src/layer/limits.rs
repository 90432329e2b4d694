//! Pure. The limits of a request before it is authentic.

use std::time::Duration;

/// The limits of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most bytes of content.
    pub(super) body: usize,
    /// The longest time in which the content arrives.
    pub(super) time: Duration,
}

impl Default for Limits {
    /// The gateway's defaults.
    fn default() -> Self {
        Self { body: 1 << 20, time: Duration::from_secs(30) }
    }
}
