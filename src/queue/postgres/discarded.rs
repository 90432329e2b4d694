//! Shell. The events that one gateway discards while other gateways have them in memory: the table
//! `discarded`.

use std::collections::BTreeSet;

use crate::queue::id::EventId;
use crate::queue::postgres::error::Result;
use crate::queue::postgres::session::Call;
use crate::queue::postgres::value;

/// Tells the owners of an event, in the transaction that discards the event.
pub(super) async fn tell(call: &Call, event: EventId, owners: &BTreeSet<i64>) -> Result<()> {
    if owners.is_empty() {
        return Ok(());
    }
    let owners: Vec<i64> = owners.iter().copied().collect();
    let sql = "insert into discarded (owner, event) select u.owner, $2 from unnest($1::bigint[]) as u(owner) on conflict do nothing";
    call.execute(sql, &[&owners, &&event.as_bytes()[..]]).await?;
    Ok(())
}

/// The events of which this gateway was told.
pub(super) async fn told(call: &Call, gateway: i64) -> Result<Vec<EventId>> {
    let rows = call.query("select event from discarded where owner = $1", &[&gateway]).await?;
    rows.iter().map(|row| value::id(row.try_get(0)?)).collect()
}

/// Removes the rows of this gateway for these events.
pub(super) async fn confirm(call: &Call, gateway: i64, events: &[EventId]) -> Result<()> {
    let sql = "delete from discarded where owner = $1 and event = any($2)";
    call.execute(sql, &[&gateway, &bytes(events)]).await?;
    Ok(())
}

/// The events of this list that at least one gateway that counts as alive has not confirmed.
pub(super) async fn unconfirmed(call: &Call, events: &[EventId]) -> Result<Vec<EventId>> {
    let sql = "select distinct d.event from gateway g join discarded d on d.owner = g.id \
        where g.alive_until > clock_timestamp() and d.event = any($1)";
    let rows = call.query(sql, &[&bytes(events)]).await?;
    rows.iter().map(|row| value::id(row.try_get(0)?)).collect()
}

/// Removes the rows of gateways that do not count as alive.
pub(super) async fn clear_up(call: &Call) -> Result<()> {
    let sql = "delete from discarded d where not exists \
        (select 1 from gateway g where g.id = d.owner and g.alive_until > clock_timestamp())";
    call.execute(sql, &[]).await?;
    Ok(())
}

fn bytes(events: &[EventId]) -> Vec<&[u8]> {
    events.iter().map(|event| &event.as_bytes()[..]).collect()
}
