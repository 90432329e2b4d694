//! Shell. Reads lists of events by filter.

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::queue::event::Attempt;
use crate::queue::id::EventId;
use crate::queue::postgres::error::Result;
use crate::queue::postgres::finished_kind::DEAD;
use crate::queue::postgres::session::{Call, Value};
use crate::queue::postgres::value::{self, ATTEMPT, INFO, column, unsigned};
use crate::queue::row_values::{class, of_number, of_state, of_time, small, state, time};
use crate::queue::store::{
    DeadCause, DeadLetter, DeliveryId, DeliverySummary, Failure, Filter, Job, State, Summary,
};
use crate::queue::time::Time;

/// The most milliseconds between the time in an event's id and the time of its receipt. Only the ids are in an
/// index, so a filter by time searches a range of ids that is wider by this much.
const APART: u64 = 24 * 3600 * 1000;

/// The conditions of a filter, and their values.
struct Conditions {
    sql: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    /// The conditions of a filter. `None` if no event can match it.
    async fn of(call: &Call, filter: &Filter, before: Option<EventId>) -> Result<Option<Self>> {
        // Without this question, a search that no event matches reads every event.
        if !is_counted(call, filter).await? {
            return Ok(None);
        }
        Ok(Self::of_filter(filter, before))
    }

    fn of_filter(filter: &Filter, before: Option<EventId>) -> Option<Self> {
        let mut conditions = Self { sql: String::new(), values: Vec::new() };
        if filter.state.is_some() || filter.failure.is_some() {
            let failure = match &filter.failure {
                None => None,
                Some(word) => Some(Failure::read(word)?),
            };
            let is_damaged = failure == Some(Failure::Damaged);
            let takes = |state: &State| {
                filter.takes(*state) && (!is_damaged || *state == State::Dead(DeadCause::Damaged))
            };
            let states: Vec<i64> = State::ALL.into_iter().filter(takes).map(of_state).collect();
            conditions.in_deliveries(states, failure.as_ref())?;
        }
        if let Some(route) = &filter.route {
            // Neither a path nor PostgreSQL's text can contain a zero byte.
            conditions.and("r.path =", route.replace('\0', "\u{fffd}"));
        }
        if let Some(since) = filter.since {
            conditions.and("e.received >=", of_number(since));
            conditions.and("e.id >=", first_id(since.saturating_sub(APART)));
        }
        if let Some(until) = filter.until {
            conditions.and("e.received <", of_number(until));
            conditions.and("e.id <", first_id(until.saturating_add(APART)));
        }
        if let Some(model) = &filter.model {
            conditions.and("e.model =", model.clone().into_bytes());
        }
        if !filter.ids.is_empty() {
            let ids: Vec<Vec<u8>> = filter.event_ids().map(|id| id.as_bytes().to_vec()).collect();
            conditions.values.push(Box::new(ids));
            conditions.sql.push_str(&format!(" and e.id = any(${})", conditions.values.len()));
        }
        if let Some(before) = before {
            conditions.and("e.id <", before.as_bytes().to_vec());
        }
        Some(conditions)
    }

    fn and(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static) {
        self.values.push(Box::new(value));
        self.sql.push_str(&format!(" and {condition} ${}", self.values.len()));
    }

    /// Adds a condition on the states of deliveries. Dead letters are few and have an index of their own. Other
    /// states are common, so a search in any order soon finds them.
    fn in_deliveries(&mut self, states: Vec<i64>, failure: Option<&Failure>) -> Option<()> {
        let first = *states.first()?;
        let is_any_dead = first == 2 || (failure.is_some() && states.iter().all(|state| *state > 1));
        self.values.push(Box::new(states));
        let place = self.values.len();
        let column = match failure {
            None | Some(Failure::Damaged) => None,
            Some(Failure::Status(status)) => {
                self.values.push(Box::new(i64::from(*status)));
                Some("status")
            }
            Some(Failure::Outcome(outcome)) => {
                self.values.push(Box::new(outcome.as_str()));
                Some("outcome")
            }
        };
        let last = column.map_or_else(String::new, |column| {
            format!(
                " and (select a.{column} from attempt a where a.delivery = d.id order by a.number desc limit 1) = ${}",
                self.values.len()
            )
        });
        self.sql.push_str(&if is_any_dead {
            format!(
                " and e.seq in (select d.event from delivery d where d.state > 1 and d.state = any(${place}){last})"
            )
        } else {
            format!(
                " and exists (select 1 from delivery d where d.event = e.seq and d.state = any(${place}){last})"
            )
        });
        Some(())
    }

    fn values(&self) -> Vec<Value<'_>> {
        self.values.iter().map(|value| -> Value<'_> { &**value }).collect()
    }
}

/// Whether the counters have a delivery in a state and of a route that the filter takes.
async fn is_counted(call: &Call, filter: &Filter) -> Result<bool> {
    if filter.state.is_none() && filter.route.is_none() {
        return Ok(true);
    }
    let sql = "select coalesce(sum(t.queued), 0)::bigint, coalesce(sum(t.delivered), 0)::bigint, \
            coalesce(sum(t.dead), 0)::bigint \
        from tally t join destination n on n.number = t.destination join route r on r.number = n.route \
        where $1::text is null or r.path = $1";
    let route = filter.route.as_ref().map(|route| route.replace('\0', "\u{fffd}"));
    let Some(row) = call.first(sql, &[&route]).await? else { return Ok(true) };
    let takes = |state| filter.takes(state);
    let dead = State::ALL.into_iter().any(|state| matches!(state, State::Dead(_)) && takes(state));
    let of_states = [(0, takes(State::Queued)), (1, takes(State::Delivered)), (2, dead)];
    for (column, takes) in of_states {
        if takes && row.try_get::<_, i64>(column)? != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first id of a time.
fn first_id(millis: u64) -> Vec<u8> {
    let [_, _, a, b, c, d, e, f] = millis.min(0xffff_ffff_ffff).to_be_bytes();
    let mut id = vec![a, b, c, d, e, f];
    id.resize(16, 0);
    id
}

/// A page of events, the latest first. An event with an unreadable value is left out.
pub(super) async fn page(
    call: &Call,
    filter: &Filter,
    before: Option<EventId>,
    most: usize,
) -> Result<Vec<Summary>> {
    let Some(conditions) = Conditions::of(call, filter, before).await? else { return Ok(Vec::new()) };
    let sql = format!(
        "select {INFO} from event e join route r on r.number = e.route where true{} order by e.id desc limit {most}",
        conditions.sql
    );
    let rows = call.query(&sql, &conditions.values()).await?;
    summaries(call, &rows).await.map(|all| all.into_iter().map(|(_, summary)| summary).collect())
}

/// The ids of events, the earliest first.
pub(super) async fn ids(
    call: &Call,
    filter: &Filter,
    after: Option<EventId>,
    most: usize,
) -> Result<Vec<EventId>> {
    let Some(mut conditions) = Conditions::of(call, filter, None).await? else { return Ok(Vec::new()) };
    if let Some(after) = after {
        conditions.and("e.id >", after.as_bytes().to_vec());
    }
    let sql = format!(
        "select e.id from event e join route r on r.number = e.route where true{} order by e.id limit {most}",
        conditions.sql
    );
    let rows = call.query(&sql, &conditions.values()).await?;
    // An unreadable id is left out.
    let ids = rows.iter().map(|row| row.try_get::<_, &[u8]>(0).ok().and_then(|id| value::id(id).ok()));
    Ok(ids.flatten().collect())
}

/// How many events match a filter. Stops counting at `most`.
pub(super) async fn count(call: &Call, filter: &Filter, most: u64) -> Result<u64> {
    let Some(conditions) = Conditions::of(call, filter, None).await? else { return Ok(0) };
    let sql = format!(
        "select count(*) from (select 1 from event e join route r on r.number = e.route where true{} limit {}) met",
        conditions.sql,
        of_number(most)
    );
    match call.first(&sql, &conditions.values()).await? {
        Some(row) => Ok(unsigned(row.try_get(0)?)),
        None => Ok(0),
    }
}

/// Takes the jobs on which no other gateway works, the earliest first. From then on, these jobs belong to this
/// gateway.
pub(super) async fn take_jobs(call: &Call, gateway: i64) -> Result<Vec<Job>> {
    let sql = "update job j set owner = $1 where j.owner is null or j.owner = $1 or not exists \
            (select 1 from gateway g where g.id = j.owner and g.alive_until > clock_timestamp()) \
        returning id, document";
    let rows = call.query(sql, &[&gateway]).await?;
    let job = |row: &Row| Ok(Job { id: value::id(row.try_get(0)?)?, document: row.try_get(1)? });
    let mut jobs = rows.iter().map(job).collect::<Result<Vec<Job>>>()?;
    jobs.sort_by_key(|job| job.id);
    Ok(jobs)
}

/// Dead letters that ended after `after`, up to `until`, in the order of their ends.
pub(super) async fn dead_letters(
    call: &Call,
    after: Time,
    until: Time,
    most: usize,
) -> Result<Vec<DeadLetter>> {
    let sql = "select e.id, f.at, r.path, r.model from finished f join event e on e.seq = f.event \
        join route r on r.number = e.route where f.kind = $1 and f.at > $2 and f.at <= $3 \
        order by f.at, f.event limit $4";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = call.query(sql, &[&DEAD, &of_time(after), &of_time(until), &most]).await?;
    let letter = |row: &Row| {
        let ended = time(row.try_get(1)?);
        Ok(DeadLetter { event: value::id(row.try_get(0)?)?, route: value::route(row, 2)?, ended })
    };
    rows.iter().map(letter).collect()
}

/// One event, and its number.
pub(super) async fn find(call: &Call, id: EventId) -> Result<Option<(i64, Summary)>> {
    let sql = format!("select {INFO} from event e join route r on r.number = e.route where e.id = $1");
    let rows = call.query(&sql, &[&&id.as_bytes()[..]]).await?;
    Ok(summaries(call, &rows).await?.into_iter().next())
}

/// Events with their deliveries, in the order of these rows.
async fn summaries(call: &Call, rows: &[Row]) -> Result<Vec<(i64, Summary)>> {
    let mut seqs = Vec::with_capacity(rows.len());
    for row in rows {
        seqs.push(row.try_get::<_, i64>(column::SEQ)?);
    }
    let mut deliveries = deliveries(call, &seqs).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (row, seq) in rows.iter().zip(seqs) {
        let info = match value::info(row, 0) {
            Ok(info) => info,
            Err(error) if error.is_of_value() => continue,
            Err(error) => return Err(error),
        };
        let length = unsigned(row.try_get(column::LENGTH)?);
        let deliveries = deliveries.remove(&seq).unwrap_or_default();
        all.push((seq, Summary { info, length, deliveries }));
    }
    Ok(all)
}

/// The deliveries of events, each with its last attempt.
async fn deliveries(call: &Call, events: &[i64]) -> Result<HashMap<i64, Vec<DeliverySummary>>> {
    let sql = format!(
        "select d.event, d.id, n.upstream, d.state, d.class, d.due, d.attempts, d.lane, d.ended, \
            a.delivery is not null, {ATTEMPT} \
        from delivery d join destination n on n.number = d.destination left join lateral \
            (select * from attempt a where a.delivery = d.id order by a.number desc limit 1) a on true \
        where d.event = any($1) order by d.id"
    );
    let mut all: HashMap<i64, Vec<DeliverySummary>> = HashMap::new();
    for row in call.query(&sql, &[&events]).await? {
        let upstream: &str = row.try_get(2)?;
        let has_attempt: bool = row.try_get(9)?;
        let summary = DeliverySummary {
            id: DeliveryId(row.try_get(1)?),
            upstream: crate::queue::event::Upstream::read(upstream),
            state: state(row.try_get(3)?),
            class: class(row.try_get(4)?),
            due: time(row.try_get(5)?),
            attempts: small(row.try_get(6)?),
            order: value::lane(row.try_get(7)?)?,
            ended: row.try_get::<_, Option<i64>>(8)?.map(time),
            last: if has_attempt { Some(value::attempt(&row, 10)?) } else { None },
        };
        all.entry(row.try_get(0)?).or_default().push(summary);
    }
    Ok(all)
}

/// The attempts of each delivery, the earliest first.
pub(super) async fn attempts(call: &Call, summary: &Summary) -> Result<Vec<Vec<Attempt>>> {
    let ids: Vec<i64> =
        summary.deliveries.iter().map(|DeliverySummary { id: DeliveryId(id), .. }| *id).collect();
    let sql =
        format!("select delivery, {ATTEMPT} from attempt where delivery = any($1) order by delivery, number");
    let mut of: HashMap<i64, Vec<Attempt>> = HashMap::new();
    for row in call.query(&sql, &[&ids]).await? {
        of.entry(row.try_get(0)?).or_default().push(value::attempt(&row, 1)?);
    }
    Ok(ids.iter().map(|id| of.remove(id).unwrap_or_default()).collect())
}
