//! Pure. The events that an action is about: the filter that a person has seen with its number of events.
//! Neither a reload nor events that come meanwhile can widen it.

use super::documents::Counted;
use super::frame::events;
use super::pages::replay::is_all;
use super::place::Query;
use crate::admin::api::filter::{Asked as Filter, FilterError, written};
use crate::queue::time::Time;

/// The filter with fixed times: a duration before now becomes a time, and the end is now at the latest.
///
/// # Errors
/// A value is not valid.
pub(crate) fn fixed(filter: &Filter, now: Time) -> Result<Filter, FilterError> {
    let read = filter.filter(now)?;
    let end = now.plus(std::time::Duration::from_millis(1));
    let until = read.until.map_or(end, Time::from_millis).min(end);
    let since = read.since.map(|since| written(Time::from_millis(since)));
    Ok(Filter { since, until: Some(written(until)), ..filter.clone() })
}

/// The selection of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) filter: Filter,
    /// The number of events that the page has shown. `None` if the form is about one event.
    pub(crate) seen: Option<Counted>,
}

impl Selection {
    /// Reads the selection of a form.
    ///
    /// # Errors
    /// The form selects every event.
    pub(crate) fn read(form: &Query) -> Result<Self, &'static str> {
        if is_all(&form.filter) {
            return Err("choose a filter first: this is every stored event");
        }
        let count = form.own("count").and_then(|count| count.parse().ok());
        let seen = count.map(|count| Counted { count, is_capped: form.own("capped").is_some() });
        match seen {
            None if form.filter.ids.len() != 1 => Err("the form does not say how many events it is about"),
            seen => Ok(Self { filter: form.filter.clone(), seen }),
        }
    }

    /// Why the action is not done with the events that match now: there are more of them than the page has
    /// said.
    pub(crate) fn is_wider(&self, now: Counted) -> Option<String> {
        let seen = self.seen?;
        let is_wider = !seen.is_capped && (now.is_capped || now.count > seen.count);
        is_wider.then(|| {
            format!(
                "{} match now, and the page had said {}: look at the new number, and choose again",
                events(now.count, now.is_capped),
                events(seen.count, seen.is_capped)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_764_504_000_000);

    #[test]
    fn times_are_fixed_when_the_page_is_made() {
        let fixed_of = |since: Option<&str>, until: Option<&str>| {
            let (since, until) = (since.map(str::to_owned), until.map(str::to_owned));
            fixed(&Filter { since, until, ..Filter::default() }, NOW)
                .map(|filter| (filter.since, filter.until))
        };
        let now = Some("2025-11-30T12:00:00.001Z".to_owned());
        assert_eq!(fixed_of(None, None), Ok((None, now.clone())));
        assert_eq!(
            fixed_of(Some("2h"), Some("30m")),
            Ok((Some("2025-11-30T10:00:00.000Z".to_owned()), Some("2025-11-30T11:30:00.000Z".to_owned())))
        );
        assert_eq!(
            fixed_of(None, Some("2099-01-01T00:00:00Z")),
            Ok((None, now)),
            "later events do not belong to it"
        );
        assert!(fixed_of(Some("yesterday"), None).is_err());
    }

    #[test]
    fn a_form_without_a_filter_or_without_the_number_selects_nothing() {
        let read = |form: &str| Selection::read(&Query::read(form).unwrap());
        assert!(read("").is_err() && read("until=2026-11-30T12:00:00Z&count=5").is_err());
        assert!(read("state=dead").is_err(), "the number is missing");
        assert!(read("id=a&id=b").is_err());
        assert_eq!(read("id=a").unwrap().seen, None);
        let seen = read("state=dead&count=5&capped=yes").unwrap().seen;
        assert_eq!(seen, Some(Counted { count: 5, is_capped: true }));
    }

    #[test]
    fn nothing_is_done_if_more_events_match_than_the_page_has_said() {
        let selection = |count, is_capped| Selection {
            filter: Filter::default(),
            seen: Some(Counted { count, is_capped }),
        };
        let now = |count, is_capped| Counted { count, is_capped };
        assert_eq!(selection(5, false).is_wider(now(5, false)), None);
        assert_eq!(selection(5, false).is_wider(now(3, false)), None, "some have gone");
        assert!(selection(5, false).is_wider(now(6, false)).unwrap().contains("6 events match now"));
        assert!(selection(9_999, false).is_wider(now(10_000, true)).is_some());
        assert_eq!(selection(10_000, true).is_wider(now(10_000, true)), None);
    }
}
