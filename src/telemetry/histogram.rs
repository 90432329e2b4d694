//! Pure. A histogram of durations.

use std::time::Duration;

/// The inclusive upper bounds of the buckets, in microseconds. A refusal takes much less than a millisecond.
/// An upstream that works while the client waits takes seconds. The longest time limits in use are a minute.
pub const BOUNDS: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// The number of durations in each bucket. A bucket does not include the buckets below it.
    pub buckets: [u64; BOUNDS.len()],
    /// The number of durations above the last bound.
    pub beyond: u64,
    /// The sum of all durations, in microseconds.
    pub micros: u64,
}

impl Distribution {
    /// Adds a duration.
    pub fn observe(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().zip(&mut self.buckets).find(|(bound, _)| micros <= **bound);
        let count = bucket.map_or(&mut self.beyond, |(_, count)| count);
        *count = count.wrapping_add(1);
        self.micros = self.micros.wrapping_add(micros);
    }

    /// Adds the durations of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (total, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *total = total.wrapping_add(*count);
        }
        self.beyond = self.beyond.wrapping_add(other.beyond);
        self.micros = self.micros.wrapping_add(other.micros);
    }

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
        let mut histogram = Distribution::default();
        for micros in [0, 250, 251, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        histogram.observe(Duration::MAX);
        let mut sum = Distribution::default();
        sum.add(&histogram);
        assert_eq!((sum.buckets[0], sum.buckets[1], sum.buckets[15], sum.beyond), (2, 1, 1, 2));
        assert_eq!(sum.count(), 6);
        sum.add(&histogram);
        assert_eq!(sum.count(), 12);
    }

    #[test]
    fn the_bounds_rise() {
        assert!(BOUNDS.is_sorted());
    }
}
