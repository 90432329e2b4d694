//! Pure. Metrics: one tally for each worker, and the sum of all tallies. The record of each request updates
//! the worker's tally.
//!
//! A worker counts in its own memory. Only a reading of the metrics ever competes for the lock of this
//! memory. A label comes from the configuration or from an enum, never from a client's bytes. Routes are
//! numbered when a gateway is built, and a record has the number of its route.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::histogram::Distribution;
use super::record::Record;
use crate::gateway::reason::Reason;
use crate::telemetry::closed_connections::ClosedConnections;
use crate::telemetry::handshakes::Handshakes;
use crate::telemetry::labels::SecretName;
use crate::telemetry::route_slot::Slot;

/// The metrics of a server. They outlive reloads of the configuration.
#[derive(Debug)]
pub struct Meters {
    /// The path for each number. The first entry is for requests without a route.
    paths: Mutex<Vec<Arc<str>>>,
    shards: Mutex<Vec<Arc<Shard>>>,
    handshakes: Handshakes,
    closed: ClosedConnections,
}

/// The label of a diagnosis that found no cause.
pub const UNEXPLAINED: &str = "unexplained";

/// The labels that distinguish the outcomes of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// The status code of the answer. 0 without an answer, and [`Outcome::UNREGISTERED`] for a code that is
    /// not registered. So not even an upstream can create labels without a bound.
    pub status: u16,
    /// [`crate::gateway::rejection::Rejection::reason`], if there is one.
    pub reason: Option<Reason>,
}

impl Outcome {
    /// The label value for all status codes that are not registered.
    pub const UNREGISTERED: u16 = 999;

    fn of(record: &Record) -> Self {
        let registered =
            StatusCode::from_u16(record.status).is_ok_and(|status| status.canonical_reason().is_some());
        let status = if registered || record.status == 0 { record.status } else { Self::UNREGISTERED };
        Self { status, reason: record.reason }
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            paths: Mutex::new(vec!["".into()]),
            shards: Mutex::default(),
            handshakes: Handshakes::default(),
            closed: ClosedConnections::default(),
        }
    }
}

impl Meters {
    /// The number of a configured path.
    #[must_use]
    pub fn slot(&self, path: &str) -> Slot {
        let mut paths = lock(&self.paths);
        let known = paths.iter().position(|other| **other == *path);
        Slot(known.unwrap_or_else(|| {
            paths.push(path.into());
            paths.len().saturating_sub(1)
        }))
    }

    /// The TLS handshakes with clients.
    #[must_use]
    pub fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    /// The connections that were closed because of `max_connections_per_client`.
    #[must_use]
    pub fn closed_connections(&self) -> &ClosedConnections {
        &self.closed
    }

    /// Creates the tally of one more worker.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let shard = Arc::<Shard>::default();
        lock(&self.shards).push(Arc::clone(&shard));
        Tally(shard)
    }

    /// The sum of the counts of all workers.
    #[must_use]
    pub fn sum(&self) -> Sum {
        let handshakes = self.handshakes.counts().collect();
        let mut sum = Sum { handshakes, closed_connections: self.closed.total(), ..Sum::default() };
        let paths = lock(&self.paths).clone();
        for shard in lock(&self.shards).iter() {
            sum.connections = sum.connections.wrapping_add(shard.connections.load(Ordering::Relaxed));
            let counts = lock(&shard.counts);
            for (slot, route) in &counts.routes {
                let Some(path) = paths.get(slot.0) else { continue };
                sum.took.add(&route.took);
                sum.routes.entry(Arc::clone(path)).or_default().add(route);
            }
        }
        sum
    }
}

/// The counts of one worker.
#[derive(Debug, Default)]
struct Shard {
    /// The number of open connections.
    connections: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    routes: BTreeMap<Slot, RouteSum>,
}

/// The writing side of the counts of one worker.
#[derive(Debug)]
pub struct Tally(Arc<Shard>);

impl Tally {
    /// Counts a request that has ended at `now`.
    pub fn count(&self, record: &Record, now: SystemTime) {
        let mut counts = lock(&self.0.counts);
        let slot = record.route.as_ref().map_or(Slot::NO_ROUTE, |route| route.slot);
        let route = counts.routes.entry(slot).or_default();
        route.took.observe(record.took);
        count(&mut route.outcomes, Outcome::of(record), 1);
        if let Some(reason) = record.observed {
            count(&mut route.would_refuse, reason, 1);
        }
        if let Some(secret) = &record.secret {
            let seen = route.verified.entry(Arc::clone(secret)).or_default();
            seen.count = seen.count.wrapping_add(1);
            seen.last = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        }
        if record.is_required_client {
            count_client(route, record);
        }
        if let Some(took) = record.upstream_took {
            route.upstream.observe(took);
        }
    }

    /// Counts a diagnosis of a route's request, under the label of the cause.
    pub fn diagnosed(&self, slot: Slot, cause: &'static str) {
        count(&mut lock(&self.0.counts).routes.entry(slot).or_default().diagnosed, cause, 1);
    }

    /// How many connections of this thread are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        usize::try_from(self.0.connections.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Counts a connection as open until the returned guard is dropped.
    #[must_use]
    pub fn open(&self) -> Open {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.0))
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open(Arc<Shard>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a client certificate. This function is separate, because few requests have such a certificate.
#[cold]
#[inline(never)]
fn count_client(route: &mut RouteSum, record: &Record) {
    if let Some(name) = &record.client_certificate {
        count(&mut route.clients, Arc::clone(name), 1);
    }
}

/// Adds to the count of a key.
fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, more: u64) {
    let count = counts.entry(key).or_default();
    *count = count.wrapping_add(more);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sum of the tallies of all workers.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// The counts by the path of the route. The empty path is for requests without a route.
    pub routes: BTreeMap<Arc<str>, RouteSum>,
    /// The durations of requests.
    pub took: Distribution,
    /// The number of open connections.
    pub connections: u64,
    /// TLS handshakes with clients, by how they ended.
    pub handshakes: Vec<(&'static str, u64)>,
    /// How many connections were closed because of `max_connections_per_client`.
    pub closed_connections: u64,
}

impl Sum {
    /// The events that a secret has verified on all its routes.
    #[must_use]
    pub fn seen(&self, secret: &SecretName) -> Seen {
        let routes = secret.routes.iter().filter_map(|path| self.routes.get(path));
        let mut all = Seen::default();
        routes.filter_map(|route| route.verified.get(&secret.name)).for_each(|seen| all.add(*seen));
        all
    }
}

/// The counts of one route.
#[derive(Clone, Debug, Default)]
pub struct RouteSum {
    /// The number of requests, by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// The number of observed requests that an enforcing route would have refused, by reason.
    pub would_refuse: BTreeMap<Reason, u64>,
    /// The number of diagnoses of unverified requests, by cause.
    pub diagnosed: BTreeMap<&'static str, u64>,
    /// The events that each secret has verified, by the secret's name.
    pub verified: BTreeMap<Arc<str>, Seen>,
    /// Requests by the name in the client's certificate that the route requires.
    pub clients: BTreeMap<Arc<str>, u64>,
    /// The durations of requests.
    pub took: Distribution,
    /// How long the upstream took.
    pub upstream: Distribution,
}

impl RouteSum {
    /// Adds other counts. A count of zero becomes an entry, too.
    pub(super) fn add(&mut self, other: &Self) {
        other.outcomes.iter().for_each(|(outcome, n)| count(&mut self.outcomes, *outcome, *n));
        other.would_refuse.iter().for_each(|(reason, n)| count(&mut self.would_refuse, *reason, *n));
        other.diagnosed.iter().for_each(|(cause, n)| count(&mut self.diagnosed, *cause, *n));
        for (secret, seen) in &other.verified {
            self.verified.entry(Arc::clone(secret)).or_default().add(*seen);
        }
        other.clients.iter().for_each(|(name, n)| count(&mut self.clients, Arc::clone(name), *n));
        self.took.add(&other.took);
        self.upstream.add(&other.upstream);
    }
}

/// The events that a secret has verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of events.
    pub count: u64,
    /// When the secret last verified an event, in seconds since 1970; 0 if never.
    pub last: u64,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.count = self.count.wrapping_add(other.count);
        self.last = self.last.max(other.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::telemetry::record::{RequestId, RouteLabel};

    fn record(meters: &Meters, path: &str) -> Record {
        let mut record = Record::new(RequestId(1), ClientAddress::ip(std::net::Ipv4Addr::LOCALHOST.into()));
        record.route =
            Some(RouteLabel { path: path.into(), slot: meters.slot(path), scheme: "propify".into() });
        record.status = 200;
        record
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_workers_add_up() {
        let meters = Meters::default();
        let (one, other) = (meters.tally(), meters.tally());
        let mut good = record(&meters, "/a");
        good.secret = Some("current".into());
        good.upstream_took = Some(Duration::from_millis(3));
        one.count(&good, at(50));
        one.count(&good, at(40));
        other.count(&good, at(30));
        let mut bad = record(&meters, "/b");
        bad.status = 401;
        bad.reason = Some(Reason::SignatureMismatch);
        other.count(&bad, at(60));
        bad.route = None;
        other.count(&bad, at(60));
        let sum = meters.sum();
        let (a, b, none) = (&sum.routes["/a"], &sum.routes["/b"], &sum.routes[""]);
        assert_eq!(a.outcomes[&Outcome { status: 200, reason: None }], 3);
        assert_eq!(a.verified["current"], Seen { count: 3, last: 40 });
        assert_eq!(a.upstream.count(), 3);
        assert_eq!(b.outcomes[&Outcome { status: 401, reason: Some(Reason::SignatureMismatch) }], 1);
        assert_eq!((b.upstream.count(), b.verified.len(), none.outcomes.len()), (0, 0, 1));
        assert_eq!((sum.took.count(), a.took.count(), none.took.count()), (5, 3, 1));
    }

    /// The number of series is bounded. Neither an upstream's answers nor reloads can raise it above the
    /// bound.
    #[test]
    fn there_are_no_more_series_than_status_codes_that_exist() {
        let meters = Meters::default();
        let tally = meters.tally();
        for _reload in 0..3 {
            for status in 0..=u16::MAX {
                let mut record = record(&meters, "/a");
                record.status = status;
                tally.count(&record, at(1));
            }
        }
        let outcomes = &meters.sum().routes["/a"].outcomes;
        assert!(outcomes.len() < 70, "{}", outcomes.len());
        assert_eq!(outcomes[&Outcome { status: 200, reason: None }], 3);
        assert!(outcomes[&Outcome { status: Outcome::UNREGISTERED, reason: None }] > 190_000);
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let meters = Meters::default();
        let tally = meters.tally();
        let (one, other) = (tally.open(), tally.open());
        assert_eq!(meters.sum().connections, 2);
        drop(one);
        assert_eq!(meters.sum().connections, 1);
        drop((other, tally));
        assert_eq!(meters.sum().connections, 0);
    }
}
