//! Pure. Bytes that have been read from a connection and not yet been made sense of, or that are yet to be written to one.

/// A queue of bytes: appended to at the end, consumed from the front. It holds no memory while it is empty.
#[derive(Debug, Default)]
pub struct Unread {
    bytes: Vec<u8>,
    consumed: usize,
}

impl Unread {
    /// What is there.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.consumed..).unwrap_or_default()
    }

    /// How much is there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.consumed)
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.consumed
    }

    /// Adds bytes behind the others.
    pub fn append(&mut self, bytes: &[u8]) {
        if self.is_empty() {
            *self = bytes.to_vec().into();
            return;
        }
        if self.consumed > 0 {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the first `n` bytes, which is a matter of counting and not of moving the others.
    pub fn consume(&mut self, n: usize) {
        self.consumed = self.consumed.saturating_add(n).min(self.bytes.len());
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Holds no more memory than what is there needs: it is going to be there for a while.
    pub fn release(&mut self) {
        self.bytes.drain(..self.consumed);
        self.consumed = 0;
        self.bytes.shrink_to_fit();
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl From<Vec<u8>> for Unread {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, consumed: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut unread = Unread::default();
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
}
