//! Pure. How fast content must come: the moment by which a body that stays as it is has become too slow.

use std::time::Duration;

/// Content may come at any rate for this long; only then is its average measured.
pub const GRACE: Duration = Duration::from_secs(5);

/// What a body's arrival is measured against.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the end of the field lines to the end of the content.
    pub timeout: Duration,
    /// Bytes per second, averaged from the end of the field lines on; 0 for any rate.
    pub min_rate: u64,
}

impl Pace {
    /// How long after the end of the field lines a body must be given up if it still has no more than `received` bytes then.
    #[must_use]
    pub fn patience(&self, received: usize) -> Duration {
        if self.min_rate == 0 {
            return self.timeout;
        }
        let received = u64::try_from(received).unwrap_or(u64::MAX);
        let millis = received.saturating_mul(1000).checked_div(self.min_rate).unwrap_or(u64::MAX);
        Duration::from_millis(millis).max(GRACE).min(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_grace_then_its_rate_then_its_time_out() {
        let pace = Pace { timeout: Duration::from_secs(30), min_rate: 1024 };
        for (received, seconds) in
            [(0, 5), (5 * 1024, 5), (6 * 1024, 6), (29 * 1024, 29), (31 * 1024, 30), (usize::MAX, 30)]
        {
            assert_eq!(pace.patience(received), Duration::from_secs(seconds), "{received}");
        }
        let short = Pace { timeout: Duration::from_secs(2), min_rate: 1024 };
        assert_eq!(short.patience(0), Duration::from_secs(2));
        let any = Pace { timeout: Duration::from_secs(30), min_rate: 0 };
        assert_eq!(any.patience(0), Duration::from_secs(30));
    }
}
