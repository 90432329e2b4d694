//! Shell. Opens connections to upstreams.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{interval, timeout};

use super::origin::Origin;
use crate::stream::Stream;

/// How often a unix socket is tried again whose queue is full.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// Connects to an upstream, trying each of its addresses in turn. Each gets its part of `limit`, so that one that does
/// not answer leaves time for the others.
///
/// # Errors
/// The system's.
pub async fn dial(origin: &Origin, limit: Duration) -> io::Result<Stream> {
    let host = match origin {
        Origin::Unix(path) => return dial_unix(path).await.map(Stream::Unix),
        Origin::Tcp(host) => host,
    };
    if let Some(address) = host.address() {
        return TcpStream::connect(address).await.map(Stream::Tcp);
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<_> = lookup_host((host.name(), host.port())).await?.collect();
    let each =
        u32::try_from(addresses.len()).ok().and_then(|count| limit.checked_div(count)).unwrap_or(limit);
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(Stream::Tcp(stream)),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// A unix socket whose queue is full refuses at once, where TCP would have us wait (connect(2), EAGAIN).
async fn dial_unix(path: &Path) -> io::Result<UnixStream> {
    let mut again = interval(TRY_AGAIN);
    loop {
        again.tick().await;
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            connected => return connected,
        }
    }
}
