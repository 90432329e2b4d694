//! Pure. Counters and histograms that one thread writes and any thread may read.
//!
//! A worker counts in memory of its own, so that the workers do not pass cache lines around, and a count is a load, an
//! addition and a store. What the workers have is added up when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number. Only one thread may write it: two that did would lose each other's additions, and nothing worse.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    /// Replaces it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads it.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper ends of the buckets, in microseconds, inclusive. A refusal takes well under a millisecond, an app that does its
/// work at once some, and the longest time-outs in use are a minute.
pub const BOUNDS: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// Durations, counted by bucket. Written by one thread, as a [`Count`] is.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Count; BOUNDS.len()],
    beyond: Count,
    micros: Count,
}

impl Histogram {
    /// Takes a duration in.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().zip(&self.buckets).find(|(bound, _)| micros <= **bound);
        bucket.map_or(&self.beyond, |(_, count)| count).add(1);
        self.micros.add(micros);
    }

    /// Adds what it holds to a sum.
    pub fn add_to(&self, sum: &mut Distribution) {
        for (total, count) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total = total.wrapping_add(count.get());
        }
        sum.beyond = sum.beyond.wrapping_add(self.beyond.get());
        sum.micros = sum.micros.wrapping_add(self.micros.get());
    }
}

/// The sum of some histograms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many there are in each bucket, and not in the ones before it.
    pub buckets: [u64; BOUNDS.len()],
    /// How many are beyond the last.
    pub beyond: u64,
    /// All durations together, in microseconds.
    pub micros: u64,
}

impl Distribution {
    /// How many there are.
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
