//! Shell. The content of an answer, ours or an upstream's, and the record that ends with it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::forward::error::{ForwardError, chain};
use crate::forward::relay::Relay;
use crate::rejection::Rejection;
use crate::server::wire::{Transport, Wire};
use crate::server::worker::Worker;
use crate::telemetry::record::Record;

/// What a client gets. When hyper has taken the last of it, or nobody wants it any more, the request has ended, and its
/// record is emitted.
#[derive(Debug)]
pub struct Answer<IO: Transport> {
    content: Content,
    worker: Rc<Worker>,
    wire: Rc<Wire<IO>>,
    riding: Option<(Record, Instant)>,
    failure: Option<ForwardError>,
    is_whole: bool,
}

#[derive(Debug)]
enum Content {
    Own(Option<Bytes>),
    Relayed(Box<Relay>),
}

impl<IO: Transport> Answer<IO> {
    /// A text of our own.
    #[must_use]
    pub fn own(text: String, worker: &Rc<Worker>, wire: &Rc<Wire<IO>>) -> Self {
        Self::new(Content::Own(Some(text.into())), worker, wire)
    }

    /// An upstream's.
    #[must_use]
    pub fn relayed(relay: Relay, worker: &Rc<Worker>, wire: &Rc<Wire<IO>>) -> Self {
        Self::new(Content::Relayed(Box::new(relay)), worker, wire)
    }

    fn new(content: Content, worker: &Rc<Worker>, wire: &Rc<Wire<IO>>) -> Self {
        let (worker, wire) = (Rc::clone(worker), Rc::clone(wire));
        Self { content, worker, wire, riding: None, failure: None, is_whole: false }
    }

    /// Takes the request's record along, which began at `begun`.
    pub fn ride(&mut self, record: Record, begun: Instant) {
        self.riding = Some((record, begun));
    }

    fn sent(&mut self, bytes: &Bytes) {
        if let Some((record, _)) = &mut self.riding {
            record.sent = record.sent.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
    }

    /// Breaks the response off, but lets hyper first write what it already has of it.
    fn break_off(
        &mut self,
        cx: &mut Context<'_>,
        error: ForwardError,
    ) -> Poll<Option<Result<Frame<Bytes>, ForwardError>>> {
        if let Some((record, _)) = &mut self.riding {
            record.reason = Rejection::from(&error).reason();
            record.detail = Some(chain(&error));
        }
        self.wire.break_off();
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
            Content::Own(text) => text.take().map(|text| Ok(Frame::data(text))),
            Content::Relayed(relay) => match Pin::new(relay.as_mut()).poll_frame(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
        };
        match next {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.sent(&data.clone());
                }
                Poll::Ready(Some(Ok(frame)))
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
            Content::Own(text) => text.is_none(),
            Content::Relayed(relay) => relay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(text) => SizeHint::with_exact(
                text.as_ref().map_or(0, |text| u64::try_from(text.len()).unwrap_or(u64::MAX)),
            ),
            Content::Relayed(relay) => relay.size_hint(),
        }
    }
}

impl<IO: Transport> Drop for Answer<IO> {
    fn drop(&mut self) {
        let is_whole = self.is_whole || Body::is_end_stream(self);
        if let Some((mut record, begun)) = self.riding.take() {
            if !is_whole && record.reason.is_none() {
                record.detail = Some("the client went away before the end of its answer".to_owned());
            }
            record.took = begun.elapsed();
            self.worker.ended(&record);
        }
    }
}
