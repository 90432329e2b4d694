//! Pure. What follows a failed attempt: when the delivery is tried again, or why it is given up.
//!
//! The wall clock may jump. After a jump forward, an event looks older than it is. After a jump back, the
//! event looks younger. So the age is also measured by the steady clock ([`Clocks::steady`]), and the lesser
//! age counts. A jump may delay the end of a delivery. A jump never ends a delivery early, and never stops
//! its retries.

use std::time::{Duration, SystemTime};

use crate::config::Retry;
use crate::queue::event::AttemptOutcome;
use crate::queue::store::{DeadCause, Next};
use crate::queue::time::Time;

/// The time at which an attempt ended, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The time by the wall clock.
    pub wall: Time,
    /// The time by the steady clock: the wall-clock time at which the process began, plus the monotonic time
    /// since then. For a direct attempt, this is the wall-clock time: such an attempt ends soon after the
    /// receipt.
    pub steady: Time,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The outcome.
    pub outcome: AttemptOutcome,
    /// The status code of the answer, if there was one.
    pub status: Option<u16>,
    /// The wait that the upstream asks for in its answer, if there is one.
    pub retry_after: Option<Duration>,
}

/// How much of its budget of retries a delivery has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// How many earlier attempts count.
    pub attempts: u32,
    /// When the budget of retries began.
    pub since: Time,
    /// Whether this attempt counts. While the circuit is open, no attempt counts.
    pub spends: bool,
}

impl Ended {
    /// Whether the failure means that the upstream is in trouble: no connection, no answer in time, a broken
    /// exchange, 429, or 5xx. Any other failure is about this event.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self.outcome {
            AttemptOutcome::Delivered => false,
            AttemptOutcome::Refused => matches!(self.status, Some(429 | 500..=599)),
            AttemptOutcome::Unreachable | AttemptOutcome::Failed | AttemptOutcome::TimedOut => true,
        }
    }

    /// The cause of the dead letter, if this attempt is the last one.
    #[must_use]
    pub fn cause(&self) -> DeadCause {
        match self.outcome {
            AttemptOutcome::Delivered | AttemptOutcome::Refused => DeadCause::Refused,
            AttemptOutcome::Unreachable | AttemptOutcome::Failed | AttemptOutcome::TimedOut => {
                DeadCause::Undeliverable
            }
        }
    }
}

/// Decides what follows an attempt. `random` varies the wait and may be any number.
#[must_use]
pub fn next(retry: &Retry, ended: &Ended, spent: Spent, now: Clocks, random: u64) -> Next {
    if ended.outcome == AttemptOutcome::Delivered {
        return Next::Delivered;
    }
    let is_final = ended.status.is_some_and(|status| retry.give_up_on.iter().any(|code| *code == status));
    let attempts = spent.attempts.saturating_add(u32::from(spent.spends));
    let is_spent = retry.max_attempts.is_some_and(|most| attempts >= most.get());
    if is_final || is_spent || age(spent.since, now) >= retry.max_age {
        return Next::Dead(ended.cause());
    }
    let wait = wait(&retry.schedule, spent.attempts, ended.retry_after, random);
    Next::Again { due: now.wall.plus(wait), spends: spent.spends }
}

/// The age of a budget of retries: the lesser age by the two clocks.
fn age(since: Time, now: Clocks) -> Duration {
    now.wall.since(since).min(now.steady.since(since))
}

/// The wait after an attempt. `attempts` is the number of attempts before it.
fn wait(schedule: &[Duration], attempts: u32, asked: Option<Duration>, random: u64) -> Duration {
    let own = varied(step(schedule, attempts), random);
    // The upstream may ask for a wait longer than ours, up to the schedule's longest step. The variation
    // never shortens such a wait.
    asked.map_or(own, |asked| own.max(asked.min(longest(schedule))))
}

/// The step of a schedule with this number, counted from 0. The last step repeats.
#[must_use]
pub fn step(schedule: &[Duration], number: u32) -> Duration {
    let at = usize::try_from(number).ok().and_then(|number| schedule.get(number));
    at.or(schedule.last()).copied().unwrap_or(LEAST).max(LEAST)
}

/// The shortest wait. Guards against a schedule without a pause.
const LEAST: Duration = Duration::from_millis(10);

/// The longest step of a schedule.
#[must_use]
pub fn longest(schedule: &[Duration]) -> Duration {
    schedule.iter().copied().max().unwrap_or(LEAST).max(LEAST)
}

/// The longest wait that a schedule can give. A later due time was computed from a wrong clock.
#[must_use]
pub fn longest_wait(schedule: &[Duration]) -> Duration {
    let longest = longest(schedule);
    longest.saturating_add(longest.checked_div(5).unwrap_or_default())
}

/// The duration, changed by up to a fifth in either direction.
#[must_use]
pub fn varied(wait: Duration, random: u64) -> Duration {
    // The factor in thousandths, from 800 to 1200.
    let thousandths = u32::try_from(random % 401).unwrap_or(200).saturating_add(800);
    wait.checked_mul(thousandths).and_then(|wait| wait.checked_div(1000)).unwrap_or(wait)
}

/// Reads the value of a `retry-after` field (RFC 9110, section 10.2.3): a number of seconds, or a date.
#[must_use]
pub fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.trim_ascii().len() == text.len())?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is longer than every schedule.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // The current form, IMF-fixdate, has one text for each second. The two obsolete forms have another
    // length.
    if text.len() == IMF_FIXDATE && httpdate::fmt_http_date(date) != text {
        return None;
    }
    Some(date.duration_since(now).unwrap_or_default())
}

/// The length of an IMF-fixdate (RFC 9110, section 5.6.7).
const IMF_FIXDATE: usize = 29;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn retry() -> Retry {
        Retry { schedule: vec![SECOND * 5, SECOND * 30, SECOND * 120], ..Retry::default() }
    }

    fn refused(status: u16) -> Ended {
        Ended { outcome: AttemptOutcome::Refused, status: Some(status), retry_after: None }
    }

    fn without_answer(outcome: AttemptOutcome) -> Ended {
        Ended { outcome, status: None, retry_after: None }
    }

    fn at(seconds: u64) -> Clocks {
        let time = Time::from_millis(seconds * 1000);
        Clocks { wall: time, steady: time }
    }

    fn spent(attempts: u32) -> Spent {
        Spent { attempts, since: Time::from_millis(1_000_000), spends: true }
    }

    /// The wait that follows an attempt.
    fn waits(retry: &Retry, ended: &Ended, spent: Spent, random: u64) -> Duration {
        match next(retry, ended, spent, at(1000), random) {
            Next::Again { due, .. } => due.since(at(1000).wall),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn any_2xx_is_delivered_whatever_was_spent() {
        let ended = Ended { outcome: AttemptOutcome::Delivered, status: Some(204), retry_after: None };
        assert_eq!(next(&retry(), &ended, spent(u32::MAX), at(u64::MAX / 2000), 0), Next::Delivered);
    }

    #[test]
    fn each_failure_waits_for_its_step_and_the_last_step_repeats() {
        // A `random` value of 200 leaves the wait unchanged.
        for (attempts, want) in [(0, 5), (1, 30), (2, 120), (3, 120), (u32::MAX, 120)] {
            assert_eq!(waits(&retry(), &refused(500), spent(attempts), 200), SECOND * want, "{attempts}");
        }
    }

    #[test]
    fn a_redirect_is_refused_and_tried_again_like_any_other_answer() {
        for status in [100, 301, 302, 307, 308, 400, 404, 429, 500, 599] {
            assert_eq!(waits(&retry(), &refused(status), spent(0), 200), SECOND * 5, "{status}");
        }
    }

    #[test]
    fn a_wait_varies_by_a_fifth_and_no_more() {
        let all: Vec<_> = (0..401).map(|random| varied(SECOND * 10, random)).collect();
        assert_eq!(all.iter().min(), Some(&(SECOND * 8)));
        assert_eq!(all.iter().max(), Some(&(SECOND * 12)));
        assert_eq!(longest_wait(&retry().schedule), SECOND * 144);
    }

    #[test]
    fn a_longer_wait_that_the_upstream_asks_for_is_kept_up_to_the_longest_step() {
        for (asked, want) in
            [(0, 4), (3, 4), (4, 4), (5, 5), (60, 60), (120, 120), (121, 120), (u64::MAX, 120)]
        {
            let ended = Ended { retry_after: Some(Duration::from_secs(asked)), ..refused(503) };
            assert_eq!(waits(&retry(), &ended, spent(0), 0), SECOND * want, "{asked}");
        }
        // The variation may make our own wait longer than the longest step.
        let ended = Ended { retry_after: Some(SECOND * 7200), ..refused(503) };
        assert_eq!(waits(&retry(), &ended, spent(9), 400), SECOND * 144);
        assert_eq!(waits(&retry(), &ended, spent(9), 0), SECOND * 120);
    }

    #[test]
    fn a_status_to_give_up_on_ends_the_delivery_at_once_and_another_does_not() {
        assert_eq!(next(&retry(), &refused(410), spent(0), at(1000), 0), Next::Dead(DeadCause::Refused));
        assert_eq!(waits(&retry(), &refused(409), spent(0), 200), SECOND * 5);
        let own = Retry { give_up_on: vec![StatusCode::BAD_REQUEST], ..retry() };
        assert_eq!(next(&own, &refused(400), spent(0), at(1000), 0), Next::Dead(DeadCause::Refused));
        assert_eq!(waits(&own, &refused(410), spent(0), 200), SECOND * 5);
        // This holds while the circuit is open, too: the answer is final.
        let probe = Spent { spends: false, ..spent(0) };
        assert_eq!(next(&retry(), &refused(410), probe, at(1000), 0), Next::Dead(DeadCause::Refused));
    }

    #[test]
    fn the_last_attempt_is_the_one_with_the_greatest_number() {
        let retry = Retry { max_attempts: NonZeroU32::new(3), ..retry() };
        assert_eq!(waits(&retry, &refused(500), spent(1), 200), SECOND * 30);
        assert_eq!(next(&retry, &refused(500), spent(2), at(1000), 0), Next::Dead(DeadCause::Refused));
        assert_eq!(next(&retry, &refused(500), spent(u32::MAX), at(1000), 0), Next::Dead(DeadCause::Refused));
        // An attempt that does not count cannot be the last.
        let probe = Spent { spends: false, ..spent(2) };
        assert!(matches!(next(&retry, &refused(500), probe, at(1000), 0), Next::Again { spends: false, .. }));
    }

    #[test]
    fn an_event_is_given_up_at_its_greatest_age_and_not_a_millisecond_before() {
        let retry = Retry { max_age: SECOND * 60, ..retry() };
        let clocks = |millis| {
            let time = Time::from_millis(millis);
            Clocks { wall: time, steady: time }
        };
        let ended = without_answer(AttemptOutcome::TimedOut);
        let early = next(&retry, &ended, spent(0), clocks(1_059_999), 0);
        assert!(matches!(early, Next::Again { spends: true, .. }));
        for millis in [1_060_000, 1_060_001, u64::MAX] {
            let dead = next(&retry, &ended, spent(0), clocks(millis), 0);
            assert_eq!(dead, Next::Dead(DeadCause::Undeliverable));
        }
    }

    #[test]
    fn a_dead_letter_has_the_cause_of_its_last_attempt() {
        let retry = Retry { max_attempts: NonZeroU32::new(1), ..retry() };
        for (ended, cause) in [
            (refused(500), DeadCause::Refused),
            (refused(302), DeadCause::Refused),
            (without_answer(AttemptOutcome::Unreachable), DeadCause::Undeliverable),
            (without_answer(AttemptOutcome::Failed), DeadCause::Undeliverable),
            (without_answer(AttemptOutcome::TimedOut), DeadCause::Undeliverable),
        ] {
            assert_eq!(next(&retry, &ended, spent(0), at(1000), 0), Next::Dead(cause), "{ended:?}");
        }
    }

    #[test]
    fn no_jump_of_the_wall_clock_ends_a_delivery_or_stops_its_retries() {
        let retry = retry();
        let since = Time::from_millis(1_000_000_000);
        let spent = Spent { attempts: 0, since, spends: true };
        let year = Duration::from_secs(365 * 24 * 3600);
        for (wall, steady) in [
            (since.plus(year * 10), since.plus(SECOND)),
            (Time::from_millis(0), since.plus(SECOND)),
            (since.plus(SECOND), Time::from_millis(0)),
            (since.plus(SECOND), since.plus(year)),
        ] {
            let next = next(&retry, &refused(500), spent, Clocks { wall, steady }, 200);
            assert_eq!(next, Next::Again { due: wall.plus(SECOND * 5), spends: true });
        }
    }

    #[test]
    fn only_trouble_of_the_upstream_counts_as_trouble() {
        for (status, want) in
            [(302, false), (400, false), (404, false), (410, false), (428, false), (429, true)]
        {
            assert_eq!(refused(status).is_trouble(), want, "{status}");
        }
        assert!(!refused(499).is_trouble() && refused(500).is_trouble());
        assert!(refused(599).is_trouble() && !refused(600).is_trouble());
        for outcome in AttemptOutcome::ALL {
            let answered = matches!(outcome, AttemptOutcome::Delivered | AttemptOutcome::Refused);
            assert_eq!(without_answer(outcome).is_trouble(), !answered, "{outcome:?}");
        }
    }

    #[test]
    fn a_schedule_without_a_pause_still_has_one() {
        for schedule in [vec![], vec![Duration::ZERO]] {
            assert!(step(&schedule, 0) >= LEAST && longest(&schedule) >= LEAST);
        }
    }

    #[test]
    fn seconds_are_digits_and_nothing_else() {
        let now = SystemTime::UNIX_EPOCH;
        for (text, want) in [("0", 0), ("120", 120), ("00120", 120), ("99999999999999999999", u64::MAX)] {
            assert_eq!(retry_after(text.as_bytes(), now), Some(Duration::from_secs(want)), "{text}");
        }
        for text in ["", " ", "-1", "+1", "1.5", "1s", "1 ", " 1", "0x10", "1,2", "١", "soon"] {
            assert_eq!(retry_after(text.as_bytes(), now), None, "{text:?}");
        }
        assert_eq!(retry_after(b"\xff", now), None);
    }

    #[test]
    fn a_date_is_the_time_until_then_and_a_past_one_is_none() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, want) in [
            ("Sun, 06 Nov 1994 08:49:47 GMT", 10),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:27 GMT", 0),
            ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
            ("Sun Nov  6 08:50:37 1994", 60),
        ] {
            assert_eq!(retry_after(text.as_bytes(), now), Some(Duration::from_secs(want)), "{text}");
        }
        for text in [
            "Mon, 06 Nov 1994 08:49:47 GMT",
            "Sun, 06 Nov 1994 08:49:47 UTC",
            "Sun, 31 Feb 2027 08:49:47 GMT",
            "Sun, 6 Nov 1994 08:49:47 GMT",
            "sun, 06 nov 1994 08:49:47 gmt",
            "Sun, 06 Nov 1994 08:49:47 GMT ",
            "1994-11-06T08:49:47Z",
        ] {
            assert_eq!(retry_after(text.as_bytes(), now), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(value: Vec<u8>, like in "[A-Za-z0-9 ,:-]{0,40}") {
            let _any = (retry_after(&value, SystemTime::UNIX_EPOCH), retry_after(like.as_bytes(), SystemTime::UNIX_EPOCH));
        }

        #[test]
        fn every_wait_is_within_its_bounds(attempts: u32, random: u64, asked: Option<u64>, since: u64, wall: u64, steady: u64) {
            let retry = retry();
            let ended = Ended { retry_after: asked.map(Duration::from_secs), ..refused(500) };
            let spent = Spent { attempts, since: Time::from_millis(since), spends: true };
            let clocks = Clocks { wall: Time::from_millis(wall), steady: Time::from_millis(steady) };
            if let Next::Again { due, .. } = next(&retry, &ended, spent, clocks, random) {
                let wait = due.since(clocks.wall);
                prop_assert!(wait <= longest_wait(&retry.schedule));
                prop_assert!(wait >= SECOND * 4 || due.millis() == u64::MAX);
            }
        }
    }
}
