//! Routing by the signed model, and observe mode.

use crate::support::upstream::Oracle;
use crate::support::{
    Client, FIXTURE, Gateway, Upstream, assert_refused, exchange, gateway, nothing_reached, post, unsigned,
};

fn meta(model: &str) -> String {
    format!(r#"{{"meta":{{"object":"{model}","integration_id":"x"}},"record_id":"y","diff":{{}}}}"#)
}

fn data(model: &str) -> String {
    format!(r#"{{"data":{{"event":"created","object":"{model}"}}}}"#)
}

/// An upstream that answers with this name.
fn named(name: &'static str) -> Upstream {
    Upstream::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len()))
}

#[test]
fn routes_that_share_a_path_are_told_apart_by_the_signed_model() {
    let (leases, leads, rest) = (named("leases"), named("leads"), named("rest"));
    let gateway = gateway()
        .route_with("/hook", &leases.url(), "model = \"leases\"")
        .route_with("/hook", &leads.url(), "model = \"leads\"")
        .route("/hook", &rest.url())
        .start();
    for (content, expected) in [
        (meta("leases"), "leases"),
        (data("leases"), "leases"),
        (meta("leads"), "leads"),
        (data("leads"), "leads"),
        (r#"{"meta":{"object":"leads"},"data":{"object":"leads"}}"#.to_owned(), "leads"),
        (r#" { "meta" : { "ob\u006aect" : "l\u0065ads" } } "#.to_owned(), "leads"),
        (meta("applicants-to-applications"), "rest"),
        (meta("lease"), "rest"),
        (meta("Leases"), "rest"),
        (meta(""), "rest"),
        ("{}".to_owned(), "rest"),
        (r#"{"meta":{}}"#.to_owned(), "rest"),
        (r#"{"event":"job.done"}"#.to_owned(), "rest"),
        (r#"{"object":"leads"}"#.to_owned(), "rest"),
    ] {
        let response = exchange(&gateway, &post(&content).target("/hook"));
        assert_eq!((response.status, response.text().as_str()), (200, expected), "{content}");
    }
}

#[test]
fn a_path_without_a_route_for_the_model_is_a_mismatch() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .route_with("/hook", &upstream.url(), "model = \"leases\"")
        .route_with("/hook", &upstream.url(), "model = \"leads\"")
        .start();
    for content in [meta("jobs"), data("jobs"), "{}".to_owned(), meta("Leads"), meta("leads ")] {
        let response = exchange(&gateway, &post(content).target("/hook"));
        assert_refused(&response, 403, Some("model_mismatch"));
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_segment_of_the_path_must_be_the_signed_model() {
    let upstream = Upstream::ok();
    let gateway = gateway().route("/webhook/{model}", &upstream.url()).start();
    for model in ["leases", "leads", "applicants-to-applications"] {
        let target = format!("/webhook/{model}");
        exchange(&gateway, &post(meta(model)).target(&target)).assert_answer("ok");
        exchange(&gateway, &post(data(model)).target(&format!("{target}?x=y"))).assert_answer("ok");
    }
    for (target, content) in [
        ("/webhook/leads", meta("leases")),
        ("/webhook/leads", data("leases")),
        ("/webhook/leads", "{}".to_owned()),
        ("/webhook/Leads", meta("leads")),
        ("/webhook/leads?leases", meta("leases")),
    ] {
        let response = exchange(&gateway, &post(content).target(target));
        assert_refused(&response, 403, Some("model_mismatch"));
    }
    for target in ["/webhook/{model}", "/webhook/%6ceads"] {
        assert_refused(&exchange(&gateway, &post(meta("leads")).target(target)), 400, None);
    }
    for target in ["/webhook/", "/webhook", "/webhook/leads/", "/webhook/leads/x"] {
        assert_refused(&exchange(&gateway, &post(meta("leads")).target(target)), 404, Some("no_route"));
    }
    assert_eq!(upstream.requests().len(), 6);
}

#[test]
fn a_literal_path_wins_over_one_with_a_segment() {
    let (literal, segment) = (named("literal"), named("segment"));
    let gateway = gateway()
        .route("/webhook/{model}", &segment.url())
        .route_with("/webhook/leads", &literal.url(), "model = \"leads\"")
        .start();
    let to_leads = |content: String| exchange(&gateway, &post(content).target("/webhook/leads"));
    to_leads(meta("leads")).assert_answer("literal");
    assert_refused(&to_leads(meta("leases")), 403, Some("model_mismatch"));
    exchange(&gateway, &post(meta("leases")).target("/webhook/leases")).assert_answer("segment");
}

/// Content in which two parsers could find two models, or none.
const AMBIGUOUS: [&str; 20] = [
    r#"{"meta":{"object":"leads"},"data":{"object":"leases"}}"#,
    r#"{"meta":{"object":"leads","object":"leads"}}"#,
    r#"{"meta":{"object":"leases","object":"leads"}}"#,
    r#"{"meta":{"object":"leads","\u006fbject":"leads"}}"#,
    r#"{"meta":{"object":"leads"},"meta":{"object":"leads"}}"#,
    r#"{"meta":{"object":"leads"},"meta":{}}"#,
    // Go and ASP.NET Core read keys that differ only in case as the same key. The last value counts.
    r#"{"meta":{"object":"leads"},"Meta":{"object":"leases"}}"#,
    r#"{"Meta":{"object":"leases"},"meta":{"object":"leads"}}"#,
    r#"{"meta":{"object":"leads","Object":"leases"}}"#,
    r#"{"meta":{"object":"leads"},"DATA":{"object":"leases"}}"#,
    r#"{"Meta":{"object":"leads"}}"#,
    r#"{"meta":{"object":"leads"},"m\u0045ta":{"object":"leases"}}"#,
    r#"{"meta":{"object":"leads"},"data":{"object":"leads"},"data":{}}"#,
    r#"{"meta":{"object":"leads",}}"#,
    r#"{"meta":{"object":"leads"}} x"#,
    r#"{"meta":{"object":"leads"}}{}"#,
    "{'meta':{'object':'leads'}}",
    "meta[object]=leads",
    "",
    "\u{feff}{\"meta\":{\"object\":\"leads\"}}",
];

#[test]
fn content_that_does_not_say_its_model_plainly_is_a_mismatch_where_a_model_is_asked_for() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .route_with("/named", &upstream.url(), "model = \"leads\"")
        .route("/webhook/{model}", &upstream.url())
        .start();
    for content in AMBIGUOUS {
        for target in ["/named", "/webhook/leads"] {
            let response = exchange(&gateway, &post(content).target(target));
            assert_eq!(response.status, 403, "{content}");
            assert_refused(&response, 403, Some("model_mismatch"));
        }
    }
    let invalid = b"{\"meta\":{\"object\":\"leads\"},\"x\":\"\xff\"}";
    assert_refused(&exchange(&gateway, &post(invalid).target("/named")), 403, Some("model_mismatch"));
    nothing_reached(gateway, upstream);
}

/// Content that is not JSON is refused. A route without a model also requires content that is not ambiguous.
#[test]
fn content_that_is_ambiguous_is_a_mismatch_even_where_a_route_takes_the_rest() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .route_with("/hook", &upstream.url(), "model = \"leads\"")
        .route("/hook", &upstream.url())
        .start();
    for content in AMBIGUOUS {
        let response = exchange(&gateway, &post(content).target("/hook"));
        assert_eq!(response.status, 403, "{content}");
        assert_refused(&response, 403, Some("model_mismatch"));
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn where_no_model_is_asked_for_nothing_is_parsed() {
    let upstream = Upstream::ok();
    let gateway = gateway().route("/hook", &upstream.url()).route("/any/{name}", &upstream.url()).start();
    for content in AMBIGUOUS {
        exchange(&gateway, &post(content).target("/hook")).assert_answer("ok");
        exchange(&gateway, &post(content).target("/any/leases")).assert_answer("ok");
    }
}

#[test]
fn the_model_is_read_from_what_is_signed_and_never_before_it_verifies() {
    let upstream = Upstream::ok();
    let gateway = gateway().route_with("/hook", &upstream.url(), "model = \"leads\"").start();
    for content in [meta("leads"), meta("leases"), "no JSON".to_owned()] {
        let forged = post(FIXTURE).forged(content).target("/hook");
        assert_refused(&exchange(&gateway, &forged), 401, Some("signature_mismatch"));
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn deep_nesting_is_read_over_or_refused_but_harms_nothing() {
    let upstream = Upstream::ok();
    let gateway = gateway().route_with("/hook", &upstream.url(), "model = \"leads\"").start();
    let deep = "[".repeat(200_000);
    let closed = format!(r#"{{"x":{deep}{},"meta":{{"object":"leads"}}}}"#, "]".repeat(200_000));
    let response = exchange(&gateway, &post(&closed).target("/hook"));
    assert!(matches!(response.status, 200 | 403), "{}", response.status);
    assert_refused(&exchange(&gateway, &post(deep).target("/hook")), 403, Some("model_mismatch"));
    exchange(&gateway, &post(meta("leads")).target("/hook")).assert_answer("ok");
}

/// A gateway in observe mode, with an upstream that accepts requests that are not authentic.
fn observing(limits: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let gateway = gateway()
        .limits(limits)
        .route_with("/webhook/leases", &upstream.url(), "mode = \"observe\"")
        .route_with("/webhook/{model}", &upstream.url(), "mode = \"observe\"")
        .start();
    (upstream, gateway)
}

#[test]
fn a_route_that_observes_forwards_what_it_would_have_refused() {
    let (upstream, gateway) = observing("");
    let requests = [
        post(FIXTURE),
        post(FIXTURE).forged("forged"),
        post(FIXTURE).forged("forged").chunked(&[1, 2]),
        unsigned(FIXTURE),
        unsigned(FIXTURE).line("propify-signature: malformed"),
        post(FIXTURE).line("propify-signature: another"),
        post(meta("leases")).target("/webhook/leads"),
    ];
    for request in &requests {
        exchange(&gateway, request).assert_answer("ok");
    }
    let got = upstream.requests();
    assert_eq!(got.len(), requests.len());
    assert_eq!(got[1].content, b"forged");
    assert_eq!(got[2].content, b"forged");
    assert_eq!(got[3].content, FIXTURE);
    assert_eq!(got[5].values("propify-signature").len(), 2, "repeated lines are passed on");
}

#[test]
fn a_route_that_observes_never_says_verified_of_what_is_not() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let gateway = gateway()
        .forward("verified_field = \"x-hookgate-verified\"")
        .route_with("/webhook/leases", &upstream.url(), "mode = \"observe\"")
        .start();
    let lie = "X-Hookgate-Verified: scheme=propify, secret=name-of-the-secret";
    for request in [unsigned(FIXTURE), post(FIXTURE).forged("forged"), post(FIXTURE)] {
        exchange(&gateway, &request.line(lie).line(lie)).assert_answer("ok");
    }
    let said: Vec<_> =
        upstream.requests().iter().map(|request| request.values("x-hookgate-verified").len()).collect();
    assert_eq!(said, [0, 0, 1]);
}

#[test]
fn a_route_that_observes_still_keeps_its_limits() {
    let (upstream, gateway) = observing("max_body = 1000\nbody_timeout = \"200ms\"");
    let long = vec![b'x'; 1001];
    for request in [unsigned(&long), unsigned(&long).chunked(&[])] {
        let mut client = Client::to(&gateway);
        client.offer(request.bytes());
        assert_refused(&client.response(), 413, Some("body_too_large"));
        client.assert_closed();
    }
    let mut client = Client::to(&gateway);
    client.send(unsigned(FIXTURE).head());
    assert_refused(&client.response(), 408, Some("body_timeout"));
    let response = exchange(&gateway, &unsigned(FIXTURE).method("GET"));
    assert_refused(&response, 405, Some("method_not_allowed"));
    let response = exchange(&gateway, &unsigned(FIXTURE).line("host: another.test"));
    assert_refused(&response, 400, None);
    nothing_reached(gateway, upstream);
}
