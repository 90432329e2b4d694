//! Shell. The socket of one client connection: reads requests, and watches the progress of writes.
//!
//! The connection reads each head, and [`parse`](crate::message::head::parse) parses it. Content is read
//! directly into its final buffer. The next head is read only after the response to the previous request was
//! written. So nothing is normalised before it is checked, no byte is buffered without need, and pipelined
//! requests are answered one after the other.
//!
//! A head that is refused is handed over like any other head. So its refusal is written in the right order.

pub mod content;
pub mod request_heads;
pub mod unsent_tail;

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::admission::connections::Entry;
use crate::admission::memory::Reservation;
use crate::connection::buffer::Buffer;
use crate::connection::limits::Limits;
use crate::connection::read_buffer::Scratch;
use crate::connection::slow_reader::SlowReaderWatch;
use crate::connection::transport::Transport;
use crate::message::chunked::Chunked;
use crate::message::content::{Append, ContentError, Length, Progress};
use crate::message::head::{Persistence, RefusedHead, RequestHead, ResponseContext, Version};
use crate::runtime::deadline::Deadline;
use crate::tls::session::Session;

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
    /// The bytes that are read but not parsed yet.
    unread: Buffer,
    /// How many unread bytes have been searched for the end of a head.
    scanned: usize,
    /// The memory reservation of the unread bytes. The reservation is empty, unless the bytes are a part of a
    /// large head.
    reservation: Reservation,
    /// The bytes of empty lines that were dropped before the next request line.
    empty: usize,
    phase: Phase,
    /// What the current request asks of its response.
    asked: ResponseContext,
    /// Whether the request is authentic, once it has been verified.
    is_authentic: bool,
    eof: bool,
    draining: bool,
    waiting: Deadline,
    first_request: bool,
    /// Whether the evicted connection was read once more.
    looked_again: bool,
    /// Whether the client reads the response.
    reader: SlowReaderWatch,
    /// The bytes of a response that the client has not read yet.
    unsent: Buffer,
    /// Whether the end of the connection is also the end of a response.
    ends_response: bool,
}

#[derive(Debug)]
enum Phase {
    /// The connection waits for a head, or for the rest of a head.
    Head,
    /// A head was handed over, and its content is not read to the end.
    Content(Remaining),
    /// The request is read to the end.
    Complete,
    /// Nothing more is read.
    Closed,
}

/// The rest of the current content.
#[derive(Debug)]
enum Remaining {
    Length(u64),
    Chunked(Chunked),
}

/// A request whose head has arrived.
#[derive(Debug)]
pub struct Received {
    /// The head, or the reason why the request is refused.
    pub head: Result<RequestHead, RefusedHead>,
    /// When the head was complete.
    pub at: Instant,
    /// The memory reservation of a large head. It must live as long as the head.
    pub reservation: Option<Reservation>,
}

impl<IO: Transport> Connection<IO> {
    /// Takes an accepted connection, with the bytes that were already read from it. `reservation` is an empty
    /// reservation for the same client.
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
            looked_again: false,
            reader: SlowReaderWatch::default(),
            unsent: Buffer::default(),
            ends_response: false,
        };
        Rc::new(Self { entry, inner: RefCell::new(inner) })
    }

    /// The connection's entry in the connection limit. The entry says what the connection waits for.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What requests may know of the TLS connection, if it is one.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.inner.borrow().io.session().cloned()
    }

    /// Changes the limits of a connection that was accepted before a reload.
    pub fn set_limits(&self, limits: &Limits) {
        let mut inner = self.inner.borrow_mut();
        if !inner.draining {
            inner.limits = *limits;
        }
    }

    /// Reads the next request. `None` if the connection ends, or should end.
    ///
    /// The caller must have written the last response, except for unsent bytes.
    ///
    /// # Errors
    /// The connection failed, or the client does not read the last response.
    pub fn poll_received(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_unsent(cx))?;
        inner.poll_head(cx)
    }

    /// What the current request asks of its response.
    pub fn asked(&self) -> ResponseContext {
        self.inner.borrow().asked
    }

    /// Ends the connection after the current request. A connection that waits for a request, or for the rest
    /// of a head, stays open for `last_call`: an immediate close would lose a request in transit. Such a
    /// request is answered, and the answer says that the connection closes.
    pub fn drain(&self, last_call: Duration) {
        let mut inner = self.inner.borrow_mut();
        inner.draining = true;
        inner.limits.idle_timeout = inner.limits.idle_timeout.min(last_call);
        if matches!(inner.phase, Phase::Head) {
            inner.waiting.set(last_call);
        }
    }

    /// Whether the next response is the connection's last.
    pub fn is_draining(&self) -> bool {
        self.inner.borrow().draining
    }

    /// Whether content of the current request is unread. If so, no other request can follow.
    pub fn has_unread_content(&self) -> bool {
        matches!(self.inner.borrow().phase, Phase::Content(_) | Phase::Closed)
    }

    /// How many bytes have been read but not taken yet. The bytes belong to the content, or follow the
    /// content.
    pub fn waiting(&self) -> usize {
        self.inner.borrow().unread.len()
    }

    /// The length of the current request's content.
    fn content_length(&self) -> Length {
        match &self.inner.borrow().phase {
            Phase::Content(Remaining::Length(length)) => Length::Known(*length),
            Phase::Content(Remaining::Chunked(_)) => Length::Unknown,
            Phase::Head | Phase::Complete | Phase::Closed => Length::None,
        }
    }

    /// How many bytes of the current chunk are still to come, by the chunk's size.
    pub fn announced(&self) -> u64 {
        match &self.inner.borrow().phase {
            Phase::Content(Remaining::Chunked(chunked)) => chunked.announced(),
            Phase::Content(Remaining::Length(_)) | Phase::Head | Phase::Complete | Phase::Closed => 0,
        }
    }

    /// Asks the client for its content with 100 Continue, if the client has not begun to send it (RFC 9110,
    /// section 10.1.1).
    ///
    /// # Errors
    /// The connection failed.
    pub async fn send_continue(&self) -> io::Result<()> {
        self.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", &mut 0).await?;
        // The client waits for this interim response, so it is written immediately.
        self.write_unsent().await
    }

    /// Writes the last bytes of a response, and ends the connection unless `keeps_open`. `unwritten` has the
    /// same meaning as in [`Self::write_all`].
    ///
    /// # Errors
    /// The connection failed, or the client does not read the response.
    pub async fn end(&self, bytes: &[u8], keeps_open: bool, unwritten: &mut usize) -> io::Result<()> {
        self.write_all(bytes, unwritten).await?;
        if !keeps_open {
            poll_fn(|cx| self.poll_shutdown(cx)).await?;
        }
        Ok(())
    }

    /// Writes a part of a response. From then on, its bytes count as unsent until the client has read them.
    ///
    /// `unwritten` always gives the number of bytes that the kernel does not have yet, even if the write
    /// fails.
    ///
    /// # Errors
    /// The connection failed, or the client does not read the response.
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

    /// Records that the request waits for its upstream. A request that is not authentic can still be evicted.
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
    /// The connection is evicted.
    pub fn poll_upstream<T>(&self) -> Poll<io::Result<T>> {
        self.wait_for_more_of_upstream();
        if self.entry.is_evicted() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Poll::Pending
    }

    /// Reads more content into `append`: first bytes that were read before, then bytes from the socket.
    ///
    /// Returns whether the content is complete.
    ///
    /// # Errors
    /// [`ContentError`]. After an error, nothing more can be read from the connection.
    pub fn poll_content(
        &self,
        cx: &mut Context<'_>,
        append: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>> {
        self.inner.borrow_mut().poll_content(cx, append)
    }

    /// Reads and discards the bytes that the client still sends. Stops when the client ends the connection,
    /// or after `limit`. Meanwhile the client can read the response. An immediate close would make the kernel
    /// discard the response.
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

    /// Prepares for a response that ends with the connection. If the connection ends too early, the client
    /// must not take this for the end of the response.
    pub fn end_with_response(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.io.reset_on_close(true);
        inner.ends_response = true;
    }

    /// Whether bytes of the client are unread. A close would then make the kernel discard the part of the
    /// last response that the client has not read. Bytes that have arrived in the kernel count.
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
    /// Gives up if the client reads nothing of its response, or too little for too long.
    fn watched(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(_) => {}
            Poll::Pending => {
                self.entry.wait_for_reader();
                if self.entry.is_evicted() {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                if !self.reader.is_waiting() {
                    self.unread.release();
                }
            }
        }
        self.reader.poll_written(cx, written, &self.limits)
    }
}
