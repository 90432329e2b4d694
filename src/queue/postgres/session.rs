//! Shell. A session: one connection to the server, used by one thread at a time, with a deadline for each
//! statement.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::server::Server;

/// How long the server may take for the first statements of a session. The connection has a limit for each
/// host.
const SETTINGS_PATIENCE: Duration = Duration::from_secs(5);

/// How long one piece of work may take: a batch, or a page of a list.
const PATIENCE: Duration = Duration::from_secs(20);

/// A value of a statement.
pub(super) type Value<'v> = &'v (dyn ToSql + Sync);

/// A session with the server.
pub(super) struct Session {
    /// Drives the connection. `None` only while it is dropped.
    runtime: Option<Runtime>,
    call: Call,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

/// Sends statements.
pub(super) struct Call {
    client: Client,
    /// The statements that the server has prepared. Apart from filters, their number is the number of texts
    /// in this code.
    prepared: RefCell<HashMap<String, Statement>>,
}

/// The most statements that are kept prepared.
const MOST_PREPARED: usize = 256;

impl Session {
    /// Connects. `settings` are the first statements of the session.
    pub(super) fn open(server: &Server, settings: &str) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
        let connected = runtime.block_on(async {
            let client = server.connect(&runtime).await?;
            match timeout(SETTINGS_PATIENCE, client.batch_execute(settings)).await {
                Ok(set) => set?,
                Err(_elapsed) => return Err(Error::TimedOut),
            }
            Ok(client)
        });
        let client = match connected {
            Ok(client) => client,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let call = Call { client, prepared: RefCell::default() };
        Ok(Self { runtime: Some(runtime), call })
    }

    /// Runs `work` on the server, at most for [`PATIENCE`].
    pub(super) fn run<T>(&self, work: impl AsyncFnOnce(&Call) -> Result<T>) -> Result<T> {
        let Some(runtime) = &self.runtime else { return Err(Error::TimedOut) };
        runtime.block_on(async { timeout(PATIENCE, work(&self.call)).await }).unwrap_or(Err(Error::TimedOut))
    }

    /// Like [`Self::run`], in a transaction. After an error, no part of the transaction is stored, unless the
    /// connection broke during the commit.
    pub(super) fn transact<T>(&self, work: impl AsyncFnOnce(&Call) -> Result<T>) -> Result<T> {
        self.run(async |call| {
            call.batch("begin").await?;
            match work(call).await {
                Ok(done) => {
                    call.batch("commit").await?;
                    Ok(done)
                }
                Err(error) => {
                    // If the rollback fails too, the connection is broken, and the server rolls back by
                    // itself.
                    let _broken = call.batch("rollback").await;
                    Err(error)
                }
            }
        })
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.call.client.is_closed()
    }
}

/// Dropping a runtime waits for its threads. A task of another runtime must not wait in this way.
impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Call {
    /// Executes statements without values.
    pub(super) async fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// The rows of a statement.
    pub(super) async fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query(&statement, values).await?)
    }

    /// The first row of a statement.
    pub(super) async fn first(&self, sql: &str, values: &[Value<'_>]) -> Result<Option<Row>> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// Executes a statement. Returns the number of rows that it has changed.
    pub(super) async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        let statement = self.statement(sql).await?;
        Ok(self.client.execute(&statement, values).await?)
    }

    async fn statement(&self, sql: &str) -> Result<Statement> {
        let known = self.prepared.borrow().get(sql).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let statement = self.client.prepare(sql).await?;
        let mut prepared = self.prepared.borrow_mut();
        if prepared.len() >= MOST_PREPARED {
            prepared.clear();
        }
        prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}
