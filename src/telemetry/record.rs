//! Pure. The record of a request: the facts for its log line and its metrics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use crate::admission::client::ClientAddress;
use crate::config::AccessLog;
use crate::gateway::reason::Reason;
use crate::queue::id::EventId;
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
}

/// The record of a request that has ended. It holds no byte of the content, and nothing of a key.
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
    /// The route.
    pub route: Option<RouteLabel>,
    /// The signed model, if the route requires one.
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
            route: None,
            model: None,
            status: 0,
            refused: false,
            reason: None,
            stored: None,
            challenge: None,
            observed: None,
            detail: None,
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

    /// The path of the route.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.route.as_ref().map(|route| &*route.path)
    }
}
