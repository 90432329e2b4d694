//! Shell. Removes rows whose retention has ended, in bounded steps.

use std::time::Duration;

use crate::queue::postgres::commit::Work;
use crate::queue::postgres::error::Result;
use crate::queue::postgres::finished_kind::{DEAD, DELIVERED, KNOWN};
use crate::queue::postgres::value::count_of;
use crate::queue::row_values::of_time;
use crate::queue::store::Retention;
use crate::queue::time::Time;

impl Work<'_> {
    /// Removes at most `most` rows whose retention has ended. The caller commits.
    pub(super) async fn purge(&mut self, retention: Retention, most: usize) -> Result<usize> {
        let Retention { delivered, info, dead } = retention;
        let contents = self.over(DELIVERED, delivered, most).await?;
        let mut removed = contents.len();
        let mut events = self.over(KNOWN, info, most.saturating_sub(removed)).await?;
        removed = removed.saturating_add(events.len());
        let dead = self.over(DEAD, dead, most.saturating_sub(removed)).await?;
        removed = removed.saturating_add(dead.len());
        events.extend(dead);
        if !contents.is_empty() {
            let seqs: Vec<i64> = contents.iter().map(|(_, event)| *event).collect();
            self.drop_contents(&seqs).await?;
            let sql = "update finished set kind = $2 where kind = $3 and event = any($1)";
            self.call.execute(sql, &[&seqs, &KNOWN, &DELIVERED]).await?;
        }
        if !events.is_empty() {
            let seqs: Vec<i64> = events.iter().map(|(_, event)| *event).collect();
            // No gateway has a delivery of an ended event in memory.
            let _none = self.remove(&seqs).await?;
        }
        let left = count_of(most.saturating_sub(removed));
        let sql = "delete from seen where (route, key) in \
            (select route, key from seen where until <= $1 limit $2 for update skip locked)";
        let forgotten = self.call.execute(sql, &[&of_time(self.now), &left]).await?;
        self.tally.write(self.call, self.gateway).await?;
        Ok(removed.saturating_add(usize::try_from(forgotten).unwrap_or(usize::MAX)))
    }

    /// The events that have had a kind for longer than `age`, the earliest first: the time and the event.
    /// Leaves out events that another gateway has locked, because that gateway removes them.
    async fn over(&self, kind: i64, age: Duration, most: usize) -> Result<Vec<(i64, i64)>> {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let Some(until) = self.now.millis().checked_sub(age) else { return Ok(Vec::new()) };
        let until = of_time(Time::from_millis(until));
        let sql = "select at, event from finished where kind = $1 and at <= $2 order by at, event limit $3 \
            for update skip locked";
        let rows = self.call.query(sql, &[&kind, &until, &count_of(most)]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}
