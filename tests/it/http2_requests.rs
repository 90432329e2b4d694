//! Requests over HTTP/2 that could be read in two ways once they are HTTP/1.1, or that are no requests: they
//! are refused on their stream or with their connection, and never forwarded.

use crate::support::http2::frame::{
    CANCEL, COMPRESSION_ERROR, DATA, END_HEADERS, END_STREAM, FRAME_SIZE_ERROR, Frame, HEADERS, PADDED,
    PROTOCOL_ERROR, PUSH_PROMISE, STREAM_CLOSED, WITH_PRIORITY,
};
use crate::support::http2::hpack::{self, Line};
use crate::support::http2::{Http2, Outcome, PREFACE};
use crate::support::request::{HOST, PATH};
use crate::support::tls::{Authority, until};
use crate::support::{
    Client, FIXTURE, Gateway, Setup, Upstream, gateway, nothing_reached, post, signature, unsigned,
};

fn h2c() -> Setup {
    gateway().server("h2c = true")
}

fn before(upstream: &Upstream) -> Gateway {
    h2c().route(PATH, &upstream.url()).start()
}

/// A signed request without content.
fn base() -> Vec<Line> {
    let signature = signature(b"");
    let lines = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", HOST),
        ("propify-signature", &signature),
    ];
    lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn line(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Line {
    (name.as_ref().to_vec(), value.as_ref().to_vec())
}

/// The request with further lines.
fn with(lines: &[(&str, &str)]) -> Vec<Line> {
    base().into_iter().chain(lines.iter().map(|(name, value)| line(name, value))).collect()
}

/// The request with another value of a line.
fn but(name: &str, value: &str) -> Vec<Line> {
    let is = |own: &Line| own.0 == name.as_bytes();
    base().into_iter().map(|own| if is(&own) { line(name, value) } else { own }).collect()
}

/// The request without a line.
fn without(name: &str) -> Vec<Line> {
    base().into_iter().filter(|own| own.0 != name.as_bytes()).collect()
}

/// The outcome of a request on a connection of its own.
fn outcome(gateway: &Gateway, lines: &[Line]) -> Outcome {
    let mut client = Http2::to(gateway);
    let stream = client.request(lines);
    client.outcome(stream)
}

#[track_caller]
fn assert_refused(gateway: &Gateway, lines: &[Line], status: u16) {
    let outcome = outcome(gateway, lines);
    let is_refused = match outcome {
        Outcome::Status(got) => got == status,
        Outcome::Reset(_) | Outcome::Goaway(_) => status == 400,
        Outcome::Closed => false,
    };
    let shown: Vec<_> = lines
        .iter()
        .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
        .collect();
    assert!(is_refused, "{outcome:?}, not {status}, for {shown:?}");
}

#[test]
fn the_base_of_these_requests_is_served() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for lines in [
        base(),
        with(&[("host", HOST)]),
        without(":authority").into_iter().chain([line("host", HOST)]).collect(),
        but(":scheme", "https"),
        with(&[("te", "trailers")]),
        with(&[("content-length", "0")]),
        with(&[("x-empty", ""), ("x-opaque", "\u{e9}\tb")]),
        but(":path", &format!("{PATH}?a=b&c=%00")),
        with(&[("priority", "u=1, i")]),
    ] {
        assert_eq!(outcome(&gateway, &lines), Outcome::Status(200), "{lines:?}");
    }
    for request in upstream.requests() {
        assert_eq!(request.values("host"), [HOST.as_bytes()]);
        assert_eq!((request.method.as_str(), request.target.split('?').next()), ("POST", Some(PATH)));
    }
}

#[test]
fn no_byte_that_ends_a_line_or_a_field_passes() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let smuggled = format!("a\r\n\r\nPOST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    for bad in [
        "a\r\nb: c",
        "a\nb: c",
        "a\rb",
        "a\0b",
        "\u{1}",
        "\u{7f}",
        "\r\n",
        " a",
        "a ",
        "\ta",
        "a\t",
        &smuggled,
    ] {
        assert_refused(&gateway, &with(&[("x-value", bad)]), 400);
        for name in [":path", ":method", ":authority", ":scheme"] {
            assert_refused(&gateway, &but(name, &format!("{PATH}{bad}")), 400);
            assert_refused(&gateway, &but(name, bad), 400);
        }
        assert_refused(&gateway, &with(&[(&format!("x{bad}"), "b")]), 400);
        assert_refused(&gateway, &with(&[("cookie", bad)]), 400);
        assert_refused(&gateway, &with(&[("cookie", "a"), ("cookie", bad)]), 400);
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn no_name_passes_that_is_no_lower_case_token() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for name in [
        "X-Upper",
        "Content-Length",
        "a b",
        "a:b",
        "",
        " ",
        "a ",
        "\u{e9}",
        "a(b",
        "a\"",
        "x:",
        ":x",
        ":",
        "::path",
    ] {
        assert_refused(&gateway, &with(&[(name, "0")]), 400);
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn pseudo_fields_come_first_once_and_are_those_of_requests() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for (name, value) in base() {
        if name.starts_with(b":") {
            let name = String::from_utf8(name).unwrap();
            // Twice, with the same value and with another one; after the fields; not at all.
            for again in [value, b"/other".to_vec()] {
                let mut lines = base();
                lines.insert(0, line(&name, again));
                assert_refused(&gateway, &lines, 400);
            }
            let last = base().into_iter().find(|own| own.0 == name.as_bytes());
            assert_refused(&gateway, &without(&name).into_iter().chain(last).collect::<Vec<_>>(), 400);
            assert_refused(&gateway, &without(&name), 400);
            // The scheme is not forwarded.
            if name != ":scheme" {
                assert_refused(&gateway, &but(&name, ""), 400);
            }
        }
    }
    for name in [":status", ":protocol", ":unknown", ":Path"] {
        let mut lines = base();
        lines.insert(0, line(name, "200"));
        assert_refused(&gateway, &lines, 400);
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_target_is_a_path_as_in_http_1() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for bad in [
        "webhook/leases",
        "http://gateway.test/webhook/leases",
        "/webhook/leases HTTP/1.1",
        "/webhook/lea ses",
        "/webhook\\leases",
        "/webhook/leases\u{e9}",
        "/webhook/leases|",
        "/webhook/leases\"",
        "/webhook/leases?a b",
        "?/webhook/leases",
        "gateway.test",
    ] {
        assert_refused(&gateway, &but(":path", bad), 400);
    }
    assert_refused(&gateway, &but(":path", "*"), 400);
    for other in ["/webhook/leases/", "//webhook/leases", "/webhook/./leases", "/webhook/%6ceases", "/"] {
        assert_refused(&gateway, &but(":path", other), 404);
    }
    let long = format!("{PATH}?{}", "x".repeat(17_000));
    assert_refused(&gateway, &but(":path", &long), 414);
    for (method, status) in
        [("post", 405), ("GET", 405), ("PATCH", 405), ("PRI", 405), ("P(", 400), ("PO ST", 400)]
    {
        assert_refused(&gateway, &but(":method", method), status);
    }
    // CONNECT has neither a scheme nor a path (RFC 9113, section 8.5).
    assert_refused(&gateway, &but(":method", "CONNECT"), 400);
    let connect = [line(":method", "CONNECT"), line(":authority", "gateway.test:443")];
    let outcome = outcome(&gateway, &connect);
    assert!(matches!(outcome, Outcome::Status(404 | 405 | 400) | Outcome::Reset(_)), "{outcome:?}");
    nothing_reached(gateway, upstream);
}

/// hyper drops a fragment before the gateway sees the target. So the request has one reading: without it.
#[test]
fn a_fragment_reaches_nobody() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for target in [format!("{PATH}#fragment"), format!("{PATH}?a#b"), format!("{PATH}#")] {
        assert_eq!(outcome(&gateway, &but(":path", &target)), Outcome::Status(200));
        let forwarded = upstream.requests().pop().unwrap().target;
        assert_eq!(Some(forwarded.as_str()), target.split('#').next());
    }
    assert_refused(&gateway, &but(":path", "/#/webhook/leases"), 404);
}

#[test]
fn there_is_one_host_whatever_the_fields_say() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for (name, value) in [
        ("host", "other.test"),
        ("host", "gateway.test:80"),
        ("host", ""),
        ("host", "gateway.test, gateway.test"),
        ("host", "GATEWAY.TEST."),
    ] {
        assert_refused(&gateway, &with(&[(name, value)]), 400);
    }
    assert_refused(&gateway, &with(&[("host", HOST), ("host", HOST)]), 400);
    assert_refused(&gateway, &with(&[("host", HOST), ("host", "other.test")]), 400);
    let alone = |values: &[&str]| -> Vec<Line> {
        without(":authority").into_iter().chain(values.iter().map(|value| line("host", value))).collect()
    };
    assert_refused(&gateway, &alone(&[]), 400);
    assert_refused(&gateway, &alone(&[HOST, HOST]), 400);
    assert_refused(&gateway, &alone(&[""]), 400);
    for bad in [
        "user@gateway.test",
        "user:pw@gateway.test",
        "gateway.test/path",
        "gateway.test:x",
        "a b",
        "[::1",
        "gateway.test?",
        "a#b",
        "http://gateway.test",
    ] {
        assert_refused(&gateway, &but(":authority", bad), 400);
        assert_refused(&gateway, &alone(&[bad]), 400);
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn fields_of_an_http_1_connection_are_refused() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for (name, value) in [
        ("connection", "close"),
        ("connection", "content-length"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("content_length", "0"),
        ("transfer_encoding", "chunked"),
        ("content.length", "0"),
        ("propify_signature", "x"),
    ] {
        assert_refused(&gateway, &with(&[(name, value)]), 400);
    }
    assert_refused(&gateway, &with(&[("expect", "a miracle")]), 417);
    assert_refused(&gateway, &with(&[("propify-signature", &signature(b""))]), 401);
    nothing_reached(gateway, upstream);
}

#[test]
fn hop_by_hop_fields_that_http_2_knows_are_not_forwarded() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let lines = with(&[
        ("te", "trailers"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("expect", "100-continue"),
        ("trailer", "x"),
    ]);
    let outcome = outcome(&gateway, &lines);
    assert!(matches!(outcome, Outcome::Status(200)), "{outcome:?}");
    let request = upstream.only_request();
    for name in ["te", "http2-settings", "expect"] {
        assert!(!request.has(name), "{name}");
    }
}

/// A request whose head says this about its content, with the content in these frames.
fn with_content(gateway: &Gateway, lines: &[(&str, &str)], signed: &[u8], content: &[&[u8]]) -> Outcome {
    let mut client = Http2::to(gateway);
    let mut head = without("propify-signature");
    head.push(line("propify-signature", signature(signed)));
    head.extend(lines.iter().map(|(name, value)| line(name, value)));
    let stream = client.id();
    let mut frames = vec![Frame::headers(stream, hpack::block(&head))];
    frames.extend(content.iter().map(|piece| Frame::data(stream, piece)));
    let last = frames.pop().unwrap().end();
    frames.push(last);
    client.send_all(&frames);
    client.outcome(stream)
}

#[test]
fn content_of_another_length_than_its_head_says_is_not_forwarded() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    // Each signature is that of the content that came, or of a part that would be as long as the head says.
    type Case<'c> = (&'c str, &'c [u8], &'c [&'c [u8]]);
    let cases: [Case<'_>; 12] = [
        ("3", b"ab", &[b"ab"]),
        ("3", b"ab", &[b"ab", b""]),
        ("1", b"a", &[b"ab"]),
        ("1", b"a", &[b"a", b"b"]),
        ("0", b"", &[b"ab"]),
        ("1", b"ab", &[b"ab"]),
        ("2", b"", &[]),
        ("2", b"", &[b""]),
        ("+2", b"ab", &[b"ab"]),
        ("0x2", b"ab", &[b"ab"]),
        ("2, 2", b"ab", &[b"ab"]),
        ("18446744073709551618", b"ab", &[b"ab"]),
    ];
    for (length, signed, content) in cases {
        let outcome = with_content(&gateway, &[("content-length", length)], signed, content);
        let is_refused =
            matches!(outcome, Outcome::Status(400..500) | Outcome::Reset(_) | Outcome::Goaway(_));
        assert!(is_refused, "{length}: {outcome:?}");
    }
    for second in ["2", "3"] {
        let lengths = [("content-length", "2"), ("content-length", second)];
        let outcome = with_content(&gateway, &lengths, b"ab", &[b"ab"]);
        assert!(matches!(outcome, Outcome::Status(400) | Outcome::Reset(_)), "{outcome:?}");
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn content_arrives_as_it_was_sent_in_whatever_frames_it_came() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for content in [&[b"ab".as_slice()][..], &[b"", b"a", b"", b"b", b""], &[b"a", b"b"], &[], &[b""]] {
        let signed = content.concat();
        for length in [None, Some(signed.len().to_string())] {
            let lines: Vec<_> = length.iter().map(|length| ("content-length", length.as_str())).collect();
            let outcome = with_content(&gateway, &lines, &signed, content);
            assert_eq!(outcome, Outcome::Status(200), "{content:?} {length:?}");
            let request = upstream.requests().pop().unwrap();
            assert_eq!(request.content, signed);
            assert_eq!(request.values("content-length"), [signed.len().to_string().as_bytes()]);
            assert!(!request.has("transfer-encoding"));
        }
    }
}

#[test]
fn trailers_are_not_forwarded_and_change_nothing() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for (trailers, is_served) in [
        (vec![line("x-trailer", "a")], true),
        (vec![line("propify-signature", signature(b"other"))], true),
        (vec![line("content-length", "7")], true),
        (vec![], true),
        // Malformed (RFC 9113, section 8.1), but h2 takes them. They are as little forwarded as others.
        (vec![line(":path", "/other")], true),
        (vec![line("X-Upper", "a")], false),
        (vec![line("transfer-encoding", "chunked")], false),
        (vec![line("x", "a\r\nb: c")], false),
    ] {
        let mut client = Http2::to(&gateway);
        let head = client.head(&post(FIXTURE));
        client.send_all(&[
            head.clone(),
            Frame::data(head.stream, FIXTURE),
            Frame::headers(head.stream, hpack::block(&trailers)).end(),
        ]);
        let before = upstream.requests().len();
        match client.outcome(head.stream) {
            Outcome::Status(200) => {
                assert!(is_served, "{trailers:?}");
                let requests = upstream.requests();
                let last = requests.last().unwrap();
                assert!(last.target == PATH && !last.has("x-trailer") && last.content == FIXTURE, "{last:?}");
                assert_eq!(last.values("propify-signature"), [signature(FIXTURE).as_bytes()]);
            }
            outcome @ (Outcome::Status(_) | Outcome::Reset(_) | Outcome::Goaway(_) | Outcome::Closed) => {
                assert!(!is_served, "{trailers:?}: {outcome:?}");
                assert_eq!(upstream.requests().len(), before);
            }
        }
    }
}

#[test]
fn cookie_lines_are_one_line_in_http_1() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let lines = with(&[("cookie", "a=b"), ("x-between", "1"), ("cookie", "c=d"), ("cookie", "e=f")]);
    assert_eq!(outcome(&gateway, &lines), Outcome::Status(200));
    let request = upstream.only_request();
    assert_eq!(request.values("cookie"), [b"a=b; c=d; e=f"]);
    assert_eq!(request.values("x-between"), [b"1"]);
    drop(request);
    let huge = "c".repeat(40_000);
    assert_refused(&gateway, &with(&[("cookie", &huge)]), 431);
    let crumbs: Vec<_> = std::iter::repeat_n(("cookie", "a=b"), 2000).collect();
    assert_refused(&gateway, &with(&crumbs), 431);
    let fields: Vec<String> = (0..2000).map(|n| format!("x-{n}")).collect();
    let fields: Vec<_> = fields.iter().map(|name| (name.as_str(), "")).collect();
    assert_refused(&gateway, &with(&fields), 431);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn repeated_fields_keep_their_lines_and_their_values() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let lines = with(&[("x-a", "1"), ("x-b", "2"), ("x-a", ""), ("x-a", "1, 3"), ("x-opaque", "\u{e9}")]);
    assert_eq!(outcome(&gateway, &lines), Outcome::Status(200));
    let request = upstream.only_request();
    assert_eq!(request.values("x-a"), [b"1".as_slice(), b"", b"1, 3"]);
    assert_eq!(request.values("x-b"), [b"2"]);
    assert_eq!(request.values("x-opaque"), ["\u{e9}".as_bytes()]);
    assert_eq!(request.values("content-length"), [b"0"]);
}

#[test]
fn a_stream_that_is_reset_before_its_content_is_whole_forwards_nothing() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let mut client = Http2::to(&gateway);
    for has_length in [true, false] {
        for cut in [0, 1, FIXTURE.len() - 1, FIXTURE.len()] {
            let event = if has_length { post(FIXTURE) } else { post(FIXTURE).raw(FIXTURE) };
            let head = client.head(&event);
            client.send_all(&[
                head.clone(),
                Frame::data(head.stream, &FIXTURE[..cut]),
                Frame::rst_stream(head.stream, CANCEL),
            ]);
            assert!(client.settle());
        }
        // Without a reset, but with the end of the connection.
        let mut other = Http2::to(&gateway);
        let head = other.head(&post(FIXTURE).raw(FIXTURE));
        other.send_all(&[head.clone(), Frame::data(head.stream, FIXTURE)]);
        if has_length {
            other.half_close().ending();
        } else {
            other.reset();
        }
    }
    until("all memory is free", || gateway.control().buffered_bytes() == 0);
    drop(client);
    nothing_reached(gateway, upstream);
}

#[test]
fn padding_and_priorities_are_no_content() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let mut client = Http2::to(&gateway);
    for padding in [0, 1, 255] {
        let head = client.head(&post(FIXTURE)).padded(padding);
        let mut prioritized = client.head(&post(FIXTURE));
        prioritized.payload.splice(..0, [0x80, 0, 0, 0, 200]);
        for head in [head, prioritized.flags(WITH_PRIORITY)] {
            client.send_all(&[
                head.clone(),
                Frame::data(head.stream, &FIXTURE[..7]).padded(padding),
                Frame::data(head.stream, &FIXTURE[7..]).padded(padding).end(),
            ]);
            client.answer(head.stream).assert_answer("ok");
        }
    }
    assert_eq!(upstream.requests().len(), 6);
}

/// What ends a connection, by RFC 9113. In each case an event on another stream is under way; it may be
/// served or not.
#[test]
fn frames_that_are_no_http_2_end_their_connection() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let head = || Frame::headers(1, hpack::block(&base()));
    let long = vec![0; 16_385];
    let cases: Vec<(&str, Vec<u8>, &[u32])> = vec![
        ("DATA on stream 0", Frame::data(0, "x").bytes(), &[PROTOCOL_ERROR]),
        ("HEADERS on stream 0", Frame::headers(0, hpack::block(&base())).bytes(), &[PROTOCOL_ERROR]),
        ("HEADERS on an even stream", Frame::headers(2, hpack::block(&base())).bytes(), &[PROTOCOL_ERROR]),
        ("DATA on an idle stream", Frame::data(101, "x").bytes(), &[PROTOCOL_ERROR, STREAM_CLOSED]),
        ("RST_STREAM on an idle stream", Frame::rst_stream(101, CANCEL).bytes(), &[PROTOCOL_ERROR]),
        ("PUSH_PROMISE", Frame::new(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]).bytes(), &[PROTOCOL_ERROR]),
        ("CONTINUATION alone", Frame::continuation(1, []).bytes(), &[PROTOCOL_ERROR]),
        ("SETTINGS on a stream", Frame { stream: 1, ..Frame::settings(&[]) }.bytes(), &[PROTOCOL_ERROR]),
        ("SETTINGS of 5 bytes", Frame::new(4, 0, 0, [0; 5]).bytes(), &[FRAME_SIZE_ERROR]),
        ("PING of 7 bytes", Frame::new(6, 0, 0, [0; 7]).bytes(), &[FRAME_SIZE_ERROR]),
        ("a frame that is too long", Frame::data(1, &long).bytes(), &[FRAME_SIZE_ERROR]),
        ("a window update of 0", Frame::window_update(0, 0).bytes(), &[PROTOCOL_ERROR]),
        (
            "padding that is longer than its frame",
            Frame::new(DATA, PADDED, 1, [200, 1]).bytes(),
            &[PROTOCOL_ERROR],
        ),
        ("an index that no table has", Frame::headers(3, hpack::indexed(99)).bytes(), &[COMPRESSION_ERROR]),
        ("the index 0", Frame::headers(3, hpack::indexed(0)).bytes(), &[COMPRESSION_ERROR]),
        ("a string that is cut", Frame::headers(3, [0, 5, b'a']).bytes(), &[COMPRESSION_ERROR]),
        (
            "a table that is too large",
            Frame::headers(3, hpack::table_size(1 << 20)).bytes(),
            &[COMPRESSION_ERROR],
        ),
        (
            "a head within a head",
            [Frame::new(HEADERS, END_STREAM, 3, hpack::block(&base())).bytes(), head().bytes()].concat(),
            &[PROTOCOL_ERROR],
        ),
    ];
    for (name, bytes, codes) in cases {
        let mut client = Http2::to(&gateway);
        client.settle();
        client.send(&head()).send_bytes(bytes);
        let goaway = client.ending();
        // h2 says PROTOCOL_ERROR for some that have a code of their own.
        let is_right = |code| code == PROTOCOL_ERROR || codes.contains(&code);
        assert!(goaway.is_some_and(|goaway| is_right(goaway.code)), "{name}: {goaway:?}");
    }
    // Without the preface, it is HTTP/1.1 or nothing.
    let mut client = Http2::connect(gateway.address());
    client
        .send_bytes([b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n".as_slice(), &Frame::settings(&[]).bytes()].concat());
    assert_eq!(
        client.ending_bytes().escape_ascii().to_string().split("\\r\\n").next(),
        Some("HTTP/1.1 505 HTTP Version Not Supported")
    );
    drop(gateway);
    for request in upstream.requests() {
        assert!(request.content.is_empty());
    }
}

#[test]
fn http_2_is_not_spoken_where_it_is_not_turned_on() {
    let upstream = Upstream::ok();
    let gateway = gateway().route(PATH, &upstream.url()).start();
    let response = Client::to(&gateway).send([PREFACE, &Frame::settings(&[]).bytes()].concat()).response();
    assert!((400..=505).contains(&response.status), "{response:?}");
    nothing_reached(gateway, upstream);
}

/// A client may use a connection for a host that another certificate of the same server covers (RFC 9110,
/// section 7.4).
#[test]
fn a_host_that_no_certificate_of_the_connection_covers_is_421_on_its_stream() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let certificate = authority.issue(&["a.example"]);
    let gateway = gateway()
        .file("a.pem", certificate.cert.as_str())
        .file("a.key", certificate.key.as_str())
        .tls("certificates = [{ cert = \"a.pem\", key = \"a.key\" }]")
        .route(PATH, &upstream.url())
        .start();
    let config = authority.client().protocols(&["h2"]).config();
    let mut client = Http2::over_tls(&gateway, "a.example", &config);
    for (host, status) in
        [("a.example", 200), ("b.example", 421), ("a.example:8443", 200), ("A.example", 200)]
    {
        let mut lines = but(":authority", host);
        lines[1] = line(":scheme", "https");
        let stream = client.request(&lines);
        assert_eq!(client.answer(stream).status(), Some(status), "{host}");
    }
    assert_eq!(upstream.requests().len(), 3);
}

/// The gateway's own answers are the same ones as over HTTP/1.1.
#[test]
fn refusals_say_the_same_as_over_http_1() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let mut client = Http2::to(&gateway);
    for event in [
        unsigned(FIXTURE),
        unsigned(FIXTURE).target("/none"),
        post(FIXTURE).method("PUT"),
        post(FIXTURE).forged("x"),
        post(vec![b'x'; 2 << 20]),
    ] {
        let over_1 = Client::to(&gateway).send_in_pieces(&event.bytes(), 16_384).response();
        let over_2 = client.exchange(&event);
        assert_eq!(over_2.status(), Some(over_1.status));
        assert_eq!(over_2.text(), over_1.text());
        for name in ["content-type", "www-authenticate", "allow", "content-length"] {
            assert_eq!(over_2.value(name), over_1.value(name), "{name}");
        }
    }
    nothing_reached(gateway, upstream);
}
