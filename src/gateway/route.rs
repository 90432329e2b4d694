//! Pure. A route as the gateway walks it: each step that its signature decides.

use std::sync::Arc;
use std::time::SystemTime;

use http::Method;

use crate::config;
use crate::diagnosis::submit::RouteSubmitter;
use crate::gateway::reason::Reason;
use crate::gateway::rejection::Rejection;
use crate::message::head::{Framing, Guarded, RequestHead};
use crate::routing::model::{Questions, Requirement};
use crate::routing::router::ModelRule;
use crate::signature::{Check, Context, Deliverable, Mode, Verification, Verifier, challenge};
use crate::telemetry::record::{Record, RouteLabel};
use crate::upstream::request::ForwardOptions;

/// A route with everything that start-up can work out.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) label: RouteLabel,
    pub(super) verifier: Arc<Verifier>,
    pub(super) methods: Vec<Method>,
    pub(super) allow: String,
    pub(super) max_body: u64,
    pub(super) mode: Mode,
    pub(super) target: Target,
    /// The fields that its signature is read from, or is made over.
    pub(super) signed_fields: Guarded,
    /// What the routes of its path ask of content; asked of the first of them.
    pub(super) questions: Questions,
    /// Which of the routes of its path it is, from 0.
    pub(super) number: usize,
    /// Where senders believe to send to; the schemes that sign it need it.
    pub(super) public_url: Option<String>,
    /// Where it is found out why a request does not verify, if that is wanted.
    pub(super) submitter: Option<RouteSubmitter>,
}

/// Where a route's requests go, and how.
#[derive(Debug)]
pub struct Target {
    /// The upstream's name, which a reload does not change: its address.
    pub upstream: Arc<str>,
    /// Its number among the upstreams of this configuration.
    pub slot: usize,
    /// How requests are forwarded.
    pub forward: ForwardOptions,
}

impl Route {
    pub(super) fn allows(&self, method: &str) -> Result<(), Rejection> {
        if self.methods.iter().any(|allowed| allowed == method) {
            Ok(())
        } else {
            Err(Rejection::MethodNotAllowed(self.allow.clone()))
        }
    }

    /// The answer to a challenge that nobody has signed, if it is one and answered here. Such a request has no content.
    pub(super) fn answer_unsigned(
        &self,
        head: &RequestHead,
        record: &mut Record,
    ) -> Option<challenge::Answer> {
        if !self.verifier.answers() || !matches!(head.facts().framing, Framing::None | Framing::Length(0)) {
            return None;
        }
        // What nobody signs has no time that would be looked at.
        match self.verifier.answer_unsigned(&self.context(head, SystemTime::UNIX_EPOCH))? {
            Ok(answer) => Some(answer),
            Err(wrong) => {
                record.detail = Some(wrong.as_str().to_owned());
                None
            }
        }
    }

    /// The answer to a challenge that is authentic, if it is one and answered here.
    pub(super) fn answer(&self, deliverable: &Deliverable<'_, RequestHead>) -> Option<challenge::Answer> {
        match deliverable {
            Deliverable::Authentic(request) => self.verifier.answer(request),
            Deliverable::Observed(_) => None,
        }
    }

    /// Reads the claim out of the fields. A route that observes goes on without one.
    pub(super) fn claim(
        &self,
        head: RequestHead,
        now: SystemTime,
        record: &mut Record,
    ) -> Result<Verification<'_, RequestHead>, Rejection> {
        let (error, head) = match self.verifier.receive(head, self.public_url.as_deref(), now) {
            Ok(verification) => return Ok(verification),
            Err(refused) => refused,
        };
        let rejection = Rejection::Unsigned(error);
        match self.mode {
            Mode::Enforce => {
                self.submit_sample(&head, None, now, rejection.reason(), record);
                Err(rejection)
            }
            Mode::Observe(_) => {
                record.observed = rejection.reason();
                Ok(self.verifier.receive_without_claim(head, now))
            }
        }
    }

    fn context<'c>(&'c self, head: &'c RequestHead, now: SystemTime) -> Context<'c, RequestHead> {
        self.context_of(head.method(), head.target(), head, now)
    }

    /// What a scheme may sign of a request besides its content.
    pub(super) fn context_of<'c, F>(
        &'c self,
        method: &'c str,
        target: &'c [u8],
        fields: &'c F,
        now: SystemTime,
    ) -> Context<'c, F> {
        Context { method, target, origin: self.public_url.as_deref(), fields, now }
    }

    /// Has it found out why a request does not verify. Apart from the rest, because good requests never come here.
    #[cold]
    #[inline(never)]
    fn submit_sample(
        &self,
        head: &RequestHead,
        content: Option<&[u8]>,
        now: SystemTime,
        reason: Option<Reason>,
        record: &Record,
    ) {
        if let Some(submitter) = &self.submitter {
            submitter.open(record, reason, || self.context(head, now), content);
        }
    }

    /// Decides. What comes out may be forwarded; what does not verify comes out only on a route that observes.
    pub(super) fn verify<'v>(
        &self,
        check: Check<'v, RequestHead>,
        record: &mut Record,
    ) -> Result<Deliverable<'v, RequestHead>, Rejection> {
        let mismatch = match check.finish() {
            Ok(authentic) => return Ok(Deliverable::Authentic(authentic)),
            Err(mismatch) => mismatch,
        };
        let reason = record.observed.or(Rejection::SignatureMismatch.reason());
        self.submit_sample(&mismatch.head, Some(&mismatch.content), mismatch.now, reason, record);
        match self.mode {
            Mode::Enforce => Err(Rejection::SignatureMismatch),
            Mode::Observe(permit) => {
                record.observed = reason;
                Ok(Deliverable::Observed(mismatch.observe(permit)))
            }
        }
    }
}

/// What the routes of one path, which have the same scheme, ask of content.
pub(super) fn questions(routes: &[&config::Route]) -> Questions {
    let asks_for_model = routes.iter().any(|route| route.model != ModelRule::Any);
    let scheme = routes.first().map(|first| first.verifier.scheme()).filter(|_| asks_for_model);
    let model = scheme.map(|scheme| scheme.model_pointers.as_slice()).unwrap_or_default();
    let required: Vec<&[Requirement]> = routes.iter().map(|route| route.requirements.as_slice()).collect();
    Questions::new(model, &required)
}
