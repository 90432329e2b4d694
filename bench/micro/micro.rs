//! Micro: measures the time of each part of a request's path. `cargo bench --bench micro [PATTERN]`
//!
//! Of the printed figures, a busy machine disturbs `fastest` least. The number of instructions does not
//! depend on the machine's load: `bench/instructions` counts them.

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
