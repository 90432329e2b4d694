//! Pure. A moment as the log writes it: RFC 3339, in UTC.

use std::time::{Duration, SystemTime};

/// Date and time in UTC. Moments before 1970 count as its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    year: u64,
    month: u64,
    day: u64,
    /// Seconds of the day.
    second: u64,
    micro: u64,
}

impl Moment {
    /// Works out what the calendar says.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (year, month, day) = date(since.as_secs() / DAY);
        Self { year, month, day, second: since.as_secs() % DAY, micro: u64::from(since.subsec_micros()) }
    }

    /// To the microsecond: `2026-01-05T09:30:00.308011Z`.
    #[must_use]
    pub fn micros(self) -> [u8; 27] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        self.write_second(&mut text);
        digits(&mut text, 20, 6, self.micro);
        text
    }

    /// To the second: `2026-01-05T09:30:00Z`.
    #[must_use]
    pub fn seconds(self) -> [u8; 20] {
        let mut text = *b"0000-00-00T00:00:00Z";
        self.write_second(&mut text);
        text
    }

    fn write_second(self, text: &mut [u8]) {
        for (at, count, value) in [
            (0, 4, self.year),
            (5, 2, self.month),
            (8, 2, self.day),
            (11, 2, self.second / 3600),
            (14, 2, self.second / 60 % 60),
            (17, 2, self.second % 60),
        ] {
            digits(text, at, count, value);
        }
    }
}

/// Writes the last `count` digits of a number.
fn digits(text: &mut [u8], at: usize, count: usize, mut value: u64) {
    for place in text.iter_mut().skip(at).take(count).rev() {
        *place = b'0'.wrapping_add(u8::try_from(value % 10).unwrap_or(0));
        value /= 10;
    }
}

/// Year, month and day of the day with this number, counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`). Years begin in March there, so that the leap day comes last.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = days.saturating_add(DAYS_TO_1970);
    let (era, of_era) = (days / ERA, days % ERA);
    let leaps = (of_era / 1_460).saturating_add(of_era / (ERA - 1)).saturating_sub(of_era / 36_524);
    let year_of_era = of_era.saturating_sub(leaps) / 365;
    let before =
        year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let of_year = of_era.saturating_sub(before);
    let march_based = of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = of_year.saturating_sub(march_based.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if march_based < 10 { march_based.saturating_add(3) } else { march_based.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
    (year, month, day)
}

const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(seconds: u64) -> String {
        let moment = Moment::of(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        String::from_utf8(moment.seconds().to_vec()).unwrap()
    }

    #[test]
    fn leap_days_and_the_ends_of_years() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(written(seconds), want);
        }
    }

    proptest! {
        /// httpdate has worked out the same calendar by other means.
        #[test]
        fn it_agrees_with_another_calendar(seconds in 0_u64..200_000_000_000) {
            let other = httpdate::HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
            let text = written(seconds);
            let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = months.find(&other[8..11]).unwrap() / 3 + 1;
            let want = format!("{}-{month:02}-{}T{}Z", &other[12..16], &other[5..7], &other[17..25]);
            prop_assert_eq!(text, want);
        }
    }
}
