//! Shell. hyper, as the writer of upstreams' responses.
//!
//! It never sees a request. When there is a response to write it is told, by a stub of one line, that somebody asked; its
//! service hands the response over, and when it asks for the next request it has written all of it.

use std::cell::{Cell, RefCell};
use std::future::{Ready, poll_fn, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;

use super::head::{Asked, Persistence, Version};
use super::spelling::Spelling;
use super::wire::{Transport, Wire};

/// The least that hyper takes for its buffer. What it reads has a few dozen bytes.
const BUFFER: usize = 8 * 1024;

/// How many pieces of a response are written at once: a head, and a chunk with what stands around it.
const PIECES: usize = 8;

/// hyper, for one connection. It holds two buffers of 8 KiB.
#[derive(Debug)]
pub(super) struct Scribe<IO: Transport + 'static, B: Body + 'static> {
    connection: Pin<Box<Connection<IO, B>>>,
    slip: Rc<Slip<B>>,
}

type Connection<IO, B> = http1::Connection<Side<IO, B>, Service<B>>;

/// What hyper is told, and what it has come to.
#[derive(Debug)]
struct Slip<B> {
    /// What it has yet to read of the request that it is being told of.
    stub: Cell<&'static [u8]>,
    response: RefCell<Option<Box<Response<B>>>>,
    /// Whether it has asked for a request that there is not.
    wants_next: Cell<bool>,
    /// Whether it may hold bytes of a response that are not written yet.
    is_unflushed: Cell<bool>,
    /// How the names in the head of the response are spelled.
    spelling: RefCell<Spelling>,
}

impl<IO: Transport + 'static, B: Body + 'static> Scribe<IO, B>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A scribe for this connection.
    #[must_use]
    pub(super) fn new(wire: &Rc<Wire<IO>>) -> Self {
        let slip = Rc::new(Slip {
            stub: Cell::new(b""),
            response: RefCell::new(None),
            wants_next: Cell::new(false),
            is_unflushed: Cell::new(false),
            spelling: RefCell::default(),
        });
        let side = Side { wire: Rc::clone(wire), slip: Rc::clone(&slip) };
        let connection = http1::Builder::new()
            // The wire knows when a client is gone; that it has half-closed does not mean it does not listen.
            .half_close(true)
            // What an upstream did not say is not added.
            .auto_date_header(false)
            .max_buf_size(BUFFER)
            .serve_connection(side, Service(Rc::clone(&slip)));
        Self { connection: Box::pin(connection), slip }
    }

    /// Writes a response to what was `asked`, with the names of its fields spelled as in the head `spelled_as`. Gives back
    /// whether the connection goes on.
    ///
    /// # Errors
    /// hyper's: the response broke off, or the client does not take it.
    pub(super) async fn write(
        &mut self,
        asked: Asked,
        response: Box<Response<B>>,
        spelled_as: Option<Bytes>,
    ) -> hyper::Result<bool> {
        if let Some(raw) = spelled_as {
            self.slip.spelling.borrow_mut().follow(raw);
        }
        self.slip.stub.set(stub(asked));
        self.slip.response.replace(Some(response));
        self.slip.wants_next.set(false);
        poll_fn(|cx| match self.connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended.map(|()| false)),
            Poll::Pending if self.slip.wants_next.get() && !self.slip.is_unflushed.get() => {
                Poll::Ready(Ok(true))
            }
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

/// All that hyper has to know of a request: whether its response has content, and whether the connection goes on.
fn stub(asked: Asked) -> &'static [u8] {
    match (asked.is_for_head, asked.version, asked.persistence) {
        (true, Version::Http11, Persistence::Close) => b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n",
        (true, Version::Http11, Persistence::Usual | Persistence::KeepAlive) => b"HEAD / HTTP/1.1\r\n\r\n",
        (true, Version::Http10, Persistence::KeepAlive) => {
            b"HEAD / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
        }
        (true, Version::Http10, Persistence::Usual | Persistence::Close) => b"HEAD / HTTP/1.0\r\n\r\n",
        (false, Version::Http11, Persistence::Close) => b"POST / HTTP/1.1\r\nconnection: close\r\n\r\n",
        (false, Version::Http11, Persistence::Usual | Persistence::KeepAlive) => b"POST / HTTP/1.1\r\n\r\n",
        (false, Version::Http10, Persistence::KeepAlive) => {
            b"POST / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
        }
        (false, Version::Http10, Persistence::Usual | Persistence::Close) => b"POST / HTTP/1.0\r\n\r\n",
    }
}

/// Hands hyper the response that there is.
#[derive(Debug)]
struct Service<B>(Rc<Slip<B>>);

/// hyper was told of no request.
#[derive(Debug)]
struct Untold;

impl std::fmt::Display for Untold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no response")
    }
}

impl std::error::Error for Untold {}

impl<B> hyper::service::Service<Request<Incoming>> for Service<B> {
    type Response = Response<B>;
    type Error = Untold;
    type Future = Ready<Result<Response<B>, Untold>>;

    fn call(&self, _told: Request<Incoming>) -> Self::Future {
        ready(self.0.response.take().map(|response| *response).ok_or(Untold))
    }
}

/// What hyper reads and writes.
#[derive(Debug)]
struct Side<IO, B> {
    wire: Rc<Wire<IO>>,
    slip: Rc<Slip<B>>,
}

impl<IO: Transport, B> hyper::rt::Read for Side<IO, B> {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let stub = self.slip.stub.take();
        if stub.is_empty() {
            // It is polled again when there is a response, and needs no waker.
            self.slip.wants_next.set(true);
            return Poll::Pending;
        }
        let n = stub.len().min(cursor.remaining());
        if let Some((now, later)) = stub.split_at_checked(n) {
            cursor.put_slice(now);
            self.slip.stub.set(later);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: Transport, B> Side<IO, B> {
    fn written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = written {
            self.slip.spelling.borrow_mut().advance(n);
        }
        written
    }
}

impl<IO: Transport, B> hyper::rt::Write for Side<IO, B> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.slip.is_unflushed.set(true);
        let mut spelling = self.slip.spelling.borrow_mut();
        let (head, rest) = spelling.respell(bytes);
        let written = self.wire.poll_write(cx, if head.is_empty() { rest } else { head });
        drop(spelling);
        self.written(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.slip.is_unflushed.set(true);
        let mut spelling = self.slip.spelling.borrow_mut();
        let written = match pieces.split_first() {
            Some((first, others)) if spelling.is_wanted() => {
                let (head, rest) = spelling.respell(first);
                let mut spelled = [IoSlice::new(&[]); PIECES];
                let pieces =
                    [IoSlice::new(head), IoSlice::new(rest)].into_iter().chain(others.iter().copied());
                spelled.iter_mut().zip(pieces).for_each(|(place, piece)| *place = piece);
                self.wire.poll_write_vectored(cx, &spelled)
            }
            Some(_) | None => self.wire.poll_write_vectored(cx, pieces),
        };
        drop(spelling);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        task::ready!(self.wire.poll_flush(cx))?;
        self.slip.is_unflushed.set(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_shutdown(cx)
    }
}
