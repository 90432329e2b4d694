//! Shell. The removal of rows, and the list of events without queued deliveries.

use rusqlite::{Connection, params};

use crate::queue::sqlite::content;

/// The kind of the next removal, for an event without queued deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The event was delivered: its content is removed.
    Delivered,
    /// The event was delivered and its content is gone: its facts are removed.
    Known,
    /// The event has a dead letter: all of the event is removed.
    Dead,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Delivered, Self::Known, Self::Dead];

    /// The kind's number in the store.
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Delivered => 0,
            Self::Known => 1,
            Self::Dead => 2,
        }
    }
}

/// Notes that the event has had no queued delivery since `at`.
pub(super) fn finish(connection: &Connection, kind: Kind, at: i64, event: i64) -> rusqlite::Result<()> {
    let sql = "insert or ignore into finished (kind, at, event) values (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![kind.number(), at, event])?;
    Ok(())
}

/// Removes the note that [`finish`] made, even if its kind has changed since then.
pub(super) fn unfinish(connection: &Connection, at: i64, event: i64) -> rusqlite::Result<()> {
    let sql = "delete from finished where kind = ?1 and at = ?2 and event = ?3";
    for kind in Kind::ALL {
        connection.prepare_cached(sql)?.execute(params![kind.number(), at, event])?;
    }
    Ok(())
}

/// The events of a kind that have had no queued delivery since `until` or before, the earliest first: the
/// time and the event's number.
pub(super) fn since(
    connection: &Connection,
    kind: Kind,
    until: i64,
    most: usize,
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let sql = "select at, event from finished where kind = ?1 and at <= ?2 order by at, event limit ?3";
    let mut find = connection.prepare_cached(sql)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = find.query_map(params![kind.number(), until, most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Removes the content of an event.
pub(super) fn remove_content(connection: &Connection, at: i64, event: i64) -> rusqlite::Result<()> {
    content::remove(connection, event)?;
    unfinish(connection, at, event)?;
    finish(connection, Kind::Known, at, event)
}

/// Removes duplicate keys that no longer count.
pub(super) fn forget_seen(connection: &Connection, now: i64, most: usize) -> rusqlite::Result<usize> {
    let sql =
        "delete from seen where (route, key) in (select route, key from seen where until <= ?1 limit ?2)";
    connection.prepare_cached(sql)?.execute(params![now, i64::try_from(most).unwrap_or(i64::MAX)])
}
