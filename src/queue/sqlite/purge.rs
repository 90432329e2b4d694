//! Shell. Removes rows whose retention has ended, in bounded steps.

use std::time::Duration;

use tracing::error;

use crate::queue::sqlite::commit::{Work, finished};
use crate::queue::sqlite::removal::{self, Kind};
use crate::queue::sqlite::value::of_time;
use crate::queue::store::Retention;
use crate::queue::time::Time;

impl Work<'_> {
    /// Removes at most `most` rows whose retention has ended. The caller commits.
    pub(super) fn purge(&mut self, retention: Retention, most: usize) -> rusqlite::Result<usize> {
        let Retention { delivered, info, dead } = retention;
        let over = |kind, age| match self.before(age) {
            Some(until) => removal::since(self.connection, kind, until, most),
            None => Ok(Vec::new()),
        };
        let contents = over(Kind::Delivered, delivered)?;
        let left = most.saturating_sub(contents.len());
        let of = |kind, rows: Vec<(i64, i64)>| rows.into_iter().map(move |(at, event)| (kind, at, event));
        let known = of(Kind::Delivered, over(Kind::Known, info)?);
        let events: Vec<_> = known.chain(of(Kind::Dead, over(Kind::Dead, dead)?)).collect();
        let events = events.get(..left).unwrap_or(&events);
        let mut removed = contents.len().saturating_add(events.len());
        for (at, event) in contents {
            if self.is_finished(Kind::Delivered, at, event)? {
                removal::remove_content(self.connection, at, event)?;
            }
        }
        for (kind, at, event) in events {
            if self.is_finished(*kind, *at, *event)? {
                self.remove(*event)?;
            }
        }
        let left = most.saturating_sub(removed);
        removed = removed.saturating_add(removal::forget_seen(self.connection, of_time(self.now), left)?);
        if removed > 0 {
            self.memory.write_next(self.connection)?;
            self.memory.counters.write(self.connection)?;
        }
        Ok(removed)
    }

    /// Whether no delivery of an event is queued since this time, according to its deliveries. A damaged row
    /// of `finished` may name another event. Such a row is removed, and the event stays.
    fn is_finished(&self, kind: Kind, at: i64, event: i64) -> rusqlite::Result<bool> {
        let actual = finished(&self.of_event(event)?);
        if actual == Some((kind, at)) {
            return Ok(true);
        }
        error!(event, "the queue's list of what has been kept for long enough is damaged: an event is kept");
        removal::unfinish(self.connection, at, event)?;
        if let Some((kind, at)) = actual {
            removal::finish(self.connection, kind, at, event)?;
        }
        Ok(false)
    }

    /// The time that is `age` before now. `None` if there is no such time.
    fn before(&self, age: Duration) -> Option<i64> {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.now.millis().checked_sub(age).map(Time::from_millis).map(of_time)
    }
}
