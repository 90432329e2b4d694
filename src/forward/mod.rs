//! Shell. Forwarding: a verified request to its upstream, unchanged, and the response back.
//!
//! Nothing comes in here but a [`Deliverable`], which only `signature` can make.

pub mod error;
pub mod fields;
pub mod link;
pub mod origin;
pub mod pool;
pub mod relay;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::Full;

use crate::config::{self, XForwarded};
use crate::peer::Peer;
use crate::server::limit::Share;
use crate::signature::Deliverable;
use crate::signature::scheme::Scheme;
use error::{Breach, ForwardError};
use link::{Link, Payload, Unanswered};
use pool::Pool;
use relay::Relay;

/// How a route wants its requests forwarded, worked out once.
#[derive(Clone, Debug)]
pub struct Manner {
    /// What becomes of `x-forwarded-for`, `-proto` and `-host`.
    pub x_forwarded: XForwarded,
    /// The field that says how the request was verified.
    pub verified_field: Option<HeaderName>,
    /// The scheme's name, for that field.
    pub scheme: Cow<'static, str>,
    /// Fields that a `connection` line cannot take away: the signature's, and what else is signed.
    pub kept: Vec<HeaderName>,
}

impl Manner {
    /// The manner of a route with this scheme.
    #[must_use]
    pub fn new(forward: &config::Forward, scheme: &Scheme) -> Self {
        Self {
            x_forwarded: forward.x_forwarded,
            verified_field: forward.verified_field.clone(),
            scheme: scheme.name.clone(),
            kept: scheme.fields().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect(),
        }
    }
}

/// Forwards a request, and gives back the upstream's response as soon as its fields are there.
///
/// `share` is the request's part of the buffer budget; it is given back when the content is really freed.
///
/// # Errors
/// [`ForwardError`]. The request is sent again only where no byte of it can have reached the upstream.
pub async fn deliver(
    pool: &Rc<Pool>,
    manner: &Manner,
    peer: Peer,
    deliverable: Deliverable<Parts>,
    share: Share,
) -> Result<Response<Relay>, ForwardError> {
    let mut request = compose(pool, manner, peer, deliverable, share);
    let upstream = pool.upstream();
    let (mut link, response) = loop {
        let idle = pool.take();
        let fresh = idle.is_none();
        let mut link = match idle {
            Some(link) => link,
            None => Link::connect(&upstream.origin, upstream.connect_timeout, upstream.idle_timeout).await?,
        };
        match link.send(request, upstream.response_timeout).await {
            Ok(response) => break (link, response),
            Err(Unanswered::Unsent(unsent)) if !fresh => request = *unsent,
            Err(Unanswered::Unsent(_)) => return Err(ForwardError::Broken(Breach::Closed)),
            Err(Unanswered::Failed(error)) => return Err(error),
        }
    };
    let (mut parts, incoming) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ForwardError::Broken(Breach::Switched));
    }
    if !fields::is_framing_clear(&parts.headers) {
        return Err(ForwardError::Broken(Breach::UnclearFraming));
    }
    if incoming.is_end_stream() {
        link.look_behind().await;
        if link.is_overrun() {
            return Err(ForwardError::Broken(Breach::Overrun));
        }
    }
    if let Some(seconds) = fields::keep_alive_seconds(&parts.headers) {
        // One second less, so that we let go first.
        link.limit_idle(Duration::from_secs(seconds.saturating_sub(1)));
    }
    parts.headers = fields::end_to_end(parts.headers, &manner.kept);
    parts.version = Version::HTTP_11;
    let relay = Relay::new(incoming, link, Rc::clone(pool), upstream.response_timeout);
    Ok(Response::from_parts(parts, relay))
}

/// The request as it goes to the upstream: the same, but for what belongs to the sender's connection.
fn compose(
    pool: &Pool,
    manner: &Manner,
    peer: Peer,
    deliverable: Deliverable<Parts>,
    share: Share,
) -> Request<Payload> {
    let verified = manner
        .verified_field
        .as_ref()
        .map(|name| (name, verified_value(&manner.scheme, deliverable.secret())));
    let (mut parts, content) = deliverable.into_parts();
    let mut headers = fields::end_to_end(parts.headers, &manner.kept);
    frame(&mut headers, &parts.method, content.len());
    if !headers.contains_key(header::HOST) {
        // Only HTTP/1.0 gets here without one, and HTTP/1.1 must have one (RFC 9112, section 3.2).
        if let Ok(authority) = HeaderValue::from_str(&pool.upstream().origin.authority()) {
            headers.insert(header::HOST, authority);
        }
    }
    match manner.x_forwarded {
        XForwarded::Off => {}
        XForwarded::Append => headers = fields::append_forwarded(headers, peer),
        XForwarded::Overwrite => headers = fields::overwrite_forwarded(headers, peer),
    }
    if let Some((name, value)) = verified {
        headers = fields::without_likes_of(headers, name);
        if let Some(value) = value {
            headers.insert(name.clone(), value);
        }
    }
    parts.headers = headers;
    parts.version = Version::HTTP_11;
    Request::from_parts(parts, Full::new(Bytes::from_owner(Held { content, _share: share })))
}

/// Says how long the content is, in one `content-length` and where the client said it, if it did (RFC 9112, section 6.2).
fn frame(headers: &mut HeaderMap, method: &Method, length: usize) {
    let anticipates_content =
        !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE);
    if length > 0 || anticipates_content || headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Scheme and secret as a structured dictionary (RFC 9651); nothing where nothing verified.
fn verified_value(scheme: &str, secret: Option<&Arc<str>>) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("scheme={scheme}, secret={}", secret?)).ok()
}

/// Content in memory, and its part of the budget, which is given back no sooner than the memory.
struct Held {
    content: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}
