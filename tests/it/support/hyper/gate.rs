//! The socket in the form that hyper sees. Each head is judged before hyper gets a byte of it. The next head
//! is held back until the response before it is written.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hookgate::admission::connections::Entry;
use hookgate::admission::memory::{Exhausted, FREE_HEAD, Reservation};
use hookgate::connection::limits::Limits;
use hookgate::connection::slow_reader::SlowReaderWatch;
use hookgate::connection::transport::Transport as _;
use hookgate::gateway::request_guard::RequestGuard;
use hookgate::http1::connection::Received;
use hookgate::listen::stream::Stream;
use hookgate::message::chunked::{Chunked, Malformed, Step};
use hookgate::message::head::{self, Framing, HeadError, Parsed, RefusedHead, RequestHead};
use hookgate::runtime::deadline::{Deadline, LazyNow};
use hookgate::runtime::request_scope::Scope;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How many bytes one read may take.
const READ_SIZE: usize = 8 * 1024;

/// When a part of a large head has arrived, memory for this many further bytes must be reserved.
const LEAST_READ: usize = 1024;

/// The bytes that hyper reads instead of a refused head. So the refusal is answered in the right order.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";
const REFUSED_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// A connection whose heads are judged before hyper reads them.
pub(super) struct Gate {
    entry: Arc<Entry>,
    inner: RefCell<Inner>,
}

struct Inner {
    stream: Stream,
    entry: Arc<Entry>,
    limits: Limits,
    reservation: Reservation,
    /// Bytes that have been read and that hyper does not have yet.
    unread: VecDeque<u8>,
    /// How many unread bytes hyper may have.
    passed: usize,
    scanned: usize,
    phase: Phase,
    received: Option<Received>,
    /// How many bytes of the current request's content have been read, by hookgate's own count.
    content: u64,
    malformed: Option<&'static str>,
    is_authentic: bool,
    is_first: bool,
    has_ended: bool,
    is_draining: bool,
    waiting: Deadline,
    /// The guard of a request whose response is not flushed yet.
    ended: Option<Box<RequestGuard<Scope>>>,
    reader: Option<Waker>,
    slow_reader: SlowReaderWatch,
}

enum Phase {
    /// The gate searches for the next head.
    Head,
    /// This many bytes of content are still to come.
    Counted(u64),
    /// Content in chunks is still to come.
    Chunked(Chunked),
    /// The request is complete, but its response is not.
    Complete,
    /// Nothing more is read.
    Failed,
}

impl Gate {
    pub(super) fn new(
        stream: Stream,
        unread: &[u8],
        limits: Limits,
        entry: Arc<Entry>,
        reservation: Reservation,
    ) -> Rc<Self> {
        let mut waiting = Deadline::default();
        waiting.set(limits.header_timeout);
        let inner = Inner {
            stream,
            entry: Arc::clone(&entry),
            limits,
            reservation,
            unread: unread.to_vec().into(),
            passed: 0,
            scanned: 0,
            phase: Phase::Head,
            received: None,
            content: 0,
            malformed: None,
            is_authentic: false,
            is_first: true,
            has_ended: false,
            is_draining: false,
            waiting,
            ended: None,
            reader: None,
            slow_reader: SlowReaderWatch::default(),
        };
        Rc::new(Self { entry, inner: RefCell::new(inner) })
    }

    /// The request that was judged last. It can be taken only once.
    pub(super) fn received(&self) -> Option<Received> {
        self.inner.borrow_mut().received.take()
    }

    pub(super) fn content(&self) -> u64 {
        self.inner.borrow().content
    }

    pub(super) fn malformed(&self) -> Option<&'static str> {
        self.inner.borrow().malformed
    }

    pub(super) fn announced(&self) -> u64 {
        match &self.inner.borrow().phase {
            Phase::Chunked(chunked) => chunked.announced(),
            Phase::Head | Phase::Counted(_) | Phase::Complete | Phase::Failed => 0,
        }
    }

    pub(super) fn set_limits(&self, limits: &Limits) {
        let mut inner = self.inner.borrow_mut();
        if !inner.is_draining {
            inner.limits = *limits;
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.inner.borrow().is_draining
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.entry.is_evicted()
    }

    /// Whether the client has ended its side of the connection.
    pub(super) fn has_ended(&self) -> bool {
        self.inner.borrow().has_ended
    }

    /// Whether no other request can follow.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.inner.borrow().phase, Phase::Failed)
    }

    pub(super) fn drain(&self, last_call: Duration) {
        let mut inner = self.inner.borrow_mut();
        inner.is_draining = true;
        inner.limits.idle_timeout = inner.limits.idle_timeout.min(last_call);
        if matches!(inner.phase, Phase::Head) {
            inner.waiting.set(last_call);
        }
        inner.wake_reader();
    }

    pub(super) fn wait_for_upstream(&self, is_authentic: bool) {
        self.inner.borrow_mut().is_authentic = is_authentic;
        if is_authentic {
            self.entry.authenticate();
        }
        self.wait_for_more_of_upstream();
    }

    pub(super) fn wait_for_more_of_upstream(&self) {
        if self.inner.borrow().is_authentic {
            self.entry.wait_for_upstream();
        } else {
            self.entry.wait_for_observed();
        }
    }

    /// Lets the client see that the response is broken, even if only the end of the connection marks the end
    /// of the response.
    pub(super) fn reset_on_close(&self) {
        self.inner.borrow().stream.reset_on_close(true);
    }

    /// Notes that hyper has taken the last bytes of a response. When they are flushed, the request has ended.
    pub(super) fn end_response(&self, guard: Box<RequestGuard<Scope>>) {
        self.inner.borrow_mut().ended = Some(guard);
    }

    /// Lets a client that is still sending read its response. Otherwise the kernel would discard the response
    /// immediately.
    pub(super) async fn linger(&self, limit: Duration) {
        let mut deadline = Deadline::default();
        deadline.set(limit);
        self.entry.linger();
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            loop {
                if inner.has_ended {
                    return Poll::Ready(());
                }
                inner.unread.clear();
                match inner.poll_fill(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending if self.entry.is_evicted() => return Poll::Ready(()),
                    Poll::Pending => return deadline.poll_passed(cx),
                }
            }
        })
        .await;
    }

    /// Whether the client has sent bytes that were not read.
    pub(super) fn is_unread(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        if inner.has_ended {
            return false;
        }
        match inner.phase {
            Phase::Counted(_) | Phase::Chunked(_) | Phase::Failed => true,
            Phase::Head | Phase::Complete => {
                let mut cx = Context::from_waker(Waker::noop());
                let _is_there = inner.poll_fill(&mut cx);
                !inner.unread.is_empty()
            }
        }
    }
}

impl Inner {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; READ_SIZE];
        // A large head holds no more bytes than the budget has reserved.
        let room = match self.reservation.bytes() {
            0 => READ_SIZE,
            held => held.saturating_sub(self.unread.len()).min(READ_SIZE),
        };
        let mut buffer = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        if matches!(self.phase, Phase::Head) && self.unread.is_empty() && !self.is_first {
            self.waiting.clear();
        }
        self.has_ended |= buffer.filled().is_empty();
        self.unread.extend(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// Gives hyper more of the bytes that have arrived. At the end of the connection, it is ready without
    /// bytes.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.passed == 0 {
            match &mut self.phase {
                Phase::Complete | Phase::Failed => {
                    self.reader = Some(cx.waker().clone());
                    // If a request is incomplete, hyper must take the end of it for the end of the
                    // connection.
                    return if self.malformed.is_some() { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                Phase::Head => {
                    self.reader = Some(cx.waker().clone());
                    return self.poll_head(cx);
                }
                Phase::Counted(_) | Phase::Chunked(_) if self.unread.is_empty() => {
                    if self.has_ended {
                        return Poll::Ready(Ok(()));
                    }
                    ready!(self.poll_fill(cx))?;
                }
                Phase::Counted(left) => {
                    self.passed = usize::try_from(*left).unwrap_or(usize::MAX).min(self.unread.len());
                    *left -= self.passed as u64;
                    self.content += self.passed as u64;
                    if *left == 0 {
                        self.phase = Phase::Complete;
                    }
                }
                Phase::Chunked(chunked) => match chunked.step(self.unread.make_contiguous()) {
                    Ok(Step::Content(range)) => {
                        self.passed = range.end;
                        self.content += range.len() as u64;
                    }
                    Ok(Step::More) => self.passed = self.unread.len(),
                    Ok(Step::End(end)) => {
                        self.passed = end;
                        self.phase = Phase::Complete;
                    }
                    Err(Malformed(why)) => {
                        self.malformed = Some(why);
                        self.phase = Phase::Failed;
                    }
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let parsed =
                head::parse(self.unread.make_contiguous(), &mut self.scanned, self.limits.max_header_bytes);
            match parsed {
                Parsed::Complete(facts) => {
                    if facts.len > FREE_HEAD && facts.len > self.reservation.bytes() {
                        let now = Instant::now().into_std();
                        match self.reservation.poll_grow_to(cx, facts.len, now) {
                            Poll::Ready(Ok(())) => {}
                            Poll::Ready(Err(_)) => self.refuse(HeadError::Overloaded),
                            Poll::Pending => return self.poll_too_late(cx),
                        }
                    }
                    if self.passed == 0 {
                        self.take(facts);
                    }
                    return Poll::Ready(Ok(()));
                }
                Parsed::Faulty(fault) => {
                    self.refuse(fault);
                    return Poll::Ready(Ok(()));
                }
                Parsed::Partial if self.has_ended => return Poll::Ready(Ok(())),
                Parsed::Partial if self.reservation.is_shed() => {
                    self.refuse(HeadError::Overloaded);
                    return Poll::Ready(Ok(()));
                }
                Parsed::Partial => match self.poll_make_room(cx) {
                    Poll::Ready(Ok(())) => match self.poll_fill(cx) {
                        Poll::Ready(filled) => filled?,
                        Poll::Pending => {
                            if self.reservation.bytes() > 0 {
                                let (received, now) = (self.unread.len(), Instant::now().into_std());
                                if self.reservation.hold_while_waiting(cx, received, now, now).is_err() {
                                    self.refuse(HeadError::Overloaded);
                                    return Poll::Ready(Ok(()));
                                }
                            }
                            return self.poll_too_late(cx);
                        }
                    },
                    Poll::Ready(Err(_exhausted)) => {
                        self.refuse(HeadError::Overloaded);
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Pending => return self.poll_too_late(cx),
                },
            }
        }
    }

    /// Reserves memory for a large head before more of the head is read.
    fn poll_make_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Exhausted>> {
        let (len, held) = (self.unread.len(), self.reservation.bytes());
        if len <= FREE_HEAD || held >= len + LEAST_READ {
            return Poll::Ready(Ok(()));
        }
        let most = self.limits.max_header_bytes.max(len) + LEAST_READ;
        let wanted = (held.max(len) * 2).max(READ_SIZE).min(most);
        self.reservation.poll_grow_to(cx, wanted, Instant::now().into_std())
    }

    /// Ready with an error when the time for a head has passed.
    fn poll_too_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.entry.is_evicted() {
            self.has_ended = true;
            return Poll::Ready(Ok(()));
        }
        let is_idle = self.unread.is_empty();
        let mut now = LazyNow::default();
        self.entry.wait_for_head(is_idle && !self.is_first, &mut now);
        if !self.waiting.is_set() {
            let limit = if is_idle { self.limits.idle_timeout } else { self.limits.header_timeout };
            self.waiting.set_at(now.get(), limit);
        }
        ready!(self.waiting.poll_passed(cx));
        if is_idle || self.unread.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            self.has_ended = true;
        } else {
            self.refuse(HeadError::TimedOut);
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, facts: head::Head) {
        let bytes = self.unread.make_contiguous();
        let request = RequestHead::new(facts, bytes);
        self.passed = facts.len;
        self.content = 0;
        self.phase = match facts.framing {
            Framing::None | Framing::Length(0) => Phase::Complete,
            Framing::Length(length) => Phase::Counted(length),
            Framing::Chunked => Phase::Chunked(Chunked::new(self.limits.max_header_bytes)),
        };
        let reservation = (self.reservation.bytes() > 0).then(|| {
            let empty = self.reservation.another();
            let mut reservation = std::mem::replace(&mut self.reservation, empty);
            reservation.complete_content();
            reservation.shrink_to(request.footprint());
            reservation
        });
        self.arrived(Ok(request), reservation);
    }

    fn refuse(&mut self, fault: HeadError) {
        let bytes = self.unread.make_contiguous();
        let is_for_head = bytes.trim_ascii_start().starts_with(b"HEAD ");
        let refused = RefusedHead::of_bytes(fault, bytes);
        self.unread = if is_for_head { REFUSED_HEAD } else { REFUSED }.to_vec().into();
        self.passed = self.unread.len();
        self.phase = Phase::Failed;
        self.reservation = self.reservation.another();
        self.arrived(Err(refused), None);
    }

    fn arrived(&mut self, head: Result<RequestHead, RefusedHead>, reservation: Option<Reservation>) {
        self.scanned = 0;
        self.is_first = false;
        self.slow_reader.begin_response();
        self.waiting.clear();
        let at = Instant::now();
        self.entry.wait_for_content(at);
        self.received = Some(Received { head, at, reservation });
    }

    /// Gives up if the client reads nothing of its response for too long.
    fn watched(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            self.entry.wait_for_reader();
            if self.entry.is_evicted() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        self.slow_reader.poll_written(cx, written, &self.limits)
    }
}

/// The stream that hyper reads from and writes to.
pub(super) struct Judged(pub(super) Rc<Gate>);

impl AsyncRead for Judged {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.0.inner.borrow_mut();
        ready!(inner.poll_pass(cx))?;
        let n = inner.passed.min(buffer.remaining());
        let bytes: Vec<u8> = inner.unread.drain(..n).collect();
        inner.passed -= n;
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Judged {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.inner.borrow_mut();
        let written = Pin::new(&mut inner.stream).poll_write(cx, bytes);
        inner.watched(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.inner.borrow_mut();
        ready!(Pin::new(&mut inner.stream).poll_flush(cx))?;
        let ended = inner.ended.take();
        if ended.is_some() && matches!(inner.phase, Phase::Complete) {
            inner.phase = Phase::Head;
            inner.wake_reader();
        }
        drop(inner);
        drop(ended);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.inner.borrow_mut().stream).poll_shutdown(cx)
    }
}
