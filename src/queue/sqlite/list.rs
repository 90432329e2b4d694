//! Shell. Reads lists of events by filter.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

use crate::queue::event::Attempt;
use crate::queue::id::EventId;
use crate::queue::sqlite::error::is_of_value;
use crate::queue::sqlite::removal::Kind;
use crate::queue::sqlite::value::{self, ATTEMPT, INFO, column, number, of_number, of_time, small};
use crate::queue::store::{
    DeadCause, DeadLetter, DeliveryId, DeliverySummary, Failure, Filter, Job, State, Summary,
};
use crate::queue::time::Time;

/// The most milliseconds between the time in an event's id and the time of its receipt. Only the ids are in
/// an index, so a filter by time searches a range of ids that is wider by this much.
const APART: u64 = 24 * 3600 * 1000;

/// The SQL conditions of a filter, with their values.
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// The conditions of a filter. `None` if no event can match it.
    fn of(filter: &Filter, before: Option<EventId>) -> Option<Self> {
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
            let states = State::ALL.into_iter().filter(takes).map(value::of_state);
            let states: Vec<String> = states.map(|number| number.to_string()).collect();
            conditions.in_deliveries(&states, failure.as_ref())?;
        }
        if let Some(route) = &filter.route {
            conditions.and("r.path = ?", [Value::Text(route.clone())]);
        }
        if let Some(since) = filter.since {
            conditions.and("e.received >= ?", [Value::Integer(of_number(since))]);
            conditions.and("e.id >= ?", [first_id(since.saturating_sub(APART))]);
        }
        if let Some(until) = filter.until {
            conditions.and("e.received < ?", [Value::Integer(of_number(until))]);
            conditions.and("e.id < ?", [first_id(until.saturating_add(APART))]);
        }
        if let Some(model) = &filter.model {
            conditions.and("e.model = ?", [Value::Text(model.clone())]);
        }
        if !filter.ids.is_empty() {
            let ids: Vec<Value> = filter.event_ids().map(|id| Value::Blob(id.as_bytes().to_vec())).collect();
            let places = vec!["?"; ids.len()].join(", ");
            conditions.and(&format!("e.id in ({places})"), ids);
        }
        if let Some(before) = before {
            conditions.and("e.id < ?", [Value::Blob(before.as_bytes().to_vec())]);
        }
        Some(conditions)
    }

    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" and ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// Adds a condition on the deliveries' states. Dead letters are few and have an index of their own. The
    /// other states are common, so a search in any order soon finds them.
    fn in_deliveries(&mut self, states: &[String], failure: Option<&Failure>) -> Option<()> {
        let first = states.first()?;
        let is_dead = states.iter().all(|state| state.parse::<u8>().is_ok_and(|state| state > 1));
        let is_any_dead = is_dead && (first == "2" || failure.is_some());
        let states = states.join(", ");
        let (column, value) = match failure {
            None | Some(Failure::Damaged) => (None, None),
            Some(Failure::Status(status)) => (Some("status"), Some(Value::Integer((*status).into()))),
            Some(Failure::Outcome(outcome)) => {
                (Some("outcome"), Some(Value::Text(outcome.as_str().to_owned())))
            }
        };
        let last = column.map_or_else(String::new, |column| {
            format!(
                " and (select a.{column} from attempt a where a.delivery = d.id order by a.number desc limit 1) = ?"
            )
        });
        let condition = if is_any_dead {
            format!(
                "e.seq in (select d.event from delivery d where d.state > 1 and d.state in ({states}){last})"
            )
        } else {
            format!("exists (select 1 from delivery d where d.event = e.seq and d.state in ({states}){last})")
        };
        self.and(&condition, value);
        Some(())
    }
}

/// The smallest id of a time.
fn first_id(millis: u64) -> Value {
    let [_, _, a, b, c, d, e, f] = millis.min(0xffff_ffff_ffff).to_be_bytes();
    let mut id = vec![a, b, c, d, e, f];
    id.resize(16, 0);
    Value::Blob(id)
}

/// A page of events, the latest first. An event with an unreadable value is left out.
pub(super) fn page(
    connection: &Connection,
    filter: &Filter,
    before: Option<EventId>,
    most: usize,
) -> rusqlite::Result<Vec<Summary>> {
    let Some(conditions) = Conditions::of(filter, before) else { return Ok(Vec::new()) };
    let sql = format!(
        "select {INFO} from event e join route r on r.number = e.route where true{} order by e.id desc limit {most}",
        conditions.sql
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.values))?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(summary) = whole(summary(connection, row))? {
            page.push(summary);
        }
    }
    Ok(page)
}

/// The ids of the events that match, the earliest first.
pub(super) fn ids(
    connection: &Connection,
    filter: &Filter,
    after: Option<EventId>,
    most: usize,
) -> rusqlite::Result<Vec<EventId>> {
    let Some(mut conditions) = Conditions::of(filter, None) else { return Ok(Vec::new()) };
    if let Some(after) = after {
        conditions.and("e.id > ?", [Value::Blob(after.as_bytes().to_vec())]);
    }
    let sql = format!(
        "select e.id from event e join route r on r.number = e.route where true{} order by e.id limit {most}",
        conditions.sql
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(conditions.values), |row| row.get(0))?;
    // An unreadable id is left out.
    let read = |id: rusqlite::Result<[u8; 16]>| whole(id.map(EventId::from_bytes)).transpose();
    rows.filter_map(read).collect()
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

/// How many events match a filter. Stops counting at `most`.
pub(super) fn count(connection: &Connection, filter: &Filter, most: u64) -> rusqlite::Result<u64> {
    let Some(conditions) = Conditions::of(filter, None) else { return Ok(0) };
    let sql = format!(
        "select count(*) from (select 1 from event e join route r on r.number = e.route where true{} limit {})",
        conditions.sql,
        of_number(most)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row(params_from_iter(conditions.values), |row| row.get(0)).map(number)
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
