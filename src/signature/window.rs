//! Pure. The signed time: its place, its notation, and its permitted distance from the present.
//!
//! A time has a single text only if it is written as a number. So the signed text is always
//! the received text, never a text that is made from the time.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// The signed time of a scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// The place of the timestamp.
    pub place: Place,
    /// The unit of the timestamp.
    pub unit: Unit,
    /// The greatest age that is accepted. Guards against the replay of captured requests.
    pub past: Duration,
    /// How far in the future a time may be. The tolerance allows for clocks that differ.
    pub future: Duration,
}

/// The place of the timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a field of its own, with this lower-case name.
    Field(Cow<'static, str>),
    /// In the signature field, under this name.
    Key(Cow<'static, str>),
    /// In the signature field, as the entry with this number, 1 or 2. The entries have no names.
    Entry(usize),
    /// In the JWT, under this name.
    Claim(Cow<'static, str>),
    /// In the signed content, at this JSON pointer (RFC 6901).
    Pointer(Cow<'static, str>),
}

/// The unit of the timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Microseconds since 1970.
    Microseconds,
    /// A date with time and offset (RFC 3339).
    Rfc3339,
    /// A date as HTTP writes it (`IMF-fixdate`, RFC 9110, section 5.6.7).
    HttpDate,
}

impl Timestamp {
    /// Whether a time is within the window. The edges belong to the window.
    #[must_use]
    pub fn admits(&self, moment: SystemTime, now: SystemTime) -> bool {
        match now.duration_since(moment) {
            Ok(age) => age <= self.past,
            Err(ahead) => ahead.duration() <= self.future,
        }
    }
}

impl Unit {
    /// Every unit, with its name in gateway.toml.
    pub const ALL: [(&'static str, Self); 5] = [
        ("s", Self::Seconds),
        ("ms", Self::Milliseconds),
        ("us", Self::Microseconds),
        ("rfc3339", Self::Rfc3339),
        ("http-date", Self::HttpDate),
    ];

    /// The unit's name in gateway.toml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Rfc3339 => "rfc3339",
            Self::HttpDate => "http-date",
        }
    }

    /// The time that a text means. A number has only digits: no sign, no leading zero, and no more digits
    /// than the year 2286 needs.
    #[must_use]
    pub fn read(self, text: &[u8]) -> Option<SystemTime> {
        let since = match self {
            Self::Seconds => Duration::from_secs(canonical(text, 10)?),
            Self::Milliseconds => Duration::from_millis(canonical(text, 13)?),
            Self::Microseconds => Duration::from_micros(canonical(text, 16)?),
            Self::Rfc3339 => rfc3339(text)?,
            Self::HttpDate => return http_date(text),
        };
        SystemTime::UNIX_EPOCH.checked_add(since)
    }

    /// The text that a sender writes for a time. A time before 1970 is written as 1970.
    #[must_use]
    pub fn write(self, moment: SystemTime) -> String {
        let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::Seconds => since.as_secs().to_string(),
            Self::Milliseconds => since.as_millis().to_string(),
            Self::Microseconds => since.as_micros().to_string(),
            Self::Rfc3339 => {
                let moment = moment.max(SystemTime::UNIX_EPOCH).try_into().unwrap_or(jiff::Timestamp::MAX);
                format!("{moment:.0}")
            }
            // The crate writes no dates after the year 9999.
            Self::HttpDate => {
                let moment = SystemTime::UNIX_EPOCH.checked_add(since.min(LAST_HTTP_DATE));
                httpdate::fmt_http_date(moment.unwrap_or(SystemTime::UNIX_EPOCH))
            }
        }
    }
}

fn canonical(text: &[u8], most: usize) -> Option<u64> {
    let fine = text.len() <= most && text.iter().all(u8::is_ascii_digit);
    let leading_zero = text.first() == Some(&b'0') && text.len() > 1;
    if !fine || leading_zero {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a `date-time` (RFC 3339, section 5.6) from 1970 on. The letters are in upper case, and a second has
/// at most nine decimals.
fn rfc3339(text: &[u8]) -> Option<Duration> {
    // jiff accepts other notations of ISO 8601 too, so the form is checked first.
    let form: Vec<u8> = text.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte }).collect();
    let rest = form.strip_prefix(b"0000-00-00T00:00:00")?;
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| **byte == b'0').count();
            fraction.get(digits..).filter(|_| (1..=9).contains(&digits))?
        }
        None => rest,
    };
    let hours = text.split_last_chunk::<5>().map_or(&[][..], |(_, offset)| offset.split_at(2).0);
    let is_zone = zone == b"Z" || (matches!(zone, b"+00:00" | b"-00:00") && hours < &b"24"[..]);
    let text = std::str::from_utf8(text).ok().filter(|_| is_zone)?;
    text.parse::<jiff::Timestamp>().ok()?.as_duration().try_into().ok()
}

/// Reads an `IMF-fixdate`. The other two forms are obsolete, and no sender writes them.
fn http_date(text: &[u8]) -> Option<SystemTime> {
    let moment = httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()?;
    (moment >= SystemTime::UNIX_EPOCH && httpdate::fmt_http_date(moment).as_bytes() == text).then_some(moment)
}

/// The last second of the year 9999.
const LAST_HTTP_DATE: Duration = Duration::from_secs(253_402_300_799);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(unit: Unit, text: &str) -> Option<u128> {
        let moment = unit.read(text.as_bytes())?;
        Some(moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis())
    }

    #[test]
    fn only_canonical_digits_are_a_number() {
        assert_eq!(millis(Unit::Seconds, "0"), Some(0));
        assert_eq!(millis(Unit::Seconds, "1700000000"), Some(1_700_000_000_000));
        assert_eq!(millis(Unit::Milliseconds, "1700000000123"), Some(1_700_000_000_123));
        for text in [
            "",
            "-1",
            "+1",
            "01",
            "00",
            "1 ",
            " 1",
            "1.0",
            "1e3",
            "0x1",
            "1_0",
            "١",
            "12345678901",
            "1700000000000",
        ] {
            assert_eq!(millis(Unit::Seconds, text), None, "{text:?}");
        }
        assert_eq!(millis(Unit::Milliseconds, "17000000001234"), None);
        assert_eq!(millis(Unit::Microseconds, "1700000000123456"), Some(1_700_000_000_123));
        assert_eq!(millis(Unit::Microseconds, "17000000001234567"), None);
    }

    #[test]
    fn dates_are_read_with_their_offset_and_their_fraction() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-31T16:00:00-08:00", 1_769_904_000_000),
            ("2026-02-01T01:30:00.5+01:30", 1_769_904_000_500),
            ("2019-11-16T10:11:12.634234626Z", 1_573_899_072_634),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ] {
            assert_eq!(millis(Unit::Rfc3339, text), Some(want), "{text}");
        }
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T16:00:00",
            "2026-01-31t16:00:00z",
            "2026-01-31 16:00:00Z",
            "2026-02-29T16:00:00Z",
            "2026-13-01T16:00:00Z",
            "2026-00-01T16:00:00Z",
            "2026-01-00T16:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T16:60:00Z",
            "2026-01-31T16:00:61Z",
            "2026-01-31T16:00:00.Z",
            "2026-01-31T16:00:00.1234567890Z",
            "2026-01-31T16:00Z",
            "2026-01-31T16:00:00Z ",
            "2026-01-31T16:00:00+0100",
            "2026-01-31T16:00:00+24:00",
            "1969-12-31T23:59:59Z",
            "20260-1-31T16:00:00Z",
            "+2026-01-31T16:00:00Z",
        ] {
            assert_eq!(millis(Unit::Rfc3339, text), None, "{text:?}");
        }
    }

    #[test]
    fn dates_of_http_are_read_in_their_one_form() {
        assert_eq!(millis(Unit::HttpDate, "Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 gmt",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Wed, 31 Dec 1969 23:59:59 GMT",
        ] {
            assert_eq!(millis(Unit::HttpDate, text), None, "{text:?}");
        }
        let last = SystemTime::UNIX_EPOCH + LAST_HTTP_DATE;
        for moment in [last, last + Duration::from_secs(1)] {
            assert_eq!(Unit::HttpDate.write(moment), "Fri, 31 Dec 9999 23:59:59 GMT");
        }
    }

    #[test]
    fn the_window_has_two_edges_and_both_are_inside() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let window = Timestamp {
            place: Place::Key("t".into()),
            unit: Unit::Seconds,
            past: Duration::from_secs(300),
            future: Duration::from_secs(60),
        };
        let now = at(1000);
        for (moment, want) in
            [(699, false), (700, true), (1000, true), (1060, true), (1061, false), (0, false)]
        {
            assert_eq!(window.admits(at(moment), now), want, "{moment}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 0_u64..9_999_999_999) {
            let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            for (_, unit) in Unit::ALL {
                if seconds < 9_999_999_999 / 2 || unit != Unit::Milliseconds {
                    prop_assert_eq!(unit.read(unit.write(moment).as_bytes()), Some(moment));
                }
            }
        }

        #[test]
        fn no_text_panics(text: Vec<u8>, like in "(Mon, )?[0-9A-Za-z: +.-]{0,40}") {
            for (_, unit) in Unit::ALL {
                let _any = (unit.read(&text), unit.read(like.as_bytes()));
            }
        }
    }
}
