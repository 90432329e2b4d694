//! Pure. The largest values that gateway.toml may set.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The bounds of a duration.
#[derive(Clone, Copy)]
pub(super) struct Durations {
    /// The longest duration. A longer duration is a typing error. A duration near the greatest time would
    /// make sums overflow.
    pub(super) most: Duration,
    /// Why the duration cannot be zero.
    pub(super) not_zero: &'static str,
    /// How the help text introduces its duration: as the default, or as an example.
    pub(super) hint: &'static str,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The bounds of timeouts, and of durations without bounds of their own.
pub(super) const TIMEOUT: Durations =
    Durations { most: DAY, not_zero: "nothing would be in time", hint: "the default is" };
/// The bounds of the time for which an event is kept.
pub(super) const KEPT: Durations = Durations {
    most: DAY.saturating_mul(3650),
    not_zero: "no such event could be looked at",
    hint: "the default is",
};
/// The bounds of the time for which other gateways wait for a lost gateway.
pub(super) const LEASE: Durations = Durations {
    most: DAY,
    not_zero: "each gateway would take what another one is sending",
    hint: "the default is",
};
/// The shortest lease. Within this time, a gateway renews its lease several times.
pub(super) const SHORTEST_LEASE: Duration = Duration::from_secs(3);
/// The bounds of a wait between two attempts.
pub(super) const WAIT: Durations = Durations {
    most: DAY.saturating_mul(7),
    not_zero: "a failing app would be asked without a pause",
    hint: "for example",
};
/// The bounds of the age at which a delivery is given up.
pub(super) const AGE: Durations = Durations {
    most: DAY.saturating_mul(365),
    not_zero: "nothing would be tried again",
    hint: "the default is",
};
/// The bounds of the time in which an event counts as a duplicate.
pub(super) const DUPLICATE: Durations =
    Durations { most: DAY.saturating_mul(30), not_zero: "nothing would be a duplicate", hint: "for example" };

/// The most workers. A larger number is a typing error: no machine has so many cores.
pub(super) const MOST_WORKERS: usize = 1024;
pub(super) const MOST_CONNECTIONS: usize = 10_000_000;
/// The largest size in bytes.
pub(super) const MOST_MEMORY: u64 = 1 << 40;

/// The most failures that a client may be allowed.
pub(super) const MOST_FAILURES: u32 = 100_000;
/// The times within which the failures of a client may be limited.
pub(super) const FAILURES_WITHIN: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;

/// The most idle upstream connections. A larger number is a typing error.
pub(super) const MOST_IDLE: usize = 100_000;

/// The most bytes on disk that a key may name: a pebibyte.
pub(super) const MOST_DISK: u64 = 1 << 50;
/// The smallest store: a database without events takes about as much.
pub(super) const SMALLEST_STORE: u64 = 64 << 10;
/// The least free space that is sensible. With less, other programs fail before the store notices.
pub(super) const LITTLE_FREE: u64 = 16 << 20;

/// The most waits in a schedule. More waits are an error: the last wait repeats anyway.
pub(super) const MOST_WAITS: usize = 100;
pub(super) const MOST_ATTEMPTS: usize = 1_000_000;
/// The most concurrent deliveries to one app. Each of them takes a connection, and the memory of its event.
pub(super) const MOST_CONCURRENCY: usize = 1024;
/// The most attempts in a unit of time that a `rate` may name. A larger number would limit nothing.
pub(super) const MOST_RATE: u32 = 100_000;
/// The most copies of a route. Each copy is another delivery of every event.
pub(super) const MOST_COPIES: usize = 16;

/// The most recent requests (`recent`): 10,000 entries of up to 3 KiB.
pub(super) const MOST_RECENT: usize = 10_000;
