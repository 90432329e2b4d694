//! Shell. The state of one worker thread. Its connections share it.

use std::cell::{Cell, RefCell, RefMut};
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::admission::connections::ConnectionLimit;
use crate::admission::memory::Budget;
use crate::connection::read_buffer::{self, Scratch};
use crate::http1::response::LastRefusal;
use crate::runtime::control::{Control, Generation};
use crate::runtime::worker_view::View;
use crate::telemetry;
use crate::telemetry::metric::Tally;
use crate::telemetry::record::{Record, RequestId};
use crate::tls::handshake_turns::HandshakeTurns;

/// How long an idle connection waits, during a drain, for a request in transit.
const LAST_CALL: Duration = Duration::from_secs(1);

/// The state of one worker thread. It shares only counters and the current configuration with other threads.
#[derive(Debug)]
pub struct Worker {
    control: Arc<Control>,
    in_force: RefCell<watch::Receiver<Arc<Generation>>>,
    view: RefCell<Rc<View>>,
    workers: usize,
    scratch: Scratch,
    connection_limit: Arc<ConnectionLimit>,
    tracker: TaskTracker,
    tally: Tally,
    /// A buffer for log lines.
    line: RefCell<Vec<u8>>,
    last_id: Cell<u64>,
    /// The keys of a hash that no other process knows. The next field counts the random numbers that were
    /// made with it.
    randomness: RandomState,
    drawn: Cell<u64>,
    date: RefCell<(u64, HeaderValue)>,
    last_refusal: RefCell<LastRefusal>,
    /// A permit for hashing much content that has already arrived. Only one request has it at a time.
    turn: Arc<Semaphore>,
    handshake_turns: HandshakeTurns,
}

impl Worker {
    /// Creates a worker for a server with `workers` workers.
    #[must_use]
    pub fn new(control: Arc<Control>, connection_limit: Arc<ConnectionLimit>, workers: usize) -> Rc<Self> {
        let tracker = TaskTracker::new();
        let scratch = read_buffer::scratch();
        let mut in_force = control.watch();
        let generation = Arc::clone(&in_force.borrow_and_update());
        let view = View::new(generation, workers, tracker.clone(), Rc::clone(&scratch), &[]);
        let view = RefCell::new(view);
        let tally = control.meters().tally();
        // The ids of a process begin at a random number, and count up from there.
        let randomness = RandomState::new();
        let first_id = randomness.hash_one(0u8);
        Rc::new(Self {
            control,
            in_force: RefCell::new(in_force),
            view,
            workers,
            scratch,
            connection_limit,
            tracker,
            tally,
            line: RefCell::default(),
            last_id: Cell::new(first_id),
            randomness,
            drawn: Cell::new(0),
            date: RefCell::new((0, HeaderValue::from_static(""))),
            last_refusal: RefCell::default(),
            turn: Arc::new(Semaphore::new(1)),
            handshake_turns: HandshakeTurns::default(),
        })
    }

    /// The current configuration. A request takes it once when it begins, and keeps it to its end.
    ///
    /// This costs one comparison, unless the configuration has just been reloaded.
    #[must_use]
    pub fn view(&self) -> Rc<View> {
        if self.in_force.borrow().has_changed().unwrap_or(false) {
            self.renew();
        }
        Rc::clone(&self.view.borrow())
    }

    fn renew(&self) {
        let generation = Arc::clone(&self.in_force.borrow_mut().borrow_and_update());
        let (tracker, scratch) = (self.tracker.clone(), Rc::clone(&self.scratch));
        let view = View::new(generation, self.workers, tracker, scratch, self.view.borrow().pools());
        let _past = self.view.replace(view);
    }

    /// Follows each reload immediately, even if no request arrives. So an old configuration and its keys live
    /// no longer than the requests that began with it. Never ends.
    pub async fn follow(&self) {
        let mut in_force = self.control.watch();
        loop {
            drop(self.view());
            if in_force.changed().await.is_err() {
                return;
            }
        }
    }

    /// The memory budget.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        self.control.budget()
    }

    /// The buffers that connections read into.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The controls of the server.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The connection limit, which all threads share.
    #[must_use]
    pub fn connection_limit(&self) -> &Arc<ConnectionLimit> {
        &self.connection_limit
    }

    /// The tasks of this thread. The drain waits for them.
    #[must_use]
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Runs a future to its end in the background. No caller awaits it.
    pub fn finish(&self, work: impl Future<Output = ()> + 'static) {
        self.tracker.spawn_local(work);
    }

    /// An id that no other request has.
    #[must_use]
    pub fn next_id(&self) -> RequestId {
        let id = self.last_id.get().wrapping_add(1);
        self.last_id.set(id);
        RequestId(id)
    }

    /// A random number. Successive numbers are independent.
    #[must_use]
    pub fn random(&self) -> u64 {
        let drawn = self.drawn.get().wrapping_add(1);
        self.drawn.set(drawn);
        self.randomness.hash_one(drawn)
    }

    /// Whether the server is draining.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.control.signals().drain.is_cancelled()
    }

    /// How long an idle connection waits, during a drain, for a request in transit: at most half of the
    /// drain's time, so the drain does not cut off an idle connection.
    #[must_use]
    pub fn last_call(&self) -> Duration {
        let grace = self.view().generation().grace;
        LAST_CALL.min(grace.checked_div(2).unwrap_or(Duration::ZERO))
    }

    /// Writes a request that has just ended to the log, the metrics and the recent requests. The latter may
    /// take the record.
    pub fn ended(&self, view: &View, record: &mut Record, now: SystemTime) {
        self.tally.count(record, now);
        telemetry::emit(record, view.gateway().access(), now, &mut self.line.borrow_mut());
        self.control.recent().request(record, now);
    }

    /// The metrics of this thread.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The turns of the TLS handshakes of this thread.
    #[must_use]
    pub fn handshake_turns(&self) -> &HandshakeTurns {
        &self.handshake_turns
    }

    /// The permit for requests of this thread that hash much content.
    #[must_use]
    pub fn turn(&self) -> &Arc<Semaphore> {
        &self.turn
    }

    /// The last response to a refused request.
    #[must_use]
    pub fn last_refusal(&self) -> RefMut<'_, LastRefusal> {
        self.last_refusal.borrow_mut()
    }

    /// The current time in the form of a `date` field (RFC 9110, section 5.6.7). It is made once a second.
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
