//! Pure. Follows the frames that a client sends, as far as the limits on its connection need it.
//!
//! hyper reads the frames. It does not say whether a header block is unfinished. So the bytes are also looked
//! at here: only the nine bytes at the beginning of each frame (RFC 9113, section 4.1).

use crate::http2::preface::PREFACE;

/// The bytes before the content of a frame.
const HEADER: usize = 9;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// What has arrived so far.
#[derive(Clone, Debug)]
pub struct Frames {
    /// The bytes that are left of the preface.
    preface: usize,
    /// The header of the frame that is arriving, and how many of its bytes have arrived.
    header: [u8; HEADER],
    filled: usize,
    /// The bytes that are left of the frame's content.
    left: usize,
    is_in_block: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self { preface: PREFACE.len(), header: [0; HEADER], filled: 0, left: 0, is_in_block: false }
    }
}

impl Frames {
    /// Takes note of further bytes.
    pub fn read(&mut self, mut bytes: &[u8]) {
        let preface = self.preface.min(bytes.len());
        self.preface = self.preface.saturating_sub(preface);
        bytes = bytes.get(preface..).unwrap_or_default();
        while !bytes.is_empty() {
            let content = self.left.min(bytes.len());
            self.left = self.left.saturating_sub(content);
            bytes = bytes.get(content..).unwrap_or_default();
            let missing = self.header.get_mut(self.filled..).unwrap_or_default();
            let n = missing.len().min(bytes.len());
            if let (Some(place), Some(piece)) = (missing.get_mut(..n), bytes.get(..n)) {
                place.copy_from_slice(piece);
            }
            self.filled = self.filled.saturating_add(n);
            bytes = bytes.get(n..).unwrap_or_default();
            if self.filled == HEADER {
                self.filled = 0;
                self.begin();
            }
        }
    }

    /// Begins a frame whose header is complete.
    fn begin(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.left = [high, middle, low].into_iter().fold(0, |length, byte| (length << 8) | usize::from(byte));
        if matches!(kind, HEADERS | CONTINUATION) {
            self.is_in_block = flags & END_HEADERS == 0;
        }
    }

    /// Whether the client has begun something that it has not finished: the preface, a header block, or the
    /// header of a frame.
    #[must_use]
    pub fn is_in_head(&self) -> bool {
        let is_in_headers = self.left > 0 && matches!(self.header, [_, _, _, HEADERS | CONTINUATION, ..]);
        self.preface > 0 || self.is_in_block || is_in_headers || self.filled > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], content].concat()
    }

    #[test]
    fn a_head_is_unfinished_until_its_last_byte_however_it_is_cut() {
        let data = frame(0, 0, &[7; 300]);
        let (first, next, last) = (frame(HEADERS, 0, b"abc"), frame(CONTINUATION, 0, b""), frame(CONTINUATION, END_HEADERS, b"d"));
        let whole = frame(HEADERS, END_HEADERS, &[1; 70_000]);
        let parts = [(PREFACE, true), (&data, false), (&first, true), (&next, true), (&last, true), (&whole, true), (&data, false)];
        for step in [1, 2, 7, 100_000] {
            let mut frames = Frames::default();
            assert!(frames.is_in_head());
            for (part, is_head) in parts {
                let mut rest = part;
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(step.min(rest.len()));
                    frames.read(now);
                    rest = later;
                    if is_head && !rest.is_empty() {
                        assert!(frames.is_in_head(), "{step}");
                    }
                }
                let is_open = part == first || part == next;
                assert_eq!(frames.is_in_head(), is_open, "{step}");
            }
        }
    }
}
