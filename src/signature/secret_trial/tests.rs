//! Tests of trials: every budget finds the same secret, and no step exceeds its budget by more than its
//! bound.

use std::time::SystemTime;

use proptest::prelude::*;

use crate::signature::algorithm::Algorithm;
use crate::signature::mac::HASHED;
use crate::signature::private_key::PrivateKey;
use crate::signature::public_url::PublicUrls;
use crate::signature::scheme::Scheme;
use crate::signature::secret::{Key, Secret};
use crate::signature::sign::Stamp;
use crate::signature::tests::Lines;
use crate::signature::{Check, Context, Stepped, Verifier};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// One scheme for each way of signing content.
const SCHEMES: [&str; 8] =
    ["propify", "stripe", "twilio", "twilio-json", "vonage", "gitlab", "discord", "sendgrid"];

fn context<'c>(fields: &'c Lines, target: &'c str) -> Context<'c, Lines> {
    static ORIGIN: std::sync::LazyLock<PublicUrls> = std::sync::LazyLock::new(|| "https://host".into());
    Context { target: target.as_bytes(), origin: Some(&ORIGIN), ..Context::of(fields, NOW) }
}

fn private(algorithm: Algorithm, number: u8) -> Option<PrivateKey> {
    PrivateKey::of_bytes(algorithm, &[number + 1; 32]).ok()
}

/// A verifier with these numbered secrets. The number of a secret is also its name.
fn verifier(scheme: &str, numbers: std::ops::Range<u8>) -> Verifier {
    let scheme = Scheme::preset(scheme).unwrap();
    let secret = |number: u8| {
        let key = private(scheme.algorithm, number).map(|key| key.public());
        let key = key.unwrap_or_else(|| Key::new(vec![number + 1; 32]));
        Secret { name: number.to_string().into(), key, not_after: None }
    };
    Verifier::new(scheme.clone(), numbers.map(secret).collect()).unwrap()
}

/// Content that was received whole. It is signed with the secret of this number.
fn received<'v>(verifier: &'v Verifier, number: u8, signed: &[u8], content: &[u8]) -> Check<'v, ()> {
    let scheme = verifier.scheme();
    let sender = match private(scheme.algorithm, number) {
        Some(key) => Verifier::of_sender(scheme.clone(), "sender", key).unwrap(),
        None => self::verifier(&scheme.name, number..number + 1),
    };
    let target = sender.target("/hook", signed);
    let nothing = Lines(vec![]);
    let stamp = Stamp { id: Some("id"), timestamp: None };
    let signature = sender.signature(None, &context(&nothing, &target), stamp, signed).unwrap();
    let lines = signature.lines().map(|(name, value)| (&*name.clone().leak(), value.clone().into_bytes()));
    let fields = Lines(lines.collect());
    let mut verification = verifier.begin(verifier.claim(&context(&fields, &target)).unwrap(), NOW);
    verification.push(content);
    verification.complete()
}

fn hashed() -> usize {
    HASHED.get()
}

/// The name of the secret that is found, in steps of this budget.
fn found(mut check: Check<'_, ()>, budget: usize) -> Option<String> {
    while check.step(budget) == Stepped::More {}
    check.finish().ok().map(|authentic| authentic.secret().to_string())
}

#[test]
fn no_step_hashes_more_than_its_budget_however_many_secrets_there_are() {
    const BUDGET: usize = 16 << 10;
    // A form with long pairs and many pairs. Schemes without forms treat it as plain content.
    let pairs: Vec<_> = (0..900).map(|n| format!("n{n}=a%20b+{}", "x".repeat(n))).collect();
    let content = pairs.join("&").into_bytes();
    for scheme in SCHEMES {
        let verifier = verifier(scheme, 0..20);
        let mut check = received(&verifier, 99, &content, &content);
        let (mut most, mut steps) = (0, 0);
        loop {
            let before = hashed();
            let stepped = check.step(BUDGET);
            most = most.max(hashed() - before);
            steps += 1;
            if stepped == Stepped::Done {
                break;
            }
        }
        assert!(check.finish().is_err(), "{scheme}");
        assert!(most <= BUDGET + 256, "{scheme}: {most}");
        let (token, digest) = (scheme == "gitlab", matches!(scheme, "twilio-json" | "vonage"));
        assert!(token || steps > content.len() / BUDGET, "{scheme}: {steps}");
        assert!(token || digest || steps > 19 * (content.len() / 2) / BUDGET, "{scheme}: {steps}");
    }
}

#[test]
fn content_that_the_first_secret_has_signed_is_hashed_once() {
    let verifier = verifier("propify", 0..5);
    let content = vec![b'x'; 100_000];
    let sender = hashed();
    let mut check = received(&verifier, 0, &content, &content);
    let once = (hashed() - sender) / 2;
    assert_eq!(once, content.len());
    assert_eq!(check.step(1), Stepped::Done);
    assert!(check.finish().is_ok());
    assert_eq!(hashed() - sender, 2 * content.len(), "and once by its sender");
}

#[test]
fn where_no_other_secret_counts_there_is_nothing_left_to_do() {
    let verifier = verifier("propify", 0..1);
    let mut check = received(&verifier, 1, b"{}", b"{}");
    assert_eq!(check.step(1), Stepped::Done);
    assert!(check.finish().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_the_budget_the_secret_that_has_signed_is_found_and_no_other(
        pairs in proptest::collection::vec("[a-c]{1,3}=([x-z+=]|%2[0-9A-F]|%C3%BC){0,40}", 1..9),
        number in 0_u8..8,
        budget in 0_usize..200,
    ) {
        let content = pairs.join("&").into_bytes();
        let other = [&content[..], b"&x=y"].concat();
        for scheme in SCHEMES {
            let verifier = verifier(scheme, 0..5);
            let want = (number < 5).then(|| number.to_string());
            let check = received(&verifier, number, &content, &content);
            prop_assert_eq!(found(check, budget), want.clone(), "{}", scheme);
            let check = received(&verifier, number, &content, &content);
            prop_assert_eq!(found(check, usize::MAX), want.clone(), "{}", scheme);
            // A token does not cover the content.
            let want = want.filter(|_| scheme == "gitlab");
            prop_assert_eq!(found(received(&verifier, number, &content, &other), budget), want, "{}", scheme);
        }
    }
}
