//! Pure. The deliveries of one destination: which delivery starts next, and what is read from the store for
//! it.
//!
//! The store holds all deliveries. Some due deliveries are kept ready in memory. Each class has its own ready
//! deliveries, so no class waits until another class has been read. The store is read again when it may hold
//! another due delivery.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::config::Retry;
use crate::queue::circuit::{Circuit, Conditions, Kind, Sign, Standing, Turned};
use crate::queue::event::OrderKey;
use crate::queue::id::EventId;
use crate::queue::pacing::Pacing;
use crate::queue::retry::{Clocks, Ended, Spent, longest_wait, next};
use crate::queue::store::{Class, DeliveryId, Due, DueDelivery, Next};
use crate::queue::time::Time;

/// The most ready deliveries of one class.
pub const MOST_READY: usize = 128;

/// More deliveries of a class are read when at most this many are ready.
const FEW_READY: usize = 32;

/// The most bytes of ready deliveries of one class. A single larger delivery is allowed.
pub const MOST_READY_BYTES: u64 = 8 << 20;

/// The most bytes of one destination's deliveries that are ready or under way. A single larger delivery is
/// allowed. Guards against a slow upstream whose deliveries would fill the memory.
pub const MOST_OF_ONE: u64 = 16 << 20;

/// The most finished deliveries whose outcome is not on disk yet. Guards against a store that records no
/// outcomes: after a restart, the events of these deliveries would be sent again.
pub const MOST_UNSETTLED: usize = 256;

/// The classes of one round of starts, if deliveries of all classes wait: five of the eight starts are new
/// events.
const TURNS: [Class; 8] =
    [Class::New, Class::New, Class::Retry, Class::New, Class::New, Class::Replay, Class::New, Class::Retry];

/// The order in which classes are searched.
const CLASSES: [Class; 3] = [Class::New, Class::Retry, Class::Replay];

/// The pause before the next read, after a read that has failed or has returned nothing new.
const PAUSE: Duration = Duration::from_secs(1);

/// A due time is implausible if a clock was wrong. One read of such deliveries goes at most this far beyond
/// the earliest due time.
const AT_ONCE: Duration = Duration::from_secs(3600);

/// How far the clock may differ from the clock that a due time was computed with.
const TOLERANCE: Duration = Duration::from_secs(1);

/// A time after every due time.
const LATEST: Time = Time::from_millis(253_402_300_799_000);

/// The most lanes that are counted as held.
const MOST_LANES: usize = 10_000;

/// The current time, by each clock that the rules need.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic time.
    pub instant: Instant,
    /// The wall clock, and the steady clock, which does not jump.
    pub clocks: Clocks,
}

/// The settings of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most concurrent deliveries.
    pub concurrency: usize,
    /// The least time between two attempts.
    pub interval: Option<Duration>,
    /// When failed deliveries are tried again.
    pub retry: Retry,
}

/// What is read from the store for a destination.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The class.
    pub class: Class,
    /// Only deliveries that are due at this time are read.
    pub now: Time,
    /// Deliveries to leave out: they are in memory, or were tried last.
    pub except: Vec<DeliveryId>,
    /// The most deliveries.
    pub most: usize,
    /// The most bytes.
    pub most_bytes: u64,
    /// Whether the read is for ordinary attempts or for a probe.
    pub kind: Kind,
}

/// The room that is left in memory for all destinations together.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The number of deliveries.
    pub deliveries: usize,
    /// The bytes.
    pub bytes: u64,
}

/// The memory that one destination takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The number of deliveries that are ready or under way.
    pub deliveries: usize,
    /// The bytes of these deliveries.
    pub bytes: u64,
}

/// The deliveries of one class.
#[derive(Debug)]
struct Queued {
    ready: VecDeque<DueDelivery>,
    bytes: u64,
    /// Whether the store may hold a due delivery that is not in memory.
    look: bool,
    /// When the next delivery in the store becomes due, if known.
    due: Option<Time>,
}

impl Default for Queued {
    fn default() -> Self {
        Self { ready: VecDeque::new(), bytes: 0, look: true, due: None }
    }
}

#[derive(Debug, Default)]
struct Classes {
    new: Queued,
    retry: Queued,
    replay: Queued,
}

impl Classes {
    fn of(&mut self, class: Class) -> &mut Queued {
        match class {
            Class::New => &mut self.new,
            Class::Retry => &mut self.retry,
            Class::Replay => &mut self.replay,
        }
    }

    fn all(&self) -> [&Queued; 3] {
        [&self.new, &self.retry, &self.replay]
    }

    fn all_mut(&mut self) -> [&mut Queued; 3] {
        [&mut self.new, &mut self.retry, &mut self.replay]
    }

    fn look(&mut self) {
        self.all_mut().into_iter().for_each(|queued| queued.look = true);
    }
}

/// The deliveries of one destination.
#[derive(Debug)]
pub struct Deliveries {
    settings: Settings,
    is_held: bool,
    circuit: Circuit,
    pacing: Pacing,
    classes: Classes,
    /// The deliveries that are ready, under way, or unsettled, with the bytes that each takes.
    known: HashMap<DeliveryId, Known>,
    /// The lanes of the known deliveries.
    lanes: HashSet<OrderKey>,
    taken: Taken,
    under_way: usize,
    unsettled: usize,
    turn: usize,
    /// The class of the read that is under way.
    reading: Option<Class>,
    /// Whether deliveries of this class have changed since the read began.
    is_outdated: bool,
    /// The deliveries that have ended since the read under way began. The read may return them once more.
    ended_since: HashSet<DeliveryId>,
    /// The delivery that is tried next while the circuit is open.
    probe: Option<DueDelivery>,
    /// The deliveries that were tried last, the latest last.
    tried: VecDeque<DeliveryId>,
    /// The number of classes in which no delivery for a probe was found.
    without_probe: usize,
    /// Lanes whose first delivery has failed and waits, with that delivery and its event.
    lanes_held: HashMap<OrderKey, (DeliveryId, EventId)>,
}

#[derive(Debug)]
struct Known {
    bytes: u64,
    event: EventId,
    lane: Option<OrderKey>,
}

/// How many of the deliveries that were tried last are remembered.
const MOST_TRIED: usize = 256;

impl Deliveries {
    /// A destination without any known delivery.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let mut pacing = Pacing::default();
        pacing.set(settings.interval, now);
        Self {
            settings,
            is_held: false,
            circuit: Circuit::default(),
            pacing,
            classes: Classes::default(),
            known: HashMap::new(),
            lanes: HashSet::new(),
            taken: Taken::default(),
            under_way: 0,
            unsettled: 0,
            turn: 0,
            reading: None,
            is_outdated: false,
            ended_since: HashSet::new(),
            probe: None,
            tried: VecDeque::new(),
            without_probe: 0,
            lanes_held: HashMap::new(),
        }
    }

    /// Changes the settings.
    pub fn set(&mut self, settings: Settings, now: Instant) {
        if settings != self.settings {
            self.pacing.set(settings.interval, now);
            self.settings = settings;
            self.classes.look();
        }
    }

    /// Holds or releases the destination. A held destination starts no delivery, and its ready deliveries are
    /// dropped from memory.
    pub fn hold(&mut self, is_held: bool) {
        if self.is_held != is_held {
            self.is_held = is_held;
            self.give_back();
        }
    }

    /// Whether the destination is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether no delivery of the destination is in memory.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.known.is_empty() && self.reading.is_none()
    }

    /// Whether the circuit is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.circuit.is_open()
    }

    /// The part of the circuit's state that requests need.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.circuit.standing()
    }

    /// The memory that the destination takes.
    #[must_use]
    pub fn taken(&self) -> Taken {
        self.taken
    }

    /// The number of deliveries under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// The number of lanes whose first delivery has failed and waits.
    #[must_use]
    pub fn lanes_held(&self) -> usize {
        self.lanes_held.len()
    }

    /// Notes that the store may hold a due delivery.
    pub fn look(&mut self) {
        self.classes.look();
        self.without_probe = 0;
        self.is_outdated = true;
    }

    /// Takes a delivery that has just been committed, if there is room. Otherwise the delivery is read from
    /// the store later.
    ///
    /// A delivery with an order key is always read from the store, because only the store knows whether the
    /// delivery is the first of its lane.
    pub fn hand(&mut self, delivery: DueDelivery, room: Room) {
        let (class, room) = (delivery.class, self.own_part(room));
        let takes = !self.is_held
            && !self.circuit.is_open()
            && delivery.event.info().order.is_none()
            && self.has_room_for(&delivery, room);
        // If other deliveries of the class wait in the store, this delivery waits in the store too. Otherwise
        // new deliveries would always overtake the waiting deliveries.
        let is_behind = {
            let queued = self.classes.of(class);
            queued.look && self.reading != Some(class)
        };
        if takes && !is_behind {
            self.keep(delivery);
        } else {
            self.classes.of(class).look = true;
            self.without_probe = 0;
            if self.reading == Some(class) {
                self.is_outdated = true;
            }
        }
    }

    /// Whether there is room for one more ready delivery. During a read, the rest of the room is reserved for
    /// the read.
    fn has_room_for(&mut self, delivery: &DueDelivery, room: Room) -> bool {
        let size = size(delivery);
        let most = if self.reading == Some(delivery.class) { FEW_READY } else { MOST_READY };
        let queued = self.classes.of(delivery.class);
        let is_within = queued.ready.len() < most && queued.bytes.saturating_add(size) <= MOST_READY_BYTES;
        self.taken.deliveries == 0 || (is_within && room.deliveries > 0 && room.bytes >= size)
    }

    /// The room in memory for this destination: the shared room, but no more than this destination may take.
    fn own_part(&self, room: Room) -> Room {
        let own = MOST_OF_ONE.saturating_sub(self.taken.bytes);
        Room { bytes: room.bytes.min(own), ..room }
    }

    /// Keeps a delivery ready, unless it is known already or its lane is busy. Returns whether the delivery
    /// is kept.
    fn keep(&mut self, delivery: DueDelivery) -> bool {
        if !self.remember(&delivery) {
            return false;
        }
        let queued = self.classes.of(delivery.class);
        queued.bytes = queued.bytes.saturating_add(size(&delivery));
        queued.ready.push_back(delivery);
        true
    }

    fn remember(&mut self, delivery: &DueDelivery) -> bool {
        let info = delivery.event.info();
        let (event, lane) = (info.id, info.order.clone());
        let is_busy = lane.as_ref().is_some_and(|lane| self.lanes.contains(lane));
        if is_busy || self.known.contains_key(&delivery.id) {
            return false;
        }
        let bytes = size(delivery);
        self.lanes.extend(lane.clone());
        self.known.insert(delivery.id, Known { bytes, event, lane });
        self.taken.deliveries = self.taken.deliveries.saturating_add(1);
        self.taken.bytes = self.taken.bytes.saturating_add(bytes);
        true
    }

    /// Frees the memory of a delivery.
    fn free(&mut self, id: DeliveryId) {
        let Some(known) = self.known.get_mut(&id) else { return };
        self.taken.deliveries = self.taken.deliveries.saturating_sub(1);
        self.taken.bytes = self.taken.bytes.saturating_sub(std::mem::take(&mut known.bytes));
    }

    /// Forgets a delivery. Returns its lane and its event.
    fn forget(&mut self, id: DeliveryId) -> Option<(OrderKey, EventId)> {
        let Known { lane, event, .. } = self.known.remove(&id)?;
        let lane = lane?;
        self.lanes.remove(&lane);
        Some((lane, event))
    }

    /// Records that these events were discarded. Returns whether one of them held a lane.
    pub fn discarded(&mut self, is_discarded: impl Fn(EventId) -> bool) -> bool {
        let before = self.lanes_held.len();
        self.lanes_held.retain(|_, (_, event)| !is_discarded(*event));
        self.lanes_held.len() < before
    }

    /// Records that a damaged delivery is marked on disk.
    pub fn set_aside(&mut self, id: DeliveryId) {
        self.lanes_held.retain(|_, (delivery, _)| *delivery != id);
    }

    /// Forgets the ready deliveries. They are still in the store.
    fn give_back(&mut self) {
        let mut ready: Vec<DeliveryId> = self.probe.take().into_iter().map(|probe| probe.id).collect();
        for queued in self.classes.all_mut() {
            ready.extend(queued.ready.drain(..).map(|delivery| delivery.id));
            queued.bytes = 0;
        }
        for id in ready {
            self.free(id);
            self.forget(id);
        }
        self.look();
    }

    /// Starts the next delivery, if one is ready and may start.
    pub fn start(&mut self, now: Now) -> Option<(DueDelivery, Kind)> {
        if self.is_held || self.pacing.wait(now.instant).is_some() || self.unsettled >= MOST_UNSETTLED {
            return None;
        }
        let (delivery, kind) = if self.circuit.is_open() {
            if self.under_way > 0 || self.circuit.probe_at().is_none_or(|at| at > now.instant) {
                return None;
            }
            (self.probe.take()?, Kind::Probe)
        } else if self.under_way < self.circuit.allows(self.settings.concurrency) {
            (self.take_next()?, Kind::Ordinary)
        } else {
            return None;
        };
        self.pacing.start(now.instant);
        self.under_way = self.under_way.saturating_add(1);
        Some((delivery, kind))
    }

    /// The first delivery of the class whose turn it is. If that class has none, the first delivery of
    /// another class.
    fn take_next(&mut self) -> Option<DueDelivery> {
        let turn = TURNS.get(self.turn).copied();
        let class =
            turn.into_iter().chain(CLASSES).find(|class| !self.classes.of(*class).ready.is_empty())?;
        self.turn = self.turn.saturating_add(1);
        if self.turn >= TURNS.len() {
            self.turn = 0;
        }
        let queued = self.classes.of(class);
        let delivery = queued.ready.pop_front()?;
        queued.bytes = queued.bytes.saturating_sub(size(&delivery));
        Some(delivery)
    }

    /// What is to be read from the store now. `None` if nothing is to be read.
    pub fn wanted(&mut self, now: Now, room: Room) -> Option<Wanted> {
        if self.is_held || self.reading.is_some() {
            return None;
        }
        let wanted =
            if self.circuit.is_open() { self.wanted_probe(now)? } else { self.wanted_due(now, room)? };
        self.reading = Some(wanted.class);
        self.is_outdated = false;
        self.ended_since.clear();
        Some(wanted)
    }

    fn wanted_probe(&self, now: Now) -> Option<Wanted> {
        let is_time = self.circuit.probe_at().is_some_and(|at| at <= now.instant);
        if !is_time || self.under_way > 0 || self.probe.is_some() {
            return None;
        }
        let class = CLASSES.get(self.without_probe).copied()?;
        let except = self.known.keys().chain(&self.tried).copied().collect();
        // The read includes deliveries that are not due yet: while the circuit is open, none is due.
        Some(Wanted { class, now: LATEST, except, most: 1, most_bytes: 1, kind: Kind::Probe })
    }

    fn wanted_due(&mut self, now: Now, room: Room) -> Option<Wanted> {
        let room = self.own_part(room);
        let is_full = room.deliveries == 0 || room.bytes == 0;
        if is_full && self.taken.deliveries > 0 {
            return None;
        }
        let latest = now.clocks.wall.plus(TOLERANCE);
        let longest = longest_wait(&self.settings.retry.schedule);
        let found = CLASSES.into_iter().find_map(|class| {
            let queued = self.classes.of(class);
            if queued.ready.len() > FEW_READY {
                return None;
            }
            let bytes = MOST_READY_BYTES.saturating_sub(queued.bytes);
            if bytes == 0 {
                return None;
            }
            let at = match queued.due {
                _ if queued.look => now.clocks.wall,
                Some(due) if due <= now.clocks.wall => now.clocks.wall,
                // The clock was put back after the due time was computed: no wait is that long.
                Some(due) if due > latest.plus(wait_before(class, longest)) => due.plus(AT_ONCE),
                Some(_) | None => return None,
            };
            let most = MOST_READY.saturating_sub(FEW_READY).min(room.deliveries).max(1);
            Some((class, at, most, bytes.min(room.bytes).max(1)))
        });
        let (class, at, most, most_bytes) = found?;
        let except = self.known.keys().copied().collect();
        Some(Wanted { class, now: at, except, most, most_bytes, kind: Kind::Ordinary })
    }

    /// Takes the result of a read.
    pub fn read(&mut self, wanted: &Wanted, mut due: Due, now: Now) {
        self.reading = None;
        let found = due.deliveries.len();
        due.deliveries.retain(|delivery| !self.ended_since.contains(&delivery.id));
        self.is_outdated |= due.deliveries.len() < found;
        match wanted.kind {
            Kind::Probe => self.read_probe(due),
            Kind::Ordinary => self.read_due(wanted, due, now),
        }
    }

    fn read_probe(&mut self, due: Due) {
        if self.is_held || !self.circuit.is_open() {
            return;
        }
        match due.deliveries.into_iter().next() {
            Some(delivery) => {
                if self.remember(&delivery) {
                    self.probe = Some(delivery);
                    self.without_probe = 0;
                } else {
                    // The lane of this delivery is busy until an outcome is on disk.
                    self.without_probe = CLASSES.len();
                }
            }
            None if self.is_outdated => self.without_probe = 0,
            None => {
                self.without_probe = self.without_probe.saturating_add(1);
                // All deliveries have been tried. The delivery that was tried first is tried next.
                if self.without_probe >= CLASSES.len() && self.tried.pop_front().is_some() {
                    self.without_probe = 0;
                }
            }
        }
    }

    fn read_due(&mut self, wanted: &Wanted, due: Due, now: Now) {
        if self.is_held || self.circuit.is_open() {
            return;
        }
        let Due { deliveries, damaged: _, has_more, next } = due;
        let mut kept = 0_usize;
        for delivery in deliveries {
            kept = kept.saturating_add(usize::from(self.keep(delivery)));
        }
        let is_outdated = std::mem::take(&mut self.is_outdated);
        let queued = self.classes.of(wanted.class);
        // The store gives the time of the next due delivery only if none is due now.
        queued.look = is_outdated || (kept > 0 && next.is_none());
        queued.due = next;
        // The read returned nothing new. An immediate second read would return the same.
        let is_in_vain = kept == 0 && (has_more || next.is_some_and(|next| next <= wanted.now));
        if is_in_vain {
            queued.due = Some(now.clocks.wall.plus(PAUSE));
        }
    }

    /// Notes that the store could not be read.
    pub fn read_failed(&mut self, wanted: &Wanted, now: Now) {
        self.reading = None;
        let queued = self.classes.of(wanted.class);
        queued.look = false;
        queued.due = Some(now.clocks.wall.plus(PAUSE));
    }

    /// Takes back a delivery that was started but not attempted.
    pub fn cancel(&mut self, id: DeliveryId) {
        self.under_way = self.under_way.saturating_sub(1);
        self.free(id);
        self.forget(id);
        self.look();
    }

    /// Notes that an attempt has ended. The caller stores the outcome. The delivery is not read again before
    /// [`Self::settle`].
    pub fn end(&mut self, end: &End, now: Now, random: u64) -> (Next, Option<Turned>) {
        self.under_way = self.under_way.saturating_sub(1);
        self.unsettled = self.unsettled.saturating_add(1);
        self.free(end.id);
        let is_trouble = end.ended.is_trouble();
        let spends = end.kind == Kind::Ordinary || !is_trouble;
        let spent = Spent { attempts: end.attempts, since: end.since, spends };
        let next = next(&self.settings.retry, &end.ended, spent, now.clocks, random);
        let sign = if is_trouble { Sign::Trouble } else { Sign::Works };
        let turned = self.record(end.id, end.kind, sign, end.ended.retry_after, now, random);
        (next, turned)
    }

    /// `asked` is the wait that the upstream asks for.
    fn record(
        &mut self,
        id: DeliveryId,
        kind: Kind,
        sign: Sign,
        asked: Option<Duration>,
        now: Now,
        random: u64,
    ) -> Option<Turned> {
        let conditions = Conditions {
            concurrency: self.settings.concurrency,
            schedule: &self.settings.retry.schedule,
            now: now.instant,
            random,
            asked,
        };
        let turned = self.circuit.record(id, kind, sign, conditions);
        if self.circuit.is_open() && turned.is_none() {
            self.tried.retain(|tried| *tried != id);
            self.tried.push_back(id);
            if self.tried.len() > MOST_TRIED {
                self.tried.pop_front();
            }
            self.without_probe = 0;
        }
        self.turn(turned);
        turned
    }

    fn turn(&mut self, turned: Option<Turned>) {
        match turned {
            Some(Turned::Opened) => {
                self.tried = self.circuit.run().iter().copied().collect();
                self.give_back();
            }
            Some(Turned::Closed) => {
                self.tried.clear();
                self.give_back();
            }
            None => {}
        }
    }

    /// Records that the direct attempt of a request has failed, and that the request is stored as this
    /// delivery.
    pub fn failed_directly(&mut self, id: DeliveryId, now: Now, random: u64) -> Option<Turned> {
        self.record(id, Kind::Ordinary, Sign::Trouble, None, now, random)
    }

    /// Records that a request was forwarded directly and that the upstream works.
    pub fn works_directly(&mut self) -> Option<Turned> {
        let turned = self.circuit.works(self.settings.concurrency);
        self.turn(turned);
        turned
    }

    /// Notes that the outcome of an attempt is on disk.
    pub fn settle(&mut self, id: DeliveryId, class: Class, next: Next) {
        self.unsettled = self.unsettled.saturating_sub(1);
        self.without_probe = 0;
        if self.reading.is_some() {
            self.ended_since.insert(id);
        }
        let lane = self.forget(id);
        match next {
            Next::Again { due, .. } => {
                for class in [Class::Retry, class] {
                    self.is_outdated |= self.reading == Some(class);
                    let queued = self.classes.of(class);
                    queued.due = Some(queued.due.map_or(due, |known| known.min(due)));
                }
                if let Some((lane, event)) = lane
                    && self.lanes_held.len() < MOST_LANES
                {
                    self.lanes_held.insert(lane, (id, event));
                }
            }
            Next::Delivered | Next::Dead(_) => {
                if let Some((lane, _)) = lane {
                    self.lanes_held.remove(&lane);
                    // The next delivery of the lane is due now.
                    self.look();
                }
            }
        }
    }

    /// When the destination should be examined again, if nothing else happens before.
    #[must_use]
    pub fn wake_at(&self, now: Now) -> Option<Instant> {
        if self.is_held {
            return None;
        }
        if self.circuit.is_open() {
            let at = self.circuit.probe_at().max(self.pacing.wait(now.instant));
            return at.filter(|at| self.under_way == 0 && *at > now.instant);
        }
        let is_ready = self.classes.all().iter().any(|queued| !queued.ready.is_empty());
        let paced = self.pacing.wait(now.instant).filter(|_| is_ready);
        let dues = self.classes.all().into_iter().filter_map(|queued| queued.due);
        let due = dues.min().map(|due| due.since(now.clocks.wall));
        let due = due.and_then(|wait| now.instant.checked_add(wait));
        paced.into_iter().chain(due).filter(|at| *at > now.instant).min()
    }
}

/// The longest wait before an attempt of this class. A new delivery is due when it is committed.
const fn wait_before(class: Class, longest: Duration) -> Duration {
    match class {
        Class::New => Duration::ZERO,
        Class::Retry | Class::Replay => longest,
    }
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// The delivery.
    pub id: DeliveryId,
    /// How many attempts of the delivery came before this attempt.
    pub attempts: u32,
    /// When the delivery's budget of retries began.
    pub since: Time,
    /// Whether the attempt was an ordinary one or a probe.
    pub kind: Kind,
    /// The outcome.
    pub ended: Ended,
}

/// The bytes that a delivery takes in memory.
fn size(delivery: &DueDelivery) -> u64 {
    let event = &delivery.event;
    u64::try_from(event.head().len().saturating_add(event.content().len())).unwrap_or(u64::MAX)
}
