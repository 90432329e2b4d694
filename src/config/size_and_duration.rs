//! Pure. Reads and writes sizes and durations as in gateway.toml: `"64KiB"`, `"10s"`, `"1m30s"`, `"60/1m"`.
//!
//! The crates for this accept too much: `5M` as five months, `64kB` as 64,000, `1.5MiB`. They also read a
//! number that is too large as the largest number.

use std::fmt;
use std::time::Duration;

/// Parses a number of bytes such as `64KiB`.
///
/// # Errors
/// [`UnitError`]. It says what to write instead.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    read(text, &SIZES)
}

/// Parses a duration such as `10s` or `1m30s`.
///
/// # Errors
/// [`UnitError`]. It says what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    read(text, &DURATIONS).map(Duration::from_millis)
}

/// Parses a number of events within a time, such as `60/1m`.
///
/// # Errors
/// [`UnitError`]. It says what to write instead.
pub fn parse_count_within(text: &str) -> Result<(u32, Duration), UnitError> {
    let wrong = |help: String| UnitError { message: "not a number within a time", help, instead: None };
    let form = || wrong("write a number and a time: `\"60/1m\"`".to_owned());
    let (number, time) = text.split_once('/').ok_or_else(form)?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    let number: u32 = if is_number { number.parse().unwrap_or(u32::MAX) } else { return Err(form()) };
    match parse_duration(time) {
        Ok(time) => Ok((number, time)),
        // `60/m`
        Err(_) if parse_duration(&format!("1{time}")).is_ok() => {
            Err(wrong(format!("write `\"{number}/1{time}\"`")))
        }
        Err(_) => Err(form()),
    }
}

/// Formats a size as in gateway.toml, in the largest unit that needs no fraction.
#[must_use]
pub fn write_size(bytes: u64) -> String {
    write(bytes, SIZES.units)
}

/// Formats a duration as in gateway.toml. Fractions of a millisecond are dropped.
#[must_use]
pub fn write_duration(duration: Duration) -> String {
    write(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), DURATIONS.units)
}

/// Why a text is not a size or a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    message: &'static str,
    help: String,
    /// The text that the user probably meant. Its notation is correct, but its number may be out of range.
    instead: Option<String>,
}

impl UnitError {
    /// The advice for the user.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }

    /// The text that the user probably meant, if it can be told. Its notation is correct, but its number may
    /// be out of range.
    #[must_use]
    pub fn instead(&self) -> Option<&str> {
        self.instead.as_deref()
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl std::error::Error for UnitError {}

/// The units that a number may have, and the messages for a wrong text.
struct Scale {
    /// The units, from the smallest to the largest.
    units: &'static [(&'static str, u64)],
    /// Other common spellings of a unit, in lower case. Each has a factor, and the unit to write instead.
    nearly: &'static [(&'static [&'static str], u64, &'static str)],
    /// Whether several numbers may follow each other. Each then has a smaller unit than the number before.
    compound: bool,
    /// The message for a text of another form.
    wrong: &'static str,
    /// The message for a number of more than 64 bits.
    too_large: &'static str,
    /// The advice if no better advice is known.
    help: &'static str,
}

fn read(text: &str, scale: &Scale) -> Result<u64, UnitError> {
    let form = || {
        let instead = meant(text, scale).or_else(|| otherwise(text, scale));
        let help = instead.as_ref().map(|instead| format!("write `\"{instead}\"`"));
        let help = help.or_else(|| {
            let word = text.trim().to_ascii_lowercase();
            UNLIMITED.contains(&word.as_str()).then(|| format!("there is always a limit: {}", scale.help))
        });
        let help = help.unwrap_or_else(|| scale.help.to_owned());
        UnitError { message: scale.wrong, help, instead }
    };
    let too_large = || UnitError { message: scale.too_large, help: scale.help.to_owned(), instead: None };
    let parts = parts(text);
    if parts.is_empty() || (parts.len() > 1 && !scale.compound) {
        return Err(form());
    }
    // The units that may follow: only the smaller ones.
    let mut units = scale.units.iter().rev();
    parts.into_iter().try_fold(0_u64, |total, (number, unit)| {
        let number: u64 = number.parse().map_err(|_only_overflow_is_left| too_large())?;
        let (_, times) = units.find(|(name, _)| *name == unit).ok_or_else(form)?;
        number.checked_mul(*times).and_then(|part| total.checked_add(part)).ok_or_else(too_large)
    })
}

/// The numbers of a text, each with the text that follows it. Empty if the text does not begin with a number.
fn parts(text: &str) -> Vec<(&str, &str)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.starts_with(|c: char| c.is_ascii_digit()) {
        let (number, tail) = split(rest, |c| !c.is_ascii_digit());
        let (unit, tail) = split(tail, |c| c.is_ascii_digit());
        parts.push((number, unit));
        rest = tail;
    }
    parts
}

fn split(text: &str, end: impl FnMut(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// The text that the user probably meant: with correct units, the largest first.
fn meant(text: &str, scale: &Scale) -> Option<String> {
    let parts = parts(text);
    let mut meant: Vec<(u64, String)> = Vec::new();
    for (number, typed) in &parts {
        let typed = typed.trim().to_ascii_lowercase();
        let (_, times, unit) = scale.nearly.iter().find(|(names, ..)| names.contains(&typed.as_str()))?;
        let (_, rank) = scale.units.iter().find(|(name, _)| name == unit)?;
        let number = number.parse::<u64>().ok()?.checked_mul(*times)?;
        let is_clear = !typed.is_empty() && meant.iter().all(|(other, _)| other != rank);
        if parts.len() > 1 && !(scale.compound && is_clear) {
            return None;
        }
        meant.push((*rank, format!("{number}{unit}")));
    }
    meant.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    (!meant.is_empty()).then(|| meant.into_iter().map(|(_, part)| part).collect())
}

/// The text that the user probably meant, if it is in another notation: a fraction, digits in groups, ISO
/// 8601, a clock.
fn otherwise(text: &str, scale: &Scale) -> Option<String> {
    let text = text.trim();
    if scale.compound {
        let iso = text.strip_prefix("PT").or_else(|| text.strip_prefix('P'));
        if let Some(iso) = iso.map(|iso| iso.replace('T', "").to_ascii_lowercase()) {
            return read(&iso, scale).ok().map(|number| write(number, scale.units));
        }
        let clock: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
        if let Some([hours, minutes, seconds]) = clock.as_deref() {
            let minutes = hours.checked_mul(60)?.checked_add(*minutes)?;
            let seconds = minutes.checked_mul(60)?.checked_add(*seconds)?;
            return Some(write(seconds.checked_mul(1000)?, scale.units));
        }
    }
    let per_second = text.strip_suffix("/s").unwrap_or(text);
    let grouped = decimal_point(per_second).replace(['_', ',', ' ', '\''], "");
    let (number, unit) = split(&grouped, |c| !c.is_ascii_digit() && c != '.');
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 6 || whole.is_empty() {
        return None;
    }
    let unit = unit.to_ascii_lowercase();
    let (_, times, unit) = scale.nearly.iter().find(|(names, ..)| names.contains(&unit.as_str()))?;
    let (_, factor) = scale.units.iter().find(|(name, _)| name == unit)?;
    let factor = factor.checked_mul(*times)?;
    let digits = u32::try_from(fraction.len()).ok()?;
    let parts: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let part = parts.checked_mul(factor)?.checked_div(10_u64.checked_pow(digits)?)?;
    let total = whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(part)?;
    Some(write(total, scale.units))
}

/// The text with a point for a comma that separates a fraction. Behind a comma between groups of digits stand
/// three digits.
fn decimal_point(text: &str) -> std::borrow::Cow<'_, str> {
    let Some((before, after)) = text.split_once(',') else { return text.into() };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let is_fraction = digits != 3 && digits > 0 && !after.contains([',', '.']) && !before.contains('.');
    if is_fraction { text.replace(',', ".").into() } else { text.into() }
}

/// Words for the absence of a limit.
const UNLIMITED: [&str; 10] =
    ["off", "none", "never", "unlimited", "infinite", "infinity", "forever", "no", "false", "max"];

fn write(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |scale: u64| number.checked_rem(scale) == Some(0) && number >= scale;
    let best = units.iter().rev().find(|(_, scale)| fits(*scale));
    match best.or(units.first()) {
        Some((unit, scale)) => format!("{}{unit}", number.checked_div(*scale).unwrap_or(number)),
        None => number.to_string(),
    }
}

const SIZES: Scale = Scale {
    units: &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
    nearly: &[
        (&["", "b", "byte", "bytes"], 1, "B"),
        (&["k", "kb", "ki", "kib", "kilobyte", "kilobytes", "kibibyte", "kibibytes"], 1, "KiB"),
        (
            &["m", "mb", "mi", "mib", "meg", "megs", "megabyte", "megabytes", "mebibyte", "mebibytes"],
            1,
            "MiB",
        ),
        (
            &["g", "gb", "gi", "gib", "gig", "gigs", "gigabyte", "gigabytes", "gibibyte", "gibibytes"],
            1,
            "GiB",
        ),
        (&["t", "tb", "ti", "tib", "terabyte", "terabytes", "tebibyte", "tebibytes"], 1024, "GiB"),
    ],
    compound: false,
    wrong: "not a size",
    too_large: "this size is too large to count",
    help: "write a number of bytes, or a string with B, KiB, MiB or GiB: `\"1MiB\"`",
};

/// The factors are milliseconds.
const DURATIONS: Scale = Scale {
    units: &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)],
    nearly: &[
        (&["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"], 1, "ms"),
        (&["", "s", "sec", "secs", "second", "seconds"], 1, "s"),
        (&["m", "min", "mins", "minute", "minutes"], 1, "m"),
        (&["h", "hr", "hrs", "hour", "hours"], 1, "h"),
        (&["d", "day", "days"], 1, "d"),
        (&["w", "week", "weeks"], 7, "d"),
        (&["month", "months"], 30, "d"),
        (&["y", "year", "years"], 365, "d"),
    ],
    compound: true,
    wrong: "not a duration",
    too_large: "this duration is too long to count",
    help: "write a string with ms, s, m, h or d: `\"10s\"`, `\"1m30s\"`",
};

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
        for (text, milliseconds) in [
            ("0ms", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("3d", 259_200_000),
            ("1m30s", 90_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("90m0s", 5_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn a_number_within_a_time_is_read() {
        for (text, number, seconds) in
            [("60/1m", 60, 60), ("1/1s", 1, 1), ("0/2h", 0, 7200), ("007/1m30s", 7, 90)]
        {
            assert_eq!(parse_count_within(text), Ok((number, Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(parse_count_within("99999999999/1s"), Ok((u32::MAX, Duration::from_secs(1))));
        assert_eq!(parse_count_within("60/m").unwrap_err().help(), "write `\"60/1m\"`");
        for text in ["", "/", "60", "60/", "/1m", "-1/1m", "+1/1m", "6 0/1m", "60/1m/1m", "60/1", "60 per 1m"]
        {
            let error = parse_count_within(text).unwrap_err();
            assert_eq!(error.help(), "write a number and a time: `\"60/1m\"`", "{text}");
        }
    }

    #[test]
    fn a_misspelled_unit_gets_the_right_one_as_a_suggestion() {
        for (text, instead) in [
            ("64", "64B"),
            ("64KB", "64KiB"),
            ("64kB", "64KiB"),
            ("64k", "64KiB"),
            ("64 KiB", "64KiB"),
            ("64kib", "64KiB"),
            ("1MB", "1MiB"),
            ("1TiB", "1024GiB"),
            ("1.5MiB", "1536KiB"),
            ("1,5MiB", "1536KiB"),
            ("1,048,576", "1MiB"),
            ("1,000", "1000B"),
            ("1Mi", "1MiB"),
            ("2 megabytes", "2MiB"),
            ("1_000_000", "1000000B"),
            ("1 000B", "1000B"),
            ("100 KB/s", "100KiB"),
        ] {
            assert_eq!(parse_size(text).unwrap_err().help(), format!("write `\"{instead}\"`"), "{text}");
        }
        for (text, instead) in [
            ("10", "10s"),
            ("10 s", "10s"),
            ("10S", "10s"),
            ("2min", "2m"),
            ("2 days", "2d"),
            ("2w", "14d"),
            ("1m30s ", "1m30s"),
            ("1m 30s", "1m30s"),
            ("1 min 30 sec", "1m30s"),
            ("30s1m", "1m30s"),
            ("1.5s", "1500ms"),
            ("0.5m", "30s"),
            ("10,5s", "10500ms"),
            ("1,25h", "75m"),
            ("10m ", "10m"),
            ("PT1M30S", "90s"),
            ("P1D", "1d"),
            ("00:01:30", "90s"),
            ("1 month", "30d"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().help(), format!("write `\"{instead}\"`"), "{text}");
        }
    }

    #[test]
    fn any_other_text_gets_the_accepted_forms() {
        for text in ["", "KiB", "-1KiB", "1KiB1", "1MiB1KiB", "0x10B", "1e3B", "١KiB", "unlimited"] {
            let error = parse_size(text).unwrap_err();
            assert!(error.help().contains("B, KiB, MiB or GiB"), "{text}: {}", error.help());
        }
        for text in ["", "s", "-1s", "1s1", "1h30", "1m1m", "2m1min", "1us", "off"] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.help().contains("ms, s, m, h or d"), "{text}: {}", error.help());
        }
    }

    #[test]
    fn a_number_over_64_bits_is_an_error() {
        for text in ["18446744073709551616B", "17179869184GiB", "99999999999999999999999GiB"] {
            assert_eq!(
                parse_size(text).unwrap_err().to_string(),
                "this size is too large to count",
                "{text}"
            );
        }
        for text in ["18446744073709551615s", "213503982335d", "213503982334d14h25m51s616ms"] {
            let error = parse_duration(text).unwrap_err();
            assert_eq!(error.to_string(), "this duration is too long to count", "{text}");
        }
        assert!(parse_duration("213503982334d14h25m51s615ms").is_ok());
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
