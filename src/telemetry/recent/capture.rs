//! Pure. Captured requests: the head and the beginning of the content of a refused request, on a route with
//! `capture = true`.
//!
//! All captured requests together take at most [`MOST_BYTES`]. A part of these bytes is for requests whose
//! answer is under way. A request that finds no room is not captured, so no client can make the gateway hold
//! more.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The most bytes of content that are kept of a request.
pub const MOST_CONTENT: usize = 64 << 10;

/// The most bytes of all captured requests.
pub const MOST_BYTES: usize = 8 << 20;

/// The most bytes of captured requests whose answer is under way.
const MOST_UNDER_WAY: usize = 2 << 20;

/// The most bytes of captured requests that have ended. The oldest go first.
pub(super) const MOST_KEPT: usize = MOST_BYTES - MOST_UNDER_WAY;

/// The most captured requests of a route. The oldest go first.
pub const MOST_OF_ROUTE: usize = 32;

/// The most captured requests.
pub(super) const MOST_IN_ALL: usize = 1024;

/// The bytes that a captured request takes besides its head and its content.
const OWN: usize = 256;

/// How many more bytes a head may take because its credentials are replaced by their sizes.
const MORE_HEAD: usize = 1024;

/// The room for captured requests.
#[derive(Debug, Default)]
pub struct Room {
    under_way: AtomicUsize,
    kept: AtomicUsize,
}

/// A place in the room. It is given back when it is dropped.
#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    bytes: usize,
    is_kept: AtomicBool,
}

impl Room {
    /// Takes a place for a request that is under way. `None` if there is no room.
    fn take(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        let fits = |under_way: usize| {
            let after = under_way.checked_add(bytes)?;
            let all = after.checked_add(self.kept.load(Ordering::Relaxed))?;
            (after <= MOST_UNDER_WAY && all <= MOST_BYTES).then_some(after)
        };
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Place { room: Arc::clone(self), bytes, is_kept: AtomicBool::new(false) })
    }

    /// Whether the requests that have ended take more than their part.
    pub(super) fn is_over(&self) -> bool {
        self.kept.load(Ordering::Relaxed) > MOST_KEPT
    }

    /// The bytes of all captured requests.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.under_way.load(Ordering::Relaxed).saturating_add(self.kept.load(Ordering::Relaxed))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let part = if *self.is_kept.get_mut() { &self.room.kept } else { &self.room.under_way };
        part.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A captured request.
pub struct Captured {
    /// The method, a space, the target, and then each field line after a line feed.
    head: Vec<u8>,
    is_head_cut: bool,
    content: Box<[u8]>,
    received: usize,
    place: Place,
}

/// The parts of a request to capture.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'p> {
    /// The method.
    pub method: &'p str,
    /// The target, without its credentials.
    pub target: &'p [u8],
    /// The bytes of the head.
    pub head: usize,
    /// The content as far as it has arrived.
    pub content: &'p [u8],
}

impl Captured {
    /// Copies a request, once. The values of fields that `is_hidden` names are replaced by their sizes.
    /// `None` if there is no room.
    pub fn copy<'p>(
        room: &Arc<Room>,
        parts: Parts<'p>,
        lines: impl Iterator<Item = (&'p [u8], &'p [u8])>,
        is_hidden: impl Fn(&[u8]) -> bool,
    ) -> Option<Self> {
        let content = parts.content.get(..MOST_CONTENT).unwrap_or(parts.content);
        let most = parts.head.saturating_add(MORE_HEAD);
        let place = room.take(most.saturating_add(content.len()).saturating_add(OWN))?;
        let mut head = Vec::with_capacity(most);
        let mut is_head_cut = !push(&mut head, most, &[parts.method.as_bytes(), b" ", parts.target]);
        for (name, value) in lines {
            let size;
            let value = if is_hidden(name) {
                size = hidden(value.len());
                size.as_bytes()
            } else {
                value
            };
            is_head_cut |= !push(&mut head, most, &[b"\n", name, b":", value]);
        }
        Some(Self { head, is_head_cut, content: content.into(), received: parts.content.len(), place })
    }

    /// The method, and the target without its credentials.
    #[must_use]
    pub fn request_line(&self) -> (&[u8], &[u8]) {
        let line = self.rows().next().unwrap_or_default();
        let mut words = line.splitn(2, |byte| *byte == b' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// The field lines in their order, without credentials.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows().skip(1).map(|line| {
            let mut parts = line.splitn(2, |byte| *byte == b':');
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        })
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.head.split(|byte| *byte == b'\n')
    }

    /// Whether field lines were left out, because the head became too large.
    #[must_use]
    pub fn is_head_cut(&self) -> bool {
        self.is_head_cut
    }

    /// The content as far as it is kept.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// How many bytes of content had arrived when the request was refused.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// Whether the content had more bytes than are kept.
    #[must_use]
    pub fn is_content_cut(&self) -> bool {
        self.content.len() < self.received
    }

    /// The request has ended, and its entry has a place.
    pub(super) fn ended(&self) {
        let Place { room, bytes, is_kept } = &self.place;
        if !is_kept.swap(true, Ordering::Relaxed) {
            room.kept.fetch_add(*bytes, Ordering::Relaxed);
            room.under_way.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a captured request of {} bytes of content", self.received)
    }
}

/// The text for a value that is not kept.
#[must_use]
pub fn hidden(bytes: usize) -> String {
    format!("(hidden, {bytes} bytes)")
}

/// Appends pieces, if they fit.
fn push(head: &mut Vec<u8>, most: usize, pieces: &[&[u8]]) -> bool {
    let length = pieces.iter().map(|piece| piece.len()).fold(head.len(), usize::saturating_add);
    if length <= most {
        pieces.iter().for_each(|piece| head.extend_from_slice(piece));
    }
    length <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(room: &Arc<Room>, fields: &[(&str, &str)], content: &[u8]) -> Option<Captured> {
        let head = fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let parts = Parts { method: "POST", target: b"/a?x=1", head, content };
        let lines = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Captured::copy(room, parts, lines, |name| name.eq_ignore_ascii_case(b"cookie"))
    }

    #[test]
    fn a_copy_has_everything_but_credentials() {
        let room = Arc::default();
        let one = copy(&room, &[("X-A", "1:2"), ("Cookie", "secret"), ("X-B", "")], b"{}").unwrap();
        assert_eq!(one.request_line(), (&b"POST"[..], &b"/a?x=1"[..]));
        let fields: Vec<_> = one.fields().collect();
        let want: [(&[u8], &[u8]); 3] = [(b"X-A", b"1:2"), (b"Cookie", b"(hidden, 6 bytes)"), (b"X-B", b"")];
        assert_eq!(fields, want);
        assert_eq!((one.content(), one.received(), one.is_content_cut()), (&b"{}"[..], 2, false));
        assert!(!one.is_head_cut());
    }

    #[test]
    fn long_content_and_a_head_that_grows_are_cut() {
        let room = Arc::default();
        let many = vec![("cookie", ""); 1000];
        let one = copy(&room, &many, &vec![b'a'; MOST_CONTENT + 1]).unwrap();
        assert_eq!((one.content().len(), one.received()), (MOST_CONTENT, MOST_CONTENT + 1));
        assert!(one.is_content_cut() && one.is_head_cut());
        assert!(one.head.capacity() <= 10_000 + MORE_HEAD, "{}", one.head.capacity());
        assert!(room.taken() >= size_of::<Captured>() + one.head.capacity() + one.content().len());
    }

    #[test]
    fn requests_without_room_are_not_captured_and_room_comes_back() {
        let room = Arc::default();
        let content = vec![0; MOST_CONTENT];
        let mut held: Vec<_> = std::iter::from_fn(|| copy(&room, &[], &content)).collect();
        assert_eq!(held.len(), MOST_UNDER_WAY / (MOST_CONTENT + MORE_HEAD + OWN));
        while room.taken() + MOST_CONTENT + MORE_HEAD + OWN <= MOST_BYTES {
            held.iter().for_each(Captured::ended);
            held.extend(copy(&room, &[], &content));
        }
        assert!(copy(&room, &[], &content).is_none() && room.taken() <= MOST_BYTES);
        drop(held);
        assert_eq!(room.taken(), 0);
    }
}
