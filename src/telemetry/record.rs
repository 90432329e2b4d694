//! Pure. The record of a request: the facts for its log line and its metrics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tracing::Level;

use crate::admission::client::ClientAddress;
use crate::config::AccessLog;
use crate::gateway::reason::Reason;
use crate::queue::id::EventId;
use crate::telemetry::recent::capture::Captured;
use crate::telemetry::request_id::{GivenId, TraceId};
use crate::telemetry::route_slot::Slot;

/// A number that no other request of the process has. The log shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A route's labels in the log and the metrics.
#[derive(Clone, Debug)]
pub struct RouteLabel {
    /// The path, as configured.
    pub path: Arc<str>,
    /// The path's number in the metrics.
    pub slot: Slot,
    /// The name of the scheme that judges the request.
    pub scheme: Arc<str>,
}

impl RouteLabel {
    /// The labels of a request that this scheme judges.
    #[must_use]
    pub fn judged_by(&self, scheme: &str) -> Self {
        let mut label = self.clone();
        if *label.scheme != *scheme {
            label.scheme = scheme.into();
        }
        label
    }
}

/// The record of a request that has ended. Only `captured` holds content, and nothing holds a key.
#[derive(Debug)]
pub struct Record {
    /// The number of the request.
    pub id: RequestId,
    /// The id that the sender or a proxy has given, from the configured field.
    pub given_id: Option<GivenId>,
    /// The trace id in the request.
    pub trace_id: Option<TraceId>,
    /// The address at the other end of the connection: of a client, or of a proxy.
    pub peer: ClientAddress,
    /// The client address. It is the peer, unless the peer is a trusted proxy that reports another.
    pub client: ClientAddress,
    /// The method. `None` if the request line is not understood. At most [`LONGEST_METHOD`] bytes of it.
    pub method: Option<Method>,
    /// The path as it was sent, if it may differ from the path of the route.
    pub sent_path: Option<SentPath>,
    /// The route.
    pub route: Option<RouteLabel>,
    /// The signed model, if the path asks for one. No route may take it.
    pub model: Option<String>,
    /// The status code of the answer. 0 if there was no answer.
    pub status: u16,
    /// Whether the gateway refused the request: it answered itself, without the upstream.
    pub refused: bool,
    /// Why the request was refused, or why the answer was cut off.
    pub reason: Option<Reason>,
    /// The event, if the request was stored.
    pub stored: Option<EventId>,
    /// The result of a challenge that the gateway answered.
    pub challenge: Option<&'static str>,
    /// Why the request would have been refused on a route that enforces.
    pub observed: Option<Reason>,
    /// Details of the reason, as a text for people.
    pub detail: Option<String>,
    /// The request itself, if it was refused or only observed, and its route captures such requests.
    pub captured: Option<Box<Captured>>,
    /// The name of the secret that verified the request.
    pub secret: Option<Arc<str>>,
    /// The name in the client's certificate.
    pub client_certificate: Option<Arc<str>>,
    /// Whether the route requires this name. Such a name is one of the configuration.
    pub is_required_client: bool,
    /// How many bytes of content were received.
    pub received: usize,
    /// How many bytes of content were sent.
    pub sent: u64,
    /// The time from the end of the head to the end of verification.
    pub verified_after: Option<Duration>,
    /// The time from the start of forwarding to the head of the upstream's response.
    pub upstream_took: Option<Duration>,
    /// The time from the end of the head to the end of the answer.
    pub took: Duration,
}

impl Record {
    /// A record that has only an id and the address at the other end of the connection.
    #[must_use]
    pub fn new(id: RequestId, peer: ClientAddress) -> Self {
        Self {
            id,
            given_id: None,
            trace_id: None,
            peer,
            client: peer,
            method: None,
            sent_path: None,
            route: None,
            model: None,
            status: 0,
            refused: false,
            reason: None,
            stored: None,
            challenge: None,
            observed: None,
            detail: None,
            captured: None,
            secret: None,
            client_certificate: None,
            is_required_client: false,
            received: 0,
            sent: 0,
            verified_after: None,
            upstream_took: None,
            took: Duration::ZERO,
        }
    }

    /// Whether the access log includes this record.
    #[must_use]
    pub fn is_wanted(&self, access: AccessLog) -> bool {
        match access {
            AccessLog::All => true,
            AccessLog::Refused => {
                self.refused
                    || self.reason.is_some()
                    || self.observed.is_some()
                    || self.challenge.is_some()
                    // The client did not receive the whole answer.
                    || self.detail.is_some()
            }
            AccessLog::Off => false,
        }
    }

    /// The log level. It is `warn` if an upstream fails, because an operator should look. An unverified
    /// client can cause no level above `info`.
    #[must_use]
    pub fn level(&self) -> Level {
        if self.reason.is_some_and(Reason::is_ours) { Level::WARN } else { Level::INFO }
    }

    /// Records the method of a request.
    pub fn set_method(&mut self, method: &str) {
        let method = method.as_bytes();
        self.method = Method::from_bytes(method.get(..LONGEST_METHOD).unwrap_or(method)).ok();
    }

    /// The path of the route, as configured.
    #[must_use]
    pub fn route_path(&self) -> Option<&str> {
        self.route.as_ref().map(|route| &*route.path)
    }

    /// The path of the request as it was sent, without its query. A path of more than [`LONGEST_PATH`] bytes
    /// is cut, and ends with `…`. `None` if the request line is not understood.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.sent_path.as_ref().map(SentPath::as_str).or_else(|| self.route_path())
    }
}

/// The most bytes of a method that a record keeps.
pub const LONGEST_METHOD: usize = 32;

/// The most bytes of a path that a record keeps.
pub const LONGEST_PATH: usize = 512;

/// The path of a request as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPath(Box<str>);

impl SentPath {
    /// Keeps a path, which is cut if it has more than [`LONGEST_PATH`] bytes. No path has `…`, because a path
    /// is ASCII.
    #[must_use]
    pub fn new(path: &str) -> Self {
        if path.len() <= LONGEST_PATH {
            return Self(path.into());
        }
        let kept = path.get(..path.floor_char_boundary(LONGEST_PATH)).unwrap_or_default();
        Self(format!("{kept}…").into())
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::new(RequestId(1), ClientAddress::ip(std::net::Ipv4Addr::LOCALHOST.into()))
    }

    #[test]
    fn a_path_is_cut_only_past_its_limit_and_the_cut_is_shown() {
        for (length, want) in [(LONGEST_PATH, LONGEST_PATH), (LONGEST_PATH + 1, LONGEST_PATH + "…".len())] {
            let path = SentPath::new(&"/".repeat(length));
            assert_eq!((path.as_str().len(), path.as_str().ends_with('…')), (want, want > LONGEST_PATH));
        }
    }

    #[test]
    fn the_path_is_that_of_the_route_unless_another_was_kept() {
        let mut record = record();
        assert_eq!(record.path(), None);
        record.route =
            Some(RouteLabel { path: "/hooks/{name}".into(), slot: Slot::NO_ROUTE, scheme: "propify".into() });
        assert_eq!(record.path(), Some("/hooks/{name}"));
        record.sent_path = Some(SentPath::new("/hooks/a"));
        assert_eq!((record.path(), record.route_path()), (Some("/hooks/a"), Some("/hooks/{name}")));
    }
}
