//! Pure. Why a server could not start.

use std::io;

use crate::config::Address;
use crate::routing::router::Conflict;

/// Why a server could not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be bound.
    Bind(Address, io::Error),
    /// The system cannot provide a thread or an event queue.
    Thread(io::Error),
    /// Routes conflict. A configuration made by [`crate::config::read`] has none that do.
    Routes(Vec<Conflict>),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind(address, _) => write!(f, "cannot listen on {address}"),
            Self::Thread(_) => f.write_str("cannot start a worker thread"),
            Self::Routes(_) => f.write_str("some routes would take the same requests"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(_, source) | Self::Thread(source) => Some(source),
            Self::Routes(_) => None,
        }
    }
}
