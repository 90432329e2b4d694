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

    /// The exact span as text. It is in seconds if it is no whole number of its unit.
    pub(crate) fn exact(&self) -> String {
        let seconds = self.0.as_secs();
        if seconds.is_multiple_of(self.unit().0) { self.to_string() } else { format!("{seconds} seconds") }
    }

    /// The span as text beside a limit that it exceeds. If both would have the same text, the span is in seconds.
    pub(crate) fn beside(&self, limit: Duration) -> String {
        if self.parts() != Self(limit).parts() {
            return self.to_string();
        }
        let seconds = self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0));
        format!("{seconds} seconds")
    }

    /// The verb after the span: `1 second is`, `2 seconds are`.
    pub(crate) fn verb(&self) -> &'static str {
        if self.parts().0 == 1 { "is" } else { "are" }
    }
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
    fn an_exact_span_is_never_rounded() {
        for (seconds, want) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "60 seconds"),
            (120, "2 minutes"),
            (150, "150 seconds"),
            (300, "5 minutes"),
            (7200, "2 hours"),
            (9000, "9000 seconds"),
            (172_800, "2 days"),
        ] {
            assert_eq!(Span(Duration::from_secs(seconds)).exact(), want);
        }
    }
}
