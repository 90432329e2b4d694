//! Pure. The end of a request: its record is emitted once, when the request has really ended.

use std::time::{Instant, SystemTime};

use crate::admission::client::ClientAddress;
use crate::gateway::reason::Reason;
use crate::gateway::resources::Resources;
use crate::telemetry::record::Record;

/// Holds the record of a request, and emits it on drop. The guard is dropped when the last byte of the
/// response is written, or when the response is given up.
#[derive(Debug)]
pub struct RequestGuard<R: Resources> {
    /// The record of the request so far.
    pub record: Record,
    /// The bytes of the response that are not written yet.
    pub unwritten: usize,
    /// Whether the request's connection was evicted.
    pub is_evicted: bool,
    begun: Instant,
    /// The wall-clock time at which the request began. The clock is read once per request.
    begun_at: SystemTime,
    resources: R,
}

impl<R: Resources> RequestGuard<R> {
    /// Begins the record of a request over a connection from `peer`.
    #[must_use]
    pub fn new(resources: R, peer: ClientAddress, begun: Instant) -> Box<Self> {
        Box::new(Self {
            record: Record::new(resources.next_id(), peer),
            unwritten: 0,
            is_evicted: false,
            begun,
            begun_at: resources.wall_clock(),
            resources,
        })
    }

    /// When the request began.
    #[must_use]
    pub fn begun_at(&self) -> SystemTime {
        self.begun_at
    }

    /// The resources that serve the request.
    pub fn resources(&self) -> &R {
        &self.resources
    }

    /// The record and the resources.
    pub(super) fn parts(&mut self) -> (&mut Record, &R) {
        (&mut self.record, &self.resources)
    }

    /// Records that the client does not get the rest of the response. A detail about the request is kept as
    /// well.
    pub fn cut_short(&mut self) {
        let end = cut_short(self.resources.is_draining(), self.is_evicted);
        let of_request = self.record.detail.take().filter(|_| self.is_detail_of_request());
        self.record.detail = Some(match of_request {
            Some(detail) if detail.ends_with(END_OF_ANSWER) => detail,
            Some(detail) => format!("{detail}; {end}"),
            None => end,
        });
    }

    /// Whether a detail of the record is about the request, and not about the exchange with the upstream.
    fn is_detail_of_request(&self) -> bool {
        let is_answered = self.record.reason.is_none();
        self.record.refused || (is_answered && self.record.observed == Some(Reason::TimestampExpired))
    }
}

impl<R: Resources> Drop for RequestGuard<R> {
    fn drop(&mut self) {
        if self.unwritten > 0 {
            // The unwritten bytes count as content. In chunked coding they include framing, so `sent` can be
            // a few bytes too low.
            let unwritten = u64::try_from(self.unwritten).unwrap_or(u64::MAX);
            self.record.sent = self.record.sent.saturating_sub(unwritten);
            if self.record.detail.is_none() || self.is_detail_of_request() {
                self.cut_short();
            }
        }
        self.record.took = self.resources.now().saturating_duration_since(self.begun);
        let now = self.begun_at.checked_add(self.record.took).unwrap_or(self.begun_at);
        self.resources.ended(&mut self.record, now);
    }
}

/// The log text for a response that was cut short.
fn cut_short(is_draining: bool, is_evicted: bool) -> String {
    let whose = match (is_draining, is_evicted) {
        (true, _) => "cut off at the end of the grace period, or left by the client",
        (false, true) => "its connection was closed for another one",
        (false, false) => "left by the client",
    };
    format!("{whose}{END_OF_ANSWER}")
}

/// The end of the log text for a response that was cut short.
const END_OF_ANSWER: &str = ", before the end of its answer";
