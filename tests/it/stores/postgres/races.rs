//! Gateways that change the same rows at the same moment, and the number of rows that the server reads for
//! them.

use std::time::{Duration, Instant};

use hookgate::queue::event::OrderKey;
use hookgate::queue::postgres::PostgresEngine;
use hookgate::queue::store::{Batch, Change, Check, Class, DeadCause, Engine as _, Filter, Next};
use hookgate::queue::time::Time;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use super::super::{Opened, again, copy, main, retention};
use super::Database;
use crate::support::event::{event, route};

/// How long a test waits for another session.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session that does what another gateway would do, one statement at a time.
struct Session {
    client: Client,
    runtime: Runtime,
}

impl Session {
    fn new(database: &Database) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(database.address().connection.connect(NoTls)).unwrap();
        runtime.spawn(connection);
        Self { client, runtime }
    }

    fn execute(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }

    fn number(&self, sql: &str) -> i64 {
        self.runtime.block_on(self.client.query_one(sql, &[])).unwrap().get(0)
    }

    /// Waits until a query returns the wanted number.
    fn wait_for(&self, sql: &str, wanted: i64) {
        let began = Instant::now();
        while self.number(sql) != wanted {
            assert!(began.elapsed() < PATIENCE, "{sql}: {}", self.number(sql));
            std::thread::yield_now();
        }
    }

    fn wait_for_a_session_that_waits(&self) {
        self.wait_for(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
            1,
        );
    }
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn an_event_whose_content_another_gateway_removes_at_that_moment_is_not_replayed() {
    let database = Database::new();
    let mut one = database.open(1);
    let stored = one.store_one(1_000, &event("/a", 1_000));
    one.complete(1_100, stored, Next::Delivered);
    let id = one.page(&Filter::default())[0].info.id;
    let (purge, watch) = (Session::new(&database), Session::new(&database));
    purge.execute("begin; set search_path = hookgate; select * from finished for update");
    std::thread::scope(|scope| {
        let replayed = scope.spawn(|| one.change(2_000, Change::Replay(id)));
        watch.wait_for_a_session_that_waits();
        purge.execute("delete from content; update finished set kind = 1; commit");
        assert_eq!(replayed.join().unwrap(), 0);
    });
    assert_eq!(watch.number("select count(*) from hookgate.delivery where state = 0"), 0);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn an_attempt_that_is_recorded_during_a_discard_goes_with_its_event() {
    let database = Database::new();
    let mut one = database.open(1);
    one.store_one(1_000, &event("/a", 1_000));
    let id = one.page(&Filter::default())[0].info.id;
    let (other, watch) = (Session::new(&database), Session::new(&database));
    other.execute(
        "begin; set search_path = hookgate; update delivery set attempts = 1; \
         insert into attempt select id, 1, 1, 1, 'refused', 500, '', null from delivery",
    );
    std::thread::scope(|scope| {
        let discarded = scope.spawn(|| one.change(2_000, Change::Discard(id)));
        watch.wait_for_a_session_that_waits();
        other.execute("commit");
        assert_eq!(discarded.join().unwrap(), 1);
    });
    assert_eq!(watch.number("select count(*) from hookgate.attempt"), 0);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn no_statement_reads_a_whole_table() {
    let database = Database::new();
    let mut one = database.open(1);
    let makes: Vec<_> = (0..40).map(|n| event("/a", 1_000).number(n).order("k")).collect();
    for make in &makes {
        one.store_one(1_000, make);
    }
    for _ in 0..10 {
        let first = one.due_ids("/a", Class::New, 2_000)[0];
        one.complete(2_000, first, Next::Delivered);
    }
    let first = one.due_ids("/a", Class::New, 2_000)[0];
    one.complete(2_000, first, Next::Dead(DeadCause::Refused));
    assert!(one.reader.is_waiting(&route("/a", None), &OrderKey::new("k")).unwrap());
    let ids: Vec<_> = one.page(&Filter::default()).iter().map(|event| event.info.id).collect();
    assert_eq!(one.change(2_000, Change::Replay(ids[39])), 1);
    assert_eq!(one.change(2_000, Change::Discard(ids[0])), 1);
    one.store.statistics().unwrap();
    one.store.keep_alive().unwrap();
    one.store.purge(Time::from_millis(2_500), retention(100, 9_000, 9_000), 100).unwrap();
    one.store.purge(Time::from_millis(9_500), retention(100, 100, 100), 100).unwrap();
    drop(one);
    // The figures of a session are there when it has ended.
    let watch = Session::new(&database);
    watch.wait_for(
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
         and application_name = 'hookgate'",
        0,
    );
    let tables = "'delivery', 'finished', 'event', 'content', 'attempt', 'seen'";
    watch.wait_for(
        &format!(
            "select count(*) from pg_stat_user_tables where relname in ({tables}) and n_tup_ins > 0 and relname <> 'seen'"
        ),
        5,
    );
    let read = format!(
        "select coalesce(sum(seq_tup_read), 0)::bigint from pg_stat_user_tables where relname in ({tables})"
    );
    assert_eq!(watch.number(&read), 0);
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_search_for_a_state_or_a_route_that_no_delivery_has_reads_no_event() {
    let database = Database::new();
    let mut one = database.open(1);
    for number in 0..20 {
        one.store_one(1_000, &event("/a", 1_000).number(number));
    }
    let filter = |state: Option<&str>, route: Option<&str>| Filter {
        state: state.map(str::to_owned),
        route: route.map(str::to_owned),
        ..Filter::default()
    };
    let none = [
        (Some("delivered"), None),
        (Some("dead"), Some("/a")),
        (None, Some("/b")),
        (Some("queued"), Some("/b")),
    ];
    for (state, route) in none {
        assert!(one.page(&filter(state, route)).is_empty());
    }
    drop(one);
    let watch = Session::new(&database);
    watch.wait_for(
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
         and application_name = 'hookgate'",
        0,
    );
    watch.wait_for("select n_tup_ins from pg_stat_user_tables where relname = 'event'", 20);
    let read = "select idx_tup_fetch::bigint from pg_stat_user_tables where relname = 'event'";
    assert_eq!(watch.number(read), 0);
    // What some delivery has is found.
    let mut one = database.open(2);
    for (state, route) in
        [(Some("queued"), None), (Some("delivering"), Some("/a")), (None, Some("/a")), (None, None)]
    {
        assert_eq!(one.page(&filter(state, route)).len(), 20, "{state:?} {route:?}");
    }
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_host_that_does_not_answer_leaves_time_for_the_next_one() {
    let database = Database::new();
    let frozen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut address = database.address();
    let server = address.connection.clone();
    let mut connection = tokio_postgres::Config::new();
    connection.host("127.0.0.1").port(frozen.local_addr().unwrap().port());
    connection.host("127.0.0.1").port(server.get_ports()[0]);
    connection.user(server.get_user().unwrap()).dbname(server.get_dbname().unwrap());
    connection.connect_timeout(Duration::from_millis(500));
    address.connection = connection;
    let opened = PostgresEngine::new(&address, Duration::from_secs(30), 1).open(Check::No);
    assert!(opened.is_ok(), "{:?}", opened.err());
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn a_database_that_cannot_hold_every_text_is_refused() {
    let database = Database::in_encoding("LATIN1");
    let error =
        PostgresEngine::new(&database.address(), Duration::from_secs(30), 1).open(Check::No).err().unwrap();
    let text = hookgate::upstream::error::chain(&error);
    assert!(text.contains("the database has the encoding LATIN1"), "{text}");
}

/// A number that follows from another one, without a pattern that matters.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Works as a gateway: stores, delivers, fails, replays, discards and purges.
fn work(opened: &mut Opened, number: u64, steps: u64) {
    let mut seed = number;
    let mut at = 2_000;
    for step in 0..steps {
        at += 10;
        match next(&mut seed) % 8 {
            0..=2 => {
                let make = event("/a", 1_000).number(number * 100_000 + step);
                let make = if step % 3 == 0 { make.copy("http://c") } else { make };
                let make =
                    if step % 2 == 0 { make.order(["k", "l"][usize::from(step % 4 == 0)]) } else { make };
                opened.store_one(at, &make);
            }
            3 | 4 => {
                for to in [main("/a"), copy("/a", "http://c")] {
                    for class in [Class::New, Class::Retry, Class::Replay] {
                        for due in opened.ask(&to, class, at, &[], 3, u64::MAX).deliveries {
                            let next = match next(&mut seed) % 4 {
                                0 => again(at + 20),
                                1 => Next::Dead(DeadCause::Refused),
                                _ => Next::Delivered,
                            };
                            opened.complete(at, due.id, next);
                        }
                    }
                }
            }
            5 | 6 => {
                let page = opened.page(&Filter::default());
                let Some(event) = page.get(usize::try_from(next(&mut seed)).unwrap() % page.len().max(1))
                else {
                    continue;
                };
                let id = event.info.id;
                let changes = match next(&mut seed) % 3 {
                    0 => Change::Replay(id),
                    1 => Change::ReplayDead(id),
                    _ => Change::Discard(id),
                };
                opened.commit(Batch {
                    changes: vec![changes],
                    now: Time::from_millis(at),
                    ..Batch::default()
                });
            }
            _ => {
                opened.store.purge(Time::from_millis(at), retention(100, 200, 300), 20).unwrap();
                opened.store.keep_alive().unwrap();
            }
        }
    }
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn the_counters_are_those_of_the_rows_after_several_gateways_have_done_everything_at_once() {
    let database = Database::new();
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let database = &database;
            scope.spawn(move || {
                work(&mut database.open(i64::try_from(number).unwrap()), number, 150);
            });
        }
    });
    let mut last = database.open(9);
    last.store.keep_alive().unwrap();
    let watch = Session::new(&database);
    for (counter, rows) in [
        ("queued", "count(*) from hookgate.delivery where state = 0"),
        ("queued_bytes", "coalesce(sum(size), 0)::bigint from hookgate.delivery where state = 0"),
        ("delivered", "count(*) from hookgate.delivery where state = 1"),
        ("dead", "count(*) from hookgate.delivery where state > 1"),
        ("kept", "count(*) from hookgate.event"),
        (
            "kept_bytes",
            "coalesce(sum(octet_length(head) + octet_length(content)), 0)::bigint from hookgate.content",
        ),
    ] {
        let counted =
            watch.number(&format!("select coalesce(sum({counter}), 0)::bigint from hookgate.tally"));
        assert_eq!(counted, watch.number(&format!("select {rows}")), "{counter}");
    }
    // Nothing is left of an event that is gone, no lane stands still, and no event that waits counts as
    // finished.
    for wrong in [
        "hookgate.attempt a where not exists (select 1 from hookgate.delivery d where d.id = a.delivery)",
        "hookgate.delivery d where not exists (select 1 from hookgate.event e where e.seq = d.event)",
        "hookgate.content c where not exists (select 1 from hookgate.event e where e.seq = c.seq)",
        "hookgate.delivery d where d.state = 0 and not exists \
            (select 1 from hookgate.content c where c.seq = d.event)",
        "(select destination, lane from hookgate.delivery where state = 0 and lane is not null \
            group by destination, lane having count(*) filter (where ready) <> 1) lanes",
        "hookgate.delivery d where d.state = 0 and d.lane is null and not d.ready",
        "hookgate.delivery d join hookgate.finished f on f.event = d.event where d.state = 0",
        "(select event from hookgate.delivery group by event having bool_and(state <> 0)) ended \
            where not exists (select 1 from hookgate.finished f where f.event = ended.event)",
    ] {
        assert_eq!(watch.number(&format!("select count(*) from {wrong}")), 0, "{wrong}");
    }
}
