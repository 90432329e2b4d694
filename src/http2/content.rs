//! Shell. The content of an HTTP/2 request, as it arrives on its stream.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use hyper::body::{Body as _, Incoming};

use crate::admission::client::ClientAddress;
use crate::http2::streams::Stream;
use crate::message::content::{Append, Content, ContentError, Length, Progress};

/// The content of a request.
#[derive(Debug)]
pub(crate) struct RequestContent {
    body: Incoming,
    stream: Rc<Stream>,
    length: Length,
    /// The bytes of a frame that are not taken yet.
    piece: Bytes,
    /// How many bytes have arrived.
    arrived: u64,
}

impl RequestContent {
    /// The content of a request. `length` is what its head says.
    pub(crate) fn new(body: Incoming, stream: Rc<Stream>, length: Length) -> Self {
        Self { body, stream, length, piece: Bytes::new(), arrived: 0 }
    }

    /// The end of the content. hyper can take a reset of the stream for the end of the content. In this case, the
    /// stream has not ended.
    fn end(&self) -> Result<Progress, ContentError> {
        let is_whole = match self.length {
            Length::Known(length) => length == self.arrived,
            Length::None => self.arrived == 0,
            Length::Unknown => true,
        };
        if is_whole && self.body.is_end_stream() {
            self.stream.complete_content();
            Ok(Progress::Complete)
        } else {
            Err(ContentError::Incomplete)
        }
    }
}

impl Drop for RequestContent {
    /// Takes the content from hyper that the request has left unread, so that it no longer counts.
    fn drop(&mut self) {
        self.stream.discard(self.piece.len());
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut self.body).poll_frame(&mut cx) {
            self.stream.discard(frame.into_data().map_or(0, |piece| piece.len()));
        }
        self.stream.end_content();
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
            let polled = Pin::new(&mut self.body).poll_frame(cx);
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
        if self.piece.is_empty() && self.body.is_end_stream() {
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

    /// Counts the memory of the request for its client. The connection still counts for the proxy, because the
    /// connection carries requests of several clients.
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
