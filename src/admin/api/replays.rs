//! Shell. The replays of the gateway. Each replay is a task that sends events again at its own rate. It
//! continues after a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::refusal::Refusal;
use super::replay::{Progress, Replay};
use super::store;
use crate::queue::handle::Queue;
use crate::queue::id::EventId;
use crate::queue::store::{Bounds, Change, Found};
use crate::queue::time::Time;
use crate::runtime::control::Control;

/// The most replays that run at the same time.
const MOST_RUNNING: usize = 8;

/// The most replays that are remembered. Of the ended replays, the oldest is forgotten first.
const MOST_KEPT: usize = 100;

/// The pause after the store has refused a step of a replay.
const BACKOFF: Duration = Duration::from_secs(1);

/// The time between two looks for replays of gateways that are lost.
const LOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Whether a replay of the same filter, with the same times, may be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The request is a new one.
    Allowed,
    /// The request may be the same form again: a person has pressed the button twice, or has gone back.
    Refused,
}

/// The replays of the gateway.
#[derive(Clone, Debug, Default)]
pub(super) struct Replays(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether the rows in the store were read.
    loaded: bool,
    /// When the rows of a store that several gateways share are read again.
    load_again: Option<Instant>,
    all: BTreeMap<EventId, Entry>,
}

#[derive(Debug)]
struct Entry {
    replay: Replay,
    cancelled: CancellationToken,
    /// The lock for writing the replay's row. With it, rows are written in the right order.
    writing: Arc<AsyncMutex<()>>,
}

impl Entry {
    fn new(replay: Replay) -> Self {
        Self { replay, cancelled: CancellationToken::new(), writing: Arc::default() }
    }
}

impl Replays {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the replays from the store, and continues the replays that had not ended. If several gateways
    /// share the store, this gateway also takes the replays of lost gateways. Returns whether the store could
    /// be read.
    pub(super) async fn load(&self, control: &Arc<Control>, queue: &Queue) -> bool {
        let now = Instant::now();
        {
            let mut inner = self.lock();
            if inner.loaded && (!queue.is_shared() || inner.load_again.is_some_and(|again| now < again)) {
                return true;
            }
            inner.load_again = now.checked_add(LOAD_INTERVAL);
        }
        let Ok(rows) = store::read(queue, |store| store.jobs()).await else { return false };
        let mut running = Vec::new();
        {
            let mut inner = self.lock();
            if std::mem::replace(&mut inner.loaded, true) && !queue.is_shared() {
                return true;
            }
            for row in rows {
                if inner.all.contains_key(&row.id) {
                    continue;
                }
                let Some(replay) = Replay::read(&row) else { continue };
                if replay.state == Progress::Running {
                    running.push(row.id);
                }
                inner.all.insert(row.id, Entry::new(replay));
            }
        }
        for id in running {
            info!(replay = %id, "a replay continues after a restart");
            self.spawn(control, queue, id);
        }
        true
    }

    /// Starts a replay.
    pub(super) async fn start(
        &self,
        control: &Arc<Control>,
        queue: &Queue,
        id: EventId,
        replay: Replay,
        repeat: Repeat,
    ) -> Result<Value, Refusal> {
        let mut changes = Vec::new();
        {
            let mut inner = self.lock();
            if !inner.loaded {
                return Err(Refusal::unavailable("the replays of the last run are not yet known: try again"));
            }
            let is_same = |entry: &&Entry| {
                entry.replay.filter == replay.filter && entry.replay.state != Progress::Cancelled
            };
            if repeat == Repeat::Refused && inner.all.values().any(|entry| is_same(&entry)) {
                let why = "this form has already started a replay: `Replays` has its progress";
                return Err(Refusal::new(StatusCode::CONFLICT, why));
            }
            let is_running = |entry: &&Entry| entry.replay.state == Progress::Running;
            if inner.all.values().filter(is_running).count() >= MOST_RUNNING {
                return Err(Refusal::unavailable(format!(
                    "{MOST_RUNNING} replays are running: cancel one, or wait for one to end"
                )));
            }
            while inner.all.len() >= MOST_KEPT {
                let ended = inner.all.iter().find(|(_, entry)| entry.replay.state != Progress::Running);
                let Some(oldest) = ended.map(|(id, _)| *id) else { break };
                inner.all.remove(&oldest);
                changes.push(Change::RemoveJob(oldest));
            }
            // The replay gets its place before its row is written, so no other replay takes the place
            // meanwhile.
            inner.all.insert(id, Entry::new(replay.clone()));
        }
        changes.push(Change::SaveJob(replay.row(id)));
        if let Err(refused) = queue.change_all(changes).await {
            self.lock().all.remove(&id);
            return Err(Refusal::of_change(refused));
        }
        self.spawn(control, queue, id);
        Ok(replay.document(id))
    }

    /// The replay as a document.
    pub(super) fn get(&self, id: EventId) -> Option<Value> {
        self.lock().all.get(&id).map(|entry| entry.replay.document(id))
    }

    /// All replays, the latest first.
    pub(super) fn list(&self) -> Vec<Value> {
        self.lock().all.iter().rev().map(|(id, entry)| entry.replay.document(*id)).collect()
    }

    /// Cancels a replay. Events that were already replayed are not affected.
    pub(super) async fn cancel(&self, queue: &Queue, id: EventId) -> Result<Value, Refusal> {
        let not_there = || Refusal::not_found("there is no such replay");
        let (cancelled, writing) = {
            let inner = self.lock();
            let entry = inner.all.get(&id).ok_or_else(not_there)?;
            (entry.cancelled.clone(), Arc::clone(&entry.writing))
        };
        cancelled.cancel();
        let _writing = writing.lock().await;
        let replay = {
            let mut inner = self.lock();
            let entry = inner.all.get_mut(&id).ok_or_else(not_there)?;
            if entry.replay.state == Progress::Running {
                entry.replay.end(Progress::Cancelled, Time::of(SystemTime::now()));
            }
            entry.replay.clone()
        };
        let saved = queue.change(Change::SaveJob(replay.row(id))).await;
        saved.map_err(Refusal::of_change)?;
        Ok(replay.document(id))
    }

    fn spawn(&self, control: &Arc<Control>, queue: &Queue, id: EventId) {
        let (replays, control, queue) = (self.clone(), Arc::clone(control), queue.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = replays.run(&queue, id) => {}
                // The row says that the replay runs, so the replay continues after the next start.
                () = control.ending() => {}
            }
        });
    }

    async fn run(&self, queue: &Queue, id: EventId) {
        let mut next = Instant::now();
        loop {
            let Some((replay, cancelled, writing)) = self.running(id) else { return };
            // Either the replay is cancelled, or its next step is due.
            if timeout_at(next, cancelled.cancelled()).await.is_ok() {
                return;
            }
            match self.step(queue, id, &replay, &writing).await {
                Ok(0) => return,
                Ok(events) => {
                    let pause = replay.pause(events);
                    let planned = next.checked_add(pause).unwrap_or(next);
                    // If the store was slow, the lost time is not made up by a burst.
                    next = planned.max(Instant::now().checked_sub(pause).unwrap_or(planned));
                }
                Err(refusal) => {
                    if let Some(entry) = self.lock().all.get_mut(&id)
                        && entry.replay.waits.replace(refusal.error.clone()).is_none()
                    {
                        warn!(replay = %id, why = refusal.error, "a replay does not get on");
                    }
                    let _elapsed = timeout(BACKOFF, cancelled.cancelled()).await;
                }
            }
        }
    }

    /// The replay, if it has not ended.
    fn running(&self, id: EventId) -> Option<(Replay, CancellationToken, Arc<AsyncMutex<()>>)> {
        let inner = self.lock();
        let entry = inner.all.get(&id).filter(|entry| entry.replay.state == Progress::Running)?;
        Some((entry.replay.clone(), entry.cancelled.clone(), Arc::clone(&entry.writing)))
    }

    /// Sends the next events again. Returns how many events there were; zero at the end.
    async fn step(
        &self,
        queue: &Queue,
        id: EventId,
        replay: &Replay,
        writing: &AsyncMutex<()>,
    ) -> Result<usize, Refusal> {
        let (mut cursor, bounds) = (replay.cursor(), Bounds::of(replay.step()));
        let events = loop {
            let filter = replay.filter.clone();
            let Found { mut found, next } =
                store::read(queue, move |store| store.ids(&filter, cursor, bounds)).await?;
            found.retain(|event| replay.has(*event));
            if !found.is_empty() || !next.is_some_and(|next| replay.has(next)) {
                break found;
            }
            cursor = next;
        };
        let _writing = writing.lock().await;
        let Some((mut replay, _, _)) = self.running(id) else { return Ok(0) };
        let mut changes: Vec<_> = events.iter().map(|event| replay.change(*event)).collect();
        match events.last() {
            // The row says which events were sent before. If the process ended between two commits, the row
            // lacks the last events. In that case, a few events are sent twice.
            Some(last) => {
                let all = u64::try_from(events.len()).unwrap_or(u64::MAX);
                replay.advance(*last, all);
            }
            None => replay.end(Progress::Done, Time::of(SystemTime::now())),
        }
        changes.push(Change::SaveJob(replay.row(id)));
        let met = queue.change_all(changes).await;
        let met = met.map_err(Refusal::of_change)?;
        let gone = met.iter().take(events.len()).filter(|met| **met == 0).count();
        let mut inner = self.lock();
        if let Some(entry) = inner.all.get_mut(&id) {
            replay.correct(u64::try_from(gone).unwrap_or(0));
            if replay.state == Progress::Done {
                info!(replay = %id, replayed = replay.replayed, "a replay is done");
            }
            entry.replay = replay;
        }
        Ok(events.len())
    }
}
