//! Pure. The memory budget: how many bytes of unverified content, and of request heads over [`FREE_HEAD`],
//! are held at the same time, for all connections and workers together.
//!
//! Clients make the gateway hold memory before anything is verified, so an attacker may try to exhaust it. A
//! request that arrives without a delay is only counted. A request that makes the gateway wait becomes a
//! holder (see [`Holders`]). A holder can be shed for a request with more progress.
//!
//! While ordinary events are verified, they may use a reserve above the budget, if they arrive without a
//! delay. So they are served even if the budget is full. Holders are shed to refill the reserve, but only for
//! authentic events.
//!
//! Memory is given out in order. Free memory that is not owed to a waiter goes to any request. Memory that is
//! freed for the waiters goes to the first waiter. So free memory is used before a holder is shed, and no
//! waiter is overtaken for ever.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::admission::client::ClientAddress;
use crate::admission::memory::holders::{Holder, Holders, Rank};

/// The largest head that is not counted, in bytes. The heads of real senders are smaller.
pub const FREE_HEAD: usize = 4 * 1024;

/// The largest request that may use the reserve, in bytes: the content and a counted head.
pub const ORDINARY: u64 = 64 * 1024;

/// The size of the reserve is the budget divided by this number, but at least one ordinary event.
const RESERVE: u64 = 8;

/// The memory budget: how many bytes may be held, and how many are held.
#[derive(Debug)]
pub struct Budget {
    max: AtomicU64,
    held: AtomicU64,
    /// How many requests wait for memory. It is kept outside the lock, so reading it takes no lock.
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

    /// Changes how many bytes may be held. Bytes that are held already stay held, even if they exceed the new
    /// limit.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
        self.holders().wake_all();
    }

    fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// How many bytes are held.
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

    /// How many bytes of the reserve are held.
    fn over(&self) -> u64 {
        self.held.load(Ordering::SeqCst).saturating_sub(self.max())
    }

    /// How many bytes must be freed before `more` bytes fit, once all shed holders have freed their memory.
    fn missing(&self, holders: &Holders, more: u64) -> u64 {
        let wanted = self.held.load(Ordering::SeqCst).saturating_add(more);
        wanted.saturating_sub(self.max().saturating_add(holders.promised()))
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the waiters for which there may now be enough memory.
    fn call_waiters(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake_first(&self.holders());
        }
    }

    fn wake_first(&self, holders: &Holders) {
        holders.wake_first(self.max().saturating_sub(self.held.load(Ordering::SeqCst)));
    }
}

/// The most bytes that are held under a budget of `max` bytes: the budget plus its reserve.
#[must_use]
pub fn with_reserve(max: u64) -> u64 {
    max.saturating_add(max.checked_div(RESERVE).unwrap_or(0).max(ORDINARY))
}

/// Whether a request may use the reserve.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reserve {
    /// If the request is ordinary.
    ForOrdinary,
    /// Never.
    Never,
}

/// The bytes of a [`Budget`] that one request holds. Dropping the reservation gives them back. So a
/// reservation must live as long as the memory that it counts.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    client: ClientAddress,
    bytes: u64,
    holder: Option<Arc<Holder>>,
    /// The reservation's ticket, while it waits for memory.
    ticket: Option<u64>,
}

impl Reservation {
    /// An empty reservation for another request of the same client.
    #[must_use]
    pub fn another(&self) -> Self {
        self.budget.reservation(self.client)
    }

    /// Assigns the reservation to another client. The request must not be a holder.
    pub fn assign(&mut self, client: ClientAddress) {
        self.client = client;
    }

    /// Whether the reservation neither holds memory nor waits for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0 && self.ticket.is_none()
    }

    /// How many bytes the reservation holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Grows the reservation to `bytes`, if it is smaller.
    ///
    /// If too little memory is free, holders are shed. The call waits until they have freed their memory.
    ///
    /// # Errors
    /// [`Exhausted`] if no holder can be shed for this request, or if this request itself is shed. Then the
    /// reservation is unchanged.
    pub fn poll_grow_to(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        now: Instant,
    ) -> Poll<Result<(), Exhausted>> {
        self.poll_grow(cx, bytes, now, Reserve::ForOrdinary)
    }

    /// Grows the reservation as [`Self::poll_grow_to`] does, but never into the reserve: memory that a client
    /// needs besides its events must not keep events out.
    ///
    /// # Errors
    /// [`Exhausted`]
    pub fn poll_grow_within_budget(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        now: Instant,
    ) -> Poll<Result<(), Exhausted>> {
        self.poll_grow(cx, bytes, now, Reserve::Never)
    }

    fn poll_grow(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        now: Instant,
        reserve: Reserve,
    ) -> Poll<Result<(), Exhausted>> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return Poll::Ready(Ok(()));
        };
        if self.is_shed() {
            return Poll::Ready(Err(Exhausted));
        }
        let ordinary = reserve == Reserve::ForOrdinary && self.holder.is_none() && bytes <= ORDINARY;
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
        // Memory that is owed to earlier waiters is left for them. A new request waits after all of them.
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
            // Memory may have been freed between the first attempt and the registration as a waiter.
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

    /// Shrinks the reservation to `bytes`, if it is larger and not a holder. The caller has freed the memory
    /// before.
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
            // There may now be enough memory for the next waiters.
            self.budget.wake_first(&holders);
        }
    }

    /// Makes the request a holder, because it makes the gateway wait for more content. `received` bytes of
    /// content have arrived since `since`. From now on, the request can be shed, and is then woken.
    ///
    /// # Errors
    /// [`Exhausted`] if the request uses the reserve and no other holder can be shed. The reserve is for
    /// requests that do not make the gateway wait.
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
            // The request holds no memory that shedding could free.
            return Ok(());
        }
        let holder = Holder::new(self.client, since, self.bytes, received, cx.waker());
        let mut holders = self.budget.holders();
        holders.add(Arc::clone(&holder));
        let rank = holders.rank(&holder, now);
        self.holder = Some(holder);
        if self.budget.over() == 0 { Ok(()) } else { self.make_up(holders, u64::MAX, rank, now) }
    }

    /// Sheds holders to refill the part of the reserve that is used, at most `most` bytes.
    fn make_up(
        &self,
        mut holders: MutexGuard<'_, Holders>,
        most: u64,
        rank: Rank,
        now: Instant,
    ) -> Result<(), Exhausted> {
        // The holders that are shed already are enough, unless other requests wait for their memory.
        let missing = self.budget.missing(&holders, holders.owed_before(None)).min(most);
        if missing == 0 || holders.shed(missing, rank, now) { Ok(()) } else { Err(Exhausted) }
    }

    /// The holder. The caller can ask the holder whether the request is shed, also while other code has the
    /// reservation.
    #[must_use]
    pub fn holder(&self) -> Option<Arc<Holder>> {
        self.holder.clone()
    }

    /// Whether the request is shed. If so, the request must end, and its memory must be freed.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.is_shed())
    }

    /// Records that all content has arrived. From now on, the request cannot be shed.
    pub fn complete_content(&mut self) {
        self.stop_waiting();
        if let Some(holder) = self.holder.take() {
            let mut holders = self.budget.holders();
            holders.remove(&holder);
            if holder.is_shed() {
                // The requests that wait for this memory will not get it. They must try again.
                holders.wake_all();
            }
        }
    }

    /// Records that the content is authentic. The content is held until its delivery ends. Holders are shed
    /// for it if necessary.
    ///
    /// # Errors
    /// [`Exhausted`] if the request uses the reserve and no holder can be shed, because authentic content
    /// takes all memory.
    pub fn authenticate(&mut self, now: Instant) -> Result<(), Exhausted> {
        if self.budget.over() == 0 {
            return Ok(());
        }
        let holders = self.budget.holders();
        let rank = holders.rank_of_newcomer(self.client);
        self.make_up(holders, self.bytes, rank, now)
    }

    /// Records that the content is not authentic but is delivered in observe mode. No holder is shed for it.
    ///
    /// # Errors
    /// [`Exhausted`] if the request may use the reserve. The reserve is for authentic content.
    pub fn stay_unauthenticated(&self) -> Result<(), Exhausted> {
        if self.bytes == 0 || self.budget.over() == 0 { Ok(()) } else { Err(Exhausted) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.stop_waiting();
        if let Some(holder) = self.holder.take() {
            // Both steps are under one lock. Otherwise the holder's bytes would be counted twice, or not at
            // all, for a moment.
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

/// The error that the memory budget is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

pub mod holders;
#[cfg(test)]
mod tests;
