//! Shell. The content of an upstream's answer that is still coming, and the record that ends with a request.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::time::Instant;

use crate::forward::error::{ForwardError, chain};
use crate::forward::relay::Relay;
use crate::forward::response::SURPLUS;
use crate::peer::Peer;
use crate::rejection::Rejection;
use crate::server::view::View;
use crate::server::wire::{Transport, Wire};
use crate::server::worker::Worker;
use crate::telemetry::record::Record;

/// What a client gets from an upstream. When nobody wants it any more, the request has ended, and its record is emitted;
/// otherwise its end goes on to whoever writes the last of it.
#[derive(Debug)]
pub struct Answer<IO: Transport> {
    /// None when nothing more will come.
    content: Option<Box<Relay>>,
    wire: Rc<Wire<IO>>,
    ending: Option<Ending>,
}

impl<IO: Transport> Answer<IO> {
    /// An upstream's.
    #[must_use]
    pub fn new(content: Box<Relay>, ending: Ending, wire: &Rc<Wire<IO>>) -> Self {
        Self { content: Some(content), ending: Some(ending), wire: Rc::clone(wire) }
    }

    /// The end of the request, for whoever writes the last of its answer.
    #[must_use]
    pub fn into_ending(mut self) -> Option<Ending> {
        self.ending.take()
    }

    /// Where whoever writes it says how many bytes the client has not taken yet.
    pub fn unwritten(&mut self) -> Option<&mut usize> {
        self.ending.as_mut().map(|ending| &mut ending.unwritten)
    }

    /// The next piece; none behind the last.
    ///
    /// An error is the last: the response has broken off.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ForwardError>>> {
        let Some(relay) = &mut self.content else { return Poll::Ready(None) };
        let next = ready!(relay.poll_piece(cx));
        let has_surplus = relay.has_surplus();
        if !matches!(next, Some(Ok(_))) {
            self.content = None;
        }
        let Some(Ending { record, .. }) = &mut self.ending else { return Poll::Ready(next) };
        if has_surplus {
            record.detail = Some(SURPLUS.to_owned());
        }
        match &next {
            Some(Ok(piece)) => {
                record.sent = record.sent.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            }
            Some(Err(error)) => {
                record.reason = Rejection::from(error).reason();
                record.detail = Some(chain(error));
            }
            None => {}
        }
        Poll::Ready(next)
    }
}

impl<IO: Transport> Drop for Answer<IO> {
    fn drop(&mut self) {
        let Some(relay) = self.content.take().filter(|relay| !relay.is_complete()) else { return };
        let Some(ending) = &mut self.ending else { return };
        ending.record.detail = Some(cut_short(self.wire.is_draining(), self.wire.entry().is_evicted()));
        ending.worker.finish(relay.drain());
    }
}

/// What the log says of an answer that its client has not got to its end.
fn cut_short(is_draining: bool, is_evicted: bool) -> String {
    let whose = match (is_draining, is_evicted) {
        (true, _) => "cut off at the end of the grace period, or left by the client",
        (false, true) => "its connection was closed for another one",
        (false, false) => "left by the client",
    };
    format!("{whose}, before the end of its answer")
}

/// The end of a request. Whatever becomes of it, its record is emitted when this is dropped, which is to be when its answer has
/// been written to its last byte, or given up: the record says what became of it.
#[derive(Debug)]
pub struct Ending {
    /// What is known of the request so far.
    pub record: Record,
    /// How many bytes of its answer have been made and not been written.
    pub unwritten: usize,
    /// Whether its connection was closed for another one.
    pub is_evicted: bool,
    begun: Instant,
    /// The same moment, as the world outside counts. One look at that clock does for the whole request.
    begun_at: SystemTime,
    worker: Rc<Worker>,
    view: Rc<View>,
}

impl Ending {
    /// A request began.
    #[must_use]
    pub fn new(worker: &Rc<Worker>, view: &Rc<View>, peer: Peer, begun: Instant) -> Self {
        let record = Record::new(worker.next_id(), peer);
        let begun_at = SystemTime::now();
        Self {
            record,
            unwritten: 0,
            is_evicted: false,
            begun,
            begun_at,
            worker: Rc::clone(worker),
            view: Rc::clone(view),
        }
    }

    /// When the request began.
    #[must_use]
    pub fn begun_at(&self) -> SystemTime {
        self.begun_at
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.unwritten > 0 {
            // The end of an answer is content. Of one in chunks, what is between them counts, too: a few bytes too many.
            let unwritten = u64::try_from(self.unwritten).unwrap_or(u64::MAX);
            self.record.sent = self.record.sent.saturating_sub(unwritten);
            self.record.detail.get_or_insert_with(|| cut_short(self.worker.is_draining(), self.is_evicted));
        }
        self.record.took = self.begun.elapsed();
        let now = self.begun_at.checked_add(self.record.took).unwrap_or(self.begun_at);
        self.worker.ended(&self.view, &self.record, now);
    }
}
