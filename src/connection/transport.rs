//! Shell. The stream of a connection, as a front end takes it.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::tls::session::Session;

/// The stream of a connection.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Sets whether the client should see the close as a failure, if the stream can express that.
    fn reset_on_close(&self, reset: bool);

    /// What requests may know of the TLS connection, if it is one.
    fn session(&self) -> Option<&Arc<Session>> {
        None
    }
}

impl Transport for DuplexStream {
    fn reset_on_close(&self, _reset: bool) {}
}
