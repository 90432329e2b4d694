//! Shell. One HTTP request to a gateway, and its answer.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use crate::admin::body::read_bounded;
use crate::config::unit::write_duration;
use crate::upstream::dial::dial;
use crate::upstream::origin::Origin;

/// A request to be sent.
pub(super) struct Outgoing<'a> {
    pub(super) gateway: &'a Origin,
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) fields: HeaderMap,
    pub(super) content: Vec<u8>,
    pub(super) patience: Patience,
    /// Bytes to send before the request: a proxy's announcement, where the listener expects one.
    pub(super) preface: &'static [u8],
}

/// The time-outs of an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For establishing a connection.
    pub(super) connect: Duration,
    /// For the whole answer.
    pub(super) answer: Duration,
}

impl Patience {
    /// For a request that may wait for an app. A gateway is near; and its 504, which by default comes earlier, should be
    /// seen.
    pub(super) const WITH_AN_APP: Self =
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(60) };

    /// The same limit for both.
    pub(super) fn of(limit: Duration) -> Self {
        Self { connect: limit, answer: limit }
    }
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    /// The names of its fields as spelled.
    spelled: Vec<String>,
    /// The content; only the first [`MAX_ANSWER`] bytes are kept.
    pub(super) content: Vec<u8>,
    pub(super) cut: bool,
}

impl Answer {
    /// A field's name as spelled by the gateway or the app behind it.
    pub(super) fn spelling<'n>(&'n self, name: &'n HeaderName) -> &'n str {
        let spelled = self.spelled.iter().find(|spelled| spelled.eq_ignore_ascii_case(name.as_str()));
        spelled.map_or(name.as_str(), String::as_str)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// No connection could be established.
    Unreachable(io::Error),
    /// The time is over.
    TimedOut(Duration),
    /// The exchange was cut off.
    Broken(hyper::Error),
    /// A field or the target cannot be sent.
    Unsendable(http::Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(_) => f.write_str("no connection"),
            Self::TimedOut(limit) => write!(f, "no answer within {}", write_duration(*limit)),
            Self::Broken(_) => f.write_str("the exchange broke off"),
            Self::Unsendable(_) => f.write_str("the request cannot be sent"),
        }
    }
}

impl std::error::Error for NoAnswer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(error) => Some(error),
            Self::Broken(error) => Some(error),
            Self::Unsendable(error) => Some(error),
            Self::TimedOut(_) => None,
        }
    }
}

/// The fields of an event: those of a sender, with the signature lines, and those that the user adds. A field from the user
/// replaces the default one of that name.
pub(super) fn fields(
    gateway: &Origin,
    signatures: impl Iterator<Item = (HeaderName, HeaderValue)>,
    added: impl Iterator<Item = (HeaderName, HeaderValue)>,
) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in signatures.chain(added) {
        fields.append(name, value);
    }
    if let Ok(authority) = HeaderValue::try_from(gateway.authority()) {
        fields.entry(HOST).or_insert(authority);
    }
    fields.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    fields
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("hookgate/", env!("CARGO_PKG_VERSION"))));
    fields
}

/// Sends a request on its own connection, and reads the whole answer.
///
/// # Errors
/// [`NoAnswer`]
pub(super) async fn exchange(outgoing: Outgoing<'_>) -> Result<Answer, NoAnswer> {
    let mut request = Request::builder()
        .method(outgoing.method)
        .uri(http::Uri::from(outgoing.target))
        .body(Full::new(Bytes::from(outgoing.content)))
        .map_err(NoAnswer::Unsendable)?;
    *request.headers_mut() = outgoing.fields;
    let Patience { connect, answer } = outgoing.patience;
    let mut stream = match timeout(connect, dial(outgoing.gateway, connect)).await {
        Ok(connected) => connected.map_err(NoAnswer::Unreachable)?,
        Err(_elapsed) => return Err(NoAnswer::Unreachable(io::ErrorKind::TimedOut.into())),
    };
    // The announcement fits into the send buffer, whose minimum is larger.
    stream.write_all(outgoing.preface).await.map_err(NoAnswer::Unreachable)?;
    let both = async {
        let beginning = Rc::default();
        let stream = Remembering { stream, beginning: Rc::clone(&beginning) };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let (content, cut) = read_bounded(body, MAX_ANSWER).await?;
            let spelled = names(&beginning.borrow());
            Ok(Answer {
                version: head.version,
                status: head.status,
                fields: head.headers,
                spelled,
                content,
                cut,
            })
        };
        // The connection future does the I/O. Its errors are those of the answer.
        let (answer, _connection) = tokio::join!(answer, connection);
        answer
    };
    match timeout(answer, both).await {
        Ok(answer) => answer.map_err(NoAnswer::Broken),
        Err(_elapsed) => Err(NoAnswer::TimedOut(answer)),
    }
}

/// A stream that keeps the first bytes it reads: hyper returns field names in lower case only.
struct Remembering<S> {
    stream: S,
    beginning: Rc<RefCell<Vec<u8>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Remembering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let known = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let mut beginning = self.beginning.borrow_mut();
        let available = MAX_REMEMBERED.saturating_sub(beginning.len());
        beginning.extend(buffer.filled().iter().skip(known).take(available));
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Remembering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The text before a colon in each line, up to the empty line that ends the final response's head.
fn names(beginning: &[u8]) -> Vec<String> {
    let lines = beginning.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut names = Vec::new();
    let mut is_interim = false;
    for line in lines {
        if line.starts_with(b"HTTP/") {
            is_interim = line.get(8..10) == Some(b" 1");
        } else if line.is_empty() && !is_interim {
            break;
        } else if let Some(name) = line.split(|byte| *byte == b':').next() {
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    names
}

/// The most bytes in which field names are searched: more than hyper accepts for a head.
const MAX_REMEMBERED: usize = 512 * 1024;

/// The most bytes kept of an answer. Guards the terminal against an endless one.
const MAX_ANSWER: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_final_head() {
        let head = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-Mine: a:b\r\nETag: y\r\n\r\nBody: z\r\n";
        assert_eq!(names(head), ["Link", "", "X-Mine", "ETag"]);
        assert_eq!(names(b""), Vec::<String>::new());
    }

    #[test]
    fn a_users_field_replaces_the_default_and_signature_lines_are_kept() {
        let gateway = Origin::parse("http://127.0.0.1:1").unwrap();
        let line =
            |name: &'static str, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let signatures = [line("propify-signature", "a"), line("propify-signature", "b")];
        let fields =
            fields(&gateway, signatures.into_iter(), [line("content-type", "text/plain")].into_iter());
        let all =
            |name: &str| fields.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("propify-signature"), ["a", "b"]);
        assert_eq!(all("content-type"), ["text/plain"]);
        assert_eq!(all("host"), ["127.0.0.1:1"]);
    }
}
