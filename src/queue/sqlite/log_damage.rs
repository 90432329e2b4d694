//! Shell. Looks for damage in the write-ahead log before SQLite reads it.
//!
//! SQLite treats the first frame that does not match its checksum as the end of the log. It does not report
//! the frames behind this frame. A loss of power also leaves such a frame, in a last transaction whose sync
//! had not returned. So two facts show damage:
//!
//! - Behind the frame, the log has a transaction that is not the last. Each transaction is synced before the
//!   next is written, so the log was on disk up to there.
//! - The log ends before its mark. After each commit, the writer records the length of the log in the mark,
//!   without a sync. So after a loss of power, the mark may be older than the log, but never newer.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The number of bytes before the checksum in a header, and before the salts in a frame.
const CHECKED_OF_HEADER: usize = 24;
const CHECKED_OF_FRAME: usize = 8;
/// The position of the salts in a header.
const SALTS: u64 = 16;
const MAGIC: u32 = 0x377f_0682;
/// In a log with this number, checksums read words with the most significant byte first.
const MAGIC_BIG_ENDIAN: u32 = 0x377f_0683;
const LARGEST_PAGE: u32 = 65_536;

/// Damage of a log by which committed data are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDamage {
    /// The header does not match its checksum. SQLite drops the whole log.
    Header,
    /// A frame does not match its checksum. SQLite drops the frame and all later frames. The number is that
    /// of the remaining frames.
    Frames(u32),
}

/// The length of a log after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The salts distinguish one round of the log from another.
    salts: (u32, u32),
    frames: u32,
}

impl Mark {
    /// The bytes of a stored mark.
    pub(super) const SIZE: usize = 20;

    /// The mark of a log with this many frames.
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

    /// Reads a mark. `None` if the bytes are damaged, or are not a mark.
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

/// The damage of a log whose length was in `mark`, if the log is damaged.
///
/// # Errors
/// An error of reading the file. A log that does not exist is intact.
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
        // A header that was not written consists of zeros. A written header is synced before any frame.
        return Ok(header.iter().any(|byte| *byte != 0).then_some(LogDamage::Header));
    }
    let salts = (word(&header, 16), word(&header, 20));
    let mut frame = vec![0; FRAME_HEADER.saturating_add(page)];
    // The number of frames in whole transactions, and whether a later frame does not match.
    let (mut number, mut whole, mut is_broken) = (0_u32, 0, false);
    let mut is_behind_commit = false;
    while fill(log, &mut frame)? {
        number = number.saturating_add(1);
        let is_commit = word(&frame, 4) != 0;
        let stored = (word(&frame, 16), word(&frame, 20));
        let before = frame.get(..CHECKED_OF_FRAME).unwrap_or_default();
        let content = frame.get(FRAME_HEADER..).unwrap_or_default();
        // A frame of an earlier round has other salts and does not belong to the log. The checksum of a frame
        // continues the checksum that is stored in the previous frame. So a frame behind a damaged frame can
        // be recognised as intact.
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

/// The checksum of the log's format. The checksum of each frame continues that of the previous frame.
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
