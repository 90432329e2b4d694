//! The signature field: which values are claims, and that only the right claim verifies.
//!
//! The first byte selects the scheme. Each further line is the value of one signature field line.

use std::time::SystemTime;

use hookgate::signature::algorithm::Algorithm;
use hookgate::signature::field::{Encoding, Format};
use hookgate::signature::scheme::{PRESETS, Scheme};
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::{ClaimError, Context, Fields, Verifier};

use super::{FIXTURE, SECRET, choice, tag};

struct Lines<'l>(&'l str, Vec<&'l [u8]>);

impl Fields for Lines<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.1.iter().copied().filter(move |_| name == self.0)
    }
}

struct Known {
    /// The verifiers of the schemes whose complete rule is in this file.
    verifiers: Vec<Verifier>,
    /// The verifiers of all other schemes that have a symmetric key.
    others: Vec<Verifier>,
    tag: Vec<u8>,
}

thread_local! {
    static KNOWN: Known = {
        let secret = || Secret { name: "a".into(), key: Key::new(SECRET.as_bytes().to_vec()), not_after: None };
        let verifier = |scheme: &Scheme| Verifier::new(scheme.clone(), vec![secret()]).unwrap();
        let symmetric = PRESETS.iter().filter(|scheme| scheme.algorithm.is_symmetric());
        let (plain, others): (Vec<_>, Vec<_>) = symmetric.partition(|scheme| is_plain(scheme));
        let (verifiers, others) =
            (plain.into_iter().map(verifier).collect(), others.into_iter().map(verifier).collect());
        Known { verifiers, others, tag: tag(FIXTURE.as_bytes()) }
    };
}

/// Hexadecimal HMAC-SHA256 of the body, in a field, with or without a prefix, and nothing else.
fn is_plain(scheme: &Scheme) -> bool {
    scheme.algorithm == Algorithm::HmacSha256
        && scheme.notation.encoding == Encoding::Hex
        && matches!(scheme.notation.format, Format::Plain { .. })
        && scheme.content.is_body()
        && scheme.timestamp.is_none()
        && scheme.parameter.is_none()
}

/// Panics if an invalid value is accepted as a claim, if a valid claim is refused, or if anything but the
/// right tag verifies.
pub fn holds(data: &[u8]) {
    KNOWN.with(|known| check(known, data));
}

fn check(known: &Known, data: &[u8]) {
    let (which, rest) = choice(data);
    let verifier = &known.verifiers[usize::from(which) % known.verifiers.len()];
    let lines: Vec<&[u8]> =
        if rest.is_empty() { vec![] } else { rest.split(|byte| *byte == b'\n').collect() };
    let Format::Plain { prefix } = &verifier.scheme().notation.format else { panic!("it is plain") };
    never_verifies(&known.others[usize::from(which) % known.others.len()], &lines);
    let want = match lines[..] {
        [] => Err(ClaimError::Missing),
        [line] if commas(line) > commas(prefix.as_bytes()) => Err(ClaimError::Duplicate),
        [line] => line
            .strip_prefix(prefix.as_bytes())
            .filter(|digits| digits.len() == 64)
            .and_then(|digits| hex::decode(digits).ok())
            .ok_or(ClaimError::Malformed),
        [..] => Err(ClaimError::Duplicate),
    };
    let lines = Lines(&verifier.scheme().field, lines);
    let claim = verifier.claim(&Context::of(&lines, SystemTime::UNIX_EPOCH));
    match (claim, want) {
        (Ok(claim), Ok(claimed)) => {
            let mut verification = verifier.begin(claim, SystemTime::UNIX_EPOCH);
            verification.push(FIXTURE.as_bytes());
            assert_eq!(verification.finish().is_ok(), claimed == known.tag);
        }
        (Err(error), Err(want)) => assert_eq!(error, want),
        (claim, want) => panic!("{claim:?}, but it should be {want:?}"),
    }
}

fn commas(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b',').count()
}

/// Puts the same text into every field that the scheme reads. The text was not made with the key, so it must
/// not verify.
fn never_verifies(verifier: &Verifier, lines: &[&[u8]]) {
    struct Everywhere<'l>(&'l [&'l [u8]]);
    impl Fields for Everywhere<'_> {
        fn values<'a>(&'a self, _name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            self.0.iter().copied()
        }
    }
    let fields = Everywhere(lines);
    if let Ok(claim) = verifier.claim(&Context::of(&fields, SystemTime::UNIX_EPOCH)) {
        let mut verification = verifier.begin(claim, SystemTime::UNIX_EPOCH);
        verification.push(b"\xffnot the fixture");
        let is_secret = verifier.scheme().algorithm == Algorithm::Token && lines == [SECRET.as_bytes()];
        assert_eq!(verification.finish().is_ok(), is_secret);
    }
}
