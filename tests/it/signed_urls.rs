//! Signatures that cover the URL: exactly the requests that the sender signed verify.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookgate::signature::public_url::PublicUrls;
use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::{ClaimError, Context, Fields, Verifier};
use sha1::Sha1;
use sha2::Sha256;

use crate::support::upstream::Oracle;
use crate::support::{Upstream, assert_refused, exchange, gateway, unsigned};

const KEY: &str = "the client secret of an app";
const ORIGIN: &str = "https://crm.example.org";

struct Lines(Vec<(&'static str, String)>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_bytes())
    }
}

fn verifier(scheme: &str) -> Verifier {
    let secret = Secret { name: "current".into(), key: Key::new(KEY.into()), not_after: None };
    Verifier::new(Scheme::preset(scheme).unwrap().clone(), vec![secret]).unwrap()
}

/// What a verifier says of a POST to `target` at one of these origins.
fn judge(
    verifier: &Verifier,
    origins: &[&str],
    target: &str,
    fields: &Lines,
    content: &[u8],
    now: SystemTime,
) -> Result<bool, ClaimError> {
    let origins = PublicUrls::new(origins.iter().map(|origin| (*origin).to_owned()).collect());
    let origin = origins.as_ref();
    let context = Context { method: "POST", target: target.as_bytes(), origin, fields, now };
    let mut verification = verifier.begin(verifier.claim(&context)?, now);
    verification.push(content);
    Ok(verification.finish().is_ok())
}

#[expect(clippy::disallowed_methods, reason = "a sender signs")]
fn hmac_sha256(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[expect(clippy::disallowed_methods, reason = "a sender signs")]
fn hmac_sha1(text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// HubSpot decodes some percent-encodings of the URL before it signs. A target that becomes the signed target
/// only by decoding a divider was never signed.
#[test]
fn under_a_signature_of_hubspot_only_the_signed_target_verifies() {
    let hubspot = verifier("hubspot");
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_500);
    let content = b"[{\"objectId\":5,\"eventId\":81}]";
    let signed = |decoded: &str| {
        let text = format!("POST{ORIGIN}{decoded}{}1790000000123", std::str::from_utf8(content).unwrap());
        Lines(vec![
            ("x-hubspot-signature-v3", hmac_sha256(&text)),
            ("x-hubspot-request-timestamp", "1790000000123".to_owned()),
        ])
    };
    let refused = Err(ClaimError::Malformed);
    for (decoded, target, want) in [
        ("/objects/deals?from=3", "/objects/deals?from=3", Ok(true)),
        ("/objects/deals?from=3", "/objects/deals%3Ffrom=3", refused),
        ("/objects/deals?from=3", "/objects/deals%3ffrom=3", refused),
        ("/objects/deals?from=3", "/objects%2Fdeals?from=3", refused),
        ("/objects/deals?from=3", "/objects%2fdeals%3Ffrom=3", refused),
        ("/objects/deals?from=3", "/objects/deals?from%3D3", Ok(false)),
        ("/objects/a:b", "/objects/a:b", Ok(true)),
        ("/objects/a:b", "/objects/a%3Ab", refused),
        (
            "/o?next=https://a.example/b?c&mail=m@a.example",
            "/o?next=https%3A%2F%2Fa.example%2Fb%3Fc&mail=m%40a.example",
            Ok(true),
        ),
        (
            "/o?next=https://a.example/b?c&mail=m@a.example",
            "/o%3Fnext=https%3A%2F%2Fa.example%2Fb%3Fc&mail=m%40a.example",
            refused,
        ),
        (
            "/o?next=https://a.example/b?c&mail=m@a.example",
            "/o?next=https%3A%2F%2Fa.example%2Fb%3Fc%26mail=m%40a.example",
            Ok(false),
        ),
        ("/o?a=1;b=2", "/o?a=1%3Bb=2", Ok(true)),
        ("/o?a=1;b=2", "/o?a=1;b=2", refused),
    ] {
        assert_eq!(judge(&hubspot, &[ORIGIN], target, &signed(decoded), content, now), want, "{target}");
    }
}

/// Twilio signs the URL before its client encodes some characters, with or without a port, and with the
/// credentials of the URL.
#[test]
fn under_a_signature_of_twilio_every_spelling_that_twilio_signs_verifies_and_no_other_does() {
    let twilio = verifier("twilio");
    let one: &[&str] = &["https://voice.example.org"];
    let with_port: &[&str] = &["https://voice.example.org:443"];
    let with_password: &[&str] = &["https://caller:s3cr3t%21@voice.example.org"];
    let several: &[&str] =
        &["https://old.example.org", "http://voice.example.org:8080", "https://voice.example.org"];
    let sip = "/call?Caller=sip%3A8675309%40198.51.100.4&CallSid=CA9";
    let cases: &[(&[&str], &str, &str, bool)] = &[
        (one, "https://voice.example.org/call?Caller=sip:8675309@198.51.100.4&CallSid=CA9", sip, true),
        (one, "https://voice.example.org/call?Caller=sip%3A8675309%40198.51.100.4&CallSid=CA9", sip, true),
        (one, "https://voice.example.org:443/call?Caller=sip:8675309@198.51.100.4&CallSid=CA9", sip, true),
        (one, "https://voice.example.org/call?Caller=sip:8675309@198.51.100.5&CallSid=CA9", sip, false),
        (one, "https://voice.example.org/say?t=that's+all", "/say?t=that%27s+all", true),
        (one, "https://voice.example.org/say?t=that%27s+all", "/say?t=that%27s+all", true),
        (one, "https://voice.example.org/say?t=that's+all", "/say?t=that's+all", true),
        (one, "https://voice.example.org/say?t=that%27s&c=sip:7@h", "/say?t=that%27s&c=sip%3A7%40h", true),
        (one, "https://voice.example.org/say?t=that's&c=a%40b", "/say?t=that%27s&c=a%40b", true),
        (one, "https://voice.example.org/say?a=1&b=2", "/say?a=1%26b=2", false),
        (one, "https://voice.example.org/say?a=1", "/say%3Fa=1", false),
        (one, "https://voice.example.org/that's", "/that%27s", false),
        (one, "https://voice.example.org/a:b", "/a%3Ab", false),
        (one, "https://voice.example.org:443/call", "/call", true),
        (one, "https://voice.example.org:80/call", "/call", false),
        (one, "https://voice.example.org:8443/call", "/call", false),
        (one, "http://voice.example.org/call", "/call", false),
        (with_port, "https://voice.example.org/call", "/call", true),
        (with_port, "https://voice.example.org:443/call", "/call", true),
        (with_password, "https://caller:s3cr3t%21@voice.example.org/call", "/call", true),
        (with_password, "https://caller:s3cr3t%21@voice.example.org:443/call", "/call", true),
        (with_password, "https://voice.example.org/call", "/call", false),
        (with_password, "https://caller@voice.example.org/call", "/call", false),
        (several, "https://old.example.org/call", "/call", true),
        (several, "https://old.example.org:443/call", "/call", true),
        (several, "http://voice.example.org:8080/call", "/call", true),
        (several, "https://voice.example.org/call", "/call", true),
        (several, "https://new.example.org/call", "/call", false),
    ];
    let content = b"To=%2B15005550006&Body=it%27s";
    for (origins, signed, target, want) in cases {
        let fields =
            Lines(vec![("x-twilio-signature", hmac_sha1(&format!("{signed}Bodyit'sTo+15005550006")))]);
        let got = judge(&twilio, origins, target, &fields, content, SystemTime::UNIX_EPOCH);
        assert_eq!(got, Ok(*want), "{signed} at {target}");
        let forged = judge(
            &twilio,
            origins,
            target,
            &fields,
            b"To=%2B15005550007&Body=it%27s",
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(forged, Ok(false), "{signed} at {target}");
    }
}

/// The digest of the content is a parameter of the query. It is not decoded, and the URL has its variants.
#[test]
fn a_json_event_of_twilio_verifies_with_the_variants_of_its_url() {
    let twilio = verifier("twilio-json");
    let content = br#"{"sid":"IM4"}"#;
    let digest = hex::encode(<Sha256 as sha2::Digest>::digest(content));
    let target = format!("/json?who=sip%3A4%40h&bodySHA256={digest}");
    for (signed, want) in [
        (format!("https://voice.example.org:443/json?who=sip:4@h&bodySHA256={digest}"), true),
        (format!("https://voice.example.org/json?who=sip%3A4%40h&bodySHA256={digest}"), true),
        (format!("https://voice.example.org/json?who=sip%3A5%40h&bodySHA256={digest}"), false),
    ] {
        let fields = Lines(vec![("x-twilio-signature", hmac_sha1(&signed))]);
        let judged = |content: &[u8]| {
            judge(&twilio, &["https://voice.example.org"], &target, &fields, content, SystemTime::UNIX_EPOCH)
        };
        assert_eq!(judged(content), Ok(want), "{signed}");
        assert_eq!(judged(br#"{"sid":"IM5"}"#), Ok(false), "{signed}");
    }
}

/// Any scheme may have several origins, also one whose content is hashed while it arrives.
#[test]
fn a_route_with_several_origins_takes_what_was_signed_for_any_of_them() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let urls = r#"public_url = ["https://shop.example.org", "https://pos:tr0ub4dor@shop.example.org:444"]"#;
    let gateway = gateway()
        .signature(&format!("scheme = \"square\"\nsecrets = [{{ value = \"{KEY}\" }}]"))
        .route_with("/orders", &upstream.url(), urls)
        .start();
    let content = br#"{"merchant_id":"M7"}"#;
    for (origin, fine) in [
        ("https://shop.example.org", true),
        ("https://pos:tr0ub4dor@shop.example.org:444", true),
        ("https://shop.example.org:444", false),
        ("https://pos:tr0ub4dor@shop.example.org", false),
    ] {
        let text = format!("{origin}/orders{}", std::str::from_utf8(content).unwrap());
        let post = unsigned(content).target("/orders");
        let post = post.line(format!("x-square-hmacsha256-signature: {}", hmac_sha256(&text)));
        let response = exchange(&gateway, &post);
        if fine {
            response.assert_answer("ok");
        } else {
            assert_refused(&response, 401, Some("signature_mismatch"));
        }
    }
}
