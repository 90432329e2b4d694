//! Pure. The record of an attempt to deliver a stored event. Each attempt writes one record when it has
//! ended.

use std::time::Duration;

use crate::config::AccessLog;
use crate::queue::event::{AttemptOutcome, RouteName};
use crate::queue::id::EventId;
use crate::queue::store::DeadCause;

/// The record of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptRecord<'a> {
    /// The event.
    pub event: EventId,
    /// The event's route.
    pub route: &'a RouteName,
    /// The address of the upstream.
    pub upstream: &'a str,
    /// The number of the attempt, counted from 1.
    pub number: u32,
    /// Whether the attempt was a probe. A probe is made while the circuit is open, and does not count.
    pub is_probe: bool,
    /// The outcome.
    pub outcome: AttemptOutcome,
    /// The status code of the answer, if there was one.
    pub status: Option<u16>,
    /// Why the attempt failed, as a text for people.
    pub detail: Option<&'a str>,
    /// How long the attempt took.
    pub took: Duration,
    /// The time until the next attempt, if there is one.
    pub again_in: Option<Duration>,
    /// Why the delivery was given up, if it was.
    pub dead: Option<DeadCause>,
}

impl AttemptRecord<'_> {
    /// Whether the access log includes this record.
    #[must_use]
    pub fn is_wanted(&self, access: AccessLog) -> bool {
        match access {
            AccessLog::All => true,
            AccessLog::Refused => self.outcome != AttemptOutcome::Delivered,
            AccessLog::Off => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_is_left_out_where_only_refusals_are_logged() {
        let route = RouteName { path: "/".into(), model: None };
        let record = |outcome, dead| AttemptRecord {
            event: EventId::from_bytes([0; 16]),
            route: &route,
            upstream: "http://a",
            number: 1,
            is_probe: false,
            outcome,
            status: None,
            detail: None,
            took: Duration::ZERO,
            again_in: None,
            dead,
        };
        let delivered = record(AttemptOutcome::Delivered, None);
        assert!(delivered.is_wanted(AccessLog::All) && !delivered.is_wanted(AccessLog::Refused));
        let dead = record(AttemptOutcome::TimedOut, Some(DeadCause::Undeliverable));
        assert!(dead.is_wanted(AccessLog::Refused) && !dead.is_wanted(AccessLog::Off));
    }
}
