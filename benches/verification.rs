//! Micro: what it costs to verify one event, from its fields to the proof. `cargo bench --bench verification`
//!
//! Prints the best of many rounds, which is the figure that a busy machine disturbs least.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a measurement that fails has nothing to say, and what it has to say it prints"
)]

use std::hint::black_box;
use std::time::{Instant, SystemTime};

use hookgate::secret::{Key, Secret};
use hookgate::signature::scheme::Scheme;
use hookgate::signature::sign::Stamp;
use hookgate::signature::{Context, Fields, Verifier};

struct Lines(Vec<(String, String)>);

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_bytes())
    }
}

fn main() {
    // `cargo bench` adds an argument of its own.
    if let Some(only) = std::env::args().nth(1).filter(|argument| !argument.starts_with('-')) {
        return measure(&only, 0);
    }
    for size in [0, 512, 4096, 65_536] {
        measure("propify", size);
    }
    for scheme in ["stripe", "standard-webhooks", "gitlab"] {
        measure(scheme, 512);
    }
}

fn measure(scheme: &str, size: usize) {
    let key = Key::new(b"0123456789abcdef0123456789abcdef".to_vec());
    let secret = Secret { name: "current".into(), key, not_after: None };
    let verifier = Verifier::new(Scheme::preset(scheme).unwrap().clone(), vec![secret]).unwrap();
    let content = vec![b'x'; size];
    let now = SystemTime::UNIX_EPOCH;
    let stamp = Stamp { id: Some("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"), ..Stamp::default() };
    let signature = verifier.signature(None, &Context::of(&Lines(vec![]), now), stamp, &content).unwrap();
    let fields = Lines(signature.lines().cloned().collect());
    let each = 4_000_000 / (size + 1_000);
    let mut best = f64::MAX;
    for _ in 0..200 {
        let begun = Instant::now();
        for _ in 0..each {
            let claim = verifier.claim(&Context::of(black_box(&fields), now)).unwrap();
            let mut verification = verifier.begin(claim, now);
            verification.push(black_box(&content));
            black_box(verification.finish(()).unwrap());
        }
        best = best.min(begun.elapsed().as_nanos() as f64 / each as f64);
    }
    println!("{scheme:<20} {size:>6} B  {best:>9.1} ns");
}
