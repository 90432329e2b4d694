//! The head of a request over HTTP/2: whatever hyper hands over is refused, or it is the same request in
//! HTTP/1.1 to a strict parser: method, target, host and fields.
//!
//! The input is lines: the method, the authority (or `-`), the path, and fields. A first byte of `!` says
//! that there is no content.

use hookgate::http2::head::{Parts, read};
use hookgate::message::head::RequestHead;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::strict;

const MAX: usize = 2048;

/// Panics if an accepted head is another request in HTTP/1.1.
pub fn holds(data: &[u8]) {
    let _is_accepted = accepts(data);
}

/// Does the same as [`holds`]. Returns whether the head is accepted.
pub fn accepts(data: &[u8]) -> bool {
    let (has_content, data) = data.strip_prefix(b"!").map_or((true, data), |rest| (false, rest));
    let Some((method, uri, fields)) = parts(data) else { return false };
    let parts = Parts { method: &method, uri: &uri, fields: &fields, has_content };
    let Ok(head) = read(&parts, MAX) else { return false };
    same(&parts, &head);
    true
}

/// The parts that hyper makes of a request. `None` if it would not.
fn parts(data: &[u8]) -> Option<(Method, Uri, HeaderMap)> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let method = Method::from_bytes(lines.next()?).ok()?;
    let authority = lines.next()?;
    let path = PathAndQuery::try_from(lines.next()?).ok()?;
    let mut uri = http::uri::Parts::default();
    if authority != b"-" {
        uri.authority = Some(Authority::try_from(authority).ok()?);
        uri.scheme = Some(Scheme::HTTP);
    }
    uri.path_and_query = Some(path);
    let uri = Uri::from_parts(uri).ok()?;
    let mut fields = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_lowercase(&line[..colon]).ok()?;
        fields.append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some((method, uri, fields))
}

/// Checks that a strict parser reads the same request.
fn same(parts: &Parts<'_>, head: &RequestHead) {
    let mut text = format!("{} ", head.method()).into_bytes();
    text.extend_from_slice(head.target());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in head.lines() {
        for part in [name, b": ", value, b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    let (strict, length) = strict::head(&text).expect("it is strict").expect("it is whole");
    assert_eq!(length, text.len());
    assert_eq!(strict.method, parts.method.as_str());
    let target = parts.uri.path_and_query().map(PathAndQuery::as_str);
    assert_eq!(Some(strict.target.as_slice()), target.map(str::as_bytes));

    let hosts = parts.fields.get_all("host").iter().map(HeaderValue::as_bytes);
    let said: Vec<&[u8]> =
        parts.uri.authority().map(|said| said.as_str().as_bytes()).into_iter().chain(hosts).collect();
    assert!(
        !said.is_empty() && said.iter().all(|host| host.eq_ignore_ascii_case(said[0])),
        "two hosts: {said:?}"
    );
    assert_eq!(strict.all("host"), [said[0]]);

    let cookies: Vec<&[u8]> = parts.fields.get_all("cookie").iter().map(HeaderValue::as_bytes).collect();
    let joined = cookies.join(b"; ".as_slice());
    // White space at the end is no part of a value.
    assert_eq!(strict.all("cookie"), if cookies.is_empty() { Vec::new() } else { vec![joined.trim_ascii()] });

    for name in parts.fields.keys().filter(|name| !["host", "cookie"].contains(&name.as_str())) {
        let values: Vec<&[u8]> = parts.fields.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(strict.all(name.as_str()), values, "{name}");
    }
    for name in ["connection", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(strict.all(name).is_empty(), "{name}");
    }
    let is_counted = parts.fields.contains_key("content-length");
    let coding: &[&[u8]] = if parts.has_content && !is_counted { &[b"chunked"] } else { &[] };
    assert_eq!(strict.all("transfer-encoding"), coding);
    let known = |name: &str| parts.fields.contains_key(name) || ["host", "transfer-encoding"].contains(&name);
    assert!(
        strict.fields.iter().all(|(name, _)| known(name)),
        "a field that nobody sent: {:?}",
        strict.fields
    );
}
