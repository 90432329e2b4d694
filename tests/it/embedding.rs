//! The library: `hookgate::verify`, without a gateway.

use std::time::{Duration, SystemTime};

use hookgate::signature::scheme::PRESETS;
use hookgate::signature::sign::Stamp;
use hookgate::signature::template::Body;
use hookgate::signature::{self, Context};
use hookgate::verify::{Refused, Request, Scheme, Secret, Verifier, VerifierError};
use http::HeaderMap;

use crate::support::{FIXTURE, SECRET, signature};

/// The names and values of field lines.
type Lines<'l> = Vec<(&'static str, &'l str)>;

const ORIGIN: &str = "https://hooks.example.com";

fn propify(secrets: impl IntoIterator<Item = Secret>) -> Verifier {
    Verifier::new(&Scheme::named("propify").unwrap(), secrets).unwrap()
}

fn request<'r, V: AsRef<[u8]>>(
    fields: &'r [(&'static str, V)],
    content: &'r [u8],
) -> Request<'r, [(&'static str, V)]> {
    Request { method: "POST", target: "/", fields, content, now: SystemTime::now() }
}

#[test]
fn the_published_example_verifies_and_its_proof_has_its_bytes() {
    let verifier = propify([Secret::new("other", "not the secret"), Secret::new("current", SECRET)]);
    let fields = [("Propify-Signature", signature(FIXTURE))];
    let proof = verifier.verify(&request(&fields, FIXTURE)).unwrap();
    assert_eq!((proof.scheme(), proof.secret(), &**proof.content()), ("propify", "current", FIXTURE));
}

#[test]
fn each_refusal_has_the_reason_of_the_gateway() {
    let verifier = propify([Secret::new("current", SECRET)]);
    let good = signature(FIXTURE);
    let name = "propify-signature";
    let cases: [(Lines<'_>, &[u8], Refused, &str); 5] = [
        (vec![], FIXTURE, Refused::Missing, "signature_missing"),
        (vec![(name, &good), (name, &good)], FIXTURE, Refused::Duplicate, "signature_duplicate"),
        (vec![(name, "zz")], FIXTURE, Refused::Malformed, "signature_malformed"),
        (vec![(name, &good)], b"", Refused::Mismatch, "signature_mismatch"),
        (vec![(name, &good)], &FIXTURE[1..], Refused::Mismatch, "signature_mismatch"),
    ];
    for (fields, content, want, reason) in cases {
        let refused = verifier.verify(&request(&fields, content)).unwrap_err();
        assert_eq!((refused, refused.reason()), (want, reason), "{fields:?}");
    }
}

/// Signed with the gateway's own code for senders, by every scheme that can be signed without a private key.
#[test]
fn every_scheme_verifies_as_in_the_gateway_and_refuses_a_changed_byte_and_a_late_request() {
    let now = SystemTime::now();
    let mut tried = 0;
    for preset in PRESETS.iter() {
        let key = signature::secret::Key::new(b"a secret of some length".to_vec());
        let secret = signature::secret::Secret { name: "current".into(), key, not_after: None };
        let Ok(sender) = signature::Verifier::new(preset.clone(), vec![secret]) else { continue };
        let origin = ORIGIN.into();
        let timed = preset.content_at(now);
        let usual: &[u8] = match preset.content.content() {
            Body::Form => b"event=a%20lease",
            Body::Whole | Body::Digest(_) | Body::Sha256(_) | Body::Jwt(_) => b"[\"a lease\"]",
        };
        let content = timed.as_deref().unwrap_or(usual);
        let target = sender.target("/hook?a=1", content);
        let empty = HeaderMap::new();
        let context =
            Context { method: "POST", target: target.as_bytes(), origin: Some(&origin), fields: &empty, now };
        let stamp = Stamp { timestamp: None, id: Some("evt_1") };
        let Ok(made) = sender.signature(None, &context, stamp, content) else { continue };
        let lines: Vec<_> = made.lines().cloned().collect();
        let target = made.target(&target);
        let scheme = Scheme::named(&preset.name).unwrap();
        assert_eq!(scheme.signs_url(), Verifier::new(&scheme, [Secret::of_key("current", "x")]).is_err());
        let secrets = [Secret::of_key("current", "a secret of some length")];
        let verifier = Verifier::at(&scheme, secrets, [ORIGIN]).unwrap();
        let request = |content, now| {
            verifier.verify(&Request { method: "POST", target: &target, fields: &lines[..], content, now })
        };
        let proof = request(content, now).unwrap_or_else(|refused| panic!("{}: {refused}", preset.name));
        assert_eq!(proof.content(), content, "{}", preset.name);
        let changed = [content, b" "].concat();
        if preset.algorithm != signature::algorithm::Algorithm::Token {
            assert_eq!(request(&changed, now).unwrap_err(), Refused::Mismatch, "{}", preset.name);
        }
        if preset.timestamp.is_some() {
            let late = now + Duration::from_secs(30 * 24 * 3600);
            assert_eq!(request(content, late).unwrap_err(), Refused::Expired, "{}", preset.name);
        }
        tried += 1;
    }
    assert!(tried > 50, "only {tried} schemes were tried");
}

#[test]
fn a_secret_verifies_until_its_end() {
    let now = SystemTime::now();
    let verifier = propify([Secret::new("current", SECRET).not_after(now)]);
    let fields = [("propify-signature", signature(FIXTURE))];
    let at = |now| verifier.verify(&Request { now, ..request(&fields, FIXTURE) }).map(|_proof| ());
    assert_eq!(at(now - Duration::from_secs(1)), Ok(()));
    assert_eq!(at(now), Err(Refused::Mismatch));
}

#[test]
fn the_first_scheme_whose_field_is_there_judges_a_request_alone() {
    let (propify, gitlab) = (Scheme::named("propify").unwrap(), Scheme::named("gitlab").unwrap());
    let signatures =
        [(&propify, [Secret::new("current", SECRET)]), (&gitlab, [Secret::new("current", "a token")])];
    let verifier = Verifier::several(signatures, std::iter::empty::<&str>()).unwrap();
    let verify = |lines: Lines<'_>| {
        let proof = verifier.verify(&request(&lines, FIXTURE))?;
        Ok::<_, Refused>((proof.scheme().to_owned(), proof.secret().to_owned()))
    };
    let good = signature(FIXTURE);
    let by = |scheme: &str| Ok((scheme.to_owned(), "current".to_owned()));
    assert_eq!(verify(vec![("propify-signature", &good)]), by("propify"));
    assert_eq!(verify(vec![("x-gitlab-token", "a token")]), by("gitlab"));
    assert_eq!(verify(vec![("x-gitlab-token", "a token"), ("propify-signature", &good)]), by("propify"));
    let forged = signature(b"other");
    let both = vec![("x-gitlab-token", "a token"), ("propify-signature", &*forged)];
    assert_eq!(verify(both), Err(Refused::Mismatch));
    assert_eq!(
        verify(vec![("propify-signature", &good), ("x-gitlab-token", "another token")]),
        by("propify")
    );
    assert_eq!(verify(vec![]), Err(Refused::Missing));
}

#[test]
fn signatures_that_cannot_be_told_apart_make_no_verifier() {
    let named = |name: &str| Scheme::named(name).unwrap();
    let defined = |name: &str, text: &str| Scheme::defined(name, text).unwrap();
    let made = |all: &[(&Scheme, &str)]| {
        let signatures = all.iter().map(|(scheme, secret)| (*scheme, [Secret::new("current", *secret)]));
        Verifier::several(signatures, std::iter::empty::<&str>()).map(|_verifier| ())
    };
    let indistinct = |one: &str, other: &str| Err(VerifierError::Indistinct(one.into(), other.into()));
    let (github, meta, propify) = (named("github"), named("meta"), named("propify"));
    assert_eq!(made(&[]), Err(VerifierError::NoSecret));
    assert_eq!(made(&[(&github, "one"), (&propify, "two")]), Ok(()));
    assert_eq!(made(&[(&github, "one"), (&github, "two")]), indistinct("github", "github"));
    // Both have the field `x-hub-signature-256`.
    assert_eq!(made(&[(&github, "one"), (&meta, "two")]), indistinct("github", "meta"));

    // A timestamp and an event of one scheme, joined, are an event of the other scheme.
    let timed = "header = \"x-timed\"\ncontent = \"{timestamp}.{body}\"\ntimestamp = { header = \"x-time\" }";
    let timed = defined("timed", timed);
    let same = VerifierError::SameSecret("propify".into(), "timed".into());
    assert_eq!(made(&[(&propify, "one"), (&timed, "one")]), Err(same));
    assert_eq!(made(&[(&propify, "one"), (&timed, "two")]), Ok(()));

    let many = ["a", "b", "c", "d", "e"].map(|name| defined(name, &format!("header = \"x-of-{name}\"")));
    let all: Vec<_> = many.iter().map(|scheme| (scheme, "one")).collect();
    assert_eq!(made(&all[..4]), Ok(()));
    assert_eq!(made(&all), Err(VerifierError::ManySignatures));
}

#[test]
fn fields_may_be_a_vector() {
    let verifier = propify([Secret::new("current", SECRET)]);
    let fields = vec![("Propify-Signature".to_owned(), signature(FIXTURE))];
    let request =
        Request { method: "POST", target: "/", fields: &fields, content: FIXTURE, now: SystemTime::now() };
    assert_eq!(verifier.verify(&request).unwrap().secret(), "current");
}

#[test]
fn a_verifier_without_a_usable_secret_cannot_be_made() {
    let github = Scheme::named("github").unwrap();
    let made = |secrets: Vec<Secret>| Verifier::new(&github, secrets).map(|_verifier| ());
    assert_eq!(made(vec![]), Err(VerifierError::NoSecret));
    assert_eq!(made(vec![Secret::new("a", "")]), Err(VerifierError::Empty("a".into())));
    assert_eq!(made(vec![Secret::of_key("a", "")]), Err(VerifierError::Empty("a".into())));
    assert_eq!(made(vec![Secret::new("a", " \n")]), Err(VerifierError::Empty("a".into())));
    let twice = vec![Secret::new("a", "one"), Secret::new("a", "two")];
    assert_eq!(made(twice), Err(VerifierError::NamedTwice("a".into())));

    let standard = Scheme::named("standard-webhooks").unwrap();
    let refused = Verifier::new(&standard, [Secret::new("a", "whsec_!")]).unwrap_err();
    assert_eq!(refused.to_string(), "the secret \"a\" is not valid base64");
    // Nothing is left of this text after its prefix.
    let refused = Verifier::new(&standard, [Secret::new("a", "whsec_")]).unwrap_err();
    assert_eq!(refused, VerifierError::Empty("a".into()));

    let square = Scheme::named("square").unwrap();
    let at = |origins: &[&str]| Verifier::at(&square, [Secret::new("a", "one")], origins).map(|_verifier| ());
    assert_eq!(at(&[]), Err(VerifierError::NeedsUrl));
    assert_eq!(at(&["hooks.example.com"]), Err(VerifierError::NotOrigin));
    assert_eq!(at(&["https://hooks.example.com/path"]), Err(VerifierError::NotOrigin));
    assert_eq!(at(&[ORIGIN; 5]), Err(VerifierError::ManyOrigins));
    assert_eq!(at(&["https://hooks.example.com/"]), Ok(()));
}

#[test]
fn a_scheme_is_found_by_its_name_or_read_from_its_definition() {
    let error = Scheme::named("gihtub").unwrap_err().to_string();
    assert_eq!(error, "there is no scheme \"gihtub\"; did you mean \"github\"?");
    assert!(Scheme::named("plaid").unwrap_err().to_string().contains("Plaid"));

    let shopify = Scheme::named("shopify").unwrap();
    assert_eq!(shopify.fields().collect::<Vec<_>>(), ["x-shopify-hmac-sha256", "shopify-hmac-sha256"]);

    let acme = Scheme::defined("acme", "header = \"X-Acme-Signature\"\nprefix = \"v1=\"\n").unwrap();
    let verifier = Verifier::new(&acme, [Secret::new("current", SECRET)]).unwrap();
    let fields = [("x-acme-signature", format!("v1={}", signature(b"hi")))];
    assert_eq!(verifier.verify(&request(&fields, b"hi")).unwrap().scheme(), "acme");

    for (name, definition, want) in [
        ("acme", "header = 1\nalgoritm = \"token\"", "algoritm"),
        ("acme", "header = ", "[schemes.acme]:1"),
        ("acme", "", "header"),
        ("acme", "header = \"x-a\"\ncontent = \"{body}{timestamp}\"", "{body}{timestamp}"),
        ("github", "header = \"x-a\"", "ships with hookgate"),
        ("a b", "header = \"x-a\"", "name"),
    ] {
        let error = Scheme::defined(name, definition).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}
