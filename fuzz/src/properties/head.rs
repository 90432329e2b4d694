//! The head of a request: what passes is read the same by httparse (which is hyper's), by the `http` crate and by a strict
//! reading of the grammar, whatever the pieces it comes in.

use hookgate::server::head::{Expect, Framing, Head, Look, MAX_FIELD_LINES, Version, look};

use super::strict;

const MAX: usize = 2048;

/// Panics if two readers disagree about a head that passes, or if the pieces it came in made a difference.
pub fn holds(data: &[u8]) {
    let whole = look(data, &mut 0, MAX);
    in_pieces(data, &whole);
    let Look::Complete(head) = whole else { return };
    let raw = &data[..head.len];
    let start =
        raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).expect("there is more than line ends");
    let message = &raw[start..];

    let read = strict::head(message);
    let (strict, len) = read.expect("a strict reading refuses it").expect("a strict reading finds no end");
    assert_eq!(len, message.len());
    assert_eq!(strict.minor == 1, head.version == Version::Http11);
    let length = strict.content_length().expect("what it passes is one number");
    let codings = strict.all("transfer-encoding");
    match head.framing {
        Framing::None => assert!(length.is_none() && codings.is_empty()),
        Framing::Length(claimed) => assert!(length == Some(claimed) && codings.is_empty()),
        Framing::Chunked => {
            assert!(length.is_none() && codings.len() == 1 && codings[0].eq_ignore_ascii_case(b"chunked"));
            assert_eq!(head.version, Version::Http11);
        }
    }
    assert!(strict.all("host").len() == 1 || (strict.minor == 0 && strict.all("host").is_empty()));
    if head.expect == Expect::Continue {
        assert!(matches!(strict.all("expect")[..], [one] if one.eq_ignore_ascii_case(b"100-continue")));
    }

    let parsed = httparse(message);
    assert_eq!(parsed.method, strict.method);
    assert_eq!(parsed.path.as_bytes(), strict.target);
    assert_eq!(parsed.minor, strict.minor);
    assert_eq!(parsed.fields, strict.fields);
    relayed(&head, raw, &strict);
}

/// What hyper is given has the same method, path and fields, and says that there is no content.
fn relayed(head: &Head, raw: &[u8], strict: &strict::Request) {
    let mut out = Vec::new();
    head.relay(raw, &mut out);
    let parsed = httparse(&out);
    assert_eq!(parsed.method, strict.method);
    assert_eq!(parsed.minor, strict.minor);
    assert!(parsed.path.starts_with('/'));
    let uri: http::Uri = parsed.path.parse().expect("what hyper makes a Uri of is one");
    let kept = uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    assert_eq!(kept, Some(parsed.path.as_str()), "the http crate cuts the target");
    if strict.target.starts_with(b"/") {
        assert_eq!(parsed.path.as_bytes(), strict.target);
    } else {
        // Absolute-form: whatever the upstream is sent is the end of it, or the root.
        let path = parsed.path.strip_prefix('/').unwrap_or_default();
        assert!(strict.target.ends_with(path.as_bytes()));
        let host = strict.all("host");
        if let [host] = host[..] {
            let target = strict.target.to_ascii_lowercase();
            let rest = target.splitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
            assert!(
                rest[1..].starts_with(&host.to_ascii_lowercase()[..]),
                "an authority that is not the host"
            );
        }
    }
    let is = |name: &str, others: &[&str]| others.iter().any(|other| name.eq_ignore_ascii_case(other));
    let framing = ["content-length", "transfer-encoding"];
    let want =
        strict.fields.iter().filter(|(name, _)| !is(name, &framing) && !is(name, &["expect", "upgrade"]));
    let mut rest = parsed.fields.iter().filter(|(name, _)| !is(name, &framing)).peekable();
    if strict.all("host").is_empty() && !strict.target.starts_with(b"/") {
        // HTTP/1.0 has said in its target whom it is for, and says it in a field from now on.
        assert!(rest.next_if(|(name, value)| is(name, &["host"]) && !value.is_empty()).is_some());
    }
    assert!(want.eq(rest), "other fields");
    let said: Vec<_> = parsed.fields.iter().filter(|(name, _)| is(name, &framing)).collect();
    match head.framing {
        Framing::None => assert!(said.is_empty()),
        Framing::Length(_) | Framing::Chunked => {
            assert!(matches!(said[..], [(name, value)] if is(name, &["content-length"]) && value == b"0"));
        }
    }
}

/// A verdict must not depend on how the bytes were cut; only what is wrong first may.
fn in_pieces(data: &[u8], whole: &Look) {
    let step = 1 + data.len() % 7;
    let (mut scanned, mut end) = (0, 0);
    loop {
        let cut = look(&data[..end], &mut scanned, MAX);
        match (&cut, whole) {
            (Look::Partial, _) if end < data.len() => {}
            (Look::Faulty(_), Look::Faulty(_)) => return,
            (cut, whole) => {
                assert_eq!(cut, whole, "in pieces of {step}");
                return;
            }
        }
        end = (end + step).min(data.len());
    }
}

struct Parsed {
    method: String,
    path: String,
    minor: u8,
    fields: Vec<(String, Vec<u8>)>,
}

fn httparse(bytes: &[u8]) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELD_LINES];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(bytes), Ok(httparse::Status::Complete(bytes.len())), "httparse disagrees");
    let fields = request.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
    Parsed {
        method: request.method.expect("it is complete").to_owned(),
        path: request.path.expect("it is complete").to_owned(),
        minor: request.version.expect("it is complete"),
        fields,
    }
}
