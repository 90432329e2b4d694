//! Pure. A replay: sends stored events again at a rate of its own, and records its progress.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::filter::written;
use crate::queue::id::EventId;
use crate::queue::store::{Change, Filter, Job};
use crate::queue::time::Time;

/// The rate of a replay whose request names no rate, in events a second.
pub(super) const DEFAULT_RATE: u32 = 50;

/// The highest rate, in events a second.
pub(super) const HIGHEST_RATE: u32 = 1000;

/// The most events of one step.
const MOST_IN_STEP: u32 = 256;

/// A replay in the form of its row in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replay {
    /// The version of this document.
    version: u32,
    /// The events of the replay: all events that matched this filter when the replay was started.
    pub(super) filter: Filter,
    /// The rate, in events a second.
    pub(super) rate: u32,
    /// The operator who started the replay.
    pub(super) by: String,
    /// When the replay was started, in milliseconds since 1970.
    started: u64,
    /// When the replay ended.
    ended: Option<u64>,
    /// How many events matched at the start. If `is_capped`, there were at least this many.
    total: u64,
    is_capped: bool,
    /// The id of the last event that was replayed.
    cursor: Option<String>,
    /// The id of the last event that matched when the replay was started. Events behind it that match only
    /// later, such as those that become dead letters meanwhile, do not belong to the replay. `None` if not
    /// all matching events were counted.
    #[serde(default)]
    last: Option<String>,
    /// How many events were replayed.
    pub(super) replayed: u64,
    /// How many events no longer existed when their turn came.
    gone: u64,
    pub(super) state: Progress,
    /// Why the replay makes no progress, if it makes none.
    pub(super) waits: Option<String>,
}

/// Whether a replay runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    /// The replay runs. It continues after a restart.
    Running,
    /// All events were replayed.
    Done,
    /// An operator has cancelled the replay.
    Cancelled,
}

impl Progress {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The version of a document.
const VERSION: u32 = 1;

/// The version of a document whose filter names a failure. An earlier hookgate does not know this part of a
/// filter, and would replay more events. So it must not read the document.
const WITH_FAILURE: u32 = 2;

impl Replay {
    /// A replay that begins now. Events that are received later do not belong to it.
    pub(super) fn new(filter: Filter, rate: u32, by: String, total: u64, is_capped: bool, now: Time) -> Self {
        let until = filter.until.unwrap_or(u64::MAX).min(now.millis().saturating_add(1));
        Self {
            version: if filter.failure.is_some() { WITH_FAILURE } else { VERSION },
            filter: Filter { until: Some(until), ..filter },
            rate: rate.clamp(1, HIGHEST_RATE),
            by,
            started: now.millis(),
            ended: None,
            total,
            is_capped,
            cursor: None,
            last: None,
            replayed: 0,
            gone: 0,
            state: Progress::Running,
            waits: None,
        }
    }

    /// Names the last event of the replay.
    pub(super) fn ends_with(&mut self, last: EventId) {
        self.last = Some(last.to_string());
    }

    /// Whether an event is not behind the last event of the replay.
    pub(super) fn has(&self, event: EventId) -> bool {
        self.last.as_deref().and_then(|id| id.parse().ok()).is_none_or(|last| event <= last)
    }

    /// Reads a row of the store. `None` if the row is not a replay.
    pub(super) fn read(job: &Job) -> Option<Self> {
        serde_json::from_slice(&job.document)
            .ok()
            .filter(|replay: &Self| (VERSION..=WITH_FAILURE).contains(&replay.version))
    }

    /// The row of the replay in the store.
    pub(super) fn row(&self, id: EventId) -> Job {
        // The document has no maps and no floating-point numbers, so writing it cannot fail.
        Job { id, document: serde_json::to_vec(self).unwrap_or_default() }
    }

    /// The id of the last event that was replayed.
    pub(super) fn cursor(&self) -> Option<EventId> {
        self.cursor.as_deref().and_then(|id| id.parse().ok())
    }

    /// The change that replays an event. A dead letter is sent again only to its own upstreams, because other
    /// upstreams may already have the event.
    pub(super) fn change(&self, event: EventId) -> Change {
        match self.filter.state.as_deref() {
            Some("dead") => Change::ReplayDead(event),
            Some(_) | None => Change::Replay(event),
        }
    }

    /// How many events a step has.
    pub(super) fn step(&self) -> usize {
        let step = (self.rate / 5).clamp(1, MOST_IN_STEP);
        usize::try_from(step).unwrap_or(1)
    }

    /// How long a step with this many events takes.
    pub(super) fn pause(&self, events: usize) -> Duration {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        Duration::from_secs(1).checked_div(self.rate).unwrap_or_default().saturating_mul(events)
    }

    /// Records a step: its last event, and the number of its events.
    pub(super) fn advance(&mut self, last: EventId, events: u64) {
        self.cursor = Some(last.to_string());
        self.replayed = self.replayed.saturating_add(events);
        self.waits = None;
    }

    /// Records that `gone` events of the last step no longer existed.
    pub(super) fn correct(&mut self, gone: u64) {
        self.replayed = self.replayed.saturating_sub(gone);
        self.gone = self.gone.saturating_add(gone);
    }

    /// Ends the replay.
    pub(super) fn end(&mut self, state: Progress, now: Time) {
        self.state = state;
        self.ended = Some(now.millis());
        self.waits = None;
    }

    /// The document that operators get.
    pub(super) fn document(&self, id: EventId) -> Value {
        json!({
            "id": id.to_string(),
            "state": self.state.as_str(),
            "replayed": self.replayed,
            "gone": self.gone,
            "total": self.total,
            "total_is_capped": self.is_capped,
            "rate": self.rate,
            "by": self.by,
            "started": written(Time::from_millis(self.started)),
            "ended": self.ended.map(|ended| written(Time::from_millis(ended))),
            "waits": self.waits,
            "filter": shown(&self.filter),
        })
    }
}

/// A filter, for operators and for the log. If the filter has many ids, only their number is shown.
pub(super) fn shown(filter: &Filter) -> Value {
    let Filter { state, route, since, until, ids, model, failure } = filter;
    let time = |millis: &Option<u64>| millis.map(|millis| written(Time::from_millis(millis)));
    let few = (ids.len() <= MOST_SHOWN).then_some(ids);
    json!({
        "state": state,
        "route": route,
        "model": model,
        "failure": failure,
        "since": time(since),
        "until": time(until),
        "ids": few,
        "number_of_ids": ids.len(),
    })
}

/// The most ids that are shown.
const MOST_SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(rate: u32) -> Replay {
        Replay::new(Filter::default(), rate, "ops".into(), 7, false, Time::from_millis(1000))
    }

    #[test]
    fn a_replay_goes_on_from_its_row() {
        let id = EventId::from_bytes([1; 16]);
        let last = EventId::from_bytes([2; 16]);
        let mut one = replay(50);
        one.advance(last, 4);
        one.correct(1);
        let again = Replay::read(&one.row(id)).unwrap();
        assert_eq!(again, one);
        assert_eq!((again.cursor(), again.replayed), (Some(last), 3));
        assert_eq!(Replay::read(&Job { id, document: b"{}".to_vec() }), None);
    }

    #[test]
    fn a_filter_that_earlier_releases_do_not_know_makes_another_version() {
        let filter = Filter { failure: Some("500".to_owned()), ..Filter::default() };
        let one = Replay { ..Replay::new(filter, 1, String::new(), 0, false, Time::from_millis(1)) };
        assert_eq!((replay(1).version, one.version), (1, 2));
        let id = EventId::from_bytes([1; 16]);
        assert_eq!(Replay::read(&one.row(id)), Some(one));
    }

    #[test]
    fn events_that_come_later_are_none_of_it() {
        assert_eq!(replay(50).filter.until, Some(1001));
        let filter = Filter { until: Some(500), ..Filter::default() };
        assert_eq!(
            Replay::new(filter, 1, String::new(), 0, false, Time::from_millis(1000)).filter.until,
            Some(500)
        );
    }

    #[test]
    fn dead_letters_are_sent_again_only_where_they_are_dead_letters() {
        let event = EventId::from_bytes([1; 16]);
        for (state, want) in [
            (None, Change::Replay(event)),
            (Some("delivered"), Change::Replay(event)),
            (Some("dead"), Change::ReplayDead(event)),
        ] {
            let filter = Filter { state: state.map(str::to_owned), ..Filter::default() };
            assert_eq!(Replay { filter, ..replay(1) }.change(event), want);
        }
    }

    #[test]
    fn steps_keep_the_rate() {
        for (rate, step, pause) in [(50, 10, 200), (1, 1, 1000), (4, 1, 250), (1000, 200, 200), (0, 1, 1000)]
        {
            let one = replay(rate);
            assert_eq!((one.step(), one.pause(one.step())), (step, Duration::from_millis(pause)), "{rate}");
        }
    }

    #[test]
    fn a_row_with_a_thousand_ids_fits_into_the_store() {
        let ids = vec![EventId::from_bytes([1; 16]).to_string(); super::super::filter::MOST_IDS];
        let one = Replay { filter: Filter { ids, ..Filter::default() }, ..replay(1) };
        assert!(one.row(EventId::from_bytes([1; 16])).document.len() <= crate::queue::store::LARGEST_JOB);
    }
}
