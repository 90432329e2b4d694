//! Pure. Filters of recent requests.

use std::fmt;

use super::entry::{Entry, Kind, Subject};
use crate::gateway::reason::Reason;

/// The longest value of a filter, in bytes.
const LONGEST: usize = 1024;

/// Which entries are shown. An empty filter shows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The state of the requests, or deliveries.
    pub state: Option<State>,
    /// The path of the route, as configured.
    pub route: Option<String>,
    /// The reason of a refusal, or the outcome of a delivery.
    pub reason: Option<String>,
    /// The status code.
    pub status: Option<StatusRange>,
    /// A text that the path contains.
    pub path: Option<String>,
}

/// What became of a request, or that the entry is a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The request has verified, or the gateway has answered it as a challenge.
    Verified,
    /// The gateway refused the request.
    Refused,
    /// The request would have been refused outside observe mode.
    Observed,
    /// An attempt to deliver an event.
    Delivery,
}

impl State {
    /// The states with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("verified", Self::Verified),
        ("refused", Self::Refused),
        ("observed", Self::Observed),
        ("delivery", Self::Delivery),
    ];

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Refused => "refused",
            Self::Observed => "observed",
            Self::Delivery => "delivery",
        }
    }

    /// The state of an entry. The state of a likely cause is that of its request.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        match &entry.subject {
            Subject::Request(record) => match Kind::of(record) {
                Kind::Refused(_) => Self::Refused,
                Kind::Observed => Self::Observed,
                Kind::Verified | Kind::AnsweredError | Kind::Delivered | Kind::Undelivered | Kind::Cause => {
                    Self::Verified
                }
            },
            Subject::Delivery(_) => Self::Delivery,
            Subject::Cause(request) => Self::of(&request.entry),
        }
    }
}

/// Status codes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// Reads `404`, or `4xx` for all codes of a class.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
            let first = class.saturating_mul(100);
            return Some(Self { first, last: first.saturating_add(99) });
        }
        let code: u16 = text.parse().ok().filter(|code| *code <= 999)?;
        Some(Self { first: code, last: code })
    }

    fn contains(self, code: u16) -> bool {
        (self.first..=self.last).contains(&code)
    }
}

/// Why a filter is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// No state has this name.
    State(String),
    /// The text is no status code and no class of them.
    Status(String),
    /// The value is longer than every valid value.
    TooLong(&'static str),
    /// A filter occurs twice.
    Twice(&'static str),
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(text) => {
                let names = State::ALL.map(|(name, _)| name).join(", ");
                write!(f, "there is no state `{text}`: {names}")
            }
            Self::Status(text) => write!(f, "`{text}` is no status code: write 404, or 4xx"),
            Self::TooLong(name) => write!(f, "`{name}` is too long"),
            Self::Twice(name) => write!(f, "`{name}` is there twice"),
        }
    }
}

impl std::error::Error for FilterError {}

impl Filter {
    /// Takes a parameter of a query. Returns whether the parameter belongs to a filter. An empty value is no
    /// filter.
    ///
    /// # Errors
    /// [`FilterError`]
    pub fn take(&mut self, name: &str, value: &str) -> Result<bool, FilterError> {
        let Some(name) =
            ["state", "route", "reason", "status", "path"].into_iter().find(|known| *known == name)
        else {
            return Ok(false);
        };
        if value.len() > LONGEST {
            return Err(FilterError::TooLong(name));
        }
        if value.is_empty() {
            return Ok(true);
        }
        let shown = || value.get(..value.floor_char_boundary(64)).unwrap_or_default().to_owned();
        let was_there = match name {
            "state" => {
                let state = State::ALL.iter().find(|(known, _)| *known == value);
                let (_, state) = state.ok_or_else(|| FilterError::State(shown()))?;
                self.state.replace(*state).is_some()
            }
            "status" => {
                let range = StatusRange::parse(value).ok_or_else(|| FilterError::Status(shown()))?;
                self.status.replace(range).is_some()
            }
            "route" => self.route.replace(value.to_owned()).is_some(),
            "reason" => self.reason.replace(value.to_owned()).is_some(),
            _ => self.path.replace(value.to_owned()).is_some(),
        };
        if was_there { Err(FilterError::Twice(name)) } else { Ok(true) }
    }

    /// Whether the filter shows an entry.
    #[must_use]
    pub fn shows(&self, entry: &Entry) -> bool {
        let facts = Facts::of(entry);
        self.state.is_none_or(|state| state == State::of(entry))
            && self.route.as_deref().is_none_or(|route| facts.route == Some(route))
            && self.reason.as_deref().is_none_or(|reason| facts.reason == Some(reason))
            && self.status.is_none_or(|range| facts.status.is_some_and(|status| range.contains(status)))
            && self.path.as_deref().is_none_or(|text| facts.path.is_some_and(|path| path.contains(text)))
    }
}

/// The facts of an entry that a filter reads.
struct Facts<'e> {
    route: Option<&'e str>,
    reason: Option<&'e str>,
    status: Option<u16>,
    path: Option<&'e str>,
}

impl<'e> Facts<'e> {
    fn of(entry: &'e Entry) -> Self {
        match &entry.subject {
            Subject::Request(record) => Self {
                route: record.route_path(),
                reason: record.reason.or(record.observed).map(Reason::as_str),
                status: Some(record.status),
                path: record.path(),
            },
            Subject::Delivery(attempt) => Self {
                route: Some(&attempt.route.path),
                reason: Some(attempt.outcome.as_str()),
                status: attempt.status,
                path: Some(&attempt.route.path),
            },
            Subject::Cause(request) => Self::of(&request.entry),
        }
    }
}
