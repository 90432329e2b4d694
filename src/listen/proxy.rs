//! Shell. The beginning of a connection that a proxy announces.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::admission::client::ClientAddress;
use crate::http1::buffer::Buffer;
use crate::listen::proxy_protocol::{self, LONGEST};
use crate::listen::stream::Stream;
use crate::telemetry::repeated::Repeated;

/// How long an announcement may take to come.
pub(crate) struct Patience {
    /// At any time.
    pub(crate) limit: Duration,
    /// Once a drain has begun.
    pub(crate) last_call: Duration,
}

/// Reads what `peer`, a proxy, announces: who the client is, and what has been read beyond. `None` if the connection should
/// end: a proxy that is trusted and does not announce its clients would have us take it for all of them.
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
            // Each health check of a proxy may be such a connection, and so may those of whoever is in a trusted network.
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

/// `None` for a connection that ends before it begins, as of one who only looks whether somebody listens.
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
            // A full buffer is always decided: the longest fits.
            Ok(None) => {}
            Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }
}
