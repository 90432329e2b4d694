//! Pure. The largest values that gateway.toml may set.

use std::time::Duration;

/// The longest duration. A longer one is a slip, and near the end of time sums overflow.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The most workers. More is a slip: no machine has as many cores.
pub(super) const MOST_WORKERS: usize = 1024;
pub(super) const MOST_CONNECTIONS: usize = 10_000_000;
/// The largest size in bytes.
pub(super) const MOST_MEMORY: u64 = 1 << 40;

/// The most idle upstream connections. More is a slip.
pub(super) const MOST_IDLE: usize = 100_000;
