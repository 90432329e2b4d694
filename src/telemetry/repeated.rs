//! Pure. What clients can bring about as often as they like, and the log says once a minute, with how often it happened.

use std::time::{Duration, Instant};

/// How long nothing more is said of it. Guards the log against whoever brings it about.
const PAUSE: Duration = Duration::from_secs(60);

/// How often something has happened since it was last said.
#[derive(Debug, Default)]
pub struct Repeated {
    said: Option<Instant>,
    since: u64,
}

impl Repeated {
    /// Counts it once more. If it is to be said now, how often it has happened since it was last said.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.since = self.since.saturating_add(1);
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < PAUSE) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_then_one_a_minute_with_all_that_were_not() {
        let start = Instant::now();
        let mut repeated = Repeated::default();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let said: Vec<_> =
            [0, 0, 1, 59, 60, 61, 119, 120, 500].map(|second| repeated.count(at(second))).into();
        assert_eq!(said, [Some(1), None, None, None, Some(4), None, None, Some(3), Some(1)]);
    }
}
