//! Shell. Room in the store: which events the writer admits, which rows it removes to make room, and which
//! state it publishes.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::queue::disk::Disk;
use crate::queue::event::RouteName;
use crate::queue::handle::{Health, Refused};
use crate::queue::store::{Change, Retention, StoreError};
use crate::queue::store_limits::{Lack, Room};
use crate::queue::writer::gather::{Asked, Gathered, Waiting};
use crate::queue::writer::{EngineError, Writer, later, now};

/// The most purge steps that make room for events that do not fit.
const RECLAIM_STEPS: usize = 20;

/// The pause after an attempt to make room has failed.
const RECLAIM_INTERVAL: Duration = Duration::from_millis(200);

/// The time between two log lines about the same full route.
const TELL_ROUTE: Duration = Duration::from_secs(60);

/// The records of one commit while the disk is full. The ballast has room for them.
const FEW: usize = 64;

/// If there is no room to remove rows, the next step removes an eighth of them.
const FEWER: usize = 8;

impl Writer {
    /// Admits the events that fit, and refuses the others.
    pub(super) fn admit(
        &mut self,
        waiting: Vec<Waiting>,
    ) -> Result<Vec<Waiting>, (Vec<Waiting>, EngineError)> {
        if waiting.is_empty() {
            return Ok(waiting);
        }
        if self.is_away() {
            self.set_health(Health::Failing);
            waiting.into_iter().for_each(|waiting| waiting.refuse(Refused::Unavailable));
            return Ok(Vec::new());
        }
        let sizes = waiting.iter().map(|waiting| waiting.event.size()).fold(0, u64::saturating_add);
        if self.lacks(sizes, waiting.len())
            && let Err(error) = self.reclaim(sizes, waiting.len())
        {
            return Err((waiting, error));
        }
        if self.is_short && !self.restore_ballast() {
            waiting.into_iter().for_each(|waiting| waiting.refuse(Refused::Full));
            return Ok(Vec::new());
        }
        let free = self.disk.as_mut().and_then(Disk::free);
        let mut room = Room::of(&self.statistics, free);
        let mut admitted = Vec::with_capacity(waiting.len());
        for waiting in waiting {
            match room.take(&waiting.event.info().route, waiting.event.size(), &self.limits) {
                Ok(()) => admitted.push(waiting),
                Err(lack) => {
                    if lack == Lack::Route {
                        self.tell_route(&waiting.event.info().route);
                    }
                    waiting.refuse(Refused::Full);
                }
            }
        }
        Ok(admitted)
    }

    /// Whether the store or its disk lacks room for `events` events of `sizes` bytes in total.
    pub(super) fn lacks(&mut self, sizes: u64, events: usize) -> bool {
        let free = self.disk.as_mut().and_then(Disk::free);
        self.is_short || Room::of(&self.statistics, free).lacks(sizes, events, &self.limits)
    }

    /// Makes room: removes delivered content, empties the log, and returns free pages to the disk.
    pub(super) fn reclaim(&mut self, sizes: u64, events: usize) -> Result<(), EngineError> {
        if Instant::now() < self.reclaim_at {
            return Ok(());
        }
        let early = Retention { delivered: Duration::ZERO, ..self.retention };
        // On a full disk, the log can grow only into the room of the ballast. Fewer rows need less of this
        // room.
        let mut most = self.removal_pace.rows();
        if self.is_short {
            most = most.min(FEW);
        }
        for _ in 0..RECLAIM_STEPS {
            let Some(store) = &mut self.store else { return Ok(()) };
            let began = Instant::now();
            let removed = match store.purge(now(), early, most) {
                Ok(removed) => {
                    self.removal_pace.took(removed, began.elapsed());
                    if !self.is_short {
                        most = self.removal_pace.rows();
                    }
                    Some(removed)
                }
                Err(StoreError::Full) => None,
                Err(StoreError::Failed(error)) => return Err(error),
            };
            store.idle().or_else(unless_full)?;
            match store.statistics() {
                Ok(statistics) => self.statistics = statistics,
                Err(error) => unless_full(error)?,
            }
            if let Some(disk) = &mut self.disk {
                disk.measure_again();
            }
            let has_ballast = !self.is_short || self.restore_ballast();
            if has_ballast && !self.lacks(sizes, events) {
                self.reclaimed_in_vain = false;
                return Ok(());
            }
            match removed {
                Some(0) => break,
                Some(_) => {}
                None if most > 1 => most = most.checked_div(FEWER).unwrap_or(1).max(1),
                None => break,
            }
        }
        self.reclaim_at = later(RECLAIM_INTERVAL);
        self.reclaimed_in_vain = true;
        Ok(())
    }

    /// Records as much as possible on a full disk, in the room of the ballast. Refuses new events.
    pub(super) fn make_do(&mut self, gathered: Gathered) {
        let Gathered { events, changes, .. } = gathered;
        events.into_iter().for_each(|waiting| waiting.refuse(Refused::Full));
        if let Some(disk) = &mut self.disk {
            self.is_short = true;
            if disk.free_ballast() {
                warn!("the disk of the queue's store is full: the ballast was removed to record deliveries");
            }
        }
        // Discards make room in the end, but need some room first. So only a few are made at a time. Other
        // changes are made all together or not at all, so no step of a replay is made in part.
        let is_discard = |asked: &Asked| matches!(asked.change, Change::Discard(_));
        let (mut discards, others): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_discard);
        let (mut gathered, mut at_once) = (Gathered::of_changes(others), FEW);
        loop {
            match self.write(&gathered, FEW) {
                Ok(Some(committed)) => self.answer(gathered, committed),
                Ok(None) if discards.is_empty() => break,
                Ok(None) => {}
                Err(StoreError::Full) => {
                    let may_be_fewer = gathered.changes.len() > 1 && gathered.changes.iter().all(is_discard);
                    if may_be_fewer {
                        at_once = gathered.changes.len() / 2;
                        gathered.changes.append(&mut discards);
                        discards = gathered.changes;
                    } else {
                        let was_discard = gathered.changes.iter().any(is_discard);
                        gathered.refuse(Refused::Full);
                        if was_discard || discards.is_empty() {
                            Gathered::of_changes(discards).refuse(Refused::Full);
                            break;
                        }
                    }
                }
                Err(StoreError::Failed(error)) => {
                    gathered.changes.append(&mut discards);
                    self.fail(gathered, error);
                    break;
                }
            }
            let rest = discards.split_off(at_once.min(discards.len()));
            gathered = Gathered::of_changes(discards);
            discards = rest;
        }
        self.judge();
    }

    /// Publishes the store's health.
    pub(super) fn judge(&mut self) {
        if self.store.is_none() {
            return;
        }
        let free = self.disk.as_mut().and_then(Disk::free);
        self.end.set_disk_free(free);
        if self.is_away() {
            self.set_health(Health::Failing);
            return;
        }
        let room = Room::of(&self.statistics, free).lack(&self.limits);
        let lack = match room {
            None => {
                self.reclaimed_in_vain = false;
                self.is_short.then_some(Lack::Disk)
            }
            // The content of delivered events is removed when an event needs the room.
            Some(Lack::Store) if !self.reclaimed_in_vain => self.is_short.then_some(Lack::Disk),
            Some(lack) => Some(lack),
        };
        self.lack = lack;
        self.set_health(if lack.is_some() { Health::Full } else { Health::Well });
    }

    /// Whether the files of the open store are no longer in their place. A restart would not find data that
    /// is committed now.
    pub(super) fn is_away(&mut self) -> bool {
        let is_away = self.store.as_ref().is_some_and(|store| !store.is_in_place());
        if is_away && !self.was_away {
            error!(
                "the files of the queue's store were moved, replaced or removed while they are in use: new events are refused \
                 until the files are back; events that are stored are still delivered from the open files"
            );
        }
        self.was_away = is_away;
        is_away
    }

    /// Logs that a route has reached its `max_queued`. Logs at most one such line for each route in
    /// [`TELL_ROUTE`].
    pub(super) fn tell_route(&mut self, route: &RouteName) {
        let now = Instant::now();
        let told = self.told_routes.get(route);
        if told.is_none_or(|told| now.saturating_duration_since(*told) >= TELL_ROUTE) {
            self.told_routes.insert(route.clone(), now);
            warn!(%route, limit = Lack::Route.key(), "the queue of a route is full: new events of the route are refused");
        }
    }

    pub(super) fn set_health(&mut self, health: Health) {
        if self.health != health {
            match health {
                Health::Full => {
                    let (limit, bytes) = (self.lack.map(Lack::key), self.statistics.bytes);
                    let free = self.disk.as_mut().and_then(Disk::free);
                    warn!(limit, bytes, free, "the queue is full: new events are refused");
                }
                Health::Well => info!("the queue takes events"),
                // The failure was logged before.
                Health::Failing => {}
            }
        }
        self.health = health;
        self.end.set_health(health);
    }

    pub(super) fn restore_ballast(&mut self) -> bool {
        let min_free = self.limits.min_free;
        let is_there = self.disk.as_mut().is_none_or(|disk| disk.restore_ballast(min_free));
        self.is_short = !is_there;
        is_there
    }
}

/// On a full disk, returns the default instead of the error.
fn unless_full<T: Default>(error: StoreError) -> Result<T, EngineError> {
    match error {
        StoreError::Full => Ok(T::default()),
        StoreError::Failed(error) => Err(error),
    }
}
