//! Lookalike field names. Apps behind CGI, WSGI, uWSGI, Rack or PHP read `X_Y`, `X.Y` and `x-y` as the same
//! variable. So a field is refused if an app could take its name for the name of an important field.

use hookgate::signature::scheme::PRESETS;

use crate::support::process::{Running, address_in};
use crate::support::{
    Client, FIXTURE, Gateway, Post, SECRET, SECRET_NAME, Upstream, assert_refused, exchange, gateway,
    nothing_reached, post, signature, unsigned,
};

/// Asserts that the request is refused with 400, and that its connection is closed.
fn assert_malformed(gateway: &Gateway, request: &Post) {
    let mut client = Client::to(gateway);
    client.offer(request.bytes());
    assert_refused(&client.response(), 400, None);
    client.assert_closed();
}

/// Three names that an app could read as `name`. `name` contains a `-`.
fn spelled_otherwise(name: &str) -> [String; 3] {
    [name.replace('-', "_"), name.replacen('-', ".", 1).to_uppercase(), name.replace('-', "~")]
}

#[test]
fn a_lookalike_of_a_framing_field_is_refused_before_its_route_is_looked_for() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .route("/webhook/leases", &upstream.url())
        .route_with("/observed", &upstream.url(), "mode = \"observe\"")
        .start();
    for target in ["/webhook/leases", "/observed", "/elsewhere"] {
        for (name, value) in [("content-length", "11"), ("transfer-encoding", "chunked")] {
            for name in spelled_otherwise(name) {
                let line = format!("{name}: {value}");
                assert_malformed(&gateway, &post(FIXTURE).target(target).line(&line));
                assert_malformed(&gateway, &post(FIXTURE).target(target).line(&line).chunked(&[7]));
                assert_malformed(&gateway, &unsigned("").target(target).method("GET").line(&line));
            }
        }
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_lookalike_of_a_field_that_the_gateway_sets_is_refused_before_its_route_is_looked_for() {
    let upstream = Upstream::ok();
    for x_forwarded in ["true", "\"overwrite\""] {
        let gateway = gateway()
            .forward(&format!("verified_field = \"x-hookgate-verified\"\nx_forwarded = {x_forwarded}"))
            .route("/webhook/leases", &upstream.url())
            .route_with("/observed", &upstream.url(), "mode = \"observe\"")
            .start();
        for target in ["/webhook/leases", "/observed", "/elsewhere"] {
            for name in ["x-hookgate-verified", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
                for name in spelled_otherwise(name) {
                    assert_malformed(&gateway, &post(FIXTURE).target(target).line(format!("{name}: x")));
                }
            }
        }
        // Fields that hookgate sets are accepted with any case of letters, because hookgate replaces their
        // values.
        let request = post(FIXTURE).line("X-Hookgate-Verified: x").line("X-FORWARDED-for: 1.1.1.1");
        exchange(&gateway, &request).assert_answer("ok");
    }
    for request in upstream.requests() {
        let verified = format!("scheme=propify, secret={SECRET_NAME}").into_bytes();
        assert_eq!(request.values("x-hookgate-verified"), [verified]);
        assert_eq!(request.values("x-forwarded-for").len(), 1);
    }
}

#[test]
fn a_field_that_the_gateway_is_not_told_to_set_has_no_lookalikes() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let request =
        post(FIXTURE).line("x_hookgate_verified: x").line("X_Forwarded_For: x").line("x.forwarded.host: x");
    exchange(&gateway, &request).assert_answer("ok");
    let seen = upstream.only_request();
    for name in ["x_hookgate_verified", "x_forwarded_for", "x.forwarded.host"] {
        assert_eq!(seen.values(name), [b"x"], "{name}");
    }
}

#[test]
fn a_lookalike_of_any_field_that_a_scheme_reads_is_refused_before_anything_is_claimed() {
    let upstream = Upstream::ok();
    let schemes = || PRESETS.iter().filter(|scheme| scheme.algorithm.is_symmetric());
    let setup = schemes().fold(gateway(), |setup, scheme| {
        let name = &scheme.name;
        let lines = format!(
            "public_url = \"https://a.test\"\nsignature = {{ scheme = \"{name}\", \
             secrets = [{{ value = \"{SECRET}\", encoding = \"utf8\" }}] }}\n"
        );
        setup.route_with(&format!("/signed/{name}"), &upstream.url(), &lines).route_with(
            &format!("/observed/{name}"),
            &upstream.url(),
            &(lines + "mode = \"observe\""),
        )
    });
    let gateway = setup.start();
    let mut tried = 0;
    for scheme in schemes() {
        for field in scheme.fields().filter(|field| field.contains('-')) {
            tried += 1;
            for name in spelled_otherwise(field) {
                let unsigned = unsigned("{}").line(format!("{name}: evil"));
                for kind in ["signed", "observed"] {
                    let request = unsigned.clone().target(&format!("/{kind}/{}", scheme.name));
                    assert_malformed(&gateway, &request);
                    assert_malformed(&gateway, &request.method("DELETE"));
                }
                let response = exchange(&gateway, &unsigned.target("/elsewhere"));
                assert_refused(&response, 404, Some("no_route"));
            }
        }
    }
    assert!(tried > 40, "{tried}");
    nothing_reached(gateway, upstream);
}

#[test]
fn another_schemes_fields_have_no_lookalikes_on_a_route() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let request = post(FIXTURE).line("webhook_id: x").line("X_Hub_Signature_256: y");
    exchange(&gateway, &request).assert_answer("ok");
    let seen = upstream.only_request();
    assert_eq!(seen.values("webhook_id"), [b"x"]);
    assert_eq!(seen.values("x_hub_signature_256"), [b"y"]);
}

#[test]
fn a_name_that_is_only_odd_passes_unchanged() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .forward("verified_field = \"x-hookgate-verified\"\nx_forwarded = true")
        .route("/webhook/leases", &upstream.url())
        .start();
    // Names that are longer or shorter, that lack the `-`, or that have two of them. Also names that only an
    // app interprets.
    let lines = [
        "X_Custom: 1",
        "x.y~z!: 2",
        "Content_Length_2: 11",
        "contentlength: 11",
        "content__length: 11",
        "_content_length: 11",
        "content_lengt: 11",
        "propify_signatures: x",
        "xpropify_signature: x",
        "Content_Type: text/plain",
        "Keep_Alive: timeout=5",
        "Proxy_Connection: close",
    ];
    let request = lines.iter().fold(post(FIXTURE), |request, line| request.line(line));
    exchange(&gateway, &request).assert_answer("ok");
    let seen = upstream.only_request();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let got = seen.fields.iter().find(|field| field.name == name);
        assert_eq!(got.map(|field| &field.value[..]), Some(value.as_bytes()), "{line}");
    }
}

#[test]
fn the_fields_themselves_pass_in_any_case() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let request = unsigned(FIXTURE).line(format!("PROPIFY-Signature: {}", signature(FIXTURE)));
    exchange(&gateway, &request).assert_answer("ok");
    assert!(upstream.only_request().fields.iter().any(|field| field.name == "PROPIFY-Signature"));
}

#[test]
fn a_connection_line_that_names_a_lookalike_takes_nothing_away() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let request = post(FIXTURE).line("connection: propify_signature, content_length, x_a").line("x-a: 1");
    exchange(&gateway, &request).assert_answer("ok");
    let seen = upstream.only_request();
    assert!(seen.has("propify-signature") && seen.has("content-length") && seen.has("x-a"));
}

#[test]
fn lookalikes_among_the_trailers_are_dropped_with_them() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let trailers = "content_length: 11\r\npropify_signature: x\r\n";
    exchange(&gateway, &post(FIXTURE).chunked_with_trailers(&[50, 50], trailers)).assert_answer("ok");
    let seen = upstream.only_request();
    assert!(!seen.has("content_length") && !seen.has("propify_signature"));
}

#[test]
fn the_log_says_what_kind_of_field_it_was_and_repeats_no_name_of_a_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[log]\nformat = \"json\"\n\
         [forward]\nx_forwarded = true\n\
         [signature]\nscheme = \"propify\"\nsecrets = [{{ value = \"{SECRET}\" }}]\n\
         [[routes]]\npath = \"/webhook/leases\"\nupstream = \"http://127.0.0.1:9\"\n"
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.current_dir(folder.path()).stdin(std::process::Stdio::null());
    let mut running = Running::start(&mut command);
    let address = address_in(&running.wait_for("\"listening\""));
    for name in ["content~length", "x~forwarded~for", "propify~signature"] {
        let request = post(FIXTURE).line(format!("{name}: x"));
        assert_eq!(Client::connect(address).send(request.bytes()).response().status, 400);
    }
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    let requests = running.seen.lines().filter(|line| line.contains("\"message\":\"request\""));
    let lines: Vec<serde_json::Value> = requests.map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = lines.iter().map(|line| (line["detail"].as_str(), line["route"].as_str())).collect();
    let want = [
        (Some("an app could read a field's name as content-length"), None),
        (Some("an app could read a field's name as that of one the gateway sets"), None),
        (
            Some("an app could read a field's name as that of one the signature needs"),
            Some("/webhook/leases"),
        ),
    ];
    assert_eq!(said, want);
    assert!(!running.seen.contains('~'), "{}", running.seen);
}
