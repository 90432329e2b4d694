//! Pure. The path of a request through the gateway.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Method;

use super::capture::{self, Captor};
use super::compiled_gateway::Gateway;
use super::forwarding::{ObservedHold, answered, asserted, undelivered};
use super::further_secrets;
use super::receive;
use super::refusal_detail::{self, LIKE_SET_FIELD, LIKE_SIGNED_FIELD};
use super::reply::{OwnReply, RefusalReply, Reply, Served};
use super::resources::{Delivery, Resources, UpstreamResponse};
use super::route::{Route, Verified};
use super::storing;
use crate::admission::client::ClientAddress;
use crate::admission::memory::Reservation;
use crate::admission::trusted_proxies::LastHop;
use crate::gateway::rejection::Rejection;
use crate::gateway::request_guard::RequestGuard;
use crate::message::content::Content;
use crate::message::forwarded::ReceivedIn;
use crate::message::head::{Expect, HeadError, RefusedHead, RequestHead};
use crate::routing::router::Candidates;
use crate::signature::Deliverable;
use crate::signature::challenge;
use crate::signature::scheme::{Authentication, Refusal};
use crate::telemetry::record::{Record, SentPath};
use crate::tls::session::Session;
use crate::upstream::request::Channel;

/// A request whose head has arrived, as a front end hands it in.
#[derive(Debug)]
pub struct Incoming<C> {
    /// The head, or the reason why the request is refused.
    pub head: Result<RequestHead, RefusedHead>,
    /// The content, as it arrives.
    pub content: C,
    /// The address at the other end of the connection: of the client, or of a proxy.
    pub peer: ClientAddress,
    /// The TLS connection that it came over, if it did.
    pub session: Option<Arc<Session>>,
    /// The version of HTTP that it came in.
    pub received_in: ReceivedIn,
    /// When the head was complete.
    pub at: Instant,
    /// The memory reservation of the head, if the head is large.
    pub memory: Option<Reservation>,
}

/// Serves one request. Every request begins here, in any version of HTTP. A request ends when its guard is
/// dropped: when the reply is written or given up.
///
/// Returns no reply if the client disconnected before its request was complete.
pub async fn handle<R: Resources, C: Content>(
    gateway: &Gateway,
    resources: R,
    incoming: Incoming<C>,
) -> (Option<Reply<R::Body>>, Box<RequestGuard<R>>) {
    let mut guard = RequestGuard::new(resources, incoming.peer, incoming.at);
    let mut refusal = Refusal::default();
    let mut authentication = Authentication::default();
    let outcome = {
        let walk = pin!(walk(gateway, incoming, &mut guard, &mut refusal, &mut authentication));
        walk.await
    };
    let (record, resources) = guard.parts();
    let reply = match outcome {
        Ok(Served::Relayed(UpstreamResponse { head, content, .. })) => {
            Some(Reply::Upstream { head, content })
        }
        Ok(Served::Own(acknowledgement)) => {
            record.status = acknowledgement.status.as_u16();
            Some(Reply::Own(OwnReply::acknowledging(acknowledgement)))
        }
        Ok(Served::Challenge(answer)) => {
            record.challenge = Some("answered");
            record.status = answer.status.as_u16();
            Some(Reply::Own(OwnReply::to_challenge(answer)))
        }
        Err(rejection) => {
            if let Some(failures) = gateway.failures_of(record.client)
                && rejection.is_failure_of_client()
            {
                failures.count(record.client, resources.now());
            }
            record.refused = true;
            record.reason = rejection.reason();
            // A detail that the walk has recorded says more than the kind of the refusal.
            if record.detail.is_none() {
                record.detail = rejection.detail().map(Cow::into_owned);
            }
            if rejection == Rejection::BodyIncomplete {
                record.status = 0;
                return (None, guard);
            }
            record.status = rejection.status().as_u16();
            Some(Reply::Refusal(RefusalReply::new(rejection, refusal, authentication)))
        }
    };
    (reply, guard)
}

/// A request whose head is admitted. Its signature is read next, and then its content is received. The order
/// of the fields matters if the request ends there: the reservation is returned before the source of the
/// content ends.
struct Admitted<'a, C> {
    head: RequestHead,
    memory: Reservation,
    /// When the head was complete.
    at: Instant,
    client: ClientAddress,
    channel: Channel,
    candidates: Candidates<'a>,
    route: &'a Route,
    captor: Option<Captor<'a>>,
    content: C,
}

/// What becomes of a request that is not admitted.
enum Unadmitted {
    Rejected(Rejection),
    Answered(challenge::Answer),
}

impl From<Rejection> for Unadmitted {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// The path of a request. The cheapest checks come first. Content is not read before it is needed. Nothing
/// reaches an upstream before the whole request is verified. `authentication` is set to that of the route's
/// scheme.
async fn walk<R: Resources, C: Content>(
    gateway: &Gateway,
    incoming: Incoming<C>,
    guard: &mut RequestGuard<R>,
    refusal: &mut Refusal,
    authentication: &mut Authentication,
) -> Result<Served<R::Body>, Rejection> {
    let now = guard.begun_at();
    let (record, resources) = guard.parts();
    let mut admitted = match admit(gateway, resources, incoming, now, refusal, authentication, record) {
        Ok(admitted) => admitted,
        Err(Unadmitted::Rejected(rejection)) => return Err(rejection),
        Err(Unadmitted::Answered(answer)) => return Ok(Served::Challenge(answer)),
    };
    let Admitted { at, client, candidates, route, captor, .. } = admitted;
    let mut verification = route.claim(admitted.head, now, captor, record)?;
    let received = receive::receive(
        resources,
        &mut admitted.content,
        at,
        gateway.bounds(route),
        &mut admitted.memory,
        &mut verification,
    );
    let received = received.await;
    record.received = verification.len();
    received.inspect_err(|_refused| {
        capture::keep(captor, verification.head(), verification.unverified_content(), record);
    })?;
    let (content, mut memory) = (admitted.content, admitted.memory);
    let mut check = verification.complete();
    further_secrets::secrets(resources, &content, &mut check, &mut memory, at).await?;
    let request = match route.verify(check, captor, record)? {
        Verified::Deliverable(request) => request,
        Verified::Answer(answer) => return Ok(Served::Challenge(answer)),
    };
    content.wait_for_upstream(request.is_authentic());
    let verified = resources.now();
    let may_stay =
        if request.is_authentic() { memory.authenticate(verified) } else { memory.stay_unauthenticated() };
    may_stay.map_err(|_exhausted| Rejection::Overloaded)?;
    record.verified_after = Some(verified.saturating_duration_since(at));
    record.secret = request.secret().map(Arc::clone);
    if let Some(answer) = Route::answer(&request) {
        return Ok(Served::Challenge(answer));
    }
    let selected = gateway.select(candidates, route, &request, record);
    if selected.is_err() || record.observed.is_some() {
        capture::keep(captor, request.head(), request.content(), record);
    }
    let route = selected?;
    let channel = admitted.channel;
    let request = match request {
        Deliverable::Authentic(request) if route.stores() && !request.verifier().is_challenge(&request) => {
            let origin = gateway.origin(route)?;
            let arrived =
                storing::Arrived { request, client, channel, origin, memory, received: now, verified };
            // Boxed, because this future would enlarge the future of every other request.
            return Box::pin(storing::serve(resources, &content, route, arrived, record)).await;
        }
        request @ (Deliverable::Authentic(_) | Deliverable::Kept(_) | Deliverable::Observed(_)) => request,
    };
    let holder = if request.is_authentic() {
        None
    } else {
        Some(ObservedHold::new(&mut memory, request.content().len(), at, verified).await?)
    };
    let target = &route.target;
    let asserted = asserted(resources, target, &request).await;
    let delivery = Delivery { request, target, client, channel, memory, at: verified, event: None, asserted };
    let delivery = pin!(resources.deliver(delivery));
    let answer = answered(resources, &content, delivery, verified, holder, record).await?;
    answer.map(Served::Relayed).map_err(|error| undelivered(&error, record))
}

/// The checks that need only the head. This function is not async, so the future of a request does not hold
/// its variables.
fn admit<'a, R: Resources, C: Content>(
    gateway: &'a Gateway,
    resources: &'a R,
    incoming: Incoming<C>,
    now: SystemTime,
    refusal: &mut Refusal,
    authentication: &mut Authentication,
    record: &mut Record,
) -> Result<Admitted<'a, C>, Unadmitted> {
    let Incoming { head, content, peer, session, received_in, at, mut memory } = incoming;
    let head = head.map_err(|refused| unserved(&refused, record))?;
    gateway.identify(&head, record);
    let keep_path = |record: &mut Record| record.sent_path = Some(SentPath::new(head.path()));
    let arrival = gateway.arrival(peer, &head).inspect_err(|_refused| keep_path(record))?;
    let client = arrival.client;
    record.client = client;
    if let LastHop::Proxy(..) = arrival.last_hop {
        content.belongs_to(client);
        memory.iter_mut().for_each(|memory| memory.assign(client));
    }
    if head.has_lookalike_of(&gateway.set_fields) {
        keep_path(record);
        return Err(Rejection::Ambiguous(LIKE_SET_FIELD).into());
    }
    let Some(matched) = gateway.router.find(head.path()) else {
        record.detail = Some(refusal_detail::of_missing_route(&gateway.router, head.path()).to_owned());
        keep_path(record);
        return Err(Rejection::NoRoute.into());
    };
    if matched.has_parameters() {
        keep_path(record);
    }
    let candidates = matched.candidates();
    let route = gateway.route(candidates.first())?;
    let scheme = route.verifier.judge(&head).scheme();
    record.route = Some(route.label.judged_by(&scheme.name));
    (*refusal, *authentication) = (scheme.refusal, scheme.authentication());
    let captor = route.captor(|| resources.capture_room(), now);
    let check = |record: &mut Record| {
        route.takes(client)?;
        if let Some(failures) = gateway.failures_of(client) {
            failures.check(client, at).map_err(Rejection::TooManyFailures)?;
        }
        matched.check().map_err(|ambiguity| Rejection::Ambiguous(ambiguity.as_str()))?;
        if head.has_lookalike_of(&route.signed_fields) {
            return Err(Rejection::Ambiguous(LIKE_SIGNED_FIELD));
        }
        let client_certificate = match &session {
            Some(session) => gateway.secured(session, route, &head, now, record)?,
            None => route.admits(None)?,
        };
        route.allows(head.method()).inspect_err(|_refused| route.explain(&head, record))?;
        match head.facts().expect {
            Expect::Unknown => Err(Rejection::ExpectationFailed),
            Expect::Nothing | Expect::Continue => Ok(client_certificate),
        }
    };
    let client_certificate =
        check(record).inspect_err(|_refused| capture::keep(captor, &head, &[], record))?;
    let channel = Channel {
        protocol: arrival.protocol_over(session.is_some()),
        received_in,
        client_certificate,
        last_hop: arrival.last_hop,
    };
    if let Some(answer) = route.answer_unsigned(&head, now, record) {
        return Err(Unadmitted::Answered(answer));
    }
    let memory = memory.unwrap_or_else(|| gateway.budget.reservation(client));
    Ok(Admitted { head, memory, at, client, channel, candidates, route, captor, content })
}

/// The rejection of a head. The record gets the method and the path, if the request line is understood.
fn unserved(refused: &RefusedHead, record: &mut Record) -> Rejection {
    if let Some(line) = &refused.line {
        record.set_method(&line.method);
        record.sent_path = Some(SentPath::new(&line.path));
    }
    match refused.error {
        HeadError::Malformed(what) => Rejection::Malformed(what),
        HeadError::LineTooLong => Rejection::TargetTooLong,
        HeadError::TooLarge => Rejection::HeadTooLarge,
        HeadError::TimedOut => Rejection::HeadTimeout,
        HeadError::Overloaded => Rejection::Overloaded,
        HeadError::UnknownCoding => Rejection::UnknownCoding,
        HeadError::UnknownVersion => Rejection::UnknownVersion,
        HeadError::Asterisk => {
            record.method = Some(Method::OPTIONS);
            record.sent_path = Some(SentPath::new("*"));
            Rejection::NoRoute
        }
        // A CONNECT target has no path, so no method is allowed.
        HeadError::Tunnel => {
            record.method = Some(Method::CONNECT);
            Rejection::MethodNotAllowed(String::new())
        }
    }
}
