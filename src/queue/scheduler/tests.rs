//! Tests of the scheduler, in simulated time: a store in memory, apps that answer after a while, and a clock
//! that is set.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::config::Retry;
use crate::queue::destination::{MOST_OF_ONE, MOST_READY};
use crate::queue::event::{
    AttemptOutcome, EventInfo, OrderKey, Record, RouteName, StoredEvent, Upstream, checksum,
};
use crate::queue::id::EventId;
use crate::queue::retry::{Clocks, Ended};
use crate::queue::time::Time;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// How an app answers an attempt: after how long, and with which status code. `None` means that no connection
/// is made.
type App = Box<dyn Fn(Duration, i64) -> (Duration, Option<u16>)>;

struct Row {
    destination: usize,
    class: Class,
    due: Time,
    attempts: u32,
    since: Time,
    event: StoredEvent,
}

/// A simulated happening.
enum Happens {
    Arrival(usize, Option<&'static str>),
    Ended(Arc<Destination>, End, Class),
    Settled(Arc<Destination>, DeliveryId, Class, Next),
    WasRead(Read, Due),
}

struct Simulation {
    scheduler: Scheduler,
    destinations: Vec<Destination>,
    apps: Vec<App>,
    begin: Instant,
    /// The simulated time since the beginning.
    at: Duration,
    /// How far the wall clock has been put forward, in milliseconds.
    wall_ahead: i64,
    coming: BTreeMap<(Duration, u64), Happens>,
    number: u64,
    rows: HashMap<i64, Row>,
    /// The due deliveries by destination and class. Of a lane, only the first delivery.
    due: HashMap<(usize, Class), BTreeSet<(Time, i64)>>,
    lanes: HashMap<(usize, String), VecDeque<i64>>,
    last_id: i64,
    content: usize,
    /// One event for each destination and lane. Many deliveries share it, because making an event is slow.
    events: HashMap<(usize, Option<&'static str>), StoredEvent>,
    // The observations.
    starts: Vec<Vec<(Duration, i64)>>,
    delivered: Vec<Vec<(Duration, i64)>>,
    dead: Vec<i64>,
    under_way: Vec<usize>,
    most_under_way: Vec<usize>,
    busy_lanes: BTreeSet<(usize, String)>,
    most_taken: Taken,
    probes: Vec<(Duration, i64)>,
    reads: usize,
}

fn destination(number: usize) -> Destination {
    let route = RouteName { path: format!("/{number}").into(), model: None };
    Destination { route, upstream: Upstream::Main }
}

fn event(number: i64, route: &RouteName, order: Option<&str>, size: usize) -> StoredEvent {
    use sha2::Digest as _;
    let content = bytes::Bytes::from(vec![b'x'; size]);
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let info = EventInfo {
        id: EventId::from_bytes(id),
        received: Time::default(),
        route: route.clone(),
        scheme: String::new(),
        secret: "".into(),
        model: None,
        client: String::new(),
        method: "POST".to_owned(),
        target: b"/".to_vec(),
        digest: sha2::Sha256::digest(&content).into(),
        order: order.map(OrderKey::new),
        duplicate: None,
    };
    let checksum = checksum(&info, b"", &content);
    Record { info, head: Vec::new(), content, checksum }.check().unwrap()
}

fn settings(concurrency: usize) -> Settings {
    Settings { concurrency, interval: None, retry: Retry::default() }
}

/// An app that answers 200 after `took`.
fn fine(took: Duration) -> App {
    Box::new(move |_, _| (took, Some(200)))
}

/// An app that is down until `end`.
fn down_until(end: Duration, took: Duration) -> App {
    Box::new(move |now, _| if now < end { (MILLI, None) } else { (took, Some(200)) })
}

impl Simulation {
    fn new(apps: Vec<(Settings, App)>) -> Self {
        let (settings, apps): (Vec<_>, Vec<_>) = apps.into_iter().unzip();
        let count = apps.len();
        let destinations: Vec<_> = (0..count).map(destination).collect();
        let mut this = Self {
            scheduler: Scheduler::default(),
            destinations: destinations.clone(),
            apps,
            begin: Instant::now(),
            at: Duration::ZERO,
            wall_ahead: 0,
            coming: BTreeMap::new(),
            number: 0,
            rows: HashMap::new(),
            due: HashMap::new(),
            lanes: HashMap::new(),
            last_id: 0,
            content: 10,
            events: HashMap::new(),
            starts: vec![Vec::new(); count],
            delivered: vec![Vec::new(); count],
            dead: Vec::new(),
            under_way: vec![0; count],
            most_under_way: vec![0; count],
            busy_lanes: BTreeSet::new(),
            most_taken: Taken::default(),
            probes: Vec::new(),
            reads: 0,
        };
        let now = this.now();
        this.scheduler.configure(destinations.into_iter().zip(settings).collect(), now);
        this
    }

    fn now(&self) -> Now {
        let millis = 1_700_000_000_000_u64 + u64::try_from(self.at.as_millis()).unwrap();
        let wall = Time::from_millis(millis.saturating_add_signed(self.wall_ahead));
        Now { instant: self.begin + self.at, clocks: Clocks { wall, steady: Time::from_millis(millis) } }
    }

    fn after(&mut self, wait: Duration, happens: Happens) {
        self.number += 1;
        self.coming.insert((self.at + wait, self.number), happens);
    }

    /// Lets `count` events arrive at a destination, `every` apart.
    fn arrivals(&mut self, destination: usize, from: Duration, every: Duration, count: u32) {
        for n in 0..count {
            self.number += 1;
            self.coming.insert((from + every * n, self.number), Happens::Arrival(destination, None));
        }
    }

    /// Stores an event, and hands it over as the writer does.
    fn arrive(&mut self, at: usize, order: Option<&'static str>, class: Class) -> i64 {
        self.last_id += 1;
        let id = self.last_id;
        let now = self.now().clocks.wall;
        let (route, content) = (&self.destinations[at].route, self.content);
        let made = self.events.entry((at, order)).or_insert_with(|| event(id, route, order, content));
        let event = made.clone();
        let row = Row { destination: at, class, due: now, attempts: 0, since: now, event: event.clone() };
        self.rows.insert(id, row);
        let is_first = order.is_none_or(|order| {
            let lane = self.lanes.entry((at, order.to_owned())).or_default();
            lane.push_back(id);
            lane.len() == 1
        });
        if is_first {
            self.due.entry((at, class)).or_default().insert((now, id));
        }
        let handed = DueDelivery { id: DeliveryId(id), class, attempts: 0, since: now, event };
        self.scheduler.hand(&self.destinations[at], handed);
        id
    }

    fn read_store(&self, read: &Read) -> Due {
        let at = self.destinations.iter().position(|known| *known == *read.destination).unwrap();
        let wanted = &read.wanted;
        let mut due = Due::default();
        let Some(set) = self.due.get(&(at, wanted.class)) else { return due };
        let mut bytes = 0;
        for (time, id) in set {
            if wanted.except.contains(&DeliveryId(*id)) {
                continue;
            }
            if *time > wanted.now {
                due.next = due.deliveries.is_empty().then_some(*time);
                break;
            }
            let row = &self.rows[id];
            bytes += u64::try_from(row.event.content().len()).unwrap();
            if due.deliveries.len() >= wanted.most
                || (bytes > wanted.most_bytes && !due.deliveries.is_empty())
            {
                due.has_more = true;
                break;
            }
            due.deliveries.push(DueDelivery {
                id: DeliveryId(*id),
                class: row.class,
                attempts: row.attempts,
                since: row.since,
                event: row.event.clone(),
            });
        }
        due
    }

    fn commit(&mut self, id: i64, next: Next) {
        let row = self.rows.get_mut(&id).unwrap();
        let at = row.destination;
        assert!(
            self.due.get_mut(&(at, row.class)).unwrap().remove(&(row.due, id)),
            "only the first is tried"
        );
        if let Next::Again { due, spends } = next {
            row.attempts += u32::from(spends);
            row.due = due;
            if row.class == Class::New {
                row.class = Class::Retry;
            }
            self.due.entry((at, row.class)).or_default().insert((due, id));
            return;
        }
        let row = self.rows.remove(&id).unwrap();
        if next == Next::Delivered {
            self.delivered[at].push((self.at, id));
        } else {
            self.dead.push(id);
        }
        if let Some(order) = &row.event.info().order {
            let lane = self.lanes.get_mut(&(at, order.as_str().to_owned())).unwrap();
            assert_eq!(lane.pop_front(), Some(id));
            if let Some(next) = lane.front() {
                let row = &self.rows[next];
                self.due.entry((at, row.class)).or_default().insert((row.due, *next));
            }
        }
    }

    /// Takes every step that the scheduler wants now.
    fn turn(&mut self) {
        let mut rounds = 0;
        while let Some(step) = self.scheduler.step(self.now()) {
            rounds += 1;
            assert!(rounds < 100_000, "the scheduler never rests");
            match step {
                Step::Start(start) => self.attempt(start),
                Step::Read(read) => {
                    self.reads += 1;
                    let due = self.read_store(&read);
                    self.after(MILLI, Happens::WasRead(read, due));
                }
            }
        }
        let taken = self.scheduler.taken();
        self.most_taken.deliveries = self.most_taken.deliveries.max(taken.deliveries);
        self.most_taken.bytes = self.most_taken.bytes.max(taken.bytes);
    }

    fn attempt(&mut self, start: Start) {
        let Start { destination, delivery, kind } = start;
        let at = self.destinations.iter().position(|known| *known == *destination).unwrap();
        let id = delivery.id;
        self.starts[at].push((self.at, id.0));
        if kind == Kind::Probe {
            self.probes.push((self.at, id.0));
        }
        self.under_way[at] += 1;
        self.most_under_way[at] = self.most_under_way[at].max(self.under_way[at]);
        if let Some(order) = &delivery.event.info().order {
            let is_alone = self.busy_lanes.insert((at, order.as_str().to_owned()));
            assert!(is_alone, "two of the lane {order:?} are under way");
        }
        let (took, status) = self.apps[at](self.at, id.0);
        let outcome = match status {
            Some(200..=299) => AttemptOutcome::Delivered,
            Some(_) => AttemptOutcome::Refused,
            None => AttemptOutcome::Unreachable,
        };
        let ended = Ended { outcome, status, retry_after: None };
        let end = End { id, attempts: delivery.attempts, since: delivery.since, kind, ended };
        self.after(took, Happens::Ended(destination, end, delivery.class));
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Arrival(at, order) => {
                self.arrive(at, order, Class::New);
            }
            Happens::Ended(destination, end, class) => {
                let at = self.destinations.iter().position(|known| *known == *destination).unwrap();
                self.under_way[at] -= 1;
                let random = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                let (next, _) = self.scheduler.end(&destination, &end, self.now(), random).unwrap();
                self.after(MILLI, Happens::Settled(destination, end.id, class, next));
            }
            Happens::Settled(destination, id, class, next) => {
                if let Some(order) = &self.rows[&id.0].event.info().order {
                    let at = self.rows[&id.0].destination;
                    self.busy_lanes.remove(&(at, order.as_str().to_owned()));
                }
                self.commit(id.0, next);
                self.scheduler.settle(&destination, id, class, next);
            }
            Happens::WasRead(read, due) => self.scheduler.read(&read, due, self.now()),
        }
    }

    /// Lets time pass until `end`, or until nothing waits in the store.
    fn run(&mut self, end: Duration) {
        self.turn();
        loop {
            let wake = self.scheduler.wake_at().map(|at| at.saturating_duration_since(self.begin));
            let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
            if coming.is_none() && self.rows.is_empty() {
                return;
            }
            let next = wake.into_iter().chain(coming).min().unwrap_or(end);
            if next >= end {
                self.at = end;
                return;
            }
            self.at = self.at.max(next);
            while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.at) {
                let happens = entry.remove();
                self.happen(happens);
            }
            self.turn();
        }
    }

    fn assert_each_delivered_once(&self, at: usize, count: usize) {
        let ids: BTreeSet<_> = self.delivered[at].iter().map(|(_, id)| *id).collect();
        assert_eq!((ids.len(), self.delivered[at].len()), (count, count));
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_app_that_was_down_for_two_hours_is_drained_at_its_concurrency_and_no_other_is_touched() {
    let other = (settings(16), fine(MILLI * 20));
    let mut simulation = Simulation::new(vec![(settings(16), down_until(HOUR * 2, MILLI * 50)), other]);
    simulation.arrivals(0, Duration::ZERO, MILLI * 20, 2 * 3600 * 50);
    simulation.arrivals(1, Duration::ZERO, SECOND, 2 * 3600);
    simulation.run(HOUR * 2);
    // Only the attempts that opened the circuit were spent, and the probes.
    let (tries, probes) = (simulation.starts[0].len(), simulation.probes.len());
    assert!((200..=300).contains(&probes), "{probes}");
    assert!(tries - probes <= 5 + 16, "{tries} attempts with {probes} probes");
    assert_eq!(simulation.delivered[0].len(), 0);
    simulation.run(HOUR * 4);
    simulation.assert_each_delivered_once(0, 2 * 3600 * 50);
    assert_eq!(simulation.most_under_way[0], 16);
    // 16 concurrent deliveries of 50 ms each are 320 a second. Records and reads take additional time.
    let took = simulation.delivered[0].last().unwrap().0 - HOUR * 2;
    assert!(took < SECOND * (360_000 / 280 + 60), "{took:?}");
    assert!(simulation.most_taken.deliveries <= 3 * MOST_READY + 16 + 16, "{:?}", simulation.most_taken);
    // The other app has received each event without a delay.
    simulation.assert_each_delivered_once(1, 2 * 3600);
    for (n, (at, _)) in simulation.delivered[1].iter().enumerate() {
        let late = *at - SECOND * u32::try_from(n).unwrap();
        assert!(late <= MILLI * 30, "event {n} was {late:?} late");
    }
}

#[test]
fn a_lane_is_delivered_in_the_order_of_its_commits_whatever_fails() {
    let flaky: App = Box::new(|now, id| {
        let fails = (id * 7 + i64::try_from(now.as_millis()).unwrap()) % 5 == 0;
        (MILLI * 10, Some(if fails { 404 } else { 200 }))
    });
    let mut simulation = Simulation::new(vec![(settings(8), flaky)]);
    for n in 0..600_u32 {
        simulation.number += 1;
        let lane = ["a", "b", "c"].get(usize::try_from(n % 4).unwrap()).copied();
        simulation.coming.insert((MILLI * 20 * n, simulation.number), Happens::Arrival(0, lane));
    }
    simulation.run(HOUR * 48);
    simulation.assert_each_delivered_once(0, 600);
    for n in 0..3 {
        let lane: Vec<_> =
            simulation.delivered[0].iter().map(|(_, id)| *id).filter(|id| (id - 1) % 4 == n).collect();
        assert!(lane.is_sorted(), "lane {n}");
    }
    assert_eq!(simulation.scheduler.destination(&destination(0)).unwrap().lanes_held(), 0);
}

#[test]
fn each_retry_is_made_when_it_is_due_and_not_later() {
    let fails: App = Box::new(|now, id| {
        // Each event fails at its first two attempts. Both are over within 40 seconds.
        let is_early = now < SECOND * u32::try_from(id % 7).unwrap() + SECOND * 40;
        (MILLI * 10, Some(if is_early { 404 } else { 200 }))
    });
    let mut simulation = Simulation::new(vec![(settings(16), fails)]);
    simulation.arrivals(0, Duration::ZERO, MILLI * 37, 200);
    for second in 1..=600 {
        simulation.run(SECOND * second);
        let now = simulation.now().clocks.wall;
        let late = simulation.rows.values().map(|row| now.since(row.due)).max().unwrap_or_default();
        assert!(late <= MILLI * 100, "a delivery is {late:?} late at {second} s");
    }
    simulation.assert_each_delivered_once(0, 200);
}

#[test]
fn a_lane_goes_on_after_a_dead_letter() {
    let poison: App = Box::new(|_, id| (MILLI, Some(if id == 1 { 410 } else { 200 })));
    let mut simulation = Simulation::new(vec![(settings(8), poison)]);
    simulation.arrive(0, Some("a"), Class::New);
    simulation.arrive(0, Some("a"), Class::New);
    simulation.run(HOUR);
    assert_eq!(simulation.dead, [1]);
    assert_eq!(simulation.delivered[0].len(), 1);
    assert!(simulation.delivered[0][0].0 < SECOND);
}

#[test]
fn attempts_never_exceed_the_rate_and_reach_it() {
    let paced = Settings { interval: Some(MILLI * 20), ..settings(16) };
    let mut simulation = Simulation::new(vec![(paced, fine(MILLI * 50))]);
    simulation.arrivals(0, Duration::ZERO, MILLI, 3000);
    simulation.run(HOUR);
    simulation.assert_each_delivered_once(0, 3000);
    let starts: Vec<_> = simulation.starts[0].iter().map(|(at, _)| *at).collect();
    for pair in starts.windows(2) {
        assert!(pair[1] - pair[0] >= MILLI * 15, "{pair:?}");
    }
    for window in starts.windows(51) {
        assert!(window[50] - window[0] >= MILLI * 995, "more than 50 in a second");
    }
    assert!(starts.last().unwrap() <= &(SECOND * 61), "{:?}", starts.last());
}

#[test]
fn one_slow_destination_of_twenty_delays_no_other() {
    let mut apps: Vec<(Settings, App)> = (1..20).map(|_| (settings(16), fine(MILLI * 5))).collect();
    apps.insert(0, (settings(16), fine(SECOND * 30)));
    let mut simulation = Simulation::new(apps);
    for at in 0..20 {
        simulation.arrivals(at, SECOND + MILLI * u32::try_from(at).unwrap(), MILLI * 20, 1500);
    }
    simulation.run(SECOND * 60);
    for at in 1..20 {
        simulation.assert_each_delivered_once(at, 1500);
        for (n, (done, _)) in simulation.delivered[at].iter().enumerate() {
            let came = SECOND + MILLI * u32::try_from(at).unwrap() + MILLI * 20 * u32::try_from(n).unwrap();
            assert!(*done - came <= MILLI * 15, "event {n} of {at} was late by {:?}", *done - came);
        }
    }
    assert_eq!(simulation.most_under_way[0], 16);
}

#[test]
fn one_event_that_always_fails_holds_up_no_other() {
    let poison: App = Box::new(|_, id| (MILLI * 5, Some(if id == 1 { 500 } else { 200 })));
    let mut simulation = Simulation::new(vec![(settings(1), poison)]);
    simulation.arrivals(0, Duration::ZERO, SECOND, 3600);
    simulation.run(HOUR * 2);
    simulation.assert_each_delivered_once(0, 3599);
    assert!(simulation.probes.is_empty());
    for (at, id) in &simulation.delivered[0] {
        let came = SECOND * u32::try_from(*id - 1).unwrap();
        assert!(*at - came <= MILLI * 20, "event {id} was late by {:?}", *at - came);
    }
    let tries = simulation.starts[0].iter().filter(|(_, id)| *id == 1).count();
    assert!((5..=8).contains(&tries), "{tries}");
}

#[test]
fn six_events_that_always_fail_open_the_circuit_and_a_good_one_closes_it() {
    let poison: App = Box::new(|_, id| (MILLI, Some(if id <= 6 { 503 } else { 200 })));
    let mut simulation = Simulation::new(vec![(settings(4), poison)]);
    simulation.arrivals(0, Duration::ZERO, MILLI * 10, 6);
    simulation.arrivals(0, SECOND * 10, MILLI * 10, 1);
    simulation.run(SECOND * 60);
    assert_eq!(simulation.delivered[0].len(), 1);
    // The good delivery has never been tried, so it is the next probe.
    let after = simulation.probes.iter().find(|(at, _)| *at > SECOND * 10).unwrap();
    assert_eq!(after.1, 7);
}

#[test]
fn probes_take_each_event_in_turn_the_one_not_tried_for_longest_first() {
    let mut simulation = Simulation::new(vec![(settings(1), down_until(HOUR, MILLI))]);
    simulation.arrivals(0, Duration::ZERO, MILLI * 10, 8);
    simulation.run(HOUR);
    let probed: Vec<_> = simulation.probes.iter().map(|(_, id)| *id).collect();
    // Five deliveries have opened the circuit. The probes begin with the untried deliveries. The others
    // follow in the order of their last attempts.
    assert_eq!(probed[..11], [6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8], "{probed:?}");
    for pair in simulation.probes.windows(2) {
        assert!(pair[1].0 - pair[0].0 <= SECOND * 30 + MILLI * 100, "{pair:?}");
    }
}

#[test]
fn a_probe_comes_before_an_event_is_due_where_the_schedule_is_long() {
    let long = Settings { retry: Retry { schedule: vec![HOUR * 2], ..Retry::default() }, ..settings(16) };
    let mut simulation = Simulation::new(vec![(long, down_until(SECOND * 100, MILLI))]);
    simulation.arrivals(0, Duration::ZERO, MILLI * 10, 5);
    simulation.run(SECOND * 100);
    assert!(simulation.probes.len() >= 3, "{:?}", simulation.probes);
    simulation.run(SECOND * 140);
    // The app works again: the probe is delivered, and each other delivery has spent one attempt.
    assert_eq!(simulation.delivered[0].len(), 1);
    assert!(simulation.rows.values().all(|row| row.attempts == 1));
}

#[test]
fn nothing_is_spent_while_the_circuit_is_open() {
    let few =
        Settings { retry: Retry { max_attempts: NonZeroU32::new(2), ..Retry::default() }, ..settings(16) };
    let mut simulation = Simulation::new(vec![(few, down_until(HOUR * 6, MILLI))]);
    simulation.arrivals(0, Duration::ZERO, MILLI * 100, 50);
    simulation.run(HOUR * 12);
    assert!(simulation.dead.is_empty());
    simulation.assert_each_delivered_once(0, 50);
}

#[test]
fn new_events_go_before_retries_and_replays_and_each_has_its_share() {
    let mut simulation = Simulation::new(vec![(settings(1), fine(MILLI * 10))]);
    for _ in 0..100 {
        simulation.arrive(0, None, Class::Retry);
        simulation.arrive(0, None, Class::Replay);
    }
    for _ in 0..100 {
        simulation.arrive(0, None, Class::New);
    }
    simulation.run(HOUR);
    simulation.assert_each_delivered_once(0, 300);
    let class = |id: i64| {
        if id > 200 {
            Class::New
        } else if id % 2 == 1 {
            Class::Retry
        } else {
            Class::Replay
        }
    };
    // The first starts happen before all classes are read.
    let ids: Vec<_> = simulation.starts[0].iter().skip(8).map(|(_, id)| class(*id)).collect();
    for eight in ids.chunks_exact(8).take(8) {
        let count = |class| eight.iter().filter(|other| **other == class).count();
        assert_eq!((count(Class::New), count(Class::Retry), count(Class::Replay)), (5, 2, 1));
    }
}

#[test]
fn replays_do_not_starve_under_a_flood_of_new_events() {
    let mut simulation = Simulation::new(vec![(settings(2), fine(MILLI * 10))]);
    simulation.arrivals(0, Duration::ZERO, MILLI * 2, 20_000);
    for _ in 0..50 {
        simulation.arrive(0, None, Class::Replay);
    }
    simulation.run(SECOND * 10);
    let replayed = simulation.delivered[0].iter().filter(|(_, id)| *id <= 50).count();
    assert_eq!(replayed, 50);
}

#[test]
fn events_that_wait_in_the_store_are_not_overtaken_without_end() {
    // More events arrive than can be delivered.
    let mut simulation = Simulation::new(vec![(settings(2), fine(MILLI * 10))]);
    simulation.arrivals(0, Duration::ZERO, MILLI * 3, 10_000);
    simulation.run(SECOND * 30);
    let ids: Vec<_> = simulation.delivered[0].iter().map(|(_, id)| *id).collect();
    let oldest = simulation.rows.keys().min().unwrap();
    let latest = ids.iter().max().unwrap();
    assert!(
        latest - oldest <= 2 * i64::try_from(MOST_READY).unwrap(),
        "{oldest} waits while {latest} is done"
    );
}

#[test]
fn memory_is_bounded_in_bytes_and_each_destination_may_have_one_delivery() {
    let apps: Vec<(Settings, App)> = (0..20).map(|_| (settings(16), fine(SECOND))).collect();
    let mut simulation = Simulation::new(apps);
    simulation.content = 6 << 20;
    for at in 0..20 {
        for _ in 0..4 {
            simulation.arrive(at, None, Class::New);
        }
    }
    simulation.run(HOUR);
    for at in 0..20 {
        simulation.assert_each_delivered_once(at, 4);
        assert!(simulation.starts[at][0].0 <= MILLI * 200, "{:?}", simulation.starts[at]);
    }
    let most = MOST_BYTES + 20 * (6 << 20);
    assert!(simulation.most_taken.bytes <= most, "{:?}", simulation.most_taken);
}

#[test]
fn large_events_of_one_slow_destination_leave_the_others_their_concurrency() {
    let slow = (settings(16), fine(SECOND * 30));
    let mut simulation = Simulation::new(vec![slow, (settings(16), fine(MILLI * 100))]);
    simulation.content = 4 << 20;
    for _ in 0..64 {
        simulation.arrive(0, None, Class::New);
    }
    simulation.run(SECOND);
    assert!(simulation.scheduler.taken().bytes <= MOST_OF_ONE + (4 << 20));
    simulation.content = 1000;
    simulation.arrivals(1, SECOND, MILLI * 10, 200);
    simulation.run(SECOND * 10);
    simulation.assert_each_delivered_once(1, 200);
    assert!(simulation.most_under_way[1] >= 10, "{:?}", simulation.most_under_way);
}

#[test]
fn a_wall_clock_that_is_put_back_or_forward_stops_no_retries() {
    for ahead in [-400 * 24 * 3_600_000_i64, 400 * 24 * 3_600_000] {
        let mut simulation = Simulation::new(vec![(settings(16), down_until(SECOND * 20, MILLI))]);
        simulation.arrivals(0, Duration::ZERO, MILLI * 10, 3);
        simulation.run(SECOND * 2);
        simulation.wall_ahead = ahead;
        simulation.run(SECOND * 120);
        simulation.assert_each_delivered_once(0, 3);
        assert!(simulation.dead.is_empty());
    }
}

#[test]
fn a_wall_clock_that_is_put_back_delays_no_event_that_was_never_tried() {
    for back in [-3_600_000, -2_000] {
        let mut simulation = Simulation::new(vec![(settings(16), fine(MILLI))]);
        simulation.scheduler.hold(&destination(0), true);
        simulation.arrivals(0, Duration::ZERO, MILLI, 10);
        simulation.run(SECOND);
        simulation.wall_ahead = back;
        simulation.scheduler.hold(&destination(0), false);
        // A second is the difference that is tolerated between two clocks.
        simulation.run(SECOND * 2 + MILLI * 100);
        simulation.assert_each_delivered_once(0, 10);
    }
}

#[test]
fn a_destination_that_is_held_starts_nothing_and_goes_on_when_it_is_released() {
    let mut simulation = Simulation::new(vec![(settings(2), fine(MILLI * 10))]);
    simulation.arrivals(0, Duration::ZERO, MILLI, 10);
    simulation.run(MILLI * 15);
    let name = destination(0);
    simulation.scheduler.hold(&name, true);
    let before = simulation.starts[0].len();
    assert!(before < 10);
    simulation.run(SECOND * 300);
    assert_eq!(simulation.starts[0].len(), before);
    simulation.scheduler.hold(&name, false);
    simulation.run(SECOND * 301);
    simulation.assert_each_delivered_once(0, 10);
}

#[test]
fn a_destination_that_leaves_the_configuration_is_held_until_it_is_back() {
    let mut simulation = Simulation::new(vec![(settings(2), fine(MILLI * 10))]);
    simulation.arrivals(0, Duration::ZERO, MILLI, 10);
    simulation.run(MILLI * 15);
    let now = simulation.now();
    simulation.scheduler.configure(BTreeMap::new(), now);
    let before = simulation.starts[0].len();
    simulation.run(SECOND * 300);
    assert_eq!(simulation.starts[0].len(), before);
    assert!(simulation.scheduler.destination(&destination(0)).is_none());
    let now = simulation.now();
    simulation.scheduler.configure([(destination(0), settings(2))].into(), now);
    simulation.run(SECOND * 301);
    simulation.assert_each_delivered_once(0, 10);
}

#[test]
fn an_idle_destination_is_seldom_read_for() {
    let mut simulation = Simulation::new(vec![(settings(2), fine(MILLI * 10))]);
    simulation.arrivals(0, Duration::ZERO, SECOND, 600);
    simulation.run(SECOND * 600);
    // One read for each of the three classes every minute, and the first search.
    assert!(simulation.reads <= 3 * 12, "{}", simulation.reads);
    simulation.assert_each_delivered_once(0, 600);
}

#[test]
fn a_store_that_cannot_be_read_is_read_again_after_a_pause() {
    let mut simulation = Simulation::new(vec![(settings(2), fine(MILLI * 10))]);
    let now = simulation.now();
    let Some(Step::Read(read)) = simulation.scheduler.step(now) else { panic!("nothing is read") };
    simulation.scheduler.read_failed(&read, now);
    // The other classes are read immediately, and this class is read later.
    let mut classes = vec![];
    while let Some(Step::Read(read)) = simulation.scheduler.step(now) {
        classes.push(read.wanted.class);
        simulation.scheduler.read(&read, Due::default(), now);
    }
    assert!(!classes.contains(&read.wanted.class), "{classes:?}");
    simulation.at = SECOND;
    let now = simulation.now();
    let Some(Step::Read(again)) = simulation.scheduler.step(now) else { panic!("nothing is read") };
    assert_eq!(again.wanted.class, read.wanted.class);
}

/// A read shows the store as it was when the read began. A delivery that ends during the read is still due in
/// the result.
#[test]
fn a_delivery_that_ends_while_the_store_is_read_is_not_made_again() {
    for next in [Next::Delivered, Next::Again { due: Time::from_millis(1_700_000_100_000), spends: true }] {
        let mut simulation = Simulation::new(vec![(settings(2), fine(MILLI))]);
        let (now, name) = (simulation.now(), destination(0));
        let Some(Step::Read(read)) = simulation.scheduler.step(now) else { panic!("nothing is read") };
        assert_eq!(read.wanted.class, Class::New);
        let delivery = DueDelivery {
            id: DeliveryId(1),
            class: Class::New,
            attempts: 0,
            since: now.clocks.wall,
            event: event(1, &name.route, None, 10),
        };
        simulation.scheduler.hand(&name, delivery.clone());
        let Some(Step::Start(start)) = simulation.scheduler.step(now) else { panic!("nothing is started") };
        let (outcome, status) = match next {
            Next::Delivered => (AttemptOutcome::Delivered, Some(200)),
            Next::Again { .. } | Next::Dead(_) => (AttemptOutcome::Refused, Some(400)),
        };
        let ended = Ended { outcome, status, retry_after: None };
        let end = End { id: start.delivery.id, attempts: 0, since: now.clocks.wall, kind: start.kind, ended };
        simulation.scheduler.end(&name, &end, now, 0).unwrap();
        simulation.scheduler.settle(&name, end.id, Class::New, next);
        let due = Due { deliveries: vec![delivery], ..Due::default() };
        simulation.scheduler.read(&read, due, now);
        while let Some(step) = simulation.scheduler.step(now) {
            let Step::Read(read) = step else { panic!("it is started again after {next:?}") };
            simulation.scheduler.read(&read, Due::default(), now);
        }
        assert_eq!(simulation.scheduler.taken(), Taken::default());
    }
}
