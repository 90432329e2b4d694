//! The head of a request: httparse, the `http` crate and a strict parser of the grammar parse an accepted
//! head in the same way, for any sizes of the pieces.

use hookgate::message::head::{Expect, Framing, MAX_FIELD_LINES, Parsed, RequestHead, Version, parse};
use hookgate::signature::Fields as _;

use super::strict;

const MAX: usize = 2048;

/// Panics if two parsers disagree about an accepted head, or if the result depends on the sizes of the
/// pieces.
pub fn holds(data: &[u8]) {
    let whole = parse(data, &mut 0, MAX);
    in_pieces(data, &whole);
    let Parsed::Complete(head) = whole else { return };
    let raw = &data[..head.len];
    let start =
        raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).expect("there is more than line ends");
    let message = &raw[start..];

    let read = strict::head(message);
    let (strict, len) = read.expect("a strict reading refuses it").expect("a strict reading finds no end");
    assert_eq!(len, message.len());
    assert_eq!(strict.minor >= 1, head.version == Version::Http11);
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
    for name in ["content-length", "transfer-encoding"] {
        assert!(strict.lookalikes(name).is_empty(), "an app could read another {name}");
    }
    let is_usual = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    assert_eq!(head.has_unusual_names, strict.fields.iter().any(|(name, _)| !is_usual(name)));
    assert!(strict.all("host").len() == 1 || (strict.minor == 0 && strict.all("host").is_empty()));
    if head.expect == Expect::Continue {
        assert!(matches!(strict.all("expect")[..], [one] if one.eq_ignore_ascii_case(b"100-continue")));
    }

    // httparse supports no later minor version, and no target that is not UTF-8.
    let mut known = message.to_vec();
    let start = strict.method.len() + 1;
    let (target, rest) = known[start..].split_at_mut(strict.target.len());
    target.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'~');
    let minor = &mut rest[" HTTP/1.".len()];
    *minor = (*minor).min(b'1');
    let parsed = httparse(&known);
    assert_eq!(parsed.method, strict.method);
    assert_eq!(parsed.path.as_bytes(), &known[start..start + strict.target.len()]);
    assert_eq!(parsed.minor, strict.minor.min(1));
    assert_eq!(parsed.fields, strict.fields);
    kept(&RequestHead::new(head, data), &strict);
}

/// Checks that the parsed head has the same method, path and fields. Every later step uses this head.
fn kept(request: &RequestHead, strict: &strict::Request) {
    assert_eq!(request.method(), strict.method);
    assert!(request.target().starts_with(b"/"));
    let path = request.path();
    assert!(
        request
            .target()
            .strip_prefix(path.as_bytes())
            .is_some_and(|query| { query.first().is_none_or(|byte| *byte == b'?') })
    );
    match http::Uri::try_from(request.target()) {
        Ok(uri) => {
            let whole = uri.path_and_query().map(|whole| whole.as_str().as_bytes());
            assert_eq!(whole, Some(request.target()), "the http crate cuts the target");
            assert_eq!(uri.path(), path);
        }
        // hookgate accepts these characters and invalid UTF-8 in a query. The `http` crate does not.
        Err(_) => {
            let query = &request.target()[path.len()..];
            let is_known =
                query.iter().any(|byte| b"\"<>".contains(byte)) || std::str::from_utf8(query).is_err();
            assert!(is_known, "the http crate makes no Uri of it");
        }
    }
    let is_absolute = !strict.target.starts_with(b"/");
    let host = strict.all("host");
    if is_absolute {
        // The upstream gets the end of the target, or the root path.
        let path = request.target().strip_prefix(b"/").unwrap_or_default();
        assert!(strict.target.ends_with(path));
        if let [host] = host[..] {
            let target = strict.target.to_ascii_lowercase();
            let rest = target.splitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
            assert!(
                rest[1..].starts_with(&host.to_ascii_lowercase()[..]),
                "an authority that is not the host"
            );
        }
    } else {
        assert_eq!(request.target(), strict.target);
    }
    let mut lines = request.lines().peekable();
    if host.is_empty() && is_absolute {
        // An HTTP/1.0 request names the host only in its target. In the forwarded head, a field names the
        // host.
        assert!(lines.next_if(|(name, value)| *name == b"host" && !value.is_empty()).is_some());
    }
    assert!(
        lines.eq(strict.fields.iter().map(|(name, value)| (name.as_bytes(), &value[..]))),
        "other fields"
    );
    for (name, _) in &strict.fields {
        let lower = name.to_ascii_lowercase();
        assert!(
            host.is_empty() || request.values(&lower).eq(strict.all(&lower)),
            "{name} is found differently"
        );
    }
}

/// The verdict must not depend on how the bytes are cut. Only the reported error may depend on it.
fn in_pieces(data: &[u8], whole: &Parsed) {
    let step = 1 + data.len() % 7;
    let (mut scanned, mut end) = (0, 0);
    loop {
        let cut = parse(&data[..end], &mut scanned, MAX);
        match (&cut, whole) {
            (Parsed::Partial, _) if end < data.len() => {}
            (Parsed::Faulty(_), Parsed::Faulty(_)) => return,
            (cut, whole) => {
                assert_eq!(cut, whole, "in pieces of {step}");
                return;
            }
        }
        end = (end + step).min(data.len());
    }
}

struct Reading {
    method: String,
    path: String,
    minor: u8,
    fields: Vec<(String, Vec<u8>)>,
}

fn httparse(bytes: &[u8]) -> Reading {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELD_LINES];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(bytes), Ok(httparse::Status::Complete(bytes.len())), "httparse disagrees");
    let fields = request.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
    Reading {
        method: request.method.expect("it is complete").to_owned(),
        path: request.path.expect("it is complete").to_owned(),
        minor: request.version.expect("it is complete"),
        fields,
    }
}
