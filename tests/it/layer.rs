//! The tower layer `hookgate::layer`, around a service that counts its calls.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hookgate::layer::{Refusal, VerifyLayer};
use hookgate::verify::{Proof, Refused, Scheme, Secret, Verifier};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::support::{FIXTURE, SECRET, signature};

/// What the client sends of its content: pieces, and then how it goes on.
struct Content {
    pieces: VecDeque<Bytes>,
    then: Then,
    /// What the head declares, if it declares a length.
    declared: Option<u64>,
    polls: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Then {
    Ends,
    BreaksOff,
    Waits,
}

impl Content {
    fn of(pieces: &[&[u8]], then: Then) -> Self {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        Self { pieces, then, declared: None, polls: Arc::default() }
    }
}

#[derive(Debug)]
struct BrokenOff;

impl Body for Content {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        match (self.pieces.pop_front(), self.then) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (None, Then::Ends) => Poll::Ready(None),
            (None, Then::BreaksOff) => Poll::Ready(Some(Err(BrokenOff))),
            (None, Then::Waits) => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// Answers with the secret's name and the content.
#[derive(Clone, Default)]
struct App {
    asked: Arc<AtomicUsize>,
    called: Arc<AtomicUsize>,
}

impl Service<Request<Full<Bytes>>> for App {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        self.called.fetch_add(1, Ordering::Relaxed);
        let proof = request.extensions().get::<Proof>().expect("a proof").clone();
        let content = whole(request.into_body());
        assert_eq!(proof.content(), &content, "the proof is about other bytes");
        let answer = [proof.secret().as_bytes(), b": ", &content].concat();
        ready(Ok(Response::new(Full::new(answer.into()))))
    }
}

/// The content of a body that is there at once, in one piece.
fn whole<B: Body<Data = Bytes, Error: Debug> + Unpin>(mut body: B) -> Bytes {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(&mut body).poll_frame(&mut cx) {
        Poll::Ready(Some(frame)) => frame.unwrap().into_data().expect("data"),
        Poll::Ready(None) => Bytes::new(),
        Poll::Pending => panic!("it is there at once"),
    }
}

struct Answer {
    status: u16,
    refusal: Option<Refusal>,
    fields: http::HeaderMap,
    text: String,
    /// How often the service was asked whether it is ready, and how often it was called.
    reached: (usize, usize),
}

fn verifier(scheme: &str) -> Verifier {
    let secrets = [Secret::new("old", "an old secret of some length"), Secret::new("current", SECRET)];
    Verifier::new(&Scheme::named(scheme).unwrap(), secrets).unwrap()
}

fn layer() -> VerifyLayer {
    VerifyLayer::new(verifier("propify"))
}

/// Sends one request through the layer. Timers pass at once when nothing else can happen.
fn answer(layer: &VerifyLayer, lines: &[(&str, &str)], content: Content) -> Answer {
    answer_to(layer, ("POST", "/hook"), lines, content)
}

fn answer_to(
    layer: &VerifyLayer,
    (method, target): (&str, &str),
    lines: &[(&str, &str)],
    content: Content,
) -> Answer {
    let app = App::default();
    let mut service = layer.layer(app.clone());
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let request = request.body(content).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async move {
        let (head, body) = service.call(request).await.unwrap().into_parts();
        let text = whole(body);
        Answer {
            status: head.status.as_u16(),
            refusal: head.extensions.get().copied(),
            fields: head.headers,
            text: String::from_utf8(text.to_vec()).unwrap(),
            reached: (app.asked.load(Ordering::Relaxed), app.called.load(Ordering::Relaxed)),
        }
    })
}

fn assert_refused(answer: &Answer, status: u16, refusal: Refusal) {
    assert_eq!((answer.status, answer.refusal), (status, Some(refusal)), "{}", answer.text);
    assert_eq!(answer.reached, (0, 0), "{refusal:?}: the service was reached");
    let reason = refusal.reason().map_or(String::new(), |reason| format!(",\"reason\":\"{reason}\"}}"));
    assert!(answer.text.contains(&reason), "{}", answer.text);
    assert_eq!(answer.fields["content-type"], "application/problem+json");
    assert_eq!(answer.fields.get("www-authenticate").is_some(), status == 401);
}

#[test]
fn an_authentic_request_reaches_the_service_with_its_bytes_and_its_proof() {
    let signed = signature(FIXTURE);
    let (first, rest) = FIXTURE.split_at(40);
    let content = Content::of(&[first, b"", rest], Then::Ends);
    let answer = answer(&layer(), &[("propify-signature", &signed)], content);
    assert_eq!((answer.status, answer.refusal, answer.reached), (200, None, (1, 1)));
    assert_eq!(answer.text.as_bytes(), [b"current: ", FIXTURE].concat());
}

#[test]
fn a_request_without_a_claim_is_refused_and_its_content_is_not_read() {
    let good = signature(FIXTURE);
    let lines = |lines: &[(&'static str, &'static str)]| lines.to_vec();
    for (lines, want) in [
        (lines(&[]), Refused::Missing),
        (lines(&[("propify-signature", "zz")]), Refused::Malformed),
        (vec![("propify-signature", &*good), ("propify-signature", &*good)], Refused::Duplicate),
    ] {
        let content = Content::of(&[FIXTURE], Then::Waits);
        let polls = Arc::clone(&content.polls);
        assert_refused(&answer(&layer(), &lines, content), 401, Refusal::Signature(want));
        assert_eq!(polls.load(Ordering::Relaxed), 0, "{want:?}");
    }
}

#[test]
fn forged_content_does_not_reach_the_service() {
    let signed = signature(FIXTURE);
    for forged in [&FIXTURE[1..], b"", &[FIXTURE, b" "].concat()] {
        let content = Content::of(&[forged], Then::Ends);
        let answer = answer(&layer(), &[("propify-signature", &signed)], content);
        assert_refused(&answer, 401, Refusal::Signature(Refused::Mismatch));
        assert_eq!(
            answer.text,
            "{\"title\":\"The signature does not match the content\",\"status\":401,\"reason\":\"signature_mismatch\"}\n"
        );
    }
}

#[test]
fn content_at_the_limit_is_taken_and_one_byte_more_is_refused() {
    let signed = signature(FIXTURE);
    let sent = |limit: usize, declared: Option<u64>, then: Then| {
        let content = Content { declared, ..Content::of(&[FIXTURE], then) };
        let polls = Arc::clone(&content.polls);
        let answer = answer(&layer().body_limit(limit), &[("propify-signature", &signed)], content);
        (answer, polls.load(Ordering::Relaxed))
    };
    let length = u64::try_from(FIXTURE.len()).unwrap();
    for declared in [None, Some(length)] {
        assert_eq!(sent(FIXTURE.len(), declared, Then::Ends).0.status, 200);
        // The rest of the content is not waited for.
        let (over, polls) = sent(FIXTURE.len() - 1, declared, Then::Waits);
        assert_refused(&over, 413, Refusal::TooLarge);
        assert_eq!(polls, usize::from(declared.is_none()));
    }
    let (most, _) = sent(usize::MAX, Some(u64::MAX), Then::BreaksOff);
    assert_refused(&most, 400, Refusal::Incomplete);
}

#[test]
fn content_that_does_not_arrive_in_time_is_refused() {
    let signed = signature(FIXTURE);
    let late = Content::of(&[FIXTURE], Then::Waits);
    let layer = layer().time_limit(Duration::from_secs(3600));
    assert_refused(&answer(&layer, &[("propify-signature", &signed)], late), 408, Refusal::Late);
}

#[test]
fn content_that_breaks_off_is_refused_even_if_all_of_it_was_there() {
    let signed = signature(FIXTURE);
    let broken = Content::of(&[FIXTURE], Then::BreaksOff);
    assert_refused(&answer(&layer(), &[("propify-signature", &signed)], broken), 400, Refusal::Incomplete);
}

#[test]
fn a_field_that_an_app_could_read_as_the_signature_is_refused() {
    let signed = signature(FIXTURE);
    let lines = [("propify-signature", &*signed), ("propify_signature", "x")];
    let refused = answer(&layer(), &lines, Content::of(&[FIXTURE], Then::Ends));
    assert_refused(&refused, 400, Refusal::Ambiguous);
    // Shopify's field has another name in its Events, Twilio's SharedKey is marked by a field, and Coinbase
    // signs fields that it names.
    for (scheme, lookalike) in [
        ("shopify", "shopify_hmac_sha256"),
        ("twilio-shared-key", "x_twilio_webhooks_signature_settings"),
        ("coinbase", "x_hook0_id"),
    ] {
        let scheme = Scheme::named(scheme).unwrap();
        let secrets = [Secret::new("current", SECRET)];
        let verifier = Verifier::at(&scheme, secrets, ["https://hooks.example.com"]).unwrap();
        let layer = VerifyLayer::new(verifier);
        let refused = answer(&layer, &[(lookalike, "x")], Content::of(&[FIXTURE], Then::Ends));
        assert_refused(&refused, 400, Refusal::Ambiguous);
    }
}

#[test]
fn a_refusal_has_no_content_where_the_sender_demands_that() {
    let layer = VerifyLayer::new(verifier("xero"));
    let answer = answer(&layer, &[("x-xero-signature", "AAAA")], Content::of(&[FIXTURE], Then::Ends));
    assert_eq!((answer.status, &*answer.text, answer.reached), (401, "", (0, 0)));
    assert!(answer.fields.get("content-type").is_none());
    assert_eq!(answer.fields["www-authenticate"], "Signature");
}

/// Nothing, and no more comes.
fn nothing() -> Content {
    Content { declared: Some(0), ..Content::of(&[], Then::Ends) }
}

const META: &str = "/hook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=";

#[test]
fn an_unsigned_challenge_is_answered_only_with_its_token_and_only_if_asked_for() {
    let plain = || VerifyLayer::new(verifier("meta"));
    let right = format!("{META}told-to-meta");
    let told = plain().answer_challenges_with("told-to-meta");
    let answered = answer_to(&told, ("GET", &right), &[], nothing());
    assert_eq!((answered.status, &*answered.text, answered.reached), (200, "1158201444", (0, 0)));
    assert_eq!(answered.fields["content-type"], "text/plain");
    assert_eq!(answered.fields["x-content-type-options"], "nosniff");

    let missing = Refusal::Signature(Refused::Missing);
    let wrong = format!("{META}another");
    let empty = plain().answer_challenges_with("");
    for (layer, method, target) in [
        (&told, "GET", &*wrong),
        (&told, "GET", META),
        (&told, "POST", &right),
        (&empty, "GET", META),
        (&empty, "GET", &right),
        (&plain().answer_challenges(), "GET", META),
        (&plain().answer_challenges(), "GET", &right),
        (&plain(), "GET", &right),
    ] {
        assert_refused(&answer_to(layer, (method, target), &[], nothing()), 401, missing);
    }
    // With content, or with a signature, it is no challenge.
    let content = Content::of(&[b"{}"], Then::Ends);
    assert_refused(&answer_to(&told, ("GET", &right), &[], content), 401, missing);
    let signed = [("x-hub-signature-256", "sha256=00")];
    let refused = answer_to(&told, ("GET", &right), &signed, nothing());
    assert_refused(&refused, 401, Refusal::Signature(Refused::Malformed));
}

#[test]
fn a_signed_challenge_is_answered_after_it_has_verified() {
    let scheme = "header = \"x-acme\"\nchallenge = { when = { \"/type\" = \"hello\" }, value = \"/value\", answer = \"{value}\" }";
    let scheme = Scheme::defined("acme", scheme).unwrap();
    let plain = VerifyLayer::new(Verifier::new(&scheme, [Secret::new("current", SECRET)]).unwrap());
    let answering = plain.clone().answer_challenges();
    let challenge: &[u8] = b"{\"type\":\"hello\",\"value\":\"abc\"}";
    let send = |layer: &VerifyLayer, content: &[u8], signed: &[u8]| {
        answer(layer, &[("x-acme", &signature(signed))], Content::of(&[content], Then::Ends))
    };
    let answered = send(&answering, challenge, challenge);
    assert_eq!((answered.status, &*answered.text, answered.reached), (200, "abc", (0, 0)));
    let forged = send(&answering, challenge, b"{}");
    assert_refused(&forged, 401, Refusal::Signature(Refused::Mismatch));
    // An event, and a challenge that the app answers, reach the service.
    assert_eq!(send(&answering, b"{}", b"{}").reached, (1, 1));
    assert_eq!(send(&plain, challenge, challenge).reached, (1, 1));
}

#[test]
fn an_unsigned_set_up_request_is_answered_only_if_asked_for() {
    let secrets = || [Secret::new("current", SECRET)];
    let trello =
        Verifier::at(&Scheme::named("trello").unwrap(), secrets(), ["https://hooks.example.com"]).unwrap();
    let plain = VerifyLayer::new(trello);
    let answering = plain.clone().answer_challenges();
    let answered = answer_to(&answering, ("HEAD", "/hook"), &[], nothing());
    assert_eq!((answered.status, &*answered.text, answered.reached), (200, "", (0, 0)));
    let missing = Refusal::Signature(Refused::Missing);
    assert_refused(&answer_to(&plain, ("HEAD", "/hook"), &[], nothing()), 401, missing);
    assert_refused(&answer_to(&answering, ("POST", "/hook"), &[], nothing()), 401, missing);
    // The content decides, and what is too large, late or broken off is no set-up request.
    for content in [
        Content::of(&[b"[]"], Then::Ends),
        Content::of(&[&[b' '; 9000]], Then::Waits),
        Content::of(&[], Then::Waits),
        Content::of(&[], Then::BreaksOff),
    ] {
        assert_refused(&answer_to(&answering, ("HEAD", "/hook"), &[], content), 401, missing);
    }
}
