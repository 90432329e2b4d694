//! Pure. The proleptic Gregorian calendar: days since 1970 from a date, and back.

/// Days from 1970-01-01, for a month from 1 to 12. Years have four digits, so nothing here comes near to overflowing; it
/// saturates all the same.
#[must_use]
pub fn days_since_1970(year: i64, month: u8, day: u8) -> i64 {
    before_year(year)
        .saturating_sub(before_year(1970))
        .saturating_add(before_month(year, month))
        .saturating_add(i64::from(day.saturating_sub(1)))
}

/// The days of a month from 1 to 12.
#[must_use]
pub fn days_in(year: i64, month: u8) -> i64 {
    let next = match month {
        12 => before_year(year.saturating_add(1)).saturating_sub(before_year(year)),
        _ => before_month(year, month.saturating_add(1)),
    };
    next.saturating_sub(before_month(year, month))
}

/// Year, month and day that are so many days after 1970-01-01; the years that days in 64 bits of seconds lead to.
#[must_use]
pub fn date_of(days: u64) -> (i64, u8, u8) {
    let days = i64::try_from(days).unwrap_or(i64::MAX);
    // No year has more than 366 days, so this is too early, by less than one in a thousand.
    let mut year = days.checked_div(366).unwrap_or(0).saturating_add(1970);
    while days_since_1970(year.saturating_add(1), 1, 1) <= days && year < 10_000 {
        year = year.saturating_add(1);
    }
    let month = (1..=12).rev().find(|month| days_since_1970(year, *month, 1) <= days).unwrap_or(1);
    let day = days.saturating_sub(days_since_1970(year, month, 1)).saturating_add(1);
    (year, month, u8::try_from(day).unwrap_or(u8::MAX))
}

fn before_year(year: i64) -> i64 {
    let last = year.saturating_sub(1);
    let leaps = (last / 4).saturating_sub(last / 100).saturating_add(last / 400);
    last.saturating_mul(365).saturating_add(leaps)
}

fn before_month(year: i64, month: u8) -> i64 {
    let leap = before_year(year.saturating_add(1)).saturating_sub(before_year(year)) == 366;
    let common = BEFORE_MONTH.get(usize::from(month.saturating_sub(1))).copied().unwrap_or(0);
    common.saturating_add(i64::from(leap && month > 2))
}

/// The days of a common year before each of its months.
const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_five_centuries_follows_the_one_before() {
        let mut date = (1970, 1, 1);
        for day in 0..365 * 500 {
            assert_eq!(date_of(day), date);
            assert_eq!(u64::try_from(days_since_1970(date.0, date.1, date.2)).unwrap(), day);
            date.2 += 1;
            if i64::from(date.2) > days_in(date.0, date.1) {
                date = (date.0, date.1 + 1, 1);
            }
            if date.1 > 12 {
                date = (date.0 + 1, 1, 1);
            }
        }
        assert_eq!(date.0, 2469);
    }

    #[test]
    fn months_have_their_days() {
        assert_eq!([2023, 2024, 1900, 2000].map(|year| days_in(year, 2)), [28, 29, 28, 29]);
        assert_eq!((days_in(2023, 4), days_in(2023, 12)), (30, 31));
    }
}
