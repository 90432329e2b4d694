//! Shell. The store on SQLite: one file, owned by one process, written by one connection.
//!
//! Each commit is written to a write-ahead log. The log is synced before the commit returns. The writer's
//! connection later moves the log into the file. It moves a part after a commit that makes the log long, and
//! all of the log when no command waits.

mod check;
mod commit;
mod compact;
mod content;
mod counts;
mod error;
mod list;
mod lock;
pub mod log_damage;
mod names;
mod piece_sizes;
mod place;
mod purge;
mod reader;
mod removal;
mod schema;
mod search;
mod value;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tracing::{error, warn};

use crate::queue::sqlite::check::{Looking, Mending};
use crate::queue::sqlite::commit::{Memory, Work};
use crate::queue::sqlite::compact::Compaction;
use crate::queue::sqlite::error::{is_of_value, store_error};
use crate::queue::sqlite::log_damage::Mark;
use crate::queue::sqlite::place::Place;
use crate::queue::sqlite::reader::SqliteReader;
use crate::queue::sqlite::value::number;
use crate::queue::store::{
    Batch, Check, Committed, DeadLetter, Engine, OpenError, Reader, Retention, Statistics, Store, StoreError,
};
use crate::queue::time::Time;

pub use crate::queue::sqlite::log_damage::LogDamage;
pub use check::Findings;
pub use lock::OwnerLock;
pub(crate) use lock::{beside, create};
pub use schema::CACHES;

/// The length of the write-ahead log in pages that makes a checkpoint follow the commit.
const LONG_LOG: i32 = 1000;

/// How long a full checkpoint waits for a reader.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(50);

/// How long the check of a failed store may take. A larger store is checked only in part.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);

/// The most pages that one step returns to the disk.
const VACUUM_STEP: u64 = 256;

/// The free pages that the store keeps for later use: a sixteenth of all pages, and at least this number.
const FREE_PART: u64 = 16;
const FREE_PAGES: u64 = 64;

/// How long a step moves rows together: in an idle moment, and between commits.
const COMPACTION_STEP: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(5));

/// The store, and the connection that writes it.
#[derive(Debug)]
pub struct Sqlite {
    /// The check for damage. It ends before the connection is closed.
    looking: Option<Looking>,
    lock: Arc<OwnerLock>,
    connection: Connection,
    /// The writer's state in memory. `None` after a failed transaction.
    memory: Option<Memory>,
    log: PathBuf,
    place: Place,
    /// The open log file, for the mark.
    log_file: Option<File>,
    /// The damage of the log when the store was opened.
    log_damage: Option<LogDamage>,
    /// The pages of the write-ahead log after the last commit. Zero when they are in the file.
    log_pages: Arc<AtomicI32>,
    /// The frames of the log after the last commit. Zero when they are in the mark.
    unmarked: Arc<AtomicI32>,
    compaction: Compaction,
    /// Whether the store is to be opened again to repair damage.
    mending: Arc<Mending>,
}

/// The owner of a store, which opens the store.
#[derive(Debug)]
pub struct SqliteEngine {
    lock: Arc<OwnerLock>,
    /// Counts the found damage.
    damage: Arc<AtomicU64>,
    mending: Arc<Mending>,
}

impl SqliteEngine {
    /// Becomes the owner of the store at this path.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process owns the store.
    pub fn own(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { lock: Arc::new(OwnerLock::take(path)?), damage: Arc::default(), mending: Arc::default() })
    }

    /// Counts the damage that is found in this store.
    #[must_use]
    pub fn counting(self, damage: Arc<AtomicU64>) -> Self {
        Self { damage, ..self }
    }

    /// The path of the store's file itself, not of a link.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lock.path()
    }
}

impl Engine for SqliteEngine {
    fn open(&mut self, check: Check) -> Result<Box<dyn Store>, OpenError> {
        let mut store = Sqlite::open_to(&self.lock, check, self.mending.begin())?;
        if store.log_damage.is_some() {
            self.damage.fetch_add(1, Ordering::Relaxed);
        }
        store.mending = Arc::clone(&self.mending);
        store.looking = Some(Looking::start(self.lock.path(), &self.damage, &self.mending));
        Ok(Box::new(store))
    }
}

impl Sqlite {
    /// Opens an owned store, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(lock: &Arc<OwnerLock>, check: Check) -> Result<Self, OpenError> {
        Self::open_to(lock, check, false)
    }

    /// Opens the store. Repairs it if `mends` is true.
    fn open_to(lock: &Arc<OwnerLock>, check: Check, mends: bool) -> Result<Self, OpenError> {
        let path = lock.path();
        let failed = |error: rusqlite::Error| OpenError::Failed(path.to_owned(), Box::new(error));
        let log = beside(path, "-wal");
        let log_damage = damage_of(&log, lock);
        let mut connection = schema::open_writer(path)?;
        if mends {
            // The store has not failed, and a check has read all of it.
            mend(&mut connection);
        } else if check == Check::Yes {
            quick_check(&mut connection).map_err(failed)?;
        }
        if check == Check::Yes {
            empty_log(&connection).map_err(failed)?;
        }
        let memory = Memory::load(&connection).map_err(failed)?;
        let log_pages = Arc::new(AtomicI32::new(0));
        let unmarked = Arc::new(AtomicI32::new(0));
        let counts = [Arc::clone(&log_pages), Arc::clone(&unmarked)];
        let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
            counts.iter().for_each(|count| count.store(pages, Ordering::Relaxed));
            Ok(())
        };
        connection.wal_hook(Some(hook)).map_err(failed)?;
        // By now, SQLite has created the log.
        let place = Place::of([path.to_owned(), log.clone(), beside(path, ".lock")]);
        let (lock, memory) = (Arc::clone(lock), Some(memory));
        let (mending, compaction, log_file, looking) = (Arc::default(), Compaction::default(), None, None);
        Ok(Self {
            looking,
            lock,
            connection,
            memory,
            log,
            place,
            log_file,
            log_damage,
            log_pages,
            unmarked,
            compaction,
            mending,
        })
    }

    /// Checks for damage that would prevent a delivery.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn look_for_damage(&self) -> Result<Findings, StoreError> {
        let mut connection = schema::open_reader(self.lock.path()).map_err(store_error)?;
        check::look(&mut connection, &Arc::new(AtomicBool::new(false))).map_err(store_error)
    }

    /// Makes indexes, states and counters anew.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn mend(&mut self) -> Result<(), StoreError> {
        self.memory = None;
        check::mend(&mut self.connection).map_err(store_error)
    }

    /// The damage of the log when the store was opened. Committed data are missing then.
    #[must_use]
    pub fn log_damage(&self) -> Option<LogDamage> {
        self.log_damage
    }

    /// Records the length of the log after a commit, for the check at the next start. Without the mark, the
    /// check finds less. So a failure is no error.
    fn mark_log(&mut self) {
        let Some(frames) = u32::try_from(self.unmarked.swap(0, Ordering::Relaxed)).ok().filter(|n| *n > 0)
        else {
            return;
        };
        if self.log_file.is_none() {
            self.log_file = File::open(&self.log).ok();
        }
        if let Some(log) = &self.log_file {
            let _unmarked = Mark::of(log, frames).and_then(|mark| self.lock.set_mark(mark));
        }
    }

    /// Runs `work` in one transaction. Returns when the transaction is on disk.
    fn transact<T>(
        &mut self,
        now: Time,
        work: impl FnOnce(&mut Work<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let result = self.try_transact(now, work);
        match result {
            Ok(_) => self.mark_log(),
            // The state in memory may be ahead of the store.
            Err(_) => self.memory = None,
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
        // The result says whether a reader was in the way. A reader in the way is no error: the next
        // checkpoint continues.
        self.connection.query_row(pragma, [], |_row| Ok(()))
    }

    /// Moves rows together for the given time, if many rows were removed. Returns the number of moved rows.
    fn compact(&mut self, time: Duration) -> Result<usize, StoreError> {
        if !self.compaction.is_under_way() {
            return Ok(0);
        }
        let step = || -> rusqlite::Result<_> {
            let transaction = self.connection.unchecked_transaction()?;
            let step = self.compaction.step(&transaction, time)?;
            transaction.commit()?;
            Ok(step)
        };
        match step() {
            Ok((moved, compaction)) => {
                self.compaction = compaction;
                self.mark_log();
                Ok(moved)
            }
            // No data depend on this work. A read of damaged data reports the damage.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) || is_of_value(&error) =>
            {
                warn!(%error, "the queue's store is not made smaller: it is damaged");
                self.compaction.give_up();
                Ok(0)
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// Returns some free pages to the disk, if there are many.
    fn vacuum(&self) -> rusqlite::Result<()> {
        let free = self.ask("pragma freelist_count")?;
        let pages = self.ask("pragma page_count")?;
        if free > FREE_PAGES && free > pages.checked_div(FREE_PART).unwrap_or(0) {
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
        if self.mending.is_wanted() {
            return Err(StoreError::Failed("damage was found that can be mended".into()));
        }
        let removed = self.transact(now, |work| work.purge(retention, most))?;
        if removed > 0 {
            let kept = self.memory.as_ref().map_or(0, |memory| memory.counters.kept());
            self.compaction.note_removed(removed, kept);
        }
        if removed >= most {
            return Ok(removed);
        }
        // Rows are also moved here, because there may be no idle moment. On a full disk, they are moved
        // later.
        let moved = unless_full(self.compact(COMPACTION_STEP.1))?;
        unless_full(self.vacuum().map_err(store_error))?;
        let most_moved = most.checked_div(2).unwrap_or(0);
        Ok(if removed > 0 { removed } else { moved.min(most_moved) })
    }

    fn dead_letters(&mut self, after: Time, until: Time, most: usize) -> Result<Vec<DeadLetter>, StoreError> {
        list::dead_letters(&self.connection, after, until, most).map_err(store_error)
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
        // On a full disk, these steps fail because the log has no room. The checkpoint may then make room.
        let moved = self.compact(COMPACTION_STEP.0);
        let vacuumed = self.vacuum();
        let empty = || {
            self.connection.busy_timeout(CHECKPOINT_PATIENCE)?;
            let emptied = self.checkpoint("pragma wal_checkpoint(truncate)");
            self.connection.busy_timeout(schema::PATIENCE)?;
            emptied?;
            self.log_pages.store(0, Ordering::Relaxed);
            vacuumed
        };
        empty().map_err(store_error)?;
        moved.map(|_rows| ())
    }

    fn is_in_place(&self) -> bool {
        self.place.is_unchanged()
    }
}

/// Reports the damage of a log. SQLite itself does not report that it drops the damaged end.
fn damage_of(path: &Path, lock: &OwnerLock) -> Option<LogDamage> {
    let damage = match log_damage::damage(path, lock.mark()) {
        Ok(damage) => damage?,
        // SQLite reports the same when it opens the log.
        Err(error) => {
            warn!(log = %path.display(), %error, "the queue's log cannot be checked");
            return None;
        }
    };
    let whole_frames = match damage {
        LogDamage::Header => 0,
        LogDamage::Frames(whole) => whole,
    };
    error!(
        log = %path.display(), whole_frames,
        "the queue's write-ahead log is damaged: its last commits are lost, and with them acknowledged events or records of deliveries"
    );
    Some(damage)
}

/// Repairs the damage that a check has found. The next check finds deliveries that are still damaged.
fn mend(connection: &mut Connection) {
    match check::mend(connection) {
        Ok(()) => warn!(
            "the queue's indexes, states and counters were made anew: what was damaged there may be delivered again"
        ),
        Err(error) => error!(%error, "the queue's store cannot be mended"),
    }
}

/// On a full disk, returns the default instead of the error.
fn unless_full<T: Default>(result: Result<T, StoreError>) -> Result<T, StoreError> {
    match result {
        Err(StoreError::Full) => Ok(T::default()),
        Ok(_) | Err(StoreError::Failed(_)) => result,
    }
}

fn loaded<'m>(memory: &'m mut Option<Memory>, connection: &Connection) -> rusqlite::Result<&'m mut Memory> {
    match memory {
        Some(memory) => Ok(memory),
        None => Ok(memory.insert(Memory::load(connection)?)),
    }
}

/// Moves all of the log into the file. After a failed sync, the system may have dropped pages of the log
/// without writing them, and a later sync would not report it. With an empty log, nothing depends on such
/// pages.
fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    match connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("the log cannot be emptied while it is read".to_owned()),
        )),
    }
}

/// Searches a failed store for damage, for a bounded time.
fn quick_check(connection: &mut Connection) -> rusqlite::Result<()> {
    /// How many of SQLite's instructions run between two readings of the clock.
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
        // The checked part of the store is intact.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(error),
    }
}
