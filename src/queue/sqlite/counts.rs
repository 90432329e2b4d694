//! Shell. The number of deliveries in each state, for each destination. The numbers are in memory. Each
//! transaction that changes a number writes it as well.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::queue::sqlite::value::{self, number, of_number};
use crate::queue::store::{Counts, Destination, State};
use crate::queue::time::Time;

/// The numbers of all destinations.
#[derive(Debug, Default)]
pub(super) struct Counters {
    of: BTreeMap<i64, Counter>,
    /// The destinations with changed numbers that are not written yet.
    changed: BTreeSet<i64>,
}

#[derive(Debug)]
struct Counter {
    destination: Option<Destination>,
    counts: Counts,
    /// The first queued delivery, if it is known.
    first: Option<i64>,
}

/// A change of the numbers of one destination.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counted {
    /// A delivery enters this state.
    Into(State),
    /// A delivery leaves this state.
    OutOf(State),
}

impl Counters {
    /// Reads the numbers of all destinations.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut counters = Self::default();
        let sql = "select number, queued, queued_bytes, delivered, dead from destination";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let counts = Counts {
                queued: number(row.get(1)?),
                queued_bytes: number(row.get(2)?),
                oldest: None,
                delivered: number(row.get(3)?),
                dead: number(row.get(4)?),
            };
            counters.of.insert(row.get(0)?, Counter { destination: None, counts, first: None });
        }
        Ok(counters)
    }

    /// The number of deliveries that are kept.
    pub(super) fn kept(&self) -> u64 {
        let kept =
            |counts: &Counts| counts.queued.saturating_add(counts.delivered).saturating_add(counts.dead);
        self.of.values().map(|counter| kept(&counter.counts)).fold(0, u64::saturating_add)
    }

    /// Notes that a delivery with an event of `size` bytes has changed its state.
    pub(super) fn note(&mut self, destination: i64, delivery: i64, size: u64, change: Counted) {
        let counter = self.of.entry(destination).or_insert_with(|| Counter {
            destination: None,
            counts: Counts::default(),
            first: None,
        });
        self.changed.insert(destination);
        let counts = &mut counter.counts;
        match change {
            Counted::Into(State::Queued) => {
                counts.queued = counts.queued.saturating_add(1);
                counts.queued_bytes = counts.queued_bytes.saturating_add(size);
            }
            Counted::OutOf(State::Queued) => {
                counts.queued = counts.queued.saturating_sub(1);
                counts.queued_bytes = counts.queued_bytes.saturating_sub(size);
                if counter.first == Some(delivery) {
                    counter.first = None;
                }
            }
            Counted::Into(State::Delivered) => counts.delivered = counts.delivered.saturating_add(1),
            Counted::OutOf(State::Delivered) => counts.delivered = counts.delivered.saturating_sub(1),
            Counted::Into(State::Dead(_)) => counts.dead = counts.dead.saturating_add(1),
            Counted::OutOf(State::Dead(_)) => counts.dead = counts.dead.saturating_sub(1),
        }
    }

    /// Writes the changed numbers, in the transaction that has changed them.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "update destination set queued = ?2, queued_bytes = ?3, delivered = ?4, dead = ?5 where number = ?1";
        let mut update = connection.prepare_cached(sql)?;
        for changed in &self.changed {
            let Some(Counter { counts, .. }) = self.of.get(changed) else { continue };
            update.execute(params![
                changed,
                of_number(counts.queued),
                of_number(counts.queued_bytes),
                of_number(counts.delivered),
                of_number(counts.dead),
            ])?;
        }
        self.changed.clear();
        Ok(())
    }

    /// The name of a destination.
    pub(super) fn name(
        &mut self,
        connection: &Connection,
        number: i64,
    ) -> rusqlite::Result<Option<Destination>> {
        match self.of.get_mut(&number) {
            Some(counter) => named(connection, number, counter),
            None => Ok(None),
        }
    }

    /// The numbers, by destination.
    pub(super) fn all(&mut self, connection: &Connection) -> rusqlite::Result<Vec<(Destination, Counts)>> {
        let mut all = Vec::with_capacity(self.of.len());
        for (number, counter) in &mut self.of {
            let Some(destination) = named(connection, *number, counter)? else { continue };
            if counter.counts.queued == 0 {
                counter.counts.oldest = None;
            } else if counter.first.is_none() {
                let first = first(connection, *number)?;
                counter.first = first.map(|(delivery, _)| delivery);
                counter.counts.oldest = first.map(|(_, received)| received);
            }
            all.push((destination, counter.counts));
        }
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(all)
    }
}

/// The name of a destination, read once.
fn named(
    connection: &Connection,
    number: i64,
    counter: &mut Counter,
) -> rusqlite::Result<Option<Destination>> {
    if counter.destination.is_none() {
        let sql = "select r.path, r.model, d.upstream from destination d join route r on r.number = d.route \
             where d.number = ?1";
        let mut find = connection.prepare_cached(sql)?;
        let read = |row: &rusqlite::Row<'_>| {
            let upstream: String = row.get(2)?;
            Ok(Destination { route: value::route(row, 0)?, upstream: value::upstream(&upstream) })
        };
        counter.destination = find.query_row([number], read).optional()?;
    }
    Ok(counter.destination.clone())
}

/// The first queued delivery of a destination, and when its event was received.
fn first(connection: &Connection, destination: i64) -> rusqlite::Result<Option<(i64, Time)>> {
    let sql = "select d.id, e.received from delivery d indexed by delivery_queued \
         join event e on e.seq = d.event where d.destination = ?1 and d.state = 0 order by d.id limit 1";
    let mut find = connection.prepare_cached(sql)?;
    find.query_row([destination], |row| Ok((row.get(0)?, value::time(row.get(1)?)))).optional()
}
