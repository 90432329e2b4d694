//! Pure. Computes how fast the backlog of each upstream shrinks, from samples of the backlog.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::queue::store::{Destination, Statistics};

/// The time that the samples cover.
const WINDOW: Duration = Duration::from_secs(60);

/// The most samples that are kept.
const MOST_SAMPLES: usize = 16;

/// The most upstreams in a sample.
const MOST_DESTINATIONS: usize = 1024;

/// The numbers of waiting deliveries in the last minute.
#[derive(Debug, Default)]
pub(super) struct Trend(VecDeque<(Instant, Vec<(Destination, u64)>)>);

impl Trend {
    /// Takes a sample.
    pub(super) fn sample(&mut self, now: Instant, statistics: &Statistics) {
        while let Some((at, _)) = self.0.front()
            && (self.0.len() >= MOST_SAMPLES || now.saturating_duration_since(*at) > WINDOW)
        {
            self.0.pop_front();
        }
        let waiting = statistics.counts.iter().take(MOST_DESTINATIONS);
        self.0.push_back((now, waiting.map(|(to, counts)| (to.clone(), counts.queued)).collect()));
    }

    /// The number of seconds until no delivery waits for the upstream, at the rate of the last minute. `None`
    /// if the backlog does not shrink, or if the samples do not cover enough time.
    pub(super) fn seconds_to_empty(
        &self,
        destination: &Destination,
        now: Instant,
        waiting: u64,
    ) -> Option<u64> {
        if waiting == 0 {
            return Some(0);
        }
        let known = |(at, counts): &(Instant, Vec<(Destination, u64)>)| {
            let found = counts.iter().find(|(other, _)| other == destination);
            found.map(|(_, count)| (*at, *count))
        };
        let (at, before) = self.0.iter().find_map(known)?;
        let gone = before.checked_sub(waiting).filter(|gone| *gone > 0)?;
        let took = u64::try_from(now.saturating_duration_since(at).as_millis()).ok()?;
        waiting.saturating_mul(took).checked_div(gone.saturating_mul(1000)).map(|seconds| seconds.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::event::{RouteName, Upstream};
    use crate::queue::store::Counts;

    #[test]
    fn a_backlog_that_shrinks_says_when_it_is_empty() {
        let to =
            Destination { route: RouteName { path: "/a".into(), model: None }, upstream: Upstream::Main };
        let statistics = |queued| Statistics {
            counts: vec![(to.clone(), Counts { queued, ..Counts::default() })],
            ..Statistics::default()
        };
        let start = Instant::now();
        let mut trend = Trend::default();
        assert_eq!(trend.seconds_to_empty(&to, start, 5), None, "nothing is known");
        trend.sample(start, &statistics(1000));
        let later = start + Duration::from_secs(10);
        assert_eq!(trend.seconds_to_empty(&to, later, 900), Some(90), "ten a second");
        assert_eq!(trend.seconds_to_empty(&to, later, 1000), None, "it does not shrink");
        assert_eq!(trend.seconds_to_empty(&to, later, 1001), None, "it grows");
        assert_eq!(trend.seconds_to_empty(&to, later, 0), Some(0));
        let much_later = start + Duration::from_secs(61);
        trend.sample(much_later, &statistics(900));
        assert_eq!(trend.seconds_to_empty(&to, much_later, 900), None, "what is old does not count");
    }
}
