//! A front end without hyper: what it would call, from the bytes of a request to its record. The types of hyper and `http`
//! are not named here, which is the point; rooms.rs holds the rooms that are called to the same.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::SystemTime;

use hookgate::peer::Peer;
use hookgate::rejection::Rejection;
use hookgate::route::{Matched, ModelRule, Pattern, Router};
use hookgate::secret::{Key, Secret};
use hookgate::server::head::{self, Framing, Look, RequestHead};
use hookgate::signature::scheme::Scheme;
use hookgate::signature::{AuthenticRequest, Context, Verifier};
use hookgate::telemetry::line;
use hookgate::telemetry::metric::Meters;
use hookgate::telemetry::record::{Record, RequestId, RouteLabel};

const SECRET: &[u8] = b"propify_test_secret";
const CONTENT: &str = r#"{"meta":{"object":"leases"},"record_id":"1"}"#;

/// A request that came whole.
struct Request<'r> {
    head: RequestHead,
    content: &'r [u8],
}

fn read(bytes: &[u8]) -> Result<Request<'_>, Rejection> {
    let head = match head::look(bytes, &mut 0, 32 << 10) {
        Look::Complete(head) => head,
        Look::Faulty(head::Fault::Malformed(why)) => return Err(Rejection::Malformed(why)),
        Look::Faulty(head::Fault::LineTooLong) => return Err(Rejection::TargetTooLong),
        Look::Faulty(head::Fault::TooLarge) => return Err(Rejection::HeadTooLarge),
        Look::Faulty(head::Fault::UnknownCoding) => return Err(Rejection::UnknownCoding),
        Look::Faulty(head::Fault::UnknownVersion) => return Err(Rejection::UnknownVersion),
        Look::Faulty(head::Fault::Asterisk | head::Fault::Tunnel) => return Err(Rejection::NoRoute),
        Look::Partial | Look::Faulty(head::Fault::TimedOut) => return Err(Rejection::HeadTimeout),
        Look::Faulty(head::Fault::Overloaded) => return Err(Rejection::Overloaded),
    };
    let Framing::Length(length) = head.framing else { return Err(Rejection::BodyIncomplete) };
    let content = bytes[head.len..].get(..length as usize).ok_or(Rejection::BodyIncomplete)?;
    Ok(Request { head: RequestHead::new(head, bytes), content })
}

/// The walk: route, claim, content, decision.
fn walk<'b>(
    bytes: &'b [u8],
    router: &Router,
    verifier: &Verifier,
    record: &mut Record,
    meters: &Meters,
) -> Result<AuthenticRequest<Request<'b>>, Rejection> {
    let request = read(bytes)?;
    let path = request.head.path();
    let matched: Matched<'_, '_> = router.find(path).ok_or(Rejection::NoRoute)?;
    matched.check().map_err(|ambiguity| Rejection::Ambiguous(ambiguity.as_str()))?;
    assert_eq!(matched.first().0, 0);
    record.route = Some(RouteLabel { path: path.into(), slot: meters.slot(path) });
    if request.head.method() != "POST" {
        return Err(Rejection::MethodNotAllowed("POST".to_owned()));
    }
    let now = SystemTime::now();
    let (method, target) = (request.head.method(), request.head.target());
    let context = Context { method, target, origin: None, fields: &request.head, now };
    let claim = verifier.claim(&context).map_err(Rejection::Unsigned)?;
    let mut verification = verifier.begin(claim, now);
    verification.push(request.content);
    record.received = verification.len();
    let authentic = verification.finish(request).map_err(|_mismatch| Rejection::SignatureMismatch)?;
    record.secret = Some(Arc::clone(authentic.secret()));
    Ok(authentic)
}

/// What one request comes to: its response in words, its line in the log, and how often its outcome has been counted.
fn serve(bytes: &[u8]) -> (String, String, u64) {
    let pattern = Pattern::parse("/webhook/{model}").unwrap();
    let router = Router::build([(&pattern, &ModelRule::Any)]).unwrap();
    let meters = Meters::default();
    let tally = meters.tally();
    let mut record = Record::new(RequestId(7), Peer::ip(Ipv4Addr::LOCALHOST.into()));
    let said = match walk(bytes, &router, &verifier(), &mut record, &meters) {
        Ok(authentic) => {
            record.status = 200;
            let (request, content) = authentic.into_parts();
            format!(
                "forward {} {} with {} bytes",
                request.head.method(),
                String::from_utf8_lossy(request.head.target()),
                content.len()
            )
        }
        Err(rejection) => {
            record.refused = true;
            record.reason = rejection.reason();
            record.status = rejection.status().as_u16();
            format!("{} {}", record.status, rejection.problem())
        }
    };
    let mut log = Vec::new();
    line::write(&mut log, &record, SystemTime::now());
    tally.count(&record, SystemTime::now());
    let counted = meters.sum().routes.values().flat_map(|route| route.outcomes.values()).sum();
    (said, String::from_utf8(log).unwrap(), counted)
}

fn verifier() -> Verifier {
    let secret = Secret { name: "current".into(), key: Key::new(SECRET.to_vec()), not_after: None };
    Verifier::new(Scheme::preset("propify").unwrap().clone(), vec![secret]).unwrap()
}

fn event(path: &str, tag: Option<&str>, content: &str) -> Vec<u8> {
    let field = tag.map(|tag| format!("Propify-Signature: {tag}\r\n")).unwrap_or_default();
    let length = content.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{field}Content-Length: {length}\r\n\r\n{content}")
        .into_bytes()
}

#[test]
fn a_request_can_be_walked_from_its_bytes_to_its_record_without_hypers_types() {
    let (_, tag) = verifier().sign(CONTENT.as_bytes()).unwrap();
    let (said, log, counted) = serve(&event("/webhook/leases?x=1", Some(&tag), CONTENT));
    assert_eq!(said, format!("forward POST /webhook/leases?x=1 with {} bytes", CONTENT.len()));
    assert!(log.contains(r#""route":"/webhook/leases","status":200,"secret":"current""#), "{log}");
    assert_eq!(counted, 1);
}

#[test]
fn what_a_front_end_without_hyper_refuses_has_the_same_answer_and_the_same_record() {
    let (_, tag) = verifier().sign(CONTENT.as_bytes()).unwrap();
    let tampered = CONTENT.replace('1', "2");
    let bare_line_feed = b"POST /webhook/leases HTTP/1.1\nHost: a\r\n\r\n".to_vec();
    for (bytes, status, reason) in [
        (event("/elsewhere", Some(&tag), CONTENT), 404, Some("no_route")),
        (event("/webhook/leases", None, CONTENT), 401, Some("signature_missing")),
        (event("/webhook/leases", Some("ab"), CONTENT), 401, Some("signature_malformed")),
        (event("/webhook/leases", Some(&tag), &tampered), 401, Some("signature_mismatch")),
        (bare_line_feed, 400, None),
    ] {
        let (said, log, counted) = serve(&bytes);
        assert!(said.starts_with(&format!("{status} {{\"title\"")), "{said}");
        assert!(log.contains(&format!("\"status\":{status}")), "{log}");
        let reason = reason.map(|reason| format!("\"reason\":\"{reason}\""));
        assert!(
            reason.as_ref().is_none_or(|reason| said.contains(reason) && log.contains(reason)),
            "{said} {log}"
        );
        assert_eq!(counted, 1);
    }
}
