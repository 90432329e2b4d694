//! Integration tests: real sockets and raw bytes on both sides of a gateway.
//!
//! Every scripted upstream records each byte that it receives. When a test ends, the upstream's oracle checks
//! each request: it must be strict RFC 9112, and have a valid signature over exactly its content.

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

mod acme;
mod acme_renewal;
mod admin;
mod admin_socket;
mod admin_tls;
mod answers;
mod assertion;
mod captures;
mod challenges;
mod cli;
mod clients;
mod config;
mod connections;
mod console;
mod console_bounds;
mod dead_letters;
mod deliveries;
mod diagnosis;
mod doctor;
mod documents;
mod drain;
mod embedding;
mod events;
mod failover;
mod first_steps;
mod forwarding;
mod framing;
mod http2;
mod http2_floods;
mod http2_holding;
mod http2_requests;
mod init;
mod layer;
mod limits;
mod load;
mod log;
mod lookalikes;
mod manifests;
mod manual;
mod memory;
mod metrics;
mod model;
mod named_fields;
mod notations;
mod packages;
mod paths;
mod places;
mod presets;
mod process;
mod properties;
mod property;
mod public_surface;
mod queue;
mod refusal_details;
mod reload;
mod requests;
mod rotation;
mod schemes;
mod secrets_in_memory;
mod senders;
mod setup_requests;
mod signatures;
mod signed_urls;
mod sockets;
mod standard_input;
mod stores;
mod structure;
mod supervision;
mod table;
mod tail;
mod tls;
mod tls_commands;
mod tls_upstream;
mod upstream_faults;
mod verify;
mod writer;
