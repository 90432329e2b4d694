//! Pure. A compiled route, with each step of a request's path that depends on its signature.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;

use crate::config::{self, DeliveryMode, DeliveryOptions};
use crate::diagnosis::submitter::RouteSubmitter;
use crate::gateway::reason::Reason;
use crate::gateway::rejection::Rejection;
use crate::message::head::{Framing, Guarded, RequestHead};
use crate::queue::event::RouteName;
use crate::routing::router::ModelRule;
use crate::routing::signed_model::{Questions, Requirement};
use crate::signature::{Check, Context, Deliverable, Mode, Verification, Verifier, challenge};
use crate::telemetry::record::{Record, RouteLabel};
use crate::upstream::request::ForwardOptions;

/// A route, with everything that is computed at start-up.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) label: RouteLabel,
    pub(super) verifier: Arc<Verifier>,
    pub(super) methods: Vec<Method>,
    pub(super) allow: String,
    pub(super) max_body: u64,
    pub(super) mode: Mode,
    /// Its name in the store.
    pub(super) name: RouteName,
    /// Whether its authentic requests are stored, and how.
    pub(super) delivery: DeliveryOptions,
    /// The addresses of its copies, as they are named in the store.
    pub(super) copies: Vec<Arc<str>>,
    /// How long its upstream may take to answer.
    pub(super) response_timeout: Duration,
    pub(super) target: Target,
    /// The fields that its signature is read from or computed over.
    pub(super) signed_fields: Guarded,
    /// The questions that the routes of its path ask of content. They are asked of the first of these routes.
    pub(super) questions: Questions,
    /// Its number among the routes of its path, from 0.
    pub(super) number: usize,
    /// The URL that senders send to; needed by the schemes that sign it.
    pub(super) public_url: Option<String>,
    /// The submitter for diagnosis, if diagnosis is on.
    pub(super) submitter: Option<RouteSubmitter>,
}

/// Where a route's requests go, and how.
#[derive(Debug)]
pub struct Target {
    /// The upstream's name, which is its address. A reload does not change it.
    pub upstream: Arc<str>,
    /// Its number among the upstreams of this configuration.
    pub slot: usize,
    /// How requests are forwarded.
    pub forward: ForwardOptions,
}

/// The name of a route, which survives a reload.
pub(super) fn name(route: &config::Route) -> RouteName {
    let model = match &route.model {
        ModelRule::Named(model) => Some(model.as_str().into()),
        ModelRule::Any | ModelRule::Segment => None,
    };
    RouteName { path: route.path.as_str().into(), model }
}

impl Route {
    /// Whether an authentic request may be answered by us, because it is stored or a duplicate.
    pub(super) fn stores(&self) -> bool {
        self.delivery.mode != DeliveryMode::Direct || self.delivery.deduplicate.is_some()
    }

    pub(super) fn allows(&self, method: &str) -> Result<(), Rejection> {
        if self.methods.iter().any(|allowed| allowed == method) {
            Ok(())
        } else {
            Err(Rejection::MethodNotAllowed(self.allow.clone()))
        }
    }

    /// The answer to an unsigned challenge, if the request is one that is answered here. Such a request has no content.
    pub(super) fn answer_unsigned(
        &self,
        head: &RequestHead,
        record: &mut Record,
    ) -> Option<challenge::Answer> {
        if !self.verifier.answers() || !matches!(head.facts().framing, Framing::None | Framing::Length(0)) {
            return None;
        }
        // An unsigned request has no signed time to check.
        match self.verifier.answer_unsigned(&self.context(head, SystemTime::UNIX_EPOCH))? {
            Ok(answer) => Some(answer),
            Err(wrong) => {
                record.detail = Some(wrong.as_str().to_owned());
                None
            }
        }
    }

    /// The answer to an authentic challenge, if the request is one that is answered here.
    pub(super) fn answer(&self, deliverable: &Deliverable<'_, RequestHead>) -> Option<challenge::Answer> {
        match deliverable {
            Deliverable::Authentic(request) => self.verifier.answer(request),
            Deliverable::Kept(request) => self.verifier.answer(request),
            Deliverable::Observed(_) => None,
        }
    }

    /// Reads the claim from the fields. A route in observe mode goes on without one.
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

    /// Submits a request that does not verify to the diagnosis. Apart from the rest, because good requests never come here.
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
            submitter.open(record, reason, &self.context(head, now), content);
        }
    }

    /// Decides what may be forwarded: a request that verifies, or, on a route in observe mode, one that does not.
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

/// The questions that the routes of one path, which have the same scheme, ask of content.
pub(super) fn questions(routes: &[&config::Route]) -> Questions {
    let asks_for_model = routes.iter().any(|route| route.model != ModelRule::Any);
    let scheme = routes.first().map(|first| first.verifier.scheme()).filter(|_| asks_for_model);
    let model = scheme.map(|scheme| scheme.model_pointers.as_slice()).unwrap_or_default();
    let required: Vec<&[Requirement]> = routes.iter().map(|route| route.requirements.as_slice()).collect();
    Questions::new(model, &required)
}
