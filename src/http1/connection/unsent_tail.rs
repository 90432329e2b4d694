//! Shell. The unsent tail of a response: bytes that the client has not taken yet.
//!
//! A small tail is kept here, so that the response writer can free all it holds, and need not wait for a client that
//! perhaps never reads.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::http1::connection::{Connection, Inner, Transport};

/// The most bytes of an unsent tail: any response of the gateway's own, and the end of every other.
const MOST: usize = 2 * 1024;

impl<IO: Transport> Connection<IO> {
    /// Whether there are unsent bytes. The client must take them before its next request.
    pub fn has_unsent(&self) -> bool {
        self.unsent() > 0
    }

    /// The number of unsent bytes.
    pub fn unsent(&self) -> usize {
        self.inner.borrow().unsent.len()
    }

    /// Writes a part of a response, or keeps it as unsent. A client that takes nothing for too long is given up.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_unsent(cx))?;
        let written = Pin::new(&mut inner.io).poll_write(cx, bytes);
        inner.unsent_or(cx, written, bytes)
    }

    /// Flushes the stream. Unsent bytes do not delay the writer, unless the client's time has passed.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner.borrow_mut();
        if let Poll::Ready(written) = inner.poll_unsent(cx) {
            written?;
        }
        Pin::new(&mut inner.io).poll_flush(cx)
    }

    /// Ends this side of the connection, or leaves that to [`Self::finish`].
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner.borrow_mut();
        if !inner.unsent.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if mem::take(&mut inner.ends_response) {
            inner.io.reset_on_close(false);
        }
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }

    /// Writes the unsent bytes.
    ///
    /// # Errors
    /// The connection failed, or the client does not take them.
    pub(crate) async fn write_unsent(&self) -> io::Result<()> {
        poll_fn(|cx| self.inner.borrow_mut().poll_unsent(cx)).await
    }

    /// Ends this side of the connection after the unsent bytes of the last response.
    ///
    /// # Errors
    /// The connection failed, or the client does not take the response.
    pub async fn finish(&self) -> io::Result<()> {
        if self.has_unsent() {
            self.write_unsent().await?;
            poll_fn(|cx| self.poll_shutdown(cx)).await?;
        }
        Ok(())
    }
}

impl<IO: Transport> Inner<IO> {
    /// Writes the unsent bytes. Before that is done, nothing else is written, and no other request is parsed.
    pub(crate) fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(cx, self.unsent.as_slice());
            let n = ready!(self.watched(cx, written))?;
            self.unsent.consume(n);
        }
        Poll::Ready(Ok(()))
    }

    fn unsent_or(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.watched(cx, written);
        if written.is_pending() && bytes.len() <= MOST {
            self.unsent = bytes.to_vec().into();
            return Poll::Ready(Ok(bytes.len()));
        }
        written
    }
}
