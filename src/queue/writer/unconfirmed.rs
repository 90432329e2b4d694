//! Shell. Discards that are on disk and that wait until other gateways have confirmed them.

use std::time::{Duration, Instant};

use crate::queue::handle::Refused;
use crate::queue::id::EventId;
use crate::queue::writer::gather::Asked;

/// The time between two checks of whether other gateways have confirmed discards.
pub(super) const CONFIRMED_INTERVAL: Duration = Duration::from_millis(25);

/// The longest time that a discard waits for other gateways. A lost gateway stops counting as alive within
/// this time, unless its lease is longer.
const CONFIRMED_PATIENCE: Duration = Duration::from_secs(45);

/// A discard that is on disk. Other gateways may have the event in memory.
///
/// The requests that discard events bound the number of such discards.
pub(super) struct Unconfirmed {
    pub(super) event: EventId,
    asked: Asked,
    met: u64,
    began: Instant,
}

impl Unconfirmed {
    /// A discard that was just committed. `met` is the number of events that the discard met.
    pub(super) fn new(event: EventId, asked: Asked, met: u64) -> Self {
        Self { event, asked, met, began: Instant::now() }
    }

    /// Whether the discard has waited too long.
    pub(super) fn is_late(&self) -> bool {
        self.began.elapsed() >= CONFIRMED_PATIENCE
    }

    /// Answers that no gateway begins a delivery of the event any more.
    pub(super) fn confirm(self) {
        self.asked.answer(Ok(self.met));
    }

    /// Answers that another gateway may still deliver the event.
    pub(super) fn refuse(self) {
        self.asked.answer(Err(Refused::Unavailable));
    }
}
