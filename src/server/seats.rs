//! Pure. Those who hold memory and make us wait for the rest of their content, and who of them has to go first.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::peer::Peer;

/// How many seats are looked at, at most, to find who has to go.
const LOOKED_AT: usize = 512;

/// Who has come within this time is given the chance to finish.
const FRESH: Duration = Duration::from_secs(1);

/// All who have a seat, and all who wait for memory.
#[derive(Debug, Default)]
pub struct Room {
    seats: Slab<Arc<Seat>>,
    /// How many seats each address has.
    by_peer: HashMap<Peer, usize>,
    waiters: Slab<Waker>,
    /// What those hold who have been shed and have not left yet.
    promised: u64,
    /// Where the next look at the seats begins, so that nobody is safe in the back row.
    next: usize,
}

/// A request that holds memory and has made us wait.
#[derive(Debug)]
pub struct Seat {
    peer: Peer,
    since: Instant,
    bytes: AtomicU64,
    received: AtomicUsize,
    shed: AtomicBool,
    left: AtomicBool,
    waker: Mutex<Waker>,
}

/// Who stays longer: the greater one.
///
/// Those who have had their time go before those who have just come; among them, those whose address holds most seats;
/// among them, those who have received the least for their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    fresh: bool,
    crowd: Reverse<usize>,
    progress: u128,
}

impl Seat {
    /// A seat for a request that holds `bytes` and has `received` so many of its content since `since`.
    #[must_use]
    pub fn new(peer: Peer, since: Instant, bytes: u64, received: usize, waker: &Waker) -> Arc<Self> {
        Arc::new(Self {
            peer,
            since,
            bytes: AtomicU64::new(bytes),
            received: AtomicUsize::new(received),
            shed: AtomicBool::new(false),
            left: AtomicBool::new(false),
            waker: Mutex::new(waker.clone()),
        })
    }

    /// Takes note of how far the request has come.
    pub fn advance(&self, cx: &Context<'_>, received: usize) {
        self.received.store(received, Ordering::Relaxed);
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker.will_wake(cx.waker()) {
            waker.clone_from(cx.waker());
        }
    }

    /// Takes note of how much it holds.
    pub fn hold(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether it has to go.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.shed.load(Ordering::Relaxed)
    }

    /// Whether it has gone.
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

impl Room {
    /// Gives a request a seat, by the number it is to be given up with.
    pub fn sit(&mut self, seat: Arc<Seat>) -> usize {
        let of_peer = self.by_peer.entry(seat.peer).or_default();
        *of_peer = of_peer.saturating_add(1);
        self.seats.insert(seat)
    }

    /// Takes a seat away.
    pub fn leave(&mut self, number: usize) {
        let Some(seat) = self.seats.try_remove(number) else { return };
        seat.left.store(true, Ordering::SeqCst);
        if seat.is_shed() {
            self.promised = self.promised.saturating_sub(seat.bytes.load(Ordering::Relaxed));
        }
        if let Some(of_peer) = self.by_peer.get_mut(&seat.peer) {
            *of_peer = of_peer.saturating_sub(1);
            if *of_peer == 0 {
                self.by_peer.remove(&seat.peer);
            }
        }
    }

    /// The rank of a seat.
    #[must_use]
    pub fn rank(&self, seat: &Seat, now: Instant) -> Rank {
        let fresh = now.saturating_duration_since(seat.since) < FRESH;
        Rank { fresh, crowd: self.crowd(seat.peer), progress: seat.progress(now) }
    }

    /// The rank of a request that has not made us wait.
    #[must_use]
    pub fn rank_of_newcomer(&self, peer: Peer) -> Rank {
        Rank { fresh: true, crowd: self.crowd(peer), progress: u128::MAX }
    }

    fn crowd(&self, peer: Peer) -> Reverse<usize> {
        Reverse(self.by_peer.get(&peer).copied().unwrap_or(0))
    }

    /// Sheds those of the least rank, all below `rank`, until `bytes` are going to be free. Gives back whom, or `None` if
    /// that would not be enough: nobody is shed in vain.
    pub fn shed(&mut self, bytes: u64, rank: Rank, now: Instant) -> Option<Vec<Arc<Seat>>> {
        let begin = self.next;
        self.next = begin.saturating_add(LOOKED_AT);
        if self.next >= self.seats.capacity() {
            self.next = 0;
        }
        let from_begin = self.seats.iter().skip_while(|(number, _)| *number < begin);
        let wrapped = self.seats.iter().take_while(|(number, _)| *number < begin);
        let seen = from_begin.chain(wrapped).take(LOOKED_AT).filter(|(_, seat)| !seat.is_shed());
        let mut seen: Vec<(Rank, &Arc<Seat>)> = seen.map(|(_, seat)| (self.rank(seat, now), seat)).collect();
        seen.retain(|(theirs, _)| *theirs < rank);
        seen.sort_unstable_by_key(|(theirs, _)| *theirs);
        let mut freed: u64 = 0;
        let last = seen.iter().position(|(_, seat)| {
            freed = freed.saturating_add(seat.bytes.load(Ordering::Relaxed));
            freed >= bytes
        })?;
        let victims: Vec<_> =
            seen.into_iter().take(last.saturating_add(1)).map(|(_, seat)| Arc::clone(seat)).collect();
        for seat in &victims {
            seat.shed.store(true, Ordering::Relaxed);
            self.promised = self.promised.saturating_add(seat.bytes.load(Ordering::Relaxed));
            seat.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
        Some(victims)
    }

    /// How many bytes are going to be free without anybody else being shed.
    #[must_use]
    pub fn promised(&self) -> u64 {
        self.promised
    }

    /// Adds somebody who waits for memory, by the number to be removed with.
    pub fn wait(&mut self, waker: &Waker) -> usize {
        self.waiters.insert(waker.clone())
    }

    /// Brings a waiter's waker up to date.
    pub fn wait_on(&mut self, number: usize, waker: &Waker) {
        if let Some(known) = self.waiters.get_mut(number) {
            known.clone_from(waker);
        }
    }

    /// Removes a waiter.
    pub fn stop_waiting(&mut self, number: usize) {
        self.waiters.try_remove(number);
    }

    /// Lets everyone who waits try again.
    pub fn wake_waiters(&self) {
        self.waiters.iter().for_each(|(_, waker)| waker.wake_by_ref());
    }

    /// Whether nobody has a seat and nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.waiters.is_empty() && self.by_peer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sheds one after the other, and gives back in which order they went.
    fn order(seats: &[(u8, u64, usize)]) -> Vec<usize> {
        let start = Instant::now();
        let now = start + Duration::from_secs(100);
        let mut room = Room::default();
        let seats: Vec<Arc<Seat>> = seats
            .iter()
            .map(|(peer, age, received)| {
                let since = now - Duration::from_millis(*age);
                let seat =
                    Seat::new(Peer::ip([127, 0, 0, *peer].into()), since, 10, *received, Waker::noop());
                room.sit(Arc::clone(&seat));
                seat
            })
            .collect();
        let mut order = Vec::new();
        while let Some(shed) = room.shed(1, room.rank_of_newcomer(Peer::ip([127, 0, 0, 200].into())), now) {
            assert_eq!(shed.len(), 1);
            order.extend(seats.iter().position(|seat| Arc::ptr_eq(seat, &shed[0])));
        }
        order
    }

    #[test]
    fn those_who_had_their_time_go_first_then_crowds_then_the_slow() {
        assert_eq!(order(&[(1, 5000, 900), (2, 5000, 100), (3, 5000, 500)]), [1, 2, 0], "the slow first");
        assert_eq!(order(&[(1, 100, 1), (2, 5000, 900_000)]), [1, 0], "the fresh last");
        assert_eq!(
            order(&[(1, 5000, 1), (2, 5000, 900), (2, 5000, 800)]),
            [2, 1, 0],
            "a crowd before a lone one"
        );
    }
}
