//! Tests of challenges: which are answered, and which clients get the answer.

use std::time::SystemTime;

use super::value::LONGEST_VALUE;
use super::*;
use crate::signature::scheme::{PRESETS, Scheme, SchemeFault};
use crate::signature::secret::{Key, Secret};
use crate::signature::sign::Stamp;
use crate::signature::{Context, Fields, Verifier};

const KEY: &str = "a secret that is long enough";
const TOKEN: &str = "told & only/to the sender";
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

struct Lines(Vec<(String, String)>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_bytes())
    }
}

fn verifier(scheme: Scheme) -> Verifier {
    let secret =
        |name: &str, key: &str| Secret { name: name.into(), key: Key::new(key.into()), not_after: None };
    let verifier =
        Verifier::new(scheme, vec![secret("other", "another secret"), secret("current", KEY)]).unwrap();
    verifier.answering(Some(&Key::new(TOKEN.into())))
}

fn preset(name: &str) -> Verifier {
    verifier(Scheme::preset(name).unwrap().clone())
}

/// The answer to this content. The content is signed with the second secret.
fn answer(verifier: &Verifier, content: &str) -> Option<Answer> {
    let stamp = Stamp { id: Some("id"), timestamp: None };
    let signed =
        verifier.signature(Some("current"), &Context::of(&Lines(vec![]), NOW), stamp, content.as_bytes());
    let fields = Lines(signed.unwrap().lines().cloned().collect());
    let claim = verifier.claim(&Context::of(&fields, NOW)).unwrap();
    let mut verification = verifier.begin(claim, NOW);
    verification.push(content.as_bytes());
    verifier.answer(&verification.finish().unwrap())
}

fn text(content: &str) -> Option<Answer> {
    Some(Answer {
        status: StatusCode::OK,
        media_type: Some("text/plain"),
        content: content.to_owned(),
        fields: Vec::new(),
    })
}

fn json(content: &str) -> Option<Answer> {
    Some(Answer { media_type: Some("application/json"), ..text(content)? })
}

/// The value of a preset's challenge in this content, with or without a value. `None` if the content is no
/// challenge.
fn recognised(scheme: &str, content: &str) -> Option<Option<Value>> {
    Scheme::preset(scheme).unwrap().challenge.as_ref().unwrap().in_content(content.as_bytes())
}

fn unsigned(verifier: &Verifier, method: &str, target: &str) -> Option<Result<Answer, WrongToken>> {
    verifier.answer_unsigned(&Context {
        method,
        target: target.as_bytes(),
        ..Context::of(&Lines(vec![]), NOW)
    })
}

#[test]
fn each_sender_gets_the_answer_that_it_expects() {
    let slack = r#"{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;
    assert_eq!(answer(&preset("slack"), slack), text("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"));
    let twitch = r#"{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{"status":"webhook_callback_verification_pending","type":"channel.follow"}}"#;
    assert_eq!(answer(&preset("twitch"), twitch), text("pogchamp-kappa-360noscope-vohiyo"));
    let xero = r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"FMLHZNKCVK"}"#;
    let empty = Answer { media_type: None, ..text("").unwrap() };
    assert_eq!(answer(&preset("xero"), xero), Some(empty));
    // HMAC-SHA256 of the token, by openssl.
    let zoom = r#"{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1654503849680,"event":"endpoint.url_validation"}"#;
    let proof = "ca423c5c00a4430030b80a81f316bd8d32abb0ed9b70ba5c5f1d3fcc213267af";
    assert_eq!(
        answer(&preset("zoom"), zoom),
        json(&format!("{{\"encryptedToken\":\"{proof}\",\"plainToken\":\"qgg8vlvZRS6UYooatFL8Aw\"}}"))
    );
}

/// A sender signs an event and a challenge with the same key. An app never gets an event that is taken for a
/// challenge.
#[test]
fn no_event_of_a_sender_is_taken_for_its_challenge() {
    let challenges = [
        ("slack", r#"{"token":"t","challenge":"3eZb","type":"url_verification"}"#),
        ("zoom", r#"{"payload":{"plainToken":"qgg8"},"event_ts":1,"event":"endpoint.url_validation"}"#),
        ("twitch", r#"{"challenge":"x","subscription":{"status":"webhook_callback_verification_pending"}}"#),
        ("xero", r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"FMLH"}"#),
        (
            "discord",
            r#"{"app_permissions":"0","application_id":"7","entitlements":[],"id":"8","token":"t","type":1,"version":1}"#,
        ),
        ("discord-events", r#"{"version":1,"application_id":"7","type":0}"#),
    ];
    let events = [
        ("slack", r#"{"type":"event_callback","event":{"type":"url_verification"},"challenge":"x"}"#),
        ("slack", r#"{"type":"url_verification","event":{"type":"message"},"challenge":"x"}"#),
        ("zoom", r#"{"payload":{"plainToken":"x","object":{"id":"1"}},"event":"endpoint.url_validation"}"#),
        ("zoom", r#"{"payload":{"object":{}},"event":"meeting.started"}"#),
        (
            "twitch",
            r#"{"challenge":"x","subscription":{"status":"webhook_callback_verification_pending"},"event":{}}"#,
        ),
        ("twitch", r#"{"subscription":{"status":"enabled"},"event":{"user_id":"1"}}"#),
        ("xero", r#"{"events":[{"resourceId":"1"}],"firstEventSequence":0,"lastEventSequence":0}"#),
        ("xero", r#"{"events":[null],"firstEventSequence":0,"lastEventSequence":0}"#),
        ("discord", r#"{"version":1,"application_id":"7","type":1,"event":{"type":"ENTITLEMENT_CREATE"}}"#),
        ("discord", r#"{"version":1,"application_id":"7","type":1,"event":null}"#),
        ("discord", r#"{"version":1,"application_id":"7","type":1,"Event":{}}"#),
        ("discord", r#"{"version":1,"application_id":"7","type":0}"#),
        ("discord", r#"{"id":"8","application_id":"7","type":2,"data":{}}"#),
        (
            "discord-events",
            r#"{"version":1,"application_id":"7","type":1,"event":{"type":"ENTITLEMENT_CREATE"}}"#,
        ),
        ("discord-events", r#"{"version":1,"application_id":"7","type":0,"event":{}}"#),
        ("discord-events", r#"{"id":"8","application_id":"7","type":1}"#),
    ];
    for (scheme, content) in challenges {
        assert!(recognised(scheme, content).is_some(), "{scheme} {content}");
    }
    for (scheme, content) in events {
        assert_eq!(recognised(scheme, content), None, "{scheme} {content}");
    }
    let signs =
        |scheme: &&Scheme| scheme.challenge.as_ref().is_some_and(|challenge| !challenge.is_unsigned());
    for scheme in PRESETS.iter().filter(signs) {
        let has = |all: &[(&str, &str)]| all.iter().any(|(name, _)| *name == scheme.name);
        assert!(has(&challenges) && has(&events), "{} has no events here", scheme.name);
    }
}

#[test]
fn an_answer_has_the_status_code_that_its_sender_expects() {
    let challenge = |name: &str| Scheme::preset(name).unwrap().challenge.clone().unwrap();
    let reply = |name: &str| challenge(name).answer(None, None).unwrap();
    assert_eq!(reply("discord"), json("{\"type\":1}").unwrap());
    let no_content = Answer { status: StatusCode::NO_CONTENT, ..json("").unwrap() };
    assert_eq!(reply("discord-events"), no_content);
}

#[test]
fn an_event_is_no_challenge() {
    let long = format!(r#"{{"type":"url_verification","challenge":"{}"}}"#, "x".repeat(LONGEST_VALUE + 1));
    let large = format!(r#"{{"type":"url_verification","challenge":"x","y":"{}"}}"#, "x".repeat(LARGEST));
    for (scheme, content) in [
        ("slack", r#"{"type":"event_callback","challenge":"x"}"#),
        ("slack", r#"{"type":"url_verification"}"#),
        ("slack", r#"{"type":"url_verification","type":"url_verification","challenge":"x"}"#),
        ("slack", r#"{"type":"url_verification","challenge":"x","challenge":"y"}"#),
        ("slack", r#"{"type":"url_verification","challenge":"x","Type":"event_callback"}"#),
        ("slack", r#"{"Type":"url_verification","challenge":"x"}"#),
        ("slack", r#"{"type":"url_verification","Challenge":"x"}"#),
        ("slack", r#"{"type":"url_verification","challenge":"x","CHALLENGE":"y"}"#),
        ("slack", r#"{"type":"url_verification","challenge":""}"#),
        ("slack", r#"{"type":"url_verification","challenge":"<b>"}"#),
        ("slack", r#"{"type":"url_verification","challenge":"a b"}"#),
        ("slack", r#"{"type":"url_verification","challenge":"a\r\nb"}"#),
        ("slack", r#"{"type":"url_verification","challenge":7}"#),
        ("slack", r#"{"type":"url_verification","challenge":"x"} x"#),
        ("slack", &long),
        ("slack", &large),
        ("slack", "payload=%7B%7D"),
        ("zoom", r#"{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1:x"}}"#),
        ("zoom", r#"{"event":"meeting.started","payload":{"plainToken":"x"}}"#),
        ("twitch", r#"{"challenge":"x","subscription":{"status":"enabled"}}"#),
        ("xero", r#"{"events":[{}],"firstEventSequence":1,"lastEventSequence":1}"#),
        ("xero", r#"{"events":[],"firstEventSequence":"0","lastEventSequence":"0"}"#),
        ("dropbox", r#"{"challenge":"x"}"#),
        ("meta", r#"{"hub.mode":"subscribe","hub.challenge":"1"}"#),
        ("github", r#"{"challenge":"x"}"#),
    ] {
        assert_eq!(answer(&preset(scheme), content), None, "{scheme} {content}");
    }
}

#[test]
fn a_verifier_answers_no_challenge_unless_configured() {
    let secret = || Secret { name: "current".into(), key: Key::new(KEY.into()), not_after: None };
    let verifier = |name| Verifier::new(Scheme::preset(name).unwrap().clone(), vec![secret()]).unwrap();
    let slack = r#"{"challenge":"x","type":"url_verification"}"#;
    assert_eq!(answer(&verifier("slack"), slack), None);
    assert_eq!(unsigned(&verifier("dropbox"), "GET", "/hook?challenge=x"), None);
    assert!(!verifier("slack").answers() && preset("slack").answers() && !preset("github").answers());
}

#[test]
fn a_get_is_answered_if_each_parameter_occurs_once() {
    let dropbox = preset("dropbox");
    assert_eq!(unsigned(&dropbox, "GET", "/hook?challenge=abc123").unwrap().ok(), text("abc123"));
    assert_eq!(unsigned(&dropbox, "GET", "/hook?x=1&challenge=a%2Fb").unwrap().ok(), text("a/b"));
    for (method, target) in [
        ("POST", "/hook?challenge=abc"),
        ("HEAD", "/hook?challenge=abc"),
        ("GET", "/hook"),
        ("GET", "/hook?challenge="),
        ("GET", "/hook?challenge"),
        ("GET", "/hook?challenge=a&challenge=a"),
        ("GET", "/hook?challenge=a&%63hallenge=a"),
        ("GET", "/hook?challenge=%3Cscript%3E"),
        ("GET", "/hook?challenge=a+b"),
        ("GET", "/hook?challenge=a%0d%0ab"),
        ("GET", "/hook?challenge=%ff"),
        ("GET", "/hook?challenge=a%"),
        ("GET", &format!("/hook?challenge={}", "a".repeat(LONGEST_VALUE + 1))),
    ] {
        assert_eq!(unsigned(&dropbox, method, target), None, "{method} {target}");
    }
    let longest = "a".repeat(LONGEST_VALUE);
    let answered = unsigned(&dropbox, "GET", &format!("/hook?challenge={longest}")).unwrap();
    assert_eq!(answered.ok(), text(&longest));
    let signed = Lines(vec![("x-dropbox-signature".into(), "00".into())]);
    let context = Context { method: "GET", target: b"/hook?challenge=a", ..Context::of(&signed, NOW) };
    assert_eq!(dropbox.answer_unsigned(&context), None, "what is signed is judged by its signature");
}

#[test]
fn a_challenge_with_another_token_is_not_answered() {
    let meta = preset("meta");
    let target =
        |token: &str| format!("/hook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
    let told = "told+%26%20only%2Fto+the+sender";
    assert_eq!(unsigned(&meta, "GET", &target(told)).unwrap().ok(), text("1158201444"));
    for wrong in ["", "told", &format!("{told}x"), "told%20%26%20only%2Fto%20the%20sende"] {
        assert_eq!(unsigned(&meta, "GET", &target(wrong)), Some(Err(WrongToken)), "{wrong}");
    }
    for target in [
        target(told).replace("subscribe", "unsubscribe"),
        target(told).replace("&hub.verify_token=", "&hub.token="),
        format!("{}&hub.verify_token={told}", target(told)),
    ] {
        assert_eq!(unsigned(&meta, "GET", &target), None, "{target}");
    }
    let without = Verifier::new(Scheme::preset("meta").unwrap().clone(), vec![]).unwrap().answering(None);
    assert_eq!(unsigned(&without, "GET", &target(told)), Some(Err(WrongToken)));
}

/// X asks any client's question: the HMAC of a value, with the key that signs events.
#[test]
fn content_that_is_a_value_does_not_verify_if_the_answer_has_its_hmac() {
    let x = preset("x");
    // HMAC-SHA256 of the values with the first secret, by Python's hmac.
    for (value, tag) in [
        ("ZmJhNzQ1", "L3oBJMZTHRzhFtktK1+w42P/GxibZ4lPrrxbdOLYkB4="),
        ("true", "4B42FtlgMCjBUl5aZx1kysxCZtv6iCcAtzJi8pmSzHs="),
    ] {
        let want = json(&format!("{{\"response_token\":\"sha256={tag}\"}}"));
        assert_eq!(unsigned(&x, "GET", &format!("/hook?crc_token={value}")).unwrap().ok(), want);
    }
    let verifies = |verifier: &Verifier, content: &str| {
        let stamp = Stamp { id: None, timestamp: None };
        let made =
            verifier.signature(Some("current"), &Context::of(&Lines(vec![]), NOW), stamp, content.as_bytes());
        let fields = Lines(made.unwrap().lines().cloned().collect());
        let mut verification = verifier.begin(verifier.claim(&Context::of(&fields, NOW)).unwrap(), NOW);
        verification.push(content.as_bytes());
        verification.finish().is_ok()
    };
    let long = "x".repeat(LONGEST_VALUE);
    for (content, want) in [
        ("true", false),
        ("ZmJhNzQ1", false),
        (&*long, false),
        (&format!("{long}x"), true),
        ("", true),
        ("{}", true),
        ("true ", true),
        ("{\"a\":1}", true),
    ] {
        assert_eq!(verifies(&x, content), want, "{content}");
        assert!(verifies(&preset("dropbox"), content), "{content}");
    }
}

/// Zoom's answer has an HMAC that is made with the same key as the signatures of events.
#[test]
fn no_answer_is_the_signature_of_an_event() {
    for scheme in PRESETS.iter() {
        assert!(
            scheme
                .challenge
                .as_ref()
                .is_none_or(|challenge| challenge.is_safe(scheme.algorithm, &scheme.content)),
            "{}",
            scheme.name
        );
    }
    let zoom = Scheme::preset("zoom").unwrap();
    for (content, fault) in [
        ("v0:{timestamp}:{body}", None),
        ("{timestamp}.{body}", None),
        ("{timestamp}{body}", Some(SchemeFault::ProofIsSignature)),
        ("v0{timestamp}-{body}", Some(SchemeFault::ProofIsSignature)),
        ("a=b/{timestamp}{body}", Some(SchemeFault::ProofIsSignature)),
    ] {
        let scheme = Scheme { content: Template::parse(content).unwrap(), ..zoom.clone() };
        assert_eq!(scheme.fault(), fault, "{content}");
    }
    for algorithm in [Algorithm::Token, Algorithm::Ed25519] {
        let scheme = Scheme { algorithm, ..zoom.clone() };
        assert_eq!(scheme.fault(), Some(SchemeFault::ProofIsSignature), "{algorithm:?}");
    }
}
