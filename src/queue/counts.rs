//! Pure. The counts of deliveries for the metrics, and the state of each circuit. Any thread may read them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::queue::event::AttemptOutcome;
use crate::queue::store::{DeadCause, Destination};

/// The counts of all destinations. Destinations come from the configuration only.
#[derive(Debug, Default)]
pub struct DeliveryCounts {
    destinations: Mutex<BTreeMap<Destination, Arc<DestinationCounts>>>,
}

/// The counts of one destination.
#[derive(Debug, Default)]
pub struct DestinationCounts {
    outcomes: [AtomicU64; AttemptOutcome::ALL.len()],
    dead: [AtomicU64; DEAD.len()],
    is_open: AtomicBool,
    lanes_held: AtomicUsize,
    under_way: AtomicUsize,
}

/// The causes of a dead letter.
const DEAD: [DeadCause; 3] = [DeadCause::Refused, DeadCause::Undeliverable, DeadCause::Damaged];

/// The counts of one destination at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Attempts by outcome.
    pub outcomes: [(AttemptOutcome, u64); AttemptOutcome::ALL.len()],
    /// The number of dead letters, by cause.
    pub dead: [(DeadCause, u64); DEAD.len()],
    /// Whether the circuit is open.
    pub is_open: bool,
    /// The number of lanes whose first delivery has failed and waits.
    pub lanes_held: usize,
    /// The number of deliveries under way.
    pub under_way: usize,
}

impl DeliveryCounts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Destination, Arc<DestinationCounts>>> {
        self.destinations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts of a destination.
    #[must_use]
    pub fn of(&self, destination: &Destination) -> Arc<DestinationCounts> {
        let mut destinations = self.lock();
        if let Some(known) = destinations.get(destination) {
            return Arc::clone(known);
        }
        let new = Arc::<DestinationCounts>::default();
        destinations.insert(destination.clone(), Arc::clone(&new));
        new
    }

    /// Whether the circuit of a destination is open.
    #[must_use]
    pub fn is_open(&self, destination: &Destination) -> bool {
        self.lock().get(destination).is_some_and(|counts| counts.is_open())
    }

    /// The counts of all destinations.
    #[must_use]
    pub fn all(&self) -> Vec<(Destination, Snapshot)> {
        let destinations = self.lock();
        destinations.iter().map(|(destination, counts)| (destination.clone(), counts.snapshot())).collect()
    }
}

impl DestinationCounts {
    /// Counts an attempt.
    pub fn attempted(&self, outcome: AttemptOutcome) {
        let place = AttemptOutcome::ALL.iter().position(|known| *known == outcome);
        if let Some(count) = place.and_then(|place| self.outcomes.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a dead letter.
    pub fn gave_up(&self, cause: DeadCause) {
        let place = DEAD.iter().position(|known| *known == cause);
        if let Some(count) = place.and_then(|place| self.dead.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the circuit is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Publishes the state of the circuit.
    pub fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Relaxed);
    }

    /// Publishes the numbers of held lanes and of deliveries under way.
    pub fn set_now(&self, lanes_held: usize, under_way: usize) {
        self.lanes_held.store(lanes_held, Ordering::Relaxed);
        self.under_way.store(under_way, Ordering::Relaxed);
    }

    /// The current counts.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut outcomes = AttemptOutcome::ALL.map(|outcome| (outcome, 0));
        for ((_, count), counted) in outcomes.iter_mut().zip(&self.outcomes) {
            *count = counted.load(Ordering::Relaxed);
        }
        let mut dead = DEAD.map(|cause| (cause, 0));
        for ((_, count), counted) in dead.iter_mut().zip(&self.dead) {
            *count = counted.load(Ordering::Relaxed);
        }
        let (lanes_held, under_way) =
            (self.lanes_held.load(Ordering::Relaxed), self.under_way.load(Ordering::Relaxed));
        Snapshot { outcomes, dead, is_open: self.is_open(), lanes_held, under_way }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::event::{RouteName, Upstream};

    #[test]
    fn each_outcome_and_each_cause_is_counted_apart() {
        let counts = DeliveryCounts::default();
        let route = RouteName { path: "/".into(), model: None };
        let main = Destination { route: route.clone(), upstream: Upstream::Main };
        let copy = Destination { route, upstream: Upstream::Copy("http://b".into()) };
        for (times, outcome) in AttemptOutcome::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| counts.of(&main).attempted(outcome));
        }
        counts.of(&main).gave_up(DeadCause::Undeliverable);
        counts.of(&copy).set_open(true);
        let all = counts.all();
        assert_eq!(all[0].1.outcomes.map(|(_, count)| count), [0, 1, 2, 3, 4]);
        assert_eq!(all[0].1.dead.map(|(_, count)| count), [0, 1, 0]);
        assert!(!counts.is_open(&main) && counts.is_open(&copy));
        assert_eq!(all[1].1.outcomes.map(|(_, count)| count), [0; 5]);
    }
}
