//! Pure. Pacing: the attempts of one upstream are evenly spaced, at its `rate`.
//!
//! Attempts have slots, one interval apart. Timers are coarse, so an attempt may start a little late. The
//! later slots do not move then, so the configured rate is reached. A slot that passes unused is lost, so no
//! burst follows.

use std::time::{Duration, Instant};

/// How late an attempt may start without moving later slots. Never more than one interval.
const LATE: Duration = Duration::from_millis(5);

/// The pacing of one upstream.
#[derive(Debug, Default)]
pub struct Pacing {
    interval: Option<Duration>,
    /// The next slot. `None` before the first attempt.
    next: Option<Instant>,
}

impl Pacing {
    /// Sets the time between two attempts; `None` means no limit. The next slot is moved only if it is more
    /// than one interval after `now`.
    pub fn set(&mut self, interval: Option<Duration>, now: Instant) {
        self.interval = interval;
        self.next = match (self.next, interval.and_then(|interval| now.checked_add(interval))) {
            (Some(next), Some(latest)) => Some(next.min(latest)),
            (Some(_) | None, None) | (None, Some(_)) => None,
        };
    }

    /// When the next attempt may start; `None` if it may start now.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| *next > now)
    }

    /// Notes that an attempt starts.
    pub fn start(&mut self, now: Instant) {
        let Some(interval) = self.interval else { return };
        // The slot of this attempt. If the slot passed too long ago, a later time.
        let earliest = now.checked_sub(LATE.min(interval)).unwrap_or(now);
        let slot = self.next.map_or(now, |next| next.max(earliest));
        self.next = slot.checked_add(interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn paced(interval: Duration, now: Instant) -> Pacing {
        let mut pacing = Pacing::default();
        pacing.set(Some(interval), now);
        pacing
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let now = Instant::now();
        let mut pacing = Pacing::default();
        (0..10).for_each(|_| {
            assert_eq!(pacing.wait(now), None);
            pacing.start(now);
        });
    }

    #[test]
    fn attempts_are_an_interval_apart() {
        let mut now = Instant::now();
        let mut pacing = paced(MILLI * 20, now);
        for _ in 0..100 {
            assert_eq!(pacing.wait(now), None);
            pacing.start(now);
            assert_eq!(pacing.wait(now), Some(now + MILLI * 20));
            assert_eq!(pacing.wait(now + MILLI * 19), Some(now + MILLI * 20));
            now += MILLI * 20;
        }
    }

    #[test]
    fn a_pause_saves_nothing_up_for_a_burst() {
        let start = Instant::now();
        let mut pacing = paced(MILLI * 20, start);
        pacing.start(start);
        let later = start + Duration::from_secs(3600);
        pacing.start(later);
        // The schedule makes up for no more than `LATE`.
        assert_eq!(pacing.wait(later), Some(later + MILLI * 15));
        pacing.start(later + MILLI * 15);
        assert_eq!(pacing.wait(later + MILLI * 15), Some(later + MILLI * 35));
    }

    #[test]
    fn attempts_that_start_a_little_late_still_reach_the_rate_and_never_exceed_it() {
        let begin = Instant::now();
        let mut pacing = paced(MILLI * 20, begin);
        let mut now = begin;
        let mut starts = Vec::new();
        while now < begin + Duration::from_secs(10) {
            if pacing.wait(now).is_none() {
                pacing.start(now);
                starts.push(now);
            }
            // The steps of a coarse timer.
            now += MILLI * 3;
        }
        assert!((495..=501).contains(&starts.len()), "{}", starts.len());
        for (at, first) in starts.iter().enumerate() {
            let within =
                starts[at..].iter().take_while(|start| **start - *first < Duration::from_secs(1)).count();
            assert!(within <= 51, "{within}");
        }
    }

    #[test]
    fn an_interval_that_a_reload_shortens_holds_at_once() {
        let now = Instant::now();
        let mut pacing = paced(Duration::from_secs(3600), now);
        pacing.start(now);
        pacing.set(Some(MILLI), now);
        assert_eq!(pacing.wait(now), Some(now + MILLI));
        pacing.set(None, now);
        assert_eq!(pacing.wait(now), None);
    }
}
