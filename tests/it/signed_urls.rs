//! Signatures that cover the URL: exactly the requests that the sender signed verify.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::{ClaimError, Context, Fields, Verifier};
use sha2::Sha256;

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

/// What a verifier says of a POST to `target` at this origin.
fn judge(
    verifier: &Verifier,
    target: &str,
    fields: &Lines,
    content: &[u8],
    now: SystemTime,
) -> Result<bool, ClaimError> {
    let context = Context { method: "POST", target: target.as_bytes(), origin: Some(ORIGIN), fields, now };
    let mut verification = verifier.begin(verifier.claim(&context)?, now);
    verification.push(content);
    Ok(verification.finish().is_ok())
}

fn hmac_sha256(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    #[expect(clippy::disallowed_methods, reason = "a sender signs")]
    let tag = mac.finalize().into_bytes();
    base64::engine::general_purpose::STANDARD.encode(tag)
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
        assert_eq!(judge(&hubspot, target, &signed(decoded), content, now), want, "{target}");
    }
}
