//! What the engine on PostgreSQL does beyond the suite: several gateways on one server. `tests/postgres/run`
//! runs these tests.

mod discards;
mod process;
mod races;

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hookgate::config::{PostgresAddress, ServerTls};
use hookgate::queue::event::AttemptOutcome;
use hookgate::queue::id::EventId;
use hookgate::queue::postgres::{PostgresEngine, doubts};
use hookgate::queue::store::{
    Batch, Change, Check, Claiming, Class, Completion, DeadCause, DeliveryId, Engine as _, Job, Next, Store,
};
use hookgate::queue::time::Time;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};

use super::{Opened, again, main, retention};
use crate::support::event::{Make, attempt, event, route};

/// The variable with the URL of a server. Its user may make databases.
const SERVER: &str = "HOOKGATE_TEST_POSTGRES";

/// How long a gateway of these tests counts as alive.
const LEASE: Duration = Duration::from_secs(3600);

/// A database of one test. It goes with the test.
pub(super) struct Database {
    server: Config,
    name: String,
}

impl Database {
    pub(super) fn new() -> Self {
        Self::in_encoding("UTF8")
    }

    fn in_encoding(encoding: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let url = env::var(SERVER).expect("the URL of a PostgreSQL server: run tests/postgres/run");
        let server: Config = url.parse().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hookgate_{}_{number}", std::process::id());
        let made = format!(
            "create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"
        );
        execute(&server, &made);
        Self { server, name }
    }

    pub(super) fn address(&self) -> PostgresAddress {
        let mut connection = self.server.clone();
        connection.dbname(&self.name);
        let shown = format!("postgres://test/{}", self.name);
        PostgresAddress { connection, tls: ServerTls::Disable, roots: None, password_file: None, shown }
    }

    /// Opens the store as the gateway with this number.
    pub(super) fn gateway(&self, number: i64) -> Box<dyn Store> {
        PostgresEngine::new(&self.address(), LEASE, number).open(Check::No).unwrap()
    }

    pub(super) fn execute(&self, sql: &str) {
        execute(&self.address().connection, sql);
    }

    /// The text that a query of a new session returns.
    fn text(&self, sql: &str) -> String {
        let runtime: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection): (Client, _) = self.address().connection.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client.query_one(sql, &[]).await.unwrap().get(0)
        })
    }

    fn port(&self) -> u16 {
        self.server.get_ports()[0]
    }

    fn user(&self) -> &str {
        self.server.get_user().unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        execute(&self.server, &format!("drop database {} with (force)", self.name));
    }
}

fn execute(server: &Config, sql: &str) {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection): (Client, _) = server.connect(NoTls).await.unwrap();
        let driven = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        driven.await.unwrap().unwrap();
    });
}

impl Database {
    fn open(&self, number: i64) -> Opened {
        let store = self.gateway(number);
        let reader = store.reader().unwrap();
        Opened { store, reader, since: std::collections::BTreeMap::new() }
    }

    /// Makes a gateway count as gone, as if it had said nothing for longer than the lease.
    fn lose(&self, number: i64) {
        self.execute(&format!("update hookgate.gateway set alive_until = '-infinity' where id = {number}"));
    }
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_user_that_may_not_make_the_schema_is_named_before_the_start() {
    let database = Database::new();
    assert_eq!(doubts(&database.address()), Vec::<String>::new());
    let user = format!("guest_of_{}", database.name);
    database.execute(&format!("create user {user}"));
    let mut address = database.address();
    address.connection.user(&user);
    let found = doubts(&address);
    assert!(found.len() == 1 && found[0].contains("may not make the schema `hookgate`"), "{found:?}");
    database.execute(&format!("grant create on database {} to {user}", database.name));
    assert_eq!(doubts(&address), Vec::<String>::new());
    database.execute(&format!("drop owned by {user}; drop user {user}"));
}

/// Stores events by one gateway that do not stay in its memory.
fn store_and_give_up(database: &Database, makes: &[Make]) -> Vec<DeliveryId> {
    let mut gone = database.open(99);
    let ids = makes.iter().map(|make| gone.store_one(1_000, make)).collect();
    drop(gone);
    ids
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn what_one_gateway_has_in_memory_is_not_anothers_until_it_is_lost() {
    let database = Database::new();
    let (mut one, mut other) = (database.open(1), database.open(2));
    let stored = one.store_one(1_000, &event("/a", 1_000));
    assert_eq!(other.due_ids("/a", Class::New, 2_000), []);
    assert_eq!(one.due_ids("/a", Class::New, 2_000), [stored]);
    database.lose(1);
    assert_eq!(other.due_ids("/a", Class::New, 2_000), [stored]);
    // From then on, the delivery belongs to the other gateway, even if the first gateway was not lost.
    one.store.keep_alive().unwrap();
    assert_eq!(one.due_ids("/a", Class::New, 2_000), []);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn what_a_gateway_does_not_have_in_memory_is_any_ones() {
    let database = Database::new();
    let (mut one, mut other) = (database.open(1), database.open(2));
    let ordered = one.store_one(1_000, &event("/a", 1_000).order("k"));
    let make = event("/b", 1_000).number(2).make();
    let unhanded = [main("/b")].into_iter().collect();
    let left = one.commit(Batch { events: vec![&make], unhanded, ..Batch::default() }).deliveries[0][0];
    assert_eq!(other.due_ids("/a", Class::New, 2_000), [ordered]);
    assert_eq!(other.due_ids("/b", Class::New, 2_000), [left]);
    assert_eq!(one.due_ids("/b", Class::New, 2_000), []);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn what_a_gateway_has_in_memory_at_its_end_is_the_others_at_once() {
    let database = Database::new();
    let (mut one, mut other) = (database.open(1), database.open(2));
    let stored = one.store_one(1_000, &event("/a", 1_000));
    assert_eq!(other.due_ids("/a", Class::New, 2_000), []);
    drop(one);
    assert_eq!(other.due_ids("/a", Class::New, 2_000), [stored]);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_delivery_is_taken_by_one_of_many_gateways() {
    let database = Database::new();
    let makes: Vec<_> = (0..200).map(|n| event("/a", 1_000).number(n)).collect();
    let mut stored = store_and_give_up(&database, &makes);
    let mut taken: Vec<_> = std::thread::scope(|scope| {
        let take = |number| {
            let mut opened = database.open(number);
            let mut taken = Vec::new();
            loop {
                let due = opened.ask(&main("/a"), Class::New, 2_000, &taken, 7, u64::MAX);
                // Another gateway may have locked the deliveries that this gateway would take.
                if due.deliveries.is_empty() && !due.has_more {
                    return (opened, taken);
                }
                taken.extend(due.deliveries.iter().map(|delivery| delivery.id));
            }
        };
        let threads: Vec<_> = (1..=4).map(|number| scope.spawn(move || take(number))).collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        // The gateways live until all have ended.
        ended.into_iter().flat_map(|(_, taken)| taken).collect()
    });
    taken.sort_unstable();
    stored.sort_unstable();
    assert_eq!(taken, stored);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_late_failure_does_not_change_what_another_gateway_has_taken() {
    let database = Database::new();
    let (mut one, mut other) = (database.open(1), database.open(2));
    let make = event("/a", 1_000);
    let stored = one.store_one(1_000, &make);
    database.lose(1);
    assert_eq!(other.due_ids("/a", Class::New, 2_000), [stored]);
    one.complete(2_100, stored, again(9_000));
    one.complete(2_100, stored, Next::Dead(DeadCause::Refused));
    assert_eq!(
        other.counts(),
        "/a: 1 queued (233 bytes, Some(1000)), 0 delivered, 0 dead\n"
            .replace("233", &make.make().size().to_string())
    );
    // The app has the event, no matter which gateway has sent it.
    one.complete(2_200, stored, Next::Delivered);
    other.complete(2_300, stored, again(9_000));
    assert!(other.counts().contains("0 queued (0 bytes, None), 1 delivered"), "{}", other.counts());
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_lane_is_delivered_one_at_a_time_in_the_order_of_commits_across_gateways() {
    let database = Database::new();
    let mut stored = Vec::new();
    std::thread::scope(|scope| {
        let store = |number: i64| {
            let mut opened = database.open(number);
            for n in 0..50 {
                let make = event("/a", 1_000).number(u64::try_from(number * 1_000 + n).unwrap()).order("k");
                opened.store(
                    1_000,
                    &[
                        &make.make(),
                        &make.clone().number(u64::try_from(number * 1_000 + n + 500).unwrap()).make(),
                    ],
                );
            }
        };
        let threads: Vec<_> = (1..=3).map(|number| scope.spawn(move || store(number))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let mut opened = [database.open(11), database.open(12)];
    for turn in 0..300 {
        let due: Vec<_> =
            opened.iter_mut().map(|opened| opened.due("/a", Class::New, 2_000).deliveries).collect();
        let all: Vec<_> = due.iter().flatten().collect();
        let [first] = &all[..] else { panic!("{turn}: {all:?}") };
        stored.push(first.id);
        let at = usize::from(due[0].is_empty());
        opened[at].complete(2_000, first.id, Next::Delivered);
    }
    assert!(stored.is_sorted() && stored.len() == 300);
    assert!(opened.iter_mut().all(|opened| opened.due_ids("/a", Class::New, 2_000).is_empty()));
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_claim_is_one_gateways_until_its_outcome() {
    let database = Database::new();
    let (mut one, mut other) = (database.open(1), database.open(2));
    let (path, key, now) = (route("/a", None), [7; 32], Time::from_millis(1_000));
    let claim = |opened: &mut Opened| opened.reader.claim(&path, &key, now).unwrap();
    assert_eq!(claim(&mut one), Claiming::First);
    assert_eq!(claim(&mut other), Claiming::UnderWay);
    // Nothing was delivered: the claim is given up.
    one.commit(Batch { released: vec![(path.clone(), key)], ..Batch::default() });
    assert_eq!(claim(&mut other), Claiming::First);
    assert_eq!(claim(&mut one), Claiming::UnderWay);
    // Its gateway is lost.
    database.lose(2);
    assert_eq!(claim(&mut one), Claiming::First);
    other.store.keep_alive().unwrap();
    assert_eq!(claim(&mut other), Claiming::UnderWay);
    one.store_one(1_000, &event("/a", 1_000).duplicate(key, 9_000));
    assert_eq!(claim(&mut other), Claiming::Duplicate);
    assert_eq!(claim(&mut one), Claiming::Duplicate);
    // What a duplicate claimed is given up again.
    let later = Time::from_millis(9_000);
    assert_eq!(other.reader.claim(&path, &key, later).unwrap(), Claiming::First);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_job_is_worked_on_by_one_gateway_that_lives() {
    let database = Database::new();
    let (mut one, mut other) = (database.open(1), database.open(2));
    let id: EventId = event("/a", 1).id();
    let job = Job { id, document: b"{}".to_vec() };
    assert_eq!(one.change(1_000, Change::SaveJob(job.clone())), 1);
    assert_eq!(other.reader.jobs().unwrap(), []);
    assert_eq!(one.reader.jobs().unwrap(), std::slice::from_ref(&job));
    database.lose(1);
    assert_eq!(other.reader.jobs().unwrap(), [job]);
    one.store.keep_alive().unwrap();
    assert_eq!(one.reader.jobs().unwrap(), []);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn the_numbers_of_gateways_that_are_gone_are_added_up() {
    let database = Database::new();
    for number in 1..=5 {
        let mut opened = database.open(number);
        opened.store_one(1_000, &event("/a", 1_000).number(u64::try_from(number).unwrap()));
    }
    let mut last = database.open(6);
    let before = last.counts();
    assert!(before.starts_with("/a: 5 queued"), "{before}");
    last.store.keep_alive().unwrap();
    assert_eq!(last.counts(), before);
    let bytes = last.store.statistics().unwrap().bytes;
    assert!(bytes > 5 * 1024, "{bytes}");
    // Each removed event is subtracted, no matter which gateway has stored it.
    let ids: Vec<_> =
        last.page(&hookgate::queue::store::Filter::default()).iter().map(|e| e.info.id).collect();
    for id in ids {
        assert_eq!(last.change(2_000, Change::Discard(id)), 1);
    }
    assert_eq!(last.counts(), "/a: 0 queued (0 bytes, None), 0 delivered, 0 dead\n");
    assert_eq!(last.store.statistics().unwrap().bytes, 0);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn two_gateways_that_end_the_deliveries_of_an_event_at_once_leave_it_to_the_purge() {
    for _ in 0..20 {
        let database = Database::new();
        let (mut one, mut other) = (database.open(1), database.open(2));
        let makes: Vec<_> = (0..20).map(|n| event("/a", 1_000).copy("http://c").number(n)).collect();
        let events: Vec<_> = makes.iter().map(Make::make).collect();
        let stored = one.store(1_000, &events.iter().collect::<Vec<_>>());
        let batch = |at: usize| Batch {
            completions: stored
                .iter()
                .map(|of_event| Completion {
                    id: of_event[at],
                    since: Time::from_millis(1_000),
                    attempt: attempt(1_100, AttemptOutcome::Delivered),
                    next: Next::Delivered,
                })
                .collect(),
            now: Time::from_millis(1_100),
            ..Batch::default()
        };
        std::thread::scope(|scope| {
            scope.spawn(|| one.store.commit(&batch(0)).unwrap());
            scope.spawn(|| other.store.commit(&batch(1)).unwrap());
        });
        let removed = one.store.purge(Time::from_millis(5_000), retention(1_000, 9_000, 9_000), 100).unwrap();
        assert_eq!(removed, 20);
    }
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn gateways_that_start_together_make_the_tables_once() {
    let database = Database::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=4)
            .map(|number| {
                scope.spawn({
                    let database = &database;
                    move || database.open(number)
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_newer_store_is_refused() {
    let database = Database::new();
    drop(database.open(1));
    database.execute("update hookgate.store set version = 3");
    let error = PostgresEngine::new(&database.address(), LEASE, 1).open(Check::No).err().unwrap();
    assert!(error.to_string().contains("was written by a newer hookgate (schema version 3)"), "{error}");
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_session_that_was_ended_is_opened_anew() {
    let database = Database::new();
    let mut opened = database.open(1);
    let stored = opened.store_one(1_000, &event("/a", 1_000));
    database.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid()",
    );
    // The reader connects again without help. At most one call fails.
    let failed = opened.reader.jobs().is_err();
    assert!(failed || opened.reader.jobs().is_ok());
    assert_eq!(opened.due_ids("/a", Class::New, 2_000), [stored]);
    // The writer has the store opened again, and does not answer before.
    let make = event("/a", 2_000).make();
    assert!(opened.store.commit(&Batch { events: vec![&make], ..Batch::default() }).is_err());
}
