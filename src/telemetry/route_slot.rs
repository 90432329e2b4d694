//! Pure. The number that a route has in the metrics.

/// The number of a route's path. It is the same in every configuration of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(super) usize);

impl Slot {
    /// The number for requests without a route.
    pub const NO_ROUTE: Self = Self(0);
}
