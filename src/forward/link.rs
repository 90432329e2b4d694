//! Shell. One connection to an upstream, driven by whoever uses it.
//!
//! hyper splits a client connection into a handle and a driver that is usually given a task of its own. Here both stay
//! together: the request's own task polls the driver, which spares a task, two wake-ups and a channel hop per request,
//! and an idle connection costs nothing but its descriptor. That it was closed while idle shows when it is taken up again.

use std::future::{Future as _, poll_fn};
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, interval, timeout};

use super::error::{Breach, ForwardError};
use super::origin::Origin;
use crate::deadline::Deadline;
use crate::stream::Stream;

/// The content of a forwarded request: always whole, always known.
pub type Payload = Full<Bytes>;

/// The most bytes of an upstream's response held per connection; its status line and fields must fit.
const MAX_RESPONSE_BUFFER: usize = 64 * 1024;

/// How often a unix socket is tried again whose queue is full.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// A connection to an upstream.
#[derive(Debug)]
pub struct Link {
    sender: SendRequest<Payload>,
    driver: Driver,
    /// When it was last used.
    idle_since: Instant,
    /// How long it may lie idle.
    idle_limit: Duration,
    /// Kept over the exchanges: most of them move it and never let it come.
    deadline: Deadline,
}

#[derive(Debug)]
enum Driver {
    Running(Box<Connection<TokioIo<Stream>, Payload>>),
    Ended(Option<hyper::Error>),
}

/// Why a request got no response.
pub enum Unanswered {
    /// The connection was gone before a byte of the request was written: it may be sent again.
    Unsent(Box<Request<Payload>>),
    /// Whatever else went wrong. Part of the request may have been processed.
    Failed(ForwardError),
}

impl Link {
    /// Connects to an upstream, looking its name up if it is one.
    ///
    /// # Errors
    /// [`ForwardError::Unreachable`], also if it takes longer than `limit`.
    pub async fn connect(
        origin: &Origin,
        limit: Duration,
        idle_limit: Duration,
    ) -> Result<Self, ForwardError> {
        let stream = match timeout(limit, dial(origin, limit)).await {
            Ok(dialed) => dialed.map_err(ForwardError::Unreachable)?,
            Err(_elapsed) => return Err(ForwardError::Unreachable(io::ErrorKind::TimedOut.into())),
        };
        // Head and content leave in one write; Nagle's algorithm could only delay what is left of a large one.
        stream.send_at_once().map_err(ForwardError::Unreachable)?;
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .max_buf_size(MAX_RESPONSE_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ForwardError::Broken(Breach::Http(error)))?;
        Ok(Self {
            sender,
            driver: Driver::Running(Box::new(connection)),
            idle_since: Instant::now(),
            idle_limit,
            deadline: Deadline::default(),
        })
    }

    /// Sends a request and waits for the head of its response, for at most `limit`.
    ///
    /// # Errors
    /// [`Unanswered`]. The link is of no more use then.
    pub async fn send(
        &mut self,
        request: Request<Payload>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut response = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        let deadline = &mut self.deadline;
        deadline.set(limit);
        let answer = poll_fn(|cx| {
            driver.poll(cx);
            // Only the driver can make the response ready, and it has just run: nobody else needs to wake us for it.
            match response.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => deadline.poll_passed(cx).map(|()| None),
            }
        });
        match answer.await {
            Some(Ok(response)) => Ok(response),
            None => Err(Unanswered::Failed(ForwardError::TimedOut)),
            Some(Err(mut error)) => match error.take_message() {
                Some(request) => Err(Unanswered::Unsent(Box::new(request))),
                None => Err(Unanswered::Failed(ForwardError::Broken(Breach::Http(error.into_error())))),
            },
        }
    }

    /// Looks at what came behind a response without content.
    pub async fn look_behind(&mut self) {
        poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Writes what is left of the request, for at most `limit`.
    pub async fn finish(&mut self, limit: Duration) {
        self.deadline.set(limit);
        poll_fn(|cx| {
            self.driver.poll(cx);
            if self.is_reusable() || self.is_ended() {
                Poll::Ready(())
            } else {
                self.deadline.poll_passed(cx)
            }
        })
        .await;
    }

    /// Moves bytes in both directions, as far as the socket lets it.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        self.driver.poll(cx);
    }

    /// Whether the upstream has sent more than its response: bytes that belong to nothing.
    #[must_use]
    pub fn is_overrun(&self) -> bool {
        match &self.driver {
            Driver::Ended(Some(error)) => !has_io_source(error),
            Driver::Ended(None) | Driver::Running(_) => false,
        }
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.driver, Driver::Ended(_))
    }

    /// Whether another request can be sent: the last response is complete, and nothing speaks against the connection.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        matches!(self.driver, Driver::Running(_)) && self.sender.is_ready()
    }

    /// Shortens the time it may lie idle, if the upstream keeps it for less.
    pub fn limit_idle(&mut self, limit: Duration) {
        self.idle_limit = self.idle_limit.min(limit);
    }

    /// Marks the moment from which it lies idle.
    pub fn rest(&mut self, now: Instant) {
        self.idle_since = now;
    }

    /// Whether it has been idle for this long.
    #[must_use]
    pub fn has_rested(&self, now: Instant, time: Duration) -> bool {
        now.saturating_duration_since(self.idle_since) >= time
    }

    /// Whether it has been idle for too long.
    #[must_use]
    pub fn is_stale(&self, now: Instant) -> bool {
        self.has_rested(now, self.idle_limit)
    }
}

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Self::Running(connection) = self
            && let Poll::Ready(end) = Pin::new(connection).poll(cx)
        {
            *self = Self::Ended(end.err());
        }
    }
}

/// Connects to an upstream, trying each of its addresses in turn. Each gets its part of `limit`, so that one that does
/// not answer leaves time for the others.
///
/// # Errors
/// The system's.
pub async fn dial(origin: &Origin, limit: Duration) -> io::Result<Stream> {
    let host = match origin {
        Origin::Unix(path) => return dial_unix(path).await.map(Stream::Unix),
        Origin::Tcp(host) => host,
    };
    if let Some(address) = host.address() {
        return TcpStream::connect(address).await.map(Stream::Tcp);
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<_> = lookup_host((host.name(), host.port())).await?.collect();
    let each =
        u32::try_from(addresses.len()).ok().and_then(|count| limit.checked_div(count)).unwrap_or(limit);
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(Stream::Tcp(stream)),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// A unix socket whose queue is full refuses at once, where TCP would have us wait (connect(2), EAGAIN).
async fn dial_unix(path: &Path) -> io::Result<UnixStream> {
    let mut again = interval(TRY_AGAIN);
    loop {
        again.tick().await;
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            connected => return connected,
        }
    }
}

fn has_io_source(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<io::Error>())
}
