//! Shell. The view for the threads that read: it takes due deliveries for this gateway, and serves reads of
//! requests.

use tokio_postgres::Row;

use crate::queue::event::{OrderKey, RouteName, StoredEvent};
use crate::queue::id::EventId;
use crate::queue::postgres::claim;
use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::list;
use crate::queue::postgres::names::Names;
use crate::queue::postgres::schema::READER;
use crate::queue::postgres::server::Server;
use crate::queue::postgres::session::{Call, Session};
use crate::queue::postgres::value::{self, INFO, column, count_of};
use crate::queue::row_values::{of_class, of_number, of_time, small, time};
use crate::queue::store::{
    Bounds, Claiming, DamagedDelivery, DeadPart, DeliveryId, Detail, Due, DueDelivery, DueQuery, Filter,
    Found, Job, Reader, StoreError, Summary,
};
use crate::queue::time::Time;

/// A session that reads. If its connection has broken, it connects again.
#[derive(Debug)]
pub(super) struct PostgresReader {
    server: Server,
    gateway: i64,
    session: Option<Session>,
    names: Names,
}

impl PostgresReader {
    pub(super) fn open(server: &Server, gateway: i64) -> Result<Self> {
        let session = Some(Session::open(server, READER)?);
        Ok(Self { server: server.clone(), gateway, session, names: Names::default() })
    }

    fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&Call, &mut Names, i64) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => Session::open(&self.server, READER)?,
        };
        let (names, gateway) = (&mut self.names, self.gateway);
        let result = session.run(async |call| work(call, names, gateway).await);
        // After a deadline, the answer may still arrive. It would be taken for the answer to the next
        // statement.
        if !matches!(result, Err(Error::TimedOut)) {
            self.session = Some(session);
        }
        result.map_err(StoreError::from)
    }
}

impl Reader for PostgresReader {
    fn due(&mut self, query: &DueQuery<'_>) -> std::result::Result<Due, StoreError> {
        self.run(async |call, names, gateway| due(call, names, gateway, query).await)
    }

    fn page(
        &mut self,
        filter: &Filter,
        before: Option<EventId>,
        bounds: Bounds,
    ) -> std::result::Result<Found<Summary>, StoreError> {
        self.run(async |call, _, _| list::page(call, filter, before, bounds).await)
    }

    fn ids(
        &mut self,
        filter: &Filter,
        after: Option<EventId>,
        bounds: Bounds,
    ) -> std::result::Result<Found<EventId>, StoreError> {
        self.run(async |call, _, _| list::ids(call, filter, after, bounds).await)
    }

    fn dead_part(&mut self, before: Option<i64>, most: usize) -> std::result::Result<DeadPart, StoreError> {
        self.run(async |call, _, _| list::dead_part(call, before, most).await)
    }

    fn jobs(&mut self) -> std::result::Result<Vec<Job>, StoreError> {
        self.run(async |call, _, gateway| list::take_jobs(call, gateway).await)
    }

    fn detail(&mut self, id: EventId) -> std::result::Result<Option<Detail>, StoreError> {
        self.run(async |call, _, _| {
            let Some((event, summary)) = list::find(call, id).await? else { return Ok(None) };
            let attempts = list::attempts(call, &summary).await?;
            let sql = format!(
                "select {INFO}, c.head, c.content from event e join route r on r.number = e.route \
                join content c on c.seq = e.seq where e.seq = $1"
            );
            let row = call.first(&sql, &[&event]).await?;
            let event = row.and_then(|row| value::record(&row, 0).ok()?.check().ok());
            Ok(Some(Detail { summary, attempts, event }))
        })
    }

    fn is_seen(
        &mut self,
        route: &RouteName,
        key: &[u8; 32],
        now: Time,
    ) -> std::result::Result<bool, StoreError> {
        self.run(async |call, names, _| match names.find_route(call, route).await? {
            Some(route) => claim::is_seen(call, route, key, now).await,
            None => Ok(false),
        })
    }

    fn claim(
        &mut self,
        route: &RouteName,
        key: &[u8; 32],
        now: Time,
    ) -> std::result::Result<Claiming, StoreError> {
        self.run(async |call, names, gateway| {
            let route = names.route(call, route).await?;
            claim::take(call, route, key, now, gateway).await
        })
    }

    fn is_waiting(&mut self, route: &RouteName, order: &OrderKey) -> std::result::Result<bool, StoreError> {
        self.run(async |call, names, _| {
            let Some(route) = names.find_route(call, route).await? else { return Ok(false) };
            let sql = "select 1 from destination n where n.route = $1 and \
                (select d.id from delivery d where d.destination = n.number and d.lane = $2 and d.state = 0 \
                    and d.lane is not null order by d.id limit 1) is not null limit 1";
            Ok(call.first(sql, &[&route, &order.as_str().as_bytes()]).await?.is_some())
        })
    }
}

/// Takes due deliveries that no other gateway has in memory. From then on, they belong to this gateway, as
/// long as it counts as alive.
async fn due(call: &Call, names: &mut Names, gateway: i64, query: &DueQuery<'_>) -> Result<Due> {
    let mut due = Due::default();
    let Some((destination, route)) = names.find_destination(call, query.destination).await? else {
        return Ok(due);
    };
    let sql = format!(
        "with free as ( \
            select d.id, d.due, d.size from delivery d \
            where d.ready and d.destination = $1 and d.class = $2 and d.due <= $3 and not (d.id = any($4)) \
                and (d.owner is null or d.owner = $5 or not exists \
                    (select 1 from gateway g where g.id = d.owner and g.alive_until > clock_timestamp())) \
                and not exists (select 1 from paused p where p.route = $8) \
            order by d.due, d.id limit $6::bigint + 1 for update of d skip locked \
        ), numbered as ( \
            select id, row_number() over in_order as place, sum(size) over in_order as bytes \
            from free window in_order as (order by due, id) \
        ), taken as ( \
            update delivery d set owner = $5 from numbered n \
            where d.id = n.id and n.place <= $6 and (n.place = 1 or n.bytes <= $7::bigint) \
            returning d.id, d.event, d.event_id, d.spent, d.since, d.due \
        ) \
        select f.found, t.id, t.event_id, t.spent, t.since, e.seq is not null and c.seq is not null, \
            {INFO}, c.head, c.content \
        from (select count(*) as found from free) f left join taken t on true \
            left join event e on e.seq = t.event left join route r on r.number = e.route \
            left join content c on c.seq = t.event \
        order by t.due, t.id"
    );
    let except: Vec<i64> = query.except.iter().map(|DeliveryId(id)| *id).collect();
    let most = count_of(query.most);
    let most_bytes = of_number(query.most_bytes);
    let rows = call
        .query(
            &sql,
            &[
                &destination,
                &of_class(query.class),
                &of_time(query.now),
                &except,
                &gateway,
                &most,
                &most_bytes,
                &route,
            ],
        )
        .await?;
    let mut found = 0_i64;
    for row in &rows {
        found = row.try_get(0)?;
        let Some(id) = row.try_get::<_, Option<i64>>(1)? else { continue };
        match read_delivery(row, route)? {
            Ok(event) => due.deliveries.push(DueDelivery {
                id: DeliveryId(id),
                class: query.class,
                attempts: small(row.try_get(3)?),
                since: time(row.try_get(4)?),
                event,
            }),
            Err(event) => due.damaged.push(DamagedDelivery { id: DeliveryId(id), event }),
        }
    }
    let taken = count_of(due.deliveries.len().saturating_add(due.damaged.len()));
    due.has_more = found > taken;
    if due.deliveries.is_empty() && !due.has_more {
        let sql = "select min(due) from delivery where ready and destination = $1 and class = $2 and due > $3 \
            and not exists (select 1 from paused p where p.route = $4)";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&destination, &of_class(query.class), &of_time(query.now), &route];
        let next = call.first(sql, &values).await?;
        let next: Option<i64> = next.map(|row| row.try_get(0)).transpose()?.flatten();
        due.next = next.map(time);
    }
    Ok(due)
}

/// The columns of [`INFO`] in a row of [`due`].
const FIRST: usize = 6;

/// The event of a delivery, if the record is intact and belongs to the delivery. Otherwise the id of the
/// event, if it can be read.
fn read_delivery(row: &Row, route: i64) -> Result<std::result::Result<StoredEvent, Option<EventId>>> {
    let event_id = row.try_get::<_, &[u8]>(2)?;
    let named = value::id(event_id).ok();
    let is_there: bool = row.try_get(5)?;
    if !is_there {
        return Ok(Err(named));
    }
    let of_route: i64 = row.try_get(FIRST.saturating_add(column::ROUTE))?;
    let event = match value::record(row, FIRST) {
        Ok(record) => record.check().ok(),
        Err(error) if error.is_of_value() => None,
        Err(error) => return Err(error),
    };
    Ok(event.filter(|event| Some(event.info().id) == named && of_route == route).ok_or(named))
}
