//! Shell. Claims of events on routes that deduplicate: one event of a kind is delivered or stored, and others like it wait for
//! its outcome.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::gateway::resources::{Claim, Claimed};
use crate::queue::event::{DuplicateKey, RouteName};
use crate::queue::handle::Queue;
use crate::queue::store::Refused;
use crate::queue::time::Time;

/// How long a direct delivery is remembered here. The writer has committed it long before.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The most direct deliveries that are remembered here. The oldest is forgotten first; the writer has most likely committed it.
const MOST_REMEMBERED: usize = 65_536;

type Key = (RouteName, [u8; 32]);

/// The claims of a gateway. All workers share them.
#[derive(Clone, Default)]
pub struct Duplicates(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Events that are under way. Dropping the sender tells those who wait.
    claims: HashMap<Key, watch::Receiver<()>>,
    /// Events that were delivered directly a short time ago, and until when each counts.
    delivered: HashMap<Key, Time>,
    /// The same, in the order in which they were delivered.
    in_order: VecDeque<(Instant, Key)>,
}

impl fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Duplicates")
    }
}

impl Duplicates {
    /// Claims an event. Waits until `deadline` for the outcome of one like it that is under way.
    ///
    /// # Errors
    /// [`Refused`]: the outcome did not come in time, or the store does not answer.
    pub async fn claim(
        &self,
        queue: &Queue,
        route: &RouteName,
        key: DuplicateKey,
        now: Time,
        patience: Duration,
    ) -> Result<Claimed<EventClaim>, Refused> {
        let deadline = Instant::now().checked_add(patience).ok_or(Refused::Unavailable)?;
        let claim = loop {
            match self.try_claim(queue, route, key, now) {
                Tried::Claimed(claim) => break claim,
                Tried::Delivered => return Ok(Claimed::Duplicate),
                Tried::UnderWay(mut ended) => {
                    // An error: the claim has ended, which is what is waited for.
                    let waited = timeout_at(deadline, ended.changed()).await;
                    waited.map_err(|_elapsed| Refused::Unavailable).map(drop)?;
                }
            }
        };
        // The claim is held meanwhile, so no other request asks at the same time.
        let (reader, route) = (queue.clone(), route.clone());
        let seen = spawn_blocking(move || reader.read(|store| store.is_seen(&route, &key.digest, now))).await;
        match seen {
            Ok(Ok(true)) => Ok(Claimed::Duplicate),
            Ok(Ok(false)) => Ok(Claimed::First(claim)),
            Ok(Err(_)) | Err(_) => Err(Refused::Unavailable),
        }
    }

    fn try_claim(&self, queue: &Queue, route: &RouteName, duplicate: DuplicateKey, now: Time) -> Tried {
        let key = (route.clone(), duplicate.digest);
        let mut inner = self.lock();
        if inner.delivered.get(&key).is_some_and(|until| now < *until) {
            return Tried::Delivered;
        }
        if let Some(ended) = inner.claims.get(&key) {
            return Tried::UnderWay(ended.clone());
        }
        let (until_end, ended) = watch::channel(());
        inner.claims.insert(key.clone(), ended);
        let claims = self.clone();
        Tried::Claimed(EventClaim { claims, queue: queue.clone(), key, duplicate, _until_end: until_end })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Tried {
    Claimed(EventClaim),
    Delivered,
    UnderWay(watch::Receiver<()>),
}

/// The provisional claim of an event. It ends when it is dropped.
#[derive(Debug)]
pub struct EventClaim {
    claims: Duplicates,
    queue: Queue,
    key: Key,
    duplicate: DuplicateKey,
    /// Dropped after the claim is removed, which wakes those who wait.
    _until_end: watch::Sender<()>,
}

impl Claim for EventClaim {
    fn stored(self) {
        // The commit has recorded the key: those who wait find it in the store.
    }

    async fn delivered(self) {
        let now = Instant::now();
        {
            let mut inner = self.claims.lock();
            let is_old = |at: Instant| now.saturating_duration_since(at) > REMEMBERED;
            while let Some((at, key)) = inner.in_order.front()
                && (inner.in_order.len() >= MOST_REMEMBERED || is_old(*at))
            {
                let key = key.clone();
                inner.delivered.remove(&key);
                inner.in_order.pop_front();
            }
            if inner.delivered.insert(self.key.clone(), self.duplicate.until).is_none() {
                inner.in_order.push_back((now, self.key.clone()));
            }
        }
        self.queue.record_seen(self.key.0.clone(), self.duplicate).await;
    }
}

impl Drop for EventClaim {
    fn drop(&mut self) {
        self.claims.lock().claims.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::handle::{self, WriterEnd};
    use crate::queue::memory::Memory;
    use crate::queue::store::Store as _;

    fn queue() -> (Queue, WriterEnd) {
        let (queue, end, _deliveries) = handle::channel();
        let store = Memory::default();
        end.set_readers(Some([store.reader().unwrap(), store.reader().unwrap()]));
        (queue, end)
    }

    /// Otherwise the second event would be answered as a duplicate, and be lost.
    #[tokio::test]
    async fn a_direct_delivery_counts_until_its_end_and_no_longer() {
        let (queue, _end) = queue();
        let duplicates = Duplicates::default();
        let route = RouteName { path: "/a".into(), model: None };
        let (second, until) = (Duration::from_secs(1), Time::from_millis(5_000));
        let key = |until| DuplicateKey { digest: [7; 32], until };
        let claim = async |now| {
            let key = key(Time::from_millis(now).plus(second * 5));
            duplicates.claim(&queue, &route, key, Time::from_millis(now), second).await.unwrap()
        };
        let Claimed::First(first) = claim(0).await else { panic!("it is the first") };
        assert_eq!(first.duplicate.until, until);
        first.delivered().await;
        assert!(matches!(claim(4_999).await, Claimed::Duplicate));
        let Claimed::First(again) = claim(5_000).await else { panic!("the first one's time has ended") };
        again.delivered().await;
        assert!(matches!(claim(9_999).await, Claimed::Duplicate), "the later one counts, with its own end");
        assert!(matches!(claim(10_000).await, Claimed::First(_)));
    }
}
