//! Pure. The one event that each request leaves behind.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::AccessLog;
use crate::peer::Peer;

/// A number that no two requests share, for finding one in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What there is to say of a request once it has ended. No byte of its content, and nothing of a key.
#[derive(Debug)]
pub struct Record {
    /// Its number.
    pub id: RequestId,
    /// Where it came from.
    pub peer: Peer,
    /// The path of its route, as configured.
    pub route: Option<Arc<str>>,
    /// The signed model, where a route asked for it.
    pub model: Option<String>,
    /// The status code of the answer.
    pub status: u16,
    /// Whether it was refused: answered here and not by its upstream.
    pub refused: bool,
    /// Why it was refused, or why its answer broke off.
    pub reason: Option<&'static str>,
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

impl Record {
    /// A record of which nothing is known yet but where it came from.
    #[must_use]
    pub fn new(id: RequestId, peer: Peer) -> Self {
        Self {
            id,
            peer,
            route: None,
            model: None,
            status: 0,
            refused: false,
            reason: None,
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
            AccessLog::Refused => self.refused || self.reason.is_some() || self.observed.is_some(),
            AccessLog::Off => false,
        }
    }
}
