//! A store in which one bit was changed: the store delivers no altered event, and reports each missing event.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use hookgate::queue::event::Event;
use hookgate::queue::sqlite::{OwnerLock, Sqlite};
use hookgate::queue::store::{
    Bounds, Check, Class, DeadCause, DueQuery, Filter, Next, State, Statistics, Store, StoreError,
};
use hookgate::queue::time::Time;

use super::{Place, folder_in_memory, main};
use crate::support::event::event;

const PAGE: usize = 4096;

const PATHS: [&str; 2] = ["/a", "/b"];

/// The files of a store, and its events by id. The waiting events are `queued`.
struct Original {
    files: [Vec<u8>; 2],
    /// The file of the lock has the mark of the log.
    lock: Vec<u8>,
    /// The pages by which deliveries are found: of their table and its indexes, of destinations and of
    /// routes. All of these are small.
    leading: Vec<usize>,
    events: BTreeMap<String, Event>,
    queued: BTreeSet<String>,
}

fn original(has_log: bool) -> Original {
    let folder = folder_in_memory();
    let path = folder.path().join("events.db");
    let place = Place::File(folder);
    let mut opened = place.open();
    let (mut events, mut queued) = (BTreeMap::new(), BTreeSet::new());
    for number in 0..12_u64 {
        let length = [40, 2_100, 4_000][usize::try_from(number % 3).unwrap()];
        let make = event(PATHS[usize::from(number % 4 == 3)], 1_000 + number).content(vec![b'x'; length]);
        let id = opened.store_one(1_000 + number, &make);
        match number {
            0 => drop(opened.complete(2_000, id, Next::Delivered)),
            1 => drop(opened.complete(2_000, id, Next::Dead(DeadCause::Refused))),
            2 => {
                drop(opened.complete(2_000, id, Next::Again { due: Time::from_millis(3_000), spends: true }));
            }
            _ => {}
        }
        events.insert(make.id().to_string(), make.make());
        if number > 1 {
            queued.insert(make.id().to_string());
        }
    }
    if !has_log {
        opened.store.idle().unwrap();
    }
    let log = fs::read(path.with_file_name("events.db-wal")).unwrap_or_default();
    let lock = fs::read(path.with_file_name("events.db.lock")).unwrap();
    let sql = "select rootpage from sqlite_schema where tbl_name in ('delivery', 'destination', 'route')";
    let schema = rusqlite::Connection::open(&path).unwrap();
    let mut pages = schema.prepare(sql).unwrap();
    let pages = pages.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    let leading = pages.map(|page| usize::try_from(page.unwrap()).unwrap() - 1).collect();
    Original { files: [fs::read(&path).unwrap(), log], lock, leading, events, queued }
}

/// What one flip has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// Nothing is missing.
    Whole,
    /// A delivery is a dead letter of this cause.
    SetAside,
    /// The store says that it is damaged when it is opened or read.
    Failed,
    /// Indexes, states or counters were damaged, and are made anew: nothing is missing.
    Mended,
    /// The check of the log or of the rows reports damage, and an event is missing.
    Reported,
    /// The event is listed, but no longer waits.
    Listed,
    /// An event that waited is neither delivered, nor a dead letter, nor in a list, and nothing says so.
    Missing,
}

fn examine(original: &Original, path: &Path) -> Result<Found, String> {
    let lock = Arc::new(OwnerLock::take(path).map_err(|error| error.to_string())?);
    let Ok(mut store) = Sqlite::open(&lock, Check::No) else { return Ok(Found::Failed) };
    let Ok(findings) = store.look_for_damage() else { return Ok(Found::Failed) };
    let is_reported = store.log_damage().is_some() || !findings.is_empty();
    let is_mended = findings.is_mendable() && store.mend().is_ok();
    match read(original, &mut store) {
        Ok(Ok(Found::Whole)) if is_mended => Ok(Found::Mended),
        Ok(Ok(Found::Listed | Found::Missing)) if is_reported => Ok(Found::Reported),
        Ok(found) => found,
        Err(StoreError::Failed(_) | StoreError::Full) => Ok(Found::Failed),
    }
}

fn read(original: &Original, store: &mut Sqlite) -> Result<Result<Found, String>, StoreError> {
    let Statistics { counts, .. } = store.statistics()?;
    let mut reader = store.reader()?;
    let (mut delivered, mut damaged) = (BTreeSet::new(), 0);
    let mut destinations: BTreeSet<_> = counts.into_iter().map(|(destination, _)| destination).collect();
    destinations.extend(PATHS.map(main));
    for destination in &destinations {
        for class in [Class::New, Class::Retry, Class::Replay] {
            let now = Time::from_millis(u64::MAX >> 1);
            let query = DueQuery { destination, class, now, except: &[], most: 100, most_bytes: u64::MAX };
            let due = reader.due(&query)?;
            damaged += due.damaged.len();
            for delivery in due.deliveries {
                let id = delivery.event.info().id.to_string();
                let Some(sent) = original.events.get(&id) else { return Ok(Err(format!("{id} is unknown"))) };
                if **delivery.event.info() != *sent.info()
                    || delivery.event.head() != sent.head()
                    || delivery.event.content() != sent.content()
                    || destination.route != sent.info().route
                {
                    return Ok(Err(format!("{id} is delivered altered")));
                }
                delivered.insert(id);
            }
        }
    }
    let mut listed = BTreeSet::new();
    for summary in reader.page(&Filter::default(), None, Bounds::of(1_000))?.found {
        let id = summary.info.id.to_string();
        damaged += summary
            .deliveries
            .iter()
            .filter(|delivery| delivery.state == State::Dead(DeadCause::Damaged))
            .count();
        let detail = reader.detail(summary.info.id)?;
        if let Some(event) = detail.and_then(|detail| detail.event)
            && original.events.get(&id).is_none_or(|sent| event.content() != sent.content())
        {
            return Ok(Err(format!("{id} is shown altered")));
        }
        listed.insert(id);
    }
    let missing: BTreeSet<_> = original.queued.difference(&delivered).collect();
    Ok(Ok(if missing.is_empty() {
        Found::Whole
    } else if damaged > 0 {
        Found::SetAside
    } else if missing.iter().all(|id| listed.contains(*id)) {
        Found::Listed
    } else {
        Found::Missing
    }))
}

/// `HOOKGATE_BIT_FLIPS` says how many: `tests/durability/bitflips` sets it.
#[test]
fn no_flipped_bit_alters_what_is_delivered() {
    let asked = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (count, mut state) = (asked("HOOKGATE_BIT_FLIPS", 200), asked("HOOKGATE_BIT_FLIPS_SEED", 1_u64) | 1);
    let mut random = |below: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let originals = [original(true), original(false)];
    let folder = folder_in_memory();
    let mut figures: BTreeMap<(&str, Found), u64> = BTreeMap::new();
    for number in 0..count {
        // A quarter of the flips each: in a log, in the file beside it, in a file that has everything, and in
        // what leads to deliveries there.
        let kind = random(4);
        let (original, place) = [(0, 1), (0, 0), (1, 0), (1, 0)][kind];
        let original = &originals[original];
        let place = if original.files[place].is_empty() { 1 } else { place };
        let mut files = original.files.clone();
        let mut at = random(files[place].len());
        // Not in the middle of free space.
        let is_free = |at: usize| {
            files[place][at.saturating_sub(8)..(at + 8).min(files[place].len())].iter().all(|byte| *byte == 0)
        };
        while kind == 3 && (is_free(at) || !original.leading.contains(&(at / PAGE))) {
            at = original.leading[random(original.leading.len())] * PAGE + random(PAGE);
        }
        let bit = random(8);
        files[place][at] ^= 1 << bit;
        let path = folder.path().join("events.db");
        for (name, bytes) in ["events.db", "events.db-wal"].iter().zip(&files) {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        fs::write(folder.path().join("events.db.lock"), &original.lock).unwrap();
        let _none = fs::remove_file(folder.path().join("events.db-shm"));
        let found = examine(original, &path)
            .unwrap_or_else(|fault| panic!("flip {number}, file {place}, byte {at}, bit {bit}: {fault}"));
        let place = if kind == 3 { "leading" } else { ["file", "log"][place] };
        *figures.entry((place, found)).or_default() += 1;
    }
    for (place, found) in ["log", "file", "leading"]
        .into_iter()
        .flat_map(|place| [(place, Found::Listed), (place, Found::Missing)])
    {
        assert_eq!(figures.get(&(place, found)), None, "{figures:?}");
    }
    // For the script, which shows it.
    writeln!(std::io::stdout(), "{count} flips: {figures:?}; 0 altered").unwrap();
}
