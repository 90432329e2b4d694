//! hookgate: a reverse proxy that verifies webhooks.
//!
//! hookgate reads the whole content of each request and checks the sender's signature over exactly these
//! bytes. A request that does not verify is refused. A request that verifies is forwarded unchanged to the
//! upstream that is configured for its path.
//!
//! # The path of a request
//!
//! [`listen`] accepts a connection, and [`http1`] serves it. [`message`] parses each head strictly. Each
//! request begins in [`gateway::handle`]. [`routing`] finds its route, and [`signature`] reads the claim in
//! its fields. Then the content is received and hashed. [`signature`] decides whether the request is
//! authentic, and [`upstream`] delivers it. [`admission`] limits what a client may use meanwhile. Each way to
//! fail is a [`gateway::rejection::Rejection`]. Each request leaves one [`telemetry::record::Record`]. A
//! separate thread finds out why a signature does not verify: [`diagnosis`].
//!
//! # The invariants
//!
//! 1. Only a [`signature::Deliverable`] or a [`queue::event::StoredEvent`] reaches an upstream. Only
//!    [`signature`] makes the first, and only [`queue`] makes the second.
//! 2. The forwarded bytes are the hashed bytes: the verification owns them from their arrival on.
//! 3. A [`gateway::Gateway`] never changes. A new configuration needs a new gateway: [`runtime::reload`]
//!    builds it, and [`runtime::control`] applies it.
//! 4. Pure files know no runtime, network, file system, environment or clock. Their first line says that they
//!    are pure.
//! 5. Every wait has a deadline, and every buffer has a bound.

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
pub mod connection;
pub mod diagnosis;
pub mod gateway;
pub mod http1;
pub mod http2;
#[cfg(feature = "tower")]
pub mod layer;
pub mod listen;
pub mod message;
pub mod queue;
pub mod routing;
pub mod runtime;
pub mod signature;
pub mod telemetry;
pub mod tls;
pub mod upstream;
pub mod verify;
