//! Pure. Whether the gateway can connect to an origin of an upstream, as far as is known.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::telemetry::repeated_log_line::Repeated;

/// The time between two attempts to connect to an origin that is passed over.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// What is known of an origin.
#[derive(Debug, Default)]
pub(super) struct Reachability {
    /// When connecting last failed. `None` if the last attempt succeeded, or there was none.
    failed: Cell<Option<Instant>>,
    is_trying: Cell<bool>,
    told: RefCell<Repeated>,
}

impl Reachability {
    /// Whether requests go to another origin, because the gateway could not connect to this one.
    pub(super) fn is_passed_over(&self) -> bool {
        self.failed.get().is_some()
    }

    /// Connecting failed. Returns whether the log should say so: if it succeeded before, and at most once a
    /// minute.
    pub(super) fn failed(&self, now: Instant) -> bool {
        self.failed.replace(Some(now)).is_none() && self.told.borrow_mut().count(now).is_some()
    }

    /// Connecting succeeded. Returns whether it failed before.
    pub(super) fn succeeded(&self) -> bool {
        self.failed.take().is_some()
    }

    /// Whether to try an origin that is passed over again. The attempt has then begun, and ends with
    /// [`Self::tried`].
    pub(super) fn try_again(&self, now: Instant) -> bool {
        let is_due = |at| now.saturating_duration_since(at) >= BETWEEN_ATTEMPTS;
        self.failed.get().is_some_and(is_due) && !self.is_trying.replace(true)
    }

    /// The attempt has ended.
    pub(super) fn tried(&self) {
        self.is_trying.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_that_failed_is_passed_over_and_tried_again_once_a_second() {
        let (origin, start) = (Reachability::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!origin.is_passed_over() && !origin.try_again(at(0)));
        assert!(origin.failed(at(0)), "the log says so once");
        assert!(origin.is_passed_over() && !origin.try_again(at(999)));
        assert!(origin.try_again(at(1000)) && !origin.try_again(at(5000)), "one attempt at a time");
        assert!(!origin.failed(at(5000)));
        origin.tried();
        assert!(!origin.try_again(at(5999)) && origin.try_again(at(6000)));
        assert!(origin.succeeded() && !origin.succeeded());
        origin.tried();
        assert!(!origin.is_passed_over() && !origin.try_again(at(60_000)));
        assert!(!origin.failed(at(10_000)), "at most one line a minute");
        assert!(origin.succeeded() && origin.failed(at(61_000)));
    }
}
