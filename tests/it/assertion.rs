//! The gateway's assertion on what it forwards. The app of these tests verifies it by its own reading of RFC
//! 9421.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::support::http2::Http2;
use crate::support::upstream::{OK, Oracle, Request};
use crate::support::{
    FIXTURE, Gateway, Setup, Upstream, assert_refused, exchange, gateway, nothing_reached, post, unsigned,
};

const PATH: &str = "/webhook/leases";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const BROKEN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\ndown";
const ID_FIELD: &str = "event_id_field = \"x-event\"";

fn asserting(lines: &str) -> Setup {
    gateway().forward(&format!(
        "assertion = {{ key = {{ value = \"{KEY}\" }}, key_id = \"k1\", expires = \"5m\" }}\n{lines}"
    ))
}

fn only(request: &Request, name: &str) -> String {
    let values = request.values(name);
    assert_eq!(values.len(), 1, "{name}: {:?}", request.fields);
    String::from_utf8(values[0].clone()).unwrap()
}

/// The values of a dictionary field, without a full parser: its members have no comma inside.
fn member(request: &Request, field: &str) -> Result<String, String> {
    let joined = request.values(field).concat_with(", ");
    let mut ours = joined.split(", ").filter_map(|member| member.strip_prefix("hookgate="));
    let one = ours.next().ok_or(format!("no member of {field} is hookgate's: {joined}"))?;
    if ours.next().is_some() { Err(format!("two of them: {joined}")) } else { Ok(one.to_owned()) }
}

trait ConcatWith {
    fn concat_with(&self, separator: &str) -> String;
}

impl ConcatWith for Vec<Vec<u8>> {
    fn concat_with(&self, separator: &str) -> String {
        let text = |value: &Vec<u8>| String::from_utf8(value.clone()).unwrap();
        self.iter().map(text).collect::<Vec<_>>().join(separator)
    }
}

/// When the assertion was made, and the components that it covers.
#[derive(Debug, PartialEq)]
struct Verified {
    created: u64,
    covered: Vec<String>,
}

fn parameter<'t>(input: &'t str, name: &str) -> &'t str {
    let value = input.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default().trim_matches('"')
}

/// What an app does.
fn verify(request: &Request, key: &str) -> Result<Verified, String> {
    let input = member(request, "signature-input")?;
    let signature = member(request, "signature")?;
    let names = input.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or("no list")?.0;
    let covered: Vec<String> = names.split(' ').map(|name| name.trim_matches('"').to_owned()).collect();
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut base = String::new();
    for name in &covered {
        let value = match name.as_str() {
            "@method" => request.method.clone(),
            "@path" => path.to_owned(),
            "@query" => format!("?{query}"),
            field => request.values(field).concat_with(", "),
        };
        base += &format!("\"{name}\": {value}\n");
    }
    base += &format!("\"@signature-params\": {input}");
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(base.as_bytes());
    let presented = STANDARD.decode(signature.trim_matches(':')).map_err(|error| error.to_string())?;
    mac.verify_slice(&presented).map_err(|_wrong| format!("the signature is not over {base}"))?;
    let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&request.content)));
    if only(request, "content-digest") != digest {
        return Err("the digest is wrong".to_owned());
    }
    let (created, expires) = (parameter(&input, "created"), parameter(&input, "expires"));
    let created: u64 = created.parse().map_err(|_none| "no time")?;
    assert_eq!(expires, (created + 300).to_string());
    assert_eq!((parameter(&input, "keyid"), parameter(&input, "tag")), ("k1", "hookgate"));
    Ok(Verified { created, covered })
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

const COVERED: [&str; 4] = ["@method", "@path", "@query", "content-digest"];

#[test]
fn an_app_verifies_what_was_forwarded_and_refuses_every_change_of_it() {
    let upstream = Upstream::ok();
    let gateway = asserting("").route("/webhook/{*rest}", &upstream.url()).start();
    let target = "/webhook/a%20b?c=d&&e=%2F";
    let before = seconds();
    exchange(&gateway, &post(FIXTURE).target(target)).assert_answer("ok");
    let request = upstream.only_request();
    let verified = verify(&request, KEY).unwrap();
    assert_eq!(verified.covered, COVERED);
    assert!((before..=seconds()).contains(&verified.created), "{}", verified.created);
    assert!(verify(&request, "another key").is_err());
    let changed = |change: fn(&mut Request)| {
        let mut changed = request.clone();
        change(&mut changed);
        verify(&changed, KEY)
    };
    assert_eq!(changed(|_| {}), verify(&request, KEY));
    assert!(changed(|request| request.method = "PUT".to_owned()).is_err());
    assert!(changed(|request| request.target = "/webhook/a b?c=d&&e=%2F".to_owned()).is_err());
    assert!(changed(|request| request.target = "/webhook/a%20b?c=d&&e=/".to_owned()).is_err());
    assert!(changed(|request| request.content.push(b'\n')).is_err());
}

#[test]
fn content_of_every_size_has_its_digest() {
    let upstream = Upstream::ok();
    let gateway = asserting("").limits("max_body = \"3MiB\"").route(PATH, &upstream.url()).start();
    let sizes = [0, 1, 2048, 2049, 64 * 1024, 64 * 1024 + 1, 3 * 1024 * 1024];
    for size in sizes {
        exchange(&gateway, &post(vec![b'x'; size])).assert_answer("ok");
    }
    for (request, size) in upstream.requests().iter().zip(sizes) {
        assert_eq!(request.content.len(), size);
        assert_eq!(verify(request, KEY).unwrap().covered, COVERED, "{size}");
    }
}

#[test]
fn what_a_client_writes_under_the_gateways_label_is_removed_and_a_senders_own_members_stay() {
    let upstream = Upstream::ok();
    let gateway = asserting("").route(PATH, &upstream.url()).start();
    let request = post(FIXTURE)
        .line("Signature-Input: sender=(\"@path\");created=1, hookgate=(\"@method\");tag=\"hookgate\"")
        .line("Signature: hookgate=:aW52ZW50ZWQ=:")
        .line("signature: sender=:YQ==:")
        .line("content-digest: sha-256=:aW52ZW50ZWQ=:")
        .line("connection: signature-input");
    exchange(&gateway, &request).assert_answer("ok");
    exchange(&gateway, &request.clone().without("connection")).assert_answer("ok");
    let requests = upstream.requests();
    for request in &requests {
        verify(request, KEY).unwrap();
    }
    // The connection line removes the client's line, but not the gateway's. Then the sender's signature is
    // incomplete.
    assert_eq!((requests[0].values("signature-input").len(), requests[0].values("signature").len()), (1, 1));
    assert_eq!(requests[1].values("signature-input")[0], b"sender=(\"@path\");created=1");
    assert_eq!(requests[1].values("signature")[0], b"sender=:YQ==:");
}

#[test]
fn a_lookalike_of_a_field_of_the_assertion_is_refused_only_where_there_is_one() {
    for (line, lines) in [("Signature_Input: x=1", ""), ("content.digest: x", ID_FIELD)] {
        let upstream = Upstream::ok();
        let with = asserting(lines).route(PATH, &upstream.url()).start();
        assert_refused(&exchange(&with, &post(FIXTURE).line(line)), 400, None);
        nothing_reached(with, upstream);
        let upstream = Upstream::ok();
        let without = Gateway::before(&upstream);
        exchange(&without, &post(FIXTURE).line(line)).assert_answer("ok");
    }
}

#[test]
fn without_an_assertion_nothing_of_a_client_is_removed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let lines = ["signature: hookgate=:YQ==:", "signature-input: hookgate=()", "content-digest: x"];
    let request = lines.iter().fold(post(FIXTURE), |request, line| request.line(*line));
    exchange(&gateway, &request).assert_answer("ok");
    let got = upstream.only_request();
    assert_eq!(only(&got, "signature"), "hookgate=:YQ==:");
    assert_eq!(only(&got, "signature-input"), "hookgate=()");
    assert_eq!(only(&got, "content-digest"), "x");
}

/// Over HTTP/2, the path and the query come in a pseudo-field, and the content in frames.
#[test]
fn a_request_over_http_2_is_asserted_as_the_app_gets_it() {
    let upstream = Upstream::ok();
    let gateway = asserting("").server("h2c = true").route("/webhook/{*rest}", &upstream.url()).start();
    let mut client = Http2::to(&gateway);
    let targets = ["/webhook/a%20b?c=d&&e=%2F", "/webhook/plain"];
    for target in targets {
        let request = post(FIXTURE).target(target).line("signature-input: a=()");
        let request = request.line("signature: hookgate=:YQ==:, a=:YQ==:");
        client.exchange(&request).assert_answer("ok");
    }
    client.exchange(&post("").target("/webhook/empty")).assert_answer("ok");
    let requests = upstream.requests();
    for (request, target) in requests.iter().zip(targets) {
        assert_eq!(request.target, target);
        let signatures = request.values("signature").concat_with(", ");
        assert_eq!(signatures.matches("hookgate=").count(), 1, "{signatures}");
        assert!(signatures.contains("a=:YQ==:"), "{signatures}");
        assert_eq!(verify(request, KEY).unwrap().covered, COVERED);
        let moved = Request { target: "/webhook/other".to_owned(), ..request.clone() };
        assert!(verify(&moved, KEY).is_err());
    }
    assert_eq!(verify(&requests[2], KEY).unwrap().covered, COVERED);
}

/// An assertion says that the gateway has verified the sender's signature.
#[test]
fn a_request_that_is_only_observed_has_no_assertion_but_one_that_verifies_has() {
    let upstream = Upstream::with_oracle(Oracle::default().observing(), |connection| {
        while connection.request().is_some() {
            connection.send(OK);
        }
    });
    let gateway = asserting("").route_with(PATH, &upstream.url(), "mode = \"observe\"").start();
    let lie = "signature: hookgate=:YQ==:, a=1";
    exchange(&gateway, &unsigned(FIXTURE).line("propify-signature: 00").line(lie)).assert_answer("ok");
    exchange(&gateway, &unsigned(FIXTURE).line(lie)).assert_answer("ok");
    exchange(&gateway, &post(FIXTURE).line(lie)).assert_answer("ok");
    let requests = upstream.requests();
    for request in &requests[..2] {
        assert_eq!(only(request, "signature"), "a=1");
        assert!(!request.has("signature-input") && !request.has("content-digest"));
    }
    verify(&requests[2], KEY).unwrap();
}

#[test]
fn every_delivery_of_a_stored_event_is_signed_anew_with_its_id() {
    for delivery in ["queue", "fallback"] {
        let failed = AtomicBool::new(false);
        let upstream = Upstream::scripted(move |connection| {
            while connection.request().is_some() {
                connection.send(if failed.swap(true, Ordering::SeqCst) { OK } else { BROKEN });
            }
        });
        let gateway = asserting(ID_FIELD)
            .queue("[retry]\nschedule = [\"50ms\"]")
            .route_with(PATH, &upstream.url(), &format!("delivery = \"{delivery}\""))
            .start();
        let request = post(FIXTURE)
            .line("signature: hookgate=:YQ==:, a=:YQ==:")
            .line("signature-input: a=()")
            .line("x-event: invented");
        assert_eq!(exchange(&gateway, &request).status, 202);
        let requests = upstream.wait_for(2);
        let verified: Vec<_> = requests.iter().map(|request| verify(request, KEY).unwrap()).collect();
        for (request, verified) in requests.iter().zip(&verified) {
            assert_eq!(verified.covered, [&COVERED[..], &["x-event"]].concat());
            assert_eq!(only(request, "x-event").len(), 36);
            assert_eq!(request.values("signature")[0], b"a=:YQ==:");
        }
        assert!(verified[1].created >= verified[0].created, "{verified:?}");
        assert_eq!(only(&requests[0], "x-event"), only(&requests[1], "x-event"));
    }
}

#[test]
fn an_event_that_was_stored_before_the_assertion_was_configured_is_signed_when_it_is_delivered() {
    // The app never takes the event, so each attempt is followed by another one.
    let upstream = Upstream::answering(BROKEN);
    let folder = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let with = |setup: Setup| {
        setup.queue_in(&folder, "[retry]\nschedule = [\"50ms\"]").route_with(
            PATH,
            &upstream.url(),
            "delivery = \"queue\"",
        )
    };
    let gateway = with(gateway()).start();
    let lie = "x-event: invented";
    assert_eq!(exchange(&gateway, &post(FIXTURE).line("signature: hookgate=:YQ==:").line(lie)).status, 202);
    let first = &upstream.wait_for(1)[0];
    assert_eq!(only(first, "signature"), "hookgate=:YQ==:");
    gateway.reload(with(asserting(ID_FIELD)));
    let mut count = 1;
    let signed = loop {
        // An attempt may have begun before the reload.
        let requests = upstream.wait_for(count);
        match requests.iter().find(|request| request.has("signature-input")) {
            Some(signed) => break signed.clone(),
            None => count = requests.len() + 1,
        }
        assert!(count < 500, "no attempt is signed");
    };
    // The id in the head is the client's, so the gateway does not vouch for it.
    assert_eq!(verify(&signed, KEY).unwrap().covered, COVERED);
}

#[test]
fn a_reload_changes_the_key() {
    let upstream = Upstream::ok();
    let gateway_of = |key: &str| {
        gateway()
            .forward(&format!("assertion = {{ key = {{ value = \"{key}\" }}, key_id = \"k1\" }}"))
            .route(PATH, &upstream.url())
    };
    let gateway = gateway_of(KEY).start();
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    let other = "fedcba9876543210fedcba9876543210";
    assert_eq!(gateway.reload(gateway_of(other)), [""; 0]);
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    let requests = upstream.requests();
    assert!(verify(&requests[0], KEY).is_ok() && verify(&requests[0], other).is_err());
    assert!(verify(&requests[1], other).is_ok() && verify(&requests[1], KEY).is_err());
}

/// An app needs the public key, and nobody needs the private key.
#[test]
fn check_shows_the_public_key_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "[forward]\nassertion = {{ key = {{ file = \"key\" }}, algorithm = \"ed25519\", key_id = \"k1\", expires = \"90s\" }}\n\
         [signature]\nscheme = \"propify\"\nsecrets = [{{ value = \"{KEY}\" }}]\n\
         [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\n"
    );
    std::fs::write(&file, text).unwrap();
    // The key of RFC 9421, appendix B.1.4.
    let private = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF";
    let public = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n");
    std::fs::write(folder.path().join("key"), pem).unwrap();
    let check = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookgate"));
        let output = command.arg("--config").arg(&file).arg("check").args(more).output().unwrap();
        let shown =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && !shown.contains("MC4CAQ"), "{shown}");
        shown
    };
    let shown = check(&[]);
    assert!(shown.contains("verified requests are signed with ed25519, key `k1`, valid for 90s"), "{shown}");
    assert!(shown.contains(&format!("the public key of `k1` is {public}")), "{shown}");
    let document: serde_json::Value = serde_json::from_str(&check(&["--json"])).unwrap();
    let want = serde_json::json!({
        "algorithm": "ed25519", "key_id": "k1", "expires_s": 90, "public_key": public,
    });
    assert_eq!(document["assertion"], want);
}
