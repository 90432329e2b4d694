//! Shell. What the connections of one thread share: the view of the configuration in force, memory to read into.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::admission::connections::ConnectionLimit;
use crate::admission::connections::of_worker::WorkerConnections;
use crate::admission::memory::Budget;
use crate::http1::connection::{self, Scratch};
use crate::runtime::control::{Control, Generation};
use crate::runtime::view::View;
use crate::telemetry;
use crate::telemetry::metric::Tally;
use crate::telemetry::record::{Record, RequestId};

/// The state of one thread. Nothing of it is shared with another thread but counters, and what is in force.
#[derive(Debug)]
pub struct Worker {
    control: Arc<Control>,
    in_force: RefCell<watch::Receiver<Arc<Generation>>>,
    view: RefCell<Rc<View>>,
    workers: usize,
    scratch: Scratch,
    connections: Rc<WorkerConnections>,
    connection_limit: Arc<ConnectionLimit>,
    tracker: TaskTracker,
    tally: Tally,
    /// Memory that log lines are written in.
    line: RefCell<Vec<u8>>,
    last_id: Cell<u64>,
    date: RefCell<(u64, HeaderValue)>,
    /// For whoever has much to hash that has come already: one at a time.
    turn: Semaphore,
}

impl Worker {
    /// A worker of a server that has `workers` of them.
    #[must_use]
    pub fn new(control: Arc<Control>, connection_limit: Arc<ConnectionLimit>, workers: usize) -> Rc<Self> {
        let tracker = TaskTracker::new();
        let scratch = connection::scratch();
        let mut in_force = control.watch();
        let generation = Arc::clone(&in_force.borrow_and_update());
        let view = View::new(generation, workers, tracker.clone(), Rc::clone(&scratch));
        let view = RefCell::new(view);
        let tally = control.meters().tally();
        // The ids of a process begin at a place of their own, and count on from there.
        let first_id = RandomState::new().hash_one(0u8);
        Rc::new(Self {
            control,
            in_force: RefCell::new(in_force),
            view,
            workers,
            scratch,
            connections: Rc::default(),
            connection_limit,
            tracker,
            tally,
            line: RefCell::default(),
            last_id: Cell::new(first_id),
            date: RefCell::new((0, HeaderValue::from_static(""))),
            turn: Semaphore::new(1),
        })
    }

    /// What is in force now. Whoever serves a request takes this once, when the request begins, and keeps it to the end.
    ///
    /// It costs a comparison, unless the configuration has just been reloaded.
    #[must_use]
    pub fn view(&self) -> Rc<View> {
        if self.in_force.borrow().has_changed().unwrap_or(false) {
            self.renew();
        }
        Rc::clone(&self.view.borrow())
    }

    fn renew(&self) {
        let generation = Arc::clone(&self.in_force.borrow_mut().borrow_and_update());
        let view = self.view.borrow().renewed(generation, self.workers);
        let _past = self.view.replace(view);
    }

    /// Follows each reload at once, also while no request comes: what is past, with its keys, lives no longer than the
    /// requests that began with it. Never ends.
    pub async fn follow(&self) {
        let mut in_force = self.control.watch();
        loop {
            drop(self.view());
            if in_force.changed().await.is_err() {
                return;
            }
        }
    }

    /// The budget for what is held in memory.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        self.control.budget()
    }

    /// Memory to read into.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The controls of the server.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// This thread's connections.
    #[must_use]
    pub fn connections(&self) -> &Rc<WorkerConnections> {
        &self.connections
    }

    /// The connections of all threads.
    #[must_use]
    pub fn connection_limit(&self) -> &Arc<ConnectionLimit> {
        &self.connection_limit
    }

    /// Everything that this thread has under way. The drain waits for it.
    #[must_use]
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Sees something through that has nobody left to wait for it.
    pub fn finish(&self, work: impl Future<Output = ()> + 'static) {
        self.tracker.spawn_local(work);
    }

    /// A number that no other request has.
    #[must_use]
    pub fn next_id(&self) -> RequestId {
        let id = self.last_id.get().wrapping_add(1);
        self.last_id.set(id);
        RequestId(id)
    }

    /// Whether the server drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.control.signals().drain.is_cancelled()
    }

    /// Takes note of a request that has ended now.
    pub fn ended(&self, view: &View, record: &Record, now: SystemTime) {
        self.tally.count(record, now);
        telemetry::emit(record, view.gateway().access(), now, &mut self.line.borrow_mut());
    }

    /// Where this thread counts.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The one turn of those requests of this thread whose content has come and takes much work yet.
    #[must_use]
    pub fn turn(&self) -> &Semaphore {
        &self.turn
    }

    /// A time that is about now, as a `date` field has it (RFC 9110, section 5.6.7); made once a second.
    #[must_use]
    pub fn date(&self, now: SystemTime) -> HeaderValue {
        let second = second(now);
        let mut date = self.date.borrow_mut();
        if date.0 != second
            && let Ok(now) = now.try_into()
            && let Ok(text) = DateTimePrinter::new().timestamp_to_rfc9110_string(&now)
            && let Ok(value) = HeaderValue::from_str(&text)
        {
            *date = (second, value);
        }
        date.1.clone()
    }
}

/// Whole seconds since 1970.
#[must_use]
pub fn second(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
