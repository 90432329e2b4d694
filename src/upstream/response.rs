//! Pure. The head of an upstream's response: parsed by httparse, and checked where httparse is lenient.

use std::mem::MaybeUninit;

use http::header::HeaderName;
use http::{Method, StatusCode};
use httparse::ParserConfig;
use memchr::memchr;

use crate::message::fields::{HopByHop, keep_alive_seconds};
use crate::message::head::is_same_name;
use crate::upstream::error::ProtocolError;

/// The longest head of a response, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// The most field lines of a head.
const MAX_FIELD_LINES: usize = 100;

/// The log text for bytes after a complete response: more content than announced, content where none is allowed, a second
/// response. They belong to no response, so no client receives them.
pub const SURPLUS: &str =
    "the upstream sent more than its response: the rest was dropped, and the connection closed";

/// The state of a head after the bytes received so far.
#[derive(Debug)]
pub enum Parsed {
    /// The head is not complete.
    Partial,
    /// An interim response (RFC 9110, section 15.2) of this many bytes; it is skipped.
    Interim(usize),
    /// A final response whose head has this many bytes.
    Complete(usize, ResponseHead),
}

/// The head of a response.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// The part of the head that the client receives unchanged: status code, reason phrase, and the lines of the end-to-end
    /// fields, in order and with their spelling. Without the version before and the empty line after it.
    pub text: Vec<u8>,
    /// How the end of its content is found.
    pub framing: Framing,
    /// Whether the upstream allows another request on the connection.
    pub is_persistent: bool,
    /// For how many seconds the upstream keeps an idle connection, by its own statement.
    pub keep_alive: Option<u64>,
}

/// How a response's content is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No content.
    None,
    /// By `content-length`, in bytes.
    Length(u64),
    /// By the chunked transfer coding.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// Whether the response to a request has content, by the request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The method is `HEAD`: no content, whatever the fields state.
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

/// Parses a response head that arrives in pieces. The work is linear in the size of the head however small the pieces are: byte
/// by byte, each byte is visited a few times at most.
#[derive(Debug, Default)]
pub struct HeadParser {
    /// The bytes that were present when httparse last ran.
    parsed: usize,
    /// The bytes that have been searched for the end of the head.
    scanned: usize,
    /// The start of the line that the search has reached.
    line: usize,
    /// Whether a line that is not empty has been found: empty lines before it are skipped (RFC 9112, section 2.2).
    has_begun: bool,
}

impl HeadParser {
    /// As [`parse`], where `bytes` is the head received so far.
    ///
    /// A malformed head may be reported late: once it has doubled its length, or by a final [`parse`] if no more arrives.
    ///
    /// # Errors
    /// Those of [`parse`].
    pub fn parse(
        &mut self,
        bytes: &[u8],
        asked: RequestKind,
        kept: &[HeaderName],
    ) -> Result<Parsed, ProtocolError> {
        // Most heads arrive whole: those need no search for the end.
        let is_first = self.parsed == 0;
        if !is_first {
            if let Some(end) = self.end(bytes) {
                return match parse(bytes.get(..end).unwrap_or(bytes), asked, kept)? {
                    // The head has its empty line, and httparse asks for more: only that line can be malformed.
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

    /// The end of the head after its first empty line, if that has arrived. Continues where the last search stopped.
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
    // Uninitialised, so that only the memory of the lines present is written.
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
    let is_out_of_place = |name: &[u8]| is_204 && name.eq_ignore_ascii_case(b"content-length");
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
    // Content that a 204 announces may still arrive, even after the next request was sent.
    let is_in_doubt = is_204
        && asked == RequestKind::ForContent
        && (seen.chunked || seen.length.is_some_and(|length| length > 0));
    let is_persistent =
        framing != Framing::Close && !seen.close && !is_in_doubt && (is_http_11 || seen.keep_alive);
    let head = ResponseHead { status, text, framing, is_persistent, keep_alive: seen.keep_alive_seconds };
    Ok(Parsed::Complete(len, head))
}

/// The reason phrase. httparse returns an empty one if it is not ASCII, which RFC 9112, section 4, allows.
fn reason_phrase<'h>(bytes: &'h [u8], read: &'h str) -> &'h [u8] {
    if !read.is_empty() {
        return read.as_bytes();
    }
    // White space at the end of the line is part of it.
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
        let is = |other: &[u8]| is_same_name(name, other);
        match name.len() {
            10 if is(b"connection") => {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            10 if is(b"keep-alive") => self.keep_alive_seconds = keep_alive_seconds(value),
            14 if is(b"content-length") => {
                let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(value).ok().filter(|_| is_number);
                let length =
                    length.and_then(|text| text.parse().ok()).ok_or(ProtocolError::UnclearFraming)?;
                if self.length.replace(length).is_some() {
                    return Err(ProtocolError::UnclearFraming);
                }
            }
            17 if is(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ProtocolError::UnclearFraming);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// How the end of the content is found (RFC 9112, section 6.3), if there is only one way to read it.
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
mod tests {
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
        assert!(matches!(
            look_at("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP"),
            Ok(Parsed::Interim(37))
        ));
        assert!(matches!(look_at("HTTP/1.1 101 Switching\r\n\r\n"), Err(ProtocolError::Switched)));
        assert!(matches!(look_at("HTTP/1.1 099 Odd\r\n\r\n"), Err(ProtocolError::Malformed(_))));
    }

    /// The end of a head, or an error in it, is found whatever the sizes of the pieces.
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

    /// Counts the bytes that the search for the end and httparse visit.
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
                // The search begins where the last one stopped and visits everything that has arrived.
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
        assert!(matches!(
            look_at(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")),
            Err(ProtocolError::Malformed(_))
        ));
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
}
