//! Micro: how long each part of a request's path takes. `cargo bench --bench micro [PATTERN]`
//!
//! Of what it prints, `fastest` is the figure that a busy machine disturbs least. How many instructions each part takes does
//! not depend on the machine at all: `bench/instructions` counts them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a measurement that fails has nothing to say"
)]

mod parts;

fn main() {
    divan::main();
}

#[divan::bench(args = parts::PARTS.map(|(name, _)| name), min_time = 0.2, max_time = 2)]
fn part(bencher: divan::Bencher<'_, '_>, name: &str) {
    let (_, make) = parts::PARTS.into_iter().find(|(other, _)| *other == name).unwrap();
    bencher.bench_local(make());
}
