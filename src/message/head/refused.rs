//! Pure. A head that is refused, with what is understood of it.

use memchr::memchr;

use crate::message::head::facts::HeadError;
use crate::message::head::lines::leading_empty_lines;
use crate::message::head::request::RequestHead;
use crate::message::head::target::{MAX_REQUEST_LINE, MAX_REQUEST_LINE_WITH_END, RequestLine, Target};

/// A head that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedHead {
    /// Why the head is refused.
    pub error: HeadError,
    /// The method and the path, if the request line is understood.
    pub line: Option<SentLine>,
}

impl RefusedHead {
    /// A refused head of HTTP/1.x, of which these bytes have arrived.
    #[must_use]
    pub fn of_bytes(error: HeadError, bytes: &[u8]) -> Self {
        Self { error, line: SentLine::read(bytes) }
    }
}

impl From<HeadError> for RefusedHead {
    fn from(error: HeadError) -> Self {
        Self { error, line: None }
    }
}

/// The method and the path of a request, as they were sent. For the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentLine {
    /// The method.
    pub method: Box<str>,
    /// The path, without the query.
    pub path: Box<str>,
}

impl SentLine {
    /// The method and the path of a head.
    #[must_use]
    pub fn of(head: &RequestHead) -> Self {
        Self { method: head.method().into(), path: head.path().into() }
    }

    /// Reads the request line at the beginning of the bytes. `None` if the line is incomplete, too long, or
    /// not strict, and if its target has no path.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(leading_empty_lines(bytes)..)?;
        let start = bytes.get(..MAX_REQUEST_LINE_WITH_END).unwrap_or(bytes);
        let line = start.get(..memchr(b'\n', start)?)?.strip_suffix(b"\r")?;
        if line.len() > MAX_REQUEST_LINE {
            return None;
        }
        let line = RequestLine::read(line).ok()?;
        let target = match line.target {
            Target::Origin(target) => target,
            Target::Absolute { path_and_query, .. } => path_and_query,
            Target::Asterisk | Target::Authority => return None,
        };
        let path = target.split(|byte| *byte == b'?').next()?;
        // The absolute form may have no path (RFC 9112, section 3.2.2).
        let path = if path.is_empty() { b"/" } else { path };
        let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::from);
        Some(Self { method: text(line.method)?, path: text(path)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str) -> Option<(String, String)> {
        SentLine::read(bytes.as_bytes()).map(|line| (line.method.into(), line.path.into()))
    }

    #[test]
    fn a_refused_head_has_its_method_and_path_if_its_request_line_is_understood() {
        let longest = format!("/{}", "a".repeat(MAX_REQUEST_LINE - "GET / HTTP/1.1".len()));
        for (target, path) in [
            ("/a", "/a"),
            ("/a?b=c", "/a"),
            ("http://host/a?b", "/a"),
            ("http://host", "/"),
            ("http://host?b", "/"),
            (longest.as_str(), longest.as_str()),
        ] {
            let want = Some(("GET".to_owned(), path.to_owned()));
            for rest in ["", "\r\n", "host", "\0\r\n\r\n"] {
                assert_eq!(read(&format!("GET {target} HTTP/1.1\r\n{rest}")), want, "{target} {rest:?}");
            }
            assert_eq!(read(&format!("\r\nGET {target} HTTP/1.0\r\n")), want, "{target}");
        }
    }

    #[test]
    fn a_request_line_that_is_not_understood_has_neither() {
        let too_long =
            format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_REQUEST_LINE + 1 - "GET / HTTP/1.1".len()));
        for bytes in [
            "",
            "\r\n",
            "GET /a HTTP/1.1",
            "GET /a HTTP/1.1\n",
            "GET /a\r\n",
            "GET  /a HTTP/1.1\r\n",
            "G@T /a HTTP/1.1\r\n",
            "GET a HTTP/1.1\r\n",
            "GET /\x01 HTTP/1.1\r\n",
            "GET http://me:secret@host/a HTTP/1.1\r\n",
            "GET /a HTTP/3.0\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "CONNECT a:80 HTTP/1.1\r\n",
            &too_long,
        ] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }
}
