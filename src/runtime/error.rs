//! Pure. Why a server could not start.

use std::io;

use crate::config::Address;
use crate::routing::router::Conflict;

/// Why a server could not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Bind(Address, io::Error),
    /// The system has no thread or no event queue to give.
    Thread(io::Error),
    /// Routes would take the same requests. A configuration that was read has no such routes.
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
