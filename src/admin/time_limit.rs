//! Shell. The time limit of a connection to the admin listener.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The time limit of a connection. The answer to a long request extends it.
#[derive(Clone, Debug)]
pub(crate) struct TimeLimit(watch::Sender<Duration>);

impl TimeLimit {
    /// A limit that begins at the accept.
    pub(crate) fn new(limit: Duration) -> Self {
        Self(watch::Sender::new(limit))
    }

    /// Extends the limit to `limit`, counted from the accept.
    pub(crate) fn extend(&self, limit: Duration) {
        self.0.send_if_modified(|known| {
            let is_longer = limit > *known;
            *known = limit.max(*known);
            is_longer
        });
    }

    /// Waits for `work`, at most until the limit. `None` if the work took too long.
    pub(crate) async fn bound<T>(&self, began: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut limit = self.0.subscribe();
        loop {
            let end = began.checked_add(*limit.borrow_and_update())?;
            tokio::select! {
                done = &mut work => return Some(done),
                () = sleep_until(end) => return None,
                // `self` holds the sender, so this never fails.
                _extended = limit.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_may_take_as_long_as_the_extended_limit() {
        let (start, time_limit) = (Instant::now(), TimeLimit::new(Duration::from_secs(5)));
        let seconds = |seconds| sleep_until(start + Duration::from_secs(seconds));
        let work = async {
            time_limit.extend(Duration::from_secs(60));
            seconds(60 - 1).await;
        };
        assert_eq!(time_limit.bound(start, work).await, Some(()));
        assert_eq!(time_limit.bound(start, seconds(61)).await, None);
        time_limit.extend(Duration::from_secs(1));
        let start = Instant::now();
        let later = sleep_until(start + Duration::from_secs(59));
        assert_eq!(time_limit.bound(start, later).await, Some(()), "a limit is never shortened");
    }
}
