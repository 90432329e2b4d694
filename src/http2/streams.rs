//! Shell. The streams of one connection. The connection's entry in the connection limit follows their states.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::client::ClientAddress;
use crate::admission::connections::Entry;
use crate::http2::limits::{CONNECTION_WINDOW, FREE_UNREAD};
use crate::http2::stream_clients::StreamClients;
use crate::runtime::deadline::LazyNow;

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
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
    /// The client to which the connection limit assigns the connection.
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
            waker: RefCell::new(None),
        })
    }

    /// Records that a stream has begun: its request arrived at this time.
    pub(crate) fn begin(&self, at: Instant) {
        self.has_begun.set(true);
        self.incomplete.set(self.incomplete.get().saturating_add(1));
        self.change(None, Some(Waits::Content), at);
    }

    /// Records that hyper serves one more stream. Returns the number of the last mark, for
    /// [`Self::end_task`].
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
    pub(crate) fn change(&self, before: Option<Waits>, after: Option<Waits>, at: Instant) {
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

    /// Records the client of a request, as a trusted proxy has reported it. `before` is the client that was
    /// known before.
    pub(crate) fn set_client(&self, before: Option<ClientAddress>, after: Option<ClientAddress>) {
        if before == after {
            return;
        }
        {
            let mut clients = self.clients.borrow_mut();
            before.into_iter().for_each(|client| clients.remove(client));
            after.into_iter().for_each(|client| clients.add(client));
        }
        self.choose_owner();
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

    /// Records that a stream has ended, which was waiting for this.
    pub(crate) fn ended(&self, waits: Waits) {
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

    /// Records that a request has taken content.
    pub(crate) fn take(&self, bytes: usize) {
        self.received.set(self.received.get().saturating_add(bytes));
        self.discard(bytes);
    }

    /// Records that a request is authentic.
    pub(crate) fn authenticate(&self) {
        self.entry.authenticate();
    }

    /// Records that a request waits for more of its content.
    pub(crate) fn wait_for_more_content(&self) {
        if self.shown.get() == Some(Waits::Content) {
            self.entry.wait_for_more_content(self.received.get());
        }
    }

    /// Records that hyper holds this number of bytes less.
    pub(crate) fn discard(&self, bytes: usize) {
        let before = self.unread.replace(self.unread.get().saturating_sub(bytes));
        if (before > FREE_UNREAD && self.unread.get() <= FREE_UNREAD) || self.is_stopped.take() {
            // Reading may have stopped because of these bytes.
            self.rouse();
        }
    }

    /// Records that no more of a request's content is read. When this holds for all requests, hyper holds
    /// none. What h2 itself has discarded, because it has refused a request, is forgotten then.
    pub(crate) fn content_ended(&self) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::connections::ConnectionLimit;

    #[test]
    fn only_tasks_that_began_before_a_mark_count_as_marked() {
        let place = ConnectionLimit::new(1).enter_uncounted(ClientAddress::Unix);
        let streams = Streams::new(place.entry(), ClientAddress::Unix);
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
