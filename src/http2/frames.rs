//! Pure. Follows the frames of a connection, as far as its limits need it.
//!
//! hyper reads and writes the frames. hyper does not say whether a header block is unfinished, how much
//! content hyper holds, or whether the end of a response was sent. So this file also reads the nine bytes at
//! the beginning of each frame (RFC 9113, section 4.1) and the length of its padding, and no other bytes.

use crate::http2::limits::MAX_STREAMS;
use crate::http2::preface::PREFACE;

/// The bytes before the content of a frame.
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

/// The flag of DATA and HEADERS.
const END_STREAM: u8 = 1;
/// The flag of HEADERS and CONTINUATION.
const END_HEADERS: u8 = 4;
/// The flag of DATA with padding: the first byte is the length of the padding at the end (RFC 9113, section
/// 6.1).
const PADDED: u8 = 8;

/// A frame, without its content.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// Finds the frames in one direction, however their bytes are cut.
#[derive(Clone, Debug, Default)]
struct Walker {
    /// The bytes before the first frame that are still to come.
    before: usize,
    /// The header of the frame that is arriving, and how many of its bytes have arrived.
    header: [u8; HEADER],
    filled: usize,
    /// The bytes that are left of the frame's content.
    left: usize,
    /// Whether the frame's content counts.
    counts: bool,
    /// Whether the next byte is the length of the frame's padding.
    is_before_padding: bool,
    /// The length of the padding at the end of the frame.
    padding: usize,
}

impl Walker {
    /// Takes further bytes. Calls `each` for every frame that begins in the bytes. `each` returns whether the
    /// content of the frame counts. Returns how many of the bytes are content that counts, without padding.
    fn walk(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame) -> bool) -> usize {
        let before = self.before.min(bytes.len());
        self.before = self.before.saturating_sub(before);
        bytes = bytes.get(before..).unwrap_or_default();
        let mut counted = 0usize;
        while !bytes.is_empty() {
            let content = self.left.min(bytes.len());
            let (piece, rest) = bytes.split_at_checked(content).unwrap_or((bytes, &[]));
            bytes = rest;
            counted = counted.saturating_add(self.pass(piece));
            let missing = self.header.get_mut(self.filled..).unwrap_or_default();
            let n = missing.len().min(bytes.len());
            if let (Some(place), Some(piece)) = (missing.get_mut(..n), bytes.get(..n)) {
                place.copy_from_slice(piece);
            }
            self.filled = self.filled.saturating_add(n);
            bytes = bytes.get(n..).unwrap_or_default();
            if self.filled == HEADER {
                self.filled = 0;
                let frame = self.begin();
                self.counts = each(frame);
            }
        }
        counted
    }

    /// Takes a piece of the frame's content. Returns how many of its bytes count.
    fn pass(&mut self, mut piece: &[u8]) -> usize {
        if self.is_before_padding
            && let Some((length, rest)) = piece.split_first()
        {
            (self.is_before_padding, self.padding) = (false, usize::from(*length));
            self.left = self.left.saturating_sub(1);
            piece = rest;
        }
        let before = self.left.saturating_sub(self.padding);
        self.left = self.left.saturating_sub(piece.len());
        let after = self.left.saturating_sub(self.padding);
        if self.counts { before.saturating_sub(after) } else { 0 }
    }

    /// The kind of the frame whose content arrives.
    fn kind(&self) -> u8 {
        let [_, _, _, kind, ..] = self.header;
        kind
    }

    /// Begins a frame whose header is complete.
    fn begin(&mut self) -> Frame {
        let [high, middle, low, kind, flags, a, b, c, d] = self.header;
        self.left = [high, middle, low].into_iter().fold(0, |length, byte| (length << 8) | usize::from(byte));
        (self.is_before_padding, self.padding) = (kind == DATA && flags & PADDED != 0, 0);
        // The first bit is reserved (RFC 9113, section 4.1).
        Frame { kind, flags, stream: u32::from_be_bytes([a, b, c, d]) & !(1 << 31) }
    }

    /// Whether a frame with fields is unfinished.
    fn is_in_fields(&self) -> bool {
        self.left > 0 && matches!(self.kind(), HEADERS | CONTINUATION)
    }

    /// Whether a frame with content is unfinished.
    fn is_in_content(&self) -> bool {
        self.left > 0 && self.kind() == DATA
    }

    /// Whether something has begun and is not finished: the bytes before the first frame, the header of a
    /// frame, or a frame with fields.
    fn is_in_head(&self) -> bool {
        self.before > 0 || self.filled > 0 || self.is_in_fields()
    }
}

/// The most streams whose ends are followed. hyper resets streams over its limit.
const WATCHED: usize = {
    #[expect(clippy::as_conversions, reason = "a small constant")]
    {
        2 * MAX_STREAMS as usize
    }
};

/// A stream that has not ended in both directions.
#[derive(Clone, Copy, Debug)]
struct Open {
    stream: u32,
    /// Whether the client has sent the whole request.
    is_whole: bool,
    /// Whether the end of the response was sent.
    is_answered: bool,
}

/// The frames of a connection in both directions.
#[derive(Clone, Debug)]
pub struct Frames {
    received: Walker,
    sent: Walker,
    is_in_block: bool,
    /// The stream of the last header block.
    block: u32,
    /// The streams that the client has opened.
    open: Vec<Open>,
    last: u32,
    /// How many frames the client has begun. Frames that continue a header block do not count.
    begun: u64,
}

impl Default for Frames {
    fn default() -> Self {
        let received = Walker { before: PREFACE.len(), ..Walker::default() };
        Self {
            received,
            sent: Walker::default(),
            is_in_block: false,
            block: 0,
            open: Vec::new(),
            last: 0,
            begun: 0,
        }
    }
}

impl Frames {
    /// Takes bytes of the client. Returns how many of them are content of streams that were not reset.
    pub fn received(&mut self, bytes: &[u8]) -> usize {
        let Self { received, is_in_block, block, open, last, begun, .. } = self;
        received.walk(bytes, |frame| {
            if !*is_in_block {
                *begun = begun.wrapping_add(1);
            }
            match frame.kind {
                HEADERS | CONTINUATION => {
                    (*is_in_block, *block) = (frame.flags & END_HEADERS == 0, frame.stream);
                    if frame.stream > *last {
                        *last = frame.stream;
                        if open.len() < WATCHED {
                            open.push(Open { stream: frame.stream, is_whole: false, is_answered: false });
                        }
                    }
                }
                RST_STREAM => open.retain(|open| open.stream != frame.stream),
                _ => {}
            }
            let found = open.iter_mut().find(|open| open.stream == frame.stream);
            let is_open = found.is_some();
            if let (DATA | HEADERS, Some(found)) = (frame.kind, found) {
                found.is_whole |= frame.flags & END_STREAM != 0;
                open.retain(|open| !open.is_whole || !open.is_answered);
            }
            frame.kind == DATA && is_open
        })
    }

    /// Takes bytes that were sent to the client.
    pub fn sent(&mut self, bytes: &[u8]) {
        let Self { sent, open, .. } = self;
        let _content = sent.walk(bytes, |frame| {
            match frame.kind {
                DATA | HEADERS if frame.flags & END_STREAM != 0 => {
                    for open in open.iter_mut().filter(|open| open.stream == frame.stream) {
                        open.is_answered = true;
                    }
                    open.retain(|open| !open.is_whole || !open.is_answered);
                }
                RST_STREAM => open.retain(|open| open.stream != frame.stream),
                _ => {}
            }
            false
        });
    }

    /// How many frames the client has begun. Frames that continue a header block do not count. While this
    /// number stays the same, the client is in the same head.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// How many streams the client has opened whose end was not sent.
    #[must_use]
    pub fn open(&self) -> usize {
        self.unanswered().count()
    }

    /// The streams whose responses have not ended.
    fn unanswered(&self) -> impl Iterator<Item = &Open> {
        self.open.iter().filter(|open| !open.is_answered)
    }

    /// The stream that the client has opened last.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.last
    }

    /// How many of the streams up to this one are open.
    #[must_use]
    pub fn open_up_to(&self, last: u32) -> usize {
        self.unanswered().filter(|open| open.stream <= last).count()
    }

    /// Whether there are unanswered requests, and the client has sent all of them completely. The stream of
    /// an unfinished header block gets no response, so the stream does not count.
    #[must_use]
    pub fn are_whole(&self) -> bool {
        let is_in_fields = self.is_in_block || self.received.is_in_fields();
        let unfinished = is_in_fields.then_some(self.block);
        let mut others = self.unanswered().filter(|open| Some(open.stream) != unfinished).peekable();
        !self.received.is_in_content() && others.peek().is_some() && others.all(|open| open.is_whole)
    }

    /// Whether a header block is unfinished, and its fields so far are held.
    #[must_use]
    pub fn is_in_block(&self) -> bool {
        self.is_in_block
    }

    /// Whether the client has begun something that it has not finished: the preface, a header block, or the
    /// header of a frame.
    #[must_use]
    pub fn is_in_head(&self) -> bool {
        self.is_in_block || self.received.is_in_head()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
    }

    #[test]
    fn a_head_is_unfinished_until_its_last_byte_however_it_is_cut() {
        let data = frame(DATA, 0, 1, &[7; 300]);
        let first = frame(HEADERS, 0, 1, b"abc");
        let next = frame(CONTINUATION, 0, 1, b"");
        let last = frame(CONTINUATION, END_HEADERS, 1, b"d");
        let whole = frame(HEADERS, END_HEADERS, 3, &[1; 70_000]);
        // The content before the stream is open does not count.
        let parts = [PREFACE, &data, &first, &next, &last, &data, &whole, &data];
        for step in [1, 2, 7, 100_000] {
            let mut frames = Frames::default();
            assert!(frames.is_in_head());
            let mut content = 0;
            for part in parts {
                let is_head = part != data;
                for piece in part.chunks(step) {
                    content += frames.received(piece);
                    let is_end = piece.as_ptr_range().end == part.as_ptr_range().end;
                    if is_head && !is_end {
                        assert!(frames.is_in_head(), "{step}");
                    }
                }
                assert_eq!(frames.is_in_head(), part == first || part == next, "{step}");
                assert_eq!(frames.is_in_block(), part == first || part == next, "{step}");
            }
            assert_eq!((content, frames.begun()), (600, 5), "{step}");
        }
    }

    #[test]
    fn a_stream_is_open_until_the_end_of_its_response_or_a_reset() {
        let mut frames = Frames::default();
        frames.received(PREFACE);
        for stream in [1, 3, 5, 7] {
            frames.received(&frame(HEADERS, END_HEADERS | END_STREAM, stream, b"x"));
        }
        // Trailers open no stream, and an end of the client's side ends none.
        frames.received(&frame(HEADERS, END_HEADERS | END_STREAM, 5, b"x"));
        assert_eq!(frames.open(), 4);
        for (sent, left) in [
            (frame(HEADERS, END_HEADERS, 1, b"x"), 4),
            (frame(DATA, 0, 1, b"x"), 4),
            (frame(DATA, END_STREAM, 1, b""), 3),
            (frame(HEADERS, END_HEADERS | END_STREAM, 3, b"x"), 2),
            (frame(RST_STREAM, 0, 5, &[0; 4]), 1),
        ] {
            frames.sent(&sent);
            assert_eq!((frames.open(), frames.open_up_to(5)), (left, left - 1), "{sent:?}");
        }
        frames.received(&frame(RST_STREAM, 0, 7, &[0; 4]));
        assert_eq!((frames.open(), frames.last()), (0, 7));
    }

    #[test]
    fn padding_is_no_content_however_it_is_cut() {
        let padded = |padding: u8, content: usize| {
            let bytes = [vec![padding], vec![b'x'; content], vec![0; usize::from(padding)]].concat();
            frame(DATA, PADDED, 1, &bytes)
        };
        let parts = [padded(0, 5), padded(255, 0), frame(DATA, 0, 1, b"abc"), padded(7, 300), padded(0, 0)];
        for step in [1, 2, 7, 100_000] {
            let mut frames = Frames::default();
            frames.received(PREFACE);
            frames.received(&frame(HEADERS, END_HEADERS, 1, b"x"));
            let bytes = parts.concat();
            let content: usize = bytes.chunks(step).map(|piece| frames.received(piece)).sum();
            assert_eq!(content, 5 + 3 + 300, "{step}");
        }
    }

    /// The rest of a request's content is read and discarded after its response.
    #[test]
    fn content_counts_until_the_client_ends_it_or_the_stream_is_reset() {
        let data = frame(DATA, 0, 1, b"abc");
        let answer = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"x");
        let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
        for (is_whole, is_reset) in [(true, false), (false, true)] {
            let mut frames = Frames::default();
            frames.received(PREFACE);
            frames.received(&frame(HEADERS, END_HEADERS, 1, b"x"));
            assert_eq!(frames.received(&data), 3);
            frames.sent(&answer);
            assert_eq!((frames.received(&data), frames.open(), frames.are_whole()), (3, 0, false));
            if is_whole {
                frames.received(&frame(DATA, END_STREAM, 1, b""));
            }
            if is_reset {
                frames.sent(&reset);
            }
            assert_eq!(frames.received(&data), 0);
            assert!(frames.open.is_empty());
        }
    }

    #[test]
    fn a_request_is_whole_at_its_last_frame() {
        let mut frames = Frames::default();
        frames.received(PREFACE);
        assert!(!frames.are_whole());
        for (received, are_whole) in [
            (frame(HEADERS, END_HEADERS, 1, b"x"), false),
            (frame(DATA, 0, 1, b"x"), false),
            (frame(DATA, END_STREAM, 1, b"x"), true),
            (frame(HEADERS, END_STREAM, 3, b"x"), true),
            (frame(CONTINUATION, END_HEADERS, 3, b"x"), true),
            (frame(HEADERS, END_HEADERS, 5, b"x"), false),
            (frame(RST_STREAM, 0, 5, &[0; 4]), true),
        ] {
            frames.received(&received);
            assert_eq!(frames.are_whole(), are_whole, "{received:?}");
        }
    }

    #[test]
    fn a_request_that_breaks_off_is_not_whole() {
        let head = frame(HEADERS, END_HEADERS, 1, b"x");
        for (before, last, rest) in [
            (vec![], frame(HEADERS, END_STREAM, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, b"x")),
            (vec![], frame(HEADERS, END_STREAM | END_HEADERS, 1, b""), b"x".to_vec()),
            (head, frame(DATA, END_STREAM, 1, b""), b"x".to_vec()),
        ] {
            let mut frames = Frames::default();
            frames.received(PREFACE);
            frames.received(&before);
            let mut last = last;
            if let ([b'x'], Some(length)) = (&*rest, last.get_mut(2)) {
                // The content of the frame is still to come.
                *length = 1;
            }
            frames.received(&last);
            assert!(!frames.are_whole(), "{last:?}");
            frames.received(&rest);
            assert!(frames.are_whole(), "{last:?} {rest:?}");
            // A head that breaks off does not end the wait for the response to another request.
            frames.received(&frame(HEADERS, END_STREAM, 3, b"x"));
            assert!(frames.are_whole());
        }
    }

    #[test]
    fn what_is_watched_is_bounded() {
        let mut frames = Frames::default();
        frames.received(PREFACE);
        for stream in 1..=2 * MAX_STREAMS + 1 {
            frames.received(&frame(HEADERS, END_HEADERS, 2 * stream + 1, b""));
        }
        assert_eq!(frames.open(), WATCHED);
    }
}
