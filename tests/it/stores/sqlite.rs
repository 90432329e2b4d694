//! Tests of the store on SQLite that other stores do not need.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookgate::queue::event::Event;
use hookgate::queue::sqlite::{Findings, OwnerLock, Sqlite};
use hookgate::queue::store::{
    Batch, Bounds, Change, Check, Class, DeadCause, Filter, Next, OpenError, Retention, Store as _,
};
use hookgate::queue::time::Time;
use rusqlite::Connection;

use super::Place;
use crate::support::event::{Make, event};

fn path(folder: &tempfile::TempDir) -> std::path::PathBuf {
    folder.path().join("events.db")
}

fn open(path: &Path, check: Check) -> Result<Sqlite, OpenError> {
    Sqlite::open(&Arc::new(OwnerLock::take(path)?), check)
}

#[test]
fn a_store_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    let first = open(&path, Check::No).unwrap();
    let error = open(&path, Check::No).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(error.to_string().ends_with("events.db is in use by another hookgate"), "{error}");
    drop(first);
    drop(open(&path, Check::No).unwrap());
}

#[test]
fn a_link_to_a_store_is_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let first = open(&path, Check::No).unwrap();
    assert!(matches!(open(&link, Check::No).unwrap_err(), OpenError::InUse(_)));
    drop(first);
    drop(open(&link, Check::No).unwrap());
    assert!(!folder.path().join("link.db.lock").exists());
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    drop(open(&path, Check::No).unwrap());
    let other = Connection::open(&path).unwrap();
    assert_eq!(other.query_row("pragma user_version", [], |row| row.get::<_, i64>(0)), Ok(2));
    other.pragma_update(None, "user_version", 3).unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    let error = open(&path, Check::No).unwrap_err();
    assert!(matches!(error, OpenError::Newer(_, 3)), "{error:?}");
    assert!(error.to_string().ends_with("was written by a newer hookgate (schema version 3)"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    fs::write(&path, "no store\n".repeat(1_000)).unwrap();
    assert!(matches!(open(&path, Check::No).unwrap_err(), OpenError::Failed(..)));
    assert_eq!(fs::read(&path).unwrap(), "no store\n".repeat(1_000).into_bytes());
    assert!(matches!(
        open(&folder.path().join("no folder/events.db"), Check::No).unwrap_err(),
        OpenError::Failed(..)
    ));
}

#[test]
fn a_store_of_version_1_keeps_its_events_and_takes_divided_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    let make = |n: u64| event("/a", 1_000 + n).content(vec![b'x'; if n == 0 { 600 } else { 2_000 }]);
    let now = Time::from_millis(1_000);
    let store = |store: &mut Sqlite, event: &Event| {
        store.commit(&Batch { events: vec![event], now, ..Batch::default() }).unwrap();
    };
    let mut first = open(&path, Check::No).unwrap();
    store(&mut first, &make(0).make());
    drop(first);
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("alter table content drop column pieces; drop table piece; pragma user_version = 1")
        .unwrap();
    drop(other);
    let mut second = open(&path, Check::No).unwrap();
    store(&mut second, &make(1).make());
    let mut reader = second.reader().unwrap();
    for make in [make(0), make(1)] {
        let event = reader.detail(make.id()).unwrap().unwrap().event.unwrap();
        assert_eq!(event.content(), make.make().content());
    }
}

#[test]
fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    for version in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        let other = Connection::open(&path).unwrap();
        other.execute_batch("create table customer (name text)").unwrap();
        other.pragma_update(None, "user_version", version).unwrap();
        drop(other);
        let before = fs::read(&path).unwrap();
        let error = open(&path, Check::No).unwrap_err();
        let OpenError::Failed(_, cause) = &error else { panic!("{error:?}") };
        assert_eq!(cause.to_string(), "it is the database of another program");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn only_the_owner_may_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let place = Place::File(folder);
    let mut opened = place.open();
    opened.store_one(1_000, &event("/a", 1_000));
    let Place::File(folder) = &place else { unreachable!() };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["events.db", "events.db-shm", "events.db-wal", "events.db.lock"]);
}

#[test]
fn the_settings_are_those_that_durability_needs() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&path(&folder), Check::No).unwrap());
    let other = Connection::open(path(&folder)).unwrap();
    let ask =
        |pragma: &str| other.query_row(pragma, [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    assert_eq!(ask("pragma journal_mode"), rusqlite::types::Value::Text("wal".to_owned()));
    // The value 2 means incremental.
    assert_eq!(ask("pragma auto_vacuum"), rusqlite::types::Value::Integer(2));
    assert_eq!(ask("pragma page_size"), rusqlite::types::Value::Integer(4096));
}

#[test]
fn divided_content_that_was_changed_is_never_delivered_and_other_content_is_kept() {
    let changes = [
        "update piece set content = x'00' where id = 1",
        "update piece set content = 7 where id = 1",
        "update piece set event = 2 where id = 1",
        "update piece set id = 99 where id = 1",
        "delete from piece where id = 1",
        "update content set pieces = null where seq = 1",
        "update content set pieces = 'x' where seq = 1",
        "update content set pieces = pieces + 8 where seq = 1",
        "update content set pieces = pieces + 1 where seq = 1 and content = x''",
    ];
    for change in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        let place = Place::File(folder);
        let mut opened = place.open();
        let makes = [1_000, 1_001]
            .map(|n| event("/a", n).content((0..=255_u8).cycle().take(2_200).collect::<Vec<u8>>()));
        let events = makes.clone().map(|make| make.make());
        opened.store(1_000, &events.iter().collect::<Vec<_>>());
        let other = Connection::open(&path).unwrap();
        let changed = other.execute(change, []).unwrap();
        let due = opened.due("/a", Class::New, 9_000);
        assert_eq!((due.damaged.len(), due.deliveries.len()), (changed, 2 - changed), "{change}");
        opened.change(2_000, Change::Discard(makes[0].id()));
        let kept = opened.due("/a", Class::New, 9_000);
        assert!(kept.damaged.is_empty(), "{change}");
        assert_eq!(kept.deliveries[0].event.content(), events[1].content(), "{change}");
    }
}

/// The test changes each byte that a delivery depends on. A change makes the record a damaged one, or has no
/// effect.
#[test]
fn a_record_that_was_changed_anywhere_is_never_delivered() {
    let changes = [
        "update event set id = x'00000000000000000000000000000000' where seq = 1",
        "update event set id = x'00' where seq = 1",
        "update event set received = received + 1 where seq = 1",
        "update event set route = (select number from route where path = '/b') where seq = 1",
        "update event set scheme = 'github' where seq = 1",
        "update event set secret = 'other' where seq = 1",
        "update event set model = 'leads' where seq = 1",
        "update event set client = '192.0.2.2' where seq = 1",
        "update event set method = 'PUT' where seq = 1",
        "update event set target = x'2f62' where seq = 1",
        "update event set digest = zeroblob(32) where seq = 1",
        "update event set digest = 'text' where seq = 1",
        "update event set lane = 'other' where seq = 1",
        "update event set checksum = zeroblob(32) where seq = 1",
        "update event set method = cast(x'ff' as text) where seq = 1",
        "update route set path = '/c' where path = '/a'",
        "update content set head = cast(replace(head, 'example', 'exbmple') as blob) where seq = 1",
        "update content set content = cast(replace(content, 'leases', 'leasez') as blob) where seq = 1",
        "update content set content = x'' where seq = 1",
        "update content set content = 7 where seq = 1",
        "delete from content where seq = 1",
        "delete from event where seq = 1",
        "update delivery set event = 2 where id = 1",
        "update delivery set event = 3 where id = 1",
        "update delivery set event = 99 where id = 1",
        "update delivery set seal = seal + 1 where id = 1",
        "update delivery set destination = (select destination from delivery where id = 3) where id = 1",
        "update delivery set id = 77 where id = 1",
    ];
    for change in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        let place = Place::File(folder);
        let mut opened = place.open();
        let makes = [event("/a", 1_000).order("k"), event("/a", 1_001), event("/b", 1_002)];
        let events = makes.clone().map(|make| make.make());
        opened.store(1_000, &events.iter().collect::<Vec<_>>());
        let other = Connection::open(&path).unwrap();
        if let Err(error) = other.execute(change, []) {
            // A constraint of the table forbids this change.
            assert!(error.to_string().contains("constraint"), "{change}: {error}");
            continue;
        }
        let (mut delivered, mut damaged) = (Vec::new(), 0);
        for path in ["/a", "/b", "/c"] {
            let due = opened.due(path, Class::New, 9_000);
            damaged += due.damaged.len();
            for delivery in due.deliveries {
                let info = delivery.event.info();
                let at = makes.iter().position(|make| make.id() == info.id).unwrap();
                assert_eq!(&*info.route.path, path, "{change}");
                assert_eq!(delivery.event.content(), events[at].content(), "{change}");
                assert_eq!(delivery.event.head(), events[at].head(), "{change}");
                delivered.push(at);
            }
        }
        delivered.sort_unstable();
        // The events of a renamed route are no longer found under its old name.
        let all_damaged = change.starts_with("update route");
        let want: &[usize] = if all_damaged { &[2] } else { &[1, 2] };
        assert_eq!((&delivered[..], damaged), (want, 3 - want.len()), "{change}");
        // The rest of the store is readable.
        opened.page(&Filter::default());
        opened.store.statistics().unwrap();
    }
}

/// A reader that stays in a transaction would keep the log from being emptied.
#[test]
fn between_two_pages_of_a_list_the_log_is_emptied() {
    let place = Place::file();
    let Place::File(folder) = &place else { unreachable!() };
    let mut opened = place.open();
    let filters = [
        Filter::default(),
        Filter { state: Some("queued".to_owned()), ..Filter::default() },
        Filter { model: Some("none".to_owned()), ..Filter::default() },
    ];
    for (number, filter) in (0..).zip(filters) {
        opened.store_one(1_000, &event("/a", 1_000).number(2 * number));
        opened.store_one(1_000, &event("/a", 1_000).number(2 * number + 1));
        let page = opened.reader.page(&filter, None, Bounds { found: 1, looked_at: 1 }).unwrap();
        assert!(page.next.is_some(), "{filter:?}");
        opened.reader.dead_part(None, 9).unwrap();
        opened.store.idle().unwrap();
        let log = fs::metadata(folder.path().join("events.db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "{filter:?}");
    }
}

#[test]
fn bytes_that_are_discarded_or_purged_are_overwritten() {
    let place = Place::file();
    let Place::File(folder) = &place else { unreachable!() };
    let mut opened = place.open();
    let make = |n: u64, mark: &str| event("/a", 1_000 + n).content(mark.repeat(2_000));
    let stored: Vec<_> = [make(0, "discarded"), make(1, "purged"), make(2, "kept")]
        .iter()
        .map(|make| opened.store_one(1_000, make))
        .collect();
    opened.store.idle().unwrap();
    assert_eq!(opened.change(1_100, Change::Discard(make(0, "").id())), 1);
    opened.complete(1_100, stored[1], Next::Delivered);
    let retention = super::retention(0, 1_000_000, 0);
    assert_eq!(opened.store.purge(Time::from_millis(1_100), retention, 9).unwrap(), 1);
    opened.store.idle().unwrap();
    let text =
        ["events.db", "events.db-wal"].map(|name| fs::read(folder.path().join(name)).unwrap()).concat();
    let has = |mark: &str| text.windows(mark.len()).any(|window| window == mark.as_bytes());
    assert!(has("keptkept") && !has("discardeddiscarded") && !has("purgedpurged"));
}

#[test]
fn space_that_is_freed_goes_back_to_the_disk_in_steps() {
    let place = Place::file();
    let mut opened = place.open();
    let makes: Vec<_> = (0..20).map(|n| event("/a", 1_000 + n).content(vec![b'x'; 500_000])).collect();
    for make in &makes {
        opened.store_one(1_000, make);
        opened.store.between_commits().unwrap();
    }
    for make in &makes {
        assert_eq!(opened.change(1_100, Change::Discard(make.id())), 1);
    }
    let before = opened.store.statistics().unwrap();
    assert!(before.reusable > 9_000_000, "{before:?}");
    for _ in 0..20 {
        opened.store.idle().unwrap();
    }
    let after = opened.store.statistics().unwrap();
    assert!(after.bytes < 2_000_000, "{after:?}");
}

#[test]
fn a_store_is_checked_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    let place = Place::File(folder);
    let mut opened = place.open();
    for n in 0..200 {
        opened.store_one(1_000, &event("/a", 1_000 + n));
    }
    drop(opened);
    drop(open(&path, Check::Yes).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(20) {
        page[..200].fill(0x5a);
    }
    fs::write(&path, bytes).unwrap();
    assert!(matches!(open(&path, Check::Yes).unwrap_err(), OpenError::Failed(..)));
}

#[test]
fn a_damaged_list_of_what_to_remove_removes_nothing_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    let place = Place::File(folder);
    let mut opened = place.open();
    let made = [1_000, 1_001, 1_002].map(|received| event("/a", received));
    let ids = made.each_ref().map(|make| opened.store_one(1_000, make));
    opened.complete(2_000, ids[0], Next::Delivered);
    opened.complete(2_000, ids[1], Next::Dead(DeadCause::Refused));
    // The row of the first event, with a flipped bit each.
    let other = Connection::open(&path).unwrap();
    for (kind, wrong) in [(0, 3), (1, 3), (2, 3), (0, 2), (2, 1), (0, 77)] {
        let sql = "insert into finished (kind, at, event) values (?1, 2000, ?2)";
        other.execute(sql, [kind, wrong]).unwrap();
    }
    drop(other);
    let retention =
        Retention { delivered: Duration::ZERO, info: Duration::ZERO, dead: Duration::from_secs(60) };
    for _ in 0..3 {
        opened.store.purge(Time::from_millis(3_000), retention, 100).unwrap();
    }
    let detail = |make: &Make| opened.store.reader().unwrap().detail(make.id()).unwrap();
    assert!(detail(&made[0]).is_none(), "what was delivered goes");
    assert!(detail(&made[1]).unwrap().event.is_some() && detail(&made[2]).unwrap().event.is_some());
    // Each still goes at its own time.
    opened.complete(4_000, ids[2], Next::Delivered);
    for _ in 0..3 {
        opened.store.purge(Time::from_millis(100_000), retention, 100).unwrap();
    }
    assert_eq!(opened.store.reader().unwrap().count(&Filter::default(), 10).unwrap(), 0);
}

#[test]
fn a_route_that_is_lost_or_renamed_is_found() {
    for (damage, lost) in [
        ("update route set number = 66", 2),
        ("update route set path = '/c'", 1),
        ("update destination set route = 7", 2),
        ("update destination set number = 7", 2),
        ("update content set content = x'00' where seq = 1", 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        let mut store = open(&path, Check::No).unwrap();
        let events = [event("/a", 1_000).make(), event("/a", 1_001).make()];
        store.commit(&Batch { events: events.iter().collect(), ..Batch::default() }).unwrap();
        drop(store);
        Connection::open(&path).unwrap().execute(damage, []).unwrap();
        let found = open(&path, Check::No).unwrap().look_for_damage().unwrap();
        assert_eq!(found.is_empty(), lost == 0, "{damage}: {found}");
        assert!(found.routes >= lost, "{damage}: {found}");
    }
}

#[test]
fn what_leads_to_deliveries_is_looked_through_and_made_anew() {
    for damage in [
        "update delivery set state = 1 where id = 2",
        "update delivery set ready = 0 where id = 2",
        "update delivery set class = 5 where id = 2",
        "update delivery set ready = 1 where id = 4",
        "update delivery set ready = 0 where id = 3",
        "update delivery set ended = 7 where id = 2",
        "update destination set queued = 0",
        "drop index delivery_due; \
         create index delivery_due on delivery (destination, class, due) where ready = 1 and id > 3; \
         pragma writable_schema = on; \
         update sqlite_schema set sql = replace(sql, ' and id > 3', '') where name = 'delivery_due'",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        let mut store = open(&path, Check::No).unwrap();
        let plain = event("/a", 1_000).make();
        let lane = [1_001, 1_002, 1_003].map(|received| event("/a", received).order("k").make());
        let batch = Batch {
            events: vec![&plain, &plain, &lane[0], &lane[1]],
            now: Time::from_millis(1_000),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        assert_eq!(store.look_for_damage().unwrap(), Findings::default());
        drop(store);
        let other = Connection::open(&path).unwrap();
        other.execute_batch(damage).unwrap();
        drop(other);
        let mut store = open(&path, Check::No).unwrap();
        let found = store.look_for_damage().unwrap();
        assert!(!found.is_empty() && found.is_mendable(), "{damage}: {found}");
        store.mend().unwrap();
        assert_eq!(store.look_for_damage().unwrap(), Findings::default(), "{damage}");
        let counts = store.statistics().unwrap().counts[0].1;
        let dead = u64::from(damage.contains("ended"));
        assert_eq!((counts.queued, counts.dead), (4 - dead, dead), "{damage}");
    }
}

#[test]
fn an_event_is_whole_if_the_key_of_an_older_piece_was_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    drop(open(&path, Check::No).unwrap());
    let damage = "insert into piece (id, event, content) values (9223372036854775806, 1, x'00')";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    let mut opened = Place::File(folder).open();
    let make = event("/a", 1_000).content(vec![b'x'; 2_100]);
    let stored = opened.store_one(1_000, &make);
    assert_eq!(opened.due_ids("/a", Class::New, 2_000), [stored]);
}
