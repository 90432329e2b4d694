//! Shell. One connection to an upstream, driven by whoever uses it: the request's own task.
//!
//! That spares a task, two wake-ups and a channel hop per request, and an idle connection costs nothing but its
//! descriptor. That it was closed while idle shows when it is taken up again.

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
use crate::http1::connection::Scratch;
use crate::listen::stream::{Arrived, Stream};
use crate::message::chunked::{Chunked, Step};
use crate::runtime::deadline::{Deadline, LazyNow};
use crate::upstream::dial::dial;
use crate::upstream::error::{ForwardError, ProtocolError};
use crate::upstream::origin::Origin;
use crate::upstream::request::SMALL;
use crate::upstream::response::{Framing, HeadParser, MAX_HEAD, Parsed, RequestKind, ResponseHead, parse};

/// The most interim responses before the final one.
const MAX_INTERIM: usize = 64;

/// Bytes per second of a request that an upstream takes at least, on average, once it has had its time to respond. Against
/// one that takes a byte now and then: it would hold the request, and the memory for it, for as long as it likes.
const LEAST_UPLOAD_RATE: u64 = 1024;

/// How many bytes of a request the system takes that are not on their way. It would take megabytes: the request would seem to
/// have been sent, and the time for its response would run, while a slow upstream has hardly begun to take it.
const MOST_UNSENT: u32 = 128 * 1024;

/// A request on its way: its content is always whole, and its length known.
#[derive(Debug)]
pub struct Outgoing {
    /// The head, as it is sent, and behind it the content, if that is small.
    head: Vec<u8>,
    /// The content, otherwise.
    content: Vec<u8>,
    /// The content's part of the memory budget, which is given back no sooner than the memory.
    _reservation: Reservation,
    /// What the answer to it can be.
    asked: RequestKind,
}

impl Outgoing {
    /// A request of this head and content. `reservation` is the content's part of the memory budget.
    ///
    /// Small content is put behind the head, to leave in one piece: `send` costs the kernel less than `writev`, by more than
    /// the copy.
    #[must_use]
    pub fn new(
        mut head: Vec<u8>,
        mut content: Vec<u8>,
        reservation: Reservation,
        asked: RequestKind,
    ) -> Box<Self> {
        if content.len() <= SMALL {
            head.extend_from_slice(&content);
            content = Vec::new();
        }
        Box::new(Self { head, content, _reservation: reservation, asked })
    }
}

/// A connection to an upstream.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    scratch: Scratch,
    /// The request that is being written, how much of it is, and since when.
    outgoing: Option<Box<Outgoing>>,
    written: usize,
    begun: Instant,
    /// What has been read and not parsed.
    unread: BytesMut,
    state: State,
    is_persistent: bool,
    has_surplus: bool,
    /// When it was last used.
    idle_since: Instant,
    /// How long it may stay idle.
    idle_limit: Duration,
    /// How long the upstream may make no progress: take nothing of the request, begin no response, send nothing more of one.
    limit: Duration,
    /// When that time is over. Kept over the exchanges: most of them move it and never let it come.
    deadline: Deadline,
}

/// A response whose head has not come.
struct Awaited<'k> {
    asked: RequestKind,
    kept: &'k [HeaderName],
    parser: HeadParser,
    interim: usize,
}

/// What is awaited of the upstream.
#[derive(Debug)]
enum State {
    /// Nothing.
    Idle,
    /// The head of a response.
    Head,
    /// More of the content of a response.
    Content(Remaining),
    /// Nothing ever again.
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
    /// The connection was gone before a byte of the request was written: it may be sent again.
    Unsent(Box<Outgoing>),
    /// Whatever else went wrong. Part of the request may have been processed.
    Failed(ForwardError),
}

impl Connection {
    /// Connects to an upstream, looking its name up if it is one.
    ///
    /// # Errors
    /// [`ForwardError::Unreachable`], also if it takes longer than `limit`.
    pub async fn connect(
        origin: &Origin,
        limit: Duration,
        idle_limit: Duration,
        scratch: Scratch,
    ) -> Result<Self, ForwardError> {
        let stream = match timeout(limit, dial(origin, limit)).await {
            Ok(dialed) => dialed.map_err(ForwardError::Unreachable)?,
            Err(_elapsed) => return Err(ForwardError::Unreachable(io::ErrorKind::TimedOut.into())),
        };
        // Head and content leave in one write; Nagle's algorithm could only delay what is left of a large one.
        stream.send_at_once().map_err(ForwardError::Unreachable)?;
        stream.limit_unsent(MOST_UNSENT);
        Ok(Self::new(stream, idle_limit, scratch))
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

    /// Sends a request and waits for the head of its response: for at most `limit` from its last byte, and for as long at a
    /// time while it is being written. Interim responses give no more time. It is `now`. `kept` are the fields that a
    /// `connection` line cannot take away.
    ///
    /// # Errors
    /// [`SendError`]. The connection is of no more use then.
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
                // What it said before it hung up is received after this is known, if it said anything.
                self.outgoing = None;
                failure = Some(error);
            }
            // Whoever looks again does so later.
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
                    // What can never become a head need not have been noticed before.
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

    /// The next piece of the content of the response; none behind the last. The response is complete as soon as
    /// [`Self::is_complete`].
    ///
    /// # Errors
    /// [`ForwardError`]: it breaks off, or stalls. Time runs only while it is asked for.
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

    /// The content of the response, if it has all been received together with the head.
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

    /// Whether there is more of the request to write.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Whether another request can be sent, as far as the last exchange tells.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        matches!(self.state, State::Idle) && self.is_persistent && !self.is_writing()
    }

    /// Whether bytes have come behind the last response. They belong to no response, and nobody gets them.
    #[must_use]
    pub fn has_surplus(&self) -> bool {
        self.has_surplus
    }

    /// What has come since the last response: bytes, which would belong to no request, or the end. It is to be neither when
    /// a request is sent.
    #[must_use]
    pub fn arrived(&self) -> Arrived {
        self.stream.arrived()
    }

    /// Writes what is left of the request, for as long as the upstream takes some of it: after `limit` without, it is given up.
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

    /// When the upstream must have taken the request, while it has not. The more it takes the later, up to the least rate.
    #[must_use]
    pub fn upload_end(&self) -> Option<Instant> {
        if !self.is_writing() {
            return None;
        }
        let written = u64::try_from(self.written).unwrap_or(u64::MAX);
        self.begun.checked_add(longest_wait(written, self.limit, LEAST_UPLOAD_RATE))
    }

    /// Shortens the time it may stay idle, if the upstream keeps it for less.
    pub fn limit_idle(&mut self, limit: Duration) {
        self.idle_limit = self.idle_limit.min(limit);
    }

    /// Marks the moment from which it is idle.
    pub fn rest(&mut self, now: Instant) {
        self.idle_since = now;
    }

    /// Whether it has been idle for this long.
    #[must_use]
    pub fn has_rested(&self, now: Instant, time: Duration) -> bool {
        now.saturating_duration_since(self.idle_since) >= time
    }

    /// Whether it has been idle for too long.
    #[must_use]
    pub fn is_stale(&self, now: Instant) -> bool {
        self.has_rested(now, self.idle_limit)
    }

    /// An upstream that has answered may take no more of the request.
    fn give_up_writing(&mut self) {
        self.outgoing = None;
        self.is_persistent = false;
    }

    fn begin_upload(&mut self, now: Instant, limit: Duration) {
        self.begun = now;
        self.limit = limit;
        self.deadline.set_at(now, limit);
    }

    /// Writes as much of the request as the upstream takes. Where it takes some, it has time for more, though not beyond
    /// [`Self::upload_end`]; with the last byte, it has time to respond.
    fn poll_upload(&mut self, cx: &mut Context<'_>, now: &mut LazyNow) -> io::Result<()> {
        let before = self.written;
        let result = self.poll_write(cx);
        if self.written > before {
            let now = now.get();
            let left = self.upload_end().map_or(self.limit, |end| end.saturating_duration_since(now));
            match self.state {
                // It has begun to respond, which is progress, too: its time is not shortened.
                State::Content(_) if left.is_zero() => {}
                State::Content(_) => self.deadline.clear(),
                State::Idle | State::Head | State::Ended => self.deadline.set_at(now, left.min(self.limit)),
            }
        }
        result
    }

    /// Writes as much of the request as the upstream takes. It is freed with its last byte.
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

    /// What is wrong with the part of a head that has been received, if nothing that could follow would make it right.
    fn is_no_head(&self, awaited: &Awaited<'_>) -> Option<ProtocolError> {
        parse(&self.unread, awaited.asked, awaited.kept).err()
    }

    /// Passes over the first `n` bytes of what is unread. It holds no memory behind the last.
    fn pass_over(&mut self, n: usize) {
        if n < self.unread.len() {
            self.unread.advance(n);
        } else {
            self.unread = BytesMut::new();
        }
    }

    /// The first `n` bytes of what is unread, which are then no longer.
    fn split_off_first(&mut self, n: usize) -> Bytes {
        let first = if n < self.unread.len() { self.unread.split_to(n) } else { mem::take(&mut self.unread) };
        first.freeze()
    }

    fn begin(&mut self, head: &ResponseHead) {
        self.is_persistent = head.is_persistent;
        if let Some(seconds) = head.keep_alive {
            // One second less, so that we let go first.
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

    /// The response is complete. If the connection has ended, or there is more behind the response, no other request is sent over
    /// it: these bytes answer none.
    fn complete(&mut self) {
        let is_quiet = self.unread.is_empty() && {
            // Nobody needs to be woken for it. A task that has used up its budget for this turn is told that nothing is there
            // without anybody having looked: this parse is not charged to it.
            let parse = pin!(unconstrained(poll_fn(|cx| self.poll_fill(cx))));
            parse.poll(&mut Context::from_waker(Waker::noop())).is_pending()
        };
        self.has_surplus = !self.unread.is_empty();
        self.unread = BytesMut::new();
        self.state = if is_quiet { State::Idle } else { State::Ended };
    }

    /// Reads what there is, behind what is unread.
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
