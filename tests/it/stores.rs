//! The stores of the queue. All stores pass the same suite of tests. Another test compares what two stores do
//! with the same commands.

mod bitflips;
mod disk;
mod lists;
mod logs;
mod model;
mod postgres;
mod sqlite;
mod suite;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hookgate::queue::event::{Attempt, AttemptOutcome, Event, Upstream};
use hookgate::queue::memory_store::Memory;
use hookgate::queue::sqlite::{OwnerLock, Sqlite};
use hookgate::queue::store::{
    Batch, Bounds, Change, Check, Class, Committed, Completion, DeliveryId, Destination, Due, DueQuery,
    Filter, Next, Reader, Retention, Store, Summary,
};
use hookgate::queue::time::Time;
use tempfile::TempDir;

use self::postgres::Database;
use crate::support::event::{Make, attempt, route};

/// A folder in memory, if the machine has such a file system. It is for tests of the content of the files. On
/// a disk, these tests would spend most of their time waiting for commits.
fn folder_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_none| tempfile::tempdir()).unwrap()
}

/// The place of a store while it is not open.
enum Place {
    File(TempDir),
    Memory(Memory),
    Postgres(Box<Database>),
}

impl Place {
    fn file() -> Self {
        Self::File(folder_in_memory())
    }

    fn memory() -> Self {
        Self::Memory(Memory::new())
    }

    /// A database of its own, on the server that `tests/postgres/run` names.
    fn postgres() -> Self {
        Self::Postgres(Box::new(Database::new()))
    }

    fn open(&self) -> Opened {
        let store: Box<dyn Store> = match self {
            Self::File(folder) => {
                let lock = Arc::new(OwnerLock::take(&folder.path().join("events.db")).unwrap());
                Box::new(Sqlite::open(&lock, Check::No).unwrap())
            }
            Self::Memory(memory) => Box::new(memory.clone()),
            Self::Postgres(database) => database.gateway(1),
        };
        let reader = store.reader().unwrap();
        Opened { store, reader, since: BTreeMap::new() }
    }
}

/// An open store, and a view of it.
struct Opened {
    store: Box<dyn Store>,
    reader: Box<dyn Reader>,
    /// When the budget of each delivery began that was stored or read.
    since: BTreeMap<DeliveryId, Time>,
}

impl Opened {
    fn commit(&mut self, batch: Batch<'_>) -> Committed {
        self.store.commit(&batch).unwrap()
    }

    /// Stores events at the time `now`. Returns their deliveries.
    fn store(&mut self, now: u64, events: &[&Event]) -> Vec<Vec<DeliveryId>> {
        let committed =
            self.commit(Batch { events: events.to_vec(), now: Time::from_millis(now), ..Batch::default() });
        assert_eq!(committed.deliveries.len(), events.len());
        for (event, deliveries) in events.iter().zip(&committed.deliveries) {
            self.since.extend(deliveries.iter().map(|id| (*id, event.info().received)));
        }
        committed.deliveries
    }

    /// Stores an event with one upstream.
    fn store_one(&mut self, now: u64, make: &Make) -> DeliveryId {
        self.store(now, &[&make.make()])[0][0]
    }

    /// Records an attempt that was made as the delivery was read last.
    fn complete(&mut self, now: u64, id: DeliveryId, next: Next) -> Committed {
        let outcome = match next {
            Next::Delivered => AttemptOutcome::Delivered,
            Next::Again { .. } | Next::Dead(_) => AttemptOutcome::Refused,
        };
        self.end(now, id, next, attempt(now, outcome))
    }

    fn end(&mut self, now: u64, id: DeliveryId, next: Next, attempt: Attempt) -> Committed {
        let since = self.since.get(&id).copied().unwrap_or_default();
        let completion = Completion { id, since, attempt, next };
        let now = Time::from_millis(now);
        self.commit(Batch { completions: vec![completion], now, ..Batch::default() })
    }

    fn change(&mut self, now: u64, change: Change) -> u64 {
        let committed =
            self.commit(Batch { changes: vec![change], now: Time::from_millis(now), ..Batch::default() });
        committed.changed[0]
    }

    fn due(&mut self, path: &str, class: Class, now: u64) -> Due {
        self.ask(&main(path), class, now, &[], 100, u64::MAX)
    }

    fn ask(
        &mut self,
        destination: &Destination,
        class: Class,
        now: u64,
        except: &[DeliveryId],
        most: usize,
        most_bytes: u64,
    ) -> Due {
        let now = Time::from_millis(now);
        let query = DueQuery { destination, class, now, except, most, most_bytes };
        let due = self.reader.due(&query).unwrap();
        self.since.extend(due.deliveries.iter().map(|delivery| (delivery.id, delivery.since)));
        due
    }

    fn due_ids(&mut self, path: &str, class: Class, now: u64) -> Vec<DeliveryId> {
        ids(&self.due(path, class, now))
    }

    fn page(&mut self, filter: &Filter) -> Vec<Summary> {
        self.reader.page(filter, None, Bounds::of(1000)).unwrap().found
    }

    /// The counts of the destinations as text: queued, queued bytes, the oldest, delivered, dead.
    fn counts(&mut self) -> String {
        let mut text = String::new();
        for (destination, counts) in self.store.statistics().unwrap().counts {
            let upstream = destination.upstream.as_str();
            let oldest = counts.oldest.map(Time::millis);
            let (queued, bytes) = (counts.queued, counts.queued_bytes);
            let (delivered, dead) = (counts.delivered, counts.dead);
            writeln!(
                text,
                "{}{upstream}: {queued} queued ({bytes} bytes, {oldest:?}), {delivered} delivered, {dead} dead",
                destination.route
            )
            .unwrap();
        }
        text
    }
}

fn ids(due: &Due) -> Vec<DeliveryId> {
    due.deliveries.iter().map(|delivery| delivery.id).collect()
}

/// The main upstream of a route without a model.
fn main(path: &str) -> Destination {
    Destination { route: route(path, None), upstream: Upstream::Main }
}

fn copy(path: &str, address: &str) -> Destination {
    Destination { route: route(path, None), upstream: Upstream::Copy(address.into()) }
}

const fn again(due: u64) -> Next {
    Next::Again { due: Time::from_millis(due), spends: true }
}

/// The retention in milliseconds: of delivered content, of the facts of delivered events, and of dead
/// letters.
fn retention(delivered: u64, info: u64, dead: u64) -> Retention {
    let [delivered, info, dead] = [delivered, info, dead].map(Duration::from_millis);
    Retention { delivered, info, dead }
}
