//! Shell. The schema of the store, and the settings of its connections.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::queue::sqlite::lock::{MODE, beside, create};
use crate::queue::store::OpenError;

/// The version of the schema that this code reads and writes. SQLite keeps it as `user_version`.
const VERSION: i64 = 2;

/// The oldest version of SQLite whose write-ahead log is safe.
const OLDEST_LIBRARY: i32 = 3_051_003;

/// How long a statement waits for a lock of another connection in this process.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The bytes of pages that the connections of a store keep in memory: one connection that writes, and two
/// that read. The settings below have the same sizes.
pub const CACHES: u64 = (16_000 + 2 * 8_000) << 10;

/// The settings of the connection that writes. The caller makes the checkpoints.
const WRITER: &str = "
    pragma page_size = 4096;
    pragma auto_vacuum = incremental;
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma wal_autocheckpoint = 0;
    pragma journal_size_limit = 8388608;
    pragma secure_delete = on;
    pragma foreign_keys = off;
    pragma mmap_size = 0;
    pragma cache_size = -16000;
    pragma temp_store = memory;
    pragma cell_size_check = on;
    pragma trusted_schema = off;
";

/// The settings of a connection that reads.
const READER: &str = "
    pragma query_only = on;
    pragma mmap_size = 0;
    pragma cache_size = -8000;
    pragma temp_store = memory;
    pragma cell_size_check = on;
    pragma trusted_schema = off;
";

/// The tables of version 1.
///
/// Columns that change and columns that do not change are in separate tables. Content has its own table: a
/// list reads no content, and a change rewrites none. `delivery.ready` is 1 for a queued delivery that is the
/// first of its lane or has no lane. Only ready deliveries can become due, and their indexes are small.
/// `finished` lists the events without queued deliveries, by the kind of their next removal.
const TABLES: &str = "
    create table route (
        number integer primary key,
        path text not null,
        model text
    );
    create table destination (
        number integer primary key,
        route integer not null,
        upstream text not null,
        queued integer not null default 0,
        queued_bytes integer not null default 0,
        delivered integer not null default 0,
        dead integer not null default 0
    );
    create table event (
        seq integer primary key,
        id blob not null,
        received integer not null,
        route integer not null,
        scheme text not null,
        secret text not null,
        model text,
        client text not null,
        method text not null,
        target blob not null,
        digest blob not null,
        lane text,
        duplicate blob,
        duplicate_until integer,
        length integer not null,
        checksum blob not null
    );
    create index event_id on event (id);
    create table content (
        seq integer primary key,
        head blob not null,
        content blob not null
    );
    create table delivery (
        id integer primary key,
        event integer not null,
        destination integer not null,
        state integer not null,
        ready integer not null,
        class integer not null,
        due integer not null,
        since integer not null,
        spent integer not null,
        attempts integer not null,
        lane text,
        ended integer,
        size integer not null,
        seal integer not null
    );
    create index delivery_event on delivery (event);
    create index delivery_due on delivery (destination, class, due) where ready = 1;
    create index delivery_queued on delivery (destination) where state = 0;
    create index delivery_dead on delivery (event) where state > 1;
    create index delivery_lane on delivery (destination, lane) where state = 0 and lane is not null;
    create table attempt (
        delivery integer not null,
        number integer not null,
        at integer not null,
        took integer not null,
        outcome text not null,
        status integer,
        response blob not null,
        detail text,
        primary key (delivery, number)
    ) without rowid;
    create table finished (
        kind integer not null,
        at integer not null,
        event integer not null,
        primary key (kind, at, event)
    ) without rowid;
    create table seen (
        route integer not null,
        key blob not null,
        until integer not null,
        primary key (route, key)
    ) without rowid;
    create index seen_until on seen (until);
    create table paused (
        route integer primary key
    );
    create table job (
        id blob primary key,
        document blob not null
    ) without rowid;
    create table next_number (
        name text primary key,
        value integer not null
    ) without rowid;
";

/// The additions of version 2: content that is divided, so that rows fill their pages. `content.pieces` names
/// the pieces that follow the first part.
const PIECES: &str = "
    alter table content add column pieces integer;
    create table piece (
        id integer primary key,
        event integer not null,
        content blob not null
    );
";

/// The additions of each version, the first version first.
const STEPS: [&str; 2] = [TABLES, PIECES];

/// Opens the connection that writes. Creates the tables of a new store, and migrates the tables of an older
/// one.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < OLDEST_LIBRARY {
        return Err(OpenError::OldLibrary(rusqlite::version()));
    }
    make_private(path).map_err(|error| OpenError::Failed(path.to_owned(), Box::new(error)))?;
    let failed = |error: rusqlite::Error| OpenError::Failed(path.to_owned(), Box::new(error));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    // The version is read before any change: a newer store is left as it is.
    let version = version(&connection).map_err(failed)?;
    if version > VERSION {
        return Err(OpenError::Newer(path.to_owned(), version));
    }
    if is_foreign(&connection, version).map_err(failed)? {
        return Err(OpenError::Failed(path.to_owned(), "it is the database of another program".into()));
    }
    set_up(&connection, WRITER).map_err(failed)?;
    migrate(&mut connection, version).map_err(failed)?;
    Ok(connection)
}

/// Opens a connection that reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection, READER)?;
    Ok(connection)
}

fn set_up(connection: &Connection, settings: &str) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    // Otherwise SQLite prepares some statements again for each set of values, because other values could have
    // another plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(settings)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("pragma user_version", [], |row| row.get(0))
}

/// Whether another program has made the tables of this database.
fn is_foreign(connection: &Connection, version: i64) -> rusqlite::Result<bool> {
    let sql = match version {
        // A file without a version is a new store, which has no tables.
        0 => "select count(*) > 0 from sqlite_schema",
        _ => "select count(*) = 0 from sqlite_schema where type = 'table' and name = 'next_number'",
    };
    connection.query_row(sql, [], |row| row.get(0))
}

/// Migrates the tables from version `from` to the present version, in one transaction.
fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    if from == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    // Version 0 is an empty file.
    for step in STEPS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Creates the store's file if there is none, and lets only its owner read it. SQLite gives the files of its
/// log the same mode.
fn make_private(path: &Path) -> io::Result<()> {
    if !path.try_exists()? {
        // No connection has opened the store yet, so closing the file releases no lock.
        drop(create(path)?);
    }
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match fs::set_permissions(&file, Permissions::from_mode(MODE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::{OptionalExtension as _, StatementStatus};

    use super::*;

    #[test]
    fn a_statement_is_not_prepared_again_for_other_values() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_writer(&folder.path().join("events.db")).unwrap();
        let mut find = connection.prepare("select id from delivery where event = ?1 order by id").unwrap();
        for event in 0..10 {
            let found: Option<i64> = find.query_row([event], |row| row.get(0)).optional().unwrap();
            assert_eq!(found, None);
        }
        assert_eq!(find.get_status(StatementStatus::RePrepare), 0);
    }
}
