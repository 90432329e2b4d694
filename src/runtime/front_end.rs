//! Shell. The front end that serves accepted connections: hookgate's own HTTP/1, unless the caller that
//! starts the server gives another one.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::admission::client::ClientAddress;
use crate::admission::connections::Entry;
use crate::connection::buffer::Buffer;
use crate::listen::stream::Stream;
use crate::runtime::worker::Worker;

/// A connection that has been accepted and has a place in the connection limit.
#[derive(Debug)]
pub struct AcceptedConnection {
    /// The worker of the thread that serves the connection.
    pub worker: Rc<Worker>,
    /// The socket.
    pub stream: Stream,
    /// The bytes that have already been read from the socket.
    pub unread: Buffer,
    /// The address of the client.
    pub peer: ClientAddress,
    /// Ends the connection after the current request.
    pub drain: CancellationToken,
    /// The connection's entry in the connection limit.
    pub entry: Arc<Entry>,
}

/// Serves a connection until either side ends it.
pub type Serve = fn(AcceptedConnection) -> Pin<Box<dyn Future<Output = ()>>>;

/// The front end that serves connections.
#[derive(Clone, Copy, Debug, Default)]
pub enum FrontEnd {
    /// hookgate's own HTTP/1. It is called directly, not through a pointer.
    #[default]
    Http1,
    /// Another front end. Its future is polled again when the connection is evicted.
    Other(Serve),
}
