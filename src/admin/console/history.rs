//! Pure. What has happened lately: samples of the request counters, for a chart and for rates.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::gateway::reason::Reason;
use crate::telemetry::metric::Sum;

/// The time between two samples.
pub(crate) const SAMPLE: Duration = Duration::from_secs(5);

/// The most samples that are kept: the samples of ten minutes, and the sample before them.
const MOST_SAMPLES: usize = 121;

/// The counts of requests that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Requests that got an answer of the app, or a receipt of the queue.
    pub(crate) answered: u64,
    /// Requests that the gateway refused.
    pub(crate) refused: u64,
    /// Requests that failed although the sender had done nothing wrong.
    pub(crate) failed: u64,
    /// Refused and failed requests by reason.
    pub(crate) reasons: BTreeMap<Reason, u64>,
}

impl Ended {
    /// The counts of all routes.
    pub(crate) fn of(sum: &Sum) -> Self {
        let mut ended = Self::default();
        for (outcome, count) in sum.routes.values().flat_map(|route| &route.outcomes) {
            let place = match outcome.reason {
                None | Some(Reason::Duplicate) => &mut ended.answered,
                Some(reason) if reason.is_ours() => &mut ended.failed,
                Some(_) => &mut ended.refused,
            };
            *place = place.saturating_add(*count);
            if let Some(reason) = outcome.reason {
                let place = ended.reasons.entry(reason).or_default();
                *place = place.saturating_add(*count);
            }
        }
        ended
    }

    /// What has been counted since an earlier sample.
    fn since(&self, earlier: &Self) -> Self {
        let reasons = self.reasons.iter().map(|(reason, count)| {
            (*reason, count.saturating_sub(earlier.reasons.get(reason).copied().unwrap_or_default()))
        });
        Self {
            answered: self.answered.saturating_sub(earlier.answered),
            refused: self.refused.saturating_sub(earlier.refused),
            failed: self.failed.saturating_sub(earlier.failed),
            reasons: reasons.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// All requests.
    pub(crate) fn all(&self) -> u64 {
        self.answered.saturating_add(self.refused).saturating_add(self.failed)
    }
}

/// The samples of the last ten minutes.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(VecDeque<Ended>);

impl History {
    /// Takes a sample. `None` while the console is off. The earlier samples are then dropped: the step over
    /// the time without samples would be taken for one of five seconds.
    pub(crate) fn take(&mut self, ended: Option<Ended>) {
        let Some(ended) = ended else {
            self.0.clear();
            return;
        };
        if self.0.len() >= MOST_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(ended);
    }

    /// What ended between each two samples, the earliest first.
    pub(crate) fn steps(&self) -> Vec<Ended> {
        self.0.iter().zip(self.0.iter().skip(1)).map(|(before, after)| after.since(before)).collect()
    }

    /// What has ended in the last steps, at most `steps`, and how many steps these are.
    pub(crate) fn last(&self, steps: usize) -> (Ended, usize) {
        let Some(latest) = self.0.back() else { return (Ended::default(), 0) };
        let steps = steps.min(self.0.len().saturating_sub(1));
        let at = self.0.len().saturating_sub(steps.saturating_add(1));
        let earlier = self.0.get(at).cloned().unwrap_or_default();
        (latest.since(&earlier), steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(answered: u64, mismatches: u64) -> Ended {
        Ended {
            answered,
            refused: mismatches,
            failed: 0,
            reasons: [(Reason::SignatureMismatch, mismatches)].into(),
        }
    }

    #[test]
    fn steps_are_the_differences_of_the_counters() {
        let mut history = History::default();
        assert_eq!((history.steps(), history.last(12)), (vec![], (Ended::default(), 0)));
        for (answered, mismatches) in [(10, 0), (13, 1), (13, 1), (20, 5)] {
            history.take(Some(ended(answered, mismatches)));
        }
        let steps: Vec<_> = history.steps().iter().map(|step| (step.answered, step.refused)).collect();
        assert_eq!(steps, [(3, 1), (0, 0), (7, 4)]);
        let (last, count) = history.last(2);
        assert_eq!((last.answered, last.refused, last.all(), count), (7, 4, 11, 2));
        assert_eq!(history.last(99).1, 3);
        assert_eq!(last.reasons.get(&Reason::SignatureMismatch), Some(&4));
    }

    #[test]
    fn the_time_without_samples_is_no_step() {
        let mut history = History::default();
        for sample in
            [Some(ended(10, 0)), Some(ended(20, 0)), None, None, Some(ended(9_000, 0)), Some(ended(9_001, 0))]
        {
            history.take(sample);
        }
        let steps: Vec<_> = history.steps().iter().map(|step| step.answered).collect();
        assert_eq!((steps, history.last(99).0.answered), (vec![1], 1));
    }

    #[test]
    fn only_ten_minutes_are_kept() {
        let mut history = History::default();
        (0..500).for_each(|number| history.take(Some(ended(number, 0))));
        assert_eq!(history.steps().len(), 120);
        assert_eq!(history.last(120).0.answered, 120);
    }
}
