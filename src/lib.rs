//! hookgate: a reverse proxy that verifies webhooks.
//!
//! It reads the whole content of each request, checks the sender's MAC over those exact bytes, refuses what does not verify,
//! and forwards what does, unchanged, to the upstream configured for the path.
//!
//! # The walk of a request
//!
//! [`server::accept`] accepts it, [`server::connection`] serves it, and [`server::wire`] owns its socket: it reads each head
//! itself and judges it with [`server::head`]. [`gateway::exchange`] is where each request begins. From there it goes from
//! step to step: [`route`] finds its route, [`signature`] reads what its fields claim, [`body`] receives and hashes its
//! content, [`signature`] decides, [`model`] reads what it is about, [`forward`] delivers it, and [`answer`] brings the
//! response back. Each way to fail is a [`rejection::Rejection`]; each request leaves one [`telemetry::record::Record`].
//! Why one does not verify is found out by [`counsel`], on a thread of its own.
//!
//! # The invariants
//!
//! 1. Nothing reaches an upstream but a [`signature::Deliverable`], and only [`signature`] makes one.
//! 2. What was hashed is what is forwarded: the bytes belong to the verification from their arrival on.
//! 3. The [`gateway::Gateway`] never changes. To reconfigure is to build another: [`reload`] does, and
//!    [`server::control`] puts it in force.
//! 4. Pure rooms (their first line says so) know no runtime, network, file system, environment or clock.
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
pub mod routing;
pub mod runtime;
pub mod signature;
pub mod telemetry;
pub mod upstream;
