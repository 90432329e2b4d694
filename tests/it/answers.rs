//! Upstream answers arrive unchanged and in order, at any speed and with any sizes of reads and writes.

use std::time::Duration;

use crate::support::upstream::OK;
use crate::support::{Client, FIXTURE, Gateway, Response, Upstream, assert_refused, gate, gateway, post};

const PATH: &str = "/webhook/leases";

fn answered(answer: impl AsRef<[u8]>) -> Response {
    let upstream = Upstream::answering(answer);
    let gateway = Gateway::before(&upstream);
    Client::to(&gateway).send(post(FIXTURE).bytes()).response()
}

/// A field name whose upper-case letters encode `n`. The names of the first 1024 numbers differ.
fn spelled(n: usize) -> String {
    let case = |(place, letter): (usize, char)| {
        if n >> place & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
    };
    "propertyid".chars().enumerate().map(case).collect()
}

#[test]
fn each_pipelined_answer_has_its_own_spelling_however_slowly_the_client_reads() {
    const SIZE: usize = 150_000;
    const COUNT: usize = 40;
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            let n: usize = String::from_utf8(request.content).unwrap().parse().unwrap();
            let name = spelled(n);
            let body = format!("{n:05}").repeat(SIZE / 5);
            // Every third answer has the usual spelling. Some answers are so short that they arrive with
            // their head.
            let size = if n % 4 == 1 { 5 } else { SIZE };
            let framing = if n.is_multiple_of(3) { "content-length" } else { "Content-Length" };
            connection.send(format!(
                "HTTP/1.1 200 OK\r\n{name}: {n}\r\n{framing}: {size}\r\n\r\n{}",
                &body[..size]
            ));
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    let requests: Vec<u8> = (0..COUNT).flat_map(|n| post(n.to_string()).bytes()).collect();
    client.send(requests);
    for n in 0..COUNT {
        // The gateway now has more bytes to write than the kernel accepts.
        client.read_some(1 + n * 100);
        let response = client.response();
        assert!(response.complete);
        assert_eq!(response.fields[0].name, spelled(n));
        assert!(response.body.chunks(5).all(|piece| piece == format!("{n:05}").as_bytes()), "{n}");
    }
}

#[test]
fn a_head_as_large_as_it_may_be_is_passed_on_line_by_line() {
    let lines: Vec<_> = (0..99).map(|n| format!("{}-{}: {}", spelled(n), n, "v".repeat(565 + n))).collect();
    let answer = format!("HTTP/1.1 200 OK\r\n{}\r\nContent-Length: 2\r\n\r\nok", lines.join("\r\n"));
    assert!(answer.len() > 60 * 1024);
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            for piece in answer.as_bytes().chunks(7000) {
                connection.send(piece);
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    for _ in 0..3 {
        let response = client.send(post(FIXTURE).bytes()).response();
        response.assert_answer("ok");
        let got: Vec<_> = response
            .fields
            .iter()
            .map(|field| format!("{}: {}", field.name, String::from_utf8_lossy(&field.value)))
            .collect();
        assert_eq!(got[..99], lines[..]);
        assert_eq!(got[99..], ["Content-Length: 2"]);
    }
}

#[test]
fn an_answer_has_up_to_a_hundred_lines() {
    let with = |lines: usize| {
        answered(format!("HTTP/1.1 200 OK\r\n{}content-length: 2\r\n\r\nok", "X: y\r\n".repeat(lines - 1)))
    };
    assert_eq!(with(100).values("x").len(), 99);
    assert_refused(&with(101), 502, Some("upstream_failed"));
}

#[test]
fn cookies_keep_their_order_and_their_spelling() {
    let names: Vec<_> =
        (0..60_u32).map(|n| if n.is_multiple_of(3) { "Set-Cookie" } else { "set-cookie" }).collect();
    let lines: String = names.iter().enumerate().map(|(n, name)| format!("{name}: c{n}=1\r\n")).collect();
    let response = answered(format!("HTTP/1.1 200 OK\r\n{lines}Content-length: 0\r\n\r\n"));
    let cookies = response.fields.iter().filter(|field| field.is("set-cookie"));
    let got: Vec<_> =
        cookies.map(|field| (field.name.as_str(), String::from_utf8(field.value.clone()).unwrap())).collect();
    let want: Vec<_> = names.iter().enumerate().map(|(n, name)| (*name, format!("c{n}=1"))).collect();
    assert_eq!(got, want);
    assert_eq!(response.fields[60].name, "Content-length");
}

#[test]
fn a_reason_phrase_need_not_be_ascii() {
    let response = answered(b"HTTP/1.1 200 Sch\xf6n\r\ncontent-length: 2\r\n\r\nok");
    response.assert_answer("ok");
    assert!(response.raw.starts_with(b"HTTP/1.1 200 Sch\xf6n\r\n"), "{}", response.raw.escape_ascii());
}

#[test]
fn an_answer_of_304_has_no_content_and_keeps_its_length() {
    let upstream = Upstream::answering("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nEtag: x\r\n\r\n");
    let gateway = gateway().route_with(PATH, &upstream.url(), "methods = [\"POST\", \"HEAD\"]").start();
    let mut client = Client::to(&gateway);
    for method in ["POST", "HEAD", "POST"] {
        let response = client.send(post("").method(method).bytes()).response_to(method);
        assert_eq!((response.status, response.value("content-length").as_deref()), (304, Some("10")));
        assert_eq!(response.values("transfer-encoding"), [""; 0]);
    }
    client.half_close().assert_closed();
    drop(gateway);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn no_length_is_made_up_for_an_answer_to_head() {
    for framing in ["Transfer-Encoding: chunked\r\n", ""] {
        let upstream = Upstream::answering(format!("HTTP/1.1 200 OK\r\n{framing}x: y\r\n\r\n"));
        let gateway = gateway().route_with(PATH, &upstream.url(), "methods = [\"POST\", \"HEAD\"]").start();
        let mut client = Client::to(&gateway);
        for _ in 0..2 {
            let response = client.send(post("").method("HEAD").bytes()).response_to("HEAD");
            assert_eq!((response.status, response.values("content-length")), (200, vec![]));
        }
        client.half_close().assert_closed();
        drop(gateway);
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn a_connection_of_http_1_0_is_reused_if_the_upstream_allows_it() {
    let upstream =
        Upstream::answering("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok");
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    for _ in 0..3 {
        let response = client.send(post(FIXTURE).bytes()).response();
        response.assert_answer("ok");
        assert_eq!((response.version.as_str(), response.values("connection")), ("HTTP/1.1", vec![]));
    }
    drop(gateway);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_idle_connection_is_closed_before_the_upstreams_keep_alive_time() {
    for (keeps, connections) in [("timeout=1", 3), ("timeout=60", 1)] {
        let upstream = Upstream::answering(format!(
            "HTTP/1.1 200 OK\r\nKeep-Alive: {keeps}, max=9\r\ncontent-length: 2\r\n\r\nok"
        ));
        let gateway = Gateway::before(&upstream);
        let mut client = Client::to(&gateway);
        for _ in 0..3 {
            client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
        }
        drop(gateway);
        assert_eq!(upstream.connections(), connections);
    }
}

#[test]
fn an_interim_answer_has_no_content_and_their_number_is_limited() {
    let interim = |many: usize| ["HTTP/1.1 102 Processing\r\n\r\n".repeat(many).as_bytes(), OK].concat();
    answered(interim(64)).assert_answer("ok");
    assert_refused(&answered(interim(65)), 502, Some("upstream_failed"));
    let with_content =
        [b"HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\n\r\nhello".as_slice(), OK].concat();
    assert_refused(&answered(with_content), 502, Some("upstream_failed"));
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_the_same() {
    let answer = "HTTP/1.1 201 Made\r\nX-One: 1\r\nSet-Cookie: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n";
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            for byte in answer.as_bytes() {
                connection.send([*byte]);
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    for _ in 0..3 {
        let response = client.send(post(FIXTURE).bytes()).response();
        assert_eq!((response.status, response.text().as_str(), response.complete), (201, "abc", true));
        let names: Vec<_> = response.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["X-One", "Set-Cookie", "transfer-encoding"]);
        assert_eq!(response.trailers, []);
    }
    drop(gateway);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_refusal_is_heard_though_the_upstream_resets_the_connection_behind_it() {
    // The upstream reads only the head. So its close makes the kernel reset the connection while the gateway
    // is still writing.
    let upstream = Upstream::scripted(|connection| {
        connection.request_head();
        connection.send("HTTP/1.1 413 Too Much\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlate");
        connection.reset_in_good_time();
    });
    let gateway = gateway().limits("max_body = \"16MiB\"").route(PATH, &upstream.url()).start();
    let large = post(vec![b'x'; 3_000_000]).bytes();
    for _ in 0..50 {
        let response = Client::to(&gateway).send(&large).response();
        assert_eq!((response.status, response.text().as_str(), response.complete), (413, "late", true));
    }
}

#[test]
fn an_event_whose_answer_came_early_is_still_delivered_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let (open, passed) = gate();
        let upstream = Upstream::scripted(move |connection| {
            if connection.request_head() {
                connection.send(answer);
                passed.pass();
                connection.wait_closed();
            }
        });
        let gateway = gateway().limits("max_body = \"16MiB\"").route(PATH, &upstream.url()).start();
        let large = vec![b'x'; 12_000_000];
        Client::to(&gateway).send(post(&large).bytes()).response().assert_answer("ok");
        open.open();
        assert_eq!(upstream.only_request().content.len(), large.len());
        // The upstream answered before it had read the request, so its connection is not reused.
        upstream.wait_closed(1);
    }
}

#[test]
fn an_event_that_is_answered_early_is_delivered_though_its_sender_goes_away() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        if connection.request_head() {
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n");
            passed.pass();
            if connection.request().is_some() {
                connection.send("0\r\n\r\n");
            }
        }
    });
    let gateway = gateway().limits("max_body = \"16MiB\"").route(PATH, &upstream.url()).start();
    let large = vec![b'x'; 12_000_000];
    let mut client = Client::to(&gateway);
    client.send(post(&large).bytes()).until("ok\r\n");
    client.reset();
    open.open();
    assert_eq!(upstream.only_request().content.len(), large.len());
}

#[test]
fn the_request_is_written_on_while_its_answer_is_passed_on() {
    // An upstream that echoes reads no more of the request than the gateway reads of the answer.
    let upstream = Upstream::scripted(|connection| {
        if connection.request_head() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 12000000\r\n\r\n");
            let piece = vec![b'y'; 1_000_000];
            for n in 1..=12 {
                connection.read_at_least(n * 1_000_000);
                connection.send(&piece);
            }
            connection.request();
        }
    });
    let gateway = gateway().limits("max_body = \"16MiB\"").route(PATH, &upstream.url()).start();
    let large = vec![b'x'; 12_000_000];
    let mut client = Client::to(&gateway);
    client.send(post(&large).bytes());
    let response = client.response();
    assert_eq!((response.status, response.body.len(), response.complete), (200, 12_000_000, true));
    assert_eq!(upstream.only_request().content.len(), large.len());
}

#[test]
fn a_limit_that_a_reload_brings_is_that_of_the_next_head_on_an_open_connection() {
    let upstream = Upstream::ok();
    let with =
        |bytes: usize| gateway().limits(&format!("max_header_bytes = {bytes}")).route(PATH, &upstream.url());
    let gateway = with(16 * 1024).start();
    let large = post(FIXTURE).line(format!("x: {}", "y".repeat(12_000))).bytes();
    let mut client = Client::to(&gateway);
    client.send(&large).response().assert_answer("ok");
    gateway.reload(with(9000));
    let mut other = Client::to(&gateway);
    assert_eq!(other.send(&large).response().status, 431);
    // For an open connection, the new limit applies from the next request on.
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    assert_eq!(client.send(&large).response().status, 431);
    gateway.reload(with(20_000));
    let mut client = Client::to(&gateway);
    client.send(&large).response().assert_answer("ok");
    client.send(&large).response().assert_answer("ok");
}

#[test]
fn an_upstream_that_trickles_nothing_but_framing_is_cut() {
    let upstream = Upstream::scripted(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;");
        // The sleep makes the upstream slow. No test waits for the sleep itself.
        while connection.send("x") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let gateway = gateway().upstream("response_timeout = \"2s\"").route(PATH, &upstream.url()).start();
    let response = Client::to(&gateway).send(post(FIXTURE).bytes()).response();
    assert!(!response.complete, "{response:?}");
}
