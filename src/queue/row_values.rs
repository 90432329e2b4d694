//! Pure. Writes and reads the values of columns, for each engine that keeps rows.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::queue::event::{MOST_KEPT_OF_RESPONSE, OrderKey};
use crate::queue::id::EventId;
use crate::queue::store::{Class, DeadCause, State};
use crate::queue::time::Time;

/// The value of `state` for a queued delivery. The queries contain this number.
pub(crate) const QUEUED: i64 = 0;

/// The number of a state.
pub(crate) const fn of_state(state: State) -> i64 {
    match state {
        State::Queued => QUEUED,
        State::Delivered => 1,
        State::Dead(DeadCause::Refused) => 2,
        State::Dead(DeadCause::Undeliverable) => 3,
        State::Dead(DeadCause::Damaged) => 4,
    }
}

/// The state with this number. An unknown number means a damaged row.
pub(crate) const fn state(number: i64) -> State {
    match number {
        0 => State::Queued,
        1 => State::Delivered,
        2 => State::Dead(DeadCause::Refused),
        3 => State::Dead(DeadCause::Undeliverable),
        _ => State::Dead(DeadCause::Damaged),
    }
}

/// The number of a class.
pub(crate) const fn of_class(class: Class) -> i64 {
    match class {
        Class::New => 0,
        Class::Retry => 1,
        Class::Replay => 2,
    }
}

/// The class with this number. An unknown number means the last class.
pub(crate) const fn class(number: i64) -> Class {
    match number {
        0 => Class::New,
        1 => Class::Retry,
        _ => Class::Replay,
    }
}

/// The number for a column. A number that does not fit becomes the greatest number.
pub(crate) fn of_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of a column. A negative number becomes zero, because a counter is never negative.
pub(crate) fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The number of a column, in 32 bits. A number that does not fit becomes the greatest number.
pub(crate) fn small(wide: i64) -> u32 {
    u32::try_from(number(wide)).unwrap_or(u32::MAX)
}

pub(crate) fn of_time(time: Time) -> i64 {
    of_number(time.millis())
}

pub(crate) fn time(millis: i64) -> Time {
    Time::from_millis(number(millis))
}

pub(crate) fn of_duration(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A hash that ties a delivery to its event and its destination. A flipped bit in one of the numbers cannot
/// deliver another event.
pub(crate) fn seal(delivery: i64, event: i64, destination: i64, id: EventId) -> i64 {
    let mut hash = Sha256::new();
    for number in [delivery, event, destination] {
        hash.update(number.to_be_bytes());
    }
    hash.update(id.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The order key in a column. A stored key is short enough to be stored unchanged.
pub(crate) fn order(text: Option<String>) -> Option<OrderKey> {
    text.map(|text| OrderKey::new(&text))
}

/// The part of a response that is kept.
pub(crate) fn kept(response: &[u8]) -> &[u8] {
    response.get(..MOST_KEPT_OF_RESPONSE).unwrap_or(response)
}
