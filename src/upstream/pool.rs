//! Shell. The idle connections of one worker to one upstream.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, interval};
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::config::Upstream;
use crate::http1::connection::Scratch;
use crate::listen::stream::Arrived;
use crate::upstream::connection::Connection;
use crate::upstream::error::ForwardError;
use crate::upstream::response::SURPLUS;

/// How often idle connections that have become stale are closed.
const SWEEP: Duration = Duration::from_secs(1);

/// How often the log says that an upstream sends more than its responses: how often it does is its own affair.
const TELL: Duration = Duration::from_secs(60);

/// Kept-alive connections to an upstream, the one used last on top: under a falling load the others become stale.
#[derive(Debug)]
pub struct Pool {
    upstream: Upstream,
    max_idle: Cell<usize>,
    #[expect(clippy::vec_box, reason = "a connection goes in and out with each request, and is large")]
    idle: RefCell<Vec<Box<Connection>>>,
    swept: Cell<bool>,
    /// When the log last said that there was a surplus.
    told: Cell<Option<Instant>>,
    tracker: TaskTracker,
    scratch: Scratch,
}

impl Pool {
    /// An empty pool that keeps at most `max_idle` connections that nobody has used for a while; none at all if it is 0.
    ///
    /// `scratch` is memory to read into that it shares with others.
    #[must_use]
    pub fn new(upstream: Upstream, max_idle: usize, tracker: TaskTracker, scratch: Scratch) -> Rc<Self> {
        let (max_idle, swept, told) = (Cell::new(max_idle), Cell::new(false), Cell::new(None));
        Rc::new(Self { upstream, max_idle, idle: RefCell::default(), swept, told, tracker, scratch })
    }

    /// The upstream that it connects to.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// An idle connection that is still good, as far as can be known.
    pub fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(connection) = idle.pop() {
            if !connection.is_stale(now) && self.is_quiet(&connection, now) {
                return Some(connection);
            }
        }
        None
    }

    /// A new connection.
    ///
    /// # Errors
    /// [`ForwardError::Unreachable`]
    pub async fn connect(&self) -> Result<Box<Connection>, ForwardError> {
        let Upstream { origin, connect_timeout, idle_timeout, .. } = &self.upstream;
        let scratch = Rc::clone(&self.scratch);
        // Boxed, because it is seldom needed, and every request has room for it otherwise.
        Box::pin(Connection::connect(origin, *connect_timeout, *idle_timeout, scratch)).await.map(Box::new)
    }

    /// Takes a connection back whose response is complete; one that may not be reused is closed. An upstream may answer before
    /// it has read all of the request; what it was told it would get it gets, before the connection is closed. Nothing else
    /// is sent over one that answers out of turn.
    pub fn take_back(self: &Rc<Self>, mut connection: Box<Connection>, now: Instant) {
        if connection.has_surplus() {
            self.tell_of_surplus(now);
        }
        if connection.is_writing() {
            let pool = Rc::clone(self);
            self.tracker.spawn_local(async move {
                connection.finish(pool.upstream.response_timeout).await;
            });
        } else if connection.is_reusable() && self.max_idle.get() > 0 {
            connection.rest(now);
            self.idle.borrow_mut().push(connection);
            if !self.swept.replace(true) {
                let pool = Rc::clone(self);
                spawn_local(async move { pool.sweep().await });
            }
        }
    }

    /// Closes what is idle, and keeps nothing more: no request will begin with this pool.
    pub fn retire(&self) {
        self.max_idle.set(0);
        self.idle.borrow_mut().clear();
    }

    /// Whether nothing has come since the last response.
    fn is_quiet(&self, connection: &Connection, now: Instant) -> bool {
        match connection.arrived() {
            Arrived::Nothing => true,
            Arrived::Bytes => {
                self.tell_of_surplus(now);
                false
            }
            Arrived::End => false,
        }
    }

    /// Has the log say it, where it has not just done so.
    #[cold]
    fn tell_of_surplus(&self, now: Instant) {
        if self.told.get().is_none_or(|told| now.saturating_duration_since(told) >= TELL) {
            self.told.set(Some(now));
            info!(upstream = %self.upstream.origin, "{SURPLUS}");
        }
    }

    /// Closes what has become stale or was closed by the upstream, as long as there is something idle at all.
    async fn sweep(&self) {
        let mut ticks = interval(SWEEP);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            let mut idle = self.idle.borrow_mut();
            // Those that nobody has needed for a while are at the bottom. Under a load that uses more connections than may
            // lie idle, none is closed only to be opened again.
            let mut too_many = idle.len().saturating_sub(self.max_idle.get());
            idle.retain(|connection| {
                let is_one_too_many = too_many > 0 && connection.has_rested(now, SWEEP);
                too_many = too_many.saturating_sub(usize::from(is_one_too_many));
                !is_one_too_many && !connection.is_stale(now) && self.is_quiet(connection, now)
            });
            if idle.is_empty() {
                self.swept.set(false);
                return;
            }
        }
    }
}
