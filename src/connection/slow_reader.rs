//! Shell. Gives up writes to a client that reads nothing, or too little for too long.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::connection::client_read_rate::ClientReadRate;
use crate::connection::limits::Limits;
use crate::runtime::deadline::Deadline;

/// Watches the writes of one connection.
#[derive(Debug, Default)]
pub struct SlowReaderWatch {
    read_rate: ClientReadRate,
    deadline: Deadline,
}

impl SlowReaderWatch {
    /// Takes note of a write, and returns its result. A write that waits ends with
    /// [`io::ErrorKind::TimedOut`] if the client has made the gateway wait for too long.
    pub fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        limits: &Limits,
    ) -> Poll<io::Result<usize>> {
        let now = || Instant::now().into_std();
        match written {
            Poll::Ready(result) => {
                self.deadline.clear();
                self.read_rate.take(result.as_ref().map_or(0, |n| *n), now);
                Poll::Ready(result)
            }
            Poll::Pending => {
                let (since, patience) = self.read_rate.wait(now, limits.write_timeout, limits.min_write_rate);
                self.deadline.set_at(since.into(), patience);
                ready!(self.deadline.poll_passed(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Whether the client makes the gateway wait.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.read_rate.is_waiting()
    }

    /// Begins the watch of another response. What the client has read before does not count.
    pub fn begin_response(&mut self) {
        self.read_rate = ClientReadRate::default();
        self.deadline.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits {
        max_header_bytes: 0,
        header_timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        write_timeout: Duration::from_secs(30),
        min_write_rate: 0,
    };

    async fn written(watch: &mut SlowReaderWatch, result: Option<usize>) -> Poll<Option<usize>> {
        poll_fn(|cx| {
            let written = result.map_or(Poll::Pending, |n| Poll::Ready(Ok(n)));
            Poll::Ready(watch.poll_written(cx, written, &LIMITS).map(Result::ok))
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_given_up_when_the_client_has_read_nothing_for_the_limit() {
        let mut watch = SlowReaderWatch::default();
        for _ in 0..3 {
            assert_eq!(written(&mut watch, None).await, Poll::Pending);
            tokio::time::advance(LIMITS.write_timeout - Duration::from_millis(10)).await;
            assert_eq!(written(&mut watch, None).await, Poll::Pending);
            assert_eq!(written(&mut watch, Some(1)).await, Poll::Ready(Some(1)));
        }
        let begin = Instant::now();
        let ended = poll_fn(|cx| watch.poll_written(cx, Poll::Pending, &LIMITS)).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(Instant::now() - begin, LIMITS.write_timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn the_watch_of_a_response_begins_anew() {
        let mut watch = SlowReaderWatch::default();
        assert_eq!(written(&mut watch, None).await, Poll::Pending);
        tokio::time::advance(LIMITS.write_timeout * 2).await;
        watch.begin_response();
        assert!(!watch.is_waiting());
        assert_eq!(written(&mut watch, None).await, Poll::Pending);
    }
}
