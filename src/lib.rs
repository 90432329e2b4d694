//! hookgate: a reverse proxy that verifies webhooks.
//!
//! As a library, hookgate checks webhooks inside an app. [`verify`] is the check as a function, and `layer`
//! (with the feature `tower`) checks the requests of an axum, hyper or tower app. These two modules are the
//! public surface. All other modules are the program. They are visible for its tests and benchmarks, and
//! change without notice. `RUSTDOCFLAGS='--cfg hookgate_internals' cargo doc` also describes them. The rest
//! of this page is about the program.
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

#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod admin;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod admission;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod cli;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod config;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod connection;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod diagnosis;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod gateway;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod http1;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod http2;
#[cfg(feature = "tower")]
pub mod layer;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod listen;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod message;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod queue;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod routing;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod runtime;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod signature;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod telemetry;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod tls;
#[cfg_attr(not(hookgate_internals), doc(hidden))]
pub mod upstream;
pub mod verify;
