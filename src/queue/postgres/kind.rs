//! Pure. The values of `finished.kind`: what is removed of an event of which nothing is queued.

/// The event was delivered. Its content is removed first.
pub(super) const DELIVERED: i64 = 0;
/// The event was delivered, and its content is removed. The rest of it follows.
pub(super) const KNOWN: i64 = 1;
/// The event has a dead letter. All of it is removed.
pub(super) const DEAD: i64 = 2;
