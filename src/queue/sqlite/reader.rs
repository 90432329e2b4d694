//! Shell. The read-only view: due deliveries, and the reads that serving a request needs.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::queue::event::{OrderKey, Record, RouteName, StoredEvent};
use crate::queue::id::EventId;
use crate::queue::sqlite::content;
use crate::queue::sqlite::error::{is_of_value, store_error};
use crate::queue::sqlite::list;
use crate::queue::sqlite::names::{find_destination, find_route};
use crate::queue::sqlite::value::{self, INFO, column, number, of_class, of_time, seal, small};
use crate::queue::store::{
    Bounds, DamagedDelivery, DeadPart, DeliveryId, Detail, Due, DueDelivery, DueQuery, Filter, Found, Job,
    Reader, StoreError, Summary,
};
use crate::queue::time::Time;

/// A connection that reads.
#[derive(Debug)]
pub(super) struct SqliteReader {
    connection: Connection,
}

impl SqliteReader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Runs `work` in one transaction, so it sees the store at one moment.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let all = || {
            let transaction = self.connection.unchecked_transaction()?;
            let found = work(&transaction)?;
            transaction.commit()?;
            Ok(found)
        };
        all().map_err(store_error)
    }
}

impl Reader for SqliteReader {
    fn due(&mut self, query: &DueQuery<'_>) -> Result<Due, StoreError> {
        self.read(|connection| due(connection, query))
    }

    fn page(
        &mut self,
        filter: &Filter,
        before: Option<EventId>,
        bounds: Bounds,
    ) -> Result<Found<Summary>, StoreError> {
        self.read(|connection| list::page(connection, filter, before, bounds))
    }

    fn ids(
        &mut self,
        filter: &Filter,
        after: Option<EventId>,
        bounds: Bounds,
    ) -> Result<Found<EventId>, StoreError> {
        self.read(|connection| list::ids(connection, filter, after, bounds))
    }

    fn dead_part(&mut self, before: Option<i64>, most: usize) -> Result<DeadPart, StoreError> {
        self.read(|connection| list::dead_part(connection, before, most))
    }

    fn jobs(&mut self) -> Result<Vec<Job>, StoreError> {
        self.read(list::jobs)
    }

    fn detail(&mut self, id: EventId) -> Result<Option<Detail>, StoreError> {
        self.read(|connection| {
            let Some((event, summary)) = list::find(connection, id)? else { return Ok(None) };
            let attempts = list::attempts(connection, &summary)?;
            let event = read_event(connection, event)?;
            // A damaged index can lead to another event.
            let event = event.and_then(|(event, _)| event.ok()).filter(|event| event.info().id == id);
            Ok(Some(Detail { summary, attempts, event }))
        })
    }

    fn is_seen(&mut self, route: &RouteName, key: &[u8; 32], now: Time) -> Result<bool, StoreError> {
        self.read(|connection| {
            let Some(route) = find_route(connection, route)? else { return Ok(false) };
            let sql = "select 1 from seen where route = ?1 and key = ?2 and until > ?3";
            connection.prepare_cached(sql)?.exists(params![route, key, of_time(now)])
        })
    }

    fn is_waiting(&mut self, route: &RouteName, order: &OrderKey) -> Result<bool, StoreError> {
        self.read(|connection| {
            let Some(route) = find_route(connection, route)? else { return Ok(false) };
            let sql = "select 1 from destination n join delivery d indexed by delivery_lane on d.destination = n.number \
                 where n.route = ?1 and d.lane = ?2 and d.state = 0 and d.lane is not null";
            connection.prepare_cached(sql)?.exists(params![route, order.as_str()])
        })
    }
}

/// A row of a due delivery, before its event is read.
struct Row {
    id: i64,
    event: i64,
    spent: u32,
    since: Time,
    size: u64,
    seal: i64,
}

fn due(connection: &Connection, query: &DueQuery<'_>) -> rusqlite::Result<Due> {
    let mut due = Due::default();
    let Some(route) = find_route(connection, &query.destination.route)? else { return Ok(due) };
    let Some(destination) = find_destination(connection, route, &query.destination.upstream)? else {
        return Ok(due);
    };
    if connection.prepare_cached("select 1 from paused where route = ?1")?.exists([route])? {
        return Ok(due);
    }
    let except: HashSet<DeliveryId> = query.except.iter().copied().collect();
    let mut bytes = 0_u64;
    let class = of_class(query.class);
    let sql = "select id, event, spent, since, size, seal from delivery indexed by delivery_due \
         where ready = 1 and destination = ?1 and class = ?2 and due <= ?3 order by due, id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![destination, class, of_time(query.now)])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if except.contains(&DeliveryId(id)) {
            continue;
        }
        let row = Row {
            id,
            event: row.get(1)?,
            spent: small(row.get(2)?),
            since: value::time(row.get(3)?),
            size: number(row.get(4)?),
            seal: row.get(5)?,
        };
        bytes = bytes.saturating_add(row.size);
        let is_first = due.deliveries.is_empty();
        if due.deliveries.len() >= query.most || !is_first && bytes > query.most_bytes {
            due.has_more = true;
            break;
        }
        match read_delivery(connection, &row, destination, route)? {
            Ok(event) => due.deliveries.push(DueDelivery {
                id: DeliveryId(id),
                class: query.class,
                attempts: row.spent,
                since: row.since,
                event,
            }),
            Err(damaged) => due.damaged.push(damaged),
        }
        if due.damaged.len() > query.most {
            due.has_more = true;
            break;
        }
    }
    if due.deliveries.is_empty() && !due.has_more {
        let sql = "select min(due) from delivery indexed by delivery_due \
             where ready = 1 and destination = ?1 and class = ?2 and due > ?3";
        let mut find = connection.prepare_cached(sql)?;
        let next: Option<i64> =
            find.query_row(params![destination, class, of_time(query.now)], |row| row.get(0))?;
        due.next = next.map(value::time);
    }
    Ok(due)
}

/// The event of a delivery, if the record is intact and belongs to the delivery.
fn read_delivery(
    connection: &Connection,
    row: &Row,
    destination: i64,
    route: i64,
) -> rusqlite::Result<Result<StoredEvent, DamagedDelivery>> {
    let damaged = |event: Option<EventId>| DamagedDelivery { id: DeliveryId(row.id), event };
    Ok(match read_event(connection, row.event)? {
        Some((Ok(event), of_route)) => {
            let id = event.info().id;
            if of_route == route && row.seal == seal(row.id, row.event, destination, id) {
                Ok(event)
            } else {
                Err(damaged(Some(id)))
            }
        }
        Some((Err(id), _)) => Err(damaged(id)),
        None => Err(damaged(None)),
    })
}

/// Whether an event exists and its checksum matches.
pub(super) fn is_whole(connection: &Connection, event: i64) -> rusqlite::Result<bool> {
    Ok(matches!(read_event(connection, event)?, Some((Ok(_), _))))
}

/// An event with its content, and the number of its route. If the record is damaged, only the event's id.
/// `None` if the event or its content does not exist.
type Read = Option<(Result<StoredEvent, Option<EventId>>, i64)>;

fn read_event(connection: &Connection, event: i64) -> rusqlite::Result<Read> {
    let sql = format!(
        "select {INFO}, c.head, c.content, c.pieces from event e join route r on r.number = e.route \
         join content c on c.seq = e.seq where e.seq = ?1"
    );
    let mut find = connection.prepare_cached(&sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        let id = row.get(0).map(EventId::from_bytes).ok();
        let record = || {
            let mut content: Vec<u8> = row.get(column::MORE.saturating_add(1))?;
            content::complete(connection, event, &mut content, row.get(column::MORE.saturating_add(2))?)?;
            Ok(Record {
                info: value::info(row)?,
                head: row.get(column::MORE)?,
                content: content.into(),
                checksum: row.get(column::CHECKSUM)?,
            })
        };
        let whole = match record() {
            Ok(record) => record.check().map_err(|_damaged| id),
            Err(error) if is_of_value(&error) => Err(id),
            Err(error) => return Err(error),
        };
        Ok((whole, row.get(column::ROUTE)?))
    };
    find.query_row([event], read).optional()
}
