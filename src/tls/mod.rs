//! Pure. TLS: certificates and their names, the acceptor of client connections, the connector to upstreams.
//!
//! Configuration makes [`key_pair::KeyPair`]s, [`authorities::Authorities`] and [`client_config::Connector`]s
//! of files, so that a mistake in a file is a problem of the configuration. Each generation of the
//! configuration has a [`server_config::Acceptor`], which performs the handshakes. A request sees only a
//! [`session::Session`].

pub mod acme;
pub mod authorities;
pub mod certificate;
pub mod client_config;
pub mod failure;
pub mod handshake;
pub mod handshake_turns;
pub mod host_name;
pub mod key_pair;
pub mod provider;
pub mod server_config;
pub mod session;
pub mod stream;
pub(crate) mod trust;

#[cfg(test)]
pub(crate) mod sample;
