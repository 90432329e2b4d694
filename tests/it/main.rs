//! The integration tests: one binary, a file per subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test that goes wrong may end in a panic"
)]

mod cli;
mod config;
mod process;
mod rooms;
