//! A queue on the store in memory, for the admin listener. The queue's own writer is replaced by a writer of
//! the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hookgate::queue::event::AttemptOutcome;
use hookgate::queue::handle::{Command, Health, Queue, channel};
use hookgate::queue::memory_store::Memory;
use hookgate::queue::store::{Batch, Completion, DeliveryId, Next, Refused, Store as _};
use hookgate::queue::time::Time;

use crate::support::event::{Make, attempt};

/// The stored events, and the handle of the queue.
pub(crate) struct Shelf {
    pub(crate) memory: Memory,
    pub(crate) queue: Queue,
    health: Arc<AtomicBool>,
}

impl Shelf {
    /// A queue over these events.
    pub(crate) fn of(memory: &Memory) -> Self {
        let (queue, mut writer, _deliveries) = channel();
        let health = Arc::<AtomicBool>::default();
        let mut store = memory.clone();
        writer.set_readers(Some([store.reader().unwrap(), store.reader().unwrap()]));
        let mut commands = writer.take_commands();
        writer.set_health(Health::Well);
        writer.set_statistics(store.statistics().unwrap());
        let fails = Arc::clone(&health);
        std::thread::spawn(move || {
            // The thread ends with the last handle of the queue.
            while let Some(command) = commands.blocking_recv() {
                let Command::Change { change, reply } = command else { panic!("{command:?}") };
                if fails.load(Ordering::Relaxed) {
                    writer.set_health(Health::Failing);
                    reply.send(Err(Refused::Unavailable)).unwrap();
                    continue;
                }
                let now = Time::of(std::time::SystemTime::now());
                let committed = store.commit(&Batch { changes: vec![change], now, ..Batch::default() });
                writer.set_statistics(store.statistics().unwrap());
                // A client that has disconnected does not wait for the answer.
                let _gone = reply.send(Ok(committed.unwrap().changed[0]));
            }
        });
        Self { memory: memory.clone(), queue, health }
    }

    /// Makes every further change fail. The store then counts as failing.
    pub(crate) fn fail(&self) {
        self.health.store(true, Ordering::Relaxed);
    }
}

/// Stores an event. Returns its deliveries.
pub(crate) fn put(memory: &Memory, make: &Make) -> Vec<DeliveryId> {
    let now = Time::from_millis(make.received);
    let event = make.make();
    let batch = Batch { events: vec![&event], now, ..Batch::default() };
    memory.clone().commit(&batch).unwrap().deliveries.remove(0)
}

/// Records an attempt of a delivery of this event.
pub(crate) fn complete(memory: &Memory, make: &Make, id: DeliveryId, outcome: AttemptOutcome, next: Next) {
    let since = Time::from_millis(make.received);
    let completion = Completion { id, since, attempt: attempt(2_000, outcome), next };
    let batch = Batch { completions: vec![completion], now: Time::from_millis(2_000), ..Batch::default() };
    memory.clone().commit(&batch).unwrap();
}
