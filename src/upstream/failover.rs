//! Shell. Connects to the first reachable origin of an upstream.
//!
//! A request goes to a further origin only if no byte of it was sent: no connection to the origins before it
//! could be established. So no app gets a request twice.

use std::io;
use std::rc::Rc;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::upstream::connection::Connection;
use crate::upstream::error::{ForwardError, chain};
use crate::upstream::pool::Pool;

/// A connection for a request.
pub(super) struct Reached<'p> {
    /// The pool of the origin.
    pub(super) pool: &'p Rc<Pool>,
    pub(super) connection: Box<Connection>,
    /// Whether the connection was opened for this request.
    pub(super) is_fresh: bool,
}

/// A connection to the first reachable origin of the upstream. `first` has no idle connection.
///
/// # Errors
/// [`ForwardError::Unreachable`]. There may be a failure for each origin.
pub(super) async fn reach(first: &Rc<Pool>, now: Instant) -> Result<Reached<'_>, ForwardError> {
    if first.backups().is_empty() {
        let connection = first.connect().await?;
        return Ok(Reached { pool: first, connection, is_fresh: true });
    }
    // Boxed, because this future is seldom needed and would enlarge the future of every request.
    Box::pin(reach_one_of(first, now)).await
}

async fn reach_one_of(first: &Rc<Pool>, now: Instant) -> Result<Reached<'_>, ForwardError> {
    let all = std::iter::once(first).chain(first.backups());
    let (passed_over, others): (Vec<_>, Vec<_>) = all.partition(|pool| pool.reachability.is_passed_over());
    passed_over.iter().for_each(|pool| try_again(pool, now));
    let mut failures = Vec::new();
    // The origins that are passed over are tried last.
    for pool in others.into_iter().chain(passed_over) {
        if let Some(connection) = pool.take(now) {
            return Ok(Reached { pool, connection, is_fresh: false });
        }
        match connect(pool).await {
            Ok(connection) => return Ok(Reached { pool, connection, is_fresh: true }),
            Err(error) => failures.push(format!("{}: {error}", pool.upstream().origin)),
        }
    }
    let kind = io::ErrorKind::NotConnected;
    Err(ForwardError::Unreachable(io::Error::new(kind, failures.join("; "))))
}

/// Connects, and notes whether that failed.
async fn connect(pool: &Rc<Pool>) -> Result<Box<Connection>, String> {
    let (connected, state) = (pool.connect().await, &pool.reachability);
    let origin = &pool.upstream().origin;
    match connected {
        Ok(connection) => {
            if state.succeeded() {
                info!(upstream = %origin, "the gateway can connect to the upstream again, and sends it requests");
            }
            Ok(connection)
        }
        Err(error) => {
            let why = match &error {
                ForwardError::Unreachable(error) => error.to_string(),
                ForwardError::Broken(_) | ForwardError::TimedOut => chain(&error),
            };
            if state.failed(Instant::now().into_std()) {
                warn!(upstream = %origin, error = %why, "the gateway cannot connect to the upstream, and passes it over");
            }
            Err(why)
        }
    }
}

/// Connects to an origin that is passed over, if the last attempt was long enough ago. A separate task does
/// this, so no request waits. Later requests use the connection.
fn try_again(pool: &Rc<Pool>, now: Instant) {
    if pool.reachability.try_again(now.into_std()) {
        let again = Rc::clone(pool);
        pool.spawn(async move {
            let connected = connect(&again).await;
            again.reachability.tried();
            if let Ok(connection) = connected {
                again.keep(connection, Instant::now());
            }
        });
    }
}
