//! Pure. What would become of an event's signature, for whoever operates the gateway: nothing is forwarded.
//!
//! It is no part of a request's walk, and has no way to an upstream: what it makes is a word, not a `Deliverable`.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;

use super::route::Route;
use super::{Gateway, LIKE_SET_FIELD, LIKE_SIGNED_FIELD};
use crate::config::Mode;
use crate::gateway::rejection::Rejection;
use crate::message::head::Guarded;
use crate::routing::router::Matched;
use crate::signature::Fields;

/// What the signature of an event is worth.
#[derive(Debug)]
pub struct Examined {
    /// The path of its route, as configured; `None` if there is none.
    pub route: Option<Arc<str>>,
    /// The name of the secret that verifies it, or why it would be refused.
    pub verdict: Result<Arc<str>, Rejection>,
    /// Whether its route would forward it all the same.
    pub is_observed: bool,
}

impl Gateway {
    /// Examines an event as the route of its path would, up to its signature: fields' names, path, method, length, claim,
    /// verification.
    ///
    /// What its content says is not looked at: neither model nor requirements.
    #[must_use]
    pub fn examine(&self, head: &Parts, content: &[u8], now: SystemTime) -> Examined {
        let framing = Guarded::new(["content-length", "transfer-encoding"]);
        let matched = if has_lookalike_of(head, &framing) || has_lookalike_of(head, &self.set_fields) {
            Err(Rejection::Ambiguous(LIKE_SET_FIELD))
        } else {
            self.router.find(head.uri.path()).ok_or(Rejection::NoRoute)
        };
        let checked = matched.as_ref().map_or(Ok(()), Matched::check);
        match matched.and_then(|matched| self.route(matched.candidates().first())) {
            Ok(route) => Examined {
                route: Some(Arc::clone(&route.label.path)),
                verdict: checked
                    .map_err(|ambiguity| Rejection::Ambiguous(ambiguity.as_str()))
                    .and_then(|()| route.examine(head, content, now)),
                is_observed: matches!(route.mode, Mode::Observe(_)),
            },
            Err(rejection) => Examined { route: None, verdict: Err(rejection), is_observed: false },
        }
    }
}

impl Route {
    fn examine(&self, head: &Parts, content: &[u8], now: SystemTime) -> Result<Arc<str>, Rejection> {
        if has_lookalike_of(head, &self.signed_fields) {
            return Err(Rejection::Ambiguous(LIKE_SIGNED_FIELD));
        }
        self.allows(head.method.as_str())?;
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let fields = HyperFields(&head.headers);
        let context = self.context_of(head.method.as_str(), target.as_bytes(), &fields, now);
        let claim = self.verifier.claim(&context).map_err(Rejection::Unsigned)?;
        if u64::try_from(content.len()).is_ok_and(|length| length > self.max_body) {
            return Err(Rejection::BodyTooLarge);
        }
        let mut verification = self.verifier.begin(claim, now);
        verification.push(content);
        let authentic = verification.finish().map_err(|_refused| Rejection::SignatureMismatch)?;
        Ok(Arc::clone(authentic.secret()))
    }
}

/// Whether an app could take one of the head's fields for one of these, though it is another.
fn has_lookalike_of(head: &Parts, fields: &Guarded) -> bool {
    fields.has_lookalike(head.headers.keys().map(|name| name.as_str().as_bytes()), true)
}

/// hyper's fields, as `signature` wants to see them.
struct HyperFields<'h>(&'h HeaderMap);

impl Fields for HyperFields<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}
