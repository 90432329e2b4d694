//! Shell. Reads lists of events by filter.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::queue::event::Attempt;
use crate::queue::id::EventId;
use crate::queue::sqlite::error::is_of_value;
use crate::queue::sqlite::removal::Kind;
use crate::queue::sqlite::search;
use crate::queue::sqlite::value::{self, ATTEMPT, INFO, column, number, of_time, small};
use crate::queue::store::{
    Bounds, DeadGroup, DeadLetter, DeadPart, DeliveryId, DeliverySummary, Filter, Found, Job, Order, State,
    Summary,
};
use crate::queue::time::Time;

/// A page of events, the latest first. An event with an unreadable value is left out.
pub(super) fn page(
    connection: &Connection,
    filter: &Filter,
    before: Option<EventId>,
    bounds: Bounds,
) -> rusqlite::Result<Found<Summary>> {
    let read = |row: &rusqlite::Row<'_>| whole(summary(connection, row));
    search::find(connection, filter, (Order::LatestFirst, before), bounds, INFO, read)
}

/// The ids of the events that match, the earliest first. An unreadable id is left out.
pub(super) fn ids(
    connection: &Connection,
    filter: &Filter,
    after: Option<EventId>,
    bounds: Bounds,
) -> rusqlite::Result<Found<EventId>> {
    let read = |row: &rusqlite::Row<'_>| whole(row.get(0).map(EventId::from_bytes));
    search::find(connection, filter, (Order::EarliestFirst, after), bounds, "e.id", read)
}

/// A part of the dead letters, in groups of equal failures. A group with an unreadable value is left out.
pub(super) fn dead_part(
    connection: &Connection,
    before: Option<i64>,
    most: usize,
) -> rusqlite::Result<DeadPart> {
    let before = before.unwrap_or(i64::MAX);
    let offset = i64::try_from(most.saturating_sub(1)).unwrap_or(i64::MAX);
    let sql = "select event from delivery indexed by delivery_dead where state > 1 and event < ?1 \
         order by event desc limit 1 offset ?2";
    let next: Option<i64> =
        connection.prepare_cached(sql)?.query_row([before, offset], |row| row.get(0)).optional()?;
    let part = [next.unwrap_or(i64::MIN), before];
    let sql = "select count(distinct event) from delivery indexed by delivery_dead \
         where state > 1 and event >= ?1 and event < ?2";
    let events = connection.prepare_cached(sql)?.query_row(part, |row| row.get(0).map(number))?;
    // The order of the tables is fixed, because the index has the order of the parts. A damaged record has
    // only its kind. The outcome counts only without an answer, because an answer has a status.
    let sql = "select r.path, r.model, d.state, e.id, g.events, first.received, latest.received, d.id from \
         (select route, kind, status, outcome, count(distinct event) as events, min(event) as first, \
             max(event) as latest, max(id) as id from \
             (select d.event, d.id, n.route, \
                 case when d.state = 4 or a.number is null then d.state end as kind, \
                 case when d.state <> 4 then a.status end as status, \
                 case when d.state <> 4 and a.status is null then a.outcome end as outcome \
             from delivery d indexed by delivery_dead cross join destination n on n.number = d.destination \
             left join attempt a on a.delivery = d.id \
                 and a.number = (select max(number) from attempt where delivery = d.id) \
             where d.state > 1 and d.event >= ?1 and d.event < ?2) \
         group by route, kind, status, outcome) g \
         cross join route r on r.number = g.route cross join delivery d on d.id = g.id \
         cross join event e on e.seq = d.event cross join event first on first.seq = g.first \
         cross join event latest on latest.seq = g.latest";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(part)?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next()? {
        groups.extend(whole(dead_group(connection, row))?.flatten());
    }
    Ok(DeadPart { groups, events, next })
}

/// A group. `None` if the state of its delivery is damaged.
fn dead_group(connection: &Connection, row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<DeadGroup>> {
    let State::Dead(cause) = value::state(row.get(2)?) else { return Ok(None) };
    Ok(Some(DeadGroup {
        route: value::route(row, 0)?,
        cause,
        last: last(connection, row.get(7)?)?,
        example: EventId::from_bytes(row.get(3)?),
        events: number(row.get(4)?),
        first: value::time(row.get(5)?),
        latest: value::time(row.get(6)?),
    }))
}

/// Dead letters in the order of their ends. An event with an unreadable value is left out.
pub(super) fn dead_letters(
    connection: &Connection,
    after: Time,
    until: Time,
    most: usize,
) -> rusqlite::Result<Vec<DeadLetter>> {
    // The order of the tables is fixed, because the key of the first table has the searched columns.
    let sql = "select e.id, f.at, r.path, r.model from finished f cross join event e on e.seq = f.event \
         cross join route r on r.number = e.route where f.kind = ?1 and f.at > ?2 and f.at <= ?3 \
         order by f.at, f.event limit ?4";
    let mut find = connection.prepare_cached(sql)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let letters =
        find.query_map(params![Kind::Dead.number(), of_time(after), of_time(until), most], |row| {
            let (event, ended) = (EventId::from_bytes(row.get(0)?), value::time(row.get(1)?));
            Ok(DeadLetter { event, route: value::route(row, 2)?, ended })
        })?;
    letters.filter_map(|letter| whole(letter).transpose()).collect()
}

/// The jobs, the earliest first.
pub(super) fn jobs(connection: &Connection) -> rusqlite::Result<Vec<Job>> {
    let mut statement = connection.prepare_cached("select id, document from job order by id")?;
    let rows = statement
        .query_map([], |row| Ok(Job { id: EventId::from_bytes(row.get(0)?), document: row.get(1)? }))?;
    rows.filter_map(|job| whole(job).transpose()).collect()
}

/// One event, and its number in the store.
pub(super) fn find(connection: &Connection, id: EventId) -> rusqlite::Result<Option<(i64, Summary)>> {
    let sql = format!(
        "select {INFO} from event e join route r on r.number = e.route where e.id = ?1 order by e.seq limit 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(column::SEQ)?, summary(connection, row)?));
    whole(statement.query_row([id.as_bytes()], read).optional()).map(Option::flatten)
}

/// The value that was read. `None` if it is unreadable.
fn whole<T>(read: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_of_value(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn summary(connection: &Connection, row: &rusqlite::Row<'_>) -> rusqlite::Result<Summary> {
    Ok(Summary {
        info: value::info(row)?,
        length: number(row.get(column::LENGTH)?),
        deliveries: deliveries(connection, row.get(column::SEQ)?)?,
    })
}

fn deliveries(connection: &Connection, event: i64) -> rusqlite::Result<Vec<DeliverySummary>> {
    let sql = "select d.id, n.upstream, d.state, d.class, d.due, d.attempts, d.lane, d.ended \
         from delivery d join destination n on n.number = d.destination where d.event = ?1 order by d.id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([event])?;
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let upstream: String = row.get(1)?;
        deliveries.push(DeliverySummary {
            id: DeliveryId(id),
            upstream: value::upstream(&upstream),
            state: value::state(row.get(2)?),
            class: value::class(row.get(3)?),
            due: value::time(row.get(4)?),
            attempts: small(row.get(5)?),
            order: value::order(row.get(6)?),
            ended: row.get::<_, Option<i64>>(7)?.map(value::time),
            last: last(connection, id)?,
        });
    }
    Ok(deliveries)
}

fn last(connection: &Connection, delivery: i64) -> rusqlite::Result<Option<Attempt>> {
    let sql = format!("select {ATTEMPT} from attempt where delivery = ?1 order by number desc limit 1");
    connection.prepare_cached(&sql)?.query_row([delivery], value::attempt).optional()
}

/// The attempts of each delivery, the earliest first.
pub(super) fn attempts(connection: &Connection, summary: &Summary) -> rusqlite::Result<Vec<Vec<Attempt>>> {
    let sql = format!("select {ATTEMPT} from attempt where delivery = ?1 order by number");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut all = Vec::with_capacity(summary.deliveries.len());
    for DeliverySummary { id: DeliveryId(id), .. } in &summary.deliveries {
        all.push(statement.query_map(params![id], value::attempt)?.collect::<Result<_, _>>()?);
    }
    Ok(all)
}
