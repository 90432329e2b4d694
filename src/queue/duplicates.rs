//! Shell. Claims of events on routes that deduplicate. While one event is delivered or stored, equal events
//! wait for its outcome.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use crate::gateway::resources::{Claim, Claimed};
use crate::queue::event::{DuplicateKey, RouteName};
use crate::queue::handle::{HeldClaim, Queue};
use crate::queue::store::{Claiming, Refused, StoreError};
use crate::queue::time::Time;

/// How long a direct delivery is remembered in memory. The writer has committed it long before this time
/// ends.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The most direct deliveries that are remembered in memory. The oldest is forgotten first: most likely the
/// writer has committed it.
const MOST_REMEMBERED: usize = 65_536;

/// How often the store is asked for the outcome of an event that another gateway serves.
const ASK_AGAIN: Duration = Duration::from_millis(50);

type Key = (RouteName, [u8; 32]);

/// The claims of a gateway. All workers share them.
#[derive(Clone, Default)]
pub struct Duplicates(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// The claims that are held. When a claim's sender is dropped, the requests that wait for it wake.
    claims: HashMap<Key, watch::Receiver<()>>,
    /// The events that were delivered directly a short time ago, and until when each of them counts as a
    /// duplicate.
    delivered: HashMap<Key, Time>,
    /// The same events, in the order of their delivery.
    in_order: VecDeque<(Instant, Key)>,
}

impl fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Duplicates")
    }
}

impl Duplicates {
    /// Claims an event. Waits at most `patience` for the store, and for the outcome of an equal event that is
    /// under way.
    ///
    /// # Errors
    /// [`Refused`]: the store does not answer.
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
                    // An error here means that the other claim has ended, and the wait is over.
                    if timeout_at(deadline, ended.changed()).await.is_err() {
                        return Ok(Claimed::UnderWay);
                    }
                }
            }
        };
        let mut claim = claim;
        // This request holds the claim during the read, so no other request of this gateway asks for the same
        // event.
        loop {
            match timeout_at(deadline, StoreClaim::ask(queue, route, key.digest, now).outcome()).await {
                Ok(Some(Claiming::First)) => {
                    claim.is_shared = queue.is_shared();
                    return Ok(Claimed::First(claim));
                }
                Ok(Some(Claiming::Duplicate)) => return Ok(Claimed::Duplicate),
                Ok(Some(Claiming::UnderWay)) if Instant::now() >= deadline => return Ok(Claimed::UnderWay),
                Ok(Some(Claiming::UnderWay)) => {
                    let again = Instant::now().checked_add(ASK_AGAIN).unwrap_or(deadline).min(deadline);
                    let _elapsed = timeout_at(again, pending::<()>()).await;
                }
                Ok(None) | Err(_) => return Err(Refused::Unavailable),
            }
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
        Tried::Claimed(EventClaim {
            claims,
            queue: queue.clone(),
            key,
            duplicate,
            is_shared: false,
            _until_end: until_end,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim that the store is asked for. If no request waits for the answer any more, a claim that the store
/// has made is released.
struct StoreClaim {
    asked: Option<JoinHandle<Result<Claiming, StoreError>>>,
    queue: Queue,
    key: Key,
}

impl StoreClaim {
    fn ask(queue: &Queue, route: &RouteName, digest: [u8; 32], now: Time) -> Self {
        let (reader, asked) = (queue.clone(), route.clone());
        let asked = spawn_blocking(move || reader.read(|store| store.claim(&asked, &digest, now)));
        Self { asked: Some(asked), queue: queue.clone(), key: (route.clone(), digest) }
    }

    /// The store's answer; `None` if it failed.
    async fn outcome(mut self) -> Option<Claiming> {
        let answer = match &mut self.asked {
            Some(asked) => asked.await,
            None => return None,
        };
        self.asked = None;
        match answer {
            Ok(Ok(claiming)) => Some(claiming),
            Ok(Err(_)) | Err(_) => {
                // The store may have made the claim although its answer was lost.
                if self.queue.is_shared() {
                    self.queue.release(self.key.0.clone(), self.key.1);
                }
                None
            }
        }
    }
}

impl Drop for StoreClaim {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take().filter(|_| self.queue.is_shared()) {
            let (queue, (route, digest)) = (self.queue.clone(), self.key.clone());
            let _detached = spawn(async move {
                match asked.await {
                    Ok(Ok(Claiming::Duplicate | Claiming::UnderWay)) => {}
                    // After an error the store may have the claim all the same.
                    Ok(Ok(Claiming::First) | Err(_)) | Err(_) => queue.release(route, digest),
                }
            });
        }
    }
}

enum Tried {
    Claimed(EventClaim),
    Delivered,
    UnderWay(watch::Receiver<()>),
}

/// The provisional claim of an event. Dropping it ends the claim.
#[derive(Debug)]
pub struct EventClaim {
    claims: Duplicates,
    queue: Queue,
    key: Key,
    duplicate: DuplicateKey,
    /// Whether the store also has the claim, against other gateways.
    is_shared: bool,
    /// This field is dropped after the claim is removed. The drop wakes the requests that wait.
    _until_end: watch::Sender<()>,
}

impl HeldClaim for EventClaim {
    fn recorded(mut self: Box<Self>) {
        // The commit that has recorded the key has also ended the claim in the store.
        self.is_shared = false;
    }
}

impl Claim for EventClaim {
    async fn delivered(mut self) {
        // The commit that records the key also ends the claim in the store.
        self.is_shared = false;
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
        if self.is_shared {
            self.queue.release(self.key.0.clone(), self.key.1);
        }
        self.claims.lock().claims.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::handle::{self, Command, WriterEnd};
    use crate::queue::memory_store::Memory;
    use crate::queue::store::Store as _;

    fn queue() -> (Queue, WriterEnd) {
        let (queue, end, _deliveries) = handle::channel();
        let store = Memory::default();
        end.set_readers(Some([store.reader().unwrap(), store.reader().unwrap()]));
        (queue, end)
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_waited_for_no_longer_than_asked() {
        let (queue, _end) = queue();
        let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let reading = queue.clone();
        let read = spawn_blocking(move || {
            reading.read(|_reader| {
                begun.send(()).unwrap();
                let _ended = goes_on.recv();
                Ok(())
            })
        });
        begins.await.unwrap();
        let route = RouteName { path: "/a".into(), model: None };
        let key = DuplicateKey { digest: [7; 32], until: Time::from_millis(9_000) };
        let claims = Duplicates::default();
        let claimed = claims.claim(&queue, &route, key, Time::default(), Duration::from_millis(20)).await;
        assert_eq!(claimed.err(), Some(Refused::Unavailable));
        drop(go_on);
        read.await.unwrap().unwrap();
    }

    /// Otherwise no gateway could serve the sender's retries for as long as this one lives.
    #[tokio::test]
    async fn a_claim_whose_answer_is_lost_is_given_up_in_a_shared_store() {
        let (queue, mut end) = queue();
        let now = std::time::Instant::now();
        end.set_lease(now, now);
        end.set_readers(None);
        let mut commands = end.take_commands();
        let route = RouteName { path: "/a".into(), model: None };
        let key = DuplicateKey { digest: [7; 32], until: Time::from_millis(9_000) };
        let claims = Duplicates::default();
        let claimed = claims.claim(&queue, &route, key, Time::default(), Duration::from_secs(9)).await;
        assert_eq!(claimed.err(), Some(Refused::Unavailable));
        assert!(matches!(commands.try_recv(), Ok(Command::Release(_, digest)) if digest == [7; 32]));
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
