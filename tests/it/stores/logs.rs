//! The write-ahead log after a loss of power: what was not synced may be there in part, and is no damage.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hookgate::queue::sqlite::{LogDamage, OwnerLock, Sqlite};
use hookgate::queue::store::{Batch, Check, Store as _};
use hookgate::queue::time::Time;

use super::folder_in_memory;
use crate::support::event::event;

const SECTOR: usize = 512;
/// The header of the log is synced before any frame is written.
const HEADER: usize = 32;
const NAMES: [&str; 3] = ["events.db", "events.db-wal", "events.db.lock"];

type Files = [Vec<u8>; 3];

fn files(folder: &Path) -> Files {
    NAMES.map(|name| fs::read(folder.join(name)).unwrap_or_default())
}

/// The files before and after each commit of a store whose log goes through several rounds.
fn commits() -> Vec<(Files, Files)> {
    let folder = folder_in_memory();
    let lock = Arc::new(OwnerLock::take(&folder.path().join("events.db")).unwrap());
    let mut store = Sqlite::open(&lock, Check::No).unwrap();
    let mut all = Vec::new();
    for number in 0..36_u64 {
        // Some make the log long, so that it is checkpointed and begins anew.
        let length = [100, 900_000, 5_000, 1_500_000][usize::try_from(number % 4).unwrap()];
        let event = event("/a", 1_000 + number).content(vec![b'x'; length]).make();
        let before = files(folder.path());
        let batch = Batch { events: vec![&event], now: Time::from_millis(1_000), ..Batch::default() };
        store.commit(&batch).unwrap();
        all.push((before, files(folder.path())));
        store.between_commits().unwrap();
    }
    all
}

fn damage([database, log, lock]: &Files) -> Option<LogDamage> {
    let folder = folder_in_memory();
    for (name, bytes) in NAMES.iter().zip([database, log, lock]) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let lock = Arc::new(OwnerLock::take(&folder.path().join("events.db")).unwrap());
    Sqlite::open(&lock, Check::No).unwrap().log_damage()
}

#[test]
fn a_torn_last_transaction_is_no_damage_of_the_log() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let (mut rounds, mut torn) = (0, 0);
    for (before, after) in commits() {
        let [(old, new), (_, synced)] = [(&before[1], &after[1]), (&before[2], &after[2])];
        assert_ne!(&before[2], synced, "each commit is in the mark");
        rounds += usize::from(old.get(..HEADER) != new.get(..HEADER));
        assert_eq!(damage(&after), None);
        for part in 0..6 {
            // Of the sectors that the commit wrote, the log has some at random, or all up to a byte.
            let mut log = old.clone();
            log.resize(old.len().max(new.len()), 0);
            log[..HEADER].copy_from_slice(&new[..HEADER]);
            let end = random(new.len());
            for at in (HEADER..new.len()).step_by(SECTOR) {
                let sector = at..(at - at % SECTOR + SECTOR).min(new.len());
                if part < 3 && random(4) > part {
                    log[sector.clone()].copy_from_slice(&new[sector]);
                } else if part >= 3 {
                    let sector = sector.start..sector.end.min(end).max(sector.start);
                    log[sector.clone()].copy_from_slice(&new[sector]);
                }
            }
            torn += usize::from(log != *new);
            assert_eq!(damage(&[after[0].clone(), log, before[2].clone()]), None);
        }
    }
    assert!(rounds > 3 && torn > 100, "{rounds} rounds, {torn} torn");
}

#[test]
fn a_log_that_is_shorter_than_its_mark_is_damaged() {
    let commits = commits();
    let (before, after) = &commits[0];
    let [database, log, mark] = after.clone();
    let frames = u32::try_from((log.len() - HEADER) / (4096 + 24)).unwrap();
    assert_eq!(damage(after), None);
    let mut flipped = log.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let found = damage(&[database.clone(), flipped.clone(), mark.clone()]);
    assert!(matches!(found, Some(LogDamage::Frames(whole)) if whole < frames), "{found:?}");
    // Without the mark of that commit it could be a loss of power.
    assert_eq!(damage(&[database.clone(), flipped, before[2].clone()]), None);
    // Behind a damaged transaction another one was synced.
    let (_, [database, mut log, _]) = commits[2].clone();
    log[HEADER + 24 + 4096 + 30] ^= 1;
    assert!(matches!(damage(&[database.clone(), log, Vec::new()]), Some(LogDamage::Frames(_))));
    let mut log = commits[0].1[1].clone();
    log[17] ^= 4;
    assert_eq!(damage(&[database, log, Vec::new()]), Some(LogDamage::Header));
}
