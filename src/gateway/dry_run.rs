//! Pure. A dry run: verifies an event for the operator, as its route would. Nothing is forwarded.
//!
//! This file is not part of a request's path. The result is a verdict, not a `Deliverable`, so the event
//! cannot reach an upstream.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;

use super::compiled_gateway::Gateway;
use super::refusal_detail::{LIKE_SET_FIELD, LIKE_SIGNED_FIELD};
use super::route::Route;
use crate::config::Mode;
use crate::gateway::rejection::Rejection;
use crate::message::head::Guarded;
use crate::routing::router::Matched;
use crate::signature::Fields;

/// The result of a dry run.
#[derive(Debug)]
pub struct DryRun {
    /// The path of the event's route, as configured; `None` if no route has it.
    pub route: Option<Arc<str>>,
    /// The name of the secret that verifies the event, or why the event would be refused.
    pub verdict: Result<Arc<str>, Rejection>,
    /// Whether the route is in observe mode. Such a route forwards the event in any case.
    pub is_observed: bool,
}

impl Gateway {
    /// Checks an event as its route does, up to the signature: field names, path, method, length, claim,
    /// verification.
    ///
    /// The content is not parsed: neither the model nor the requirements are checked.
    #[must_use]
    pub fn dry_run(&self, head: &Parts, content: &[u8], now: SystemTime) -> DryRun {
        let framing = Guarded::new(["content-length", "transfer-encoding"]);
        let matched = if has_lookalike_of(head, &framing) || has_lookalike_of(head, &self.set_fields) {
            Err(Rejection::Ambiguous(LIKE_SET_FIELD))
        } else {
            self.router.find(head.uri.path()).ok_or(Rejection::NoRoute)
        };
        let checked = matched.as_ref().map_or(Ok(()), Matched::check);
        match matched.and_then(|matched| self.route(matched.candidates().first())) {
            Ok(route) => DryRun {
                route: Some(Arc::clone(&route.label.path)),
                verdict: checked
                    .map_err(|ambiguity| Rejection::Ambiguous(ambiguity.as_str()))
                    .and_then(|()| route.dry_run(head, content, now)),
                is_observed: matches!(route.mode, Mode::Observe(_)),
            },
            Err(rejection) => DryRun { route: None, verdict: Err(rejection), is_observed: false },
        }
    }
}

impl Route {
    fn dry_run(&self, head: &Parts, content: &[u8], now: SystemTime) -> Result<Arc<str>, Rejection> {
        if has_lookalike_of(head, &self.signed_fields) {
            return Err(Rejection::Ambiguous(LIKE_SIGNED_FIELD));
        }
        self.allows(head.method.as_str())?;
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let fields = HyperFields(&head.headers);
        let context = self.context_of(head.method.as_str(), target.as_bytes(), &fields, now);
        let verifier = self.verifier.judge(&fields);
        let claim = verifier.claim(&context).map_err(Rejection::Unsigned)?;
        let length = u64::try_from(content.len()).ok();
        if length.is_some_and(|length| length > self.max_body) {
            return Err(Rejection::BodyTooLarge { declared: length, most: self.max_body });
        }
        let mut verification = verifier.begin(claim, now);
        verification.push(content);
        let authentic = verification.finish().map_err(|refused| Rejection::from(refused.why))?;
        Ok(Arc::clone(authentic.secret()))
    }
}

/// Whether the head has a field that an app could mistake for one of `fields`.
fn has_lookalike_of(head: &Parts, fields: &Guarded) -> bool {
    fields.has_lookalike(head.headers.keys().map(|name| name.as_str().as_bytes()), true)
}

/// The fields of a request from hyper, in the form that `signature` reads.
struct HyperFields<'h>(&'h HeaderMap);

impl Fields for HyperFields<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}
