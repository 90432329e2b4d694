//! The signature field: what is read as a claim, and that only the right one verifies.
//!
//! The first byte chooses the scheme; each further line is the value of one signature field line.

use std::time::SystemTime;

use hookgate::secret::{Key, Secret};
use hookgate::signature::scheme::PRESETS;
use hookgate::signature::{ClaimError, Context, Fields, Verifier};

use super::{FIXTURE, SECRET, choice, tag};

struct Lines<'l>(&'l str, Vec<&'l [u8]>);

impl Fields for Lines<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.1.iter().copied().filter(move |_| name == self.0)
    }
}

struct Known {
    verifiers: Vec<Verifier>,
    tag: Vec<u8>,
}

thread_local! {
    static KNOWN: Known = {
        let secret = || Secret { name: "a".into(), key: Key::new(SECRET.as_bytes().to_vec()), not_after: None };
        // Those with public keys need one that is one.
        let verifiers = PRESETS.iter().filter_map(|scheme| Verifier::new(scheme.clone(), vec![secret()]).ok());
        let verifiers = verifiers.collect();
        Known { verifiers, tag: tag(FIXTURE.as_bytes()) }
    };
}

/// Panics if a value is read as a claim that is not one, or the other way round; or if anything but the tag verifies.
pub fn holds(data: &[u8]) {
    KNOWN.with(|known| check(known, data));
}

fn check(known: &Known, data: &[u8]) {
    let (which, rest) = choice(data);
    let verifier = &known.verifiers[usize::from(which) % known.verifiers.len()];
    let lines: Vec<&[u8]> =
        if rest.is_empty() { vec![] } else { rest.split(|byte| *byte == b'\n').collect() };
    let field = verifier.scheme().field.to_string();
    let (fields, now) = (Lines(&field, lines.clone()), SystemTime::UNIX_EPOCH);
    let claim = verifier.claim(&Context::of(&fields, now));
    let prefix: &[u8] = match &*verifier.scheme().name {
        "github" => b"sha256=",
        "propify" | "propexo" => b"",
        _ => {
            // Of the others only this: what nobody has signed does not verify.
            if let Ok(claim) = claim {
                let mut verification = verifier.begin(claim, now);
                verification.push(FIXTURE.as_bytes());
                let token = lines
                    .iter()
                    .any(|line| line.windows(SECRET.len()).any(|piece| piece == SECRET.as_bytes()));
                assert!(verification.finish(()).is_err() || token);
            }
            return;
        }
    };
    let want = match lines[..] {
        [] => Err(ClaimError::Missing),
        [line] if line.contains(&b',') => Err(ClaimError::Duplicate),
        [line] => line
            .strip_prefix(prefix)
            .filter(|digits| digits.len() == 64)
            .and_then(|digits| hex::decode(digits).ok())
            .ok_or(ClaimError::Malformed),
        [..] => Err(ClaimError::Duplicate),
    };
    match (claim, want) {
        (Ok(claim), Ok(claimed)) => {
            let mut verification = verifier.begin(claim, SystemTime::UNIX_EPOCH);
            verification.push(FIXTURE.as_bytes());
            assert_eq!(verification.finish(()).is_ok(), claimed == known.tag);
        }
        (Err(error), Err(want)) => assert_eq!(error, want),
        (claim, want) => panic!("{claim:?}, but it should be {want:?}"),
    }
}
