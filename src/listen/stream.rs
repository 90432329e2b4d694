//! Shell. A connection, to a client or to an upstream: over TCP, or over a unix socket.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::http1::connection::Transport;

/// One type for both, so that what stands on it exists once: the choice costs nothing beside the system call.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

/// What has arrived on a connection and has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Nothing.
    Nothing,
    /// Bytes.
    Bytes,
    /// The end of the connection, in good order or not.
    End,
}

impl Stream {
    /// Has what is written sent at once, and not held back to be sent together with more.
    ///
    /// # Errors
    /// The system's: the connection is gone.
    pub fn send_at_once(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Has the system take little more of what is written than the other end does: no more than `most` bytes that are not on
    /// their way. What it has taken is nearly sent, then, so that how fast it takes more says how fast the other end does.
    pub fn limit_unsent(&self, most: u32) {
        match self {
            // A system that cannot do it only makes a slow end look faster than it is.
            Self::Tcp(stream) => drop(SockRef::from(stream).set_tcp_notsent_lowat(most)),
            // It has only the other end's memory to put it into.
            Self::Unix(_) => {}
        }
    }

    /// What the system knows to have arrived. The runtime knows that only from when it last asked the system, which is a while
    /// ago where it is busy.
    #[must_use]
    pub fn arrived(&self) -> Arrived {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
        };
        match peeked {
            Ok(0) => Arrived::End,
            Ok(_) => Arrived::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Arrived::Nothing,
            Err(_gone) => Arrived::End,
        }
    }
}

impl Transport for Stream {
    fn reset_on_close(&self, reset: bool) {
        match self {
            // Where it fails the connection is gone already.
            Self::Tcp(stream) => drop(SockRef::from(stream).set_linger(reset.then_some(Duration::ZERO))),
            Self::Unix(_) => {}
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
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
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
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
