//! Pure. Time spans for people.

use std::fmt;
use std::time::Duration;

/// A time span in a readable unit. A very long span is shown only as longer than a limit.
pub struct Span(pub Duration);

impl Span {
    fn parts(&self) -> (u64, &'static str) {
        match self.0.as_secs() {
            seconds @ 0..120 => (seconds, "second"),
            seconds @ 120..7200 => (seconds / 60, "minute"),
            seconds @ 7200..172_800 => (seconds / 3600, "hour"),
            seconds => (seconds / 86_400, "day"),
        }
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
