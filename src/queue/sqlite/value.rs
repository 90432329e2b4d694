//! Pure. How the columns of an event, a route and an attempt are read.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Row;
use rusqlite::types::Type;

use crate::queue::event::{Attempt, AttemptOutcome, DuplicateKey, EventInfo, RouteName, Upstream};
use crate::queue::id::EventId;
pub(super) use crate::queue::row_values::{
    QUEUED, class, kept, number, of_class, of_duration, of_number, of_state, of_time, order, seal, small,
    state, time,
};

/// The columns that [`info`] reads of an event and its route, from `event e join route r`.
pub(super) const INFO: &str = "e.id, e.received, r.path, r.model, e.scheme, e.secret, e.model, e.client, e.method, e.target, \
    e.digest, e.lane, e.duplicate, e.duplicate_until, e.length, e.checksum, e.route, e.seq";

/// The columns after those of [`INFO`].
pub(super) mod column {
    /// The length of the content.
    pub(in super::super) const LENGTH: usize = 14;
    /// The checksum of the record.
    pub(in super::super) const CHECKSUM: usize = 15;
    /// The number of the route.
    pub(in super::super) const ROUTE: usize = 16;
    /// The number of the event.
    pub(in super::super) const SEQ: usize = 17;
    /// The first column that a query adds to these.
    pub(in super::super) const MORE: usize = 18;
}

/// Reads the facts of an event.
pub(super) fn info(row: &Row<'_>) -> rusqlite::Result<EventInfo> {
    let duplicate: Option<[u8; 32]> = row.get(12)?;
    let until: Option<i64> = row.get(13)?;
    Ok(EventInfo {
        id: EventId::from_bytes(row.get(0)?),
        received: time(row.get(1)?),
        route: route(row, 2)?,
        scheme: row.get(4)?,
        secret: row.get::<_, String>(5)?.into(),
        model: row.get(6)?,
        client: row.get(7)?,
        method: row.get(8)?,
        target: row.get(9)?,
        digest: row.get(10)?,
        order: order(row.get(11)?),
        duplicate: duplicate.zip(until).map(|(digest, until)| DuplicateKey { digest, until: time(until) }),
    })
}

/// Reads a route: its path from the column `first`, its model from the next column.
pub(super) fn route(row: &Row<'_>, first: usize) -> rusqlite::Result<RouteName> {
    let path: String = row.get(first)?;
    let model: Option<String> = row.get(first.saturating_add(1))?;
    Ok(RouteName { path: path.into(), model: model.map(Arc::from) })
}

/// The columns that [`attempt`] reads.
pub(super) const ATTEMPT: &str = "at, took, outcome, status, response, detail";

/// Reads an attempt.
pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let outcome: String = row.get(2)?;
    let outcome = AttemptOutcome::read(&outcome).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(2, Type::Text, "no outcome of an attempt".into())
    })?;
    Ok(Attempt {
        at: time(row.get(0)?),
        took: Duration::from_micros(number(row.get(1)?)),
        outcome,
        status: row.get(3)?,
        response: row.get(4)?,
        detail: row.get(5)?,
    })
}

pub(super) fn upstream(text: &str) -> Upstream {
    Upstream::read(text)
}
