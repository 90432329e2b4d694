//! Shell. Searches for the events that match a filter. A search looks at a bounded number of events, and says
//! where the next search goes on.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::queue::id::EventId;
use crate::queue::listing::first_id;
use crate::queue::postgres::error::Result;
use crate::queue::postgres::session::{Call, Value};
use crate::queue::postgres::value::{self, unsigned};
use crate::queue::row_values::{of_number, of_state};
use crate::queue::search_way::{Counted, Way};
use crate::queue::store::{Bounds, Failure, Filter, Order};

/// SQL conditions with their values. Each condition begins with `and`.
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    /// Adds a condition that compares with a value.
    fn and(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static) {
        let place = self.value(value);
        self.sql.push_str(&format!(" and {condition} {place}"));
    }

    /// Adds a value. Returns its place in the SQL.
    fn value(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    fn values(&self) -> Vec<Value<'_>> {
        self.values.iter().map(|value| -> Value<'_> { &**value }).collect()
    }
}

/// How the events of a filter are found. `None` if no event can match it.
async fn way(call: &Call, filter: &Filter) -> Result<Option<Way>> {
    let counted = if Way::needs_counts(filter) { counted(call, filter).await? } else { None };
    Ok(Way::of(filter, counted))
}

/// How many deliveries there are.
async fn counted(call: &Call, filter: &Filter) -> Result<Option<Counted>> {
    let sql = "select coalesce(sum(t.queued), 0)::bigint, coalesce(sum(t.delivered), 0)::bigint, \
            coalesce(sum(t.dead), 0)::bigint, \
            coalesce(sum(t.queued) filter (where $1::text is null or r.path = $1), 0)::bigint, \
            coalesce(sum(t.delivered) filter (where $1::text is null or r.path = $1), 0)::bigint, \
            coalesce(sum(t.dead) filter (where $1::text is null or r.path = $1), 0)::bigint \
        from tally t join destination n on n.number = t.destination join route r on r.number = n.route";
    let Some(row) = call.first(sql, &[&filter.route.as_deref().map(path)]).await? else { return Ok(None) };
    let mut sums = [0; 6];
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum = unsigned(row.try_get(at)?);
    }
    let [queued, delivered, dead, of_route @ ..] = sums;
    Ok(Some(Counted { all: [queued, delivered, dead], of_route }))
}

/// The path of a route, as a value. Neither a path nor PostgreSQL's text can contain a zero byte.
fn path(path: &str) -> String {
    path.replace('\0', "\u{fffd}")
}

/// The conditions on an event's id.
fn range(filter: &Filter, order: Order, from: Option<EventId>) -> Conditions {
    let mut range = Conditions::default();
    if let Some(since) = filter.since {
        range.and("e.id >=", first_id(since, false));
    }
    if let Some(until) = filter.until {
        range.and("e.id <", first_id(until, true));
    }
    if let Some(from) = from {
        let comparison = if order == Order::LatestFirst { "e.id <" } else { "e.id >" };
        range.and(comparison, from.as_bytes().to_vec());
    }
    range
}

/// Adds the other conditions of a filter.
fn add_rest(conditions: &mut Conditions, filter: &Filter, way: Way) {
    if filter.state.is_some() || filter.failure.is_some() {
        in_deliveries(conditions, filter, way);
    }
    if let Some(route) = &filter.route {
        conditions.and("r.path =", path(route));
    }
    if let Some(since) = filter.since {
        conditions.and("e.received >=", of_number(since));
    }
    if let Some(until) = filter.until {
        conditions.and("e.received <", of_number(until));
    }
    if let Some(model) = &filter.model {
        conditions.and("e.model =", model.clone().into_bytes());
    }
    if !filter.ids.is_empty() {
        let ids: Vec<Vec<u8>> = filter.event_ids().map(|id| id.as_bytes().to_vec()).collect();
        let place = conditions.value(ids);
        conditions.sql.push_str(&format!(" and e.id = any({place})"));
    }
}

/// Adds a condition on the deliveries' states.
fn in_deliveries(conditions: &mut Conditions, filter: &Filter, way: Way) {
    let states: Vec<i64> = filter.states().into_iter().map(of_state).collect();
    let is_dead = states.iter().all(|state| *state > 1);
    let has_queued = states.contains(&0);
    let has_dead = states.iter().any(|state| *state > 1);
    let states = conditions.value(states);
    let last = match filter.failure.as_deref().and_then(Failure::read) {
        None | Some(Failure::Damaged) => None,
        Some(Failure::Status(status)) => Some(("status", conditions.value(i64::from(status)))),
        Some(Failure::Outcome(outcome)) => Some(("outcome", conditions.value(outcome.as_str()))),
    };
    let last = last.map_or_else(String::new, |(column, place)| {
        format!(
            " and (select a.{column} from attempt a where a.delivery = d.id order by a.number desc limit 1) = {place}"
        )
    });
    let of_states = format!("d.state = any({states}){last}");
    conditions.sql.push_str(&match way {
        Way::FewDeliveries => {
            let queued = format!("select d.event from delivery d where d.state = 0 and {of_states}");
            let dead = format!("select d.event from delivery d where d.state > 1 and {of_states}");
            let parts: Vec<String> =
                has_queued.then_some(queued).into_iter().chain(has_dead.then_some(dead)).collect();
            format!(" and e.seq = any(array({}))", parts.join(" union all "))
        }
        // The server does not turn a scalar subquery into a join. A join could read every delivery.
        Way::AtOnce | Way::InOrder { .. } => {
            let dead = if is_dead { " and d.state > 1" } else { "" };
            format!(" and (select true from delivery d where d.event = e.seq{dead} and {of_states} limit 1)")
        }
    });
}

/// The events that match a filter and come after the event `from`, and where the next search begins.
/// `columns` begins with `e.id`.
pub(super) async fn find(
    call: &Call,
    filter: &Filter,
    (order, from): (Order, Option<EventId>),
    bounds: Bounds,
    columns: &str,
) -> Result<(Vec<Row>, Option<EventId>)> {
    let Some(way) = way(call, filter).await? else { return Ok((Vec::new(), None)) };
    let (word, from_edge) = match order {
        Order::LatestFirst => ("desc", "e.id >="),
        Order::EarliestFirst => ("asc", "e.id <="),
    };
    let mut conditions = range(filter, order, from);
    let mut rest_of_store = None;
    if let Way::InOrder { is_dead } = way {
        // Ids can be compared, but `min` does not take ids before version 18 of the server.
        let sql = format!(
            "with part as materialized \
                (select e.id, e.seq from event e where true{} order by e.id {word} limit {}) \
            select (select count(*) from part), (select min(seq) from part), (select max(seq) from part), \
                (select id from part offset (select greatest(count(*) - 1, 0) from part) limit 1)",
            conditions.sql, bounds.looked_at
        );
        let Some(row) = call.first(&sql, &conditions.values()).await? else { return Ok((Vec::new(), None)) };
        let count = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
        let Some(edge) = row.try_get::<_, Option<Vec<u8>>>(3)? else { return Ok((Vec::new(), None)) };
        rest_of_store = if count < bounds.looked_at { None } else { value::id(&edge).ok() };
        if is_dead {
            let numbers: [i64; 2] = [row.try_get(1)?, row.try_get(2)?];
            let sql = "select 1 from delivery where state > 1 and event between $1 and $2 limit 1";
            if call.first(sql, &[&numbers[0], &numbers[1]]).await?.is_none() {
                return Ok((Vec::new(), rest_of_store));
            }
        }
        conditions.and(from_edge, edge);
    }
    add_rest(&mut conditions, filter, way);
    let sql = format!(
        "select {columns} from event e join route r on r.number = e.route where true{} order by e.id {word} limit {}",
        conditions.sql, bounds.found
    );
    let rows = call.query(&sql, &conditions.values()).await?;
    let is_full = rows.len() >= bounds.found;
    let next = if is_full { rows.last().and_then(id).or(rest_of_store) } else { rest_of_store };
    Ok((rows, next))
}

/// The id of an event, from the first column of a row. `None` if it cannot be read.
pub(super) fn id(row: &Row) -> Option<EventId> {
    row.try_get::<_, &[u8]>(0).ok().and_then(|id| value::id(id).ok())
}
