//! Shell. A connection to a client or an upstream, over TCP, a unix socket, or TLS on one of them.

use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::unconstrained;

use crate::connection::transport::Transport;
use crate::tls::session::Session;
use crate::tls::stream::TlsStream;

/// A connection over any of the transports. One type keeps the callers from being generic. Compared with the
/// system call, the match is cheap.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS. The state of TLS is large, so it is boxed, and the other variants stay small.
    Tls(Box<TlsStream<Self>>),
}

/// What has arrived on a connection but has not been read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Nothing.
    Nothing,
    /// Bytes.
    Bytes,
    /// The end of the connection: FIN, reset or another error.
    End,
}

impl Stream {
    /// Sends written bytes immediately (`TCP_NODELAY`), without waiting for more bytes.
    ///
    /// # Errors
    /// The system's error: the connection has ended.
    pub fn send_at_once(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
            Self::Tls(stream) => stream.socket().send_at_once(),
        }
    }

    /// Limits the unsent bytes that the kernel buffers to `most`. When the kernel then takes more bytes, the
    /// other side has read about as many. So the rate of writing shows the rate of reading.
    pub fn limit_unsent(&self, most: u32) {
        match self {
            // An error is ignored: the other side then seems to read faster than it does.
            Self::Tcp(stream) => drop(SockRef::from(stream).set_tcp_notsent_lowat(most)),
            // A unix socket writes directly into the receiver's buffer.
            Self::Unix(_) => {}
            Self::Tls(stream) => stream.socket().limit_unsent(most),
        }
    }

    /// What has arrived, according to the kernel. When the runtime is busy, its own state may be older.
    #[must_use]
    pub fn arrived(&mut self) -> Arrived {
        match self {
            Self::Tcp(_) | Self::Unix(_) => self.in_kernel(),
            Self::Tls(stream) => Self::arrived_over_tls(stream),
        }
    }

    /// The records that have arrived may have no content, such as tickets for another session. Such records
    /// are read.
    fn arrived_over_tls(stream: &mut TlsStream<Self>) -> Arrived {
        match stream.socket().in_kernel() {
            Arrived::Bytes => {}
            known @ (Arrived::Nothing | Arrived::End) => return known,
        }
        let mut bytes = [MaybeUninit::uninit()];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        let read = pin!(unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer))));
        match read.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => Arrived::Bytes,
            Poll::Ready(_) => Arrived::End,
            // Bytes that the runtime does not know of yet are still in the kernel.
            Poll::Pending => stream.socket().in_kernel(),
        }
    }

    /// Whether the client has chosen HTTP/2 in its TLS handshake.
    #[must_use]
    pub fn has_chosen_http2(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.protocol() == Some(b"h2"),
        }
    }

    fn in_kernel(&self) -> Arrived {
        // Nearly always nothing has arrived. A question for events takes half the time of a read that leaves
        // the bytes.
        if !self.has_events() {
            return Arrived::Nothing;
        }
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Tls(stream) => return stream.socket().in_kernel(),
        };
        match peeked {
            Ok(0) => Arrived::End,
            Ok(_) => Arrived::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Arrived::Nothing,
            Err(_gone) => Arrived::End,
        }
    }

    /// Whether the kernel has bytes, the end or an error of the connection. True if the kernel does not say.
    fn has_events(&self) -> bool {
        let socket = match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => return stream.socket().has_events(),
        };
        let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())) != Ok(0)
    }
}

impl Transport for Stream {
    fn reset_on_close(&self, reset: bool) {
        match self {
            // An error means that the connection has already ended.
            Self::Tcp(stream) => drop(SockRef::from(stream).set_linger(reset.then_some(Duration::ZERO))),
            Self::Unix(_) => {}
            Self::Tls(stream) => stream.socket().reset_on_close(reset),
        }
    }

    fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Tls(stream) => stream.session(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::Shutdown;
    use tokio::net::TcpListener;

    /// A connection over TCP, and its other end.
    async fn pair() -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Stream::Tcp(listener.accept().await.unwrap().0), peer)
    }

    /// Waits until the kernel has something for the connection, and returns what `arrived` says.
    async fn arrived(stream: &mut Stream) -> Arrived {
        let Stream::Tcp(tcp) = &*stream else { panic!("it is TCP") };
        tokio::time::timeout(Duration::from_secs(10), tcp.readable()).await.unwrap().unwrap();
        stream.arrived()
    }

    #[tokio::test]
    async fn bytes_the_end_and_a_reset_are_seen_in_the_kernel() {
        let (mut stream, mut peer) = pair().await;
        assert_eq!(stream.arrived(), Arrived::Nothing);
        peer.write_all(b"x").unwrap();
        assert_eq!(arrived(&mut stream).await, Arrived::Bytes);
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(arrived(&mut stream).await, Arrived::Bytes, "the end is behind bytes");

        let (mut stream, peer) = pair().await;
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(arrived(&mut stream).await, Arrived::End);

        let (mut stream, peer) = pair().await;
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        assert_eq!(arrived(&mut stream).await, Arrived::End, "it was reset");
        assert_eq!(stream.arrived(), Arrived::End, "the error was taken, but the connection has ended");
    }
}
