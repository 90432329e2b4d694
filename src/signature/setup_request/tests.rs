//! Tests of set-up requests: which requests are handled, and how.

use super::handling::Handled;
use super::*;
use crate::signature::permit::Permit;
use crate::signature::scheme::{PRESETS, Scheme};
use crate::signature::{Context, Verifier};
use std::time::SystemTime;

struct Lines(Vec<(&'static str, &'static str)>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_bytes())
    }
}

fn text(name: &'static str, text: Option<&'static str>) -> Member {
    Member { name: name.into(), text: text.map(Into::into) }
}

fn setup(method: &'static str, field: Option<&'static str>, members: Vec<Member>) -> SetupRequest {
    SetupRequest { method: method.into(), field: field.map(Into::into), members, reply: None }
}

fn answered(setup: SetupRequest, fields: Vec<(HeaderName, Option<HeaderValue>)>) -> SetupRequest {
    SetupRequest { reply: Some(SetupReply { status: StatusCode::OK, fields }), ..setup }
}

fn scheme(setup: Vec<SetupRequest>) -> Scheme {
    Scheme { setup, ..Scheme::preset("github").unwrap().clone() }
}

enum Mode {
    Refuse,
    Answer,
    Forward,
}

fn verifier(scheme: Scheme, mode: &Mode) -> Verifier {
    let verifier = Verifier::new(scheme, vec![]).unwrap();
    match mode {
        Mode::Refuse => verifier,
        Mode::Answer => verifier.answering(None),
        Mode::Forward => verifier.forwarding_unsigned(Permit::of_configuration()),
    }
}

fn handled(verifier: &Verifier, method: &str, lines: &Lines, content: &str) -> Option<Handled> {
    let context = Context { method, ..Context::of(lines, SystemTime::UNIX_EPOCH) };
    verifier.set_up(&context, content.as_bytes())
}

/// Otherwise a client could send an event in the form of a set-up request, and an app would get it.
#[test]
fn a_set_up_request_has_exactly_the_members_that_the_scheme_lists() {
    let none = Lines(vec![]);
    let token = setup("POST", None, vec![text("/verification_token", None)]);
    let form = setup("POST", None, vec![text("ssl_check", Some("1")), text("token", None)]);
    let secret = setup("POST", Some("x-hook-secret"), vec![]);
    let hook = Lines(vec![("x-hook-secret", "b537")]);
    for (setup, lines, content, want) in [
        (&token, &none, r#"{"verification_token":"secret_x1"}"#, true),
        (&token, &none, r#"{ "verification_token" : "" }"#, true),
        (&token, &none, r#"{"verification_token":"x","type":"page.created"}"#, false),
        (&token, &none, r#"{"Verification_token":"x"}"#, false),
        (&token, &none, r#"{"verification_token":{"a":1}}"#, false),
        (&token, &none, r#"{"verification_token":null}"#, false),
        (&token, &none, r#"{"verification_token":"x"} x"#, false),
        (&token, &none, r#"["verification_token"]"#, false),
        (&token, &none, "{}", false),
        (&token, &none, "", false),
        (&form, &none, "ssl_check=1&token=Gg7", true),
        (&form, &none, "token=&ssl_check=1", true),
        (&form, &none, "ssl_check=0&token=Gg7", false),
        (&form, &none, "ssl_check=1", false),
        (&form, &none, "ssl_check=1&token=Gg7&command=%2Fdrop", false),
        (&form, &none, "ssl_check=1&ssl_check=1", false),
        (&form, &none, "ssl_check=1&token=%", false),
        (&secret, &hook, "", true),
        (&secret, &hook, "{}", true),
        (&secret, &hook, r#"{"events":[{"action":"deleted"}]}"#, false),
        (&secret, &none, "", false),
    ] {
        let verifier = verifier(scheme(vec![setup.clone()]), &Mode::Forward);
        let is_one = matches!(handled(&verifier, "POST", lines, content), Some(Handled::Forwarded(_)));
        assert_eq!(is_one, want, "{setup} {content}");
        assert!(handled(&verifier, "PUT", lines, content).is_none());
    }
    let large = format!(r#"{{"verification_token":"{}"}}"#, "x".repeat(LARGEST));
    let verifier = verifier(scheme(vec![token]), &Mode::Forward);
    assert!(handled(&verifier, "POST", &none, &large).is_none());
}

#[test]
fn a_request_with_a_signature_field_is_no_set_up_request() {
    let head = answered(setup("HEAD", None, vec![]), vec![]);
    for mode in [Mode::Answer, Mode::Forward] {
        let verifier = verifier(scheme(vec![head.clone()]), &mode);
        assert!(handled(&verifier, "HEAD", &Lines(vec![]), "").is_some());
        assert!(handled(&verifier, "HEAD", &Lines(vec![("x-hub-signature-256", "")]), "").is_none());
    }
}

#[test]
fn a_set_up_request_is_refused_unless_the_operator_asks_for_more() {
    let (none, hook) = (Lines(vec![]), Lines(vec![("x-hook-secret", "b537")]));
    let all =
        vec![answered(setup("HEAD", None, vec![]), vec![]), setup("POST", Some("x-hook-secret"), vec![])];
    let of = |mode| verifier(scheme(all.clone()), &mode);
    assert!(handled(&of(Mode::Refuse), "HEAD", &none, "").is_none());
    assert!(handled(&of(Mode::Refuse), "POST", &hook, "").is_none());
    assert!(matches!(handled(&of(Mode::Answer), "HEAD", &none, ""), Some(Handled::Answered(_))));
    // The secret is for the app.
    assert!(handled(&of(Mode::Answer), "POST", &hook, "").is_none());
    assert!(matches!(handled(&of(Mode::Forward), "HEAD", &none, ""), Some(Handled::Forwarded(_))));
    assert!(matches!(handled(&of(Mode::Forward), "POST", &hook, ""), Some(Handled::Forwarded(_))));
}

#[test]
fn an_answer_repeats_only_a_value() {
    let name = HeaderName::from_static("smartsheet-hook-response");
    let asks = setup("POST", Some("smartsheet-hook-challenge"), vec![]);
    let of = verifier(scheme(vec![answered(asks, vec![(name.clone(), None)])]), &Mode::Answer);
    let lines = |value| Lines(vec![("smartsheet-hook-challenge", value)]);
    let Some(Handled::Answered(answer)) = handled(&of, "POST", &lines("d78dd1d3-01ce"), "") else { panic!() };
    assert_eq!(answer.fields, [(name, HeaderValue::from_static("d78dd1d3-01ce"))]);
    assert_eq!((answer.media_type, &*answer.content), (None, ""));
    for wrong in ["", "<b>", "a b", "a\r\nset-cookie: x", "a;b", "\u{e9}"] {
        assert!(handled(&of, "POST", &lines(wrong), "").is_none(), "{wrong}");
    }
    let twice = Lines(vec![("smartsheet-hook-challenge", "a"), ("smartsheet-hook-challenge", "a")]);
    assert!(handled(&of, "POST", &twice, "").is_none());
}

#[test]
fn the_log_names_the_request_and_the_key_that_handles_it() {
    let explained = |name: &str, mode: &Mode, method: &str, target: &'static [u8]| {
        let none = Lines(vec![]);
        let context = Context { method, target, ..Context::of(&none, SystemTime::UNIX_EPOCH) };
        verifier(Scheme::preset(name).unwrap().clone(), mode).explain_unsigned(&context)
    };
    let answer = "`challenge = \"answer\"` in `signature` answers it";
    assert_eq!(
        explained("trello", &Mode::Refuse, "HEAD", b"/"),
        Some(format!("the sender's set-up request, HEAD: {answer}"))
    );
    assert_eq!(
        explained("slack", &Mode::Refuse, "POST", b"/"),
        Some(format!("perhaps the sender's set-up request, POST ssl_check=1 token=: {answer}"))
    );
    let meta = b"/?hub.mode=subscribe&hub.challenge=1&hub.verify_token=t";
    assert_eq!(
        explained("meta", &Mode::Refuse, "GET", meta),
        Some(format!("the sender's set-up request, GET ?hub.challenge=&hub.verify_token=: {answer}"))
    );
    assert_eq!(explained("meta", &Mode::Refuse, "GET", b"/?hub.mode=subscribe"), None);
    assert_eq!(explained("trello", &Mode::Answer, "HEAD", b"/"), None);
    assert_eq!(explained("trello", &Mode::Refuse, "POST", b"/"), None);
    assert_eq!(explained("github", &Mode::Refuse, "HEAD", b"/"), None);
}

/// A preset's set-up request never has the form of an event: it has a method of its own, or a content that
/// the sender's events do not have.
#[test]
fn the_set_up_request_of_a_preset_is_distinguishable() {
    for scheme in PRESETS.iter() {
        for setup in &scheme.setup {
            let is_marked = setup.field.is_some() || !setup.members.is_empty() || setup.method != "POST";
            assert!(is_marked, "{} {setup}", scheme.name);
        }
    }
}
