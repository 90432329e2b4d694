//! Shell. Writes a batch in one transaction.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::queue::event::{Attempt, DuplicateKey, Event, EventInfo, RouteName, Upstream};
use crate::queue::id::EventId;
use crate::queue::sqlite::content;
use crate::queue::sqlite::counts::{Counted, Counters};
use crate::queue::sqlite::names::{Names, find_route};
use crate::queue::sqlite::removal::{self, Kind};
use crate::queue::sqlite::value::{
    self, QUEUED, kept, number, of_class, of_duration, of_number, of_state, of_time, seal, small,
};
use crate::queue::store::{
    Batch, Change, Class, Committed, Completion, DeadCause, DeliveryId, Destination, FIRST_ATTEMPTS, Job,
    LAST_ATTEMPTS, Next, Settled, State, another_since,
};
use crate::queue::time::Time;

/// The state that the writer keeps in memory. After a failed transaction it is loaded again.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) names: Names,
    pub(super) counters: Counters,
    /// The number of the next event. A number is never reused: a late completion must not find another
    /// delivery under its number.
    next_event: i64,
    /// The number of the next delivery.
    next_delivery: i64,
    /// The number of the next piece of content.
    next_piece: i64,
    /// New deliveries, as they are stored. Each has no order key, and is the only delivery of its event. Most
    /// end soon, and then no row is read. A change of an operator clears them.
    new: HashMap<i64, Stored>,
}

/// The most new deliveries that are kept in memory. The store reads other deliveries from the database when
/// they end.
const MOST_NEW: usize = 4096;

impl Memory {
    /// Reads this state from the store.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            names: Names::default(),
            counters: Counters::load(connection)?,
            next_event: next(connection, "event", "select max(seq) from event")?,
            next_delivery: next(connection, "delivery", "select max(id) from delivery")?,
            next_piece: next(connection, "piece", "select max(id) from piece")?,
            new: HashMap::new(),
        })
    }

    /// Writes the next numbers, in a transaction that removes rows.
    pub(super) fn write_next(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "insert or replace into next_number (name, value) values (?1, ?2)";
        let mut write = connection.prepare_cached(sql)?;
        write.execute(params!["event", self.next_event])?;
        write.execute(params!["delivery", self.next_delivery])?;
        write.execute(params!["piece", self.next_piece])?;
        Ok(())
    }
}

/// The next number of a table: greater than every number that the table has or had.
fn next(connection: &Connection, name: &str, greatest: &str) -> rusqlite::Result<i64> {
    let greatest: Option<i64> = connection.query_row(greatest, [], |row| row.get(0))?;
    let sql = "select value from next_number where name = ?1";
    let had: Option<i64> = connection.query_row(sql, [name], |row| row.get(0)).optional()?;
    Ok(greatest.unwrap_or(0).saturating_add(1).max(had.unwrap_or(1)))
}

/// A transaction under way.
pub(super) struct Work<'w> {
    pub(super) connection: &'w Connection,
    pub(super) memory: &'w mut Memory,
    pub(super) now: Time,
    /// The destinations for which a delivery may have become due.
    ready: BTreeSet<i64>,
}

/// A stored delivery, with the columns that a change of it needs.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) event: i64,
    pub(super) destination: i64,
    pub(super) state: State,
    pub(super) class: Class,
    pub(super) since: Time,
    pub(super) spent: u32,
    pub(super) attempts: u32,
    pub(super) lane: Option<String>,
    pub(super) size: u64,
    pub(super) ended: Option<i64>,
}

/// The beginning of a statement that reads deliveries with [`stored`].
macro_rules! select {
    ($rows:literal) => {
        concat!(
            "select id, event, destination, state, class, since, spent, attempts, lane, size, ended from delivery ",
            $rows
        )
    };
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: row.get(0)?,
        event: row.get(1)?,
        destination: row.get(2)?,
        state: value::state(row.get(3)?),
        class: value::class(row.get(4)?),
        since: value::time(row.get(5)?),
        spent: small(row.get(6)?),
        attempts: small(row.get(7)?),
        lane: row.get(8)?,
        size: number(row.get(9)?),
        ended: row.get(10)?,
    })
}

impl<'w> Work<'w> {
    pub(super) fn new(connection: &'w Connection, memory: &'w mut Memory, now: Time) -> Self {
        Self { connection, memory, now, ready: BTreeSet::new() }
    }

    /// Writes a batch. The caller commits.
    pub(super) fn batch(&mut self, batch: &Batch<'_>) -> rusqlite::Result<Committed> {
        let mut committed = Committed::default();
        for event in &batch.events {
            committed.deliveries.push(self.event(event)?);
        }
        for completion in &batch.completions {
            if self.complete(completion)? == Settled::No {
                committed.superseded.push(completion.id);
            }
        }
        for (route, key) in &batch.seen {
            self.seen(route, *key)?;
        }
        for damaged in &batch.damaged {
            self.set_aside(*damaged)?;
        }
        for change in &batch.changes {
            committed.changed.push(self.change(change)?);
        }
        self.memory.counters.write(self.connection)?;
        for destination in &self.ready {
            committed.ready.extend(self.memory.counters.name(self.connection, *destination)?);
        }
        Ok(committed)
    }

    fn event(&mut self, event: &Event) -> rusqlite::Result<Vec<DeliveryId>> {
        let info = event.info();
        let seq = self.memory.next_event;
        self.memory.next_event = seq.saturating_add(1);
        let route = self.memory.names.route(self.connection, &info.route)?;
        let EventInfo {
            id,
            received,
            route: _,
            scheme,
            secret,
            model,
            client,
            method,
            target,
            digest,
            order,
            duplicate,
        } = info;
        let order = order.as_ref().map(|order| order.as_str());
        let sql = "insert into event (seq, id, received, route, scheme, secret, model, client, method, target, digest, lane, \
             duplicate, duplicate_until, length, checksum) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
        self.connection.prepare_cached(sql)?.execute(params![
            seq,
            id.as_bytes(),
            of_time(*received),
            route,
            scheme,
            &**secret,
            model,
            client,
            method,
            target,
            digest,
            order,
            duplicate.map(|key| key.digest),
            duplicate.map(|key| of_time(key.until)),
            i64::try_from(event.content().len()).unwrap_or(i64::MAX),
            event.checksum(),
        ])?;
        content::store(self.connection, seq, event, &mut self.memory.next_piece)?;
        if let Some(key) = duplicate {
            self.seen(&info.route, *key)?;
        }
        let mut deliveries = Vec::with_capacity(event.upstreams().len());
        for upstream in event.upstreams() {
            let destination = Destination { route: info.route.clone(), upstream: upstream.clone() };
            let destination = self.memory.names.destination(self.connection, &destination)?;
            // The direct attempt was made at the route's own upstream.
            let first = event.attempted().filter(|_| *upstream == Upstream::Main);
            let new = New {
                event: seq,
                event_id: *id,
                destination,
                class: if first.is_some() { Class::Retry } else { Class::New },
                due: first.map_or(self.now, |first| first.due),
                since: *received,
                spent: u32::from(first.is_some()),
                attempts: u32::from(first.is_some()),
                lane: order.map(str::to_owned),
                size: event.size(),
            };
            let delivery = self.deliver(&new)?;
            if let Some(first) = first {
                self.attempt(delivery, 1, &first.attempt)?;
            }
            if order.is_none() && event.upstreams().len() == 1 {
                self.keep_new(delivery, new);
            }
            deliveries.push(DeliveryId(delivery));
        }
        Ok(deliveries)
    }

    fn deliver(&mut self, new: &New) -> rusqlite::Result<i64> {
        let id = self.memory.next_delivery;
        self.memory.next_delivery = id.saturating_add(1);
        let New { event, event_id, destination, class, due, since, spent, attempts, lane, size } = new;
        let is_first = match lane {
            Some(lane) => self.first_of_lane(*destination, lane)?.is_none(),
            None => true,
        };
        let sql = "insert into delivery \
             (id, event, destination, state, ready, class, due, since, spent, attempts, lane, size, seal) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        self.connection.prepare_cached(sql)?.execute(params![
            id,
            event,
            destination,
            QUEUED,
            is_first,
            of_class(*class),
            of_time(*due),
            of_time(*since),
            spent,
            attempts,
            lane,
            of_number(*size),
            seal(id, *event, *destination, *event_id),
        ])?;
        self.memory.counters.note(*destination, id, *size, Counted::Into(State::Queued));
        Ok(id)
    }

    /// Keeps a delivery that was just stored in memory. If too many are kept, the deliveries that were kept
    /// before are dropped.
    fn keep_new(&mut self, id: i64, new: New) {
        let New { event, event_id: _, destination, class, due: _, since, spent, attempts, lane, size } = new;
        let state = State::Queued;
        let stored =
            Stored { id, event, destination, state, class, since, spent, attempts, lane, size, ended: None };
        if self.memory.new.len() >= MOST_NEW {
            self.memory.new.clear();
        }
        self.memory.new.insert(id, stored);
    }

    fn first_of_lane(&self, destination: i64, lane: &str) -> rusqlite::Result<Option<i64>> {
        let sql = "select id from delivery indexed by delivery_lane \
             where destination = ?1 and lane = ?2 and state = 0 and lane is not null order by id limit 1";
        let mut find = self.connection.prepare_cached(sql)?;
        find.query_row(params![destination, lane], |row| row.get(0)).optional()
    }

    fn find(&self, id: i64) -> rusqlite::Result<Option<Stored>> {
        self.connection.prepare_cached(select!("where id = ?1"))?.query_row([id], stored).optional()
    }

    pub(super) fn of_event(&self, event: i64) -> rusqlite::Result<Vec<Stored>> {
        let mut find = self.connection.prepare_cached(select!("where event = ?1 order by id"))?;
        find.query_map([event], stored)?.collect()
    }

    /// Records an attempt of a queued delivery. If the delivery has ended or was removed, records nothing.
    fn complete(&mut self, completion: &Completion) -> rusqlite::Result<Settled> {
        let Completion { id: DeliveryId(id), since, attempt, next } = completion;
        let new = self.memory.new.remove(id);
        let is_only = new.is_some();
        let found = if is_only { new } else { self.find(*id)? };
        let Some(delivery) = found.filter(|delivery| delivery.state == State::Queued) else {
            return Ok(Settled::Yes);
        };
        let attempts = delivery.attempts.saturating_add(1);
        self.attempt(*id, attempts, attempt)?;
        if delivery.since != *since && *next != Next::Delivered {
            let sql = "update delivery set class = ?2, attempts = ?3 where id = ?1";
            let class = of_class(delivery.class.after_failure());
            self.connection.prepare_cached(sql)?.execute(params![id, class, attempts])?;
            return Ok(Settled::No);
        }
        match next {
            Next::Again { due, spends } => {
                let sql = "update delivery set due = ?2, class = ?3, spent = ?4, attempts = ?5 where id = ?1";
                let spent = delivery.spent.saturating_add(u32::from(*spends));
                let class = of_class(delivery.class.after_failure());
                self.connection.prepare_cached(sql)?.execute(params![
                    id,
                    of_time(*due),
                    class,
                    spent,
                    attempts
                ])?;
            }
            Next::Delivered => self.end(Stored { attempts, ..delivery }, is_only, State::Delivered)?,
            Next::Dead(cause) => self.end(Stored { attempts, ..delivery }, is_only, State::Dead(*cause))?,
        }
        Ok(Settled::Yes)
    }

    fn attempt(&self, delivery: i64, ordinal: u32, attempt: &Attempt) -> rusqlite::Result<()> {
        let Attempt { at, took, outcome, status, response, detail } = attempt;
        let sql = "insert or replace into attempt (delivery, number, at, took, outcome, status, response, detail) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        self.connection.prepare_cached(sql)?.execute(params![
            delivery,
            ordinal,
            of_time(*at),
            of_duration(*took),
            outcome.as_str(),
            status,
            kept(response),
            detail,
        ])?;
        // The oldest attempt that is no longer among the last attempts.
        let old = ordinal.saturating_sub(LAST_ATTEMPTS);
        if old > FIRST_ATTEMPTS {
            let sql = "delete from attempt where delivery = ?1 and number = ?2";
            self.connection.prepare_cached(sql)?.execute(params![delivery, old])?;
        }
        Ok(())
    }

    /// Ends a queued delivery. The next delivery of its lane can become due. `is_only`: it is certainly the
    /// only delivery of its event.
    fn end(&mut self, delivery: Stored, is_only: bool, state: State) -> rusqlite::Result<()> {
        let sql = "update delivery set state = ?2, ready = 0, attempts = ?3, ended = ?4 where id = ?1";
        let now = of_time(self.now);
        let values = params![delivery.id, of_state(state), delivery.attempts, now];
        self.connection.prepare_cached(sql)?.execute(values)?;
        self.count(&delivery, Counted::OutOf(State::Queued));
        self.count(&delivery, Counted::Into(state));
        self.advance(&delivery)?;
        let event = delivery.event;
        let all = match is_only {
            true => vec![Stored { state, ended: Some(now), ..delivery }],
            false => self.of_event(event)?,
        };
        if let Some((kind, at)) = finished(&all) {
            removal::finish(self.connection, kind, at, event)?;
        }
        Ok(())
    }

    /// Marks the first queued delivery of a lane as ready, after `left` has left the lane.
    fn advance(&mut self, left: &Stored) -> rusqlite::Result<()> {
        let Some(lane) = &left.lane else { return Ok(()) };
        let Some(first) = self.first_of_lane(left.destination, lane)? else { return Ok(()) };
        let sql = "update delivery set ready = 1 where id = ?1 and ready = 0";
        self.connection.prepare_cached(sql)?.execute([first])?;
        self.ready.insert(left.destination);
        Ok(())
    }

    fn count(&mut self, delivery: &Stored, change: Counted) {
        self.memory.counters.note(delivery.destination, delivery.id, delivery.size, change);
    }

    fn seen(&mut self, route: &RouteName, key: DuplicateKey) -> rusqlite::Result<()> {
        let route = self.memory.names.route(self.connection, route)?;
        let sql = "insert into seen (route, key, until) values (?1, ?2, ?3) \
             on conflict do update set until = max(until, excluded.until)";
        self.connection.prepare_cached(sql)?.execute(params![route, key.digest, of_time(key.until)])?;
        Ok(())
    }

    fn set_aside(&mut self, DeliveryId(id): DeliveryId) -> rusqlite::Result<()> {
        self.memory.new.remove(&id);
        match self.find(id)? {
            Some(delivery) if delivery.state == State::Queued => {
                self.end(delivery, false, State::Dead(DeadCause::Damaged))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn change(&mut self, change: &Change) -> rusqlite::Result<u64> {
        self.memory.new.clear();
        match change {
            Change::Pause(route) => {
                let route = self.memory.names.route(self.connection, route)?;
                let sql = "insert or ignore into paused (route) values (?1)";
                let met = self.connection.prepare_cached(sql)?.execute([route])?;
                Ok(u64::try_from(met).unwrap_or(0))
            }
            Change::Resume(route) => {
                let Some(route) = find_route(self.connection, route)? else { return Ok(0) };
                let mut of =
                    self.connection.prepare_cached("select number from destination where route = ?1")?;
                for destination in of.query_map([route], |row| row.get(0))? {
                    self.ready.insert(destination?);
                }
                let sql = "delete from paused where route = ?1";
                let met = self.connection.prepare_cached(sql)?.execute([route])?;
                Ok(u64::try_from(met).unwrap_or(0))
            }
            Change::Replay(id) => {
                let Some((event, true)) = self.find_event(id.as_bytes())? else { return Ok(0) };
                let all = self.of_event(event)?;
                self.replay(event, *id, &all, |_destination| true)?;
                Ok(1)
            }
            Change::ReplayDead(id) => {
                let Some((event, true)) = self.find_event(id.as_bytes())? else { return Ok(0) };
                let all = self.of_event(event)?;
                let dead = all.iter().filter(|delivery| matches!(delivery.state, State::Dead(_)));
                let dead: BTreeSet<_> = dead.map(|delivery| delivery.destination).collect();
                if dead.is_empty() {
                    return Ok(0);
                }
                self.replay(event, *id, &all, |destination| dead.contains(&destination))?;
                Ok(1)
            }
            Change::Discard(id) => {
                let Some((event, _)) = self.find_event(id.as_bytes())? else { return Ok(0) };
                self.remove(event)?;
                self.memory.write_next(self.connection)?;
                Ok(1)
            }
            Change::SaveJob(Job { id, document }) => {
                let sql = "insert or replace into job (id, document) values (?1, ?2)";
                self.connection.prepare_cached(sql)?.execute(params![id.as_bytes(), document])?;
                Ok(1)
            }
            Change::RemoveJob(id) => {
                let sql = "delete from job where id = ?1";
                let met = self.connection.prepare_cached(sql)?.execute([id.as_bytes()])?;
                Ok(u64::try_from(met).unwrap_or(0))
            }
        }
    }

    /// The number of an event, and whether its content is kept.
    fn find_event(&self, id: &[u8; 16]) -> rusqlite::Result<Option<(i64, bool)>> {
        let sql = "select e.seq, c.seq is not null from event e left join content c on c.seq = e.seq \
             where e.id = ?1 order by e.seq limit 1";
        let mut find = self.connection.prepare_cached(sql)?;
        find.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }

    /// Removes an event with all its rows.
    pub(super) fn remove(&mut self, event: i64) -> rusqlite::Result<()> {
        let all = self.of_event(event)?;
        if let Some((_, at)) = finished(&all) {
            removal::unfinish(self.connection, at, event)?;
        }
        let delete = |sql, number| self.connection.prepare_cached(sql)?.execute([number]);
        for delivery in &all {
            delete("delete from attempt where delivery = ?1", delivery.id)?;
            delete("delete from delivery where id = ?1", delivery.id)?;
        }
        content::remove(self.connection, event)?;
        delete("delete from event where seq = ?1", event)?;
        for delivery in &all {
            self.count(delivery, Counted::OutOf(delivery.state));
            if delivery.state == State::Queued {
                self.advance(delivery)?;
            }
        }
        Ok(())
    }

    fn replay(
        &mut self,
        event: i64,
        id: EventId,
        all: &[Stored],
        to: impl Fn(i64) -> bool,
    ) -> rusqlite::Result<()> {
        if let Some((_, at)) = finished(all) {
            removal::unfinish(self.connection, at, event)?;
        }
        let mut seen = BTreeSet::new();
        for destination in all.iter().map(|delivery| delivery.destination) {
            if !to(destination) || !seen.insert(destination) {
                continue;
            }
            self.ready.insert(destination);
            let of = || all.iter().filter(|delivery| delivery.destination == destination);
            if let Some(queued) = of().find(|delivery| delivery.state == State::Queued) {
                let sql = "update delivery set due = ?2, since = ?3, spent = 0 where id = ?1";
                let since = another_since(queued.since, self.now);
                let values = params![queued.id, of_time(self.now), of_time(since)];
                self.connection.prepare_cached(sql)?.execute(values)?;
                continue;
            }
            let dead = of().rfind(|delivery| matches!(delivery.state, State::Dead(_)));
            let Some(model) = dead.or_else(|| of().next_back()) else { continue };
            let new = New {
                event,
                event_id: id,
                destination,
                class: Class::Replay,
                due: self.now,
                since: self.now,
                spent: 0,
                attempts: dead.map_or(0, |dead| dead.attempts),
                lane: model.lane.clone(),
                size: model.size,
            };
            let number = self.deliver(&new)?;
            if let Some(dead) = dead {
                // The new delivery replaces the dead letter, and takes over its attempts.
                let sql = "update attempt set delivery = ?2 where delivery = ?1";
                self.connection.prepare_cached(sql)?.execute([dead.id, number])?;
                self.connection.prepare_cached("delete from delivery where id = ?1")?.execute([dead.id])?;
                self.count(dead, Counted::OutOf(dead.state));
            }
        }
        Ok(())
    }
}

/// A new delivery.
struct New {
    event: i64,
    event_id: EventId,
    destination: i64,
    class: Class,
    due: Time,
    since: Time,
    spent: u32,
    attempts: u32,
    lane: Option<String>,
    size: u64,
}

/// The kind of the next removal, and the time since when no delivery of the event is queued. `None` while a
/// delivery is queued.
pub(super) fn finished(all: &[Stored]) -> Option<(Kind, i64)> {
    if all.iter().any(|delivery| delivery.state == State::Queued) {
        return None;
    }
    let is_dead = all.iter().any(|delivery| matches!(delivery.state, State::Dead(_)));
    let ended = all.iter().filter_map(|delivery| delivery.ended).max()?;
    Some((if is_dead { Kind::Dead } else { Kind::Delivered }, ended))
}
