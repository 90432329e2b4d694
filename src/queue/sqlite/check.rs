//! Shell. Checks the store for damage that would prevent a delivery: damage of states, indexes and counters,
//! not of events.
//!
//! A damaged event is found when it is read. But a flipped bit can also remove a delivery from the index of
//! due deliveries, change its state, or change the counter that says where deliveries wait. The check reads
//! the deliveries in short steps, beside all other work.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, params};
use tracing::{error, warn};

use crate::queue::id::EventId;
use crate::queue::sqlite::value::number;
use crate::queue::sqlite::{reader, schema};
use crate::runtime::background::{self, Background};

/// The deliveries of one step. Each step is a short transaction, so checkpoints can continue.
const STEP: i64 = 5_000;

/// The longest pause after a step. Each pause is about as long as its step.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long the check of the deliveries' table structure may take. Of a larger table, only a part is checked.
const STRUCTURE_PATIENCE: Duration = Duration::from_secs(10);

/// The most deliveries, and the most messages of SQLite, that a report names.
const MOST_NAMED: usize = 20;

/// How many of SQLite's instructions run between two readings of the clock.
const INSTRUCTIONS: i32 = 50_000;

/// The tables that lead to a delivery.
const TABLES: [&str; 3] = ["delivery", "destination", "route"];

/// Deliveries whose columns contradict each other, and queued deliveries that no query would find.
const WRONG: &str = "
    select n.route is e.route and r.number is not null, e.id from delivery d
    left join event e on e.seq = d.event
    left join destination n on n.number = d.destination
    left join route r on r.number = n.route
    where d.id > ?1 and d.id <= ?2 and (
        ifnull(d.state, -1) not in (0, 1, 2, 3, 4)
        or (d.state = 0) <> (d.ended is null)
        or d.state = 0 and (
            r.number is null
            or n.route <> e.route
            or ifnull(d.class, -1) not in (0, 1, 2)
            or ifnull(d.ready, -1) not in (0, 1)
            or d.ready = 0 and d.lane is null
            or d.lane is not null and d.ready <> not exists (
                select 1 from delivery f indexed by delivery_lane
                where f.destination = d.destination and f.lane = d.lane and f.state = 0 and f.lane is not null and f.id < d.id)
            or d.ready = 1 and not exists (
                select 1 from delivery f indexed by delivery_due
                where f.ready = 1 and f.destination = d.destination and f.class = d.class and f.due = d.due and f.id = d.id)))";

/// The events of the first and the last queued delivery, for each destination with several queued deliveries.
const ENDS: &str = "
    select first.event, last.event from (
        select min(id) as first, max(id) as last from delivery indexed by delivery_queued where state = 0 group by destination
    ) ends join delivery first on first.id = ends.first join delivery last on last.id = ends.last
    where ends.first < ends.last";

/// Destinations whose counter differs from the number of their queued deliveries.
const MISCOUNTED: &str = "
    select count(*) from destination n where ifnull(n.queued, -1) <> (
        select count(*) from delivery d indexed by delivery_queued where d.destination = n.number and d.state = 0)";

/// Makes the indexes anew from the table, then repairs contradictory deliveries, then the counters. A
/// delivery that may not have been made is queued again. A delivery that had ended becomes a dead letter.
const MEND: &str = "
    reindex delivery;
    update delivery set state = 4, ready = 0
        where state = 0 and ended is not null or ended is not null and ifnull(state, -1) not in (0, 1, 2, 3, 4);
    update delivery set state = 0, ready = 0 where ended is null and ifnull(state, -1) <> 0;
    update delivery set class = 1 where state = 0 and ifnull(class, -1) not in (0, 1, 2);
    update delivery set ready = 0 where state = 0 and lane is not null and ifnull(ready, -1) <> 0;
    update delivery set ready = 1 where state = 0 and lane is null and ifnull(ready, -1) <> 1;
    update delivery set ready = 1 where id in (
        select min(id) from delivery indexed by delivery_lane
        where state = 0 and lane is not null group by destination, lane);
    update destination set
        queued = (select count(*) from delivery d where d.destination = number and d.state = 0),
        queued_bytes = (select ifnull(sum(d.size), 0) from delivery d where d.destination = number and d.state = 0),
        delivered = 0, dead = 0;
    update destination set delivered = c.delivered, dead = c.dead from (
        select destination as number, sum(state = 1) as delivered, sum(state > 1) as dead from delivery group by destination
    ) c where c.number = destination.number;
";

/// The findings of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many deliveries contradict themselves or would never be made.
    pub deliveries: u64,
    /// How many deliveries or destinations have lost their route.
    pub routes: u64,
    /// The events of the first of these deliveries, if they can be read.
    pub events: Vec<EventId>,
    /// How many destinations have a counter that differs from the number of their queued deliveries.
    pub miscounted: u64,
    /// SQLite's messages about the tables and their indexes.
    pub structure: Vec<String>,
}

impl Findings {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { deliveries, routes, events: _, miscounted, structure } = self;
        *deliveries == 0 && *routes == 0 && *miscounted == 0 && structure.is_empty()
    }

    /// Whether indexes, states and counters can be made anew: not if the tables themselves are damaged.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        let is_of_index =
            |message: &String| message.contains("missing from index") || message.contains("entries in index");
        let has_any = self.deliveries > 0 || self.miscounted > 0 || !self.structure.is_empty();
        has_any && self.structure.iter().all(is_of_index)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deliveries, routes, events, miscounted, structure } = self;
        write!(f, "{deliveries} deliveries, {routes} routes, {miscounted} counters")?;
        if !events.is_empty() {
            let events: Vec<String> = events.iter().map(ToString::to_string).collect();
            write!(f, "; events {}", events.join(" "))?;
        }
        if !structure.is_empty() {
            write!(f, "; {}", structure.join("; "))?;
        }
        Ok(())
    }
}

/// Checks the store. If `stop` is set, returns the findings up to then.
pub(super) fn look(connection: &mut Connection, stop: &Arc<AtomicBool>) -> rusqlite::Result<Findings> {
    let mut found = Findings::default();
    watch(connection, stop, None)?;
    let rows = look_at_rows(connection, stop, &mut found);
    note_structure(rows, &mut found)?;
    let ends = look_at_ends(connection, &mut found);
    note_structure(ends, &mut found)?;
    let miscounted = connection.query_row(MISCOUNTED, [], |row| row.get(0)).map(number);
    found.miscounted = note_structure(miscounted, &mut found)?.unwrap_or(0);
    watch(connection, stop, Instant::now().checked_add(STRUCTURE_PATIENCE))?;
    for table in TABLES {
        let checked = look_at_structure(connection, table, &mut found);
        note_structure(checked, &mut found)?;
    }
    connection.progress_handler(0, None::<fn() -> bool>)?;
    Ok(found)
}

/// Interrupts a statement when `stop` is set, or at the time `end`.
fn watch(connection: &mut Connection, stop: &Arc<AtomicBool>, end: Option<Instant>) -> rusqlite::Result<()> {
    let stop = Arc::clone(stop);
    let is_over = move || stop.load(Ordering::Relaxed) || end.is_some_and(|end| Instant::now() >= end);
    connection.progress_handler(INSTRUCTIONS, Some(is_over))
}

/// Records damage that a statement has met as a finding. An interrupted statement has no finding.
fn note_structure<T>(result: rusqlite::Result<T>, found: &mut Findings) -> rusqlite::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(None),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            found.structure.push(error.to_string());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn look_at_rows(connection: &Connection, stop: &AtomicBool, found: &mut Findings) -> rusqlite::Result<()> {
    let greatest: Option<i64> = connection.query_row("select max(id) from delivery", [], |row| row.get(0))?;
    let Some(greatest) = greatest else { return Ok(()) };
    let mut wrong = connection.prepare(WRONG)?;
    // The first id after the last id of the previous step. Purged deliveries leave wide gaps between ids.
    let mut next = connection.prepare("select min(id) from delivery where id > ?1")?;
    let mut last = i64::MIN;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let Some(first) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? else { break };
        let until = first.saturating_add(STEP);
        let mut rows = wrong.query(params![first.saturating_sub(1), until])?;
        while let Some(row) = rows.next()? {
            let has_route: bool = row.get(0)?;
            let count = if has_route { &mut found.deliveries } else { &mut found.routes };
            *count = count.saturating_add(1);
            if let (true, Ok(id)) = (found.events.len() < MOST_NAMED, row.get(1)) {
                found.events.push(EventId::from_bytes(id));
            }
        }
        drop(rows);
        last = until;
        if last >= greatest {
            break;
        }
        thread::park_timeout(began.elapsed().min(LONGEST_PAUSE));
    }
    Ok(())
}

/// The checksum of an event covers the name of its route. If neither the first nor the last event of a
/// destination can be read, the name is damaged, and no query would find these events.
fn look_at_ends(connection: &Connection, found: &mut Findings) -> rusqlite::Result<()> {
    let mut ends = connection.prepare(ENDS)?;
    let mut rows = ends.query([])?;
    while let Some(row) = rows.next()? {
        let is_damaged = |event| Ok::<_, rusqlite::Error>(!reader::is_whole(connection, row.get(event)?)?);
        if is_damaged(0)? && is_damaged(1)? {
            found.routes = found.routes.saturating_add(1);
        }
    }
    Ok(())
}

fn look_at_structure(connection: &Connection, table: &str, found: &mut Findings) -> rusqlite::Result<()> {
    let mut check = connection.prepare(&format!("pragma integrity_check({table})"))?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let message: String = row.get(0)?;
        if message != "ok" && found.structure.len() < MOST_NAMED {
            found.structure.push(message);
        }
    }
    Ok(())
}

/// Makes indexes, states and counters anew.
pub(super) fn mend(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(MEND)?;
    transaction.commit()
}

/// Whether a check has found damage that can be repaired. The process repairs it only once: damage that comes
/// back is a fault of the disk.
#[derive(Debug, Default)]
pub(super) struct Mending {
    is_wanted: AtomicBool,
    was_begun: AtomicBool,
}

impl Mending {
    fn want(&self) -> bool {
        let is_new = !self.was_begun.load(Ordering::Relaxed);
        self.is_wanted.store(is_new, Ordering::Release);
        is_new
    }

    /// Whether the store is to be opened again for a repair.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    /// Begins the repair, if it is wanted.
    pub(super) fn begin(&self) -> bool {
        let is_wanted = self.is_wanted.swap(false, Ordering::AcqRel);
        self.was_begun.fetch_or(is_wanted, Ordering::Relaxed);
        is_wanted
    }
}

/// A check under way, on its own thread. Dropping this value stops the check.
#[derive(Debug)]
pub(super) struct Looking {
    stop: Arc<AtomicBool>,
    thread: Option<Background>,
}

impl Looking {
    /// Starts a check of the store at this path. Reports and counts the damage, and asks for its repair.
    pub(super) fn start(path: &Path, damage: &Arc<AtomicU64>, mending: &Arc<Mending>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (own, path) = (Arc::clone(&stop), path.to_owned());
        let (damage, mending) = (Arc::clone(damage), Arc::clone(mending));
        let work = move || {
            let found = schema::open_reader(&path).and_then(|mut connection| look(&mut connection, &own));
            match found {
                Ok(found) if found.is_empty() => {}
                Ok(found) => {
                    damage.fetch_add(1, Ordering::Relaxed);
                    let is_mended = found.is_mendable() && mending.want();
                    error!(
                        store = %path.display(), found = %found, is_mended,
                        "the queue's store is damaged: deliveries or their indexes are not as they must be"
                    );
                }
                Err(error) => {
                    warn!(store = %path.display(), %error, "the queue's store cannot be looked through for damage");
                }
            }
        };
        // If the thread cannot start, there is no check.
        let thread = background::start("queue-check", work).ok();
        Self { stop, thread }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.wait(background::LAST_WAIT);
        }
    }
}
