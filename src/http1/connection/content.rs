//! Shell. Reads the content of a request from its connection: by its length, or by decoding chunks.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BufMut as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::admission::client::ClientAddress;
use crate::connection::transport::Transport;
use crate::http1::connection::{Connection, Inner, Phase, Remaining};
use crate::message::chunked::{Malformed, Step};
use crate::message::content::{Append, Content, ContentError, Length, Progress};

/// The content of the current request.
#[derive(Debug)]
pub struct RequestContent<IO> {
    connection: Rc<Connection<IO>>,
    length: Length,
}

impl<IO: Transport> RequestContent<IO> {
    /// The content of the request whose head has just arrived.
    #[must_use]
    pub fn new(connection: &Rc<Connection<IO>>) -> Self {
        Self { connection: Rc::clone(connection), length: connection.content_length() }
    }
}

impl<IO: Transport> Content for RequestContent<IO> {
    fn length(&self) -> Length {
        self.length
    }

    async fn ask_for(&mut self) -> Result<(), ContentError> {
        if self.connection.has_unread_content() && self.connection.waiting() == 0 {
            self.connection.send_continue().await.map_err(|_gone| ContentError::Incomplete)?;
        }
        Ok(())
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>> {
        self.connection.poll_content(cx, place)
    }

    fn buffered(&self) -> usize {
        self.connection.waiting()
    }

    fn announced(&self) -> u64 {
        self.connection.announced()
    }

    fn belongs_to(&self, client: ClientAddress) {
        self.connection.entry().belongs_to(client);
    }

    fn is_evicted(&self) -> bool {
        self.connection.entry().is_evicted()
    }

    fn wait_for_more(&self, received: usize) {
        self.connection.entry().wait_for_more_content(received);
    }

    fn wait_for_upstream(&self, is_authentic: bool) {
        self.connection.wait_for_upstream(is_authentic);
    }
}

impl<IO: Transport> Inner<IO> {
    pub(crate) fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
        append: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>> {
        let progress = match &mut self.phase {
            Phase::Content(Remaining::Length(_)) => ready!(self.poll_counted(cx, append)),
            Phase::Content(Remaining::Chunked(_)) => ready!(self.poll_chunked(cx, append)),
            Phase::Complete => Ok(Progress::Complete),
            Phase::Head | Phase::Closed => Err(ContentError::Incomplete),
        };
        match progress {
            Ok(Progress::Complete) => self.phase = Phase::Complete,
            Ok(Progress::Some | Progress::Full) => {}
            Err(_) => self.phase = Phase::Closed,
        }
        Poll::Ready(progress)
    }

    fn poll_counted(
        &mut self,
        cx: &mut Context<'_>,
        append: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>> {
        let Phase::Content(Remaining::Length(left)) = &mut self.phase else { return Poll::Pending };
        let limit = usize::try_from(*left).unwrap_or(usize::MAX).min(append.room());
        if limit == 0 {
            // Memory is reserved only when there are bytes for it.
            if self.unread.is_empty() {
                match ready!(self.poll_fill(cx)) {
                    Ok(n) if n > 0 => {}
                    Ok(_) | Err(_) => return Poll::Ready(Err(ContentError::Incomplete)),
                }
            }
            return Poll::Ready(Ok(Progress::Full));
        }
        let took = if self.unread.is_empty() {
            match ready!(poll_read_from(&mut self.io, cx, append, limit)) {
                Ok(n) if n > 0 => n,
                Ok(_) | Err(_) => return Poll::Ready(Err(ContentError::Incomplete)),
            }
        } else {
            let waiting = self.unread.as_slice();
            let piece = waiting.get(..limit).unwrap_or(waiting);
            let n = piece.len();
            append.push(piece);
            self.unread.consume(n);
            n
        };
        *left = left.saturating_sub(u64::try_from(took).unwrap_or(u64::MAX));
        Poll::Ready(Ok(if *left == 0 { Progress::Complete } else { Progress::Some }))
    }

    fn poll_chunked(
        &mut self,
        cx: &mut Context<'_>,
        append: &mut impl Append,
    ) -> Poll<Result<Progress, ContentError>> {
        loop {
            if self.unread.is_empty() {
                match ready!(self.poll_fill(cx)) {
                    Ok(n) if n > 0 => {}
                    Ok(_) | Err(_) => return Poll::Ready(Err(ContentError::Incomplete)),
                }
            }
            let Phase::Content(Remaining::Chunked(chunked)) = &mut self.phase else { return Poll::Pending };
            // Only the bytes that fit are decoded. The rest is decoded when there is capacity.
            let waiting = self.unread.as_slice();
            let input = waiting.get(..append.room()).unwrap_or(waiting);
            if input.is_empty() {
                return Poll::Ready(Ok(Progress::Full));
            }
            let (consumed, progress) = match chunked.step(input) {
                Ok(Step::Content(range)) => {
                    append.push(input.get(range.clone()).unwrap_or_default());
                    (range.end, Some(Progress::Some))
                }
                Ok(Step::More) => (input.len(), None),
                Ok(Step::End(end)) => (end, Some(Progress::Complete)),
                Err(Malformed(why)) => return Poll::Ready(Err(ContentError::Malformed(why))),
            };
            self.unread.consume(consumed);
            if let Some(progress) = progress {
                return Poll::Ready(Ok(progress));
            }
        }
    }
}

/// Reads from the socket straight into `append`.
fn poll_read_from<IO: AsyncRead + Unpin>(
    io: &mut IO,
    cx: &mut Context<'_>,
    append: &mut impl Append,
    limit: usize,
) -> Poll<io::Result<usize>> {
    append.receive(limit, |buffer| {
        if buffer.has_remaining_mut() { pin!(io.read_buf(buffer)).poll(cx) } else { Poll::Ready(Ok(0)) }
    })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::buf::Limit;
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::admission::connections::ConnectionLimit;
    use crate::admission::memory::Budget;
    use crate::connection::buffer::Buffer;
    use crate::connection::limits::Limits;
    use crate::connection::read_buffer::scratch;
    use crate::http1::connection::Connection;

    /// An `Append` without a limit.
    #[derive(Default)]
    struct Bag(Vec<u8>);

    impl Append for Bag {
        fn room(&self) -> usize {
            usize::MAX
        }

        fn push(&mut self, piece: &[u8]) {
            self.0.extend_from_slice(piece);
        }

        fn receive<T>(&mut self, limit: usize, read: impl FnOnce(&mut Limit<&mut Vec<u8>>) -> T) -> T {
            self.0.reserve(limit.min(100));
            read(&mut (&mut self.0).limit(limit.min(100)))
        }
    }

    #[tokio::test]
    async fn empty_lines_before_a_request_are_neither_held_nor_parsed_again() {
        let long = Duration::from_secs(60);
        let limits = Limits {
            max_header_bytes: 1000,
            header_timeout: long,
            idle_timeout: long,
            write_timeout: long,
            min_write_rate: 0,
        };
        let (mut client, gateway) = tokio::io::duplex(4096);
        let reservation = Budget::new(1 << 20).reservation(ClientAddress::Unix);
        let place = ConnectionLimit::new(1).enter_uncounted(ClientAddress::Unix);
        let entry = Arc::clone(place.entry());
        let connection = Connection::new(gateway, Buffer::default(), limits, scratch(), entry, reservation);
        let look = || connection.poll_received(&mut Context::from_waker(std::task::Waker::noop()));
        for byte in b"\r\n".repeat(500) {
            client.write_all(&[byte]).await.unwrap();
            assert!(look().is_pending());
            // Every held byte has been parsed.
            assert_eq!(connection.waiting(), usize::from(byte == b'\r'));
        }
        client.write_all(b"\r\n").await.unwrap();
        assert!(matches!(look(), Poll::Ready(Ok(Some(received))) if received.head.is_err()));
    }

    /// While a request waits, memory is reserved for it. After the refusal, nothing is reserved.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_timed_out_waits_for_no_memory() {
        const MIB: usize = 1 << 20;
        let second = Duration::from_secs(1);
        let limits = Limits {
            max_header_bytes: 32 * 1024,
            header_timeout: second,
            idle_timeout: second,
            write_timeout: second,
            min_write_rate: 0,
        };
        let budget = Budget::new(1 << 20);
        let now = std::time::Instant::now();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut full =
            [MIB, MIB / 16, MIB / 16].map(|bytes| (bytes, budget.reservation(ClientAddress::Unix)));
        for (bytes, reservation) in &mut full {
            assert!(reservation.poll_grow_to(&mut cx, *bytes, now).is_ready());
            if *bytes == MIB {
                reservation.hold_while_waiting(&cx, 1, now, now).unwrap();
            }
        }
        let (mut client, gateway) = tokio::io::duplex(16 * 1024);
        let place = ConnectionLimit::new(1).enter_uncounted(ClientAddress::Unix);
        let entry = Arc::clone(place.entry());
        let connection = Connection::new(
            gateway,
            Buffer::default(),
            limits,
            scratch(),
            entry,
            budget.reservation(ClientAddress::Unix),
        );
        client.write_all(format!("POST / HTTP/1.1\r\nx: {}", "y".repeat(6000)).as_bytes()).await.unwrap();
        let received = poll_fn(|cx| connection.poll_received(cx)).await.unwrap().unwrap();
        assert_eq!(received.head.unwrap_err().error, crate::message::head::HeadError::TimedOut);
        drop(full);
        let grown = budget.reservation(ClientAddress::Unix).poll_grow_to(&mut cx, MIB, now);
        assert_eq!(grown, Poll::Ready(Ok(())));
    }

    /// Even if the capacity is larger than the content, the bytes after the content are not taken: they
    /// belong to another request.
    #[tokio::test]
    async fn no_more_is_taken_for_content_than_its_length_says() {
        let second = "POST /two HTTP/1.1\r\nhost: a\r\n\r\n";
        let long = Duration::from_secs(60);
        for at_once in [true, false] {
            let (mut client, gateway) = tokio::io::duplex(4096);
            let limits = Limits {
                max_header_bytes: 1000,
                header_timeout: long,
                idle_timeout: long,
                write_timeout: long,
                min_write_rate: 0,
            };
            let reservation = Budget::new(1 << 20).reservation(ClientAddress::Unix);
            let place = ConnectionLimit::new(1).enter_uncounted(ClientAddress::Unix);
            let entry = Arc::clone(place.entry());
            let connection =
                Connection::new(gateway, Buffer::default(), limits, scratch(), entry, reservation);
            let head = "POST /one HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n";
            client.write_all(head.as_bytes()).await.unwrap();
            let content = format!("abc{second}");
            if at_once {
                client.write_all(content.as_bytes()).await.unwrap();
            }
            let first = poll_fn(|cx| connection.poll_received(cx)).await.unwrap().unwrap().head.unwrap();
            assert_eq!(first.target(), b"/one");
            if !at_once {
                client.write_all(content.as_bytes()).await.unwrap();
            }
            let mut bag = Bag::default();
            while poll_fn(|cx| connection.poll_content(cx, &mut bag)).await.unwrap() != Progress::Complete {}
            assert_eq!(bag.0, b"abc");
            let next = poll_fn(|cx| connection.poll_received(cx)).await.unwrap().unwrap().head.unwrap();
            assert_eq!(next.target(), b"/two");
        }
    }
}
