//! Shell. Writes a batch in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use crate::queue::event::{Attempt, DuplicateKey, Event, FirstAttempt, RouteName, Upstream};
use crate::queue::postgres::claim::release;
use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::names::Names;
use crate::queue::postgres::schema::lock_lanes;
use crate::queue::postgres::session::Call;
use crate::queue::postgres::tally::{Counted, Tally};
use crate::queue::postgres::value::{count_of, ready};
use crate::queue::row_values::{QUEUED, kept, of_class, of_duration, of_number, of_state, of_time, state};
use crate::queue::store::{
    Batch, Change, Class, Committed, Completion, DeadCause, DeliveryId, Destination, FIRST_ATTEMPTS,
    LAST_ATTEMPTS, Next, State,
};
use crate::queue::time::Time;

/// A transaction under way.
pub(super) struct Work<'w> {
    pub(super) call: &'w Call,
    pub(super) names: &'w Names,
    /// The number of this gateway.
    pub(super) gateway: i64,
    pub(super) now: Time,
    pub(super) tally: Tally,
    /// The destinations for which a delivery may have become due.
    pub(super) ready: BTreeSet<i64>,
}

/// Reads or creates the numbers of the routes and destinations of a batch.
pub(super) async fn name_all(call: &Call, names: &mut Names, batch: &Batch<'_>) -> Result<()> {
    for event in &batch.events {
        let route = &event.info().route;
        for upstream in event.upstreams() {
            let destination = Destination { route: route.clone(), upstream: upstream.clone() };
            names.destination(call, &destination).await?;
        }
    }
    for (route, _) in &batch.seen {
        names.route(call, route).await?;
    }
    for (route, _) in &batch.released {
        names.route(call, route).await?;
    }
    for change in &batch.changes {
        match change {
            Change::Pause(route) | Change::Resume(route) => {
                names.route(call, route).await?;
            }
            Change::Replay(_)
            | Change::ReplayDead(_)
            | Change::Discard(_)
            | Change::SaveJob(_)
            | Change::RemoveJob(_) => {}
        }
    }
    Ok(())
}

/// Deliveries that have ended, with the columns that the next steps need.
pub(super) struct Left {
    pub(super) event: i64,
    pub(super) destination: i64,
    pub(super) lane: Option<Vec<u8>>,
}

impl Work<'_> {
    /// Writes a batch. The caller commits.
    pub(super) async fn batch(&mut self, batch: &Batch<'_>) -> Result<Committed> {
        lock_lanes(self.call, self.lanes(batch).await?).await?;
        let deliveries = self.events(batch).await?;
        let superseded = self.complete(&batch.completions).await?;
        self.seen(batch).await?;
        self.set_aside(&batch.damaged).await?;
        for (route, key) in &batch.released {
            let route = self.number(route)?;
            release(self.call, route, key, self.gateway).await?;
        }
        let mut changed = Vec::with_capacity(batch.changes.len());
        for change in &batch.changes {
            changed.push(self.change(change).await?);
        }
        self.tally.write(self.call, self.gateway).await?;
        let ready = ready(self.call, &self.ready).await?;
        Ok(Committed { deliveries, superseded, changed, ready })
    }

    /// The routes whose lanes the batch may change, in ascending order.
    async fn lanes(&self, batch: &Batch<'_>) -> Result<BTreeSet<i64>> {
        let ordered = batch.events.iter().filter(|event| event.info().order.is_some());
        let mut routes: BTreeSet<i64> =
            ordered.filter_map(|event| self.names.known_route(&event.info().route)).collect();
        let completed = batch.completions.iter().map(|completion| completion.id);
        let deliveries: Vec<i64> =
            completed.chain(batch.damaged.iter().copied()).map(|DeliveryId(id)| id).collect();
        let events: Vec<&[u8]> = batch
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Replay(id) | Change::ReplayDead(id) | Change::Discard(id) => Some(&id.as_bytes()[..]),
                Change::Pause(_) | Change::Resume(_) | Change::SaveJob(_) | Change::RemoveJob(_) => None,
            })
            .collect();
        if !deliveries.is_empty() || !events.is_empty() {
            // The lane of a delivery never changes, so it is read before the locks are taken.
            let sql = "select distinct n.route from delivery d join destination n on n.number = d.destination \
                where d.lane is not null and d.id = any($1) \
                union select e.route from event e where e.lane is not null and e.id = any($2)";
            for row in self.call.query(sql, &[&deliveries, &events]).await? {
                routes.insert(row.try_get(0)?);
            }
        }
        Ok(routes)
    }

    async fn draw(&self, sequence: &str, count: usize) -> Result<std::vec::IntoIter<i64>> {
        let sql = "select nextval($1::text::regclass) from generate_series(1, $2::bigint)";
        let rows = self.call.query(sql, &[&sequence, &count_of(count)]).await?;
        let numbers: std::result::Result<Vec<i64>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        let mut numbers = numbers?;
        numbers.sort_unstable();
        Ok(numbers.into_iter())
    }

    /// Writes new events with their deliveries.
    async fn events(&mut self, batch: &Batch<'_>) -> Result<Vec<Vec<DeliveryId>>> {
        let events = &batch.events;
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let seqs: Vec<i64> = self.draw("hookgate.event_seq", events.len()).await?.collect();
        let upstreams = events.iter().map(|event| event.upstreams().len()).fold(0, usize::saturating_add);
        let mut ids = self.draw("hookgate.delivery_id", upstreams).await?;
        let mut rows = EventRows::default();
        let mut new = Vec::with_capacity(upstreams);
        let mut first_attempts = Vec::new();
        let mut deliveries = Vec::with_capacity(events.len());
        for (event, seq) in events.iter().copied().zip(seqs) {
            let info = event.info();
            let route = self.names.known_route(&info.route).ok_or(Error::Value)?;
            rows.push(event, seq, route);
            let mut of_event = Vec::with_capacity(event.upstreams().len());
            for upstream in event.upstreams() {
                let to = Destination { route: info.route.clone(), upstream: upstream.clone() };
                let destination = self.names.known(&to).ok_or(Error::Value)?;
                let id = ids.next().ok_or(Error::Value)?;
                // The direct attempt was made at the route's own upstream.
                let first = event.attempted().filter(|_| *upstream == Upstream::Main);
                new.push(New {
                    id,
                    event: seq,
                    event_id: info.id.as_bytes().to_vec(),
                    destination,
                    class: if first.is_some() { Class::Retry } else { Class::New },
                    due: first.map_or(self.now, |first| first.due),
                    since: info.received,
                    spent: i64::from(first.is_some()),
                    attempts: i64::from(first.is_some()),
                    lane: info.order.as_ref().map(|order| order.as_str().as_bytes().to_vec()),
                    size: event.size(),
                    owner: batch.hands(event, &to).then_some(self.gateway),
                });
                first_attempts.extend(first.map(|FirstAttempt { attempt, .. }| (id, 1, attempt)));
                of_event.push(DeliveryId(id));
            }
            deliveries.push(of_event);
        }
        rows.insert(self.call).await?;
        self.tally.keep(events.iter().map(|event| event.size()));
        self.deliver(&new).await?;
        self.attempts(&first_attempts).await.map(|()| deliveries)
    }

    /// Writes new deliveries. In a lane, only the first delivery is ready.
    pub(super) async fn deliver(&mut self, new: &[New]) -> Result<()> {
        let sql = "with new as ( \
                select *, row_number() over (partition by destination, lane order by id) as place \
                from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], \
                    $7::bigint[], $8::bigint[], $9::bigint[], $10::bytea[], $11::bigint[], $12::bigint[]) \
                as u(id, event, event_id, destination, class, due, since, spent, attempts, lane, size, owner) \
            ) \
            insert into delivery (id, event, event_id, destination, state, ready, class, due, since, spent, attempts, \
                lane, size, owner) \
            select id, event, event_id, destination, 0, \
                lane is null or place = 1 and (select d.id from delivery d where d.destination = new.destination \
                    and d.lane = new.lane and d.state = 0 and d.lane is not null order by d.id limit 1) is null, \
                class, due, since, spent, attempts, lane, size, owner \
            from new";
        let of = |value: fn(&New) -> i64| new.iter().map(value).collect::<Vec<i64>>();
        let event_ids: Vec<&[u8]> = new.iter().map(|new| &new.event_id[..]).collect();
        let owners: Vec<Option<i64>> = new.iter().map(|new| new.owner).collect();
        let lanes: Vec<Option<&[u8]>> = new.iter().map(|new| new.lane.as_deref()).collect();
        self.call
            .execute(
                sql,
                &[
                    &of(|new| new.id),
                    &of(|new| new.event),
                    &event_ids,
                    &of(|new| new.destination),
                    &of(|new| of_class(new.class)),
                    &of(|new| of_time(new.due)),
                    &of(|new| of_time(new.since)),
                    &of(|new| new.spent),
                    &of(|new| new.attempts),
                    &lanes,
                    &of(|new| of_number(new.size)),
                    &owners,
                ],
            )
            .await?;
        for new in new {
            self.tally.note(new.destination, new.size, Counted::Into(State::Queued));
        }
        Ok(())
    }

    /// Writes attempts: the number of the delivery, the ordinal, and the attempt.
    async fn attempts(&self, attempts: &[(i64, i64, &Attempt)]) -> Result<()> {
        if attempts.is_empty() {
            return Ok(());
        }
        let sql = "insert into attempt (delivery, number, at, took, outcome, status, response, detail) \
            select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], \
                $7::bytea[], $8::text[])";
        let deliveries: Vec<i64> = attempts.iter().map(|(delivery, _, _)| *delivery).collect();
        let ordinals: Vec<i64> = attempts.iter().map(|(_, ordinal, _)| *ordinal).collect();
        let columns = AttemptColumns::of(attempts.iter().map(|(_, _, attempt)| *attempt));
        let AttemptColumns { at, took, outcome, status, response, detail } = &columns;
        self.call
            .execute(sql, &[&deliveries, &ordinals, at, took, outcome, status, response, detail])
            .await?;
        Ok(())
    }

    /// Records attempts of queued deliveries. If a delivery has ended or was removed, records nothing. If
    /// another gateway has the delivery in memory, that gateway decides what follows, unless the attempt
    /// delivered the event.
    async fn complete(&mut self, completions: &[Completion]) -> Result<Vec<DeliveryId>> {
        if completions.is_empty() {
            return Ok(Vec::new());
        }
        let sql = "with done as ( \
                select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bytea[], \
                    $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $13::bigint[]) \
                as u(id, at, took, outcome, status, response, detail, state, due, spends, since) \
            ), known as ( \
                select d.id, done.state = 1 or done.since = d.since as settles \
                from delivery d join done on done.id = d.id \
                where d.state = 0 and (d.owner is null or d.owner = $11 or done.state = 1) \
                order by d.id for update of d \
            ), changed as ( \
                update delivery d set \
                    attempts = d.attempts + 1, \
                    spent = case when settles then d.spent + done.spends else d.spent end, \
                    class = case when done.state <> 1 and (done.state = 0 or not settles) and d.class = 0 then 1 \
                        else d.class end, \
                    due = case when settles and done.state = 0 then done.due else d.due end, \
                    state = case when settles then done.state else 0 end, \
                    ready = d.ready and (done.state = 0 or not settles), \
                    ended = case when settles and done.state <> 0 then $12::bigint end, \
                    owner = null \
                from known join done on done.id = known.id where d.id = known.id \
                returning d.id, d.event, d.destination, d.state, d.attempts, d.size, d.lane, known.settles \
            ), noted as ( \
                insert into attempt (delivery, number, at, took, outcome, status, response, detail) \
                select changed.id, changed.attempts, done.at, done.took, done.outcome, done.status, done.response, \
                    done.detail \
                from changed join done on done.id = changed.id \
            ) \
            select event, destination, state, size, lane, id, attempts, settles from changed order by id";
        let ids: Vec<i64> = completions.iter().map(|Completion { id: DeliveryId(id), .. }| *id).collect();
        let columns = AttemptColumns::of(completions.iter().map(|completion| &completion.attempt));
        let AttemptColumns { at, took, outcome, status, response, detail } = &columns;
        let (mut states, mut dues, mut spends) = (Vec::new(), Vec::new(), Vec::new());
        for completion in completions {
            let (state, due, spent) = match completion.next {
                Next::Delivered => (State::Delivered, 0, 0),
                Next::Dead(cause) => (State::Dead(cause), 0, 0),
                Next::Again { due, spends } => (State::Queued, of_time(due), i64::from(spends)),
            };
            states.push(of_state(state));
            dues.push(due);
            spends.push(spent);
        }
        let since: Vec<i64> = completions.iter().map(|completion| of_time(completion.since)).collect();
        let now = of_time(self.now);
        let rows = self
            .call
            .query(
                sql,
                &[
                    &ids,
                    at,
                    took,
                    outcome,
                    status,
                    response,
                    detail,
                    &states,
                    &dues,
                    &spends,
                    &self.gateway,
                    &now,
                    &since,
                ],
            )
            .await?;
        self.drop_old_attempts(&rows).await?;
        self.ended(&rows).await?;
        let mut unsettled = BTreeSet::new();
        for row in &rows {
            if !row.try_get::<_, bool>(7)? {
                unsettled.insert(DeliveryId(row.try_get(5)?));
            }
        }
        let completed = completions.iter().map(|completion| completion.id);
        let superseded = completed.filter(|id| unsettled.contains(id)).collect();
        Ok(superseded)
    }

    /// Removes attempts that are no longer among the last attempts.
    async fn drop_old_attempts(&self, rows: &[tokio_postgres::Row]) -> Result<()> {
        let (mut deliveries, mut numbers) = (Vec::<i64>::new(), Vec::<i64>::new());
        for row in rows {
            let attempts: i64 = row.try_get(6)?;
            let old = attempts.saturating_sub(i64::from(LAST_ATTEMPTS));
            if old > i64::from(FIRST_ATTEMPTS) {
                deliveries.push(row.try_get(5)?);
                numbers.push(old);
            }
        }
        if !deliveries.is_empty() {
            let sql = "delete from attempt where (delivery, number) in (select * from unnest($1::bigint[], $2::bigint[]))";
            self.call.execute(sql, &[&deliveries, &numbers]).await?;
        }
        Ok(())
    }

    /// Processes ended deliveries: rows with event, destination, state, size and lane.
    pub(super) async fn ended(&mut self, rows: &[tokio_postgres::Row]) -> Result<()> {
        let mut left = Vec::new();
        for row in rows {
            let state = state(row.try_get(2)?);
            if state == State::Queued {
                continue;
            }
            let (destination, size) = (row.try_get(1)?, row.try_get::<_, i64>(3)?);
            let size = u64::try_from(size).unwrap_or(0);
            self.tally.note(destination, size, Counted::OutOf(State::Queued));
            self.tally.note(destination, size, Counted::Into(state));
            left.push(Left { event: row.try_get(0)?, destination, lane: row.try_get(4)? });
        }
        if left.is_empty() {
            return Ok(());
        }
        self.advance(&left).await?;
        let events: Vec<i64> = left.iter().map(|left| left.event).collect();
        // Two gateways may end the last two deliveries of an event at the same time.
        let sql = "select 1 from event e where e.seq = any($1) and exists \
            (select 1 from delivery d where d.event = e.seq offset 1) order by e.seq for update of e";
        self.call.query(sql, &[&events]).await?;
        let sql = "insert into finished (kind, at, event) \
            select case when bool_or(state > 1) then 2 else 0 end, max(ended), event \
            from delivery where event = any($1) group by event having bool_and(state <> 0) on conflict do nothing";
        self.call.execute(sql, &[&events]).await?;
        Ok(())
    }

    /// Marks the first queued delivery as ready, in each lane that a delivery has left.
    pub(super) async fn advance(&mut self, left: &[Left]) -> Result<()> {
        let lanes: BTreeSet<(i64, &[u8])> =
            left.iter().filter_map(|left| Some((left.destination, left.lane.as_deref()?))).collect();
        if lanes.is_empty() {
            return Ok(());
        }
        let (destinations, lanes): (Vec<i64>, Vec<&[u8]>) = lanes.into_iter().unzip();
        let sql = "update delivery set ready = true where id in ( \
                select (select d.id from delivery d where d.destination = u.destination and d.lane = u.lane \
                    and d.state = 0 and d.lane is not null order by d.id limit 1) \
                from unnest($1::bigint[], $2::bytea[]) as u(destination, lane)) \
            returning destination";
        for row in self.call.query(sql, &[&destinations, &lanes]).await? {
            self.ready.insert(row.try_get(0)?);
        }
        Ok(())
    }

    /// Records duplicate keys, and ends the claims of this gateway on them.
    async fn seen(&self, batch: &Batch<'_>) -> Result<()> {
        let of_events = batch.events.iter().filter_map(|event| {
            let info = event.info();
            Some((&info.route, info.duplicate?))
        });
        let direct = batch.seen.iter().map(|(route, key)| (route, *key));
        let mut all: BTreeMap<(i64, [u8; 32]), Time> = BTreeMap::new();
        for (route, DuplicateKey { digest, until }) in of_events.chain(direct) {
            let route = self.number(route)?;
            let known = all.entry((route, digest)).or_insert(until);
            *known = until.max(*known);
        }
        if all.is_empty() {
            return Ok(());
        }
        let routes: Vec<i64> = all.keys().map(|(route, _)| *route).collect();
        let keys: Vec<&[u8]> = all.keys().map(|(_, key)| &key[..]).collect();
        let until: Vec<i64> = all.values().map(|until| of_time(*until)).collect();
        let sql = "insert into seen (route, key, until) select * from unnest($1::bigint[], $2::bytea[], $3::bigint[]) \
            on conflict (route, key) do update set until = greatest(seen.until, excluded.until)";
        self.call.execute(sql, &[&routes, &keys, &until]).await?;
        let sql = "delete from claim where owner = $3 and (route, key) in \
            (select * from unnest($1::bigint[], $2::bytea[]))";
        self.call.execute(sql, &[&routes, &keys, &self.gateway]).await?;
        Ok(())
    }

    pub(super) fn number(&self, route: &RouteName) -> Result<i64> {
        self.names.known_route(route).ok_or(Error::Value)
    }

    async fn set_aside(&mut self, damaged: &[DeliveryId]) -> Result<()> {
        if damaged.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = damaged.iter().map(|DeliveryId(id)| *id).collect();
        let sql = "update delivery set state = $2, ready = false, ended = $3, owner = null \
            where id = any($1) and state = 0 returning event, destination, state, size, lane";
        let dead = of_state(State::Dead(DeadCause::Damaged));
        let rows = self.call.query(sql, &[&ids, &dead, &of_time(self.now)]).await?;
        self.ended(&rows).await
    }
}

/// A new delivery.
pub(super) struct New {
    pub(super) id: i64,
    pub(super) event: i64,
    pub(super) event_id: Vec<u8>,
    pub(super) destination: i64,
    pub(super) class: Class,
    pub(super) due: Time,
    pub(super) since: Time,
    pub(super) spent: i64,
    pub(super) attempts: i64,
    pub(super) lane: Option<Vec<u8>>,
    pub(super) size: u64,
    /// The gateway that has it in memory.
    pub(super) owner: Option<i64>,
}

/// The columns of attempts.
#[derive(Default)]
struct AttemptColumns<'a> {
    at: Vec<i64>,
    took: Vec<i64>,
    outcome: Vec<&'static str>,
    status: Vec<Option<i64>>,
    response: Vec<&'a [u8]>,
    detail: Vec<Option<String>>,
}

impl<'a> AttemptColumns<'a> {
    fn of(attempts: impl Iterator<Item = &'a Attempt>) -> Self {
        let mut columns = Self::default();
        for Attempt { at, took, outcome, status, response, detail } in attempts {
            columns.at.push(of_time(*at));
            columns.took.push(of_duration(*took));
            columns.outcome.push(outcome.as_str());
            columns.status.push(status.map(i64::from));
            columns.response.push(kept(response));
            // PostgreSQL's text cannot contain a zero byte.
            columns.detail.push(detail.as_ref().map(|detail| detail.replace('\0', " ")));
        }
        columns
    }
}

/// The columns of new events.
#[derive(Default)]
struct EventRows<'e> {
    seq: Vec<i64>,
    id: Vec<&'e [u8]>,
    received: Vec<i64>,
    route: Vec<i64>,
    scheme: Vec<&'e str>,
    secret: Vec<&'e [u8]>,
    model: Vec<Option<&'e [u8]>>,
    client: Vec<&'e [u8]>,
    method: Vec<&'e [u8]>,
    target: Vec<&'e [u8]>,
    digest: Vec<&'e [u8]>,
    lane: Vec<Option<&'e [u8]>>,
    duplicate: Vec<Option<&'e [u8]>>,
    duplicate_until: Vec<Option<i64>>,
    length: Vec<i64>,
    checksum: Vec<&'e [u8]>,
    head: Vec<&'e [u8]>,
    content: Vec<&'e [u8]>,
}

impl<'e> EventRows<'e> {
    fn push(&mut self, event: &'e Event, seq: i64, route: i64) {
        let info = event.info();
        self.seq.push(seq);
        self.id.push(info.id.as_bytes());
        self.received.push(of_time(info.received));
        self.route.push(route);
        self.scheme.push(&info.scheme);
        self.secret.push(info.secret.as_bytes());
        self.model.push(info.model.as_deref().map(str::as_bytes));
        self.client.push(info.client.as_bytes());
        self.method.push(info.method.as_bytes());
        self.target.push(&info.target);
        self.digest.push(&info.digest);
        self.lane.push(info.order.as_ref().map(|order| order.as_str().as_bytes()));
        self.duplicate.push(info.duplicate.as_ref().map(|key| &key.digest[..]));
        self.duplicate_until.push(info.duplicate.map(|key| of_time(key.until)));
        self.length.push(count_of(event.content().len()));
        self.checksum.push(event.checksum());
        self.head.push(event.head());
        self.content.push(event.content());
    }

    async fn insert(&self, call: &Call) -> Result<()> {
        let sql = "insert into event (seq, id, received, route, scheme, secret, model, client, method, target, digest, \
                lane, duplicate, duplicate_until, length, checksum) \
            select * from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[], \
                $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], \
                $14::bigint[], $15::bigint[], $16::bytea[])";
        call.execute(
            sql,
            &[
                &self.seq,
                &self.id,
                &self.received,
                &self.route,
                &self.scheme,
                &self.secret,
                &self.model,
                &self.client,
                &self.method,
                &self.target,
                &self.digest,
                &self.lane,
                &self.duplicate,
                &self.duplicate_until,
                &self.length,
                &self.checksum,
            ],
        )
        .await?;
        let sql = "insert into content (seq, head, content) select * from unnest($1::bigint[], $2::bytea[], $3::bytea[])";
        call.execute(sql, &[&self.seq, &self.head, &self.content]).await?;
        Ok(())
    }
}

/// The state of a queued delivery is 0 in the statements above.
const _: () = assert!(QUEUED == 0);
