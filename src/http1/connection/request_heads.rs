//! Shell. Reads the heads of requests from their connection.

use std::future::Future as _;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::admission::memory::{Exhausted, FREE_HEAD, Reservation};
use crate::connection::read_buffer::READ_SIZE;
use crate::connection::transport::Transport;
use crate::http1::connection::{Inner, Phase, Received, Remaining};
use crate::message::chunked::Chunked;
use crate::message::head::{
    self, Framing, Head, HeadError, Parsed, Persistence, RefusedHead, RequestHead, ResponseContext, Version,
};
use crate::runtime::deadline::LazyNow;

/// The fewest bytes that a read allows for when it continues a head.
const LEAST_READ: usize = 1024;

impl<IO: Transport> Inner<IO> {
    /// The next head. `None` at the end of the connection.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
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
                        // A client that pipelines requests yields before each request, so other connections
                        // get their turn.
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
                    Parsed::Partial => match self.poll_reserve(cx) {
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
                if mem::replace(&mut self.looked_again, true) {
                    return Poll::Ready(Ok(None));
                }
                // The runtime may not know yet of bytes that have arrived: it learns of them before a task
                // that yields goes on. A client that has sent a whole request still gets the answer.
                return pin!(yield_now()).poll(cx).map(|()| Ok(None));
            }
            let mut now = LazyNow::default();
            self.entry.wait_for_head(self.is_idle() && !self.first_request, &mut now);
            if has_room && self.reservation.bytes() > 0 {
                // The client makes the gateway wait, and holds memory meanwhile.
                let moment = now.get().into_std();
                if self.reservation.hold_while_waiting(cx, self.unread.len(), moment, moment).is_err() {
                    return Poll::Ready(Ok(Some(self.fail(HeadError::Overloaded))));
                }
            }
            ready!(self.poll_too_late(cx, &mut now));
            if self.unread.is_empty() {
                // A client that sends only empty lines has made no request. It gets no answer, and nothing
                // more is read.
                self.eof |= self.empty > 0;
                return Poll::Ready(Ok(None));
            }
            return Poll::Ready(Ok(Some(self.fail(HeadError::TimedOut))));
        }
    }

    /// Reserves memory for a head of `len` bytes, if the head is large.
    fn poll_hold(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<Result<(), Exhausted>> {
        if len <= FREE_HEAD || len <= self.reservation.bytes() {
            return Poll::Ready(Ok(()));
        }
        self.reservation.poll_grow_to(cx, len, Instant::now().into_std())
    }

    /// Makes capacity for more bytes of an incomplete head. The memory for a large head is reserved first.
    fn poll_reserve(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Exhausted>> {
        let len = self.unread.len();
        let spare = self.unread.capacity().saturating_sub(len);
        if len <= FREE_HEAD || (self.reservation.bytes() > 0 && spare >= LEAST_READ) {
            return Poll::Ready(Ok(()));
        }
        // The limit bounds the bytes of an incomplete head.
        let most = self.limits.max_header_bytes.max(len).saturating_add(LEAST_READ);
        let capacity = self.unread.capacity().saturating_mul(2).max(READ_SIZE).min(most);
        ready!(self.reservation.poll_grow_to(cx, capacity, Instant::now().into_std()))?;
        self.unread.reserve(capacity);
        Poll::Ready(Ok(()))
    }

    /// Drops the unread bytes, frees their memory, and waits for no more bytes.
    pub(super) fn discard_unread(&mut self) {
        self.unread.clear();
        if !self.reservation.is_empty() {
            self.reservation = self.reservation.another();
        }
    }

    /// Drops the empty lines before the next request line. They are then neither held nor parsed again.
    fn drop_empty_lines(&mut self) {
        let empty = head::leading_empty_lines(self.unread.as_slice());
        self.empty = self.empty.saturating_add(empty);
        self.unread.consume(empty);
    }

    /// Whether no byte has arrived after the last request.
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
        let refused = RefusedHead::of_bytes(fault, self.unread.as_slice());
        self.discard_unread();
        self.arrived(Err(refused), None)
    }

    fn arrived(
        &mut self,
        head: Result<RequestHead, RefusedHead>,
        reservation: Option<Reservation>,
    ) -> Received {
        self.scanned = 0;
        self.empty = 0;
        self.first_request = false;
        self.reader.begin_response();
        self.waiting.clear();
        let at = Instant::now();
        self.entry.wait_for_content(at);
        Received { head, at, reservation }
    }

    /// Ready when the time for the first byte of a request, or for the last byte of its head, has passed.
    fn poll_too_late(&mut self, cx: &mut Context<'_>, now: &mut LazyNow) -> Poll<()> {
        if !self.waiting.is_set() {
            let limit = if self.is_idle() { self.limits.idle_timeout } else { self.limits.header_timeout };
            self.waiting.set_at(now.get(), limit);
        }
        self.waiting.poll_passed(cx)
    }

    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.scratch.borrow_mut();
        // At most one read buffer is held, unless memory for a larger head is reserved.
        let limit = if self.reservation.bytes() > 0 {
            self.unread.capacity().saturating_sub(self.unread.len())
        } else {
            READ_SIZE.saturating_sub(self.unread.len()).max(LEAST_READ)
        };
        let limit = limit.min(scratch.len());
        let mut buffer = ReadBuf::new(scratch.get_mut(..limit).unwrap_or_default());
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        let filled = buffer.filled();
        if self.is_idle() && !filled.is_empty() && !self.first_request {
            // This is the first byte of a request, or of an empty line before it. The idle time ends, and the
            // time for the head begins.
            self.waiting.clear();
        }
        self.unread.append(filled);
        Poll::Ready(Ok(filled.len()))
    }

    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}
