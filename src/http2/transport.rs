//! Shell. The socket of an HTTP/2 connection, as hyper reads and writes it: what the client sends is followed,
//! and a client that reads nothing is given up.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::admission::rate::Uptake;
use crate::http1::buffer::Buffer;
use crate::http2::frames::Frames;
use crate::listen::stream::Stream;
use crate::runtime::deadline::Deadline;

/// How many bytes are discarded at once after the last response.
const DISCARDED: usize = 4 * 1024;

/// The socket of a connection.
#[derive(Debug)]
pub(crate) struct Socket(RefCell<Inner>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    unread: Buffer,
    frames: Frames,
    /// Since when the client is in the middle of a head.
    in_head_since: Option<Instant>,
    has_ended: bool,
    write_timeout: Duration,
    min_write_rate: u64,
    stuck_since: Option<Instant>,
    writing: Deadline,
    uptake: Uptake,
}

impl Socket {
    /// The socket of an accepted connection. `unread` was already read from it.
    pub(crate) fn new(stream: Stream, unread: Buffer, write_timeout: Duration, min_write_rate: u64) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Inner {
            stream,
            unread,
            frames: Frames::default(),
            in_head_since: Some(Instant::now()),
            has_ended: false,
            write_timeout,
            min_write_rate,
            stuck_since: None,
            writing: Deadline::default(),
            uptake: Uptake::default(),
        })))
    }

    /// Since when the client is in the middle of a head: of the preface, or of a header block.
    pub(crate) fn in_head_since(&self) -> Option<Instant> {
        self.0.borrow().in_head_since
    }

    /// Reads and discards the bytes that the client still sends, for at most `limit`. Otherwise the kernel
    /// would discard what the client has not read yet.
    pub(crate) async fn linger(&self, limit: Duration) {
        let mut deadline = Deadline::default();
        deadline.set(limit);
        poll_fn(|cx| {
            let mut inner = self.0.borrow_mut();
            let mut bytes = [0; DISCARDED];
            while !inner.has_ended {
                let mut buffer = ReadBuf::new(&mut bytes);
                match Pin::new(&mut inner.stream).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return deadline.poll_passed(cx),
                }
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl Inner {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.unread.is_empty() {
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
            self.has_ended |= read.is_err() || buffer.filled().len() == before;
            read?;
        } else {
            let bytes = self.unread.as_slice();
            let bytes = bytes.get(..buffer.remaining()).unwrap_or(bytes);
            buffer.put_slice(bytes);
            let n = bytes.len();
            self.unread.consume(n);
        }
        self.frames.read(buffer.filled().get(before..).unwrap_or_default());
        self.in_head_since =
            self.frames.is_in_head().then(|| self.in_head_since.unwrap_or_else(Instant::now));
        Poll::Ready(Ok(()))
    }

    /// Gives up if the client reads nothing, or too little for too long.
    fn watched(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(result) => {
                if let Some(since) = self.stuck_since.take() {
                    self.uptake.wait(since.elapsed());
                    self.writing.clear();
                }
                if let Ok(n) = result {
                    self.uptake.take(n);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                if self.stuck_since.is_none() {
                    let now = Instant::now();
                    self.stuck_since = Some(now);
                    self.writing.set_at(now, self.uptake.patience(self.write_timeout, self.min_write_rate));
                }
                ready!(self.writing.poll_passed(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

/// The socket in the form that hyper takes.
#[derive(Debug)]
pub(crate) struct Transport(pub(crate) Rc<Socket>);

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.0.borrow_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.0.borrow_mut();
        let written = Pin::new(&mut inner.stream).poll_write(cx, bytes);
        inner.watched(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.0.borrow_mut();
        let written = Pin::new(&mut inner.stream).poll_write_vectored(cx, pieces);
        inner.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.0.borrow().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.0.borrow_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.0.borrow_mut().stream).poll_shutdown(cx)
    }
}
