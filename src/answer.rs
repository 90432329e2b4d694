//! Shell. The content of an upstream's answer that is still coming, and the record that ends with a request.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::time::Instant;

use crate::forward::error::{ForwardError, chain};
use crate::forward::relay::Relay;
use crate::peer::Peer;
use crate::rejection::Rejection;
use crate::server::view::View;
use crate::server::wire::{Transport, Wire};
use crate::server::worker::Worker;
use crate::telemetry::record::Record;

/// What a client gets from an upstream. When the last of it has been taken, or nobody wants it any more, the request has
/// ended, and its record is emitted.
#[derive(Debug)]
pub struct Answer<IO: Transport> {
    /// None when nothing more will come.
    content: Option<Box<Relay>>,
    wire: Rc<Wire<IO>>,
    ending: Ending,
}

impl<IO: Transport> Answer<IO> {
    /// An upstream's.
    #[must_use]
    pub fn new(content: Box<Relay>, ending: Ending, wire: &Rc<Wire<IO>>) -> Self {
        Self { content: Some(content), ending, wire: Rc::clone(wire) }
    }

    /// The next piece; none behind the last.
    ///
    /// An error is the last: the response has broken off.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ForwardError>>> {
        let Some(relay) = &mut self.content else { return Poll::Ready(None) };
        let next = ready!(relay.poll_piece(cx));
        let record = &mut self.ending.record;
        match &next {
            Some(Ok(piece)) => {
                record.sent = record.sent.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            }
            Some(Err(error)) => {
                record.reason = Rejection::from(error).reason();
                record.detail = Some(chain(error));
                self.content = None;
            }
            None => self.content = None,
        }
        Poll::Ready(next)
    }
}

impl<IO: Transport> Drop for Answer<IO> {
    fn drop(&mut self) {
        let Some(relay) = self.content.take().filter(|relay| !relay.is_complete()) else { return };
        let whose = if self.wire.is_draining() {
            "cut off at the end of the grace period, or left by the client"
        } else {
            "left by the client"
        };
        self.ending.record.detail = Some(format!("{whose}, before the end of its answer"));
        self.ending.worker.finish(relay.drain());
    }
}

/// The end of a request. Whatever becomes of it, its record is emitted when this is dropped.
#[derive(Debug)]
pub struct Ending {
    /// What is known of the request so far.
    pub record: Record,
    begun: Instant,
    /// The same moment, as the world outside counts. One look at that clock does for the whole request.
    begun_at: SystemTime,
    /// When it ended, if that is known without another look at the clock.
    ended: Option<Instant>,
    worker: Rc<Worker>,
    view: Rc<View>,
}

impl Ending {
    /// A request began.
    #[must_use]
    pub fn new(worker: &Rc<Worker>, view: &Rc<View>, peer: Peer, begun: Instant) -> Self {
        let record = Record::new(worker.next_id(), peer);
        let begun_at = SystemTime::now();
        Self { record, begun, begun_at, ended: None, worker: Rc::clone(worker), view: Rc::clone(view) }
    }

    /// The request ended at this moment, or so little later that it makes no difference.
    pub fn ended_at(&mut self, moment: Instant) {
        self.ended = Some(moment);
    }

    /// When the request began.
    #[must_use]
    pub fn begun_at(&self) -> SystemTime {
        self.begun_at
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let ended = self.ended.unwrap_or_else(Instant::now);
        self.record.took = ended.saturating_duration_since(self.begun);
        let now = self.begun_at.checked_add(self.record.took).unwrap_or(self.begun_at);
        self.worker.ended(&self.view, &self.record, now);
    }
}
