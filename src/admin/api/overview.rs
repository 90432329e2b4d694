//! Pure. The state of the whole queue, as a document.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use serde_json::{Value, json};

use super::filter::written;
use super::live_state::LiveState;
use super::trend::Trend;
use super::view;
use crate::queue::event::{RouteName, Upstream};
use crate::queue::handle::Health;
use crate::queue::store::{Counts, Destination, Statistics};
use crate::queue::time::Time;

/// The inputs of the overview.
pub(super) struct Overview<'o> {
    pub(super) health: Health,
    pub(super) statistics: &'o Statistics,
    pub(super) live: &'o LiveState,
    /// The routes that store events. They are shown even if they have no stored event.
    pub(super) storing: Vec<(RouteName, Vec<std::sync::Arc<str>>)>,
    pub(super) open_circuits: HashSet<Destination>,
    pub(super) trend: &'o Trend,
    pub(super) at: Instant,
    pub(super) now: Time,
}

impl Overview<'_> {
    /// The document.
    pub(super) fn document(&self) -> Value {
        let mut all: BTreeMap<Destination, Counts> = BTreeMap::new();
        for (route, copies) in &self.storing {
            let copies = copies.iter().map(|address| Upstream::Copy(std::sync::Arc::clone(address)));
            for upstream in std::iter::once(Upstream::Main).chain(copies) {
                all.insert(Destination { route: route.clone(), upstream }, Counts::default());
            }
        }
        all.extend(self.statistics.counts.iter().cloned());
        let destinations: Vec<_> = all.iter().map(|(to, counts)| self.destination(to, counts)).collect();
        json!({
            "now": written(self.now),
            "store": match self.health {
                Health::Well => "well",
                Health::Full => "full",
                Health::Failing => "failing",
            },
            "bytes": self.statistics.bytes,
            "paused": self.statistics.paused.iter().map(view::route).collect::<Vec<_>>(),
            "upstreams": destinations,
        })
    }

    fn destination(&self, to: &Destination, counts: &Counts) -> Value {
        let delivering = self.live.under_way.values().filter(|one| one.destination == *to).count();
        let delivering = u64::try_from(delivering).unwrap_or(u64::MAX).min(counts.queued);
        json!({
            "route": view::route(&to.route),
            "upstream": view::upstream(&to.upstream),
            "queued": counts.queued.saturating_sub(delivering),
            "delivering": delivering,
            "delivered": counts.delivered,
            "dead": counts.dead,
            "bytes": counts.queued_bytes,
            "oldest": counts.oldest.map(written),
            "oldest_seconds": counts.oldest.map_or(0, |oldest| self.now.since(oldest).as_secs()),
            "held": self.live.held(&to.route, &to.upstream),
            "paused": self.live.paused.contains(&to.route),
            "circuit": if self.open_circuits.contains(to) { "open" } else { "closed" },
            "seconds_to_empty": self.trend.seconds_to_empty(to, self.at, counts.queued),
        })
    }
}
