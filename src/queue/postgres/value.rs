//! Shell. How the values of columns are written and read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;

use crate::queue::event::{
    Attempt, AttemptOutcome, DuplicateKey, EventInfo, OrderKey, Record, RouteName, Upstream,
};
use crate::queue::id::EventId;
use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::session::Call;
use crate::queue::row_values::{number, order, time};
use crate::queue::store::Destination;

/// A count as a value of a column. A count that is too large becomes the largest value.
pub(super) fn count_of(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A number that cannot be negative.
pub(super) fn unsigned(value: i64) -> u64 {
    number(value)
}

fn text(bytes: &[u8]) -> Result<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_damaged| Error::Value)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_damaged| Error::Value)
}

/// An id of an event.
pub(super) fn id(bytes: &[u8]) -> Result<EventId> {
    array(bytes).map(EventId::from_bytes)
}

/// An order key.
pub(super) fn lane(bytes: Option<&[u8]>) -> Result<Option<OrderKey>> {
    Ok(order(bytes.map(text).transpose()?))
}

/// Reads a route's path, and its model from the next column.
pub(super) fn route(row: &Row, first: usize) -> Result<RouteName> {
    let path: &str = row.try_get(first)?;
    let model: Option<&[u8]> = row.try_get(first.saturating_add(1))?;
    Ok(RouteName { path: path.into(), model: model.map(text).transpose()?.map(Arc::from) })
}

/// Reads a route's path and model, and an upstream from the next column.
pub(super) fn destination(row: &Row, first: usize) -> Result<Destination> {
    let upstream: &str = row.try_get(first.saturating_add(2))?;
    Ok(Destination { route: route(row, first)?, upstream: Upstream::read(upstream) })
}

/// The columns of an event and its route that [`info`] reads, from `event e join route r`.
pub(super) const INFO: &str = "e.id, e.received, r.path, r.model, e.scheme, e.secret, e.model, e.client, e.method, e.target, \
    e.digest, e.lane, e.duplicate, e.duplicate_until, e.length, e.checksum, e.route, e.seq";

/// The columns after those of [`info`].
pub(super) mod column {
    /// The length of the content.
    pub(crate) const LENGTH: usize = 14;
    /// The checksum of the record.
    pub(crate) const CHECKSUM: usize = 15;
    /// The number of the route.
    pub(crate) const ROUTE: usize = 16;
    /// The number of the event.
    pub(crate) const SEQ: usize = 17;
    /// The first column that a query adds.
    pub(crate) const MORE: usize = 18;
}

/// Reads the facts of an event, from column `first` on.
pub(super) fn info(row: &Row, first: usize) -> Result<EventInfo> {
    let at = |column: usize| first.saturating_add(column);
    let bytes = |column| row.try_get::<_, &[u8]>(at(column)).map_err(Error::from);
    let maybe = |column| row.try_get::<_, Option<&[u8]>>(at(column)).map_err(Error::from);
    let duplicate = maybe(12)?.map(array).transpose()?;
    let until: Option<i64> = row.try_get(at(13))?;
    Ok(EventInfo {
        id: id(bytes(0)?)?,
        received: time(row.try_get(at(1))?),
        route: route(row, at(2))?,
        scheme: row.try_get(at(4))?,
        secret: text(bytes(5)?)?.into(),
        model: maybe(6)?.map(text).transpose()?,
        client: text(bytes(7)?)?,
        method: text(bytes(8)?)?,
        target: bytes(9)?.to_vec(),
        digest: array(bytes(10)?)?,
        order: lane(maybe(11)?)?,
        duplicate: duplicate.zip(until).map(|(digest, until)| DuplicateKey { digest, until: time(until) }),
    })
}

/// Reads a record, from column `first` on: the columns of [`INFO`], then head and content.
pub(super) fn record(row: &Row, first: usize) -> Result<Record> {
    let at = |column: usize| first.saturating_add(column);
    Ok(Record {
        info: info(row, first)?,
        head: row.try_get(at(column::MORE))?,
        content: row.try_get::<_, Vec<u8>>(at(column::MORE.saturating_add(1)))?.into(),
        checksum: array(row.try_get(at(column::CHECKSUM))?)?,
    })
}

/// The columns that [`attempt`] reads.
pub(super) const ATTEMPT: &str = "at, took, outcome, status, response, detail";

/// Reads an attempt, from column `first` on.
pub(super) fn attempt(row: &Row, first: usize) -> Result<Attempt> {
    let at = |column: usize| first.saturating_add(column);
    let outcome: &str = row.try_get(at(2))?;
    let status: Option<i64> = row.try_get(at(3))?;
    Ok(Attempt {
        at: time(row.try_get(at(0))?),
        took: Duration::from_micros(number(row.try_get(at(1))?)),
        outcome: AttemptOutcome::read(outcome).ok_or(Error::Value)?,
        status: status.and_then(|status| u16::try_from(status).ok()),
        response: row.try_get(at(4))?,
        detail: row.try_get(at(5))?,
    })
}

/// The destinations with these numbers.
pub(super) async fn ready(call: &Call, numbers: &BTreeSet<i64>) -> Result<Vec<Destination>> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = numbers.iter().copied().collect();
    let sql = "select r.path, r.model, n.upstream from destination n join route r on r.number = n.route \
        where n.number = any($1) order by n.number";
    call.query(sql, &[&numbers]).await?.iter().map(|row| destination(row, 0)).collect()
}
