//! Shell. The rows with the head and the content of an event. The content may be divided into pieces.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::queue::event::Event;
use crate::queue::sqlite::piece_sizes::{Division, division};

/// The number of bits of `content.pieces` that hold the number of pieces. The other bits hold the id of the
/// first piece.
const COUNT_BITS: u32 = 3;

/// The greatest id of a first piece. Only an id from a damaged table is greater. In this case, content is not
/// divided.
const GREATEST_FIRST: i64 = i64::MAX >> (COUNT_BITS + 1);

/// The pieces of an event, as the row of its head names them.
#[derive(Clone, Copy, Debug)]
struct Pieces {
    first: i64,
    count: i64,
}

impl Pieces {
    fn read(value: i64) -> Self {
        Self { first: value >> COUNT_BITS, count: value & ((1 << COUNT_BITS) - 1) }
    }

    fn value(self) -> i64 {
        self.first.saturating_mul(1 << COUNT_BITS).saturating_add(self.count)
    }

    fn end(self) -> i64 {
        self.first.saturating_add(self.count)
    }
}

/// Stores the head and the content of an event. `next` is the id of the next piece.
pub(super) fn store(
    connection: &Connection,
    seq: i64,
    event: &Event,
    next: &mut i64,
) -> rusqlite::Result<()> {
    let (head, content) = (event.head(), event.content());
    let divided = division(head.len(), content.len())
        .filter(|_| *next <= GREATEST_FIRST)
        .and_then(|Division { first, piece }| Some((content.split_at_checked(first)?, piece.max(1))));
    let (first, pieces) = match divided {
        None => (content, None),
        Some(((first, rest), piece)) => {
            let mut pieces = Pieces { first: *next, count: 0 };
            let sql = "insert into piece (id, event, content) values (?1, ?2, ?3)";
            let mut insert = connection.prepare_cached(sql)?;
            for piece in rest.chunks(piece) {
                insert.execute(params![pieces.end(), seq, piece])?;
                pieces.count = pieces.count.saturating_add(1);
            }
            *next = pieces.end();
            (first, Some(pieces.value()))
        }
    };
    let sql = "insert into content (seq, head, content, pieces) values (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![seq, head, first, pieces])?;
    Ok(())
}

/// Adds the pieces to the first part of an event's content. Missing pieces make the record damaged.
pub(super) fn complete(
    connection: &Connection,
    seq: i64,
    content: &mut Vec<u8>,
    pieces: Option<i64>,
) -> rusqlite::Result<()> {
    let Some(pieces) = pieces.map(Pieces::read) else { return Ok(()) };
    // Each piece names its event, so a damaged number does not lead to the pieces of another event.
    let sql = "select content from piece where id >= ?1 and id < ?2 and event = ?3 order by id";
    let mut find = connection.prepare_cached(sql)?;
    let mut rows = find.query(params![pieces.first, pieces.end(), seq])?;
    while let Some(row) = rows.next()? {
        content.extend_from_slice(&row.get::<_, Vec<u8>>(0)?);
    }
    Ok(())
}

/// Removes the head and the content of an event.
pub(super) fn remove(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    let sql = "select pieces from content where seq = ?1 and typeof(pieces) = 'integer'";
    let mut find = connection.prepare_cached(sql)?;
    let pieces: Option<i64> = find.query_row([seq], |row| row.get(0)).optional()?;
    if let Some(pieces) = pieces.map(Pieces::read) {
        let sql = "delete from piece where id >= ?1 and id < ?2 and event = ?3";
        connection.prepare_cached(sql)?.execute(params![pieces.first, pieces.end(), seq])?;
    }
    connection.prepare_cached("delete from content where seq = ?1")?.execute([seq])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_an_event_are_read_as_they_were_written() {
        for (first, count) in [(1, 1), (5, 7), (1 << 40, 3), (GREATEST_FIRST, 7)] {
            let pieces = Pieces::read(Pieces { first, count }.value());
            assert_eq!((pieces.first, pieces.count), (first, count));
        }
    }
}
