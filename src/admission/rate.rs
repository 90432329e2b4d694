//! Pure. The least rates: when the content of a request arrives too slowly, or a client reads a response too
//! slowly.

use std::time::Duration;

/// The time after which the rate of content is measured.
pub const GRACE: Duration = Duration::from_secs(5);

/// The limits on the arrival of content.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time from the end of the head to the end of the content.
    pub timeout: Duration,
    /// The least rate in bytes per second, averaged from the end of the head. 0 allows any rate.
    pub min_rate: u64,
}

impl Pace {
    /// The time from the end of the head after which a request is given up, if only `received` bytes of
    /// content have arrived.
    #[must_use]
    pub fn patience(&self, received: usize) -> Duration {
        if self.min_rate == 0 {
            return self.timeout;
        }
        let received = u64::try_from(received).unwrap_or(u64::MAX);
        time_at(self.min_rate, received).max(GRACE).min(self.timeout)
    }
}

/// The time that `bytes` bytes take at a rate in bytes per second. Unlimited if the rate is 0.
fn time_at(rate: u64, bytes: u64) -> Duration {
    bytes.saturating_mul(1000).checked_div(rate).map_or(Duration::MAX, Duration::from_millis)
}

/// The total time for which a client may make the writer wait, after it has read `taken` bytes. The result is
/// the longer of two times: `limit`, and the time for these bytes at the least rate. Unlimited if the least
/// rate is 0.
#[must_use]
pub fn longest_wait(taken: u64, limit: Duration, min_rate: u64) -> Duration {
    time_at(min_rate, taken).max(limit)
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
