//! Shell. A connection pool: the idle connections of one worker to one upstream.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, interval};
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::config::Upstream;
use crate::connection::read_buffer::Scratch;
use crate::listen::stream::Arrived;
use crate::telemetry::repeated_log_line::Repeated;
use crate::upstream::connection::Connection;
use crate::upstream::error::ForwardError;
use crate::upstream::reachability::Reachability;
use crate::upstream::response::SURPLUS;

/// The time between two closings of stale idle connections.
const SWEEP: Duration = Duration::from_secs(1);

/// The idle connections to an upstream, as a stack. The most recently used is on top. When the load falls,
/// the connections at the bottom become stale.
#[derive(Debug)]
pub struct Pool {
    upstream: Upstream,
    max_idle: usize,
    #[expect(clippy::vec_box, reason = "a connection goes in and out with each request, and is large")]
    idle: RefCell<Vec<Box<Connection>>>,
    swept: Cell<bool>,
    /// Counts the responses with surplus bytes after them, for the log. The upstream decides how often such
    /// responses occur.
    surplus: RefCell<Repeated>,
    tracker: TaskTracker,
    scratch: Scratch,
    /// The connections to the further origins of the upstream, in the order in which they are tried.
    backups: Vec<Rc<Pool>>,
    pub(super) reachability: Reachability,
}

impl Pool {
    /// An empty pool. It keeps at most `max_idle` connections that stay idle from one sweep to the next, and
    /// none if `max_idle` is 0.
    ///
    /// `scratch` is a read buffer that is shared with other pools.
    #[must_use]
    pub fn new(upstream: Upstream, max_idle: usize, tracker: TaskTracker, scratch: Scratch) -> Rc<Self> {
        let backup = |alone| Self::new(alone, max_idle, tracker.clone(), Rc::clone(&scratch));
        let backups = upstream.alone().skip(1).map(backup).collect();
        Rc::new(Self {
            upstream,
            max_idle,
            idle: RefCell::default(),
            swept: Cell::new(false),
            surplus: RefCell::default(),
            tracker,
            scratch,
            backups,
            reachability: Reachability::default(),
        })
    }

    /// The upstream that the pool connects to.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The connections to the further origins of the upstream, in the order in which they are tried.
    #[must_use]
    pub fn backups(&self) -> &[Rc<Self>] {
        &self.backups
    }

    /// Runs a task of the pool. A process that ends waits for such tasks.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tracker.spawn_local(task);
    }

    /// An idle connection to the first origin that seems usable.
    pub fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut connection) = idle.pop() {
            if !connection.is_stale(now) && self.is_quiet(&mut connection, now) {
                return Some(connection);
            }
        }
        None
    }

    /// Opens a connection to the first origin.
    ///
    /// # Errors
    /// [`ForwardError::Unreachable`]
    pub async fn connect(&self) -> Result<Box<Connection>, ForwardError> {
        let scratch = Rc::clone(&self.scratch);
        // Boxed, because this future is seldom needed and would enlarge the future of every request.
        Box::pin(Connection::connect(&self.upstream, scratch)).await.map(Box::new)
    }

    /// Takes back a connection whose response is complete. Closes it if it cannot be reused. An upstream may
    /// answer before it has read the whole request; then the rest of the request is written before the
    /// connection is closed. A connection with bytes after its response is not reused.
    pub fn take_back(self: &Rc<Self>, mut connection: Box<Connection>, now: Instant) {
        if connection.has_surplus() {
            self.tell_of_surplus(now);
        }
        if connection.is_writing() {
            let pool = Rc::clone(self);
            self.spawn(async move {
                connection.finish(pool.upstream.response_timeout).await;
            });
        } else if connection.is_reusable() {
            self.keep(connection, now);
        }
    }

    /// Keeps an unused connection for the next request.
    pub(super) fn keep(self: &Rc<Self>, mut connection: Box<Connection>, now: Instant) {
        if self.max_idle > 0 {
            connection.rest(now);
            self.idle.borrow_mut().push(connection);
            if !self.swept.replace(true) {
                spawn_local(sweep(Rc::downgrade(self)));
            }
        }
    }

    /// Whether nothing has arrived since the last response.
    fn is_quiet(&self, connection: &mut Connection, now: Instant) -> bool {
        match connection.arrived() {
            Arrived::Nothing => true,
            Arrived::Bytes => {
                self.tell_of_surplus(now);
                false
            }
            Arrived::End => false,
        }
    }

    /// Logs surplus bytes, at most once a minute.
    fn tell_of_surplus(&self, now: Instant) {
        if self.surplus.borrow_mut().count(now.into_std()).is_some() {
            info!(upstream = %self.upstream.origin, "{SURPLUS}");
        }
    }

    /// Closes connections that are stale, or that the upstream has closed. Returns whether idle connections
    /// remain.
    fn close_stale(&self) -> bool {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        // The least recently used connections are at the bottom. The limit applies only to connections that
        // have been idle since the last sweep. Under a load that needs more than `max_idle`, no connection is
        // closed and opened again.
        let mut too_many = idle.len().saturating_sub(self.max_idle);
        idle.retain_mut(|connection| {
            let is_one_too_many = too_many > 0 && connection.has_rested(now, SWEEP);
            too_many = too_many.saturating_sub(usize::from(is_one_too_many));
            !is_one_too_many && !connection.is_stale(now) && self.is_quiet(connection, now)
        });
        !idle.is_empty()
    }
}

/// Closes stale connections. Ends when no connection is idle, or when no configuration uses the pool any
/// longer; then all its connections are closed.
async fn sweep(pool: Weak<Pool>) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.close_stale() {
            pool.swept.set(false);
            return;
        }
    }
}
