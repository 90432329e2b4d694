//! Shell. The log lines and the counts of deliveries: one record for each attempt.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tracing::{error, info, warn};

use crate::config::AccessLog;
use crate::queue::circuit::{Kind, Standing, Turned};
use crate::queue::counts::DeliveryCounts;
use crate::queue::delivery::attempt::Sent;
use crate::queue::destination::{Deliveries, End, Now};
use crate::queue::event::{Attempt, Upstream};
use crate::queue::store::{DamagedDelivery, DeadCause, Destination, Next};
use crate::telemetry;
use crate::telemetry::attempt::AttemptRecord;
use crate::telemetry::log_line::beginning;
use crate::telemetry::recent::Recent;
use crate::telemetry::recent::entry::DeliveryAttempt;
use crate::telemetry::repeated_log_line::Repeated;

/// Logs and counts deliveries. A message that an upstream can cause at will is logged once a minute, with a
/// count.
#[derive(Debug)]
pub(super) struct Teller {
    counts: Arc<DeliveryCounts>,
    recent: Arc<Recent>,
    dead: BTreeMap<Destination, Repeated>,
    opened: BTreeMap<Destination, Repeated>,
    not_read: Repeated,
    /// The published states of circuits that are not calm.
    circuits: BTreeMap<Destination, Standing>,
}

/// The published state of a destination.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Published {
    /// The state of the circuit.
    pub(super) circuit: Standing,
    lanes_held: usize,
    under_way: usize,
}

impl Published {
    /// The state of a destination. `None` if the destination is not known.
    pub(super) fn of(deliveries: Option<&Deliveries>) -> Self {
        deliveries.map_or_else(Self::default, |deliveries| Self {
            circuit: deliveries.standing(),
            lanes_held: deliveries.lanes_held(),
            under_way: deliveries.under_way(),
        })
    }
}

impl Teller {
    pub(super) fn new(counts: Arc<DeliveryCounts>, recent: Arc<Recent>) -> Self {
        Self {
            counts,
            recent,
            dead: BTreeMap::new(),
            opened: BTreeMap::new(),
            not_read: Repeated::default(),
            circuits: BTreeMap::new(),
        }
    }

    /// Logs and counts an attempt that has ended.
    pub(super) fn attempted(&mut self, sent: &Sent, end: &End, next: Next, now: Now, access: AccessLog) {
        let counts = self.counts.of(&sent.destination);
        counts.attempted(sent.attempt.outcome);
        let (again_in, dead) = match next {
            Next::Delivered => (None, None),
            Next::Again { due, .. } => (Some(due.since(now.clocks.wall)), None),
            Next::Dead(cause) => (None, Some(cause)),
        };
        let record = AttemptRecord {
            event: sent.event,
            route: &sent.destination.route,
            upstream: &sent.address,
            number: end.attempts.saturating_add(1),
            is_probe: end.kind == Kind::Probe,
            outcome: sent.attempt.outcome,
            status: sent.attempt.status,
            detail: sent.attempt.detail.as_deref(),
            took: sent.attempt.took,
            again_in,
            dead,
        };
        let since = Duration::from_millis(now.clocks.wall.millis());
        let at = SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH);
        if record.is_wanted(access) && !telemetry::emit_attempt(&record, at) {
            attempt(&record);
        }
        self.recent.delivery(at, record.outcome, || DeliveryAttempt::of(&record, &sent.address));
    }

    /// A delivery was given up, and its end is on disk.
    pub(super) fn gave_up(&mut self, sent: &Sent, cause: DeadCause, now: Instant) {
        self.counts.of(&sent.destination).gave_up(cause);
        let repeated = self.dead.entry((*sent.destination).clone()).or_default();
        if let Some(count) = repeated.count(now) {
            let (route, upstream) = (&sent.destination.route, &*sent.address);
            let (status, detail) = (sent.attempt.status, sent.attempt.detail.as_deref());
            warn!(
                event = %sent.event, %route, upstream, cause = cause.as_str(), status, detail, count,
                "an event could not be delivered and is a dead letter"
            );
        }
    }

    /// A circuit has opened or closed, because of this attempt or of a directly forwarded request.
    pub(super) fn turned(
        &mut self,
        destination: &Destination,
        address: &str,
        turned: Turned,
        by: Option<&Attempt>,
        now: Instant,
    ) {
        let repeated = self.opened.entry(destination.clone()).or_default();
        let (route, upstream) = (&destination.route, address);
        match turned {
            Turned::Opened => {
                if let Some(count) = repeated.count(now) {
                    let status = by.and_then(|attempt| attempt.status);
                    let detail = by.and_then(|attempt| attempt.detail.as_deref());
                    warn!(
                        %route, upstream, status, detail, count,
                        "the circuit is open: the app is in trouble, and one event at a time is tried"
                    );
                }
            }
            Turned::Closed => info!(%route, upstream, "the circuit is closed: the app answers again"),
        }
    }

    /// The record of a delivery is damaged.
    pub(super) fn damaged(&self, destination: &Destination, delivery: DamagedDelivery) {
        self.counts.of(destination).gave_up(DeadCause::Damaged);
        let route = &destination.route;
        let upstream = match &destination.upstream {
            Upstream::Main => None,
            Upstream::Copy(address) => Some(&**address),
        };
        let event = delivery.event.map(|id| id.to_string());
        error!(event, %route, upstream, "a stored record is damaged: it was set aside, and is not delivered");
    }

    /// Logs that the store could not be read.
    pub(super) fn not_read(&mut self, error: &dyn Error, now: Instant) {
        if let Some(count) = self.not_read.count(now) {
            let source = error.source().map(ToString::to_string);
            warn!(%error, source, count, "due deliveries cannot be read from the store");
        }
    }

    /// Publishes the state of a destination. Returns whether its circuit has changed.
    pub(super) fn publish(&mut self, destination: &Destination, state: Published) -> bool {
        let Published { circuit, lanes_held, under_way } = state;
        let counts = self.counts.of(destination);
        counts.set_now(lanes_held, under_way);
        counts.set_open(circuit == Standing::Open);
        let known = self.circuits.get(destination).copied().unwrap_or_default();
        if known == circuit {
            return false;
        }
        match circuit {
            Standing::Calm => self.circuits.remove(destination),
            Standing::Counting | Standing::Open => self.circuits.insert(destination.clone(), circuit),
        };
        true
    }

    /// Logs that the thread has ended, if it left deliveries unfinished.
    pub(super) fn ended(&self, unfinished: usize, is_drained: bool) {
        if unfinished > 0 || !is_drained {
            info!(unfinished, "deliveries were cut off at the end of the grace period: they stay queued");
        }
    }
}

/// Logs one attempt.
fn attempt(record: &AttemptRecord<'_>) {
    let AttemptRecord { route, upstream, number, is_probe, status, .. } = record;
    let probe = is_probe.then_some(true);
    info!(
        event = %record.event,
        route = &*route.path,
        model = route.model.as_deref(),
        upstream,
        attempt = number,
        probe,
        outcome = record.outcome.as_str(),
        status,
        detail = record.detail.map(beginning),
        dead = record.dead.map(|cause| cause.as_str()),
        duration_ms = millis(record.took),
        again_ms = record.again_in.map(millis),
        "delivery"
    );
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
