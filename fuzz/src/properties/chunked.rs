//! The chunked coding, compared with a simple parser of its grammar, for any sizes of the pieces.
//!
//! The first byte is the size of the pieces.

use hookgate::message::chunked::{Chunked, Malformed, Step};

use super::{choice, strict};

const MAX_TRAILER: usize = 64;
/// The same limit as in `message::chunked`.
const MAX_EXTENSION: usize = 4096;

/// Panics if the result differs from the grammar, or depends on the sizes of the pieces.
pub fn holds(data: &[u8]) {
    let (size, data) = choice(data);
    let whole = decode(data, data.len().max(1));
    let pieces = decode(data, usize::from(size).max(1));
    assert_eq!(whole, pieces, "in pieces of {size}");
    let want = strict::chunked(data)
        .filter(|chunks| chunks.extension_bytes <= MAX_EXTENSION && chunks.trailer_bytes <= MAX_TRAILER);
    let want = want.map(|chunks| (chunks.content, chunks.len));
    assert_eq!(whole.unwrap_or(None), want);
}

/// The content and the place where it ends; `None` if more input is needed.
fn decode(data: &[u8], size: usize) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
    let mut chunked = Chunked::new(MAX_TRAILER);
    let (mut content, mut at) = (Vec::new(), 0);
    for piece in data.chunks(size) {
        let mut rest = piece;
        loop {
            match chunked.step(rest)? {
                Step::Content(range) => {
                    content.extend_from_slice(&rest[range.clone()]);
                    at += range.end;
                    rest = &rest[range.end..];
                }
                Step::More => {
                    at += rest.len();
                    break;
                }
                Step::End(end) => return Ok(Some((content, at + end))),
            }
        }
    }
    Ok(None)
}
