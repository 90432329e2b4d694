//! Shell. The content of an upstream's answer, and the record that ends with a request.

use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::forward;
use crate::forward::error::{ForwardError, chain};
use crate::forward::relay::Relay;
use crate::peer::Peer;
use crate::rejection::Rejection;
use crate::server::view::View;
use crate::server::wire::{Transport, Wire};
use crate::server::worker::Worker;
use crate::telemetry::record::Record;

/// What a client gets from an upstream. When hyper has taken the last of it, or nobody wants it any more, the request has
/// ended, and its record is emitted.
#[derive(Debug)]
pub struct Answer<IO: Transport> {
    content: Content,
    wire: Rc<Wire<IO>>,
    ending: Ending,
    failure: Option<ForwardError>,
    is_whole: bool,
}

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Coming(Box<Relay>),
    /// There is none, but its length is told: that of what is not sent because the client has it (RFC 9110, section 8.6).
    Withheld(u64),
    /// What there was of it has been given away.
    Gone,
}

impl<IO: Transport> Answer<IO> {
    /// An upstream's.
    #[must_use]
    pub fn relayed(content: forward::Content, ending: Ending, wire: &Rc<Wire<IO>>) -> Self {
        let content = match content {
            forward::Content::Whole(content) => {
                Content::Whole(Some(content).filter(|content| !content.is_empty()))
            }
            forward::Content::Coming(relay) => Content::Coming(relay),
        };
        Self::new(content, ending, wire)
    }

    /// The upstream's word that the client has the content already, which would have this length.
    #[must_use]
    pub fn withheld(length: u64, ending: Ending, wire: &Rc<Wire<IO>>) -> Self {
        Self::new(Content::Withheld(length), ending, wire)
    }

    fn new(content: Content, ending: Ending, wire: &Rc<Wire<IO>>) -> Self {
        Self { content, ending, wire: Rc::clone(wire), failure: None, is_whole: false }
    }

    fn sent(&mut self, bytes: &Bytes) {
        let record = &mut self.ending.record;
        record.sent = record.sent.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    /// Breaks the response off, but lets hyper first write what it already has of it.
    fn break_off(
        &mut self,
        cx: &mut Context<'_>,
        error: ForwardError,
    ) -> Poll<Option<Result<Frame<Bytes>, ForwardError>>> {
        self.ending.record.reason = Rejection::from(&error).reason();
        self.ending.record.detail = Some(chain(&error));
        self.failure = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<IO: Transport> Body for Answer<IO> {
    type Data = Bytes;
    type Error = ForwardError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ForwardError>>> {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let next = match &mut self.content {
            Content::Gone | Content::Withheld(_) => None,
            Content::Whole(text) => text.take().map(Ok),
            Content::Coming(relay) => ready!(relay.poll_piece(cx)),
        };
        match next {
            Some(Ok(piece)) => {
                self.sent(&piece);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(error)) => self.break_off(cx, error),
            None => {
                self.is_whole = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Gone => true,
            // Or hyper would leave the length out.
            Content::Withheld(_) => false,
            Content::Whole(text) => text.is_none(),
            Content::Coming(relay) => relay.is_complete(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let left = match &self.content {
            Content::Whole(text) => {
                Some(text.as_ref().map_or(0, |text| u64::try_from(text.len()).unwrap_or(u64::MAX)))
            }
            Content::Coming(relay) => relay.left(),
            Content::Withheld(length) => Some(*length),
            Content::Gone => Some(0),
        };
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl<IO: Transport> Drop for Answer<IO> {
    fn drop(&mut self) {
        let is_none = matches!(self.content, Content::Withheld(_));
        let is_whole = self.is_whole || is_none || self.is_end_stream();
        if !is_whole && self.ending.record.reason.is_none() {
            let cut_off = self.wire.is_draining();
            let whose = if cut_off {
                "cut off at the end of the grace period, or left by the client"
            } else {
                "left by the client"
            };
            self.ending.record.detail = Some(format!("{whose}, before the end of its answer"));
            if let Content::Coming(relay) = mem::replace(&mut self.content, Content::Gone) {
                self.ending.worker.finish(relay.drain());
            }
        }
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
    worker: Rc<Worker>,
    view: Rc<View>,
}

impl Ending {
    /// A request began.
    #[must_use]
    pub fn new(worker: &Rc<Worker>, view: &Rc<View>, peer: Peer, begun: Instant) -> Self {
        let record = Record::new(worker.next_id(), peer);
        let begun_at = SystemTime::now();
        Self { record, begun, begun_at, worker: Rc::clone(worker), view: Rc::clone(view) }
    }

    /// When the request began.
    #[must_use]
    pub fn begun_at(&self) -> SystemTime {
        self.begun_at
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.record.took = self.begun.elapsed();
        let now = self.begun_at.checked_add(self.record.took).unwrap_or(self.begun_at);
        self.worker.ended(&self.view, &self.record, now);
    }
}
