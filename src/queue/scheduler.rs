//! Pure. The scheduler: which delivery of which destination is started next, and what is read from the store
//! next.
//!
//! Each destination has its own concurrency, rate, circuit and ready deliveries. Destinations share only two
//! things, each fairly. First, the store is read for one destination after the other. Second, the memory of
//! all destinations together is bounded. When that memory is full, a destination with no delivery in memory
//! may still load one delivery.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::queue::circuit::{Kind, Turned};
use crate::queue::destination::{Deliveries, End, Now, Room, Settings, Taken, Wanted};
use crate::queue::id::EventId;
use crate::queue::store::{Class, DeliveryId, Destination, Due, DueDelivery, Next};

/// The most deliveries in memory, for all destinations together.
pub const MOST_DELIVERIES: usize = 8192;

/// The most bytes in memory, for all destinations together. Each destination may exceed this limit by one
/// delivery.
pub const MOST_BYTES: u64 = 128 << 20;

/// The longest time between two searches of the store for one destination. Due times are compared with the
/// wall clock, so this guards against jumps of that clock. It also guards against a change of the store that
/// was not announced.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The next step.
#[derive(Debug)]
pub enum Step {
    /// Start this delivery.
    Start(Start),
    /// Read these deliveries from the store. Only one read is under way at a time.
    Read(Read),
}

/// A delivery that starts.
#[derive(Debug)]
pub struct Start {
    /// The destination.
    pub destination: Arc<Destination>,
    /// The delivery.
    pub delivery: DueDelivery,
    /// Whether the attempt is an ordinary one or a probe.
    pub kind: Kind,
}

/// A read from the store.
#[derive(Clone, Debug)]
pub struct Read {
    /// The destination.
    pub destination: Arc<Destination>,
    /// Which deliveries are read.
    pub wanted: Wanted,
}

/// All destinations.
#[derive(Debug, Default)]
pub struct Scheduler {
    entries: HashMap<Arc<Destination>, Entry>,
    /// Destinations that may have something to do.
    touched: VecDeque<Arc<Destination>>,
    /// Destinations that wait for the store to be read.
    waiting: VecDeque<Arc<Destination>>,
    /// Destinations that wait for free memory.
    short: Vec<Arc<Destination>>,
    wakes: BTreeSet<(Instant, Arc<Destination>)>,
    is_reading: bool,
    taken: Taken,
}

#[derive(Debug)]
struct Entry {
    deliveries: Deliveries,
    /// Whether the destination is missing from the configuration.
    is_gone: bool,
    is_touched: bool,
    is_waiting: bool,
    wake: Option<Instant>,
    looked: Instant,
}

impl Scheduler {
    /// Applies a configuration. Holds every destination that the configuration lacks.
    pub fn configure(&mut self, settings: BTreeMap<Destination, Settings>, now: Now) {
        for (destination, entry) in &mut self.entries {
            entry.is_gone = !settings.contains_key(&**destination);
        }
        let gone = self.entries.iter().filter(|(_, entry)| entry.is_gone);
        let gone: Vec<_> = gone.map(|(destination, _)| Arc::clone(destination)).collect();
        for destination in gone {
            self.change(&destination, |deliveries| deliveries.hold(true));
            self.drop_if_gone(&destination);
        }
        for (destination, settings) in settings {
            if self.entries.contains_key(&destination) {
                self.change(&destination, |deliveries| {
                    deliveries.set(settings, now.instant);
                    deliveries.hold(false);
                });
            } else {
                let deliveries = Deliveries::new(settings, now.instant);
                let entry = Entry {
                    deliveries,
                    is_gone: false,
                    is_touched: false,
                    is_waiting: false,
                    wake: None,
                    looked: now.instant,
                };
                let destination = Arc::new(destination);
                self.entries.insert(Arc::clone(&destination), entry);
                self.touch(&destination);
            }
        }
    }

    /// The destinations of the configuration.
    pub fn destinations(&self) -> impl Iterator<Item = (&Arc<Destination>, &Deliveries)> {
        self.entries.iter().filter(|(_, entry)| !entry.is_gone).map(|(key, entry)| (key, &entry.deliveries))
    }

    /// A destination, if it is known.
    #[must_use]
    pub fn destination(&self, destination: &Destination) -> Option<&Deliveries> {
        self.entries.get(destination).map(|entry| &entry.deliveries)
    }

    /// The number of deliveries under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        let all = self.entries.values().map(|entry| entry.deliveries.under_way());
        all.fold(0, usize::saturating_add)
    }

    /// Holds a destination because its route is paused, or releases it.
    pub fn hold(&mut self, destination: &Destination, is_held: bool) {
        if self.entries.get(destination).is_some_and(|entry| !entry.is_gone) {
            self.change(destination, |deliveries| deliveries.hold(is_held));
        }
    }

    /// Takes a delivery that has just been committed.
    pub fn hand(&mut self, destination: &Destination, delivery: DueDelivery) {
        let room = self.room();
        self.change(destination, |deliveries| deliveries.hand(delivery, room));
    }

    /// Notes that a delivery of a destination may be due in the store.
    pub fn look(&mut self, destination: &Destination) {
        self.change(destination, Deliveries::look);
    }

    /// Notes that a delivery of any destination may be due in the store.
    pub fn look_at_all(&mut self) {
        let all: Vec<_> = self.entries.keys().cloned().collect();
        all.iter().for_each(|destination| self.look(destination));
    }

    /// The next step. `None` if nothing is to be done now.
    pub fn step(&mut self, now: Now) -> Option<Step> {
        while let Some((_, destination)) = self.wakes.pop_first_if_due(now.instant) {
            if let Some(entry) = self.entries.get_mut(&destination) {
                entry.wake = None;
            }
            self.touch(&destination);
        }
        loop {
            // Destinations that wait for a read come first. Otherwise a destination that is touched often
            // would use every read.
            let waits = if self.is_reading { None } else { self.waiting.pop_front() };
            let (destination, may_read) = match waits {
                Some(destination) => {
                    let Some(entry) = self.entries.get_mut(&destination) else { continue };
                    entry.is_waiting = false;
                    (destination, true)
                }
                None => {
                    let destination = self.touched.pop_front()?;
                    let Some(entry) = self.entries.get_mut(&destination) else { continue };
                    entry.is_touched = false;
                    (destination, !self.is_reading && self.waiting.is_empty())
                }
            };
            if let Some(step) = self.step_of(&destination, may_read, now) {
                return Some(step);
            }
        }
    }

    fn step_of(&mut self, destination: &Arc<Destination>, may_read: bool, now: Now) -> Option<Step> {
        let room = self.room();
        let entry = self.entries.get_mut(destination)?;
        if let Some((delivery, kind)) = entry.deliveries.start(now) {
            // The other destinations come before the next delivery of this one.
            self.touch(destination);
            let destination = Arc::clone(destination);
            return Some(Step::Start(Start { destination, delivery, kind }));
        }
        if now.instant.saturating_duration_since(entry.looked) >= LOOK_EVERY {
            entry.looked = now.instant;
            entry.deliveries.look();
        }
        let is_short = room.deliveries == 0 || room.bytes == 0;
        if is_short && !self.short.contains(destination) {
            self.short.push(Arc::clone(destination));
        }
        if may_read {
            if let Some(wanted) = entry.deliveries.wanted(now, room) {
                self.is_reading = true;
                return Some(Step::Read(Read { destination: Arc::clone(destination), wanted }));
            }
        } else if !entry.is_waiting {
            entry.is_waiting = true;
            self.waiting.push_back(Arc::clone(destination));
        }
        let latest = now.instant.checked_add(LOOK_EVERY).filter(|_| !entry.deliveries.is_held());
        let wake = entry.deliveries.wake_at(now).into_iter().chain(latest).min();
        if let Some(old) = std::mem::replace(&mut entry.wake, wake) {
            self.wakes.remove(&(old, Arc::clone(destination)));
        }
        self.wakes.extend(wake.map(|at| (at, Arc::clone(destination))));
        None
    }

    /// When there may be something to do, if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Takes the result of a read.
    pub fn read(&mut self, read: &Read, due: Due, now: Now) {
        self.is_reading = false;
        self.change(&read.destination, |deliveries| deliveries.read(&read.wanted, due, now));
        self.drop_if_gone(&read.destination);
    }

    /// Notes that the store could not be read.
    pub fn read_failed(&mut self, read: &Read, now: Now) {
        self.is_reading = false;
        self.change(&read.destination, |deliveries| deliveries.read_failed(&read.wanted, now));
        self.drop_if_gone(&read.destination);
    }

    /// Notes that an attempt has ended. Returns what follows, and whether the circuit has opened or closed.
    pub fn end(
        &mut self,
        destination: &Destination,
        end: &End,
        now: Now,
        random: u64,
    ) -> Option<(Next, Option<Turned>)> {
        self.change(destination, |deliveries| deliveries.end(end, now, random))
    }

    /// Records that the direct attempt of a request has failed, and that the request is stored as this
    /// delivery. Returns whether the circuit has opened or closed.
    pub fn failed_directly(
        &mut self,
        destination: &Destination,
        id: DeliveryId,
        now: Now,
        random: u64,
    ) -> Option<Turned> {
        self.change(destination, |deliveries| deliveries.failed_directly(id, now, random))?
    }

    /// Records that a request was forwarded directly and that the upstream works. Returns whether the circuit
    /// has closed.
    pub fn works_directly(&mut self, destination: &Destination) -> Option<Turned> {
        self.change(destination, Deliveries::works_directly)?
    }

    /// Takes back a delivery that was started but not attempted, because its destination is held.
    pub fn cancel(&mut self, destination: &Destination, id: DeliveryId) {
        self.change(destination, |deliveries| {
            deliveries.cancel(id);
            deliveries.hold(true);
        });
        self.drop_if_gone(destination);
    }

    /// Takes back a delivery that was started, because its event was discarded.
    pub fn drop_discarded(&mut self, destination: &Destination, id: DeliveryId) {
        self.change(destination, |deliveries| deliveries.cancel(id));
        self.drop_if_gone(destination);
    }

    /// Records that these events were discarded. Returns the destinations in which one of the events held a
    /// lane.
    pub fn discarded(&mut self, is_discarded: impl Fn(EventId) -> bool) -> Vec<Arc<Destination>> {
        let held = self.entries.iter_mut().filter(|(_, entry)| entry.deliveries.lanes_held() > 0);
        let changed = held.filter_map(|(destination, entry)| {
            entry.deliveries.discarded(&is_discarded).then(|| Arc::clone(destination))
        });
        changed.collect()
    }

    /// Records that a damaged delivery is marked on disk.
    pub fn set_aside(&mut self, destination: &Destination, id: DeliveryId) {
        self.change(destination, |deliveries| deliveries.set_aside(id));
    }

    /// Records that the outcome of an attempt is on disk.
    pub fn settle(&mut self, destination: &Destination, id: DeliveryId, class: Class, next: Next) {
        self.change(destination, |deliveries| deliveries.settle(id, class, next));
        self.drop_if_gone(destination);
    }

    fn change<T>(
        &mut self,
        destination: &Destination,
        change: impl FnOnce(&mut Deliveries) -> T,
    ) -> Option<T> {
        let (key, entry) = self.entries.get_key_value(destination)?;
        let (key, before) = (Arc::clone(key), entry.deliveries.taken());
        let entry = self.entries.get_mut(destination)?;
        let changed = change(&mut entry.deliveries);
        let after = entry.deliveries.taken();
        let less = |all: usize, gone: usize| all.saturating_sub(gone);
        self.taken.deliveries =
            less(self.taken.deliveries, before.deliveries).saturating_add(after.deliveries);
        self.taken.bytes = self.taken.bytes.saturating_sub(before.bytes).saturating_add(after.bytes);
        self.touch(&key);
        if after.deliveries < before.deliveries || after.bytes < before.bytes {
            std::mem::take(&mut self.short).iter().for_each(|destination| self.touch(destination));
        }
        Some(changed)
    }

    fn touch(&mut self, destination: &Arc<Destination>) {
        if let Some(entry) = self.entries.get_mut(destination)
            && !std::mem::replace(&mut entry.is_touched, true)
        {
            self.touched.push_back(Arc::clone(destination));
        }
    }

    fn room(&self) -> Room {
        Room {
            deliveries: MOST_DELIVERIES.saturating_sub(self.taken.deliveries),
            bytes: MOST_BYTES.saturating_sub(self.taken.bytes),
        }
    }

    /// The memory that all destinations take together.
    #[must_use]
    pub fn taken(&self) -> Taken {
        self.taken
    }

    fn drop_if_gone(&mut self, destination: &Destination) {
        let is_done = |entry: &Entry| entry.is_gone && entry.deliveries.is_idle();
        if self.entries.get(destination).is_some_and(is_done)
            && let Some((key, entry)) = self.entries.remove_entry(destination)
            && let Some(at) = entry.wake
        {
            self.wakes.remove(&(at, key));
        }
    }
}

/// Takes the first wake-up time that has come.
trait PopDue {
    fn pop_first_if_due(&mut self, now: Instant) -> Option<(Instant, Arc<Destination>)>;
}

impl PopDue for BTreeSet<(Instant, Arc<Destination>)> {
    fn pop_first_if_due(&mut self, now: Instant) -> Option<(Instant, Arc<Destination>)> {
        if self.first().is_some_and(|(at, _)| *at <= now) { self.pop_first() } else { None }
    }
}

#[cfg(test)]
mod tests;
