//! Pure. Sizes and durations as gateway.toml writes them: `"64KiB"`, `"10s"`.

use std::fmt;
use std::time::Duration;

/// The bytes that a text such as `64KiB` stands for.
///
/// # Errors
/// [`UnitError`], which says what to write instead.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    read(text, &SIZES, &NEARLY_SIZES).map_err(|fault| UnitError { quantity: Quantity::Size, fault })
}

/// The time that a text such as `10s` stands for.
///
/// # Errors
/// [`UnitError`], which says what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    match read(text, &DURATIONS, &NEARLY_DURATIONS) {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(fault) => Err(UnitError { quantity: Quantity::Duration, fault }),
    }
}

/// A size as gateway.toml would write it, in the largest unit that leaves no fraction.
#[must_use]
pub fn write_size(bytes: u64) -> String {
    write(bytes, &SIZES)
}

/// A duration as gateway.toml would write it; what is less than a millisecond is left out.
#[must_use]
pub fn write_duration(duration: Duration) -> String {
    write(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
}

/// A text that is no size, or no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    quantity: Quantity,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Size,
    Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// Not a whole number with a unit; what was probably meant, if that can be told.
    Form(Option<String>),
    /// More than 64 bits hold.
    TooLarge,
}

impl UnitError {
    /// What to write instead.
    #[must_use]
    pub fn help(&self) -> String {
        if let Fault::Form(Some(instead)) = &self.fault {
            return format!("write `\"{instead}\"`");
        }
        match self.quantity {
            Quantity::Size => {
                "write a number of bytes, or a string with B, KiB, MiB or GiB: `\"1MiB\"`".into()
            }
            Quantity::Duration => "write a string with ms, s, m or h: `\"10s\"`".into(),
        }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.quantity, &self.fault) {
            (Quantity::Size, Fault::Form(_)) => "not a size",
            (Quantity::Size, Fault::TooLarge) => "this size is too large to count",
            (Quantity::Duration, Fault::Form(_)) => "not a duration",
            (Quantity::Duration, Fault::TooLarge) => "this duration is too long to count",
        })
    }
}

impl std::error::Error for UnitError {}

type Units = [(&'static str, u64); 4];

fn read(text: &str, units: &Units, nearly: &[(&str, u64, &str)]) -> Result<u64, Fault> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(Fault::Form(None));
    }
    let number: u64 = number.parse().map_err(|_only_overflow_is_left| Fault::TooLarge)?;
    if let Some((_, scale)) = units.iter().find(|(name, _)| *name == unit) {
        return number.checked_mul(*scale).ok_or(Fault::TooLarge);
    }
    let unit = unit.trim().to_ascii_lowercase();
    let meant = nearly.iter().find(|(name, ..)| *name == unit);
    Err(Fault::Form(
        meant.and_then(|(_, times, unit)| Some(format!("{}{unit}", number.checked_mul(*times)?))),
    ))
}

fn write(number: u64, units: &Units) -> String {
    let fits = |scale: u64| number.checked_rem(scale) == Some(0) && number >= scale;
    let best = units.iter().rev().find(|(_, scale)| fits(*scale));
    match best.or(units.first()) {
        Some((unit, scale)) => format!("{}{unit}", number.checked_div(*scale).unwrap_or(number)),
        None => number.to_string(),
    }
}

/// From the smallest to the largest.
const SIZES: Units = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// In milliseconds.
const DURATIONS: Units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// What people write for a unit, in lower case, and what to write for it: so many times so much.
const NEARLY_SIZES: [(&str, u64, &str); 14] = [
    ("", 1, "B"),
    ("b", 1, "B"),
    ("byte", 1, "B"),
    ("bytes", 1, "B"),
    ("k", 1, "KiB"),
    ("kb", 1, "KiB"),
    ("kib", 1, "KiB"),
    ("m", 1, "MiB"),
    ("mb", 1, "MiB"),
    ("mib", 1, "MiB"),
    ("g", 1, "GiB"),
    ("gb", 1, "GiB"),
    ("gib", 1, "GiB"),
    ("tib", 1024, "GiB"),
];

const NEARLY_DURATIONS: [(&str, u64, &str); 20] = [
    ("", 1, "s"),
    ("ms", 1, "ms"),
    ("msec", 1, "ms"),
    ("millis", 1, "ms"),
    ("milliseconds", 1, "ms"),
    ("s", 1, "s"),
    ("sec", 1, "s"),
    ("secs", 1, "s"),
    ("second", 1, "s"),
    ("seconds", 1, "s"),
    ("m", 1, "m"),
    ("min", 1, "m"),
    ("mins", 1, "m"),
    ("minutes", 1, "m"),
    ("h", 1, "h"),
    ("hr", 1, "h"),
    ("hours", 1, "h"),
    ("d", 24, "h"),
    ("day", 24, "h"),
    ("days", 24, "h"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("1MiB", 1_048_576),
            ("1GiB", 1_073_741_824),
            ("17179869183GiB", 17_179_869_183 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, milliseconds) in
            [("0ms", 0), ("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_nearly_a_unit_is_answered_with_the_right_one() {
        for (text, instead) in [
            ("64", "64B"),
            ("64KB", "64KiB"),
            ("64kB", "64KiB"),
            ("64k", "64KiB"),
            ("64 KiB", "64KiB"),
            ("64kib", "64KiB"),
            ("1MB", "1MiB"),
            ("1TiB", "1024GiB"),
        ] {
            assert_eq!(parse_size(text).unwrap_err().help(), format!("write `\"{instead}\"`"), "{text}");
        }
        for (text, instead) in [("10", "10s"), ("10 s", "10s"), ("10S", "10s"), ("2min", "2m"), ("2d", "48h")]
        {
            assert_eq!(parse_duration(text).unwrap_err().help(), format!("write `\"{instead}\"`"), "{text}");
        }
    }

    #[test]
    fn anything_else_is_told_what_is_accepted() {
        for text in ["", "KiB", "-1KiB", "1.5MiB", "1KiB1", "0x10B", "1e3B", "١KiB", "1 000B"] {
            let error = parse_size(text).unwrap_err();
            assert!(error.help().contains("B, KiB, MiB or GiB"), "{text}: {}", error.help());
        }
        for text in ["", "s", "-1s", "1.5s", "1s1", "1m30s", "1us"] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.help().contains("ms, s, m or h"), "{text}: {}", error.help());
        }
    }

    #[test]
    fn what_64_bits_do_not_hold_is_an_error() {
        for text in ["18446744073709551616B", "17179869184GiB", "99999999999999999999999GiB"] {
            assert_eq!(
                parse_size(text).unwrap_err().to_string(),
                "this size is too large to count",
                "{text}"
            );
        }
        let error = parse_duration("18446744073709551615s").unwrap_err();
        assert_eq!(error.to_string(), "this duration is too long to count");
        assert!(parse_size("18446744073709551615TiB").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(number: u64) {
            prop_assert_eq!(parse_size(&write_size(number)), Ok(number));
            let duration = Duration::from_millis(number);
            prop_assert_eq!(parse_duration(&write_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text: String) {
            drop((parse_size(&text), parse_duration(&text)));
        }
    }
}
