//! Pure. The number of TLS handshakes with clients, by outcome.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::telemetry::repeated_log_line::Repeated;
use crate::tls::failure::Outcome;

const KINDS: usize = Outcome::ALL.len();

/// The counts of all workers.
#[derive(Debug, Default)]
pub struct Handshakes {
    counts: [AtomicU64; KINDS],
    said: Mutex<[Repeated; KINDS]>,
}

impl Handshakes {
    /// Counts a handshake. If a log line about this outcome is due, returns the number of such handshakes
    /// since the last line.
    pub fn count(&self, outcome: Outcome, now: Instant) -> Option<u64> {
        let index = Outcome::ALL.iter().position(|other| *other == outcome)?;
        self.counts.get(index)?.fetch_add(1, Ordering::Relaxed);
        outcome.advice()?;
        self.said.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index)?.count(now)
    }

    /// All counts, with their labels.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::ALL
            .iter()
            .zip(&self.counts)
            .map(|(outcome, count)| (outcome.as_str(), count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_counted_and_those_with_advice_are_said_once_a_minute() {
        let (handshakes, now) = (Handshakes::default(), Instant::now());
        for (outcome, want) in [
            (Outcome::Full, None),
            (Outcome::PlainHttp, Some(1)),
            (Outcome::PlainHttp, None),
            (Outcome::ClientCertificate, Some(1)),
            (Outcome::Failed, None),
        ] {
            assert_eq!(handshakes.count(outcome, now), want, "{outcome:?}");
        }
        let counted: Vec<_> = handshakes.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("ok", 1), ("plain_http", 2), ("client_certificate", 1), ("failed", 1)]);
    }
}
