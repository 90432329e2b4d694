//! Pure. A strict parse at the raw head of a request.
//!
//! HTTP libraries are lenient in places where two readers of one message could disagree about where it ends or whom it is
//! for. So every head is read here, byte by byte, against RFC 9112. What passes becomes a [`RequestHead`], which is what
//! the request is from then on.

mod coding;
mod lookalike;
mod request;
mod target;

use memchr::memchr;

use crate::message::head::coding::Codings;
pub use crate::message::head::lookalike::{Guarded, is_lookalike};
pub use crate::message::head::request::RequestHead;
use crate::message::head::target::{RequestLine, Target, is_host};
pub use crate::message::head::token::is_same_name;
pub(crate) use crate::message::head::token::is_token;
use crate::message::head::token::{Name, are_field_value};

/// The most field lines a request may have.
pub const MAX_FIELD_LINES: usize = 100;

/// The most bytes of a request line, whatever the head as a whole may have: twice what RFC 9112, section 3, wants a server to
/// take.
const MAX_REQUEST_LINE: usize = 16 * 1024;

/// What the bytes received so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is not complete.
    Partial,
    /// The head is complete and strict HTTP/1.x.
    Complete(Head),
    /// The head can never become one that is served.
    Faulty(HeadError),
}

/// Why a head is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is not strict HTTP/1.x; what is wrong, for the log.
    Malformed(&'static str),
    /// Its request line has too many bytes.
    LineTooLong,
    /// It has too many bytes or lines.
    TooLarge,
    /// It did not arrive in time.
    TimedOut,
    /// There is no memory for the whole of it.
    Overloaded,
    /// The content has another transfer coding than one `chunked`.
    UnknownCoding,
    /// It is HTTP, but not HTTP/1.x.
    UnknownVersion,
    /// It is `OPTIONS *`, which asks about no path.
    Asterisk,
    /// It is `CONNECT`, which asks for a tunnel.
    Tunnel,
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
    /// Whether the connection goes on behind the response.
    pub persistence: Persistence,
    /// Whether a `connection` line says anything else, which is the name of a field.
    pub has_connection_options: bool,
    /// Whether a field's name has other characters than letters, digits and `-`.
    pub has_unusual_names: bool,
    /// Where its lines end, as far as that is known.
    ends: LineEnds,
    /// The length of the method, and that of the target where it is in origin-form.
    request_line: (usize, Option<usize>),
}

/// Where the first lines of a head end, so that they are not searched for again by everybody who goes through them.
#[derive(Clone, Copy, Debug, Default, Eq)]
struct LineEnds {
    known: usize,
    /// Each is the offset behind a line feed, counted from the request line.
    at: [u16; LineEnds::MOST],
}

/// How much is known of it makes no other head of it.
impl PartialEq for LineEnds {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl LineEnds {
    /// As many lines as the requests of most senders have.
    const MOST: usize = 20;

    /// The next line ends here. What does not fit is not known, nor is anything behind it.
    fn push(&mut self, end: usize) {
        if let (Some(place), Ok(end)) = (self.at.get_mut(self.known), u16::try_from(end)) {
            *place = end;
            self.known = self.known.saturating_add(1);
        }
    }

    fn as_slice(&self) -> &[u16] {
        self.at.get(..self.known).unwrap_or_default()
    }
}

/// What a client says of the connection (RFC 9112, section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: HTTP/1.1 goes on, HTTP/1.0 ends.
    Default,
    /// `keep-alive`, which only means something in HTTP/1.0.
    KeepAlive,
    /// `close`
    Close,
}

/// What a response has to know of its request: whether it has content, and what becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseContext {
    /// Whether the method is HEAD, to which no content is sent (RFC 9110, section 9.3.2).
    pub is_for_head: bool,
    /// The client's protocol version.
    pub version: Version,
    /// What the client said of the connection.
    pub persistence: Persistence,
}

impl ResponseContext {
    /// Whether the client keeps the connection open for another request (RFC 9112, section 9.3).
    #[must_use]
    pub fn keeps_open(self) -> bool {
        match (self.version, self.persistence) {
            (Version::Http11, Persistence::Default | Persistence::KeepAlive)
            | (Version::Http10, Persistence::KeepAlive) => true,
            (Version::Http11, Persistence::Close)
            | (Version::Http10, Persistence::Default | Persistence::Close) => false,
        }
    }
}

/// The minor versions of HTTP/1 that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1, and any later version of HTTP/1 (RFC 9110, section 2.5).
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

/// Looks at the bytes received so far. `scanned` is how many of them an earlier parse has searched for the head's end; it
/// is brought up to date, so that a head that trickles in costs no more than one that comes at once.
#[must_use]
pub fn parse(bytes: &[u8], scanned: &mut usize, max_bytes: usize) -> Parsed {
    let start = leading_empty_lines(bytes);
    let Some(message) = bytes.get(start..) else { return Parsed::Partial };
    match message.first() {
        None => return if start > max_bytes { malformed(EMPTY_LINES) } else { Parsed::Partial },
        Some(b'\r') if message.len() == 1 => return Parsed::Partial,
        // Something else than HTTP/1.x, a TLS handshake for instance, need not wait for its time-out.
        Some(first) if !is_token(*first) => {
            return malformed("the request line does not begin with a method");
        }
        Some(_) => {}
    }
    let mut ends = LineEnds::default();
    let earlier = *scanned;
    match find_end(bytes, start, scanned, &mut ends) {
        End::Missing if bytes.len() > max_bytes => Parsed::Faulty(too_large(message, max_bytes)),
        // The line's end is looked for once, when there are more bytes than the line may have.
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
            match bytes.get(start..end).map_or(Err(HeadError::Malformed("")), |head| read(head, end, ends)) {
                Ok(head) => Parsed::Complete(head),
                Err(fault) => Parsed::Faulty(fault),
            }
        }
    }
}

/// What is wrong with more empty lines before a request line than a head may have bytes.
pub(crate) const EMPTY_LINES: &str = "there are too many empty lines before the request line";

const MAX_REQUEST_LINE_WITH_END: usize = MAX_REQUEST_LINE.saturating_add(2);

/// Whether the first line, with its CRLF, is longer than it may be.
fn is_line_too_long(message: &[u8], max_bytes: usize) -> bool {
    let most = MAX_REQUEST_LINE_WITH_END.min(max_bytes);
    message.len() > most && message.get(..most).is_some_and(|start| memchr(b'\n', start).is_none())
}

/// What of a head with too many bytes is too large.
fn too_large(message: &[u8], max_bytes: usize) -> HeadError {
    if is_line_too_long(message, max_bytes) { HeadError::LineTooLong } else { HeadError::TooLarge }
}

fn malformed(why: &'static str) -> Parsed {
    Parsed::Faulty(HeadError::Malformed(why))
}

/// How many bytes the empty lines before a request line have, which are ignored (RFC 9112, section 2.2).
pub(crate) fn leading_empty_lines(bytes: &[u8]) -> usize {
    let pairs = bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count();
    pairs.saturating_mul(2)
}

enum End {
    Missing,
    BareLineFeed,
    At(usize),
}

/// Finds the empty line that ends the head, and on the way the line ends that are none. Where the head has come at once, all
/// ends are taken down.
fn find_end(bytes: &[u8], start: usize, scanned: &mut usize, ends: &mut LineEnds) -> End {
    let mut from = (*scanned).max(start);
    let is_at_once = from == start;
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
        if is_at_once {
            ends.push(from.saturating_sub(start));
        }
    }
    *scanned = bytes.len();
    End::Missing
}

/// The lines of a complete head, without their CRLF and without the empty line at the end.
#[derive(Clone)]
struct Lines<'h> {
    rest: &'h [u8],
    /// Where the rest begins in the head, and where the lines end from there on, as far as that is known.
    at: usize,
    ends: &'h [u16],
}

impl<'h> Lines<'h> {
    /// Those from `at` on, where a line must begin.
    fn from(head: &'h [u8], at: usize, ends: &'h LineEnds) -> Self {
        let ends = ends.as_slice();
        let passed = ends.iter().take_while(|end| usize::from(**end) <= at).count();
        Self { rest: head.get(at..).unwrap_or_default(), at, ends: ends.get(passed..).unwrap_or_default() }
    }
}

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let len = match self.ends.split_first() {
            Some((end, ends)) => {
                self.ends = ends;
                usize::from(*end).checked_sub(self.at)?
            }
            None => memchr(b'\n', self.rest)?.saturating_add(1),
        };
        let (line, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.at = self.at.saturating_add(len);
        line.strip_suffix(b"\r\n").filter(|line| !line.is_empty())
    }
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

fn read(head: &[u8], len: usize, ends: LineEnds) -> Result<Head, HeadError> {
    let mut lines = Lines::from(head, 0, &ends);
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
    // Where the target has to say the host, the upstream gets one line more.
    let target_is_host = matches!(request_line.target, Target::Absolute { .. }) && seen.host.is_none();
    if target_is_host && seen.lines == MAX_FIELD_LINES {
        return Err(HeadError::TooLarge);
    }
    conclude(&request_line, &seen, len, ends)
}

/// What can only be said of the head as a whole.
fn conclude(
    request_line: &RequestLine<'_>,
    seen: &Seen<'_>,
    len: usize,
    ends: LineEnds,
) -> Result<Head, HeadError> {
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
        // RFC 9112, section 6.1.
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
        ends,
        request_line,
    })
}

/// The fields that decide where a message ends, whom it is for, and what comes after it.
#[derive(Clone, Copy)]
enum Special {
    Host,
    ContentLength,
    TransferEncoding,
    Expect,
    Connection,
}

impl Special {
    fn of(name: &[u8]) -> Option<Self> {
        let is = |other: &[u8]| is_same_name(name, other);
        match name.len() {
            4 if is(b"host") => Some(Self::Host),
            6 if is(b"expect") => Some(Self::Expect),
            10 if is(b"connection") => Some(Self::Connection),
            14 if is(b"content-length") => Some(Self::ContentLength),
            17 if is(b"transfer-encoding") => Some(Self::TransferEncoding),
            _ => None,
        }
    }
}

fn read_field_line<'h>(line: &'h [u8], seen: &mut Seen<'h>) -> Result<(), &'static str> {
    let (kind, name, value) = parts_of_line(line)?;
    if kind == Name::Unusual {
        // `host` and `connection` have no `-`, so nothing looks like them.
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

/// Name and value of a field line (RFC 9112, section 5), the value without the white space around it.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    parts_of_line(line).map(|(_, name, value)| (name, value))
}

fn parts_of_line(line: &[u8]) -> Result<(Name, &[u8], &[u8]), &'static str> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err("a field line is folded");
    }
    let Some((name, value)) = memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else {
        return Err("a field line has no colon");
    };
    let Some(kind) = Name::of(name) else {
        return Err("a field name is not a token");
    };
    let value = trim(value.get(1..).unwrap_or_default());
    if !are_field_value(value) {
        return Err("a field value has a control character");
    }
    Ok((kind, name, value))
}

/// Without the optional white space (RFC 9110, section 5.6.3) at its beginning.
fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
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

#[cfg(test)]
mod tests;
pub mod token;
