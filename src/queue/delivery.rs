//! Shell. The delivery thread: reads due deliveries from the store, sends them, and has the outcomes
//! recorded.
//!
//! The thread has its own runtime and its own upstream connections, so no delivery makes a request wait. The
//! [`Scheduler`] decides which delivery starts when. [`retry`](crate::queue::retry) decides what follows an
//! attempt. The thread reads a delivery, sends it, and forgets it when the outcome is on disk. A delivery
//! that has not ended when the process ends stays queued, and is made again.

mod attempt;
pub mod attempt_log;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::mem;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::read_buffer::{self, Scratch};
use crate::queue::circuit::Turned;
use crate::queue::counts::DeliveryCounts;
use crate::queue::destination::{Now, Settings};
use crate::queue::event::{RouteName, Upstream};
use crate::queue::handle::{DeliveryEnd, Handed, Queue, UnderWay};
use crate::queue::retry::Clocks;
use crate::queue::scheduler::{Read, Scheduler, Start, Step};
use crate::queue::store::{
    Completion, DamagedDelivery, DeliveryId, Destination, Due, DueQuery, Next, Settled, StoreError,
};
use crate::queue::time::Time;
use crate::runtime::background::{self, Background, LAST_WAIT};
use crate::runtime::control::{Control, Generation};
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::runtime::worker_view::View;

use crate::queue::delivery::attempt_log::{Published, Teller};
use attempt::{Attempted, Sent};

/// The time between two checks of which routes are paused, and which events were discarded.
const CHECK_PAUSED: Duration = Duration::from_secs(1);

/// The pause before the thread sends refused records to the store again.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// The most deliveries that are taken from the writer at a time, before other deliveries start.
const MOST_TAKEN_OVER: usize = 256;

/// The running delivery thread.
#[derive(Debug)]
pub struct DeliveryThread {
    control: Arc<Control>,
    stop: CancellationToken,
    thread: Option<Background>,
}

/// Starts the thread.
///
/// # Errors
/// The system cannot start a thread, or cannot start the thread's runtime.
pub fn start(control: &Arc<Control>, queue: Queue, end: DeliveryEnd) -> io::Result<DeliveryThread> {
    let counts = Arc::clone(queue.deliveries());
    let stop = CancellationToken::new();
    let (report, reported) = std::sync::mpsc::channel();
    let guard = PartGuard::over(ServerPart::Delivery, control);
    let (of_thread, stopped) = (Arc::clone(control), stop.clone());
    let work = move || {
        let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => {
                guard.end();
                let _no_receiver = report.send(Err(error));
                return;
            }
        };
        let _no_receiver = report.send(Ok(()));
        run(runtime, of_thread, queue, end, counts, stopped);
        guard.end();
    };
    let thread = background::start("delivery", work)?;
    reported.recv().map_err(|_silent| io::Error::other("the thread has ended"))??;
    Ok(DeliveryThread { control: Arc::clone(control), stop, thread: Some(thread) })
}

fn run(
    runtime: LocalRuntime,
    control: Arc<Control>,
    queue: Queue,
    end: DeliveryEnd,
    counts: Arc<DeliveryCounts>,
    stop: CancellationToken,
) {
    runtime.block_on(async {
        let mut thread = Thread::new(control, queue, counts);
        thread.run(end, stop).await;
    });
    // The shutdown does not wait for a name lookup or a read that is under way.
    runtime.shutdown_background();
}

/// The thread ends with the server: deliveries under way are finished within the grace period.
impl Drop for DeliveryThread {
    fn drop(&mut self) {
        self.stop.cancel();
        let grace = self.control.generation().grace;
        let _left_behind = self.thread.take().map(|thread| thread.wait(grace.saturating_add(LAST_WAIT)));
    }
}

struct Thread {
    control: Arc<Control>,
    in_force: watch::Receiver<Arc<Generation>>,
    view: Rc<View>,
    tracker: TaskTracker,
    scratch: Scratch,
    queue: Queue,
    scheduler: Scheduler,
    attempts: JoinSet<Attempted>,
    /// The attempts that have ended and whose outcomes are not on their way to the store yet.
    finished: Vec<Finished>,
    /// The outcomes that are being recorded, in groups.
    records: JoinSet<Vec<Recorded>>,
    /// Damaged deliveries that are being marked. Until the mark is on disk, the store says that they are due.
    damaged: BTreeSet<DeliveryId>,
    setting_aside: JoinSet<(Destination, DeliveryId)>,
    /// The read that is under way.
    reading: Option<Reading>,
    /// The number of lapses of the lease when the deliveries in memory were last dropped.
    lapses: u64,
    /// The destinations that are held because their route is paused.
    paused: BTreeSet<Destination>,
    teller: Teller,
    began: (Instant, Time),
    random: RandomState,
    number: u64,
}

/// A read that is under way.
struct Reading {
    read: Read,
    /// The number of lapses of the lease before the read began.
    lapses: u64,
    task: JoinHandle<Result<Due, StoreError>>,
}

/// An attempt that has ended.
struct Finished {
    sent: Sent,
    id: DeliveryId,
    since: Time,
    next: Next,
}

/// An outcome that is on disk.
struct Recorded {
    sent: Sent,
    id: DeliveryId,
    next: Next,
    settled: Settled,
}

impl Thread {
    fn new(control: Arc<Control>, queue: Queue, counts: Arc<DeliveryCounts>) -> Self {
        let mut in_force = control.watch();
        let generation = Arc::clone(&in_force.borrow_and_update());
        let (tracker, scratch) = (TaskTracker::new(), read_buffer::scratch());
        let view = View::new(generation, 1, tracker.clone(), Rc::clone(&scratch), &[]);
        let teller = Teller::new(counts, Arc::clone(control.recent()));
        let mut this = Self {
            control,
            in_force,
            view,
            tracker,
            scratch,
            queue,
            scheduler: Scheduler::default(),
            attempts: JoinSet::new(),
            finished: Vec::new(),
            records: JoinSet::new(),
            damaged: BTreeSet::new(),
            setting_aside: JoinSet::new(),
            reading: None,
            lapses: 0,
            paused: BTreeSet::new(),
            teller,
            began: (Instant::now(), Time::of(SystemTime::now())),
            random: RandomState::new(),
            number: 0,
        };
        this.configure();
        this
    }

    async fn run(&mut self, end: DeliveryEnd, stop: CancellationToken) {
        let signals = self.control.signals().clone();
        let DeliveryEnd { mut handed, mut works } = end;
        let mut check_paused = Instant::now();
        loop {
            // No delivery starts with an older configuration than the configuration in force.
            if self.in_force.has_changed().unwrap_or(false) {
                self.renew();
            }
            if self.queue.lapses() != self.lapses {
                self.let_go(&mut handed);
            }
            self.record_all();
            self.step();
            let wake = self.scheduler.wake_at().map(Instant::from_std);
            let wake = wake.into_iter().chain(check_paused.checked_add(CHECK_PAUSED)).min();
            let mut timer = pin!(sleep_until(wake.unwrap_or(check_paused)));
            tokio::select! {
                () = signals.abort.cancelled() => return,
                () = signals.drain.cancelled() => break,
                () = stop.cancelled() => break,
                Some(ended) = self.attempts.join_next() => {
                    self.ended(ended);
                    while let Some(ended) = self.attempts.try_join_next() {
                        self.ended(ended);
                    }
                }
                Some(recorded) = self.records.join_next() => {
                    // The writer hands a delivery over before its outcome is recorded. So the channel is
                    // emptied first: otherwise a delivery could arrive again after it was forgotten.
                    while let Ok(first) = handed.try_recv() {
                        self.take_over(first, &mut handed);
                    }
                    self.recorded(recorded);
                }
                Some(marked) = self.setting_aside.join_next() => {
                    let (destination, id) = intact(marked);
                    self.damaged.remove(&id);
                    self.scheduler.set_aside(&destination, id);
                    self.publish(&destination);
                }
                read = was_read(&mut self.reading) => self.was_read(read),
                changed = self.in_force.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.renew();
                }
                Some(first) = handed.recv() => self.take_over(first, &mut handed),
                Some(route) = works.recv() => self.works_directly(route),
                () = &mut timer => {
                    let now = Instant::now();
                    if now.saturating_duration_since(check_paused) >= CHECK_PAUSED {
                        check_paused = now;
                        self.check_paused();
                        self.check_discarded();
                    }
                }
            }
        }
        let grace = self.control.generation().grace;
        let drained = tokio::select! {
            () = signals.abort.cancelled() => Ok(()),
            drained = within(grace, self.drain()) => drained,
        };
        self.teller.ended(self.scheduler.under_way(), drained.is_ok());
    }

    /// Drops every delivery in memory that is not under way, because another gateway may have taken it. A
    /// delivery that is still this gateway's is read again.
    fn let_go(&mut self, handed: &mut mpsc::Receiver<Handed>) {
        self.lapses = self.queue.lapses();
        for _ in 0..handed.len() {
            match handed.try_recv() {
                Ok(Handed::Failed(..) | Handed::Due(..) | Handed::Look(_)) => {}
                Err(_empty) => break,
            }
        }
        let known = self.scheduler.destinations().map(|(destination, _)| (**destination).clone());
        let known: Vec<Destination> = known.collect();
        for destination in known {
            self.scheduler.hold(&destination, true);
            // The check below holds those again whose route is paused.
            self.paused.insert(destination);
        }
        self.check_paused();
        self.scheduler.look_at_all();
    }

    /// Finishes the attempts and records under way, and starts nothing new.
    async fn drain(&mut self) {
        loop {
            self.record_all();
            tokio::select! {
                Some(ended) = self.attempts.join_next() => self.ended(ended),
                Some(recorded) = self.records.join_next() => self.recorded(recorded),
                else => return,
            }
        }
    }

    fn now(&self) -> Now {
        let instant = Instant::now();
        let (began, at) = self.began;
        let steady = at.plus(instant.saturating_duration_since(began));
        let clocks = Clocks { wall: Time::of(SystemTime::now()), steady };
        Now { instant: instant.into_std(), clocks }
    }

    fn random(&mut self) -> u64 {
        self.number = self.number.wrapping_add(1);
        self.random.hash_one(self.number)
    }

    /// Takes every step that the scheduler wants now.
    fn step(&mut self) {
        // An event that comes after a reload is delivered with the new configuration, even if the thread
        // notices both at the same time.
        if self.in_force.has_changed().unwrap_or(false) {
            self.renew();
        }
        while let Some(step) = self.scheduler.step(self.now()) {
            match step {
                Step::Start(start) => self.start(start),
                Step::Read(read) => self.read(read),
            }
        }
    }

    fn start(&mut self, start: Start) {
        let destination = &start.destination;
        // A pause takes effect at its commit.
        if !self.queue.may_deliver(&destination.route) || self.queue.lapses() != self.lapses {
            self.paused.insert((**destination).clone());
            self.scheduler.cancel(destination, start.delivery.id);
            self.publish(destination);
            return;
        }
        // A discard takes effect at its commit, too.
        let event = start.delivery.event.info().id;
        if self.queue.is_discarded(event) {
            self.scheduler.drop_discarded(destination, start.delivery.id);
            self.publish(destination);
            return;
        }
        let began = self.now().clocks.wall;
        let under_way = UnderWay { event, destination: (**destination).clone(), began };
        self.queue.attempt_begins(start.delivery.id, under_way);
        self.publish(destination);
        let memory = self.control.budget().reservation(crate::admission::client::ClientAddress::Unix);
        self.attempts.spawn_local(attempt::attempt(Rc::clone(&self.view), start, memory, began));
    }

    fn read(&mut self, read: Read) {
        let (queue, asked) = (self.queue.clone(), read.clone());
        let task = spawn_blocking(move || {
            let wanted = &asked.wanted;
            queue.read(|reader| {
                reader.due(&DueQuery {
                    destination: &asked.destination,
                    class: wanted.class,
                    now: wanted.now,
                    except: &wanted.except,
                    most: wanted.most,
                    most_bytes: wanted.most_bytes,
                })
            })
        });
        self.reading = Some(Reading { read, lapses: self.queue.lapses(), task });
    }

    fn was_read(&mut self, read: Result<Result<Due, StoreError>, JoinError>) {
        let Some(Reading { read: asked, lapses, .. }) = self.reading.take() else { return };
        let now = self.now();
        match read {
            // Another gateway may have taken the deliveries that were read before the lapse.
            Ok(Ok(_)) if lapses != self.queue.lapses() => self.scheduler.read_failed(&asked, now),
            Ok(Ok(due)) => {
                self.set_aside(&asked.destination, &due.damaged);
                self.scheduler.read(&asked, due, now);
            }
            Ok(Err(error)) => {
                self.teller.not_read(&error, now.instant);
                self.scheduler.read_failed(&asked, now);
            }
            // The panic hook has logged the panic. The store is read once more.
            Err(_panic) => self.scheduler.read_failed(&asked, now),
        }
        self.publish(&asked.destination);
    }

    /// Reports each damaged delivery once, and has the deliveries marked.
    fn set_aside(&mut self, destination: &Destination, found: &[DamagedDelivery]) {
        for found in found {
            // A read that comes before the mark is on disk finds the delivery again.
            if !self.damaged.insert(found.id) {
                continue;
            }
            self.teller.damaged(destination, *found);
            let (queue, destination, id) = (self.queue.clone(), destination.clone(), found.id);
            self.setting_aside.spawn_local(async move {
                while queue.set_aside(id).await.is_err() {
                    wait(RECORD_AGAIN).await;
                }
                (destination, id)
            });
        }
    }

    /// Takes over the deliveries that the writer hands over.
    fn take_over(&mut self, first: Handed, handed: &mut mpsc::Receiver<Handed>) {
        let mut next = Some(first);
        let mut left = MOST_TAKEN_OVER;
        let mut was_full = false;
        while let Some(this) = next {
            // A delivery that does not fit into the full channel is only in the store.
            was_full |= handed.len().saturating_add(1) >= handed.max_capacity();
            match this {
                Handed::Due(destination, delivery) => self.scheduler.hand(&destination, delivery),
                Handed::Look(destination) => {
                    if self.paused.contains(&destination) {
                        // The route may have been resumed.
                        self.check_paused();
                    }
                    self.scheduler.look(&destination);
                }
                Handed::Failed(destination, id) => {
                    let (now, random) = (self.now(), self.random());
                    let turned = self.scheduler.failed_directly(&destination, id, now, random);
                    self.turned_directly(&destination, turned);
                }
            }
            left = left.saturating_sub(1);
            next = if left > 0 { handed.try_recv().ok() } else { None };
        }
        if was_full {
            self.scheduler.look_at_all();
        }
    }

    /// Records that the upstream of a route has answered a directly forwarded request.
    fn works_directly(&mut self, route: RouteName) {
        let destination = Destination { route, upstream: Upstream::Main };
        let turned = self.scheduler.works_directly(&destination);
        self.turned_directly(&destination, turned);
    }

    fn turned_directly(&mut self, destination: &Destination, turned: Option<Turned>) {
        if let Some(turned) = turned {
            let now = self.now().instant;
            let route = self.view.gateway().delivery_route(&destination.route);
            let upstream = route.and_then(|route| route.upstream(&destination.upstream));
            let address = upstream.map_or("", |upstream| &upstream.address);
            self.teller.turned(destination, address, turned, None, now);
        }
        self.publish(destination);
    }

    fn ended(&mut self, ended: Result<Attempted, JoinError>) {
        let attempted = intact(ended);
        let now = self.now();
        let random = self.random();
        let (delivered, end) = attempted.split();
        let followed = self.scheduler.end(&delivered.destination, &end, now, random);
        // The scheduler knows a destination while one of its deliveries is under way.
        let Some((next, turned)) = followed else { return };
        let access = self.view.gateway().access();
        self.teller.attempted(&delivered, &end, next, now, access);
        if let Some(turned) = turned {
            let by = Some(&delivered.attempt);
            self.teller.turned(&delivered.destination, &delivered.address, turned, by, now.instant);
        }
        self.publish(&delivered.destination);
        self.finished.push(Finished { sent: delivered, id: end.id, since: end.since, next });
    }

    /// Has the outcomes of all finished attempts recorded. The thread sends an outcome that the store refuses
    /// to the store again. Otherwise the event would be delivered twice.
    fn record_all(&mut self) {
        if self.finished.is_empty() {
            return;
        }
        let (queue, mut left) = (self.queue.clone(), mem::take(&mut self.finished));
        self.records.spawn_local(async move {
            let mut recorded = Vec::with_capacity(left.len());
            loop {
                let settled = queue.complete_all(left.iter().map(Finished::completion)).await;
                let mut refused = Vec::new();
                for (finished, settled) in left.into_iter().zip(settled) {
                    match settled {
                        Ok(settled) => recorded.push(finished.recorded(settled)),
                        Err(_refused) => refused.push(finished),
                    }
                }
                if refused.is_empty() {
                    return recorded;
                }
                left = refused;
                wait(RECORD_AGAIN).await;
            }
        });
    }

    fn recorded(&mut self, recorded: Result<Vec<Recorded>, JoinError>) {
        for Recorded { sent, id, next, settled } in intact(recorded) {
            let destination = &sent.destination;
            self.queue.attempt_ended(id);
            self.scheduler.settle(destination, id, sent.class, next);
            match (settled, next) {
                (Settled::Yes, Next::Dead(cause)) => self.teller.gave_up(&sent, cause, self.now().instant),
                (Settled::Yes, Next::Delivered | Next::Again { .. }) => {}
                // A replay has changed the delivery meanwhile, and the delivery is due at the replay's time.
                (Settled::No, _) => self.scheduler.look(destination),
            }
            self.publish(destination);
        }
    }

    /// Publishes the state of a destination, and whether its circuit is open. A destination that the
    /// scheduler has forgotten is published as new.
    fn publish(&mut self, destination: &Destination) {
        let published = Published::of(self.scheduler.destination(destination));
        if self.teller.publish(destination, published) {
            self.queue.set_circuit(destination, published.circuit);
        }
    }

    /// Applies the configuration that has been loaded.
    fn renew(&mut self) {
        let generation = Arc::clone(&self.in_force.borrow_and_update());
        let (tracker, scratch) = (self.tracker.clone(), Rc::clone(&self.scratch));
        self.view = View::new(generation, 1, tracker, scratch, self.view.pools());
        self.configure();
    }

    fn configure(&mut self) {
        let mut settings = BTreeMap::new();
        for (name, route) in self.view.gateway().delivery_routes() {
            let of_route = Settings {
                concurrency: route.options.concurrency.get(),
                interval: route.options.interval,
                retry: route.options.retry.clone(),
            };
            for upstream in &route.upstreams {
                let destination = Destination { route: name.clone(), upstream: upstream.upstream.clone() };
                settings.insert(destination, of_route.clone());
            }
        }
        self.scheduler.configure(settings, self.now());
        for (destination, _) in self.queue.deliveries().all() {
            self.publish(&destination);
        }
        self.paused.clear();
        self.check_paused();
    }

    /// Releases the lanes that were held by discarded events.
    fn check_discarded(&mut self) {
        let mut changed = Vec::new();
        let scheduler = &mut self.scheduler;
        self.queue.with_discarded(|is_discarded| changed = scheduler.discarded(is_discarded));
        changed.iter().for_each(|destination| self.publish(destination));
    }

    /// Holds the destinations of paused routes, and releases the other destinations.
    fn check_paused(&mut self) {
        let is_paused = |route: &RouteName| !self.queue.may_deliver(route);
        let known = self.scheduler.destinations().map(|(destination, _)| destination);
        let paused: BTreeSet<Destination> = known
            .filter(|destination| is_paused(&destination.route))
            .map(|known| (**known).clone())
            .collect();
        for resumed in self.paused.difference(&paused) {
            self.scheduler.hold(resumed, false);
        }
        for new in paused.difference(&self.paused) {
            self.scheduler.hold(new, true);
        }
        self.paused = paused;
    }
}

impl Finished {
    fn completion(&self) -> Completion {
        let Self { sent, id, since, next } = self;
        Completion { id: *id, since: *since, attempt: sent.attempt.clone(), next: *next }
    }

    fn recorded(self, settled: Settled) -> Recorded {
        let Self { sent, id, since: _, next } = self;
        Recorded { sent, id, next, settled }
    }
}

/// The result of the read under way. Never ready if no read is under way.
async fn was_read(reading: &mut Option<Reading>) -> Result<Result<Due, StoreError>, JoinError> {
    match reading {
        Some(reading) => (&mut reading.task).await,
        None => std::future::pending().await,
    }
}

/// The result of a task. A panic in the task becomes a panic of this thread, which ends the process.
fn intact<T>(result: Result<T, JoinError>) -> T {
    match result.map_err(JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(cancelled)) => resume_unwind(Box::new(cancelled)),
    }
}

async fn wait(time: Duration) {
    let _elapsed = within(time, std::future::pending::<()>()).await;
}

/// Waits at most `limit`.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, tokio::time::error::Elapsed> {
    let now = Instant::now();
    timeout_at(now.checked_add(limit).unwrap_or(now), work).await
}
