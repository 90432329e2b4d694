//! Pure. The notice before dead letters are removed: which dead letters, when, and how often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::queue::event::RouteName;
use crate::queue::id::EventId;
use crate::queue::store::DeadLetter;
use crate::queue::time::Time;

/// How long before the removal of dead letters a notice is given. If dead letters are kept for less than
/// twice this time, the notice is given after half of the time.
pub const AHEAD: Duration = Duration::from_hours(24);

/// The least time between two notices. It bounds the lines in the log.
const INTERVAL: Duration = Duration::from_hours(1);

/// The most dead letters that one read of the store returns.
pub const MOST: usize = 500;

/// The most routes that a notice names.
const MOST_ROUTES: usize = 10;

/// The state of the notices.
#[derive(Debug, Default)]
pub struct RemovalNotices {
    /// Later dead letters have had no notice. All dead letters that ended up to this time have had one.
    told: Time,
    /// When the last notice was given.
    at: Option<Instant>,
}

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalNotice {
    /// The events. If their number is [`MOST`], there may be more.
    pub count: usize,
    /// The number of events of each route, as text.
    pub routes: String,
    /// The event that is removed first.
    pub oldest: EventId,
    /// The time until this removal.
    pub within: Duration,
}

/// Dead letters that ended at this time or before are removed soon.
#[must_use]
pub fn ended_by(now: Time, keep: Duration) -> Time {
    let ahead = AHEAD.min(keep.checked_div(2).unwrap_or_default());
    let age = u64::try_from(keep.saturating_sub(ahead).as_millis()).unwrap_or(u64::MAX);
    Time::from_millis(now.millis().saturating_sub(age))
}

impl RemovalNotices {
    /// Dead letters that ended up to this time need no further notice.
    #[must_use]
    pub fn told(&self) -> Time {
        self.told
    }

    /// Whether a notice is due.
    #[must_use]
    pub fn is_due(&self, at: Instant) -> bool {
        self.at.and_then(|told| told.checked_add(INTERVAL)).is_none_or(|due| at >= due)
    }

    /// The notice of these dead letters. They must have ended after [`Self::told`], the earliest first.
    /// `None` if there are none.
    pub fn tell(
        &mut self,
        letters: &[DeadLetter],
        now: Time,
        keep: Duration,
        at: Instant,
    ) -> Option<RemovalNotice> {
        let (first, last) = (letters.first()?, letters.last()?);
        (self.told, self.at) = (last.ended, Some(at));
        Some(RemovalNotice {
            count: letters.len(),
            routes: named(&by_route(letters)),
            oldest: first.event,
            within: first.ended.plus(keep).since(now),
        })
    }
}

/// The number of events of each route.
#[must_use]
pub fn by_route(letters: &[DeadLetter]) -> Vec<(RouteName, u64)> {
    let mut counts: BTreeMap<&RouteName, u64> = BTreeMap::new();
    for letter in letters {
        let count = counts.entry(&letter.route).or_default();
        *count = count.saturating_add(1);
    }
    counts.into_iter().map(|(route, count)| (route.clone(), count)).collect()
}

fn named(counts: &[(RouteName, u64)]) -> String {
    let name = |(route, count): &(RouteName, u64)| match &route.model {
        Some(model) => format!("{} ({model}): {count}", route.path),
        None => format!("{}: {count}", route.path),
    };
    let mut names: Vec<_> = counts.iter().take(MOST_ROUTES).map(name).collect();
    if counts.len() > MOST_ROUTES {
        names.push(format!("{} more routes", counts.len().saturating_sub(MOST_ROUTES)));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;

    fn letter(path: &str, ended: u64) -> DeadLetter {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&ended.to_be_bytes());
        DeadLetter {
            event: EventId::from_bytes(id),
            route: RouteName { path: path.into(), model: None },
            ended: Time::from_millis(ended),
        }
    }

    #[test]
    fn the_last_day_begins_a_day_before_the_removal_or_at_half_of_the_time() {
        let days = |days: f64| Duration::from_secs_f64(days * 24.0 * 3600.0);
        for (now, keep, want) in [
            (100 * DAY, days(30.0), 71 * DAY),
            (100 * DAY, days(2.0), 99 * DAY),
            (100 * DAY, days(1.0), 99 * DAY + DAY / 2),
            (100 * DAY, days(0.0), 100 * DAY),
            (3 * DAY, days(30.0), 0),
        ] {
            assert_eq!(ended_by(Time::from_millis(now), keep), Time::from_millis(want), "{now} {keep:?}");
        }
    }

    #[test]
    fn dead_letters_are_told_once_by_route_and_at_most_once_an_hour() {
        let (begin, keep) = (Instant::now(), Duration::from_millis(30 * DAY));
        let after = |seconds| begin.checked_add(Duration::from_secs(seconds)).unwrap();
        let now = Time::from_millis(31 * DAY);
        let mut notices = RemovalNotices::default();
        assert!(notices.is_due(begin));
        assert_eq!(notices.tell(&[], now, keep, begin), None);
        assert!(notices.is_due(begin), "nothing was told");
        let letters = [letter("/b", DAY + 60_000), letter("/a", DAY + 90_000), letter("/b", 2 * DAY)];
        let notice = notices.tell(&letters, now, keep, begin).unwrap();
        let want = RemovalNotice {
            count: 3,
            routes: "/a: 1, /b: 2".to_owned(),
            oldest: letters[0].event,
            within: Duration::from_mins(1),
        };
        assert_eq!(notice, want);
        assert_eq!(notices.told().millis(), 2 * DAY);
        for (seconds, want) in [(0, false), (3_599, false), (3_600, true)] {
            assert_eq!(notices.is_due(after(seconds)), want, "{seconds}");
        }
        assert_eq!(notices.tell(&[], now, keep, after(3_600)), None);
        assert_eq!(notices.told().millis(), 2 * DAY, "it is not forgotten");
    }

    #[test]
    fn a_notice_names_few_routes_and_counts_the_others() {
        let letters: Vec<_> = (0..12).map(|n| letter(&format!("/{n:02}"), 1)).collect();
        let routes = named(&by_route(&letters));
        assert!(
            routes.starts_with("/00: 1, /01: 1, ") && routes.ends_with("/09: 1, 2 more routes"),
            "{routes}"
        );
    }
}
