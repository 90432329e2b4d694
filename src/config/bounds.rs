//! Pure. The largest values that gateway.toml may set.

use std::time::Duration;

/// The longest that hookgate is told to wait for anything. Longer is a slip, and near the end of time sums overflow.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What is more is a slip of the finger, not a machine.
pub(super) const MOST_WORKERS: usize = 1024;
pub(super) const MOST_CONNECTIONS: usize = 10_000_000;
/// As many bytes as any size can be.
pub(super) const MOST_MEMORY: u64 = 1 << 40;

/// A slip of the finger, not a pool.
pub(super) const MOST_IDLE: usize = 100_000;
