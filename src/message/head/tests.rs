//! Tests of strict framing, as function calls.

use proptest::prelude::*;

use super::*;
use crate::signature::Fields as _;

const MAX: usize = 4096;

fn look_at(bytes: &[u8]) -> Parsed {
    parse(bytes, &mut 0, MAX)
}

fn head(bytes: &str) -> Head {
    match look_at(bytes.as_bytes()) {
        Parsed::Complete(head) => head,
        other => panic!("{bytes:?}: {other:?}"),
    }
}

fn request(bytes: &str) -> RequestHead {
    RequestHead::new(head(bytes), bytes.as_bytes())
}

fn lines(request: &RequestHead) -> Vec<(&str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    request.lines().map(|(name, value)| (text(name), text(value))).collect()
}

#[test]
fn lines_are_the_same_however_many_there_are_and_however_they_come() {
    for count in [0, 1, 20, 70] {
        for long in [0, 70_000] {
            let pad = "y".repeat(long);
            let fields: Vec<String> = (0..count).map(|n| format!("X-{n}: {n}{pad}")).collect();
            let text = format!("\r\nPOST / HTTP/1.1\r\nhost: a\r\n{}\r\n", fields.join("\r\n") + "\r\n");
            let text = text.replace("\r\n\r\n\r\n", "\r\n\r\n");
            for first in [text.len(), text.len() / 2, 1, 20] {
                let mut scanned = 0;
                let _part = parse(&text.as_bytes()[..first], &mut scanned, usize::MAX);
                let Parsed::Complete(facts) = parse(text.as_bytes(), &mut scanned, usize::MAX) else {
                    panic!("{count} lines");
                };
                let request = RequestHead::new(facts, text.as_bytes());
                let got: Vec<String> =
                    lines(&request).iter().skip(1).map(|(name, value)| format!("{name}: {value}")).collect();
                assert_eq!(got, fields, "{count} lines of {long} bytes, {first} at first");
            }
        }
    }
}

#[test]
fn a_plain_request_is_understood() {
    let text = "POST /w?x=1 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\n";
    let want = Head {
        len: text.len(),
        version: Version::Http11,
        framing: Framing::Length(5),
        expect: Expect::Nothing,
        persistence: Persistence::Default,
        has_connection_options: false,
        has_unusual_names: false,
        request_line: (4, Some("/w?x=1".len())),
    };
    assert_eq!(head(text), want);
    assert_eq!(look_at(format!("{text}hello").as_bytes()), Parsed::Complete(want));
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").version, Version::Http10);
    assert_eq!(
        head("GET / HTTP/1.1\r\nhost:a\r\ntransfer-encoding: Chunked\r\n\r\n").framing,
        Framing::Chunked
    );
}

#[test]
fn every_prefix_of_a_request_is_partial_however_it_is_cut() {
    let text = b"\r\n\r\nPOST /w HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
    let mut scanned = 0;
    for end in 0..text.len() {
        assert_eq!(parse(&text[..end], &mut scanned, MAX), Parsed::Partial, "{end}");
    }
    assert!(
        matches!(parse(text, &mut scanned, MAX), Parsed::Complete(Head { len, .. }) if len == text.len())
    );
}

#[test]
fn a_head_is_kept_as_it_was_received() {
    let request = request(
        "\r\nPOST /w/x?a=%2F&b HTTP/1.1\r\nHost: a\r\nX-A:  b \r\nx-a-b: 1\r\nX-a:\tc\r\nempty:\r\n\r\n",
    );
    assert_eq!(request.method(), "POST");
    assert_eq!((request.target(), request.path()), (&b"/w/x?a=%2F&b"[..], "/w/x"));
    let want = [("Host", "a"), ("X-A", "b"), ("x-a-b", "1"), ("X-a", "c"), ("empty", "")];
    assert_eq!(lines(&request), want);
    assert_eq!(request.values("x-a").collect::<Vec<_>>(), [b"b", b"c"]);
    assert_eq!(request.values("empty").collect::<Vec<_>>(), [b""]);
    assert_eq!(request.values("absent").count(), 0);
    assert_eq!(request.values("a-name-that-is-longer-than-any-line").count(), 0);
}

#[test]
fn absolute_form_is_reduced_to_its_path() {
    for (target, want, path) in [
        ("http://a.b:80/x?y", "/x?y", "/x"),
        ("HTTPS://A.B:80/", "/", "/"),
        ("http://a.b:80", "/", "/"),
        ("http://a.b:80?y", "/?y", "/"),
    ] {
        let request = request(&format!("\r\nPOST {target} HTTP/1.1\r\nHost: a.b:80\r\nx: y\r\n\r\n"));
        assert_eq!((request.method(), request.target(), request.path()), ("POST", want.as_bytes(), path));
        assert_eq!(lines(&request), [("Host", "a.b:80"), ("x", "y")]);
    }
}

#[test]
fn an_authority_without_a_host_field_becomes_one() {
    let request = request("POST http://a.b:80/x HTTP/1.0\r\nx: y\r\nhostess: z\r\n\r\n");
    assert_eq!(request.target(), b"/x");
    assert_eq!(lines(&request), [("host", "a.b:80"), ("x", "y"), ("hostess", "z")]);
}

#[test]
fn the_connection_field_is_parsed() {
    for (lines, want) in [
        ("", Persistence::Default),
        ("connection: close\r\n", Persistence::Close),
        ("Connection: x, CLOSE ,y\r\n", Persistence::Close),
        ("connection: keep-alive\r\n", Persistence::KeepAlive),
        ("connection: keep-alive\r\nconnection: close\r\n", Persistence::Close),
        ("connection: closed\r\n", Persistence::Default),
    ] {
        assert_eq!(
            head(&format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n")).persistence,
            want,
            "{lines:?}"
        );
    }
}

#[test]
fn a_request_line_is_bounded_whatever_the_head_may_have() {
    let frame = "POST / HTTP/1.1".len();
    for (line, max, want) in [
        (MAX_REQUEST_LINE, 1 << 20, None),
        (MAX_REQUEST_LINE + 1, 1 << 20, Some(HeadError::LineTooLong)),
        (MAX_REQUEST_LINE + 10_000, 1 << 20, Some(HeadError::LineTooLong)),
        // Here the fields are too large: the line and its end would fit.
        (998, 1000, Some(HeadError::TooLarge)),
        (999, 1000, Some(HeadError::LineTooLong)),
    ] {
        let text = format!("POST /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(line - frame));
        for step in [text.len(), 1000, 7, 1] {
            let (mut scanned, mut end, mut visited) = (0, 0, 0);
            let verdict = loop {
                end = text.len().min(end + step);
                visited += end - scanned;
                match parse(&text.as_bytes()[..end], &mut scanned, max) {
                    Parsed::Partial => {}
                    Parsed::Complete(_) => break None,
                    Parsed::Faulty(fault) => break Some(fault),
                }
            };
            assert_eq!(verdict, want, "{line} of {max}, {step} at a time");
            assert!(visited <= text.len(), "{visited} bytes were searched");
        }
        // A line whose end has not arrived can be too long as well.
        let most = line.min(max) + 3;
        let is_too_long = want == Some(HeadError::LineTooLong);
        let cut = parse(&text.as_bytes()[..text.len().min(most)], &mut 0, max);
        assert_eq!(cut == Parsed::Faulty(HeadError::LineTooLong), is_too_long, "{line} of {max}");
    }
}

#[test]
fn another_protocol_and_a_space_in_the_target_are_named() {
    for (bytes, want) in [
        (
            &b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\nPOST / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
            "PROXY protocol",
        ),
        (b"PROXY UNKNOWN\r\nPOST / HTTP/1.1\r\nhost: a\r\n\r\n", "PROXY protocol"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "PROXY protocol"),
        (b"\0\r\nQUIT\n\x20\0\0\0", "PROXY protocol"),
        (b"\0\r\nquit\n", "does not begin with a method"),
        (b"\x16\x03\x01\x02\0\x01", "TLS"),
        (b"POST /a b HTTP/1.1\r\nhost: a\r\n\r\n", "a space is written %20"),
        (b"POST  /a HTTP/1.1\r\nhost: a\r\n\r\n", "a space is written %20"),
        (b"POST /a HTTP/one\r\nhost: a\r\n\r\n", "the version is not"),
        (b"POST /a\r\nhost: a\r\n\r\n", "not method, target and version"),
    ] {
        let parse = look_at(bytes);
        let Parsed::Faulty(HeadError::Malformed(said)) = parse else { panic!("{want}: {parse:?}") };
        assert!(said.contains(want), "{want}: {said}");
    }
}

#[test]
fn http_that_is_not_served_has_errors_of_its_own() {
    let fault = |line: &str, lines: &str| look_at(format!("{line}\r\n{lines}\r\n").as_bytes());
    for version in ["2.0", "9.9", "0.9", "0.0", "3.1"] {
        assert_eq!(
            fault(&format!("PRI * HTTP/{version}"), ""),
            Parsed::Faulty(HeadError::UnknownVersion),
            "{version}"
        );
    }
    for coding in ["gzip", "gzip, chunked", "identity", "chunked;q=\"a, b\"", "xchunked"] {
        let lines = format!("host: a\r\ntransfer-encoding: {coding}\r\n");
        assert_eq!(fault("POST / HTTP/1.1", &lines), Parsed::Faulty(HeadError::UnknownCoding), "{coding}");
    }
    for (line, lines, want) in [
        ("OPTIONS * HTTP/1.1", "host: a\r\n", HeadError::Asterisk),
        ("OPTIONS * HTTP/1.0", "", HeadError::Asterisk),
        ("CONNECT a:80 HTTP/1.1", "host: a\r\n", HeadError::Tunnel),
        ("CONNECT [::1]:80 HTTP/1.2", "host: a\r\n", HeadError::Tunnel),
        ("OPTIONS * HTTP/1.1", "", HeadError::Malformed("there is no host field")),
    ] {
        assert_eq!(fault(line, lines), Parsed::Faulty(want), "{line} {lines:?}");
    }
    let twice = "host: a\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n";
    assert_eq!(fault("POST / HTTP/1.1", twice), Parsed::Faulty(HeadError::UnknownCoding));
}

#[test]
fn a_later_minor_version_is_served_as_ours() {
    for minor in 1..=9 {
        let request = request(&format!("POST http://a/x HTTP/1.{minor}\r\nhost: a\r\nx: y\r\n\r\n"));
        assert_eq!(request.facts().version, Version::Http11);
        assert_eq!(lines(&request), [("host", "a"), ("x", "y")]);
    }
}

#[test]
fn a_query_need_not_be_text() {
    let text = b"POST /w?\"a\"=\xff\x80|{} HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
    let Parsed::Complete(facts) = look_at(text) else { panic!("it is complete") };
    let request = RequestHead::new(facts, text);
    assert_eq!((request.method(), request.path()), ("POST", "/w"));
    assert_eq!(request.target(), b"/w?\"a\"=\xff\x80|{}");
    assert_eq!(lines(&request), [("host", "a"), ("x", "y")]);
}

#[test]
fn what_is_not_strict_http_is_malformed() {
    for line in [
        "POST  / HTTP/1.1",
        "POST / HTTP/1.1 ",
        " POST / HTTP/1.1",
        "POST /",
        "POST / http/1.1",
        "POST / HTTP/1.1x",
        "POST / HTTP/1.10",
        "POST / HTTP/11",
        "POST / HTTP/1.",
        "POST / HTTP/a.b",
        "POST / HTTP/1.1/",
        "PO(ST / HTTP/1.1",
        "POST\t/\tHTTP/1.1",
        "POST /a b HTTP/1.1",
        "POST /#f HTTP/1.1",
        "POST * HTTP/1.1",
        "POST a:80 HTTP/1.1",
        "POST ftp://a/ HTTP/1.1",
        "POST http://b/ HTTP/1.1",
        "POST http://u@a/ HTTP/1.1",
        "POST http:/// HTTP/1.1",
        "POST http://a/#f HTTP/1.1",
        "POST a/b HTTP/1.1",
        "POST ?x HTTP/1.1",
        "POST /\u{1}x HTTP/1.1",
        "POST /\u{e9} HTTP/1.1",
        "POST /[] HTTP/1.1",
        "POST /%zz HTTP/1.1",
        "POST /% HTTP/1.1",
        "POST /%4 HTTP/1.1",
        "POST /a%2?b HTTP/1.1",
        "POST /a?b\u{7f} HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT a HTTP/1.1",
        "CONNECT a: HTTP/1.1",
        "CONNECT :80 HTTP/1.1",
        "CONNECT u@a:80 HTTP/1.1",
        "CONNECT http://a:80 HTTP/1.1",
        "CONNECT * HTTP/1.1",
        "OPTIONS a:80 HTTP/1.1",
        "OPTIONS */ HTTP/1.1",
        "options * HTTP/1.1",
        "\u{16}\u{3}\u{1}",
        "POST / HTTP/1.1\nx: y",
        "POST / HTTP/1.1\rx: y",
    ] {
        let parse = look_at(format!("{line}\r\nhost: a\r\n\r\n").as_bytes());
        assert!(matches!(parse, Parsed::Faulty(HeadError::Malformed(_))), "{line:?}: {parse:?}");
    }
    for fields in [
        "",
        "host: a\r\nhost: a\r\n",
        "host:\r\n",
        "host: \r\n",
        "host: a b\r\n",
        "host: a,b c\r\n",
        "host: u@a\r\n",
        "host: a:b\r\n",
        "host: a/b\r\n",
        "host: [::1\r\n",
        "host: [x]\r\n",
        "host: [::1]x\r\n",
        "host: a:123456\r\n",
        "host: a%2\r\n",
        "host: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n",
        "host: a\r\ncontent-length: 1\r\nContent-Length: 2\r\n",
        "host: a\r\ncontent-length: 1, 1\r\n",
        "host: a\r\ncontent-length: +1\r\n",
        "host: a\r\ncontent-length: -1\r\n",
        "host: a\r\ncontent-length: 0x1\r\n",
        "host: a\r\ncontent-length:\r\n",
        "host: a\r\ncontent-length: 1 1\r\n",
        "host: a\r\ncontent-length: 18446744073709551616\r\n",
        "host: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n",
        "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n",
        "host: a\r\ncontent-length: 1\r\ntransfer-encoding: gzip\r\n",
        "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "host: a\r\ntransfer-encoding: chunked, chunked\r\n",
        "host: a\r\ntransfer-encoding: chunked,\r\n",
        "host: a\r\ntransfer-encoding: chunked, gzip\r\n",
        "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n",
        "host: a\r\ntransfer-encoding: \u{b}chunked\r\n",
        "host: a\r\ntransfer-encoding:\r\n",
        "host: a\r\nx: y\r\n z\r\n",
        " x: y\r\nhost: a\r\n",
        "host: a\r\nx : y\r\n",
        "host: a\r\n: y\r\n",
        "host: a\r\nx\r\n",
        "host: a\r\nx\u{e9}: y\r\n",
        "host: a\r\nx: \0\r\n",
        "host: a\r\nx: a\rb\r\n",
        "host: a\r\nx: \u{7f}\r\n",
        "host: a\r\nx: \u{1b}[0m\r\n",
        "host: a\r\nx: y\n",
        "host: a\nx: y\r\n",
        "host: a\r\nx: y\r\r\n",
        "host: a\r\nx\0: y\r\n",
        "host: a\r\nContent_Length: 1\r\n",
        "host: a\r\ncontent-length: 1\r\ncontent.length: 1\r\n",
        "host: a\r\nTRANSFER~ENCODING: chunked\r\n",
    ] {
        let parse = look_at(format!("POST / HTTP/1.1\r\n{fields}\r\n").as_bytes());
        assert!(matches!(parse, Parsed::Faulty(HeadError::Malformed(_))), "{fields:?}: {parse:?}");
    }
    for coding in ["chunked", "gzip"] {
        let parse = look_at(format!("POST / HTTP/1.0\r\ntransfer-encoding: {coding}\r\n\r\n").as_bytes());
        assert!(matches!(parse, Parsed::Faulty(HeadError::Malformed(_))), "{coding}: {parse:?}");
    }
}

#[test]
fn a_name_is_unusual_that_has_more_than_letters_digits_and_dashes() {
    let fields =
        |fields: &str| head(&format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).has_unusual_names;
    assert!(!fields("X-0: a_b\r\n-: .\r\ncontent-length: 0\r\n"));
    for symbol in "!#$%&'*+.^_`|~".chars() {
        assert!(fields(&format!("x{symbol}y: 1\r\nz: 1\r\n")), "{symbol}");
    }
}

#[test]
fn what_is_odd_but_legal_passes() {
    for line in [
        "POST /a/../b//c;d=e,f/%7f%FF?x=1&y=[]{}|^\"\\`<>%zz HTTP/1.1",
        "M-SEARCH /~!$&'()*+,;=:@-._ HTTP/1.1",
        "POST /?\u{e9} HTTP/1.1",
        "OPTIONS / HTTP/1.1",
        "OPTIONS http://a HTTP/1.1",
    ] {
        head(&format!("{line}\r\nhost: a\r\n\r\n"));
    }
    for host in ["a", "a:", "a:80", "[::1]:80", "[::1]", "a_b.c-d.e~", "127.0.0.1", "xn--a.b", "a%2d"] {
        head(&format!("POST / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
    }
    head("POST / HTTP/1.1\r\nhost: a\r\nx:\r\n!#$%&'*+-.^_`|~09az: \t v \t\r\n\r\n");
    assert!(matches!(look_at(b"POST / HTTP/1.1\r\nhost: a\r\nx: \x80\xff\r\n\r\n"), Parsed::Complete(_)));
    assert!(matches!(look_at(b"POST / HTTP/1.0\r\n\r\n"), Parsed::Complete(_)));
}

#[test]
fn an_expectation_is_known_unknown_or_ignored() {
    let expect =
        |version: &str, lines: &str| head(&format!("POST / HTTP/{version}\r\nhost: a\r\n{lines}\r\n")).expect;
    assert_eq!(expect("1.1", ""), Expect::Nothing);
    assert_eq!(expect("1.1", "expect: 100-Continue\r\n"), Expect::Continue);
    assert_eq!(expect("1.1", "expect: 200-ok\r\n"), Expect::Unknown);
    assert_eq!(expect("1.1", "expect: 100-continue, x\r\n"), Expect::Unknown);
    assert_eq!(expect("1.1", "expect: 100-continue\r\nexpect: 100-continue\r\n"), Expect::Unknown);
    assert_eq!(expect("1.0", "expect: 100-continue\r\n"), Expect::Nothing);
}

#[test]
fn the_size_of_a_head_is_bounded_at_its_limit_exactly() {
    let frame = "POST / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
    for (size, fits) in [(MAX - 1, true), (MAX, true), (MAX + 1, false)] {
        let text = format!("POST / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(size - frame));
        assert_eq!(text.len(), size);
        let parse = look_at(text.as_bytes());
        assert_eq!(matches!(parse, Parsed::Complete(_)), fits, "{size}");
        assert_eq!(parse == Parsed::Faulty(HeadError::TooLarge), !fits, "{size}");
    }
    assert_eq!(look_at(&b"x".repeat(MAX)), Parsed::Partial);
    assert_eq!(look_at(&b"x".repeat(MAX + 1)), Parsed::Faulty(HeadError::LineTooLong));
    assert_eq!(look_at(&b"\r\n".repeat(MAX)), Parsed::Faulty(HeadError::Malformed(EMPTY_LINES)));
    let lines = |n: usize| format!("POST / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x:y\r\n".repeat(n - 1));
    assert!(matches!(look_at(lines(MAX_FIELD_LINES).as_bytes()), Parsed::Complete(_)));
    assert_eq!(look_at(lines(MAX_FIELD_LINES + 1).as_bytes()), Parsed::Faulty(HeadError::TooLarge));
}

/// The fuzzer found this case: the `host` line that is made from the target was not counted, and hyper
/// refused the head with an answer of its own.
#[test]
fn a_host_that_the_target_says_is_a_field_line_like_any_other() {
    let lines = |n: usize| format!("POST http://a/ HTTP/1.0\r\n{}\r\n", "x:y\r\n".repeat(n));
    assert!(matches!(look_at(lines(MAX_FIELD_LINES - 1).as_bytes()), Parsed::Complete(_)));
    assert_eq!(look_at(lines(MAX_FIELD_LINES).as_bytes()), Parsed::Faulty(HeadError::TooLarge));
}

/// Generates bytes that often parse as heads.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => "(POST|GET) ?/[a-z?#\"]{0,4} HTTP/1.[01]\r\n".prop_map(String::into_bytes),
        8 => "(host|content-length|transfer-encoding|expect|x)[ ]?:[ ]?(a|1|chunked|100-continue)?\r?\n".prop_map(String::into_bytes),
        4 => Just(b"\r\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_verdict_does_not_depend_on_how_the_bytes_were_cut(bytes in heads()) {
        let whole = look_at(&bytes);
        let mut scanned = 0;
        let mut cut = Parsed::Partial;
        for end in 0..=bytes.len() {
            cut = parse(&bytes[..end], &mut scanned, MAX);
            if cut != Parsed::Partial {
                break;
            }
        }
        match (whole, cut) {
            (Parsed::Faulty(_), Parsed::Faulty(_)) => {}
            (whole, cut) => prop_assert_eq!(whole, cut),
        }
    }

    /// A usual parser neither refuses a head that passes here, nor parses it differently.
    #[test]
    fn what_passes_is_read_the_same_way_by_httparse(bytes in heads()) {
        if let Parsed::Complete(head) = look_at(&bytes) {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELD_LINES];
            let mut parsed = httparse::Request::new(&mut fields);
            prop_assert_eq!(parsed.parse(&bytes[..head.len]), Ok(httparse::Status::Complete(head.len)));
            let request = RequestHead::new(head, &bytes);
            prop_assert_eq!(Some(request.method()), parsed.method);
            prop_assert!(request.target().starts_with(b"/"));
            let lines: Vec<_> = parsed.headers.iter().map(|line| (line.name.as_bytes(), line.value)).collect();
            if parsed.path.map(str::as_bytes) == Some(request.target()) {
                prop_assert_eq!(request.lines().collect::<Vec<_>>(), lines);
            }
        }
    }
}

#[test]
fn a_name_is_a_known_name_exactly_if_they_are_the_same_ignoring_case() {
    let known = b"content-length";
    for at in 0..known.len() {
        for byte in 0..=u8::MAX {
            let mut name = *known;
            name[at] = byte;
            assert_eq!(is_named(&name, known), is_same_name(&name, known), "{}", name.escape_ascii());
        }
    }
    assert!(is_named(b"CONTENT-LENGTH", known) && is_named(known, b"Content-Length"));
    assert!(
        !is_named(b"content-lengt", known) && !is_named(b"content-length ", known) && !is_named(b"", known)
    );
}

#[test]
fn an_error_says_whether_a_field_line_has_no_colon_or_no_name() {
    for (line, error) in [
        ("no-colon", "a field line has no colon"),
        ("no colon", "a field line has no colon"),
        (":no-name", "a field name is not a token"),
        ("a b: c", "a field name is not a token"),
        ("a : b", "a field name is not a token"),
        ("a@b:", "a field name is not a token"),
        ("n\u{e9}: b:", "a field name is not a token"),
        (" a: b", "a field line is folded"),
        ("a: b\0", "a field value has a control character"),
    ] {
        assert_eq!(field_line(line.as_bytes()), Err(error), "{line}");
    }
    assert_eq!(field_line(b"a_b:\t c:d "), Ok((&b"a_b"[..], &b"c:d"[..])));
    assert_eq!(field_line(b"a:"), Ok((&b"a"[..], &b""[..])));
}

#[test]
fn a_path_and_a_host_have_exactly_the_characters_of_rfc_3986() {
    const BOTH: &[u8] = b"-._~!$&'()*+,;=";
    let passes = |target: &[u8], host: &[u8]| {
        let bytes = [b"POST ", target, b" HTTP/1.1\r\nhost: ", host, b"\r\n\r\n"].concat();
        matches!(look_at(&bytes), Parsed::Complete(_))
    };
    for byte in 0..=u8::MAX {
        let is_of_both = byte.is_ascii_alphanumeric() || BOTH.contains(&byte);
        let is_of_target = is_of_both || b"/:@?".contains(&byte);
        assert_eq!(passes(&[b'/', byte, b'a'], b"a"), is_of_target, "{byte}");
        assert_eq!(passes(b"/", &[b'a', byte, b'a']), is_of_both, "{byte}");
    }
    for (text, is_encoded) in
        [("%41", true), ("%aF%00", true), ("%", false), ("%4", false), ("%%41", false), ("%4g", false)]
    {
        assert_eq!(passes(format!("/{text}").as_bytes(), b"a"), is_encoded, "{text}");
        assert_eq!(passes(b"/", text.as_bytes()), is_encoded, "{text}");
    }
}
