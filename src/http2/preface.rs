//! Pure. The connection preface, by which HTTP/2 is told from HTTP/1.1 on a plain listener.

/// The first bytes of a client that speaks HTTP/2 (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// More bytes must arrive.
    Unknown,
    /// The client speaks HTTP/2.
    Http2,
    /// The client does not speak HTTP/2.
    Other,
}

/// Looks at the bytes that have arrived so far.
#[must_use]
pub fn spoken(bytes: &[u8]) -> Spoken {
    if bytes.starts_with(PREFACE) {
        Spoken::Http2
    } else if PREFACE.starts_with(bytes) {
        Spoken::Unknown
    } else {
        Spoken::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_known_at_its_last_byte_and_anything_else_at_its_first() {
        for end in 0..PREFACE.len() {
            let mut bytes = PREFACE[..end].to_vec();
            assert_eq!(spoken(&bytes), Spoken::Unknown, "{end}");
            bytes.push(b'x');
            assert_eq!(spoken(&bytes), Spoken::Other, "{end}");
        }
        assert_eq!(spoken(PREFACE), Spoken::Http2);
        assert_eq!(spoken(&[PREFACE, b"\0\0\0\x04"].concat()), Spoken::Http2);
        assert_eq!(spoken(b"POST / HTTP/1.1"), Spoken::Other);
    }
}
