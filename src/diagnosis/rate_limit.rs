//! Pure. An allowance: how often an action is allowed within a period of time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A number of tokens for each period. When a token is taken after the end of a period, a new period begins.
#[derive(Debug)]
pub struct Allowance {
    tokens: u32,
    period: Duration,
    current: Mutex<Period>,
}

#[derive(Debug)]
struct Period {
    begun: SystemTime,
    taken: u32,
}

impl Allowance {
    /// An allowance of `tokens` tokens in each `period`.
    #[must_use]
    pub fn of(tokens: u32, period: Duration) -> Self {
        let current = Mutex::new(Period { begun: SystemTime::UNIX_EPOCH, taken: 0 });
        Self { tokens, period, current }
    }

    /// Whether no token is left.
    #[must_use]
    pub fn is_spent(&self, now: SystemTime) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.taken >= self.tokens && !self.is_over(&current, now)
    }

    /// Takes a token. Returns `false` if none is left.
    #[must_use]
    pub fn take(&self, now: SystemTime) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_over(&current, now) {
            *current = Period { begun: now, taken: 0 };
        }
        let is_left = current.taken < self.tokens;
        current.taken = current.taken.saturating_add(u32::from(is_left));
        is_left
    }

    /// Whether the period has ended. A clock that is set back ends the period, too. Otherwise the period
    /// would become longer by the time that the clock was set back.
    fn is_over(&self, current: &Period, now: SystemTime) -> bool {
        now.duration_since(current.begun).map_or(true, |age| age >= self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn no_more_are_taken_than_there_are_by_any_number_of_threads() {
        let allowance = Allowance::of(5, Duration::from_secs(40));
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..100).filter(|_| allowance.take(at(0))).count())).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 5);
        assert!(allowance.is_spent(at(0)) && !allowance.take(at(0)));
    }

    #[test]
    fn tokens_come_back_when_their_time_has_come_and_not_before() {
        let allowance = Allowance::of(2, Duration::from_secs(40));
        assert!(!allowance.is_spent(at(0)) && allowance.take(at(0)) && allowance.take(at(39)));
        assert!(allowance.is_spent(at(39)) && !allowance.take(at(39)));
        assert!(!allowance.is_spent(at(40)) && allowance.take(at(40)) && allowance.take(at(40)));
        assert!(!allowance.take(at(79)) && allowance.take(at(80)));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_tokens() {
        let allowance = Allowance::of(1, Duration::from_secs(40));
        assert!(allowance.take(at(1000)) && !allowance.take(at(1000)));
        assert!(allowance.take(at(10)) && !allowance.take(at(11)));
    }
}
