//! Shell. The socket of an HTTP/2 connection, as hyper reads and writes it.
//!
//! The frames are followed in both directions. The bytes of frames that hyper holds count towards the memory
//! budget. While the budget has no memory for further bytes, nothing more is read. If a client reads nothing,
//! its connection is closed.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::admission::memory::{Exhausted, Reservation};
use crate::connection::buffer::Buffer;
use crate::connection::limits::Limits;
use crate::connection::slow_reader::SlowReaderWatch;
use crate::http2::frames::Frames;
use crate::http2::limits::{FREE_UNREAD, STREAM, UNREAD_STEP, header_list};
use crate::http2::streams::Streams;
use crate::listen::stream::Stream;
use crate::runtime::deadline::Deadline;

/// How many bytes are discarded at once after the last response.
const DISCARDED: usize = 4 * 1024;

/// The socket of a connection.
#[derive(Debug)]
pub(crate) struct Socket(RefCell<Inner>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    unread: Buffer,
    frames: Frames,
    streams: Rc<Streams>,
    /// The memory of unread content over [`FREE_UNREAD`], and of an unfinished header block.
    reservation: Reservation,
    header_list: usize,
    /// The finished responses whose ends were not sent at the last look.
    unsent: Option<Unsent>,
    /// The memory of such responses.
    unsent_reservation: Reservation,
    /// Since when the client is in the middle of a head.
    in_head_since: Option<Instant>,
    has_ended: bool,
    limits: Limits,
    reader: SlowReaderWatch,
}

/// Finished responses whose ends are not sent. hyper holds nothing of them, and h2 holds their last bytes.
#[derive(Clone, Copy, Debug)]
struct Unsent {
    since: Instant,
    /// The last stream that the client had opened then.
    last: u32,
}

impl Socket {
    /// The socket of an accepted connection. `unread` was already read from it.
    pub(crate) fn new(
        stream: Stream,
        unread: Buffer,
        limits: &Limits,
        streams: &Rc<Streams>,
        reservation: Reservation,
    ) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Inner {
            stream,
            unread,
            frames: Frames::default(),
            streams: Rc::clone(streams),
            unsent_reservation: reservation.another(),
            reservation,
            header_list: usize::try_from(header_list(limits.max_header_bytes)).unwrap_or(usize::MAX),
            unsent: None,
            in_head_since: Some(Instant::now()),
            has_ended: false,
            limits: *limits,
            reader: SlowReaderWatch::default(),
        })))
    }

    /// Since when the client is in the middle of a head: of the preface, or of a header block.
    pub(crate) fn in_head_since(&self) -> Option<Instant> {
        self.0.borrow().in_head_since
    }

    /// The time since which at least one end of a response waits for the client to open its window. The ends
    /// of other responses that are sent meanwhile do not change this time.
    pub(crate) fn unsent_since(&self) -> Option<Instant> {
        let mut inner = self.0.borrow_mut();
        let Inner { frames, streams, unsent, .. } = &mut *inner;
        if unsent.is_some_and(|unsent| frames.open_up_to(unsent.last) <= streams.marked_tasks()) {
            *unsent = None;
        }
        // hyper is finished with all other streams. A stream whose head is unfinished is not known to hyper.
        if unsent.is_none() && !frames.is_in_block() && frames.open() > streams.tasks() {
            *unsent = Some(Unsent { since: Instant::now(), last: frames.last() });
            streams.mark_tasks();
        }
        unsent.map(|unsent| unsent.since)
    }

    /// Gives back the memory of content that h2 has discarded, because its requests have ended before it
    /// came. To be called when hyper has taken note of every request that has arrived. Returns whether
    /// reading had stopped.
    pub(crate) fn forget_discarded(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        if !inner.streams.forget_discarded() {
            return false;
        }
        if !inner.frames.is_in_block() && !inner.reservation.is_empty() {
            inner.reservation = inner.reservation.another();
        }
        inner.streams.resume_reading()
    }

    /// Reserves memory for the responses that are finished and not sent. If there is none, the connection
    /// must end.
    pub(crate) fn hold_unsent(&self, cx: &mut Context<'_>) {
        let mut inner = self.0.borrow_mut();
        let Inner { frames, streams, unsent_reservation: reservation, .. } = &mut *inner;
        // The first of these responses is part of the memory of each connection.
        let unsent = frames.open().saturating_sub(streams.tasks()).saturating_sub(1).saturating_mul(STREAM);
        if unsent < reservation.bytes() || (unsent == 0 && !reservation.is_empty()) {
            // A smaller reservation takes the place of this one.
            *reservation = reservation.another();
        }
        if unsent == 0 {
            return;
        }
        let now = Instant::now().into_std();
        let is_held = match reservation.poll_grow_to(cx, unsent, now) {
            Poll::Ready(Err(Exhausted)) => false,
            Poll::Ready(Ok(())) | Poll::Pending => reservation.hold_while_waiting(cx, 0, now, now).is_ok(),
        };
        if is_held && !reservation.is_shed() {
            return;
        }
        if streams.is_at_upstream() {
            reservation.complete_content();
        } else {
            streams.evict();
            *reservation = reservation.another();
        }
    }

    /// Gives back the memory of a connection that has ended: hyper and h2 are dropped.
    pub(crate) fn release(&self) {
        let mut inner = self.0.borrow_mut();
        let Inner { reservation, unsent_reservation, .. } = &mut *inner;
        for reservation in [reservation, unsent_reservation] {
            *reservation = reservation.another();
        }
    }

    /// Reads and discards the bytes that the client still sends, for at most `limit`. Otherwise the kernel
    /// would discard what the client has not read yet.
    pub(crate) async fn linger(&self, limit: Duration) {
        let mut deadline = Deadline::default();
        deadline.set(limit);
        poll_fn(|cx| {
            let mut inner = self.0.borrow_mut();
            let mut bytes = [0; DISCARDED];
            while !inner.has_ended {
                let mut buffer = ReadBuf::new(&mut bytes);
                match Pin::new(&mut inner.stream).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return deadline.poll_passed(cx),
                }
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl Inner {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // The client may have ended only its own side. hyper would give up the requests under way at this
        // end. So hyper reads the end after the requests are answered.
        if self.has_ended && self.frames.are_whole() {
            return Poll::Pending;
        }
        ready!(self.poll_admit(cx));
        let before = buffer.filled().len();
        if self.unread.is_empty() {
            let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
            if read.is_pending() {
                self.hold(cx);
            }
            let read = ready!(read);
            self.has_ended |= read.is_err() || buffer.filled().len() == before;
            read?;
            if self.has_ended && self.frames.are_whole() {
                return Poll::Pending;
            }
        } else {
            let bytes = self.unread.as_slice();
            let bytes = bytes.get(..buffer.remaining()).unwrap_or(bytes);
            buffer.put_slice(bytes);
            let n = bytes.len();
            self.unread.consume(n);
        }
        let begun = self.frames.begun();
        let content = self.frames.received(buffer.filled().get(before..).unwrap_or_default());
        self.streams.arrive(content);
        if self.frames.begun() != begun {
            self.in_head_since = None;
        }
        self.in_head_since =
            self.frames.is_in_head().then(|| self.in_head_since.unwrap_or_else(Instant::now));
        Poll::Ready(Ok(()))
    }

    /// Reserves memory for the bytes that hyper holds, before hyper gets more bytes.
    fn poll_admit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let unread = self.streams.unread().saturating_sub(FREE_UNREAD);
        let block = if self.frames.is_in_block() { self.header_list } else { 0 };
        let held = unread.div_ceil(UNREAD_STEP).saturating_mul(UNREAD_STEP).saturating_add(block);
        if held < self.reservation.bytes() || (held == 0 && !self.reservation.is_empty()) {
            // A smaller reservation takes the place of this one.
            self.reservation = self.reservation.another();
        }
        if self.reservation.is_shed() && self.streams.is_at_upstream() {
            // An authentic request of this connection waits for its upstream, so the memory is kept.
            self.reservation.complete_content();
        }
        match self.reservation.poll_grow_to(cx, held, Instant::now().into_std()) {
            Poll::Ready(Ok(())) => return Poll::Ready(()),
            Poll::Ready(Err(Exhausted)) if self.reservation.is_shed() => self.shed(),
            Poll::Ready(Err(Exhausted)) => {
                // Nothing more is read until a request has taken some of the content, or has ended.
                self.streams.stop_reading();
                self.hold(cx);
            }
            Poll::Pending => self.hold(cx),
        }
        Poll::Pending
    }

    /// Lets the memory of this connection be shed for other clients while the connection waits for its
    /// client. The memory is not shed while an authentic request of the connection waits for its upstream.
    fn hold(&mut self, cx: &Context<'_>) {
        if self.reservation.bytes() == 0 {
            return;
        }
        if self.streams.is_at_upstream() {
            self.reservation.complete_content();
            return;
        }
        let now = Instant::now().into_std();
        let held = self.reservation.hold_while_waiting(cx, self.reservation.bytes(), now, now);
        if held.is_err() || self.reservation.is_shed() {
            self.shed();
        }
    }

    /// Gives the memory back: the connection must end.
    fn shed(&mut self) {
        self.streams.evict();
        self.reservation = self.reservation.another();
    }

    /// Takes note of the first `n` bytes of these pieces, which were sent.
    fn sent(&mut self, pieces: &[IoSlice<'_>], mut n: usize) {
        for piece in pieces {
            let piece = piece.get(..n).unwrap_or(piece);
            n = n.saturating_sub(piece.len());
            self.frames.sent(piece);
        }
        if self.has_ended && !self.frames.are_whole() {
            self.streams.rouse();
        }
    }

    /// Takes note of a write of these pieces, and gives up if the client reads nothing, or too little for too
    /// long.
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = written {
            self.sent(pieces, n);
        }
        let Self { reader, limits, .. } = self;
        reader.poll_written(cx, written, limits)
    }
}

/// The socket in the form that hyper takes.
#[derive(Debug)]
pub(crate) struct Transport(pub(crate) Rc<Socket>);

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.0.borrow_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.0.borrow_mut();
        let written = Pin::new(&mut inner.stream).poll_write(cx, bytes);
        inner.poll_written(cx, &[IoSlice::new(bytes)], written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.0.borrow_mut();
        let written = Pin::new(&mut inner.stream).poll_write_vectored(cx, pieces);
        inner.poll_written(cx, pieces, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.0.borrow().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.0.borrow_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.0.borrow_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::admission::connections::ConnectionLimit;
    use crate::admission::memory::Budget;
    use crate::http2::preface::PREFACE;

    const LIMITS: Limits = Limits {
        max_header_bytes: 1024,
        header_timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        write_timeout: Duration::ZERO,
        min_write_rate: 0,
    };

    /// HEADERS with END_STREAM and END_HEADERS, and without fields.
    fn headers(stream: u8) -> [u8; 9] {
        [0, 0, 0, 1, 5, 0, 0, 0, stream]
    }

    #[tokio::test]
    async fn a_connection_that_has_ended_holds_no_memory() {
        let budget = Budget::new(1 << 20);
        let place = ConnectionLimit::new(1).enter_uncounted(ClientAddress::Unix);
        let streams = Streams::new(place.entry(), ClientAddress::Unix);
        let (stream, mut client) = UnixStream::pair().unwrap();
        let reservation = budget.reservation(ClientAddress::Unix);
        let socket = Socket::new(Stream::Unix(stream), Buffer::default(), &LIMITS, &streams, reservation);
        // hyper has forgotten two of these streams, and holds much content.
        client.write_all(&[PREFACE, &headers(1), &headers(3), &headers(5)].concat()).await.unwrap();
        let mut bytes = [0; 1024];
        let mut buffer = ReadBuf::new(&mut bytes);
        while socket.0.borrow().frames.open() < 3 {
            poll_fn(|cx| socket.0.borrow_mut().poll_read(cx, &mut buffer)).await.unwrap();
        }
        streams.arrive(FREE_UNREAD + 1);
        poll_fn(|cx| {
            socket.hold_unsent(cx);
            socket.0.borrow_mut().poll_admit(cx)
        })
        .await;
        assert_eq!(budget.held(), u64::try_from(2 * STREAM + UNREAD_STEP).unwrap());
        socket.release();
        assert_eq!(budget.held(), 0);
    }
}
