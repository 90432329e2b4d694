//! Shell. Who serves the connections that are accepted: our own HTTP/1, unless the caller that starts the server names another.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::admission::client::ClientAddress;
use crate::admission::connections::Entry;
use crate::http1::buffer::Buffer;
use crate::listen::stream::Stream;
use crate::runtime::worker::Worker;

/// A connection that has been accepted and has a place.
#[derive(Debug)]
pub struct AcceptedConnection {
    /// The worker of the thread that serves it.
    pub worker: Rc<Worker>,
    /// The socket.
    pub stream: Stream,
    /// The bytes that have been read from it already.
    pub unread: Buffer,
    /// The address of the client.
    pub peer: ClientAddress,
    /// Ends it after the request under way.
    pub drain: CancellationToken,
    /// Its place.
    pub entry: Arc<Entry>,
}

/// Serves a connection until either side ends it.
pub type Serve = fn(AcceptedConnection) -> Pin<Box<dyn Future<Output = ()>>>;

/// The front end that serves connections.
#[derive(Clone, Copy, Debug, Default)]
pub enum FrontEnd {
    /// Our own HTTP/1. It is not called through a pointer.
    #[default]
    Http1,
    /// Another one. It is polled again when the connection is evicted.
    Other(Serve),
}
