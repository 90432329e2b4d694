//! Gives the same commands to two stores, and compares the results: ten thousand events, in an order that a
//! seed determines.

use std::fmt::Write as _;
use std::sync::Arc;

use hookgate::queue::event::{AttemptOutcome, Event, FirstAttempt, OrderKey};
use hookgate::queue::id::EventId;
use hookgate::queue::sqlite::{Findings, OwnerLock, Sqlite};
use hookgate::queue::store::{
    Batch, Bounds, Change, Check, Class, Completion, DeadCause, DeliveryId, Destination, Filter, Next,
};
use hookgate::queue::time::Time;

use super::lists::walk_ids;
use super::{Opened, Place, copy, main, retention};
use crate::support::event::{Make, attempt, event, route};

/// A small generator of random numbers (xorshift). The same seed repeats a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(u64::try_from(all.len().max(1)).unwrap());
        all.get(usize::try_from(at).unwrap())
    }
}

const PATHS: [&str; 3] = ["/a", "/b", "/c"];
const COPY: &str = "http://127.0.0.1:4000";
const NOTHING: &str = ": 0 queued (0 bytes, None), 0 delivered, 0 dead";
/// The most deliveries of one query.
const MOST: usize = 7;

/// The state of a test run.
struct Run {
    random: Random,
    now: u64,
    made: u64,
    events: Vec<EventId>,
    /// Deliveries that were taken and have not come back.
    taken: Vec<(DeliveryId, Time)>,
}

impl Run {
    fn event(&mut self) -> (Make, Event) {
        self.made += 1;
        let random = &mut self.random;
        let path = PATHS[usize::try_from(random.below(3)).unwrap()];
        let length =
            usize::try_from(if random.one_in(50) { random.below(20_000) } else { random.below(40) }).unwrap();
        let mut make = event(path, self.now).number(self.made).content(vec![b'x'; length]);
        if random.one_in(3) {
            make = make.copy(COPY);
        }
        if random.one_in(2) {
            make = make.order(["k", "l", ""][usize::try_from(random.below(3)).unwrap()]);
        }
        if random.one_in(4) {
            let key = [u8::try_from(random.below(20)).unwrap(); 32];
            make = make.duplicate(key, self.now + random.below(3_000));
        }
        if random.one_in(5) {
            make = make.model(["leases", "leads"][usize::try_from(random.below(2)).unwrap()]);
        }
        let mut made = make.make();
        if random.one_in(6) {
            let due = Time::from_millis(self.now + random.below(500));
            made = made.after(FirstAttempt { attempt: attempt(self.now, AttemptOutcome::TimedOut), due });
        }
        (make, made)
    }

    fn next(&mut self) -> Next {
        let due = Time::from_millis(self.now + self.random.below(400));
        match self.random.below(10) {
            0 => Next::Dead(DeadCause::Refused),
            1 => Next::Dead(DeadCause::Undeliverable),
            2 | 3 => Next::Again { due, spends: true },
            4 => Next::Again { due, spends: false },
            _ => Next::Delivered,
        }
    }

    fn completion(&mut self, (id, since): (DeliveryId, Time)) -> Completion {
        let outcome = AttemptOutcome::ALL[usize::try_from(self.random.below(5)).unwrap()];
        Completion { id, since, attempt: attempt(self.now, outcome), next: self.next() }
    }

    fn change(&mut self) -> Option<Change> {
        let path = PATHS[usize::try_from(self.random.below(3)).unwrap()];
        let model = self.random.one_in(5).then_some("leases");
        Some(match self.random.below(8) {
            0 => Change::Pause(route(path, model)),
            1 | 2 => Change::Resume(route(path, model)),
            3 => Change::Discard(*self.random.of(&self.events)?),
            4 | 5 => Change::ReplayDead(*self.random.of(&self.events)?),
            _ => Change::Replay(*self.random.of(&self.events)?),
        })
    }

    fn filter(&mut self) -> Filter {
        let random = &mut self.random;
        let word = |random: &mut Random, words: &[&str]| random.of(words).map(|word| (*word).to_owned());
        Filter {
            state: random.one_in(2).then(|| word(random, &["queued", "delivered", "dead"])).flatten(),
            route: random.one_in(3).then(|| word(random, &PATHS)).flatten(),
            since: random.one_in(4).then(|| random.below(self.now)),
            until: random.one_in(4).then(|| random.below(self.now)),
            ids: Vec::new(),
            model: random.one_in(6).then(|| word(random, &["leases", "leads"])).flatten(),
            failure: random
                .one_in(5)
                .then(|| word(random, &["500", "200", "unreachable", "timed_out", "damaged"]))
                .flatten(),
        }
    }
}

/// Puts the same question to both stores, and compares the answers.
fn same<T: PartialEq + std::fmt::Debug>(stores: &mut [Opened; 2], ask: impl Fn(&mut Opened) -> T) -> T {
    let [one, other] = stores;
    let (one, other) = (ask(one), ask(other));
    assert_eq!(one, other);
    one
}

fn destinations() -> Vec<Destination> {
    let mut all: Vec<_> = PATHS.iter().flat_map(|path| [main(path), copy(path, COPY)]).collect();
    for model in ["leases", "leads"] {
        all.extend(PATHS.iter().map(|path| {
            let mut destination = main(path);
            destination.route = route(path, Some(model));
            destination
        }));
    }
    all
}

fn run(seed: u64, events: u64, engine: fn() -> Place) {
    let places = [engine(), Place::memory()];
    let open = || [places[0].open(), places[1].open()];
    let mut stores = open();
    let mut run =
        Run { random: Random(seed), now: 1_000_000, made: 0, events: Vec::new(), taken: Vec::new() };
    let destinations = destinations();
    while run.made < events {
        run.now += run.random.below(60);
        let made: Vec<_> = (0..run.random.below(12)).map(|_| run.event()).collect();
        run.events.extend(made.iter().map(|(make, _)| make.id()));
        let mut completions = Vec::new();
        while !run.taken.is_empty() && !run.random.one_in(8) {
            let at = usize::try_from(run.random.below(run.taken.len() as u64)).unwrap();
            let taken = run.taken.swap_remove(at);
            completions.push(run.completion(taken));
        }
        let changes: Vec<_> = (0..run.random.below(3)).filter_map(|_| run.change()).collect();
        let now = Time::from_millis(run.now);
        same(&mut stores, |opened| {
            let committed = opened.commit(Batch {
                events: made.iter().map(|(_, event)| event).collect(),
                completions: completions.clone(),
                changes: changes.clone(),
                now,
                ..Batch::default()
            });
            (committed.deliveries, committed.changed, committed.superseded)
        });
        let destination = run.random.of(&destinations).unwrap().clone();
        let class = *run.random.of(&[Class::New, Class::Retry, Class::Replay]).unwrap();
        let most_bytes = if run.random.one_in(3) { run.random.below(30_000) } else { u64::MAX };
        let taken: Vec<_> = run.taken.iter().map(|(id, _)| *id).collect();
        let due = same(&mut stores, |opened| {
            let due = opened.ask(&destination, class, now.millis(), &taken, MOST, most_bytes);
            assert!(due.damaged.is_empty());
            let what: Vec<_> = due
                .deliveries
                .iter()
                .map(|d| (d.id, d.attempts, d.since, d.event.head().to_vec(), d.event.content().to_vec()))
                .collect();
            let taken: Vec<_> = due.deliveries.iter().map(|d| (d.id, d.since)).collect();
            (what, due.has_more, due.next, taken)
        });
        run.taken.extend(due.3);
        match run.random.below(25) {
            0 => {
                stores = {
                    drop(stores);
                    open()
                };
            }
            1 => {
                let most = usize::try_from(run.random.below(6)).unwrap();
                same(&mut stores, |o| o.store.purge(now, retention(2_000, 9_000, 4_000), most).unwrap());
            }
            2 => {
                let filter = run.filter();
                let before = run.random.one_in(2).then(|| run.random.of(&run.events).copied()).flatten();
                same(&mut stores, |opened| {
                    let page = opened.reader.page(&filter, before, Bounds::of(5)).unwrap().found;
                    let part = Bounds { found: 20, looked_at: 40 };
                    let ids = walk_ids(opened, &filter, part);
                    let count = opened.reader.count(&filter, 10_000).unwrap();
                    (format!("{page:?}"), count, ids)
                });
            }
            3 => {
                let id = run.random.of(&run.events).copied();
                let key = [u8::try_from(run.random.below(20)).unwrap(); 32];
                let path = route(PATHS[usize::try_from(run.random.below(3)).unwrap()], None);
                same(&mut stores, |opened| {
                    let mut text = String::new();
                    let detail = id.map(|id| opened.reader.detail(id).unwrap());
                    write!(text, "{detail:?}").unwrap();
                    let seen = opened.reader.is_seen(&path, &key, now).unwrap();
                    let waits = opened.reader.is_waiting(&path, &OrderKey::new("k")).unwrap();
                    (text, seen, waits)
                });
            }
            4 => stores[0].store.idle().unwrap(),
            _ => {}
        }
        if run.random.one_in(10) {
            same(&mut stores, |opened| {
                // A destination without deliveries may be listed or not.
                let counts = opened.counts();
                let counts = counts.lines().filter(|line| !line.ends_with(NOTHING)).map(str::to_owned);
                (counts.collect::<Vec<_>>(), opened.store.statistics().unwrap().paused)
            });
        }
    }
    // Nothing of this looks like damage.
    drop(stores);
    let Place::File(folder) = &places[0] else { return };
    let lock = Arc::new(OwnerLock::take(&folder.path().join("events.db")).unwrap());
    let found = Sqlite::open(&lock, Check::No).unwrap().look_for_damage().unwrap();
    assert_eq!(found, Findings::default(), "seed {seed}");
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[test]
fn both_engines_do_the_same_with_ten_thousand_events() {
    for seed in 1..=10 {
        run(SEED.wrapping_mul(seed), 1_000, Place::file);
    }
}

#[test]
#[ignore = "needs a server: tests/postgres/run"]
fn postgres_does_the_same_as_the_engine_in_memory_with_ten_thousand_events() {
    for seed in 1..=10 {
        run(SEED.wrapping_mul(seed), 1_000, Place::postgres);
    }
}
