//! Pure. Filters of events, in the form of a query or of a document.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::size_and_duration;
use crate::queue::id::EventId;
use crate::queue::store::{Failure, Filter};
use crate::queue::time::Time;

/// The most ids in one request.
pub const MOST_IDS: usize = 1000;

/// The most ids in a query. A query is a part of the request's head, whose size is bounded.
pub const MOST_IDS_IN_QUERY: usize = 100;

/// The names of a delivery's states, in filters and documents.
pub const STATES: [&str; 4] = ["queued", "delivering", "delivered", "dead"];

/// The longest value of a filter, in bytes.
const LONGEST: usize = 4096;

/// A filter as an operator writes it. A missing key excludes no event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// One of [`STATES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The path of a route, as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The event was received at this time or later: RFC 3339, or a duration before the present such as `2h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The event was received before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The signed model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How a delivery has failed: a status code, `unreachable`, `failed`, `timed_out`, or `damaged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The ids of events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

/// Why a filter is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// No state has this name.
    State(String),
    /// No failure has this name.
    Failure(String),
    /// The text is not a time.
    Time(&'static str, String),
    /// The text is not the id of an event.
    Id(String),
    /// There are more than [`MOST_IDS`] ids.
    TooManyIds,
    /// There are more than [`MOST_IDS_IN_QUERY`] ids in a query.
    TooManyInQuery,
    /// The value is longer than every valid value.
    TooLong(&'static str),
    /// No filter has this name.
    Unknown(String),
    /// A filter occurs twice.
    Twice(&'static str),
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(text) => write!(f, "there is no state `{text}`: {}", STATES.join(", ")),
            Self::Failure(text) => write!(
                f,
                "`{text}` is no failure: a status code such as 500, unreachable, failed, timed_out, damaged"
            ),
            Self::Time(name, text) => write!(
                f,
                "`{name}` is no time: `{text}`. Write it as 2026-11-30T12:00:00Z, or as a time before now such as 2h"
            ),
            Self::Id(text) => write!(f, "`{text}` is no id of an event"),
            Self::TooManyIds => write!(f, "at most {MOST_IDS} ids at once"),
            Self::TooManyInQuery => write!(f, "at most {MOST_IDS_IN_QUERY} ids in a query"),
            Self::TooLong(name) => write!(f, "`{name}` is too long"),
            Self::Unknown(name) => {
                write!(f, "there is no filter `{name}`: state, route, since, until, id, model, failure")
            }
            Self::Twice(name) => write!(f, "`{name}` is there twice"),
        }
    }
}

impl std::error::Error for FilterError {}

impl Asked {
    /// Takes a parameter of a query. Returns whether the parameter belongs to a filter.
    ///
    /// # Errors
    /// [`FilterError::Twice`], [`FilterError::TooManyInQuery`]
    pub fn take(&mut self, name: &str, value: &str) -> Result<bool, FilterError> {
        let place = match name {
            "state" => (&mut self.state, "state"),
            "route" => (&mut self.route, "route"),
            "since" => (&mut self.since, "since"),
            "until" => (&mut self.until, "until"),
            "model" => (&mut self.model, "model"),
            "failure" => (&mut self.failure, "failure"),
            "id" => {
                if self.ids.len() >= MOST_IDS_IN_QUERY {
                    return Err(FilterError::TooManyInQuery);
                }
                self.ids.push(value.to_owned());
                return Ok(true);
            }
            _ => return Ok(false),
        };
        match place {
            (place @ None, _) => *place = Some(value.to_owned()),
            (Some(_), name) => return Err(FilterError::Twice(name)),
        }
        Ok(true)
    }

    /// Whether the filter excludes no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The filter in the form that the store takes.
    ///
    /// # Errors
    /// [`FilterError`]
    pub fn filter(&self, now: Time) -> Result<Filter, FilterError> {
        if let Some(state) = self.state.as_deref().filter(|state| !STATES.contains(state)) {
            return Err(FilterError::State(beginning(state)));
        }
        if let Some(failure) = self.failure.as_deref().filter(|word| Failure::read(word).is_none()) {
            return Err(FilterError::Failure(beginning(failure)));
        }
        for (name, value) in [("route", &self.route), ("model", &self.model)] {
            if value.as_ref().is_some_and(|value| value.len() > LONGEST) {
                return Err(FilterError::TooLong(name));
            }
        }
        let time = |name: &'static str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match when(text, now) {
                Some(time) => Ok(Some(time.millis())),
                None => Err(FilterError::Time(name, beginning(text))),
            },
        };
        let (since, until) = (time("since", &self.since)?, time("until", &self.until)?);
        let ids = ids(&self.ids)?.iter().map(ToString::to_string).collect();
        let (state, route, model) = (self.state.clone(), self.route.clone(), self.model.clone());
        Ok(Filter { state, route, since, until, ids, model, failure: self.failure.clone() })
    }
}

/// Reads the ids of events. A repeated id is returned once.
///
/// # Errors
/// [`FilterError::Id`], [`FilterError::TooManyIds`]
pub fn ids(texts: &[String]) -> Result<Vec<EventId>, FilterError> {
    if texts.len() > MOST_IDS {
        return Err(FilterError::TooManyIds);
    }
    let read = |text: &String| text.parse::<EventId>().map_err(|_what| FilterError::Id(beginning(text)));
    let mut ids = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Reads a time: RFC 3339, or a duration before `now` as in gateway.toml.
#[must_use]
pub fn when(text: &str, now: Time) -> Option<Time> {
    if let Ok(before) = size_and_duration::parse_duration(text) {
        let millis = u64::try_from(before.as_millis()).ok()?;
        return Some(Time::from_millis(now.millis().saturating_sub(millis)));
    }
    let time: Timestamp = text.parse().ok()?;
    // A time before 1970 is before every event, so 1970 has the same effect.
    Some(Time::from_millis(u64::try_from(time.as_millisecond()).unwrap_or(0)))
}

/// A time as RFC 3339, in UTC, with milliseconds.
#[must_use]
pub fn written(time: Time) -> String {
    let time = i64::try_from(time.millis()).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}

/// A duration in milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The beginning of a text that a message repeats.
fn beginning(text: &str) -> String {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_764_504_000_000);
    const ID: &str = "019ac7f2-5c00-7000-8000-000000000001";

    fn asked(pairs: &[(&str, &str)]) -> Result<Asked, FilterError> {
        let mut asked = Asked::default();
        for (name, value) in pairs {
            assert!(asked.take(name, value)?, "{name}");
        }
        Ok(asked)
    }

    #[test]
    fn a_time_is_absolute_or_before_now() {
        for (text, want) in [
            ("2025-11-30T12:00:00Z", Some(NOW.millis())),
            ("2025-11-30T13:00:00.5+01:00", Some(NOW.millis() + 500)),
            ("2h", Some(NOW.millis() - 7_200_000)),
            ("1900-01-01T00:00:00Z", Some(0)),
            ("2025-11-30", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(when(text, NOW).map(Time::millis), want, "{text}");
        }
        assert_eq!(written(NOW), "2025-11-30T12:00:00.000Z");
        assert_eq!(when(&written(NOW), NOW), Some(NOW), "what is written is read");
    }

    #[test]
    fn a_filter_is_read_whole_or_refused() {
        let all = [
            ("state", "dead"),
            ("route", "/a"),
            ("since", "1h"),
            ("until", "30m"),
            ("model", "leads"),
            ("failure", "500"),
            ("id", ID),
        ];
        let filter = asked(&all).unwrap().filter(NOW).unwrap();
        assert_eq!((filter.state.as_deref(), filter.route.as_deref()), (Some("dead"), Some("/a")));
        assert_eq!(filter.since, Some(NOW.millis() - 3_600_000));
        assert_eq!(filter.until, Some(NOW.millis() - 1_800_000));
        assert_eq!(filter.ids, [ID]);
        assert!(Asked::default().is_empty() && !asked(&all).unwrap().is_empty());
        for (pair, want) in [
            (("state", "lost"), FilterError::State("lost".into())),
            (("failure", "delivered"), FilterError::Failure("delivered".into())),
            (("failure", "99"), FilterError::Failure("99".into())),
            (("since", "x"), FilterError::Time("since", "x".into())),
            (("id", "x"), FilterError::Id("x".into())),
        ] {
            assert_eq!(asked(&[pair]).unwrap().filter(NOW), Err(want));
        }
        assert_eq!(asked(&[("route", "/a"), ("route", "/b")]), Err(FilterError::Twice("route")));
        assert_eq!(Asked::default().take("color", "red"), Ok(false));
    }

    #[test]
    fn at_most_a_thousand_ids_are_read_and_each_counts_once() {
        let some = |number: usize| vec![ID.to_owned(); number];
        assert_eq!(ids(&some(MOST_IDS)).map(|ids| ids.len()), Ok(1));
        assert_eq!(ids(&some(MOST_IDS + 1)), Err(FilterError::TooManyIds));
    }
}
