//! Pure. Holders: requests that hold memory and make the gateway wait for their content. Decides which holder
//! is shed first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::admission::client::{ClientAddress, ClientGroup};

/// How many holders are compared to find the holder to shed. The comparison holds a lock that all workers
/// share.
const LOOKED_AT: usize = 512;

/// How long a holder is fresh. A fresh holder is not shed while there are older holders. So a fresh holder
/// has time to finish.
const FRESH: Duration = Duration::from_secs(1);

/// All holders, and all requests that wait for memory.
#[derive(Debug, Default)]
pub struct Holders {
    /// The holders, without gaps in the list. So comparing a fixed number of them always costs the same.
    holders: Vec<Arc<Holder>>,
    /// The number of holders of each client group.
    by_client: HashMap<ClientGroup, usize>,
    /// The requests that wait for memory, in the order of their arrival.
    waiters: BTreeMap<u64, Waiter>,
    last_ticket: u64,
    /// How many bytes all waiters together wait for.
    owed: u64,
    /// How many bytes of shed holders are not freed yet.
    promised: u64,
    /// The index at which the next search begins. Searches begin at different places, so every holder is
    /// compared at some time.
    next: usize,
}

/// A request that waits for memory, and how many bytes it waits for.
#[derive(Debug)]
struct Waiter {
    bytes: u64,
    waker: Waker,
}

/// A request that holds memory and has made the gateway wait.
#[derive(Debug)]
pub struct Holder {
    client: ClientGroup,
    since: Instant,
    bytes: AtomicU64,
    received: AtomicUsize,
    shed: AtomicBool,
    left: AtomicBool,
    /// The holder's index in the list of holders. The lock of [`Holders`] guards it.
    index: AtomicUsize,
    waker: Mutex<Waker>,
}

/// The rank of a holder. The holder with the lowest rank is shed first.
///
/// Older holders are shed before fresh ones. Then come holders whose client has the most holders. Then come
/// holders that have received the fewest bytes for their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    fresh: bool,
    of_client: Reverse<usize>,
    progress: u128,
}

impl Holder {
    /// A holder for a request that holds `bytes` bytes, and has received `received` bytes of content since
    /// `since`.
    #[must_use]
    pub fn new(
        client: ClientAddress,
        since: Instant,
        bytes: u64,
        received: usize,
        waker: &Waker,
    ) -> Arc<Self> {
        Arc::new(Self {
            client: client.group(),
            since,
            bytes: AtomicU64::new(bytes),
            received: AtomicUsize::new(received),
            shed: AtomicBool::new(false),
            left: AtomicBool::new(false),
            index: AtomicUsize::new(0),
            waker: Mutex::new(waker.clone()),
        })
    }

    /// Records how many bytes of content have arrived.
    pub fn advance(&self, cx: &Context<'_>, received: usize) {
        self.received.store(received, Ordering::Relaxed);
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker.will_wake(cx.waker()) {
            waker.clone_from(cx.waker());
        }
    }

    /// Records how many bytes the holder holds.
    pub fn hold(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether the holder is shed. If so, its request must end.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.shed.load(Ordering::Relaxed)
    }

    /// Whether the holder has freed its memory.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    fn progress(&self, now: Instant) -> u128 {
        let millis = now.saturating_duration_since(self.since).as_millis().saturating_add(1);
        let received = u128::try_from(self.received.load(Ordering::Relaxed)).unwrap_or(u128::MAX);
        received.saturating_mul(1000).checked_div(millis).unwrap_or(0)
    }
}

impl Holders {
    /// Adds a holder.
    pub fn add(&mut self, holder: Arc<Holder>) {
        let of_client = self.by_client.entry(holder.client).or_default();
        *of_client = of_client.saturating_add(1);
        holder.index.store(self.holders.len(), Ordering::Relaxed);
        self.holders.push(holder);
    }

    /// Removes a holder. Does nothing if it was removed before.
    pub fn remove(&mut self, holder: &Holder) {
        if holder.left.swap(true, Ordering::SeqCst) {
            return;
        }
        let index = holder.index.load(Ordering::Relaxed);
        if index < self.holders.len() {
            self.holders.swap_remove(index);
        }
        if let Some(moved) = self.holders.get(index) {
            moved.index.store(index, Ordering::Relaxed);
        }
        if holder.is_shed() {
            self.promised = self.promised.saturating_sub(holder.bytes.load(Ordering::Relaxed));
        }
        if let Some(of_client) = self.by_client.get_mut(&holder.client) {
            *of_client = of_client.saturating_sub(1);
            if *of_client == 0 {
                self.by_client.remove(&holder.client);
            }
        }
    }

    /// The rank of a holder.
    #[must_use]
    pub fn rank(&self, holder: &Holder, now: Instant) -> Rank {
        let fresh = now.saturating_duration_since(holder.since) < FRESH;
        Rank { fresh, of_client: self.of_client(holder.client), progress: holder.progress(now) }
    }

    /// The rank of a request that has not made the gateway wait.
    #[must_use]
    pub fn rank_of_newcomer(&self, client: ClientAddress) -> Rank {
        Rank { fresh: true, of_client: self.of_client(client.group()), progress: u128::MAX }
    }

    fn of_client(&self, client: ClientGroup) -> Reverse<usize> {
        Reverse(self.by_client.get(&client).copied().unwrap_or(0))
    }

    /// The indices of the holders to compare next, as two ranges.
    fn window(&mut self) -> (Range<usize>, Range<usize>) {
        let count = self.holders.len();
        let begin = if self.next < count { self.next } else { 0 };
        let end = begin.saturating_add(LOOKED_AT);
        self.next = end;
        (begin..end.min(count), 0..begin.min(end.saturating_sub(count)))
    }

    /// Sheds holders whose rank is below `rank`, the lowest rank first, until `bytes` bytes will be free.
    /// Returns `false` if this cannot be reached. Then no holder is shed.
    pub fn shed(&mut self, bytes: u64, rank: Rank, now: Instant) -> bool {
        let (from, wrapped) = self.window();
        let places = from.chain(wrapped);
        let seen = places.filter_map(|index| {
            let holder = self.holders.get(index).filter(|holder| !holder.is_shed())?;
            let theirs = self.rank(holder, now);
            (theirs < rank).then_some(Reverse((theirs, index)))
        });
        // Usually one or two holders are enough, so the others are not sorted.
        let mut seen = BinaryHeap::from(seen.collect::<Vec<_>>());
        let mut victims = Vec::new();
        let mut freed: u64 = 0;
        while freed < bytes {
            let Some(Reverse((_, index))) = seen.pop() else { return false };
            let Some(holder) = self.holders.get(index) else { return false };
            freed = freed.saturating_add(holder.bytes.load(Ordering::Relaxed));
            victims.push(Arc::clone(holder));
        }
        for holder in victims {
            holder.shed.store(true, Ordering::Relaxed);
            self.promised = self.promised.saturating_add(holder.bytes.load(Ordering::Relaxed));
            holder.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
        true
    }

    /// How many bytes become free once all shed holders have freed their memory.
    #[must_use]
    pub fn promised(&self) -> u64 {
        self.promised
    }

    /// How many bytes the waiters with an earlier ticket wait for. Without a ticket, the bytes of all
    /// waiters.
    #[must_use]
    pub fn owed_before(&self, ticket: Option<u64>) -> u64 {
        let Some(ticket) = ticket else { return self.owed };
        self.waiters.range(..ticket).fold(0, |sum, (_, waiter)| sum.saturating_add(waiter.bytes))
    }

    /// Adds a waiter for `bytes` bytes. Returns its ticket.
    pub fn wait(&mut self, bytes: u64, waker: &Waker) -> u64 {
        self.last_ticket = self.last_ticket.saturating_add(1);
        self.owed = self.owed.saturating_add(bytes);
        self.waiters.insert(self.last_ticket, Waiter { bytes, waker: waker.clone() });
        self.last_ticket
    }

    /// Changes how many bytes a waiter waits for.
    pub fn wait_on(&mut self, ticket: u64, bytes: u64, waker: &Waker) {
        if let Some(known) = self.waiters.get_mut(&ticket) {
            self.owed = self.owed.saturating_sub(known.bytes).saturating_add(bytes);
            known.bytes = bytes;
            known.waker.clone_from(waker);
        }
    }

    /// Removes a waiter.
    pub fn stop_waiting(&mut self, ticket: u64) {
        if let Some(gone) = self.waiters.remove(&ticket) {
            self.owed = self.owed.saturating_sub(gone.bytes);
        }
    }

    /// Wakes the first waiter, and the following waiters for which `free` bytes are enough.
    pub fn wake_first(&self, free: u64) {
        let mut wanted: u64 = 0;
        for (index, waiter) in self.waiters.values().enumerate() {
            wanted = wanted.saturating_add(waiter.bytes);
            if index > 0 && wanted > free {
                break;
            }
            waiter.waker.wake_by_ref();
        }
    }

    /// Wakes all waiters.
    pub fn wake_all(&self) {
        self.waiters.values().for_each(|waiter| waiter.waker.wake_by_ref());
    }

    /// Whether there are no holders and no waiters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.waiters.is_empty() && self.by_client.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sheds the holders one after the other. Returns their order.
    fn order(holders: &[(u8, u64, usize)]) -> Vec<usize> {
        let start = Instant::now();
        let now = start + Duration::from_secs(100);
        let mut all = Holders::default();
        let holders: Vec<Arc<Holder>> = holders
            .iter()
            .map(|(client, age, received)| {
                let since = now - Duration::from_millis(*age);
                let holder = Holder::new(
                    ClientAddress::ip([127, 0, 0, *client].into()),
                    since,
                    10,
                    *received,
                    Waker::noop(),
                );
                all.add(Arc::clone(&holder));
                holder
            })
            .collect();
        let mut order = Vec::new();
        let newcomer = ClientAddress::ip([127, 0, 0, 200].into());
        while all.shed(1, all.rank_of_newcomer(newcomer), now) {
            let shed: Vec<usize> =
                (0..holders.len()).filter(|n| holders[*n].is_shed() && !order.contains(n)).collect();
            assert_eq!(shed.len(), 1);
            order.extend(shed);
        }
        order
    }

    fn held(all: &mut Holders, count: usize) -> Vec<Arc<Holder>> {
        let since = Instant::now();
        let holder = |n: usize| Holder::new(ClientAddress::Unix, since, 1, n, Waker::noop());
        let holders: Vec<_> = (0..count).map(holder).collect();
        holders.iter().for_each(|holder| all.add(Arc::clone(holder)));
        holders
    }

    #[test]
    fn a_search_is_bounded_and_no_holder_is_skipped_for_long() {
        for count in [0, 1, LOOKED_AT - 1, LOOKED_AT, LOOKED_AT + 1, 5 * LOOKED_AT + 7] {
            let mut all = Holders::default();
            let holders = held(&mut all, count);
            let mut seen = vec![0; count];
            for _ in 0..count.div_ceil(LOOKED_AT) {
                let (from, wrapped) = all.window();
                assert_eq!(from.len() + wrapped.len(), count.min(LOOKED_AT), "{count}");
                from.chain(wrapped).for_each(|index| seen[index] += 1);
            }
            assert!(seen.iter().all(|times| (1..=2).contains(times)), "{count}");
            drop(holders);
        }
    }

    #[test]
    fn a_search_finds_the_few_holders_left_of_many() {
        let mut all = Holders::default();
        let holders = held(&mut all, 10 * LOOKED_AT);
        let (last, others) = holders.split_last().unwrap();
        others.iter().for_each(|holder| all.remove(holder));
        let now = Instant::now() + Duration::from_secs(10);
        assert!(all.shed(1, all.rank_of_newcomer(ClientAddress::ip([127, 0, 0, 1].into())), now));
        assert!(last.is_shed());
        all.remove(last);
        assert!(all.is_empty() && all.promised() == 0);
    }

    #[test]
    fn holders_are_removed_in_any_order_and_once() {
        let mut all = Holders::default();
        let holders = held(&mut all, 7);
        for index in [3, 3, 6, 0, 5, 1, 1, 2, 4] {
            all.remove(&holders[index]);
            let places = all.holders.iter().enumerate();
            assert!(places.into_iter().all(|(n, holder)| holder.index.load(Ordering::Relaxed) == n));
        }
        assert!(all.is_empty());
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let start = Instant::now();
        let now = start + Duration::from_secs(5);
        let mut all = Holders::default();
        let holder = |address: &str, received| {
            Holder::new(ClientAddress::ip(address.parse().unwrap()), start, 10, received, Waker::noop())
        };
        let of_one = [holder("2001:db8::1", 900), holder("2001:db8::2", 900)];
        let lone = holder("2001:db8:1::1", 1);
        for holder in [&of_one[0], &lone, &of_one[1]] {
            all.add(Arc::clone(holder));
        }
        assert!(all.shed(1, all.rank_of_newcomer(ClientAddress::Unix), now));
        assert!(!lone.is_shed());
    }

    #[test]
    fn the_older_are_shed_first_then_those_of_the_client_with_most_then_the_slow() {
        assert_eq!(order(&[(1, 5000, 900), (2, 5000, 100), (3, 5000, 500)]), [1, 2, 0], "the slow first");
        assert_eq!(order(&[(1, 100, 1), (2, 5000, 900_000)]), [1, 0], "the fresh last");
        assert_eq!(
            order(&[(1, 5000, 1), (2, 5000, 900), (2, 5000, 800)]),
            [2, 1, 0],
            "a crowd before a lone one"
        );
    }
}
