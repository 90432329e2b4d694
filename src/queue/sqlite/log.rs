//! Shell. Looks for damage in the write-ahead log before SQLite reads it.
//!
//! SQLite takes the first frame that does not match its checksum for the end of the log, and says nothing of those behind it.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The part of a header before its checksum, and of a frame's before its salts.
const CHECKED_OF_HEADER: usize = 24;
const CHECKED_OF_FRAME: usize = 8;
const MAGIC: u32 = 0x377f_0682;
/// Checksums of this log read words with the most significant byte first.
const MAGIC_BIG_ENDIAN: u32 = 0x377f_0683;
const LARGEST_PAGE: u32 = 65_536;

/// Whether a log has a frame of its present round that does not match. A loss of power leaves such frames of commits that were
/// not acknowledged; otherwise acknowledged events are missing.
///
/// # Errors
/// Those of reading the file. A log that does not exist is whole.
pub fn is_log_damaged(log: &Path) -> io::Result<bool> {
    match File::open(log) {
        Ok(file) => is_damaged(&mut BufReader::with_capacity(1 << 16, file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_damaged(log: &mut impl Read) -> io::Result<bool> {
    let mut header = [0; HEADER];
    if !fill(log, &mut header)? {
        return Ok(false);
    }
    let (magic, size) = (word(&header, 0), word(&header, 8));
    let is_big_endian = magic == MAGIC_BIG_ENDIAN;
    let checked = header.get(..CHECKED_OF_HEADER).unwrap_or_default();
    let mut sums = checksum((0, 0), checked, is_big_endian);
    let is_log = is_big_endian || magic == MAGIC;
    let page = usize::try_from(size).unwrap_or(0);
    if !is_log || sums != (word(&header, 24), word(&header, 28)) || page == 0 || size > LARGEST_PAGE {
        return Ok(header.iter().any(|byte| *byte != 0));
    }
    let salts = (word(&header, 16), word(&header, 20));
    let mut frame = vec![0; FRAME_HEADER.saturating_add(page)];
    let mut is_broken = false;
    while fill(log, &mut frame)? {
        let own = (word(&frame, 8), word(&frame, 12));
        let before = frame.get(..CHECKED_OF_FRAME).unwrap_or_default();
        let content = frame.get(FRAME_HEADER..).unwrap_or_default();
        sums = checksum(checksum(sums, before, is_big_endian), content, is_big_endian);
        is_broken |= own != salts || sums != (word(&frame, 16), word(&frame, 20));
        // A frame of an earlier round has other salts, and is no longer a part of the log.
        if is_broken && (own.0 == salts.0 || own.1 == salts.1) {
            return Ok(true);
        }
    }
    Ok(false)
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
