//! Shell. The number of deliveries in each state for each destination, and the size of the kept events. Each
//! gateway changes only its own rows, so no gateway waits for another.

use std::collections::BTreeMap;

use crate::queue::postgres::error::Result;
use crate::queue::postgres::session::Call;
use crate::queue::postgres::value::{destination, route, unsigned};
use crate::queue::row_values::{of_number, time};
use crate::queue::store::{Counts, Destination, State, Statistics};

/// The approximate number of bytes that a kept event takes besides head and content: its rows and their
/// indexes.
const BESIDES: u64 = 1024;

/// The row with the size of the kept events.
const KEPT: i64 = 0;

/// A change of the numbers of one destination.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counted {
    /// A delivery enters this state.
    Into(State),
    /// A delivery leaves this state.
    OutOf(State),
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    queued: i64,
    queued_bytes: i64,
    delivered: i64,
    dead: i64,
    kept: i64,
    kept_bytes: i64,
}

/// The changes of a transaction.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows: BTreeMap<i64, Row>,
}

impl Tally {
    /// Notes that a delivery with an event of `size` bytes has changed its state.
    pub(super) fn note(&mut self, destination: i64, size: u64, change: Counted) {
        let row = self.rows.entry(destination).or_default();
        let (state, by) = match change {
            Counted::Into(state) => (state, 1),
            Counted::OutOf(state) => (state, -1),
        };
        let count = match state {
            State::Queued => {
                let bytes = of_number(size).saturating_mul(by);
                row.queued_bytes = row.queued_bytes.saturating_add(bytes);
                &mut row.queued
            }
            State::Delivered => &mut row.delivered,
            State::Dead(_) => &mut row.dead,
        };
        *count = count.saturating_add(by);
    }

    /// Records that events of these sizes are kept.
    pub(super) fn keep(&mut self, sizes: impl Iterator<Item = u64>) {
        let row = self.rows.entry(KEPT).or_default();
        for size in sizes {
            row.kept = row.kept.saturating_add(1);
            row.kept_bytes = row.kept_bytes.saturating_add(of_number(size));
        }
    }

    /// Records that the content of an event is no longer kept; `bytes` is the size of head and content.
    pub(super) fn drop_content(&mut self, bytes: i64) {
        let row = self.rows.entry(KEPT).or_default();
        row.kept_bytes = row.kept_bytes.saturating_sub(bytes);
    }

    /// Records that an event is no longer kept.
    pub(super) fn drop_event(&mut self) {
        let row = self.rows.entry(KEPT).or_default();
        row.kept = row.kept.saturating_sub(1);
    }

    /// Writes the changes, in the transaction that has made them.
    pub(super) async fn write(&self, call: &Call, gateway: i64) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let of = |value: fn(&Row) -> i64| self.rows.values().map(value).collect::<Vec<i64>>();
        let destinations: Vec<i64> = self.rows.keys().copied().collect();
        let sql = format!(
            "insert into tally (destination, gateway, queued, queued_bytes, delivered, dead, kept, kept_bytes) \
            select u.destination, $2, u.queued, u.queued_bytes, u.delivered, u.dead, u.kept, u.kept_bytes \
            from unnest($1::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) \
                as u(destination, queued, queued_bytes, delivered, dead, kept, kept_bytes) \
            {ADD}"
        );
        call.execute(
            &sql,
            &[
                &destinations,
                &gateway,
                &of(|row| row.queued),
                &of(|row| row.queued_bytes),
                &of(|row| row.delivered),
                &of(|row| row.dead),
                &of(|row| row.kept),
                &of(|row| row.kept_bytes),
            ],
        )
        .await?;
        Ok(())
    }
}

/// If the row exists, adds the inserted numbers to the numbers of the row.
const ADD: &str = "on conflict (destination, gateway) do update set \
    queued = tally.queued + excluded.queued, \
    queued_bytes = tally.queued_bytes + excluded.queued_bytes, \
    delivered = tally.delivered + excluded.delivered, \
    dead = tally.dead + excluded.dead, \
    kept = tally.kept + excluded.kept, \
    kept_bytes = tally.kept_bytes + excluded.kept_bytes";

/// Adds the rows of lost gateways to one row, so the number of gateways that are alive bounds the number of
/// rows.
pub(super) async fn fold(call: &Call) -> Result<()> {
    let sql = format!(
        "with gone as ( \
            delete from tally t where t.gateway <> 0 and not exists (select 1 from gateway g where g.id = t.gateway) \
            returning * \
        ) \
        insert into tally (destination, gateway, queued, queued_bytes, delivered, dead, kept, kept_bytes) \
        select destination, 0, sum(queued)::bigint, sum(queued_bytes)::bigint, sum(delivered)::bigint, sum(dead)::bigint, \
            sum(kept)::bigint, sum(kept_bytes)::bigint from gone group by destination order by destination \
        {ADD}"
    );
    call.execute(&sql, &[]).await?;
    Ok(())
}

/// The statistics of the store.
pub(super) async fn statistics(call: &Call) -> Result<Statistics> {
    // The age of the oldest event is the only column that is not in the tally.
    let sql = "select r.path, r.model, n.upstream, t.queued, t.queued_bytes, t.delivered, t.dead, \
            case when t.queued > 0 then \
                (select e.received from delivery d join event e on e.seq = d.event \
                where d.destination = n.number and d.state = 0 order by d.id limit 1) end \
        from destination n join route r on r.number = n.route left join \
            (select destination, sum(queued)::bigint as queued, sum(queued_bytes)::bigint as queued_bytes, \
                sum(delivered)::bigint as delivered, sum(dead)::bigint as dead from tally group by destination) t \
            on t.destination = n.number";
    let mut counts: Vec<(Destination, Counts)> = Vec::new();
    for row in call.query(sql, &[]).await? {
        let number =
            |column| row.try_get::<_, Option<i64>>(column).map(|number| unsigned(number.unwrap_or(0)));
        counts.push((
            destination(&row, 0)?,
            Counts {
                queued: number(3)?,
                queued_bytes: number(4)?,
                oldest: row.try_get::<_, Option<i64>>(7)?.map(time),
                delivered: number(5)?,
                dead: number(6)?,
            },
        ));
    }
    counts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let sql = "select coalesce(sum(kept), 0)::bigint, coalesce(sum(kept_bytes), 0)::bigint from tally where destination = 0";
    let (kept, bytes) = match call.first(sql, &[]).await? {
        Some(row) => (unsigned(row.try_get(0)?), unsigned(row.try_get(1)?)),
        None => (0, 0),
    };
    let paused =
        call.query("select r.path, r.model from paused p join route r on r.number = p.route", &[]).await?;
    let mut paused = paused.iter().map(|row| route(row, 0)).collect::<Result<Vec<_>>>()?;
    paused.sort_unstable();
    Ok(Statistics { counts, bytes: bytes.saturating_add(kept.saturating_mul(BESIDES)), reusable: 0, paused })
}
