//! Shell. An upstream's response on its way to the client, piece by piece, as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::error::{Breach, ForwardError};
use super::link::Link;
use super::pool::Pool;
use crate::deadline::Deadline;

/// The content of a response. When it has all gone by, the connection goes back to its pool.
///
/// It ends with an error if the upstream breaks off, sends more than it announced, or stalls: hyper then cuts the client's
/// connection, so that no broken response looks complete.
#[derive(Debug)]
pub struct Relay {
    incoming: Incoming,
    link: Option<Link>,
    pool: Rc<Pool>,
    stall: Deadline,
    patience: Duration,
}

impl Relay {
    /// Relays `incoming`, which arrives over `link`; each piece must come within `patience`.
    #[must_use]
    pub fn new(incoming: Incoming, link: Link, pool: Rc<Pool>, patience: Duration) -> Self {
        let mut relay = Self { incoming, link: Some(link), pool, stall: Deadline::default(), patience };
        if relay.incoming.is_end_stream() {
            relay.release();
        }
        relay
    }

    /// Takes the rest of the response, for nobody: the upstream shall not see a delivery that it has accepted break off
    /// because its sender did not wait for the answer. Gives up when all of it takes longer than one piece may.
    pub async fn drain(mut self) {
        let mut deadline = Deadline::default();
        deadline.set(self.patience);
        poll_fn(|cx| {
            loop {
                match Pin::new(&mut self).poll_frame(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                    Poll::Pending => return deadline.poll_passed(cx),
                }
            }
        })
        .await;
    }

    fn release(&mut self) {
        if let Some(link) = self.link.take() {
            self.pool.take_back(link);
        }
    }

    fn fail<T>(&mut self, error: ForwardError) -> Poll<Option<Result<T, ForwardError>>> {
        self.link = None;
        Poll::Ready(Some(Err(error)))
    }

    fn is_overrun(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_overrun)
    }

    /// The next piece that the driver has brought in, if it has; trailers are not forwarded.
    fn next_arrived(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = ForwardError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ForwardError>>> {
        let mut arrived = self.next_arrived(cx);
        if arrived.is_pending() {
            let Some(link) = &mut self.link else { return Poll::Ready(None) };
            link.drive(cx);
            arrived = self.next_arrived(cx);
        }
        match arrived {
            Poll::Ready(Some(Ok(data))) => {
                self.stall.clear();
                if self.incoming.is_end_stream() {
                    // What follows the last piece may have come with it; the response must not look complete then.
                    if let Some(link) = &mut self.link {
                        link.drive(cx);
                    }
                    if self.is_overrun() {
                        return self.fail(ForwardError::Broken(Breach::Overrun));
                    }
                    self.release();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Some(Err(error))) => self.fail(ForwardError::Broken(Breach::Http(error))),
            Poll::Ready(None) => {
                if let Some(link) = &mut self.link {
                    link.drive(cx);
                }
                if self.is_overrun() {
                    return self.fail(ForwardError::Broken(Breach::Overrun));
                }
                self.release();
                Poll::Ready(None)
            }
            Poll::Pending if self.link.as_ref().is_none_or(Link::is_ended) => {
                self.fail(ForwardError::Broken(Breach::Closed))
            }
            Poll::Pending => {
                if !self.stall.is_set() {
                    let patience = self.patience;
                    self.stall.set(patience);
                }
                ready!(self.stall.poll_passed(cx));
                self.fail(ForwardError::TimedOut)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.link.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
