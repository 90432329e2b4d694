//! Pure. How fast content must come, and how fast what is written must be taken: the moment by which a body that stays as it
//! is has become too slow.

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
        time_at(self.min_rate, received).max(GRACE).min(self.timeout)
    }
}

/// How long so many bytes take at this rate, in bytes per second. For ever at no rate.
fn time_at(rate: u64, bytes: u64) -> Duration {
    bytes.saturating_mul(1000).checked_div(rate).map_or(Duration::MAX, Duration::from_millis)
}

/// How long whoever has taken so many bytes of what is written to it may make the writer wait, all in all: `limit`, or as long
/// as these bytes take at the least rate. For ever where any rate will do (0).
#[must_use]
pub fn longest_wait(taken: u64, limit: Duration, min_rate: u64) -> Duration {
    time_at(min_rate, taken).max(limit)
}

/// How a client takes a response. Only the time counts in which it makes the writer wait, and not the time in which there is
/// nothing to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uptake {
    taken: u64,
    waited: Duration,
}

impl Uptake {
    /// It has taken so many bytes more.
    pub fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// It has made the writer wait for so much longer.
    pub fn wait(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// For how long it may take nothing from now on: no longer than `limit` at a time, nor, all in all, than the least rate
    /// allows. Otherwise a byte now and then would hold a response, and all that is behind it, for as long as the client likes.
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
    fn a_client_may_take_nothing_for_the_limit_and_all_in_all_no_less_than_the_least_rate() {
        let (limit, seconds) = (Duration::from_secs(30), Duration::from_secs);
        let mut uptake = Uptake::default();
        assert_eq!(uptake.patience(limit, 1024), limit);
        // A byte does not give it the whole time again.
        uptake.wait(seconds(29));
        uptake.take(1);
        assert_eq!(uptake.patience(limit, 1024), seconds(1));
        assert_eq!(uptake.patience(limit, 0), limit, "any rate will do");
        // What it takes without making anybody wait counts for it.
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
