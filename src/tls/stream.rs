//! Shell. A TLS connection over a socket, as the code above it takes a socket.
//!
//! Two things differ from `tokio_rustls`. First, a write is complete when its records are in the kernel, not
//! when they are encrypted. So a client that reads nothing is noticed as on a plain connection, and nothing
//! is left to be flushed. Second, the handshake also reads bytes that were already read from the socket.

use std::fmt;
use std::io::{self, BufRead as _, IoSlice, Write as _};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{ConnectionCommon, SideData};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::admission::memory::{FREE_HEAD, Reservation};
use crate::connection::buffer::Buffer;
use crate::tls::session::Session;

/// A TLS connection.
pub struct TlsStream<IO> {
    inner: tokio_rustls::TlsStream<Raw<IO>>,
    /// How many bytes of the write under way are encrypted. The caller still has them, and hands them in
    /// again.
    encrypted: usize,
    /// The error of a write whose bytes may have arrived in part. The next call returns it.
    deferred: Option<io::Error>,
    /// What requests may know of the connection; `None` towards an upstream.
    session: Option<Arc<Session>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// A connection whose handshake is complete.
    pub(crate) fn new(mut inner: tokio_rustls::TlsStream<Raw<IO>>, session: Option<Arc<Session>>) -> Self {
        let raw = inner.get_mut().0;
        (raw.bound, raw.quiet) = (None, 0);
        Self { inner, encrypted: 0, deferred: None, session }
    }

    /// What requests may know of the connection.
    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// The protocol that was agreed on in the handshake (RFC 7301).
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.inner.get_ref().1.alpn_protocol()
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &IO {
        &self.inner.get_ref().0.io
    }

    /// Encrypts with `encrypt`, unless that was done, and writes the records to the kernel. Pending until all
    /// of them are there: the caller then writes the same bytes again.
    fn poll_encrypted(
        &mut self,
        cx: &mut Context<'_>,
        encrypt: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.deferred.take() {
            return Poll::Ready(Err(error));
        }
        if self.encrypted == 0 {
            // Writes the records of TLS itself, such as an answer to a change of keys.
            ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
            self.encrypted = match &mut self.inner {
                tokio_rustls::TlsStream::Client(stream) => encrypt(&mut stream.get_mut().1.writer())?,
                tokio_rustls::TlsStream::Server(stream) => encrypt(&mut stream.get_mut().1.writer())?,
            };
        }
        if let Err(error) = ready!(Pin::new(&mut self.inner).poll_flush(cx)) {
            // Some of these bytes may have arrived. So this write does not fail: after a write that fails,
            // the caller could send the request again. The next call returns the error.
            self.deferred = Some(error);
        }
        Poll::Ready(Ok(mem::take(&mut self.encrypted)))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    /// An end without `close_notify` is an error (RFC 8446, section 6.1), because an attacker may have
    /// caused it.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut self.get_mut().inner;
        let read = match &mut *inner {
            tokio_rustls::TlsStream::Client(stream) => {
                let (raw, session) = stream.get_mut();
                poll_content(raw, session, cx, buffer)
            }
            tokio_rustls::TlsStream::Server(stream) => {
                let (raw, session) = stream.get_mut();
                poll_content(raw, session, cx, buffer)
            }
        };
        // The bytes that were read may need an answer of TLS itself, such as the refusal to renegotiate.
        if read.is_pending() && inner.get_ref().1.wants_write() {
            ready!(Pin::new(inner).poll_flush(cx))?;
        }
        read
    }
}

/// Reads records until there is content, and returns the content. `tokio_rustls` fills the buffer before it
/// returns, so it would not show how many bytes were read for how much content.
fn poll_content<IO: AsyncRead + AsyncWrite + Unpin, D: SideData>(
    raw: &mut Raw<IO>,
    session: &mut ConnectionCommon<D>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        match session.reader().fill_buf() {
            Ok(content) => {
                let content = content.get(..buffer.remaining()).unwrap_or(content);
                buffer.put_slice(content);
                let n = content.len();
                session.reader().consume(n);
                raw.quiet = 0;
                return Poll::Ready(Ok(()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        match session.read_tls(&mut Blocking { raw, cx }) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
        if let Err(error) = session.process_new_packets() {
            // Sends an alert with the reason, as far as the kernel takes it at once.
            let _best_effort = session.write_tls(&mut Blocking { raw, cx });
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
    }
}

/// A socket in the form that rustls reads and writes. A call that would have to wait returns an error.
struct Blocking<'b, 'c, IO> {
    raw: &'b mut Raw<IO>,
    cx: &'b mut Context<'c>,
}

impl<IO: AsyncRead + Unpin> io::Read for Blocking<'_, '_, IO> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.raw).poll_read(self.cx, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<IO: AsyncWrite + Unpin> io::Write for Blocking<'_, '_, IO> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.raw).poll_write(self.cx, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypted(cx, |writer| writer.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypted(cx, |writer| writer.write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.deferred.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut this.inner).poll_shutdown(cx),
        }
    }
}

impl<IO: fmt::Debug> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A socket, with bytes that were already read from it, and with a bound on the bytes of the handshake.
#[derive(Debug)]
pub(crate) struct Raw<IO> {
    unread: Buffer,
    io: IO,
    bound: Option<HandshakeBound>,
    /// The bytes that were read since the last content.
    quiet: usize,
}

/// The bound on the bytes of a client's handshake. rustls keeps the bytes until a message is complete. So the
/// bytes over [`FREE_HEAD`] count towards the memory budget, as with heads.
#[derive(Debug)]
struct HandshakeBound {
    read: usize,
    reservation: Reservation,
}

/// The most bytes that are read without any content in them. Guards against records that do nothing, and
/// against a message of the connection itself that rustls keeps until it is complete.
pub const MOST_QUIET: usize = 2 * 18 * 1024;

/// The most bytes of a handshake that a client may send: a hello with large keys, and a chain of
/// certificates.
pub const MOST_HANDSHAKE: usize = 32 * 1024;

impl<IO> Raw<IO> {
    /// The socket of a client, of which `unread` was already read.
    pub(crate) fn of_client(unread: Buffer, io: IO, reservation: Reservation) -> Self {
        Self { unread, io, bound: Some(HandshakeBound { read: 0, reservation }), quiet: 0 }
    }

    /// The socket of an upstream.
    pub(crate) fn of_upstream(io: IO) -> Self {
        Self { unread: Buffer::default(), io, bound: None, quiet: 0 }
    }
}

impl HandshakeBound {
    /// Reserves memory before more is read.
    fn poll_admit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.read >= MOST_HANDSHAKE {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the handshake is too large",
            )));
        }
        if self.read < FREE_HEAD {
            return Poll::Ready(Ok(()));
        }
        let now = Instant::now().into_std();
        let exhausted = |_exhausted| io::Error::from(io::ErrorKind::OutOfMemory);
        ready!(self.reservation.poll_grow_to(cx, MOST_HANDSHAKE, now)).map_err(exhausted)?;
        Poll::Ready(Ok(()))
    }

    /// The client makes us wait. Its reservation can be shed for others.
    fn wait(&mut self, cx: &Context<'_>) -> io::Result<()> {
        let now = Instant::now().into_std();
        let held = self.reservation.hold_while_waiting(cx, self.read, now, now);
        if held.is_err() || self.reservation.is_shed() {
            Err(io::ErrorKind::OutOfMemory.into())
        } else {
            Ok(())
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Raw<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(bound) = &mut this.bound {
            ready!(bound.poll_admit(cx))?;
        }
        if this.quiet > MOST_QUIET {
            let what = "it sends records without content";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        let before = buffer.filled().len();
        if this.unread.is_empty() {
            let read = Pin::new(&mut this.io).poll_read(cx, buffer);
            match (&read, &mut this.bound) {
                (Poll::Pending, Some(bound)) => bound.wait(cx)?,
                (Poll::Pending, None) | (Poll::Ready(_), _) => {}
            }
            ready!(read)?;
        } else {
            let bytes = this.unread.as_slice();
            let bytes = bytes.get(..buffer.remaining()).unwrap_or(bytes);
            buffer.put_slice(bytes);
            let n = bytes.len();
            this.unread.consume(n);
        }
        let read = buffer.filled().len().saturating_sub(before);
        this.quiet = this.quiet.saturating_add(read);
        if let Some(bound) = &mut this.bound {
            bound.read = bound.read.saturating_add(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Raw<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match pieces {
            // Most records leave alone. The kernel takes less time for one piece than for a list.
            [only] => self.poll_write(cx, only),
            _ => Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
