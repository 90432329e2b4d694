//! Pure. The metrics of the queue.
//!
//! Samples of a route's main upstream have only the label `route`. Samples of a copy have the label
//! `upstream` as well. Routes that share a path are counted together.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::MetricEncoder;

use super::family::{self, Family, Kind, Table, counter, gauge, histogram};
use super::histogram::Distribution;
use crate::queue::counts::Snapshot;
use crate::queue::event::{AttemptOutcome, RouteName, Upstream};
use crate::queue::store::{Counts, DeadCause, Destination};
use crate::queue::time::Time;

/// The state of the queue.
#[derive(Debug, Default)]
pub struct QueueState {
    destinations: BTreeMap<Labels, OfDestination>,
    totals: Totals,
}

/// The state of the whole queue.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// The bytes that the store takes on disk.
    pub bytes: u64,
    /// The free bytes of the store's disk, if they are known.
    pub disk_free: Option<u64>,
    /// Whether a limit of the store is reached.
    pub is_full: bool,
    /// Whether the store fails.
    pub is_failing: bool,
    /// How often damage other than damaged records was found in the store.
    pub damage: u64,
    /// How long commits took.
    pub commits: Distribution,
    /// The number of events that were committed.
    pub committed: u64,
    /// The current time.
    pub now: Time,
}

/// The path of a route, and the address of the copy.
type Labels = (String, Option<String>);

#[derive(Debug, Default)]
struct OfDestination {
    queued: u64,
    delivering: u64,
    delivered: u64,
    dead: u64,
    oldest: Option<Time>,
    is_open: bool,
    lanes_held: u64,
    removed_soon: u64,
    outcomes: BTreeMap<&'static str, u64>,
    causes: BTreeMap<&'static str, u64>,
}

impl QueueState {
    /// The state of a queue without destinations.
    #[must_use]
    pub fn new(totals: Totals) -> Self {
        Self { destinations: BTreeMap::new(), totals }
    }

    /// Adds a destination. Its samples are zero until something is counted.
    pub fn add_destination(&mut self, destination: &Destination) {
        let of = self.of(destination);
        for outcome in AttemptOutcome::ALL {
            of.outcomes.entry(outcome.as_str()).or_default();
        }
        for cause in [DeadCause::Refused, DeadCause::Undeliverable, DeadCause::Damaged] {
            of.causes.entry(cause.as_str()).or_default();
        }
    }

    /// Adds the counts of the stored deliveries to a destination.
    pub fn add_counts(&mut self, destination: &Destination, counts: &Counts) {
        let of = self.of(destination);
        of.queued = of.queued.saturating_add(counts.queued);
        of.delivered = of.delivered.saturating_add(counts.delivered);
        of.dead = of.dead.saturating_add(counts.dead);
        of.oldest = [of.oldest, counts.oldest].into_iter().flatten().min();
    }

    /// Adds the number of events of a route with dead letters that are removed soon.
    pub fn add_removed_soon(&mut self, route: &RouteName, count: u64) {
        let of = self.of(&Destination { route: route.clone(), upstream: Upstream::Main });
        of.removed_soon = of.removed_soon.saturating_add(count);
    }

    /// Adds the counts of deliveries to a destination.
    pub fn add_deliveries(&mut self, destination: &Destination, counted: &Snapshot) {
        let of = self.of(destination);
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        of.delivering = of.delivering.saturating_add(number(counted.under_way));
        of.lanes_held = of.lanes_held.saturating_add(number(counted.lanes_held));
        of.is_open |= counted.is_open;
        for (outcome, count) in counted.outcomes {
            let sum = of.outcomes.entry(outcome.as_str()).or_default();
            *sum = sum.saturating_add(count);
        }
        for (cause, count) in counted.dead {
            let sum = of.causes.entry(cause.as_str()).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    fn of(&mut self, destination: &Destination) -> &mut OfDestination {
        let upstream = match &destination.upstream {
            Upstream::Main => None,
            Upstream::Copy(address) => Some(address.to_string()),
        };
        self.destinations.entry((destination.route.path.to_string(), upstream)).or_default()
    }

    /// Writes a sample for each destination, with the labels of the destination and the labels `own`.
    fn each(
        &self,
        family: &mut MetricEncoder<'_>,
        mut encode: impl FnMut(&OfDestination, &mut Samples<'_, '_>) -> fmt::Result,
    ) -> fmt::Result {
        self.destinations.iter().try_for_each(|((route, upstream), of)| {
            encode(of, &mut Samples { family, route, upstream: upstream.as_deref() })
        })
    }
}

/// The place where the samples of a destination are written.
struct Samples<'a, 'f> {
    family: &'a mut MetricEncoder<'f>,
    route: &'a str,
    upstream: Option<&'a str>,
}

impl Samples<'_, '_> {
    fn write(
        &mut self,
        own: Option<(&str, &str)>,
        value: u64,
        write: fn(MetricEncoder<'_>, u64) -> fmt::Result,
    ) -> fmt::Result {
        let upstream = self.upstream.map(|upstream| ("upstream", upstream));
        let labels: Vec<_> = [Some(("route", self.route)), own, upstream].into_iter().flatten().collect();
        write(self.family.encode_family(&labels)?, value)
    }
}

/// The metrics of this state, for [`super::exposition::text()`].
#[must_use]
pub fn collector(state: QueueState) -> Box<dyn Collector> {
    Box::new(Table { state, families: FAMILIES })
}

/// The full name of every metric of the queue. Used to check the documentation.
pub fn names() -> impl Iterator<Item = String> {
    family::names(FAMILIES)
}

const FAMILIES: &[Family<QueueState>] = &[
    Family {
        name: "hookgate_queue_events",
        help: "Stored deliveries of events, by route and state",
        kind: Kind::Gauge,
        encode: |all, family| {
            all.each(family, |of, samples| {
                let delivering = of.delivering.min(of.queued);
                let states = [
                    ("queued", of.queued.saturating_sub(delivering)),
                    ("delivering", delivering),
                    ("delivered", of.delivered),
                    ("dead", of.dead),
                ];
                states
                    .iter()
                    .try_for_each(|(state, count)| samples.write(Some(("state", state)), *count, gauge))
            })
        },
    },
    Family {
        name: "hookgate_queue_oldest_seconds",
        help: "The age of the oldest event that is not delivered, 0 without one",
        kind: Kind::Gauge,
        encode: |all, family| {
            let age = |oldest: Time| all.totals.now.since(oldest).as_secs();
            all.each(family, |of, samples| samples.write(None, of.oldest.map_or(0, age), gauge))
        },
    },
    Family {
        name: "hookgate_queue_circuit_open",
        help: "Whether the circuit of a route's upstream is open, 1 or 0",
        kind: Kind::Gauge,
        encode: |all, family| all.each(family, |of, samples| samples.write(None, of.is_open.into(), gauge)),
    },
    Family {
        name: "hookgate_queue_lanes_held",
        help: "Order keys whose first event has failed and waits, so that others wait behind it",
        kind: Kind::Gauge,
        encode: |all, family| all.each(family, |of, samples| samples.write(None, of.lanes_held, gauge)),
    },
    Family {
        name: "hookgate_deliveries",
        help: "Attempts to deliver a stored event, by route and outcome",
        kind: Kind::Counter,
        encode: |all, family| {
            all.each(family, |of, samples| {
                let mut outcomes = of.outcomes.iter();
                outcomes.try_for_each(|(outcome, count)| {
                    samples.write(Some(("outcome", outcome)), *count, counter)
                })
            })
        },
    },
    Family {
        name: "hookgate_dead_letters",
        help: "Deliveries that were given up, by route and cause",
        kind: Kind::Counter,
        encode: |all, family| {
            all.each(family, |of, samples| {
                let mut causes = of.causes.iter();
                causes.try_for_each(|(cause, count)| samples.write(Some(("cause", cause)), *count, counter))
            })
        },
    },
    Family {
        name: "hookgate_dead_letters_removed_soon",
        help: "Events with dead letters that are removed within a day, by route",
        kind: Kind::Gauge,
        encode: |all, family| {
            all.each(family, |of, samples| match samples.upstream {
                None => samples.write(None, of.removed_soon, gauge),
                // An event is removed with all its deliveries.
                Some(_copy) => Ok(()),
            })
        },
    },
    Family {
        name: "hookgate_queue_bytes",
        help: "Bytes that the store of events takes",
        kind: Kind::Gauge,
        encode: |all, family| family.encode_gauge(&all.totals.bytes),
    },
    Family {
        name: "hookgate_queue_disk_free_bytes",
        help: "Free bytes of the store's disk",
        kind: Kind::Gauge,
        encode: |all, family| all.totals.disk_free.map_or(Ok(()), |free| family.encode_gauge(&free)),
    },
    Family {
        name: "hookgate_queue_full",
        help: "Whether a limit of the store is reached, 1 or 0",
        kind: Kind::Gauge,
        encode: |all, family| family.encode_gauge(&u64::from(all.totals.is_full)),
    },
    Family {
        name: "hookgate_queue_failing",
        help: "Whether the store fails and nothing is acknowledged, 1 or 0",
        kind: Kind::Gauge,
        encode: |all, family| family.encode_gauge(&u64::from(all.totals.is_failing)),
    },
    Family {
        name: "hookgate_queue_damage",
        help: "Damage of the store that was found: in its log, its indexes or its rows. A damaged record is a dead letter",
        kind: Kind::Counter,
        encode: |all, family| {
            family.encode_counter::<prometheus_client::encoding::NoLabelSet, _, u64>(&all.totals.damage, None)
        },
    },
    Family {
        name: "hookgate_queue_commit_duration_seconds",
        help: "How long a commit took, with its sync; each is of all that waited for it",
        kind: Kind::Histogram,
        encode: |all, family| histogram(family, &all.totals.commits),
    },
    Family {
        name: "hookgate_queue_committed_events",
        help: "Events that were committed",
        kind: Kind::Counter,
        encode: |all, family| {
            family.encode_counter::<prometheus_client::encoding::NoLabelSet, _, u64>(
                &all.totals.committed,
                None,
            )
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::counts::DeliveryCounts;
    use crate::telemetry::exposition::{Gauges, text};
    use crate::telemetry::labels::Labels as OfRoutes;
    use crate::telemetry::metric::Meters;

    fn destination(path: &str, model: Option<&str>, upstream: Upstream) -> Destination {
        Destination { route: RouteName { path: path.into(), model: model.map(Into::into) }, upstream }
    }

    fn shown(state: QueueState) -> String {
        let labels = OfRoutes::default();
        text(Meters::default().sum(), labels, Gauges::default(), [collector(state)])
    }

    #[test]
    fn each_state_outcome_and_cause_has_a_sample_from_the_start() {
        let mut state = QueueState::default();
        state.add_destination(&destination("/a", None, Upstream::Main));
        let text = shown(state);
        for line in [
            "hookgate_queue_events{route=\"/a\",state=\"queued\"} 0",
            "hookgate_queue_events{route=\"/a\",state=\"dead\"} 0",
            "hookgate_queue_oldest_seconds{route=\"/a\"} 0",
            "hookgate_deliveries_total{route=\"/a\",outcome=\"timed_out\"} 0",
            "hookgate_dead_letters_total{route=\"/a\",cause=\"undeliverable\"} 0",
            "hookgate_dead_letters_removed_soon{route=\"/a\"} 0",
            "hookgate_queue_bytes 0",
            "hookgate_queue_failing 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
        assert!(!text.contains("\nhookgate_queue_disk_free_bytes "), "it is not known");
    }

    #[test]
    fn routes_of_a_path_are_one_series_and_a_copy_is_another() {
        let mut state = QueueState::new(Totals {
            now: Time::from_millis(61_500),
            disk_free: Some(7),
            ..Totals::default()
        });
        let counts =
            |queued, oldest| Counts { queued, oldest: Some(Time::from_millis(oldest)), ..Counts::default() };
        let main = destination("/a", None, Upstream::Main);
        state.add_counts(&main, &counts(3, 1_000));
        state.add_counts(&destination("/a", Some("leads"), Upstream::Main), &counts(4, 2_000));
        state.add_counts(&destination("/a", None, Upstream::Copy("http://b:1".into())), &counts(1, 60_000));
        state.add_removed_soon(&main.route, 2);
        let deliveries = DeliveryCounts::default();
        deliveries.of(&main).attempted(AttemptOutcome::Delivered);
        deliveries.of(&main).set_now(1, 2);
        deliveries.of(&main).set_open(true);
        deliveries.all().iter().for_each(|(destination, counted)| state.add_deliveries(destination, counted));
        let text = shown(state);
        for line in [
            "hookgate_queue_events{route=\"/a\",state=\"queued\"} 5",
            "hookgate_queue_events{route=\"/a\",state=\"delivering\"} 2",
            "hookgate_queue_events{route=\"/a\",state=\"queued\",upstream=\"http://b:1\"} 1",
            "hookgate_queue_oldest_seconds{route=\"/a\"} 60",
            "hookgate_queue_circuit_open{route=\"/a\"} 1",
            "hookgate_queue_lanes_held{route=\"/a\"} 1",
            "hookgate_deliveries_total{route=\"/a\",outcome=\"delivered\"} 1",
            "hookgate_queue_disk_free_bytes 7",
            "hookgate_dead_letters_removed_soon{route=\"/a\"} 2",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }
}
