//! Shell. The streams of one connection, and what the connection's entry in the connection limit shows of
//! them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::admission::connections::Entry;
use crate::admission::memory::Reservation;
use crate::admission::rate::Uptake;
use crate::http2::limits::{CONNECTION_WINDOW, FREE_UNREAD};
use crate::runtime::deadline::{Deadline, LazyNow};

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// The upstream of an authentic request.
    Upstream,
    /// The upstream of an observed request.
    Observed,
    /// The content of a request.
    Content,
    /// The client, which is to read a response.
    Unread,
}

/// How many streams wait for what.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    upstream: usize,
    observed: usize,
    content: usize,
    unread: usize,
}

impl Counts {
    fn of(&mut self, waits: Waits) -> &mut usize {
        match waits {
            Waits::Upstream => &mut self.upstream,
            Waits::Observed => &mut self.observed,
            Waits::Content => &mut self.content,
            Waits::Unread => &mut self.unread,
        }
    }

    fn total(self) -> usize {
        let Self { upstream, observed, content, unread } = self;
        [upstream, observed, content, unread].into_iter().fold(0, usize::saturating_add)
    }

    /// What the connection shows: the state of the stream that is best protected from eviction.
    fn shown(mut self) -> Option<Waits> {
        let order = [Waits::Upstream, Waits::Observed, Waits::Content, Waits::Unread];
        order.into_iter().find(|waits| *self.of(*waits) > 0)
    }
}

/// The streams of one connection.
#[derive(Debug)]
pub(crate) struct Streams {
    entry: Arc<Entry>,
    counts: Cell<Counts>,
    shown: Cell<Option<Waits>>,
    /// How many bytes of content have arrived since the connection began to wait for content.
    received: Cell<usize>,
    /// How many bytes of content hyper holds: they have arrived, and no request has taken them.
    unread: Cell<usize>,
    /// How many tasks of hyper serve a stream.
    tasks: Cell<usize>,
    has_begun: Cell<bool>,
    /// When the last stream ended; before that, when the connection was accepted.
    quiet_since: Cell<Instant>,
    is_evicted: Cell<bool>,
    is_stopped: Cell<bool>,
    /// The stream whose request was just handed over.
    called: RefCell<Option<Rc<Stream>>>,
    waker: RefCell<Option<Waker>>,
}

impl Streams {
    /// The streams of a connection that has none yet.
    pub(crate) fn new(entry: &Arc<Entry>) -> Rc<Self> {
        Rc::new(Self {
            entry: Arc::clone(entry),
            counts: Cell::default(),
            shown: Cell::new(None),
            received: Cell::new(0),
            unread: Cell::new(0),
            tasks: Cell::new(0),
            has_begun: Cell::new(false),
            quiet_since: Cell::new(Instant::now()),
            is_evicted: Cell::new(false),
            is_stopped: Cell::new(false),
            called: RefCell::new(None),
            waker: RefCell::new(None),
        })
    }

    /// Begins a stream. Its request has arrived.
    pub(crate) fn open(
        self: &Rc<Self>,
        at: Instant,
        write_timeout: Duration,
        min_write_rate: u64,
    ) -> Rc<Stream> {
        self.has_begun.set(true);
        let stream = Rc::new(Stream {
            streams: Rc::clone(self),
            waits: Cell::new(Waits::Content),
            is_authentic: Cell::new(false),
            handed: Cell::new(None),
            uptake: RefCell::default(),
            reservation: RefCell::new(None),
            at,
            write_timeout,
            min_write_rate,
        });
        self.change(None, Some(Waits::Content), at);
        *self.called.borrow_mut() = Some(Rc::clone(&stream));
        stream
    }

    /// The stream whose request was handed over last. hyper makes the task of a request right after that.
    pub(crate) fn take_called(&self) -> Option<Rc<Stream>> {
        self.called.borrow_mut().take()
    }

    /// Records that hyper serves one more stream.
    pub(crate) fn begin_task(&self) {
        self.tasks.set(self.tasks.get().saturating_add(1));
    }

    /// Records that hyper serves one stream less.
    pub(crate) fn end_task(&self) {
        self.tasks.set(self.tasks.get().saturating_sub(1));
    }

    /// How many tasks of hyper serve a stream.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.get()
    }

    /// Records that content has arrived. Its request has not taken it yet.
    pub(crate) fn arrive(&self, bytes: usize) {
        // Content that no request wants is not held.
        let most = usize::try_from(CONNECTION_WINDOW).unwrap_or(usize::MAX);
        self.unread.set(self.unread.get().saturating_add(bytes).min(most));
    }

    /// How many bytes of content hyper holds, at most.
    pub(crate) fn unread(&self) -> usize {
        self.unread.get()
    }

    /// How many requests are under way.
    pub(crate) fn len(&self) -> usize {
        self.counts.get().total()
    }

    /// Whether there was a request.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    /// Since when no request is under way; `None` if one is.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        (self.len() == 0).then(|| self.quiet_since.get())
    }

    /// Ends all streams whose requests may be cut off: the connection is closed for another one.
    pub(crate) fn evict(&self) {
        self.is_evicted.set(true);
    }

    /// Whether the connection must end, because its place or its memory is needed for another one.
    pub(crate) fn is_evicted(&self) -> bool {
        self.is_evicted.get() || self.entry.is_evicted()
    }

    /// Whether an authentic request waits for its upstream.
    pub(crate) fn is_at_upstream(&self) -> bool {
        self.shown.get() == Some(Waits::Upstream)
    }

    /// Records that the connection reads nothing until hyper holds less.
    pub(crate) fn stop_reading(&self) {
        self.is_stopped.set(true);
    }

    /// Wakes the connection's task when a stream has ended.
    pub(crate) fn wake(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Records that a stream waits for something else, and shows it in the connection's entry.
    fn change(&self, before: Option<Waits>, after: Option<Waits>, at: Instant) {
        let mut counts = self.counts.get();
        if let Some(before) = before {
            let count = counts.of(before);
            *count = count.saturating_sub(1);
        }
        if let Some(after) = after {
            let count = counts.of(after);
            *count = count.saturating_add(1);
        }
        self.counts.set(counts);
        let shown = counts.shown();
        if shown == self.shown.replace(shown) {
            return;
        }
        match shown {
            Some(Waits::Upstream) => self.entry.wait_for_upstream(),
            Some(Waits::Observed) => self.entry.wait_for_observed(),
            Some(Waits::Content) => {
                self.received.set(0);
                self.entry.wait_for_content(at);
            }
            Some(Waits::Unread) => self.entry.wait_for_reader(),
            None => self.entry.wait_for_head(true, &mut LazyNow::known(at)),
        }
    }

    fn ended(&self, waits: Waits) {
        let now = Instant::now();
        self.quiet_since.set(now);
        self.change(Some(waits), None, now);
        if self.is_stopped.take() {
            self.rouse();
        }
        if self.len() == 0 {
            // What a request has left unread is gone with it.
            self.unread.set(0);
            self.rouse();
        }
    }

    fn rouse(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// A stream, from its request to the end of its response. It also lives while its request is under way after
/// a reset.
#[derive(Debug)]
pub(crate) struct Stream {
    streams: Rc<Streams>,
    waits: Cell<Waits>,
    is_authentic: Cell<bool>,
    /// The piece of the response that waits for the client's window: since when, and its bytes.
    handed: Cell<Option<(Instant, usize)>>,
    uptake: RefCell<Uptake>,
    /// The memory of the stream itself, if it is not the only one of its connection.
    reservation: RefCell<Option<Reservation>>,
    /// When the request arrived.
    at: Instant,
    write_timeout: Duration,
    min_write_rate: u64,
}

impl Stream {
    /// Whether the connection was closed for another one, or the stream's memory is needed for another one.
    pub(crate) fn is_evicted(&self) -> bool {
        let is_shed = self.reservation.borrow().as_ref().is_some_and(Reservation::is_shed);
        is_shed || self.streams.is_evicted()
    }

    /// Keeps the memory of the stream itself reserved until the stream ends.
    pub(crate) fn keep(&self, reservation: Reservation) {
        *self.reservation.borrow_mut() = Some(reservation);
    }

    /// Records that the request waits for its client, of which `received` bytes of content have arrived: its
    /// memory can be shed for others. Returns whether it may go on.
    pub(crate) fn may_wait(&self, cx: &Context<'_>, received: u64) -> bool {
        let mut reservation = self.reservation.borrow_mut();
        let Some(reservation) = &mut *reservation else { return true };
        let received = usize::try_from(received).unwrap_or(usize::MAX);
        let now = Instant::now().into_std();
        let held = reservation.hold_while_waiting(cx, received, self.at.into_std(), now);
        held.is_ok() && !reservation.is_shed()
    }

    /// Records that all content has arrived.
    pub(crate) fn complete_content(&self) {
        if let Some(reservation) = &mut *self.reservation.borrow_mut() {
            reservation.complete_content();
        }
    }

    /// Records that the request has taken content.
    pub(crate) fn take(&self, bytes: usize) {
        let received = &self.streams.received;
        received.set(received.get().saturating_add(bytes));
        self.discard(bytes);
    }

    /// Whether hyper holds much content of this connection.
    pub(crate) fn has_much_unread(&self) -> bool {
        self.streams.unread.get() > FREE_UNREAD
    }

    /// Records that hyper holds so much less.
    pub(crate) fn discard(&self, bytes: usize) {
        let Streams { unread, is_stopped, .. } = &*self.streams;
        let before = unread.replace(unread.get().saturating_sub(bytes));
        if (before > FREE_UNREAD && unread.get() <= FREE_UNREAD) || is_stopped.take() {
            // Reading may have stopped for it.
            self.streams.rouse();
        }
    }

    /// Records that the request waits for its content.
    pub(crate) fn wait_for_content(&self) {
        self.set(Waits::Content);
        if self.streams.shown.get() == Some(Waits::Content) {
            self.streams.entry.wait_for_more_content(self.streams.received.get());
        }
    }

    /// Records that the request waits for its upstream.
    pub(crate) fn wait_for_upstream(&self, is_authentic: bool) {
        self.is_authentic.set(is_authentic);
        if is_authentic {
            self.streams.entry.authenticate();
        }
        self.wait_for_more_of_upstream();
    }

    /// Records that the response waits for its upstream.
    pub(crate) fn wait_for_more_of_upstream(&self) {
        self.taken_up();
        self.set(if self.is_authentic.get() { Waits::Upstream } else { Waits::Observed });
    }

    /// Records that `bytes` of the response wait for the client to take them.
    pub(crate) fn wait_for_reader(&self, bytes: usize) {
        self.taken_up();
        self.handed.set(Some((Instant::now(), bytes)));
        self.set(Waits::Unread);
    }

    /// Records that the last piece is in the send queue.
    pub(crate) fn taken_up(&self) {
        if let Some((since, bytes)) = self.handed.take() {
            // The client no longer makes the gateway wait.
            self.complete_content();
            let mut uptake = self.uptake.borrow_mut();
            uptake.wait(since.elapsed());
            uptake.take(bytes);
        }
    }

    /// Ready when the client has not taken up a piece of the response in time, or when its stream's memory is
    /// needed for another one: a client that opens no window makes the gateway wait, as one that sends no
    /// content does.
    pub(crate) fn poll_stuck(&self, cx: &mut Context<'_>, deadline: &mut Deadline) -> Poll<()> {
        match self.handed.get() {
            None => Poll::Pending,
            Some(_) if !self.may_wait(cx, 0) => Poll::Ready(()),
            Some((since, _)) => {
                let patience = self.uptake.borrow().patience(self.write_timeout, self.min_write_rate);
                deadline.set_at(since, patience);
                deadline.poll_passed(cx)
            }
        }
    }

    fn set(&self, waits: Waits) {
        let before = self.waits.replace(waits);
        if before != waits {
            self.streams.change(Some(before), Some(waits), Instant::now());
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.ended(self.waits.get());
    }
}
