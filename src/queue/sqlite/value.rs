//! Pure. Writes and reads the values of columns.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Row;
use rusqlite::types::Type;
use sha2::{Digest as _, Sha256};

use crate::queue::event::{
    Attempt, AttemptOutcome, DuplicateKey, EventInfo, MOST_KEPT_OF_RESPONSE, OrderKey, RouteName, Upstream,
};
use crate::queue::id::EventId;
use crate::queue::store::{Class, DeadCause, State};
use crate::queue::time::Time;

/// The value of `state` for a queued delivery. The queries contain this number.
pub(super) const QUEUED: i64 = 0;

/// The number of a state.
pub(super) const fn of_state(state: State) -> i64 {
    match state {
        State::Queued => QUEUED,
        State::Delivered => 1,
        State::Dead(DeadCause::Refused) => 2,
        State::Dead(DeadCause::Undeliverable) => 3,
        State::Dead(DeadCause::Damaged) => 4,
    }
}

/// The state with this number. An unknown number means a damaged row.
pub(super) const fn state(number: i64) -> State {
    match number {
        0 => State::Queued,
        1 => State::Delivered,
        2 => State::Dead(DeadCause::Refused),
        3 => State::Dead(DeadCause::Undeliverable),
        _ => State::Dead(DeadCause::Damaged),
    }
}

/// The number of a class.
pub(super) const fn of_class(class: Class) -> i64 {
    match class {
        Class::New => 0,
        Class::Retry => 1,
        Class::Replay => 2,
    }
}

/// The class with this number. An unknown number means the last class.
pub(super) const fn class(number: i64) -> Class {
    match number {
        0 => Class::New,
        1 => Class::Retry,
        _ => Class::Replay,
    }
}

/// The number for a column. A number that does not fit becomes the greatest number.
pub(super) fn of_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of a column. A negative number becomes zero, because a counter is never negative.
pub(super) fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The number of a column, in 32 bits. A number that does not fit becomes the greatest number.
pub(super) fn small(wide: i64) -> u32 {
    u32::try_from(number(wide)).unwrap_or(u32::MAX)
}

pub(super) fn of_time(time: Time) -> i64 {
    of_number(time.millis())
}

pub(super) fn time(millis: i64) -> Time {
    Time::from_millis(number(millis))
}

pub(super) fn of_duration(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A hash that ties a delivery to its event and its destination. A flipped bit in one of the numbers cannot
/// deliver another event.
pub(super) fn seal(delivery: i64, event: i64, destination: i64, id: EventId) -> i64 {
    let mut hash = Sha256::new();
    for number in [delivery, event, destination] {
        hash.update(number.to_be_bytes());
    }
    hash.update(id.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

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

pub(super) fn upstream(text: &str) -> Upstream {
    Upstream::read(text)
}

/// The order key of a column. The stored text is short, so [`OrderKey::new`] returns it unchanged.
pub(super) fn order(text: Option<String>) -> Option<OrderKey> {
    text.map(|text| OrderKey::new(&text))
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

/// The part of a response that is kept.
pub(super) fn kept(response: &[u8]) -> &[u8] {
    response.get(..MOST_KEPT_OF_RESPONSE).unwrap_or(response)
}
