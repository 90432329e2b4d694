//! Strict framing: a request that two parsers could read differently is refused, and no byte of it reaches
//! the upstream.

use std::time::Duration;

use crate::support::request::{HOST, PATH};
use crate::support::{
    Client, FIXTURE, Gateway, Upstream, assert_refused, gate, gateway, nothing_reached, post, signature,
    unsigned,
};

/// Asserts that each of these raw requests is answered with 400, and that its connection is closed.
fn all_malformed(requests: &[(&str, Vec<u8>)]) {
    all_refused(400, requests);
}

/// Asserts that each of these raw requests is refused with this status, and that its connection is closed.
fn all_refused(status: u16, requests: &[(&str, Vec<u8>)]) {
    let upstream = Upstream::ok();
    let gateway = gateway().route("/{*any}", &upstream.url()).start();
    let mut accepted = Vec::new();
    for (what, bytes) in requests {
        for half_closed in [false, true] {
            let mut client = Client::to(&gateway);
            client.offer(bytes);
            if half_closed {
                client.half_close();
            }
            let response = client.response();
            if response.status == status {
                assert_refused(&response, status, None);
                assert_eq!(response.value("connection").as_deref(), Some("close"), "{what}");
                client.assert_closed();
            } else {
                accepted.push(format!("{what}: {}", response.status));
            }
        }
    }
    drop(gateway);
    assert!(accepted.is_empty(), "these were not refused with {status}: {accepted:#?}");
    assert_eq!(upstream.bytes(), 0);
}

/// A signed event in which `to` replaces `from`. Its signature stays valid.
fn with(from: &str, to: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = post(FIXTURE).line("x-a: b").bytes();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is in there");
    [&bytes[..at], to.as_ref(), &bytes[at + from.len()..]].concat()
}

/// A signed event with these framing lines and this body.
fn framed(lines: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    lines.iter().fold(post(FIXTURE).raw(body), |request, line| request.line(line)).bytes()
}

fn fixture() -> &'static str {
    std::str::from_utf8(FIXTURE).unwrap()
}

/// The fixture's body as one chunk.
fn chunk() -> String {
    format!("a2\r\n{}\r\n0\r\n\r\n", fixture())
}

#[test]
fn the_requests_that_are_made_malformed_here_are_well_formed_at_first() {
    let upstream = Upstream::ok();
    let gateway = gateway().route("/{*any}", &upstream.url()).start();
    for bytes in [
        with("x-a: b", "x-a: b"),
        framed(&["content-length: 162"], FIXTURE),
        framed(&["transfer-encoding: chunked"], chunk()),
        framed(&["Transfer-Encoding: CHUNKED"], chunk()),
        framed(&["content-length: 0162"], FIXTURE),
        with("x-a: b", "x-a:b"),
        with("x-a: b", "x-a:\t b \t"),
        with("host: gateway.test", "host: gateway.test:8080"),
        with("host: gateway.test", "host: 192.0.2.1"),
        with("host: gateway.test", "host: [2001:db8::1]:80"),
    ] {
        Client::to(&gateway).send(&bytes).response().assert_answer("ok");
    }
}

#[test]
fn a_request_has_one_valid_host() {
    let host = |value: &str| with("host: gateway.test", format!("host: {value}"));
    all_malformed(&[
        ("none", post(FIXTURE).without("host").bytes()),
        ("two", with("x-a: b", "host: another.test")),
        ("two alike", with("x-a: b", "host: gateway.test")),
        ("two, one empty", with("x-a: b", "Host:")),
        ("a list", host("a.test, b.test")),
        ("a space in it", host("a b")),
        ("a path behind it", host("gateway.test/webhook")),
        ("user information", host("user@gateway.test")),
        ("a query", host("gateway.test?x")),
        ("a fragment", host("gateway.test#x")),
        ("a port that is none", host("gateway.test:http")),
        ("two ports", host("gateway.test:80:80")),
        ("half a bracket", host("[::1")),
        ("an address without brackets", host("::1")),
        ("a URL", host("http://gateway.test")),
        ("a backslash", host("gateway.test\\x")),
        ("a quote", host("gateway.test\"")),
        ("bytes beyond ASCII", with("host: gateway.test", b"host: gateway\xff.test")),
        ("a stray percent", host("gateway%zz.test")),
    ]);
}

#[test]
fn content_length_stands_once_and_is_digits() {
    let length = |value: &str| framed(&[&format!("content-length: {value}")], FIXTURE);
    all_malformed(&[
        ("two that differ", framed(&["content-length: 162", "content-length: 5"], FIXTURE)),
        ("two alike", framed(&["content-length: 162", "content-length: 162"], FIXTURE)),
        ("two alike in other spelling", framed(&["content-length: 162", "Content-Length: 162"], FIXTURE)),
        ("two that are none", framed(&["content-length: 0", "content-length: 162"], FIXTURE)),
        ("a list", length("162, 162")),
        ("a list that differs", length("162,5")),
        ("a sign", length("+162")),
        ("less than nothing", length("-1")),
        ("hexadecimal", length("0xa2")),
        ("a space within", length("1 62")),
        ("a fraction", length("162.0")),
        ("nothing", length("")),
        ("a word", length("many")),
        ("quotes", length("\"162\"")),
        ("digits of another script", length("١٦٢")),
        ("more than 64 bits", length("18446744073709551778")),
        ("far more than 64 bits", length(&"9".repeat(100))),
    ]);
}

#[test]
fn transfer_encoding_is_a_single_chunked_and_excludes_a_length() {
    let coding = |value: &str| framed(&[&format!("transfer-encoding: {value}")], chunk());
    all_malformed(&[
        ("both", framed(&["content-length: 162", "transfer-encoding: chunked"], chunk())),
        (
            "both, the other way round",
            framed(&["transfer-encoding: chunked", "content-length: 162"], chunk()),
        ),
        ("both, by the length", framed(&["transfer-encoding: chunked", "content-length: 162"], FIXTURE)),
        ("both, with an unknown coding", framed(&["transfer-encoding: x", "content-length: 162"], FIXTURE)),
        ("both, with an empty coding", framed(&["transfer-encoding:", "content-length: 162"], FIXTURE)),
        ("two lines alike", framed(&["transfer-encoding: chunked", "transfer-encoding: chunked"], chunk())),
        ("two lines, one empty", framed(&["transfer-encoding: chunked", "transfer-encoding:"], chunk())),
        ("chunked twice", coding("chunked, chunked")),
        ("chunked twice, with another between", coding("chunked, gzip, Chunked")),
        ("a list that ends in another", coding("chunked, gzip")),
        (
            "two lines, the second another",
            framed(&["transfer-encoding: chunked", "transfer-encoding: x"], chunk()),
        ),
        ("an empty member", coding("chunked,")),
        ("an empty member before", coding(", chunked")),
        ("an empty member between", coding("gzip,, chunked")),
        ("quotes", coding("\"chunked\"")),
        ("two words", coding("gzip chunked")),
        ("an empty parameter", coding("chunked;")),
        ("a parameter without a value", coding("chunked;q")),
        ("a parameter without a name", coding("chunked;=1")),
        ("a quoted value without an end", coding("chunked;q=\"1")),
        ("another separator", coding("gzip/chunked")),
        ("nothing", coding("")),
        ("a control byte", coding("\x0bchunked")),
        ("in HTTP/1.0, another", post(FIXTURE).version("HTTP/1.0").line("transfer-encoding: gzip").bytes()),
        ("in HTTP/1.0", post(FIXTURE).version("HTTP/1.0").chunked(&[]).bytes()),
    ]);
}

#[test]
fn a_transfer_coding_that_is_not_spoken_is_not_implemented() {
    let coding = |value: &str| framed(&[&format!("transfer-encoding: {value}")], chunk());
    all_refused(
        501,
        &[
            ("a list", coding("gzip, chunked")),
            ("two lines", framed(&["transfer-encoding: gzip", "transfer-encoding: chunked"], chunk())),
            ("identity", coding("identity")),
            ("gzip", coding("gzip")),
            ("a parameter", coding("chunked;q=1")),
            ("a quoted parameter", coding("chunked ; q = \"a,b\\\"c\"")),
            ("more letters", coding("xchunked")),
            ("fewer letters", coding("chunke")),
        ],
    );
}

#[test]
fn a_later_version_of_http_1_is_served_as_http_1_1() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for version in ["HTTP/1.1", "HTTP/1.2", "HTTP/1.9"] {
        let mut client = Client::to(&gateway);
        for request in [post(FIXTURE), post(FIXTURE).chunked(&[9])] {
            let response = client.send(request.version(version).bytes()).response();
            response.assert_answer("ok");
            assert_eq!(response.version, "HTTP/1.1");
        }
    }
    // The upstream's oracle requires every request to be HTTP/1.1.
    assert_eq!(upstream.requests().len(), 6);
}

#[test]
fn a_version_of_another_major_number_is_not_supported() {
    let of = |version: &'static str| post(FIXTURE).version(version).bytes();
    all_refused(
        505,
        &[
            ("2.0", of("HTTP/2.0")),
            ("3.0", of("HTTP/3.0")),
            ("9.9", of("HTTP/9.9")),
            ("0.9", of("HTTP/0.9")),
            ("0.0", of("HTTP/0.0")),
            ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            ("in a form of its own", post(FIXTURE).target("*").version("HTTP/2.0").bytes()),
        ],
    );
}

#[test]
fn lines_end_in_crlf_and_in_nothing_else() {
    let request_line = format!("POST {PATH} HTTP/1.1\r\n");
    all_malformed(&[
        ("LF behind the request line", with(&request_line, format!("POST {PATH} HTTP/1.1\n"))),
        ("LF behind a field", with("x-a: b\r\n", "x-a: b\n")),
        ("LF for the empty line", with("162\r\n\r\n", "162\r\n\n")),
        ("LF throughout", {
            let bytes = post(FIXTURE).bytes();
            String::from_utf8(bytes).unwrap().replace("\r\n", "\n").into_bytes()
        }),
        ("LF in a value", with("x-a: b", "x-a: b\nx-b: c")),
        ("CR in a value", with("x-a: b", "x-a: b\rc")),
        ("CR before the end of a line", with("x-a: b\r\n", "x-a: b\r\r\n")),
        ("CR for the end of a line", with("x-a: b\r\n", "x-a: b\r")),
        ("CR in the request line", with(PATH, "/web\rhook")),
        ("CR behind the request line", with(&request_line, format!("POST {PATH} HTTP/1.1\r\r\n"))),
        ("CR in a name", with("x-a: b", "x-\ra: b")),
        ("a folded line", with("x-a: b", "x-a: b\r\n c")),
        ("a line folded with a tab", with("x-a: b", "x-a: b\r\n\tc")),
        ("an empty folded line", with("x-a: b", "x-a: b\r\n ")),
        ("a folded first line", with(&request_line, format!("{request_line} x: y\r\n"))),
    ]);
}

#[test]
fn names_and_values_are_of_their_characters() {
    let line = |line: &[u8]| with("x-a: b", line);
    all_malformed(&[
        ("a space before the colon", line(b"x-a : b")),
        ("a tab before the colon", line(b"x-a\t: b")),
        ("a space before a framing colon", framed(&["content-length : 162"], FIXTURE)),
        ("a space before the coding's colon", framed(&["transfer-encoding : chunked"], chunk())),
        ("no colon", line(b"x-a b")),
        ("no name", line(b": b")),
        ("nothing but a colon", line(b":")),
        ("a space in the name", line(b"x a: b")),
        ("a parenthesis in the name", line(b"x(a): b")),
        ("a slash in the name", line(b"x/a: b")),
        ("a quote in the name", line(b"\"x\": b")),
        ("NUL in the name", line(b"x\0a: b")),
        ("a byte beyond ASCII in the name", line(b"x\xe9: b")),
        ("NUL in a value", line(b"x-a: b\0c")),
        ("NUL as a value", line(b"x-a: \0")),
        ("a bell", line(b"x-a: \x07")),
        ("a vertical tab", line(b"x-a: b\x0bc")),
        ("a form feed", line(b"x-a: b\x0cc")),
        ("an escape", line(b"x-a: \x1b[0m")),
        ("DEL", line(b"x-a: b\x7f")),
        ("NUL behind the signature", with(&signature(FIXTURE), format!("{}\0", signature(FIXTURE)))),
    ]);
}

#[test]
fn the_request_line_has_three_parts_and_two_spaces() {
    let line = |line: &[u8]| with(&format!("POST {PATH} HTTP/1.1"), line);
    all_malformed(&[
        ("two spaces before the target", line(b"POST  /webhook/leases HTTP/1.1")),
        ("two spaces behind the target", line(b"POST /webhook/leases  HTTP/1.1")),
        ("a space behind the version", line(b"POST /webhook/leases HTTP/1.1 ")),
        ("a space before the method", line(b" POST /webhook/leases HTTP/1.1")),
        ("a tab", line(b"POST\t/webhook/leases HTTP/1.1")),
        ("a space in the target", line(b"POST /webhook /leases HTTP/1.1")),
        ("no version", line(b"POST /webhook/leases")),
        ("no target", line(b"POST HTTP/1.1")),
        ("a lower-case version", line(b"POST /webhook/leases http/1.1")),
        ("a version that is none", line(b"POST /webhook/leases HTTP/1.1.1")),
        ("a version with more behind it", line(b"POST /webhook/leases HTTP/1.1x")),
        ("a minor number of two digits", line(b"POST /webhook/leases HTTP/1.10")),
        ("a minor number with a zero before it", line(b"POST /webhook/leases HTTP/1.01")),
        ("a major number of two digits", line(b"POST /webhook/leases HTTP/11.1")),
        ("no minor number", line(b"POST /webhook/leases HTTP/1")),
        ("a version without a point", line(b"POST /webhook/leases HTTP/11")),
        ("letters for a version", line(b"POST /webhook/leases HTTP/a.b")),
        ("a sign", line(b"POST /webhook/leases HTTP/+1.1")),
        ("a version in capitals and small letters", line(b"POST /webhook/leases Http/2.0")),
        ("another protocol", line(b"POST /webhook/leases HTTQ/1.1")),
        ("a method that is no token", line(b"PO(ST /webhook/leases HTTP/1.1")),
        ("NUL in the target", line(b"POST /webhook/\0leases HTTP/1.1")),
        ("DEL in the target", line(b"POST /webhook/\x7fleases HTTP/1.1")),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20)),
    ]);
}

#[test]
fn a_request_target_is_a_path_and_a_query_or_a_url_of_the_host() {
    let target = |target: &str| post(FIXTURE).target(target).bytes();
    all_malformed(&[
        ("a fragment", target("/webhook/leases#x")),
        ("an empty fragment", target("/webhook/leases#")),
        ("a fragment in the query", target("/webhook/leases?a=b#c")),
        ("no slash", target("webhook/leases")),
        ("an asterisk", target("*")),
        ("an authority", target("gateway.test:80")),
        ("a query alone", target("?a=b")),
        ("user information", target("http://user@gateway.test/webhook/leases")),
        ("user information and password", target("http://a:b@gateway.test/webhook/leases")),
        ("empty user information", target("http://@gateway.test/webhook/leases")),
        ("another authority", target("http://another.test/webhook/leases")),
        ("another port", target("http://gateway.test:81/webhook/leases")),
        ("a longer authority", target("http://gateway.test.evil/webhook/leases")),
        ("no authority", target("http:///webhook/leases")),
        ("a fragment on a URL", target("http://gateway.test/webhook/leases#x")),
        ("a character that no path has", target("/webhook/<leases>")),
        ("a quote", target("/webhook/\"leases")),
        ("a backquote", target("/webhook/`leases")),
        ("a backslash", target("/webhook\\leases")),
        ("a caret", target("/webhook/^leases")),
        ("a brace", target("/webhook/{leases")),
        ("a closing brace", target("/webhook/leases}")),
        ("a bar", target("/webhook/|leases")),
        ("a bracket", target("/webhook/[leases")),
        ("a closing bracket", target("/webhook/leases]")),
        ("UTF-8", target("/webhook/l\u{e9}ases")),
        ("a percent alone", target("/webhook/leases%")),
        ("a percent and a digit", target("/webhook/leases%4")),
        ("a percent and a digit in the middle", target("/webhook/%4/leases")),
        ("a percent without digits", target("/webhook/%zz")),
        ("a percent before the query", target("/webhook/leases%?61")),
        ("a quote on a URL", target("http://gateway.test/webhook/\"leases")),
        ("a control byte in the query", target("/webhook/leases?\x01")),
        ("DEL in the query", target("/webhook/leases?\x7f")),
        ("the same on a URL", target("http://gateway.test/webhook/<leases>")),
        ("what is no UTF-8", with("/webhook/leases", b"/webhook/\xff")),
        (
            "no host but one with a user",
            b"POST http://user@gateway.test/webhook/leases HTTP/1.0\r\n\r\n".to_vec(),
        ),
        ("a path for CONNECT", post(FIXTURE).method("CONNECT").bytes()),
        ("a URL for CONNECT", post(FIXTURE).method("CONNECT").target("http://gateway.test/").bytes()),
        ("an authority without a port", post(FIXTURE).method("CONNECT").target("gateway.test").bytes()),
        ("an authority with an empty port", post(FIXTURE).method("CONNECT").target("gateway.test:").bytes()),
        ("an authority with a user", post(FIXTURE).method("CONNECT").target("u@gateway.test:80").bytes()),
        ("an authority with a path", post(FIXTURE).method("CONNECT").target("gateway.test:80/").bytes()),
        ("an authority for OPTIONS", post(FIXTURE).method("OPTIONS").target("gateway.test:80").bytes()),
        ("an asterisk for CONNECT", post(FIXTURE).method("CONNECT").target("*").bytes()),
        ("two asterisks", post(FIXTURE).method("OPTIONS").target("**").bytes()),
        ("an asterisk with a query", post(FIXTURE).method("OPTIONS").target("*?x").bytes()),
        ("an asterisk without a host", b"OPTIONS * HTTP/1.1\r\n\r\n".to_vec()),
        ("CONNECT without a host", b"CONNECT gateway.test:80 HTTP/1.1\r\n\r\n".to_vec()),
    ]);
}

/// Apps and senders put raw characters into queries. All parsers of requests read them in the same way.
#[test]
fn a_query_is_forwarded_unchanged() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let visible: Vec<u8> = (b'!'..=b'~').filter(|byte| *byte != b'#').collect();
    let queries: [&[u8]; 5] =
        [&visible, b"a=\"b\"&c={\"d\":[1]}|`^\\", b"%&%4&%zz", "n=M\u{fc}ller".as_bytes(), b"\x80\xff\xc3"];
    for query in queries {
        for start in [PATH.to_owned(), format!("http://{HOST}{PATH}")] {
            let target = [start.as_bytes(), b"?", query].concat();
            let request = with(&format!("POST {PATH} "), [b"POST ", &target[..], b" "].concat());
            Client::to(&gateway).send(request).response().assert_answer("ok");
            // Each byte becomes the character with this code.
            let got = upstream.requests().pop().unwrap().target;
            let want: String = [PATH.as_bytes(), b"?", query].concat().into_iter().map(char::from).collect();
            assert_eq!(got, want);
        }
    }
}

#[test]
fn a_request_for_no_path_is_well_formed_and_reaches_nobody() {
    let upstream = Upstream::ok();
    let methods = "methods = [\"POST\", \"OPTIONS\"]";
    let gateway = gateway().route_with("/{*any}", &upstream.url(), methods).start();
    let options = post(FIXTURE).method("OPTIONS").target("*");
    let connect = post(FIXTURE).method("CONNECT").target("gateway.test:443");
    for (request, status, reason) in [
        (options.clone(), 404, "no_route"),
        (options.clone().version("HTTP/1.0").without("host"), 404, "no_route"),
        (options.without("content-type").chunked(&[5]), 404, "no_route"),
        (connect.clone(), 405, "method_not_allowed"),
        (connect.target("[2001:db8::1]:443"), 405, "method_not_allowed"),
    ] {
        let mut client = Client::to(&gateway);
        // The bytes after the request look like another request. They are its content, or the content of a
        // tunnel.
        client.offer([request.bytes(), post(FIXTURE).bytes()].concat());
        let response = client.response();
        assert_refused(&response, status, Some(reason));
        assert_eq!(response.value("connection").as_deref(), Some("close"));
        assert_eq!(response.value("allow").as_deref(), (status == 405).then_some(""));
        client.assert_closed();
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_request_line_that_is_too_long_is_told_apart_from_fields_that_are() {
    let upstream = Upstream::ok();
    let line = |len: usize, path: &str| {
        let frame = format!("POST {path}? HTTP/1.1").len();
        with(PATH, format!("{path}?{}", "x".repeat(len - frame)))
    };
    let at_default = gateway().route(PATH, &upstream.url()).start();
    Client::to(&at_default).send(line(16_384, PATH)).response().assert_answer("ok");
    let small = gateway().limits("max_header_bytes = 2000").route(PATH, &upstream.url()).start();
    for (gateway, request, status) in [
        (&at_default, line(16_385, PATH), 414),
        (&at_default, line(40_000, PATH), 414),
        (&at_default, line(40_000, "/nowhere"), 414),
        // The request is refused even though the end of the line has not arrived.
        (&at_default, line(16_500, PATH)[..16_400].to_vec(), 414),
        (&at_default, with("x-a: b", format!("x-a: {}", "b".repeat(40_000))), 431),
        (&small, line(2001, PATH), 414),
        (&small, line(9000, PATH)[..2100].to_vec(), 414),
        (&small, line(1900, PATH), 431),
        (&small, with("x-a: b", format!("x-a: {}", "b".repeat(2000))), 431),
    ] {
        let mut client = Client::to(gateway);
        client.offer(request);
        let response = client.response();
        assert_refused(&response, status, None);
        assert_eq!(response.value("connection").as_deref(), Some("close"));
        client.assert_closed();
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_url_is_served_by_its_path_if_its_authority_is_the_host() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for (target, expected) in [
        (format!("http://{HOST}{PATH}"), PATH.to_owned()),
        (format!("http://{HOST}{PATH}?a=b"), format!("{PATH}?a=b")),
    ] {
        let response = Client::to(&gateway).send(post(FIXTURE).target(&target).bytes()).response();
        response.assert_answer("ok");
        let got = upstream.requests().pop().unwrap();
        assert_eq!(got.target, expected);
        assert_eq!(got.values("host"), [HOST.as_bytes()]);
    }
    let elsewhere = format!("http://{HOST}/else");
    let response = Client::to(&gateway).send(post(FIXTURE).target(&elsewhere).bytes()).response();
    assert_refused(&response, 404, Some("no_route"));
}

#[test]
fn chunks_are_well_formed() {
    let body = fixture();
    let chunks = |body: String| framed(&["transfer-encoding: chunked"], body);
    let sized = |size: &str| chunks(format!("{size}\r\n{body}\r\n0\r\n\r\n"));
    all_malformed(&[
        ("no size", sized("")),
        ("a size that is none", sized("xyz")),
        ("a sign", sized("+a2")),
        ("less than nothing", sized("-a2")),
        ("a prefix", sized("0xa2")),
        ("a space before the size", sized(" a2")),
        ("a space behind the size", sized("a2 ")),
        ("a space within the size", sized("a 2")),
        ("an underscore", sized("a_2")),
        ("more than 64 bits", sized("1000000000000000a2")),
        ("NUL in an extension", sized("a2;\0")),
        ("an extension without a name", sized("a2;")),
        ("white space for an extension", sized("a2; ")),
        ("a bracket in an extension's name", sized("a2;bad[=x")),
        ("a value without a name", sized("a2;=x")),
        ("a quoted value without an end", sized("a2;a=\"b")),
        ("more behind a quoted value", sized("a2;a=\"b\"c")),
        ("two words", sized("a2;a b")),
        ("no value", sized("a2;a=")),
        ("two values", sized("a2;a=b=c")),
        ("a second extension without a name", sized("a2;a;")),
        ("two semicolons", sized("a2;;a")),
        ("white space behind an extension", sized("a2;a ")),
        ("white space behind a value", sized("a2;a=b ")),
        ("a comma", sized("a2;a,b")),
        ("a byte beyond ASCII in an extension", sized("a2;\u{e9}")),
        ("CR in an extension", sized("a2;a\rb")),
        ("LF in an extension", sized("a2;a\nb")),
        ("LF behind the size", chunks(format!("a2\n{body}\r\n0\r\n\r\n"))),
        ("CR behind the size", chunks(format!("a2\r{body}\r\n0\r\n\r\n"))),
        ("data that runs on", chunks(format!("a1\r\n{body}\r\n0\r\n\r\n"))),
        ("data that falls short", chunks(format!("a3\r\n{body}\r\n0\r\n\r\n"))),
        ("LF behind the data", chunks(format!("a2\r\n{body}\n0\r\n\r\n"))),
        ("two LFs behind the data", chunks(format!("a2\r\n{body}\n\n0\r\n\r\n"))),
        ("something and LF behind the data", chunks(format!("a2\r\n{body}x\n0\r\n\r\n"))),
        ("CR and something behind the data", chunks(format!("a2\r\n{body}\rx0\r\n\r\n"))),
        ("nothing behind the data", chunks(format!("a2\r\n{body}0\r\n\r\n"))),
        ("LF behind the last chunk", chunks(format!("a2\r\n{body}\r\n0\n\r\n"))),
        ("LF for the end", chunks(format!("a2\r\n{body}\r\n0\r\n\n"))),
        ("a trailer without a colon", chunks(format!("a2\r\n{body}\r\n0\r\nx\r\n\r\n"))),
        ("a trailer that ends in LF", chunks(format!("a2\r\n{body}\r\n0\r\nx: y\n\r\n"))),
        ("a trailer with NUL", chunks(format!("a2\r\n{body}\r\n0\r\nx: \0\r\n\r\n"))),
        ("a folded trailer", chunks(format!("a2\r\n{body}\r\n0\r\nx: y\r\n z\r\n\r\n"))),
        ("a trailer with a space before the colon", chunks(format!("a2\r\n{body}\r\n0\r\nx : y\r\n\r\n"))),
    ]);
}

#[test]
fn extensions_of_the_grammar_are_taken_and_not_passed_on() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a=\"\"",
        ";a=\"b;c=\\\"d\\\\ \t\u{e9}\"",
        " ; a = b\t;\tc",
        ";a;b=c;d=\"e\" ;f",
        ";!#$%&'*+-.^_`|~09az",
    ] {
        let body = format!("a2{extension}\r\n{}\r\n0{extension}\r\n\r\n", fixture());
        let request = framed(&["transfer-encoding: chunked"], body);
        for size in [1, 5, 10_000] {
            Client::to(&gateway).send_in_pieces(&request, size).response().assert_answer("ok");
            assert_eq!(upstream.requests().pop().unwrap().content, FIXTURE);
        }
    }
}

/// The rest of the chunk never arrives, and no time limit would end the wait.
#[test]
fn a_chunk_that_makes_the_content_too_large_is_refused_when_it_is_announced() {
    let upstream = Upstream::ok();
    let limits = "max_body = 1000\nbody_timeout = \"1h\"\nmin_body_rate = 0";
    let gateway = gateway().limits(limits).route(PATH, &upstream.url()).start();
    let before = format!("a2\r\n{}\r\n", fixture());
    for body in [
        "3e9\r\n".to_owned(),
        "3e9;a=b\r\nx".to_owned(),
        "ffffffffffffffff\r\n".to_owned(),
        format!("{before}347\r\n"),
        format!("{before}{before}ffffffffffffffff\r\n"),
        format!("{before}fffffffffffffff0\r\nabc"),
    ] {
        let mut client = Client::to(&gateway);
        client.send(framed(&["transfer-encoding: chunked"], &body));
        assert_refused(&client.response(), 413, Some("body_too_large"));
        client.assert_closed();
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn content_of_many_chunks_may_be_as_large_as_the_limit() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_body = 162").route(PATH, &upstream.url()).start();
    for sizes in [&[][..], &[161], &[1, 1, 100]] {
        Client::to(&gateway).send(post(FIXTURE).chunked(sizes).bytes()).response().assert_answer("ok");
    }
    let over = post([FIXTURE, b" "].concat());
    for sizes in [&[][..], &[161], &[162]] {
        let response = Client::to(&gateway).send(over.clone().chunked(sizes).bytes()).response();
        assert_refused(&response, 413, Some("body_too_large"));
    }
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn extensions_and_trailers_without_end_are_not_read_without_end() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_body = 1000").route(PATH, &upstream.url()).start();
    let extension = ["a2;", &"x".repeat(500_000), "\r\n"].concat();
    let trailers = format!("a2\r\n{}\r\n0\r\n{}\r\n", fixture(), "x: y\r\n".repeat(50_000));
    let crumbs = "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n{\r\n".repeat(1000);
    for body in [extension, trailers, crumbs] {
        let mut client = Client::to(&gateway);
        client.offer(framed(&["transfer-encoding: chunked"], body));
        let response = client.response();
        assert!(matches!(response.status, 400 | 413 | 431), "{}", response.status);
        client.assert_closed();
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn what_is_malformed_is_refused_however_it_is_cut_into_packets() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for bytes in [
        with("x-a: b", "host: another.test"),
        with("x-a: b\r\n", "x-a: b\n"),
        with("x-a: b", "x-a: b\rc"),
        framed(&["content-length: 162", "transfer-encoding: chunked"], chunk()),
        framed(&["transfer-encoding: chunked", "transfer-encoding: chunked"], chunk()),
        post(FIXTURE).target("/webhook/leases#x").bytes(),
    ] {
        for size in [1, 2, 13] {
            let mut client = Client::to(&gateway);
            client.send_in_pieces(&bytes, size);
            assert_refused(&client.response(), 400, None);
            client.assert_closed();
        }
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_malformed_request_behind_a_good_one_is_refused_all_the_same() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for bytes in [
        with("x-a: b", "host: another.test"),
        with("x-a: b\r\n", "x-a: b\n"),
        framed(&["content-length: 162", "transfer-encoding: chunked"], chunk()),
        post(FIXTURE).target("/webhook/leases#x").bytes(),
        framed(&["transfer-encoding: chunked", "transfer-encoding: chunked"], chunk()),
    ] {
        for good in [post(FIXTURE), post(FIXTURE).chunked(&[3, 50])] {
            let mut client = Client::to(&gateway);
            client.offer([good.bytes(), bytes.clone()].concat());
            client.response().assert_answer("ok");
            assert_refused(&client.response(), 400, None);
            client.assert_closed();
        }
    }
    assert_eq!(upstream.requests().len(), 10);
}

/// A response has the version of the gateway, which sends it (RFC 9110, section 6.2). To an HTTP/1.0 client,
/// it announces the close.
#[test]
fn every_response_is_http_1_1_whatever_its_request_claims() {
    let gateway = Gateway::before(&Upstream::ok());
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        for rest in ["a b: c\r\n\r\n", "a: b\n\r\n\r\n", " folded\r\n\r\n"] {
            let mut client = Client::to(&gateway);
            client.offer(format!("POST {PATH} {version}\r\n{rest}"));
            let (answer, _) = client.rest();
            assert!(answer.starts_with(b"HTTP/1.1 400 "), "{rest:?}: {}", answer.escape_ascii());
            assert!(answer.escape_ascii().to_string().contains("connection: close"), "{rest:?}");
        }
        for request in [post(FIXTURE), unsigned(FIXTURE), unsigned(FIXTURE).target("/nowhere")] {
            let mut client = Client::to(&gateway);
            let response = client.send(request.version(version).bytes()).response();
            assert_eq!(response.version, "HTTP/1.1");
            if version == "HTTP/1.0" {
                assert_eq!(response.value("connection").as_deref(), Some("close"));
                client.assert_closed();
            }
        }
    }
}

#[test]
fn to_head_nothing_is_sent_behind_the_fields_of_a_refusal() {
    let gateway = Gateway::before(&Upstream::ok());
    for bytes in [
        post(FIXTURE).method("HEAD").version("HTTP/2.0").bytes(),
        framed(&["transfer-encoding: gzip"], chunk()),
        with("host: gateway.test", "host: a b"),
    ] {
        let mut client = Client::to(&gateway);
        let bytes = bytes.strip_prefix(b"POST").map_or(bytes.clone(), |rest| [b"HEAD", rest].concat());
        client.offer([b"\r\n", &bytes[..]].concat());
        assert!(client.response_to("HEAD").status >= 400);
        client.assert_closed();
    }
}

#[test]
fn empty_lines_before_a_request_are_ignored() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    for lines in [1, 2, 500] {
        let bytes = [b"\r\n".repeat(lines), post(FIXTURE).bytes()].concat();
        client.send(&bytes).response().assert_answer("ok");
        client.send_in_pieces(&bytes, 3).response().assert_answer("ok");
    }
    assert_eq!(upstream.requests().len(), 6);
}

#[test]
fn a_connection_of_empty_lines_ends_with_the_time_for_a_head() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .limits("header_timeout = \"2s\"\nidle_timeout = \"1h\"")
        .route(PATH, &upstream.url())
        .start();
    let mut clients = Vec::new();
    for is_first in [true, false] {
        // The lines are sent all together, or one after each pause.
        for (lines, pause) in [(2000, None), (1, None), (0, Some(Duration::from_millis(50)))] {
            let mut client = Client::to(&gateway);
            if !is_first {
                client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
            }
            client.send(b"\r\n".repeat(lines));
            let trickle = pause.map(|pause| client.trickle_of(b"\r\n", pause));
            clients.push((client, trickle));
        }
    }
    for (mut client, trickle) in clients {
        // No request has begun, so there is no response.
        client.assert_gone();
        drop(trickle);
    }
}

#[test]
fn empty_lines_without_end_are_not_read_without_end() {
    let upstream = Upstream::ok();
    let limits = "header_timeout = \"1h\"\nidle_timeout = \"1h\"\nmax_header_bytes = 2000";
    let gateway = gateway().limits(limits).route(PATH, &upstream.url()).start();
    for is_first in [true, false] {
        let mut client = Client::to(&gateway);
        if !is_first {
            client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
        }
        client.offer(b"\r\n".repeat(1001));
        assert_refused(&client.response(), 400, None);
        client.assert_closed();
    }
}

#[test]
fn an_unknown_expectation_fails() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for value in ["200-ok", "100-continue, x", "x=y", "100-continu", ""] {
        let mut client = Client::to(&gateway);
        client.offer(post(FIXTURE).line(format!("expect: {value}")).bytes());
        assert_refused(&client.response(), 417, None);
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_client_that_expects_100_continue_gets_it_once_its_claim_is_read() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for expect in ["expect: 100-continue", "Expect: 100-Continue"] {
        let request = post(FIXTURE).line(expect);
        let mut client = Client::to(&gateway);
        let interim = client.send(request.head()).response();
        assert_eq!((interim.version.as_str(), interim.status), ("HTTP/1.1", 100));
        assert_eq!(interim.fields, []);
        client.send(request.body()).response().assert_answer("ok");
        // The connection can still be used.
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
}

#[test]
fn a_client_of_http_1_0_is_never_told_to_continue() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let request = post(FIXTURE).version("HTTP/1.0").line("expect: 100-continue");
    Client::to(&gateway).send(request.bytes()).response().assert_answer("ok");
}

/// An upstream that answers with the content it received.
fn echo() -> Upstream {
    Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.content.len()));
            connection.send(&request.content);
        }
    })
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = echo();
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    let mut bytes = Vec::new();
    for n in 0..20 {
        let content = format!("event {n}");
        bytes.extend(if n % 2 == 0 { post(&content).bytes() } else { post(&content).chunked(&[3]).bytes() });
        if n % 5 == 0 {
            bytes.extend(post(&content).forged("forged").bytes());
        }
    }
    client.send(bytes);
    for n in 0..20 {
        client.response().assert_answer(&format!("event {n}"));
        if n % 5 == 0 {
            assert_refused(&client.response(), 401, Some("signature_mismatch"));
        }
    }
    assert_eq!(upstream.requests().len(), 20);
}

#[test]
fn a_client_that_half_closes_after_its_request_is_answered() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let gateway = Gateway::before(&upstream);
    for (count, request) in [(1, post(FIXTURE)), (2, post(FIXTURE).chunked(&[9]))] {
        let mut client = Client::to(&gateway);
        client.send(request.bytes()).half_close();
        // By now, the gateway has had time to notice that the client has ended its side.
        upstream.wait_for(count);
        open.open();
        client.response().assert_answer("ok");
        client.assert_closed();
    }
    let mut client = Client::to(&gateway);
    client.send(unsigned(FIXTURE).bytes()).half_close();
    assert_refused(&client.response(), 401, Some("signature_missing"));
    client.assert_closed();
}

#[test]
fn a_client_that_only_closes_gets_nothing_and_costs_nothing() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    Client::to(&gateway).half_close().assert_gone();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    client.half_close().assert_closed();
}

#[test]
fn a_refusal_reaches_a_client_that_has_sent_all_of_a_large_body() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_body = \"4MiB\"").route(PATH, &upstream.url()).start();
    // The content is larger than the kernel's buffers. So the client is still writing when its rejection is
    // sent.
    let large = vec![b'x'; 16 * 1024 * 1024];
    for (request, status, reason) in [
        (unsigned(&large), 401, "signature_missing"),
        (unsigned(&large[..500_000]).chunked(&[]), 401, "signature_missing"),
        (unsigned(&large).target("/else"), 404, "no_route"),
        (unsigned(&large[..500_000]).method("PUT"), 405, "method_not_allowed"),
        (post(b"").forged(&large), 413, "body_too_large"),
    ] {
        let mut client = Client::to(&gateway);
        assert!(client.offer(request.bytes()), "the body is taken, though nobody wants it");
        assert_refused(&client.response(), status, Some(reason));
        client.assert_closed();
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn an_upgrade_is_not_honoured() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for upgrade in ["websocket", "h2c", "TLS/1.0"] {
        let request = post(FIXTURE)
            .line("connection: upgrade, http2-settings")
            .line(format!("upgrade: {upgrade}"))
            .line("http2-settings: AAMAAABkAAQAAP__");
        Client::to(&gateway).send(request.bytes()).response().assert_answer("ok");
    }
    // The HTTP/2 settings are not forwarded either, even if `connection` does not name them (obsolete since
    // RFC 9113, section 3.1).
    let request = post(FIXTURE).line("HTTP2-Settings: AAMAAABkAAQAAP__");
    Client::to(&gateway).send(request.bytes()).response().assert_answer("ok");
    assert!(upstream.requests().iter().all(|request| !request.has("http2-settings")));
}

#[test]
fn content_in_chunks_of_one_byte_is_read_whole() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let content = vec![b'x'; 128 * 1024];
    Client::to(&gateway)
        .send(post(&content).chunked(&vec![1; content.len()]).bytes())
        .response()
        .assert_answer("ok");
    assert_eq!(upstream.only_request().content, content);
}

#[test]
fn a_target_that_is_too_long_whatever_the_head_may_have_is_refused_as_such() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_header_bytes = \"200KiB\"").route(PATH, &upstream.url()).start();
    let target = format!("{PATH}?{}", "x".repeat(66_000));
    let response = Client::to(&gateway).send(post(FIXTURE).target(&target).bytes()).response();
    assert_refused(&response, 414, None);
}
