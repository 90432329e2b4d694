//! Pure. The documents of the API, as the pages of the console read them. So the console shows what the API
//! says, and nothing else.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::queue::event::AttemptOutcome;
use crate::telemetry::recent::entry::DeliveryAttempt;

/// Reads a document.
///
/// # Errors
/// The document is not of this kind: a defect in hookgate.
pub(crate) fn read<T: DeserializeOwned>(document: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(document)
}

/// The name of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) model: Option<String>,
}

/// The state of the queue.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Overview {
    pub(crate) store: String,
    pub(crate) bytes: u64,
    pub(crate) upstreams: Vec<Destination>,
}

/// The deliveries to one upstream of a route.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Destination {
    pub(crate) route: Route,
    pub(crate) upstream: String,
    pub(crate) queued: u64,
    pub(crate) delivering: u64,
    pub(crate) dead: u64,
    pub(crate) oldest: Option<String>,
    pub(crate) oldest_seconds: u64,
    pub(crate) held: Option<String>,
    pub(crate) paused: bool,
    pub(crate) circuit: String,
    pub(crate) seconds_to_empty: Option<u64>,
    /// Why the last attempt failed. The console adds this to destinations with an open circuit.
    #[serde(skip)]
    pub(crate) last_failure: Option<String>,
}

impl Overview {
    /// Adds to each destination with an open circuit why its last attempt failed. The latest attempt comes
    /// first.
    pub(crate) fn explain<'a>(&mut self, attempts: impl Iterator<Item = &'a DeliveryAttempt> + Clone) {
        let copies: Vec<_> =
            self.upstreams.iter().map(|one| (one.route.clone(), one.upstream.clone())).collect();
        for one in self.upstreams.iter_mut().filter(|one| one.circuit == "open") {
            let is_of_route = |attempt: &DeliveryAttempt| {
                *attempt.route.path == *one.route.path
                    && attempt.route.model.as_deref() == one.route.model.as_deref()
            };
            let is_of_upstream = |attempt: &DeliveryAttempt| match one.upstream.as_str() {
                // The attempt has the address of the upstream. The overview has no address for the route's
                // own upstream.
                "main" => {
                    !copies.iter().any(|(route, copy)| *route == one.route && **copy == *attempt.upstream)
                }
                copy => *attempt.upstream == *copy,
            };
            let has_failed = |attempt: &DeliveryAttempt| attempt.outcome != AttemptOutcome::Delivered;
            let mut attempts = attempts.clone();
            let last = attempts.find(|one| is_of_route(one) && is_of_upstream(one) && has_failed(one));
            one.last_failure = last.map(|attempt| match (&attempt.detail, attempt.status) {
                (Some(detail), _) => detail.clone(),
                (None, Some(status)) => format!("the app answered {status}"),
                (None, None) => attempt.outcome.as_str().replace('_', " "),
            });
        }
    }
}

/// A page of a list of events.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct EventList {
    pub(crate) events: Vec<Event>,
    pub(crate) next: Option<String>,
}

/// An event.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) received: String,
    pub(crate) route: Route,
    pub(crate) state: String,
    pub(crate) held: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) scheme: String,
    pub(crate) secret: String,
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) length: u64,
    pub(crate) sha256: String,
    pub(crate) order: Option<String>,
    pub(crate) deliveries: Vec<Delivery>,
    #[serde(default)]
    pub(crate) content_kept: bool,
    /// The head. `None` if it is no longer kept, and in lists.
    #[serde(default)]
    pub(crate) fields: Option<Vec<Field>>,
}

/// A field line of a head.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) base64: Option<String>,
}

/// A delivery of an event.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) upstream: String,
    pub(crate) state: String,
    pub(crate) held: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) kind: String,
    pub(crate) due: Option<String>,
    pub(crate) attempts: u64,
    pub(crate) ended: Option<String>,
    pub(crate) last: Option<Attempt>,
    #[serde(default)]
    pub(crate) kept_attempts: Vec<Attempt>,
}

/// An attempt of a delivery.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) at: String,
    pub(crate) took_ms: u64,
    pub(crate) outcome: String,
    pub(crate) status: Option<u16>,
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) response: Option<Bytes>,
}

/// The beginning of an answer's content.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Bytes {
    pub(crate) text: Option<String>,
    pub(crate) base64: Option<String>,
}

/// A number of events, which may be a lower bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Counted {
    pub(crate) count: u64,
    pub(crate) is_capped: bool,
}

/// All replays.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Replays {
    pub(crate) replays: Vec<Replay>,
}

/// A replay.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Replay {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) replayed: u64,
    pub(crate) gone: u64,
    pub(crate) total: u64,
    pub(crate) total_is_capped: bool,
    pub(crate) rate: u32,
    pub(crate) by: String,
    pub(crate) started: String,
    pub(crate) ended: Option<String>,
    pub(crate) waits: Option<String>,
    pub(crate) filter: ReplayFilter,
}

/// The filter of a replay.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ReplayFilter {
    pub(crate) state: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) number_of_ids: usize,
}

/// The start of a replay.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Started {
    pub(crate) replay: Replay,
}

/// The end of a discard.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Discarded {
    pub(crate) discarded: u64,
    pub(crate) has_more: bool,
}

/// Routes that were paused or resumed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Paused {
    pub(crate) changed: u64,
}
