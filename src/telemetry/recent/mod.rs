//! Pure. Recent requests and deliveries that have ended, for the console and `hookgate tail`.
//!
//! A request never waits for a reader, and a reader never waits for a request for long. An entry that comes
//! while a reader reads waits in a bounded channel. Under load, entries are left out and counted: `Gate`
//! decides by the kind of the entry, before anything is copied. The number of kept entries is bounded, and
//! the kinds share the places.

pub mod capture;
pub mod entry;
pub mod filter;
pub(crate) mod gate;
mod ring;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::SystemTime;

use self::capture::Room;
use self::entry::{DeliveryAttempt, Entry, Kind, LikelyCause, Numbered, Subject};
use self::filter::Filter;
use self::gate::{Gate, Rate};
use self::ring::Ring;
use crate::queue::event::AttemptOutcome;
use crate::telemetry::record::{Record, RequestId};

/// The most bytes of an entry: its record, its path, its detail with its likely cause, and its model.
pub const LARGEST_ENTRY: usize = 3 << 10;

/// How many entries wait while a reader reads. A reader only copies references, so it takes microseconds.
pub const MOST_WAITING: usize = 256;

/// The recent requests and deliveries of a server. They outlive reloads of the configuration.
#[derive(Debug)]
pub struct Recent {
    places: AtomicUsize,
    gates: [Gate; Kind::COUNT],
    waiting: SyncSender<Arc<Entry>>,
    room: Arc<Room>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    ring: Ring,
    /// The entries that came while the lock was taken.
    waiting: Receiver<Arc<Entry>>,
}

/// A page of entries.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The entries, the latest first.
    pub entries: Vec<Numbered>,
    /// The value of `before` for the next page, if there are further entries.
    pub next: Option<u64>,
}

/// How far a reader has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The number of the last entry that the reader knows.
    pub number: u64,
    left_out: u64,
}

/// The entries since a cursor.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// The entries, the earliest first.
    pub entries: Vec<Numbered>,
    /// How many requests and deliveries ended in this time and are not among the entries. The reason is the
    /// load, a late reader, or the limit. A filter can judge only an entry that still exists.
    pub missed: u64,
    /// The cursor for the next call.
    pub cursor: Cursor,
}

impl Recent {
    /// Keeps this many entries; none with 0.
    #[must_use]
    pub fn new(places: usize) -> Arc<Self> {
        let (waiting, waits) = sync_channel(MOST_WAITING);
        let room = Arc::new(Room::default());
        let recent = Self {
            places: AtomicUsize::new(0),
            gates: std::array::from_fn(|_| Gate::default()),
            waiting,
            room: Arc::clone(&room),
            kept: Mutex::new(Kept { ring: Ring::new(room), waiting: waits }),
        };
        recent.set_places(places);
        Arc::new(recent)
    }

    /// Changes how many entries are kept. With 0, the entries are dropped.
    pub fn set_places(&self, places: usize) {
        self.places.store(places, Ordering::Relaxed);
        self.lock().ring.set_places(places);
    }

    /// How many entries are kept.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    /// The room for captured requests. None are captured if no entries are kept.
    #[must_use]
    pub fn capture_room(&self) -> Option<&Arc<Room>> {
        (self.places() > 0).then_some(&self.room)
    }

    /// Keeps a request that ended at `now`, if it is not left out. Then the record is taken: only its id and
    /// its peer remain. Never waits.
    pub fn request(&self, record: &mut Record, now: SystemTime) {
        if self.takes(Kind::of(record), now) {
            let left = Record::new(record.id, record.peer);
            self.keep(Entry::of_request(std::mem::replace(record, left), now));
        }
    }

    /// Keeps an attempt to deliver an event that ended at `now`, if it is not left out. Never waits.
    pub fn delivery(
        &self,
        now: SystemTime,
        outcome: AttemptOutcome,
        attempt: impl FnOnce() -> DeliveryAttempt,
    ) {
        if self.takes(Kind::of_delivery(outcome), now) {
            self.keep(Entry::of_delivery(attempt(), now));
        }
    }

    /// The likely cause of a request is known.
    pub fn explain(&self, id: RequestId, cause: LikelyCause) {
        if self.places() > 0 {
            self.lock().ring.explain(id, cause);
        }
    }

    fn gate(&self, kind: Kind) -> Option<&Gate> {
        self.gates.get(kind.number())
    }

    fn takes(&self, kind: Kind, now: SystemTime) -> bool {
        let places = self.places();
        places > 0 && self.gate(kind).is_some_and(|gate| gate.passes(now, Rate::of(places)))
    }

    fn keep(&self, entry: Entry) {
        let kind = entry.kind();
        let entry = Arc::new(entry);
        match self.kept.try_lock() {
            Ok(mut kept) => kept.push(entry),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().push(entry),
            Err(TryLockError::WouldBlock) => {
                if self.waiting.try_send(entry).is_err()
                    && let Some(gate) = self.gate(kind)
                {
                    gate.leave_out();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take_waiting();
        kept
    }

    /// How many requests and deliveries were left out so far because of the load.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.gates.iter().map(Gate::left_out).fold(0, u64::wrapping_add)
    }

    /// The entries that a filter shows, the latest first: at most `limit` entries with a number less than
    /// `before`.
    #[must_use]
    pub fn page(&self, filter: &Filter, before: Option<u64>, limit: usize) -> Page {
        let mut found = self.lock().ring.between(0, before.unwrap_or(u64::MAX));
        found.sort_unstable_by_key(|numbered| Reverse(numbered.number));
        // A likely cause is shown with its request.
        let is_shown =
            |numbered: &Numbered| numbered.entry.kind() != Kind::Cause && filter.shows(&numbered.entry);
        let mut shown = found.into_iter().filter(is_shown);
        let entries: Vec<_> = shown.by_ref().take(limit).collect();
        let next = shown.next().and(entries.last()).map(|last| last.number);
        Page { entries, next }
    }

    /// The entry with this number, if it is still kept.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Numbered> {
        self.lock().ring.between(number.saturating_sub(1), number.saturating_add(1)).pop()
    }

    /// A cursor behind the last entry.
    #[must_use]
    pub fn end(&self) -> Cursor {
        let (number, left_out) = (self.lock().ring.last(), self.left_out());
        Cursor { number, left_out }
    }

    /// A cursor behind the entry with this number. If there is no such entry yet, the cursor is before the
    /// first entry: the number is that of an earlier process.
    #[must_use]
    pub fn behind(&self, number: u64) -> Cursor {
        let end = self.end();
        if number > end.number { Cursor { number: 0, ..end } } else { Cursor { number, ..end } }
    }

    /// The entries since a cursor that a filter shows. Of more than `limit` entries, the latest.
    #[must_use]
    pub fn since(&self, cursor: Cursor, filter: &Filter, limit: usize) -> News {
        let (mut found, last) = {
            let kept = self.lock();
            (kept.ring.between(cursor.number, u64::MAX), kept.ring.last())
        };
        let left_out = self.left_out();
        let gone = last.saturating_sub(cursor.number).saturating_sub(count(found.len()));
        found.retain(|numbered| filter.shows(&numbered.entry));
        // A request that the reader does not know yet already contains its likely cause.
        let requests: HashSet<u64> = found.iter().map(|numbered| numbered.number).collect();
        found.retain(|numbered| match &numbered.entry.subject {
            Subject::Cause(request) => !requests.contains(&request.number),
            Subject::Request(_) | Subject::Delivery(_) => true,
        });
        found.sort_unstable_by_key(|numbered| numbered.number);
        let surplus = found.len().saturating_sub(limit);
        found.drain(..surplus);
        let missed =
            left_out.saturating_sub(cursor.left_out).saturating_add(gone).saturating_add(count(surplus));
        News { entries: found, missed, cursor: Cursor { number: last.max(cursor.number), left_out } }
    }
}

impl Kept {
    fn push(&mut self, entry: Arc<Entry>) {
        self.take_waiting();
        self.ring.push(entry);
    }

    fn take_waiting(&mut self) {
        while let Ok(entry) = self.waiting.try_recv() {
            self.ring.push(entry);
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
