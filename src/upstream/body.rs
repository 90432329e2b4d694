//! Shell. The content of an upstream's response on its way to the client, piece by piece, as it comes.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::runtime::deadline::Deadline;
use crate::upstream::connection::Connection;
use crate::upstream::error::ForwardError;
use crate::upstream::pool::Pool;
use crate::upstream::response::Framing;

/// Content that is still coming. When it has all gone by, the connection goes back to its pool.
///
/// It ends with an error if the upstream breaks off or stalls: the client's connection then ends, so that no broken response looks
/// complete. What the upstream sends behind the end is nobody's.
#[derive(Debug)]
pub struct ResponseBody {
    connection: Option<Box<Connection>>,
    pool: Rc<Pool>,
    /// Bytes that are still to come, where that is known.
    left: Option<u64>,
    has_surplus: bool,
    patience: Duration,
}

impl ResponseBody {
    /// Relays what arrives over `connection`, framed in this way. When nobody wants it any more, all that is left of it must come
    /// within `patience`.
    #[must_use]
    pub fn new(framing: Framing, connection: Box<Connection>, pool: Rc<Pool>, patience: Duration) -> Self {
        let left = match framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        };
        Self { connection: Some(connection), pool, left, has_surplus: false, patience }
    }

    /// The next piece; none behind the last.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ForwardError>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        match connection.poll_content(cx) {
            Poll::Ready(Ok(piece)) => {
                if connection.is_complete() {
                    self.release();
                }
                let length = piece.as_ref().map_or(0, Bytes::len);
                let length = u64::try_from(length).unwrap_or(u64::MAX);
                self.left = self.left.map(|left| left.saturating_sub(length));
                Poll::Ready(piece.map(Ok))
            }
            Poll::Ready(Err(error)) => {
                self.connection = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether all of it has gone by.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.connection.is_none()
    }

    /// Whether bytes have come behind it, as far as is known when all of it has gone by.
    #[must_use]
    pub fn has_surplus(&self) -> bool {
        self.has_surplus
    }

    /// How many bytes are still to come, where that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// Takes the rest of the response, for nobody: the upstream shall not see a delivery that it has accepted break off
    /// because its sender did not wait for the answer. Gives up when all of it takes longer than one piece may, counted from when
    /// the upstream has taken the request, or should have.
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
