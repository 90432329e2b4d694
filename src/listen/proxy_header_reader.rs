//! Shell. Reads the PROXY protocol header at the start of a connection.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::admission::client::ClientAddress;
use crate::connection::buffer::Buffer;
use crate::listen::proxy_protocol::{self, LONGEST};
use crate::listen::stream::Stream;
use crate::telemetry::repeated_log_line::Repeated;

/// How long to wait for the header.
pub(crate) struct Patience {
    /// The longest wait.
    pub(crate) limit: Duration,
    /// The longest wait after a drain has begun.
    pub(crate) last_call: Duration,
}

/// Reads the header that the proxy `peer` sends. Returns the client address, and the bytes read after the
/// header. `None` if the connection must be closed: without the header, every client of a trusted proxy would
/// have the proxy's address.
pub(crate) async fn client(
    stream: &mut Stream,
    peer: ClientAddress,
    patience: Patience,
    drain: &CancellationToken,
    unannounced: &Mutex<Repeated>,
) -> Option<(ClientAddress, Buffer)> {
    let reading = read(stream, peer);
    let too_late = async {
        drain.cancelled().await;
        let _time_is_up = timeout(patience.last_call, std::future::pending::<()>()).await;
    };
    let read = tokio::select! {
        biased;
        read = timeout(patience.limit, reading) => read.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())),
        () = too_late => Err(io::ErrorKind::TimedOut.into()),
    };
    match read {
        Ok(client) => client,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            // Clients in a trusted network can cause this error, and a proxy's health checks too. So the log
            // line is rate limited.
            let connections =
                unannounced.lock().unwrap_or_else(PoisonError::into_inner).count(Instant::now());
            if let Some(connections) = connections {
                info!(
                    %peer,
                    %error,
                    connections,
                    "a trusted proxy does not speak the PROXY protocol: its connection is closed (said once a minute, with how \
                     many there were)"
                );
            }
            None
        }
        Err(error) => {
            debug!(%peer, %error, "connection ended");
            None
        }
    }
}

/// Reads a header. `None` for a connection that ends without a byte, such as a TCP health check.
async fn read(stream: &mut Stream, peer: ClientAddress) -> io::Result<Option<(ClientAddress, Buffer)>> {
    let mut buffer = Vec::with_capacity(LONGEST);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        match proxy_protocol::read(&buffer) {
            Ok(Some(announced)) => {
                let mut unread = Buffer::default();
                unread.append(buffer.get(announced.len..).unwrap_or_default());
                return Ok(Some((announced.client.unwrap_or(peer), unread)));
            }
            // The buffer holds the longest header, so it never fills without a result.
            Ok(None) => {}
            Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }
}
