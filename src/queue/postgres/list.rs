//! Shell. Reads lists of events by filter.

use std::collections::HashMap;

use tokio_postgres::Row;

use crate::queue::event::Attempt;
use crate::queue::id::EventId;
use crate::queue::postgres::error::Result;
use crate::queue::postgres::finished_kind::DEAD;
use crate::queue::postgres::search;
use crate::queue::postgres::session::Call;
use crate::queue::postgres::value::{self, ATTEMPT, INFO, column, unsigned};
use crate::queue::row_values::{class, of_time, small, state, time};
use crate::queue::store::{
    Bounds, DeadGroup, DeadLetter, DeadPart, DeliveryId, DeliverySummary, Filter, Found, Job, Order, State,
    Summary,
};
use crate::queue::time::Time;

/// A page of events, the latest first. An event with an unreadable value is left out.
pub(super) async fn page(
    call: &Call,
    filter: &Filter,
    before: Option<EventId>,
    bounds: Bounds,
) -> Result<Found<Summary>> {
    let (rows, next) = search::find(call, filter, (Order::LatestFirst, before), bounds, INFO).await?;
    let found = summaries(call, &rows).await?.into_iter().map(|(_, summary)| summary).collect();
    Ok(Found { found, next })
}

/// The ids of events, the earliest first. An unreadable id is left out.
pub(super) async fn ids(
    call: &Call,
    filter: &Filter,
    after: Option<EventId>,
    bounds: Bounds,
) -> Result<Found<EventId>> {
    let (rows, next) = search::find(call, filter, (Order::EarliestFirst, after), bounds, "e.id").await?;
    Ok(Found { found: rows.iter().filter_map(search::id).collect(), next })
}

/// A part of the dead letters, in groups of equal failures. A group with an unreadable value is left out.
pub(super) async fn dead_part(call: &Call, before: Option<i64>, most: usize) -> Result<DeadPart> {
    let before = before.unwrap_or(i64::MAX);
    let offset = i64::try_from(most.saturating_sub(1)).unwrap_or(i64::MAX);
    let sql = "select d.event from delivery d where d.state > 1 and d.event < $1 order by d.event desc \
        limit 1 offset $2";
    let next: Option<i64> = match call.first(sql, &[&before, &offset]).await? {
        Some(row) => Some(row.try_get(0)?),
        None => None,
    };
    let from = next.unwrap_or(i64::MIN);
    let sql =
        "select count(distinct d.event) from delivery d where d.state > 1 and d.event >= $1 and d.event < $2";
    let events = match call.first(sql, &[&from, &before]).await? {
        Some(row) => unsigned(row.try_get(0)?),
        None => 0,
    };
    // A damaged record has only its kind. The outcome counts only without an answer, because an answer
    // has a status.
    let sql = format!(
        "select r.path, r.model, d.state, e.id, g.events, first.received, latest.received, a.delivery is not null, {ATTEMPT} \
        from (select route, kind, code, word, count(distinct event) as events, min(event) as first, \
            max(event) as latest, max(id) as id from \
            (select d.event, d.id, n.route, \
                case when d.state = 4 or a.delivery is null then d.state end as kind, \
                case when d.state <> 4 then a.status end as code, \
                case when d.state <> 4 and a.status is null then a.outcome end as word \
            from delivery d join destination n on n.number = d.destination left join lateral \
                (select * from attempt a where a.delivery = d.id order by a.number desc limit 1) a on true \
            where d.state > 1 and d.event >= $1 and d.event < $2) failed \
        group by route, kind, code, word) g \
        join route r on r.number = g.route join delivery d on d.id = g.id join event e on e.seq = d.event \
        join event first on first.seq = g.first join event latest on latest.seq = g.latest \
        left join lateral (select * from attempt a where a.delivery = g.id order by a.number desc limit 1) a on true"
    );
    let mut groups = Vec::new();
    for row in call.query(&sql, &[&from, &before]).await? {
        match dead_group(&row) {
            Ok(group) => groups.extend(group),
            Err(error) if error.is_of_value() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(DeadPart { groups, events, next })
}

/// A group. `None` if the state of its delivery has changed.
fn dead_group(row: &Row) -> Result<Option<DeadGroup>> {
    let State::Dead(cause) = state(row.try_get(2)?) else { return Ok(None) };
    let has_attempt: bool = row.try_get(7)?;
    Ok(Some(DeadGroup {
        route: value::route(row, 0)?,
        cause,
        last: if has_attempt { Some(value::attempt(row, 8)?) } else { None },
        example: value::id(row.try_get(3)?)?,
        events: unsigned(row.try_get(4)?),
        first: time(row.try_get(5)?),
        latest: time(row.try_get(6)?),
    }))
}

/// Takes the jobs on which no other gateway works, the earliest first. From then on, these jobs belong to
/// this gateway.
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
