//! Challenges: requests with which a sender tests a URL before it delivers events. The gateway answers them
//! if it is configured to do so. Otherwise the app answers them.

use std::time::SystemTime;

use base64::Engine as _;
use hookgate::signature::scheme::Scheme;

use crate::senders::Sender;
use crate::support::upstream::Oracle;
use crate::support::{
    Client, Post, Response, Setup, Upstream, assert_refused, exchange, gateway, nothing_reached, unsigned,
};

const TOKEN: &str = "told to the sender & nobody else";

/// Each signed challenge, with the media type and the content of its answer. `HMAC` stands for the HMAC.
const SIGNED: [(&str, &str, Option<&str>, &str); 6] = [
    (
        "slack",
        r#"{"token":"t","challenge":"3eZbrw1aBm2r","type":"url_verification"}"#,
        Some("text/plain"),
        "3eZbrw1aBm2r",
    ),
    (
        "zoom",
        r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1}"#,
        Some("application/json"),
        r#"{"encryptedToken":"HMAC","plainToken":"qgg8vlvZRS6UYooatFL8Aw"}"#,
    ),
    (
        "twitch",
        r#"{"challenge":"pogchamp-kappa","subscription":{"status":"webhook_callback_verification_pending"}}"#,
        Some("text/plain"),
        "pogchamp-kappa",
    ),
    ("discord", r#"{"id":"1","application_id":"2","type":1}"#, Some("application/json"), r#"{"type":1}"#),
    ("xero", r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m3"}"#, None, ""),
    ("discord-events", r#"{"version":1,"application_id":"2","type":0}"#, Some("application/json"), ""),
];

/// The status code that a sender expects.
fn status(scheme: &str) -> u16 {
    if scheme == "discord-events" { 204 } else { 200 }
}

/// An app that accepts unsigned requests.
fn app() -> Upstream {
    Upstream::ok_under(Oracle::default().observing())
}

/// The `[signature]` of a preset, with this sender's key.
fn signs(sender: &Sender, lines: &str) -> String {
    let key = base64::engine::general_purpose::STANDARD.encode(&sender.key);
    format!(
        "scheme = \"{}\"\nsecrets = [{{ value = \"{key}\", encoding = \"base64\" }}]\n{lines}",
        sender.scheme.name
    )
}

fn before(app: &Upstream, sender: &Sender, lines: &str, route: &str) -> Setup {
    gateway().signature(&signs(sender, lines)).route_with("/hook", &app.url(), route)
}

fn sender(scheme: &str) -> Sender {
    Sender::new(Scheme::preset(scheme).unwrap(), 0)
}

/// A request with this content. The sender with this seed signs it.
fn event(scheme: &str, seed: u8, content: &str) -> Post {
    let request = Sender::new(Scheme::preset(scheme).unwrap(), seed).request_of(
        "/hook",
        content.as_bytes(),
        seed,
        SystemTime::now(),
    );
    request
        .lines
        .iter()
        .fold(unsigned(content).target("/hook"), |post, (name, value)| post.line(format!("{name}: {value}")))
}

#[test]
fn a_signed_challenge_is_answered_and_the_app_hears_nothing_of_it() {
    for (scheme, content, media_type, answer) in SIGNED {
        let (app, sender) = (app(), sender(scheme));
        let gateway = before(&app, &sender, "challenge = \"answer\"", "").start();
        let mut client = Client::to(&gateway);
        for _ in 0..2 {
            let response = client.send(event(scheme, 0, content).bytes()).response();
            assert_eq!(response.status, status(scheme), "{scheme}");
            assert_eq!(response.value("content-type").as_deref(), media_type, "{scheme}");
            assert_eq!(
                response.value("x-content-type-options").as_deref(),
                media_type.map(|_| "nosniff"),
                "{scheme}"
            );
            let hmac = crate::support::signature_with(&"a".repeat(32), b"qgg8vlvZRS6UYooatFL8Aw");
            assert_eq!(String::from_utf8(response.body).unwrap(), answer.replace("HMAC", &hmac), "{scheme}");
        }
        nothing_reached(gateway, app);
    }
}

#[test]
fn a_challenge_that_does_not_verify_is_refused_as_any_event_is() {
    for (scheme, content, ..) in SIGNED {
        let (app, sender) = (app(), sender(scheme));
        let gateway = before(&app, &sender, "challenge = \"answer\"", "").start();
        let forged = event(scheme, 1, content);
        let tampered = event(scheme, 0, content).forged(format!("{content} "));
        let bare = unsigned(content).target("/hook");
        for (request, reason) in
            [(forged, "signature_mismatch"), (tampered, "signature_mismatch"), (bare, "signature_missing")]
        {
            let response = exchange(&gateway, &request);
            if scheme == "xero" {
                assert_empty(&response, 401);
            } else {
                assert_refused(&response, 401, Some(reason));
            }
        }
        nothing_reached(gateway, app);
    }
}

fn assert_empty(response: &Response, status: u16) {
    assert_eq!((response.status, &*response.body), (status, &b""[..]));
    assert_eq!(response.value("content-length").as_deref(), Some("0"));
    assert_eq!(response.value("content-type"), None);
}

/// Xero counts an answer with content as no refusal, and does not deliver.
#[test]
fn a_sender_that_accepts_no_content_gets_none_in_a_refusal() {
    let app = app();
    let gateway = gateway()
        .forward("[schemes.acme]\nheader = \"x-acme\"\nrefusal = \"empty\"\n")
        .signature("scheme = \"acme\"\nsecrets = [{ value = \"a secret that is long enough\" }]")
        .route_with("/hook", &app.url(), "max_body = 64")
        .start();
    let tag = crate::support::signature_with("a secret that is long enough", b"{}");
    let line = format!("x-acme: {tag}");
    let signed = |content: &str| unsigned(content).target("/hook").line(&line);
    for request in [
        unsigned("{}").target("/hook"),
        signed("{ }"),
        signed("{}").line(&line),
        unsigned("{}").target("/hook").line("x-acme: zz"),
    ] {
        let response = exchange(&gateway, &request);
        assert_empty(&response, 401);
        assert!(response.value("www-authenticate").is_some());
    }
    // These are no refusals of a signature.
    let put = signed("{}").method("PUT");
    assert_refused(&exchange(&gateway, &put), 405, Some("method_not_allowed"));
    assert_refused(&exchange(&gateway, &signed(&"x".repeat(65))), 413, Some("body_too_large"));
    assert_refused(&exchange(&gateway, &signed("{}").target("/other")), 404, Some("no_route"));
    nothing_reached(gateway, app);
}

#[test]
fn unless_the_signature_says_otherwise_the_app_answers() {
    for (scheme, content, ..) in SIGNED {
        for lines in ["", "challenge = \"forward\""] {
            let (app, sender) = (app(), sender(scheme));
            let gateway = before(&app, &sender, lines, "").start();
            exchange(&gateway, &event(scheme, 0, content)).assert_answer("ok");
            assert_eq!(app.only_request().content, content.as_bytes(), "{scheme}");
        }
    }
}

#[test]
fn an_event_goes_to_the_app_where_challenges_are_answered() {
    for (scheme, content) in [
        ("slack", r#"{"type":"event_callback","challenge":"x"}"#),
        ("slack", "not JSON"),
        ("zoom", r#"{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1700000000:{}"}}"#),
        ("discord", r#"{"type":2}"#),
        (
            "discord",
            r#"{"version":1,"application_id":"41","type":1,"event":{"type":"QUEST_USER_ENROLLMENT"}}"#,
        ),
        (
            "discord-events",
            r#"{"version":1,"application_id":"41","type":1,"event":{"type":"QUEST_USER_ENROLLMENT"}}"#,
        ),
        ("twitch", r#"{"challenge":"x","subscription":{"status":"enabled"}}"#),
        ("xero", r#"{"events":[{}],"firstEventSequence":1,"lastEventSequence":1}"#),
        ("xero", r#"{"events":[{"resourceId":"9"}],"firstEventSequence":0,"lastEventSequence":0}"#),
    ] {
        let (app, sender) = (app(), sender(scheme));
        let gateway = before(&app, &sender, "challenge = \"answer\"", "").start();
        exchange(&gateway, &event(scheme, 0, content)).assert_answer("ok");
        assert_eq!(app.only_request().content, content.as_bytes(), "{scheme}");
    }
}

/// A challenge names no model. So a route that requires a model would refuse it, if it were not answered
/// before.
#[test]
fn a_challenge_is_answered_before_the_route_requires_anything() {
    let (app, sender) = (app(), sender("slack"));
    let route = "require = { \"/team_id\" = \"T1\" }";
    let gateway = before(&app, &sender, "challenge = \"answer\"", route).start();
    let (_, content, _, answer) = SIGNED[0];
    assert_eq!(exchange(&gateway, &event("slack", 0, content)).body, answer.as_bytes());
    let other = event("slack", 0, r#"{"type":"event_callback","team_id":"T2"}"#);
    assert_refused(&exchange(&gateway, &other), 403, Some("model_mismatch"));
    nothing_reached(gateway, app);
}

/// A request that a route in observe mode forwards may be forged. The gateway must not sign anything for it.
#[test]
fn on_a_route_that_observes_a_forged_challenge_is_forwarded_and_not_answered() {
    let (app, sender) = (app(), sender("zoom"));
    let gateway = before(&app, &sender, "challenge = \"answer\"", "mode = \"observe\"").start();
    exchange(&gateway, &event("zoom", 1, SIGNED[1].1)).assert_answer("ok");
    assert_eq!(
        exchange(&gateway, &event("zoom", 0, SIGNED[1].1)).value("content-type").as_deref(),
        Some("application/json")
    );
    assert_eq!(app.requests().len(), 1);
}

fn get(target: &str) -> Post {
    unsigned("").raw("").method("GET").target(target)
}

const BOTH: &str = "methods = [\"POST\", \"GET\"]";

#[test]
fn a_get_with_a_challenge_is_answered_as_plain_text_and_with_nothing_else_in_it() {
    let (app, sender) = (app(), sender("dropbox"));
    let gateway = before(&app, &sender, "challenge = \"answer\"", BOTH).start();
    let response = exchange(&gateway, &get("/hook?challenge=abc123"));
    assert_eq!((response.status, &*response.body), (200, &b"abc123"[..]));
    assert_eq!(response.value("content-type").as_deref(), Some("text/plain"));
    assert_eq!(response.value("x-content-type-options").as_deref(), Some("nosniff"));
    for target in [
        "/hook",
        "/hook?challenge=",
        "/hook?challenge=%3Cscript%3E",
        "/hook?challenge=a%0d%0aset-cookie:x",
        "/hook?challenge=a&challenge=b",
        &format!("/hook?challenge={}", "a".repeat(257)),
    ] {
        assert_refused(&exchange(&gateway, &get(target)), 401, Some("signature_missing"));
    }
    let with_content = unsigned("{}").method("GET").target("/hook?challenge=a");
    assert_refused(&exchange(&gateway, &with_content), 401, Some("signature_missing"));
    let posted = unsigned("{}").target("/hook?challenge=a");
    assert_refused(&exchange(&gateway, &posted), 401, Some("signature_missing"));
    assert_refused(&exchange(&gateway, &get("/other?challenge=a")), 404, Some("no_route"));
    nothing_reached(gateway, app);
}

#[test]
fn without_challenges_configured_a_get_is_refused() {
    let (app, sender) = (app(), sender("dropbox"));
    let gateway = before(&app, &sender, "", BOTH).start();
    assert_refused(&exchange(&gateway, &get("/hook?challenge=a")), 401, Some("signature_missing"));
    nothing_reached(gateway, app);
}

#[test]
fn only_a_request_with_the_verify_token_is_answered() {
    let (app, sender) = (app(), sender("meta"));
    let lines = format!("challenge = \"answer\"\nverify_token = {{ value = \"{TOKEN}\" }}");
    let gateway = before(&app, &sender, &lines, BOTH).start();
    let told = "told+to%20the%20sender+%26+nobody+else";
    let target =
        |token: &str| format!("/hook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
    let response = exchange(&gateway, &get(&target(told)));
    assert_eq!((response.status, &*response.body), (200, &b"1158201444"[..]));
    for wrong in [
        target("told"),
        target(""),
        target(told).replace("subscribe", "x"),
        target(told).replace("verify", "very"),
    ] {
        assert_refused(&exchange(&gateway, &get(&wrong)), 401, Some("signature_missing"));
    }
    nothing_reached(gateway, app);
}

#[test]
fn a_scheme_of_ones_own_can_have_a_challenge() {
    let app = app();
    let setup = gateway()
        // These lines follow another table, so they begin with a table header.
        .forward(
            "[schemes.acme]\nheader = \"x-acme\"\ncontent = \"{header:x-time}.{body}\"\n\
             challenge = { when = { \"/kind\" = \"hello\", \"/n\" = 1 }, absent = [\"/data\"], value = \"/say\", status = 202, answer = { said = \"{value}\", proof = \"{hmac}\", ok = 1 } }\n",
        )
        .signature("scheme = \"acme\"\nchallenge = \"answer\"\nsecrets = [{ value = \"a secret that is long enough\" }]")
        .route("/hook", &app.url());
    let gateway = setup.start();
    let key = "a secret that is long enough";
    let content = r#"{"kind":"hello","n":1,"say":"abc"}"#;
    let signed = |content: &str| {
        let tag = crate::support::signature_with(key, format!("17.{content}").as_bytes());
        unsigned(content).target("/hook").line("x-time: 17").line(format!("x-acme: {tag}"))
    };
    let response = exchange(&gateway, &signed(content));
    assert_eq!(response.status, 202);
    let answer = response.body;
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let proof = crate::support::signature_with(key, b"abc");
    assert_eq!(answer, serde_json::json!({ "said": "abc", "proof": proof, "ok": 1 }));
    exchange(&gateway, &signed(r#"{"kind":"hello","n":2,"say":"abc"}"#)).assert_answer("ok");
    let event = r#"{"kind":"hello","n":1,"say":"abc","data":{}}"#;
    exchange(&gateway, &signed(event)).assert_answer("ok");
}
