//! Pure. The request line: method, target and version, and the host of the request.

use std::net::Ipv6Addr;

use memchr::memchr;

use crate::message::head::facts::{HeadError, Version};
use crate::message::head::token::{is_all_token, is_host_name_byte, is_path_byte};

/// The most bytes of a request line, whatever the limit of the head is: twice the length that RFC 9112,
/// section 3, recommends to support.
pub(crate) const MAX_REQUEST_LINE: usize = 16 * 1024;

/// The limit for the request line with its CRLF.
pub(crate) const MAX_REQUEST_LINE_WITH_END: usize = MAX_REQUEST_LINE.saturating_add(2);

pub(crate) struct RequestLine<'h> {
    pub(crate) method: &'h [u8],
    pub(crate) target: Target<'h>,
    pub(crate) version: Version,
}

pub(crate) enum Target<'h> {
    Origin(&'h [u8]),
    Absolute {
        authority: &'h [u8],
        path_and_query: &'h [u8],
    },
    /// `*`, used with `OPTIONS`.
    Asterisk,
    /// Host and port, used with `CONNECT`.
    Authority,
}

impl<'h> RequestLine<'h> {
    pub(crate) fn read(line: &'h [u8]) -> Result<Self, HeadError> {
        let Some((method, target, version)) = parts(line) else {
            return Err(HeadError::Malformed(misread(line)));
        };
        if !is_all_token(method) {
            return Err(HeadError::Malformed("the method is not a token"));
        }
        let surplus =
            |fault| if version.contains(&b' ') { HeadError::Malformed(misread(line)) } else { fault };
        let version = read_version(version).map_err(surplus)?;
        let target = Target::read(method, target).map_err(HeadError::Malformed)?;
        Ok(Self { method, target, version })
    }
}

/// Reads `HTTP-version` (RFC 9112, section 2.3). A higher minor version is served as HTTP/1.1 (RFC 9110,
/// section 2.5).
fn read_version(text: &[u8]) -> Result<Version, HeadError> {
    match text.strip_prefix(b"HTTP/") {
        Some(b"1.1") => Ok(Version::Http11),
        Some(b"1.0") => Ok(Version::Http10),
        Some([b'1', b'.', b'2'..=b'9']) => Ok(Version::Http11),
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => Err(HeadError::UnknownVersion),
        Some(_) | None => Err(HeadError::Malformed("the version is not HTTP/ and two digits")),
    }
}

impl<'h> Target<'h> {
    /// Parses the form of target that the method requires (RFC 9112, section 3.2). The target has no
    /// fragment.
    fn read(method: &[u8], target: &'h [u8]) -> Result<Self, &'static str> {
        if method == b"CONNECT" {
            return if is_host_and_port(target) {
                Ok(Self::Authority)
            } else {
                Err("the target of CONNECT is not a host and a port")
            };
        }
        if target.contains(&b'#') {
            return Err("the target has a fragment");
        }
        if target.first() == Some(&b'/') {
            return is_path_and_query(target).map(|()| Self::Origin(target));
        }
        if method == b"OPTIONS" && target == b"*" {
            return Ok(Self::Asterisk);
        }
        let rest = strip_prefix_ignoring_case(target, b"http://")
            .or_else(|| strip_prefix_ignoring_case(target, b"https://"))
            .ok_or("the target is neither origin-form nor absolute-form")?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at_checked(end).unwrap_or((rest, b""));
        if !is_host(authority) {
            return Err("the target's authority is invalid");
        }
        is_path_and_query(path_and_query)?;
        Ok(Self::Absolute { authority, path_and_query })
    }
}

/// The three parts of a request line. Exactly one space is between two parts.
fn parts(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (method, rest) = at_space(line)?;
    let (target, version) = at_space(rest)?;
    Some((method, target, version))
}

/// What is wrong with a line that is not a request line.
fn misread(line: &[u8]) -> &'static str {
    let mut last = line.rsplitn(2, |byte| *byte == b' ');
    if line.starts_with(b"PROXY ") {
        PROXY_ON_PLAIN
    } else if last.next().is_some_and(|version| version.starts_with(b"HTTP/")) {
        "the request line has more than two spaces: in a target, a space is written %20"
    } else {
        "the request line is not method, target and version, with one space between"
    }
}

/// What the log says of the PROXY protocol on a listener that does not expect it.
pub(crate) const PROXY_ON_PLAIN: &str = "the PROXY protocol came to a listener that does not expect it: turn it off at the proxy, or set `[server] proxy_protocol`";

fn at_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(memchr(b' ', text)?)?;
    Some((before, rest.get(1..)?))
}

/// Checks the path and the query of a target. A path must match RFC 3986, section 3.3: apps decode paths, and
/// may disagree about any other character. A query is forwarded as received, because senders write many
/// things into it. Only characters that could end the target early are refused.
fn is_path_and_query(text: &[u8]) -> Result<(), &'static str> {
    let (path, query) =
        text.split_at_checked(memchr(b'?', text).unwrap_or(text.len())).unwrap_or((text, b""));
    if !is_path(path) {
        return Err("the path has a character that no path has, or a % without two digits");
    }
    if !query.iter().copied().all(is_query_byte) {
        return Err("the query has a white space or control character");
    }
    Ok(())
}

/// Whether the path is `*( pchar / "/" )`.
fn is_path(path: &[u8]) -> bool {
    is_encoded(path, is_path_byte)
}

/// Whether each byte of a text is permitted, or part of an encoding: a `%` and two hexadecimal digits.
fn is_encoded(mut text: &[u8], is_permitted: impl Fn(u8) -> bool) -> bool {
    loop {
        text = match text {
            [] => return true,
            [byte, rest @ ..] if is_permitted(*byte) => rest,
            [b'%', a, b, rest @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            _ => return false,
        };
    }
}

/// Whether a byte is allowed in a query: visible ASCII except `#`, and bytes from 0x80 on. The query need not
/// be UTF-8.
fn is_query_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'"' | b'$'..=b'~' | 0x80..)
}

fn strip_prefix_ignoring_case<'b>(bytes: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    let (start, rest) = bytes.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether a target is `uri-host ":" port` (RFC 9112, section 3.2.3). The port must not be empty.
fn is_host_and_port(target: &[u8]) -> bool {
    let port = target.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    let is_port = !port.is_empty() && port.len() < target.len() && port.iter().all(u8::is_ascii_digit);
    is_port && is_host(target)
}

/// Whether a value is `uri-host [ ":" port ]` (RFC 9110, section 7.2). It must not be empty, and has no user
/// information.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let end = match value.first() {
        Some(b'[') => memchr(b']', value).map_or(value.len(), |bracket| bracket.saturating_add(1)),
        Some(_) | None => memchr(b':', value).unwrap_or(value.len()),
    };
    let is_host = match value.get(..end) {
        Some([b'[', address @ .., b']']) => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }
        Some(name) => !name.is_empty() && is_reg_name(name),
        None => false,
    };
    is_host
        && match value.get(end..) {
            Some([b':', port @ ..]) => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
            Some(rest) => rest.is_empty(),
            None => false,
        }
}

/// Whether a name is `reg-name` (RFC 3986, section 3.2.2).
fn is_reg_name(name: &[u8]) -> bool {
    is_encoded(name, is_host_name_byte)
}
