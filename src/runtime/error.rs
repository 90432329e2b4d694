//! Pure. Why a server could not start.

use std::io;

use crate::config::Address;
use crate::queue::store::OpenError;
use crate::routing::router::Conflict;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server cannot listen on this address.
    #[error("cannot listen on {0}")]
    Bind(Address, #[source] io::Error),
    /// Sockets were passed to this process, and none of them is for TLS, which is configured.
    #[error(
        "[tls] is configured, and none of the sockets that were passed to hookgate has an address or a port of its `listen`"
    )]
    NoTlsSocket,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The system cannot provide a thread or an event queue.
    #[error("cannot start a worker thread")]
    Thread(#[source] io::Error),
    /// Routes conflict. A configuration from [`crate::config::read`] has no conflicts.
    #[error("some routes match the same requests")]
    Routes(Vec<Conflict>),
    /// The store of the queue cannot be opened.
    #[error(transparent)]
    Queue(OpenError),
}
