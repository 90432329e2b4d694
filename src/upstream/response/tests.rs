//! Tests of upstream heads: which are passed on, and which parts of them.

use super::*;

fn look_at(text: &str) -> Result<Parsed, ProtocolError> {
    parse(text.as_bytes(), RequestKind::ForContent, &[])
}

fn head(text: &str) -> ResponseHead {
    match look_at(text) {
        Ok(Parsed::Complete(len, head)) if len == text.len() => head,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn framing(fields: &[(&str, &str)]) -> Option<Framing> {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    match look_at(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")) {
        Ok(Parsed::Complete(_, head)) => Some(head.framing),
        Err(ProtocolError::UnclearFraming) => None,
        other => panic!("{fields:?}: {other:?}"),
    }
}

#[test]
fn framing_that_two_readers_could_read_differently_is_a_breach() {
    let (te, cl) = ("Transfer-Encoding", "content-length");
    for (fields, want) in [
        (&[][..], Some(Framing::Close)),
        (&[(te, "Chunked")], Some(Framing::Chunked)),
        (&[(cl, "12")], Some(Framing::Length(12))),
        (&[(cl, "0")], Some(Framing::None)),
        (&[(te, "gzip, chunked")], None),
        (&[(te, "gzip")], None),
        (&[(te, "chunked"), (te, "chunked")], None),
        (&[(te, "chunked"), (cl, "1")], None),
        (&[(cl, "1"), (cl, "1")], None),
        (&[(cl, "1, 1")], None),
        (&[(cl, "+1")], None),
        (&[(cl, "")], None),
        (&[(cl, "18446744073709551616")], None),
    ] {
        assert_eq!(framing(fields), want, "{fields:?}");
    }
    let old = look_at("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert!(matches!(old, Err(ProtocolError::UnclearFraming)));
}

#[test]
fn a_response_that_cannot_have_content_has_none_whatever_its_fields_state() {
    for (status, goes_on) in [("204 No Content", false), ("304 Not Modified", true)] {
        let head = head(&format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\n"));
        assert_eq!((head.framing, head.is_persistent), (Framing::None, goes_on));
    }
    let text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let Ok(Parsed::Complete(_, head)) = parse(text, RequestKind::by("HEAD"), &[]) else {
        panic!("it is complete")
    };
    assert_eq!((head.framing, &head.text[..]), (Framing::None, &b"200 OK\r\ncontent-length: 5\r\n"[..]));
}

#[test]
fn a_connection_is_not_used_again_behind_a_204_that_announces_content() {
    for (lines, goes_on) in [
        ("", true),
        ("content-length: 0\r\n", true),
        ("content-length: 5\r\n", false),
        ("transfer-encoding: chunked\r\n", false),
    ] {
        let head = head(&format!("HTTP/1.1 204 No Content\r\n{lines}\r\n"));
        assert_eq!((head.framing, head.is_persistent), (Framing::None, goes_on), "{lines:?}");
    }
}

#[test]
fn a_204_goes_on_without_a_length() {
    let text = b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nx: y\r\n\r\n";
    for asked in [RequestKind::ForHead, RequestKind::ForContent] {
        let Ok(Parsed::Complete(_, head)) = parse(text, asked, &[]) else { panic!("it is complete") };
        assert_eq!(head.text, b"204 No Content\r\nx: y\r\n");
    }
}

#[test]
fn a_connection_persists_if_both_sides_allow_it() {
    for (text, want) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x, Close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: Keep-Alive\r\n\r\n", true),
    ] {
        assert_eq!(head(text).is_persistent, want, "{text:?}");
    }
    let head = head("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nKeep-Alive: timeout=5\r\n\r\n");
    assert_eq!((head.keep_alive, &head.text[..]), (Some(5), &b"200 OK\r\ncontent-length: 0\r\n"[..]));
}

#[test]
fn interim_responses_are_recognised_and_switching_is_a_breach() {
    assert!(matches!(look_at("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP"), Ok(Parsed::Interim(37))));
    assert!(matches!(look_at("HTTP/1.1 101 Switching\r\n\r\n"), Err(ProtocolError::Switched)));
    assert!(matches!(look_at("HTTP/1.1 099 Odd\r\n\r\n"), Err(ProtocolError::Malformed(_))));
}

/// The parser finds the end of a head, or an error in it, whatever the sizes of the pieces.
#[test]
fn a_head_that_comes_in_pieces_is_read_as_one_that_comes_at_once() {
    for text in [
        "HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nok",
        "\r\n\n\r\nHTTP/1.1 200 OK\na: b\n\nHTTP/1.1 201 Made\r\n\r\n",
        "HTTP/1.1 200 OK\na: b\r\n\n\n",
        "HTTP/1.1 200\n\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\r\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\r\n\r\n",
        "\rHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "garbage\n\n",
    ] {
        for size in 1..=text.len() {
            let mut parser = HeadParser::default();
            let ends = (size..text.len()).step_by(size).chain([text.len()]);
            let mut looks =
                ends.map(|end| parser.parse(&text.as_bytes()[..end], RequestKind::ForContent, &[]));
            let found = looks.find(|parse| !matches!(parse, Ok(Parsed::Partial))).expect("it has an end");
            assert_eq!(format!("{found:?}"), format!("{:?}", look_at(text)), "{text:?} by {size}");
        }
    }
}

/// Counts the bytes that are visited by httparse and by the search for the end.
#[test]
fn a_head_that_comes_byte_by_byte_takes_linear_work() {
    let line = format!("x: {}\r\n", "y".repeat(800));
    let long = format!("x: {}\r\n", "y".repeat(60_000));
    for (before, lines) in
        [("", line.repeat(75)), ("\n", line.clone()), ("", long), (&"\r\n".repeat(30_000), line)]
    {
        let text = format!("{before}HTTP/1.1 200 OK\r\n{lines}\r\n");
        assert!(text.len() <= MAX_HEAD);
        let (mut parser, mut visited) = (HeadParser::default(), 0);
        for end in 1..=text.len() {
            let before = (parser.scanned, parser.parsed);
            let looked = parser.parse(&text.as_bytes()[..end], RequestKind::ForContent, &[]);
            // The search begins where it last stopped, and visits every byte that has arrived since.
            visited += end - before.0;
            visited += if parser.parsed > before.1 { parser.parsed } else { 0 };
            match looked.unwrap() {
                Parsed::Partial => assert!(end < text.len()),
                Parsed::Complete(len, _) => visited += len,
                Parsed::Interim(_) => panic!("it is final"),
            }
        }
        assert!(visited <= 4 * text.len(), "{visited} bytes visited of {}", text.len());
    }
}

#[test]
fn a_head_that_comes_in_pieces_is_bounded() {
    for text in ["HTTP/1.1 200 OK\r\nx: ".to_owned() + &"y".repeat(MAX_HEAD), "\n".repeat(MAX_HEAD + 1)] {
        let mut parser = HeadParser::default();
        let parse = |end: usize| parser.parse(&text.as_bytes()[..end], RequestKind::ForContent, &[]);
        let fault = (1..=text.len()).map(parse).position(|parse| parse.is_err());
        assert_eq!(fault, Some(MAX_HEAD), "the first byte too many");
    }
}

#[test]
fn a_head_is_bounded() {
    let text = |n: usize| format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(n));
    assert!(matches!(look_at(&text(1000)), Ok(Parsed::Partial)));
    assert!(matches!(look_at(&text(MAX_HEAD)), Err(ProtocolError::HeadTooLarge)));
    assert!(matches!(look_at(&format!("{}\r\n\r\n", text(MAX_HEAD))), Err(ProtocolError::HeadTooLarge)));
    let lines = "x: y\r\n".repeat(MAX_FIELD_LINES + 1);
    assert!(matches!(look_at(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")), Err(ProtocolError::Malformed(_))));
}

#[test]
fn a_head_keeps_order_and_spelling_without_the_fields_of_the_connection() {
    let text = "HTTP/1.1 200 OK\r\nX-Custom-ID:  a:B \r\nset-cookie: A\r\nConnection: x-gone\r\nX-Gone: 1\r\n\
                    Content-Length: 2\r\nEmpty:\r\nSet-Cookie: B\r\nX-Tra: \u{e9}\tx\r\n\r\n";
    let want = "200 OK\r\nX-Custom-ID: a:B\r\nset-cookie: A\r\nContent-Length: 2\r\nEmpty: \r\nSet-Cookie: B\r\n\
                    X-Tra: \u{e9}\tx\r\n";
    assert_eq!(head(text).text, want.as_bytes());
}

#[test]
fn the_reason_is_kept() {
    for reason in ["OK", "Fine", "Not so fine "] {
        let head = head(&format!("HTTP/1.1 200 {reason}\r\n\r\n"));
        assert_eq!(head.text, format!("200 {reason}\r\n").as_bytes());
    }
    for empty in ["HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200\r\n\r\n", "\r\nHTTP/1.1 200\nx: y z a\n\n"] {
        assert!(head(empty).text.starts_with(b"200 \r\n"), "{empty:?}");
    }
}

#[test]
fn a_reason_that_is_not_ascii_is_kept_to_its_last_space() {
    for reason in ["Schön so", "Schön so ", " é\t", "é"] {
        for (before, end) in [("", "\r\n"), ("\r\n", "\r\n"), ("\n", "\n")] {
            let head = head(&format!("{before}HTTP/1.1 200 {reason}{end}a: b{end}{end}"));
            assert_eq!(head.text, format!("200 {reason}\r\na: b\r\n").as_bytes(), "{before:?} {end:?}");
        }
    }
}
