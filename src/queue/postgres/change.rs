//! Shell. Changes by operators, and the removal of events.

use std::collections::BTreeSet;

use crate::queue::id::EventId;
use crate::queue::postgres::commit::{Left, New, Work};
use crate::queue::postgres::discarded;
use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::tally::Counted;
use crate::queue::postgres::value::unsigned;
use crate::queue::row_values::{of_time, state, time};
use crate::queue::store::{Change, Class, Job, State, another_since};

/// The columns of a delivery that a change needs.
struct Stored {
    id: i64,
    destination: i64,
    state: State,
    since: i64,
    attempts: i64,
    lane: Option<Vec<u8>>,
    size: u64,
}

impl Work<'_> {
    /// Makes a change. Returns how many events or routes it affected.
    pub(super) async fn change(&mut self, change: &Change) -> Result<u64> {
        match change {
            Change::Pause(route) => {
                let route = self.number(route)?;
                let sql = "insert into paused (route) values ($1) on conflict do nothing";
                self.call.execute(sql, &[&route]).await
            }
            Change::Resume(route) => {
                let route = self.number(route)?;
                let sql = "select number from destination where route = $1";
                for row in self.call.query(sql, &[&route]).await? {
                    self.ready.insert(row.try_get(0)?);
                }
                self.call.execute("delete from paused where route = $1", &[&route]).await
            }
            Change::Replay(id) => {
                let Some(event) = self.find_whole(*id).await? else { return Ok(0) };
                let all = self.of_event(event).await?;
                self.replay(event, *id, &all, |_destination| true).await.map(|()| 1)
            }
            Change::ReplayDead(id) => {
                let Some(event) = self.find_whole(*id).await? else { return Ok(0) };
                let all = self.of_event(event).await?;
                let dead = all.iter().filter(|delivery| matches!(delivery.state, State::Dead(_)));
                let dead: BTreeSet<_> = dead.map(|delivery| delivery.destination).collect();
                if dead.is_empty() {
                    return Ok(0);
                }
                self.replay(event, *id, &all, |destination| dead.contains(&destination)).await.map(|()| 1)
            }
            Change::Discard(id) => {
                let sql = "select seq from event where id = $1 for update";
                match self.call.first(sql, &[&&id.as_bytes()[..]]).await? {
                    Some(row) => {
                        let owners = self.remove(&[row.try_get(0)?]).await?;
                        discarded::tell(self.call, *id, &owners).await.map(|()| 1)
                    }
                    None => Ok(0),
                }
            }
            Change::SaveJob(Job { id, document }) => {
                let sql = "insert into job (id, document, owner) values ($1, $2, $3) on conflict (id) do update \
                    set document = excluded.document, owner = excluded.owner";
                self.call.execute(sql, &[&&id.as_bytes()[..], document, &self.gateway]).await?;
                Ok(1)
            }
            Change::RemoveJob(id) => {
                self.call.execute("delete from job where id = $1", &[&&id.as_bytes()[..]]).await
            }
        }
    }

    /// Reads and locks the deliveries of an event.
    async fn of_event(&self, event: i64) -> Result<Vec<Stored>> {
        let sql = "select id, destination, state, since, attempts, lane, size from delivery where event = $1 \
            order by id for update";
        let rows = self.call.query(sql, &[&event]).await?;
        let stored = |row: &tokio_postgres::Row| {
            Ok::<_, Error>(Stored {
                id: row.try_get(0)?,
                destination: row.try_get(1)?,
                state: state(row.try_get(2)?),
                since: row.try_get(3)?,
                attempts: row.try_get(4)?,
                lane: row.try_get(5)?,
                size: unsigned(row.try_get(6)?),
            })
        };
        rows.iter().map(stored).collect()
    }

    /// The number of an event whose content is kept. The event is locked, and the purge of another gateway is
    /// waited for.
    async fn find_whole(&self, id: EventId) -> Result<Option<i64>> {
        let sql = "select seq from event where id = $1 for update";
        let Some(row) = self.call.first(sql, &[&&id.as_bytes()[..]]).await? else { return Ok(None) };
        let event: i64 = row.try_get(0)?;
        self.call.query("select 1 from finished where event = $1 for update", &[&event]).await?;
        // What is asked after that wait is true until the end of this transaction.
        let row = self.call.first("select seq from content where seq = $1", &[&event]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    async fn replay(
        &mut self,
        event: i64,
        id: EventId,
        all: &[Stored],
        to: impl Fn(i64) -> bool,
    ) -> Result<()> {
        self.call.execute("delete from finished where event = $1", &[&event]).await?;
        let mut done = BTreeSet::new();
        for destination in all.iter().map(|delivery| delivery.destination) {
            if !to(destination) || !done.insert(destination) {
                continue;
            }
            self.ready.insert(destination);
            let of = || all.iter().filter(|delivery| delivery.destination == destination);
            if let Some(queued) = of().find(|delivery| delivery.state == State::Queued) {
                let since = of_time(another_since(time(queued.since), self.now));
                let sql = "update delivery set due = $2, since = $3, spent = 0 where id = $1";
                self.call.execute(sql, &[&queued.id, &of_time(self.now), &since]).await?;
                continue;
            }
            let dead = of().rfind(|delivery| matches!(delivery.state, State::Dead(_)));
            let Some(model) = dead.or_else(|| of().next_back()) else { continue };
            let row = self.call.first("select nextval('hookgate.delivery_id')", &[]).await?;
            let number = row.ok_or(Error::Value)?.try_get(0)?;
            let new = New {
                id: number,
                event,
                event_id: id.as_bytes().to_vec(),
                destination,
                class: Class::Replay,
                due: self.now,
                since: self.now,
                spent: 0,
                attempts: dead.map_or(0, |dead| dead.attempts),
                lane: model.lane.clone(),
                size: model.size,
                // Any gateway may take it: it is not in the memory of this one.
                owner: None,
            };
            self.deliver(&[new]).await?;
            if let Some(dead) = dead {
                // The replay replaces the dead letter, and takes over its attempts.
                let sql = "update attempt set delivery = $2 where delivery = $1";
                self.call.execute(sql, &[&dead.id, &number]).await?;
                self.call.execute("delete from delivery where id = $1", &[&dead.id]).await?;
                self.tally.note(destination, dead.size, Counted::OutOf(dead.state));
            }
        }
        Ok(())
    }

    /// Removes events with all their rows. Returns the other gateways that have a delivery of the events in
    /// memory.
    pub(super) async fn remove(&mut self, events: &[i64]) -> Result<BTreeSet<i64>> {
        self.call.execute("delete from finished where event = any($1)", &[&events]).await?;
        let sql = "delete from delivery where event = any($1) returning event, destination, state, size, lane, id, owner";
        let (mut left, mut deliveries, mut owners) = (Vec::new(), Vec::<i64>::new(), BTreeSet::new());
        for row in self.call.query(sql, &[&events]).await? {
            let (destination, state) = (row.try_get(1)?, state(row.try_get(2)?));
            deliveries.push(row.try_get(5)?);
            self.tally.note(destination, unsigned(row.try_get(3)?), Counted::OutOf(state));
            if state == State::Queued {
                left.push(Left { event: row.try_get(0)?, destination, lane: row.try_get(4)? });
                owners.extend(row.try_get::<_, Option<i64>>(6)?.filter(|owner| *owner != self.gateway));
            }
        }
        // Another gateway may have recorded an attempt while the statement above waited for it, which that
        // statement does not see.
        self.call.execute("delete from attempt where delivery = any($1)", &[&deliveries]).await?;
        self.drop_contents(events).await?;
        let sql = "delete from event where seq = any($1)";
        for _ in 0..self.call.execute(sql, &[&events]).await? {
            self.tally.drop_event();
        }
        self.advance(&left).await.map(|()| owners)
    }

    /// Removes the content of events.
    pub(super) async fn drop_contents(&mut self, events: &[i64]) -> Result<()> {
        let sql = "with gone as (delete from content where seq = any($1) returning head, content) \
            select coalesce(sum(octet_length(head)::bigint + octet_length(content)), 0)::bigint from gone";
        if let Some(row) = self.call.first(sql, &[&events]).await? {
            self.tally.drop_content(row.try_get(0)?);
        }
        Ok(())
    }
}
