//! Pure. An entry of the recent requests: a request that has ended, an attempt to deliver an event, or a
//! likely cause that the diagnosis has found.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use super::capture::Captured;
use crate::gateway::reason::Reason;
use crate::queue::event::{AttemptOutcome, RouteName};
use crate::queue::id::EventId;
use crate::queue::store::DeadCause;
use crate::telemetry::attempt::AttemptRecord;
use crate::telemetry::record::Record;

/// An entry and its number. The first entry of a process has the number 1, and each further entry has the
/// next number.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The number.
    pub number: u64,
    /// The entry.
    pub entry: Arc<Entry>,
}

/// An entry.
#[derive(Debug)]
pub struct Entry {
    /// When the request or the attempt ended.
    pub at: SystemTime,
    /// What has ended.
    pub subject: Subject,
    cause: OnceLock<LikelyCause>,
    captured: Mutex<Option<Arc<Captured>>>,
}

/// The subject of an entry.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an entry is made once and never moved, and most are requests")]
pub enum Subject {
    /// A request.
    Request(Record),
    /// An attempt to deliver a stored event.
    Delivery(DeliveryAttempt),
    /// The likely cause of an earlier request is known.
    Cause(Numbered),
}

/// An attempt to deliver a stored event.
#[derive(Clone, Debug)]
pub struct DeliveryAttempt {
    /// The event.
    pub event: EventId,
    /// The event's route.
    pub route: RouteName,
    /// The address of the upstream.
    pub upstream: Arc<str>,
    /// The number of the attempt, counted from 1.
    pub number: u32,
    /// Whether the attempt was a probe of an open circuit.
    pub is_probe: bool,
    /// The outcome.
    pub outcome: AttemptOutcome,
    /// The status code of the answer, if there was one.
    pub status: Option<u16>,
    /// Why the attempt failed.
    pub detail: Option<String>,
    /// How long the attempt took.
    pub took: Duration,
    /// The time until the next attempt, if there is one.
    pub again_in: Option<Duration>,
    /// Why the delivery was given up, if it was.
    pub dead: Option<DeadCause>,
}

impl DeliveryAttempt {
    /// The attempt of a record.
    #[must_use]
    pub fn of(record: &AttemptRecord<'_>, upstream: &Arc<str>) -> Self {
        Self {
            event: record.event,
            route: record.route.clone(),
            upstream: Arc::clone(upstream),
            number: record.number,
            is_probe: record.is_probe,
            outcome: record.outcome,
            status: record.status,
            detail: record.detail.map(|detail| cut(detail.to_owned(), LONGEST_DETAIL)),
            took: record.took,
            again_in: record.again_in,
            dead: record.dead,
        }
    }
}

/// The likely cause of a refusal, as the diagnosis found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikelyCause {
    /// The cause as a word.
    pub label: &'static str,
    /// The cause as a sentence.
    pub detail: String,
    /// What to do.
    pub advice: String,
}

/// The most bytes of a detail that an entry keeps.
pub const LONGEST_DETAIL: usize = 512;

/// The most bytes of a model that an entry keeps.
pub const LONGEST_MODEL: usize = 256;

impl Entry {
    /// The entry of a request that ended at `at`. Long texts are cut.
    #[must_use]
    pub fn of_request(mut record: Record, at: SystemTime) -> Self {
        record.detail = record.detail.map(|detail| cut(detail, LONGEST_DETAIL));
        record.model = record.model.map(|model| cut(model, LONGEST_MODEL));
        let captured = record.captured.take().map(|captured| Arc::new(*captured));
        Self { captured: Mutex::new(captured), ..Self::new(Subject::Request(record), at) }
    }

    /// The entry of an attempt that ended at `at`.
    #[must_use]
    pub fn of_delivery(attempt: DeliveryAttempt, at: SystemTime) -> Self {
        Self::new(Subject::Delivery(attempt), at)
    }

    pub(super) fn new(subject: Subject, at: SystemTime) -> Self {
        Self { at, subject, cause: OnceLock::new(), captured: Mutex::new(None) }
    }

    /// The likely cause of the refusal, if it is known by now.
    #[must_use]
    pub fn cause(&self) -> Option<&LikelyCause> {
        match &self.subject {
            Subject::Cause(request) => request.entry.cause.get(),
            Subject::Request(_) | Subject::Delivery(_) => self.cause.get(),
        }
    }

    /// Sets the likely cause. A second cause is ignored.
    pub(super) fn explain(&self, cause: LikelyCause) {
        self.cause.get_or_init(|| cause);
    }

    /// The captured request, if the request was captured and is still kept.
    #[must_use]
    pub fn captured(&self) -> Option<Arc<Captured>> {
        self.captured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives up the captured request.
    pub(super) fn forget(&self) {
        let captured = self.captured.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(captured);
    }

    /// The record of the request, unless the entry is that of a delivery.
    #[must_use]
    pub fn request(&self) -> Option<&Record> {
        match &self.subject {
            Subject::Request(record) => Some(record),
            Subject::Cause(request) => request.entry.request(),
            Subject::Delivery(_) => None,
        }
    }

    /// The kind of the entry.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.subject {
            Subject::Request(record) => Kind::of(record),
            Subject::Delivery(attempt) => Kind::of_delivery(attempt.outcome),
            Subject::Cause(_) => Kind::Cause,
        }
    }
}

/// The kinds of entries. Each kind has a share of the places, so that many entries of one kind leave the last
/// entries of another kind in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The request has verified, and the answer is not an error.
    Verified,
    /// The request has verified, and the app's answer is an error (status 4xx or 5xx).
    AnsweredError,
    /// The request was forwarded because its route observes, and would have been refused.
    Observed,
    /// The gateway refused the request, for this reason.
    Refused(Option<Reason>),
    /// An event was delivered.
    Delivered,
    /// An attempt to deliver an event has failed.
    Undelivered,
    /// A likely cause.
    Cause,
}

impl Kind {
    /// The kind of a request.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        if record.refused {
            Self::Refused(record.reason)
        } else if record.observed.is_some() {
            Self::Observed
        } else if record.status >= 400 {
            Self::AnsweredError
        } else {
            Self::Verified
        }
    }

    pub(super) fn of_delivery(outcome: AttemptOutcome) -> Self {
        match outcome {
            AttemptOutcome::Delivered => Self::Delivered,
            AttemptOutcome::Refused
            | AttemptOutcome::Unreachable
            | AttemptOutcome::Failed
            | AttemptOutcome::TimedOut => Self::Undelivered,
        }
    }

    /// A number for each kind, below [`Self::COUNT`].
    pub(super) fn number(self) -> usize {
        match self {
            Self::Verified => 0,
            Self::AnsweredError => 1,
            Self::Observed => 2,
            Self::Delivered => 3,
            Self::Undelivered => 4,
            Self::Cause => 5,
            Self::Refused(None) => 6,
            #[expect(clippy::as_conversions, reason = "the number of a variant, which is small")]
            Self::Refused(Some(reason)) => (reason as usize).saturating_add(7).min(Self::COUNT - 1),
        }
    }

    /// More than there are kinds.
    pub(super) const COUNT: usize = 48;
}

/// A text of at most `most` bytes. A text that is cut gives its memory back.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
    }
    if text.capacity() > most {
        text.shrink_to_fit();
    }
    text
}
