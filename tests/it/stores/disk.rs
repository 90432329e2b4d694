//! What a store takes on its disk.

use std::fs;
use std::time::Duration;

use hookgate::queue::event::{AttemptOutcome, Event};
use hookgate::queue::store::{Batch, Class, Completion, DeliveryId, Next, Retention};
use hookgate::queue::time::Time;

use super::{Opened, Place};
use crate::support::event::{Make, attempt, event};

/// The bytes of a stored event besides its head and content: its other columns, its deliveries, and their
/// index entries.
const BESIDES: u64 = 300;

/// Stores events of this size, delivers all but each `nth`, and removes the delivered events. Returns the
/// bytes of the store's files, and the bytes of the kept events.
fn taken(size: usize, count: u64, nth: u64) -> (u64, u64) {
    let place = Place::file();
    let mut opened = place.open();
    let (mut kept, mut delivered) = (0, Vec::new());
    for batch in 0..count / 100 {
        let events: Vec<Event> = (0..100)
            .map(|n| event("/a", 1_000_000 + batch * 100 + n).content(vec![b'x'; size]).make())
            .collect();
        let ids = opened.store(1_000, &events.iter().collect::<Vec<_>>());
        for (n, (event, ids)) in events.iter().zip(ids).enumerate() {
            if (n as u64).is_multiple_of(nth) {
                kept += event.size() + BESIDES;
            } else {
                delivered.push(ids[0]);
            }
        }
        opened.store.between_commits().unwrap();
    }
    for ids in delivered.chunks(100) {
        complete(&mut opened, ids);
        opened.store.between_commits().unwrap();
    }
    let long = Duration::from_secs(1_000_000);
    let retention = Retention { delivered: Duration::ZERO, info: Duration::ZERO, dead: long };
    while opened.store.purge(Time::from_millis(10_000), retention, 200).unwrap() > 0 {
        opened.store.between_commits().unwrap();
    }
    let Place::File(folder) = &place else { unreachable!() };
    let size = || {
        let sizes = ["events.db", "events.db-wal"].map(|name| fs::metadata(folder.path().join(name)));
        sizes.into_iter().flatten().map(|file| file.len()).sum::<u64>()
    };
    for _ in 0..10_000 {
        let before = size();
        opened.store.idle().unwrap();
        if size() == before {
            break;
        }
    }
    (size(), kept)
}

fn complete(opened: &mut Opened, ids: &[DeliveryId]) {
    let of = |id| Completion {
        id,
        since: Time::default(),
        attempt: attempt(2_000, AttemptOutcome::Delivered),
        next: Next::Delivered,
    };
    let completions = ids.iter().copied().map(of).collect();
    opened.commit(Batch { completions, now: Time::from_millis(2_000), ..Batch::default() });
}

#[test]
fn the_files_are_at_most_1_3_times_what_is_kept_after_retention_has_run() {
    let each = [512, 1_100, 1_500, 1_900, 2_200, 2_700, 3_000, 3_600, 4_096, 6_200, 10_000, 16_384];
    for (size, nth) in [(512, 2), (512, 10), (2_200, 10)].into_iter().chain(each.map(|size| (size, 1))) {
        // Some free pages are kept in any case. Beside few kept events, they would count.
        let bytes = if nth == 1 { 4_000_000 } else { 8_000_000 };
        let count = bytes / (size as u64 + 1_000);
        let (taken, kept) = taken(size, count, nth);
        assert!(
            taken * 10 <= kept * 13,
            "{size} bytes, each {nth}th of {count} kept: {taken} bytes for {kept}"
        );
    }
}

/// What is moved is the same, and in the same place of every list.
#[test]
fn what_is_moved_together_is_unchanged() {
    let place = Place::file();
    let mut opened = place.open();
    let makes: Vec<_> = (0..2_400_u64)
        .map(|n| {
            let length = [10, 700, 3_000, 9_000, 70_000][usize::try_from(n % 97 / 20).unwrap()];
            let make = event(["/a", "/b"][usize::from(n % 3 == 0)], 1_000_000 + n).content(vec![
                b'a' + (n % 23)
                    as u8;
                length
            ]);
            if n % 7 == 0 { make.order("k") } else { make }
        })
        .collect();
    let mut delivered = Vec::new();
    for makes in makes.chunks(100) {
        let events: Vec<Event> = makes.iter().map(Make::make).collect();
        let ids = opened.store(1_000, &events.iter().collect::<Vec<_>>());
        delivered.extend(ids.iter().enumerate().filter(|(n, _)| n % 10 > 1).map(|(_, ids)| ids[0]));
    }
    complete(&mut opened, &delivered);
    let kept: Vec<_> =
        makes.iter().enumerate().filter(|(n, _)| n % 100 % 10 <= 1).map(|(_, make)| make).collect();
    let before = [Class::New, Class::Retry].map(|class| {
        ["/a", "/b"].map(|path| {
            opened.due(path, class, u64::MAX >> 1).deliveries.iter().map(|due| due.id).collect::<Vec<_>>()
        })
    });
    let retention =
        Retention { delivered: Duration::ZERO, info: Duration::ZERO, dead: Duration::from_secs(1_000) };
    while opened.store.purge(Time::from_millis(10_000), retention, 200).unwrap() > 0 {
        opened.store.idle().unwrap();
    }
    for make in kept {
        let detail = opened.reader.detail(make.id()).unwrap().unwrap();
        let (event, made) = (detail.event.unwrap(), make.make());
        assert_eq!((event.content(), event.head()), (made.content(), made.head()));
    }
    let after = [Class::New, Class::Retry].map(|class| {
        ["/a", "/b"].map(|path| {
            opened.due(path, class, u64::MAX >> 1).deliveries.iter().map(|due| due.id).collect::<Vec<_>>()
        })
    });
    assert_eq!(before, after);
    let Place::File(folder) = &place else { unreachable!() };
    let other = rusqlite::Connection::open(folder.path().join("events.db")).unwrap();
    assert_eq!(other.query_row("pragma integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}
