//! Pure. The largest values that gateway.toml may set.

use std::time::Duration;

/// The durations that a key takes.
#[derive(Clone, Copy)]
pub(super) struct Durations {
    /// The longest. A longer one is a slip, and near the end of time sums overflow.
    pub(super) most: Duration,
    /// Why it cannot be zero.
    pub(super) not_zero: &'static str,
    /// What the duration in the help text is: the default, or an example.
    pub(super) hint: &'static str,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The bounds of timeouts, and of durations without bounds of their own.
pub(super) const TIMEOUT: Durations =
    Durations { most: DAY, not_zero: "nothing would be in time", hint: "the default is" };
/// How long an event is kept.
pub(super) const KEPT: Durations = Durations {
    most: DAY.saturating_mul(3650),
    not_zero: "no such event could be looked at",
    hint: "the default is",
};
/// A wait between two attempts.
pub(super) const WAIT: Durations = Durations {
    most: DAY.saturating_mul(7),
    not_zero: "a failing app would be asked without a pause",
    hint: "for example",
};
/// The age at which a delivery is given up.
pub(super) const AGE: Durations = Durations {
    most: DAY.saturating_mul(365),
    not_zero: "nothing would be tried again",
    hint: "the default is",
};
/// The time in which an event counts as a duplicate.
pub(super) const DUPLICATE: Durations =
    Durations { most: DAY.saturating_mul(30), not_zero: "nothing would be a duplicate", hint: "for example" };

/// The most workers. More is a slip: no machine has as many cores.
pub(super) const MOST_WORKERS: usize = 1024;
pub(super) const MOST_CONNECTIONS: usize = 10_000_000;
/// The largest size in bytes.
pub(super) const MOST_MEMORY: u64 = 1 << 40;

/// The most idle upstream connections. More is a slip.
pub(super) const MOST_IDLE: usize = 100_000;

/// The most bytes on disk that a key may name: a pebibyte.
pub(super) const MOST_DISK: u64 = 1 << 50;
/// The smallest store: a database without events takes about as much.
pub(super) const SMALLEST_STORE: u64 = 64 << 10;
/// With less free space, other programs fail before the store notices.
pub(super) const LITTLE_FREE: u64 = 16 << 20;

/// The most steps of a schedule. More is a slip: the last one repeats.
pub(super) const MOST_WAITS: usize = 100;
pub(super) const MOST_ATTEMPTS: usize = 1_000_000;
/// The most deliveries to one app at once: each takes a connection, and its event's memory.
pub(super) const MOST_CONCURRENCY: usize = 1024;
/// The most attempts in a unit of time that a `rate` may name. More is no limit.
pub(super) const MOST_RATE: u32 = 100_000;
/// The most copies of a route: each is another delivery of every event.
pub(super) const MOST_COPIES: usize = 16;
