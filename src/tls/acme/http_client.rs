//! Shell. The HTTP client of ACME: each request on a connection of its own, over TLS, with bounds on time and
//! size.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::time::timeout;

use crate::admin::body::read_bounded;
use crate::queue::retry;
use crate::tls::acme::renewal;
use crate::tls::client_config::Connector;
use crate::upstream::dial::{dial, secure};
use crate::upstream::origin::Origin;

/// The time for a request and its whole answer.
const LIMIT: Duration = Duration::from_secs(30);

/// The most bytes of an answer. A chain of certificates has a few KiB.
const MOST_BYTES: usize = 256 << 10;

/// The time to connect. Each address of the authority gets a part of this time, so an IPv6 address that does
/// not answer leaves time for an IPv4 address.
const CONNECT: Duration = Duration::from_secs(20);

/// Reaches an authority. Clones share the `retry-after` of the last answer.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    retry_after: Arc<Mutex<Option<Duration>>>,
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The URL is not an https URL.
    #[error("the authority uses the URL {0}, which is no https URL")]
    Url(String),
    /// The authority could not be reached.
    #[error("{authority} cannot be reached: {source}")]
    Unreachable {
        /// The authority's host and port.
        authority: String,
        /// The cause.
        source: io::Error,
    },
    /// There was no whole answer in time.
    #[error("{0} has not answered within 30 s")]
    TimedOut(String),
    /// The exchange broke off.
    #[error("the exchange with {0} broke off: {1}")]
    Broken(String, #[source] hyper::Error),
    /// The answer is a redirect, or an error without a problem document.
    #[error("{0} answers with the status {1}")]
    Status(String, u16),
    /// The answer is too long.
    #[error("{0} answers with too many bytes")]
    TooLong(String),
}

impl Client {
    pub(crate) fn new(connector: &Connector) -> Self {
        Self { config: Arc::clone(connector.config()), retry_after: Arc::default() }
    }

    /// The time that the last error answer asks to wait, if it asks.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, ClientError> {
        let (mut head, body) = request.into_parts();
        let url = std::mem::take(&mut head.uri);
        let authority = match (url.scheme_str(), url.authority()) {
            (Some("https"), Some(authority)) => authority.clone(),
            _ => return Err(ClientError::Url(url.to_string())),
        };
        let name = authority.to_string();
        let origin = Origin::parse(&format!("https://{name}"));
        let origin = origin.map_err(|_what| ClientError::Url(url.to_string()))?;
        head.uri = url.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
        if let Ok(host) = HeaderValue::try_from(name.as_str()) {
            head.headers.insert(HOST, host);
        }
        head.headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("hookgate/", env!("CARGO_PKG_VERSION"))));
        let is_get = head.method == Method::GET;
        let exchange = async {
            let connected =
                async { secure(dial(&origin, CONNECT).await?, &origin, Some(&self.config)).await };
            let stream = connected
                .await
                .map_err(|source| ClientError::Unreachable { authority: name.clone(), source })?;
            let broken = |error| ClientError::Broken(name.clone(), error);
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
            let answer = async move {
                let response = sender.send_request(Request::from_parts(head, body)).await?;
                let (head, body) = response.into_parts();
                let (content, is_cut) = read_bounded(body, MOST_BYTES).await?;
                Ok((head, content, is_cut))
            };
            // The future of the connection does the I/O. Its errors also appear in the answer.
            let (answer, _connection) = tokio::join!(answer, connection);
            answer.map_err(broken)
        };
        let answered = timeout(LIMIT, exchange).await;
        let (mut head, content, is_cut) =
            answered.map_err(|_elapsed| ClientError::TimedOut(name.clone()))??;
        if is_cut {
            return Err(ClientError::TooLong(name));
        }
        // ACME has no redirects.
        let is_failure = !head.status.is_success();
        let after = head.headers.get(RETRY_AFTER);
        let after = after.and_then(|value| retry::retry_after(value.as_bytes(), SystemTime::now()));
        *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = after.filter(|_| is_failure);
        // Only the directory and renewal information are read with GET. instant-acme does not use renewal
        // information, or the problem document in its place, without this field. It panics at a number that
        // is too large.
        if is_get {
            head.headers.insert(RETRY_AFTER, HeaderValue::from(renewal::wait(after).as_secs()));
        }
        let kind = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if is_failure && !kind.starts_with(b"application/problem+json") {
            return Err(ClientError::Status(name, head.status.as_u16()));
        }
        if let Some(url) = wrong_nonce_url(&content) {
            return Err(ClientError::Url(url));
        }
        Ok(Response::from_parts(head, Full::new(Bytes::from(content))).into())
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let exchange = self.clone().exchange(request);
        Box::pin(async move {
            exchange.await.map_err(|error| Error::Other(Box::<dyn StdError + Send + Sync>::from(error)))
        })
    }
}

/// The URL for nonces in a directory, if it is no valid URL. instant-acme panics at such a URL.
fn wrong_nonce_url(content: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Directory {
        new_nonce: String,
    }
    let directory = serde_json::from_slice::<Directory>(content).ok()?;
    directory.new_nonce.parse::<Uri>().is_err().then_some(directory.new_nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_nonce_url_that_is_none_is_not_passed_on() {
        let of = |url: &str| {
            wrong_nonce_url(serde_json::json!({ "newNonce": url, "newOrder": "" }).to_string().as_bytes())
        };
        assert_eq!(of("https://ca.example/nonce"), None);
        assert_eq!(of("not a url").as_deref(), Some("not a url"));
        assert_eq!(wrong_nonce_url(b"{}").or_else(|| wrong_nonce_url(b"<html>")), None);
    }
}
