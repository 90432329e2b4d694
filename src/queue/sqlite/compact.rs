//! Shell. Moves rows together, so pages become free.
//!
//! A page of a table stays in use as long as it has a single row. After many removals, many pages are nearly
//! empty. Then the remaining rows are written again, range by range. A step removes all rows of a range,
//! which empties their pages. Then it inserts the rows again in order, which fills the pages.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

/// How many rows must be removed before the remaining rows are moved together: at least this many, and at
/// least this part of the kept rows.
const LEAST_REMOVED: u64 = 1000;
const PART: u64 = 5;

/// The most bytes of content that one step moves.
const MOST_BYTES: i64 = 1 << 20;

/// The largest event that is moved. Nearly all of a larger event is in pages of its own.
const LARGEST_MOVED: i64 = 64 << 10;

/// A table, by a key that grows.
struct Table {
    name: &'static str,
    key: &'static str,
    /// The rows of one range.
    rows: i64,
    /// The bytes of a row that count for the size of a step.
    bytes: &'static str,
}

const TABLES: [Table; 5] = [
    Table { name: "content", key: "seq", rows: 200, bytes: "length(head) + length(content)" },
    Table { name: "piece", key: "id", rows: 400, bytes: "length(content)" },
    Table { name: "event", key: "seq", rows: 500, bytes: "0" },
    Table { name: "delivery", key: "id", rows: 1000, bytes: "0" },
    Table { name: "attempt", key: "delivery", rows: 500, bytes: "length(response)" },
];

/// The progress of moving rows together.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    /// The rows that were removed since the last beginning.
    removed: u64,
    /// The present table, and the last key that was examined in it.
    at: Option<(usize, i64)>,
}

impl Compaction {
    /// Records that rows were removed from a store that keeps `kept` rows.
    pub(super) fn note_removed(&mut self, rows: usize, kept: u64) {
        self.removed = self.removed.saturating_add(u64::try_from(rows).unwrap_or(u64::MAX));
        let enough = kept.checked_div(PART).unwrap_or(0).max(LEAST_REMOVED);
        if self.at.is_none() && self.removed >= enough {
            self.removed = 0;
            self.at = Some((0, 0));
        }
    }

    /// Whether rows are still to be moved.
    pub(super) fn is_under_way(&self) -> bool {
        self.at.is_some()
    }

    /// Ends the movement of rows early.
    pub(super) fn give_up(&mut self) {
        self.at = None;
    }

    /// Moves rows for the given time. The caller commits. Returns the number of moved rows, and the new
    /// progress.
    pub(super) fn step(&self, connection: &Connection, time: Duration) -> rusqlite::Result<(usize, Self)> {
        let end = Instant::now().checked_add(time);
        let (mut at, mut moved) = (self.at, 0_usize);
        while let Some((place, last)) = at {
            let Some(table) = TABLES.get(place) else {
                at = None;
                break;
            };
            at = match range(connection, table, last)? {
                Some(range) => {
                    if range.is_sparse(last) {
                        moved = moved.saturating_add(move_together(connection, table, last, range.last)?);
                    }
                    Some((place, range.last))
                }
                None => Some((place.saturating_add(1), 0)),
            };
            if end.is_none_or(|end| Instant::now() >= end) {
                break;
            }
        }
        Ok((moved, Self { removed: self.removed, at }))
    }
}

/// A range of consecutive rows.
struct Range {
    last: i64,
    rows: i64,
}

impl Range {
    /// Whether many rows of the range were removed: more than an eighth.
    fn is_sparse(&self, before: i64) -> bool {
        let keys = self.last.saturating_sub(before);
        self.rows.saturating_mul(8) < keys.saturating_mul(7)
    }
}

/// The range that begins after a key. `None` if there is no such row.
fn range(connection: &Connection, table: &Table, last: i64) -> rusqlite::Result<Option<Range>> {
    let Table { name, key, rows, bytes } = table;
    let sql = format!("select {key}, {bytes} from {name} where {key} > ?1 order by {key} limit {rows}");
    let mut find = connection.prepare_cached(&sql)?;
    let mut found = find.query([last])?;
    let (mut range, mut size) = (Range { last, rows: 0 }, 0_i64);
    while let Some(row) = found.next()? {
        range = Range { last: row.get(0)?, rows: range.rows.saturating_add(1) };
        let bytes: i64 = row.get(1)?;
        size = size.saturating_add(if bytes > LARGEST_MOVED { 0 } else { bytes });
        if size >= MOST_BYTES {
            break;
        }
    }
    Ok((range.rows > 0).then_some(range))
}

fn move_together(connection: &Connection, table: &Table, after: i64, until: i64) -> rusqlite::Result<usize> {
    let Table { name, key, bytes, .. } = table;
    let rows = format!("from {name} where {key} > ?1 and {key} <= ?2 and {bytes} <= {LARGEST_MOVED}");
    let make = format!("create temp table if not exists moved_{name} as select * from {name} limit 0");
    connection.prepare_cached(&make)?.execute([])?;
    let execute = |sql: &str| connection.prepare_cached(sql)?.execute(params![after, until]);
    let moved = execute(&format!("insert into temp.moved_{name} select * {rows}"))?;
    execute(&format!("delete {rows}"))?;
    let back = format!("insert into {name} select * from temp.moved_{name} order by {key}");
    connection.prepare_cached(&back)?.execute([])?;
    connection.prepare_cached(&format!("delete from temp.moved_{name}"))?.execute([])?;
    Ok(moved)
}
