//! The writer of the queue: when it answers, what it does if its store fails or is full, and which deliveries
//! it hands over.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hookgate::queue::disk::Disk;
use hookgate::queue::event::{AttemptOutcome, Event, FirstAttempt, Receipt, Upstream};
use hookgate::queue::handle::{self, DeliveryEnd, Handed, Health, Queue, Refused};
use hookgate::queue::memory_store::Memory;
use hookgate::queue::sqlite::SqliteEngine;
use hookgate::queue::store::{
    Batch, Change, Check, Class, Committed, Completion, DeadCause, DeadLetter, DeliveryId, Destination,
    DueQuery, Engine, Filter, Next, OpenError, Reader, Retention, Statistics, Store, StoreError,
};
use hookgate::queue::store_limits::Limits;
use hookgate::queue::time::Time;
use hookgate::queue::writer::{Plan, Writer};
use tokio_util::sync::CancellationToken;

use crate::support::event::{Make, attempt, event, held, route};
use crate::support::gate::Gate;
use crate::support::in_time::joined;
use crate::support::{PATIENCE, gate};

/// How the next calls of a store end. With an empty list, the store has no faults.
#[derive(Clone, Default)]
struct Faults {
    commits: Arc<Mutex<VecDeque<Fault>>>,
    /// The most changes that one commit has room for; zero for any number.
    most_changes: Arc<AtomicUsize>,
    opens: Arc<Mutex<VecDeque<Fault>>>,
    /// The most rows that there is room to remove at once, if that is bounded.
    removes: Arc<Mutex<Option<usize>>>,
    /// How the next calls of `idle` end. A test notices only these calls.
    idles: Arc<Mutex<VecDeque<Fault>>>,
    /// Whether others share the store, and when this gateway tried to say that it lives. The disk of the
    /// server is full from the second time on.
    is_shared: Arc<AtomicBool>,
    said_alive: Arc<Mutex<Vec<Instant>>>,
    /// What was done: `open`, `check`, `commit 2+1` (events and records), or the fault instead.
    done: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Full,
    Failed,
    /// The transaction is on disk, but the call returns an error.
    FailedAfterwards,
}

impl Faults {
    fn commits(&self, faults: &[Fault]) {
        self.commits.lock().unwrap().extend(faults);
    }

    fn opens(&self, faults: &[Fault]) {
        self.opens.lock().unwrap().extend(faults);
    }

    fn note(&self, what: &str, fault: Fault) {
        let what = if fault == Fault::None { what.to_owned() } else { format!("{what}: {fault:?}") };
        self.done.lock().unwrap().push(what);
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut *self.done.lock().unwrap())
    }
}

/// A store in memory that has faults.
struct Faulty {
    memory: Memory,
    faults: Faults,
}

impl Engine for Faulty {
    fn open(&mut self, check: Check) -> Result<Box<dyn Store>, OpenError> {
        let fault = self.faults.opens.lock().unwrap().pop_front().unwrap_or(Fault::None);
        self.faults.note(if check == Check::Yes { "check" } else { "open" }, fault);
        if fault != Fault::None {
            return Err(OpenError::Failed("events.db".into(), "a fault of the test".into()));
        }
        Ok(Box::new(Self { memory: self.memory.clone(), faults: self.faults.clone() }))
    }
}

impl Store for Faulty {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed, StoreError> {
        let records = batch.completions.len() + batch.seen.len() + batch.damaged.len() + batch.changes.len();
        let fault = self.faults.commits.lock().unwrap().pop_front().unwrap_or(Fault::None);
        self.faults.note(&format!("commit {}+{records}", batch.events.len()), fault);
        let most = self.faults.most_changes.load(Ordering::Relaxed);
        match fault {
            Fault::None if most > 0 && batch.changes.len() > most => Err(StoreError::Full),
            Fault::None => self.memory.commit(batch),
            Fault::Full => Err(StoreError::Full),
            Fault::Failed => Err(StoreError::Failed("a fault of the test".into())),
            Fault::FailedAfterwards => {
                self.memory.commit(batch)?;
                Err(StoreError::Failed("a fault of the test".into()))
            }
        }
    }

    fn purge(&mut self, now: Time, retention: Retention, most: usize) -> Result<usize, StoreError> {
        if self.faults.removes.lock().unwrap().is_some_and(|bound| most > bound) {
            return Err(StoreError::Full);
        }
        self.memory.purge(now, retention, most)
    }

    fn dead_letters(&mut self, after: Time, until: Time, most: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.memory.dead_letters(after, until, most)
    }

    fn statistics(&mut self) -> Result<Statistics, StoreError> {
        self.memory.statistics()
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.memory.reader()
    }

    fn keep_alive(&mut self) -> Result<Option<Duration>, StoreError> {
        if !self.faults.is_shared.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut said = self.faults.said_alive.lock().unwrap();
        said.push(Instant::now());
        if said.len() > 1 { Err(StoreError::Full) } else { Ok(Some(Duration::from_millis(40))) }
    }

    fn between_commits(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn idle(&mut self) -> Result<(), StoreError> {
        let Some(fault) = self.faults.idles.lock().unwrap().pop_front() else { return Ok(()) };
        self.faults.note("idle", fault);
        if fault == Fault::Full { Err(StoreError::Full) } else { Ok(()) }
    }
}

/// A running writer, and its handle.
struct Running {
    queue: Queue,
    delivery: DeliveryEnd,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

fn limits() -> Limits {
    Limits { max_bytes: u64::MAX, min_free: 0, max_queued: Box::new(|_| u64::MAX) }
}

fn start(engine: Box<dyn Engine>, limits: Limits, disk: Option<Disk>) -> Running {
    try_start(engine, limits, disk).unwrap()
}

fn try_start(engine: Box<dyn Engine>, limits: Limits, disk: Option<Disk>) -> Result<Running, OpenError> {
    let (queue, end, delivery) = handle::channel();
    let stop = CancellationToken::new();
    let long = Duration::from_secs(1_000_000);
    let retention = Retention { delivered: long, info: long, dead: long };
    let plan = Plan { engine, end, limits, retention, in_force: Box::new(|| None), disk, stop: stop.clone() };
    let writer = Writer::open(plan).map_err(|(error, _end)| error)?;
    let thread = Some(std::thread::spawn(move || writer.run()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    Ok(Running { queue, delivery, stop, thread, runtime })
}

fn faulty(limits: Limits) -> (Running, Faults) {
    let faults = Faults::default();
    let engine = Faulty { memory: Memory::new(), faults: faults.clone() };
    (start(Box::new(engine), limits, None), faults)
}

impl Running {
    fn wait<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap() })
    }

    fn store(&mut self, event: Event) -> Result<Receipt, Refused> {
        let queue = self.queue.clone();
        self.wait(queue.store(event, held(), PATIENCE))
    }

    /// Stores events that wait at the same time.
    fn store_all(&mut self, events: Vec<Event>) -> Vec<Result<Receipt, Refused>> {
        let queue = self.queue.clone();
        self.wait(async {
            let mut all = tokio::task::JoinSet::new();
            let local = tokio::task::LocalSet::new();
            for (at, event) in events.into_iter().enumerate() {
                let queue = queue.clone();
                all.spawn_local_on(async move { (at, queue.store(event, held(), PATIENCE).await) }, &local);
            }
            let mut results = local.run_until(all.join_all()).await;
            results.sort_by_key(|(at, _)| *at);
            results.into_iter().map(|(_, result)| result).collect()
        })
    }

    /// Stores events one after the other until one is accepted. Returns how many were refused, all for the
    /// same reason.
    fn store_until_taken(&mut self, make: impl Fn(u64) -> Event, why: Refused) -> u64 {
        for refused in 0.. {
            match self.store(make(refused)) {
                Ok(_) => return refused,
                Err(reason) => assert_eq!(reason, why),
            }
            assert!(refused < 200_000, "{:?}", self.queue.statistics());
            std::thread::yield_now();
        }
        unreachable!("the numbers do not end")
    }

    fn complete(&mut self, id: DeliveryId, next: Next) {
        // That of the first event that is made.
        let since = Time::from_millis(1_000);
        let completion = Completion { id, since, attempt: attempt(1_000, AttemptOutcome::Delivered), next };
        let queue = self.queue.clone();
        // The record is on disk only when the store works again. So the test continues without the answer.
        self.runtime.spawn(async move { queue.complete(completion).await });
        self.wait(tokio::task::yield_now());
    }

    fn change(&mut self, change: Change) -> Result<u64, Refused> {
        let queue = self.queue.clone();
        self.wait(queue.change(change))
    }

    fn handed(&mut self) -> Handed {
        let Self { delivery, runtime, .. } = self;
        let next = delivery.handed.recv();
        runtime.block_on(async { tokio::time::timeout(PATIENCE, next).await.unwrap().unwrap() })
    }

    /// The id of a delivery that was handed over.
    fn handed_due(&mut self) -> DeliveryId {
        match self.handed() {
            Handed::Due(_, delivery) => delivery.id,
            other @ (Handed::Look(_) | Handed::Failed(..)) => panic!("{other:?}"),
        }
    }

    /// The numbers of deliveries that are queued, delivered and dead.
    fn counts(&mut self) -> (u64, u64, u64) {
        // An answered change is published before the next command.
        assert_eq!(self.change(Change::Discard(event("/none", 1).id())), Ok(0));
        let counts = self.queue.statistics().counts;
        let all = counts.iter().map(|(_, counts)| (counts.queued, counts.delivered, counts.dead));
        all.fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2))
    }

    fn stop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            joined(thread);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn make(n: u64) -> Event {
    event("/a", 1_000 + n).make()
}

#[test]
fn an_event_is_committed_answered_and_handed_to_its_delivery() {
    let (mut running, faults) = faulty(limits());
    assert_eq!(running.queue.health(), Health::Well);
    let made = event("/a", 1_000);
    let stored = made.make();
    let (head, content) = (stored.head().to_vec(), stored.content().to_vec());
    assert_eq!(running.store(stored).unwrap().id(), made.id());
    assert_eq!(faults.done(), ["open", "commit 1+0"]);
    let Handed::Due(destination, delivery) = running.handed() else { panic!("it is due") };
    assert_eq!(destination.route, route("/a", None));
    assert_eq!((delivery.class, delivery.attempts, delivery.since.millis()), (Class::New, 0, 1_000));
    assert_eq!((delivery.event.head(), delivery.event.content()), (&head[..], &content[..]));
    running.complete(delivery.id, Next::Delivered);
    assert_eq!(running.change(Change::Discard(event("/a", 7).id())), Ok(0));
    assert_eq!(running.counts(), (0, 1, 0));
}

#[test]
fn events_that_wait_together_are_one_commit() {
    let faults = Faults::default();
    let (release, gate) = gate();
    struct Slow(Faulty, Arc<Gate>);
    impl Engine for Slow {
        fn open(&mut self, check: Check) -> Result<Box<dyn Store>, OpenError> {
            // The store is open. Its first commit waits for the gate.
            drop(self.0.open(check)?);
            let faulty = Faulty { memory: self.0.memory.clone(), faults: self.0.faults.clone() };
            Ok(Box::new(SlowStore(faulty, Arc::clone(&self.1))))
        }
    }
    struct SlowStore(Faulty, Arc<Gate>);
    impl Store for SlowStore {
        fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed, StoreError> {
            self.1.pass();
            self.0.commit(batch)
        }
        fn purge(&mut self, now: Time, retention: Retention, most: usize) -> Result<usize, StoreError> {
            self.0.purge(now, retention, most)
        }
        fn dead_letters(
            &mut self,
            after: Time,
            until: Time,
            most: usize,
        ) -> Result<Vec<DeadLetter>, StoreError> {
            self.0.dead_letters(after, until, most)
        }
        fn statistics(&mut self) -> Result<Statistics, StoreError> {
            self.0.statistics()
        }
        fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
            self.0.reader()
        }
        fn between_commits(&mut self) -> Result<(), StoreError> {
            Ok(())
        }
        fn idle(&mut self) -> Result<(), StoreError> {
            Ok(())
        }
    }
    let faulty = Faulty { memory: Memory::new(), faults: faults.clone() };
    let mut running = start(Box::new(Slow(faulty, Arc::new(gate))), limits(), None);
    let queue = running.queue.clone();
    let results = running.wait(async {
        let local = tokio::task::LocalSet::new();
        let mut all = tokio::task::JoinSet::new();
        for n in 0..3_000 {
            let queue = queue.clone();
            all.spawn_local_on(async move { queue.store(make(n), held(), PATIENCE).await.is_ok() }, &local);
        }
        // All commands have been sent, because the channel has room for them. Now the first commit may end.
        local
            .run_until(async {
                for _ in 0..1_000 {
                    tokio::task::yield_now().await;
                }
                drop(release);
                all.join_all().await
            })
            .await
    });
    assert_eq!(results, [true; 3_000]);
    let done = faults.done();
    let sizes: Vec<u64> = done
        .iter()
        .filter_map(|done| done.strip_prefix("commit ")?.strip_suffix("+0")?.parse().ok())
        .collect();
    assert_eq!(sizes.iter().sum::<u64>(), 3_000, "{done:?}");
    assert!(sizes.len() <= 5 && sizes.iter().all(|size| *size <= 1024), "{sizes:?}");
}

#[test]
fn nothing_is_acknowledged_between_a_failed_commit_and_the_reopening() {
    for fault in [Fault::Failed, Fault::FailedAfterwards] {
        let (mut running, faults) = faulty(limits());
        running.store(make(0)).unwrap();
        let first = running.handed_due();
        faults.opens(&[Fault::Failed, Fault::Failed]);
        faults.commits(&[fault]);
        assert_eq!(running.store(make(1)), Err(Refused::Unavailable));
        assert_eq!(running.queue.health(), Health::Failing);
        assert!(running.queue.read(|reader| reader.count(&Filter::default(), 9)).is_err());
        // While the store fails, a completion is kept. A change by an operator is not.
        running.complete(first, Next::Delivered);
        assert_eq!(running.change(Change::Discard(event("/a", 1_000).id())), Err(Refused::Unavailable));
        let refused = running.store_until_taken(|n| make(100 + n), Refused::Unavailable);
        assert!(refused > 0);
        let done = faults.done();
        assert_eq!(
            done[..5],
            [
                "open".to_owned(),
                "commit 1+0".to_owned(),
                format!("commit 1+0: {fault:?}"),
                "check: Failed".to_owned(),
                "check: Failed".to_owned(),
            ]
        );
        // The completion is written before all commands that arrive after the reopening.
        assert_eq!(done[5..7], ["check", "commit 0+1"], "{done:?}");
        assert_eq!(running.queue.health(), Health::Well);
        let kept = u64::from(fault == Fault::FailedAfterwards);
        assert_eq!(running.counts(), (1 + kept, 1, 0));
        assert!(running.queue.read(|reader| reader.count(&Filter::default(), 9)).is_ok());
        assert!(running.queue.read_list(|reader| reader.count(&Filter::default(), 9)).is_ok());
    }
}

#[test]
fn all_events_of_a_failed_commit_are_refused() {
    let (mut running, faults) = faulty(limits());
    faults.commits(&[Fault::Failed; 3]);
    let results = running.store_all((0..20).map(make).collect());
    let done = faults.done();
    let taken = results.iter().filter(|result| result.is_ok()).count();
    let refused = results.iter().filter(|result| **result == Err(Refused::Unavailable)).count();
    assert_eq!(taken + refused, 20);
    // The committed events are exactly the acknowledged events.
    let committed: usize = done
        .iter()
        .filter(|done| !done.contains(':'))
        .filter_map(|done| done.strip_prefix("commit ")?.split('+').next()?.parse::<usize>().ok())
        .sum();
    assert_eq!(taken, committed, "{done:?}");
}

#[test]
fn completions_survive_several_failures_in_their_order() {
    let (mut running, faults) = faulty(limits());
    running.store(make(0)).unwrap();
    let id = running.handed_due();
    faults.commits(&[Fault::Failed, Fault::Failed]);
    running.complete(id, Next::Again { due: Time::from_millis(1), spends: true });
    running.complete(id, Next::Dead(DeadCause::Refused));
    running.store_until_taken(|n| make(100 + n), Refused::Unavailable);
    let counts = running.counts();
    assert_eq!((counts.0, counts.2), (1, 1), "{:?}", faults.done());
    let detail = running.queue.read(|reader| reader.detail(event("/a", 1_000).id())).unwrap().unwrap();
    assert_eq!(detail.summary.deliveries[0].attempts, 2);
}

/// Events are discarded to make room, and many discards need more room than a full disk has.
#[test]
fn many_changes_on_a_full_disk_are_made_in_few_at_a_time() {
    let (mut running, faults) = faulty(limits());
    let results = running.store_all((0..500).map(make).collect());
    assert!(results.iter().all(Result::is_ok));
    faults.most_changes.store(3, Ordering::Relaxed);
    let queue = running.queue.clone();
    let discards = (0..500).map(|n| Change::Discard(event("/a", 1_000 + n).id()));
    assert_eq!(running.wait(queue.change_all(discards)), Ok(vec![1; 500]));
    // A step of a replay is made whole, or not at all.
    let saved = (0..500).map(|n| Change::RemoveJob(event("/a", 1_000 + n).id()));
    assert_eq!(running.wait(queue.change_all(saved)), Err(Refused::Full));
    faults.most_changes.store(0, Ordering::Relaxed);
    assert_eq!(running.counts(), (0, 0, 0));
}

/// What is committed to a file that no path leads to is lost with the process.
#[test]
fn nothing_is_acknowledged_while_a_file_of_the_store_is_not_in_its_place() {
    for name in ["events.db", "events.db-wal", "events.db.lock"] {
        let folder = tempfile::tempdir().unwrap();
        let (file, away) = (folder.path().join(name), folder.path().join("away"));
        let engine = SqliteEngine::own(&folder.path().join("events.db")).unwrap();
        let mut running = start(Box::new(engine), limits(), None);
        running.store(make(0)).unwrap();
        let first = running.handed_due();
        fs::rename(&file, &away).unwrap();
        assert_eq!(running.store(make(1)), Err(Refused::Unavailable), "{name}");
        assert_eq!(running.queue.health(), Health::Failing, "{name}");
        fs::copy(&away, &file).unwrap();
        assert_eq!(running.store(make(1)), Err(Refused::Unavailable), "{name}: a copy is another file");
        // What was stored before is delivered and recorded.
        running.complete(first, Next::Delivered);
        assert_eq!(running.counts(), (0, 1, 0), "{name}");
        fs::rename(&away, &file).unwrap();
        running.store(make(2)).unwrap();
        assert_eq!(running.queue.health(), Health::Well, "{name}");
    }
}

#[test]
fn a_store_that_makes_room_by_itself_is_not_full() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::own(&folder.path().join("events.db")).unwrap();
    let limits = Limits { max_bytes: 2 << 20, ..limits() };
    let mut running = start(Box::new(engine), limits, None);
    for n in 0..300 {
        let event = event("/a", 1_000).number(n).content([b'a'; 20_000]).make();
        running.store(event).unwrap();
        assert_eq!(running.queue.health(), Health::Well, "{n}");
        let id = running.handed_due();
        running.complete(id, Next::Delivered);
        running.counts();
        assert_eq!(running.queue.health(), Health::Well, "{n}");
    }
}

#[test]
fn a_gateway_that_cannot_say_that_it_lives_on_a_full_disk_pauses_before_it_tries_again() {
    let faults = Faults::default();
    faults.is_shared.store(true, Ordering::Relaxed);
    let engine = Faulty { memory: Memory::new(), faults: faults.clone() };
    let _running = start(Box::new(engine), limits(), None);
    let began = Instant::now();
    let said = loop {
        let said = faults.said_alive.lock().unwrap().clone();
        if said.len() >= 4 {
            break said;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{said:?}");
        std::thread::yield_now();
    };
    let pause = said[3].duration_since(said[2]);
    assert!(pause >= Duration::from_millis(200), "{pause:?}");
}

#[test]
fn a_full_disk_refuses_events_and_still_records_deliveries() {
    let (mut running, faults) = faulty(limits());
    running.store(make(0)).unwrap();
    let id = running.handed_due();
    faults.commits(&[Fault::Full]);
    assert_eq!(running.store(make(1)), Err(Refused::Full));
    running.complete(id, Next::Delivered);
    running.store(make(2)).unwrap();
    assert_eq!(running.counts(), (1, 1, 0));
    // A change that makes room is made, even if the events of the same commit do not fit.
    faults.commits(&[Fault::Full]);
    assert_eq!(running.change(Change::Discard(event("/a", 1_002).id())), Ok(1));
    faults.commits(&[Fault::Full, Fault::Full]);
    assert_eq!(running.change(Change::Discard(event("/a", 1_000).id())), Err(Refused::Full));
    assert_eq!(running.change(Change::Discard(event("/a", 1_000).id())), Ok(1));
    assert!(!faults.done().iter().any(|done| done.starts_with("check")), "a full store is not a failed one");
}

#[test]
fn the_log_is_emptied_later_if_the_disk_has_no_room_for_that() {
    let faults = Faults::default();
    faults.idles.lock().unwrap().extend([Fault::Full, Fault::Full, Fault::None]);
    let engine = Faulty { memory: Memory::new(), faults: faults.clone() };
    let _running = start(Box::new(engine), limits(), None);
    let end = Instant::now() + PATIENCE;
    while faults.done.lock().unwrap().len() < 4 {
        assert!(Instant::now() < end, "{:?}", faults.done());
        std::thread::yield_now();
    }
    assert_eq!(faults.done(), ["open", "idle: Full", "idle: Full", "idle"]);
}

#[test]
fn only_what_does_not_fit_is_refused() {
    let small = || event("/small", 1_000).content("x").make();
    let room = Limits {
        max_queued: Box::new(|route| if &*route.path == "/small" { 10_000 } else { 500 }),
        ..limits()
    };
    let (mut running, _) = faulty(room);
    let large = event("/large", 1_001).content("x".repeat(1_000)).make();
    let results = running.store_all(vec![small(), large, small()]);
    let results: Vec<_> = results.into_iter().map(|result| result.map(|receipt| receipt.id())).collect();
    let id = event("/small", 1_000).id();
    assert_eq!(results, [Ok(id), Err(Refused::Full), Ok(id)]);
    // A full route does not mean that the store is full.
    assert_eq!(running.queue.health(), Health::Well);
}

#[test]
fn delivered_content_makes_room_early_and_undelivered_never() {
    // The store has room for two events with their records.
    let content = "x".repeat(10_000);
    let make = |n| event("/a", 1_000 + n).content(content.clone()).make();
    let (mut running, _) = faulty(Limits { max_bytes: 23_000, ..limits() });
    running.store(make(0)).unwrap();
    let first = running.handed_due();
    running.store(make(1)).unwrap();
    assert_eq!(running.store(make(2)), Err(Refused::Full));
    assert_eq!(running.queue.health(), Health::Full);
    assert_eq!(running.counts().0, 2);
    running.complete(first, Next::Delivered);
    running.store_until_taken(|n| make(3 + n), Refused::Full);
    let detail = running.queue.read(|reader| reader.detail(event("/a", 1_000).id())).unwrap().unwrap();
    assert!(detail.event.is_none() && detail.summary.length == 10_000);
    assert_eq!(running.counts(), (2, 1, 0));
}

#[test]
fn delivered_content_goes_early_on_a_full_disk_in_steps_that_there_is_room_for() {
    let folder = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(1 << 40));
    let measured = Arc::clone(&free);
    let measure = Box::new(move |_: &Path| Some(measured.load(Ordering::Relaxed)));
    let disk = Disk::measured_by(&folder.path().join("events.db"), 1 << 20, measure);
    let faults = Faults::default();
    let engine = Faulty { memory: Memory::new(), faults: faults.clone() };
    let mut running = start(Box::new(engine), limits(), Some(disk));
    let ids: Vec<_> = (0..9).map(|n| (running.store(make(n)).unwrap().id(), running.handed_due())).collect();
    free.store(0, Ordering::Relaxed);
    *faults.removes.lock().unwrap() = Some(2);
    faults.commits(&[Fault::Full]);
    assert_eq!(running.store(make(100)), Err(Refused::Full));
    for (_, id) in &ids[..8] {
        running.complete(*id, Next::Delivered);
    }
    // The sender sends the event again. The writer removes delivered events to make room, and keeps waiting
    // events.
    let mut kept = || {
        assert_eq!(running.store(make(200)), Err(Refused::Full));
        let all = ids.iter().map(|(id, _)| running.queue.read(|reader| reader.detail(*id)).unwrap().unwrap());
        all.map(|detail| usize::from(detail.event.is_some())).collect::<Vec<_>>()
    };
    let mut of_nine = kept();
    for _ in 0..200_000 {
        if of_nine.iter().sum::<usize>() == 1 {
            break;
        }
        of_nine = kept();
    }
    assert_eq!(of_nine, [0, 0, 0, 0, 0, 0, 0, 0, 1]);
    free.store(1 << 40, Ordering::Relaxed);
    running.store_until_taken(|_| make(300), Refused::Full);
}

#[test]
fn what_may_not_be_sent_at_once_is_left_to_the_store() {
    let (mut running, _) = faulty(limits());
    let look = |running: &mut Running, what: &str| match running.handed() {
        Handed::Look(destination) => destination,
        Handed::Due(..) | Handed::Failed(..) => panic!("{what} was handed over"),
    };
    running.store(event("/ordered", 1_000).order("k").make()).unwrap();
    assert_eq!(look(&mut running, "an ordered event").route, route("/ordered", None));
    running.store(event("/large", 1_001).content(vec![b'x'; 65 << 10]).make()).unwrap();
    assert_eq!(look(&mut running, "a large event").route, route("/large", None));
    let first = FirstAttempt {
        attempt: attempt(1_000, AttemptOutcome::Unreachable),
        due: Time::from_millis(u64::MAX),
    };
    running.store(event("/tried", 1_002).copy("http://c").make().after(first)).unwrap();
    assert!(matches!(running.handed(), Handed::Failed(to, _) if to.upstream == Upstream::Main));
    // Its copy has not been tried.
    running.handed_due();
    assert_eq!(look(&mut running, "an attempted event").route, route("/tried", None));
    assert_eq!(running.change(Change::Pause(route("/paused", None))), Ok(1));
    running.store(event("/paused", 1_003).make()).unwrap();
    assert_eq!(look(&mut running, "an event of a paused route").route, route("/paused", None));
    assert_eq!(running.change(Change::Resume(route("/paused", None))), Ok(1));
    assert_eq!(look(&mut running, "a resumed route").route, route("/paused", None));
}

#[test]
fn the_next_of_a_lane_is_announced_once_the_first_is_recorded() {
    let (mut running, _) = faulty(limits());
    for n in 0..2 {
        running.store(event("/a", 1_000 + n).order("k").make()).unwrap();
        assert!(matches!(running.handed(), Handed::Look(_)));
    }
    running.complete(DeliveryId(1), Next::Delivered);
    assert!(matches!(running.handed(), Handed::Look(_)));
}

#[test]
fn deliveries_that_had_no_room_are_told_again() {
    let (mut running, _) = faulty(limits());
    for n in 0..1_100 {
        running.store(make(n)).unwrap();
    }
    let mut due = 0;
    while let Handed::Due(..) = running.handed() {
        due += 1;
    }
    // The first delivery that did not fit was announced as something to look for. Everything after it was
    // announced in the same way.
    assert!((1..1_100).contains(&due), "{due}");
}

#[test]
fn what_waits_in_a_store_is_announced_when_it_is_opened() {
    let memory = Memory::new();
    let faults = Faults::default();
    let open = || {
        let engine = Faulty { memory: memory.clone(), faults: faults.clone() };
        start(Box::new(engine), limits(), None)
    };
    let mut running = open();
    running.store(make(0)).unwrap();
    drop(running);
    let mut running = open();
    assert!(matches!(running.handed(), Handed::Look(destination) if destination.route == route("/a", None)));
}

#[test]
fn what_has_come_before_the_end_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let mut running =
        start(Box::new(SqliteEngine::own(&path).unwrap()), limits(), Some(Disk::of(&path, 1 << 30)));
    running.store(make(0)).unwrap();
    let id = running.handed_due();
    running.complete(id, Next::Delivered);
    let queue = running.queue.clone();
    running.stop();
    assert_eq!(running.store(make(1)), Err(Refused::Unavailable));
    assert!(queue.read(|reader| reader.count(&Filter::default(), 9)).is_err());
    // The store has been given up, and all of it is in its file.
    assert!(fs::metadata(folder.path().join("events.db-wal")).map_or(0, |log| log.len()) == 0);
    let mut running = start(Box::new(SqliteEngine::own(&path).unwrap()), limits(), None);
    assert_eq!(running.counts(), (0, 1, 0));
}

#[test]
fn the_writer_ends_when_every_handle_is_gone() {
    let (queue, end, _delivery) = handle::channel();
    let engine = Faulty { memory: Memory::new(), faults: Faults::default() };
    let long = Duration::from_secs(1);
    let retention = Retention { delivered: long, info: long, dead: long };
    let stop = CancellationToken::new();
    let plan = Plan {
        engine: Box::new(engine),
        end,
        limits: limits(),
        retention,
        in_force: Box::new(|| None),
        disk: None,
        stop,
    };
    let writer = Writer::open(plan).unwrap();
    let thread = std::thread::spawn(move || writer.run());
    drop(queue);
    joined(thread);
}

#[test]
fn a_disk_that_must_stay_free_refuses_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let engine = Box::new(SqliteEngine::own(&path).unwrap());
    let disk = Disk::of(&path, 1 << 30);
    let mut running = start(engine, Limits { min_free: u64::MAX, ..limits() }, Some(disk));
    assert_eq!(running.queue.health(), Health::Full);
    assert_eq!(running.store(make(0)), Err(Refused::Full));
}

#[test]
fn delivered_content_makes_room_early_on_a_disk_that_must_stay_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let engine = Box::new(SqliteEngine::own(&path).unwrap());
    // A disk of 6 MiB, of which the store may take 4.
    let free = |folder: &Path| {
        let files = fs::read_dir(folder).unwrap();
        let taken: u64 = files.map(|file| file.unwrap().metadata().map_or(0, |file| file.len())).sum();
        Some((6_u64 << 20).saturating_sub(taken))
    };
    let disk = Disk::measured_by(&path, 0, Box::new(free));
    let mut running = start(engine, Limits { min_free: 2 << 20, ..limits() }, Some(disk));
    let make = |n: u64| event("/a", 1_000 + n).content(vec![b'x'; 20_000]).make();
    let log = folder.path().join("events.db-wal");
    let mut ids = Vec::new();
    // Until the log is empty and the disk is full nevertheless.
    loop {
        match running.store(make(u64::try_from(ids.len()).unwrap())) {
            Ok(_) => ids.push(running.handed_due()),
            Err(why) => {
                assert_eq!(why, Refused::Full);
                let is_full = running.queue.disk_free().unwrap() < (2 << 20) + 24_000;
                if is_full && fs::metadata(&log).unwrap().len() == 0 {
                    break;
                }
                std::thread::yield_now();
            }
        }
    }
    assert_eq!(running.queue.health(), Health::Full);
    for id in &ids {
        running.complete(*id, Next::Delivered);
    }
    for n in 0..40 {
        running.store_until_taken(|_| make(1_000 + n), Refused::Full);
    }
    // What was refused before it was delivered is still there.
    assert_eq!(running.counts().1, u64::try_from(ids.len()).unwrap());
    // An event is as large as the log that it needs.
    assert!(free(folder.path()).unwrap() >= (256 << 10) - 24_000);
}

#[test]
fn a_small_store_on_disk_fills_up_and_empties() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let engine = Box::new(SqliteEngine::own(&path).unwrap());
    let mut running =
        start(engine, Limits { max_bytes: 2 << 20, ..limits() }, Some(Disk::of(&path, 2 << 20)));
    let make = |n: u64| event("/a", 1_000 + n).content(vec![b'x'; 20_000]);
    let mut taken: Vec<Make> = Vec::new();
    for n in 0..200 {
        match running.store(make(n).make()) {
            Ok(_) => taken.push(make(n)),
            Err(why) => {
                assert_eq!(why, Refused::Full);
                break;
            }
        }
    }
    assert!((60..105).contains(&taken.len()), "{}", taken.len());
    let size = || fs::metadata(&path).unwrap().len();
    assert!(size() <= 2 << 20, "{}", size());
    for _ in 0..taken.len() {
        let id = running.handed_due();
        running.complete(id, Next::Delivered);
    }
    // Nearly all events fit again, in the room of the delivered events. Only the facts of the delivered
    // events stay.
    for n in 0..taken.len() as u64 - 10 {
        running.store_until_taken(|_| make(1_000 + n).make(), Refused::Full);
    }
    assert!(size() <= 2 << 20, "{}", size());
}

/// Run by hand, because it needs a small disk: `mount -t tmpfs -o size=2m none DIR`, then `SMALL_DISK=DIR
/// cargo test --test it a_full_disk_loses_nothing -- --ignored`.
#[test]
#[ignore = "needs a disk of about 2 MiB, in SMALL_DISK"]
fn a_full_disk_loses_nothing_and_is_used_again_within_a_second() {
    let folder = std::path::PathBuf::from(std::env::var_os("SMALL_DISK").expect("SMALL_DISK is set"));
    let path = folder.join("events.db");
    let filler = folder.join("filler");
    let engine = Box::new(SqliteEngine::own(&path).unwrap());
    let mut running = start(engine, limits(), Some(Disk::of(&path, 10 << 30)));
    let mut acknowledged = std::collections::BTreeSet::new();
    let make = |n: u64| event("/a", 1_000 + n).content(vec![b'x'; 3_000]);
    let mut n = 0;
    let mut store = |running: &mut Running, acknowledged: &mut std::collections::BTreeSet<_>| {
        n += 1;
        let result = running.store(make(n).make());
        if result.is_ok() {
            acknowledged.insert(make(n).id());
        }
        result.map(|_| ())
    };
    let mut longest = Duration::ZERO;
    for round in 0..200 {
        // Another program takes all that is free.
        let mut file = fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        while store(&mut running, &mut acknowledged) == Ok(()) {}
        // On the full disk, every event can still be delivered and discarded.
        let mut due = Vec::new();
        while let Ok(handed) = running.delivery.handed.try_recv() {
            if let Handed::Due(_, delivery) = handed {
                due.push(delivery.id);
            }
        }
        for id in due {
            running.complete(id, Next::Delivered);
        }
        for id in &acknowledged {
            let is_there = running.queue.read(|reader| reader.detail(*id));
            assert!(!matches!(is_there, Ok(None)), "round {round}: {id} is lost");
        }
        drop(file);
        fs::remove_file(&filler).unwrap();
        let since = Instant::now();
        while store(&mut running, &mut acknowledged).is_err() {
            assert!(since.elapsed() < PATIENCE, "round {round}: {:?}", running.queue.health());
            std::thread::yield_now();
        }
        longest = longest.max(since.elapsed());
        for id in std::mem::take(&mut acknowledged) {
            assert_eq!(running.change(Change::Discard(id)), Ok(1), "round {round}");
        }
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

/// This test is run by hand, under `strace -f -e trace=fsync,fdatasync -e
/// inject=fsync,fdatasync:error=EIO:when=N`. Whichever sync fails, every acknowledged event is in the store.
#[test]
#[ignore = "a sync should fail while it runs"]
fn what_was_acknowledged_before_and_after_a_failed_sync_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let engine = Box::new(SqliteEngine::own(&path).unwrap());
    // If a sync fails while the store is opened, the gateway does not start.
    let Ok(mut running) = try_start(engine, limits(), None) else { return };
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0..200 {
        if n % 5 == 0
            && let Ok(Handed::Due(_, delivery)) = running.delivery.handed.try_recv()
        {
            running.complete(delivery.id, Next::Delivered);
        }
        match running.store(make(n)) {
            Ok(receipt) => acknowledged.push(receipt.id()),
            Err(why) => {
                assert_eq!(why, Refused::Unavailable);
                refused += 1;
                running.store_until_taken(|k| make(1_000 * (n + 1) + k), Refused::Unavailable);
            }
        }
    }
    running.stop();
    let mut store = SqliteEngine::own(&path).unwrap().open(Check::Yes).unwrap();
    let mut reader = store.reader().unwrap();
    for id in &acknowledged {
        assert!(reader.detail(*id).unwrap().is_some_and(|detail| detail.event.is_some()), "{id}");
    }
    let _done = store.idle();
    assert!(refused <= 1, "{refused}");
}

/// The delivery thread may be slow. The answer to a discard must not wait until the delivery thread takes a
/// message.
#[test]
fn a_discard_is_known_when_it_is_answered_though_deliveries_take_nothing() {
    let (mut running, _) = faulty(limits());
    let events: Vec<_> = (0..1_500).map(|n| event("/a", 1_000 + n).make()).collect();
    let last = events.last().unwrap().info().id;
    assert!(running.store_all(events).iter().all(Result::is_ok));
    assert!(!running.queue.is_discarded(last));
    assert_eq!(running.change(Change::Discard(last)), Ok(1));
    assert!(running.queue.is_discarded(last));
}

#[test]
fn a_delivery_that_damage_hid_is_found_while_the_queue_runs_and_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let mut running = start(Box::new(SqliteEngine::own(&path).unwrap()), limits(), None);
    running.store(make(1_000)).unwrap();
    running.stop();
    drop(running);
    rusqlite::Connection::open(&path).unwrap().execute("update delivery set ready = 0", []).unwrap();
    let damage = Arc::default();
    let engine = SqliteEngine::own(&path).unwrap().counting(Arc::clone(&damage));
    let mut running = start(Box::new(engine), limits(), None);
    let destination = Destination { route: route("/a", None), upstream: Upstream::Main };
    let end = Instant::now() + PATIENCE;
    loop {
        let now = Time::from_millis(u64::MAX >> 1);
        let (class, destination, except) = (Class::New, &destination, &[][..]);
        let query = DueQuery { destination, class, now, except, most: 10, most_bytes: u64::MAX };
        // The store is closed for a moment.
        if running.queue.read(|reader| reader.due(&query)).is_ok_and(|due| due.deliveries.len() == 1) {
            break;
        }
        assert!(Instant::now() < end, "{:?}", running.queue.statistics());
        std::thread::yield_now();
    }
    // The deliveries are told at the start, and again.
    for _ in 0..2 {
        assert!(matches!(running.handed(), Handed::Look(told) if told == destination));
    }
    assert_eq!(damage.load(Ordering::Relaxed), 1);
}
