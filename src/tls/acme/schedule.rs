//! Pure. When a certificate is ordered: the renewal, and the next attempt after a failure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The wait after the first, the second, ... failure in a row. The last wait repeats. Let's Encrypt allows
/// five failures of a name in an hour.
const BACK_OFF: [Duration; 7] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(20 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(3 * 3600),
    Duration::from_secs(6 * 3600),
    LONGEST_BACK_OFF,
];

const LONGEST_BACK_OFF: Duration = Duration::from_secs(12 * 3600);

/// The longest time that an authority can make the gateway wait with `retry-after`. The longest limit of
/// Let's Encrypt is a week.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// When a certificate is renewed: at two thirds of its life, or up to a fiftieth of its life earlier.
#[must_use]
pub fn renewal(not_before: SystemTime, not_after: SystemTime, random: u64) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    let two_thirds = part(life, 2, 3);
    let earlier = part(part(life, 1, 50), share(random), SHARES);
    not_before.checked_add(two_thirds.saturating_sub(earlier)).unwrap_or(not_after)
}

/// When a certificate that was obtained at `now` is renewed. At least a tenth of its life passes before the
/// renewal, even if the authority or a clock has wrong times.
#[must_use]
pub fn renewal_of_new(
    not_before: SystemTime,
    not_after: SystemTime,
    now: SystemTime,
    random: u64,
) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    let soonest = now.checked_add(part(life, 1, 10)).unwrap_or(now);
    renewal(not_before, not_after, random).max(soonest)
}

/// The wait after this number of failures in a row, shortened by up to a random fifth, and at least the
/// authority's `retry-after`.
#[must_use]
pub fn back_off(failures: usize, retry_after: Option<Duration>, random: u64) -> Duration {
    let wait = BACK_OFF.get(failures.saturating_sub(1)).copied().unwrap_or(LONGEST_BACK_OFF);
    let varied = wait.saturating_sub(part(part(wait, 1, 5), share(random), SHARES));
    varied.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

/// The longest wait after a failure if the gateway is started, or its settings change: an operator may have
/// mended the cause. So at most four orders of a name begin in an hour, however often the gateway is started.
const LONGEST_WAIT_AT_START: Duration = Duration::from_secs(15 * 60);

/// The orders of a name that have failed in a row. They are kept in `storage`, so that a start does not begin
/// a new count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many orders have failed.
    pub count: usize,
    /// When the last order failed, in seconds since 1970.
    pub failed_at: u64,
    /// When the next order is due, in seconds since 1970.
    pub next: u64,
    /// The time before which the authority wants no order, in seconds since 1970. 0 if it has named none.
    pub not_before: u64,
}

impl Failures {
    /// The failures up to one at `now`, after which the next order is due at `next`.
    #[must_use]
    pub fn new(count: usize, now: SystemTime, next: SystemTime, retry_after: Option<Duration>) -> Self {
        let not_before = retry_after.and_then(|wait| now.checked_add(wait.min(LONGEST_RETRY_AFTER)));
        Self {
            count,
            failed_at: seconds(now),
            next: seconds(next),
            not_before: not_before.map_or(0, seconds),
        }
    }

    /// When the next order is due after a start, or after a change of settings, at `now`. A file that says
    /// more than the rules allow is not believed.
    #[must_use]
    pub fn due_at_start(&self, now: SystemTime) -> SystemTime {
        let now = seconds(now);
        let failed_at = self.failed_at.min(now);
        let soonest = self.next.min(failed_at.saturating_add(LONGEST_WAIT_AT_START.as_secs()));
        let latest = failed_at.saturating_add(LONGEST_RETRY_AFTER.as_secs());
        let due = soonest.max(self.not_before).min(latest).max(now);
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(due)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// A time in seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A random share, of [`SHARES`].
fn share(random: u64) -> u32 {
    u32::try_from(random.checked_rem(u64::from(SHARES)).unwrap_or_default()).unwrap_or_default()
}

const SHARES: u32 = 1000;

/// A fraction of a duration.
fn part(whole: Duration, numerator: u32, denominator: u32) -> Duration {
    whole.saturating_mul(numerator).checked_div(denominator).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn day(number: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * number
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life_or_a_little_earlier() {
        assert_eq!(renewal(day(10), day(100), 0), day(70));
        for random in [1, 17, 999, u64::MAX] {
            let at = renewal(day(10), day(100), random);
            assert!(at < day(70) && at > day(70) - DAY * 2, "{random}");
        }
        let short = SystemTime::UNIX_EPOCH + Duration::from_secs(6);
        assert_eq!(renewal(SystemTime::UNIX_EPOCH, short, 0), short - Duration::from_secs(2));
        assert_eq!(renewal(day(2), day(1), 0), day(2), "a certificate without a life is renewed now");
    }

    #[test]
    fn a_new_certificate_is_not_renewed_at_once_whatever_its_times_are() {
        assert_eq!(renewal_of_new(day(10), day(100), day(10), 0), day(70));
        assert_eq!(renewal_of_new(day(10), day(100), day(99), 0), day(108));
        assert_eq!(renewal_of_new(day(10), day(100), day(500), 0), day(509));
    }

    #[test]
    fn the_wait_after_failures_grows_to_twelve_hours() {
        let waits: Vec<u64> = (0..10).map(|failures| back_off(failures, None, 0).as_secs() / 60).collect();
        assert_eq!(waits, [1, 1, 5, 20, 60, 180, 360, 720, 720, 720]);
        for random in [1, 500, 999] {
            let wait = back_off(4, None, random);
            assert!(wait < Duration::from_secs(3600) && wait >= Duration::from_secs(2880), "{wait:?}");
        }
        // Let's Encrypt allows five attempts within an hour. The fifth attempt of a name comes after the
        // first hour.
        let shortest: Duration = (1..=4).map(|failures| back_off(failures, None, 999)).sum();
        assert!(shortest > Duration::from_secs(3600), "{shortest:?}");
    }

    #[test]
    fn the_wait_is_as_long_as_the_authority_asks_for_up_to_a_week() {
        assert_eq!(back_off(1, Some(DAY), 7), DAY);
        assert_eq!(back_off(1, Some(Duration::from_secs(1)), 0), Duration::from_secs(60));
        assert_eq!(back_off(1, Some(Duration::MAX), 0), LONGEST_RETRY_AFTER);
    }

    #[test]
    fn a_start_shortens_the_wait_after_a_failure_to_a_quarter_of_an_hour_but_not_that_of_the_authority() {
        const MINUTE: Duration = Duration::from_secs(60);
        let failed = day(100);
        let due = |next: Duration, retry_after, started: Duration| {
            let failures = Failures::new(3, failed, failed + next, retry_after);
            let due = failures.due_at_start(failed + started);
            due.duration_since(failed).unwrap()
        };
        assert_eq!(due(5 * MINUTE, None, MINUTE), 5 * MINUTE);
        assert_eq!(due(720 * MINUTE, None, MINUTE), 15 * MINUTE);
        assert_eq!(due(720 * MINUTE, None, 20 * MINUTE), 20 * MINUTE, "at once");
        assert_eq!(due(DAY, Some(DAY), MINUTE), DAY);
        assert_eq!(due(DAY * 30, Some(DAY * 30), MINUTE), LONGEST_RETRY_AFTER);
        // The clock was set back, or the file was written by another program.
        let wrong = Failures { count: 9, failed_at: u64::MAX, next: u64::MAX, not_before: u64::MAX };
        assert_eq!(wrong.due_at_start(day(1)), day(1) + LONGEST_RETRY_AFTER);
        let wrong = Failures { count: 9, failed_at: u64::MAX, next: u64::MAX, not_before: 0 };
        assert_eq!(wrong.due_at_start(day(1)), day(1) + 15 * MINUTE);
    }
}
