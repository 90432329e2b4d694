//! Shell. The content of an HTTP/2 request, as it arrives on its stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use crate::admission::client::ClientAddress;
use crate::http2::limits::{DISCARD, MOST_DISCARDED};
use crate::http2::stream::{LeftContent, Stream};
use crate::message::content::{Append, Content, ContentError, Length, Progress};
use crate::runtime::worker::Worker;

/// The content of a request.
#[derive(Debug)]
pub(crate) struct RequestContent {
    /// `None` only while it is dropped.
    body: Option<Incoming>,
    worker: Rc<Worker>,
    stream: Rc<Stream>,
    length: Length,
    /// The bytes of a frame that are not taken yet.
    piece: Bytes,
    /// How many bytes have arrived.
    arrived: u64,
}

impl RequestContent {
    /// The content of a request. `length` is what its head says.
    pub(crate) fn new(worker: &Rc<Worker>, body: Incoming, stream: Rc<Stream>, length: Length) -> Self {
        let worker = Rc::clone(worker);
        Self { body: Some(body), worker, stream, length, piece: Bytes::new(), arrived: 0 }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    /// The end of the content. hyper can take a reset of the stream for the end of the content. In this case,
    /// the stream has not ended.
    fn end(&self) -> Result<Progress, ContentError> {
        let is_whole = match self.length {
            Length::Known(length) => length == self.arrived,
            Length::None => self.arrived == 0,
            Length::Unknown => true,
        };
        if is_whole && self.is_end_stream() {
            self.stream.complete_content();
            Ok(Progress::Complete)
        } else {
            Err(ContentError::Incomplete)
        }
    }
}

impl Drop for RequestContent {
    /// Reads the rest of the content for a short time, and discards it. Many clients lose the response if
    /// their stream is reset before they have sent a small content completely, or before they have ended the
    /// stream.
    fn drop(&mut self) {
        self.stream.discard(self.piece.len());
        let Some(body) = self.body.take() else { return };
        let mut left = Left { body, unread: self.stream.leave_content(), room: 0 };
        left.take_arrived();
        if !left.body.is_end_stream() {
            self.worker.finish(left.discard());
        }
    }
}

/// The content that a request has left.
#[derive(Debug)]
struct Left {
    body: Incoming,
    unread: LeftContent,
    /// How many bytes may still be discarded.
    room: usize,
}

impl Left {
    /// Reads and discards content, at most [`MOST_DISCARDED`] bytes and for at most [`DISCARD`]. Then hyper
    /// resets the stream.
    async fn discard(mut self) {
        self.room = MOST_DISCARDED;
        let reading = poll_fn(|cx| self.poll_discarded(cx));
        let _time_is_up = timeout(DISCARD, reading).await;
        self.take_arrived();
    }

    /// Takes all content that has arrived. The window of the stream bounds it.
    fn take_arrived(&mut self) {
        self.room = usize::MAX;
        let _rest_is_to_come = self.poll_discarded(&mut Context::from_waker(Waker::noop()));
    }

    /// Ready when the content has ended, or when no more may be discarded.
    fn poll_discarded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.room > 0
            && let Some(Ok(frame)) = ready!(Pin::new(&mut self.body).poll_frame(cx))
        {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.unread.discard(bytes);
            self.room = self.room.saturating_sub(bytes);
        }
        Poll::Ready(())
    }
}

impl Content for RequestContent {
    fn length(&self) -> Length {
        self.length
    }

    /// hyper cannot send 100 Continue over HTTP/2. A client does not wait for it indefinitely (RFC 9110,
    /// section 10.1.1).
    async fn ask_for(&mut self) -> Result<(), ContentError> {
        Ok(())
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>> {
        while self.piece.is_empty() {
            let Some(body) = &mut self.body else { return Poll::Ready(Err(ContentError::Incomplete)) };
            let polled = Pin::new(body).poll_frame(cx);
            if polled.is_pending() {
                self.stream.hold(cx, usize::try_from(self.arrived).unwrap_or(usize::MAX));
            }
            match ready!(polled) {
                // Trailers are not forwarded, and are not needed.
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                // The connection was closed for another connection. The request reports this when it waits.
                Some(Err(_)) | None if self.stream.is_evicted() => return Poll::Pending,
                Some(Err(_)) => return Poll::Ready(Err(ContentError::Incomplete)),
                None => return Poll::Ready(self.end()),
            }
            let arrived = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
            self.arrived = self.arrived.saturating_add(arrived);
            if let Length::Known(length) = self.length
                && self.arrived > length
            {
                return Poll::Ready(Err(ContentError::Malformed("there is more content than its length")));
            }
        }
        let fitting = self.piece.get(..place.room()).unwrap_or(&self.piece);
        let n = fitting.len();
        if n == 0 {
            return Poll::Ready(Ok(Progress::Full));
        }
        place.push(fitting);
        self.piece.advance(n);
        self.stream.take(n);
        if self.piece.is_empty() {
            // An empty piece would keep the buffer of the frame.
            self.piece = Bytes::new();
        }
        if self.piece.is_empty() && self.is_end_stream() {
            return Poll::Ready(self.end());
        }
        Poll::Ready(Ok(Progress::Some))
    }

    fn buffered(&self) -> usize {
        self.piece.len()
    }

    fn announced(&self) -> u64 {
        0
    }

    fn belongs_to(&self, client: ClientAddress) {
        self.stream.belongs_to(client);
    }

    fn is_evicted(&self) -> bool {
        self.stream.is_evicted()
    }

    fn wait_for_more(&self, _received: usize) {
        self.stream.wait_for_content();
    }

    fn wait_for_upstream(&self, is_authentic: bool) {
        self.stream.wait_for_upstream(is_authentic);
    }
}
