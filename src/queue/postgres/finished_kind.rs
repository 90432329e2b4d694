//! Pure. The values of `finished.kind`: which part of an event without queued deliveries is removed next.

/// The event was delivered. Its content is removed first.
pub(super) const DELIVERED: i64 = 0;
/// The event was delivered and its content was removed. The other rows are removed next.
pub(super) const KNOWN: i64 = 1;
/// The event has a dead letter. All of it is removed.
pub(super) const DEAD: i64 = 2;
