//! Several signatures on one route, while a sender changes its signature.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use hmac::Hmac;
use hookgate::signature::Context;
use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::Secret;
use hookgate::signature::sign::Stamp;
use hookgate::signature::{Fields, Verifier};
use sha1::Sha1;
use sha2::Sha256;

use crate::support::in_time::OutputInTime as _;
use crate::support::upstream::{OK, Oracle, Request};
use crate::support::{Gateway, Post, Upstream, assert_refused, exchange, gateway, signature_with, unsigned};

const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

const CONTENT: &[u8] = b"{\"object_kind\":\"pipeline\"}";
const TOKEN: &str = "the-token-of-the-project";
const SIGNING_KEY: &str = "c2lnbmluZyBrZXkgb2YgdGhlIHByb2plY3Q=";

struct NoFields;

impl Fields for NoFields {
    fn values<'a>(&'a self, _name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }
}

const SIGNED: &str =
    "{ scheme = \"gitlab-signed\", secrets = [{ value = \"c2lnbmluZyBrZXkgb2YgdGhlIHByb2plY3Q=\" }] }";
const SHARED: &str = "{ scheme = \"gitlab\", secrets = [{ value = \"the-token-of-the-project\" }] }";

fn with_token(post: Post, token: &str) -> Post {
    post.line(format!("x-gitlab-token: {token}"))
}

/// An event that GitLab has signed with its signing token.
fn signed(content: &[u8], key: &str) -> Post {
    let scheme = Scheme::preset("gitlab-signed").unwrap().clone();
    let key = scheme.secret_encoding.decode(key.as_bytes()).unwrap();
    let secret = Secret { name: "current".into(), key, not_after: None };
    let verifier = Verifier::new(scheme, vec![secret]).unwrap();
    let context = Context::of(&NoFields, std::time::SystemTime::now());
    let stamp = Stamp { timestamp: None, id: Some("evt-5f1") };
    let signature = verifier.signature(None, &context, stamp, content).unwrap();
    signature
        .lines()
        .fold(unsigned(content).target("/ci"), |post, (name, value)| post.line(format!("{name}: {value}")))
}

fn of_gitlab(upstream: &Upstream, signatures: &str) -> Gateway {
    let lines = format!("signature = {signatures}");
    gateway().forward("verified_field = \"x-verified\"").route_with("/ci", &upstream.url(), &lines).start()
}

/// What the app is told of the signature, for each request that reached it.
fn verified(upstream: &Upstream) -> Vec<String> {
    let told = |request: &Request| request.values("x-verified").concat();
    upstream.requests().iter().map(|request| String::from_utf8(told(request)).unwrap()).collect()
}

#[test]
fn the_first_signature_whose_field_is_there_judges_a_request_and_no_later_one_rescues_it() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let gateway = of_gitlab(&upstream, &format!("[{SIGNED}, {SHARED}]"));
    let by_token = || unsigned(CONTENT).target("/ci");
    let other_key = "YW5vdGhlciBrZXkgb2YgdGhlIHByb2plY3Q=";
    exchange(&gateway, &signed(CONTENT, SIGNING_KEY)).assert_answer("ok");
    exchange(&gateway, &with_token(by_token(), TOKEN)).assert_answer("ok");
    exchange(&gateway, &with_token(signed(CONTENT, SIGNING_KEY), TOKEN)).assert_answer("ok");
    exchange(&gateway, &with_token(signed(CONTENT, SIGNING_KEY), "wrong")).assert_answer("ok");
    let told = ["gitlab-signed", "gitlab", "gitlab-signed", "gitlab-signed"];
    let names = ["current", "gitlab.current", "current", "current"];
    let want: Vec<_> = told.iter().zip(names).map(|(s, n)| format!("scheme={s}, secret={n}")).collect();
    assert_eq!(verified(&upstream), want);
    for (post, reason) in [
        (with_token(signed(CONTENT, other_key), TOKEN), "signature_mismatch"),
        (with_token(by_token().line("webhook-signature: v1,AAAA"), TOKEN), "signature_malformed"),
        (with_token(by_token(), "wrong"), "signature_mismatch"),
        (by_token(), "signature_missing"),
    ] {
        assert_refused(&exchange(&gateway, &post), 401, Some(reason));
    }
}

/// The operator's order decides. With the token first, a request with the token is judged by it.
#[test]
fn the_order_of_the_signatures_is_the_operators() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let gateway = of_gitlab(&upstream, &format!("[{SHARED}, {SIGNED}]"));
    let other_key = "YW5vdGhlciBrZXkgb2YgdGhlIHByb2plY3Q=";
    exchange(&gateway, &with_token(signed(CONTENT, other_key), TOKEN)).assert_answer("ok");
    exchange(&gateway, &signed(CONTENT, SIGNING_KEY)).assert_answer("ok");
    let wrong = with_token(signed(CONTENT, SIGNING_KEY), "wrong");
    assert_refused(&exchange(&gateway, &wrong), 401, Some("signature_mismatch"));
    assert_eq!(verified(&upstream).len(), 2);
}

/// A field of any of the signatures is as protected as that of a single one.
#[test]
fn a_lookalike_of_a_later_signatures_field_is_refused_and_connection_removes_none() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let gateway = of_gitlab(&upstream, &format!("[{SIGNED}, {SHARED}]"));
    let lookalike = signed(CONTENT, SIGNING_KEY).line("x_gitlab_token: a");
    assert_refused(&exchange(&gateway, &lookalike), 400, None);
    let named = with_token(signed(CONTENT, SIGNING_KEY), TOKEN).line("connection: x-gitlab-token");
    exchange(&gateway, &named).assert_answer("ok");
    assert_eq!(upstream.requests().last().unwrap().values("x-gitlab-token"), [TOKEN.as_bytes()]);
}

#[expect(clippy::disallowed_methods, reason = "a sender signs")]
fn of_twilio<M: hmac::Mac + hmac::KeyInit>(key: &str, text: &str) -> String {
    let mut mac = <M as hmac::KeyInit>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// Both signatures of Twilio are in one field. Another field tells which it is.
#[test]
fn a_shared_key_of_twilio_verifies_beside_the_auth_token() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let signature = |scheme: &str, name: &str, key: &str| {
        format!("{{ scheme = \"{scheme}\", secrets = [{{ name = \"{name}\", value = \"{key}\" }}] }}")
    };
    let shared = signature("twilio-shared-key", "shared", "a shared key of an account");
    let auth = signature("twilio", "auth", "an auth token of an account");
    let lines = format!("public_url = \"https://voice.example.org\"\nsignature = [{shared}, {auth}]");
    let gateway = gateway().route_with("/voice", &upstream.url(), &lines).start();
    let content = b"CallSid=CA77&From=%2B15005550006";
    let text = "https://voice.example.org/voiceCallSidCA77From+15005550006";
    let sha256 = of_twilio::<Hmac<Sha256>>("a shared key of an account", text);
    let sha1 = of_twilio::<Hmac<Sha1>>("an auth token of an account", text);
    let settings = "x-twilio-webhooks-signature-settings: key=SK1,algorithm=HMAC_SHA256";
    let post = |tag: &str| unsigned(content).target("/voice").line(format!("x-twilio-signature: {tag}"));
    exchange(&gateway, &post(&sha256).line(settings)).assert_answer("ok");
    exchange(&gateway, &post(&sha1)).assert_answer("ok");
    for wrong in [post(&sha1).line(settings), post(&sha256)] {
        let response = exchange(&gateway, &wrong);
        assert_refused(&response, 401, Some("signature_malformed"));
    }
}

/// An event that Svix has signed, with these prefixes of its fields' names.
fn of_svix(names: [&str; 3]) -> Post {
    let scheme = Scheme::preset("svix").unwrap().clone();
    let key = scheme.secret_encoding.decode(SIGNING_KEY.as_bytes()).unwrap();
    let verifier = Verifier::new(scheme, vec![Secret { name: "a".into(), key, not_after: None }]).unwrap();
    let context = Context::of(&NoFields, std::time::SystemTime::now());
    let stamp = Stamp { timestamp: None, id: Some("msg_8aQ") };
    let signature = verifier.signature(None, &context, stamp, CONTENT).unwrap();
    let lines = signature.lines().map(|(name, value)| {
        let part = name.strip_prefix("svix-").unwrap();
        let which = ["signature", "timestamp", "id"].iter().position(|of| *of == part).unwrap();
        format!("{}-{part}: {value}", names[which])
    });
    lines.fold(unsigned(CONTENT).target("/hook"), |post, line| post.line(line))
}

#[test]
fn a_field_counts_under_each_of_its_names_and_under_two_it_is_there_twice() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let svix = format!("scheme = \"svix\"\nsecrets = [{{ value = \"{SIGNING_KEY}\" }}]");
    let shopify =
        "signature = { scheme = \"shopify\", secrets = [{ value = \"the secret of a Shopify app\" }] }";
    let own = "signature = { scheme = \"own\", secrets = [{ value = \"the secret of a Shopify app\" }] }\n\
               [schemes.own]\nheader = \"x-old-tag\"\nencoding = \"base64\"\naliases = { \"X-Old-Tag\" = \"New-Tag\" }";
    let gateway = gateway()
        .signature(&svix)
        .route("/hook", &upstream.url())
        .route_with("/shop", &upstream.url(), shopify)
        .route_with("/own", &upstream.url(), own)
        .start();
    for names in [["svix"; 3], ["webhook"; 3], ["webhook", "svix", "svix"], ["svix", "webhook", "webhook"]] {
        exchange(&gateway, &of_svix(names)).assert_answer("ok");
    }
    let by = |name: &str| of_svix(["webhook"; 3]).line(name);
    for (twice, reason) in [
        (by("svix-signature: v1,AAAA"), "signature_duplicate"),
        (by("svix-id: msg_8aQ"), "signature_duplicate"),
        (by("svix-timestamp: 1"), "signature_duplicate"),
        (of_svix(["webhook", "other", "webhook"]), "signature_missing"),
    ] {
        assert_refused(&exchange(&gateway, &twice), 401, Some(reason));
    }
    assert_refused(&exchange(&gateway, &by("webhook_id: msg_8aQ")), 400, None);
    exchange(&gateway, &by("connection: webhook-id, webhook-signature")).assert_answer("ok");
    let last = upstream.requests();
    assert!(last.last().unwrap().has("webhook-id") && last.last().unwrap().has("webhook-signature"));
    let tag = of_twilio::<Hmac<Sha256>>("the secret of a Shopify app", std::str::from_utf8(CONTENT).unwrap());
    for (target, [one, other]) in
        [("/shop", ["x-shopify-hmac-sha256", "shopify-hmac-sha256"]), ("/own", ["x-old-tag", "new-tag"])]
    {
        let post = |name: &str| unsigned(CONTENT).target(target).line(format!("{name}: {tag}"));
        exchange(&gateway, &post(one)).assert_answer("ok");
        exchange(&gateway, &post(other)).assert_answer("ok");
        let both = post(one).line(format!("{other}: {tag}"));
        assert_refused(&exchange(&gateway, &both), 401, Some("signature_duplicate"));
    }
}

/// Two schemes of one sender, both with a signed time. The answers that they demand differ.
const OLD_AND_NEW: &str = "
[schemes.new]
header = \"x-new\"
content = \"{timestamp}.{body}\"
timestamp = { header = \"x-time\" }
acknowledgment = \"200-empty\"
[schemes.old]
header = \"x-old\"
content = \"old:{timestamp}:{body}\"
timestamp = { header = \"x-time\" }
";

const NEW_KEY: &str = "the new secret of the sender";
const OLD_KEY: &str = "the old secret of the sender";

/// A gateway whose route takes both schemes, and stores events.
fn of_both(upstream: &Upstream, lines: &str) -> Gateway {
    let signature = format!(
        "signature = [{{ scheme = \"new\", secrets = [{{ value = \"{NEW_KEY}\" }}] }}, {{ scheme = \"old\", secrets = [{{ value = \"{OLD_KEY}\" }}] }}]"
    );
    let lines = format!("{signature}\ndelivery = \"queue\"\n{lines}");
    let setup = gateway().forward(OLD_AND_NEW).queue("[retry]\nschedule = [\"50ms\"]");
    setup.route_with("/ci", &upstream.url(), &lines).start()
}

fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// What each scheme signs.
fn tag_of(scheme: &str, time: &str, content: &str) -> String {
    match scheme {
        "new" => signature_with(NEW_KEY, format!("{time}.{content}").as_bytes()),
        _ => signature_with(OLD_KEY, format!("old:{time}:{content}").as_bytes()),
    }
}

fn timed(scheme: &str, time: u64, content: &str) -> Post {
    let post = unsigned(content).target("/ci").line(format!("x-time: {time}"));
    post.line(format!("x-{scheme}: {}", tag_of(scheme, &time.to_string(), content)))
}

#[test]
fn a_stored_event_is_answered_as_the_scheme_that_verified_it_demands() {
    for (lines, old, new) in [
        ("", (202, false), (200, true)),
        ("deduplicate = \"1h\"", (202, false), (200, true)),
        ("ack_status = 204", (204, true), (204, true)),
        ("ack_status = 202", (202, false), (202, true)),
    ] {
        let upstream = Upstream::ok_under(Oracle::default().observing());
        let gateway = of_both(&upstream, lines);
        for (scheme, content, want) in [("old", "{\"n\":1}", old), ("new", "{\"n\":2}", new)] {
            let answer = exchange(&gateway, &timed(scheme, seconds(), content));
            assert_eq!((answer.status, answer.body.is_empty()), want, "{scheme} {lines}");
            if lines.starts_with("deduplicate") {
                let again = exchange(&gateway, &timed(scheme, seconds(), content));
                assert_eq!((again.status, again.body.is_empty()), (200, want.1), "{scheme} {lines}");
            }
        }
    }
}

/// The event was signed four minutes ago. Its first delivery fails, so the second one is late.
#[test]
fn a_late_delivery_is_signed_anew_by_the_scheme_that_verified_the_event() {
    for scheme in ["old", "new"] {
        let failed = AtomicBool::new(false);
        let upstream = Upstream::with_oracle(Oracle::default().observing(), move |connection| {
            while connection.request().is_some() {
                connection.send(if failed.swap(true, Ordering::SeqCst) { OK } else { UNAVAILABLE });
            }
        });
        let gateway = of_both(&upstream, "refresh_signature = true");
        let (signed, content) = (seconds() - 240, "{\"n\":3}");
        let status = exchange(&gateway, &timed(scheme, signed, content)).status;
        assert!((200..300).contains(&status), "{scheme}: {status}");
        let requests = upstream.wait_for(2);
        let one = |request: &Request, field: &str| {
            let values = request.values(field);
            assert_eq!(values.len(), 1, "{scheme}: {field}");
            String::from_utf8(values[0].clone()).unwrap()
        };
        let of = |at: usize| (one(&requests[at], "x-time"), one(&requests[at], &format!("x-{scheme}")));
        let original = signed.to_string();
        assert_eq!(of(0), (original.clone(), tag_of(scheme, &original, content)));
        let (time, tag) = of(1);
        assert!(time.parse::<u64>().unwrap() >= signed + 240, "{time}");
        assert_eq!(tag, tag_of(scheme, &time, content), "{scheme}");
        let other = if scheme == "old" { "x-new" } else { "x-old" };
        assert!(!requests[1].has(other));
    }
}

#[test]
fn sign_and_send_use_the_signature_that_has_the_secret() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let lines = format!("[{SIGNED}, {SHARED}]");
    let gateway = of_gitlab(&upstream, &lines);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.toml");
    let text =
        format!("[[routes]]\npath = \"/ci\"\nupstream = \"{}\"\nsignature = {lines}\n", upstream.url());
    std::fs::write(&config, text).unwrap();
    std::fs::write(folder.path().join("content"), CONTENT).unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(args).arg("--config").arg(&config);
        let content = std::fs::File::open(folder.path().join("content")).unwrap();
        let output = command.stdin(content).output_in_time();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), said(&output.stdout), said(&output.stderr))
    };
    for (secret, field) in [
        (None, "webhook-signature: v1,"),
        (Some("current"), "webhook-signature: v1,"),
        (Some("gitlab.current"), "x-gitlab-token: the-token-of-the-project\n"),
    ] {
        let more: Vec<&str> = secret.iter().flat_map(|name| ["--secret", name]).collect();
        let (code, said, why) = run(&[&["sign", "--route", "/ci"], &*more].concat());
        assert_eq!(code, Some(0), "{secret:?}: {why}");
        assert!(said.contains(field), "{secret:?}: {said}");
        let url = format!("http://{}", gateway.address());
        let (code, said, why) = run(&[&["send", "/ci", "--url", &url], &*more].concat());
        assert_eq!(code, Some(0), "{secret:?}: {said}{why}");
    }
    let want =
        ["gitlab-signed, secret=current", "gitlab-signed, secret=current", "gitlab, secret=gitlab.current"];
    assert_eq!(verified(&upstream), want.map(|told| format!("scheme={told}")));
    let (code, said, why) = run(&["sign", "--route", "/ci", "--secret", "nonesuch"]);
    assert_eq!(code, Some(2), "{said}{why}");
    for name in ["current", "gitlab.current"] {
        assert!(why.contains(name), "{name}: {why}");
    }
}
