//! Pure. Counters and histograms that one thread writes and any thread may read.
//!
//! A worker counts in its own memory: a count is a load, an addition and a store, without contention for cache lines
//! between workers. The counts of all workers are summed when the metrics are read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A counter. Only one thread may write it: two writers would lose some of each other's additions.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to the counter.
    pub fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads the value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The inclusive upper bounds of the buckets, in microseconds. A rejection takes well under a millisecond, an upstream that
/// works synchronously takes seconds, and the longest time-outs in use are a minute.
pub const BOUNDS: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// A histogram of durations. Written by one thread, as a [`Count`] is.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Count; BOUNDS.len()],
    beyond: Count,
    micros: Count,
}

impl Histogram {
    /// Adds a duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().zip(&self.buckets).find(|(bound, _)| micros <= **bound);
        bucket.map_or(&self.beyond, |(_, count)| count).add(1);
        self.micros.add(micros);
    }

    /// Adds its buckets to a sum.
    pub fn add_to(&self, sum: &mut Distribution) {
        for (total, count) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total = total.wrapping_add(count.get());
        }
        sum.beyond = sum.beyond.wrapping_add(self.beyond.get());
        sum.micros = sum.micros.wrapping_add(self.micros.get());
    }
}

/// The sum of several histograms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// The durations in each bucket, not cumulated.
    pub buckets: [u64; BOUNDS.len()],
    /// The durations above the last bound.
    pub beyond: u64,
    /// The sum of all durations, in microseconds.
    pub micros: u64,
}

impl Distribution {
    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(self.beyond, |sum, count| sum.wrapping_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_reaches_it() {
        let histogram = Histogram::default();
        for micros in [0, 250, 251, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        histogram.observe(Duration::MAX);
        let mut sum = Distribution::default();
        histogram.add_to(&mut sum);
        assert_eq!((sum.buckets[0], sum.buckets[1], sum.buckets[15], sum.beyond), (2, 1, 1, 2));
        assert_eq!(sum.count(), 6);
        histogram.add_to(&mut sum);
        assert_eq!(sum.count(), 12);
    }

    #[test]
    fn the_bounds_rise() {
        assert!(BOUNDS.is_sorted());
    }
}
