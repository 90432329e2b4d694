//! Shell. The engine on SQLite: one file, owned by one process, written by one connection.
//!
//! Everything is in a write-ahead log that is synced before a commit returns. The writer's connection moves the log into the
//! file: some of it after a commit that makes it long, all of it when nothing waits.

mod commit;
mod counts;
mod error;
mod list;
mod lock;
mod names;
mod purge;
mod reader;
mod removal;
mod schema;
mod value;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use crate::queue::sqlite::commit::{Memory, Work};
use crate::queue::sqlite::error::store_error;
use crate::queue::sqlite::reader::SqliteReader;
use crate::queue::sqlite::value::number;
use crate::queue::store::{
    Batch, Check, Committed, Engine, OpenError, Reader, Retention, Statistics, Store, StoreError,
};
use crate::queue::time::Time;

pub use lock::OwnerLock;
pub(crate) use lock::{beside, create};

/// The pages of the write-ahead log after which a commit is followed by a checkpoint.
const LONG_LOG: i32 = 1000;

/// How long a full checkpoint waits for a reader.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(50);

/// How long the check of a store that has failed may take. A store that is too large for that is checked in part.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);

/// The pages that one step gives back to the disk.
const VACUUM_STEP: u64 = 256;

/// The part of a store's pages that may be free: an eighth. They are used again.
const FREE_PART: u64 = 8;

/// The store, and the connection that writes it.
#[derive(Debug)]
pub struct Sqlite {
    lock: Arc<OwnerLock>,
    connection: Connection,
    /// What is known of the store in memory. `None` after a transaction that failed.
    memory: Option<Memory>,
    log: PathBuf,
    /// The pages of the write-ahead log after the last commit.
    log_pages: Arc<AtomicI32>,
}

/// The ownership of a store, which opens it.
#[derive(Debug)]
pub struct SqliteEngine {
    lock: Arc<OwnerLock>,
}

impl SqliteEngine {
    /// Becomes the owner of the store at this path.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process owns it.
    pub fn own(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { lock: Arc::new(OwnerLock::take(path)?) })
    }
}

impl Engine for SqliteEngine {
    fn open(&mut self, check: Check) -> Result<Box<dyn Store>, OpenError> {
        Ok(Box::new(Sqlite::open(&self.lock, check)?))
    }
}

impl Sqlite {
    /// Opens the store of an owner, and makes it if it does not exist.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(lock: &Arc<OwnerLock>, check: Check) -> Result<Self, OpenError> {
        let path = lock.path();
        let failed = |error: rusqlite::Error| OpenError::Failed(path.to_owned(), Box::new(error));
        let mut connection = schema::open_writer(path)?;
        if check == Check::Yes {
            quick_check(&mut connection).map_err(failed)?;
            empty_log(&connection).map_err(failed)?;
        }
        let memory = Memory::load(&connection).map_err(failed)?;
        let log_pages = Arc::new(AtomicI32::new(0));
        let count = Arc::clone(&log_pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
            count.store(pages, Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).map_err(failed)?;
        let log = beside(path, "-wal");
        Ok(Self { lock: Arc::clone(lock), connection, memory: Some(memory), log, log_pages })
    }

    /// Works in one transaction, which is on disk when this returns.
    fn transact<T>(
        &mut self,
        now: Time,
        work: impl FnOnce(&mut Work<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let result = self.try_transact(now, work);
        if result.is_err() {
            // What is in memory may be ahead of the store.
            self.memory = None;
        }
        result.map_err(store_error)
    }

    fn try_transact<T>(
        &mut self,
        now: Time,
        work: impl FnOnce(&mut Work<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let memory = loaded(&mut self.memory, &self.connection)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&mut Work::new(&transaction, memory, now))?;
        transaction.commit()?;
        Ok(done)
    }

    fn ask(&self, pragma: &str) -> rusqlite::Result<u64> {
        self.connection.prepare_cached(pragma)?.query_row([], |row| row.get(0)).map(number)
    }

    fn checkpoint(&self, pragma: &str) -> rusqlite::Result<()> {
        // It answers whether a reader was in the way, which is no error: the next one goes on.
        self.connection.query_row(pragma, [], |_row| Ok(()))
    }

    /// Gives some free pages back to the disk, if there are many.
    fn vacuum(&self) -> rusqlite::Result<()> {
        let free = self.ask("pragma freelist_count")?;
        let pages = self.ask("pragma page_count")?;
        if free > VACUUM_STEP && free > pages.checked_div(FREE_PART).unwrap_or(0) {
            // Each step of this statement gives one page back.
            let mut vacuum = self.connection.prepare(&format!("pragma incremental_vacuum({VACUUM_STEP})"))?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
        }
        Ok(())
    }
}

impl Store for Sqlite {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed, StoreError> {
        self.transact(batch.now, |work| work.batch(batch))
    }

    fn purge(&mut self, now: Time, retention: Retention, most: usize) -> Result<usize, StoreError> {
        self.transact(now, |work| work.purge(retention, most))
    }

    fn statistics(&mut self) -> Result<Statistics, StoreError> {
        let mut all = || {
            let memory = loaded(&mut self.memory, &self.connection)?;
            let counts = memory.counters.all(&self.connection)?;
            let mut find = self.connection.prepare_cached(
                "select r.path, r.model from paused p join route r on r.number = p.route order by 1, 2",
            )?;
            let paused = find.query_map([], |row| value::route(row, 0))?.collect::<Result<_, _>>()?;
            let size = self.ask("pragma page_size")?;
            let log = fs::metadata(&self.log).map_or(0, |log| log.len());
            let bytes = self.ask("pragma page_count")?.saturating_mul(size).saturating_add(log);
            let reusable = self.ask("pragma freelist_count")?.saturating_mul(size);
            Ok(Statistics { counts, bytes, reusable, paused })
        };
        all().map_err(store_error)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        let connection = schema::open_reader(self.lock.path()).map_err(store_error)?;
        Ok(Box::new(SqliteReader::new(connection)))
    }

    fn between_commits(&mut self) -> Result<(), StoreError> {
        if self.log_pages.load(Ordering::Relaxed) < LONG_LOG {
            return Ok(());
        }
        self.log_pages.store(0, Ordering::Relaxed);
        self.checkpoint("pragma wal_checkpoint(passive)").map_err(store_error)
    }

    fn idle(&mut self) -> Result<(), StoreError> {
        let all = || {
            self.vacuum()?;
            self.connection.busy_timeout(CHECKPOINT_PATIENCE)?;
            self.checkpoint("pragma wal_checkpoint(truncate)")?;
            self.log_pages.store(0, Ordering::Relaxed);
            self.connection.busy_timeout(schema::PATIENCE)
        };
        all().map_err(store_error)
    }
}

fn loaded<'m>(memory: &'m mut Option<Memory>, connection: &Connection) -> rusqlite::Result<&'m mut Memory> {
    match memory {
        Some(memory) => Ok(memory),
        None => Ok(memory.insert(Memory::load(connection)?)),
    }
}

/// Moves all of the log into the file, so that nothing depends on what a failed sync has left of the log: the system may have
/// forgotten to write some of it, and a later sync would not say so.
fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    match connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("the log cannot be emptied while it is read".to_owned()),
        )),
    }
}

/// Looks for damage in a store that has failed, for a bounded time.
fn quick_check(connection: &mut Connection) -> rusqlite::Result<()> {
    /// The instructions of SQLite's machine between two looks at the clock.
    const INSTRUCTIONS: i32 = 100_000;
    let end = Instant::now().checked_add(CHECK_PATIENCE);
    connection.progress_handler(INSTRUCTIONS, Some(move || end.is_none_or(|end| Instant::now() >= end)))?;
    let answer = connection.query_row("pragma quick_check(1)", [], |row| row.get::<_, String>(0));
    connection.progress_handler(0, None::<fn() -> bool>)?;
    match answer {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(damage) => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(damage),
        )),
        // As far as it has come, the store is whole.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(error),
    }
}
