//! Pure. The rows of all senders that hookgate knows. Each names the documentation of the sender's rule.

mod developers;
mod messages;
mod offices;
mod payments;
mod property;
mod standard;

use super::row::Row;

/// Every sender, in the order of `hookgate schemes`.
pub(super) fn rows() -> Vec<Row> {
    let kinds =
        [property::rows, developers::rows, payments::rows, messages::rows, offices::rows, standard::rows];
    kinds.into_iter().flat_map(|rows| rows()).collect()
}
