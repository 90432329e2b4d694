//! Shell. One stream of a connection, from its request to the end of its response.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::admission::client::ClientAddress;
use crate::admission::memory::Reservation;
use crate::connection::client_read_rate::ClientReadRate;
use crate::http2::streams::{Streams, Waits};
use crate::runtime::deadline::Deadline;

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
    read_rate: Cell<ClientReadRate>,
    /// The memory of the stream itself, if it is not the only one of its connection.
    reservation: RefCell<Option<Reservation>>,
    /// When the request arrived.
    at: Instant,
    write_timeout: Duration,
    min_write_rate: u64,
}

impl Stream {
    /// Begins a stream. Its request has arrived.
    pub(crate) fn open(
        streams: &Rc<Streams>,
        at: Instant,
        write_timeout: Duration,
        min_write_rate: u64,
    ) -> Rc<Self> {
        streams.begin(at);
        Rc::new(Self {
            streams: Rc::clone(streams),
            waits: Cell::new(Waits::Content),
            client: Cell::new(None),
            is_complete: Cell::new(false),
            is_responding: Cell::new(false),
            is_given_up: Cell::new(false),
            is_authentic: Cell::new(false),
            handed: Cell::new(None),
            read_rate: Cell::default(),
            reservation: RefCell::new(None),
            at,
            write_timeout,
            min_write_rate,
        })
    }

    /// Whether the connection was closed for another connection, or the stream's memory is needed for another
    /// stream.
    pub(crate) fn is_evicted(&self) -> bool {
        let is_shed = self.reservation.borrow().as_ref().is_some_and(Reservation::is_shed);
        is_shed || self.is_given_up.get() || self.streams.is_evicted()
    }

    /// Keeps the memory of the stream itself reserved until the stream ends.
    pub(crate) fn keep(&self, reservation: Reservation) {
        *self.reservation.borrow_mut() = Some(reservation);
    }

    /// Counts the memory of the stream itself for this client, whose request a proxy has passed on. The
    /// connection counts for this client, too, while no other client has a request under way on it.
    pub(crate) fn belongs_to(&self, client: ClientAddress) {
        let before = self.client.replace(Some(client));
        self.streams.set_client(before, Some(client));
        if let Some(reservation) = &mut *self.reservation.borrow_mut() {
            reservation.assign(client);
        }
    }

    /// Lets the memory of the stream itself be shed for others, while the gateway waits for the client, or
    /// while an observed request waits. `received` bytes of content have arrived. A stream whose memory is
    /// shed is evicted.
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

    /// Lets the memory of an observed request's stream be shed while the request waits for its upstream.
    /// Returns whether the request must now end.
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
        self.streams.take(bytes);
    }

    /// Records that hyper holds this number of bytes less.
    pub(crate) fn discard(&self, bytes: usize) {
        self.streams.discard(bytes);
    }

    /// Records that the request waits for its content.
    pub(crate) fn wait_for_content(&self) {
        self.set(Waits::Content);
        self.streams.wait_for_more_content();
    }

    /// Records that the request waits for its upstream.
    pub(crate) fn wait_for_upstream(&self, is_authentic: bool) {
        self.is_authentic.set(is_authentic);
        if is_authentic {
            self.streams.authenticate();
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
            let mut read_rate = self.read_rate.get();
            read_rate.take(bytes, || Instant::now().into_std());
            self.read_rate.set(read_rate);
        }
    }

    /// Since when the client makes the response wait, and how long it may.
    fn reader_wait(&self) -> (Instant, Duration) {
        let mut read_rate = self.read_rate.get();
        let now = || Instant::now().into_std();
        let (since, patience) = read_rate.wait(now, self.write_timeout, self.min_write_rate);
        self.read_rate.set(read_rate);
        (since.into(), patience)
    }

    /// Records that hyper takes the content of the response.
    pub(crate) fn respond(&self) {
        self.is_responding.set(true);
        self.taken_up();
    }

    /// Ready when the response must end: the client has not taken up a piece of it in time, or the stream's
    /// memory is needed for another one.
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

/// The content that a request has left. While it is read and discarded, it counts as unread content of the
/// connection.
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
        self.streams.set_client(self.client.get(), None);
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
        let open = || Stream::open(&streams, Instant::now(), Duration::ZERO, 0);
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
        let open = || Stream::open(&streams, Instant::now(), Duration::ZERO, 0);
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

    /// Without this count, each refused request of a connection would add to the unread content, until no
    /// request has content that is to come.
    #[test]
    fn left_content_counts_until_it_is_discarded_while_another_request_goes_on() {
        let (streams, a, b) = two();
        for _ in 0..100 {
            let refused = Stream::open(&streams, Instant::now(), Duration::ZERO, 0);
            streams.arrive(1000);
            let left = refused.leave_content();
            drop(refused);
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
}
