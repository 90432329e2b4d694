//! Pure. A strict look at the raw head of a request, before hyper sees it.
//!
//! hyper is lenient in places where two readers of one message could disagree about where it ends or whom it is for. So
//! every head is first read here, byte by byte, against RFC 9112. What passes goes on to hyper with its framing taken out
//! (see [`Head::relay`]): the content is read by us alone.

use http::uri::PathAndQuery;
use memchr::memchr;

/// The most field lines a request may have; hyper reads no more without allocating for each request.
pub const MAX_FIELD_LINES: usize = 100;

/// The most bytes of a request line, whatever the head as a whole may have: hyper's targets have at most 65,534.
const MAX_REQUEST_LINE: usize = 65_000;

/// How much longer than a line its replacement can be: `content-length: 0` for a short `transfer-encoding`.
const LONGEST_REPLACEMENT: usize = 32;

/// What the bytes received so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// The head is not complete.
    Partial,
    /// The head is complete and strict HTTP/1.x.
    Complete(Head),
    /// The head can never become one that is served.
    Faulty(Fault),
}

/// Why a head is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not strict HTTP/1.x; what is wrong, for the log.
    Malformed(&'static str),
    /// It has too many bytes or lines.
    TooLarge,
    /// It did not arrive in time.
    TimedOut,
}

/// The facts of a complete, strict head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its length, in bytes, with the empty line that ends it and any empty lines before it.
    pub len: usize,
    /// The protocol version.
    pub version: Version,
    /// How the content is delimited.
    pub framing: Framing,
    /// What the client expects before it sends the content.
    pub expect: Expect,
}

/// The minor versions of HTTP/1 that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How a request's content is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is neither `content-length` nor `transfer-encoding`: no content.
    None,
    /// By `content-length`, in bytes.
    Length(u64),
    /// By the chunked transfer coding.
    Chunked,
}

/// The `expect` field (RFC 9110, section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Absent, or in an HTTP/1.0 request, where it is ignored.
    Nothing,
    /// `100-continue`
    Continue,
    /// Anything else, which cannot be met.
    Unknown,
}

/// Looks at the bytes received so far. `scanned` is how many of them an earlier look has searched for the head's end; it
/// is brought up to date, so that a head that trickles in costs no more than one that comes at once.
#[must_use]
pub fn look(bytes: &[u8], scanned: &mut usize, max_bytes: usize) -> Look {
    let start = leading_empty_lines(bytes);
    let Some(message) = bytes.get(start..) else { return Look::Partial };
    match message.first() {
        None => return if start > max_bytes { Look::Faulty(Fault::TooLarge) } else { Look::Partial },
        Some(b'\r') if message.len() == 1 => return Look::Partial,
        // Something else than HTTP/1.x, a TLS handshake for instance, need not wait for its time-out.
        Some(first) if !is_token_byte(*first) => {
            return malformed("the request line does not begin with a method");
        }
        Some(_) => {}
    }
    match find_end(bytes, start, scanned) {
        End::Missing if bytes.len() > max_bytes => Look::Faulty(Fault::TooLarge),
        End::Missing => Look::Partial,
        End::BareLineFeed => malformed("a line ends with LF alone"),
        End::At(end) if end > max_bytes => Look::Faulty(Fault::TooLarge),
        End::At(end) => match bytes.get(start..end).map_or(Err(Fault::Malformed("")), |head| read(head, end))
        {
            Ok(head) => Look::Complete(head),
            Err(fault) => Look::Faulty(fault),
        },
    }
}

impl Head {
    /// Writes the head as hyper is to see it to `out`.
    ///
    /// It is the head as received, except that the framing says `content-length: 0` (the content never goes through
    /// hyper), that `expect` and `upgrade` are left out (they are ours to honour or not), and that a target in
    /// absolute-form is reduced to origin-form (RFC 9112, section 3.2.2). `raw` must be the bytes that were looked at.
    pub fn relay(&self, raw: &[u8], out: &mut Vec<u8>) {
        let start = leading_empty_lines(raw);
        let Some(head) = raw.get(start..self.len) else { return };
        out.reserve(head.len().saturating_add(LONGEST_REPLACEMENT));
        let mut lines = Lines(head);
        let has_host = || {
            Lines(head).skip(1).any(|line| {
                line.len() > 5
                    && matches!(field_line(line), Ok((name, _)) if name.eq_ignore_ascii_case(b"host"))
            })
        };
        if let Some((request_line, Ok(parsed))) = lines.next().map(|line| (line, RequestLine::read(line))) {
            if let Target::Absolute { authority, path_and_query } = parsed.target {
                out.extend_from_slice(parsed.method);
                out.push(b' ');
                if path_and_query.first() != Some(&b'/') {
                    out.push(b'/');
                }
                out.extend_from_slice(path_and_query);
                out.extend_from_slice(match parsed.version {
                    Version::Http10 => b" HTTP/1.0",
                    Version::Http11 => b" HTTP/1.1",
                });
                if !has_host() {
                    // HTTP/1.0 need not have the field, and then says it here.
                    out.extend_from_slice(b"\r\nhost: ");
                    out.extend_from_slice(authority);
                }
            } else {
                out.extend_from_slice(request_line);
            }
            out.extend_from_slice(b"\r\n");
        }
        for line in lines {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            match Special::of(name) {
                Some(Special::ContentLength) => {
                    out.extend_from_slice(name);
                    out.extend_from_slice(b": 0\r\n");
                }
                Some(Special::TransferEncoding) => out.extend_from_slice(b"content-length: 0\r\n"),
                Some(Special::Expect | Special::Upgrade) => {}
                Some(Special::Host) | None => {
                    out.extend_from_slice(line);
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn malformed(why: &'static str) -> Look {
    Look::Faulty(Fault::Malformed(why))
}

/// Empty lines before a request line are ignored (RFC 9112, section 2.2).
fn leading_empty_lines(bytes: &[u8]) -> usize {
    let pairs = bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count();
    pairs.saturating_mul(2)
}

enum End {
    Missing,
    BareLineFeed,
    At(usize),
}

/// Finds the empty line that ends the head, and on the way the line ends that are none.
fn find_end(bytes: &[u8], start: usize, scanned: &mut usize) -> End {
    let mut from = (*scanned).max(start);
    while let Some(offset) = bytes.get(from..).and_then(|rest| memchr(b'\n', rest)) {
        let at = from.saturating_add(offset);
        let before = |n: usize| at.checked_sub(n).and_then(|i| bytes.get(i));
        if before(1) != Some(&b'\r') {
            return End::BareLineFeed;
        }
        if before(2) == Some(&b'\n') && at.saturating_sub(2) >= start {
            return End::At(at.saturating_add(1));
        }
        from = at.saturating_add(1);
    }
    *scanned = bytes.len();
    End::Missing
}

/// The lines of a complete head, without their CRLF and without the empty line at the end.
struct Lines<'h>(&'h [u8]);

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let end = memchr(b'\n', self.0)?;
        let (line, rest) = self.0.split_at_checked(end.saturating_add(1))?;
        self.0 = rest;
        line.strip_suffix(b"\r\n").filter(|line| !line.is_empty())
    }
}

#[derive(Default)]
struct Seen<'h> {
    lines: usize,
    host: Option<&'h [u8]>,
    length: Option<u64>,
    chunked: bool,
    expect: Option<Expect>,
}

fn read(head: &[u8], len: usize) -> Result<Head, Fault> {
    let mut lines = Lines(head);
    let line = lines.next().ok_or(Fault::Malformed("there is no request line"))?;
    if line.len() > MAX_REQUEST_LINE {
        return Err(Fault::TooLarge);
    }
    let request_line = RequestLine::read(line).map_err(Fault::Malformed)?;
    let mut seen = Seen::default();
    for line in lines {
        seen.lines = seen.lines.saturating_add(1);
        if seen.lines > MAX_FIELD_LINES {
            return Err(Fault::TooLarge);
        }
        read_field_line(line, &mut seen).map_err(Fault::Malformed)?;
    }
    // Where the target has to say the host, hyper sees one line more.
    let target_is_host = matches!(request_line.target, Target::Absolute { .. }) && seen.host.is_none();
    if target_is_host && seen.lines == MAX_FIELD_LINES {
        return Err(Fault::TooLarge);
    }
    conclude(&request_line, &seen, len).map_err(Fault::Malformed)
}

/// What can only be said of the head as a whole.
fn conclude(request_line: &RequestLine<'_>, seen: &Seen<'_>, len: usize) -> Result<Head, &'static str> {
    let version = request_line.version;
    if version == Version::Http11 && seen.host.is_none() {
        return Err("there is no host field");
    }
    if let Target::Absolute { authority, .. } = request_line.target
        && seen.host.is_some_and(|host| !host.eq_ignore_ascii_case(authority))
    {
        return Err("the target's authority is not the host field's");
    }
    let framing = match (seen.length, seen.chunked) {
        (Some(_), true) => return Err("there are both content-length and transfer-encoding"),
        (None, true) if version == Version::Http10 => return Err("transfer-encoding in an HTTP/1.0 request"),
        (None, true) => Framing::Chunked,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::None,
    };
    let expect = match version {
        Version::Http10 => Expect::Nothing,
        Version::Http11 => seen.expect.unwrap_or(Expect::Nothing),
    };
    Ok(Head { len, version, framing, expect })
}

struct RequestLine<'h> {
    method: &'h [u8],
    target: Target<'h>,
    version: Version,
}

enum Target<'h> {
    Origin,
    Absolute { authority: &'h [u8], path_and_query: &'h [u8] },
}

impl<'h> RequestLine<'h> {
    fn read(line: &'h [u8]) -> Result<Self, &'static str> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("the request line is not method, target and version, with one space between");
        };
        if method.is_empty() || !method.iter().copied().all(is_token_byte) {
            return Err("the method is not a token");
        }
        let version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            _ => return Err("the version is neither HTTP/1.1 nor HTTP/1.0"),
        };
        Ok(Self { method, target: Target::read(target)?, version })
    }
}

impl<'h> Target<'h> {
    /// Origin-form or absolute-form (RFC 9112, section 3.2), without a fragment.
    fn read(target: &'h [u8]) -> Result<Self, &'static str> {
        if target.contains(&b'#') {
            return Err("the target has a fragment");
        }
        let is_path = |text: &[u8]| PathAndQuery::try_from(text).is_ok();
        if target.first() == Some(&b'/') {
            return if is_path(target) {
                Ok(Self::Origin)
            } else {
                Err("the target has a character that no URI has")
            };
        }
        let rest = strip_prefix_ignoring_case(target, b"http://")
            .or_else(|| strip_prefix_ignoring_case(target, b"https://"))
            .ok_or("the target is neither origin-form nor absolute-form")?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at_checked(end).unwrap_or((rest, b""));
        if !is_host(authority) {
            return Err("the target's authority is invalid");
        }
        if !path_and_query.is_empty() && !is_path(path_and_query) {
            return Err("the target has a character that no URI has");
        }
        Ok(Self::Absolute { authority, path_and_query })
    }
}

fn strip_prefix_ignoring_case<'b>(bytes: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    let (start, rest) = bytes.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The fields that decide where a message ends and whom it is for.
#[derive(Clone, Copy)]
enum Special {
    Host,
    ContentLength,
    TransferEncoding,
    Expect,
    Upgrade,
}

impl Special {
    fn of(name: &[u8]) -> Option<Self> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is(b"host") => Some(Self::Host),
            6 if is(b"expect") => Some(Self::Expect),
            7 if is(b"upgrade") => Some(Self::Upgrade),
            14 if is(b"content-length") => Some(Self::ContentLength),
            17 if is(b"transfer-encoding") => Some(Self::TransferEncoding),
            _ => None,
        }
    }
}

fn read_field_line<'h>(line: &'h [u8], seen: &mut Seen<'h>) -> Result<(), &'static str> {
    let (name, value) = field_line(line)?;
    match Special::of(name) {
        None | Some(Special::Upgrade) => {}
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
        Some(Special::TransferEncoding) => {
            if seen.chunked {
                return Err("there are several transfer-encoding fields");
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err("the transfer-encoding is not chunked, and only that");
            }
            seen.chunked = true;
        }
        Some(Special::Expect) => {
            let known = value.eq_ignore_ascii_case(b"100-continue") && seen.expect.is_none();
            seen.expect = Some(if known { Expect::Continue } else { Expect::Unknown });
        }
    }
    Ok(())
}

/// Name and value of a field line (RFC 9112, section 5), the value without the white space around it.
pub(super) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err("a field line is folded");
    }
    let Some((name, value)) = memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else {
        return Err("a field line has no colon");
    };
    if name.is_empty() || !name.iter().copied().all(is_token_byte) {
        return Err("a field name is not a token");
    }
    let value = trim(value.get(1..).unwrap_or_default());
    if !value.iter().copied().all(is_field_byte) {
        return Err("a field value has a control character");
    }
    Ok((name, value))
}

/// Without the optional white space (RFC 9110, section 5.6.3) at both ends.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// `1*DIGIT`, and nothing else: no sign, no list.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2), not empty and without user information.
fn is_host(value: &[u8]) -> bool {
    let (host, port) = if value.first() == Some(&b'[') {
        let Some(end) = memchr(b']', value) else { return false };
        let Some((literal, after)) = value.split_at_checked(end.saturating_add(1)) else { return false };
        let inner = literal.get(1..end).and_then(|inner| std::str::from_utf8(inner).ok()).unwrap_or_default();
        if inner.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        match after {
            [] => return true,
            [b':', port @ ..] => (literal, port),
            _ => return false,
        }
    } else {
        match memchr(b':', value).and_then(|colon| value.split_at_checked(colon)) {
            Some((host, port)) => (host, port.get(1..).unwrap_or_default()),
            None => (value, &b""[..]),
        }
    };
    let literal = host.first() == Some(&b'[');
    !host.is_empty()
        && (literal || is_reg_name(host))
        && port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
}

/// `reg-name` (RFC 3986, section 3.2.2).
fn is_reg_name(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => {
                bytes.next().is_some_and(u8::is_ascii_hexdigit)
                    && bytes.next().is_some_and(u8::is_ascii_hexdigit)
            }
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b';' | b'=' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// What a byte may be part of. A table, because every byte of every head is looked up in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `tchar` (RFC 9110, section 5.6.2).
    Token,
    /// What else may stand in a field value (section 5.5): tab, space, visible characters, opaque bytes from 0x80 on.
    Text,
    /// Control characters.
    Control,
}

const CLASSES: [Class; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler"
)]
const fn classes() -> [Class; 256] {
    let mut classes = [Class::Text; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte < 0x20 || byte == 0x7f {
            classes[byte] = Class::Control;
        }
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] = Class::Token;
        }
        byte += 1;
    }
    classes[b'\t' as usize] = Class::Text;
    let symbols = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < symbols.len() {
        classes[symbols[index] as usize] = Class::Token;
        index += 1;
    }
    classes
}

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Control)
}

fn is_token_byte(byte: u8) -> bool {
    class(byte) == Class::Token
}

fn is_field_byte(byte: u8) -> bool {
    class(byte) != Class::Control
}

#[cfg(test)]
mod tests;
