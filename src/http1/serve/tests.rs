//! Tests of a connection in memory, with a controlled clock.

use std::io::{BufRead as _, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::admission::client::ClientAddress;
use crate::admission::connections::ConnectionLimit;
use crate::admission::eviction::JUST_OPENED;
use crate::config::Config;
use crate::config::environment::Fixed;
use crate::runtime::control::Control;

mod slow_reader_tests;

/// The time limit of a test with a real clock, and of each wait of its threads.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test with a real clock. A test that waits in vain fails.
async fn run_in_time(test: impl Future<Output = ()>) {
    assert!(timeout(PATIENCE, LocalSet::new().run_until(test)).await.is_ok(), "the test does not end");
}

/// Runs a test with a paused clock, which advances when all tasks wait. The limit is longer than every limit
/// of the gateway.
async fn run_paused(test: impl Future<Output = ()>) {
    let limit = Duration::from_hours(1);
    assert!(timeout(limit, LocalSet::new().run_until(test)).await.is_ok(), "all tasks wait in vain");
}

/// Limits the time of each accept and read. On Linux, accept(2) has the time limit of reads.
fn limit_reads<'s>(socket: impl Into<SockRef<'s>>) {
    socket.into().set_read_timeout(Some(PATIENCE)).unwrap();
}

fn accepted(listener: &std::net::TcpListener) -> std::net::TcpStream {
    limit_reads(listener);
    let (stream, _) = listener.accept().unwrap();
    limit_reads(&stream);
    stream
}

/// Waits for the end of a thread.
fn joined(thread: std::thread::JoinHandle<()>) {
    let end = std::time::Instant::now() + PATIENCE;
    while !thread.is_finished() {
        assert!(std::time::Instant::now() < end, "a thread does not end");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    thread.join().unwrap();
}

fn worker() -> Rc<Worker> {
    worker_before("127.0.0.1:9")
}

/// A worker with one route. The route forwards signed and unsigned requests.
fn worker_before(upstream: &str) -> Rc<Worker> {
    worker_among(&format!("http://{upstream}"), ConnectionLimit::new(10))
}

fn worker_among(upstream: &str, connection_limit: Arc<ConnectionLimit>) -> Rc<Worker> {
    Worker::new(control_before(upstream), connection_limit, 1)
}

fn control_before(upstream: &str) -> Arc<Control> {
    Control::new(&config_before(upstream), crate::diagnosis::submitter::channel().0).unwrap()
}

fn config_before(upstream: &str) -> Config {
    let text = &format!(
        r#"
        signature = {{ scheme = "propify", secrets = [{{ env = "KEY" }}] }}
        [[routes]]
        path = "/w"
        upstream = "{upstream}"
        mode = "observe"
        [[routes]]
        path = "/challenge"
        upstream = "{upstream}"
        methods = ["GET", "POST"]
        signature = {{ scheme = "dropbox", secrets = [{{ env = "KEY" }}], challenge = "answer" }}
    "#
    );
    let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "a secret that is long enough");
    crate::config::read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH).unwrap().config
}

/// How many requests have ended.
fn ended(control: &Control) -> u64 {
    control.meters().sum().took.count()
}

/// Otherwise the keys of a removed secret would stay in memory as long as a client keeps its connection idle.
#[tokio::test]
async fn an_idle_connection_keeps_no_configuration_that_has_been_replaced() {
    let run = async {
        let (mut client, gateway) = tokio::io::duplex(4096);
        let worker = worker();
        let first = Rc::downgrade(&worker.view());
        let served = serve(Rc::clone(&worker), gateway, ClientAddress::Unix, CancellationToken::new());
        let served = tokio::task::spawn_local(served);
        client.write_all(b"GET /no HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}\n") {
            answer.push(client.read_u8().await.unwrap());
        }
        settle().await;
        worker.control().reload(&config_before("http://127.0.0.1:10")).unwrap();
        // The worker takes the new configuration when the view is read.
        assert!(!std::rc::Weak::ptr_eq(&first, &Rc::downgrade(&worker.view())));
        assert_eq!(first.strong_count(), 0);
        drop(client);
        served.await.unwrap();
    };
    run_in_time(run).await;
}

/// The test has each kind of answer. If the client has not read the end of an answer, that end is unsent, or
/// the writer waits.
#[tokio::test]
async fn a_request_has_not_ended_before_its_answer_is_written_to_the_last_byte() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let control = control_before(&format!("http://{}", listener.local_addr().unwrap()));
    let (go_on, signal) = std::sync::mpsc::channel::<()>();
    let (part, rest) = ("a".repeat(300), "b".repeat(300));
    let (whole, unsent, second) = ("w".repeat(5000), "k".repeat(600), rest.clone());
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let answers = [head(5000) + &whole, head(600) + &unsent, head(600) + &part];
    let upstream = std::thread::spawn(move || {
        let stream = accepted(&listener);
        let mut stream = std::io::BufReader::new(stream);
        for answer in answers {
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                assert_ne!(stream.read_line(&mut line).unwrap(), 0);
            }
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        signal.recv_timeout(PATIENCE).unwrap();
        stream.get_mut().write_all(second.as_bytes()).unwrap();
    });
    let known = Arc::clone(&control);
    let run = async {
        let (mut client, gateway) = tokio::io::duplex(100);
        let worker = Worker::new(control, ConnectionLimit::new(10), 1);
        let served =
            tokio::task::spawn_local(serve(worker, gateway, ClientAddress::Unix, CancellationToken::new()));
        let challenge = format!("GET /challenge?challenge={}", "c".repeat(256));
        let requests: [(&str, &str); 5] = [
            ("POST /no", "}\n"),
            (&challenge, "cccccccc"),
            ("POST /w", "wwwwwwww"),
            ("POST /w", "kkkkkkkk"),
            ("POST /w", "bbbbbbbb"),
        ];
        for (number, (request, end)) in (1..).zip(requests) {
            let send = async {
                let text = format!("{request} HTTP/1.1\r\nhost: a\r\n\r\n");
                client.write_all(text.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                let is_streamed = end.starts_with('b');
                let at_once = if is_streamed { head(600).len() + part.len() } else { 1 };
                for _ in 0..at_once {
                    answer.push(client.read_u8().await.unwrap());
                }
                if is_streamed {
                    go_on.send(()).unwrap();
                    answer.push(client.read_u8().await.unwrap());
                }
                for _ in 0..20 {
                    settle().await;
                }
                assert_eq!(ended(&known), number - 1, "{request}: {}", answer.escape_ascii());
                let mut length = None;
                while length != Some(answer.len()) {
                    answer.push(client.read_u8().await.unwrap());
                    let text = String::from_utf8_lossy(&answer);
                    length = text.split_once("\r\n\r\n").and_then(|(head, _)| {
                        let mut lengths =
                            head.lines().filter_map(|line| line.strip_prefix("content-length: "));
                        Some(head.len() + 4 + lengths.next_back()?.parse::<usize>().ok()?)
                    });
                }
                assert!(answer.ends_with(end.as_bytes()), "{}", answer.escape_ascii());
                while ended(&known) != number {
                    settle().await;
                }
            };
            assert!(timeout(PATIENCE, send).await.is_ok(), "{request}");
        }
        drop(client);
        served.await.unwrap();
        assert_eq!(ended(&known), 5);
    };
    run_in_time(run).await;
    joined(upstream);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_request_ends_when_its_client_has_taken_the_answer_or_is_given_up() {
    for (reads, took) in [(true, 20), (false, 30)] {
        let control = control_before("http://127.0.0.1:9");
        let known = Arc::clone(&control);
        let run = async {
            let (mut client, gateway) = tokio::io::duplex(100);
            let worker = Worker::new(control, ConnectionLimit::new(10), 1);
            let served = tokio::task::spawn_local(serve(
                worker,
                gateway,
                ClientAddress::Unix,
                CancellationToken::new(),
            ));
            client.write_all(b"POST /no HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            settle().await;
            assert_eq!(ended(&known), 0);
            if reads {
                tokio::time::advance(Duration::from_secs(20)).await;
                response(&mut client).await;
                drop(client);
                served.await.unwrap();
            } else {
                served.await.unwrap();
                drop(client);
            }
            assert_eq!(ended(&known), 1);
            assert_eq!(known.meters().sum().took.micros / 1_000_000, took);
        };
        run_paused(run).await;
    }
}

/// Lets the other tasks run until all of them wait. The clock must be paused.
async fn settle() {
    assert!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
}

/// Reads a response with content.
async fn response(client: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"}\n") {
        text.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Waiting {
    ForTheFirstByte,
    ForTheRestOfAHead,
    ForContent,
    BehindAnAnswer,
    AtRest,
    ForTheClientToRead,
    ForTheClientToReadTheLast,
}

/// A drain ends a connection in every state, long before the time limits of the state.
#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_connection_in_every_state() {
    use Waiting::*;
    for state in [
        ForTheFirstByte,
        ForTheRestOfAHead,
        ForContent,
        BehindAnAnswer,
        AtRest,
        ForTheClientToRead,
        ForTheClientToReadTheLast,
    ] {
        let run = async {
            // An answer has more than 100 bytes, so the smaller capacity makes the writer wait.
            let capacity = if state == ForTheClientToReadTheLast { 100 } else { 4096 };
            let (mut client, gateway) = tokio::io::duplex(capacity);
            let drain = CancellationToken::new();
            let served =
                tokio::task::spawn_local(serve(worker(), gateway, ClientAddress::Unix, drain.clone()));
            let request = b"POST /no HTTP/1.1\r\nhost: a\r\n\r\n";
            match state {
                ForTheFirstByte => {}
                ForTheRestOfAHead => client.write_all(&request[..9]).await.unwrap(),
                ForContent => {
                    let head = b"POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nsome";
                    client.write_all(head).await.unwrap();
                }
                BehindAnAnswer | AtRest => {
                    client.write_all(request).await.unwrap();
                    assert!(!response(&mut client).await.contains("connection: close"));
                }
                ForTheClientToReadTheLast => client.write_all(request).await.unwrap(),
                ForTheClientToRead => {
                    let many = request.repeat(1000);
                    assert!(timeout(Duration::from_secs(1), client.write_all(&many)).await.is_err());
                }
            }
            let settle = if state == AtRest { Duration::from_secs(3) } else { Duration::from_millis(1) };
            // The clock is paused. It advances only when all tasks wait.
            assert!(timeout(settle, std::future::pending::<()>()).await.is_err());
            let begin = tokio::time::Instant::now();
            drain.cancel();
            if state == ForContent {
                client.write_all(b" more").await.unwrap();
            }
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            let rest = String::from_utf8(rest).unwrap();
            match state {
                ForTheFirstByte | BehindAnAnswer | AtRest => assert_eq!(rest, "", "{state:?}"),
                // The answer was already being written, so it has no `connection: close`.
                ForTheClientToReadTheLast => assert!(rest.ends_with("}\n"), "{state:?}: {rest}"),
                ForTheRestOfAHead | ForContent | ForTheClientToRead => {
                    let last = rest.rsplit("HTTP/1.1 ").next().unwrap();
                    assert!(last.contains("connection: close") && last.ends_with("}\n"), "{state:?}: {rest}");
                }
            }
            drop(client);
            served.await.unwrap();
            assert!(begin.elapsed() <= Duration::from_secs(2), "{state:?}: {:?}", begin.elapsed());
        };
        run_paused(run).await;
    }
}

/// Field names keep the spelling of their own upstream, even if the client reads in tiny steps.
#[tokio::test]
async fn an_answer_is_spelled_right_though_it_is_written_byte_by_byte() {
    let answer = |n: usize| {
        let name = if n == 0 { "X-ONE" } else { "X-One" };
        let pad = "v".repeat(3000 * n);
        format!("HTTP/1.1 200 OK\r\n{name}: {n}{pad}\r\nContent-Length: 4\r\n\r\nX-A:")
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let worker = worker_before(&listener.local_addr().unwrap().to_string());
    let upstream = std::thread::spawn(move || {
        let mut stream = accepted(&listener);
        for n in 0..3 {
            let mut text = Vec::new();
            let mut byte = [0];
            while !text.ends_with(b"hi") {
                stream.read_exact(&mut byte).unwrap();
                text.push(byte[0]);
            }
            stream.write_all(answer(n).as_bytes()).unwrap();
        }
    });
    let run = async {
        let (client, gateway) = tokio::io::duplex(1);
        let (mut reading, mut writing) = tokio::io::split(client);
        let served =
            tokio::task::spawn_local(serve(worker, gateway, ClientAddress::Unix, CancellationToken::new()));
        let sent = tokio::task::spawn_local(async move {
            let request = b"POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
            writing.write_all(&request.repeat(3)).await.unwrap();
            writing
        });
        let want: String = (0..3).map(answer).collect();
        let mut got = vec![0; want.len()];
        timeout(PATIENCE, reading.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), want);
        drop((reading, sent.await.unwrap()));
        served.await.unwrap();
    };
    run_in_time(run).await;
    joined(upstream);
}

/// If another connection waits for the place, this connection waits for its client for a shorter time.
#[tokio::test(start_paused = true)]
async fn a_connection_lasts_no_longer_than_it_must_while_others_want_in() {
    let large = "POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n";
    let small = "POST /no HTTP/1.1\r\nhost: a\r\n\r\n";
    for (request, is_wanting, is_last, seconds) in
        [(large, true, true, 0), (large, false, true, 5), (small, true, true, 0), (small, false, false, 75)]
    {
        let run = async {
            let connection_limit = ConnectionLimit::new(1);
            let place = connection_limit.enter(ClientAddress::Unix, None).await.unwrap();
            // The request of this connection waits for its upstream, so the connection itself is not evicted.
            place.entry().wait_for_upstream();
            let worker = worker_among("http://127.0.0.1:9", Arc::clone(&connection_limit));
            let waits = tokio::task::spawn_local(async move {
                if is_wanting {
                    drop(connection_limit.enter(ClientAddress::Unix, None).await.unwrap());
                }
            });
            tokio::task::yield_now().await;
            let (mut client, gateway) = tokio::io::duplex(4096);
            let served = tokio::task::spawn_local(serve(
                worker,
                gateway,
                ClientAddress::Unix,
                CancellationToken::new(),
            ));
            let begin = tokio::time::Instant::now();
            client.write_all(request.as_bytes()).await.unwrap();
            assert_eq!(response(&mut client).await.contains("connection: close"), is_last);
            if is_last {
                // The client sees the end at once, although the gateway still reads what the client sends.
                assert!(client.read_u8().await.is_err());
                assert_eq!(begin.elapsed(), Duration::ZERO, "{request:?} {is_wanting}");
            }
            served.await.unwrap();
            assert_eq!(begin.elapsed().as_secs(), seconds, "{request:?} {is_wanting}");
            drop(place);
            waits.await.unwrap();
        };
        run_paused(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_stops_sending_after_its_refusal_is_cut_off() {
    let run = async {
        let (mut client, gateway) = tokio::io::duplex(4096);
        let served =
            tokio::task::spawn_local(serve(worker(), gateway, ClientAddress::Unix, CancellationToken::new()));
        client.write_all(b"POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n").await.unwrap();
        assert!(response(&mut client).await.starts_with("HTTP/1.1 413 "));
        let begin = tokio::time::Instant::now();
        while client.write_all(b"x").await.is_ok() {
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        served.await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), LINGER.as_secs());
    };
    run_paused(run).await;
}

/// A client that sends nothing at first gets no more time for its first head than other clients.
#[tokio::test(start_paused = true)]
async fn the_time_for_the_first_head_begins_with_the_connection() {
    let run = async {
        let (mut client, gateway) = tokio::io::duplex(4096);
        let served =
            tokio::task::spawn_local(serve(worker(), gateway, ClientAddress::Unix, CancellationToken::new()));
        let begin = tokio::time::Instant::now();
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(8)).await;
        client.write_all(b"P").await.unwrap();
        assert!(response(&mut client).await.starts_with("HTTP/1.1 408 "));
        assert_eq!(begin.elapsed().as_secs(), 10);
        drop(client);
        served.await.unwrap();
    };
    run_paused(run).await;
}

/// The system knows that the connection is closed, but only a write shows it.
#[tokio::test]
async fn a_request_that_a_dead_connection_did_not_take_is_sent_over_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    limit_reads(&listener);
    let worker = worker_among(&format!("unix:{}", path.display()), ConnectionLimit::new(10));
    let (close, closing) = std::sync::mpsc::channel::<()>();
    let (closed, is_closed) = std::sync::mpsc::channel::<()>();
    let upstream = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            limit_reads(&stream);
            let mut text = Vec::new();
            let mut byte = [0];
            while !text.ends_with(b"hi") {
                stream.read_exact(&mut byte).unwrap();
                text.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
            closing.recv_timeout(PATIENCE).unwrap();
            drop(stream);
            closed.send(()).unwrap();
        }
    });
    let run = async {
        let (mut client, gateway) = tokio::io::duplex(4096);
        let served =
            tokio::task::spawn_local(serve(worker, gateway, ClientAddress::Unix, CancellationToken::new()));
        for _ in 0..2 {
            client.write_all(b"POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"{}") {
                text.push(timeout(PATIENCE, client.read_u8()).await.unwrap().unwrap());
            }
            assert!(text.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", text.escape_ascii());
            // There is no await here, so the runtime does not poll its sockets.
            close.send(()).unwrap();
            is_closed.recv_timeout(PATIENCE).unwrap();
        }
        drop(client);
        served.await.unwrap();
    };
    run_in_time(run).await;
    joined(upstream);
}

/// An evicted connection ends immediately in every state, long before the time limits of the state.
#[tokio::test(start_paused = true)]
async fn an_evicted_connection_ends_at_once_in_every_state() {
    let request = "POST /no HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = "POST /w HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    let expect = "POST /w HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    let chunked = "POST /w HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let large = "POST /no HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    let many = request.repeat(100);
    // Each row has the bytes that the client sends, how many bytes of its answers fit, and the status that
    // the client gets at the end.
    for (sent, capacity, expected) in [
        ("", 4096, None),
        (&request[..9], 4096, None),
        (head, 4096, Some("503")),
        (&format!("{head}some"), 4096, Some("503")),
        (expect, 4096, Some("503")),
        (chunked, 4096, Some("503")),
        (large, 4096, Some("404")),
        (request, 4096, Some("404")),
        (request, 100, Some("404")),
        (&many, 100, Some("404")),
        (expect, 14, Some("100")),
    ] {
        let run = async {
            let connection_limit = ConnectionLimit::new(1);
            let worker = worker_among("http://127.0.0.1:9", Arc::clone(&connection_limit));
            let (client, gateway) = tokio::io::duplex(capacity);
            let (mut reading, mut writing) = tokio::io::split(client);
            let place = connection_limit.enter(ClientAddress::Unix, None).await.unwrap();
            let served = tokio::task::spawn_local(async move {
                let entry = Arc::clone(place.entry());
                let (address, drain) = (ClientAddress::Unix, CancellationToken::new());
                let served = pin!(serve_rest(worker, gateway, Buffer::default(), address, drain, &entry));
                entry.watch(served).await;
            });
            let bytes = sent.as_bytes().to_vec();
            let writes = tokio::task::spawn_local(async move {
                let _gone = writing.write_all(&bytes).await;
                writing
            });
            settle().await;
            assert!(!served.is_finished(), "{sent:?}");
            tokio::time::advance(JUST_OPENED).await;
            let begin = tokio::time::Instant::now();
            drop(connection_limit.enter(ClientAddress::Unix, None).await.unwrap());
            assert_eq!(begin.elapsed(), Duration::ZERO, "{sent:?}");
            served.await.unwrap();
            let mut received = String::new();
            reading.read_to_string(&mut received).await.unwrap();
            let status = received.rsplit("HTTP/1.1 ").next().and_then(|last| last.get(..3));
            assert_eq!(status, expected, "{sent:?}: {received}");
            drop(writes.await.unwrap());
        };
        run_paused(run).await;
    }
}

/// The upstream would answer in time, but another connection needs the place. An authentic request would not
/// be evicted.
#[tokio::test]
async fn an_observed_request_is_evicted_while_it_waits_for_its_upstream() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for begins in [false, true] {
        let run = async {
            let connection_limit = ConnectionLimit::new(1);
            let worker = worker_among(
                &format!("http://{}", listener.local_addr().unwrap()),
                Arc::clone(&connection_limit),
            );
            let (mut client, gateway) = tokio::io::duplex(4096);
            let place = connection_limit.enter(ClientAddress::Unix, None).await.unwrap();
            let served = tokio::task::spawn_local(async move {
                let entry = Arc::clone(place.entry());
                let (address, drain) = (ClientAddress::Unix, CancellationToken::new());
                let served = pin!(serve_rest(worker, gateway, Buffer::default(), address, drain, &entry));
                entry.watch(served).await;
            });
            client.write_all(b"POST /w HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
            if begins {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome").await.unwrap();
                let mut head = [0; 15];
                client.read_exact(&mut head).await.unwrap();
                assert_eq!(&head, b"HTTP/1.1 200 OK");
            }
            drop(connection_limit.enter(ClientAddress::Unix, None).await.unwrap());
            served.await.unwrap();
            let mut rest = String::new();
            client.read_to_string(&mut rest).await.unwrap();
            assert_eq!(
                (rest.starts_with("HTTP/1.1 503 "), rest.ends_with("some")),
                (!begins, begins),
                "{rest}"
            );
        };
        run_in_time(run).await;
    }
}
