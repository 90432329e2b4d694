//! Pure. A compiled route, and the steps of a request's path that depend on its signature.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;

use crate::admission::client::{ClientAddress, Network};
use crate::config::{self, DeliveryMode, DeliveryOptions};
use crate::diagnosis::causes::TimeDifference;
use crate::diagnosis::submitter::RouteSubmitter;
use crate::gateway::capture::{self, Captor, Capture};
use crate::gateway::reason::Reason;
use crate::gateway::rejection::Rejection;
use crate::message::head::{Framing, Guarded, RequestHead};
use crate::queue::event::RouteName;
use crate::routing::router::ModelRule;
use crate::routing::signed_model::{Questions, Requirement};
use crate::signature::public_url::PublicUrls;
use crate::signature::setup_request::handling::Handled;
use crate::signature::{
    Check, ClaimError, Context, Deliverable, Mode, Unverified, Verification, Verifier, challenge,
};
use crate::telemetry::recent::capture::Room;
use crate::telemetry::record::{Record, RouteLabel};
use crate::tls::session::ClientCertificate;
use crate::upstream::request::ForwardOptions;

/// A route, with everything that can be computed at start-up.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) label: RouteLabel,
    pub(super) verifier: Arc<Verifier>,
    pub(super) methods: Vec<Method>,
    pub(super) allow: String,
    pub(super) max_body: u64,
    pub(super) mode: Mode,
    /// The route's name in the store.
    pub(super) name: RouteName,
    /// Whether the route stores authentic requests, and how.
    pub(super) delivery: DeliveryOptions,
    /// The addresses of the route's copies, by which the store names them.
    pub(super) copies: Vec<Arc<str>>,
    /// How long the upstream may take to answer.
    pub(super) response_timeout: Duration,
    pub(super) target: Target,
    /// The fields that the signature is read from or computed over.
    pub(super) signed_fields: Guarded,
    /// The values that the routes of this path need from the content. The first of these routes reads them
    /// for all.
    pub(super) questions: Questions,
    /// The route's number among the routes of its path, from 0.
    pub(super) number: usize,
    /// The clients that the route takes. `None` if the route takes all clients.
    pub(super) clients: Option<Arc<[Network]>>,
    /// A client's certificate must have one of these names. `None` if the route needs no client certificate.
    pub(super) client_names: Option<Arc<[Arc<str>]>>,
    /// The origins that senders send to. Only schemes that sign the URL need them.
    pub(super) public_url: Option<PublicUrls>,
    /// The submitter for diagnosis, if diagnosis is on.
    pub(super) submitter: Option<RouteSubmitter>,
    /// `capture`: what is captured of refused requests.
    pub(super) capture: Option<Box<Capture>>,
}

/// Where and how the requests of a route are forwarded.
#[derive(Debug)]
pub struct Target {
    /// The upstream's address, which is also its name. A reload does not change it.
    pub upstream: Arc<str>,
    /// The upstream's number among the upstreams of this configuration.
    pub slot: usize,
    /// How requests are forwarded.
    pub forward: ForwardOptions,
}

/// The result of a request's verification, unless the request is refused.
pub(super) enum Verified<'v> {
    /// The request may be forwarded.
    Deliverable(Deliverable<'v, RequestHead>),
    /// The request is a set-up request that the gateway answers.
    Answer(challenge::Answer),
}

/// The name of a route. The name survives a reload.
pub(super) fn name(route: &config::Route) -> RouteName {
    let model = match &route.model {
        ModelRule::Named(model) => Some(model.as_str().into()),
        ModelRule::Any | ModelRule::Segment => None,
    };
    RouteName { path: route.path.as_str().into(), model }
}

impl Route {
    /// The captor of the route's refused requests, if the route captures.
    pub(super) fn captor<'c>(
        &'c self,
        room: impl FnOnce() -> Option<&'c Arc<Room>>,
        now: SystemTime,
    ) -> Option<Captor<'c>> {
        let capture = self.capture.as_deref()?;
        Some(Captor { capture, room: room()?, now })
    }

    /// Whether the gateway itself may answer an authentic request, because the request is stored or is a
    /// duplicate.
    pub(super) fn stores(&self) -> bool {
        self.delivery.mode != DeliveryMode::Direct || self.delivery.deduplicate.is_some()
    }

    /// Checks that the route takes this client.
    pub(super) fn takes(&self, client: ClientAddress) -> Result<(), Rejection> {
        match &self.clients {
            Some(networks) if !networks.iter().any(|network| network.contains(client)) => {
                Err(Rejection::ClientNotAllowed)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The name in the client's certificate that the route requires; without a requirement, the certificate's
    /// first.
    pub(super) fn admits(&self, client: Option<&ClientCertificate>) -> Result<Option<Arc<str>>, Rejection> {
        match &self.client_names {
            None => Ok(client.and_then(ClientCertificate::name).map(Arc::from)),
            Some(names) => {
                let name = client.and_then(|client| client.one_of(names));
                name.map(|name| Some(Arc::clone(name))).ok_or(Rejection::ClientCertificate)
            }
        }
    }

    pub(super) fn allows(&self, method: &str) -> Result<(), Rejection> {
        if self.methods.iter().any(|allowed| allowed == method) {
            Ok(())
        } else {
            Err(Rejection::MethodNotAllowed(self.allow.clone()))
        }
    }

    /// The answer to an unsigned challenge, if the request is a challenge that the gateway answers. Such a
    /// request has no content.
    pub(super) fn answer_unsigned(
        &self,
        head: &RequestHead,
        now: SystemTime,
        record: &mut Record,
    ) -> Option<challenge::Answer> {
        if !self.verifier.all().any(Verifier::answers)
            || !matches!(head.facts().framing, Framing::None | Framing::Length(0))
        {
            return None;
        }
        let context = self.context(head, now);
        match self.verifier.all().find_map(|one| one.answer_unsigned(&context))? {
            Ok(answer) => Some(answer),
            Err(wrong) => {
                record.detail = Some(wrong.as_str().to_owned());
                None
            }
        }
    }

    /// Writes for the log which request of the sender a refused request is, and which key handles it.
    #[cold]
    pub(super) fn explain(&self, head: &RequestHead, record: &mut Record) {
        if record.detail.is_none() {
            // An unsigned request has no signed time to check.
            let context = self.context(head, SystemTime::UNIX_EPOCH);
            record.detail = self.verifier.all().find_map(|one| one.explain_unsigned(&context));
        }
    }

    /// The answer to an authentic challenge, if the request is a challenge that the gateway answers.
    pub(super) fn answer(deliverable: &Deliverable<'_, RequestHead>) -> Option<challenge::Answer> {
        match deliverable {
            Deliverable::Authentic(request) => request.verifier().answer(request),
            Deliverable::Kept(request) => request.verifier().answer(request),
            Deliverable::Observed(_) => None,
        }
    }

    /// Reads the claim from the fields. A route in observe mode continues without a claim.
    pub(super) fn claim(
        &self,
        head: RequestHead,
        now: SystemTime,
        captor: Option<Captor<'_>>,
        record: &mut Record,
    ) -> Result<Verification<'_, RequestHead>, Rejection> {
        let (error, head) = match self.verifier.receive(head, self.public_url.as_ref(), now) {
            Ok(verification) => return Ok(verification),
            Err(refused) => refused,
        };
        let rejection = Rejection::Unsigned(error);
        if error == ClaimError::Expired {
            self.explain_time(&head, None, now, record);
        }
        match self.mode {
            // The content decides whether it is a set-up request. Nothing of it can verify.
            Mode::Enforce
                if error == ClaimError::Missing
                    && is_small(&head)
                    && self.verifier.all().any(|one| one.may_set_up(&self.context(&head, now))) =>
            {
                Ok(self.verifier.receive_without_claim(head, now))
            }
            Mode::Enforce => {
                if error == ClaimError::Missing {
                    self.explain(&head, record);
                }
                self.submit_sample(&head, None, now, rejection.reason(), record);
                capture::keep(captor, &head, &[], record);
                Err(rejection)
            }
            Mode::Observe(_) => {
                record.observed = rejection.reason();
                Ok(self.verifier.receive_without_claim(head, now))
            }
        }
    }

    /// Writes for the log how far the signed time of a request that does not verify is outside its window. A
    /// time in the fields is checked before the signature, so a forged request has any difference there. A
    /// time in the content is checked after the signature.
    #[cold]
    #[inline(never)]
    fn explain_time(&self, head: &RequestHead, content: Option<&[u8]>, now: SystemTime, record: &mut Record) {
        let judge = self.verifier.judge(head);
        let moment = judge.moment(head).or_else(|| judge.content_moment(content?));
        // A JWT can also be past its `exp`, while its signed time is within the window.
        if let Some((window, moment)) = judge.scheme().timestamp.as_ref().zip(moment)
            && let Some(difference) = TimeDifference::of(window, moment, now)
        {
            record.detail = Some(difference.to_string());
        }
    }

    fn context<'c>(&'c self, head: &'c RequestHead, now: SystemTime) -> Context<'c, RequestHead> {
        self.context_of(head.method(), head.target(), head, now)
    }

    /// The parts of a request besides its content that a scheme may sign.
    pub(super) fn context_of<'c, F>(
        &'c self,
        method: &'c str,
        target: &'c [u8],
        fields: &'c F,
        now: SystemTime,
    ) -> Context<'c, F> {
        Context { method, target, origin: self.public_url.as_ref(), fields, now }
    }

    /// Submits a request that does not verify to the diagnosis. A function of its own, because authentic
    /// requests never need it.
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

    /// Decides whether the request may be forwarded. A request that does not verify is forwarded only in
    /// observe mode, or as a set-up request if the operator permits that.
    pub(super) fn verify<'v>(
        &self,
        check: Check<'v, RequestHead>,
        captor: Option<Captor<'_>>,
        record: &mut Record,
    ) -> Result<Verified<'v>, Rejection> {
        let mismatch = match check.finish() {
            Ok(authentic) => return Ok(Verified::Deliverable(Deliverable::Authentic(authentic))),
            Err(mismatch) => mismatch,
        };
        let context = self.context(&mismatch.head, mismatch.now);
        match self.verifier.all().find_map(|one| one.set_up(&context, &mismatch.content)) {
            None => {}
            Some(Handled::Answered(answer)) => {
                record.observed = None;
                return Ok(Verified::Answer(answer));
            }
            Some(Handled::Forwarded(permit)) => {
                record.observed = None;
                record.challenge = Some("forwarded");
                return Ok(Verified::Deliverable(Deliverable::Observed(mismatch.observe(permit))));
            }
        }
        let target = mismatch.head.target();
        let is_unsigned = |one: &Verifier| one.is_unsigned(&mismatch.head, target);
        let rejection = match mismatch.why {
            Unverified::Unclaimed if self.verifier.all().all(is_unsigned) => {
                Rejection::Unsigned(ClaimError::Missing)
            }
            why @ (Unverified::Tag | Unverified::Unclaimed | Unverified::Time(_)) => why.into(),
        };
        let reason = record.observed.or(rejection.reason());
        if mismatch.why == Unverified::Time(ClaimError::Expired) {
            self.explain_time(&mismatch.head, Some(&mismatch.content), mismatch.now, record);
        }
        self.submit_sample(&mismatch.head, Some(&mismatch.content), mismatch.now, reason, record);
        capture::keep(captor, &mismatch.head, &mismatch.content, record);
        match self.mode {
            Mode::Enforce => Err(rejection),
            Mode::Observe(permit) => {
                record.observed = reason;
                Ok(Verified::Deliverable(Deliverable::Observed(mismatch.observe(permit))))
            }
        }
    }
}

/// Whether the content can be that of a set-up request. Nothing of larger content is received.
fn is_small(head: &RequestHead) -> bool {
    match head.facts().framing {
        Framing::None | Framing::Chunked => true,
        Framing::Length(length) => usize::try_from(length).is_ok_and(|length| length <= challenge::LARGEST),
    }
}

/// The values that the routes of one path need from the content. All these routes have the same scheme.
pub(super) fn questions(routes: &[&config::Route]) -> Questions {
    let asks_for_model = routes.iter().any(|route| route.model != ModelRule::Any);
    let scheme = routes.first().map(|first| first.verifier.scheme()).filter(|_| asks_for_model);
    let model = scheme.map(|scheme| scheme.model_pointers.as_slice()).unwrap_or_default();
    let required: Vec<&[Requirement]> = routes.iter().map(|route| route.requirements.as_slice()).collect();
    Questions::new(model, &required)
}
