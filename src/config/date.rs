//! Pure. Times in gateway.toml: RFC 3339 dates with an offset.

use std::fmt;
use std::time::SystemTime;

use jiff::civil::{self, DateTime};
use jiff::{SignedDuration, Timestamp, Unit};
use toml::value::{Date, Datetime, Offset, Time};

/// Parses an RFC 3339 text such as `2026-03-01T00:00:00Z`.
///
/// # Errors
/// [`DateError`]
pub(super) fn parse(text: &str) -> Result<SystemTime, DateError> {
    text.parse().map_err(|_why| DateError::NotDate).and_then(|date| moment(&date))
}

/// Converts a date and time of TOML.
///
/// # Errors
/// [`DateError`] if the time or the offset is missing.
pub(super) fn moment(date: &Datetime) -> Result<SystemTime, DateError> {
    let day = date.date.ok_or(DateError::NotDate)?;
    let time = date.time.ok_or(DateError::NoTime)?;
    let offset = match date.offset.ok_or(DateError::NoOffset)? {
        Offset::Z => 0,
        Offset::Custom { minutes } => minutes,
    };
    let minute = minute(day, time).ok_or(DateError::NotDate)?;
    // A leap second counts as the first second of the next minute.
    let seconds = (minute.duration_since(EPOCH).as_secs())
        .saturating_add(time.second.unwrap_or(0).into())
        .saturating_sub(i64::from(offset).saturating_mul(60));
    let part = SignedDuration::from_nanos(time.nanosecond.unwrap_or(0).into());
    let since = SignedDuration::from_secs(seconds).saturating_add(part);
    let moment = if since.is_negative() {
        SystemTime::UNIX_EPOCH.checked_sub(since.unsigned_abs())
    } else {
        SystemTime::UNIX_EPOCH.checked_add(since.unsigned_abs())
    };
    moment.ok_or(DateError::NotDate)
}

/// Writes a time as RFC 3339, to the second.
pub(crate) fn show(moment: SystemTime) -> String {
    let whole = Timestamp::try_from(moment).and_then(|moment| moment.round(Unit::Second));
    whole.map_or_else(|_beyond| "a time beyond the year 9999".to_owned(), |moment| moment.to_string())
}

fn minute(day: Date, time: Time) -> Option<DateTime> {
    let (year, month, day) =
        (day.year.try_into().ok()?, day.month.try_into().ok()?, day.day.try_into().ok()?);
    DateTime::new(year, month, day, time.hour.try_into().ok()?, time.minute.try_into().ok()?, 0, 0).ok()
}

/// The beginning of 1970. The time is computed from here, because jiff's `Timestamp` ends a day before the
/// end of the year 9999.
const EPOCH: DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// Why a value is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateError {
    /// The text is not an RFC 3339 date.
    NotDate,
    /// The date has no time.
    NoTime,
    /// The date and time have no offset.
    NoOffset,
}

impl fmt::Display for DateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDate => "not a date",
            Self::NoTime => "this date has no time",
            Self::NoOffset => "this date is in no time zone",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn seconds(text: &str) -> u64 {
        parse(text).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn dates_with_an_offset_are_times() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), 0);
        assert_eq!(seconds("1970-01-01T01:30:00+01:30"), 0);
        assert_eq!(seconds("2000-02-29T23:59:59Z"), 951_868_799);
        assert_eq!(seconds("2000-03-01 00:00:00Z"), 951_868_800);
        assert_eq!(seconds("2026-01-31T16:00:00-08:00"), 1_769_904_000);
        assert_eq!(seconds("2026-01-31T00:00:00.5Z"), 1_769_817_600);
        let before = parse("1969-12-31T23:59:59Z").unwrap();
        assert_eq!(SystemTime::UNIX_EPOCH.duration_since(before).unwrap(), Duration::from_secs(1));
    }

    #[test]
    fn an_invalid_time_says_why() {
        for (text, want) in [
            ("", DateError::NotDate),
            ("tomorrow", DateError::NotDate),
            ("2026-02-29T00:00:00Z", DateError::NotDate),
            ("2026-13-01T00:00:00Z", DateError::NotDate),
            ("12:00:00", DateError::NotDate),
            ("2026-02-01", DateError::NoTime),
            ("2026-02-01T00:00:00", DateError::NoOffset),
        ] {
            assert_eq!(parse(text), Err(want), "{text}");
        }
    }

    proptest! {
        /// Another crate parses dates of HTTP. Both parsers give the same times.
        #[test]
        fn moments_agree_with_httpdate(second in 0_u64..253_402_300_800) {
            let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(second)).unwrap();
            let http = httpdate::fmt_http_date(moment);
            let parts: Vec<&str> = http.split([' ', ',']).filter(|part| !part.is_empty()).collect();
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let (month, _) = (1..).zip(months).find(|(_, month)| *month == parts[2]).unwrap();
            let text = format!("{}-{month:02}-{}T{}Z", parts[3], parts[1], parts[4]);
            prop_assert_eq!(parse(&text), Ok(moment), "{}", text);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
