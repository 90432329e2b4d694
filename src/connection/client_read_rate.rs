//! Pure. How fast a client reads the bytes that are written to it, and how long it may read nothing.

use std::time::{Duration, Instant};

use crate::admission::rate::longest_wait;

/// How fast a client reads. Only the time in which the client makes the writer wait counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientReadRate {
    taken: u64,
    waited: Duration,
    /// When the client began to make the writer wait. `None` if it does not.
    stuck_since: Option<Instant>,
}

impl ClientReadRate {
    /// Records that the client takes `bytes` more bytes. Reads the clock only if the client has made the
    /// writer wait.
    pub fn take(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.stuck_since.take() {
            self.waited = self.waited.saturating_add(now().saturating_duration_since(since));
        }
        self.taken = self.taken.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Records that the client takes nothing. Reads the clock only if this wait begins. Returns when the wait
    /// began and how long it may last.
    pub fn wait(
        &mut self,
        now: impl FnOnce() -> Instant,
        limit: Duration,
        min_rate: u64,
    ) -> (Instant, Duration) {
        let since = *self.stuck_since.get_or_insert_with(now);
        (since, self.patience(limit, min_rate))
    }

    /// Whether the client makes the writer wait.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.stuck_since.is_some()
    }

    /// How long the client may read nothing: at most `limit` at a time, and in total the time that the least
    /// rate allows. Otherwise a client that reads a byte now and then could hold a response and its memory
    /// for ever.
    fn patience(&self, limit: Duration, min_rate: u64) -> Duration {
        longest_wait(self.taken, limit, min_rate).saturating_sub(self.waited).min(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// A client, and the time that has passed.
    struct Client {
        read_rate: ClientReadRate,
        begin: Instant,
        seconds: u64,
    }

    impl Client {
        fn new() -> Self {
            Self { read_rate: ClientReadRate::default(), begin: Instant::now(), seconds: 0 }
        }

        fn now(&self) -> Instant {
            self.begin + Duration::from_secs(self.seconds)
        }

        /// The client takes nothing. Returns after how many further seconds it is given up, at a least rate.
        fn left(&mut self, min_rate: u64) -> u64 {
            let now = self.now();
            let (since, patience) = self.read_rate.wait(|| now, LIMIT, min_rate);
            (since + patience).saturating_duration_since(now).as_secs()
        }

        fn take(&mut self, bytes: usize) {
            let now = self.now();
            self.read_rate.take(bytes, || now);
        }
    }

    #[test]
    fn a_client_may_stop_for_the_limit_and_must_keep_the_least_rate_in_total() {
        let mut client = Client::new();
        assert_eq!(client.left(1024), 30);
        client.seconds = 29;
        assert_eq!(client.left(1024), 1, "the wait goes on");
        // Reading one byte does not restart the time.
        client.take(1);
        assert_eq!(client.left(1024), 1);
        assert_eq!(client.left(0), 30, "any rate will do");
        // Bytes that the client reads without making the writer wait count in its favour.
        client.take(50 * 1024 - 1);
        assert_eq!(client.left(1024), 21);
        client.take(1 << 20);
        assert_eq!(client.left(1024), 30, "no longer than that at a time");
        client.seconds += 50 + 1024 - 29;
        client.take(0);
        assert_eq!(client.left(1024), 0);
        client.take(1024);
        assert_eq!(client.left(1024), 1);
    }

    #[test]
    fn the_time_in_which_the_client_does_not_make_the_writer_wait_does_not_count() {
        let mut client = Client::new();
        for _ in 0..100 {
            assert!(!client.read_rate.is_waiting());
            assert_eq!(client.left(1 << 40), 30);
            assert!(client.read_rate.is_waiting());
            client.take(1);
            client.seconds += 29;
        }
    }

    #[test]
    fn the_clock_is_read_only_when_a_wait_begins_or_ends() {
        let never = || -> Instant { panic!("the clock is read") };
        let mut read_rate = ClientReadRate::default();
        read_rate.take(1, never);
        let begin = Instant::now();
        read_rate.wait(|| begin, LIMIT, 0);
        assert_eq!(read_rate.wait(never, LIMIT, 0), (begin, LIMIT));
    }
}
