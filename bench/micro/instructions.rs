//! Calls one part of a request's path once, so that `bench/instructions` can count its instructions. Without
//! an argument, prints the names of the parts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a measurement that fails has nothing to say, and what it has to say it prints"
)]

mod parts;

fn main() {
    // `cargo bench` adds `--bench`.
    let Some(asked) = std::env::args().nth(1).filter(|argument| argument != "--bench") else {
        return parts::PARTS.iter().for_each(|(name, _)| println!("{name}"));
    };
    let (_, make) = parts::PARTS.into_iter().find(|(name, _)| *name == asked).unwrap();
    let mut part = make();
    measured(&mut part);
}

/// The function in which callgrind counts, by its name.
#[inline(never)]
fn measured(part: &mut parts::Part) {
    part();
}
