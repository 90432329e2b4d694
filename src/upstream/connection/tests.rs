//! An upstream connection in states that a real network seldom produces.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as ClientAddress;
use std::rc::Rc;

use tokio::net::UnixStream;
use tokio::task::coop::{consume_budget, has_budget_remaining};
use tokio::task::yield_now;
use tokio::time::advance;

use super::*;
use crate::admission::client;
use crate::admission::memory::Budget;
use crate::config::Upstream;
use crate::connection::read_buffer::scratch;
use crate::upstream::body::ResponseBody;
use crate::upstream::origin::Origin;
use crate::upstream::pool::Pool;

const LIMIT: Duration = Duration::from_secs(10);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A connection and its other end. The runtime already knows that the connection is writable.
async fn connection() -> (Connection, ClientAddress) {
    let (ours, peer) = ClientAddress::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    let stream = UnixStream::from_std(ours).unwrap();
    stream.writable().await.unwrap();
    (Connection::new(Stream::Unix(stream), LIMIT, scratch()), peer)
}

fn request(size: usize) -> Box<Outgoing> {
    request_with(size, Budget::new(1 << 30).reservation(client::ClientAddress::Unix))
}

fn request_with(size: usize, reservation: Reservation) -> Box<Outgoing> {
    let head = format!("POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
    Outgoing::new(head.into_bytes(), vec![b'x'; size].into(), reservation, RequestKind::ForContent)
}

async fn sent(connection: &mut Connection, size: usize) -> Result<ResponseHead, SendError> {
    connection.send(request(size), &[], Instant::now(), LIMIT).await
}

fn stream(connection: &Connection) -> &UnixStream {
    match &connection.stream {
        Stream::Unix(stream) => stream,
        Stream::Tcp(_) | Stream::Tls(_) => panic!("it is a unix socket"),
    }
}

/// Uses up the task's cooperative budget except for `left`.
async fn spend_budget_but(left: usize) {
    let mut all = 0;
    yield_now().await;
    while has_budget_remaining() {
        consume_budget().await;
        all += 1;
    }
    yield_now().await;
    for _ in left..all {
        consume_budget().await;
    }
}

/// The check has no await, so the runtime does not poll its sockets meanwhile.
#[tokio::test]
async fn arrived_bytes_are_seen_before_the_runtime_knows_of_them() {
    let (mut connection, mut peer) = connection().await;
    peer.write_all(OK).unwrap();
    assert!(sent(&mut connection, 3).await.is_ok());
    assert!(connection.take_whole().is_some() && connection.is_reusable());
    assert_eq!(connection.arrived(), Arrived::Nothing);
    peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").unwrap();
    assert_eq!(connection.arrived(), Arrived::Bytes);
    let (mut connection, peer) = self::connection().await;
    drop(peer);
    assert_eq!(connection.arrived(), Arrived::End);
}

#[tokio::test]
async fn bytes_behind_a_response_are_seen_even_if_the_task_has_no_budget() {
    let (mut connection, mut peer) = connection().await;
    // One read takes the whole response, and no byte after it.
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 8000\r\n";
    let text = format!("{head}x: {}\r\n\r\n", "y".repeat(8192 - 8000 - head.len() - "x: \r\n\r\n".len()));
    peer.write_all(&[text.as_bytes(), &[b'z'; 8000], b"more"].concat()).unwrap();
    assert!(sent(&mut connection, 3).await.is_ok());
    assert_eq!(connection.unread.len(), 8000);
    spend_budget_but(0).await;
    assert!(!has_budget_remaining());
    assert_eq!(connection.take_whole().unwrap(), [b'z'; 8000][..]);
    assert!(connection.has_surplus() && !connection.is_reusable());
}

/// Complete responses: the head, and the content.
const COMPLETE: [(&str, &str); 6] = [
    ("200 OK\r\ncontent-length: 2\r\n\r\nok", "ok"),
    ("200 OK\r\ncontent-length: 0\r\n\r\n", ""),
    ("204 No Content\r\n\r\n", ""),
    ("304 Not Modified\r\ncontent-length: 2\r\n\r\n", ""),
    ("200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
    ("200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n", ""),
];

#[tokio::test]
async fn bytes_behind_a_response_change_nothing_but_that_no_request_follows_however_they_are_cut() {
    for (answer, content) in COMPLETE {
        for surplus in ["\n", "more", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", "0\r\n\r\n"] {
            let bytes = format!("HTTP/1.1 {answer}{surplus}").into_bytes();
            for cut in 0..bytes.len() {
                let (mut connection, mut peer) = connection().await;
                let mut sending = Box::pin(sent(&mut connection, 3));
                let (first, second) = bytes.split_at(cut);
                peer.write_all(first).unwrap();
                // Some rounds read what has arrived so far. Later rounds read the rest.
                for _ in 0..3 {
                    yield_now().await;
                }
                let early = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
                peer.write_all(second).unwrap();
                let head = match early {
                    Poll::Ready(head) => head,
                    Poll::Pending => sending.as_mut().await,
                };
                drop(sending);
                assert!(head.is_ok(), "{answer:?} {surplus:?} {cut}");
                let mut got = Vec::new();
                while !connection.is_complete() {
                    got.extend(poll_fn(|cx| connection.poll_content(cx)).await.unwrap().unwrap_or_default());
                }
                assert_eq!(got, content.as_bytes(), "{answer:?} {surplus:?} {cut}");
                let is_used_again = connection.is_reusable() && connection.arrived() == Arrived::Nothing;
                assert!(!is_used_again, "{answer:?} {surplus:?} {cut}");
                assert!(connection.has_surplus() || connection.is_reusable(), "{answer:?} {surplus:?} {cut}");
                assert_eq!(connection.unread.capacity(), 0);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_arrived_is_read_after_writing_has_failed() {
    let (mut connection, mut peer) = connection().await;
    let mut sending = Box::pin(sent(&mut connection, 8 << 20));
    // The first write succeeds and uses up the budget. The second write meets the end of the connection.
    spend_budget_but(1).await;
    let first = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    let mut some = [0; 100];
    peer.read_exact(&mut some).unwrap();
    peer.write_all(b"HTTP/1.1 413 Too Much\r\ncontent-length: 2\r\n\r\nno").unwrap();
    drop(peer);
    let Ok(head) = sending.await else { panic!("there is an answer") };
    assert_eq!(head.status, 413);
    assert_eq!(connection.take_whole().unwrap(), "no");
    assert!(!connection.is_reusable() && !connection.is_writing());
}

/// An upstream may stop reading and still write: one direction of a unix socket can be shut down alone.
#[tokio::test]
async fn a_request_not_taken_whole_is_freed_and_its_connection_not_reused() {
    for (answer, content) in [("content-length: 0\r\n\r\n", ""), ("content-length: 2\r\n\r\no", "k")] {
        let (mut connection, mut peer) = connection().await;
        let mut sending = Box::pin(sent(&mut connection, 8 << 20));
        spend_budget_but(1).await;
        assert!(poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await.is_pending());
        if content.is_empty() {
            peer.shutdown(Shutdown::Read).unwrap();
        }
        write!(peer, "HTTP/1.1 413 Too Much\r\n{answer}").unwrap();
        assert!(sending.await.is_ok());
        if !content.is_empty() {
            assert!(connection.is_writing());
            peer.shutdown(Shutdown::Read).unwrap();
            // When the kernel's buffer has room, the next write is made and fails. Otherwise the time limit
            // for writing would pass.
            peer.read_to_end(&mut Vec::new()).unwrap();
            timeout(LIMIT, stream(&connection).writable()).await.unwrap().unwrap();
            peer.write_all(content.as_bytes()).unwrap();
            while !connection.is_complete() {
                assert!(poll_fn(|cx| connection.poll_content(cx)).await.is_ok());
            }
        }
        assert!(!connection.is_writing() && !connection.is_reusable());
    }
}

#[tokio::test]
async fn a_request_partly_written_and_not_answered_has_failed_and_is_not_sent_again() {
    let (mut connection, mut peer) = connection().await;
    let mut sending = Box::pin(sent(&mut connection, 8 << 20));
    spend_budget_but(1).await;
    assert!(poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await.is_pending());
    let mut some = [0; 100];
    peer.read_exact(&mut some).unwrap();
    drop(peer);
    assert!(matches!(sending.await, Err(SendError::Failed(ForwardError::Broken(ProtocolError::Io(_))))));
}

/// The log shows why writing failed.
#[tokio::test]
async fn the_error_of_writing_is_reported_if_reading_ended_without_one() {
    let (mut connection, mut peer) = connection().await;
    let mut sending = Box::pin(sent(&mut connection, 8 << 20));
    spend_budget_but(1).await;
    assert!(poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await.is_pending());
    peer.read_exact(&mut [0; 100]).unwrap();
    peer.shutdown(Shutdown::Both).unwrap();
    let Err(SendError::Failed(ForwardError::Broken(ProtocolError::Io(error)))) = sending.await else {
        panic!("it has failed")
    };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_request_is_given_back_only_if_no_byte_of_it_was_written() {
    let (mut connection, peer) = connection().await;
    drop(peer);
    let Err(SendError::Unsent(unsent)) = sent(&mut connection, 3).await else {
        panic!("nothing was written")
    };
    assert!(unsent.head.ends_with(b"\r\n\r\nxxx"));
}

#[tokio::test]
async fn a_connection_is_reused_when_both_sides_are_done_and_not_before() {
    let (mut connection, mut peer) = connection().await;
    for _ in 0..2 {
        peer.write_all(OK).unwrap();
        assert!(sent(&mut connection, 3).await.is_ok());
        assert!(!connection.is_reusable());
        assert_eq!(connection.take_whole().unwrap(), "ok");
        assert!(connection.is_reusable());
    }
    peer.write_all(OK).unwrap();
    assert!(sent(&mut connection, 8 << 20).await.is_ok());
    assert!(connection.take_whole().is_some());
    assert!(connection.is_writing() && !connection.is_reusable());
}

#[tokio::test]
async fn the_reservation_is_held_until_the_last_byte_is_written_and_no_longer() {
    let (mut connection, mut peer) = connection().await;
    let budget = Budget::new(1 << 30);
    let mut reservation = budget.reservation(client::ClientAddress::Unix);
    let grown = poll_fn(|cx| reservation.poll_grow_to(cx, 8 << 20, std::time::Instant::now())).await;
    assert!(grown.is_ok());
    let request = request_with(8 << 20, reservation);
    peer.write_all(OK).unwrap();
    assert!(connection.send(request, &[], Instant::now(), LIMIT).await.is_ok());
    assert!(budget.held() > 0);
    let reader = std::thread::spawn(move || {
        let mut read = 0;
        let mut piece = [0; 65536];
        while read < 8 << 20 {
            let n = peer.read(&mut piece).unwrap();
            assert!(n > 0, "the request ends after {read} bytes");
            read += n;
        }
        peer
    });
    connection.finish(LIMIT).await;
    assert!(!connection.is_writing());
    assert_eq!(budget.held(), 0);
    drop(reader.join().unwrap());
}

#[tokio::test]
async fn an_upstream_that_stops_reading_is_given_up() {
    let (mut connection, mut peer) = connection().await;
    peer.write_all(OK).unwrap();
    assert!(sent(&mut connection, 8 << 20).await.is_ok());
    assert!(connection.is_writing());
    assert!(timeout(LIMIT, connection.finish(Duration::from_millis(10))).await.is_ok());
}

#[tokio::test]
async fn content_of_any_size_leaves_whole_behind_its_head() {
    for size in [0, 1, SMALL - 1, SMALL, SMALL + 1, SMALL * 2] {
        let (mut connection, mut peer) = connection().await;
        peer.write_all(OK).unwrap();
        assert!(sent(&mut connection, size).await.is_ok());
        drop(connection);
        let mut read = Vec::new();
        peer.read_to_end(&mut read).unwrap();
        let head = format!("POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
        assert_eq!(read, [head.as_bytes(), &vec![b'x'; size]].concat());
    }
}

#[tokio::test]
async fn an_idle_connection_holds_no_read_buffer() {
    let answers = [
        "204 No Content\r\n\r\n",
        "200 OK\r\ncontent-length: 0\r\n\r\n",
        "200 OK\r\ncontent-length: 2\r\n\r\nok",
    ];
    for answer in answers {
        let (mut connection, mut peer) = connection().await;
        peer.write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap();
        assert!(sent(&mut connection, 3).await.is_ok());
        assert!(connection.take_whole().is_some());
        assert!(connection.is_reusable());
        assert_eq!(connection.unread.capacity(), 0, "{answer}");
    }
}

const MOMENT: Duration = Duration::from_millis(1);

/// Polls the future once.
async fn now<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Reads what has arrived. Lets the runtime notice that the connection is writable again, without time
/// passing.
async fn take(peer: &mut ClientAddress) -> usize {
    peer.set_nonblocking(true).unwrap();
    let mut taken = 0;
    let mut piece = [0; 65536];
    while let Ok(n @ 1..) = peer.read(&mut piece) {
        taken += n;
    }
    for _ in 0..3 {
        yield_now().await;
    }
    taken
}

const LARGE: usize = 2 << 20;

fn is_timed_out(polled: &Poll<Result<ResponseHead, SendError>>) -> bool {
    matches!(polled, Poll::Ready(Err(SendError::Failed(ForwardError::TimedOut))))
}

/// Sends a large request to an upstream that reads some of it after each `pause`. Returns the result, and the
/// time it took.
async fn upload(limit: Duration, pause: Duration) -> (Result<ResponseHead, SendError>, Duration) {
    let (mut connection, mut peer) = connection().await;
    let begin = Instant::now();
    let mut sending = Box::pin(connection.send(request(LARGE), &[], begin, limit));
    let mut taken = 0;
    while taken < LARGE {
        if let Poll::Ready(ended) = now(&mut sending).await {
            return (ended, begin.elapsed());
        }
        advance(pause).await;
        if let Poll::Ready(ended) = now(&mut sending).await {
            return (ended, begin.elapsed());
        }
        taken += take(&mut peer).await;
    }
    // The last byte was written before the last pause. The time for the response begins there.
    assert!(now(&mut sending).await.is_pending());
    advance(limit - MOMENT - pause).await;
    assert!(now(&mut sending).await.is_pending());
    peer.write_all(OK).unwrap();
    (sending.await, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_does_not_pass_while_the_upstream_takes_some_of_the_request() {
    for pause in [LIMIT / 2, LIMIT - MOMENT] {
        let (ended, took) = upload(LIMIT, pause).await;
        assert!(ended.is_ok_and(|head| head.status == 200), "{pause:?}");
        assert!(took > 2 * LIMIT, "{took:?}");
    }
    for pause in [LIMIT, LIMIT + MOMENT] {
        let (ended, took) = upload(LIMIT, pause).await;
        assert!(is_timed_out(&Poll::Ready(ended)), "{pause:?}");
        assert_eq!(took, pause, "with the first pause");
    }
}

/// The upstream reads some 200 KiB at a time. With these pauses, its rate is below the least rate.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_less_of_a_request_than_the_least_rate_is_given_up() {
    let limit = Duration::from_secs(10_000);
    for pause in [limit - MOMENT, limit / 2] {
        let (mut connection, mut peer) = connection().await;
        let begin = Instant::now();
        let mut sending = Box::pin(connection.send(request(LARGE), &[], begin, limit));
        assert!(now(&mut sending).await.is_pending());
        while begin.elapsed() + pause < limit {
            advance(pause).await;
            assert!(take(&mut peer).await > 0);
            assert!(now(&mut sending).await.is_pending(), "{:?}", begin.elapsed());
        }
        advance(limit - MOMENT - begin.elapsed()).await;
        assert!(take(&mut peer).await < LARGE);
        assert!(now(&mut sending).await.is_pending());
        advance(MOMENT).await;
        assert!(is_timed_out(&now(&mut sending).await), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn neither_interim_responses_nor_parts_of_a_head_give_more_time() {
    let parts: Vec<String> = OK.iter().map(|byte| char::from(*byte).to_string()).take(20).collect();
    let interim = vec!["HTTP/1.1 102 Processing\r\n\r\n".to_owned(); 20];
    for said in [parts, interim] {
        let (mut connection, mut peer) = connection().await;
        let begin = Instant::now();
        let mut sending = Box::pin(sent(&mut connection, 3));
        for part in said.iter().cycle() {
            peer.write_all(part.as_bytes()).unwrap();
            for _ in 0..3 {
                yield_now().await;
            }
            match now(&mut sending).await {
                Poll::Pending => assert!(begin.elapsed() < LIMIT),
                ended => {
                    assert!(is_timed_out(&ended));
                    break;
                }
            }
            advance(LIMIT / 10).await;
        }
        assert_eq!(begin.elapsed(), LIMIT);
    }
}

/// The last byte of the request is written late. From then on, the response has its full time, and no more.
#[tokio::test(start_paused = true)]
async fn the_time_for_the_response_begins_with_the_last_byte_of_the_request() {
    let (mut connection, mut peer) = connection().await;
    let mut sending = Box::pin(sent(&mut connection, LARGE));
    let mut taken = 0;
    while taken < LARGE {
        assert!(now(&mut sending).await.is_pending());
        advance(LIMIT / 2).await;
        taken += take(&mut peer).await;
    }
    // The last byte was written before the last pause.
    assert!(now(&mut sending).await.is_pending());
    advance(LIMIT / 2 - MOMENT).await;
    assert!(now(&mut sending).await.is_pending());
    advance(MOMENT).await;
    assert!(is_timed_out(&now(&mut sending).await));
}

/// An upstream that answers immediately and then reads the request does not count as stalled.
#[tokio::test(start_paused = true)]
async fn a_response_does_not_stall_while_the_request_is_taken() {
    let (mut connection, mut peer) = connection().await;
    peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").unwrap();
    assert!(sent(&mut connection, LARGE).await.is_ok());
    let content =
        |connection: &mut Connection, cx: &mut Context<'_>| Poll::Ready(connection.poll_content(cx));
    let mut taken = 0;
    while taken < LARGE {
        assert!(poll_fn(|cx| content(&mut connection, cx)).await.is_pending());
        advance(LIMIT / 2).await;
        assert!(poll_fn(|cx| content(&mut connection, cx)).await.is_pending());
        taken += take(&mut peer).await;
    }
    assert!(poll_fn(|cx| content(&mut connection, cx)).await.is_pending());
    assert!(!connection.is_writing());
    advance(LIMIT / 2 - MOMENT).await;
    assert!(poll_fn(|cx| content(&mut connection, cx)).await.is_pending());
    advance(MOMENT).await;
    let stalled = poll_fn(|cx| content(&mut connection, cx)).await;
    assert!(matches!(stalled, Poll::Ready(Err(ForwardError::TimedOut))));
}

#[tokio::test(start_paused = true)]
async fn a_response_stalls_though_the_upstream_does_not_read_the_waiting_request() {
    let (mut connection, mut peer) = connection().await;
    peer.write_all(b"HTTP/1.1 413 Too Much\r\ncontent-length: 9\r\n\r\n").unwrap();
    assert!(sent(&mut connection, LARGE).await.is_ok());
    // The total time has no limit while the upstream reads some of the request in time.
    for _ in 0..8 {
        assert!(poll_fn(|cx| Poll::Ready(connection.poll_content(cx))).await.is_pending());
        advance(LIMIT - MOMENT).await;
        peer.write_all(b"x").unwrap();
        assert!(poll_fn(|cx| connection.poll_content(cx)).await.is_ok_and(|piece| piece.is_some()));
    }
    assert!(poll_fn(|cx| Poll::Ready(connection.poll_content(cx))).await.is_pending());
    advance(LIMIT).await;
    let stalled = poll_fn(|cx| Poll::Ready(connection.poll_content(cx))).await;
    assert!(matches!(stalled, Poll::Ready(Err(ForwardError::TimedOut))));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_request_behind_its_answer_is_written_while_it_is_taken_in_time() {
    for (pause, is_whole) in [(LIMIT - MOMENT, true), (LIMIT, false)] {
        let (mut connection, mut peer) = connection().await;
        peer.write_all(OK).unwrap();
        assert!(sent(&mut connection, LARGE).await.is_ok());
        assert!(connection.take_whole().is_some());
        let mut finishing = Box::pin(connection.finish(LIMIT));
        while now(&mut finishing).await.is_pending() {
            advance(pause).await;
            assert_eq!(now(&mut finishing).await.is_pending(), is_whole);
            if !is_whole {
                break;
            }
            take(&mut peer).await;
        }
        drop(finishing);
        assert_eq!(connection.is_writing(), !is_whole);
    }
}

/// The client has disconnected, but its event is still delivered.
#[tokio::test(start_paused = true)]
async fn an_abandoned_answer_is_read_for_as_long_as_the_request_is_written() {
    let origin = Origin::parse("http://127.0.0.1:9").unwrap();
    let upstream = Upstream {
        origin,
        backups: Vec::new(),
        connect_timeout: LIMIT,
        response_timeout: LIMIT,
        max_idle: 1,
        idle_timeout: LIMIT,
        tls: None,
    };
    let pool = Pool::new(upstream, 1, tokio_util::task::TaskTracker::new(), scratch());
    let (mut connection, mut peer) = connection().await;
    peer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let head = sent(&mut connection, LARGE).await;
    let framing = head.unwrap_or_else(|_unanswered| panic!("it is answered")).framing;
    let relay = ResponseBody::new(framing, Box::new(connection), Rc::clone(&pool), LIMIT);
    let mut draining = Box::pin(relay.drain());
    let mut taken = 0;
    while taken < LARGE {
        assert!(now(&mut draining).await.is_pending(), "{taken}");
        advance(LIMIT - MOMENT).await;
        peer.write_all(b"1\r\nx\r\n").unwrap();
        taken += take(&mut peer).await;
    }
    // From here on, the rest of the answer has its full time limit, but no extension.
    let begin = Instant::now();
    while now(&mut draining).await.is_pending() {
        advance(LIMIT / 10).await;
        peer.write_all(b"1\r\nx\r\n").unwrap();
        take(&mut peer).await;
        assert!(begin.elapsed() < Duration::from_secs(3600), "it is taken for ever");
    }
    assert!(begin.elapsed() >= LIMIT);
}

/// A malformed head without an end is reported as malformed, even if it was not parsed when it arrived.
#[tokio::test(start_paused = true)]
async fn a_malformed_head_is_told_from_a_late_one() {
    for end in [None, Some(Shutdown::Both)] {
        for (first, second) in [("HTTP/1.1 200 OK\r\n", "no colon\r\n"), ("SSH-2.0-x\r\n", ""), ("S", "SH")] {
            let (mut connection, mut peer) = connection().await;
            let mut sending = Box::pin(sent(&mut connection, 3));
            let mut ended = Poll::Pending;
            for part in [first, second] {
                peer.write_all(part.as_bytes()).unwrap();
                for _ in 0..3 {
                    yield_now().await;
                }
                if ended.is_pending() {
                    ended = now(&mut sending).await;
                }
            }
            if let Some(how) = end {
                peer.shutdown(how).unwrap();
            }
            let ended = match ended {
                Poll::Ready(ended) => ended,
                Poll::Pending => sending.await,
            };
            assert!(
                matches!(ended, Err(SendError::Failed(ForwardError::Broken(ProtocolError::Malformed(_))))),
                "{first:?} {second:?}"
            );
        }
    }
}
