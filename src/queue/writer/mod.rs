//! Shell. The writer: the thread that owns the store.
//!
//! The writer commits all waiting commands in one transaction, and then answers them. While the disk syncs,
//! new commands gather for the next commit, so no timer is needed. After a failure of the store, the writer
//! acknowledges nothing until the store has been opened again and checked.

mod gather;
mod inbox;
mod making_room;
mod removal_pace;
mod sharing;
mod unconfirmed;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{self, StoreAddress};
use crate::queue::disk::Disk;
use crate::queue::event::{Event, Receipt, RouteName, Upstream};
use crate::queue::handle::{Handed, Health, Held, Refused, WriterEnd};
use crate::queue::postgres::PostgresEngine;
use crate::queue::removal_notice::{self, RemovalNotice, RemovalNotices};
use crate::queue::sqlite::SqliteEngine;
pub use crate::queue::store::LARGEST_HANDED;
use crate::queue::store::{
    Batch, Change, Check, Class, Committed, DeliveryId, Destination, DueDelivery, Engine, OpenError,
    Retention, Settled, Statistics, Store, StoreError,
};
use crate::queue::store_limits::{Lack, Limits, ORDINARY, Settings};
use crate::queue::time::Time;
pub use crate::queue::writer::gather::MOST_UNSAVED;
use crate::queue::writer::gather::{Completed, Gathered, SetAside, Unsaved, Waiting};
use crate::queue::writer::inbox::{Inbox, Woken};
use crate::queue::writer::removal_pace::RemovalPace;
use crate::queue::writer::unconfirmed::{CONFIRMED_INTERVAL, Unconfirmed};
use crate::runtime::background::{self, Background};
use crate::runtime::control::Control;
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::upstream::error::chain;

/// The waits before a failed store is opened again: the first wait, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The longest such wait while the disk is full. The disk may have room again at any moment.
const BACK_OFF_FULL: Duration = Duration::from_millis(500);

/// How long no command may arrive before the work for an idle moment begins.
const REST: Duration = Duration::from_millis(200);

/// The time between two purges.
const PURGE_INTERVAL: Duration = Duration::from_secs(1);

/// The time between two counts of the dead letters that are removed soon.
const NOTICE_INTERVAL: Duration = Duration::from_mins(1);

/// The time between two checks of whether a full disk has room again.
const FULL_INTERVAL: Duration = Duration::from_millis(200);

/// The time after which a message is sent to the deliveries again, if they had no room for it.
const TELL_AGAIN: Duration = Duration::from_millis(20);

/// The parts that a writer needs.
pub struct Plan {
    /// Opens the store.
    pub engine: Box<dyn Engine>,
    /// The writer's end of the handle.
    pub end: WriterEnd,
    /// The limits of the store.
    pub limits: Limits,
    /// How long events are kept.
    pub retention: Retention,
    /// The present limits and times of the configuration; `None` leaves them unchanged.
    pub in_force: Box<dyn Fn() -> Option<Settings> + Send>,
    /// The disk, if the store is on a disk of this machine.
    pub disk: Option<Disk>,
    /// Ends the writer, once it has committed the commands that have arrived.
    pub stop: CancellationToken,
}

/// The writer.
pub struct Writer {
    engine: Box<dyn Engine>,
    end: WriterEnd,
    inbox: Inbox,
    limits: Limits,
    retention: Retention,
    in_force: Box<dyn Fn() -> Option<Settings> + Send>,
    disk: Option<Disk>,
    /// The open store. `None` from a failure until the store is opened again.
    store: Option<Box<dyn Store>>,
    statistics: Statistics,
    unsaved: Unsaved,
    health: Health,
    /// The destinations about which the deliveries were not told, because they had no room for the message.
    untold: BTreeSet<Destination>,
    /// Whether the disk was full and the ballast was removed.
    is_short: bool,
    /// Whether the removal of delivered content made too little room.
    reclaimed_in_vain: bool,
    /// The limit that is reached, while the store is full.
    lack: Option<Lack>,
    /// Whether the store's files were out of their place at the last check.
    was_away: bool,
    /// When the log last reported that a route is full.
    told_routes: BTreeMap<RouteName, Instant>,
    reclaim_at: Instant,
    purge_at: Instant,
    removal_pace: RemovalPace,
    notices: RemovalNotices,
    notice_at: Instant,
    /// When the work for an idle moment is due; `None` if there is no such work.
    rest_at: Option<Instant>,
    reopen_at: Instant,
    back_off: Duration,
    /// When this gateway renews its lease. `None` if no other gateway can share the store.
    keep_alive_at: Option<Instant>,
    /// When the statistics of a shared store are read again.
    publish_at: Instant,
    /// The discards that wait until other gateways have confirmed them.
    unconfirmed: Vec<Unconfirmed>,
    /// The upstreams whose deliveries the last commit to a shared store has left to any gateway.
    unhanded: BTreeSet<Destination>,
}

/// Opens the store of `[queue]`. `max_queued` gives the most queued bytes of a route. `in_force` gives the
/// limits. Both follow the present configuration. The writer ends after `stop`, or when every handle is gone.
///
/// # Errors
/// [`OpenError`], with the writer's end of the handle.
pub fn open(
    settings: &config::Queue,
    max_queued: Box<dyn Fn(&RouteName) -> u64 + Send>,
    in_force: Box<dyn Fn() -> Option<Settings> + Send>,
    end: WriterEnd,
    stop: CancellationToken,
) -> Result<Writer, (OpenError, WriterEnd)> {
    let Settings { max_bytes, min_free, retention } = Settings::of(settings);
    let (engine, disk): (Box<dyn Engine>, _) = match &settings.store {
        StoreAddress::File(path) => match SqliteEngine::own(path) {
            Ok(engine) => {
                let disk = Disk::of(engine.path(), max_bytes);
                (Box::new(engine.counting(Arc::clone(end.damage()))), Some(disk))
            }
            Err(error) => return Err((error, end)),
        },
        StoreAddress::Postgres(address) => {
            (Box::new(PostgresEngine::new(address, settings.lease, gateway_number())), None)
        }
    };
    let plan = Plan {
        engine,
        end,
        limits: Limits { max_bytes, min_free, max_queued },
        retention,
        in_force,
        disk,
        stop,
    };
    Writer::open(plan)
}

/// Starts the writer's thread.
///
/// # Errors
/// The system cannot start a thread.
pub fn start(writer: Writer, control: &Arc<Control>) -> io::Result<Background> {
    let guard = PartGuard::over(ServerPart::Queue, control);
    let work = move || {
        writer.run();
        guard.end();
    };
    background::start("queue", work)
}

impl Writer {
    /// Opens the store.
    ///
    /// # Errors
    /// [`OpenError`], with the writer's end of the handle.
    pub fn open(plan: Plan) -> Result<Self, (OpenError, WriterEnd)> {
        let Plan { mut engine, mut end, limits, retention, in_force, disk, stop } = plan;
        let store = match engine.open(Check::No) {
            Ok(store) => Some(store),
            Err(error @ OpenError::Unreachable(..)) => {
                // Direct routes need no store, so the gateway starts. Until the server can be reached, events
                // for the store are refused.
                error!(error = chain(&error), "the queue's store cannot be reached: it is tried again");
                None
            }
            Err(error) => return Err((error, end)),
        };
        let now = Instant::now();
        let mut writer = Self {
            engine,
            inbox: Inbox::new(end.take_commands(), stop),
            end,
            limits,
            retention,
            in_force,
            disk,
            store: None,
            statistics: Statistics::default(),
            unsaved: Unsaved::default(),
            health: Health::Failing,
            untold: BTreeSet::new(),
            is_short: false,
            reclaimed_in_vain: false,
            lack: None,
            was_away: false,
            told_routes: BTreeMap::new(),
            reclaim_at: now,
            purge_at: now,
            removal_pace: RemovalPace::default(),
            notices: RemovalNotices::default(),
            notice_at: now,
            rest_at: Some(now),
            reopen_at: later(BACK_OFF.0),
            back_off: BACK_OFF.0,
            keep_alive_at: None,
            publish_at: now,
            unconfirmed: Vec::new(),
            unhanded: BTreeSet::new(),
        };
        if let Some(store) = store {
            writer.use_store(store);
        }
        Ok(writer)
    }

    /// Runs the writer until it ends. Commits the commands that have arrived by then.
    pub fn run(mut self) {
        loop {
            let deadline = self.deadline();
            let mut gathered = Gathered::default();
            let woken = self.inbox.wait(deadline);
            if let Some(Settings { max_bytes, min_free, retention }) = (self.in_force)() {
                (self.limits.max_bytes, self.limits.min_free, self.retention) =
                    (max_bytes, min_free, retention);
            }
            match woken {
                Woken::By(command) => {
                    gathered.add(command, &mut self.unsaved);
                    while !gathered.is_full()
                        && let Some(command) = self.inbox.next()
                    {
                        gathered.add(command, &mut self.unsaved);
                    }
                    self.commit(gathered);
                }
                Woken::Late => {}
                Woken::Ended => break,
            }
            self.maintain();
        }
        self.finish();
    }

    /// When the writer has work to do even if no command arrives.
    fn deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        let after = |wait: Duration| now.checked_add(wait);
        let of_store = if self.store.is_some() { Some(self.purge_at) } else { Some(self.reopen_at) };
        let rest = self.rest_at.filter(|_| self.store.is_some());
        let tell = if self.untold.is_empty() { None } else { after(TELL_AGAIN) };
        let full = if self.health == Health::Full { after(FULL_INTERVAL) } else { None };
        let shared = self.keep_alive_at.map(|at| at.min(self.publish_at)).filter(|_| self.store.is_some());
        let confirmed = if self.unconfirmed.is_empty() { None } else { after(CONFIRMED_INTERVAL) };
        [of_store, rest, tell, full, shared, confirmed].into_iter().flatten().min()
    }

    /// Commits the gathered commands and the unsaved records, and answers.
    fn commit(&mut self, mut gathered: Gathered) {
        if self.store.is_none() {
            gathered.refuse(Refused::Unavailable);
            return;
        }
        match self.admit(mem::take(&mut gathered.events)) {
            Ok(admitted) => gathered.events = admitted,
            Err((waiting, error)) => {
                gathered.events = waiting;
                self.fail(gathered, error);
                return;
            }
        }
        match self.write(&gathered, usize::MAX) {
            Ok(None) => {}
            Ok(Some(committed)) => self.answer(gathered, committed),
            Err(StoreError::Full) => self.make_do(gathered),
            Err(StoreError::Failed(error)) => self.fail(gathered, error),
        }
    }

    /// Writes one transaction with at most `most` records. `None` if there is nothing to write.
    fn write(&mut self, gathered: &Gathered, most: usize) -> Result<Option<Committed>, StoreError> {
        self.unhanded = if gathered.events.is_empty() { BTreeSet::new() } else { self.not_handed() };
        let Some(store) = &mut self.store else { return Ok(None) };
        if gathered.events.is_empty() && gathered.changes.is_empty() && self.unsaved.is_empty() {
            return Ok(None);
        }
        let Unsaved { completions, seen, damaged, mut released } = self.unsaved.take(most);
        released.extend(self.end.take_released());
        let (completions, replies): (Vec<_>, Vec<_>) =
            completions.into_iter().map(|completed| (completed.completion, completed.reply)).unzip();
        let (damaged, aside): (Vec<_>, Vec<_>) =
            damaged.into_iter().map(|aside| (aside.damaged, aside.reply)).unzip();
        let batch = Batch {
            events: gathered.events.iter().map(|waiting| &*waiting.event).collect(),
            completions,
            seen,
            changes: gathered.changes.iter().map(|asked| asked.change.clone()).collect(),
            damaged,
            released,
            unhanded: self.unhanded.clone(),
            now: now(),
        };
        let began = Instant::now();
        let result = store.commit(&batch);
        self.rest_at = Instant::now().checked_add(REST);
        match result {
            Ok(committed) => {
                self.end.committed(gathered.events.len(), began.elapsed());
                for (completion, reply) in batch.completions.iter().zip(replies) {
                    let is_superseded = committed.superseded.contains(&completion.id);
                    let _gone = reply.send(Ok(if is_superseded { Settled::No } else { Settled::Yes }));
                }
                for reply in aside {
                    let _gone = reply.send(Ok(()));
                }
                Ok(Some(committed))
            }
            Err(error) => {
                let Batch { completions, seen, damaged, released, .. } = batch;
                let completions = completions.into_iter().zip(replies);
                let completions =
                    completions.map(|(completion, reply)| Completed { completion, reply }).collect();
                let damaged = damaged.into_iter().zip(aside);
                let damaged = damaged.map(|(damaged, reply)| SetAside { damaged, reply }).collect();
                self.unsaved.put_back(Unsaved { completions, seen, damaged, released });
                Err(error)
            }
        }
    }

    /// Answers the committed commands, and tells the deliveries.
    fn answer(&mut self, gathered: Gathered, committed: Committed) {
        let Gathered { events, changes, .. } = gathered;
        // The statistics are published before the answers: a request that follows an answer then sees that
        // events wait. On a shared store, such a request asks the store instead, so the statistics may be
        // older.
        if self.keep_alive_at.is_none() || !changes.is_empty() {
            self.publish();
        }
        let mut stored = Vec::with_capacity(events.len());
        for (waiting, ids) in events.into_iter().zip(committed.deliveries) {
            let Waiting { event, held: Held { memory, claim }, reply } = waiting;
            // From now on, an equal event is found in the store.
            if let Some(claim) = claim {
                claim.recorded();
            }
            let _gone = reply.send(Ok(Receipt::of_commit(event.info().id)));
            if let Some(disk) = &mut self.disk {
                disk.note_stored(event.size());
            }
            stored.push((event, memory, ids));
        }
        for (asked, met) in changes.into_iter().zip(committed.changed) {
            if let (Change::Discard(event), 1..) = (&asked.change, met) {
                self.end.note_discarded(*event);
                if self.keep_alive_at.is_some() {
                    self.unconfirmed.push(Unconfirmed::new(*event, asked, met));
                    continue;
                }
            }
            asked.answer(Ok(met));
        }
        self.answer_confirmed();
        let mut ready: BTreeSet<Destination> = committed.ready.into_iter().collect();
        for (event, memory, ids) in stored {
            self.deliver(*event, &ids, &mut ready);
            drop(memory);
        }
        // Each destination is announced once, even if several of its events were committed.
        ready.into_iter().for_each(|destination| self.look(destination));
        if let Some(store) = &mut self.store
            && let Err(error) = store.between_commits()
        {
            self.note(error);
        }
    }

    /// Hands the deliveries of an event over in memory, if they are certainly due. Adds the destinations of
    /// other deliveries to `ready`.
    fn deliver(&mut self, event: Event, ids: &[DeliveryId], ready: &mut BTreeSet<Destination>) {
        let route = event.info().route.clone();
        let destinations =
            event.upstreams().iter().map(|upstream| (upstream.clone(), event.attempted().is_some()));
        let destinations: Vec<_> = destinations.collect();
        let is_due = event.info().order.is_none()
            && event.size() <= LARGEST_HANDED
            && !self.statistics.paused.contains(&route);
        let since = event.info().received;
        let stored = event.into_stored();
        for ((upstream, was_attempted), id) in destinations.into_iter().zip(ids) {
            let waits = was_attempted && upstream == Upstream::Main;
            let destination = Destination { route: route.clone(), upstream };
            if waits {
                // A failure for which there is no room is not counted. The many failures before it are
                // sufficient.
                let _no_room = self.end.hand(Handed::Failed(destination.clone(), *id));
            }
            let may_hand = !self.untold.contains(&destination) && !self.unhanded.contains(&destination);
            if is_due && !waits && may_hand {
                let event = stored.clone();
                let delivery = DueDelivery { id: *id, class: Class::New, attempts: 0, since, event };
                if !self.end.hand(Handed::Due(destination.clone(), delivery)) {
                    self.untold.insert(destination);
                }
            } else {
                ready.insert(destination);
            }
        }
    }

    /// Tells the deliveries to search the store for this destination.
    fn look(&mut self, destination: Destination) {
        if !self.end.hand(Handed::Look(destination.clone())) {
            self.untold.insert(destination);
        }
    }

    /// Sends again the messages for which the deliveries had no room.
    fn tell_again(&mut self) {
        while let Some(destination) = self.untold.pop_first() {
            if !self.end.hand(Handed::Look(destination.clone())) {
                self.untold.insert(destination);
                return;
            }
        }
    }

    /// Closes the store after a failure. Refuses the waiting commands, and keeps the unsaved records.
    fn fail(&mut self, gathered: Gathered, error: EngineError) {
        // The state is published before the answers: a request that gets a refusal then sees the failure.
        self.close();
        error!(
            error = chain(&*error),
            "the queue's store failed: nothing is stored until it has been opened again"
        );
        gathered.refuse(Refused::Unavailable);
    }

    fn close(&mut self) {
        self.end.set_readers(None);
        self.store = None;
        if let Some(disk) = &mut self.disk
            && disk.free().is_some_and(|free| free == 0)
        {
            self.is_short = true;
            disk.free_ballast();
        }
        self.back_off = BACK_OFF.0;
        self.reopen_at = later(self.back_off);
        self.set_health(Health::Failing);
    }

    /// Handles an error of work besides a commit.
    fn note(&mut self, error: StoreError) {
        match error {
            // The checkpoint continues when there is room.
            StoreError::Full => {}
            StoreError::Failed(error) => self.fail(Gathered::default(), error),
        }
    }

    fn reopen(&mut self) {
        match self.engine.open(Check::Yes) {
            Ok(store) => {
                info!("the queue's store has been opened again");
                self.use_store(store);
                self.commit(Gathered::default());
            }
            Err(error) => {
                let longest = if self.is_short { BACK_OFF_FULL } else { BACK_OFF.1 };
                self.back_off = self.back_off.saturating_mul(2).min(longest);
                self.reopen_at = later(self.back_off);
                let again_s = self.back_off.as_secs_f64();
                error!(error = chain(&error), again_s, "the queue's store cannot be opened");
            }
        }
    }

    /// Publishes an opened store, and tells the deliveries which destinations wait.
    fn use_store(&mut self, store: Box<dyn Store>) {
        match store.reader().and_then(|reader| Ok([reader, store.reader()?])) {
            Ok(readers) => self.end.set_readers(Some(readers)),
            Err(error) => {
                // A store that is closed without a failure of its own tells the other gateways that this one
                // has ended.
                self.end.end_lease();
                self.note(error);
                return;
            }
        }
        self.store = Some(store);
        self.keep_alive();
        self.publish();
        self.look_at_all();
    }

    /// Tells the deliveries to search the store for all destinations with waiting deliveries.
    fn look_at_all(&mut self) {
        let waits = self.statistics.counts.iter().filter(|(_, counts)| counts.queued > 0);
        let waits: Vec<_> = waits.map(|(destination, _)| destination.clone()).collect();
        waits.into_iter().for_each(|destination| self.look(destination));
    }

    /// Publishes the store's statistics.
    fn publish(&mut self) {
        let Some(store) = &mut self.store else { return };
        match store.statistics() {
            Ok(statistics) => {
                self.end.set_statistics(statistics.clone());
                self.statistics = statistics;
                self.judge();
            }
            Err(error) => self.note(error),
        }
    }

    /// Does the work besides commands. Each piece is short.
    fn maintain(&mut self) {
        let at = Instant::now();
        self.tell_again();
        self.answer_confirmed();
        if self.store.is_none() {
            if at >= self.reopen_at {
                self.reopen();
            }
            return;
        }
        self.share(at);
        if self.health == Health::Full {
            if self.is_short && self.restore_ballast() {
                info!("the disk of the queue's store has room again");
            }
            if self.reclaimed_in_vain
                && let Err(error) = self.reclaim(ORDINARY, 1)
            {
                self.fail(Gathered::default(), error);
                return;
            }
            self.judge();
            if !self.unsaved.is_empty() {
                self.commit(Gathered::default());
            }
        }
        if at >= self.purge_at {
            self.purge();
            self.judge();
        }
        if at >= self.notice_at {
            self.notice_at = later(NOTICE_INTERVAL);
            if let Err(error) = self.give_notice(at) {
                self.note(error);
            }
        }
        // While events are refused, the work begins even if commands arrive.
        let may_rest = self.inbox.is_empty() || self.health == Health::Full;
        if self.rest_at.is_some_and(|rest| at >= rest) && may_rest {
            self.rest();
        }
    }

    /// Removes some rows whose retention has ended.
    fn purge(&mut self) {
        let Some(store) = &mut self.store else { return };
        let (began, most) = (Instant::now(), self.removal_pace.rows());
        match store.purge(now(), self.retention, most) {
            Ok(removed) => {
                let is_more = removed >= most;
                self.removal_pace.took(removed, began.elapsed());
                self.purge_at = if is_more { Instant::now() } else { later(PURGE_INTERVAL) };
                if removed > 0 {
                    self.rest_at = Instant::now().checked_add(REST);
                    self.publish();
                }
            }
            Err(error) => {
                self.purge_at = later(PURGE_INTERVAL);
                self.note(error);
            }
        }
    }

    /// Counts the dead letters that are removed soon, and warns of new ones.
    fn give_notice(&mut self, at: Instant) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let (now, keep) = (now(), self.retention.dead);
        let until = removal_notice::ended_by(now, keep);
        let soon = store.dead_letters(Time::default(), until, removal_notice::MOST)?;
        self.end.set_removed_soon(removal_notice::by_route(&soon));
        if !self.notices.is_due(at) {
            return Ok(());
        }
        let untold = store.dead_letters(self.notices.told(), until, removal_notice::MOST)?;
        if let Some(RemovalNotice { count, routes, oldest, within }) =
            self.notices.tell(&untold, now, keep, at)
        {
            warn!(
                count,
                may_be_more = count >= removal_notice::MOST,
                routes,
                %oldest,
                oldest_removed_in_s = within.as_secs(),
                "dead letters are removed soon, because `keep_dead` has nearly passed: `hookgate events list --state dead` \
                 shows them, `hookgate events replay --state dead` sends them again"
            );
        }
        Ok(())
    }

    /// Does the work for an idle moment. The work continues as long as it returns room to the disk.
    fn rest(&mut self) {
        let before = self.statistics.bytes;
        let Some(store) = &mut self.store else { return };
        let result = store.idle();
        self.rest_at = None;
        match result {
            Ok(()) => {
                self.publish();
                let gives_back = self.statistics.reusable > 0 && self.statistics.bytes < before;
                self.rest_at = if gives_back { Some(later(TELL_AGAIN)) } else { None };
            }
            // The disk may have room at any moment. Until then, the log and free pages take room that events
            // need.
            Err(StoreError::Full) => self.rest_at = Some(later(FULL_INTERVAL)),
            Err(error) => self.note(error),
        }
    }

    /// Commits the remaining commands, and closes the store.
    fn finish(&mut self) {
        if self.store.is_none() && !self.unsaved.is_empty() {
            self.reopen();
        }
        self.commit(Gathered::default());
        mem::take(&mut self.unconfirmed).into_iter().for_each(Unconfirmed::refuse);
        self.end.set_readers(None);
        if let Some(mut store) = self.store.take()
            && let Err(error) = store.idle()
        {
            // The log is intact. The next start reads it.
            warn!(error = chain(&error), "the queue's log is left as it is");
        }
        self.end.set_health(Health::Failing);
    }
}

/// A number that no other gateway has.
fn gateway_number() -> i64 {
    let random = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
    i64::try_from(random >> 1).unwrap_or(i64::MAX).max(1)
}

/// An error of a store's library.
type EngineError = Box<dyn Error + Send + Sync>;

fn now() -> Time {
    Time::of(SystemTime::now())
}

fn later(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}
