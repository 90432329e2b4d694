//! Shell. One connection to an upstream, driven by the request's own task.
//!
//! A separate task would cost two wake-ups and a channel message for each request. Without it, an idle
//! connection costs only its descriptor. If the upstream closes an idle connection, the close is noticed at
//! the next use.

use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::HeaderName;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, timeout};

use crate::admission::memory::Reservation;
use crate::admission::rate::longest_wait;
use crate::config::Upstream;
use crate::connection::read_buffer::Scratch;
use crate::listen::stream::{Arrived, Stream};
use crate::message::chunked::{Chunked, Step};
use crate::runtime::deadline::{Deadline, LazyNow};
use crate::tls::client_config::Connector;
use crate::upstream::dial::{dial, secure};
use crate::upstream::error::{ForwardError, ProtocolError};
use crate::upstream::request::SMALL;
use crate::upstream::response::{Framing, HeadParser, MAX_HEAD, Parsed, RequestKind, ResponseHead, parse};

/// The most interim responses before the final one. Guards against an upstream that sends interim responses
/// for ever.
const MAX_INTERIM: usize = 64;

/// The average bytes per second of a request that an upstream must read, after the time limit for its
/// response. Guards against an upstream that reads a byte now and then, and so holds the request and its
/// memory.
const LEAST_UPLOAD_RATE: u64 = 1024;

/// The most unsent bytes that the kernel buffers for a request. Without this limit the kernel buffers
/// megabytes. The request would seem sent before a slow upstream has read it, and the time limit for the
/// response would begin too early.
const MOST_UNSENT: u32 = 128 * 1024;

/// A request to be sent. The content is complete, and its length is known.
#[derive(Debug)]
pub struct Outgoing {
    /// The head, followed by the content if the content is small.
    head: Vec<u8>,
    /// The content, if it is larger.
    content: Bytes,
    /// The content's reservation in the memory budget. It is dropped after the content's memory is freed.
    _reservation: Reservation,
    /// The kind of request, which decides whether its response has content.
    asked: RequestKind,
}

impl Outgoing {
    /// A request with this head and content. `reservation` is the content's part of the memory budget.
    ///
    /// Small content is appended to the head. One `send` is cheaper for the kernel than `writev`, and the
    /// difference is more than the cost of the copy.
    #[must_use]
    pub(super) fn new(
        mut head: Vec<u8>,
        mut content: Bytes,
        reservation: Reservation,
        asked: RequestKind,
    ) -> Box<Self> {
        if content.len() <= SMALL {
            head.extend_from_slice(&content);
            content = Bytes::new();
        }
        Box::new(Self { head, content, _reservation: reservation, asked })
    }
}

/// A connection to an upstream.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    scratch: Scratch,
    /// The request that is being written. The next fields say how many bytes are written, and when the
    /// writing began.
    outgoing: Option<Box<Outgoing>>,
    written: usize,
    begun: Instant,
    /// Bytes that were read but not parsed yet.
    unread: BytesMut,
    state: State,
    is_persistent: bool,
    has_surplus: bool,
    /// When the connection was last used.
    idle_since: Instant,
    /// How long the connection may stay idle.
    idle_limit: Duration,
    /// The time limit without progress. Progress means that the upstream reads some of the request, or sends
    /// some of the response.
    limit: Duration,
    /// When this limit passes. All exchanges use the same timer, because most of them only move it.
    deadline: Deadline,
}

/// The state of parsing a response head.
struct Awaited<'k> {
    asked: RequestKind,
    kept: &'k [HeaderName],
    parser: HeadParser,
    interim: usize,
}

/// What the connection waits for.
#[derive(Debug)]
enum State {
    /// No request is under way.
    Idle,
    /// The connection waits for the head of a response.
    Head,
    /// The connection waits for more content of a response.
    Content(Remaining),
    /// The connection has ended.
    Ended,
}

#[derive(Debug)]
enum Remaining {
    Length(u64),
    Chunked(Chunked),
    Close,
}

/// Why a request got no response.
pub enum SendError {
    /// The connection ended before any byte of the request was written. The request may be sent again.
    Unsent(Box<Outgoing>),
    /// Any other failure. The upstream may have processed part of the request.
    Failed(ForwardError),
}

impl Connection {
    /// Connects to an upstream. Resolves the host's name if the host is not an address. Shakes hands if the
    /// upstream is reached over TLS.
    ///
    /// # Errors
    /// [`ForwardError::Unreachable`], also if all this takes longer than the upstream's `connect_timeout`.
    pub async fn connect(upstream: &Upstream, scratch: Scratch) -> Result<Self, ForwardError> {
        let Upstream { origin, connect_timeout, idle_timeout, tls, .. } = upstream;
        let connecting = async {
            let stream = dial(origin, *connect_timeout).await?;
            // Head and content leave in one write, so Nagle's algorithm could only delay the end of a large
            // request.
            stream.send_at_once()?;
            stream.limit_unsent(MOST_UNSENT);
            secure(stream, origin, tls.as_ref().map(Connector::config)).await
        };
        match timeout(*connect_timeout, connecting).await {
            Ok(connected) => {
                let stream = connected.map_err(ForwardError::Unreachable)?;
                Ok(Self::new(stream, *idle_timeout, scratch))
            }
            Err(_elapsed) => Err(ForwardError::Unreachable(io::ErrorKind::TimedOut.into())),
        }
    }

    fn new(stream: Stream, idle_limit: Duration, scratch: Scratch) -> Self {
        let now = Instant::now();
        Self {
            stream,
            scratch,
            outgoing: None,
            written: 0,
            begun: now,
            unread: BytesMut::new(),
            state: State::Idle,
            is_persistent: false,
            has_surplus: false,
            idle_since: now,
            idle_limit,
            limit: Duration::ZERO,
            deadline: Deadline::default(),
        }
    }

    /// Sends a request and waits for the head of its response. The head must arrive within `limit` after the
    /// last byte was written. Each step of writing may take `limit`, too. Interim responses do not extend the
    /// time. `kept` are the fields that a `connection` line cannot remove.
    ///
    /// # Errors
    /// [`SendError`]. The connection cannot be used afterwards.
    pub async fn send(
        &mut self,
        request: Box<Outgoing>,
        kept: &[HeaderName],
        now: Instant,
        limit: Duration,
    ) -> Result<ResponseHead, SendError> {
        let mut awaited = Awaited { asked: request.asked, kept, parser: HeadParser::default(), interim: 0 };
        self.outgoing = Some(request);
        self.written = 0;
        self.state = State::Head;
        self.begin_upload(now, limit);
        let mut now = LazyNow::known(now);
        let mut failure = None;
        let sent = poll_fn(|cx| {
            if let Err(error) = self.poll_upload(cx, &mut now) {
                if self.written == 0
                    && let Some(unsent) = self.outgoing.take()
                {
                    return Poll::Ready(Err(SendError::Unsent(unsent)));
                }
                // The upstream may have answered before it closed the connection. The answer is read next.
                self.outgoing = None;
                failure = Some(error);
            }
            // The next poll reads the clock again.
            now = LazyNow::default();
            match self.poll_head(cx, &mut awaited) {
                Poll::Ready(Ok(head)) => {
                    if failure.is_some() {
                        self.give_up_writing();
                    }
                    Poll::Ready(Ok(head))
                }
                Poll::Ready(Err(breach)) => Poll::Ready(Err(failed(match (breach, failure.take()) {
                    (ProtocolError::Closed, Some(error)) => ProtocolError::Io(error),
                    (breach, _) => breach,
                }))),
                Poll::Pending => self.deadline.poll_passed(cx).map(|()| {
                    // The parser may not have reported a malformed head yet: see [`HeadParser`].
                    Err(match self.is_no_head(&awaited) {
                        Some(breach) => failed(breach),
                        None => SendError::Failed(ForwardError::TimedOut),
                    })
                }),
            }
        });
        let head = sent.await?;
        self.deadline.clear();
        Ok(head)
    }

    /// The next piece of the response's content; `None` after the last piece. The response is complete when
    /// [`Self::is_complete`] returns true.
    ///
    /// # Errors
    /// [`ForwardError`]: the content breaks off or stalls. The time limit runs only while the caller polls.
    pub fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ForwardError>> {
        let mut now = LazyNow::default();
        if self.poll_upload(cx, &mut now).is_err() {
            self.give_up_writing();
        }
        let polled = self.poll_piece(cx);
        if polled.is_ready() {
            self.deadline.clear();
            return polled.map_err(ForwardError::Broken);
        }
        if !self.deadline.is_set() {
            self.deadline.set_at(now.get(), self.limit);
        }
        self.deadline.poll_passed(cx).map(|()| Err(ForwardError::TimedOut))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ProtocolError>> {
        loop {
            let State::Content(remaining) = &mut self.state else { return Poll::Ready(Ok(None)) };
            let piece = match remaining {
                _ if self.unread.is_empty() => None,
                Remaining::Length(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(self.unread.len());
                    *left = left.saturating_sub(u64::try_from(n).unwrap_or(u64::MAX));
                    let is_last = *left == 0;
                    let piece = self.split_off_first(n);
                    if is_last {
                        self.complete();
                    }
                    Some(piece)
                }
                Remaining::Chunked(chunked) => match chunked.step(&self.unread) {
                    Ok(Step::Content(range)) => {
                        self.unread.advance(range.start);
                        Some(self.split_off_first(range.len()))
                    }
                    Ok(Step::More) => {
                        self.unread = BytesMut::new();
                        None
                    }
                    Ok(Step::End(end)) => {
                        self.pass_over(end);
                        self.complete();
                        return Poll::Ready(Ok(None));
                    }
                    Err(malformed) => return Poll::Ready(Err(ProtocolError::Chunks(malformed.0))),
                },
                Remaining::Close => Some(mem::take(&mut self.unread).freeze()),
            };
            if let Some(piece) = piece {
                return Poll::Ready(Ok(Some(piece)));
            }
            if ready!(self.poll_fill(cx)).map_err(ProtocolError::Io)? == 0 {
                let is_complete = matches!(self.state, State::Content(Remaining::Close));
                self.state = State::Ended;
                return Poll::Ready(if is_complete { Ok(None) } else { Err(ProtocolError::Closed) });
            }
        }
    }

    /// The content of the response, if all of it arrived together with the head.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        let is_there = match &self.state {
            State::Content(Remaining::Length(left)) => {
                usize::try_from(*left).is_ok_and(|left| left <= self.unread.len())
            }
            State::Idle | State::Ended => return Some(Bytes::new()),
            State::Head | State::Content(Remaining::Chunked(_) | Remaining::Close) => false,
        };
        if !is_there {
            return None;
        }
        match self.poll_piece(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(piece)) => piece,
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// Whether the last response is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Idle | State::Ended)
    }

    /// Whether a part of the request is not written yet.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Whether another request can be sent, judged by the last exchange.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        matches!(self.state, State::Idle) && self.is_persistent && !self.is_writing()
    }

    /// Whether bytes arrived after the last response. They belong to no response, and are discarded.
    #[must_use]
    pub fn has_surplus(&self) -> bool {
        self.has_surplus
    }

    /// What has arrived since the last response: nothing, unexpected bytes, or the end. After the last two,
    /// the connection cannot carry another request.
    #[must_use]
    pub fn arrived(&mut self) -> Arrived {
        self.stream.arrived()
    }

    /// Writes the rest of the request. Gives up when the upstream reads nothing for `limit`.
    pub async fn finish(&mut self, limit: Duration) {
        self.begin_upload(Instant::now(), limit);
        poll_fn(|cx| {
            if self.poll_upload(cx, &mut LazyNow::default()).is_err() || !self.is_writing() {
                return Poll::Ready(());
            }
            self.deadline.poll_passed(cx)
        })
        .await;
    }

    /// When the upstream must have read the whole request; `None` if it has. The time grows with each byte
    /// that the upstream reads, at `LEAST_UPLOAD_RATE`.
    #[must_use]
    pub fn upload_end(&self) -> Option<Instant> {
        if !self.is_writing() {
            return None;
        }
        let written = u64::try_from(self.written).unwrap_or(u64::MAX);
        self.begun.checked_add(longest_wait(written, self.limit, LEAST_UPLOAD_RATE))
    }

    /// Shortens the time that the connection may stay idle.
    pub fn limit_idle(&mut self, limit: Duration) {
        self.idle_limit = self.idle_limit.min(limit);
    }

    /// Marks the connection idle from `now`.
    pub fn rest(&mut self, now: Instant) {
        self.idle_since = now;
    }

    /// Whether the connection has been idle for at least `time`.
    #[must_use]
    pub fn has_rested(&self, now: Instant, time: Duration) -> bool {
        now.saturating_duration_since(self.idle_since) >= time
    }

    /// Whether the connection has been idle for too long.
    #[must_use]
    pub fn is_stale(&self, now: Instant) -> bool {
        self.has_rested(now, self.idle_limit)
    }

    /// Stops writing. An upstream that has answered may not read the rest of the request.
    fn give_up_writing(&mut self) {
        self.outgoing = None;
        self.is_persistent = false;
    }

    fn begin_upload(&mut self, now: Instant, limit: Duration) {
        self.begun = now;
        self.limit = limit;
        self.deadline.set_at(now, limit);
    }

    /// Writes as much of the request as the upstream reads. Progress extends the time for writing, at most to
    /// [`Self::upload_end`]. The time for the response begins after the last byte.
    fn poll_upload(&mut self, cx: &mut Context<'_>, now: &mut LazyNow) -> io::Result<()> {
        let before = self.written;
        let result = self.poll_write(cx);
        if self.written > before {
            let now = now.get();
            let left = self.upload_end().map_or(self.limit, |end| end.saturating_duration_since(now));
            match self.state {
                // The response has begun, which is progress too, so its time is not shortened.
                State::Content(_) if left.is_zero() => {}
                State::Content(_) => self.deadline.clear(),
                State::Idle | State::Head | State::Ended => self.deadline.set_at(now, left.min(self.limit)),
            }
        }
        result
    }

    /// Writes as much of the request as the upstream reads. The request's memory is freed after the last
    /// byte.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(outgoing) = &self.outgoing {
            let head = outgoing.head.get(self.written..).unwrap_or_default();
            let sent = self.written.saturating_sub(outgoing.head.len());
            let content = outgoing.content.get(sent..).unwrap_or_default();
            if head.is_empty() && content.is_empty() {
                self.outgoing = None;
                return Ok(());
            }
            let stream = Pin::new(&mut self.stream);
            let written = if content.is_empty() {
                stream.poll_write(cx, head)
            } else {
                stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(content)])
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => self.written = self.written.saturating_add(n),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        awaited: &mut Awaited<'_>,
    ) -> Poll<Result<ResponseHead, ProtocolError>> {
        loop {
            if !self.unread.is_empty() {
                match awaited.parser.parse(&self.unread, awaited.asked, awaited.kept)? {
                    Parsed::Partial => {}
                    Parsed::Interim(len) => {
                        self.pass_over(len);
                        awaited.parser = HeadParser::default();
                        awaited.interim = awaited.interim.saturating_add(1);
                        if awaited.interim > MAX_INTERIM {
                            return Poll::Ready(Err(ProtocolError::EndlessInterim));
                        }
                        continue;
                    }
                    Parsed::Complete(len, head) => {
                        self.pass_over(len);
                        self.begin(&head);
                        return Poll::Ready(Ok(head));
                    }
                }
            }
            if ready!(self.poll_fill(cx)).map_err(ProtocolError::Io)? == 0 {
                return Poll::Ready(Err(self.is_no_head(awaited).unwrap_or(ProtocolError::Closed)));
            }
        }
    }

    /// The error in a partial head that no further bytes can make valid.
    fn is_no_head(&self, awaited: &Awaited<'_>) -> Option<ProtocolError> {
        parse(&self.unread, awaited.asked, awaited.kept).err()
    }

    /// Drops the first `n` unread bytes. Frees the buffer when it is empty.
    fn pass_over(&mut self, n: usize) {
        if n < self.unread.len() {
            self.unread.advance(n);
        } else {
            self.unread = BytesMut::new();
        }
    }

    /// Takes the first `n` unread bytes.
    fn split_off_first(&mut self, n: usize) -> Bytes {
        let first = if n < self.unread.len() { self.unread.split_to(n) } else { mem::take(&mut self.unread) };
        first.freeze()
    }

    fn begin(&mut self, head: &ResponseHead) {
        self.is_persistent = head.is_persistent;
        if let Some(seconds) = head.keep_alive {
            // One second less than the upstream's limit, so this side closes first.
            self.limit_idle(Duration::from_secs(seconds.saturating_sub(1)));
        }
        let remaining = match head.framing {
            Framing::None => return self.complete(),
            Framing::Length(length) => Remaining::Length(length),
            Framing::Chunked => Remaining::Chunked(Chunked::new(MAX_HEAD)),
            Framing::Close => Remaining::Close,
        };
        self.state = State::Content(remaining);
    }

    /// Ends the response. If the connection has ended, or if bytes follow the response, no further request is
    /// sent over it. Such bytes would be taken for the answer to that request.
    fn complete(&mut self) {
        let is_quiet = self.unread.is_empty() && {
            // The read needs no waker. The read is unconstrained. Otherwise a task whose cooperative budget
            // is used up would see no bytes, because the runtime would not read the socket.
            let parse = pin!(unconstrained(poll_fn(|cx| self.poll_fill(cx))));
            parse.poll(&mut Context::from_waker(Waker::noop())).is_pending()
        };
        self.has_surplus = !self.unread.is_empty();
        self.unread = BytesMut::new();
        self.state = if is_quiet { State::Idle } else { State::Ended };
    }

    /// Appends the bytes that have arrived to the unread bytes.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let filled = buffer.filled();
        if self.unread.is_empty() {
            self.unread = BytesMut::from(filled);
        } else {
            self.unread.extend_from_slice(filled);
        }
        Poll::Ready(Ok(filled.len()))
    }
}

fn failed(breach: ProtocolError) -> SendError {
    SendError::Failed(ForwardError::Broken(breach))
}

#[cfg(test)]
mod tests;
