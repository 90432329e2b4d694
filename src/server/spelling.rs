//! Pure. Field names as an upstream spelled them (`X-Custom-ID`), in a response that hyper writes in lower case.
//!
//! Names are equal whatever the case of their letters (RFC 9110, section 5.1), and some programs have not heard of it. As
//! only the case changes, so does nothing about lengths: what was written of the one is written of the other.

use bytes::Bytes;
use memchr::memmem;

/// What is known of the spelling in the head that is being written.
#[derive(Debug, Default)]
pub struct Spelling {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// As hyper has it.
    #[default]
    AsItIs,
    /// As in this head, which has been received from an upstream.
    Following(Bytes),
    /// The head that is being written, spelled, and how much of it is written.
    Spelled { head: Vec<u8>, written: usize },
}

impl Spelling {
    /// Spells the names in the next head as `raw` does.
    pub fn follow(&mut self, raw: Bytes) {
        self.state = State::Following(raw);
    }

    /// Whether [`Self::respell`] would change anything.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !matches!(self.state, State::AsItIs)
    }

    /// What to write in the place of `piece`, which begins with all that is left of a head: the head, spelled, and what
    /// comes behind it.
    pub fn respell<'s>(&'s mut self, piece: &'s [u8]) -> (&'s [u8], &'s [u8]) {
        if let State::Following(raw) = &self.state {
            let end = memmem::find(piece, b"\r\n\r\n").map_or(piece.len(), |at| at.saturating_add(4));
            let mut head = piece.get(..end).unwrap_or_default().to_vec();
            spell(&mut head, raw);
            self.state = State::Spelled { head, written: 0 };
        }
        match &self.state {
            State::Spelled { head, written } => {
                let left = head.get(*written..).unwrap_or_default();
                (left, piece.get(left.len()..).unwrap_or_default())
            }
            State::AsItIs | State::Following(_) => (&[], piece),
        }
    }

    /// So many bytes have been written.
    pub fn advance(&mut self, n: usize) {
        if let State::Spelled { head, written } = &mut self.state {
            *written = written.saturating_add(n);
            if *written >= head.len() {
                self.state = State::AsItIs;
            }
        }
    }
}

/// Whether any name in a head of a response has a letter in upper case.
#[must_use]
pub fn has_capitals(raw: &[u8]) -> bool {
    names(raw).any(|name| name.iter().any(u8::is_ascii_uppercase))
}

/// Gives the field names in `head` the case that they have in `raw`. Where a name occurs several times, each takes the next.
fn spell(head: &mut [u8], raw: &[u8]) {
    let mut known = names(raw).cycle();
    let count = names(raw).count();
    for line in head.split_mut(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let Some(name) = line.get_mut(..colon) else { continue };
        // The lines come in nearly the same order, so that the first look usually finds it.
        if let Some(spelled) = known.by_ref().take(count).find(|known| known.eq_ignore_ascii_case(name)) {
            name.copy_from_slice(spelled);
        }
    }
}

/// The field names in the head of a response, as they are spelled.
fn names(raw: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    raw.split(|byte| *byte == b'\n').skip(1).filter_map(|line| line.get(..memchr::memchr(b':', line)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &[u8] =
        b"HTTP/1.1 200 OK\r\nX-Custom-ID: a:B\r\nset-cookie: A\r\nContent-Length: 2\r\nSet-Cookie: B\r\n\r\n";

    fn written_in(steps: usize, text: &str) -> String {
        let mut spelling = Spelling::default();
        spelling.follow(Bytes::from_static(RAW));
        let mut out = Vec::new();
        let mut left = text.as_bytes();
        while !left.is_empty() {
            let (head, rest) = spelling.respell(left);
            let all = [head, rest].concat();
            let n = steps.min(all.len());
            out.extend_from_slice(&all[..n]);
            spelling.advance(n);
            left = &left[n..];
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_spelled_as_the_upstream_does_however_the_bytes_are_written() {
        let text = "HTTP/1.1 200 OK\r\nx-custom-id: a:b\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 2\r\nnew: x\r\n\r\nx-custom-id: body\r\n\r\nset-cookie: b";
        let want = "HTTP/1.1 200 OK\r\nX-Custom-ID: a:b\r\nset-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\nnew: x\r\n\r\nx-custom-id: body\r\n\r\nset-cookie: b";
        for steps in [1, 7, 40, 1000] {
            assert_eq!(written_in(steps, text), want, "{steps} bytes at once");
        }
    }

    #[test]
    fn only_the_next_head_is_spelled() {
        let mut spelling = Spelling::default();
        let next = b"HTTP/1.1 200 OK\r\nset-cookie: a\r\n\r\n";
        assert_eq!(spelling.respell(next), (&b""[..], &next[..]));
        spelling.follow(Bytes::from_static(RAW));
        assert!(spelling.is_wanted());
        let _head = spelling.respell(next);
        spelling.advance(next.len());
        assert!(!spelling.is_wanted());
    }

    #[test]
    fn a_head_in_lower_case_needs_nothing() {
        assert!(has_capitals(RAW));
        assert!(!has_capitals(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: Y\r\n\r\n"));
    }
}
