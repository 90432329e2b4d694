//! Pure. The metrics of certificates that an authority issues.

use std::sync::Arc;

use prometheus_client::collector::Collector;

use super::family::{self, Family, Kind, Table, counter};

/// The number of orders that gave a certificate, and the number of orders that failed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcmeState {
    /// Each name, with its successful and its failed orders.
    pub orders: Vec<(Arc<str>, u64, u64)>,
}

/// The metrics of this state, for [`super::exposition::text()`].
#[must_use]
pub fn collector(state: AcmeState) -> Box<dyn Collector> {
    Box::new(Table { state, families: FAMILIES })
}

/// The full name of every metric of such certificates. Used to check the documentation.
pub fn names() -> impl Iterator<Item = String> {
    family::names(FAMILIES)
}

const FAMILIES: &[Family<AcmeState>] = &[Family {
    name: "hookgate_acme_orders",
    help: "Orders of certificates that have ended, by name and result",
    kind: Kind::Counter,
    encode: |all, family| {
        all.orders.iter().try_for_each(|(name, succeeded, failed)| {
            [("success", succeeded), ("failure", failed)].into_iter().try_for_each(|(result, count)| {
                counter(family.encode_family(&[("name", &**name), ("result", result)])?, *count)
            })
        })
    },
}];
