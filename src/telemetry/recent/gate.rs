//! Pure. The sampling of entries under load: how many entries of a kind are kept in a time, and how many were
//! left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// After the first entries of a burst, a kind fills all places in this time, and no faster.
const ROUND: Duration = Duration::from_secs(20);

/// The part of the places that a burst of one kind may take at once: a quarter.
const BURST: u64 = 4;

/// A burst may have at least this many entries, if there are as many places.
const LEAST_BURST: u64 = 64;

/// How many entries of each kind are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The time between two entries, in nanoseconds.
    interval: u64,
    /// How much earlier than that an entry of a burst may come, in nanoseconds.
    tolerance: u64,
}

impl Rate {
    /// The rate for this many places.
    pub(crate) fn of(places: usize) -> Self {
        let places = u64::try_from(places).unwrap_or(u64::MAX).max(1);
        let interval = nanos(ROUND).checked_div(places).unwrap_or(u64::MAX).max(1);
        let burst = places.checked_div(BURST).unwrap_or(0).max(LEAST_BURST.min(places));
        Self { interval, tolerance: interval.saturating_mul(burst.saturating_sub(1)) }
    }
}

/// Lets the entries of one kind pass at a rate. Any thread may use it without a lock.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// When the next entry is due if entries come evenly, in nanoseconds since 1970 (the generic cell rate
    /// algorithm).
    due: AtomicU64,
    left_out: AtomicU64,
}

impl Gate {
    /// Whether an entry that comes now is kept. An entry that is not kept is counted.
    pub(crate) fn passes(&self, now: SystemTime, rate: Rate) -> bool {
        let now = nanos(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let latest = now.saturating_add(rate.tolerance);
        let passes = self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
            // A clock that was set back would leave entries out until it has caught up.
            let due = if due > latest.saturating_add(rate.interval) { now } else { due };
            (due <= latest).then(|| due.max(now).saturating_add(rate.interval))
        });
        if passes.is_err() {
            self.leave_out();
        }
        passes.is_ok()
    }

    /// Counts an entry that is not kept.
    pub(super) fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// How many entries were left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000) + Duration::from_millis(millis)
    }

    fn kept(gate: &Gate, rate: Rate, number: usize, at: SystemTime) -> usize {
        (0..number).filter(|_| gate.passes(at, rate)).count()
    }

    #[test]
    fn a_burst_passes_and_then_an_even_rate() {
        let (gate, rate) = (Gate::default(), Rate::of(1000));
        assert_eq!(kept(&gate, rate, 1000, at(0)), 250);
        assert_eq!(kept(&gate, rate, 1000, at(1000)), 50);
        assert_eq!(kept(&gate, rate, 1000, at(61_000)), 250, "after a rest, a burst again");
        assert_eq!(gate.left_out(), 3000 - 550);
    }

    #[test]
    fn all_entries_of_a_slow_sender_pass() {
        let (gate, rate) = (Gate::default(), Rate::of(1000));
        assert!((0..10_000).all(|number| gate.passes(at(number * 20), rate)));
        assert_eq!(gate.left_out(), 0);
    }

    #[test]
    fn few_places_are_all_filled_at_once() {
        for (places, burst) in [(1, 1), (10, 10), (64, 64), (65, 64), (256, 64), (260, 65)] {
            assert_eq!(kept(&Gate::default(), Rate::of(places), 1000, at(0)), burst, "{places}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let (gate, rate) = (Gate::default(), Rate::of(1000));
        assert_eq!(kept(&gate, rate, 1000, at(3_600_000)), 250);
        assert_eq!(kept(&gate, rate, 1000, at(0)), 250);
    }
}
