//! hyper's server parses each request that our parser accepts as the same request: method, target, version,
//! field lines, framing, content, and the start of the next request.
//!
//! The data after the head is the content, if the head announces content and the content is complete. hyper
//! refuses later minor versions, and characters of a query that no `http::Uri` can have. These are replaced
//! in the head first.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hookgate::message::chunked::{Chunked, Step};
use hookgate::message::head::{Framing, Parsed, Persistence, RequestHead, ResponseContext, Version, parse};
use http::header::CONNECTION;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::{Body, Frame, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::strict;

const MAX: usize = 2048;

/// The most content that is generated for a head.
const MOST_CONTENT: u64 = 4096;

/// The request that follows each request.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nhost: next.test\r\n\r\n";

/// The most polls of hyper's connection. No run needs more.
const MOST_POLLS: usize = 100_000;

/// Panics if our parser accepts a request, and hyper parses it as another request or as none.
pub fn holds(data: &[u8]) {
    let Parsed::Complete(facts) = parse(data, &mut 0, MAX) else { return };
    let (head, rest) = data.split_at(facts.len);
    let message = known_to_hyper(head);
    let Parsed::Complete(facts) = parse(&message, &mut 0, MAX) else {
        panic!("another version or target makes it another head")
    };
    let request = RequestHead::new(facts, &message);
    let (body, content) = match facts.framing {
        Framing::None => (Vec::new(), Some(Vec::new())),
        Framing::Length(length) if length > MOST_CONTENT => (Vec::new(), None),
        Framing::Length(length) => {
            let length = usize::try_from(length).expect("it is small");
            let content: Vec<u8> = rest.iter().copied().chain(std::iter::repeat(b'x')).take(length).collect();
            (content.clone(), Some(content))
        }
        Framing::Chunked => {
            let (body, content) =
                unchunked(rest).unwrap_or((b"3;a=b\r\nabc\r\n0\r\nt: x\r\n\r\n", b"abc".to_vec()));
            (body.to_vec(), Some(content))
        }
    };
    let input = [&message[..], &body, if content.is_some() { NEXT } else { b"" }].concat();
    let seen = read_by_hyper(input, 1 + data.len() % 97);

    let (strict, _) = strict::head(&message).expect("it is strict").expect("it is complete");
    let Some(first) = seen.first() else {
        assert!(has_encoded_host(&strict.target), "hyper refuses it");
        return;
    };
    assert_eq!(first.method, request.method(), "another method");
    assert_eq!(first.target.as_bytes(), request.target(), "another target");
    let version = if first.is_10 { Version::Http10 } else { Version::Http11 };
    assert_eq!(version, facts.version, "another version");
    same_fields(&first.fields, &strict);
    let length = match facts.framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked => None,
    };
    assert_eq!(first.length, length, "another framing");
    let Some(content) = content else { return };
    assert_eq!(first.content.as_deref(), Some(&content[..]), "other content");

    // For hyper, too, the next request begins after this request.
    let next: Vec<_> = seen[1..].iter().map(|next| (next.method.as_str(), next.target.as_str())).collect();
    assert!(matches!(next[..], [] | [("GET", "/next")]), "another request behind it: {next:?}");
    let asked = ResponseContext {
        is_for_head: request.is_for_head(),
        version: facts.version,
        persistence: facts.persistence,
    };
    // hyper ignores a whole line of options if one of the options is not ASCII.
    if first.fields.get_all(CONNECTION).iter().any(|value| value.to_str().is_err()) {
        return;
    }
    assert!(!next.is_empty() || !asked.keeps_open(), "hyper ends the connection");
    if facts.version == Version::Http11 && facts.persistence == Persistence::Close {
        assert!(next.is_empty(), "hyper goes on behind a request that closes");
    }
}

/// The head in a form that hyper supports.
fn known_to_hyper(head: &[u8]) -> Vec<u8> {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    let mut message = head[start..].to_vec();
    let mut spaces = message.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at);
    let (from, to) = (spaces.next().expect("a target"), spaces.next().expect("a version"));
    for byte in &mut message[from + 1..to] {
        if !byte.is_ascii() || b"\"<>".contains(byte) {
            *byte = b'~';
        }
    }
    let minor = &mut message[to + " HTTP/1.".len()];
    *minor = (*minor).min(b'1');
    message
}

/// Whether a target in absolute-form has a host with percent-encoded bytes (RFC 3986, section 3.2.2). No
/// `http::Uri` can have such a host.
fn has_encoded_host(target: &[u8]) -> bool {
    let authority = target.splitn(3, |byte| *byte == b'/').nth(2).unwrap_or_default();
    let end = authority.iter().position(|byte| b"/?".contains(byte)).unwrap_or(authority.len());
    !target.starts_with(b"/") && authority[..end].contains(&b'%')
}

/// The bytes of complete chunked content, and the decoded content.
fn unchunked(bytes: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let (mut chunked, mut at, mut content) = (Chunked::new(MAX), 0, Vec::new());
    loop {
        match chunked.step(&bytes[at..]).ok()? {
            Step::Content(range) => {
                content.extend_from_slice(&bytes[at + range.start..at + range.end]);
                at += range.end;
            }
            Step::More => return None,
            Step::End(end) => return Some((&bytes[..at + end], content)),
        }
    }
}

/// Panics unless hyper has the same fields. The lines of one name must have the same order.
fn same_fields(fields: &HeaderMap, strict: &strict::Request) {
    assert_eq!(fields.len(), strict.fields.len(), "more or fewer field lines");
    for (name, _) in &strict.fields {
        let name = name.to_ascii_lowercase();
        let values = fields.get_all(&name).iter().map(http::HeaderValue::as_bytes);
        assert!(values.eq(strict.all(&name)), "another {name}");
    }
}

/// A request as hyper reads it.
struct Seen {
    method: String,
    target: String,
    is_10: bool,
    fields: HeaderMap,
    length: Option<u64>,
    /// `None` if the content is incomplete.
    content: Option<Vec<u8>>,
}

/// The requests that hyper parses from a connection's bytes. The bytes arrive in pieces of `step` bytes.
fn read_by_hyper(input: Vec<u8>, step: usize) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (parts, mut body) = request.into_parts();
            let length = body.size_hint().exact();
            let mut content = Some(Vec::new());
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                match (frame.map(Frame::into_data), &mut content) {
                    (Ok(Ok(data)), Some(content)) => content.extend_from_slice(&data),
                    (Ok(_), _) => {}
                    (Err(_), content) => *content = None,
                }
            }
            let target = match parts.uri.query() {
                Some(query) => format!("{}?{query}", parts.uri.path()),
                None => parts.uri.path().to_owned(),
            };
            seen.borrow_mut().push(Seen {
                method: parts.method.as_str().to_owned(),
                target,
                is_10: parts.version == http::Version::HTTP_10,
                fields: parts.headers,
                length,
                content,
            });
            let mut response = Response::new(NoContent);
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.auto_date_header(false).half_close(true);
    {
        let mut served = pin!(builder.serve_connection(Canned { input, at: 0, step }, service));
        let mut cx = Context::from_waker(Waker::noop());
        // Nothing waits for an event: a pending future only lets other futures run first.
        let is_over = (0..MOST_POLLS).any(|_| served.as_mut().poll(&mut cx).is_ready());
        assert!(is_over, "hyper comes to no end");
    }
    seen.take()
}

struct NoContent;

impl Body for NoContent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// A connection whose client has already sent everything, and reads nothing.
struct Canned {
    input: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Canned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.input[self.at..];
        let piece = &rest[..rest.len().min(self.step).min(buffer.remaining())];
        buffer.put_slice(piece);
        let n = piece.len();
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl Write for Canned {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
