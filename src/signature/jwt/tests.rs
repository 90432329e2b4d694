//! Tests of JWTs: what they must say, and when they are valid.

use super::*;
use crate::signature::claim::{ClaimError, Context};
use crate::signature::private_key::PrivateKey;
use crate::signature::secret::{Key, Secret};
use crate::signature::sign::Stamp;
use crate::signature::signable::Fields;
use crate::signature::verifier::Verifier;

const CONTENT: &[u8] = b"{\"id\":1}";
const KEY: &[u8] = b"a key that is long enough";
const ISSUED: u64 = 1_782_864_000;

struct Line(String);

impl Fields for Line {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        (name == "authorization").then_some(self.0.as_bytes()).into_iter()
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn verifier() -> Verifier {
    let secret = Secret { name: "current".into(), key: Key::new(KEY.to_vec()), not_after: None };
    Verifier::new(Scheme::preset("vonage").unwrap().clone(), vec![secret]).unwrap()
}

/// A field value with these two parts, signed with the right key.
fn signed(header: &str, claims: &str) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let input = format!("{}.{}", BASE64_URL.encode(header), BASE64_URL.encode(claims));
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(input.as_bytes());
    #[expect(clippy::disallowed_methods, reason = "an independent signature")]
    let tag = mac.finalize().into_bytes();
    format!("Bearer {input}.{}", BASE64_URL.encode(tag))
}

/// The claims of an event with `CONTENT`, and further claims.
fn digested(further: &str) -> String {
    format!("{{\"iat\":{ISSUED},\"payload_hash\":\"{}\"{further}}}", hex::encode(Sha256::digest(CONTENT)))
}

/// Whether the content verifies, or why the claim is refused.
fn judge(value: String, content: &[u8], now: u64) -> Result<bool, ClaimError> {
    let (verifier, line) = (verifier(), Line(value));
    let claim = verifier.claim(&Context::of(&line, at(now)))?;
    let mut verification = verifier.begin(claim, at(now));
    content.chunks(3).for_each(|piece| verification.push(piece));
    Ok(verification.finish().is_ok())
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[test]
fn a_jwt_covers_the_content_by_its_digest() {
    let value = signed(HEADER, &digested(r#","jti":"1","iss":"Vonage""#));
    assert_eq!(judge(value.clone(), CONTENT, ISSUED), Ok(true));
    assert_eq!(judge(value.clone(), b"{\"id\":2}", ISSUED), Ok(false));
    assert_eq!(judge(value.clone(), b"", ISSUED), Ok(false));
    // The signature of other claims.
    let (_, tag) = value.rsplit_once('.').unwrap();
    let other = signed(HEADER, &digested(""));
    let (input, _) = other.rsplit_once('.').unwrap();
    assert_eq!(judge(format!("{input}.{tag}"), CONTENT, ISSUED), Ok(false));
}

#[test]
fn a_header_that_names_another_algorithm_or_an_extension_is_refused() {
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"typ":"JWT"}"#,
        "{}",
        "",
        "HS256",
    ] {
        assert_eq!(
            judge(signed(header, &digested("")), CONTENT, ISSUED),
            Err(ClaimError::Malformed),
            "{header}"
        );
    }
}

#[test]
fn claims_without_an_unambiguous_digest_or_time_are_refused() {
    let digest = hex::encode(Sha256::digest(CONTENT));
    for claims in [
        "{}".to_owned(),
        format!("{{\"iat\":{ISSUED}}}"),
        format!("{{\"payload_hash\":\"{digest}\"}}"),
        format!("{{\"iat\":{ISSUED},\"payload_hash\":\"{}\"}}", &digest[2..]),
        format!("{{\"iat\":{ISSUED},\"payload_hash\":\"{digest}\",\"payload_hash\":\"{digest}\"}}"),
        format!("{{\"iat\":{ISSUED},\"iat\":{ISSUED},\"payload_hash\":\"{digest}\"}}"),
        format!("{{\"iat\":{ISSUED}.5,\"payload_hash\":\"{digest}\"}}"),
        digested(",\"exp\":\"9999999999\""),
        digested(",\"exp\":18446744073709551615"),
        digested(",\"nbf\":-1"),
    ] {
        assert_eq!(judge(signed(HEADER, &claims), CONTENT, ISSUED), Err(ClaimError::Malformed), "{claims}");
    }
}

#[test]
fn a_jwt_is_valid_from_its_beginning_to_its_end() {
    let value = |further: String| signed(HEADER, &digested(&further));
    let expired = Err(ClaimError::Expired);
    for (further, now, want) in [
        (String::new(), ISSUED + 300, Ok(true)),
        (String::new(), ISSUED + 301, expired),
        (String::new(), ISSUED - 301, expired),
        (format!(",\"exp\":{}", ISSUED + 10), ISSUED + 69, Ok(true)),
        (format!(",\"exp\":{}", ISSUED + 10), ISSUED + 70, expired),
        (format!(",\"nbf\":{}", ISSUED + 70), ISSUED + 10, Ok(true)),
        (format!(",\"nbf\":{}", ISSUED + 71), ISSUED + 10, expired),
    ] {
        assert_eq!(judge(value(further.clone()), CONTENT, now), want, "{further} {now}");
    }
}

#[test]
fn a_value_that_is_no_jwt_is_malformed() {
    let value = signed(HEADER, &digested(""));
    let bare = value.strip_prefix("Bearer ").unwrap();
    for (value, want) in [
        (String::new(), ClaimError::Malformed),
        ("Bearer ".to_owned(), ClaimError::Malformed),
        (bare.to_owned(), ClaimError::Malformed),
        (format!("{value}.x"), ClaimError::Malformed),
        (value.replacen('.', "", 1), ClaimError::Malformed),
        (format!("{value}x"), ClaimError::Malformed),
        (value[..value.len() - 2].to_owned(), ClaimError::Malformed),
        (format!("{value},{value}"), ClaimError::Duplicate),
    ] {
        assert_eq!(judge(value.clone(), CONTENT, ISSUED), Err(want), "{value}");
    }
}

/// In a JWS, an ECDSA signature has a fixed length (RFC 7518, section 3.4).
#[test]
fn a_jwt_of_every_algorithm_that_has_a_name_verifies() {
    for (_, algorithm) in crate::signature::algorithm::Algorithm::ALL {
        let Some(name) = algorithm.jws_name() else { continue };
        let scheme = Scheme { algorithm, ..Scheme::preset("vonage").unwrap().clone() };
        assert_eq!(scheme.fault(), None, "{name}");
        let verifier = if algorithm.is_symmetric() {
            let secret = Secret { name: "current".into(), key: Key::new(KEY.to_vec()), not_after: None };
            Verifier::new(scheme, vec![secret]).unwrap()
        } else {
            let private = match PrivateKey::of_bytes(algorithm, &[7; 32]) {
                Ok(private) => private,
                Err(_) => PrivateKey::random_rsa().unwrap(),
            };
            Verifier::of_sender(scheme, "current", private).unwrap()
        };
        let none = Line(String::new());
        let stamp = Stamp::default();
        let signature = verifier.signature(None, &Context::of(&none, at(ISSUED)), stamp, CONTENT).unwrap();
        let line = Line(signature.field.1);
        for (content, want) in [(CONTENT, true), (b"{\"id\":2}", false)] {
            let claim = verifier.claim(&Context::of(&line, at(ISSUED))).unwrap();
            let mut verification = verifier.begin(claim, at(ISSUED));
            verification.push(content);
            assert_eq!(verification.finish().is_ok(), want, "{name}");
        }
    }
}

/// LiveKit's own library refuses a JWT that does not say when it expires.
#[test]
fn a_jwt_that_must_say_when_it_expires_is_refused_without_it() {
    let secret = Secret { name: "current".into(), key: Key::new(KEY.to_vec()), not_after: None };
    let verifier = Verifier::new(Scheme::preset("livekit").unwrap().clone(), vec![secret]).unwrap();
    let judge = |further: &str, now: u64| {
        let digest = BASE64.encode(Sha256::digest(CONTENT));
        let value = signed(HEADER, &format!("{{\"sha256\":\"{digest}\"{further}}}"));
        let line = Line(value.replace("Bearer ", ""));
        let claim = verifier.claim(&Context::of(&line, at(now)))?;
        let mut verification = verifier.begin(claim, at(now));
        verification.push(CONTENT);
        Ok(verification.finish().is_ok())
    };
    let end = format!(",\"exp\":{ISSUED}");
    assert_eq!(judge(&end, ISSUED + 59), Ok(true));
    assert_eq!(judge(&end, ISSUED + 60), Err(ClaimError::Expired));
    for without in ["", ",\"nbf\":1", ",\"exp\":null", ",\"exp\":\"1\""] {
        assert_eq!(judge(without, ISSUED), Err(ClaimError::Malformed), "{without}");
    }
    // The gateway's own JWT expires after five minutes.
    let none = Line(String::new());
    let context = Context::of(&none, at(ISSUED));
    let made = verifier.signature(None, &context, Stamp::default(), CONTENT).unwrap().field.1;
    let claims = BASE64_URL.decode(made.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"], ISSUED + 300);
}
