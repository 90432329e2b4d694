//! Forwarding.
pub mod origin;
