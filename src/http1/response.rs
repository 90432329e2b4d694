//! Pure. Writes responses as bytes: the gateway's own responses (refusals and answers to challenges), and the
//! responses of upstreams.

use std::io::Write as _;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::gateway::reply::RefusalReply;
use crate::message::head::{Persistence, ResponseContext, Version};

/// A complete response. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct WholeResponse {
    bytes: Bytes,
    content_length: usize,
    keeps_open: bool,
}

/// The most bytes of a response in addition to fields and content, with room for a few fields.
const FRAME: usize = 320;

/// How the end of a streaming response is marked (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimited {
    /// A field has the length.
    ByLength,
    /// The chunked transfer coding marks the end.
    ByChunks,
    /// The end of the connection marks the end of the content, if the client supports no other framing.
    ByClosing,
}

/// The bytes after the last chunk of content.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Delimited {
    /// The framing of a response. `asked` describes the request, and `length` is the length of the content,
    /// if it is known.
    #[must_use]
    pub fn of(asked: ResponseContext, length: Option<u64>) -> Self {
        match (length, asked.version) {
            (Some(_), _) => Self::ByLength,
            (None, Version::Http11) => Self::ByChunks,
            (None, Version::Http10) => Self::ByClosing,
        }
    }

    /// Appends a piece of the content with its framing.
    pub fn append(self, piece: &[u8], bytes: &mut Vec<u8>) {
        match self {
            // A chunk of length 0 would mean the end.
            Self::ByChunks if piece.is_empty() => {}
            Self::ByChunks => {
                // Writing to a vector cannot fail.
                let _infallible = write!(bytes, "{:x}\r\n", piece.len());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            Self::ByLength | Self::ByClosing => bytes.extend_from_slice(piece),
        }
    }

    /// Appends the end of the content.
    pub fn finish(self, bytes: &mut Vec<u8>) {
        if self == Self::ByChunks {
            bytes.extend_from_slice(LAST_CHUNK);
        }
    }
}

/// The version in every response: the gateway's own version, not the request's (RFC 9110, section 6.2).
const VERSION: &[u8] = b"HTTP/1.1 ";

/// The `connection` field, if the connection does not follow the default of HTTP/1.1 (RFC 9112, section 9.3).
fn connection(asked: ResponseContext, is_last: bool) -> &'static [u8] {
    match (asked.version, asked.persistence) {
        _ if is_last => b"connection: close\r\n",
        (Version::Http11, Persistence::Close)
        | (Version::Http10, Persistence::Default | Persistence::Close) => b"connection: close\r\n",
        (Version::Http10, Persistence::KeepAlive) => b"connection: keep-alive\r\n",
        (Version::Http11, Persistence::Default | Persistence::KeepAlive) => b"",
    }
}

/// The head of an upstream's response. `text` is the status code, the reason phrase and the end-to-end
/// fields. `extra` is the number of bytes that the caller will append.
#[must_use]
pub fn head(
    asked: ResponseContext,
    text: &[u8],
    delimited: Delimited,
    is_last: bool,
    extra: usize,
) -> Vec<u8> {
    let coding: &[u8] = match delimited {
        Delimited::ByChunks => b"transfer-encoding: chunked\r\n",
        Delimited::ByLength | Delimited::ByClosing => b"",
    };
    let parts = [VERSION, text, connection(asked, is_last), coding, b"\r\n"];
    let length = parts.iter().fold(extra, |length, part| length.saturating_add(part.len()));
    let mut bytes = Vec::with_capacity(length);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

impl WholeResponse {
    /// A response of the gateway's own, with these fields and its framing. `asked` describes the request.
    /// `is_last` closes the connection, whatever the client asked for.
    #[must_use]
    pub fn new<'f>(
        asked: ResponseContext,
        status: StatusCode,
        fields: impl IntoIterator<Item = &'f (HeaderName, HeaderValue)>,
        content: &[u8],
        is_last: bool,
    ) -> Self {
        let mut bytes = Vec::with_capacity(content.len().saturating_add(FRAME));
        bytes.extend_from_slice(VERSION);
        bytes.extend_from_slice(status.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in fields {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(connection(asked, is_last));
        // A 204 has no length (RFC 9110, section 8.6).
        if status != StatusCode::NO_CONTENT {
            bytes.extend_from_slice(b"content-length: ");
            bytes.extend_from_slice(itoa::Buffer::new().format(content.len()).as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let content = if asked.is_for_head { &[] } else { content };
        bytes.extend_from_slice(content);
        Self {
            bytes: bytes.into(),
            content_length: content.len(),
            keeps_open: !is_last && asked.keeps_open(),
        }
    }

    /// A complete response of an upstream. Its fields give its length, or it has no content. `text` is the
    /// status code, the reason phrase and the end-to-end fields.
    #[must_use]
    pub fn relayed(asked: ResponseContext, text: &[u8], content: &[u8], is_last: bool) -> Self {
        let mut bytes = head(asked, text, Delimited::ByLength, is_last, content.len());
        bytes.extend_from_slice(content);
        Self {
            bytes: bytes.into(),
            content_length: content.len(),
            keeps_open: !is_last && asked.keeps_open(),
        }
    }

    /// The bytes of the response.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of bytes of content.
    #[must_use]
    pub fn content_length(&self) -> usize {
        self.content_length
    }

    /// Whether another request may follow.
    #[must_use]
    pub fn keeps_open(&self) -> bool {
        self.keeps_open
    }
}

/// All that the response to a refused request depends on.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusalContext {
    /// The refusal.
    pub refusal: RefusalReply,
    /// What the request asks of its response.
    pub asked: ResponseContext,
    /// Whether the response closes the connection, whatever the client asked for.
    pub is_last: bool,
    /// The time of the `date` field, in seconds since 1970.
    pub second: u64,
}

/// The last response to a refused request. Clients can cause any number of refusals, so of equal refusals
/// within one second, only the first is composed.
#[derive(Debug, Default)]
pub struct LastRefusal(Option<(RefusalContext, WholeResponse)>);

impl LastRefusal {
    /// The response to a refused request. It is composed if its context differs from that of the last
    /// response.
    pub fn response(
        &mut self,
        context: RefusalContext,
        compose: impl FnOnce(&RefusalContext) -> WholeResponse,
    ) -> WholeResponse {
        match &self.0 {
            Some((last, response)) if *last == context => response.clone(),
            Some(_) | None => {
                let response = compose(&context);
                self.0 = Some((context, response.clone()));
                response
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;
    use crate::gateway::rejection::Rejection;
    use crate::signature::scheme::{Authentication, Refusal};

    const POST: ResponseContext =
        ResponseContext { is_for_head: false, version: Version::Http11, persistence: Persistence::Default };

    fn said(asked: ResponseContext, is_last: bool) -> (String, bool) {
        let fields = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (header::ALLOW, HeaderValue::from_static("POST, PUT")),
        ];
        let message =
            WholeResponse::new(asked, StatusCode::METHOD_NOT_ALLOWED, &fields, b"not so\n", is_last);
        (String::from_utf8(message.bytes().to_vec()).unwrap(), message.keeps_open())
    }

    #[test]
    fn a_message_has_its_fields_in_order_and_the_length_of_its_content() {
        let (text, keeps_open) = said(POST, false);
        let want = "HTTP/1.1 405 Method Not Allowed\r\ncontent-type: text/plain\r\nallow: POST, PUT\r\n\
                    content-length: 7\r\n\r\nnot so\n";
        assert_eq!((text.as_str(), keeps_open), (want, true));
    }

    #[test]
    fn a_refusal_is_composed_only_if_it_differs_from_the_last_one() {
        let mut last = LastRefusal::default();
        let mut composed = 0;
        let mut answer = |rejection, authentication, asked, is_last, second| {
            let refusal = RefusalReply::new(rejection, Refusal::Problem, authentication);
            let response = last.response(RefusalContext { refusal, asked, is_last, second }, |_context| {
                composed += 1;
                let content = composed.to_string();
                WholeResponse::new(POST, StatusCode::NOT_FOUND, &[], content.as_bytes(), false)
            });
            let text = String::from_utf8(response.bytes().to_vec()).unwrap();
            assert!(text.ends_with(&format!("\r\n\r\n{composed}")), "{text}");
            composed
        };
        let (signature, token) = (Authentication::default(), Authentication::Bearer);
        let head = ResponseContext { is_for_head: true, ..POST };
        assert_eq!(answer(Rejection::SignatureMismatch, signature, POST, false, 7), 1);
        assert_eq!(answer(Rejection::SignatureMismatch, signature, POST, false, 7), 1);
        assert_eq!(answer(Rejection::SignatureMismatch, signature, POST, false, 8), 2);
        assert_eq!(answer(Rejection::SignatureMismatch, signature, POST, true, 8), 3);
        assert_eq!(answer(Rejection::SignatureMismatch, signature, head, true, 8), 4);
        assert_eq!(answer(Rejection::SignatureMismatch, token, head, true, 8), 5);
        assert_eq!(answer(Rejection::NoRoute, token, head, true, 8), 6);
        assert_eq!(answer(Rejection::NoRoute, token, head, true, 8), 6);
    }

    #[test]
    fn a_204_has_neither_length_nor_content() {
        let message = WholeResponse::new(POST, StatusCode::NO_CONTENT, &[], b"", false);
        assert_eq!((message.bytes(), message.keeps_open()), (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], true));
    }

    #[test]
    fn a_response_to_head_has_the_length_and_no_content() {
        let (text, _) = said(ResponseContext { is_for_head: true, ..POST }, false);
        assert!(text.ends_with("content-length: 7\r\n\r\n"), "{text}");
    }

    #[test]
    fn the_connection_field_is_written_if_the_outcome_is_not_the_default() {
        use Persistence::{Close, KeepAlive};
        use Version::{Http10, Http11};
        for (version, persistence, is_last, said_of_it, want) in [
            (Http11, Persistence::Default, false, None, true),
            (Http11, KeepAlive, false, None, true),
            (Http11, Close, false, Some("close"), false),
            (Http11, Persistence::Default, true, Some("close"), false),
            (Http11, Close, true, Some("close"), false),
            (Http10, Persistence::Default, false, Some("close"), false),
            (Http10, Close, false, Some("close"), false),
            (Http10, KeepAlive, false, Some("keep-alive"), true),
            (Http10, KeepAlive, true, Some("close"), false),
        ] {
            let (text, keeps_open) =
                said(ResponseContext { is_for_head: false, version, persistence }, is_last);
            let field = text.lines().find_map(|line| line.strip_prefix("connection: "));
            assert_eq!((field, keeps_open), (said_of_it, want), "{version:?} {persistence:?} {is_last}");
            assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
        }
    }

    #[test]
    fn an_upstreams_response_is_what_it_was_with_what_its_client_must_know() {
        let text = b"200 Fine\r\nX-A: 1\r\n";
        let (v10, v11) = (Version::Http10, Version::Http11);
        let asked = |version, persistence| ResponseContext { is_for_head: false, version, persistence };
        for (asked, length, is_last, want) in [
            (asked(v11, Persistence::Default), Some(3), false, "HTTP/1.1 200 Fine\r\nX-A: 1\r\n\r\n"),
            (
                asked(v11, Persistence::Default),
                None,
                false,
                "HTTP/1.1 200 Fine\r\nX-A: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                asked(v11, Persistence::Default),
                None,
                true,
                "HTTP/1.1 200 Fine\r\nX-A: 1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                asked(v10, Persistence::KeepAlive),
                Some(3),
                false,
                "HTTP/1.1 200 Fine\r\nX-A: 1\r\nconnection: keep-alive\r\n\r\n",
            ),
            (
                asked(v10, Persistence::KeepAlive),
                None,
                true,
                "HTTP/1.1 200 Fine\r\nX-A: 1\r\nconnection: close\r\n\r\n",
            ),
        ] {
            let got = head(asked, text, Delimited::of(asked, length), is_last, 0);
            assert_eq!(String::from_utf8(got).unwrap(), want, "{asked:?} {length:?} {is_last}");
        }
        let whole = WholeResponse::relayed(POST, text, b"abc", false);
        assert_eq!(whole.bytes(), b"HTTP/1.1 200 Fine\r\nX-A: 1\r\n\r\nabc");
        assert!(whole.keeps_open() && !WholeResponse::relayed(POST, text, b"abc", true).keeps_open());
    }

    #[test]
    fn pieces_are_chunked_if_the_length_is_unknown() {
        for (delimited, want) in [
            (Delimited::ByChunks, "10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n"),
            (Delimited::ByLength, "0123456789abcdefx"),
            (Delimited::ByClosing, "0123456789abcdefx"),
        ] {
            let mut bytes = Vec::new();
            for piece in ["0123456789abcdef", "", "x"] {
                delimited.append(piece.as_bytes(), &mut bytes);
            }
            delimited.finish(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), want, "{delimited:?}");
        }
    }
}
