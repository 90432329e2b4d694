//! Pure. The head of an upstream's response. httparse parses it; the cases in which httparse is lenient are
//! checked here.

use std::mem::MaybeUninit;

use http::header::HeaderName;
use http::{Method, StatusCode};
use httparse::ParserConfig;
use memchr::memchr;

use crate::message::fields::{HopByHop, keep_alive_seconds};
use crate::message::head::{decimal, is_named, is_same_name};
use crate::upstream::error::ProtocolError;

/// The longest head of a response, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// The most field lines of a head.
const MAX_FIELD_LINES: usize = 100;

/// The log text for bytes after a complete response: more content than announced, content where none is
/// allowed, or a second response. These bytes belong to no response, so no client receives them.
pub const SURPLUS: &str =
    "the upstream sent more than its response: the rest was dropped, and the connection closed";

/// The state of a head after the bytes received so far.
#[derive(Debug)]
pub enum Parsed {
    /// The head is not complete.
    Partial,
    /// An interim response (RFC 9110, section 15.2) of this many bytes. It is skipped.
    Interim(usize),
    /// A final response whose head has this many bytes.
    Complete(usize, ResponseHead),
}

/// The head of a response.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// The part of the head that the client receives unchanged: the status code, the reason phrase, and the
    /// lines of the end-to-end fields in their order and spelling. The version before and the empty line
    /// after it are left out.
    pub text: Vec<u8>,
    /// How the end of the content is found.
    pub framing: Framing,
    /// Whether the upstream allows another request on the connection.
    pub is_persistent: bool,
    /// For how many seconds the upstream keeps an idle connection, as its `keep-alive` field says.
    pub keep_alive: Option<u64>,
}

impl ResponseHead {
    /// The value of an end-to-end field, if the field has exactly one line.
    #[must_use]
    pub fn only_value(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.text.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
            let (field, value) = line.split_at_checked(memchr(b':', line)?)?;
            is_same_name(field, name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
        });
        let value = values.next()?;
        if values.next().is_some() { None } else { Some(value) }
    }
}

/// How a response's content is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The response has no content.
    None,
    /// `content-length` gives the number of bytes.
    Length(u64),
    /// The chunked transfer coding marks the end.
    Chunked,
    /// The end of the connection marks the end.
    Close,
}

/// Whether the response to a request has content, by the request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The method is `HEAD`. The response has no content, whatever its fields say.
    ForHead,
    /// Any other method.
    ForContent,
}

impl RequestKind {
    /// The kind of a request with this method.
    #[must_use]
    pub fn by(method: &str) -> Self {
        if method == Method::HEAD.as_str() { Self::ForHead } else { Self::ForContent }
    }
}

/// Parses a response head that arrives in pieces. The work is linear in the size of the head, even for tiny
/// pieces: each byte is visited a few times at most.
#[derive(Debug, Default)]
pub struct HeadParser {
    /// How many bytes were present when httparse last ran.
    parsed: usize,
    /// How many bytes have been searched for the end of the head.
    scanned: usize,
    /// The start of the line that the search has reached.
    line: usize,
    /// Whether a line that is not empty has been found. Empty lines before that line are skipped (RFC 9112,
    /// section 2.2).
    has_begun: bool,
}

impl HeadParser {
    /// Parses as [`parse`] does. `bytes` is the head received so far.
    ///
    /// A malformed head may be reported late: when its length has doubled, or by a final [`parse`] if no more
    /// bytes arrive.
    ///
    /// # Errors
    /// The errors of [`parse`].
    pub fn parse(
        &mut self,
        bytes: &[u8],
        asked: RequestKind,
        kept: &[HeaderName],
    ) -> Result<Parsed, ProtocolError> {
        // Most heads arrive whole. For these, no search for the end is needed.
        let is_first = self.parsed == 0;
        if !is_first {
            if let Some(end) = self.end(bytes) {
                return match parse(bytes.get(..end).unwrap_or(bytes), asked, kept)? {
                    // The head has its final empty line, but httparse asks for more bytes. So that line must
                    // be malformed.
                    Parsed::Partial => Err(ProtocolError::Malformed(httparse::Error::NewLine)),
                    found @ (Parsed::Interim(_) | Parsed::Complete(..)) => Ok(found),
                };
            }
            if bytes.len() > MAX_HEAD {
                return Err(ProtocolError::HeadTooLarge);
            }
            if bytes.len() < self.parsed.saturating_mul(2) {
                return Ok(Parsed::Partial);
            }
        }
        self.parsed = bytes.len();
        parse(bytes, asked, kept)
    }

    /// The end of the head after its first empty line, if that line has arrived. The search continues where
    /// it last stopped.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(at) = memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default()) {
            let line_feed = self.scanned.saturating_add(at);
            let line = bytes.get(self.line..line_feed).unwrap_or_default();
            self.scanned = line_feed.saturating_add(1);
            self.line = self.scanned;
            if !matches!(line, b"" | b"\r") {
                self.has_begun = true;
            } else if self.has_begun {
                return Some(self.scanned);
            }
        }
        self.scanned = bytes.len();
        None
    }
}

/// Parses the bytes received so far. `kept` are the fields that a `connection` line cannot remove.
///
/// # Errors
/// [`ProtocolError`]: the head is malformed, too large, or can be read in more than one way.
pub fn parse(bytes: &[u8], asked: RequestKind, kept: &[HeaderName]) -> Result<Parsed, ProtocolError> {
    // The array is not initialised, so only the entries for the lines that are present cost a write.
    let mut lines = [const { MaybeUninit::uninit() }; MAX_FIELD_LINES];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut lines);
    let len = match parsed.map_err(ProtocolError::Malformed)? {
        httparse::Status::Complete(len) if len <= MAX_HEAD => len,
        httparse::Status::Partial if bytes.len() <= MAX_HEAD => return Ok(Parsed::Partial),
        httparse::Status::Complete(_) | httparse::Status::Partial => return Err(ProtocolError::HeadTooLarge),
    };
    let code = response.code.unwrap_or_default();
    match code {
        101 => return Err(ProtocolError::Switched),
        100..=199 => return Ok(Parsed::Interim(len)),
        _ => {}
    }
    let status =
        StatusCode::from_u16(code).map_err(|_invalid| ProtocolError::Malformed(httparse::Error::Status))?;
    let is_http_11 = response.version == Some(1);
    let lines = response.headers.iter().map(|line| (line.name.as_bytes(), line.value));
    let gone = HopByHop::of(lines.clone(), kept);
    // A 204 must not have a length (RFC 9110, section 8.6).
    let is_204 = status == StatusCode::NO_CONTENT;
    let is_out_of_place = |name: &[u8]| is_204 && is_named(name, b"content-length");
    let mut text = Vec::with_capacity(len);
    text.extend_from_slice(status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(reason_phrase(bytes, response.reason.unwrap_or_default()));
    text.extend_from_slice(b"\r\n");
    let mut seen = Seen::default();
    for (name, value) in lines {
        seen.parse(name, value)?;
        if !gone.has(name) && !is_out_of_place(name) {
            for part in [name, b": ", value, b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
    }
    let framing = seen.framing(status, asked, is_http_11)?;
    // A 204 that announces content may still send it, even after the next request was sent.
    let is_in_doubt = is_204
        && asked == RequestKind::ForContent
        && (seen.chunked || seen.length.is_some_and(|length| length > 0));
    let is_persistent =
        framing != Framing::Close && !seen.close && !is_in_doubt && (is_http_11 || seen.keep_alive);
    let head = ResponseHead { status, text, framing, is_persistent, keep_alive: seen.keep_alive_seconds };
    Ok(Parsed::Complete(len, head))
}

/// The reason phrase. RFC 9112, section 4, allows a phrase that is not ASCII; httparse then returns an empty
/// one.
fn reason_phrase<'h>(bytes: &'h [u8], read: &'h str) -> &'h [u8] {
    if !read.is_empty() {
        return read.as_bytes();
    }
    // White space at the end of the line belongs to the phrase.
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.find(|line| !line.is_empty());
    let phrase = line.and_then(|line| line.splitn(3, |byte| *byte == b' ').nth(2));
    phrase.unwrap_or_default()
}

#[derive(Default)]
struct Seen {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    keep_alive_seconds: Option<u64>,
}

impl Seen {
    fn parse(&mut self, name: &[u8], value: &[u8]) -> Result<(), ProtocolError> {
        match name.len() {
            10 if is_named(name, b"connection") => {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            10 if is_named(name, b"keep-alive") => self.keep_alive_seconds = keep_alive_seconds(value),
            14 if is_named(name, b"content-length") => {
                let length = decimal(value).ok_or(ProtocolError::UnclearFraming)?;
                if self.length.replace(length).is_some() {
                    return Err(ProtocolError::UnclearFraming);
                }
            }
            17 if is_named(name, b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ProtocolError::UnclearFraming);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// How the end of the content is found (RFC 9112, section 6.3). An error if there is more than one way to
    /// read the fields.
    fn framing(
        &self,
        status: StatusCode,
        asked: RequestKind,
        is_http_11: bool,
    ) -> Result<Framing, ProtocolError> {
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => return Err(ProtocolError::UnclearFraming),
            (None, true) if !is_http_11 => return Err(ProtocolError::UnclearFraming),
            (None, true) => Framing::Chunked,
            (Some(length), false) => Framing::Length(length),
            (None, false) => Framing::Close,
        };
        let is_empty = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(match framing {
            _ if is_empty || asked == RequestKind::ForHead => Framing::None,
            Framing::Length(0) | Framing::None => Framing::None,
            Framing::Length(_) | Framing::Chunked | Framing::Close => framing,
        })
    }
}

#[cfg(test)]
mod tests;
