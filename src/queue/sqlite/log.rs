//! Shell. Looks for damage in the write-ahead log before SQLite reads it.
//!
//! SQLite takes the first frame that does not match its checksum for the end of the log, and says nothing of the frames behind it.
//! A loss of power leaves such a frame as well, in the last transaction, whose sync had not returned. So two things show damage:
//!
//! - A transaction behind the frame that was followed by another one. Each transaction is synced before the next one writes, so
//!   the log was on disk up to there.
//! - A log that ends before its mark. The writer notes the length of the log after each commit, without a sync of its own: after a
//!   loss of power the mark may be older than the log, and never newer.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The part of a header before its checksum, and of a frame's before its salts.
const CHECKED_OF_HEADER: usize = 24;
const CHECKED_OF_FRAME: usize = 8;
/// Where a header has its salts.
const SALTS: u64 = 16;
const MAGIC: u32 = 0x377f_0682;
/// Checksums of this log read words with the most significant byte first.
const MAGIC_BIG_ENDIAN: u32 = 0x377f_0683;
const LARGEST_PAGE: u32 = 65_536;

/// Damage of a log, by which what was committed is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDamage {
    /// The header does not match: SQLite drops the whole log.
    Header,
    /// A frame does not match: SQLite drops it and all that follow. So many frames are left.
    Frames(u32),
}

/// How long a log was after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// They tell one round of the log from another.
    salts: (u32, u32),
    frames: u32,
}

impl Mark {
    /// The bytes of a mark.
    pub(super) const SIZE: usize = 20;

    /// The mark of a log with so many frames.
    pub(super) fn of(log: &File, frames: u32) -> io::Result<Self> {
        let mut salts = [0; 8];
        log.read_exact_at(&mut salts, SALTS)?;
        Ok(Self { salts: (word(&salts, 0), word(&salts, 4)), frames })
    }

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let sums = self.sums();
        let words = [self.salts.0, self.salts.1, self.frames, sums.0, sums.1];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        bytes
    }

    /// `None` if they are damaged, or of no mark.
    pub(super) fn of_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let mark = Self { salts: (word(bytes, 0), word(bytes, 4)), frames: word(bytes, 8) };
        (mark.sums() == (word(bytes, 12), word(bytes, 16))).then_some(mark)
    }

    fn sums(self) -> (u32, u32) {
        let mut bytes = [0; 16];
        let words = [self.salts.0, self.salts.1, self.frames, MAGIC];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        checksum((0, 0), &bytes, true)
    }
}

/// The damage of a log that was as long as its mark says, if there is one.
///
/// # Errors
/// Those of reading the file. A log that does not exist is whole.
pub(super) fn damage(log: &Path, mark: Option<Mark>) -> io::Result<Option<LogDamage>> {
    match File::open(log) {
        Ok(file) => damage_of(&mut BufReader::with_capacity(1 << 16, file), mark),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn damage_of(log: &mut impl Read, mark: Option<Mark>) -> io::Result<Option<LogDamage>> {
    let mut header = [0; HEADER];
    if !fill(log, &mut header)? {
        return Ok(None);
    }
    let (magic, size) = (word(&header, 0), word(&header, 8));
    let is_big_endian = magic == MAGIC_BIG_ENDIAN;
    let checked = header.get(..CHECKED_OF_HEADER).unwrap_or_default();
    let mut sums = checksum((0, 0), checked, is_big_endian);
    let is_log = is_big_endian || magic == MAGIC;
    let page = usize::try_from(size).unwrap_or(0);
    if !is_log || sums != (word(&header, 24), word(&header, 28)) || page == 0 || size > LARGEST_PAGE {
        // Zeros are left of a header that was not written. It is synced before any frame.
        return Ok(header.iter().any(|byte| *byte != 0).then_some(LogDamage::Header));
    }
    let salts = (word(&header, 16), word(&header, 20));
    let mut frame = vec![0; FRAME_HEADER.saturating_add(page)];
    // The frames of whole transactions, and whether one did not match behind them.
    let (mut number, mut whole, mut is_broken) = (0_u32, 0, false);
    let mut is_behind_commit = false;
    while fill(log, &mut frame)? {
        number = number.saturating_add(1);
        let is_commit = word(&frame, 4) != 0;
        let stored = (word(&frame, 16), word(&frame, 20));
        let before = frame.get(..CHECKED_OF_FRAME).unwrap_or_default();
        let content = frame.get(FRAME_HEADER..).unwrap_or_default();
        // A frame of an earlier round has other salts, and is no longer a part of the log. The checksum of a frame goes on from
        // that of the frame before, which is written in that one: so a frame behind a damaged one can be told to be whole.
        let follows = salts == (word(&frame, 8), word(&frame, 12))
            && checksum(checksum(sums, before, is_big_endian), content, is_big_endian) == stored;
        is_broken |= !follows;
        if !is_broken && is_commit {
            whole = number;
        }
        if is_broken && follows && is_behind_commit {
            return Ok(Some(LogDamage::Frames(whole)));
        }
        is_behind_commit = is_broken && follows && is_commit;
        sums = stored;
    }
    let is_short = mark.is_some_and(|mark| mark.salts == salts && mark.frames > whole);
    Ok(is_short.then_some(LogDamage::Frames(whole)))
}

/// Fills a buffer. `false` at the end of the file.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_be_bytes(*word))
}

/// The checksum of the log's format, which goes on from one frame to the next.
fn checksum((mut first, mut second): (u32, u32), bytes: &[u8], is_big_endian: bool) -> (u32, u32) {
    let (pairs, _) = bytes.as_chunks::<8>();
    for [a, b, c, d, e, f, g, h] in pairs {
        let (left, right) = ([*a, *b, *c, *d], [*e, *f, *g, *h]);
        let (left, right) = if is_big_endian {
            (u32::from_be_bytes(left), u32::from_be_bytes(right))
        } else {
            (u32::from_le_bytes(left), u32::from_le_bytes(right))
        };
        first = first.wrapping_add(left).wrapping_add(second);
        second = second.wrapping_add(right).wrapping_add(first);
    }
    (first, second)
}
