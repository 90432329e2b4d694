//! Pure. The circuit of an upstream: it stops deliveries while the upstream is in trouble.
//!
//! The circuit opens when deliveries of [`OPENS_AFTER`] different events in a row fail because of the
//! upstream. A single event that always fails does not open the circuit, however often it is tried. While the
//! circuit is open, one event at a time is tried: a probe. The first attempt that shows a working upstream
//! closes the circuit. Then the number of concurrent deliveries grows from one: 1, 2, 4, and so on.

use std::time::{Duration, Instant};

use crate::queue::retry::{longest, step, varied};
use crate::queue::store::DeliveryId;

/// How many different events in a row must fail before the circuit opens.
pub const OPENS_AFTER: usize = 5;

/// The longest time between two probes.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether an attempt is an ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The attempt is made because the delivery is due.
    Ordinary,
    /// The circuit is open, and the attempt shows whether the upstream works. A failed probe is not counted
    /// as an attempt.
    Probe,
}

/// What the outcome of an attempt says about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The upstream works: it has answered, and the status code is neither 429 nor 5xx.
    Works,
    /// The upstream is in trouble.
    Trouble,
}

/// The settings and the time at which an attempt ends.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'c> {
    /// The most concurrent deliveries.
    pub concurrency: usize,
    /// The schedule of retries.
    pub schedule: &'c [Duration],
    /// The monotonic time.
    pub now: Instant,
    /// Any number: it varies the time of the next probe.
    pub random: u64,
    /// The wait that the upstream asks for in its answer, if there is one.
    pub asked: Option<Duration>,
}

/// What a request needs to know of the circuit of its route's upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Standing {
    /// The circuit is closed. A sign that the upstream works changes nothing.
    #[default]
    Calm,
    /// The circuit is closed. Failures were counted, or the number of concurrent deliveries still grows.
    Counting,
    /// The circuit is open.
    Open,
}

/// What an attempt has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The circuit has opened.
    Opened,
    /// The circuit has closed.
    Closed,
}

/// The circuit of an upstream.
#[derive(Debug, Default)]
pub struct Circuit {
    /// The events whose deliveries have failed since the upstream last worked: at most [`OPENS_AFTER`].
    run: Vec<DeliveryId>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum State {
    /// The circuit does not limit the number of concurrent deliveries.
    #[default]
    Closed,
    /// At most `limit` deliveries are concurrent. `good` of them have ended well since the limit was set.
    Ramp { limit: usize, good: usize },
    /// Only probes are made. The next probe is due at `probe_at`; `failed` probes have failed so far.
    Open { probe_at: Option<Instant>, failed: u32 },
}

impl Circuit {
    /// Whether the circuit is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// The part of the circuit's state that requests need.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.state {
            State::Closed if self.run.is_empty() => Standing::Calm,
            State::Closed | State::Ramp { .. } => Standing::Counting,
            State::Open { .. } => Standing::Open,
        }
    }

    /// The greatest number of concurrent deliveries that the circuit allows, at most the configured
    /// `concurrency`.
    #[must_use]
    pub fn allows(&self, concurrency: usize) -> usize {
        match self.state {
            State::Closed => concurrency,
            State::Ramp { limit, .. } => limit.min(concurrency),
            State::Open { .. } => 1,
        }
    }

    /// When the next probe is due, if the circuit is open. `None` also if that time overflows.
    #[must_use]
    pub fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { probe_at, .. } => probe_at,
            State::Closed | State::Ramp { .. } => None,
        }
    }

    /// The deliveries whose failures have opened the circuit, the earliest first.
    #[must_use]
    pub fn run(&self) -> &[DeliveryId] {
        &self.run
    }

    /// Records the outcome of an attempt.
    pub fn record(
        &mut self,
        delivery: DeliveryId,
        kind: Kind,
        sign: Sign,
        conditions: Conditions<'_>,
    ) -> Option<Turned> {
        match sign {
            Sign::Works => self.works(conditions.concurrency),
            Sign::Trouble => self.trouble(delivery, kind, conditions),
        }
    }

    /// Records a sign that the upstream works.
    pub fn works(&mut self, concurrency: usize) -> Option<Turned> {
        self.run.clear();
        match self.state {
            State::Closed => None,
            State::Ramp { limit, good } => {
                let good = good.saturating_add(1);
                self.state = if good < limit {
                    State::Ramp { limit, good }
                } else if limit.saturating_mul(2) < concurrency {
                    State::Ramp { limit: limit.saturating_mul(2), good: 0 }
                } else {
                    State::Closed
                };
                None
            }
            State::Open { .. } => {
                self.state = if concurrency > 1 { State::Ramp { limit: 1, good: 0 } } else { State::Closed };
                Some(Turned::Closed)
            }
        }
    }

    fn trouble(&mut self, delivery: DeliveryId, kind: Kind, conditions: Conditions<'_>) -> Option<Turned> {
        let Conditions { now, .. } = conditions;
        if let State::Open { failed, .. } = self.state {
            if kind == Kind::Ordinary {
                // This attempt was under way when the circuit opened.
                return None;
            }
            let failed = failed.saturating_add(1);
            self.state = State::Open { probe_at: now.checked_add(pause(failed, conditions)), failed };
            return None;
        }
        if !self.run.contains(&delivery) {
            self.run.push(delivery);
        }
        if self.run.len() >= OPENS_AFTER {
            self.state = State::Open { probe_at: now.checked_add(pause(0, conditions)), failed: 0 };
            return Some(Turned::Opened);
        }
        if let State::Ramp { limit, .. } = self.state {
            self.state = State::Ramp { limit, good: 0 };
        }
        None
    }
}

/// The time to the next probe, after `failed` probes have failed. It grows along the schedule. A longer wait
/// that the upstream asks for replaces it, up to the longest time between two probes.
fn pause(failed: u32, conditions: Conditions<'_>) -> Duration {
    let Conditions { schedule, random, asked, .. } = conditions;
    let own = varied(step(schedule, failed), random);
    asked.map_or(own, |asked| own.max(asked)).min(longest(schedule).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// The `random` value that leaves a wait unchanged.
    const MIDDLE: u64 = 200;

    struct Try {
        circuit: Circuit,
        now: Instant,
        schedule: Vec<Duration>,
        asked: Option<Duration>,
    }

    impl Try {
        fn new() -> Self {
            let schedule = [5, 30, 120].map(Duration::from_secs).to_vec();
            Self { circuit: Circuit::default(), now: Instant::now(), schedule, asked: None }
        }

        fn record(&mut self, delivery: i64, sign: Sign) -> Option<Turned> {
            let kind = if self.circuit.is_open() { Kind::Probe } else { Kind::Ordinary };
            self.record_as(delivery, kind, sign, 16)
        }

        fn record_as(&mut self, delivery: i64, kind: Kind, sign: Sign, concurrency: usize) -> Option<Turned> {
            let Self { now, asked, .. } = *self;
            let conditions = Conditions { concurrency, schedule: &self.schedule, now, random: MIDDLE, asked };
            self.circuit.record(DeliveryId(delivery), kind, sign, conditions)
        }

        fn trouble(&mut self, delivery: i64) -> Option<Turned> {
            self.record(delivery, Sign::Trouble)
        }

        fn opened() -> Self {
            let mut this = Self::new();
            let turned: Vec<_> = (1..=5).map(|delivery| this.trouble(delivery)).collect();
            assert_eq!(turned, [None, None, None, None, Some(Turned::Opened)]);
            this
        }
    }

    #[test]
    fn five_different_events_in_a_row_open_it_and_four_do_not() {
        let mut this = Try::new();
        (1..=4).for_each(|delivery| assert_eq!(this.trouble(delivery), None));
        assert!(!this.circuit.is_open());
        assert_eq!(this.circuit.allows(16), 16);
        assert_eq!(this.trouble(5), Some(Turned::Opened));
        assert!(this.circuit.is_open());
        assert_eq!(this.circuit.allows(16), 1);
        assert_eq!(this.circuit.run().len(), 5);
    }

    #[test]
    fn one_event_that_always_fails_opens_nothing() {
        let mut this = Try::new();
        (0..1000).for_each(|_| assert_eq!(this.trouble(1), None));
        (0..1000).for_each(|n| assert_eq!(this.trouble(n % 4), None));
        assert!(!this.circuit.is_open());
    }

    #[test]
    fn a_good_answer_in_between_begins_the_row_anew() {
        let mut this = Try::new();
        (1..=4).for_each(|delivery| assert_eq!(this.trouble(delivery), None));
        assert_eq!(this.record(9, Sign::Works), None);
        (1..=4).for_each(|delivery| assert_eq!(this.trouble(delivery), None));
        assert_eq!(this.trouble(5), Some(Turned::Opened));
    }

    #[test]
    fn probes_come_further_apart_but_no_further_than_thirty_seconds_or_the_longest_step() {
        for (schedule, want) in [
            (vec![5, 30, 120], vec![5, 30, 30, 30]),
            (vec![2, 4, 8], vec![2, 4, 8, 8]),
            (vec![7200], vec![30, 30, 30, 30]),
            (vec![1], vec![1, 1, 1, 1]),
        ] {
            let mut this = Try::new();
            this.schedule = schedule.into_iter().map(Duration::from_secs).collect();
            for delivery in 1..=5 {
                this.trouble(delivery);
            }
            for seconds in want {
                let at = this.circuit.probe_at().unwrap();
                assert_eq!(at - this.now, SECOND * seconds);
                this.now = at;
                assert_eq!(this.trouble(7), None);
            }
        }
    }

    #[test]
    fn variation_never_takes_a_probe_further_away_than_allowed() {
        let schedule = [SECOND * 5];
        for random in 0..401 {
            let conditions =
                Conditions { concurrency: 16, schedule: &schedule, now: Instant::now(), random, asked: None };
            let pause = pause(3, conditions);
            assert!((SECOND * 4..=SECOND * 5).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn a_probe_comes_no_sooner_than_the_upstream_asks_for_within_the_longest_pause() {
        for (asked, want) in [(0, 5), (5, 5), (6, 6), (29, 29), (30, 30), (31, 30), (u64::MAX, 30)] {
            let mut this = Try::new();
            this.asked = Some(Duration::from_secs(asked));
            for delivery in 1..=5 {
                this.trouble(delivery);
            }
            assert_eq!(this.circuit.probe_at().unwrap() - this.now, SECOND * want, "{asked}");
            this.asked = None;
            this.trouble(7);
            assert_eq!(this.circuit.probe_at().unwrap() - this.now, SECOND * 30, "{asked}");
        }
    }

    #[test]
    fn what_was_under_way_when_it_opened_moves_no_probe_and_may_close_it() {
        let mut this = Try::opened();
        let before = this.circuit.probe_at();
        this.now += SECOND;
        for delivery in 6..16 {
            let turned = this.record_as(delivery, Kind::Ordinary, Sign::Trouble, 16);
            assert_eq!((turned, this.circuit.probe_at()), (None, before));
        }
        let turned = this.record_as(16, Kind::Ordinary, Sign::Works, 16);
        assert_eq!(turned, Some(Turned::Closed));
    }

    #[test]
    fn the_first_success_closes_it_and_concurrency_grows_in_steps() {
        let mut this = Try::opened();
        assert_eq!(this.record(8, Sign::Works), Some(Turned::Closed));
        assert!(!this.circuit.is_open() && this.circuit.probe_at().is_none());
        let mut limits = Vec::new();
        for delivery in 0..20 {
            limits.push(this.circuit.allows(16));
            assert_eq!(this.record(delivery, Sign::Works), None);
        }
        let want = [1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8, 16, 16, 16, 16, 16];
        assert_eq!(limits, want);
    }

    #[test]
    fn trouble_on_the_way_up_stops_the_growth_and_five_different_events_open_it_again() {
        let mut this = Try::opened();
        assert_eq!(this.record(8, Sign::Works), Some(Turned::Closed));
        assert_eq!(this.record(9, Sign::Works), None);
        assert_eq!(this.circuit.allows(16), 2);
        assert_eq!(this.record(10, Sign::Works), None);
        assert_eq!(this.trouble(1), None);
        assert_eq!(this.record(11, Sign::Works), None);
        assert_eq!(this.circuit.allows(16), 2);
        (1..=4).for_each(|delivery| assert_eq!(this.trouble(delivery), None));
        assert_eq!(this.trouble(5), Some(Turned::Opened));
    }

    #[test]
    fn a_concurrency_of_one_needs_no_growth() {
        let mut this = Try::opened();
        let turned = this.record_as(6, Kind::Probe, Sign::Works, 1);
        assert_eq!(turned, Some(Turned::Closed));
        assert_eq!(this.circuit.allows(1), 1);
        // A greater concurrency, set by a reload, applies immediately.
        assert_eq!(this.circuit.allows(16), 16);
    }
}
