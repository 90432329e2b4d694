//! Shell. The wire as hyper knows it: a client that sends requests without fields or content, and takes responses.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;

use super::head::{Persistence, Version};
use super::wire::{Arrival, Transport, Wire};

/// What hyper reads and writes.
#[derive(Debug)]
pub struct HyperSide<IO> {
    wire: Rc<Wire<IO>>,
    /// What hyper has yet to read of the request that it is being told of.
    stub: &'static [u8],
}

/// How many pieces of a response are written at once: a head, and a chunk with what stands around it.
const PIECES: usize = 8;

impl<IO> HyperSide<IO> {
    /// Connects hyper to a wire.
    #[must_use]
    pub fn new(wire: Rc<Wire<IO>>) -> Self {
        Self { wire, stub: b"" }
    }
}

/// All that hyper has to know of a request: whether its response has content, and whether the connection goes on.
fn stub(arrival: &Arrival, version: Version) -> &'static [u8] {
    let Ok(head) = &arrival.head else {
        return match version {
            Version::Http10 => b"POST / HTTP/1.0\r\n\r\n",
            Version::Http11 => b"POST / HTTP/1.1\r\n\r\n",
        };
    };
    match (head.method(), version, head.facts().persistence) {
        ("HEAD", Version::Http11, Persistence::Close) => b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n",
        ("HEAD", Version::Http11, Persistence::Usual | Persistence::KeepAlive) => b"HEAD / HTTP/1.1\r\n\r\n",
        ("HEAD", Version::Http10, Persistence::KeepAlive) => {
            b"HEAD / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
        }
        ("HEAD", Version::Http10, Persistence::Usual | Persistence::Close) => b"HEAD / HTTP/1.0\r\n\r\n",
        (_, Version::Http11, Persistence::Close) => b"POST / HTTP/1.1\r\nconnection: close\r\n\r\n",
        (_, Version::Http11, Persistence::Usual | Persistence::KeepAlive) => b"POST / HTTP/1.1\r\n\r\n",
        (_, Version::Http10, Persistence::KeepAlive) => b"POST / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        (_, Version::Http10, Persistence::Usual | Persistence::Close) => b"POST / HTTP/1.0\r\n\r\n",
    }
}

impl<IO: Transport> hyper::rt::Read for HyperSide<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stub.is_empty() {
            let mut inner = self.wire.inner.borrow_mut();
            if inner.unflushed {
                // The wire has to know where the next response begins.
                inner.flushed = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if !ready!(inner.poll_head(cx))? {
                return Poll::Ready(Ok(()));
            }
            let Some(arrival) = &inner.arrival else { return Poll::Ready(Ok(())) };
            let stub = stub(arrival, inner.version);
            drop(inner);
            self.stub = stub;
        }
        let n = self.stub.len().min(cursor.remaining());
        if let Some((now, later)) = self.stub.split_at_checked(n) {
            cursor.put_slice(now);
            self.stub = later;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: Transport> hyper::rt::Write for HyperSide<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.wire.inner.borrow_mut();
        let inner = &mut *inner;
        inner.unflushed = true;
        let (head, rest) = inner.spelling.respell(bytes);
        let bytes = if head.is_empty() { rest } else { head };
        let written = Pin::new(&mut inner.io).poll_write(cx, bytes);
        inner.written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.wire.inner.borrow_mut();
        let inner = &mut *inner;
        inner.unflushed = true;
        let written = match pieces.split_first() {
            Some((first, others)) if inner.spelling.is_wanted() => {
                let (head, rest) = inner.spelling.respell(first);
                let mut spelled = [IoSlice::new(&[]); PIECES];
                let pieces =
                    [IoSlice::new(head), IoSlice::new(rest)].into_iter().chain(others.iter().copied());
                spelled.iter_mut().zip(pieces).for_each(|(place, piece)| *place = piece);
                Pin::new(&mut inner.io).poll_write_vectored(cx, &spelled)
            }
            Some(_) | None => Pin::new(&mut inner.io).poll_write_vectored(cx, pieces),
        };
        inner.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.inner.borrow().io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.wire.inner.borrow_mut();
        ready!(Pin::new(&mut inner.io).poll_flush(cx))?;
        inner.unflushed = false;
        if let Some(waker) = inner.flushed.take() {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire.inner.borrow_mut().io).poll_shutdown(cx)
    }
}
