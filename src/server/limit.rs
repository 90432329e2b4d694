//! Pure. The budget for content held in memory, all connections and workers together.
//!
//! Strangers may hold memory before they have proved anything, so they may try to hold all of it. A request whose content
//! comes in one go never shows up in the books beyond a counter. One that makes us wait takes a seat (see `seats`), and
//! whoever has a seat can be made to leave it for one who has made more progress.
//!
//! Ordinary events that come in one go may use a reserve on top of the budget, for as long as it takes to verify them. So
//! they are served however full it is, and only an authentic one makes anybody leave.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use super::seats::{Room, Seat};
use crate::peer::Peer;

/// The largest content that may use the reserve, in bytes.
pub const ORDINARY: u64 = 64 * 1024;

/// The reserve is this part of the budget, at least one ordinary event.
const RESERVE: u64 = 8;

/// How many bytes of content may be held at once, and how many are.
#[derive(Debug)]
pub struct Budget {
    max: AtomicU64,
    held: AtomicU64,
    /// How many wait for memory; kept beside the room so that nobody has to enter it to see that nobody waits.
    waiting: AtomicUsize,
    room: Mutex<Room>,
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
        self.call_waiters();
    }

    fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// How many bytes are held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A share of the budget for a request from `peer`. It is empty so far.
    #[must_use]
    pub fn share(self: &Arc<Self>, peer: Peer) -> Share {
        Share { budget: Arc::clone(self), peer, bytes: 0, seat: None, waiting: None }
    }

    fn try_take(&self, more: u64, max: u64) -> bool {
        let take = |held: u64| held.checked_add(more).filter(|held| *held <= max);
        self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    fn max_with_reserve(&self) -> u64 {
        let reserve = self.max().checked_div(RESERVE).unwrap_or(0).max(ORDINARY);
        self.max().saturating_add(reserve)
    }

    /// How many bytes are held of the reserve.
    fn over(&self) -> u64 {
        self.held.load(Ordering::SeqCst).saturating_sub(self.max())
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets everyone who waits for memory try again, if anyone does.
    fn call_waiters(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.room().wake_waiters();
        }
    }
}

/// The bytes that one request holds of a [`Budget`]. They are given back when the share is dropped, so it has to live as
/// long as the memory it stands for.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    peer: Peer,
    bytes: u64,
    seat: Option<(usize, Arc<Seat>)>,
    waiting: Option<Waiting>,
}

/// Somebody waits for memory that others are to free.
#[derive(Debug)]
struct Waiting {
    number: usize,
    for_whom: Vec<Arc<Seat>>,
}

impl Share {
    /// Makes the share `bytes` large, if it is smaller.
    ///
    /// Where that is too much for the budget, it has others shed and waits until they are gone.
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
        let ordinary = self.seat.is_none() && bytes <= ORDINARY;
        let budget = &self.budget;
        // What is being freed is meant for those who wait; whoever comes later has somebody else shed.
        let in_turn = self.waiting.is_some() || budget.waiting.load(Ordering::SeqCst) == 0;
        if (in_turn && budget.try_take(more, budget.max()))
            || (ordinary && budget.try_take(more, budget.max_with_reserve()))
        {
            self.stop_waiting();
            self.hold(bytes);
            return Poll::Ready(Ok(()));
        }
        let budget = Arc::clone(&self.budget);
        let mut room = budget.room();
        let all_left =
            self.waiting.as_ref().is_none_or(|waiting| waiting.for_whom.iter().all(|seat| seat.has_left()));
        if all_left {
            let rank = match &self.seat {
                Some((_, seat)) => room.rank(seat, now),
                None => room.rank_of_newcomer(self.peer),
            };
            let Some(for_whom) = room.shed(more, rank, now) else { return Poll::Ready(Err(Exhausted)) };
            match &mut self.waiting {
                Some(waiting) => waiting.for_whom = for_whom,
                None => {
                    self.waiting = Some(Waiting { number: room.wait(cx.waker()), for_whom });
                    budget.waiting.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        if let Some(waiting) = &self.waiting {
            room.wait_on(waiting.number, cx.waker());
        }
        drop(room);
        // Somebody may have left between the try and the wait.
        if budget.try_take(more, budget.max()) {
            self.stop_waiting();
            self.hold(bytes);
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn hold(&mut self, bytes: u64) {
        self.bytes = bytes;
        if let Some((_, seat)) = &self.seat {
            seat.hold(bytes);
        }
    }

    fn stop_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.budget.waiting.fetch_sub(1, Ordering::SeqCst);
            self.budget.room().stop_waiting(waiting.number);
        }
    }

    /// Takes note that the request makes us wait for more content, of which `received` bytes have come since `since`.
    /// From now on it can be shed; it is woken then.
    ///
    /// # Errors
    /// [`Exhausted`] if it holds of the reserve, which is for those who do not make us wait, and nobody else has to go.
    pub fn sit(
        &mut self,
        cx: &Context<'_>,
        received: usize,
        since: Instant,
        now: Instant,
    ) -> Result<(), Exhausted> {
        if let Some((_, seat)) = &self.seat {
            seat.advance(cx, received);
            return Ok(());
        }
        if self.bytes == 0 {
            // It holds nothing that anybody could want.
            return Ok(());
        }
        let seat = Seat::new(self.peer, since, self.bytes, received, cx.waker());
        let mut room = self.budget.room();
        let number = room.sit(Arc::clone(&seat));
        let over = self.budget.over().saturating_sub(room.promised());
        let rank = room.rank(&seat, now);
        let has_room = over == 0 || room.shed(over, rank, now).is_some();
        self.seat = Some((number, seat));
        if has_room { Ok(()) } else { Err(Exhausted) }
    }

    /// Whether the request has been shed: it is to end, and its memory to be freed.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.seat.as_ref().is_some_and(|(_, seat)| seat.is_shed())
    }

    /// Takes note that all content is there. It can no longer be shed.
    pub fn settle(&mut self) {
        self.stop_waiting();
        if let Some((number, seat)) = self.seat.take() {
            self.budget.room().leave(number);
            if seat.is_shed() {
                // Somebody waits for memory that is not going to be freed now.
                self.budget.call_waiters();
            }
        }
    }

    /// Takes note that the content is authentic. It may stay as long as its delivery takes, and others go for it if need be.
    ///
    /// # Errors
    /// [`Exhausted`] if it holds of the reserve and nobody can be shed: all memory is taken by authentic content.
    pub fn prove(&mut self, now: Instant) -> Result<(), Exhausted> {
        if self.budget.over() == 0 {
            return Ok(());
        }
        let mut room = self.budget.room();
        // Those who have been shed and are on their way out need no company.
        let over = self.budget.over().saturating_sub(room.promised());
        if over == 0 {
            return Ok(());
        }
        let rank = room.rank_of_newcomer(self.peer);
        room.shed(over.min(self.bytes), rank, now).map(|_shed| ()).ok_or(Exhausted)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.settle();
        if self.bytes > 0 {
            self.budget.held.fetch_sub(self.bytes, Ordering::SeqCst);
            self.budget.call_waiters();
        }
    }
}

/// All buffer memory is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use std::time::Duration;

    const KIB: u64 = 1024;

    /// A budget that an ordinary event is small beside.
    fn budget() -> Arc<Budget> {
        Budget::new(1024 * KIB)
    }

    fn share(budget: &Arc<Budget>, peer: u8) -> Share {
        budget.share(Peer::ip([127, 0, 0, peer].into()))
    }

    fn grow(share: &mut Share, kib: u64, now: Instant) -> Poll<Result<(), Exhausted>> {
        share.poll_grow_to(&mut Context::from_waker(Waker::noop()), usize::try_from(kib * KIB).unwrap(), now)
    }

    fn sit(share: &mut Share, received: usize, since: Instant, now: Instant) -> Result<(), Exhausted> {
        share.sit(&Context::from_waker(Waker::noop()), received, since, now)
    }

    const GROWN: Poll<Result<(), Exhausted>> = Poll::Ready(Ok(()));
    const REFUSED: Poll<Result<(), Exhausted>> = Poll::Ready(Err(Exhausted));

    #[test]
    fn a_budget_is_spent_to_its_last_byte_and_given_back_on_drop() {
        let (budget, now) = (budget(), Instant::now());
        let (mut a, mut b) = (share(&budget, 1), share(&budget, 2));
        assert_eq!(grow(&mut a, 600, now), GROWN);
        assert_eq!(grow(&mut b, 425, now), REFUSED);
        assert_eq!(budget.held(), 600 * KIB);
        assert_eq!(grow(&mut b, 424, now), GROWN);
        assert_eq!(grow(&mut a, 500, now), GROWN, "a share never shrinks");
        assert_eq!(budget.held(), 1024 * KIB);
        assert_eq!(grow(&mut a, 601, now), REFUSED);
        drop(a);
        assert_eq!(budget.held(), 424 * KIB);
        assert_eq!(grow(&mut b, 1024, now), GROWN);
        drop(b);
        assert_eq!(budget.held(), 0);
        assert!(budget.room().is_empty());
    }

    #[test]
    fn an_ordinary_event_in_one_go_is_read_however_full_it_is_and_only_proof_makes_others_leave() {
        let (budget, start) = (budget(), Instant::now());
        let now = start + Duration::from_secs(10);
        let (mut holder, mut event) = (share(&budget, 1), share(&budget, 2));
        assert_eq!(grow(&mut holder, 1024, start), GROWN);
        assert_eq!(sit(&mut holder, 1, start, now), Ok(()));
        assert_eq!(grow(&mut event, 64, now), GROWN);
        assert!(!holder.is_shed());
        event.settle();
        assert_eq!(event.prove(now), Ok(()));
        assert!(holder.is_shed());
    }

    #[test]
    fn the_reserve_is_not_for_who_makes_us_wait() {
        let (budget, now) = (budget(), Instant::now());
        let (mut whole, mut event) = (share(&budget, 1), share(&budget, 2));
        assert_eq!(grow(&mut whole, 1024, now), GROWN);
        assert_eq!(grow(&mut event, 16, now), GROWN);
        assert_eq!(sit(&mut event, 1, now, now), Err(Exhausted));
        event.settle();
        assert_eq!(event.prove(now), Err(Exhausted), "nor for what stays while all the rest is authentic");
        let mut large = share(&budget, 3);
        assert_eq!(grow(&mut large, 65, now), REFUSED);
    }

    #[test]
    fn who_makes_us_wait_is_shed_for_who_does_not_the_slowest_first() {
        let (budget, start) = (budget(), Instant::now());
        let now = start + Duration::from_secs(10);
        let seated = |(peer, received): (u8, usize)| {
            let mut share = share(&budget, peer);
            assert_eq!(grow(&mut share, 256, start), GROWN);
            assert_eq!(sit(&mut share, received, start, now), Ok(()));
            share
        };
        let mut sitting: Vec<Share> = [(1, 10), (2, 500), (3, 20), (4, 400)].map(seated).into();
        let mut newcomer = share(&budget, 5);
        assert_eq!(grow(&mut newcomer, 300, now), Poll::Pending);
        let shed: Vec<bool> = sitting.iter().map(Share::is_shed).collect();
        assert_eq!(shed, [true, false, true, false]);
        assert_eq!(grow(&mut newcomer, 300, now), Poll::Pending, "they have not left yet");
        drop(sitting.remove(2));
        let mut late = share(&budget, 6);
        assert_eq!(grow(&mut late, 100, now), GROWN, "it has had somebody else shed");
        assert_eq!(sitting.iter().filter(|share| share.is_shed()).count(), 2);
        sitting.retain(|share| !share.is_shed());
        assert_eq!(grow(&mut newcomer, 300, now), GROWN);
    }

    #[test]
    fn a_slow_one_cannot_shed_a_faster_one() {
        let (budget, start) = (budget(), Instant::now());
        let now = start + Duration::from_secs(2);
        let (mut slow, mut fast) = (share(&budget, 1), share(&budget, 2));
        assert_eq!(grow(&mut slow, 424, start), GROWN);
        assert_eq!(grow(&mut fast, 600, start), GROWN);
        assert_eq!(sit(&mut slow, 10, start, now), Ok(()));
        assert_eq!(sit(&mut fast, 60, start, now), Ok(()));
        assert_eq!(grow(&mut slow, 500, now), REFUSED);
        assert_eq!(grow(&mut fast, 700, now), Poll::Pending);
        assert!(slow.is_shed() && !fast.is_shed());
        assert_eq!(grow(&mut slow, 425, now), REFUSED);
        drop(slow);
        assert_eq!(grow(&mut fast, 700, now), GROWN);
    }

    #[test]
    fn who_waits_for_one_that_completes_after_all_has_another_shed() {
        let (budget, start) = (budget(), Instant::now());
        let now = start + Duration::from_secs(2);
        let (mut first, mut second, mut newcomer) = (share(&budget, 1), share(&budget, 2), share(&budget, 3));
        assert_eq!(grow(&mut first, 512, start), GROWN);
        assert_eq!(grow(&mut second, 512, start), GROWN);
        assert_eq!(sit(&mut first, 1, start, now), Ok(()));
        assert_eq!(sit(&mut second, 9, start, now), Ok(()));
        assert_eq!(grow(&mut newcomer, 100, now), Poll::Pending);
        assert!(first.is_shed() && !second.is_shed());
        first.settle();
        assert_eq!(grow(&mut newcomer, 100, now), Poll::Pending);
        assert!(second.is_shed());
        drop(second);
        assert_eq!(grow(&mut newcomer, 100, now), GROWN);
    }

    #[test]
    fn what_has_arrived_whole_is_never_shed_and_nothing_is_shed_in_vain() {
        let (budget, now) = (budget(), Instant::now());
        let (mut whole, mut sitting, mut newcomer) =
            (share(&budget, 1), share(&budget, 2), share(&budget, 3));
        assert_eq!(grow(&mut whole, 900, now), GROWN);
        assert_eq!(sit(&mut whole, 50, now, now), Ok(()));
        whole.settle();
        assert_eq!(grow(&mut sitting, 124, now), GROWN);
        assert_eq!(sit(&mut sitting, 1, now, now), Ok(()));
        assert_eq!(grow(&mut newcomer, 200, now), REFUSED);
        assert!(!whole.is_shed() && !sitting.is_shed());
    }

    #[test]
    fn a_new_maximum_counts_for_what_is_taken_from_then_on() {
        let (budget, now) = (budget(), Instant::now());
        let (mut a, mut b) = (share(&budget, 1), share(&budget, 2));
        assert_eq!(grow(&mut a, 1024, now), GROWN);
        budget.set_max(512 * KIB);
        assert_eq!(grow(&mut b, 100, now), REFUSED);
        assert_eq!(budget.held(), 1024 * KIB, "what is held stays held");
        budget.set_max(1124 * KIB);
        assert_eq!(grow(&mut b, 100, now), GROWN);
        assert_eq!(grow(&mut b, 101, now), REFUSED);
    }

    #[test]
    fn a_waiter_that_gives_up_leaves_nothing_behind() {
        let (budget, now) = (budget(), Instant::now());
        let (mut sitting, mut newcomer) = (share(&budget, 1), share(&budget, 2));
        assert_eq!(grow(&mut sitting, 1024, now), GROWN);
        assert_eq!(sit(&mut sitting, 1, now, now), Ok(()));
        assert_eq!(grow(&mut newcomer, 200, now), Poll::Pending);
        drop(newcomer);
        drop(sitting);
        assert_eq!(budget.held(), 0);
        assert_eq!(budget.waiting.load(Ordering::SeqCst), 0);
        assert!(budget.room().is_empty());
    }
}
