//! Tests of the guarantees that verification gives, as function calls.

use std::time::{Duration, SystemTime};

use bytes::BufMut as _;
use proptest::prelude::*;

use super::*;
use crate::signature::public_url::PublicUrls;
use crate::signature::scheme::Scheme;
use crate::signature::secret::{Key, Secret};
use crate::signature::sign::{CannotSign, Stamp};
use crate::signature::template::Template;

const FIXTURE: &[u8] = br#"{"meta":{"object":"leases","integration_id":"cuid_1234567890"},"record_id":"cuid_1234567890","diff":{"previous":{"status":"pending"},"new":{"status":"approved"}}}"#;
const FIXTURE_TAG: &str = "9ea2daab88fb84854f8cd78dd96f8de987382dc313ff221df229b4f07490222d";
const EMPTY_TAG: &str = "3b6f911f5873cd7e2a4ed25f1db12b93a8141a99a9ec0eecbb88f5218d03c53d";
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

pub(super) struct Lines(pub(super) Vec<(&'static str, Vec<u8>)>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value.as_slice())
    }
}

fn line(name: &'static str, value: &str) -> Lines {
    Lines(vec![(name, value.as_bytes().to_vec())])
}

fn secret(name: &str, key: &str) -> Secret {
    Secret { name: name.into(), key: Key::new(key.as_bytes().to_vec()), not_after: None }
}

fn verifier(scheme: &str, secrets: Vec<Secret>) -> Verifier {
    Verifier::new(Scheme::preset(scheme).unwrap().clone(), secrets).unwrap()
}

fn propify() -> Verifier {
    verifier("propify", vec![secret("current", "propify_test_secret")])
}

/// The name of the secret that verifies the content, if one does.
fn verify(verifier: &Verifier, fields: &Lines, content: &[u8], now: SystemTime) -> Option<String> {
    let mut verification = verifier.begin(verifier.claim(&Context::of(fields, now)).unwrap(), now);
    verification.push(content);
    match verification.finish() {
        Ok(request) => {
            assert_eq!(request.content(), content);
            Some(request.secret().to_string())
        }
        Err(mismatch) => {
            assert_eq!(mismatch.content, content);
            None
        }
    }
}

#[test]
fn the_contracts_fixtures_verify() {
    assert_eq!(FIXTURE.len(), 162);
    for (content, tag) in [(FIXTURE, FIXTURE_TAG), (b"", EMPTY_TAG)] {
        let fields = line("propify-signature", tag);
        assert_eq!(verify(&propify(), &fields, content, NOW).as_deref(), Some("current"));
        let upper = line("propify-signature", &tag.to_uppercase());
        assert_eq!(verify(&propify(), &upper, content, NOW).as_deref(), Some("current"));
        assert_eq!(propify().sign(content), Some(("propify-signature", tag.to_owned())));
    }
}

/// The example of GitHub's documentation, "Testing the webhook payload validation".
#[test]
fn githubs_published_example_verifies() {
    let github = verifier("github", vec![secret("current", "It's a Secret to Everybody")]);
    let tag = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let fields = line("x-hub-signature-256", tag);
    assert_eq!(verify(&github, &fields, b"Hello, World!", NOW).as_deref(), Some("current"));
    assert_eq!(verify(&github, &fields, b"Hello, World", NOW), None);
}

#[test]
fn propexo_is_propify_under_another_field_name() {
    let propexo = verifier("propexo", vec![secret("current", "propify_test_secret")]);
    assert_eq!(
        verify(&propexo, &line("propexo-signature", FIXTURE_TAG), FIXTURE, NOW).as_deref(),
        Some("current")
    );
    assert_eq!(
        propexo.claim(&Context::of(&line("propify-signature", FIXTURE_TAG), NOW)).err(),
        Some(ClaimError::Missing)
    );
}

#[test]
fn a_missing_repeated_or_malformed_field_is_decided_from_the_fields_alone() {
    let tag = || FIXTURE_TAG.as_bytes().to_vec();
    let name = "propify-signature";
    let cases = [
        (Lines(vec![]), ClaimError::Missing),
        (Lines(vec![("signature", tag())]), ClaimError::Missing),
        (Lines(vec![(name, tag()), (name, tag())]), ClaimError::Duplicate),
        (Lines(vec![(name, b"nonsense".to_vec()), (name, tag())]), ClaimError::Duplicate),
        (line(name, &format!("{FIXTURE_TAG},{FIXTURE_TAG}")), ClaimError::Duplicate),
        (line(name, ""), ClaimError::Malformed),
        (line(name, &FIXTURE_TAG[..63]), ClaimError::Malformed),
        (Lines(vec![(name, vec![0xff; 64])]), ClaimError::Malformed),
    ];
    for (fields, want) in cases {
        assert_eq!(propify().claim(&Context::of(&fields, NOW)).err(), Some(want), "{:?}", fields.0);
    }
}

/// Persona writes a set for each of its secrets: `t=17,v1=... t=17,v1=...`.
#[test]
fn any_set_of_a_field_verifies_in_any_order_and_only_with_its_own_time() {
    use crate::signature::field::{Format, Separator};
    let mut scheme = Scheme::preset("stripe").unwrap().clone();
    scheme.notation.format = Format::List {
        separator: Separator::Comma,
        equals: '=',
        tags: vec!["v1".into()],
        sets: Some(Separator::Space),
    };
    let of = |secrets| Verifier::new(scheme.clone(), secrets).unwrap();
    let set = |key: &str, time: &str| {
        let none = Lines(Vec::new());
        let context = Context::of(&none, NOW);
        let stamp = Stamp { timestamp: Some(time), id: None };
        of(vec![secret("own", key)]).signature(None, &context, stamp, FIXTURE).unwrap().field.1
    };
    let (good, other) = (set("key", "100"), set("another", "100"));
    let now = NOW + Duration::from_secs(110);
    let moved = good.replace("t=100", "t=101");
    let late = (set("key", "101"), set("another", "101"));
    let stale = set("another", "900");
    let cases = [
        (format!("{good} {other}"), Some("first")),
        (format!("{other} {good}"), Some("first")),
        (format!("{other} {}", late.0), Some("first")),
        (format!("{} {good} {other}", late.1), Some("first")),
        (format!("{stale} {good}"), Some("first")),
        (format!("t=x,v1={} {good}", "ab".repeat(32)), Some("first")),
        (format!("{other} {moved}"), None),
        (format!("{moved} {other}"), None),
        (format!("{} {other}", late.1), None),
    ];
    for (value, want) in cases {
        let fields = line("stripe-signature", &value);
        let one = of(vec![secret("first", "key")]);
        assert_eq!(verify(&one, &fields, FIXTURE, now).as_deref(), want, "{value}");
        // The secret may also be the second: then no set verifies while the content arrives.
        let two = of(vec![secret("none", "no secret of the sender"), secret("first", "key")]);
        assert_eq!(verify(&two, &fields, FIXTURE, now).as_deref(), want, "{value}");
        assert_eq!(verify(&two, &fields, b"other content", now), None, "{value}");
    }
    let refused = |value: &str, now| {
        let fields = line("stripe-signature", value);
        of(vec![secret("first", "key")]).claim(&Context::of(&fields, now)).err()
    };
    let much_later = NOW + Duration::from_secs(5000);
    assert_eq!(refused(&format!("{good} {}", late.0), much_later), Some(ClaimError::Expired));
    assert_eq!(refused(&format!("v1={} t=y,v1=cd", "ab".repeat(32)), now), Some(ClaimError::Malformed));
}

/// Each set with a time of its own costs one pass over the content, and there are few of them.
#[test]
fn the_work_of_many_sets_is_bounded() {
    use crate::signature::field::{Format, MOST_SETS, Separator};
    use crate::signature::mac::HASHED;
    let mut scheme = Scheme::preset("stripe").unwrap().clone();
    scheme.notation.format = Format::List {
        separator: Separator::Comma,
        equals: '=',
        tags: vec!["v1".into()],
        sets: Some(Separator::Space),
    };
    let verifier = Verifier::new(scheme, vec![secret("first", "key")]).unwrap();
    let content = vec![b'x'; 10_000];
    let hashed = |times: &[u64]| {
        let sets: Vec<_> = times.iter().map(|time| format!("t={time},v1={}", "ab".repeat(32))).collect();
        let fields = line("stripe-signature", &sets.join(" "));
        let before = HASHED.get();
        assert_eq!(verify(&verifier, &fields, &content, NOW + Duration::from_secs(50)), None);
        (HASHED.get() - before) / content.len()
    };
    assert_eq!(hashed(&[1, 1, 1, 1]), 1);
    assert_eq!(hashed(&[1, 2, 3, 4]), MOST_SETS);
}

#[test]
fn any_of_several_secrets_verifies_and_says_which() {
    let two = verifier(
        "propify",
        vec![secret("current", "new one, long enough"), secret("previous", "propify_test_secret")],
    );
    let fields = line("propify-signature", FIXTURE_TAG);
    assert_eq!(verify(&two, &fields, FIXTURE, NOW).as_deref(), Some("previous"));
    let (_, by_current) = two.sign(FIXTURE).unwrap();
    let fields = line("propify-signature", &by_current);
    assert_eq!(verify(&two, &fields, FIXTURE, NOW).as_deref(), Some("current"));
    let fields = Lines(Vec::new());
    let context = Context::of(&fields, SystemTime::UNIX_EPOCH);
    let signed = |secret| two.signature(Some(secret), &context, Stamp::default(), FIXTURE);
    assert_eq!(signed("current").unwrap().field.1, two.sign(FIXTURE).unwrap().1);
    assert_eq!(signed("previous").unwrap().field, ("propify-signature".to_owned(), FIXTURE_TAG.to_owned()));
    assert_eq!(signed("next"), Err(CannotSign::NoSecret));
}

#[test]
fn an_expired_secret_verifies_nothing_from_its_last_moment_on() {
    let end = NOW + Duration::from_secs(100);
    let expiring = |first| {
        let old = Secret { not_after: Some(end), ..secret("old", "propify_test_secret") };
        let new = secret("new", "something else entirely");
        verifier("propify", if first { vec![old, new] } else { vec![new, old] })
    };
    let fields = line("propify-signature", FIXTURE_TAG);
    for first in [true, false] {
        let just_before = end - Duration::from_nanos(1);
        assert_eq!(verify(&expiring(first), &fields, FIXTURE, just_before).as_deref(), Some("old"));
        assert_eq!(verify(&expiring(first), &fields, FIXTURE, end), None);
    }
}

/// The tags were computed with Python's hmac and hashlib.
#[test]
fn the_digest_of_the_content_is_signed_as_the_template_writes_it() {
    let content = b"{\"id\":1}";
    for (template, tag) in [
        ("v1.{sha256:hex}.end", "d53706b8e6eac9033fd0ba0e1570e780a854bbbfac284f17ed71d77ae373f766"),
        ("v1.{sha256:base64}.end", "153d450234780448a0023710f16fde1e94547a48d53e6d42f1e4e244950b52da"),
        ("v1.{sha256:base64url}.end", "4ffd963db3775203644c48fb1974375e1a178466326724dad9fe6758062724f6"),
    ] {
        let content_of = Template::parse(template).unwrap();
        let scheme = Scheme { content: content_of, ..Scheme::preset("propify").unwrap().clone() };
        let verifier = Verifier::new(scheme, vec![secret("other", "other"), secret("right", "key")]).unwrap();
        let fields = line("propify-signature", tag);
        assert_eq!(verify(&verifier, &fields, content, NOW).as_deref(), Some("right"), "{template}");
        for forged in [&b"{\"id\":2}"[..], b"", &content[1..]] {
            assert_eq!(verify(&verifier, &fields, forged, NOW), None, "{template}");
        }
        let context = Context::of(&fields, NOW);
        let made = verifier.signature(Some("right"), &context, Stamp::default(), content).unwrap();
        assert_eq!(made.field.1, tag, "{template}");
    }
}

#[test]
fn without_any_secret_that_counts_nothing_verifies() {
    let none = verifier("propify", vec![]);
    assert_eq!(verify(&none, &line("propify-signature", FIXTURE_TAG), FIXTURE, NOW), None);
}

#[test]
fn receive_appends_at_most_its_limit_and_hashes_what_it_appended() {
    let propify = propify();
    let claim = propify.claim(&Context::of(&line("propify-signature", FIXTURE_TAG), NOW)).unwrap();
    let mut verification = propify.begin(claim, NOW);
    let mut rest = FIXTURE;
    while !rest.is_empty() {
        let took = verification.receive(50, |buffer| {
            let n = rest.len().min(buffer.remaining_mut());
            buffer.put_slice(&rest[..n]);
            n
        });
        assert!(took <= 50);
        rest = &rest[took..];
    }
    assert_eq!(verification.len(), FIXTURE.len());
    assert!(verification.finish().is_ok());
}

proptest! {
    /// The main guarantee: any change of content or claim is refused, however the content is split.
    #[test]
    fn exactly_the_signed_bytes_verify(
        content: Vec<u8>,
        sent: Vec<u8>,
        cuts in proptest::collection::vec(1usize..40, 1..20),
        key in "[ -~]{16,40}",
    ) {
        let verifier = verifier("propify", vec![secret("current", &key)]);
        let (name, value) = verifier.sign(&content).unwrap();
        for sent in [&content, &sent] {
            let fields = Lines(vec![("propify-signature", value.clone().into_bytes())]);
            prop_assert_eq!(name, "propify-signature");
            let mut verification = verifier.begin(verifier.claim(&Context::of(&fields, NOW)).unwrap(), NOW);
            let (mut rest, mut cuts) = (&sent[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                verification.push(piece);
                rest = tail;
            }
            prop_assert_eq!(verification.finish().is_ok(), *sent == content);
        }
    }

    #[test]
    fn a_body_appended_to_prepended_to_or_cut_never_verifies(content: Vec<u8>, extra in proptest::collection::vec(any::<u8>(), 1..80)) {
        let propify = propify();
        let (_, value) = propify.sign(&content).unwrap();
        let appended = [&content[..], &extra].concat();
        let prepended = [&extra[..], &content].concat();
        let cut = &content[..content.len().saturating_sub(extra.len())];
        for forged in [&appended[..], &prepended, cut] {
            let same = forged == content;
            prop_assert_eq!(verify(&propify, &line("propify-signature", &value), forged, NOW).is_some(), same);
        }
    }
}

/// A forger moves characters of a signed request from the URL into the content, or back.
#[test]
fn no_character_moves_between_a_signed_url_and_the_content() {
    let origin = PublicUrls::from("https://a.example");
    let judge = |content: &str, target: &str, signed: &[u8], (other, moved): (&str, &[u8])| {
        let mut scheme = Scheme::preset("propify").unwrap().clone();
        scheme.content = Template::parse(content).unwrap();
        let verifier = Verifier::new(scheme, vec![secret("current", "a key")]).unwrap();
        let none = Lines(Vec::new());
        let of = |target, fields| Context { method: "POST", target, origin: Some(&origin), fields, now: NOW };
        let made = verifier.signature(None, &of(target.as_bytes(), &none), Stamp::default(), signed).unwrap();
        let fields = line("propify-signature", &made.field.1);
        [(target, signed), (other, moved)].map(|(target, content): (&str, &[u8])| {
            let Ok(claim) = verifier.claim(&of(target.as_bytes(), &fields)) else { return false };
            let mut verification = verifier.begin(claim, NOW);
            verification.push(content);
            verification.finish().is_ok()
        })
    };
    for (content, target, signed, moved) in [
        ("{url}{body}", "/p?a=12", &b"[{}]"[..], ("/p?a=1", &b"2[{}]"[..])),
        ("{url}{body}", "/p?a=12", b"", ("/p?a=1", b"2")),
        ("{method}{path}{body}", "/p/q", b"{}", ("/p", b"/q{}")),
        ("{url}.{body}", "/p?a=1.2", b"{}", ("/p?a=1", b"2.{}")),
        ("{path}:/{body}", "/p:/q", b"{}", ("/p", b"q:/{}")),
        ("{body}{url}", "/p?a=https://a.example/p", b"{}", ("/p", b"{}https://a.example/p?a=")),
        ("{body}.{path}", "/p./p", b"[]", ("/p", b"[]./p")),
    ] {
        assert_eq!(judge(content, target, signed, moved), [true, false], "{content}");
    }
}

#[test]
fn a_value_behind_the_content_takes_no_part_of_it() {
    let mut scheme = Scheme::preset("propify").unwrap().clone();
    scheme.content = Template::parse("{body}.{id}").unwrap();
    scheme.id = Some("x-id".into());
    let verifier = Verifier::new(scheme, vec![secret("current", "a key")]).unwrap();
    let none = Lines(Vec::new());
    let stamp = Stamp { timestamp: None, id: Some("1") };
    let made = verifier.signature(None, &Context::of(&none, NOW), stamp, b"a=1.2").unwrap();
    let judge = |id: &str, content: &[u8]| {
        let fields = Lines(vec![
            ("propify-signature", made.field.1.clone().into_bytes()),
            ("x-id", id.as_bytes().to_vec()),
        ]);
        let Ok(claim) = verifier.claim(&Context::of(&fields, NOW)) else { return false };
        let mut verification = verifier.begin(claim, NOW);
        verification.push(content);
        verification.finish().is_ok()
    };
    assert!(judge("1", b"a=1.2"));
    assert!(!judge("2.1", b"a=1"));
}
