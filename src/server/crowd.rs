//! Shell. Who is served when not everybody can be: at most so many connections at once, and those at rest make room first.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, interval, timeout};

use crate::deadline::Moment;

/// How long to wait for a place before those at rest are called on again.
const RECALL: Duration = Duration::from_millis(250);

/// A connection that has been at rest for this long is left alone with as little memory as can be. It is looked for as often,
/// and each look wakes a worker that may have nothing else to do.
const LONG_REST: Duration = Duration::from_millis(500);

/// A client whose first request, or the rest of one, does not come within this time may be let go.
const SILENCE: Duration = Duration::from_secs(1);

/// The connections of all workers: how many there may be, and whether more want to come in.
#[derive(Debug)]
pub struct Crowd {
    permits: Arc<Semaphore>,
    wanting: AtomicUsize,
    calls: Vec<Notify>,
}

impl Crowd {
    /// Room for `max` connections, with `workers` who can be called on to make some.
    #[must_use]
    pub fn new(max: usize, workers: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        let calls = (0..workers).map(|_| Notify::new()).collect();
        Arc::new(Self { permits, wanting: AtomicUsize::new(0), calls })
    }

    /// Waits for a place. While there is none nobody is accepted, and whoever comes waits in the kernel's queue.
    pub async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        if let Some(permit) = self.try_enter() {
            return Some(permit);
        }
        let _wanting = Wanting::new(&self.wanting);
        loop {
            self.calls.iter().for_each(Notify::notify_one);
            if let Ok(permit) = timeout(RECALL, Arc::clone(&self.permits).acquire_owned()).await {
                return permit.ok();
            }
        }
    }

    /// A place, if there is one now.
    #[must_use]
    pub fn try_enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// How many places are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.permits.available_permits()
    }

    /// Whether somebody waits to come in, so that nobody should stay for longer than it takes.
    #[must_use]
    pub fn is_wanting(&self) -> bool {
        self.wanting.load(Ordering::Relaxed) > 0
    }

    /// Lets one connection of `roster` go each time that room is needed. Never ends.
    pub async fn make_room(&self, worker: usize, roster: &Roster) {
        while let Some(call) = self.calls.get(worker) {
            call.notified().await;
            roster.let_one_go(Instant::now());
        }
    }
}

struct Wanting<'c>(&'c AtomicUsize);

impl<'c> Wanting<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections of one worker.
#[derive(Debug, Default)]
pub struct Roster {
    members: RefCell<Slab<Rc<Rest>>>,
    inhabited: Notify,
}

/// Whether a connection waits for its client, and since when.
#[derive(Debug, Default)]
pub struct Rest {
    state: Cell<State>,
    has_spoken: Cell<bool>,
    is_long: Cell<bool>,
    let_go: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A request is being served.
    #[default]
    Serving,
    /// Nothing has come of a request.
    Idle(Instant),
    /// Something has come of a request, but not yet its head.
    Speaking(Instant),
}

impl Roster {
    /// Adds a connection, for as long as the member lives.
    #[must_use]
    pub fn join(self: &Rc<Self>) -> Member {
        let rest = Rc::new(Rest::default());
        let mut members = self.members.borrow_mut();
        if members.is_empty() {
            self.inhabited.notify_one();
        }
        let number = members.insert(Rc::clone(&rest));
        drop(members);
        Member { roster: Rc::clone(self), number, rest }
    }

    /// Tells connections whose rest has become long. Never ends; while there are no connections it does nothing.
    pub async fn watch_rests(&self) {
        loop {
            self.inhabited.notified().await;
            let mut ticks = interval(LONG_REST);
            while !self.members.borrow().is_empty() {
                ticks.tick().await;
                let now = Instant::now();
                self.members.borrow().iter().for_each(|(_, rest)| rest.lengthen(now));
            }
        }
    }

    /// Lets go the connection that has waited longest: first of those between two requests, then of those whose first
    /// request, or the rest of one, does not come.
    fn let_one_go(&self, now: Instant) {
        let members = self.members.borrow();
        let waiting =
            members.iter().filter_map(|(_, rest)| rest.standing(now).map(|standing| (standing, rest)));
        if let Some((_, rest)) = waiting.min_by_key(|(standing, _)| *standing) {
            rest.let_go.set(true);
            rest.rouse();
        }
    }
}

impl Rest {
    /// The connection waits for a request, of which nothing has come, or something.
    pub fn wait(&self, waker: &Waker, nothing_yet: bool, now: &mut Moment) {
        match (self.state.get(), nothing_yet) {
            (State::Idle(_), true) | (State::Speaking(_), _) => {}
            (State::Serving, true) => self.state.set(State::Idle(now.get())),
            (State::Serving | State::Idle(_), false) => self.state.set(State::Speaking(now.get())),
        }
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// A request is served.
    pub fn serve(&self) {
        self.state.set(State::Serving);
        self.is_long.set(false);
        self.has_spoken.set(true);
    }

    /// Whether the connection has been waiting for long.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.is_long.get()
    }

    /// Whether the connection should end now, for somebody who waits.
    #[must_use]
    pub fn is_let_go(&self) -> bool {
        self.let_go.get()
    }

    fn lengthen(&self, now: Instant) {
        let since = match self.state.get() {
            State::Serving => return,
            State::Idle(since) | State::Speaking(since) => since,
        };
        if now.saturating_duration_since(since) >= LONG_REST && !self.is_long.replace(true) {
            self.rouse();
        }
    }

    fn rouse(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// What it is let go by, if it may be: whether it is in the middle of something, and since when it waits.
    fn standing(&self, now: Instant) -> Option<(bool, Instant)> {
        let long_enough = |since: &Instant| now.saturating_duration_since(*since) >= SILENCE;
        match self.state.get() {
            _ if self.let_go.get() => None,
            State::Serving => None,
            State::Idle(since) if self.has_spoken.get() => Some((false, since)),
            State::Idle(since) | State::Speaking(since) => {
                Some(since).filter(long_enough).map(|since| (true, since))
            }
        }
    }
}

/// A connection's place in its roster.
#[derive(Debug)]
pub struct Member {
    roster: Rc<Roster>,
    number: usize,
    rest: Rc<Rest>,
}

impl Member {
    /// Where it says whether it is at rest.
    #[must_use]
    pub fn rest(&self) -> &Rc<Rest> {
        &self.rest
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.roster.members.borrow_mut().try_remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_have_rested_longest_go_first_and_the_silent_after_them() {
        let roster = Rc::new(Roster::default());
        let members: Vec<Member> = (0..6).map(|_| roster.join()).collect();
        let rest = |index: usize| members[index].rest();
        rest(0).wait(Waker::noop(), true, &mut Moment::default());
        rest(4).wait(Waker::noop(), true, &mut Moment::default());
        rest(4).wait(Waker::noop(), false, &mut Moment::default());
        tokio::time::advance(SILENCE).await;
        for (index, has_spoken) in [(1, true), (2, true), (3, false)] {
            if has_spoken {
                rest(index).serve();
            }
            rest(index).wait(Waker::noop(), true, &mut Moment::default());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let mut order = Vec::new();
        for _ in 0..5 {
            roster.let_one_go(Instant::now());
            order.extend(
                (0..6).filter(|index| rest(*index).is_let_go() && !order.contains(index)).collect::<Vec<_>>(),
            );
        }
        assert_eq!(order, [1, 2, 0, 4], "the one before the last has not been silent for long enough");
        assert!(!rest(5).is_let_go(), "it serves a request");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_calls_on_every_worker_until_there_is_room() {
        let crowd = Crowd::new(1, 1);
        let first = crowd.enter().await.unwrap();
        assert!(!crowd.is_wanting());
        let roster = Rc::new(Roster::default());
        let member = roster.join();
        let room = async {
            tokio::select! {
                () = crowd.make_room(0, &roster) => {}
                second = crowd.enter() => drop(second),
            }
        };
        let resting = async {
            tokio::time::advance(Duration::from_secs(3)).await;
            assert!(crowd.is_wanting());
            member.rest().serve();
            member.rest().wait(Waker::noop(), true, &mut Moment::default());
            tokio::time::advance(RECALL * 2).await;
            while !member.rest().is_let_go() {
                tokio::task::yield_now().await;
            }
            drop(first);
        };
        tokio::join!(room, resting);
        assert!(!crowd.is_wanting());
    }
}
