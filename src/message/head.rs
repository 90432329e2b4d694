//! Pure. A strict parser of request heads.
//!
//! HTTP libraries are lenient in places where two parsers can disagree about a message: where it ends, or for
//! which host it is. So every head is parsed here, byte by byte, against RFC 9112. A head that passes becomes
//! a [`RequestHead`], which every later step uses.

mod coding;
mod facts;
mod lines;
mod lookalike;
mod refused;
mod request;
mod target;

use memchr::{memchr, memchr_iter};

use crate::message::head::coding::Codings;
pub use crate::message::head::facts::{
    Expect, Framing, Head, HeadError, Persistence, ResponseContext, Version,
};
use crate::message::head::lines::{Lines, parts_of_line};
pub(crate) use crate::message::head::lines::{field_line, leading_empty_lines, trim};
pub use crate::message::head::lookalike::{Guarded, is_lookalike};
pub use crate::message::head::refused::{RefusedHead, SentLine};
pub use crate::message::head::request::RequestHead;
use crate::message::head::target::{
    MAX_REQUEST_LINE, MAX_REQUEST_LINE_WITH_END, PROXY_ON_PLAIN, RequestLine, Target, is_host,
};
use crate::message::head::token::Name;
pub use crate::message::head::token::is_same_name;
pub(crate) use crate::message::head::token::{is_named, is_token};

/// The most field lines of a request.
pub const MAX_FIELD_LINES: usize = 100;

/// The result of parsing the bytes received so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is incomplete.
    Partial,
    /// The head is complete and strict HTTP/1.x.
    Complete(Head),
    /// The head is refused, whatever bytes follow.
    Faulty(HeadError),
}

/// Parses the bytes received so far. `scanned` is the number of bytes in which an earlier call has searched
/// for the head's end. The call updates it. So a head in many small pieces costs no more than a head that
/// arrives in one piece.
#[must_use]
pub fn parse(bytes: &[u8], scanned: &mut usize, max_bytes: usize) -> Parsed {
    let start = leading_empty_lines(bytes);
    let Some(message) = bytes.get(start..) else { return Parsed::Partial };
    match message.first() {
        None => return if start > max_bytes { malformed(EMPTY_LINES) } else { Parsed::Partial },
        Some(b'\r') if message.len() == 1 => return Parsed::Partial,
        // Bytes that cannot be HTTP/1.x are refused immediately, without waiting for the time limit. A TLS
        // handshake is an example.
        Some(&TLS_HANDSHAKE) => return malformed(TLS_ON_PLAIN),
        Some(_) if message.starts_with(PROXY_2) => return malformed(PROXY_ON_PLAIN),
        Some(first) if !is_token(*first) => {
            return malformed("the request line does not begin with a method");
        }
        Some(_) => {}
    }
    let earlier = *scanned;
    match find_end(bytes, start, scanned) {
        End::Missing if bytes.len() > max_bytes => Parsed::Faulty(too_large(message, max_bytes)),
        // The end of the line is searched only once: when there are more bytes than the line may have.
        End::Missing
            if earlier.saturating_sub(start) <= MAX_REQUEST_LINE_WITH_END
                && is_line_too_long(message, max_bytes) =>
        {
            Parsed::Faulty(HeadError::LineTooLong)
        }
        End::Missing => Parsed::Partial,
        End::BareLineFeed => malformed("a line ends with LF alone"),
        End::At(end) if end > max_bytes => Parsed::Faulty(too_large(message, max_bytes)),
        End::At(end) => {
            match bytes.get(start..end).map_or(Err(HeadError::Malformed("")), |head| read(head, end)) {
                Ok(head) => Parsed::Complete(head),
                Err(fault) => Parsed::Faulty(fault),
            }
        }
    }
}

/// The error for a request line after more empty lines than a head may have bytes.
pub(crate) const EMPTY_LINES: &str = "there are too many empty lines before the request line";

/// The first byte of a TLS connection (RFC 8446, section 5.1), and what the log says of one on a plain
/// listener.
const TLS_HANDSHAKE: u8 = 0x16;
const TLS_ON_PLAIN: &str = "TLS came to a plain HTTP listener: write http:// in the URL, or use a port of [tls] listen (without [tls], no port speaks TLS)";

/// The beginning of a PROXY protocol header of version 2, without the empty lines that it begins with.
const PROXY_2: &[u8] = b"\0\r\nQUIT\n";

/// Whether the first line, with its CRLF, is longer than the limit.
fn is_line_too_long(message: &[u8], max_bytes: usize) -> bool {
    let most = MAX_REQUEST_LINE_WITH_END.min(max_bytes);
    message.len() > most && message.get(..most).is_some_and(|start| memchr(b'\n', start).is_none())
}

/// The error for a head with too many bytes: either the request line is too long, or the fields are too
/// large.
fn too_large(message: &[u8], max_bytes: usize) -> HeadError {
    if is_line_too_long(message, max_bytes) { HeadError::LineTooLong } else { HeadError::TooLarge }
}

fn malformed(why: &'static str) -> Parsed {
    Parsed::Faulty(HeadError::Malformed(why))
}

enum End {
    Missing,
    BareLineFeed,
    At(usize),
}

/// Finds the empty line that ends the head.
fn find_end(bytes: &[u8], start: usize, scanned: &mut usize) -> End {
    let from = (*scanned).max(start);
    for offset in memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
        let at = from.saturating_add(offset);
        match bytes.get(start..at) {
            Some([.., b'\n', b'\r']) => return End::At(at.saturating_add(1)),
            Some([.., b'\r']) => {}
            Some(_) | None => return End::BareLineFeed,
        }
    }
    *scanned = bytes.len();
    End::Missing
}

#[derive(Default)]
struct Seen<'h> {
    lines: usize,
    host: Option<&'h [u8]>,
    length: Option<u64>,
    codings: Codings,
    expect: Option<Expect>,
    close: bool,
    keep_alive: bool,
    other_options: bool,
    unusual_names: bool,
}

fn read(head: &[u8], len: usize) -> Result<Head, HeadError> {
    let mut lines = Lines::from(head, 0);
    let line = lines.next().ok_or(HeadError::Malformed("there is no request line"))?;
    if line.len() > MAX_REQUEST_LINE {
        return Err(HeadError::LineTooLong);
    }
    let request_line = RequestLine::read(line)?;
    let mut seen = Seen::default();
    for line in lines {
        seen.lines = seen.lines.saturating_add(1);
        if seen.lines > MAX_FIELD_LINES {
            return Err(HeadError::TooLarge);
        }
        read_field_line(line, &mut seen).map_err(HeadError::Malformed)?;
    }
    // The target names the host, so the upstream's head will have one more line: `host`.
    let target_is_host = matches!(request_line.target, Target::Absolute { .. }) && seen.host.is_none();
    if target_is_host && seen.lines == MAX_FIELD_LINES {
        return Err(HeadError::TooLarge);
    }
    conclude(&request_line, &seen, len)
}

/// Checks the head as a whole.
fn conclude(request_line: &RequestLine<'_>, seen: &Seen<'_>, len: usize) -> Result<Head, HeadError> {
    let malformed = |why| Err(HeadError::Malformed(why));
    let version = request_line.version;
    if version == Version::Http11 && seen.host.is_none() {
        return malformed("there is no host field");
    }
    if let Target::Absolute { authority, .. } = request_line.target
        && seen.host.is_some_and(|host| !host.eq_ignore_ascii_case(authority))
    {
        return malformed("the target's authority is not the host field's");
    }
    let framing = match (seen.length, seen.codings) {
        (Some(length), Codings::None) => Framing::Length(length),
        (None, Codings::None) => Framing::None,
        (Some(_), Codings::Chunked | Codings::Others { .. }) => {
            return malformed("there are both content-length and transfer-encoding");
        }
        (None, Codings::Chunked | Codings::Others { .. }) if version == Version::Http10 => {
            return malformed("transfer-encoding in an HTTP/1.0 request");
        }
        (None, Codings::Chunked) => Framing::Chunked,
        // RFC 9112, section 6.1, requires this status code.
        (None, Codings::Others { .. }) => return Err(HeadError::UnknownCoding),
    };
    let expect = match version {
        Version::Http10 => Expect::Nothing,
        Version::Http11 => seen.expect.unwrap_or(Expect::Nothing),
    };
    let persistence = match (seen.close, seen.keep_alive) {
        (true, _) => Persistence::Close,
        (false, true) => Persistence::KeepAlive,
        (false, false) => Persistence::Default,
    };
    let (has_connection_options, has_unusual_names) = (seen.other_options, seen.unusual_names);
    let target_len = match request_line.target {
        Target::Origin(target) => Some(target.len()),
        Target::Absolute { .. } => None,
        Target::Asterisk => return Err(HeadError::Asterisk),
        Target::Authority => return Err(HeadError::Tunnel),
    };
    let request_line = (request_line.method.len(), target_len);
    Ok(Head {
        len,
        version,
        framing,
        expect,
        persistence,
        has_connection_options,
        has_unusual_names,
        request_line,
    })
}

/// The fields that decide where a message ends, for which host it is, and whether the connection stays open.
#[derive(Clone, Copy)]
pub(crate) enum Special {
    Host,
    ContentLength,
    TransferEncoding,
    Expect,
    Connection,
}

impl Special {
    /// The special field with this name, in upper or lower case.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        match name.len() {
            4 if is_named(name, b"host") => Some(Self::Host),
            6 if is_named(name, b"expect") => Some(Self::Expect),
            10 if is_named(name, b"connection") => Some(Self::Connection),
            14 if is_named(name, b"content-length") => Some(Self::ContentLength),
            17 if is_named(name, b"transfer-encoding") => Some(Self::TransferEncoding),
            _ => None,
        }
    }
}

fn read_field_line<'h>(line: &'h [u8], seen: &mut Seen<'h>) -> Result<(), &'static str> {
    let (kind, name, value) = parts_of_line(line)?;
    if kind == Name::Unusual {
        // `host` and `connection` have no `-`, so no name is a lookalike of them.
        if is_lookalike(name, b"content-length") {
            return Err("an app could read a field's name as content-length");
        }
        if is_lookalike(name, b"transfer-encoding") {
            return Err("an app could read a field's name as transfer-encoding");
        }
        seen.unusual_names = true;
        return Ok(());
    }
    match Special::of(name) {
        None => {}
        Some(Special::Connection) => {
            for option in value.split(|byte| *byte == b',').map(trim) {
                let close = option.eq_ignore_ascii_case(b"close");
                let keep_alive = option.eq_ignore_ascii_case(b"keep-alive");
                seen.close |= close;
                seen.keep_alive |= keep_alive;
                seen.other_options |= !close && !keep_alive;
            }
        }
        Some(Special::Host) => {
            if seen.host.replace(value).is_some() {
                return Err("there are several host fields");
            }
            if !is_host(value) {
                return Err("the host field is invalid");
            }
        }
        Some(Special::ContentLength) => {
            let length = decimal(value).ok_or("the content-length is not a number")?;
            if seen.length.replace(length).is_some() {
                return Err("there are several content-length fields");
            }
        }
        Some(Special::TransferEncoding) => seen.codings = seen.codings.and(value)?,
        Some(Special::Expect) => {
            let known = value.eq_ignore_ascii_case(b"100-continue") && seen.expect.is_none();
            seen.expect = Some(if known { Expect::Continue } else { Expect::Unknown });
        }
    }
    Ok(())
}

/// The number in `1*DIGIT`. A sign or a list is not allowed.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    let append = |number: u64, byte: &u8| {
        let digit = char::from(*byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    if value.is_empty() { None } else { value.iter().try_fold(0, append) }
}

#[cfg(test)]
mod tests;
pub mod token;
