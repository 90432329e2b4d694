//! Pure. The memory budget: how many bytes of unverified content, and of request heads over [`FREE_HEAD`], are held at
//! once, over all connections and workers.
//!
//! Clients make us hold memory before anything is verified, so an attacker may try to exhaust it. A request that arrives at
//! once is only counted. A request that makes us wait becomes a holder (see [`Holders`]), which can be shed for a request
//! with more progress.
//!
//! Ordinary events that arrive at once may use a reserve above the budget, while they are verified. So they are served even
//! if the budget is full. Only authentic events shed holders for that.
//!
//! Memory is given out in order. Free memory that the waiters are not owed goes to any request, and memory that is freed
//! for the waiters goes to the first of them. So free memory is used before a holder is shed, and no waiter is overtaken
//! for good.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::admission::client::ClientAddress;
use crate::admission::memory::holders::{Holder, Holders, Rank};

/// The most bytes of a head that is not counted. The heads of real senders are smaller.
pub const FREE_HEAD: usize = 4 * 1024;

/// The most bytes of a request that may use the reserve: content, and a counted head.
pub const ORDINARY: u64 = 64 * 1024;

/// The reserve is the budget divided by this, and at least one ordinary event.
const RESERVE: u64 = 8;

/// The memory budget: how many bytes may be held, and how many are held.
#[derive(Debug)]
pub struct Budget {
    max: AtomicU64,
    held: AtomicU64,
    /// How many requests wait for memory. Kept beside the lock, so that it is read without it.
    waiting: AtomicUsize,
    holders: Mutex<Holders>,
}

impl Budget {
    /// An unused budget of `max` bytes.
    #[must_use]
    pub fn new(max: u64) -> Arc<Self> {
        let (max, held, waiting) = (AtomicU64::new(max), AtomicU64::new(0), AtomicUsize::new(0));
        Arc::new(Self { max, held, waiting, holders: Mutex::default() })
    }

    /// Changes how many bytes may be held. Held bytes stay held, even if they are more.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
        self.holders().wake_all();
    }

    fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// The bytes that are held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// An empty reservation for a request of `client`.
    #[must_use]
    pub fn reservation(self: &Arc<Self>, client: ClientAddress) -> Reservation {
        Reservation { budget: Arc::clone(self), client, bytes: 0, holder: None, ticket: None }
    }

    fn try_take(&self, more: u64, max: u64) -> bool {
        let take = |held: u64| held.checked_add(more).filter(|held| *held <= max);
        self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    fn max_with_reserve(&self) -> u64 {
        with_reserve(self.max())
    }

    /// The bytes that are held of the reserve.
    fn over(&self) -> u64 {
        self.held.load(Ordering::SeqCst).saturating_sub(self.max())
    }

    /// The bytes that `more` lacks, once all shed holders have freed their memory.
    fn missing(&self, holders: &Holders, more: u64) -> u64 {
        let wanted = self.held.load(Ordering::SeqCst).saturating_add(more);
        wanted.saturating_sub(self.max().saturating_add(holders.promised()))
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the waiters for which there may be enough memory.
    fn call_waiters(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake_first(&self.holders());
        }
    }

    fn wake_first(&self, holders: &Holders) {
        holders.wake_first(self.max().saturating_sub(self.held.load(Ordering::SeqCst)));
    }
}

/// The most bytes that are held under a budget of `max` bytes: the budget and its reserve.
#[must_use]
pub fn with_reserve(max: u64) -> u64 {
    max.saturating_add(max.checked_div(RESERVE).unwrap_or(0).max(ORDINARY))
}

/// The bytes of a [`Budget`] that one request holds. They are given back on drop, so a reservation must live as long as the
/// memory that it counts.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    client: ClientAddress,
    bytes: u64,
    holder: Option<Arc<Holder>>,
    /// Its ticket, while it waits for memory.
    ticket: Option<u64>,
}

impl Reservation {
    /// An empty reservation for another request of the same client.
    #[must_use]
    pub fn another(&self) -> Self {
        self.budget.reservation(self.client)
    }

    /// Whether it neither holds nor waits for memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0 && self.ticket.is_none()
    }

    /// The bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Makes the reservation `bytes` large, if it is smaller.
    ///
    /// If less is free, holders are shed, and it waits until they have freed their memory.
    ///
    /// # Errors
    /// [`Exhausted`] if no holder can be shed for it, or if it is shed itself. The reservation is unchanged then.
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
        let ordinary = self.holder.is_none() && bytes <= ORDINARY;
        let budget = &self.budget;
        let none_waits = budget.waiting.load(Ordering::SeqCst) == 0;
        if (none_waits && budget.try_take(more, budget.max()))
            || (ordinary && budget.try_take(more, budget.max_with_reserve()))
        {
            self.stop_waiting();
            self.hold(bytes);
            return Poll::Ready(Ok(()));
        }
        let budget = Arc::clone(&self.budget);
        let mut holders = budget.holders();
        // What earlier waiters are owed is left for them. A new request waits behind all of them.
        let owed = holders.owed_before(self.ticket);
        let limit = budget.max().saturating_sub(owed);
        let mut taken = budget.try_take(more, limit);
        if !taken {
            let missing = budget.missing(&holders, owed.saturating_add(more));
            let rank = self.rank(&holders, now);
            if missing > 0 && !holders.shed(missing, rank, now) {
                drop(holders);
                self.stop_waiting();
                return Poll::Ready(Err(Exhausted));
            }
            match self.ticket {
                Some(ticket) => holders.wait_on(ticket, more, cx.waker()),
                None => {
                    self.ticket = Some(holders.wait(more, cx.waker()));
                    budget.waiting.fetch_add(1, Ordering::SeqCst);
                }
            }
            // Memory may have been freed between the try and the wait.
            taken = budget.try_take(more, limit);
        }
        drop(holders);
        if !taken {
            return Poll::Pending;
        }
        self.stop_waiting();
        self.hold(bytes);
        Poll::Ready(Ok(()))
    }

    fn rank(&self, holders: &Holders, now: Instant) -> Rank {
        match &self.holder {
            Some(holder) => holders.rank(holder, now),
            None => holders.rank_of_newcomer(self.client),
        }
    }

    fn hold(&mut self, bytes: u64) {
        self.bytes = bytes;
        if let Some(holder) = &self.holder {
            holder.hold(bytes);
        }
    }

    /// Makes the reservation `bytes` large, if it is larger and not a holder, after that memory has been freed.
    pub fn shrink_to(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(less) = self.bytes.checked_sub(bytes).filter(|less| *less > 0) else { return };
        if self.holder.is_none() {
            self.bytes = bytes;
            self.budget.held.fetch_sub(less, Ordering::SeqCst);
            self.budget.call_waiters();
        }
    }

    fn stop_waiting(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.budget.waiting.fetch_sub(1, Ordering::SeqCst);
            let mut holders = self.budget.holders();
            holders.stop_waiting(ticket);
            // There may be enough for the next waiters.
            self.budget.wake_first(&holders);
        }
    }

    /// Makes it a holder: the request makes us wait for more content, with `received` bytes since `since`. From now on it
    /// can be shed, and is woken then.
    ///
    /// # Errors
    /// [`Exhausted`] if it uses the reserve, which is for requests that do not make us wait, and no other holder can be
    /// shed.
    pub fn hold_while_waiting(
        &mut self,
        cx: &Context<'_>,
        received: usize,
        since: Instant,
        now: Instant,
    ) -> Result<(), Exhausted> {
        if let Some(holder) = &self.holder {
            holder.advance(cx, received);
            return Ok(());
        }
        if self.bytes == 0 {
            // It holds nothing that could be shed.
            return Ok(());
        }
        let holder = Holder::new(self.client, since, self.bytes, received, cx.waker());
        let mut holders = self.budget.holders();
        holders.add(Arc::clone(&holder));
        let rank = holders.rank(&holder, now);
        self.holder = Some(holder);
        if self.budget.over() == 0 { Ok(()) } else { self.make_up(holders, u64::MAX, rank, now) }
    }

    /// Sheds holders for what is used of the reserve, for at most `most` bytes.
    fn make_up(
        &self,
        mut holders: MutexGuard<'_, Holders>,
        most: u64,
        rank: Rank,
        now: Instant,
    ) -> Result<(), Exhausted> {
        // Holders that are already shed are enough, unless others wait for their memory.
        let missing = self.budget.missing(&holders, holders.owed_before(None)).min(most);
        if missing == 0 || holders.shed(missing, rank, now) { Ok(()) } else { Err(Exhausted) }
    }

    /// The holder, for watching whether the request is shed while its reservation is elsewhere.
    #[must_use]
    pub fn holder(&self) -> Option<Arc<Holder>> {
        self.holder.clone()
    }

    /// Whether the request is shed: it must end, and its memory must be freed.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.is_shed())
    }

    /// Records that all of the content has arrived. It can no longer be shed.
    pub fn complete_content(&mut self) {
        self.stop_waiting();
        if let Some(holder) = self.holder.take() {
            let mut holders = self.budget.holders();
            holders.remove(&holder);
            if holder.is_shed() {
                // The requests that wait for its memory do not get it, and must try again.
                holders.wake_all();
            }
        }
    }

    /// Records that the content is authentic. It is held until its delivery ends, and holders are shed for it if necessary.
    ///
    /// # Errors
    /// [`Exhausted`] if it uses the reserve and no holder can be shed: authentic content takes all memory.
    pub fn authenticate(&mut self, now: Instant) -> Result<(), Exhausted> {
        if self.budget.over() == 0 {
            return Ok(());
        }
        let holders = self.budget.holders();
        let rank = holders.rank_of_newcomer(self.client);
        self.make_up(holders, self.bytes, rank, now)
    }

    /// Records that the content is not authentic, and is delivered in observe mode. No holder is shed for it.
    ///
    /// # Errors
    /// [`Exhausted`] if it may use the reserve, which is for authentic content.
    pub fn stay_unauthenticated(&self) -> Result<(), Exhausted> {
        if self.bytes == 0 || self.budget.over() == 0 { Ok(()) } else { Err(Exhausted) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.stop_waiting();
        if let Some(holder) = self.holder.take() {
            // Both under the lock: otherwise its bytes would be counted twice, or not at all, for a moment.
            let mut holders = self.budget.holders();
            holders.remove(&holder);
            self.budget.held.fetch_sub(self.bytes, Ordering::SeqCst);
            self.budget.wake_first(&holders);
        } else if self.bytes > 0 {
            self.budget.held.fetch_sub(self.bytes, Ordering::SeqCst);
            self.budget.call_waiters();
        }
    }
}

/// The memory budget is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

pub mod holders;
#[cfg(test)]
mod tests;
