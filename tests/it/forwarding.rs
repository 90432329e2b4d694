//! Requests reach the upstream unchanged, and answers reach the sender unchanged.

use crate::support::message::Field;
use crate::support::request::HOST;
use crate::support::upstream::{OK, Request};
use crate::support::{
    Client, FIXTURE, Gateway, Post, Response, SECRET_NAME, Upstream, exchange, gate, gateway, post,
    signature, unsigned,
};

const PATH: &str = "/webhook/leases";

/// The request as the upstream received it.
fn forwarded(request: &Post) -> Request {
    let upstream = Upstream::ok();
    let gateway = gateway().route("/{*any}", &upstream.url()).start();
    exchange(&gateway, request).assert_answer("ok");
    upstream.only_request()
}

/// The response as the sender received it.
fn answered(answer: impl AsRef<[u8]>) -> Response {
    let upstream = Upstream::answering(answer);
    let gateway = Gateway::before(&upstream);
    exchange(&gateway, &post(FIXTURE))
}

/// The lines, sorted by name in lower case. The order of fields with different names has no meaning (RFC
/// 9110, section 5.3).
fn by_name(fields: &[Field]) -> Vec<Field> {
    let mut sorted = fields.to_vec();
    sorted.sort_by_key(|field| field.name.to_ascii_lowercase());
    sorted
}

fn lines(lines: &[(&str, &[u8])]) -> Vec<Field> {
    let field = |(name, value): &(&str, &[u8])| Field { name: (*name).to_owned(), value: value.to_vec() };
    by_name(&lines.iter().map(field).collect::<Vec<_>>())
}

#[test]
fn the_upstream_gets_the_fields_that_were_sent_and_no_others() {
    let tag = signature(FIXTURE);
    let sent: &[(&str, &[u8])] = &[
        ("HOST", b"Gateway.Test:8080"),
        ("Content-TYPE", b"application/json; charset=\"utf-8\""),
        ("Propify-Signature", tag.as_bytes()),
        ("X-Custom-ID", b"AbC"),
        ("x-repeated", b"2"),
        ("X-Repeated", b"1"),
        ("x-REPEATED", b"2"),
        ("x-list", b"a, b,,c"),
        ("x-empty", b""),
        ("x-opaque", b"\x80\xff\xc3\x28 caf\xe9"),
        ("x-tab", b"a\tb  c"),
        ("x-quoted", b"\"a\\\"b, c\""),
        ("!#$%&'*+-.^_`|~09Az", b"every character of a token"),
        ("User-Agent", b"Propify/1.0"),
        ("Accept", b"*/*"),
        ("accept-encoding", b"gzip, br"),
        ("authorization", b"Bearer abc"),
        ("Cookie", b"a=b"),
        ("cookie", b"c=d"),
        ("X-Forwarded-For", b"192.0.2.1"),
        ("X-Forwarded-Proto", b"gopher"),
        ("Forwarded", b"for=192.0.2.1"),
        ("Via", b"1.1 somebody"),
        ("Content-Encoding", b"gzip"),
        ("Date", b"not a date"),
        ("Cache-Control", b"no-transform"),
        ("Max-Forwards", b"0"),
        ("Range", b"bytes=0-1"),
        ("x-hookgate-verified", b"a lie that nobody asked to be removed"),
    ];
    let mut request = unsigned(FIXTURE).without("host").without("content-type");
    for (name, value) in sent {
        request = request.line([name.as_bytes(), b":", value].concat());
    }
    let got = forwarded(&request);
    let mut expected = sent.to_vec();
    expected.push(("content-length", b"162"));
    let normal = |mut field: Field| {
        // The gateway rewrites the framing, so its spelling may change.
        if field.is("content-length") {
            field.name = "content-length".to_owned();
        }
        field
    };
    let got_fields: Vec<_> = by_name(&got.fields).into_iter().map(normal).collect();
    assert_eq!(got_fields, lines(&expected));
    assert_eq!(got.content, FIXTURE);
}

#[test]
fn the_lines_of_one_field_keep_their_order() {
    let request = (0..20).fold(post(FIXTURE), |request, n| request.line(format!("X-N: {}", (n * 7) % 20)));
    let expected: Vec<_> = (0..20).map(|n| ((n * 7) % 20).to_string().into_bytes()).collect();
    assert_eq!(forwarded(&request).values("x-n"), expected);
}

#[test]
fn the_request_target_is_passed_on_byte_for_byte() {
    let upstream = Upstream::ok();
    let gateway = gateway().route("/{*any}", &upstream.url()).start();
    let targets = [
        "/",
        "/?",
        "/a?",
        "/a?b=c&d=e&&=&b=c",
        "/a?q=/b?c=d;e:f@g!h$i'j(k)l*m+n,o-p.q_r~s",
        "//a//b/c/",
        "/..a/%252e%252e/?%25zz",
        "/a;b=c/@:!$&'()*+,=-._~",
        "/%20%c3%A9%ff",
        "/a?%41=%61&/../%2e%2e",
        "/a?http://b/",
        "/http://b/",
        "/webhook%252Fleases",
    ];
    for target in targets {
        exchange(&gateway, &post(FIXTURE).target(target)).assert_answer("ok");
    }
    let got: Vec<_> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(got, targets);
}

#[test]
fn the_query_plays_no_part_in_routing() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for target in ["/webhook/leases?", "/webhook/leases?a=b", "/webhook/leases?/webhook/leads"] {
        exchange(&gateway, &post(FIXTURE).target(target)).assert_answer("ok");
    }
    assert_eq!(upstream.requests()[2].target, "/webhook/leases?/webhook/leads");
}

#[test]
fn hop_by_hop_fields_of_a_request_are_removed() {
    let got = forwarded(
        &post(FIXTURE)
            .line("Connection: keep-alive")
            .line("Keep-Alive: timeout=5")
            .line("Proxy-Connection: keep-alive")
            .line("TE: trailers, deflate")
            .line("Upgrade: websocket")
            .line("X-Stays: yes"),
    );
    // The upstream's oracle checks the other fields.
    let mut names: Vec<_> = got.fields.iter().map(|field| field.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "host", "propify-signature", "x-stays"]);
}

#[test]
fn what_any_connection_line_names_is_removed() {
    let got = forwarded(
        &post(FIXTURE)
            .line("connection: x-first")
            .line("X-First: 1")
            .line("x-second: 2")
            .line("X-THIRD: 3")
            .line("x-third: 3 again")
            .line("x-fourth: 4")
            .line("Connection: X-Second ,, x-third\t,")
            .line("CONNECTION: keep-alive, X-Fourth, x-absent")
            .line("x-fifth: 5"),
    );
    for name in ["x-first", "x-second", "x-third", "x-fourth"] {
        assert!(!got.has(name), "{:?}", got.fields);
    }
    assert!(got.has("x-fifth"));
}

#[test]
fn a_connection_line_cannot_remove_framing_host_or_signature() {
    let got = forwarded(
        &post(FIXTURE)
            .line("connection: host, content-length, content-type, propify-signature")
            .line("connection: Host")
            .line("connection: Propify-Signature"),
    );
    assert_eq!(got.values("host"), [HOST.as_bytes()]);
    assert_eq!(got.values("content-length"), [b"162"]);
    assert_eq!(got.values("content-type"), [b"application/json"]);
    assert_eq!(got.values("propify-signature"), [signature(FIXTURE).as_bytes()]);
}

#[test]
fn chunked_content_arrives_with_one_content_length_and_without_trailers() {
    let request = post(FIXTURE).chunked_with_trailers(
        &[1, 100, 3],
        "x-trailer: 1\r\npropify-signature: x\r\ncontent-length: 5\r\nhost: evil\r\n",
    );
    let got = forwarded(&request);
    assert_eq!(got.content, FIXTURE);
    assert_eq!(got.values("content-length"), [b"162"]);
    assert_eq!(got.values("host"), [HOST.as_bytes()]);
    assert_eq!(got.values("propify-signature"), [signature(FIXTURE).as_bytes()]);
    assert!(!got.has("x-trailer"));
}

#[test]
fn chunk_extensions_are_read_over() {
    let body = "a2;name=value;x=\"y;z\"\r\n".to_owned()
        + std::str::from_utf8(FIXTURE).unwrap()
        + "\r\n000;last\r\n\r\n";
    let got = forwarded(&post(FIXTURE).line("Transfer-Encoding: Chunked").raw(body));
    assert_eq!(got.content, FIXTURE);
}

#[test]
fn expect_is_dealt_with_and_not_passed_on() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).line("Expect: 100-continue").bytes());
    let mut response = client.response();
    if response.status == 100 {
        response = client.response();
    }
    response.assert_answer("ok");
    assert!(!upstream.only_request().has("expect"));
}

#[test]
fn a_client_of_http_1_0_is_served_and_never_answered_in_chunks() {
    let answers: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nx-trailer: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let upstream = Upstream::scripted(move |connection| {
            while connection.request().is_some() {
                connection.send(answer);
                if index == 2 {
                    return;
                }
            }
        });
        let gateway = Gateway::before(&upstream);
        for request in [post(FIXTURE), post(FIXTURE).line("connection: keep-alive")] {
            let response = exchange(&gateway, &request.version("HTTP/1.0"));
            response.assert_answer("hello");
            assert_eq!(response.values("transfer-encoding"), [""; 0]);
        }
        assert_eq!(upstream.wait_for(2)[0].content, FIXTURE);
    }
}

#[test]
fn a_connection_of_http_1_0_is_closed_unless_the_client_asks_to_keep_it() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).version("HTTP/1.0").bytes()).response().assert_answer("ok");
    client.assert_closed();
    let mut client = Client::to(&gateway);
    for _ in 0..2 {
        let request = post(FIXTURE).version("HTTP/1.0").line("connection: keep-alive");
        let response = client.send(request.bytes()).response();
        response.assert_answer("ok");
        let connection = response.value("connection").map(|value| value.to_ascii_lowercase());
        assert_eq!(connection.as_deref(), Some("keep-alive"));
    }
}

/// RFC 9112, section 3.2, requires `host` only in HTTP/1.1. The documents of hookgate do not require it in
/// HTTP/1.0 either.
#[test]
fn a_client_of_http_1_0_needs_no_host() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    exchange(&gateway, &post(FIXTURE).without("host").version("HTTP/1.0")).assert_answer("ok");
    assert_eq!(upstream.only_request().values("host").len(), 1);
}

#[test]
fn a_request_that_says_close_is_answered_and_the_connection_closed() {
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            let content = if request.method == "HEAD" { "" } else { "ok" };
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{content}"));
        }
    });
    let gateway = gateway().route_with(PATH, &upstream.url(), "methods = [\"POST\", \"HEAD\"]").start();
    let mut client = Client::to(&gateway);
    client.send(post("").method("HEAD").line("Connection: Close").bytes());
    assert_eq!(client.response_to("HEAD").value("connection").as_deref(), Some("close"));
    client.assert_closed();
    let mut client = Client::to(&gateway);
    let response = client.send(post(FIXTURE).line("connection: close").bytes()).response();
    response.assert_answer("ok");
    assert_eq!(response.value("connection").as_deref(), Some("close"));
    client.assert_closed();
}

#[test]
fn connections_are_kept_on_both_sides() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    for _ in 0..10 {
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
    assert_eq!(upstream.requests().len(), 10);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn nothing_is_added_unless_it_is_asked_for() {
    let got = forwarded(&unsigned("").line(format!("propify-signature: {}", signature(b""))));
    let mut names: Vec<_> = got.fields.iter().map(|field| field.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "host", "propify-signature"]);
}

#[test]
fn forwarded_fields_are_appended_where_they_are_asked_for() {
    let upstream = Upstream::ok();
    let gateway = gateway().forward("x_forwarded = true").route(PATH, &upstream.url()).start();
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    exchange(&gateway, &post(FIXTURE).line("X-Forwarded-For: 192.0.2.1")).assert_answer("ok");
    let requests = upstream.wait_for(2);
    assert_eq!(requests[0].values("x-forwarded-for"), [b"127.0.0.1"]);
    assert_eq!(requests[0].values("x-forwarded-proto"), [b"http"]);
    assert_eq!(requests[0].values("x-forwarded-host"), [HOST.as_bytes()]);
    // The list is the same in one line or in two lines (RFC 9110, section 5.3).
    let list = requests[1].values("x-forwarded-for").join(b", ".as_slice());
    assert_eq!(list, b"192.0.2.1, 127.0.0.1");
}

#[test]
fn the_verified_field_is_ours_alone_where_it_is_asked_for() {
    let upstream = Upstream::ok();
    let gateway =
        gateway().forward("verified_field = \"x-hookgate-verified\"").route(PATH, &upstream.url()).start();
    let request = post(FIXTURE).line("X-Hookgate-Verified: a lie").line("x-hookgate-verified: another");
    exchange(&gateway, &request).assert_answer("ok");
    let values = upstream.only_request().values("x-hookgate-verified");
    let [value] = values.as_slice() else { panic!("{values:?}") };
    let text = String::from_utf8(value.clone()).unwrap();
    assert!(text.contains("propify") && text.contains(SECRET_NAME) && !text.contains("lie"), "{text}");
}

#[test]
fn via_is_added_where_it_is_asked_for() {
    for (asked, want) in [("", &[][..]), ("via = true", &[b"1.1 hookgate".to_vec()])] {
        let upstream = Upstream::ok();
        let gateway = gateway().forward(asked).route(PATH, &upstream.url()).start();
        exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
        assert_eq!(upstream.only_request().values("via"), want, "{asked:?}");
    }
}

#[test]
fn the_upstreams_answer_is_passed_on_field_by_field() {
    let response = answered(
        b"HTTP/1.1 299 Quite All Right\r\nContent-Length: 5\r\nX-Custom-ID: AbC\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\
          Set-Cookie: a=b\r\nx-opaque: \x80\xff\r\nx-empty:\r\nServer: an app\r\nDate: yesterday\r\nConnection: \
          x-hop\r\nX-Hop: 1\r\nConnection: X-Hop-Too, keep-alive\r\nx-hop-too: 2\r\nKeep-Alive: timeout=5\r\n\
          Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nContent-Encoding: gzip\r\nVary: *\r\n\r\n\x1f\x8b\0\xff\n",
    );
    assert_eq!((response.status, response.reason.as_str()), (299, "Quite All Right"));
    assert_eq!(response.body, b"\x1f\x8b\0\xff\n");
    let kept: Vec<_> = response.fields.iter().filter(|field| !field.is("connection")).cloned().collect();
    let mut got = by_name(&kept);
    for field in &mut got {
        if field.is("content-length") {
            field.name = "content-length".to_owned();
        }
    }
    assert_eq!(
        got,
        lines(&[
            ("content-length", b"5"),
            ("X-Custom-ID", b"AbC"),
            ("Set-Cookie", b"a=b"),
            ("set-cookie", b"c=d"),
            ("Set-Cookie", b"a=b"),
            ("x-opaque", b"\x80\xff"),
            ("x-empty", b""),
            ("Server", b"an app"),
            ("Date", b"yesterday"),
            ("Content-Encoding", b"gzip"),
            ("Vary", b"*"),
        ])
    );
}

#[test]
fn a_reason_phrase_may_be_empty_and_a_status_unknown() {
    for (status, reason) in [(200, ""), (200, "ok"), (404, "Nope"), (599, "Odd"), (302, "Found")] {
        let response = answered(format!("HTTP/1.1 {status} {reason}\r\ncontent-length: 2\r\n\r\nok"));
        assert_eq!(
            (response.status, response.reason.as_str(), response.text().as_str()),
            (status, reason, "ok")
        );
    }
}

#[test]
fn no_status_of_the_upstream_is_acted_upon() {
    for status in [201, 301, 302, 307, 401, 407, 413, 429, 500, 502, 503, 504] {
        let response = answered(format!(
            "HTTP/1.1 {status} X\r\nlocation: http://elsewhere.test/\r\nretry-after: 1\r\ncontent-length: 3\r\n\r\nown"
        ));
        assert_eq!((response.status, response.text().as_str()), (status, "own"));
        assert_eq!(response.value("location").as_deref(), Some("http://elsewhere.test/"));
    }
}

#[test]
fn no_date_and_no_server_is_added_to_an_answer() {
    let response = answered(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(response.values("date"), [""; 0]);
    assert_eq!(response.values("server"), [""; 0]);
    assert_eq!(response.values("via"), [""; 0]);
}

#[test]
fn an_answer_arrives_whole_however_it_is_framed() {
    let long = "0123456789".repeat(30_000);
    let chunks: String = long.as_bytes().chunks(7000).fold(String::new(), |text, chunk| {
        text + &format!("{:x};x=y\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
    });
    let answers = [
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", long.len()),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\nx-trailer: 1\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{long}"),
        format!("HTTP/1.0 200 OK\r\n\r\n{long}"),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let upstream = Upstream::scripted(move |connection| {
            while connection.request().is_some() {
                connection.send(&answer);
                if index > 1 {
                    return;
                }
            }
        });
        let gateway = Gateway::before(&upstream);
        let mut client = Client::to(&gateway);
        for _ in 0..2 {
            let response = client.send(post(FIXTURE).bytes()).response();
            response.assert_answer(&long);
            assert_eq!(response.trailers, [], "trailers are removed");
            let length = response.value("content-length");
            assert_eq!(length, (index == 0).then(|| long.len().to_string()), "its length is known, or not");
        }
    }
}

#[test]
fn an_answer_is_streamed_as_it_comes() {
    for framing in ["transfer-encoding: chunked", "content-length: 10", "connection: close"] {
        let (open, passed) = gate();
        let chunked = framing.starts_with("transfer");
        let piece = move |text: &str| if chunked { format!("5\r\n{text}\r\n") } else { text.to_owned() };
        let upstream = Upstream::scripted(move |connection| {
            if connection.request().is_none() {
                return;
            }
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
            passed.pass();
            connection.send(piece("first"));
            passed.pass();
            connection.send(piece("after"));
            if chunked {
                connection.send("0\r\n\r\n");
            }
        });
        let gateway = Gateway::before(&upstream);
        let mut client = Client::to(&gateway);
        client.send(post(FIXTURE).bytes()).until("\r\n\r\n");
        open.open();
        client.until("first");
        open.open();
        client.response().assert_answer("firstafter");
    }
}

#[test]
fn an_answer_without_a_body_has_none() {
    for (status, field) in [(204, "x: y"), (304, "content-length: 10"), (304, "etag: \"x\"")] {
        let upstream = Upstream::answering(format!("HTTP/1.1 {status} None\r\n{field}\r\n\r\n"));
        let gateway = Gateway::before(&upstream);
        let mut client = Client::to(&gateway);
        for _ in 0..2 {
            let response = client.send(post(FIXTURE).bytes()).response();
            assert_eq!(response.status, status);
            assert_eq!(response.values("transfer-encoding"), [""; 0]);
            if status == 204 {
                assert_eq!(response.values("content-length"), [""; 0]);
            }
        }
        drop(gateway);
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn an_empty_answer_stays_empty() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    for _ in 0..2 {
        let response = client.send(post(FIXTURE).bytes()).response();
        response.assert_answer("");
        assert_eq!(response.value("content-length").as_deref(), Some("0"));
    }
}

#[test]
fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    let gateway = gateway().route_with(PATH, &upstream.url(), "methods = [\"POST\", \"HEAD\"]").start();
    let mut client = Client::to(&gateway);
    for _ in 0..2 {
        let response = client.send(post("").method("HEAD").bytes()).response_to("HEAD");
        assert_eq!(response.status, 200);
        assert_eq!(response.value("content-length").as_deref(), Some("10"));
    }
    client.half_close().assert_closed();
    assert_eq!(upstream.requests()[0].method, "HEAD");
}

#[test]
fn an_answer_larger_than_any_buffer_is_passed_on_whole() {
    let length = 8 * 1024 * 1024;
    let body = vec![b'z'; length];
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
            connection.send(&body);
        }
    });
    let gateway = Gateway::before(&upstream);
    let response = exchange(&gateway, &post(FIXTURE));
    assert!(response.complete);
    assert_eq!(response.body.len(), length);
}

#[test]
fn an_upstream_that_answers_first_and_reads_then_still_gets_all_of_the_request() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        if connection.request_head() {
            connection.send(OK);
            passed.pass();
            connection.request();
        }
    });
    let gateway = gateway().limits("max_body = \"16MiB\"").route(PATH, &upstream.url()).start();
    let large = vec![b'x'; 16 * 1024 * 1024];
    let mut client = Client::to(&gateway);
    client.send(post(&large).bytes()).response().assert_answer("ok");
    open.open();
    let requests = upstream.wait_for(1);
    assert_eq!(requests[0].content.len(), large.len());
}

#[test]
fn a_connection_line_of_an_answer_cannot_remove_its_signature_field() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: x-a, propify-signature\r\nx-a: 1\r\npropify-signature: 2\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Upstream::answering(answer);
    let response = exchange(&Gateway::before(&upstream), &post(FIXTURE));
    assert_eq!(response.value("propify-signature").as_deref(), Some("2"));
    assert_eq!(response.value("x-a"), None);
}

#[test]
fn a_field_that_hookgate_sets_is_removed_and_the_others_stay_in_order() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .forward("verified_field = \"x-hookgate-verified\"\nx_forwarded = true")
        .route(PATH, &upstream.url())
        .start();
    let request = post(FIXTURE)
        .line("a: 1")
        .line("X-Hookgate-Verified: scheme=propify, secret=current")
        .line("b: 2")
        .line("c: 3");
    exchange(&gateway, &request).assert_answer("ok");
    let seen = upstream.only_request();
    assert_eq!(seen.values("x-hookgate-verified"), [b"scheme=propify, secret=name-of-the-secret".to_vec()]);
    assert_eq!(seen.values("x-forwarded-for"), [b"127.0.0.1".to_vec()]);
    let order: Vec<String> = seen.fields.iter().map(|field| field.name.to_ascii_lowercase()).collect();
    let place = |name: &str| order.iter().position(|other| other == name).unwrap();
    assert!(place("a") < place("b") && place("b") < place("c"), "{order:?}");
}

#[test]
fn an_answer_without_a_length_announces_the_close_to_http_1_0() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let gateway = Gateway::before(&upstream);
    let request = post(FIXTURE).version("HTTP/1.0").line("connection: keep-alive");
    let mut client = Client::to(&gateway);
    let response = client.send(request.bytes()).response();
    response.assert_answer("ok");
    assert_eq!(response.value("connection").as_deref(), Some("close"));
    client.assert_closed();
}
