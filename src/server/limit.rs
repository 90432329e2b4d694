//! Pure. The budget for content held in memory, all connections and workers together, and who has to go when it is spent.
//!
//! Strangers may hold memory before they have proved anything, so they may try to hold all of it. A request whose content
//! comes in one go never shows up in the books beyond a counter. One that makes us wait takes a seat, and whoever has a
//! seat can be made to leave it: when memory is wanted, those who have made the least progress for their time are shed.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use slab::Slab;

/// How many seats are looked at, at most, to find those who have made the least progress.
const LOOKED_AT: usize = 512;

/// How many bytes of content may be held at once, and how many are.
#[derive(Debug)]
pub struct Budget {
    max: AtomicU64,
    held: AtomicU64,
    /// How many wait for memory; kept beside the room so that nobody has to enter it to see that nobody waits.
    waiting: AtomicUsize,
    room: Mutex<Room>,
}

#[derive(Debug, Default)]
struct Room {
    seats: Slab<Arc<Seat>>,
    waiters: Slab<Waker>,
    /// Where the next look at the seats begins, so that nobody is safe in the back row.
    next: usize,
}

/// A request that holds memory and has made us wait for the rest of its content.
#[derive(Debug)]
struct Seat {
    since: Instant,
    bytes: AtomicU64,
    received: AtomicUsize,
    shed: AtomicBool,
    waker: Mutex<Waker>,
}

impl Seat {
    /// Bytes received per second.
    fn progress(&self, now: Instant) -> u128 {
        let millis = now.saturating_duration_since(self.since).as_millis().saturating_add(1);
        let received = u128::try_from(self.received.load(Ordering::Relaxed)).unwrap_or(u128::MAX);
        received.saturating_mul(1000).checked_div(millis).unwrap_or(0)
    }
}

impl Budget {
    /// A budget of `max` bytes, of which none is taken.
    #[must_use]
    pub fn new(max: u64) -> Arc<Self> {
        let (max, held, waiting) = (AtomicU64::new(max), AtomicU64::new(0), AtomicUsize::new(0));
        Arc::new(Self { max, held, waiting, room: Mutex::default() })
    }

    /// Changes how many bytes may be held. What is held stays held, also where it is more.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
        self.wake_waiters();
    }

    /// How many bytes are held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A share of the budget that is empty so far.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0, seat: None, waiter: None }
    }

    fn try_take(&self, more: u64) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        let take = |held: u64| held.checked_add(more).filter(|held| *held <= max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives bytes back, and lets everyone who waits for some try again.
    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.wake_waiters();
    }

    fn wake_waiters(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.room().waiters.iter().for_each(|(_, waker)| waker.wake_by_ref());
        }
    }
}

impl Room {
    /// Sheds seats that have made less progress than `progress` until `bytes` will be free: all that it takes, or none.
    fn shed(&mut self, bytes: u64, progress: u128, now: Instant) -> bool {
        let begin = self.next.min(self.seats.capacity());
        self.next = begin.saturating_add(LOOKED_AT);
        let mut seen: Vec<(u128, &Arc<Seat>)> = Vec::new();
        let from_begin = self.seats.iter().skip_while(|(index, _)| *index < begin);
        let wrapped = self.seats.iter().take_while(|(index, _)| *index < begin);
        for (_, seat) in from_begin.chain(wrapped).take(LOOKED_AT) {
            if !seat.shed.load(Ordering::Relaxed) {
                seen.push((seat.progress(now), seat));
            }
        }
        if self.next >= self.seats.capacity() {
            self.next = 0;
        }
        seen.retain(|(theirs, _)| *theirs < progress);
        seen.sort_unstable_by_key(|(theirs, _)| *theirs);
        let mut freed: u64 = 0;
        let enough = seen.iter().position(|(_, seat)| {
            freed = freed.saturating_add(seat.bytes.load(Ordering::Relaxed));
            freed >= bytes
        });
        let Some(last) = enough else { return false };
        for (_, seat) in seen.iter().take(last.saturating_add(1)) {
            seat.shed.store(true, Ordering::Relaxed);
            seat.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
        true
    }
}

/// The bytes that one request holds of a [`Budget`]. They are given back when the share is dropped, so it has to live as
/// long as the memory it stands for.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: u64,
    seat: Option<(usize, Arc<Seat>)>,
    waiter: Option<usize>,
}

impl Share {
    /// Makes the share `bytes` large, if it is smaller.
    ///
    /// Where that is too much for the budget, it sheds others and waits until they are gone. A request that has not made
    /// us wait for content so far goes before everyone who has; among those, the one that comes faster.
    ///
    /// # Errors
    /// [`Exhausted`] if nobody can be shed for it, or if it has been shed itself. The share stays as it is.
    pub fn poll_grow_to(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        now: Instant,
    ) -> Poll<Result<(), Exhausted>> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return Poll::Ready(Ok(()));
        };
        if self.is_shed() {
            return Poll::Ready(Err(Exhausted));
        }
        let budget = Arc::clone(&self.budget);
        // What is being freed is meant for those who wait; whoever comes later has somebody else shed.
        let may_take = self.waiter.is_some() || budget.waiting.load(Ordering::Relaxed) == 0;
        if may_take && budget.try_take(more) {
            self.stop_waiting();
            self.grown_to(bytes);
            return Poll::Ready(Ok(()));
        }
        let mut room = budget.room();
        match self.waiter {
            Some(waiter) => {
                if let Some(waker) = room.waiters.get_mut(waiter) {
                    waker.clone_from(cx.waker());
                }
            }
            None => {
                let progress = self.seat.as_ref().map_or(u128::MAX, |(_, seat)| seat.progress(now));
                if !room.shed(more, progress, now) {
                    return Poll::Ready(Err(Exhausted));
                }
                self.waiter = Some(room.waiters.insert(cx.waker().clone()));
                budget.waiting.fetch_add(1, Ordering::Relaxed);
            }
        }
        // Somebody may have left between the try and the wait.
        drop(room);
        if budget.try_take(more) {
            self.stop_waiting();
            self.grown_to(bytes);
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn grown_to(&mut self, bytes: u64) {
        self.bytes = bytes;
        if let Some((_, seat)) = &self.seat {
            seat.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    fn stop_waiting(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.budget.waiting.fetch_sub(1, Ordering::Relaxed);
            self.budget.room().waiters.try_remove(waiter);
        }
    }

    /// Takes note that the request makes us wait for more content, of which `received` bytes have come since `since`.
    /// From now on it can be shed; it is woken then.
    pub fn sit(&mut self, cx: &Context<'_>, received: usize, since: Instant) {
        match &self.seat {
            Some((_, seat)) => {
                seat.received.store(received, Ordering::Relaxed);
                let mut waker = seat.waker.lock().unwrap_or_else(PoisonError::into_inner);
                if !waker.will_wake(cx.waker()) {
                    waker.clone_from(cx.waker());
                }
            }
            None if self.bytes > 0 => {
                let seat = Arc::new(Seat {
                    since,
                    bytes: AtomicU64::new(self.bytes),
                    received: AtomicUsize::new(received),
                    shed: AtomicBool::new(false),
                    waker: Mutex::new(cx.waker().clone()),
                });
                let number = self.budget.room().seats.insert(Arc::clone(&seat));
                self.seat = Some((number, seat));
            }
            // It holds nothing that anybody could want.
            None => {}
        }
    }

    /// Whether the request has been shed: it is to end, and its memory to be freed.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.seat.as_ref().is_some_and(|(_, seat)| seat.shed.load(Ordering::Relaxed))
    }

    /// Takes note that all content is there. It can no longer be shed.
    pub fn settle(&mut self) {
        self.stop_waiting();
        if let Some((number, _)) = self.seat.take() {
            self.budget.room().seats.try_remove(number);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.settle();
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

/// All buffer memory is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn grow(share: &mut Share, bytes: usize, now: Instant) -> Poll<Result<(), Exhausted>> {
        share.poll_grow_to(&mut Context::from_waker(Waker::noop()), bytes, now)
    }

    fn sit(share: &mut Share, received: usize, since: Instant) {
        share.sit(&Context::from_waker(Waker::noop()), received, since);
    }

    const GROWN: Poll<Result<(), Exhausted>> = Poll::Ready(Ok(()));
    const REFUSED: Poll<Result<(), Exhausted>> = Poll::Ready(Err(Exhausted));

    #[test]
    fn a_budget_is_spent_to_its_last_byte_and_given_back_on_drop() {
        let (budget, now) = (Budget::new(100), Instant::now());
        let (mut a, mut b) = (budget.share(), budget.share());
        assert_eq!(grow(&mut a, 60, now), GROWN);
        assert_eq!(grow(&mut b, 41, now), REFUSED);
        assert_eq!(budget.held(), 60);
        assert_eq!(grow(&mut b, 40, now), GROWN);
        assert_eq!(grow(&mut a, 50, now), GROWN, "a share never shrinks");
        assert_eq!(budget.held(), 100);
        assert_eq!(grow(&mut a, 61, now), REFUSED);
        drop(a);
        assert_eq!(budget.held(), 40);
        assert_eq!(grow(&mut b, 100, now), GROWN);
        drop(b);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_new_maximum_counts_for_what_is_taken_from_then_on() {
        let (budget, now) = (Budget::new(100), Instant::now());
        let (mut a, mut b) = (budget.share(), budget.share());
        assert_eq!(grow(&mut a, 100, now), GROWN);
        budget.set_max(50);
        assert_eq!(grow(&mut b, 1, now), REFUSED);
        assert_eq!(budget.held(), 100, "what is held stays held");
        budget.set_max(101);
        assert_eq!(grow(&mut b, 1, now), GROWN);
        assert_eq!(grow(&mut b, 2, now), REFUSED);
    }

    #[test]
    fn who_makes_us_wait_is_shed_for_who_does_not_the_slowest_first() {
        let (budget, start) = (Budget::new(100), Instant::now());
        let now = start + Duration::from_secs(10);
        let mut sitting: Vec<Share> = [10, 500, 20, 400]
            .iter()
            .map(|received| {
                let mut share = budget.share();
                assert_eq!(grow(&mut share, 25, start), GROWN);
                sit(&mut share, *received, start);
                share
            })
            .collect();
        let mut newcomer = budget.share();
        assert_eq!(grow(&mut newcomer, 30, now), Poll::Pending);
        let shed: Vec<bool> = sitting.iter().map(Share::is_shed).collect();
        assert_eq!(shed, [true, false, true, false]);
        assert_eq!(grow(&mut newcomer, 30, now), Poll::Pending, "they have not left yet");
        drop(sitting.remove(2));
        assert_eq!(grow(&mut newcomer, 30, now), Poll::Pending);
        let mut late = budget.share();
        let _either = grow(&mut late, 5, now);
        let shed = sitting.iter().filter(|share| share.is_shed()).count();
        assert_eq!(
            shed, 2,
            "whoever comes later has somebody else shed, and takes nothing from those who wait"
        );
        sitting.retain(|share| !share.is_shed());
        assert_eq!(grow(&mut newcomer, 30, now), GROWN);
        assert_eq!(grow(&mut late, 5, now), GROWN);
        assert!(budget.held() <= 100);
    }

    #[test]
    fn a_slow_one_cannot_shed_a_faster_one() {
        let (budget, start) = (Budget::new(100), Instant::now());
        let now = start + Duration::from_secs(1);
        let (mut slow, mut fast) = (budget.share(), budget.share());
        assert_eq!(grow(&mut slow, 40, start), GROWN);
        assert_eq!(grow(&mut fast, 60, start), GROWN);
        sit(&mut slow, 10, start);
        sit(&mut fast, 60, start);
        assert_eq!(grow(&mut slow, 50, now), REFUSED);
        assert_eq!(grow(&mut fast, 70, now), Poll::Pending);
        assert!(slow.is_shed() && !fast.is_shed());
        assert_eq!(grow(&mut slow, 41, now), REFUSED);
        drop(slow);
        assert_eq!(grow(&mut fast, 70, now), GROWN);
    }

    #[test]
    fn what_has_arrived_whole_is_never_shed() {
        let (budget, now) = (Budget::new(100), Instant::now());
        let (mut whole, mut newcomer) = (budget.share(), budget.share());
        assert_eq!(grow(&mut whole, 100, now), GROWN);
        sit(&mut whole, 50, now);
        whole.settle();
        assert_eq!(grow(&mut newcomer, 1, now), REFUSED);
        assert!(!whole.is_shed());
    }

    #[test]
    fn nothing_is_shed_in_vain() {
        let (budget, now) = (Budget::new(100), Instant::now());
        let (mut whole, mut sitting, mut newcomer) = (budget.share(), budget.share(), budget.share());
        assert_eq!(grow(&mut whole, 90, now), GROWN);
        assert_eq!(grow(&mut sitting, 10, now), GROWN);
        sit(&mut sitting, 1, now);
        assert_eq!(grow(&mut newcomer, 20, now), REFUSED);
        assert!(!sitting.is_shed());
    }

    #[test]
    fn a_waiter_that_gives_up_leaves_nothing_behind() {
        let (budget, now) = (Budget::new(100), Instant::now());
        let (mut sitting, mut newcomer) = (budget.share(), budget.share());
        assert_eq!(grow(&mut sitting, 100, now), GROWN);
        sit(&mut sitting, 1, now);
        assert_eq!(grow(&mut newcomer, 20, now), Poll::Pending);
        drop(newcomer);
        drop(sitting);
        assert_eq!(budget.held(), 0);
        assert_eq!(budget.waiting.load(Ordering::Relaxed), 0);
        assert!(budget.room().seats.is_empty() && budget.room().waiters.is_empty());
    }
}
