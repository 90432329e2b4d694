//! Shell. Claims of events on routes that deduplicate, against other gateways.

use crate::queue::postgres::error::Result;
use crate::queue::postgres::session::Call;
use crate::queue::row_values::of_time;
use crate::queue::store::Claiming;
use crate::queue::time::Time;

/// Claims the events with this duplicate key for a gateway.
pub(super) async fn take(
    call: &Call,
    route: i64,
    key: &[u8; 32],
    now: Time,
    gateway: i64,
) -> Result<Claiming> {
    // The claim of a lost gateway has no outcome, so it is replaced.
    let sql = "insert into claim (route, key, owner) values ($1, $2, $3) on conflict (route, key) do update \
        set owner = excluded.owner where not exists \
        (select 1 from gateway g where g.id = claim.owner and g.alive_until > clock_timestamp()) returning 1";
    if call.first(sql, &[&route, &&key[..], &gateway]).await?.is_none() {
        return Ok(Claiming::UnderWay);
    }
    // The check comes while this gateway holds the claim. The previous holder has recorded its delivery
    // before it released the claim.
    if is_seen(call, route, key, now).await? {
        release(call, route, key, gateway).await?;
        return Ok(Claiming::Duplicate);
    }
    Ok(Claiming::First)
}

/// Whether an event with this duplicate key was stored or delivered, and the key still counts.
pub(super) async fn is_seen(call: &Call, route: i64, key: &[u8; 32], now: Time) -> Result<bool> {
    let sql = "select 1 from seen where route = $1 and key = $2 and until > $3";
    Ok(call.first(sql, &[&route, &&key[..], &of_time(now)]).await?.is_some())
}

/// Releases a claim of this gateway.
pub(super) async fn release(call: &Call, route: i64, key: &[u8; 32], gateway: i64) -> Result<()> {
    let sql = "delete from claim where route = $1 and key = $2 and owner = $3";
    call.execute(sql, &[&route, &&key[..], &gateway]).await?;
    Ok(())
}
