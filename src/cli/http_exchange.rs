//! Shell. One HTTP request to a gateway, and its answer.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::admin::body::read_bounded;
use crate::cli::signals;
use crate::config::bounded_read::read_once;
use crate::config::size_and_duration::write_duration;
use crate::tls::authorities::Authorities;
use crate::tls::client_config::Connector;
use crate::upstream::dial::{dial, secure};
use crate::upstream::origin::Origin;

/// A request that is to be sent.
pub(super) struct Outgoing<'a> {
    pub(super) gateway: &'a Origin,
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    /// The request's own field lines. Default fields are added if they are not among these.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) content: Vec<u8>,
    pub(super) patience: Patience,
    /// Bytes that are sent before the request: a PROXY protocol header, if the listener expects one.
    pub(super) preface: &'static [u8],
    /// The trusted certificates, if the gateway is reached over TLS. By default, the authorities that the
    /// system trusts.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl<'a> Outgoing<'a> {
    /// A GET without fields of its own and without content.
    pub(super) fn get(gateway: &'a Origin, target: PathAndQuery, patience: Patience) -> Self {
        let (fields, content) = (Vec::new(), Vec::new());
        Self { gateway, method: Method::GET, target, fields, content, patience, preface: &[], tls: None }
    }
}

/// The time limits of an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The time for establishing a connection.
    pub(super) connect: Duration,
    /// The time for the whole answer.
    pub(super) answer: Duration,
}

impl Patience {
    /// The limits for a request that may wait for an app. The gateway is near, so connecting is fast. The
    /// gateway's 504 should arrive before the limit; by default it does.
    pub(super) const WITH_AN_APP: Self =
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(60) };

    /// Limits that are equal for the connection and for the answer.
    pub(super) fn of(limit: Duration) -> Self {
        Self { connect: limit, answer: limit }
    }
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    /// The content. Only the first [`MAX_ANSWER`] bytes are kept.
    pub(super) content: Vec<u8>,
    pub(super) cut: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// No connection could be established.
    Unreachable(io::Error),
    /// The time limit has passed.
    TimedOut(Duration),
    /// The exchange broke off.
    Broken(hyper::Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(_) => f.write_str("no connection"),
            Self::TimedOut(limit) => write!(f, "no answer within {}", write_duration(*limit)),
            Self::Broken(_) => f.write_str("the exchange broke off"),
        }
    }
}

impl std::error::Error for NoAnswer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(error) => Some(error),
            Self::Broken(error) => Some(error),
            Self::TimedOut(_) => None,
        }
    }
}

/// The fields of a request: its own fields, and the default fields that it lacks.
fn fields(gateway: &Origin, own: Vec<(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in own {
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

/// Makes the exchange as [`exchange`] does, but blocks this thread.
///
/// # Errors
/// [`NoAnswer`]
pub(super) fn now(outgoing: Outgoing<'_>) -> Result<Answer, NoAnswer> {
    signals::runtime().map_err(NoAnswer::Unreachable)?.block_on(exchange(outgoing))
}

/// Sends a request on a connection of its own, and reads the whole answer.
///
/// # Errors
/// [`NoAnswer`]
pub(super) async fn exchange(outgoing: Outgoing<'_>) -> Result<Answer, NoAnswer> {
    let mut request = Request::new(Full::new(Bytes::from(outgoing.content)));
    *request.method_mut() = outgoing.method;
    *request.uri_mut() = outgoing.target.into();
    *request.headers_mut() = fields(outgoing.gateway, outgoing.fields);
    let Patience { connect, answer } = outgoing.patience;
    let connecting = async {
        let mut stream = dial(outgoing.gateway, connect).await?;
        // The PROXY protocol header is shorter than any send buffer, so this write does not wait.
        stream.write_all(outgoing.preface).await?;
        let tls = match (outgoing.gateway, outgoing.tls) {
            (Origin::Tls(_), None) => system_trust()?,
            (Origin::Tcp(_) | Origin::Tls(_) | Origin::Unix(_), given) => given,
        };
        secure(stream, outgoing.gateway, tls.as_ref()).await
    };
    let stream = match timeout(connect, connecting).await {
        Ok(connected) => connected.map_err(NoAnswer::Unreachable)?,
        Err(_elapsed) => return Err(NoAnswer::Unreachable(io::ErrorKind::TimedOut.into())),
    };
    let both = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let (content, cut) = read_bounded(body, MAX_ANSWER).await?;
            Ok(Answer { version: head.version, status: head.status, fields: head.headers, content, cut })
        };
        // The future of the connection does the I/O. Its errors also appear in the answer.
        let (answer, _connection) = tokio::join!(answer, connection);
        answer
    };
    match timeout(answer, both).await {
        Ok(answer) => answer.map_err(NoAnswer::Broken),
        Err(_elapsed) => Err(NoAnswer::TimedOut(answer)),
    }
}

/// Trusts the authorities that the system trusts.
pub(super) fn system_trust() -> io::Result<Option<Arc<ClientConfig>>> {
    let authorities = Authorities::of_system(rustls_native_certs::load_native_certs().certs);
    let connector = authorities.map(|authorities| Connector::new(authorities, None)).transpose();
    Ok(connector.map_err(io::Error::other)?.map(|connector| Arc::clone(connector.config())))
}

/// Trusts the authorities of a file.
///
/// # Errors
/// The file cannot be read, or has no certificate.
pub(super) fn trust_of(file: &Path) -> io::Result<Arc<ClientConfig>> {
    let content = read_once(file, MOST_AUTHORITIES).map_err(io::Error::from)?;
    let authorities = Authorities::read(&content.bytes).map_err(io::Error::other)?;
    Ok(Arc::clone(Connector::new(authorities, None).map_err(io::Error::other)?.config()))
}

/// The most bytes of a file with authorities.
const MOST_AUTHORITIES: usize = 4 << 20;

/// The most bytes of an answer that are kept. Guards the terminal against an answer without an end.
const MAX_ANSWER: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_field_replaces_the_default_and_signature_lines_are_kept() {
        let gateway = Origin::parse("http://127.0.0.1:1").unwrap();
        let line =
            |name: &'static str, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let signatures = [line("propify-signature", "a"), line("propify-signature", "b")];
        let fields =
            fields(&gateway, signatures.into_iter().chain([line("content-type", "text/plain")]).collect());
        let all =
            |name: &str| fields.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("propify-signature"), ["a", "b"]);
        assert_eq!(all("content-type"), ["text/plain"]);
        assert_eq!(all("host"), ["127.0.0.1:1"]);
    }
}
