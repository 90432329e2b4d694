//! Timing leak test: whether the time of verification reveals how much of a forged tag is right. It follows
//! dudect (Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", 2017), applied to
//! `Verifier::claim`, `begin` and `finish` together.
//!
//!     cargo bench --bench timing
//!
//! Two classes of requests that do not verify are timed in random order: one signature differs from the right
//! one in its first digit, the other in its last. Welch's t-test then compares their times: |t| below 4.5 is
//! no evidence of a difference, above 10 is a leak. As in dudect, the test runs on all times, and on the
//! times below several percentiles, because interrupts cause the slow tail. Two controls are timed in the
//! same way. The first control verifies the same two signatures with another secret. Both are then completely
//! wrong, so a difference comes only from the bytes that the forger wrote. The second control is a comparison
//! that stops at the first wrong digit. The test must detect this control.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a measurement run by hand"
)]

use std::hint::black_box;
use std::time::{Instant, SystemTime};

use hookgate::signature::scheme::Scheme;
use hookgate::signature::secret::{Key, Secret};
use hookgate::signature::{Context, Fields, Verifier};

const SAMPLES: usize = 1_000_000;

/// Calls that are timed together: one call is far above the clock's resolution, but a bare comparison is not.
const CALLS: usize = 4;

/// The fractions of the times, fastest first, that are each tested.
const PARTS: [f64; 5] = [1.0, 0.99, 0.9, 0.75, 0.5];

const CONTENT: &[u8] =
    br#"{"meta":{"object":"leases"},"record_id":"1","diff":{"new":{"status":"approved"}}}"#;

struct Line<'l>(&'l [u8]);

impl Fields for Line<'_> {
    fn values<'a>(&'a self, _name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.0)
    }
}

fn main() {
    println!("first wrong against last wrong, {SAMPLES} samples of {CALLS} calls each\n");
    let hmac = verifier("propify", "a secret that is long enough");
    let (_, right) = hmac.sign(CONTENT).expect("there is a secret");
    let classes = wrong_first_and_last(right.as_bytes());
    report("HMAC-SHA256", |tag| verifies(&hmac, tag), &classes);
    let other = verifier("propify", "another secret, of which both are wrong");
    report("HMAC-SHA256, against another secret", |tag| verifies(&other, tag), &classes);
    let token = "0123456789abcdef0123456789abcdef0123456789abcdef";
    let classes = wrong_first_and_last(token.as_bytes());
    let gitlab = verifier("gitlab", token);
    report("a token in the field", |tag| verifies(&gitlab, tag), &classes);
    let stops_early =
        |tag: &[u8]| tag.iter().zip(token.as_bytes()).all(|(a, b)| black_box(a) == black_box(b));
    report("a comparison that stops early", stops_early, &classes);
}

fn verifier(scheme: &str, secret: &str) -> Verifier {
    let key = Key::new(secret.as_bytes().to_vec());
    let secret = Secret { name: "current".into(), key, not_after: None };
    let scheme = Scheme::preset(scheme).expect("it ships");
    Verifier::new(scheme.clone(), vec![secret]).expect("a key of that kind")
}

fn verifies(verifier: &Verifier, tag: &[u8]) -> bool {
    let (line, now) = (Line(tag), SystemTime::UNIX_EPOCH);
    let claim = verifier.claim(&Context::of(&line, now)).expect("it is well formed");
    let mut verification = verifier.begin(claim, now);
    verification.push(CONTENT);
    verification.finish().is_ok()
}

/// Changes a digit to a digit and a letter to a letter, so that parsing the claim takes the same branches in
/// both classes. What a forger wrote is not secret, but the difference would show in the times.
fn wrong_first_and_last(right: &[u8]) -> [Vec<u8>; 2] {
    [0, right.len() - 1].map(|index| {
        let mut tag = right.to_vec();
        tag[index] = if matches!(tag[index], b'9' | b'f') { tag[index] - 1 } else { tag[index] + 1 };
        tag
    })
}

fn report(name: &str, verify: impl Fn(&[u8]) -> bool, classes: &[Vec<u8>; 2]) {
    let samples = measure(verify, classes);
    let mut all: Vec<u64> = samples.iter().flatten().copied().collect();
    all.sort_unstable();
    println!("{name}: median {} ns", all[all.len() / 2] / CALLS as u64);
    for part in PARTS {
        let limit = all[((all.len() - 1) as f64 * part) as usize];
        let kept = samples
            .each_ref()
            .map(|times| times.iter().copied().filter(|time| *time <= limit).collect::<Vec<_>>());
        let (t, difference) = welch(&kept[0], &kept[1]);
        println!(
            "  fastest {:>5.1} %: t = {t:>8.2}, difference of the means {:>6.2} ns, {} and {} samples",
            part * 100.0,
            difference / CALLS as f64,
            kept[0].len(),
            kept[1].len(),
        );
    }
}

/// The times of each class in nanoseconds. The order is drawn in advance, so that no periodic disturbance
/// hits one class only.
fn measure(verify: impl Fn(&[u8]) -> bool, classes: &[Vec<u8>; 2]) -> [Vec<u64>; 2] {
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    // Both classes are read from the same address, so that neither has better alignment.
    let mut tag = classes[0].clone();
    for round in 0..SAMPLES + SAMPLES / 100 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let class = usize::from(state >> 63 == 1);
        tag.copy_from_slice(&classes[class]);
        // One untimed call: the copy's effects on the processor's buffers must not be timed.
        black_box(verify(black_box(&tag)));
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(verify(black_box(&tag)));
        }
        let time = start.elapsed().as_nanos() as u64;
        // Skip the warm-up.
        if round >= SAMPLES / 100 {
            times[class].push(time);
        }
    }
    times
}

/// Welch's t, and the difference of the means.
fn welch(a: &[u64], b: &[u64]) -> (f64, f64) {
    let moments = |times: &[u64]| {
        let n = times.len() as f64;
        let mean = times.iter().map(|time| *time as f64).sum::<f64>() / n;
        let variance = times.iter().map(|time| (*time as f64 - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((mean_a, spread_a), (mean_b, spread_b)) = (moments(a), moments(b));
    ((mean_a - mean_b) / (spread_a + spread_b).sqrt(), mean_a - mean_b)
}
