//! Pure. Dead letters in groups of equal failures, and the count of dead letters. A long count takes several
//! requests: each request counts for a short time, and begins where the last request has ended. So no
//! acknowledgement waits for a count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::documents::Route;
use crate::queue::id::EventId;
use crate::queue::store::{DeadPart, failure_word};
use crate::queue::time::Time;

/// The most groups that are counted separately. An app can make a group for each route and status code.
const MOST_COUNTED: usize = 10_000;

/// The most bytes of an app's answer that a group keeps.
const MOST_OF_ANSWER: usize = 160;

/// How long a count that took several requests is shown again, before the next count begins.
const KEPT: Duration = Duration::from_secs(60);

/// How long a count waits for the next request.
const WAITS: Duration = Duration::from_secs(60);

/// Equal failures of one route.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The number of events.
    pub(crate) count: u64,
    /// When the first and the last event of the group were received.
    pub(crate) first: Time,
    pub(crate) latest: Time,
    /// One of the latest events of the group.
    pub(crate) example: EventId,
    /// Why the last attempt of the example failed.
    pub(crate) detail: Option<String>,
    /// The beginning of the app's answer to the example.
    pub(crate) answer: Vec<u8>,
}

/// The groups of dead letters.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadGroups {
    groups: BTreeMap<(Route, String), Group>,
    events: u64,
    in_further_groups: u64,
}

impl DeadGroups {
    /// Adds a part. The latest parts come first. `hides` says whether the answers of a route's app are
    /// hidden.
    pub(crate) fn add(&mut self, part: DeadPart, hides: impl Fn(&str) -> bool) {
        self.events = self.events.saturating_add(part.events);
        for one in part.groups {
            let model = one.route.model.as_deref().map(str::to_owned);
            let key = (
                Route { path: one.route.path.to_string(), model },
                failure_word(one.cause, one.last.as_ref()),
            );
            if self.groups.len() >= MOST_COUNTED && !self.groups.contains_key(&key) {
                self.in_further_groups = self.in_further_groups.saturating_add(one.events);
                continue;
            }
            let is_hidden = hides(&one.route.path);
            let group = self.groups.entry(key).or_insert_with(|| {
                let (detail, mut answer) =
                    one.last.map(|last| (last.detail, last.response)).unwrap_or_default();
                answer.truncate(if is_hidden { 0 } else { MOST_OF_ANSWER });
                Group { count: 0, first: one.first, latest: one.latest, example: one.example, detail, answer }
            });
            group.count = group.count.saturating_add(one.events);
            group.first = group.first.min(one.first);
            group.latest = group.latest.max(one.latest);
        }
    }

    /// Whether there is no group.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The number of events. An event with two failures is counted once.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The number of events in groups that are not counted separately.
    pub(crate) fn in_further_groups(&self) -> u64 {
        self.in_further_groups
    }

    /// The groups, the largest first.
    pub(crate) fn largest(&self) -> Vec<(&Route, &str, &Group)> {
        let mut groups: Vec<_> =
            self.groups.iter().map(|((route, failure), group)| (route, failure.as_str(), group)).collect();
        groups.sort_by(|(.., a), (.., b)| b.count.cmp(&a.count).then(b.latest.cmp(&a.latest)));
        groups
    }
}

/// A count that is under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pass {
    pub(crate) groups: DeadGroups,
    /// Where the next request begins. `None` at the start.
    pub(crate) next: Option<i64>,
    requests: u32,
}

/// How far a count is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The count is complete, and was made for this request.
    Whole,
    /// The count is complete, and at most a minute old.
    Kept,
    /// Only the latest dead letters are counted so far.
    Part,
}

/// What a page shows.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) groups: Arc<DeadGroups>,
    /// When the count ended, if it is whole.
    pub(crate) at: Time,
    pub(crate) progress: Progress,
}

/// The count of a gateway's dead letters.
#[derive(Debug, Default)]
pub(crate) struct DeadCount {
    /// The count under way, and when a request last continued the count.
    pass: Option<(Pass, Instant)>,
    /// The last long count, and when it ended.
    kept: Option<(Counted, Instant)>,
}

impl DeadCount {
    /// `Ok`: the last complete count, if it is recent enough to be shown again. `Err`: the count that the
    /// request continues.
    pub(crate) fn next(&mut self, now: Instant) -> Result<Counted, Pass> {
        let is_young = |since: &Instant, most: Duration| now.saturating_duration_since(*since) < most;
        if let Some((kept, since)) = &self.kept
            && is_young(since, KEPT)
        {
            return Ok(kept.clone());
        }
        // Two requests at the same time each get a count. The count that ends later is kept.
        let pass = self.pass.take().filter(|(_, since)| is_young(since, WAITS));
        Err(pass.map(|(pass, _)| pass).unwrap_or_default())
    }

    /// Keeps a count that a request has continued, and returns the count that the page shows.
    pub(crate) fn put(&mut self, mut pass: Pass, is_whole: bool, at: Time, now: Instant) -> Counted {
        pass.requests = pass.requests.saturating_add(1);
        let requests = pass.requests;
        if !is_whole {
            let groups = Arc::new(pass.groups.clone());
            self.pass = Some((pass, now));
            // While the next count is under way, the last complete count says more than a part.
            return match &self.kept {
                Some((kept, _)) => kept.clone(),
                None => Counted { groups, at, progress: Progress::Part },
            };
        }
        let whole = Counted { groups: Arc::new(pass.groups), at, progress: Progress::Whole };
        self.kept = (requests > 1).then(|| (Counted { progress: Progress::Kept, ..whole.clone() }, now));
        whole
    }

    /// Forgets all counts, because events were sent again or discarded.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::event::RouteName;
    use crate::queue::store::{DeadCause, DeadGroup};

    fn part(path: &str, events: u64) -> DeadPart {
        let group = DeadGroup {
            route: RouteName { path: path.into(), model: None },
            cause: DeadCause::Damaged,
            last: None,
            example: EventId::from_bytes([1; 16]),
            events,
            first: Time::default(),
            latest: Time::default(),
        };
        DeadPart { groups: vec![group], events, next: None }
    }

    #[test]
    fn a_short_count_is_made_for_each_request() {
        let (mut count, now) = (DeadCount::default(), Instant::now());
        for _ in 0..3 {
            let mut pass = count.next(now).expect_err("a count");
            assert!(pass.next.is_none() && pass.groups.is_empty());
            pass.groups.add(part("/a", 4), |_| false);
            let counted = count.put(pass, true, Time::default(), now);
            assert_eq!((counted.groups.events(), counted.progress), (4, Progress::Whole));
        }
    }

    #[test]
    fn a_long_count_goes_on_and_is_kept_for_a_while() {
        let (mut count, began) = (DeadCount::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        for (second, is_whole) in [(0, false), (1, false), (2, true)] {
            let mut pass = count.next(at(second)).expect_err("a count");
            assert_eq!(pass.groups.events(), second * 5);
            pass.groups.add(part("/a", 5), |_| false);
            pass.next = Some(7);
            let counted = count.put(pass, is_whole, Time::default(), at(second));
            let want = if is_whole { Progress::Whole } else { Progress::Part };
            assert_eq!((counted.groups.events(), counted.progress), (second * 5 + 5, want));
        }
        let kept = count.next(at(61)).expect("the count is kept");
        assert_eq!((kept.groups.events(), kept.progress), (15, Progress::Kept));
        // The next count begins. The page shows the whole one until then.
        let pass = count.next(at(62)).expect_err("a count");
        assert_eq!(pass.groups.events(), 0);
        let counted = count.put(pass, false, Time::default(), at(62));
        assert_eq!((counted.groups.events(), counted.progress), (15, Progress::Kept));
        count.forget();
        let pass = count.next(at(62)).expect_err("a count");
        assert_eq!(count.put(pass, false, Time::default(), at(62)).progress, Progress::Part);
        assert!(count.pass.is_some());
        assert!(
            count.next(at(122)).expect_err("a count").next.is_none(),
            "a count that nobody goes on with ends"
        );
    }

    #[test]
    fn the_number_of_groups_is_bounded() {
        let mut groups = DeadGroups::default();
        for number in 0..=MOST_COUNTED {
            groups.add(part(&format!("/{number}"), 1), |_| false);
        }
        groups.add(part("/0", 1), |_| false);
        assert_eq!((groups.largest().len(), groups.in_further_groups()), (MOST_COUNTED, 1));
        assert_eq!(groups.largest()[0].2.count, 2);
    }
}
