//! Pure. The one event that each request leaves behind.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::identity::{GivenId, TraceId};
use super::slot::Slot;
use crate::admission::client::ClientAddress;
use crate::config::AccessLog;

/// A number that no two requests share, for finding one in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A route, as the log and the metrics name it.
#[derive(Clone, Debug)]
pub struct RouteLabel {
    /// Its path, as configured.
    pub path: Arc<str>,
    /// The path's number in the metrics.
    pub slot: Slot,
}

/// What there is to say of a request once it has ended. No byte of its content, and nothing of a key.
#[derive(Debug)]
pub struct Record {
    /// Its number.
    pub id: RequestId,
    /// What it is called by whoever sent it or stands before us, where the configuration says in which field.
    pub given_id: Option<GivenId>,
    /// The trace that it says it is part of.
    pub trace_id: Option<TraceId>,
    /// Where it came from.
    pub peer: ClientAddress,
    /// Its route.
    pub route: Option<RouteLabel>,
    /// The signed model, where a route asked for it.
    pub model: Option<String>,
    /// The status code of the answer; 0 if there was none.
    pub status: u16,
    /// Whether it was refused: answered here and not by its upstream.
    pub refused: bool,
    /// Why it was refused, or why its answer broke off.
    pub reason: Option<&'static str>,
    /// What became of it, where it is a challenge that was answered here.
    pub challenge: Option<&'static str>,
    /// Why it would have been refused, on a route that only observes.
    pub observed: Option<&'static str>,
    /// More on the reason, for people.
    pub detail: Option<String>,
    /// The name of the secret that verified.
    pub secret: Option<Arc<str>>,
    /// Bytes of content received.
    pub received: usize,
    /// Bytes of content sent.
    pub sent: u64,
    /// From the end of the head to the end of the content and its verification.
    pub verified_after: Option<Duration>,
    /// From the forwarding to the head of the upstream's response.
    pub upstream_took: Option<Duration>,
    /// From the end of the head to the end of the answer.
    pub took: Duration,
}

/// How much a request is worth noticing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It is one of many. What a stranger can cause is never more.
    Info,
    /// An operator should look: an upstream fails.
    Warn,
}

impl Record {
    /// A record of which nothing is known yet but where it came from.
    #[must_use]
    pub fn new(id: RequestId, peer: ClientAddress) -> Self {
        Self {
            id,
            given_id: None,
            trace_id: None,
            peer,
            route: None,
            model: None,
            status: 0,
            refused: false,
            reason: None,
            challenge: None,
            observed: None,
            detail: None,
            secret: None,
            received: 0,
            sent: 0,
            verified_after: None,
            upstream_took: None,
            took: Duration::ZERO,
        }
    }

    /// Whether the access log wants it.
    #[must_use]
    pub fn is_wanted(&self, access: AccessLog) -> bool {
        match access {
            AccessLog::All => true,
            AccessLog::Refused => {
                self.refused
                    || self.reason.is_some()
                    || self.observed.is_some()
                    || self.challenge.is_some()
                    // Its client has not got its answer to the end.
                    || self.detail.is_some()
            }
            AccessLog::Off => false,
        }
    }

    /// How much it is worth noticing.
    #[must_use]
    pub fn weight(&self) -> Weight {
        match self.reason {
            Some("upstream_unreachable" | "upstream_failed" | "upstream_timeout") => Weight::Warn,
            Some(_) | None => Weight::Info,
        }
    }

    /// The path of its route.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.route.as_ref().map(|route| &*route.path)
    }
}
