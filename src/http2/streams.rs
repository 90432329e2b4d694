//! Shell. The streams of one connection, and what the connection's entry in the connection limit shows of
//! them.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::client::ClientAddress;
use crate::admission::connections::Entry;
use crate::admission::memory::Reservation;
use crate::connection::read_progress::ReadProgress;
use crate::http2::limits::{CONNECTION_WINDOW, FREE_UNREAD};
use crate::http2::stream_clients::StreamClients;
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
    /// The other end of the connection.
    peer: ClientAddress,
    /// The clients that a trusted proxy has reported for the requests under way.
    clients: RefCell<StreamClients>,
    /// The client that the connection counts for.
    owner: Cell<ClientAddress>,
    counts: Cell<Counts>,
    shown: Cell<Option<Waits>>,
    /// How many bytes of content have arrived since the connection began to wait for content.
    received: Cell<usize>,
    /// How many bytes of content hyper holds: they have arrived, and no request has taken them.
    unread: Cell<usize>,
    /// How many requests have content that has not arrived whole, and is read or discarded.
    incomplete: Cell<usize>,
    /// How many tasks of hyper serve a stream, and how many of them began before the last mark.
    tasks: Cell<usize>,
    marked_tasks: Cell<usize>,
    marks: Cell<u64>,
    has_begun: Cell<bool>,
    /// When the last stream ended. Before the first stream ends, when the connection was accepted.
    quiet_since: Cell<Instant>,
    /// Cancelled when the connection is closed for another connection. The requests under way are then woken.
    evicted: CancellationToken,
    is_stopped: Cell<bool>,
    /// The stream whose request was just handed over.
    called: RefCell<Option<Rc<Stream>>>,
    waker: RefCell<Option<Waker>>,
}

impl Streams {
    /// The streams of a connection from `peer` that has none yet.
    pub(crate) fn new(entry: &Arc<Entry>, peer: ClientAddress) -> Rc<Self> {
        Rc::new(Self {
            entry: Arc::clone(entry),
            peer,
            clients: RefCell::default(),
            owner: Cell::new(peer),
            counts: Cell::default(),
            shown: Cell::new(None),
            received: Cell::new(0),
            unread: Cell::new(0),
            incomplete: Cell::new(0),
            tasks: Cell::new(0),
            marked_tasks: Cell::new(0),
            marks: Cell::new(0),
            has_begun: Cell::new(false),
            quiet_since: Cell::new(Instant::now()),
            evicted: CancellationToken::new(),
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
        self.incomplete.set(self.incomplete.get().saturating_add(1));
        let stream = Rc::new(Stream {
            streams: Rc::clone(self),
            waits: Cell::new(Waits::Content),
            client: Cell::new(None),
            is_complete: Cell::new(false),
            is_responding: Cell::new(false),
            is_given_up: Cell::new(false),
            is_authentic: Cell::new(false),
            handed: Cell::new(None),
            progress: Cell::default(),
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

    /// Records that hyper serves one more stream. Returns the number of the last mark, for [`Self::end_task`].
    pub(crate) fn begin_task(&self) -> u64 {
        self.tasks.set(self.tasks.get().saturating_add(1));
        self.marks.get()
    }

    /// Records that hyper serves one stream less. `began` is what [`Self::begin_task`] has returned.
    pub(crate) fn end_task(&self, began: u64) {
        self.tasks.set(self.tasks.get().saturating_sub(1));
        if began < self.marks.get() {
            self.marked_tasks.set(self.marked_tasks.get().saturating_sub(1));
        }
    }

    /// Marks the tasks that serve a stream now.
    pub(crate) fn mark_tasks(&self) {
        self.marks.set(self.marks.get().saturating_add(1));
        self.marked_tasks.set(self.tasks.get());
    }

    /// How many tasks of hyper serve a stream since before the last mark.
    pub(crate) fn marked_tasks(&self) -> usize {
        self.marked_tasks.get()
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

    /// Forgets unread content if no request waits for any: h2 discards it. Returns whether there was some.
    pub(crate) fn forget_discarded(&self) -> bool {
        self.incomplete.get() == 0 && self.unread.take() > 0
    }

    /// Lets the connection read again. Returns whether it had stopped.
    pub(crate) fn resume_reading(&self) -> bool {
        self.is_stopped.take()
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
        self.evicted.cancel();
    }

    /// Whether the connection must end, because its place or its memory is needed for another one.
    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.is_cancelled() || self.entry.is_evicted()
    }

    /// Wakes its task when the connection is closed for another one. Never ready.
    pub(crate) async fn wake_when_evicted(&self) {
        self.evicted.cancelled().await;
        pending::<()>().await;
    }

    /// Ready when no request is under way. If the connection is evicted meanwhile, its requests end.
    pub(crate) fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        self.wake(cx.waker());
        if self.is_evicted() {
            self.evict();
        }
        if self.len() == 0 { Poll::Ready(()) } else { Poll::Pending }
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

    /// Moves the connection to the client that it counts for now.
    fn choose_owner(&self) {
        let owner = self.clients.borrow().owner(self.peer);
        if let Some(owner) = owner
            && self.owner.replace(owner).group() != owner.group()
        {
            self.entry.belongs_to(owner);
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
            self.rouse();
        }
    }

    /// Records that hyper holds this number of bytes less.
    fn discard(&self, bytes: usize) {
        let before = self.unread.replace(self.unread.get().saturating_sub(bytes));
        if (before > FREE_UNREAD && self.unread.get() <= FREE_UNREAD) || self.is_stopped.take() {
            // Reading may have stopped because of these bytes.
            self.rouse();
        }
    }

    /// Records that no more of a request's content is read. When this holds for all requests, hyper holds none. What h2 itself has
    /// discarded, because it has refused a request, is forgotten then.
    fn content_ended(&self) {
        let left = self.incomplete.get().saturating_sub(1);
        self.incomplete.set(left);
        if left == 0 && self.unread.take() > FREE_UNREAD {
            self.rouse();
        }
    }

    /// Wakes the connection's task.
    pub(crate) fn rouse(&self) {
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
    /// The client that a trusted proxy has reported.
    client: Cell<Option<ClientAddress>>,
    /// Whether no more content is read.
    is_complete: Cell<bool>,
    is_authentic: Cell<bool>,
    /// Whether hyper has begun to take the content of the response.
    is_responding: Cell<bool>,
    /// Whether the request must end, because there is no memory for it while it waits.
    is_given_up: Cell<bool>,
    /// The bytes of the piece of the response that waits for the client's window.
    handed: Cell<Option<usize>>,
    progress: Cell<ReadProgress>,
    /// The memory of the stream itself, if it is not the only one of its connection.
    reservation: RefCell<Option<Reservation>>,
    /// When the request arrived.
    at: Instant,
    write_timeout: Duration,
    min_write_rate: u64,
}

impl Stream {
    /// Whether the connection was closed for another connection, or the stream's memory is needed for another stream.
    pub(crate) fn is_evicted(&self) -> bool {
        let is_shed = self.reservation.borrow().as_ref().is_some_and(Reservation::is_shed);
        is_shed || self.is_given_up.get() || self.streams.is_evicted()
    }

    /// Keeps the memory of the stream itself reserved until the stream ends.
    pub(crate) fn keep(&self, reservation: Reservation) {
        *self.reservation.borrow_mut() = Some(reservation);
    }

    /// Counts the memory of the stream itself for this client, whose request a proxy has passed on. The connection counts for this
    /// client, too, while no other client has a request under way on it.
    pub(crate) fn belongs_to(&self, client: ClientAddress) {
        if let Some(before) = self.client.replace(Some(client)) {
            self.streams.clients.borrow_mut().remove(before);
        }
        self.streams.clients.borrow_mut().add(client);
        self.streams.choose_owner();
        if let Some(reservation) = &mut *self.reservation.borrow_mut() {
            reservation.assign(client);
        }
    }

    /// Lets the memory of the stream itself be shed for others, while the gateway waits for the client, or while an
    /// observed request waits. `received` bytes of content have arrived. A stream whose memory is shed is evicted.
    pub(crate) fn hold(&self, cx: &Context<'_>, received: usize) {
        let mut reservation = self.reservation.borrow_mut();
        let Some(reservation) = &mut *reservation else { return };
        let is_authentic = self.is_authentic.get();
        // The client of an authentic request has sent everything, so the stream is shed last.
        let received = if is_authentic { usize::MAX } else { received };
        let now = Instant::now().into_std();
        let held = reservation.hold_while_waiting(cx, received, self.at.into_std(), now);
        if held.is_err() && !is_authentic {
            self.is_given_up.set(true);
        }
    }

    /// Lets the memory of an observed request's stream be shed while the request waits for its upstream. Returns whether
    /// the request must now end.
    pub(crate) fn hold_observed(&self, cx: &Context<'_>) -> bool {
        if self.waits.get() != Waits::Observed || self.is_evicted() {
            return false;
        }
        self.hold(cx, 0);
        self.is_evicted()
    }

    /// Records that no more content is read.
    pub(crate) fn end_content(&self) {
        if !self.is_complete.replace(true) {
            self.streams.content_ended();
        }
    }

    /// Records that all content has arrived.
    pub(crate) fn complete_content(&self) {
        if let Some(reservation) = &mut *self.reservation.borrow_mut() {
            reservation.complete_content();
        }
        self.end_content();
    }

    /// Records that the request no longer needs the content that has not arrived. It is read and discarded.
    pub(crate) fn leave_content(&self) -> LeftContent {
        LeftContent { streams: (!self.is_complete.replace(true)).then(|| Rc::clone(&self.streams)) }
    }

    /// Records that the request has taken content.
    pub(crate) fn take(&self, bytes: usize) {
        let received = &self.streams.received;
        received.set(received.get().saturating_add(bytes));
        self.discard(bytes);
    }

    /// Records that hyper holds this number of bytes less.
    pub(crate) fn discard(&self, bytes: usize) {
        self.streams.discard(bytes);
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
        if !self.is_authentic.get() {
            return self.set(Waits::Observed);
        }
        if let Some(reservation) = &mut *self.reservation.borrow_mut() {
            reservation.complete_content();
        }
        self.set(Waits::Upstream);
    }

    /// Records that `bytes` of the response wait for the client to take them.
    pub(crate) fn wait_for_reader(&self, bytes: usize) {
        self.taken_up();
        self.handed.set(Some(bytes));
        let _since_now = self.reader_wait();
        self.set(Waits::Unread);
    }

    /// Records that the last piece is in the send queue.
    pub(crate) fn taken_up(&self) {
        if let Some(bytes) = self.handed.take() {
            let mut progress = self.progress.get();
            progress.take(bytes, || Instant::now().into_std());
            self.progress.set(progress);
        }
    }

    /// Since when the client makes the response wait, and how long it may.
    fn reader_wait(&self) -> (Instant, Duration) {
        let mut progress = self.progress.get();
        let now = || Instant::now().into_std();
        let (since, patience) = progress.wait(now, self.write_timeout, self.min_write_rate);
        self.progress.set(progress);
        (since.into(), patience)
    }

    /// Records that hyper takes the content of the response.
    pub(crate) fn respond(&self) {
        self.is_responding.set(true);
        self.taken_up();
    }

    /// Ready when the response must end: the client has not taken up a piece of it in time, or the stream's memory is
    /// needed for another one.
    pub(crate) fn poll_over(&self, cx: &mut Context<'_>, deadline: &mut Deadline) -> Poll<()> {
        if !self.is_responding.get() {
            return Poll::Pending;
        }
        let handed = self.handed.get();
        if handed.is_some() || !self.is_authentic.get() {
            self.hold(cx, 0);
        }
        if self.is_evicted() {
            return Poll::Ready(());
        }
        match handed {
            None => Poll::Pending,
            Some(_) => {
                let (since, patience) = self.reader_wait();
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

/// The content that a request has left. While it is read and discarded, it counts as unread content of the connection.
#[derive(Debug)]
pub(crate) struct LeftContent {
    streams: Option<Rc<Streams>>,
}

impl LeftContent {
    /// Records that hyper holds this number of bytes less.
    pub(crate) fn discard(&self, bytes: usize) {
        self.streams.iter().for_each(|streams| streams.discard(bytes));
    }
}

impl Drop for LeftContent {
    fn drop(&mut self) {
        self.streams.iter().for_each(|streams| streams.content_ended());
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(client) = self.client.get() {
            self.streams.clients.borrow_mut().remove(client);
            self.streams.choose_owner();
        }
        self.end_content();
        self.streams.ended(self.waits.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::connections::ConnectionLimit;
    use crate::admission::memory::Budget;

    fn address(last: u8) -> ClientAddress {
        ClientAddress::ip([203, 0, 113, last].into())
    }

    /// A connection from `address(1)` with two streams.
    fn two() -> (Rc<Streams>, Rc<Stream>, Rc<Stream>) {
        let place = ConnectionLimit::new(1).enter_uncounted(address(1));
        let streams = Streams::new(place.entry(), address(1));
        let open = || streams.open(Instant::now(), Duration::ZERO, 0);
        let (a, b) = (open(), open());
        (streams, a, b)
    }

    #[test]
    fn the_memory_of_a_stream_belongs_to_the_client_that_a_proxy_reports() {
        let (_, stream, _) = two();
        stream.keep(Budget::new(1).reservation(address(1)));
        stream.belongs_to(address(2));
        let reservation = format!("{:?}", stream.reservation);
        assert!(reservation.contains("203.0.113.2"), "{reservation}");
    }

    #[tokio::test]
    async fn a_connection_counts_for_the_client_that_a_proxy_reports_unless_another_one_uses_it_too() {
        let limit = ConnectionLimit::new(8);
        let most = std::num::NonZeroUsize::new(1);
        let place = limit.enter_uncounted(address(1));
        let streams = Streams::new(place.entry(), address(1));
        let open = || streams.open(Instant::now(), Duration::ZERO, 0);
        // A client that has a place gets no second one.
        let owners = async || {
            let mut owners = Vec::new();
            for last in 1..=3 {
                if limit.enter(address(last), most).await.is_err() {
                    owners.push(last);
                }
            }
            owners
        };
        assert_eq!(owners().await, [1]);
        let (a, b) = (open(), open());
        a.belongs_to(address(2));
        assert_eq!(owners().await, [2]);
        b.belongs_to(address(3));
        assert_eq!(owners().await, [1]);
        drop(a);
        assert_eq!(owners().await, [3]);
        drop(b);
        assert_eq!(owners().await, [3], "as over HTTP/1.1, until the next request");
    }

    #[test]
    fn content_that_no_request_will_read_is_not_counted() {
        let (streams, a, b) = two();
        streams.arrive(1000);
        a.take(400);
        a.complete_content();
        assert_eq!(streams.unread(), 600);
        // The other request is refused without its content. Both requests are still under way.
        b.end_content();
        assert_eq!((streams.unread(), streams.len()), (0, 2));
    }

    /// Without this count, each refused request of a connection would add to the unread content, until no request has content
    /// that is to come.
    #[test]
    fn left_content_counts_until_it_is_discarded_while_another_request_goes_on() {
        let (streams, a, b) = two();
        for _ in 0..100 {
            let refused = streams.open(Instant::now(), Duration::ZERO, 0);
            streams.arrive(1000);
            let left = refused.leave_content();
            drop((refused, streams.take_called()));
            assert_eq!(streams.unread(), 1000);
            left.discard(1000);
            drop(left);
            assert_eq!(streams.unread(), 0);
        }
        streams.arrive(300);
        a.take(100);
        a.complete_content();
        drop(a.leave_content());
        assert_eq!(streams.unread(), 200, "the other request goes on");
        drop(b.leave_content());
        assert_eq!((streams.unread(), streams.len()), (0, 2));
    }

    #[test]
    fn only_tasks_that_began_before_a_mark_count_as_marked() {
        let (streams, ..) = two();
        let before = streams.begin_task();
        streams.mark_tasks();
        let after = streams.begin_task();
        assert_eq!((streams.tasks(), streams.marked_tasks()), (2, 1));
        streams.end_task(after);
        assert_eq!((streams.tasks(), streams.marked_tasks()), (1, 1));
        streams.end_task(before);
        assert_eq!((streams.tasks(), streams.marked_tasks()), (0, 0));
    }
}
