//! Tests of the diagnosis: it finds the right cause, and never a wrong cause.

use std::io::Write as _;
use std::time::Duration;

use super::*;
use crate::signature::decoration::Decoration;
use crate::signature::mac::HASHED;
use crate::signature::secret::{Key, Secret, SecretEncoding};

struct Lines(Vec<(&'static str, Vec<u8>)>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_slice())
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap()
}

fn verifier(key: &str, not_after: Option<SystemTime>) -> Verifier {
    of_scheme("propify", key, not_after)
}

fn of_scheme(scheme: &str, key: &str, not_after: Option<SystemTime>) -> Verifier {
    let secret = Secret { name: key.into(), key: Key::new(key.into()), not_after };
    Verifier::new(Scheme::preset(scheme).unwrap().clone(), vec![secret]).unwrap()
}

const NOW: u64 = 1_782_864_000;

fn why(
    verifier: &Verifier,
    lines: &[(&'static str, &str)],
    content: Option<&[u8]>,
    others: &[(&str, &Verifier)],
) -> Option<Cause> {
    let lines = Lines(lines.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect());
    let context = Context::of(&lines, at(NOW));
    assert_eq!(content.and_then(|content| verified_by(verifier, &context, content)), None);
    let mut goes_on = || true;
    likely_cause(verifier, &context, content, others.iter().copied(), &mut Work::new(1 << 20, &mut goes_on))
        .unwrap()
}

fn cause(verifier: &Verifier, value: &str, content: &[u8], other: &Verifier) -> Option<Cause> {
    why(verifier, &[("propify-signature", value)], Some(content), &[("/other", other)])
}

#[test]
fn the_likely_cause_is_found() {
    let (this, other) = (verifier("this", None), verifier("other", None));
    let (_, value) = this.sign(b"{}").unwrap();
    let (_, others) = other.sign(b"{}").unwrap();
    let content = ContentChange::NewlineAdded;
    assert_eq!(cause(&this, &value, b"{}\n", &other), Some(Cause::Content(content)));
    let found = cause(&this, &others, b"{}", &other);
    assert_eq!(found, Some(Cause::OtherRoute { path: "/other".into(), secret: "other".into() }));
    let found = cause(&this, &format!("sha256={value}"), b"{}", &other);
    assert_eq!(found, Some(Cause::Notation(NotationError::OtherPrefix("sha256=".into()))));
    let expired = verifier("this", Some(at(1)));
    assert_eq!(cause(&expired, &value, b"{}", &other), Some(Cause::Expired("this".into())));
    let twice = format!("{value}, {value}");
    assert_eq!(cause(&this, &twice, b"{}", &other), Some(Cause::Doubled("propify-signature".into())));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"{}").unwrap();
    let found = cause(&this, &value, &gzip.finish().unwrap(), &other);
    assert_eq!(found, Some(Cause::Content(ContentChange::Compressed)));
    let lines = [("propify-signature", value.as_str()), ("content-encoding", "gzip")];
    let found = why(&this, &lines, Some(b"{\"a\":1}"), &[]);
    assert_eq!(found, Some(Cause::Content(ContentChange::Decompressed)));
    let found = cause(&this, &value, b"", &other);
    assert_eq!(found, Some(Cause::Content(ContentChange::Emptied)));
    let found = cause(&this, &value, br#"{"city":"Z?rich"}"#, &other);
    assert_eq!(found, Some(Cause::Content(ContentChange::CharactersLost)));
    // A token says nothing about the content.
    let token = of_scheme("gitlab", "this", None);
    assert_eq!(why(&token, &[("x-gitlab-token", "other")], Some(b""), &[]), None);
}

#[test]
fn variants_of_a_secret_are_tried_and_verify_no_request() {
    let (_, value) = verifier("this", None).sign(b"{}").unwrap();
    let name: Arc<str> = "written".into();
    let key_variants = key_changes(b"this ", SecretEncoding::Utf8);
    let written = verifier("this ", None).suspecting(&name, key_variants);
    let found = cause(&written, &value, b"{}", &verifier("other", None));
    assert_eq!(found, Some(Cause::Key { secret: name, change: KeyChange::Untrimmed }));
}

#[test]
fn no_cause_is_invented() {
    let (this, other) = (verifier("this", None), verifier("other", None));
    let this = this.suspecting(&"this".into(), key_changes(b"this", SecretEncoding::Utf8));
    let (_, unknown) = verifier("unknown", None).sign(b"{}").unwrap();
    for value in [&unknown, "", "nonsense", &format!("sha256={unknown}"), &format!("{unknown},{unknown}")] {
        assert_eq!(cause(&this, value, b"{}", &other), None, "{value}");
    }
}

#[test]
fn without_content_only_the_fields_are_diagnosed() {
    let (this, github) = (verifier("this", None), of_scheme("github", "theirs", None));
    let (_, value) = this.sign(b"{}").unwrap();
    let head = |value: &str| why(&this, &[("propify-signature", value)], None, &[]);
    assert_eq!(head(&value), None, "it may be right");
    let prefixed = format!("sha256={value}");
    assert_eq!(head(&prefixed), Some(Cause::Form(NotationError::OtherPrefix("sha256=".into()))));
    assert_eq!(head(&value[..40]), Some(Cause::Form(NotationError::Length(40, 64))));
    assert_eq!(head(&format!("{value},{value}")), Some(Cause::Doubled("propify-signature".into())));
    for noise in ["", "a", "nonsense", "a,b", "zz", &value[1..]] {
        assert_eq!(head(noise), None, "{noise}");
    }
    let lines = [("x-hub-signature-256", prefixed.as_str())];
    let other = |path: Option<&str>| Cause::OtherScheme {
        missing: "propify-signature".into(),
        found: "x-hub-signature-256".into(),
        scheme: "github".into(),
        others: usize::from(path.is_none()),
        is_sha1: false,
        path: path.map(str::to_owned),
    };
    assert_eq!(why(&this, &lines, None, &[]), Some(other(None)));
    assert_eq!(why(&this, &lines, None, &[("/hooks", &github)]), Some(other(Some("/hooks"))));
    let unsigned = |lines: &[(&'static str, &str)]| {
        let found = why(&this, lines, None, &[]);
        matches!(found, Some(Cause::Unsigned { missing, .. }) if missing == "propify-signature")
    };
    assert!(unsigned(&[]) && unsigned(&[("x-hub-signature-256", "none")]));
    assert!(unsigned(&[("x-gitlab-token", "a")]), "a token shows nothing");
    let found =
        why(&of_scheme("slack", "key", None), &[("x-slack-signature", &format!("v0={value}"))], None, &[]);
    assert_eq!(found, Some(Cause::Incomplete("x-slack-request-timestamp".into())));
    let advice = |scheme: &str| why(&of_scheme(scheme, "key", None), &[], None, &[]).unwrap().advice();
    assert!(advice("github").contains("the field Secret of the webhook"), "{}", advice("github"));
    assert!(advice("propify").contains("let the sender sign"), "{}", advice("propify"));
}

#[test]
fn of_several_schemes_with_one_field_the_most_likely_is_named() {
    let this = verifier("this", None);
    let tag = "0123456789abcdef".repeat(4);
    let sha1 = format!("sha1={}", &tag[..40]);
    let base64 = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";
    let standard = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1782864000"),
        ("webhook-signature", &format!("v1,{base64}")),
    ];
    let Some(Cause::OtherScheme { scheme, others, is_sha1, .. }) = why(&this, &standard, None, &[]) else {
        panic!()
    };
    assert_eq!((scheme.as_str(), is_sha1), ("standard-webhooks", false));
    assert!(others > 1, "others share it");
    // GitHub's SHA-1 field, and no SHA-256.
    for verifier in [&this, &of_scheme("github", "key", None)] {
        let cause = why(verifier, &[("x-hub-signature", &sha1)], None, &[]).unwrap();
        let said = format!("{cause}; {}", cause.advice());
        assert!(matches!(cause, Cause::FormerSignature { .. }), "{said}");
        assert!(
            said.contains("HMAC-SHA1") && said.contains("GitHub") && said.contains("`scheme = \"intercom\"`"),
            "{said}"
        );
    }
    // The scheme of a route comes first.
    let intercom = of_scheme("intercom", "key", None);
    let found = why(&this, &[("x-hub-signature", &sha1)], None, &[("/chat", &intercom)]).unwrap();
    assert!(found.to_string().ends_with("as the scheme intercom signs (HMAC-SHA1)"), "{found}");
    let both = [("x-hub-signature", sha1.as_str()), ("x-hub-signature-256", &format!("sha256={tag}"))];
    let found = why(&this, &both, None, &[]).unwrap().to_string();
    assert!(found.contains("as the scheme github signs"), "{found}");
    // SHA-1 in the field of a scheme with SHA-256.
    let jira = of_scheme("jira", "key", None);
    let found = why(&jira, &[("x-hub-signature", &sha1)], None, &[]).unwrap().to_string();
    assert!(found.contains("as many as a SHA-1 has"), "{found}");
}

#[test]
fn a_signed_time_is_the_cause_only_if_the_signature_was_right_then() {
    let stripe = of_scheme("stripe", "key", None);
    let sign = |key: &str, seconds: u64| {
        let lines = Lines(vec![]);
        let stamp = crate::signature::sign::Stamp { timestamp: None, id: None };
        let context = Context::of(&lines, at(seconds));
        let signed = of_scheme("stripe", key, None).signature(None, &context, stamp, b"{}").unwrap();
        signed.lines().next().unwrap().1.clone()
    };
    let off = |value: &str, content| why(&stripe, &[("stripe-signature", value)], content, &[]);
    let allowed = Duration::from_secs(300);
    let clock = |seconds, side| {
        Some(Cause::SignedTime(TimeDifference { off: Duration::from_secs(seconds), side, allowed }))
    };
    let late = sign("key", NOW - 3600);
    assert_eq!(off(&late, None), clock(3600, Side::Past));
    assert_eq!(off(&late, Some(b"{}")), clock(3600, Side::Past));
    assert_eq!(off(&late, Some(b"{ }")), None, "it never was right");
    assert_eq!(off(&sign("key", NOW + 3600), None), clock(3600, Side::Future));
    let millis = format!("t={}000,v1={}", NOW, "0".repeat(64));
    assert_eq!(off(&millis, None), Some(Cause::TimeUnit(Unit::Milliseconds)));
}

#[test]
fn a_difference_is_never_said_as_its_limit() {
    let window = of_scheme("stripe", "key", None).scheme().timestamp.clone().unwrap();
    let said = |moment: SystemTime| {
        TimeDifference::of(&window, moment, at(NOW)).map(|difference| difference.to_string())
    };
    for (moment, want) in [
        (at(NOW - 420), "7 minutes ago, where 5 minutes"),
        (at(NOW - 310), "310 seconds ago, where 300 seconds"),
        (at(NOW - 300) - Duration::from_millis(1), "301 seconds ago, where 300 seconds"),
        (at(NOW + 301), "301 seconds ahead, where 300 seconds"),
        (SystemTime::UNIX_EPOCH, "more than 99 days ago, where 5 minutes"),
    ] {
        let want = format!("the signed time is {want} are allowed");
        assert_eq!(said(moment), Some(want));
    }
    assert_eq!([said(at(NOW - 300)), said(at(NOW + 300))], [None, None]);
}

#[test]
fn a_time_in_the_content_is_the_cause_only_if_the_rest_is_right() {
    let (linear, other) = (of_scheme("linear", "key", None), of_scheme("linear", "other", None));
    let content = linear.scheme().content_at(at(NOW - 3600)).unwrap();
    let (name, value) = linear.sign(&content).unwrap();
    assert_eq!(name, "linear-signature");
    let lines = Lines(vec![("linear-signature", value.into_bytes())]);
    let context = Context::of(&lines, at(NOW));
    let cause = |verifier: &Verifier, content: &[u8]| {
        let mut goes_on = || true;
        let others = [("/other", &linear)];
        likely_cause(verifier, &context, Some(content), others, &mut Work::new(1 << 20, &mut goes_on))
            .unwrap()
    };
    let (off, allowed) = (Duration::from_secs(3600), Duration::from_secs(60));
    assert_eq!(
        cause(&linear, &content),
        Some(Cause::SignedTime(TimeDifference { off, side: Side::Past, allowed }))
    );
    let other_route = Cause::OtherRoute { path: "/other".into(), secret: "key".into() };
    assert_eq!(cause(&other, &content), Some(other_route));
}

#[test]
fn every_cause_has_words_a_label_and_advice() {
    let secret: Arc<str> = "current".into();
    let mut causes = vec![
        Cause::Notation(NotationError::Base64),
        Cause::Form(NotationError::Base64),
        Cause::HoldsItsEnd { field: "x".into(), end: '.' },
        Cause::Doubled("x".into()),
        Cause::OtherScheme {
            missing: "x".into(),
            found: "y".into(),
            scheme: "z".into(),
            others: 2,
            is_sha1: true,
            path: None,
        },
        Cause::FormerSignature {
            missing: "x".into(),
            found: "y",
            senders: "A and B",
            scheme: Some("z".into()),
        },
        Cause::Unsigned { missing: "x".into(), secret: None },
        Cause::Incomplete("x".into()),
        Cause::SignedTime(TimeDifference {
            off: Duration::MAX,
            side: Side::Past,
            allowed: Duration::from_secs(1),
        }),
        Cause::TimeUnit(Unit::Seconds),
        Cause::Expired(Arc::clone(&secret)),
        Cause::OtherRoute { path: "/a".into(), secret: Arc::clone(&secret) },
    ];
    causes.extend(
        [
            ContentChange::NewlineAdded,
            ContentChange::NewlineLost,
            ContentChange::CrlfForLf,
            ContentChange::LfForCrlf,
            ContentChange::ByteOrderMark,
            ContentChange::ByteOrderMarkLost,
            ContentChange::WhiteSpaceAdded,
            ContentChange::WhiteSpaceLost,
            ContentChange::ReadAsLatin1,
            ContentChange::WrittenAsLatin1,
            ContentChange::CharactersLost,
            ContentChange::Base64,
            ContentChange::Wrapped,
            ContentChange::Unwrapped,
            ContentChange::Reserialized,
            ContentChange::FormRewritten,
            ContentChange::Compressed,
            ContentChange::Decompressed,
            ContentChange::Emptied,
        ]
        .map(Cause::Content),
    );
    let key_variants = [
        KeyChange::Untrimmed,
        KeyChange::Quoted,
        KeyChange::NewlineLost,
        KeyChange::Decorated(Decoration::List),
        KeyChange::Encoding(SecretEncoding::Hex),
    ];
    causes.extend(key_variants.map(|change| Cause::Key { secret: Arc::clone(&secret), change }));
    let mut labels: Vec<_> = causes.iter().map(Cause::as_str).collect();
    labels.dedup();
    assert_eq!(labels, Cause::LABELS);
    for cause in causes {
        let words = cause.to_string();
        assert!(!words.ends_with('.') && !cause.advice().is_empty(), "{cause}");
        assert!(words.len() < 200, "a line of the log holds it: {cause}");
    }
}

/// Diagnoses content with a forged signature, within this much work. Returns the cause, the counted work, and
/// the number of hashed bytes.
fn diagnosed(
    verifier: &Verifier,
    content: &[u8],
    most: usize,
) -> (Result<Option<Cause>, GivenUp>, usize, usize) {
    let lines = Lines(vec![("propify-signature", "0123456789abcdef".repeat(4).into_bytes())]);
    let context = Context::of(&lines, at(NOW));
    let (before, mut goes_on) = (HASHED.get(), || true);
    let mut work = Work::new(most, &mut goes_on);
    let found = likely_cause(verifier, &context, Some(content), [], &mut work);
    (found, work.done(), HASHED.get() - before)
}

fn around(before: &str, piece: &str, after: &str, n: usize) -> Vec<u8> {
    [before, &piece.repeat(n / piece.len()), after].concat().into_bytes()
}

#[test]
fn the_work_is_linear_in_the_content_whatever_it_is() {
    let verifier =
        verifier("this", None).suspecting(&"this".into(), key_changes(b"this", SecretEncoding::Utf8));
    let gzip = |content: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    };
    let member = gzip(b"a");
    type Shape<'s> = &'s dyn Fn(usize) -> Vec<u8>;
    let shapes: [Shape<'_>; 27] = [
        &|n| around("{", " ", "}", n),
        &|n| around("[", "\r\n", "]", n),
        &|n| around("[", "\t", "", n),
        &|n| around("", "[", "", n),
        &|n| [around("", "[", "", n), around("", "]", "", n)].concat(),
        &|n| around("", "{\"a\":", "", n),
        &|n| around("[", "[],", "[]]", n),
        &|n| around("[", "1,", "1]", n),
        &|n| around("[", "\"", "]", n),
        &|n| around("[\"", "\\", "\"]", n),
        &|n| around("[\"", "\\u00e9", "\"]", n),
        &|n| around("[\"", "\\ud83e", "\"]", n),
        &|n| around("[\"", "\\u", "\"]", n),
        &|n| around("[\"", "é", "\"]", n),
        &|n| around("{", "\"a\":1,", "\"a\":1}", n),
        &|n| around("", "\u{feff}", "", n),
        &|n| around("a=1", "&a=%20b", "", n),
        &|n| around("a=", "%7e", "", n),
        &|n| around("a=", "{", "", n),
        &|n| around("{\"body\":\"", "\\", "", n),
        &|n| around("{", "\"body\":", "", n),
        &|n| around("", "Zm9v", "", n),
        &|n| around("", "\u{e9}", "", n),
        &|n| around("", "a?", "", n),
        &|n| around("", "\n", "", n),
        &|n| vec![0; n],
        &|n| member.repeat(n / member.len()),
    ];
    for shape in shapes {
        let (once, four_times) = (shape(16 << 10), shape(64 << 10));
        let (found, work, hashed) = diagnosed(&verifier, &once, usize::MAX);
        let (_, more_work, _) = diagnosed(&verifier, &four_times, usize::MAX);
        let name = String::from_utf8_lossy(&once[..20]).into_owned();
        let lost = Some(Cause::Content(ContentChange::CharactersLost));
        assert_eq!(found, Ok(lost.filter(|_| name.starts_with("a?"))), "{name}");
        assert!(more_work <= work * 9 / 2, "{name}: {work}, {more_work}");
        assert!(work <= 120 * once.len(), "{name}: {work}");
        assert!(hashed <= work, "{name}: {hashed} of {work}");
    }
    let bomb = gzip(&vec![0; 64 << 20]);
    let (_, work, _) = diagnosed(&verifier, &bomb, usize::MAX);
    assert!(work <= (1 << 20) + 120 * bomb.len(), "{work}");
}

#[test]
fn the_work_is_bounded_however_many_secrets_there_are() {
    const MOST: usize = 4 << 20;
    let secret =
        |n: usize| Secret { name: n.to_string().into(), key: Key::new(vec![1; n + 1]), not_after: None };
    let scheme = Scheme::preset("propify").unwrap();
    let verifier = Verifier::new(scheme.clone(), (0..200).map(secret).collect()).unwrap();
    let content = around("{", " ", "}", 256 << 10);
    let (found, work, hashed) = diagnosed(&verifier, &content, MOST);
    assert_eq!(found, Err(GivenUp));
    assert!(hashed <= work && work <= MOST + (1 << 20), "{hashed} of {work}");
    // For ordinary content, the bound leaves enough work.
    let (found, work, _) = diagnosed(&verifier, br#"{"meta":{"object":"leases"}}"#, MOST);
    assert_eq!(found, Ok(None));
    assert!(work > 200 * 10 * 28, "each was tried: {work}");
}

#[test]
fn goes_on_is_called_often_and_false_ends_the_diagnosis() {
    let verifier =
        verifier("this", None).suspecting(&"this".into(), key_changes(b"this", SecretEncoding::Utf8));
    let lines = Lines(vec![("propify-signature", "0123456789abcdef".repeat(4).into_bytes())]);
    let context = Context::of(&lines, at(NOW));
    let content = around("[", "[1,", "]", 256 << 10);
    let asked = |most: usize| {
        let (mut times, mut last, mut longest) = (0, HASHED.get(), 0);
        let mut goes_on = || {
            times += 1;
            longest = longest.max(HASHED.get() - last);
            last = HASHED.get();
            times < most
        };
        let found =
            likely_cause(&verifier, &context, Some(&content), [], &mut Work::new(usize::MAX, &mut goes_on));
        (found, times, longest)
    };
    let (found, times, longest) = asked(usize::MAX);
    assert_eq!(found, Ok(None));
    assert!(longest <= PIECE, "{longest}");
    for most in [1, 2, times / 2, times] {
        let (found, times, _) = asked(most);
        assert_eq!((found, times), (Err(GivenUp), most));
    }
}
