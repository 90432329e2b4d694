//! hookgate: a reverse proxy that verifies webhooks.
//!
//! It reads the whole content of each request, checks the sender's MAC over those exact bytes, refuses what does not verify,
//! and forwards what does, unchanged, to the upstream configured for the path.
//!
//! # The path of a request
//!
//! [`listen`] accepts a connection and [`http1`] serves it. [`message`] reads the head, strictly. [`gateway::handle`] is where
//! each request begins: [`routing`] finds its route, [`signature`] reads what its fields claim, the content is received and
//! hashed, [`signature`] decides, and [`upstream`] delivers it. [`admission`] bounds what clients may take meanwhile. Each way
//! to fail is a [`gateway::rejection::Rejection`]. Each request leaves one [`telemetry::record::Record`]. A thread of its own
//! finds out why a signature does not verify: [`diagnosis`].
//!
//! # The invariants
//!
//! 1. Nothing reaches an upstream but a [`signature::Deliverable`], and only [`signature`] makes one.
//! 2. What was hashed is what is forwarded: the bytes belong to the verification from their arrival on.
//! 3. A [`gateway::Gateway`] never changes. To reconfigure is to build another: [`runtime::reload`] does, and
//!    [`runtime::control`] puts it in force.
//! 4. Pure files (their first line says so) know no runtime, network, file system, environment or clock.
//! 5. Every wait has a deadline, every buffer a bound.

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::wildcard_enum_match_arm,
        clippy::type_complexity,
        clippy::as_conversions,
        reason = "a test that overflows or meets another variant fails, which is what it is for"
    )
)]

pub mod admin;
pub mod admission;
pub mod cli;
pub mod config;
pub mod diagnosis;
pub mod gateway;
pub mod http1;
pub mod listen;
pub mod message;
pub mod queue;
pub mod routing;
pub mod runtime;
pub mod signature;
pub mod telemetry;
pub mod upstream;
