//! Pure. The head of an HTTP/2 request, as the head that the request would have had in HTTP/1.1.
//!
//! The strict parser of HTTP/1.1 judges these bytes (`message::head`). So both versions have one judge, and
//! what could not be written as one strict HTTP/1.1 request is refused.

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, Method, Uri};

use crate::message::head::{self, HeadError, Parsed, RequestHead};

/// The parts of a request, as hyper hands them over.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'r> {
    /// `:method`
    pub method: &'r Method,
    /// `:authority` and `:path`. hyper has dropped a fragment.
    pub uri: &'r Uri,
    /// The fields. Lines of one name follow each other.
    pub fields: &'r HeaderMap,
    /// Whether content follows.
    pub has_content: bool,
}

/// The fields that belong to the connection in HTTP/1.1. They are malformed in HTTP/2 (RFC 9113, section
/// 8.2.2). h2 resets such streams itself; this check holds without it.
const CONNECTION_FIELDS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// The head of a request that the parser of HTTP/1.1 has accepted.
///
/// # Errors
/// [`HeadError`]: the request could not be written as one strict HTTP/1.1 request, or is larger than
/// `max_bytes`.
pub fn read(parts: &Parts<'_>, max_bytes: usize) -> Result<RequestHead, HeadError> {
    let bytes = written(parts).map_err(HeadError::Malformed)?;
    match head::parse(&bytes, &mut 0, max_bytes) {
        Parsed::Complete(facts) if facts.len == bytes.len() => Ok(RequestHead::owned(facts, bytes)),
        Parsed::Complete(_) => Err(HeadError::Malformed("the head ends early")),
        // A head without its end is longer than the limit.
        Parsed::Partial => Err(HeadError::TooLarge),
        Parsed::Faulty(error) => Err(error),
    }
}

/// The bytes of the head in HTTP/1.1.
fn written(parts: &Parts<'_>) -> Result<Vec<u8>, &'static str> {
    let Parts { method, uri, fields, has_content } = *parts;
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let target = match uri.path_and_query() {
        None if *method == Method::CONNECT => authority.unwrap_or_default(),
        Some(_) if *method == Method::CONNECT => return Err("CONNECT has a path"),
        Some(target) => target.as_str(),
        None => return Err("there is no path"),
    };
    let mut bytes = Vec::with_capacity(size(method, target, authority, fields));
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    if let Some(authority) = authority {
        line(&mut bytes, HOST.as_str(), authority.as_bytes());
    }
    let is_said = |host: &[u8]| authority.is_some_and(|said| host.eq_ignore_ascii_case(said.as_bytes()));
    let (mut hosts, mut has_cookie) = (0usize, false);
    for (name, value) in fields {
        let value = value.as_bytes();
        if CONNECTION_FIELDS.contains(&name.as_str()) || (name == "te" && value != b"trailers") {
            return Err("a field of the connection is in an HTTP/2 request");
        }
        if value.trim_ascii().len() != value.len() {
            return Err("a field value begins or ends with white space");
        }
        if name == HOST {
            hosts = hosts.saturating_add(1);
            if authority.is_some() && !is_said(value) {
                return Err("the host field is not :authority");
            }
            if authority.is_some() && hosts == 1 {
                continue;
            }
        }
        if name == COOKIE {
            // All of them are written where the first is.
            if !has_cookie {
                cookies(&mut bytes, fields);
            }
            has_cookie = true;
            continue;
        }
        line(&mut bytes, name.as_str(), value);
    }
    if has_content && !fields.contains_key(CONTENT_LENGTH) {
        // The end of the stream is the end of the content, as the last chunk is in HTTP/1.1.
        line(&mut bytes, "transfer-encoding", b"chunked");
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes)
}

/// Joins the cookie lines (RFC 9113, section 8.2.3).
fn cookies(bytes: &mut Vec<u8>, fields: &HeaderMap) {
    let mut values = fields.get_all(COOKIE).iter();
    let Some(first) = values.next() else { return };
    bytes.extend_from_slice(COOKIE.as_str().as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(first.as_bytes());
    for value in values {
        bytes.extend_from_slice(b"; ");
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
}

/// The size of the head in bytes, so that its buffer is allocated once and has no spare bytes.
fn size(method: &Method, target: &str, authority: Option<&str>, fields: &HeaderMap) -> usize {
    let line = |name: usize, value: usize| name.saturating_add(value).saturating_add(4);
    let own = [
        method.as_str().len(),
        target.len(),
        authority.map_or(0, |authority| line(HOST.as_str().len(), authority.len())),
        " HTTP/1.1\r\n\r\n transfer-encoding: chunked\r\n".len(),
    ];
    let lines = fields.iter().map(|(name, value)| line(name.as_str().len(), value.len()));
    own.into_iter().chain(lines).fold(0, usize::saturating_add)
}

fn line(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}
