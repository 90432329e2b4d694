//! The content that hyper reads, in the form that the path of a request takes.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use hookgate::admission::client::ClientAddress;
use hookgate::admission::connections::Entry;
use hookgate::message::content::{Append, Content, ContentError, Length, Progress};
use hyper::body::{Body as _, Incoming};

use super::gate::Gate;

pub(super) struct RequestContent {
    gate: Rc<Gate>,
    entry: Arc<Entry>,
    body: Incoming,
    length: Length,
    /// The bytes that hyper has given and that no caller has taken yet.
    piece: Bytes,
    taken: u64,
    is_complete: Rc<Cell<bool>>,
}

impl RequestContent {
    pub(super) fn new(
        gate: &Rc<Gate>,
        entry: &Arc<Entry>,
        body: Incoming,
        is_complete: Rc<Cell<bool>>,
    ) -> Self {
        let length = match body.size_hint().exact() {
            Some(0) => Length::None,
            Some(length) => Length::Known(length),
            None => Length::Unknown,
        };
        let (gate, entry) = (Rc::clone(gate), Arc::clone(entry));
        Self { gate, entry, body, length, piece: Bytes::new(), taken: 0, is_complete }
    }

    fn complete(&self) -> Progress {
        self.is_complete.set(true);
        assert_eq!(self.taken, self.gate.content(), "hyper reads other content");
        Progress::Complete
    }
}

impl Content for RequestContent {
    fn length(&self) -> Length {
        self.length
    }

    /// hyper asks the client for its content when the content is read for the first time.
    async fn ask_for(&mut self) -> Result<(), ContentError> {
        Ok(())
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>> {
        while self.piece.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                Some(Err(_)) => {
                    return Poll::Ready(Err(match self.gate.malformed() {
                        Some(why) => ContentError::Malformed(why),
                        None if self.gate.has_ended() => ContentError::Incomplete,
                        None => ContentError::Malformed("hyper does not take it"),
                    }));
                }
                None => return Poll::Ready(Ok(self.complete())),
            }
        }
        let n = self.piece.len().min(place.room());
        if n == 0 {
            return Poll::Ready(Ok(Progress::Full));
        }
        place.push(&self.piece[..n]);
        self.piece.advance(n);
        self.taken += n as u64;
        if self.piece.is_empty() && self.body.is_end_stream() {
            return Poll::Ready(Ok(self.complete()));
        }
        Poll::Ready(Ok(Progress::Some))
    }

    fn buffered(&self) -> usize {
        self.piece.len()
    }

    fn announced(&self) -> u64 {
        self.gate.announced()
    }

    fn belongs_to(&self, client: ClientAddress) {
        self.entry.belongs_to(client);
    }

    fn is_evicted(&self) -> bool {
        self.entry.is_evicted()
    }

    fn wait_for_more(&self, received: usize) {
        self.entry.wait_for_more_content(received);
    }

    fn wait_for_upstream(&self, is_authentic: bool) {
        self.gate.wait_for_upstream(is_authentic);
    }
}
