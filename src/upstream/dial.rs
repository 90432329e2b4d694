//! Shell. Opens connections to upstreams.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::listen::stream::Stream;
use crate::runtime::deadline::Deadline;
use crate::tls::failure::explain;
use crate::tls::stream::{Raw, TlsStream};
use crate::upstream::origin::Origin;

/// The pause before another attempt to connect to a unix socket with a full queue.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// Connects to an upstream, without TLS. Tries the host's addresses one after the other. Each address gets a
/// part of `limit`: an address that does not answer leaves time for the others.
///
/// # Errors
/// The system's error.
pub async fn dial(origin: &Origin, limit: Duration) -> io::Result<Stream> {
    let host = match origin {
        Origin::Unix(path) => return dial_unix(path).await.map(Stream::Unix),
        Origin::Tcp(host) | Origin::Tls(host) => host,
    };
    if let Some(address) = host.address() {
        return TcpStream::connect(address).await.map(Stream::Tcp);
    }
    let addresses: Vec<_> = lookup_host((host.name(), host.port())).await?.collect();
    dial_one_of(&addresses, limit).await.map(Stream::Tcp)
}

/// Shakes hands with an upstream, if its origin is an `https://` URL. There is no fallback to plain HTTP.
///
/// # Errors
/// The upstream's certificate does not verify, or the handshake fails.
pub async fn secure(
    stream: Stream,
    origin: &Origin,
    connector: Option<&Arc<ClientConfig>>,
) -> io::Result<Stream> {
    let host = match origin {
        Origin::Tcp(_) | Origin::Unix(_) => return Ok(stream),
        Origin::Tls(host) => host,
    };
    let no_authority =
        || io::Error::new(io::ErrorKind::NotFound, "no certificate authority is known to verify it");
    let config = Arc::clone(connector.ok_or_else(no_authority)?);
    let name = ServerName::try_from(host.name().to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let connecting = TlsConnector::from(config).connect(name, Raw::of_upstream(stream));
    let connected = connecting.await.map_err(|error| match explain(&error) {
        Some(reason) => io::Error::new(error.kind(), reason),
        None => error,
    })?;
    Ok(Stream::Tls(Box::new(TlsStream::new(connected.into(), None))))
}

async fn dial_one_of(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let each =
        u32::try_from(addresses.len()).ok().and_then(|count| limit.checked_div(count)).unwrap_or(limit);
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Connects to a unix socket. Tries again while its queue is full, because a full queue refuses immediately,
/// where TCP would wait (connect(2), EAGAIN).
async fn dial_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut pause = Deadline::default();
                pause.set(TRY_AGAIN);
                poll_fn(|cx| pause.poll_passed(cx)).await;
            }
            connected => return connected,
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, SockAddr, Socket, Type};

    use super::*;

    /// If a timer were awaited, the call would take a millisecond or more: even a timer that is due waits for
    /// the runtime's next tick.
    #[test]
    fn a_unix_socket_with_room_is_connected_to_without_waiting_for_any_timer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // This runtime has no timers. A timer would panic.
        let without_timers = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let origin = Origin::parse(&format!("unix:{}", path.display())).unwrap();
        assert!(without_timers.block_on(dial(&origin, Duration::from_secs(1))).is_ok());
    }

    #[tokio::test]
    async fn an_address_that_refuses_or_does_not_answer_leaves_time_for_the_next() {
        let listener = |backlog| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
            socket.listen(backlog).unwrap();
            let address = socket.local_addr().unwrap().as_socket().unwrap();
            (socket, address)
        };
        let refuses = listener(1).1;
        // The queue of this listener is full, so the kernel drops further handshakes.
        let (_full, silent) = listener(0);
        let mut queued = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&silent, Duration::from_millis(100)) {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue does not fill");
        }
        let (_good, good) = listener(1);
        for first in [refuses, silent] {
            let addresses = [first, good];
            let stream = timeout(Duration::from_secs(10), dial_one_of(&addresses, Duration::from_secs(1)));
            assert_eq!(stream.await.unwrap().unwrap().peer_addr().unwrap(), good);
        }
        let none = dial_one_of(&[silent, silent], Duration::from_millis(200)).await;
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_unix_socket_whose_queue_is_full_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let first = dial_unix(&path).await.unwrap();
        let mut second = Box::pin(dial_unix(&path));
        assert!(timeout(TRY_AGAIN * 4, second.as_mut()).await.is_err());
        // On Linux, accept(2) has the time limit of reads.
        listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _accepted = listener.accept().unwrap();
        assert!(timeout(Duration::from_secs(10), second).await.unwrap().is_ok());
        drop(first);
    }
}
