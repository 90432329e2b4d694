//! Set-up requests: unsigned requests with which a sender sets a webhook up. They are refused, answered or
//! forwarded, as the operator wants. An event in this form reaches no app.

use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::Value;

use crate::support::process::{Running, address_in};
use crate::support::upstream::Oracle;
use crate::support::{
    Client, Gateway, Post, Response, Setup, Upstream, assert_refused, exchange, gateway, nothing_reached,
    signature_with, unsigned,
};

const KEY: &str = "a secret that is long enough";

/// Schemes as an operator writes them.
const SCHEMES: &str = r#"
[schemes.tasks]
header = "x-hook-signature"
setup = [{ header = "x-hook-secret" }]
[schemes.pages]
header = "x-notion-signature"
prefix = "sha256="
setup = [{ has = ["/verification_token"] }]
[schemes.cloud]
header = "x-cloud-signature"
setup = [{ method = "OPTIONS", header = "webhook-request-origin", status = 200, answer_headers = { webhook-allowed-origin = "*", webhook-allowed-rate = "*" } }]
[schemes.sheets]
header = "smartsheet-hmac-sha256"
setup = [{ header = "smartsheet-hook-challenge", has = ["/challenge", "/webhookId"], status = 200, answer_headers = { smartsheet-hook-response = "{value}" } }]
"#;

/// An app that accepts unsigned requests.
fn app() -> Upstream {
    Upstream::ok_under(Oracle::default().observing())
}

fn route(app: &Upstream, scheme: &str, challenge: &str, lines: &str) -> Setup {
    let challenge = match challenge {
        "" => String::new(),
        mode => format!("challenge = \"{mode}\"\n"),
    };
    gateway()
        .forward(SCHEMES)
        .signature(&format!("scheme = \"{scheme}\"\n{challenge}secrets = [{{ value = \"{KEY}\" }}]"))
        .route_with(
            "/hook",
            &app.url(),
            &format!("methods = [\"POST\", \"GET\", \"HEAD\", \"OPTIONS\"]\n{lines}"),
        )
}

/// Exchanges a request of any method.
fn response(gateway: &Gateway, method: &str, request: &Post) -> Response {
    Client::to(gateway).send(request.bytes()).response_to(method)
}

fn empty(method: &str, target: &str) -> Post {
    unsigned("").raw("").method(method).target(target)
}

fn post(content: &str) -> Post {
    unsigned(content).target("/hook")
}

/// Each sender's set-up request, after its scheme and its method.
fn requests() -> Vec<(&'static str, &'static str, Post)> {
    vec![
        ("tasks", "POST", post("{}").line("x-hook-secret: 41f7bbac")),
        ("tasks", "POST", empty("POST", "/hook").line("x-hook-secret: 41f7bbac")),
        ("pages", "POST", post(r#"{"verification_token":"secret_tMrlL1qK5vuQ"}"#)),
        ("cloud", "OPTIONS", empty("OPTIONS", "/hook").line("webhook-request-origin: events.example.com")),
        (
            "sheets",
            "POST",
            post(r#"{"challenge":"d78d-01ce","webhookId":"7"}"#).line("smartsheet-hook-challenge: d78d-01ce"),
        ),
        ("trello", "HEAD", empty("HEAD", "/hook")),
        ("intercom", "HEAD", empty("HEAD", "/hook")),
        ("slack", "POST", post("ssl_check=1&token=Gg71")),
        ("woocommerce", "POST", post("webhook_id=12")),
        ("x", "GET", empty("GET", "/hook?crc_token=ZmJhNzQ1")),
        ("dropbox", "GET", empty("GET", "/hook?challenge=abc")),
        ("meta", "GET", empty("GET", "/hook?hub.mode=subscribe&hub.challenge=115&hub.verify_token=t")),
    ]
}

/// `public_url`, for a scheme that signs the URL.
fn lines(scheme: &str) -> &'static str {
    if scheme == "trello" { "public_url = \"https://hooks.example.com\"" } else { "" }
}

#[test]
fn without_a_word_of_the_operator_a_set_up_request_is_refused() {
    for (scheme, method, request) in requests() {
        for mode in ["", "forward"] {
            let app = app();
            let gateway = route(&app, scheme, mode, lines(scheme)).start();
            assert_eq!(response(&gateway, method, &request).status, 401, "{scheme}");
            nothing_reached(gateway, app);
        }
    }
}

/// The access lines for these requests, of a gateway with this signature.
fn logged(signature: &str, methods: &str, requests: &[(&str, Post)]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{SCHEMES}\n[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[log]\nformat = \"json\"\n\
         [signature]\n{signature}\nsecrets = [{{ value = \"{KEY}\" }}]\n\
         [[routes]]\npath = \"/hook\"\nupstream = \"http://127.0.0.1:1\"\nmethods = {methods}\n"
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let mut running = Running::start(command.current_dir(folder.path()).stdin(Stdio::null()));
    let address = address_in(&running.wait_for("\"listening\""));
    for (method, request) in requests {
        Client::connect(address).send(request.bytes()).response_to(method);
    }
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    let lines = running.seen.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == "request").collect()
}

#[test]
fn the_log_says_what_a_refused_request_is_and_which_key_handles_it() {
    let head = ("HEAD", empty("HEAD", "/hook"));
    let hook = ("POST", post("{}").line("x-hook-secret: 41f7bbac"));
    for (signature, methods, request, status, want) in [
        ("scheme = \"intercom\"", "[\"POST\", \"HEAD\"]", &head, 401, "HEAD: `challenge = \"answer\"`"),
        ("scheme = \"intercom\"", "[\"POST\"]", &head, 405, "HEAD: `challenge = \"answer\"`"),
        (
            "scheme = \"tasks\"",
            "[\"POST\"]",
            &hook,
            401,
            "POST with x-hook-secret: `challenge = \"forward-unsigned\"`",
        ),
    ] {
        let lines = logged(signature, methods, std::slice::from_ref(request));
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(line["status"], status);
        let detail = line["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with("the sender's set-up request") && detail.contains(want), "{line}");
        assert!(!detail.contains("41f7bbac"), "a secret of the sender is not logged");
    }
    let answers = "scheme = \"intercom\"\nchallenge = \"answer\"";
    assert_eq!(logged(answers, "[\"POST\", \"HEAD\"]", &[head])[0]["challenge"], "answered");
    let forwards = "scheme = \"tasks\"\nchallenge = \"forward-unsigned\"";
    let line = &logged(forwards, "[\"POST\"]", &[hook])[0];
    assert_eq!((&line["challenge"], &line["secret"]), (&"forwarded".into(), &Value::Null), "{line}");
}

#[test]
fn the_app_answers_exactly_the_set_up_requests_if_the_operator_permits_it() {
    for (scheme, method, request) in requests() {
        let app = app();
        let gateway = route(&app, scheme, "forward-unsigned", lines(scheme)).start();
        assert_eq!(response(&gateway, method, &request).status, 200, "{scheme}");
        assert_eq!(app.requests().len(), 1, "{scheme}");
    }
    for (scheme, request) in [
        ("tasks", post(r#"{"events":[{"action":"deleted"}]}"#).line("x-hook-secret: 41f7bbac")),
        ("tasks", post("{}")),
        ("pages", post(r#"{"verification_token":"x","type":"page.deleted"}"#)),
        ("slack", post("ssl_check=1&token=Gg71&command=%2Fdeploy")),
        ("pages", post(&format!("{{\"verification_token\":\"{}\"}}", "x".repeat(9000)))),
        ("cloud", empty("OPTIONS", "/hook")),
        ("meta", empty("GET", "/hook?hub.mode=subscribe")),
        ("meta", post("{}").target("/hook?hub.mode=subscribe&hub.challenge=115&hub.verify_token=t")),
        ("trello", empty("GET", "/hook")),
    ] {
        let app = app();
        let gateway = route(&app, scheme, "forward-unsigned", lines(scheme)).start();
        assert_refused(&exchange(&gateway, &request), 401, Some("signature_missing"));
        nothing_reached(gateway, app);
    }
}

/// If a request has a signature field, only this field decides.
#[test]
fn a_set_up_request_with_a_wrong_signature_is_refused() {
    let app = app();
    let gateway = route(&app, "tasks", "forward-unsigned", "").start();
    let forged = post("{}").line("x-hook-secret: 41f7").line(format!("x-hook-signature: {}", "0".repeat(64)));
    assert_refused(&exchange(&gateway, &forged), 401, Some("signature_mismatch"));
    let signed = post("{}").line(format!("x-hook-signature: {}", signature_with(KEY, b"{}")));
    exchange(&gateway, &signed).assert_answer("ok");
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn the_gateway_answers_set_up_requests_as_their_senders_expect() {
    let answered = |scheme: &str, method: &str, request: Post| {
        let app = app();
        let gateway = route(&app, scheme, "answer", lines(scheme)).start();
        let response = response(&gateway, method, &request);
        nothing_reached(gateway, app);
        assert_eq!(response.status, 200, "{scheme}");
        response
    };
    for (scheme, request) in [
        ("trello", empty("HEAD", "/hook")),
        ("intercom", empty("HEAD", "/hook")),
        ("slack", post("ssl_check=1&token=Gg71")),
        ("woocommerce", post("webhook_id=12")),
    ] {
        let method = if matches!(scheme, "trello" | "intercom") { "HEAD" } else { "POST" };
        let response = answered(scheme, method, request);
        assert_eq!((&*response.body, response.value("content-type")), (&b""[..], None), "{scheme}");
    }
    let options = empty("OPTIONS", "/hook").line("webhook-request-origin: events.example.com");
    let response = answered("cloud", "OPTIONS", options);
    for (name, value) in [("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "*")] {
        assert_eq!(response.value(name).as_deref(), Some(value), "{name}");
    }
    let challenge = r#"{"challenge":"d78d-01ce","webhookId":"7"}"#;
    let response = answered("sheets", "POST", post(challenge).line("smartsheet-hook-challenge: d78d-01ce"));
    assert_eq!(response.value("smartsheet-hook-response").as_deref(), Some("d78d-01ce"));
    let html = post(challenge).line("smartsheet-hook-challenge: <b>");
    let app = app();
    let gateway = route(&app, "sheets", "answer", "").start();
    assert_refused(&exchange(&gateway, &html), 401, Some("signature_missing"));
    nothing_reached(gateway, app);
}

/// X asks for the HMAC of a value that any client may choose. This HMAC must sign no event.
#[test]
fn the_answer_to_x_has_an_hmac_that_is_the_signature_of_nothing() {
    let base64 = |hex: &str| base64::engine::general_purpose::STANDARD.encode(hex::decode(hex).unwrap());
    let app = app();
    let gateway = route(&app, "x", "answer", "").start();
    for value in ["ZmJhNzQ1", "true", "17"] {
        let response = exchange(&gateway, &empty("GET", &format!("/hook?crc_token={value}")));
        let tag = format!("sha256={}", base64(&signature_with(KEY, value.as_bytes())));
        assert_eq!(response.value("content-type").as_deref(), Some("application/json"));
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(answer, serde_json::json!({ "response_token": tag }));
        let replayed = post(value).line(format!("x-twitter-webhooks-signature: {tag}"));
        assert_refused(&exchange(&gateway, &replayed), 401, Some("signature_mismatch"));
    }
    let content = r#"{"for_user_id":"2244994945"}"#;
    let tag = base64(&signature_with(KEY, content.as_bytes()));
    let event = post(content).line(format!("x-twitter-webhooks-signature: sha256={tag}"));
    exchange(&gateway, &event).assert_answer("ok");
    assert_eq!(app.requests().len(), 1);
}

/// Nothing unsigned is stored: the app must answer the request at once, and nobody has proved who sent it.
#[test]
fn a_set_up_request_is_not_stored_on_a_route_with_a_queue() {
    let app = app();
    let gateway = route(&app, "tasks", "forward-unsigned", "delivery = \"queue\"").queue("").start();
    let response = exchange(&gateway, &post("{}").line("x-hook-secret: 41f7bbac"));
    response.assert_answer("ok");
    assert_eq!(app.requests().len(), 1);
}
