//! Frames of HTTP/2 (RFC 9113, section 4), with any kind, flags, stream and length.

use std::fmt;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// The names of the kinds, by their numbers.
const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];

/// Flags. ACK belongs to SETTINGS and PING.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

/// Settings (RFC 9113, section 6.5.2).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error codes (RFC 9113, section 7).
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// The largest payload of a frame, unless the settings say otherwise.
pub(crate) const MAX_FRAME: usize = 16 * 1024;

/// A frame.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Self {
        Self { kind, flags, stream, payload: payload.as_ref().to_vec() }
    }

    /// The frames of a field block of any size.
    pub(crate) fn head(stream: u32, flags: u8, block: &[u8]) -> Vec<Self> {
        let (first, rest) = block.split_at(block.len().min(MAX_FRAME));
        let mut frames = vec![Self::new(HEADERS, flags, stream, first)];
        frames.extend(rest.chunks(MAX_FRAME).map(|piece| Self::continuation(stream, piece)));
        let last = frames.pop().unwrap().flags(END_HEADERS);
        frames.push(last);
        frames
    }

    /// The field block of a request, in one frame.
    pub(crate) fn headers(stream: u32, block: impl AsRef<[u8]>) -> Self {
        Self::new(HEADERS, END_HEADERS, stream, block)
    }

    pub(crate) fn continuation(stream: u32, block: impl AsRef<[u8]>) -> Self {
        Self::new(CONTINUATION, 0, stream, block)
    }

    pub(crate) fn data(stream: u32, content: impl AsRef<[u8]>) -> Self {
        Self::new(DATA, 0, stream, content)
    }

    pub(crate) fn settings(settings: &[(u16, u32)]) -> Self {
        let lines = settings.iter().flat_map(|(name, value)| {
            name.to_be_bytes().into_iter().chain(value.to_be_bytes()).collect::<Vec<_>>()
        });
        Self::new(SETTINGS, 0, 0, lines.collect::<Vec<_>>())
    }

    pub(crate) fn ping(number: u64) -> Self {
        Self::new(PING, 0, 0, number.to_be_bytes())
    }

    pub(crate) fn rst_stream(stream: u32, code: u32) -> Self {
        Self::new(RST_STREAM, 0, stream, code.to_be_bytes())
    }

    pub(crate) fn window_update(stream: u32, more: u32) -> Self {
        Self::new(WINDOW_UPDATE, 0, stream, more.to_be_bytes())
    }

    pub(crate) fn priority(stream: u32, dependency: u32, weight: u8) -> Self {
        Self::new(PRIORITY, 0, stream, [dependency.to_be_bytes().as_slice(), &[weight]].concat())
    }

    /// Adds flags.
    pub(crate) fn flags(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }

    /// Removes flags.
    pub(crate) fn without(mut self, flags: u8) -> Self {
        self.flags &= !flags;
        self
    }

    /// Ends the client's side of the stream.
    pub(crate) fn end(self) -> Self {
        self.flags(END_STREAM)
    }

    /// Adds so much padding.
    pub(crate) fn padded(mut self, padding: u8) -> Self {
        self.payload.insert(0, padding);
        self.payload.extend(vec![0; usize::from(padding)]);
        self.flags(PADDED)
    }

    /// The frame, with its true length.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_claiming(self.payload.len())
    }

    /// The frame, with a length that may be wrong.
    pub(crate) fn bytes_claiming(&self, length: usize) -> Vec<u8> {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }

    /// Takes a frame from the front of the bytes, if it is whole.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let head = bytes.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let end = 9 + usize::try_from(length).unwrap();
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let frame = Self::new(head[3], head[4], stream, bytes.get(9..end)?);
        bytes.drain(..end);
        Some(frame)
    }

    /// The number that begins the payload at `at`.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without padding and priority.
    pub(crate) fn content(&self) -> &[u8] {
        let (padding, from) = if self.has(PADDED) { (usize::from(self.payload[0]), 1) } else { (0, 0) };
        let from = if self.kind == HEADERS && self.has(WITH_PRIORITY) { from + 5 } else { from };
        &self.payload[from..self.payload.len() - padding]
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS.get(usize::from(self.kind)).copied().unwrap_or("unknown");
        let payload = self.payload[..self.payload.len().min(200)].escape_ascii();
        write!(f, "{kind} on {} flags {:x}, {} bytes: {payload}", self.stream, self.flags, self.payload.len())
    }
}
