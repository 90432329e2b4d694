//! Pure. Metrics: one tally for each worker, updated from the record of each request, and the sum of all tallies.
//!
//! A request allocates nothing here and looks nothing up by name, except when a route ends a request in a new way. A label
//! comes from the configuration or from an enum, never from a client's bytes: routes are numbered when a gateway is built,
//! and a record carries its route's number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::count::{Count, Distribution, Histogram};
use super::record::Record;
use super::slot::Slot;
use crate::gateway::reason::Reason;
use crate::telemetry::labels::SecretName;

/// The metrics of a server. They outlive reloads of the configuration.
#[derive(Debug)]
pub struct Meters {
    /// The path of each number. The first is for requests without a route.
    paths: Mutex<Vec<Arc<str>>>,
    shards: Mutex<Vec<Arc<Shard>>>,
}

/// The label of a diagnosis that found no cause.
pub const UNEXPLAINED: &str = "unexplained";

/// The labels that tell the ends of requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// The status code of the answer; 0 without an answer, and [`Outcome::UNREGISTERED`] for an unregistered code, so that
    /// not even an upstream can create labels without bound.
    pub status: u16,
    /// [`crate::gateway::rejection::Rejection::reason`], if there is one.
    pub reason: Option<Reason>,
}

impl Outcome {
    /// The label value for every status code that is not registered.
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
        Self { paths: Mutex::new(vec!["".into()]), shards: Mutex::default() }
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

    /// Creates the tally of one more worker.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let shard = Arc::new(Shard::default());
        lock(&self.shards).push(Arc::clone(&shard));
        Tally { shard, routes: RefCell::default() }
    }

    /// The sum of all counts so far.
    #[must_use]
    pub fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        let paths = lock(&self.paths).clone();
        for shard in lock(&self.shards).iter() {
            shard.add_to(&mut sum, &paths);
        }
        sum
    }
}

/// The counts of one worker.
#[derive(Debug, Default)]
struct Shard {
    opened: Count,
    closed: Count,
    took: Histogram,
    routes: Mutex<Vec<(Slot, Arc<RouteShard>)>>,
}

/// The counts of one route on one worker.
#[derive(Debug, Default)]
struct RouteShard {
    outcomes: Family<Outcome>,
    would_refuse: Family<Reason>,
    diagnosed: Family<&'static str>,
    verified: Family<Arc<str>>,
    upstream: Histogram,
}

/// Counts by key. Keys are few, and new ones are rare.
type Family<K> = Mutex<Vec<(K, Arc<Entry>)>>;

#[derive(Debug, Default)]
struct Entry {
    count: Count,
    /// When it last increased, in seconds since 1970.
    last: Count,
}

impl Shard {
    /// The counts of the route with this number, created if missing.
    #[inline]
    fn route<'t>(&self, routes: &'t mut Vec<Option<RouteTally>>, slot: Slot) -> Option<&'t mut RouteTally> {
        if routes.len() <= slot.0 {
            routes.resize_with(slot.0.saturating_add(1), || None);
        }
        Some(routes.get_mut(slot.0)?.get_or_insert_with(|| {
            let tally = RouteTally::default();
            lock(&self.routes).push((slot, Arc::clone(&tally.shard)));
            tally
        }))
    }

    fn add_to(&self, sum: &mut Sum, paths: &[Arc<str>]) {
        // `closed` is read before `opened`, so that a connection that closes in between is not subtracted without having
        // been added.
        let closed = self.closed.get();
        let open = self.opened.get().wrapping_sub(closed);
        sum.connections = sum.connections.wrapping_add(open);
        self.took.add_to(&mut sum.took);
        for (slot, route) in lock(&self.routes).iter() {
            let Some(path) = paths.get(slot.0) else { continue };
            let of_route = sum.routes.entry(Arc::clone(path)).or_default();
            for (key, entry) in lock(&route.outcomes).iter() {
                let count = of_route.outcomes.entry(*key).or_default();
                *count = count.wrapping_add(entry.count.get());
            }
            for (key, entry) in lock(&route.would_refuse).iter() {
                let count = of_route.would_refuse.entry(*key).or_default();
                *count = count.wrapping_add(entry.count.get());
            }
            for (key, entry) in lock(&route.diagnosed).iter() {
                let count = of_route.diagnosed.entry(key).or_default();
                *count = count.wrapping_add(entry.count.get());
            }
            for (key, entry) in lock(&route.verified).iter() {
                let seen = of_route.verified.entry(Arc::clone(key)).or_default();
                seen.count = seen.count.wrapping_add(entry.count.get());
                seen.last = seen.last.max(entry.last.get());
            }
            route.upstream.add_to(&mut of_route.upstream);
        }
    }
}

/// The writing side of one worker's tally.
#[derive(Debug)]
pub struct Tally {
    shard: Arc<Shard>,
    /// Indexed by slot.
    routes: RefCell<Vec<Option<RouteTally>>>,
}

/// As [`RouteShard`], for the worker's thread alone, without a lock.
#[derive(Debug, Default)]
struct RouteTally {
    shard: Arc<RouteShard>,
    outcomes: Known<Outcome>,
    would_refuse: Known<Reason>,
    diagnosed: Known<&'static str>,
    verified: Known<Arc<str>>,
}

type Known<K> = Vec<(K, Arc<Entry>)>;

impl Tally {
    /// Counts a request that ended at `now`.
    pub fn count(&self, record: &Record, now: SystemTime) {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        self.shard.took.observe(record.took);
        let mut routes = self.routes.borrow_mut();
        let slot = record.route.as_ref().map_or(Slot::NO_ROUTE, |route| route.slot);
        let Some(route) = self.shard.route(&mut routes, slot) else { return };
        let outcome = Outcome::of(record);
        let RouteTally { shard, outcomes, would_refuse, diagnosed: _, verified } = route;
        add(outcomes, &shard.outcomes, seconds, |key| *key == outcome, || outcome);
        if let Some(reason) = record.observed {
            add(would_refuse, &shard.would_refuse, seconds, |key| *key == reason, || reason);
        }
        if let Some(secret) = &record.secret {
            add(verified, &shard.verified, seconds, |key| *key == *secret, || Arc::clone(secret));
        }
        if let Some(took) = record.upstream_took {
            shard.upstream.observe(took);
        }
    }

    /// Counts a diagnosis of a route's request under the label of its cause.
    pub fn diagnosed(&self, slot: Slot, cause: &'static str) {
        let mut routes = self.routes.borrow_mut();
        let Some(RouteTally { shard, diagnosed, .. }) = self.shard.route(&mut routes, slot) else { return };
        add(diagnosed, &shard.diagnosed, 0, |key| *key == cause, || cause);
    }

    /// Counts a connection as open until the returned guard is dropped.
    #[must_use]
    pub fn open(&self) -> Open {
        self.shard.opened.add(1);
        Open(Arc::clone(&self.shard))
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open(Arc<Shard>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}

/// Adds one to the count of a key: in the worker's own list, and for a new key also in the list that other threads read.
fn add<K: Clone>(
    own: &mut Known<K>,
    shared: &Family<K>,
    seconds: u64,
    is: impl Fn(&K) -> bool,
    key: impl FnOnce() -> K,
) {
    let entry = match own.iter().find(|(key, _)| is(key)) {
        Some((_, entry)) => entry,
        None => {
            let (key, entry) = (key(), Arc::<Entry>::default());
            lock(shared).push((key.clone(), Arc::clone(&entry)));
            &own.push_mut((key, entry)).1
        }
    };
    entry.count.add(1);
    entry.last.set(seconds);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sum of the tallies of all workers.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// By the path of the route; the empty path is for requests without a route.
    pub routes: BTreeMap<Arc<str>, RouteSum>,
    /// Durations of requests.
    pub took: Distribution,
    /// Open connections.
    pub connections: u64,
}

impl Sum {
    /// Events verified by a secret, over all its routes.
    #[must_use]
    pub fn seen(&self, secret: &SecretName) -> Seen {
        let routes = secret.routes.iter().filter_map(|path| self.routes.get(path));
        routes.filter_map(|route| route.verified.get(&secret.name)).fold(Seen::default(), |all, seen| Seen {
            count: all.count.wrapping_add(seen.count),
            last: all.last.max(seen.last),
        })
    }
}

/// The counts of one route.
#[derive(Clone, Debug, Default)]
pub struct RouteSum {
    /// Requests by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Requests that an enforcing route would have refused, by reason.
    pub would_refuse: BTreeMap<Reason, u64>,
    /// Diagnoses of unverified requests, by cause.
    pub diagnosed: BTreeMap<&'static str, u64>,
    /// Events verified by each secret, by the secret's name.
    pub verified: BTreeMap<Arc<str>, Seen>,
    /// Durations of the upstream.
    pub upstream: Distribution,
}

/// The events that a secret has verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of events.
    pub count: u64,
    /// When it last verified an event, in seconds since 1970; 0 if never.
    pub last: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::telemetry::record::{RequestId, RouteLabel};

    fn record(meters: &Meters, path: &str) -> Record {
        let mut record = Record::new(RequestId(1), ClientAddress::ip(std::net::Ipv4Addr::LOCALHOST.into()));
        record.route = Some(RouteLabel { path: path.into(), slot: meters.slot(path) });
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
        assert_eq!(sum.took.count(), 5);
    }

    /// The number of series is bounded, whatever an upstream answers and however often a configuration is reloaded.
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
