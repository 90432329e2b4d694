//! Pure. The limit on the failures of each client (`max_failures_per_client`).
//!
//! Each client group has a budget of failures. A failure takes one from the budget, and the budget is
//! refilled evenly. While the budget is empty, the client is refused. The table keeps one time for each
//! group: the time at which the budget of the group is full again (the generic cell rate algorithm).
//!
//! The memory is fixed. There are `SETS` sets of `WAYS` groups, and a keyed hash chooses the set of a group,
//! so no client can choose the other groups of its set. In a full set, a new group takes the place of the
//! group whose budget is full again first. So a client that is refused is forgotten only if all groups of its
//! set have failed as much.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::admission::client::{ClientAddress, ClientGroup};

/// The number of sets. With the groups of each set: 65,536 client groups, which take about 3 MiB.
const SETS: u64 = 8192;

/// The number of client groups in a set. A search for a group costs at most this number of comparisons.
const WAYS: usize = 8;

/// The memory of a limit, in bytes.
pub const MEMORY: u64 = 3 << 20;

/// The number of failures that a client may have, and the time in which the whole budget is refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRate {
    /// The failures that a client may have at once.
    pub most: NonZeroU32,
    /// The time in which an empty budget is full again.
    pub within: Duration,
}

/// The failures of all clients. All workers share them.
#[derive(Debug)]
pub struct FailureLimit {
    rate: FailureRate,
    /// The time in which the budget regains one failure.
    interval: Duration,
    /// The time in which an empty budget is full again: a multiple of the interval.
    capacity: Duration,
    hash: RandomState,
    sets: Box<[Mutex<Set>]>,
}

type Set = [Option<Spent>; WAYS];

/// A client group whose budget is not full.
#[derive(Clone, Copy, Debug)]
struct Spent {
    client: ClientGroup,
    /// When the budget is full again.
    full_at: Instant,
}

impl FailureLimit {
    /// A limit under which no client has failed yet.
    #[must_use]
    pub fn new(rate: FailureRate) -> Arc<Self> {
        let interval = rate.within.checked_div(rate.most.get()).unwrap_or(rate.within);
        let capacity = interval.saturating_mul(rate.most.get());
        let sets = (0..SETS).map(|_| Mutex::default()).collect();
        Arc::new(Self { rate, interval, capacity, hash: RandomState::new(), sets })
    }

    /// The limit of a new configuration. The failures so far stay if the rate is the same as `before`.
    #[must_use]
    pub fn renewed(rate: Option<FailureRate>, before: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let rate = rate?;
        let same = before.filter(|before| before.rate == rate);
        Some(same.map_or_else(|| Self::new(rate), Arc::clone))
    }

    /// The rate of the limit.
    #[must_use]
    pub fn rate(&self) -> FailureRate {
        self.rate
    }

    /// Checks that a client has failures left.
    ///
    /// # Errors
    /// The time until the client has a failure left.
    pub fn check(&self, client: ClientAddress, now: Instant) -> Result<(), Duration> {
        let client = client.group();
        let Some(set) = self.set(client) else { return Ok(()) };
        let spent = set.iter().flatten().find(|spent| spent.client == client);
        let until_full = spent.map_or(Duration::ZERO, |spent| spent.full_at.saturating_duration_since(now));
        let wait = until_full.saturating_add(self.interval).saturating_sub(self.capacity);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Counts a failure of a client. Requests that are checked at the same time can fail more often than the
    /// budget allows. Failures beyond the budget do not make the client wait longer.
    pub fn count(&self, client: ClientAddress, now: Instant) {
        let client = client.group();
        let Some(mut set) = self.set(client) else { return };
        let known = set.iter().position(|spent| spent.is_some_and(|spent| spent.client == client));
        let slot = match known {
            Some(index) => set.get_mut(index),
            // An empty entry is less than any other, and an earlier time less than a later one.
            None => set.iter_mut().min_by_key(|spent| spent.map(|spent| spent.full_at)),
        };
        let Some(slot) = slot else { return };
        let own = slot.filter(|spent| spent.client == client);
        let until_full = own.map_or(Duration::ZERO, |spent| spent.full_at.saturating_duration_since(now));
        let until_full = until_full.saturating_add(self.interval).min(self.capacity);
        if let Some(full_at) = now.checked_add(until_full) {
            *slot = Some(Spent { client, full_at });
        }
    }

    fn set(&self, client: ClientGroup) -> Option<MutexGuard<'_, Set>> {
        let index = self.hash.hash_one(client).checked_rem(SETS)?;
        let set = self.sets.get(usize::try_from(index).ok()?)?;
        Some(set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(most: u32, within: Duration) -> FailureRate {
        FailureRate { most: NonZeroU32::new(most).unwrap(), within }
    }

    fn ip(address: &str) -> ClientAddress {
        ClientAddress::ip(address.parse().unwrap())
    }

    /// How often a client can fail at this time before it is refused, and how long it is then to wait.
    fn exhaust(limit: &FailureLimit, client: ClientAddress, now: Instant) -> (u32, Duration) {
        let mut failures = 0;
        loop {
            if let Err(wait) = limit.check(client, now) {
                return (failures, wait);
            }
            limit.count(client, now);
            failures += 1;
        }
    }

    #[test]
    fn a_client_can_fail_as_often_as_its_budget_allows_and_then_once_in_each_interval() {
        for most in [1, 2, 3, 7, 60, 100_000] {
            let within = 60 * SECOND;
            let (limit, start) = (FailureLimit::new(rate(most, within)), Instant::now());
            let (client, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
            let interval = within / most;
            assert_eq!(exhaust(&limit, client, start), (most, interval), "{most}");
            assert_eq!(limit.check(other, start), Ok(()));
            let almost = start + interval - Duration::from_nanos(1);
            assert_eq!(limit.check(client, almost), Err(Duration::from_nanos(1)));
            assert_eq!(exhaust(&limit, client, start + interval), (1, interval));
            assert_eq!(exhaust(&limit, client, start + within + interval).0, most);
        }
    }

    #[test]
    fn to_check_does_not_count() {
        let (limit, now) = (FailureLimit::new(rate(1, SECOND)), Instant::now());
        for _ in 0..10 {
            assert_eq!(limit.check(ip("192.0.2.1"), now), Ok(()));
        }
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let (limit, now) = (FailureLimit::new(rate(2, SECOND)), Instant::now());
        limit.count(ip("2001:db8::1"), now);
        limit.count(ip("2001:db8::2"), now);
        assert!(limit.check(ip("2001:db8::3"), now).is_err());
        assert_eq!(limit.check(ip("2001:db8:0:1::1"), now), Ok(()));
    }

    #[test]
    fn failures_that_were_checked_at_the_same_time_do_not_make_the_wait_longer() {
        let (limit, now) = (FailureLimit::new(rate(2, 2 * SECOND)), Instant::now());
        let client = ip("192.0.2.1");
        for _ in 0..1000 {
            limit.count(client, now);
        }
        assert_eq!(limit.check(client, now), Err(SECOND));
        assert_eq!(limit.check(client, now + SECOND), Ok(()));
    }

    #[test]
    fn a_flood_of_clients_that_fail_once_makes_no_client_forgotten_that_is_refused() {
        let (limit, now) = (FailureLimit::new(rate(3, 60 * SECOND)), Instant::now());
        let bad = ip("192.0.2.1");
        exhaust(&limit, bad, now);
        let networks = 4 * SETS * u64::try_from(WAYS).unwrap();
        for network in 0..networks {
            let address = Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | (u128::from(network) << 64) | 1);
            limit.count(ClientAddress::ip(address.into()), now);
        }
        assert!(limit.check(bad, now).is_err());
        let kept = limit.sets.iter().map(|set| set.lock().unwrap().iter().flatten().count()).sum::<usize>();
        assert!(kept <= 65_536, "{kept}");
        assert!(u64::try_from(size_of_val(&*limit.sets)).unwrap() < MEMORY);
    }

    #[test]
    fn a_client_that_is_full_again_makes_room_first() {
        let (limit, now) = (FailureLimit::new(rate(10, 10 * SECOND)), Instant::now());
        let clients = (0..4 * 65_536_u32).map(|bits| ClientAddress::ip(Ipv4Addr::from_bits(bits).into()));
        for client in clients.clone() {
            limit.count(client, now);
        }
        // All of them are full again. So each new client finds an entry, however many clients there were.
        let later = now + SECOND;
        let new = ip("2001:db8::1");
        assert_eq!(exhaust(&limit, new, later).0, 10);
    }

    #[test]
    fn the_failures_stay_if_the_rate_is_the_same() {
        let (now, client) = (Instant::now(), ip("192.0.2.1"));
        let first = FailureLimit::renewed(Some(rate(1, SECOND)), None).unwrap();
        first.count(client, now);
        let same = FailureLimit::renewed(Some(rate(1, SECOND)), Some(&first)).unwrap();
        assert!(same.check(client, now).is_err());
        let other = FailureLimit::renewed(Some(rate(2, SECOND)), Some(&first)).unwrap();
        assert_eq!(other.check(client, now), Ok(()));
        assert!(FailureLimit::renewed(None, Some(&first)).is_none());
    }
}
