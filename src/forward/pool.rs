//! Shell. The idle connections of one worker to one upstream.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, interval};

use super::link::Link;
use crate::config::Upstream;

/// How often idle connections that have become stale are closed.
const SWEEP: Duration = Duration::from_secs(1);

/// Kept-alive connections to an upstream, the one used last on top: under a falling load the others become stale.
#[derive(Debug)]
pub struct Pool {
    upstream: Upstream,
    max_idle: usize,
    idle: RefCell<Vec<Link>>,
    swept: Cell<bool>,
}

impl Pool {
    /// An empty pool that keeps at most `max_idle` connections.
    #[must_use]
    pub fn new(upstream: Upstream, max_idle: usize) -> Rc<Self> {
        Rc::new(Self { upstream, max_idle, idle: RefCell::default(), swept: Cell::new(false) })
    }

    /// The upstream that it connects to.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// An idle connection that is still good, as far as can be known.
    pub fn take(&self) -> Option<Link> {
        // Whether it was closed is all that matters now; nobody needs to be woken for it.
        let cx = &mut Context::from_waker(Waker::noop());
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        while let Some(mut link) = idle.pop() {
            if !link.is_stale(now) {
                link.drive(cx);
                if link.is_reusable() {
                    return Some(link);
                }
            }
        }
        None
    }

    /// Takes a connection back whose exchange is over. One that is in any doubt is closed.
    pub fn put(self: &Rc<Self>, mut link: Link) {
        let mut idle = self.idle.borrow_mut();
        if !link.is_reusable() || idle.len() >= self.max_idle {
            return;
        }
        link.rest(Instant::now());
        idle.push(link);
        if !self.swept.replace(true) {
            let pool = Rc::clone(self);
            spawn_local(async move { pool.sweep().await });
        }
    }

    /// Closes what has become stale or was closed by the upstream, as long as there is something idle at all.
    async fn sweep(&self) {
        let mut ticks = interval(SWEEP);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            let mut idle = self.idle.borrow_mut();
            idle.retain_mut(|link| {
                link.drive(&mut Context::from_waker(Waker::noop()));
                link.is_reusable() && !link.is_stale(now)
            });
            if idle.is_empty() {
                self.swept.set(false);
                return;
            }
        }
    }
}
