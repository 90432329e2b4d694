//! Faults of an upstream. The sender never gets an answer that looks complete but is not.

use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::upstream::{Connection, OK, refusing};
use crate::support::{
    Client, End, FIXTURE, Gateway, PATIENCE, Response, Upstream, assert_refused, gate, gateway, post,
};

const PATH: &str = "/webhook/leases";

fn exchange(gateway: &Gateway) -> Response {
    Client::to(gateway).send(post(FIXTURE).bytes()).response()
}

/// Runs `fault` on the first connection. Serves correctly on all other connections.
fn once(fault: impl Fn(&mut Connection) + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |connection| {
        if connection.index() == 0 {
            fault(connection);
        } else {
            while connection.request().is_some() {
                connection.send(OK);
            }
        }
    })
}

/// Answers the first request with these bytes, and closes the connection.
fn once_answering(answer: impl AsRef<[u8]>) -> Upstream {
    let answer = answer.as_ref().to_vec();
    once(move |connection| {
        connection.request();
        connection.send(&answer);
    })
}

/// Answers the first request with these bytes. Then waits for the gateway to close the connection.
fn once_answering_and_waiting(answer: impl AsRef<[u8]>) -> Upstream {
    let answer = answer.as_ref().to_vec();
    once(move |connection| {
        connection.request();
        connection.send(&answer);
        connection.wait_closed();
    })
}

/// The time limit for an upstream that stalls. The next request must be answered within the limit, also on a
/// busy machine.
const STALLS: &str = "response_timeout = \"2s\"";

/// Asserts that a request fails, and that the next request is answered over another connection.
fn fails_once(upstream: &Upstream) {
    let gateway = Gateway::before(upstream);
    assert_refused(&exchange(&gateway), 502, Some("upstream_failed"));
    exchange(&gateway).assert_answer("ok");
    assert_eq!(upstream.connections(), 2);
}

/// Asserts the same for an upstream that stalls.
fn stalls_once(upstream: &Upstream) {
    let gateway = gateway().upstream(STALLS).route(PATH, &upstream.url()).start();
    assert_refused(&exchange(&gateway), 504, Some("upstream_timeout"));
    exchange(&gateway).assert_answer("ok");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn one_that_refuses_is_unreachable_until_it_listens() {
    let url = refusing();
    let gateway = gateway().route(PATH, &url).start();
    for _ in 0..3 {
        assert_refused(&exchange(&gateway), 502, Some("upstream_unreachable"));
    }
}

#[test]
fn a_name_that_does_not_resolve_is_unreachable() {
    let gateway = gateway()
        .upstream("connect_timeout = \"1s\"")
        .route(PATH, "http://no-such-name.invalid:3000")
        .start();
    assert_refused(&exchange(&gateway), 502, Some("upstream_unreachable"));
}

#[test]
fn one_that_never_accepts_is_unreachable_after_the_time_for_connecting() {
    // The queue of this listener is full, so the kernel drops further handshakes.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        filling.push(stream);
        assert!(filling.len() < 100, "the queue does not fill");
    }
    let gateway =
        gateway().upstream("connect_timeout = \"200ms\"").route(PATH, &format!("http://{address}")).start();
    // The kernel would try for two minutes.
    assert_refused(&exchange(&gateway), 502, Some("upstream_unreachable"));
}

#[test]
fn one_that_resets_has_failed() {
    fails_once(&once(|connection| {
        connection.request_head();
        connection.reset();
    }));
    fails_once(&once(|connection| {
        connection.request();
        connection.reset();
    }));
}

#[test]
fn one_that_resets_as_it_accepts_is_a_502() {
    let upstream = once(Connection::reset);
    let gateway = Gateway::before(&upstream);
    let response = exchange(&gateway);
    // It depends on timing whether the connection is established before the reset.
    let reached = response.text().contains("upstream_failed");
    let reason = if reached { "upstream_failed" } else { "upstream_unreachable" };
    assert_refused(&response, 502, Some(reason));
    exchange(&gateway).assert_answer("ok");
}

#[test]
fn one_that_closes_before_it_answers_has_failed() {
    fails_once(&once_answering(""));
    fails_once(&once(|_| ()));
}

#[test]
fn one_that_closes_within_the_head_has_failed() {
    for part in ["H", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"] {
        fails_once(&once_answering(part));
    }
}

#[test]
fn a_malformed_head_is_a_failure() {
    let mut accepted = Vec::new();
    for answer in [
        "garbage\r\n\r\n",
        "200 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "ICY 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nno colon\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx : z\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n: z\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx: \0\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 O\0K\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        for upstream in [once_answering(answer), once_answering_and_waiting(answer)] {
            let gateway = Gateway::before(&upstream);
            let response = exchange(&gateway);
            if response.status != 502 {
                accepted.push(format!("{}: {}", answer.escape_debug(), response.status));
                continue;
            }
            assert_refused(&response, 502, Some("upstream_failed"));
            exchange(&gateway).assert_answer("ok");
            assert_eq!(upstream.connections(), 2, "{}", answer.escape_debug());
        }
    }
    assert!(accepted.is_empty(), "these were not a failure: {accepted:#?}");
}

#[test]
fn a_gigantic_head_is_a_failure() {
    let many: String = (0..100_000).fold(String::new(), |text, n| text + &format!("x-{n}: {n}\r\n"));
    for head in [
        format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 2\r\n\r\nok", "y".repeat(4_000_000)),
        format!("HTTP/1.1 200 {}\r\ncontent-length: 2\r\n\r\nok", "y".repeat(4_000_000)),
        format!("HTTP/1.1 200 OK\r\n{many}content-length: 2\r\n\r\nok"),
    ] {
        let upstream = once_answering_and_waiting(head);
        let gateway = Gateway::before(&upstream);
        assert_refused(&exchange(&gateway), 502, Some("upstream_failed"));
        exchange(&gateway).assert_answer("ok");
        upstream.wait_closed(1);
    }
}

/// Answers that break off within their body, and the most bytes of the body that the sender may receive.
const BROKEN_OFF: [(&str, &str); 7] = [
    ("content-length: 10\r\n\r\nhello", "hello"),
    ("content-length: 10\r\n\r\n", ""),
    ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello"),
    ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "hello"),
    ("transfer-encoding: chunked\r\n\r\n5\r\nhel", "hel"),
    ("transfer-encoding: chunked\r\n\r\n5", ""),
    ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhel", "hellohel"),
];

/// Asserts that no sender could take the answer to the first request as complete, with HTTP/1.1 or HTTP/1.0.
fn never_looks_complete(answer: &str, may_be_seen: &str, how: &str, upstream: impl Fn(&str) -> Upstream) {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let upstream = upstream(&format!("HTTP/1.1 200 OK\r\n{answer}"));
        let gateway = gateway().upstream(STALLS).route(PATH, &upstream.url()).start();
        let mut client = Client::to(&gateway);
        let response = client.send(post(FIXTURE).version(version).bytes()).response();
        let what = format!("{how}, {version}: {}", answer.escape_debug());
        if response.status == 502 {
            assert_refused(&response, 502, Some("upstream_failed"));
        } else if response.status == 504 {
            assert_refused(&response, 504, Some("upstream_timeout"));
        } else {
            assert!(!response.complete, "{what}: {response:?}");
            assert!(may_be_seen.starts_with(&response.text()), "{what}: {response:?}");
            let (rest, end) = client.rest();
            assert_eq!(rest, b"", "{what}");
            // If there is no length, only a reset tells an HTTP/1.0 client that something is missing.
            let framed = response.value("content-length").is_some() || version == "HTTP/1.1";
            assert!(framed || end == End::Reset, "{what}: {end:?}");
        }
        exchange(&gateway).assert_answer("ok");
        assert_eq!(upstream.connections(), 2, "{what}");
    }
}

#[test]
fn an_answer_that_breaks_off_never_looks_complete() {
    for (answer, may_be_seen) in BROKEN_OFF {
        never_looks_complete(answer, may_be_seen, "closed", |bytes| once_answering(bytes));
        never_looks_complete(answer, may_be_seen, "reset", |bytes| {
            let bytes = bytes.to_owned();
            once(move |connection| {
                connection.request();
                connection.send(&bytes);
                connection.reset();
            })
        });
    }
}

#[test]
fn an_answer_that_stalls_is_cut_and_never_looks_complete() {
    // Each case takes as long as an upstream may stall, so the cases run in parallel.
    std::thread::scope(|scope| {
        for (answer, may_be_seen) in BROKEN_OFF.into_iter().chain([("\r\nhello", "hello")]) {
            scope.spawn(move || {
                never_looks_complete(answer, may_be_seen, "stalled", |bytes| {
                    once_answering_and_waiting(bytes)
                });
            });
        }
    });
}

#[test]
fn an_answer_until_the_close_that_is_reset_never_looks_complete() {
    let (open, passed) = gate();
    let passed = std::sync::Arc::new(passed);
    never_looks_complete("\r\nhello", "hello", "reset", |bytes| {
        let (bytes, passed) = (bytes.to_owned(), std::sync::Arc::clone(&passed));
        open.open();
        once(move |connection| {
            connection.request();
            connection.send(&bytes);
            passed.pass();
            connection.reset();
        })
    });
}

/// An answer whose end is the end of the connection. It is larger than any client reads.
fn endless() -> Upstream {
    Upstream::scripted(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\n\r\n");
        connection.send(vec![b'z'; 16 * 1024 * 1024]);
    })
}

fn looks_cut_off(client: &mut Client) {
    let response = client.response();
    assert!(!response.complete, "{} bytes look like all", response.body.len());
}

#[test]
fn an_answer_until_the_close_that_its_client_does_not_take_in_time_never_looks_complete() {
    let upstream = endless();
    let gateway = gateway().limits("write_timeout = \"300ms\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).version("HTTP/1.0").bytes());
    // The gateway discards the rest of the answer after it has given up the client.
    upstream.wait_for(1);
    upstream.wait_closed(1);
    looks_cut_off(&mut client);
}

#[test]
fn an_answer_until_the_close_that_the_end_of_a_drain_cuts_off_never_looks_complete() {
    let upstream = endless();
    let gateway = gateway().server("shutdown_grace = \"300ms\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).version("HTTP/1.0").bytes()).read_some(10);
    gateway.drain();
    gateway.wait();
    looks_cut_off(&mut client);
}

#[test]
fn an_answer_with_malformed_chunks_never_looks_complete() {
    for body in [
        "x\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx: \0\r\n\r\n",
    ] {
        let answer = format!("transfer-encoding: chunked\r\n\r\n{body}");
        never_looks_complete(&answer, "hello", "closed", |bytes| once_answering(bytes));
        never_looks_complete(&answer, "hello", "waiting", |bytes| once_answering_and_waiting(bytes));
    }
}

/// Complete answers with more bytes after them. A row has the method of the request, the answer, the content
/// that the client gets, and the surplus bytes.
const SURPLUS: [(&str, &str, &str, &str); 14] = [
    ("POST", "200 OK\r\ncontent-length: 2\r\n\r\nok", "ok", "\n"),
    ("POST", "200 OK\r\ncontent-length: 2\r\n\r\nok", "ok", " and more"),
    ("POST", "200 OK\r\ncontent-length: 2\r\n\r\nok", "ok", EVIL),
    ("POST", "200 OK\r\ncontent-length: 0\r\n\r\n", "", "x"),
    ("POST", "200 OK\r\ncontent-length: 0\r\n\r\n", "", EVIL),
    ("POST", "204 No Content\r\n\r\n", "", "{}"),
    ("POST", "204 No Content\r\ncontent-length: 4\r\n\r\n", "", "more"),
    ("POST", "204 No Content\r\n\r\n", "", EVIL),
    ("POST", "304 Not Modified\r\ncontent-length: 4\r\n\r\n", "", "more"),
    ("HEAD", "200 OK\r\ncontent-length: 4\r\n\r\n", "", "more"),
    ("HEAD", "200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "", "4\r\nmore\r\n0\r\n\r\n"),
    ("POST", "200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", "more"),
    ("POST", "200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", EVIL),
    ("POST", "200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "", "0\r\n\r\n"),
];

/// Bytes that must not answer any request.
const EVIL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";

/// Asserts that an answer is relayed, and that the surplus bytes after it answer no request. `send` sends the
/// answer and the surplus bytes. It calls `answered` when the client has its answer, and then waits until
/// everything is sent.
fn is_passed_on_alone(
    (method, answer, content, surplus): (&str, &str, &str, &str),
    how: &str,
    version: &'static str,
    send: impl Fn(&mut Connection, &[u8], &[u8]) + Send + Sync + 'static,
    answered: impl Fn(),
) {
    let what = format!("{how}, {version} {method}: {} {}", answer.escape_debug(), surplus.escape_debug());
    let (sent, is_sent) = std::sync::mpsc::channel();
    let (status, answer) = (&answer[..3], format!("HTTP/1.1 {answer}"));
    let surplus = surplus.to_owned();
    let upstream = once(move |connection| {
        connection.request();
        send(connection, answer.as_bytes(), surplus.as_bytes());
        sent.send(()).unwrap();
        connection.wait_closed();
    });
    let gateway = gateway().route_with(PATH, &upstream.url(), "methods = [\"POST\", \"HEAD\"]").start();
    let mut client = Client::to(&gateway);
    let response = client.send(post("").method(method).version(version).bytes()).response_to(method);
    assert_eq!((&response.status.to_string()[..], &response.text()[..]), (status, content), "{what}");
    assert!(response.complete, "{what}");
    answered();
    is_sent.recv_timeout(PATIENCE).unwrap();
    // By now, all surplus bytes are in the kernel. An HTTP/1.1 connection stays open, so nothing else was
    // relayed.
    if version == "HTTP/1.1" {
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    } else {
        client.half_close().assert_closed();
        exchange(&gateway).assert_answer("ok");
    }
    upstream.wait_closed(1);
    assert_eq!(upstream.connections(), 2, "{what}");
}

#[test]
fn bytes_behind_a_complete_answer_are_discarded_and_the_answer_is_relayed_however_they_are_cut() {
    for case in SURPLUS {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let at_once = |connection: &mut Connection, answer: &[u8], surplus: &[u8]| {
                connection.send([answer, surplus].concat());
            };
            is_passed_on_alone(case, "at once", version, at_once, || ());
            let by_bytes = |connection: &mut Connection, answer: &[u8], surplus: &[u8]| {
                for byte in [answer, surplus].concat() {
                    connection.send([byte]);
                }
            };
            is_passed_on_alone(case, "by bytes", version, by_bytes, || ());
            let (open, passed) = gate();
            let late = move |connection: &mut Connection, answer: &[u8], surplus: &[u8]| {
                connection.send(answer);
                passed.pass();
                connection.send(surplus);
            };
            is_passed_on_alone(case, "late", version, late, || open.open());
        }
        let ends = case.1.len() + "HTTP/1.1 ".len() + case.3.len();
        for cut in 1..ends {
            let in_two = move |connection: &mut Connection, answer: &[u8], surplus: &[u8]| {
                let bytes = [answer, surplus].concat();
                let (first, second) = bytes.split_at(cut);
                connection.send(first);
                connection.send(second);
            };
            is_passed_on_alone(case, "in two", "HTTP/1.1", in_two, || ());
        }
    }
}

#[test]
fn what_an_upstream_says_unasked_answers_no_request() {
    let (open, passed) = gate();
    let upstream = once(move |connection| {
        connection.request();
        connection.send(OK);
        passed.pass();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
        connection.wait_closed();
    });
    let gateway = Gateway::before(&upstream);
    exchange(&gateway).assert_answer("ok");
    open.open();
    upstream.wait_closed(1);
    exchange(&gateway).assert_answer("ok");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn bytes_on_an_idle_connection_when_it_is_reused_answer_no_request() {
    let (open, passed) = gate();
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = once(move |connection| {
        connection.request();
        connection.send(OK);
        passed.pass();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
        tell.send(()).unwrap();
        connection.wait_closed();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    open.open();
    told.recv_timeout(PATIENCE).unwrap();
    // By now, the bytes are in the kernel's buffer. The gateway may have read them or not.
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn interim_answers_do_not_end_the_exchange() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let upstream = Upstream::answering([interim.as_bytes(), OK].concat());
        let gateway = Gateway::before(&upstream);
        let mut client = Client::to(&gateway);
        for _ in 0..2 {
            client.send(post(FIXTURE).bytes());
            let mut response = client.response();
            while response.status < 200 {
                response = client.response();
            }
            response.assert_answer("ok");
        }
        drop(gateway);
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn interim_answers_without_end_are_cut() {
    let upstream = once(|connection| {
        connection.request();
        let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(100_000);
        while connection.send(&many) {}
    });
    let gateway = gateway().upstream("response_timeout = \"2s\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    let mut response = client.response();
    while response.status < 200 {
        response = client.response();
    }
    assert!(matches!(response.status, 502 | 504), "{response:?}");
    exchange(&gateway).assert_answer("ok");
}

#[test]
fn switching_protocols_is_a_failure() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        for request in [post(FIXTURE), post(FIXTURE).line("connection: upgrade").line("upgrade: websocket")] {
            let upstream = once_answering_and_waiting(answer);
            let gateway = Gateway::before(&upstream);
            let response = Client::to(&gateway).send(request.bytes()).response();
            assert_refused(&response, 502, Some("upstream_failed"));
            upstream.wait_closed(1);
            exchange(&gateway).assert_answer("ok");
        }
    }
}

#[test]
fn an_upstream_that_stalls_before_its_answer_is_a_504() {
    // Each case takes as long as an upstream may stall, so the cases run in parallel.
    std::thread::scope(|scope| {
        scope.spawn(|| stalls_once(&once(Connection::wait_closed)));
        for part in [
            "H",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            scope.spawn(move || stalls_once(&once_answering_and_waiting(part)));
        }
    });
}

#[test]
fn an_upstream_that_does_not_take_the_request_is_a_504() {
    let (open, passed) = gate();
    let upstream = once(move |connection| {
        passed.pass();
        connection.reset();
    });
    let gateway = gateway()
        .limits("max_body = \"16MiB\"\nbody_timeout = \"1h\"")
        .upstream(STALLS)
        .route(PATH, &upstream.url())
        .start();
    // The content is larger than the kernel's buffers.
    let large = vec![b'x'; 16 * 1024 * 1024];
    let response = Client::to(&gateway).send(post(&large).bytes()).response();
    assert_refused(&response, 504, Some("upstream_timeout"));
    open.open();
    exchange(&gateway).assert_answer("ok");
}

/// The whole event takes twice the limit. The kernel's buffers must be small. If they took megabytes in
/// one write, the last byte would seem to be sent long before the upstream can have read it.
#[test]
fn an_upstream_that_takes_a_large_event_slowly_is_waited_for() {
    const SIZE: usize = 8 << 20;
    let upstream = Upstream::scripted(|connection| {
        for taken in (0..SIZE).step_by(SIZE / 64) {
            connection.read_at_least(taken);
            // The sleep makes the upstream slow.
            std::thread::sleep(Duration::from_millis(60));
        }
        connection.request();
        connection.send(OK);
    });
    let gateway = gateway()
        .limits("max_body = \"16MiB\"")
        .upstream("response_timeout = \"2s\"")
        .route(PATH, &upstream.url())
        .start();
    Client::to(&gateway).send(post(vec![b'x'; SIZE]).bytes()).response().assert_answer("ok");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn an_answer_that_goes_on_slowly_is_not_cut() {
    let upstream = Upstream::scripted(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
        for byte in b"hello, you" {
            // Each piece arrives in time, but all pieces together exceed the limit.
            std::thread::sleep(Duration::from_millis(250));
            connection.send([*byte]);
        }
    });
    let gateway = gateway().upstream("response_timeout = \"2s\"").route(PATH, &upstream.url()).start();
    exchange(&gateway).assert_answer("hello, you");
}

#[test]
fn an_answer_before_the_body_is_read_is_passed_on() {
    let upstream = once(|connection| {
        connection.request_head();
        connection.send("HTTP/1.1 413 Too Much\r\ncontent-length: 4\r\n\r\nlate");
        connection.request();
        // If the upstream has read the whole request when its answer arrives, the connection is reused.
        while connection.request().is_some() {
            connection.send(OK);
        }
    });
    let gateway = gateway().limits("max_body = \"16MiB\"").route(PATH, &upstream.url()).start();
    let large = vec![b'x'; 16 * 1024 * 1024];
    let response = Client::to(&gateway).send(post(&large).bytes()).response();
    assert_eq!((response.status, response.text().as_str(), response.complete), (413, "late", true));
    exchange(&gateway).assert_answer("ok");
}

#[test]
fn an_answer_from_an_upstream_that_never_reads_the_body_is_passed_on() {
    let (open, passed) = gate();
    let upstream = once(move |connection| {
        connection.request_head();
        connection.send("HTTP/1.1 413 Too Much\r\ncontent-length: 4\r\n\r\nlate");
        passed.pass();
        connection.reset();
    });
    let gateway = gateway().limits("max_body = \"16MiB\"").route(PATH, &upstream.url()).start();
    let large = vec![b'x'; 16 * 1024 * 1024];
    let response = Client::to(&gateway).send(post(&large).bytes()).response();
    assert_eq!((response.status, response.text().as_str(), response.complete), (413, "late", true));
    // The rest of the request is not read, so the connection cannot be reused.
    exchange(&gateway).assert_answer("ok");
    assert_eq!(upstream.connections(), 2);
    open.open();
}

#[test]
fn an_upstream_that_half_closes_behind_its_answer_has_answered() {
    let upstream = once(|connection| {
        connection.request();
        connection.send(OK);
        connection.half_close();
        connection.wait_closed();
    });
    let gateway = Gateway::before(&upstream);
    exchange(&gateway).assert_answer("ok");
    upstream.wait_closed(1);
    exchange(&gateway).assert_answer("ok");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn an_upstream_that_says_close_is_not_asked_again_on_that_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: x-y, Close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let upstream = once_answering_and_waiting(answer);
        let gateway = Gateway::before(&upstream);
        let mut client = Client::to(&gateway);
        // The sender's connection stays open.
        for _ in 0..2 {
            client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
        }
        assert_eq!(upstream.connections(), 2);
        upstream.wait_closed(1);
    }
}

#[test]
fn a_kept_connection_that_was_closed_while_idle_is_replaced_silently() {
    let upstream = once(|connection| {
        connection.request();
        connection.send(OK);
        connection.half_close();
        connection.wait_closed();
    });
    let gateway = Gateway::before(&upstream);
    exchange(&gateway).assert_answer("ok");
    // The gateway has noticed that the connection was closed, and has closed its side.
    upstream.wait_closed(1);
    let content = b"the second event";
    Client::to(&gateway).send(post(content).bytes()).response().assert_answer("ok");
    let arrived = upstream.requests().iter().filter(|request| request.content == content).count();
    assert_eq!(arrived, 1);
}

#[test]
fn a_kept_connection_that_closes_at_any_moment_costs_at_most_a_502_and_never_a_second_delivery() {
    let upstream = Upstream::scripted(|connection| {
        // Each connection closes right after its first answer. So the next request finds the connection
        // closed.
        if connection.request().is_some() {
            connection.send(OK);
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    let mut answered = Vec::new();
    for n in 0..100 {
        let content = format!("event {n}");
        let response = client.send(post(&content).bytes()).response();
        if response.status == 200 {
            answered.push(content);
        } else {
            assert_refused(&response, 502, Some("upstream_failed"));
        }
    }
    drop((client, gateway));
    let mut arrived: Vec<_> =
        upstream.requests().into_iter().map(|request| String::from_utf8(request.content).unwrap()).collect();
    let count = arrived.len();
    arrived.sort_unstable();
    arrived.dedup();
    assert_eq!(arrived.len(), count, "an event arrived twice");
    assert!(
        answered.iter().all(|content| arrived.contains(content)),
        "an event was answered and never arrived"
    );
}

#[test]
fn a_kept_connection_that_closes_as_we_write_has_the_post_at_most_once() {
    for reset in [false, true] {
        for whole in [false, true] {
            let upstream = once(move |connection| {
                connection.request();
                connection.send(OK);
                if whole {
                    connection.request();
                } else {
                    connection.request_head();
                }
                if reset {
                    connection.reset();
                }
            });
            let gateway = Gateway::before(&upstream);
            exchange(&gateway).assert_answer("ok");
            let content = b"it may have been processed";
            let response = Client::to(&gateway).send(post(content).bytes()).response();
            assert_refused(&response, 502, Some("upstream_failed"));
            exchange(&gateway).assert_answer("ok");
            drop(gateway);
            let arrived = upstream.requests().iter().filter(|request| request.content == content).count();
            assert!(arrived <= 1, "it arrived {arrived} times");
        }
    }
}

#[test]
fn an_event_is_delivered_though_its_sender_has_gone() {
    for how in ["close", "reset"] {
        let upstream = Upstream::ok();
        let gateway = Gateway::before(&upstream);
        for n in 1..=10 {
            let mut client = Client::to(&gateway);
            client.send(post(FIXTURE).bytes());
            if how == "reset" {
                // A reset may overtake the bytes that were sent before it. So the gateway must have read
                // these bytes first.
                upstream.wait_for(n);
                client.reset();
            }
        }
        assert_eq!(upstream.wait_for(10).len(), 10);
    }
}

#[test]
fn a_sender_that_leaves_does_not_break_off_what_the_upstream_is_working_on() {
    let (open, passed) = gate();
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |connection| {
        while let Some(request) = connection.request() {
            if request.content == FIXTURE {
                passed.pass();
                if tell.send(connection.is_open()).is_err() {
                    return;
                }
            }
            connection.send(OK);
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    upstream.wait_for(1);
    client.reset();
    // When these requests are answered, the only worker has noticed that the other client has disconnected.
    for _ in 0..5 {
        Client::to(&gateway).send(post("another").bytes()).response().assert_answer("ok");
    }
    open.open();
    assert!(told.recv_timeout(PATIENCE).unwrap(), "the upstream's connection was cut");
}

/// Some apps abort their work if they cannot write their answer.
#[test]
fn an_answer_is_read_to_its_end_though_nobody_waits_for_it_any_more() {
    let (open, passed) = gate();
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |connection| {
        while let Some(request) = connection.request() {
            if request.content != FIXTURE {
                connection.send(OK);
                continue;
            }
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n");
            for piece in ["hello", "world", "again"] {
                passed.pass();
                if tell.send(connection.is_open()).is_err() {
                    return;
                }
                connection.send(piece);
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes()).until("\r\n\r\n");
    client.reset();
    for piece in ["first", "second", "third"] {
        // When these requests are answered, the only worker has handled everything before them.
        for _ in 0..5 {
            Client::to(&gateway).send(post("another").bytes()).response().assert_answer("ok");
        }
        open.open();
        let is_open = told.recv_timeout(PATIENCE).unwrap();
        assert!(is_open, "the upstream's connection was cut before the {piece} piece");
    }
}

#[test]
fn what_a_client_left_behind_of_its_answer_is_no_answer_to_another() {
    let long = vec![b'z'; 4 * 1024 * 1024];
    let upstream = Upstream::scripted(move |connection| {
        while let Some(request) = connection.request() {
            if request.content == FIXTURE {
                connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", long.len()));
                connection.send(&long);
            } else {
                connection.send(OK);
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    for _ in 0..10 {
        let mut client = Client::to(&gateway);
        client.send(post(FIXTURE).bytes()).until("\r\n\r\n");
        client.reset();
        Client::to(&gateway).send(post("another").bytes()).response().assert_answer("ok");
    }
}

#[test]
fn no_more_connections_are_kept_than_configured() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(OK);
        }
    });
    let gateway = gateway().upstream("max_idle = 2").route(PATH, &upstream.url()).start();
    let mut clients: Vec<_> = (0..5).map(|_| Client::to(&gateway)).collect();
    for client in &mut clients {
        client.send(post(FIXTURE).bytes());
    }
    upstream.wait_for(5);
    drop(open);
    for client in &mut clients {
        client.response().assert_answer("ok");
    }
    upstream.wait_closed(3);
    for client in &mut clients {
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
    assert_eq!(upstream.connections(), 5, "those that were kept are used");
}

#[test]
fn none_is_kept_where_none_may_be() {
    let upstream = Upstream::ok();
    let gateway = gateway().upstream("max_idle = 0").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    for _ in 0..3 {
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn an_answer_without_end_that_nobody_waits_for_is_not_read_for_ever() {
    let (gone, is_gone) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        // The sleep makes the upstream slow.
        while connection.send("1\r\nx\r\n") {
            std::thread::sleep(Duration::from_millis(20));
        }
        gone.send(()).unwrap();
    });
    let gateway = gateway().upstream("response_timeout = \"2s\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes()).until("x");
    client.reset();
    assert!(is_gone.recv_timeout(PATIENCE).is_ok());
}

#[test]
fn a_fault_of_one_upstream_does_not_affect_another() {
    let broken = Upstream::scripted(Connection::wait_closed);
    let good = Upstream::ok();
    let gateway = gateway()
        .route_with(PATH, &broken.url(), "response_timeout = \"500ms\"")
        .route("/good", &good.url())
        .start();
    let mut waiting = Client::to(&gateway);
    waiting.send(post(FIXTURE).bytes());
    broken.wait_for(1);
    for _ in 0..5 {
        Client::to(&gateway).send(post(FIXTURE).target("/good").bytes()).response().assert_answer("ok");
    }
    assert_refused(&waiting.response(), 504, Some("upstream_timeout"));
}

#[test]
fn a_client_that_does_not_take_its_answer_does_not_hold_up_others() {
    let body = vec![b'z'; 16 * 1024 * 1024];
    let upstream = Upstream::scripted(move |connection| {
        while let Some(request) = connection.request() {
            if request.content == FIXTURE {
                connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()));
                connection.send(&body);
            } else {
                connection.send(OK);
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut lazy = Client::to(&gateway);
    lazy.send(post(FIXTURE).bytes()).until("\r\n\r\n");
    for _ in 0..5 {
        Client::to(&gateway).send(post("small").bytes()).response().assert_answer("ok");
    }
    let response = lazy.response();
    assert_eq!((response.complete, response.body.len()), (true, 16 * 1024 * 1024));
}
