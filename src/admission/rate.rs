//! Pure. The least rates: when content that arrives, or a response that is taken, has become too slow.

use std::time::Duration;

/// The rate of content is measured only after this time.
pub const GRACE: Duration = Duration::from_secs(5);

/// The limits on the arrival of content.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time from the end of the head to the end of the content.
    pub timeout: Duration,
    /// The least rate in bytes per second, averaged from the end of the head; 0 for any rate.
    pub min_rate: u64,
}

impl Pace {
    /// How long after the end of the head a request is given up if it still has only `received` bytes of content.
    #[must_use]
    pub fn patience(&self, received: usize) -> Duration {
        if self.min_rate == 0 {
            return self.timeout;
        }
        let received = u64::try_from(received).unwrap_or(u64::MAX);
        time_at(self.min_rate, received).max(GRACE).min(self.timeout)
    }
}

/// The time that this many bytes take at a rate in bytes per second. Unlimited at rate 0.
fn time_at(rate: u64, bytes: u64) -> Duration {
    bytes.saturating_mul(1000).checked_div(rate).map_or(Duration::MAX, Duration::from_millis)
}

/// The total time that a client which has taken this many bytes may make the writer wait: `limit`, or the time of these
/// bytes at the least rate, if that is longer. Unlimited if the least rate is 0.
#[must_use]
pub fn longest_wait(taken: u64, limit: Duration, min_rate: u64) -> Duration {
    time_at(min_rate, taken).max(limit)
}

/// How a client takes a response. Only the time in which the client makes the writer wait counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uptake {
    taken: u64,
    waited: Duration,
}

impl Uptake {
    /// Records that it has taken more bytes.
    pub fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Records that it has made the writer wait for longer.
    pub fn wait(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// How long it may take nothing from now on: at most `limit` at a time, and in total what the least rate allows.
    /// Otherwise taking a byte now and then would hold a response, and all its memory, for any time.
    #[must_use]
    pub fn patience(&self, limit: Duration, min_rate: u64) -> Duration {
        longest_wait(self.taken, limit, min_rate).saturating_sub(self.waited).min(limit)
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

    #[test]
    fn a_client_may_stop_for_the_limit_and_must_keep_the_least_rate_in_total() {
        let (limit, seconds) = (Duration::from_secs(30), Duration::from_secs);
        let mut uptake = Uptake::default();
        assert_eq!(uptake.patience(limit, 1024), limit);
        // One byte does not restart the time.
        uptake.wait(seconds(29));
        uptake.take(1);
        assert_eq!(uptake.patience(limit, 1024), seconds(1));
        assert_eq!(uptake.patience(limit, 0), limit, "any rate will do");
        // Bytes that it takes without making the writer wait count for it.
        uptake.take(50 * 1024 - 1);
        assert_eq!(uptake.patience(limit, 1024), seconds(21));
        uptake.take(1 << 20);
        assert_eq!(uptake.patience(limit, 1024), limit, "no longer than that at a time");
        uptake.wait(seconds(50 + 1024 - 29));
        assert_eq!(uptake.patience(limit, 1024), Duration::ZERO);
        uptake.take(1024);
        assert_eq!(uptake.patience(limit, 1024), seconds(1));
    }
}
