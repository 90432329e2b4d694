//! Shell. The content of an upstream's response, relayed to the client piece by piece.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::runtime::deadline::Deadline;
use crate::upstream::connection::Connection;
use crate::upstream::error::ForwardError;
use crate::upstream::pool::Pool;
use crate::upstream::response::Framing;

/// How long the gateway waits for content that is read ahead.
const AHEAD: Duration = Duration::from_millis(200);

/// Response content in transit. Once it is complete, the connection returns to its pool.
///
/// The content ends with an error if the upstream breaks off or stalls. The client's connection is then
/// closed: a truncated response must not look complete. Bytes after the end are discarded.
#[derive(Debug)]
pub struct ResponseBody {
    connection: Option<Box<Connection>>,
    /// The content that was read ahead. It comes before the rest.
    ahead: Option<Bytes>,
    /// The error with which the response broke off while it was read ahead. It comes last.
    broken: Option<ForwardError>,
    pool: Rc<Pool>,
    /// The bytes that are still to come, if their number is known.
    left: Option<u64>,
    has_surplus: bool,
    patience: Duration,
}

impl ResponseBody {
    /// Relays the content that arrives over `connection`. If the client disconnects, the rest must arrive
    /// within `patience`.
    #[must_use]
    pub fn new(framing: Framing, connection: Box<Connection>, pool: Rc<Pool>, patience: Duration) -> Self {
        let left = match framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        };
        Self {
            connection: Some(connection),
            ahead: None,
            broken: None,
            pool,
            left,
            has_surplus: false,
            patience,
        }
    }

    /// The next piece of content; `None` after the last piece.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ForwardError>>> {
        let next = match self.ahead.take() {
            Some(piece) => Some(Ok(piece)),
            None => match self.broken.take() {
                Some(error) => Some(Err(error)),
                None => ready!(self.poll_arriving(cx)),
            },
        };
        if let Some(Ok(piece)) = &next {
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.left = self.left.map(|left| left.saturating_sub(length));
        }
        Poll::Ready(next)
    }

    /// Reads content ahead, and returns at most its first `most` bytes. Reads until `most` bytes or a short
    /// time have passed, and at most one piece more. The returned bytes remain part of the content.
    pub async fn read_ahead(&mut self, most: usize) -> Vec<u8> {
        let mut deadline = Deadline::default();
        deadline.set(AHEAD);
        let mut ahead = Vec::new();
        poll_fn(|cx| {
            while ahead.len() < most {
                match self.poll_arriving(cx) {
                    Poll::Ready(Some(Ok(piece))) => ahead.extend_from_slice(&piece),
                    Poll::Ready(Some(Err(error))) => {
                        self.broken = Some(error);
                        break;
                    }
                    Poll::Ready(None) => break,
                    Poll::Pending => return deadline.poll_passed(cx),
                }
            }
            Poll::Ready(())
        })
        .await;
        let first = ahead.get(..most).unwrap_or(&ahead).to_vec();
        self.ahead = Some(ahead).filter(|ahead| !ahead.is_empty()).map(Bytes::from);
        first
    }

    fn poll_arriving(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ForwardError>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        match connection.poll_content(cx) {
            Poll::Ready(Ok(piece)) => {
                if connection.is_complete() {
                    self.release();
                }
                Poll::Ready(piece.map(Ok))
            }
            Poll::Ready(Err(error)) => {
                self.connection = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether all of the content has been relayed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.connection.is_none() && self.ahead.is_none() && self.broken.is_none()
    }

    /// Whether bytes have arrived after the content. The answer is known only when the content is
    /// complete.
    #[must_use]
    pub fn has_surplus(&self) -> bool {
        self.has_surplus
    }

    /// The bytes that are still to come, if their number is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// Reads and discards the rest of the response after the client has disconnected. Otherwise the upstream
    /// would see a broken exchange for an accepted delivery. Gives up if the rest takes longer than one piece
    /// may take. The time begins when the upstream has read the whole request, or should have read it.
    pub async fn drain(mut self) {
        let mut deadline = Deadline::default();
        deadline.set(self.patience);
        poll_fn(|cx| {
            loop {
                match self.poll_piece(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                    Poll::Pending => {
                        if let Some(end) =
                            self.connection.as_ref().and_then(|connection| connection.upload_end())
                        {
                            deadline.set_at(end, self.patience);
                        }
                        return deadline.poll_passed(cx);
                    }
                }
            }
        })
        .await;
    }

    fn release(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.has_surplus = connection.has_surplus();
            self.pool.take_back(connection, Instant::now());
        }
    }
}
