//! Pure. Limits log lines about events that clients can cause at will: one line a minute, with a count.

use std::time::{Duration, Instant};

/// The time between two lines. Guards the log against a client that causes the event again and again.
const PAUSE: Duration = Duration::from_secs(60);

/// The number of events since the last log line.
#[derive(Debug, Default)]
pub struct Repeated {
    said: Option<Instant>,
    since: u64,
}

impl Repeated {
    /// Counts an event. If a line is due, returns the number of events since the last line.
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
    fn the_first_event_is_reported_at_once_and_then_one_line_a_minute_has_the_count() {
        let start = Instant::now();
        let mut repeated = Repeated::default();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let said: Vec<_> =
            [0, 0, 1, 59, 60, 61, 119, 120, 500].map(|second| repeated.count(at(second))).into();
        assert_eq!(said, [Some(1), None, None, None, Some(4), None, None, Some(3), Some(1)]);
    }
}
