//! Several signatures on one route, while a sender changes its signature.

use base64::Engine as _;
use hmac::Hmac;
use hookgate::signature::Context;
use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::Secret;
use hookgate::signature::sign::Stamp;
use hookgate::signature::{Fields, Verifier};
use sha1::Sha1;
use sha2::Sha256;

use crate::support::upstream::{Oracle, Request};
use crate::support::{Gateway, Post, Upstream, assert_refused, exchange, gateway, unsigned};

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
