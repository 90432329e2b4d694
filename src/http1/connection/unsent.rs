//! Shell. What a client has not taken of its response yet. A small rest of it is unsent here, so that whoever wrote it is done
//! with it, and need not stay with all that it holds for a client that perhaps never reads.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::http1::connection::{Connection, Inner, Transport};

/// What is left of a response is unsent if it is no more than this: any response of our own, and the end of every other.
const MOST: usize = 2 * 1024;

impl<IO: Transport> Connection<IO> {
    /// Whether there can be no other request before the client takes what is unsent for it.
    pub fn has_unsent(&self) -> bool {
        self.unsent() > 0
    }

    /// How many bytes are unsent.
    pub fn unsent(&self) -> usize {
        self.inner.borrow().unsent.len()
    }

    /// Writes some bytes of a response, or keeps them. A client that takes nothing for too long is given up.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_unsent(cx))?;
        let written = Pin::new(&mut inner.io).poll_write(cx, bytes);
        inner.unsent_or(cx, written, bytes)
    }

    /// Has the stream pass on what it was given. What is unsent is no concern of the writer's, unless the client has had its time.
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

    /// Writes what is unsent.
    ///
    /// # Errors
    /// If the connection is gone, or the client does not take it.
    pub(crate) async fn write_unsent(&self) -> io::Result<()> {
        poll_fn(|cx| self.inner.borrow_mut().poll_unsent(cx)).await
    }

    /// Ends this side of the connection when what is unsent of the last response is written.
    ///
    /// # Errors
    /// If the connection is gone, or the client does not take the response.
    pub async fn finish(&self) -> io::Result<()> {
        if self.has_unsent() {
            self.write_unsent().await?;
            poll_fn(|cx| self.poll_shutdown(cx)).await?;
        }
        Ok(())
    }
}

impl<IO: Transport> Inner<IO> {
    /// Before that is done nothing else is written, and no other request is looked at.
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
