//! Pure. The store in memory. It follows the rules of every store, and keeps its rows in plain collections.
//! The events are lost when the process ends.
//!
//! This store is the model for the test suite: every other store must behave like this one. Each question
//! examines all rows, so this store suits few events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::queue::event::{
    Attempt, Checksum, DuplicateKey, Event, EventInfo, MOST_KEPT_OF_RESPONSE, OrderKey, Record, RouteName,
    StoredEvent, Upstream,
};
use crate::queue::id::EventId;
use crate::queue::store::{
    Batch, Bounds, Change, Class, Committed, Completion, Counts, DamagedDelivery, DeadCause, DeadGroup,
    DeadLetter, DeadPart, DeliveryId, DeliverySummary, Destination, Detail, Due, DueDelivery, DueQuery,
    FIRST_ATTEMPTS, Filter, Found, Job, LAST_ATTEMPTS, Next, Reader, Retention, Settled, State, Statistics,
    Store, StoreError, Summary, another_since, failure_word,
};
use crate::queue::time::Time;

/// A store in memory. A clone is the same store, not a copy.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    /// Events, in the order of their commits.
    events: BTreeMap<u64, Row>,
    /// Deliveries, in the order of their commits.
    deliveries: BTreeMap<DeliveryId, Delivery>,
    seen: BTreeMap<(RouteName, [u8; 32]), Time>,
    paused: BTreeSet<RouteName>,
    jobs: BTreeMap<EventId, Vec<u8>>,
    last_event: u64,
    last_delivery: i64,
    /// The destinations for which a commit may have made a delivery due.
    ready: BTreeSet<Destination>,
}

#[derive(Debug)]
struct Row {
    info: EventInfo,
    /// Head and content, while the retention keeps them.
    bytes: Option<(Vec<u8>, Vec<u8>)>,
    length: u64,
    checksum: Checksum,
}

#[derive(Clone, Debug)]
struct Delivery {
    event: u64,
    destination: Destination,
    state: State,
    class: Class,
    due: Time,
    since: Time,
    /// The number of attempts that count.
    spent: u32,
    /// The number of all attempts.
    attempts: u32,
    /// The attempts that are kept in the record.
    kept: Vec<Attempt>,
    lane: Option<OrderKey>,
    size: u64,
    ended: Option<Time>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Flips a bit in the content of an event. Tests use it to make a damaged record.
    pub fn damage(&self, id: EventId) {
        for row in self.tables().events.values_mut().filter(|row| row.info.id == id) {
            let bytes = row.bytes.as_mut().map(|(head, content)| head.iter_mut().chain(content));
            if let Some(byte) = bytes.and_then(|mut bytes| bytes.next()) {
                *byte ^= 1;
            }
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed, StoreError> {
        let mut tables = self.tables();
        let mut committed = Committed::default();
        for event in &batch.events {
            committed.deliveries.push(tables.insert(event, batch.now));
        }
        tables.ready.clear();
        for completion in &batch.completions {
            if tables.complete(completion, batch.now) == Settled::No {
                committed.superseded.push(completion.id);
            }
        }
        for (route, key) in &batch.seen {
            tables.see(route, *key);
        }
        for damaged in &batch.damaged {
            tables.end(*damaged, State::Dead(DeadCause::Damaged), batch.now);
        }
        for change in &batch.changes {
            committed.changed.push(tables.change(change, batch.now));
        }
        committed.ready = std::mem::take(&mut tables.ready).into_iter().collect();
        Ok(committed)
    }

    fn purge(&mut self, now: Time, retention: Retention, most: usize) -> Result<usize, StoreError> {
        Ok(self.tables().purge(now, retention, most))
    }

    fn dead_letters(&mut self, after: Time, until: Time, most: usize) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(self.tables().dead_letters(after, until, most))
    }

    fn statistics(&mut self) -> Result<Statistics, StoreError> {
        Ok(self.tables().statistics())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.clone()))
    }

    fn between_commits(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn idle(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Reader for Memory {
    fn due(&mut self, query: &DueQuery<'_>) -> Result<Due, StoreError> {
        Ok(self.tables().due(query))
    }

    fn page(
        &mut self,
        filter: &Filter,
        before: Option<EventId>,
        bounds: Bounds,
    ) -> Result<Found<Summary>, StoreError> {
        let tables = self.tables();
        let mut rows: Vec<_> = tables.events.iter().map(|(event, row)| (*event, row)).collect();
        rows.retain(|(_, row)| before.is_none_or(|before| row.info.id < before));
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.info.id));
        let Found { found, next } = tables.search(rows, filter, bounds);
        let found = found.into_iter().map(|(event, row)| tables.summary(event, row)).collect();
        Ok(Found { found, next })
    }

    fn ids(
        &mut self,
        filter: &Filter,
        after: Option<EventId>,
        bounds: Bounds,
    ) -> Result<Found<EventId>, StoreError> {
        let tables = self.tables();
        let mut rows: Vec<_> = tables.events.iter().map(|(event, row)| (*event, row)).collect();
        rows.retain(|(_, row)| after.is_none_or(|after| row.info.id > after));
        rows.sort_by_key(|(_, row)| row.info.id);
        let Found { found, next } = tables.search(rows, filter, bounds);
        Ok(Found { found: found.into_iter().map(|(_, row)| row.info.id).collect(), next })
    }

    fn dead_part(&mut self, before: Option<i64>, most: usize) -> Result<DeadPart, StoreError> {
        Ok(self.tables().dead_part(before, most))
    }

    fn jobs(&mut self) -> Result<Vec<Job>, StoreError> {
        let jobs = self.tables();
        Ok(jobs.jobs.iter().map(|(id, document)| Job { id: *id, document: document.clone() }).collect())
    }

    fn detail(&mut self, id: EventId) -> Result<Option<Detail>, StoreError> {
        let tables = self.tables();
        Ok(tables.find(id).map(|(event, row)| Detail {
            summary: tables.summary(event, row),
            attempts: tables.of_event(event).map(|(_, delivery)| delivery.kept.clone()).collect(),
            event: row.stored(),
        }))
    }

    fn is_seen(&mut self, route: &RouteName, key: &[u8; 32], now: Time) -> Result<bool, StoreError> {
        Ok(self.tables().seen.get(&(route.clone(), *key)).is_some_and(|until| now < *until))
    }

    fn is_waiting(&mut self, route: &RouteName, order: &OrderKey) -> Result<bool, StoreError> {
        let tables = self.tables();
        let mut queued = tables.deliveries.values().filter(|delivery| delivery.state == State::Queued);
        Ok(queued
            .any(|delivery| delivery.destination.route == *route && delivery.lane.as_ref() == Some(order)))
    }
}

impl Row {
    fn stored(&self) -> Option<StoredEvent> {
        let (head, content) = self.bytes.clone()?;
        Record { info: self.info.clone(), head, content: content.into(), checksum: self.checksum }
            .check()
            .ok()
    }
}

impl Tables {
    fn of_event(&self, event: u64) -> impl Iterator<Item = (DeliveryId, &Delivery)> {
        self.deliveries.iter().map(|(id, delivery)| (*id, delivery)).filter(move |(_, d)| d.event == event)
    }

    fn find(&self, id: EventId) -> Option<(u64, &Row)> {
        self.events.iter().find(|(_, row)| row.info.id == id).map(|(event, row)| (*event, row))
    }

    fn insert(&mut self, event: &Event, now: Time) -> Vec<DeliveryId> {
        let info = event.info();
        self.last_event = self.last_event.saturating_add(1);
        let seq = self.last_event;
        let row = Row {
            info: info.clone(),
            bytes: Some((event.head().to_vec(), event.content().to_vec())),
            length: u64::try_from(event.content().len()).unwrap_or(u64::MAX),
            checksum: *event.checksum(),
        };
        self.events.insert(seq, row);
        if let Some(key) = info.duplicate {
            self.see(&info.route, key);
        }
        let deliver = |upstream: &Upstream| {
            let first = event.attempted().filter(|_| *upstream == Upstream::Main);
            self.deliver(Delivery {
                event: seq,
                destination: Destination { route: info.route.clone(), upstream: upstream.clone() },
                state: State::Queued,
                class: if first.is_some() { Class::Retry } else { Class::New },
                due: first.map_or(now, |first| first.due),
                since: info.received,
                spent: u32::from(first.is_some()),
                attempts: u32::from(first.is_some()),
                kept: first.map(|first| kept(&first.attempt)).into_iter().collect(),
                lane: info.order.clone(),
                size: event.size(),
                ended: None,
            })
        };
        event.upstreams().iter().map(deliver).collect()
    }

    fn deliver(&mut self, delivery: Delivery) -> DeliveryId {
        self.last_delivery = self.last_delivery.saturating_add(1);
        let id = DeliveryId(self.last_delivery);
        self.deliveries.insert(id, delivery);
        id
    }

    fn complete(&mut self, completion: &Completion, now: Time) -> Settled {
        let Completion { id, since, attempt, next } = completion;
        let Some(delivery) = self.deliveries.get_mut(id).filter(|delivery| delivery.state == State::Queued)
        else {
            return Settled::Yes;
        };
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.kept.push(kept(attempt));
        let most = usize::try_from(FIRST_ATTEMPTS.saturating_add(LAST_ATTEMPTS)).unwrap_or(usize::MAX);
        if delivery.kept.len() > most {
            delivery.kept.remove(usize::try_from(FIRST_ATTEMPTS).unwrap_or(0));
        }
        if delivery.since != *since && *next != Next::Delivered {
            delivery.class = delivery.class.after_failure();
            return Settled::No;
        }
        match next {
            Next::Delivered => self.end(*id, State::Delivered, now),
            Next::Dead(cause) => self.end(*id, State::Dead(*cause), now),
            Next::Again { due, spends } => {
                delivery.due = *due;
                delivery.class = delivery.class.after_failure();
                delivery.spent = delivery.spent.saturating_add(u32::from(*spends));
            }
        }
        Settled::Yes
    }

    fn end(&mut self, id: DeliveryId, state: State, now: Time) {
        let queued = self.deliveries.get_mut(&id).filter(|delivery| delivery.state == State::Queued);
        if let Some(delivery) = queued {
            delivery.state = state;
            delivery.ended = Some(now);
            let (lane, destination) = (delivery.lane.clone(), delivery.destination.clone());
            self.advance(lane.as_ref(), destination);
        }
    }

    /// Notes that the next delivery of a lane may be due, if one waits.
    fn advance(&mut self, lane: Option<&OrderKey>, destination: Destination) {
        let waits = |delivery: &Delivery| {
            delivery.state == State::Queued
                && delivery.destination == destination
                && delivery.lane.as_ref() == lane
        };
        if lane.is_some() && self.deliveries.values().any(waits) {
            self.ready.insert(destination);
        }
    }

    fn see(&mut self, route: &RouteName, key: DuplicateKey) {
        let until = self.seen.entry((route.clone(), key.digest)).or_insert(key.until);
        *until = key.until.max(*until);
    }

    fn change(&mut self, change: &Change, now: Time) -> u64 {
        match change {
            Change::Pause(route) => u64::from(self.paused.insert(route.clone())),
            Change::Resume(route) => {
                let all = self.deliveries.values().map(|delivery| &delivery.destination);
                self.ready.extend(all.filter(|destination| destination.route == *route).cloned());
                u64::from(self.paused.remove(route))
            }
            Change::Replay(id) => {
                let event = self.find(*id).filter(|(_, row)| row.bytes.is_some()).map(|(event, _)| event);
                u64::from(event.map(|event| self.replay(event, now, |_destination| true)).is_some())
            }
            Change::ReplayDead(id) => {
                let event = self.find(*id).filter(|(_, row)| row.bytes.is_some()).map(|(event, _)| event);
                let dead: BTreeSet<Destination> = event.map_or_else(BTreeSet::new, |event| {
                    let dead = self.of_event(event).filter(|(_, d)| matches!(d.state, State::Dead(_)));
                    dead.map(|(_, delivery)| delivery.destination.clone()).collect()
                });
                let event = event.filter(|_| !dead.is_empty());
                let to = |destination: &Destination| dead.contains(destination);
                u64::from(event.map(|event| self.replay(event, now, to)).is_some())
            }
            Change::Discard(id) => {
                let event = self.find(*id).map(|(event, _)| event);
                u64::from(event.map(|event| self.remove(event)).is_some())
            }
            Change::SaveJob(job) => {
                self.jobs.insert(job.id, job.document.clone());
                1
            }
            Change::RemoveJob(id) => u64::from(self.jobs.remove(id).is_some()),
        }
    }

    fn replay(&mut self, event: u64, now: Time, to: impl Fn(&Destination) -> bool) {
        let all: Vec<_> = self.of_event(event).map(|(id, delivery)| (id, delivery.clone())).collect();
        let destinations: BTreeSet<&Destination> = all.iter().map(|(_, d)| &d.destination).collect();
        // Destinations are sorted by their first delivery. This is the order of the route's upstreams.
        let mut destinations: Vec<_> = destinations.into_iter().collect();
        let first = |destination: &Destination| all.iter().position(|(_, d)| d.destination == *destination);
        destinations.sort_by_key(|destination| first(destination));
        for destination in destinations.into_iter().filter(|destination| to(destination)) {
            self.ready.insert(destination.clone());
            let of = || all.iter().filter(|(_, delivery)| delivery.destination == *destination);
            if let Some((id, _)) = of().find(|(_, delivery)| delivery.state == State::Queued) {
                if let Some(queued) = self.deliveries.get_mut(id) {
                    (queued.due, queued.since, queued.spent) = (now, another_since(queued.since, now), 0);
                }
                continue;
            }
            let dead = of().rfind(|(_, delivery)| matches!(delivery.state, State::Dead(_)));
            let Some((_, model)) = dead.or_else(|| of().next_back()) else { continue };
            self.deliver(Delivery {
                state: State::Queued,
                class: Class::Replay,
                due: now,
                since: now,
                spent: 0,
                attempts: dead.map_or(0, |(_, dead)| dead.attempts),
                kept: dead.map(|(_, dead)| dead.kept.clone()).unwrap_or_default(),
                ended: None,
                ..model.clone()
            });
            if let Some((id, _)) = dead {
                self.deliveries.remove(id);
            }
        }
    }

    fn remove(&mut self, event: u64) {
        self.events.remove(&event);
        let all: Vec<_> = self.of_event(event).map(|(_, delivery)| delivery.clone()).collect();
        self.deliveries.retain(|_, delivery| delivery.event != event);
        for delivery in all.into_iter().filter(|delivery| delivery.state == State::Queued) {
            self.advance(delivery.lane.as_ref(), delivery.destination);
        }
    }

    fn purge(&mut self, now: Time, retention: Retention, most: usize) -> usize {
        let Retention { delivered, info, dead } = retention;
        let (mut contents, mut events) = (Vec::new(), Vec::new());
        for (event, row) in &self.events {
            let states = || self.of_event(*event).map(|(_, delivery)| delivery.state);
            if states().any(|state| state == State::Queued) {
                continue;
            }
            let Some(ended) = self.of_event(*event).filter_map(|(_, delivery)| delivery.ended).max() else {
                continue;
            };
            let is_over = |age| ended.plus(age) <= now;
            if states().any(|state| matches!(state, State::Dead(_))) {
                if is_over(dead) {
                    events.push((2, ended, *event));
                }
            } else if row.bytes.is_some() {
                if is_over(delivered) {
                    contents.push((ended, *event));
                }
            } else if is_over(info) {
                events.push((1, ended, *event));
            }
        }
        contents.sort_unstable();
        events.sort_unstable();
        contents.truncate(most);
        events.truncate(most.saturating_sub(contents.len()));
        for (_, event) in &contents {
            if let Some(row) = self.events.get_mut(event) {
                row.bytes = None;
            }
        }
        for (_, _, event) in &events {
            self.remove(*event);
        }
        let mut removed = contents.len().saturating_add(events.len());
        self.seen.retain(|_, until| {
            let goes = *until <= now && removed < most;
            removed = removed.saturating_add(usize::from(goes));
            !goes
        });
        removed
    }

    fn dead_letters(&self, after: Time, until: Time, most: usize) -> Vec<DeadLetter> {
        let mut letters = Vec::new();
        for (event, row) in &self.events {
            let states = || self.of_event(*event).map(|(_, delivery)| delivery.state);
            let is_dead = states().any(|state| matches!(state, State::Dead(_)));
            let ended = self.of_event(*event).filter_map(|(_, delivery)| delivery.ended).max();
            if let Some(ended) = ended.filter(|ended| after < *ended && *ended <= until)
                && is_dead
                && !states().any(|state| state == State::Queued)
            {
                letters.push((ended, *event, row.info.id, &row.info.route));
            }
        }
        letters.sort_unstable();
        let letter = |(ended, _, event, route): (Time, u64, EventId, &RouteName)| DeadLetter {
            event,
            route: route.clone(),
            ended,
        };
        letters.into_iter().take(most).map(letter).collect()
    }

    fn statistics(&self) -> Statistics {
        let mut counts: BTreeMap<Destination, Counts> = BTreeMap::new();
        for delivery in self.deliveries.values() {
            let counts = counts.entry(delivery.destination.clone()).or_default();
            match delivery.state {
                State::Queued => {
                    let received = || self.events.get(&delivery.event).map(|row| row.info.received);
                    counts.oldest = counts.oldest.or_else(received);
                    counts.queued = counts.queued.saturating_add(1);
                    counts.queued_bytes = counts.queued_bytes.saturating_add(delivery.size);
                }
                State::Delivered => counts.delivered = counts.delivered.saturating_add(1),
                State::Dead(_) => counts.dead = counts.dead.saturating_add(1),
            }
        }
        let bytes = self.events.values().map(|row| match &row.bytes {
            Some((head, content)) => head.len().saturating_add(content.len()),
            None => 0,
        });
        let bytes = bytes.fold(0, usize::saturating_add);
        Statistics {
            counts: counts.into_iter().collect(),
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            reusable: 0,
            paused: self.paused.iter().cloned().collect(),
        }
    }

    /// The first queued delivery of each lane of a destination, and every delivery without a lane.
    fn ready(&self, destination: &Destination) -> Vec<(DeliveryId, &Delivery)> {
        let mut lanes = BTreeSet::new();
        let of = self.deliveries.iter().map(|(id, delivery)| (*id, delivery));
        of.filter(|(_, delivery)| delivery.destination == *destination && delivery.state == State::Queued)
            .filter(|(_, delivery)| delivery.lane.as_ref().is_none_or(|lane| lanes.insert(lane)))
            .collect()
    }

    fn due(&self, query: &DueQuery<'_>) -> Due {
        let mut due = Due::default();
        if self.paused.contains(&query.destination.route) {
            return due;
        }
        let mut ready = self.ready(query.destination);
        ready.retain(|(_, delivery)| delivery.class == query.class);
        ready.sort_by_key(|(id, delivery)| (delivery.due, *id));
        let mut bytes = 0_u64;
        for (id, delivery) in &ready {
            if delivery.due > query.now || query.except.contains(id) {
                continue;
            }
            bytes = bytes.saturating_add(delivery.size);
            let is_first = due.deliveries.is_empty();
            if due.deliveries.len() >= query.most || !is_first && bytes > query.most_bytes {
                due.has_more = true;
                break;
            }
            let row = self.events.get(&delivery.event);
            match row.and_then(Row::stored) {
                Some(event) => due.deliveries.push(DueDelivery {
                    id: *id,
                    class: delivery.class,
                    attempts: delivery.spent,
                    since: delivery.since,
                    event,
                }),
                None => {
                    due.damaged.push(DamagedDelivery { id: *id, event: row.map(|row| row.info.id) });
                }
            }
            if due.damaged.len() > query.most {
                due.has_more = true;
                break;
            }
        }
        if due.deliveries.is_empty() && !due.has_more {
            due.next = ready.iter().map(|(_, delivery)| delivery.due).find(|due| *due > query.now);
        }
        due
    }

    fn dead_part(&self, before: Option<i64>, most: usize) -> DeadPart {
        let before = before.and_then(|before| u64::try_from(before).ok()).unwrap_or(u64::MAX);
        let (mut part, mut deliveries) = (DeadPart::default(), 0_usize);
        let mut groups: BTreeMap<(RouteName, String), DeadGroup> = BTreeMap::new();
        for (event, row) in self.events.range(..before).rev() {
            let dead = |delivery: &Delivery| match delivery.state {
                State::Dead(cause) => Some((cause, delivery.kept.last().cloned())),
                State::Queued | State::Delivered => None,
            };
            let dead: Vec<_> = self.of_event(*event).filter_map(|(_, delivery)| dead(delivery)).collect();
            let mut counted = BTreeSet::new();
            for (cause, last) in &dead {
                let word = failure_word(*cause, last.as_ref());
                if !counted.insert(word.clone()) {
                    continue;
                }
                let group = groups.entry((row.info.route.clone(), word)).or_insert_with(|| DeadGroup {
                    route: row.info.route.clone(),
                    cause: *cause,
                    last: last.clone(),
                    example: row.info.id,
                    events: 0,
                    first: row.info.received,
                    latest: row.info.received,
                });
                group.events = group.events.saturating_add(1);
                group.first = row.info.received;
            }
            part.events = part.events.saturating_add(u64::from(!dead.is_empty()));
            deliveries = deliveries.saturating_add(dead.len());
            if deliveries >= most {
                part.next = i64::try_from(*event).ok();
                break;
            }
        }
        part.groups = groups.into_values().collect();
        part
    }

    fn meets(&self, event: u64, row: &Row, filter: &Filter) -> bool {
        filter.takes_event(&row.info)
            && ((filter.state.is_none() && filter.failure.is_none())
                || self.of_event(event).any(|(_, d)| filter.takes_delivery(d.state, d.kept.last())))
    }

    /// Searches in these rows, in their order.
    fn search<'r>(
        &self,
        rows: Vec<(u64, &'r Row)>,
        filter: &Filter,
        bounds: Bounds,
    ) -> Found<(u64, &'r Row)> {
        let mut found = Vec::new();
        for (looked_at, (event, row)) in rows.iter().enumerate() {
            if looked_at >= bounds.looked_at || found.len() >= bounds.found {
                let last = looked_at.checked_sub(1).and_then(|last| rows.get(last));
                return Found { found, next: last.map(|(_, row)| row.info.id) };
            }
            if self.meets(*event, row, filter) {
                found.push((*event, *row));
            }
        }
        Found { found, next: None }
    }

    fn summary(&self, event: u64, row: &Row) -> Summary {
        let of = self.of_event(event).map(|(id, delivery)| DeliverySummary {
            id,
            upstream: delivery.destination.upstream.clone(),
            state: delivery.state,
            class: delivery.class,
            due: delivery.due,
            attempts: delivery.attempts,
            order: delivery.lane.clone(),
            ended: delivery.ended,
            last: delivery.kept.last().cloned(),
        });
        Summary { info: row.info.clone(), length: row.length, deliveries: of.collect() }
    }
}

/// An attempt in the form that is kept: with a bounded response.
fn kept(attempt: &Attempt) -> Attempt {
    let mut attempt = attempt.clone();
    attempt.response.truncate(MOST_KEPT_OF_RESPONSE);
    attempt
}
