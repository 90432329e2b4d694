//! Shell. The handshake with a client that has connected to a TLS listener.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::{HandshakeKind, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::admission::memory::Reservation;
use crate::connection::buffer::Buffer;
use crate::tls::acme::challenge;
use crate::tls::failure::Outcome;
use crate::tls::handshake_turns::HandshakeTurns;
use crate::tls::server_config::Acceptor;
use crate::tls::stream::{Raw, TlsStream};

/// The first bytes that are read to tell TLS from plain HTTP.
const FIRST: usize = 1024;

/// The most bytes that are encrypted and not in the kernel yet: a record.
pub(crate) const MOST_ENCRYPTED: usize = 16 * 1024;

/// The first byte of a TLS record with a handshake (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// The answer to plain HTTP, in plain HTTP.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 48\r\n\
                            connection: close\r\n\r\nThis port speaks TLS: write https:// in the URL\n";

/// The content of the answer to plain HTTP.
pub(crate) const SPEAKS_TLS: &[u8] = b"This port speaks TLS: write https:// in the URL\n";

/// How long a client may take to read why it is refused.
const LINGER: Duration = Duration::from_secs(1);

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The error, if there is more to say.
    pub(crate) error: Option<io::Error>,
}

/// Shakes hands with the client of `socket`, of which `unread` was already read. The handshake computes in
/// its `turns`, from the client's first bytes on.
///
/// # Errors
/// [`Failed`]. An alert was sent to the client, if possible.
pub(crate) async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
    acceptor: &Acceptor,
    turns: &HandshakeTurns,
    mut socket: IO,
    mut unread: Buffer,
    reservation: Reservation,
) -> Result<(TlsStream<IO>, Outcome), Failed> {
    let failed = |error: io::Error| Failed { outcome: Outcome::of(&error), error: Some(error) };
    if unread.is_empty() {
        let mut first = Vec::with_capacity(FIRST);
        if socket.read_buf(&mut first).await.map_err(failed)? == 0 {
            return Err(Failed { outcome: Outcome::Closed, error: None });
        }
        unread.append(&first);
    }
    match unread.as_slice().first() {
        Some(&HANDSHAKE_RECORD) => {}
        // The first letter of a method, or an empty line before it.
        Some(byte) if byte.is_ascii_alphabetic() || matches!(byte, b'\r' | b'\n') => {
            tell(&mut socket, PLAIN_HTTP).await;
            return Err(Failed { outcome: Outcome::PlainHttp, error: None });
        }
        Some(_) | None => return Err(Failed { outcome: Outcome::NotTls, error: None }),
    }
    let accepting = turns.await_in_turn(|| {
        let raw = Raw::of_client(unread, socket, reservation);
        let bounded = |connection: &mut ServerConnection| connection.set_buffer_limit(Some(MOST_ENCRYPTED));
        TlsAcceptor::from(Arc::clone(acceptor.config())).accept_with(raw, bounded).into_fallible()
    });
    let mut stream = match pin!(accepting).await {
        Ok(stream) => stream,
        Err((error, mut raw)) => {
            let mut failed = failed(error);
            if failed.outcome == Outcome::Failed && !acceptor.missing().is_empty() {
                failed.outcome = Outcome::NoCertificate;
            }
            if failed.has_alert() {
                tell(&mut raw, &[]).await;
            }
            return Err(failed);
        }
    };
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() == Some(challenge::PROTOCOL) {
        tell(&mut stream, &[]).await;
        return Err(Failed { outcome: Outcome::AcmeChallenge, error: None });
    }
    let outcome = match connection.handshake_kind() {
        Some(HandshakeKind::Resumed) => Outcome::Resumed,
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => Outcome::Full,
    };
    let session = Arc::new(acceptor.session(connection));
    Ok((TlsStream::new(stream.into(), Some(session)), outcome))
}

impl Failed {
    /// Whether an alert with the reason was sent to the client.
    fn has_alert(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
    }
}

/// Sends the last bytes of a connection, and reads on for a moment. If the socket were closed at once, the
/// kernel could discard bytes that the client has not read yet.
async fn tell(socket: &mut (impl AsyncRead + AsyncWrite + Unpin), last: &[u8]) {
    let telling = async {
        socket.write_all(last).await?;
        socket.shutdown().await?;
        let mut discarded = Vec::with_capacity(FIRST);
        while socket.read_buf(&mut discarded).await? > 0 {
            discarded.clear();
        }
        io::Result::Ok(())
    };
    // A client that does not read the last bytes gets no more time.
    let _in_time = timeout(LINGER, telling).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_has_its_own_length() {
        let text = std::str::from_utf8(PLAIN_HTTP).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", content.len())), "{}", content.len());
        assert_eq!(content.as_bytes(), SPEAKS_TLS);
    }
}
