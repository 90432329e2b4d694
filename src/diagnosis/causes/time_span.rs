//! Pure. Time spans for people.

use std::fmt;
use std::time::Duration;

/// A time span in a readable unit. A very long span is shown only as longer than a limit.
pub struct Span(pub Duration);

impl Span {
    fn parts(&self) -> (u64, &'static str) {
        let (length, unit) = self.unit();
        (self.0.as_secs().checked_div(length).unwrap_or_default(), unit)
    }

    /// The length of the unit in seconds, and its name.
    fn unit(&self) -> (u64, &'static str) {
        match self.0.as_secs() {
            0..120 => (1, "second"),
            120..7200 => (60, "minute"),
            7200..172_800 => (3600, "hour"),
            172_800.. => (86_400, "day"),
        }
    }

    /// The span and a limit that it exceeds, as texts that a reader can compare. The limit is exact, so it is
    /// in seconds if it is no whole number of its unit. Then the span is in seconds, too, if it is under two
    /// hours. If both would have the same text, both are in seconds.
    pub(crate) fn beside_limit(&self, limit: Duration) -> (String, String) {
        let limit = Self(limit);
        let (unit, _) = limit.unit();
        let is_in_unit = unit > 1 && limit.0.as_secs().is_multiple_of(unit);
        let is_same = self.parts() == limit.parts();
        if is_in_unit && !is_same {
            return (self.to_string(), limit.to_string());
        }
        let seconds = self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0));
        let is_short = seconds < 7200;
        let text = if is_same || is_short { in_seconds(seconds) } else { self.to_string() };
        (text, in_seconds(limit.0.as_secs()))
    }
}

fn in_seconds(count: u64) -> String {
    format!("{count} second{}", if count == 1 { "" } else { "s" })
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = self.parts();
        let (more, count) = if count > 99 && unit == "day" { ("more than ", 99) } else { ("", count) };
        write!(f, "{more}{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_and_its_limit_can_be_compared_and_differ() {
        for (off, limit, want) in [
            (1, 0, ("1 second", "0 seconds")),
            (2, 1, ("2 seconds", "1 second")),
            (90, 60, ("90 seconds", "60 seconds")),
            (1025, 60, ("1025 seconds", "60 seconds")),
            (420, 300, ("7 minutes", "5 minutes")),
            (310, 300, ("310 seconds", "300 seconds")),
            (200, 150, ("200 seconds", "150 seconds")),
            (7199, 150, ("7199 seconds", "150 seconds")),
            (7200, 150, ("2 hours", "150 seconds")),
            (10_000, 9000, ("10000 seconds", "9000 seconds")),
            (86_400, 9000, ("24 hours", "9000 seconds")),
            (86_400, 300, ("24 hours", "5 minutes")),
            (259_200, 172_800, ("3 days", "2 days")),
        ] {
            let (off, limit) = (Duration::from_secs(off), Duration::from_secs(limit));
            let (off, limit) = Span(off).beside_limit(limit);
            assert_eq!((&*off, &*limit), want);
        }
    }
}
