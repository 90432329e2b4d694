//! Pure. The buffer of a connection: bytes that are read but not parsed yet, or bytes that are still to be
//! written.

use std::mem;

/// The most memory that is allocated in advance when an append makes the buffer grow, in bytes.
pub const AHEAD: usize = 8 * 1024;

/// A queue of bytes. Bytes are appended at the end and consumed from the front. An empty buffer holds no
/// memory.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    consumed: usize,
}

impl Buffer {
    /// The bytes in the buffer.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.consumed..).unwrap_or_default()
    }

    /// The number of bytes in the buffer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.consumed)
    }

    /// Whether the buffer is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.consumed
    }

    /// The capacity in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) {
        if self.is_empty() {
            *self = bytes.to_vec().into();
            return;
        }
        self.close_up();
        let needed = self.bytes.len().saturating_add(bytes.len());
        if needed > self.bytes.capacity() {
            self.reserve(needed.max(self.bytes.capacity().saturating_mul(2).min(AHEAD)));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Grows the capacity to at least `capacity` bytes.
    pub fn reserve(&mut self, capacity: usize) {
        self.close_up();
        self.bytes.reserve_exact(capacity.saturating_sub(self.bytes.len()));
    }

    /// Moves the bytes to the front.
    fn close_up(&mut self) {
        if self.consumed > 0 {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    /// Takes the first `n` bytes. They are not copied if the buffer has no other bytes. If `without_copy` is
    /// set, the remaining bytes are copied instead of the first.
    pub fn take(&mut self, n: usize, without_copy: bool) -> Vec<u8> {
        if without_copy || n >= self.len() {
            self.close_up();
            let rest = self.bytes.split_off(n.min(self.bytes.len()));
            let mut taken = mem::replace(&mut self.bytes, rest);
            if without_copy {
                taken.shrink_to_fit();
            }
            return taken;
        }
        let taken = self.as_slice().get(..n).unwrap_or_default().to_vec();
        self.consume(n);
        taken
    }

    /// Drops the first `n` bytes. The remaining bytes are not moved.
    pub fn consume(&mut self, n: usize) {
        self.consumed = self.consumed.saturating_add(n).min(self.bytes.len());
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Shrinks the capacity to the size of the bytes. Used when the bytes stay for a while.
    pub fn release(&mut self) {
        self.close_up();
        self.bytes.shrink_to_fit();
    }

    /// Drops all bytes.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, consumed: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut unread = Buffer::default();
        unread.append(b"hello ");
        unread.consume(2);
        assert_eq!(unread.as_slice(), b"llo ");
        unread.append(b"world");
        assert_eq!(unread.as_slice(), b"llo world");
        unread.consume(4);
        unread.release();
        assert_eq!((unread.as_slice(), unread.bytes.capacity()), (&b"world"[..], 5));
        unread.consume(100);
        assert!(unread.is_empty());
        assert_eq!(unread.bytes.capacity(), 0);
    }

    #[test]
    fn bytes_are_taken_out_from_the_front_and_what_is_left_holds_no_more_than_it_needs() {
        for (consumed, n, without_copy) in [
            (0, 3, false),
            (2, 3, false),
            (0, 10, false),
            (2, 8, false),
            (0, 3, true),
            (2, 3, true),
            (2, 8, true),
        ] {
            let mut unread = Buffer::default();
            unread.append(b"0123456789");
            unread.reserve(1000);
            unread.consume(consumed);
            let taken = unread.take(n, without_copy);
            assert_eq!(taken, b"0123456789"[consumed..consumed + n], "{consumed} {n}");
            assert_eq!(unread.as_slice(), &b"0123456789"[consumed + n..]);
            assert!(!without_copy || taken.capacity() + unread.capacity() < 100, "{consumed} {n}");
            assert!(!unread.is_empty() || unread.capacity() == 0, "{consumed} {n}");
        }
    }

    #[test]
    fn memory_is_taken_ahead_only_up_to_a_bound() {
        let mut unread = Buffer::default();
        for n in 1..=3 * AHEAD {
            unread.append(b"x");
            assert!(unread.capacity() <= n.max((2 * n).min(AHEAD)), "{n}: {}", unread.capacity());
        }
        unread.reserve(5 * AHEAD);
        assert_eq!(unread.capacity(), 5 * AHEAD);
    }
}
