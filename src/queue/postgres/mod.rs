//! Shell. The engine on PostgreSQL: a store that several gateways share.
//!
//! Each gateway commits the events that it accepts, and takes deliveries from the store. A delivery in the
//! memory of a gateway belongs to this gateway (`delivery.owner`), as long as the gateway counts as alive
//! (`gateway.alive_until`). After that time, another gateway takes the delivery. So no event is lost with a
//! gateway. While all gateways are alive, each event is delivered once.

mod change;
mod claim;
mod commit;
mod discarded;
mod error;
pub mod finished_kind;
mod list;
mod names;
mod password;
mod purge;
mod reader;
mod schema;
mod search;
mod server;
mod session;
mod tally;
mod tls;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use tracing::{info, warn};

use crate::config::PostgresAddress;
use crate::queue::id::EventId;
use crate::queue::postgres::commit::{Work, name_all};
use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::names::Names;
use crate::queue::postgres::reader::PostgresReader;
use crate::queue::postgres::schema::{Promises, VERSION, WRITER};
use crate::queue::postgres::server::Server;
use crate::queue::postgres::session::{Call, Session};
use crate::queue::postgres::tally::Tally;
use crate::queue::store::{
    Batch, Check, Committed, DeadLetter, Engine, OpenError, Reader, Retention, Statistics, Store, StoreError,
};
use crate::queue::time::Time;
use crate::upstream::error::chain;

/// How often a transaction is tried if it conflicts with other transactions.
const TRIES: usize = 5;

/// The part of the lease for which a gateway counts as alive after a renewal. In the rest of the lease, the
/// other gateways notice the loss.
const ALIVE_PART: (u32, u32) = (2, 3);

/// Opens sessions with the server. One gateway owns this value as long as the process lives.
#[derive(Debug)]
pub struct PostgresEngine {
    server: Server,
    shown: PathBuf,
    gateway: i64,
    alive: Duration,
}

impl PostgresEngine {
    /// The engine of the gateway with this number. No other gateway may have this number.
    #[must_use]
    pub fn new(address: &PostgresAddress, lease: Duration, gateway: i64) -> Self {
        let (part, whole) = ALIVE_PART;
        let alive = lease.saturating_mul(part).checked_div(whole).unwrap_or(lease);
        Self { server: Server::of(address), shown: PathBuf::from(&address.shown), gateway, alive }
    }

    fn connect(&self) -> std::result::Result<Postgres, OpenError> {
        let failed = |error: Error| {
            if error.is_unreachable() {
                OpenError::Unreachable(self.shown.clone(), Box::new(error))
            } else {
                OpenError::Server(self.shown.clone(), Box::new(error))
            }
        };
        let session = Session::open(&self.server, WRITER).map_err(failed)?;
        let promises = session.run(async |call| Promises::of(call).await).map_err(failed)?;
        if promises.is_too_old() {
            return Err(OpenError::OldServer(self.shown.clone(), promises.name));
        }
        session.run(async |call| schema::insist_on_encoding(call).await).map_err(failed)?;
        let version = session.transact(async |call| schema::prepare(call).await).map_err(failed)?;
        if version > VERSION {
            return Err(OpenError::Newer(self.shown.clone(), version));
        }
        session.run(async |call| schema::insist(call, &promises).await).map_err(failed)?;
        let store = Postgres {
            server: self.server.clone(),
            session,
            names: Names::default(),
            gateway: self.gateway,
            alive: self.alive,
            is_well: true,
        };
        store.say_alive().map_err(failed)?;
        info!(store = %self.shown.display(), server = promises.name, "the store on PostgreSQL is open");
        Ok(store)
    }
}

/// What an operator should know of the server before events are stored there. Either an error says why the
/// store cannot be opened, or the result names the settings by which a crash of the server can lose events.
/// Changes nothing on the server. Waits at most a few seconds.
#[must_use]
pub fn doubts(address: &PostgresAddress) -> Vec<String> {
    let server = Server::of(address);
    let asked = Session::open(&server, WRITER).and_then(|session| {
        session.run(async |call| {
            schema::insist_on_encoding(call).await?;
            Ok((Promises::of(call).await?, schema::may_prepare(call).await?))
        })
    });
    let store = &address.shown;
    match asked {
        Err(error) => vec![format!("the store {store} cannot be opened from here: {}", chain(&error))],
        Ok((promises, _)) if promises.is_too_old() => {
            vec![OpenError::OldServer(PathBuf::from(store), promises.name).to_string()]
        }
        Ok((_, false)) => vec![format!(
            "the user of the store {store} may not make the schema `hookgate`: make the user the owner of the database, or run \
             `grant create on database` for it"
        )],
        Ok((promises, true)) => {
            let doubt = |setting: &str| match setting {
                "synchronous_commit" => {
                    format!(
                        "{setting} is off on the server of {store}: hookgate sets it to on in its own sessions"
                    )
                }
                _ => format!(
                    "{setting} is off on the server of {store}: a crash of the server can lose events that were acknowledged"
                ),
            };
            promises.broken().into_iter().map(doubt).collect()
        }
    }
}

impl Engine for PostgresEngine {
    fn open(&mut self, _check: Check) -> std::result::Result<Box<dyn Store>, OpenError> {
        // After a crash, the server recovers by itself before it accepts connections.
        Ok(Box::new(self.connect()?))
    }
}

/// The store, and the session that commits.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    session: Session,
    names: Names,
    gateway: i64,
    alive: Duration,
    /// Whether no statement of the session has failed so far.
    is_well: bool,
}

impl Postgres {
    /// Runs `work` in one transaction. Returns when the transaction is on the server's disk.
    fn transact<T>(
        &mut self,
        now: Time,
        work: impl AsyncFn(&mut Work<'_>) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        let mut left = TRIES;
        let result = loop {
            left = left.saturating_sub(1);
            let (names, gateway) = (&self.names, self.gateway);
            let result = self.session.transact(async |call| {
                let mut transaction =
                    Work { call, names, gateway, now, tally: Tally::default(), ready: Default::default() };
                work(&mut transaction).await
            });
            match result {
                Err(error) if error.is_conflict() && left > 0 => {}
                Ok(_) | Err(_) => break result,
            }
        };
        self.note(result)
    }

    fn run<T>(&mut self, work: impl AsyncFnOnce(&Call) -> Result<T>) -> std::result::Result<T, StoreError> {
        let result = self.session.run(work);
        self.note(result)
    }

    /// Removes the rows of gateways that are gone. If another gateway does so at the same moment, the rows
    /// are left to that gateway.
    fn clear_up(&mut self) -> std::result::Result<(), StoreError> {
        let done = self.session.run(async |call| {
            call.batch("delete from gateway where alive_until < clock_timestamp() - interval '1 hour'")
                .await?;
            let sql = "delete from claim c where not exists \
                (select 1 from gateway g where g.id = c.owner and g.alive_until > clock_timestamp())";
            call.execute(sql, &[]).await?;
            discarded::clear_up(call).await?;
            tally::fold(call).await
        });
        match done {
            Err(error) if error.is_conflict() => Ok(()),
            done => self.note(done),
        }
    }

    fn note<T>(&mut self, result: Result<T>) -> std::result::Result<T, StoreError> {
        self.is_well &= result.is_ok();
        result.map_err(StoreError::from)
    }

    fn say_alive(&self) -> Result<()> {
        self.session.run(async |call| {
            let sql = "insert into gateway (id, alive_until) values ($1, clock_timestamp() + $2 * interval '1 second') \
                on conflict (id) do update set alive_until = excluded.alive_until";
            call.execute(sql, &[&self.gateway, &self.alive.as_secs_f64()]).await?;
            Ok(())
        })
    }
}

impl Store for Postgres {
    fn commit(&mut self, batch: &Batch<'_>) -> std::result::Result<Committed, StoreError> {
        let names = &mut self.names;
        let named = self.session.run(async |call| name_all(call, names, batch).await);
        self.note(named)?;
        self.transact(batch.now, async |work| work.batch(batch).await)
    }

    fn purge(
        &mut self,
        now: Time,
        retention: Retention,
        most: usize,
    ) -> std::result::Result<usize, StoreError> {
        self.transact(now, async |work| work.purge(retention, most).await)
    }

    fn dead_letters(
        &mut self,
        after: Time,
        until: Time,
        most: usize,
    ) -> std::result::Result<Vec<DeadLetter>, StoreError> {
        self.run(async |call| list::dead_letters(call, after, until, most).await)
    }

    fn statistics(&mut self) -> std::result::Result<Statistics, StoreError> {
        self.run(async |call| tally::statistics(call).await)
    }

    fn reader(&self) -> std::result::Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(PostgresReader::open(&self.server, self.gateway)?))
    }

    fn between_commits(&mut self) -> std::result::Result<(), StoreError> {
        Ok(())
    }

    fn idle(&mut self) -> std::result::Result<(), StoreError> {
        Ok(())
    }

    fn discarded_elsewhere(&mut self) -> std::result::Result<Vec<EventId>, StoreError> {
        let gateway = self.gateway;
        self.run(async |call| discarded::told(call, gateway).await)
    }

    fn confirm_discarded(&mut self, events: &[EventId]) -> std::result::Result<(), StoreError> {
        let gateway = self.gateway;
        self.run(async |call| discarded::confirm(call, gateway, events).await)
    }

    fn unconfirmed(&mut self, events: &[EventId]) -> std::result::Result<Vec<EventId>, StoreError> {
        self.run(async |call| discarded::unconfirmed(call, events).await)
    }

    fn keep_alive(&mut self) -> std::result::Result<Option<Duration>, StoreError> {
        let said = self.say_alive();
        self.note(said)?;
        self.clear_up()?;
        Ok(Some(self.alive))
    }
}

/// When a gateway ends, other gateways may take its deliveries at once.
impl Drop for Postgres {
    fn drop(&mut self) {
        if !self.is_well || self.session.is_closed() {
            return;
        }
        let sql = "delete from gateway where id = $1";
        let left = self.session.run(async |call| call.execute(sql, &[&self.gateway]).await);
        if left.is_err() {
            warn!(
                "the store was not told that this gateway ends: others take its deliveries after the lease"
            );
        }
    }
}
