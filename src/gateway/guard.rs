//! Pure. The end of a request: whatever becomes of it, its record is emitted once, when it has really ended.

use std::time::{Instant, SystemTime};

use super::resources::Resources;
use crate::admission::client::ClientAddress;
use crate::telemetry::record::Record;

/// Holds the record of a request, and emits it when it is dropped. That is to be when the response has been written to its last
/// byte, or given up.
#[derive(Debug)]
pub struct RequestGuard<R: Resources> {
    /// What is known of the request so far.
    pub record: Record,
    /// How many bytes of its response have been made and not been written.
    pub unwritten: usize,
    /// Whether its connection was closed for another one.
    pub is_evicted: bool,
    begun: Instant,
    /// The same moment, as the world outside counts. One look at that clock does for the whole request.
    begun_at: SystemTime,
    resources: R,
}

impl<R: Resources> RequestGuard<R> {
    /// A request of `client` began.
    #[must_use]
    pub fn new(resources: R, client: ClientAddress, begun: Instant) -> Self {
        let record = Record::new(resources.next_id(), client);
        let begun_at = resources.wall_clock();
        Self { record, unwritten: 0, is_evicted: false, begun, begun_at, resources }
    }

    /// When the request began.
    #[must_use]
    pub fn begun_at(&self) -> SystemTime {
        self.begun_at
    }

    /// What the request is served with.
    pub fn resources(&self) -> &R {
        &self.resources
    }

    /// The record, and what the request is served with.
    pub(super) fn parts(&mut self) -> (&mut Record, &R) {
        (&mut self.record, &self.resources)
    }

    /// The client does not get the rest of its response.
    pub fn cut_short(&mut self) {
        self.record.detail = Some(cut_short(self.resources.is_draining(), self.is_evicted));
    }
}

impl<R: Resources> Drop for RequestGuard<R> {
    fn drop(&mut self) {
        if self.unwritten > 0 {
            // The end of a response is content. Of one in chunks, what is between them counts, too: a few bytes too many.
            let unwritten = u64::try_from(self.unwritten).unwrap_or(u64::MAX);
            self.record.sent = self.record.sent.saturating_sub(unwritten);
            if self.record.detail.is_none() {
                self.cut_short();
            }
        }
        self.record.took = self.resources.now().saturating_duration_since(self.begun);
        let now = self.begun_at.checked_add(self.record.took).unwrap_or(self.begun_at);
        self.resources.ended(&self.record, now);
    }
}

/// What the log says of a response that its client has not got to its end.
fn cut_short(is_draining: bool, is_evicted: bool) -> String {
    let whose = match (is_draining, is_evicted) {
        (true, _) => "cut off at the end of the grace period, or left by the client",
        (false, true) => "its connection was closed for another one",
        (false, false) => "left by the client",
    };
    format!("{whose}, before the end of its answer")
}
