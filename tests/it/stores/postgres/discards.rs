//! A discard at one gateway, of an event that another gateway has in memory.

use std::thread::JoinHandle;
use std::time::Duration;

use hookgate::queue::handle::{self, DeliveryEnd, Queue};
use hookgate::queue::postgres::PostgresEngine;
use hookgate::queue::store::{Change, Filter, Retention};
use hookgate::queue::store_limits::Limits;
use hookgate::queue::writer::{Plan, Writer};
use tokio_util::sync::CancellationToken;

use super::{Database, LEASE};
use crate::support::PATIENCE;
use crate::support::event::{event, held};

/// The writer of a gateway, and the end of its deliveries.
struct Gateway {
    queue: Queue,
    _deliveries: DeliveryEnd,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    fn start(database: &Database, number: i64) -> Self {
        let (queue, end, deliveries) = handle::channel();
        let day = Duration::from_secs(24 * 3600);
        let stop = CancellationToken::new();
        let plan = Plan {
            engine: Box::new(PostgresEngine::new(&database.address(), LEASE, number)),
            end,
            limits: Limits { max_bytes: u64::MAX, min_free: 0, max_queued: Box::new(|_route| u64::MAX) },
            retention: Retention { delivered: day, info: day, dead: day },
            in_force: Box::new(|| None),
            disk: None,
            stop: stop.clone(),
        };
        let writer = Writer::open(plan).map_err(|(error, _end)| error).unwrap();
        let thread = Some(std::thread::spawn(move || writer.run()));
        Self { queue, _deliveries: deliveries, stop, thread }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
        self.thread.take().map(JoinHandle::join).transpose().unwrap();
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap() })
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn no_gateway_begins_a_delivery_of_an_event_once_its_discard_at_another_has_returned() {
    let database = Database::new();
    let (owner, other) = (Gateway::start(&database, 1), Gateway::start(&database, 2));
    let make = event("/a", 1_000).make();
    let id = make.info().id;
    wait(owner.queue.store(make, held(), PATIENCE)).unwrap();
    assert!(!owner.queue.is_discarded(id));
    assert_eq!(wait(other.queue.change(Change::Discard(id))), Ok(1));
    assert!(owner.queue.is_discarded(id));
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_discard_waits_for_each_living_gateway_that_has_the_event_in_memory() {
    let database = Database::new();
    let (mut one, mut two, mut three) = (database.open(1), database.open(2), database.open(3));
    for (number, opened) in [(1, &mut one), (2, &mut two)] {
        opened.store_one(1_000, &event("/a", 1_000).number(number));
    }
    let ids: Vec<_> = three.page(&Filter::default()).iter().map(|event| event.info.id).collect();
    for id in &ids {
        assert_eq!(three.change(2_000, Change::Discard(*id)), 1);
    }
    let mut open = three.store.unconfirmed(&ids).unwrap();
    open.sort_unstable();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(open, sorted);
    // The first gateway confirms. The second gateway is lost.
    let told = one.store.discarded_elsewhere().unwrap();
    assert_eq!(told.len(), 1);
    one.store.confirm_discarded(&told).unwrap();
    assert_eq!(one.store.discarded_elsewhere().unwrap(), []);
    let open = three.store.unconfirmed(&ids).unwrap();
    assert!(open.len() == 1 && open != told, "{open:?}");
    database.lose(2);
    assert_eq!(three.store.unconfirmed(&ids).unwrap(), []);
    three.store.keep_alive().unwrap();
    assert_eq!(two.store.discarded_elsewhere().unwrap(), []);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_discard_of_an_event_that_no_other_gateway_has_in_memory_waits_for_none() {
    let database = Database::new();
    let (mut one, _other) = (database.open(1), database.open(2));
    one.store_one(1_000, &event("/a", 1_000));
    let id = one.page(&Filter::default())[0].info.id;
    assert_eq!(one.change(2_000, Change::Discard(id)), 1);
    assert_eq!(one.store.unconfirmed(&[id]).unwrap(), []);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_store_of_the_first_version_is_changed_to_the_present_version() {
    let database = Database::new();
    let mut before = database.open(1);
    let stored = before.store_one(1_000, &event("/a", 1_000).order("k"));
    drop(before);
    database.execute("drop table hookgate.discarded; update hookgate.store set version = 1");
    let mut after = database.open(2);
    assert_eq!(after.due_ids("/a", hookgate::queue::store::Class::New, 2_000), [stored]);
    assert_eq!(after.store.discarded_elsewhere().unwrap(), []);
}
