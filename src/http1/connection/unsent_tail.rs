//! Shell. The unsent tail of a response: bytes that the client has not read yet.
//!
//! The connection keeps a small tail. So the response writer can free everything that it holds, and need not
//! wait for a client that perhaps never reads.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use crate::connection::transport::Transport;
use crate::http1::connection::{Connection, Inner};

/// The most bytes of an unsent tail: any response of the gateway's own, or the end of another response.
const MOST: usize = 2 * 1024;

impl<IO: Transport> Connection<IO> {
    /// Whether there are unsent bytes. They must be written before the client's next request is read.
    pub fn has_unsent(&self) -> bool {
        self.unsent() > 0
    }

    /// The number of unsent bytes.
    pub fn unsent(&self) -> usize {
        self.inner.borrow().unsent.len()
    }

    /// Writes a part of a response, or keeps it as unsent. Gives up if the client reads nothing for too long.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_unsent(cx))?;
        let written = Pin::new(&mut inner.io).poll_write(cx, bytes);
        inner.unsent_or(cx, written, bytes)
    }

    /// Flushes the stream. Does not wait for unsent bytes, unless the client's time has passed.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner.borrow_mut();
        if let Poll::Ready(written) = inner.poll_unsent(cx) {
            written?;
        }
        Pin::new(&mut inner.io).poll_flush(cx)
    }

    /// Ends this side of the connection. If bytes are unsent, [`Self::finish`] does that later.
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

    /// Tells a TLS client that nothing more follows (RFC 8446, section 6.1), as far as the kernel takes it at
    /// once. On a plain connection, the end of the connection says so.
    pub(crate) fn notify_of_end(&self) {
        let mut inner = self.inner.borrow_mut();
        if inner.io.session().is_some() && inner.unsent.is_empty() && !inner.ends_response {
            let _best_effort = Pin::new(&mut inner.io).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Writes the unsent bytes.
    ///
    /// # Errors
    /// The connection failed, or the client does not read the bytes.
    pub(crate) async fn write_unsent(&self) -> io::Result<()> {
        poll_fn(|cx| self.inner.borrow_mut().poll_unsent(cx)).await
    }

    /// Ends this side of the connection after the unsent bytes of the last response.
    ///
    /// # Errors
    /// The connection failed, or the client does not read the response.
    pub async fn finish(&self) -> io::Result<()> {
        if self.has_unsent() {
            self.write_unsent().await?;
            poll_fn(|cx| self.poll_shutdown(cx)).await?;
        }
        Ok(())
    }
}

impl<IO: Transport> Inner<IO> {
    /// Writes the unsent bytes. Until they are written, nothing else is written and no other request is
    /// parsed.
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
