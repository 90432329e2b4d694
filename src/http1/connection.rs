//! Shell. The socket of one client connection: what is read from it, and the watch over what is written.
//!
//! The connection reads each head and has [`head::parse`] judge it. Content is read straight into its final buffer. The next
//! head is looked for only when the response before it has been written. So nothing is normalised unseen, nothing is buffered
//! that nobody asked for, and pipelined requests are answered one by one.
//!
//! A head that cannot be served arrives in the same way as one that can, so that it is refused in its turn.

pub mod content;
pub mod unsent;

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::admission::connections::Entry;
use crate::admission::memory::{Exhausted, FREE_HEAD, Reservation};
use crate::admission::rate::Uptake;
use crate::http1::buffer::{self, Buffer};
use crate::message::chunked::Chunked;
use crate::message::content::{Append, ContentError, Length, Progress};
use crate::message::head::{
    self, Framing, Head, HeadError, Parsed, Persistence, RequestHead, ResponseContext, Version,
};
use crate::runtime::deadline::{Deadline, LazyNow};

/// How many bytes are read at once where it is not known how many will come.
///
/// A connection may hold this many bytes that are not parsed yet: a request that was read together with the one before it, or
/// a part of a head. Only a larger head asks for more, and all of it counts towards the memory budget then.
pub const READ_SIZE: usize = buffer::AHEAD;

/// How many bytes are read at least, where a part of a head has been read.
const LEAST_READ: usize = 1024;

/// The stream beneath a connection.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Whether the end of the connection is to look like a failure to the client, where the stream can express that.
    fn reset_on_close(&self, reset: bool);
}

impl Transport for DuplexStream {
    fn reset_on_close(&self, _reset: bool) {}
}

/// The time and bytes that a client may take, as far as its connection is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head.
    pub max_header_bytes: usize,
    /// From accept, or the first byte of a request, to the end of its head.
    pub header_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// For the client to take any of a waiting response.
    pub write_timeout: Duration,
    /// Bytes per second that it takes of one at least, averaged over the time that it makes us wait; 0 for any rate.
    pub min_write_rate: u64,
}

/// Memory to read into that all connections of a worker share: a connection that waits holds none.
pub type Scratch = Rc<RefCell<Box<[u8]>>>;

/// Makes the memory that the wires of one worker share.
#[must_use]
pub fn scratch() -> Scratch {
    Rc::new(RefCell::new(vec![0; READ_SIZE].into_boxed_slice()))
}

/// One client connection.
#[derive(Debug)]
pub struct Connection<IO> {
    entry: Arc<Entry>,
    inner: RefCell<Inner<IO>>,
}

#[derive(Debug)]
struct Inner<IO> {
    io: IO,
    limits: Limits,
    scratch: Scratch,
    entry: Arc<Entry>,
    /// What has been read and not yet been made sense of.
    unread: Buffer,
    /// How much of it has been searched for the end of a head.
    scanned: usize,
    /// What it takes of the memory budget: nothing, unless it is a part of a large head.
    reservation: Reservation,
    /// How many bytes of empty lines have come, and been dropped, where the next request line should begin.
    empty: usize,
    phase: Phase,
    /// What the request under way asked for.
    asked: ResponseContext,
    /// Whether it is authentic, once it has been read.
    is_authentic: bool,
    eof: bool,
    draining: bool,
    waiting: Deadline,
    first_request: bool,
    /// While the client makes us wait: since when, and for how long it may.
    stuck_since: Option<Instant>,
    writing: Deadline,
    /// How it takes the response.
    uptake: Uptake,
    /// What the client has not taken yet of a response.
    unsent: Buffer,
    /// Whether the end of this side is also that of a response.
    ends_response: bool,
}

#[derive(Debug)]
enum Phase {
    /// Waiting for a head, or for the rest of one.
    Head,
    /// A head has been handed over, and its content has not been read to its end.
    Content(Remaining),
    /// The request has been read to its end.
    Complete,
    /// Nothing more is read.
    Closed,
}

/// What is left of a content.
#[derive(Debug)]
enum Remaining {
    Length(u64),
    Chunked(Chunked),
}

/// A request that has arrived, but for its content.
#[derive(Debug)]
pub struct Received {
    /// The head, or why it is not served.
    pub head: Result<RequestHead, HeadError>,
    /// When it was complete.
    pub at: Instant,
    /// What the head takes of the memory budget, if it is a large one. It has to live as long as the head.
    pub reservation: Option<Reservation>,
}

impl<IO: Transport> Connection<IO> {
    /// Takes over a connection that has just been accepted, and what has been read of it already. `share` is an empty one, of
    /// its client.
    #[must_use]
    pub fn new(
        io: IO,
        unread: Buffer,
        limits: Limits,
        scratch: Scratch,
        entry: Arc<Entry>,
        reservation: Reservation,
    ) -> Rc<Self> {
        let mut waiting = Deadline::default();
        waiting.set(limits.header_timeout);
        let inner = Inner {
            io,
            limits,
            scratch,
            entry: Arc::clone(&entry),
            unread,
            scanned: 0,
            reservation,
            empty: 0,
            phase: Phase::Head,
            asked: ResponseContext {
                is_for_head: false,
                version: Version::Http11,
                persistence: Persistence::Default,
            },
            is_authentic: false,
            eof: false,
            draining: false,
            waiting,
            first_request: true,
            stuck_since: None,
            writing: Deadline::default(),
            uptake: Uptake::default(),
            unsent: Buffer::default(),
            ends_response: false,
        };
        Rc::new(Self { entry, inner: RefCell::new(inner) })
    }

    /// Where the connection says what it waits for.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Takes over the limits, for a connection that was accepted before they changed.
    pub fn set_limits(&self, limits: &Limits) {
        let mut inner = self.inner.borrow_mut();
        if !inner.draining {
            inner.limits = *limits;
        }
    }

    /// Looks for the next request. There is none when the connection ends, or should.
    ///
    /// To be called when the response to the last one has been written, or the rest of it is unsent.
    ///
    /// # Errors
    /// If the connection is gone, or the client does not take that response.
    pub fn poll_received(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_unsent(cx))?;
        inner.poll_head(cx)
    }

    /// What the request under way asked for.
    pub fn asked(&self) -> ResponseContext {
        self.inner.borrow().asked
    }

    /// Ends the connection once the request under way is answered. One that waits for a request, or for the rest of a head,
    /// stays open for `last_call`: a request that is on its way is answered, and so is told not to send another, where
    /// closing at once would lose it.
    pub fn drain(&self, last_call: Duration) {
        let mut inner = self.inner.borrow_mut();
        inner.draining = true;
        inner.limits.idle_timeout = inner.limits.idle_timeout.min(last_call);
        if matches!(inner.phase, Phase::Head) {
            inner.waiting.set(last_call);
        }
    }

    /// Whether this is to be the connection's last response.
    pub fn is_draining(&self) -> bool {
        self.inner.borrow().draining
    }

    /// Whether the request has not been read to its end, or cannot be, so that no other request can follow it.
    pub fn has_unread_content(&self) -> bool {
        matches!(self.inner.borrow().phase, Phase::Content(_) | Phase::Closed)
    }

    /// How many bytes of the content, or of what follows it, have been read and not been taken.
    pub fn waiting(&self) -> usize {
        self.inner.borrow().unread.len()
    }

    /// How much content the request that has just arrived has.
    fn content_length(&self) -> Length {
        match &self.inner.borrow().phase {
            Phase::Content(Remaining::Length(length)) => Length::Known(*length),
            Phase::Content(Remaining::Chunked(_)) => Length::Unknown,
            Phase::Head | Phase::Complete | Phase::Closed => Length::None,
        }
    }

    /// How many bytes of content are still to come of the chunk under way, as its size says.
    pub fn announced(&self) -> u64 {
        match &self.inner.borrow().phase {
            Phase::Content(Remaining::Chunked(chunked)) => chunked.announced(),
            Phase::Content(Remaining::Length(_)) | Phase::Head | Phase::Complete | Phase::Closed => 0,
        }
    }

    /// Tells the client to go on and send its content, if it has not begun to (RFC 9110, section 10.1.1).
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_continue(&self) -> io::Result<()> {
        self.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", &mut 0).await?;
        // It waits for it before it goes on.
        self.write_unsent().await
    }

    /// Writes the last bytes of a response, and ends the connection behind it if nothing follows. `unwritten` is as with
    /// [`Self::write_all`].
    ///
    /// # Errors
    /// If the connection is gone, or the client does not take the response.
    pub async fn end(&self, bytes: &[u8], keeps_open: bool, unwritten: &mut usize) -> io::Result<()> {
        self.write_all(bytes, unwritten).await?;
        if !keeps_open {
            poll_fn(|cx| self.poll_shutdown(cx)).await?;
        }
        Ok(())
    }

    /// Writes some bytes of a response. When this is done, what the client has not taken of them is unsent.
    ///
    /// `unwritten` says at any time how many bytes of the response the kernel has not got yet, however this comes to an end.
    ///
    /// # Errors
    /// If the connection is gone, or the client does not take the response.
    pub async fn write_all(&self, mut rest: &[u8], unwritten: &mut usize) -> io::Result<()> {
        *unwritten = rest.len().saturating_add(self.unsent());
        while !rest.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, rest)).await;
            rest = written.as_ref().map_or(rest, |n| rest.get(*n..).unwrap_or_default());
            *unwritten = rest.len().saturating_add(self.unsent());
            written?;
        }
        Ok(())
    }

    /// From now on the request waits for its upstream. One that is not authentic can still be evicted.
    pub fn wait_for_upstream(&self, is_authentic: bool) {
        self.inner.borrow_mut().is_authentic = is_authentic;
        if is_authentic {
            self.entry.authenticate();
        }
        self.wait_for_more_of_upstream();
    }

    fn wait_for_more_of_upstream(&self) {
        if self.inner.borrow().is_authentic {
            self.entry.wait_for_upstream();
        } else {
            self.entry.wait_for_observed();
        }
    }

    /// Waits for the next piece of an upstream's response.
    ///
    /// # Errors
    /// If the connection is evicted.
    pub fn poll_upstream<T>(&self) -> Poll<io::Result<T>> {
        self.wait_for_more_of_upstream();
        if self.entry.is_evicted() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Poll::Pending
    }

    /// Reads more content into `append`: what has been read already, or else straight from the socket.
    ///
    /// Gives back whether the content is complete.
    ///
    /// # Errors
    /// [`ContentError`], and nothing more can be read from the connection then.
    pub fn poll_content(
        &self,
        cx: &mut Context<'_>,
        append: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>> {
        self.inner.borrow_mut().poll_content(cx, append)
    }

    /// Reads and discards what the client still sends, until it ends the connection or `limit` has passed, so that it can
    /// read a response that was sent before it was done: closing at once would make the kernel discard that response.
    pub async fn linger(&self, limit: Duration) {
        let mut deadline = Deadline::default();
        deadline.set(limit);
        self.entry.linger();
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            inner.discard_unread();
            loop {
                match inner.poll_discard(cx) {
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending if self.entry.is_evicted() => return Poll::Ready(()),
                    Poll::Pending => return deadline.poll_passed(cx),
                }
            }
        })
        .await;
    }

    /// Prepares for a response that only the end of the connection ends. However the connection comes to an end before all
    /// of the response is written, it must not look like the end of the response.
    pub fn end_with_response(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.io.reset_on_close(true);
        inner.ends_response = true;
    }

    /// Whether the client has sent something that nobody has read: to close the connection would make the kernel discard
    /// what the client has not read of the last response. What is in the kernel counts, as far as it has come.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        if !inner.unread.is_empty() || inner.eof {
            return !inner.eof;
        }
        match inner.phase {
            Phase::Content(_) | Phase::Closed => true,
            Phase::Head | Phase::Complete => {
                let look = pin!(unconstrained(poll_fn(|cx| inner.poll_discard(cx))));
                let looked = look.poll(&mut Context::from_waker(Waker::noop()));
                matches!(looked, Poll::Ready(Ok(n)) if n > 0)
            }
        }
    }
}

impl<IO: Transport> Inner<IO> {
    /// Ready with nothing at the end of the connection.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        loop {
            match self.phase {
                Phase::Head => {}
                Phase::Complete => {
                    self.phase = Phase::Head;
                    self.waiting.clear();
                    if !self.unread.is_empty() {
                        if self.entry.is_evicted() {
                            return Poll::Ready(Ok(None));
                        }
                        // Who sends many requests at once waits with each until the others have had their turn.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Phase::Content(_) | Phase::Closed => return Poll::Ready(Ok(None)),
            }
            self.drop_empty_lines();
            if self.empty > self.limits.max_header_bytes {
                return Poll::Ready(Ok(Some(self.fail(HeadError::Malformed(head::EMPTY_LINES)))));
            }
            if self.reservation.is_shed() {
                return Poll::Ready(Ok(Some(self.fail(HeadError::Overloaded))));
            }
            let has_room =
                match head::parse(self.unread.as_slice(), &mut self.scanned, self.limits.max_header_bytes) {
                    Parsed::Complete(head) => match self.poll_hold(cx, head.len) {
                        Poll::Ready(Ok(())) => return Poll::Ready(Ok(Some(self.take_head(head)))),
                        Poll::Ready(Err(Exhausted)) => {
                            return Poll::Ready(Ok(Some(self.fail(HeadError::Overloaded))));
                        }
                        Poll::Pending => false,
                    },
                    Parsed::Faulty(fault) => return Poll::Ready(Ok(Some(self.fail(fault)))),
                    Parsed::Partial if self.eof => return Poll::Ready(Ok(None)),
                    Parsed::Partial => match self.poll_make_room(cx) {
                        Poll::Ready(Ok(())) => true,
                        Poll::Ready(Err(Exhausted)) => {
                            return Poll::Ready(Ok(Some(self.fail(HeadError::Overloaded))));
                        }
                        Poll::Pending => false,
                    },
                };
            if has_room && let Poll::Ready(filled) = self.poll_fill(cx) {
                if filled? == 0 {
                    self.eof = true;
                }
                continue;
            }
            if self.entry.is_evicted() {
                return Poll::Ready(Ok(None));
            }
            let mut now = LazyNow::default();
            self.entry.wait_for_head(self.is_idle() && !self.first_request, &mut now);
            if has_room && self.reservation.bytes() > 0 {
                // The client makes us wait, and holds memory meanwhile.
                let moment = now.get().into_std();
                if self.reservation.hold_while_waiting(cx, self.unread.len(), moment, moment).is_err() {
                    return Poll::Ready(Ok(Some(self.fail(HeadError::Overloaded))));
                }
            }
            ready!(self.poll_too_late(cx, &mut now));
            if self.unread.is_empty() {
                // Who sends empty lines has asked for nothing, and is neither answered nor read any longer.
                self.eof |= self.empty > 0;
                return Poll::Ready(Ok(None));
            }
            return Poll::Ready(Ok(Some(self.fail(HeadError::TimedOut))));
        }
    }

    /// Has the budget hold a head of `len` bytes, if it is a large one.
    fn poll_hold(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<Result<(), Exhausted>> {
        if len <= FREE_HEAD || len <= self.reservation.bytes() {
            return Poll::Ready(Ok(()));
        }
        self.reservation.poll_grow_to(cx, len, Instant::now().into_std())
    }

    /// Makes room for more of a head, of which a part is there. Once it has turned out to be a large one, all memory for it is
    /// asked of the budget first.
    fn poll_make_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Exhausted>> {
        let len = self.unread.len();
        let spare = self.unread.capacity().saturating_sub(len);
        if len <= FREE_HEAD || (self.reservation.bytes() > 0 && spare >= LEAST_READ) {
            return Poll::Ready(Ok(()));
        }
        // A head that is not complete has at most the bytes that it may have.
        let most = self.limits.max_header_bytes.max(len).saturating_add(LEAST_READ);
        let capacity = self.unread.capacity().saturating_mul(2).max(READ_SIZE).min(most);
        ready!(self.reservation.poll_grow_to(cx, capacity, Instant::now().into_std()))?;
        self.unread.reserve(capacity);
        Poll::Ready(Ok(()))
    }

    /// Forgets what has been read, gives its memory back, and asks for no more.
    fn discard_unread(&mut self) {
        self.unread.clear();
        if !self.reservation.is_empty() {
            self.reservation = self.reservation.another();
        }
    }

    /// Takes the empty lines from before the next request line, so that they are neither held nor looked at again.
    fn drop_empty_lines(&mut self) {
        let empty = head::leading_empty_lines(self.unread.as_slice());
        self.empty = self.empty.saturating_add(empty);
        self.unread.consume(empty);
    }

    /// Whether not a byte has come behind the last request.
    fn is_idle(&self) -> bool {
        self.unread.is_empty() && self.empty == 0
    }

    fn take_head(&mut self, head: Head) -> Received {
        let is_large = self.reservation.bytes() > 0;
        let request = RequestHead::owned(head, self.unread.take(head.len, is_large));
        let reservation = is_large.then(|| {
            let empty = self.reservation.another();
            let mut reservation = mem::replace(&mut self.reservation, empty);
            reservation.complete_content();
            reservation.shrink_to(request.footprint());
            reservation
        });
        let is_for_head = request.is_for_head();
        self.asked = ResponseContext { is_for_head, version: head.version, persistence: head.persistence };
        self.phase = match head.framing {
            Framing::None | Framing::Length(0) => Phase::Complete,
            Framing::Length(length) => Phase::Content(Remaining::Length(length)),
            Framing::Chunked => {
                Phase::Content(Remaining::Chunked(Chunked::new(self.limits.max_header_bytes)))
            }
        };
        self.arrived(Ok(request), reservation)
    }

    fn fail(&mut self, fault: HeadError) -> Received {
        let is_for_head = self.unread.as_slice().starts_with(b"HEAD ");
        self.asked =
            ResponseContext { is_for_head, version: Version::Http11, persistence: Persistence::Default };
        self.phase = Phase::Closed;
        self.discard_unread();
        self.arrived(Err(fault), None)
    }

    fn arrived(
        &mut self,
        head: Result<RequestHead, HeadError>,
        reservation: Option<Reservation>,
    ) -> Received {
        self.scanned = 0;
        self.empty = 0;
        self.first_request = false;
        self.uptake = Uptake::default();
        self.waiting.clear();
        let at = Instant::now();
        self.entry.wait_for_content(at);
        Received { head, at, reservation }
    }

    /// The deadline of whatever is being waited for: the first byte of a request, or its last.
    fn poll_too_late(&mut self, cx: &mut Context<'_>, now: &mut LazyNow) -> Poll<()> {
        if !self.waiting.is_set() {
            let limit = if self.is_idle() { self.limits.idle_timeout } else { self.limits.header_timeout };
            self.waiting.set_at(now.get(), limit);
        }
        self.waiting.poll_passed(cx)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.scratch.borrow_mut();
        // No more than one scratch full is held, unless a head is larger and there is room for it.
        let room = if self.reservation.bytes() > 0 {
            self.unread.capacity().saturating_sub(self.unread.len())
        } else {
            READ_SIZE.saturating_sub(self.unread.len()).max(LEAST_READ)
        };
        let room = room.min(scratch.len());
        let mut buffer = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        let filled = buffer.filled();
        if self.is_idle() && !filled.is_empty() && !self.first_request {
            // The first byte of a request, or of an empty line before it: what was idle time is now time for its head.
            self.waiting.clear();
        }
        self.unread.append(filled);
        Poll::Ready(Ok(filled.len()))
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Sees to it that a client which takes nothing of its response, or too little for too long, is given up.
    fn watched(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(result) => {
                if let Some(since) = self.stuck_since.take() {
                    self.uptake.wait(since.elapsed());
                    self.writing.clear();
                }
                if let Ok(n) = result {
                    self.uptake.take(n);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.entry.wait_for_reader();
                if self.entry.is_evicted() {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                if self.stuck_since.is_none() {
                    let now = Instant::now();
                    let Limits { write_timeout, min_write_rate, .. } = self.limits;
                    self.stuck_since = Some(now);
                    self.writing.set_at(now, self.uptake.patience(write_timeout, min_write_rate));
                    self.unread.release();
                }
                ready!(self.writing.poll_passed(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}
