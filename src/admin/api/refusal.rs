//! Pure. A refusal of `/api`: a status code and a sentence.

use http::StatusCode;
use serde_json::{Value, json};

use crate::queue::store::Refused;

/// Why a request is not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
    /// A word for programs, if the status code alone is not specific enough.
    pub(crate) reason: Option<&'static str>,
}

impl Refusal {
    /// A refusal with this sentence.
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), reason: None }
    }

    /// The request is not valid.
    pub(crate) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// The requested thing does not exist.
    pub(crate) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// The store does not answer, or the gateway is too busy for this request.
    pub(crate) fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    /// The store did not make a change.
    pub(crate) fn of_change(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::unavailable(DISK_FULL),
            Refused::Unavailable => Self::unavailable(refused.to_string()),
        }
    }

    /// The gateway has no queue.
    pub(crate) fn no_queue() -> Self {
        Self { reason: Some("no_queue"), ..Self::not_found(NO_QUEUE) }
    }

    /// A recent request is gone.
    pub(crate) fn no_longer_kept() -> Self {
        Self::not_found("this request is no longer kept: only the latest are")
    }

    /// The gateway keeps no recent requests.
    pub(crate) fn nothing_recent() -> Self {
        Self { reason: Some("no_recent"), ..Self::not_found(NOTHING_RECENT) }
    }

    /// The document of the answer.
    pub(crate) fn document(&self) -> Value {
        match self.reason {
            Some(reason) => json!({ "error": self.error, "reason": reason }),
            None => json!({ "error": self.error }),
        }
    }
}

/// The message where the disk has no room to record a change.
const DISK_FULL: &str = "the disk of the queue's store is full, and has no room to record this: remove other files from it, and \
                         ask again";

/// The message of a gateway that keeps no recent requests.
const NOTHING_RECENT: &str =
    "this gateway keeps no recent requests: `recent` of `[admin]` is 0, and `recent = 1000` keeps a thousand";

/// The message of a gateway without a queue.
const NO_QUEUE: &str = "this gateway stores no events: add `[queue]` with `store = \"/var/lib/hookgate/events.db\"` \
                        to gateway.toml, `delivery = \"queue\"` or `\"fallback\"` to a route, and restart it";
