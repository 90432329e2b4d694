//! The gateway from outside: real sockets and raw bytes on both sides of it.
//!
//! Every scripted upstream records all that reaches it, and when a test ends checks the one oracle that matters: each
//! request carries a valid signature over exactly its content, and is strict RFC 9112.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test that goes wrong may end in a panic"
)]

mod support;

mod admin;
mod answers;
mod challenges;
mod cli;
mod config;
mod connections;
mod diagnosis;
mod doctor;
mod drain;
mod forwarding;
mod framing;
mod load;
mod log;
mod lookalikes;
mod manifests;
mod manual;
mod memory;
mod metrics;
mod model;
mod packages;
mod paths;
mod places;
mod presets;
mod process;
mod properties;
mod property;
mod reload;
mod rotation;
mod schemes;
mod secrets_in_memory;
mod senders;
mod sockets;
mod structure;
mod supervision;
mod table;
mod upstream_faults;
mod verify;
