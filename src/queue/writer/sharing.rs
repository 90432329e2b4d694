//! Shell. The writer's work for a store that several gateways share.

use std::collections::BTreeSet;
use std::mem;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::queue::handle::MOST_HANDED;
use crate::queue::id::EventId;
use crate::queue::store::Destination;
use crate::queue::writer::{Writer, later};

/// How often a gateway renews its lease within the time for which it counts as alive.
const TIMES: u32 = 4;

/// The time between two reads of the statistics of a shared store. Other gateways change the statistics.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

impl Writer {
    /// Renews the lease of this gateway, and reads the changes of other gateways, when each is due.
    pub(super) fn share(&mut self, now: Instant) {
        if self.keep_alive_at.is_some_and(|at| now >= at) {
            self.keep_alive();
            // If another gateway is lost, its deliveries wait in the store.
            self.look_at_all();
        }
        if self.keep_alive_at.is_some() && now >= self.publish_at {
            self.publish();
            self.confirm_discarded();
            self.publish_at = later(PUBLISH_INTERVAL);
        }
    }

    /// Notes the events that other gateways have discarded, and confirms these discards.
    fn confirm_discarded(&mut self) {
        let Some(store) = &mut self.store else { return };
        let confirmed = store.discarded_elsewhere().and_then(|events| {
            if events.is_empty() {
                return Ok(());
            }
            // From now on, no delivery of these events begins.
            events.iter().for_each(|event| self.end.note_discarded(*event));
            store.confirm_discarded(&events)
        });
        if let Err(error) = confirmed {
            self.note(error);
        }
    }

    /// Answers the discards that all other gateways have confirmed, and refuses discards that have waited too
    /// long.
    pub(super) fn answer_confirmed(&mut self) {
        if self.unconfirmed.is_empty() {
            return;
        }
        let events: Vec<EventId> = self.unconfirmed.iter().map(|waiting| waiting.event).collect();
        // Without the store, no discard is confirmed.
        let open = match &mut self.store {
            Some(store) => store.unconfirmed(&events),
            None => Ok(events),
        };
        let open: BTreeSet<EventId> = match open {
            Ok(open) => open.into_iter().collect(),
            Err(error) => return self.note(error),
        };
        for waiting in mem::take(&mut self.unconfirmed) {
            if !open.contains(&waiting.event) {
                waiting.confirm();
            } else if waiting.is_late() {
                waiting.refuse();
            } else {
                self.unconfirmed.push(waiting);
            }
        }
    }

    /// The upstreams whose new deliveries this gateway leaves to any gateway, because it cannot send them
    /// soon.
    ///
    /// The circuit is open, the route is paused, or more deliveries wait than fit into memory.
    pub(super) fn not_handed(&self) -> BTreeSet<Destination> {
        if self.keep_alive_at.is_none() {
            return BTreeSet::new();
        }
        let most = u64::try_from(MOST_HANDED).unwrap_or(u64::MAX);
        let waits = self.statistics.counts.iter().filter(|(destination, counts)| {
            counts.queued > most || self.statistics.paused.contains(&destination.route)
        });
        let mut all: BTreeSet<_> = waits.map(|(destination, _)| destination.clone()).collect();
        all.extend(self.untold.iter().cloned());
        all.extend(self.end.open_circuits());
        all
    }

    /// Renews the lease of this gateway, if the store is shared.
    pub(super) fn keep_alive(&mut self) {
        let began = Instant::now();
        let Some(store) = &mut self.store else { return };
        match store.keep_alive() {
            Ok(None) => self.keep_alive_at = None,
            Ok(Some(alive)) => {
                if self.end.set_lease(began, began.checked_add(alive).unwrap_or(began)) {
                    warn!(
                        "this gateway could not tell the store in time that it lives: other gateways may deliver what it had in memory"
                    );
                }
                self.keep_alive_at = began.checked_add(alive.checked_div(TIMES).unwrap_or(alive));
            }
            Err(error) => {
                // If the server's disk is full, the store stays open. The next attempt follows soon.
                self.keep_alive_at = Some(later(PUBLISH_INTERVAL));
                self.note(error);
            }
        }
    }
}
