//! Shell. Removes rows whose retention has ended, in bounded steps.

use std::time::Duration;

use crate::queue::sqlite::commit::Work;
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
        let events = [over(Kind::Known, info)?, over(Kind::Dead, dead)?].concat();
        let events = events.get(..left).unwrap_or(&events);
        let mut removed = contents.len().saturating_add(events.len());
        for (at, event) in contents {
            removal::remove_content(self.connection, at, event)?;
        }
        for (_, event) in events {
            self.remove(*event)?;
        }
        let left = most.saturating_sub(removed);
        removed = removed.saturating_add(removal::forget_seen(self.connection, of_time(self.now), left)?);
        if removed > 0 {
            self.memory.write_next(self.connection)?;
            self.memory.counters.write(self.connection)?;
        }
        Ok(removed)
    }

    /// The present time minus `age`. `None` if that is before 1970.
    fn before(&self, age: Duration) -> Option<i64> {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.now.millis().checked_sub(age).map(Time::from_millis).map(of_time)
    }
}
