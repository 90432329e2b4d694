//! Shell. Searches for the events that match a filter. A search looks at a bounded number of events, and says
//! where the next search goes on.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use crate::queue::id::EventId;
use crate::queue::listing::first_id;
use crate::queue::search_way::{Counted, Way};
use crate::queue::sqlite::value::{self, number, of_number};
use crate::queue::store::{Bounds, Failure, Filter, Found, Order};

/// SQL conditions with their values. Each condition begins with `and`.
#[derive(Debug, Default)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" and ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }
}

/// A range of ids. Each end is one condition, because SQLite searches an index for one condition at each end,
/// and compares the others row by row.
#[derive(Clone, Debug, Default)]
struct Range {
    /// The first id, and whether only the ids after it are in the range.
    first: Option<(Vec<u8>, bool)>,
    /// The last id, and whether it is in the range.
    last: Option<(Vec<u8>, bool)>,
}

impl Range {
    fn begin(&mut self, id: Vec<u8>, is_after: bool) {
        self.first = self.first.take().max(Some((id, is_after)));
    }

    fn end(&mut self, id: Vec<u8>, is_with: bool) {
        let end = (id, is_with);
        self.last = Some(self.last.take().map_or_else(|| end.clone(), |last| last.min(end.clone())));
    }

    fn contains(&self, id: &[u8]) -> bool {
        let is_behind = |(first, is_after): &(Vec<u8>, bool)| {
            if *is_after { id > first.as_slice() } else { id >= first.as_slice() }
        };
        let is_before = |(last, is_with): &(Vec<u8>, bool)| {
            if *is_with { id <= last.as_slice() } else { id < last.as_slice() }
        };
        self.first.as_ref().is_none_or(is_behind) && self.last.as_ref().is_none_or(is_before)
    }

    /// Leaves out the ids that come before this one in the order of a list.
    fn go_on_with(&mut self, id: Vec<u8>, order: Order) {
        match order {
            Order::LatestFirst => self.end(id, true),
            Order::EarliestFirst => self.begin(id, false),
        }
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some((id, is_after)) = &self.first {
            let comparison = if *is_after { "e.id > ?" } else { "e.id >= ?" };
            conditions.and(comparison, [Value::Blob(id.clone())]);
        }
        if let Some((id, is_with)) = &self.last {
            let comparison = if *is_with { "e.id <= ?" } else { "e.id < ?" };
            conditions.and(comparison, [Value::Blob(id.clone())]);
        }
        conditions
    }
}

/// A search: its conditions on ids, and its other conditions.
#[derive(Debug)]
struct Search {
    range: Range,
    rest: Conditions,
    way: Way,
}

impl Search {
    /// The search for a filter. `None` if no event can match it.
    fn of(connection: &Connection, filter: &Filter) -> rusqlite::Result<Option<Self>> {
        let counted = if Way::needs_counts(filter) { Some(counted(connection, filter)?) } else { None };
        let Some(way) = Way::of(filter, counted) else { return Ok(None) };
        let (mut range, mut rest) = (Range::default(), Conditions::default());
        if filter.state.is_some() || filter.failure.is_some() {
            let states: Vec<i64> = filter.states().into_iter().map(value::of_state).collect();
            let failure = filter.failure.as_deref().and_then(Failure::read);
            in_deliveries(&mut rest, &states, failure.as_ref(), way);
        }
        if let Some(route) = &filter.route {
            rest.and("r.path = ?", [Value::Text(route.clone())]);
        }
        if let Some(since) = filter.since {
            rest.and("e.received >= ?", [Value::Integer(of_number(since))]);
            range.begin(first_id(since, false), false);
        }
        if let Some(until) = filter.until {
            rest.and("e.received < ?", [Value::Integer(of_number(until))]);
            range.end(first_id(until, true), false);
        }
        if let Some(model) = &filter.model {
            rest.and("e.model = ?", [Value::Text(model.clone())]);
        }
        if !filter.ids.is_empty() {
            let ids: Vec<Value> = filter.event_ids().map(|id| Value::Blob(id.as_bytes().to_vec())).collect();
            let places = vec!["?"; ids.len()].join(", ");
            rest.and(&format!("e.id in ({places})"), ids);
        }
        Ok(Some(Self { range, rest, way }))
    }
}

/// How many deliveries there are.
fn counted(connection: &Connection, filter: &Filter) -> rusqlite::Result<Counted> {
    let sql = "select coalesce(sum(n.queued), 0), coalesce(sum(n.delivered), 0), coalesce(sum(n.dead), 0) \
         from destination n join route r on r.number = n.route where ?1 is null or r.path = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut sums = |route: Option<&str>| {
        statement.query_row([route], |row| Ok([0, 1, 2].map(|at| row.get(at).map(number).unwrap_or(0))))
    };
    let all = sums(None)?;
    let of_route = filter.route.as_deref().map_or(Ok(all), |route| sums(Some(route)))?;
    Ok(Counted { all, of_route })
}

/// Adds a condition on the deliveries' states.
fn in_deliveries(rest: &mut Conditions, states: &[i64], failure: Option<&Failure>, way: Way) {
    let (column, value) = match failure {
        None | Some(Failure::Damaged) => (None, None),
        Some(Failure::Status(status)) => (Some("status"), Some(Value::Integer((*status).into()))),
        Some(Failure::Outcome(outcome)) => (Some("outcome"), Some(Value::Text(outcome.as_str().to_owned()))),
    };
    let last = column.map_or_else(String::new, |column| {
        format!(
            " and (select a.{column} from attempt a where a.delivery = d.id order by a.number desc limit 1) = ?"
        )
    });
    let list = |of: &mut dyn Iterator<Item = &i64>| of.map(i64::to_string).collect::<Vec<_>>().join(", ");
    match way {
        Way::FewDeliveries => {
            let queued =
                format!("select d.event from delivery d indexed by delivery_queued where d.state = 0{last}");
            let dead = list(&mut states.iter().filter(|state| **state > 1));
            let dead = format!(
                "select d.event from delivery d indexed by delivery_dead where d.state > 1 and d.state in ({dead}){last}"
            );
            let is_queued = states.contains(&0).then_some(queued);
            let is_dead = states.iter().any(|state| *state > 1).then_some(dead);
            let parts: Vec<String> = is_queued.into_iter().chain(is_dead).collect();
            let values = vec![value; parts.len()];
            rest.and(&format!("e.seq in ({})", parts.join(" union all ")), values.into_iter().flatten());
        }
        Way::AtOnce | Way::InOrder { .. } => {
            let index = if matches!(way, Way::InOrder { is_dead: true }) {
                "delivery_dead"
            } else {
                "delivery_event"
            };
            let dead = if index == "delivery_dead" { " and d.state > 1" } else { "" };
            let states = list(&mut states.iter());
            let condition = format!(
                "exists (select 1 from delivery d indexed by {index} where d.event = e.seq{dead} and d.state in ({states}){last})"
            );
            rest.and(&condition, value);
        }
    }
}

/// The events that one search examines: the next events in the order of their ids.
struct Part {
    /// The greatest or smallest id, where the part ends.
    edge: Vec<u8>,
    /// The range of the events' numbers.
    numbers: (i64, i64),
    /// Whether no event is left after this part.
    is_last: bool,
}

/// The next part of the store. `None` if no event is left.
fn part(
    connection: &Connection,
    range: &Conditions,
    order: Order,
    looked_at: usize,
) -> rusqlite::Result<Option<Part>> {
    let (word, edge) = words(order);
    let sql = format!(
        "select count(*), {edge}(id), min(seq), max(seq) from \
         (select e.id, e.seq from event e indexed by event_id where true{} order by e.id {word} limit {looked_at})",
        range.sql
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row(params_from_iter(&range.values), |row| {
        let count = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
        // An id that is damaged so much that it is no blob has its place before all others.
        let Ok(edge) = row.get(1) else { return Ok(None) };
        Ok(Some(Part { edge, numbers: (row.get(2)?, row.get(3)?), is_last: count < looked_at }))
    })
}

const fn words(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::LatestFirst => ("desc", "min"),
        Order::EarliestFirst => ("asc", "max"),
    }
}

/// The events that match a filter and come after the event `from`. `columns` begins with `e.id`. Events that
/// `read` does not take are left out.
pub(super) fn find<T>(
    connection: &Connection,
    filter: &Filter,
    (order, from): (Order, Option<EventId>),
    bounds: Bounds,
    columns: &str,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<Found<T>> {
    let Some(Search { mut range, rest, way }) = Search::of(connection, filter)? else {
        return Ok(Found::default());
    };
    if let Some(from) = from {
        match order {
            Order::LatestFirst => range.end(from.as_bytes().to_vec(), false),
            Order::EarliestFirst => range.begin(from.as_bytes().to_vec(), true),
        }
    }
    let mut rest_of_store = None;
    if let Way::InOrder { is_dead } = way {
        if is_dead {
            match skip(connection, &range, order, bounds.looked_at.saturating_mul(PASSED))? {
                Skipped::To(id) => range.go_on_with(id, order),
                Skipped::All => return Ok(Found::default()),
                Skipped::Part(last) => return Ok(Found { found: Vec::new(), next: Some(id_of(&last)) }),
            }
        }
        let Some(part) = part(connection, &range.conditions(), order, bounds.looked_at)? else {
            return Ok(Found::default());
        };
        rest_of_store = (!part.is_last).then(|| id_of(&part.edge));
        if is_dead && !has_dead(connection, part.numbers)? {
            return Ok(Found { found: Vec::new(), next: rest_of_store });
        }
        match order {
            Order::LatestFirst => range.begin(part.edge, false),
            Order::EarliestFirst => range.end(part.edge, true),
        }
    }
    let range = range.conditions();
    let index = match way {
        Way::FewDeliveries => "not indexed",
        Way::AtOnce | Way::InOrder { .. } => "indexed by event_id",
    };
    let sql = format!(
        "select {columns} from event e {index} cross join route r on r.number = e.route where true{}{} \
         order by e.id {} limit {}",
        range.sql,
        rest.sql,
        words(order).0,
        bounds.found
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(range.values.iter().chain(&rest.values)))?;
    let (mut found, mut count, mut last) = (Vec::new(), 0_usize, None);
    while let Some(row) = rows.next()? {
        count = count.saturating_add(1);
        last = row.get(0).ok().map(EventId::from_bytes).or(last);
        found.extend(read(row)?);
    }
    let is_full = count >= bounds.found;
    Ok(Found { found, next: if is_full { last.or(rest_of_store) } else { rest_of_store } })
}

/// How many more events a search for dead letters passes, compared with those at which it looks. It reads
/// only their numbers.
const PASSED: usize = 10;

/// The events that come before the first dead letter.
enum Skipped {
    /// The events before this one.
    To(Vec<u8>),
    /// The events up to this one. There may be dead letters behind it.
    Part(Vec<u8>),
    /// All events: none is a dead letter.
    All,
}

/// Passes events without looking at their deliveries. The numbers of the dead letters in the range have a
/// bound, and most events are stored in the order of their ids.
fn skip(connection: &Connection, range: &Range, order: Order, most: usize) -> rusqlite::Result<Skipped> {
    let (word, _) = words(order);
    let sql = format!(
        "select d.event, e.id from (select distinct event from delivery indexed by delivery_dead where state > 1 \
         order by event {word} limit {FEW_DEAD}) d cross join event e on e.seq = d.event order by d.event {word}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let (mut bound, mut count, mut is_in_range) = (None, 0_usize, false);
    while let Some(row) = rows.next()?.filter(|_| !is_in_range) {
        bound = Some(row.get::<_, i64>(0)?);
        is_in_range = row.get_ref(1)?.as_blob().is_ok_and(|id| range.contains(id));
        count = count.saturating_add(1);
    }
    let Some(bound) = bound.filter(|_| is_in_range || count >= FEW_DEAD) else { return Ok(Skipped::All) };
    let conditions = range.conditions();
    let comparison = if order == Order::LatestFirst { "<=" } else { ">=" };
    let passed = format!(
        "(select e.id, e.seq from event e indexed by event_id where true{} order by e.id {word} limit {most})",
        conditions.sql
    );
    let sql = format!("select id from {passed} where seq {comparison} {bound} limit 1");
    let values = || params_from_iter(&conditions.values);
    let first = connection.query_row(&sql, values(), |row| row.get(0)).optional()?;
    if let Some(first) = first {
        return Ok(Skipped::To(first));
    }
    let last = most.saturating_sub(1);
    let sql = format!("select id from {passed} limit 1 offset {last}");
    let last = connection.query_row(&sql, values(), |row| row.get(0)).optional()?;
    Ok(last.map_or(Skipped::All, Skipped::Part))
}

/// How many dead letters are examined to find the first dead letter in a range.
const FEW_DEAD: usize = 64;

/// Whether one of these events is a dead letter.
fn has_dead(connection: &Connection, (first, last): (i64, i64)) -> rusqlite::Result<bool> {
    let sql = "select 1 from delivery indexed by delivery_dead where state > 1 and event between ?1 and ?2";
    connection.prepare_cached(sql)?.exists([first, last])
}

/// The id with these bytes. A damaged id may have too few.
fn id_of(bytes: &[u8]) -> EventId {
    let mut id = [0; 16];
    id.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    EventId::from_bytes(id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::queue::sqlite::list;
    use crate::queue::sqlite::schema::open_writer;

    const LOOKED_AT: usize = 500;

    /// Fills a store. The events of `/rare` and of the model `rare` are the first. Of the others, one in
    /// three is queued, and the first part are dead letters.
    const FILL: &str = "
        insert into route values (1, '/a', null), (2, '/rare', null);
        insert into destination (number, route, upstream) values (1, 1, ''), (2, 2, '');
        with recursive n (n) as (select 1 union all select n + 1 from n where n < 30000)
        insert into event select n, unhex(printf('%012x70008000000000000000', 1000000 + n)), 1000000 + n,
            iif(n < 5, 2, 1), 'propify', 'current', iif(n < 5, 'rare', 'leads'), '192.0.2.1', 'POST', x'2f',
            zeroblob(32), null, null, null, 162, zeroblob(32) from n;
        insert into delivery select seq, seq, route, case when seq < 10000 then 2 when seq % 3 = 0 then 0 else 1 end,
            seq >= 10000 and seq % 3 = 0, 0, received, received, 1, 1, null, null, 400, 0 from event;
        insert into attempt select id, 1, since, 5, iif(state = 1, 'delivered', 'refused'), iif(state = 1, 200, 500), x'',
            null from delivery;
        update destination set
            queued = (select count(*) from delivery d where d.destination = number and d.state = 0),
            delivered = (select count(*) from delivery d where d.destination = number and d.state = 1),
            dead = (select count(*) from delivery d where d.destination = number and d.state > 1);
    ";

    fn filters() -> Vec<Filter> {
        let state = |word: &str| Filter { state: Some(word.to_owned()), ..Filter::default() };
        let failure = |word: &str| Filter { failure: Some(word.to_owned()), ..Filter::default() };
        let range = Filter { since: Some(1_014_000), until: Some(1_014_010), ..Filter::default() };
        let route = Filter { route: Some("/rare".to_owned()), ..Filter::default() };
        let model = Filter { model: Some("rare".to_owned()), ..Filter::default() };
        vec![
            Filter::default(),
            state("queued"),
            state("delivered"),
            state("dead"),
            failure("500"),
            failure("204"),
            failure("timed_out"),
            failure("damaged"),
            Filter { failure: Some("timed_out".to_owned()), ..state("dead") },
            Filter { state: Some("queued".to_owned()), ..route.clone() },
            Filter { state: Some("dead".to_owned()), ..route.clone() },
            Filter { state: Some("delivered".to_owned()), ..model.clone() },
            range,
            route,
            model,
        ]
    }

    #[test]
    fn a_search_takes_no_more_steps_than_its_bound_allows() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open_writer(&folder.path().join("events.db")).unwrap();
        connection.execute_batch(FILL).unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let of_handler = Arc::clone(&steps);
        let tens = move || of_handler.fetch_add(10, Ordering::Relaxed) > u64::MAX / 2;
        connection.progress_handler(10, Some(tens)).unwrap();
        let bounds = Bounds { found: 51, looked_at: LOOKED_AT };
        // A part of the store needs some dozens of steps for each of its events, and the events that are
        // passed some more. The store has 60 parts.
        let most = u64::try_from(LOOKED_AT * 200).unwrap();
        for filter in filters() {
            let (mut before, mut after, mut listed, mut counted) = (None, None, 0, 0);
            for is_page in [true, false] {
                loop {
                    let began = steps.load(Ordering::Relaxed);
                    let next = if is_page {
                        let page = list::page(&connection, &filter, before, bounds).unwrap();
                        listed += page.found.len();
                        before = page.next;
                        before
                    } else {
                        let page = list::ids(&connection, &filter, after, bounds).unwrap();
                        counted += page.found.len();
                        after = page.next;
                        after
                    };
                    let took = steps.load(Ordering::Relaxed) - began;
                    assert!(took <= most, "{took} steps: {filter:?}");
                    if next.is_none() {
                        break;
                    }
                }
            }
            assert_eq!(listed, counted, "{filter:?}");
        }
        // The dead letters are behind 40 parts without one.
        let dead = Filter { state: Some("dead".to_owned()), ..Filter::default() };
        let mut before = None;
        let calls = (1..99).find(|_| {
            let page = list::page(&connection, &dead, before, bounds).unwrap();
            before = page.next;
            !page.found.is_empty()
        });
        assert_eq!(calls, Some(5));
        let began = steps.load(Ordering::Relaxed);
        assert!(list::dead_part(&connection, None, 100).unwrap().events >= 100);
        assert!(steps.load(Ordering::Relaxed) - began <= most);
    }
}
