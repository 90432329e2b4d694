//! Pure. A strict decoder of the chunked transfer coding (RFC 9112, section 7.1).

mod extension;

use std::ops::Range;

use crate::message::chunked::extension::Extension;
use crate::message::head::field_line;

/// The most bytes of chunk extensions, for all chunks together. No sender uses extensions, so more bytes
/// count as an attack.
const MAX_EXTENSION_BYTES: usize = 4096;

/// The most digits of a chunk's size: as many as a `u64` can have.
const MAX_SIZE_DIGITS: usize = 16;

/// Decodes the chunked coding. Works for any split of the input into pieces.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    extension_bytes: usize,
    trailer_line: Vec<u8>,
    trailer_bytes: usize,
    max_trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Within the digits of a chunk's size.
    Size { value: u64, digits: usize },
    /// Within the chunk extensions.
    Extension { size: u64, at: Extension },
    /// After the CR of the size line.
    SizeLineFeed { size: u64 },
    /// Within a chunk's data.
    Data { left: u64 },
    /// After a chunk's data.
    DataCarriageReturn,
    /// After the CR that follows a chunk's data.
    DataLineFeed,
    /// Within the trailer section, after the last chunk.
    Trailer,
    /// After the empty line that ends the trailer section.
    Done,
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes of the input are content. All bytes up to the end of this range are consumed.
    Content(Range<usize>),
    /// The whole input is consumed, and more input is needed.
    More,
    /// The last chunk and the trailer section are complete. They end after this many bytes of the input.
    End(usize),
}

/// The error for a malformed coding. The text says what is wrong, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl Chunked {
    /// A decoder before the first chunk. The trailer section is checked and discarded. It may have at most
    /// `max_trailer_bytes`.
    #[must_use]
    pub fn new(max_trailer_bytes: usize) -> Self {
        let state = State::Size { value: 0, digits: 0 };
        Self { state, extension_bytes: 0, trailer_line: Vec::new(), trailer_bytes: 0, max_trailer_bytes }
    }

    /// Decodes the next bytes. After [`Step::Content`], the caller passes the bytes that follow that content.
    ///
    /// # Errors
    /// [`Malformed`]. After this error, no further message can be read from the connection.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        for (at, byte) in input.iter().copied().enumerate() {
            self.state = match self.state {
                State::Size { value, digits } => match hex_digit(byte) {
                    Some(_) if digits == MAX_SIZE_DIGITS => {
                        return Err(Malformed("a chunk's size has too many digits"));
                    }
                    Some(digit) => {
                        State::Size { value: (value << 4) | digit, digits: digits.saturating_add(1) }
                    }
                    None if digits == 0 => return Err(Malformed("a chunk has no size")),
                    None if byte == b'\r' => State::SizeLineFeed { size: value },
                    None => match Extension::begin(byte) {
                        Some(begun) => self.extension(value, begun)?,
                        None => return Err(Malformed("a chunk's size is not a hexadecimal number")),
                    },
                },
                State::Extension { size, at } if byte == b'\r' && at.is_whole() => {
                    State::SizeLineFeed { size }
                }
                State::Extension { size, at } => match at.next(byte) {
                    Some(next) => self.extension(size, next)?,
                    None => return Err(Malformed("a chunk extension is malformed")),
                },
                State::SizeLineFeed { size } => match (byte, size) {
                    (b'\n', 0) => State::Trailer,
                    (b'\n', left) => State::Data { left },
                    _ => return Err(Malformed("a chunk's size is followed by a bare CR")),
                },
                State::Data { left } => {
                    let available = input.len().saturating_sub(at);
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(available);
                    let left = left.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
                    self.state = if left == 0 { State::DataCarriageReturn } else { State::Data { left } };
                    return Ok(Step::Content(at..at.saturating_add(take)));
                }
                State::DataCarriageReturn if byte == b'\r' => State::DataLineFeed,
                State::DataLineFeed if byte == b'\n' => State::Size { value: 0, digits: 0 },
                State::DataCarriageReturn | State::DataLineFeed => {
                    return Err(Malformed("a chunk is not followed by CRLF"));
                }
                State::Trailer => self.trailer(byte)?,
                State::Done => return Ok(Step::End(at)),
            };
        }
        Ok(if let State::Done = self.state { Step::End(input.len()) } else { Step::More })
    }

    /// How many bytes of the current chunk are still to come, by the chunk's size.
    #[must_use]
    pub fn announced(&self) -> u64 {
        if let State::Data { left } = self.state { left } else { 0 }
    }

    /// Takes one byte of the chunk extensions (section 7.1.1). Extensions are checked and ignored.
    fn extension(&mut self, size: u64, at: Extension) -> Result<State, Malformed> {
        self.extension_bytes = self.extension_bytes.saturating_add(1);
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(Malformed("the chunk extensions are too long"));
        }
        Ok(State::Extension { size, at })
    }

    /// Takes one byte of the trailer section (section 7.1.2): field lines, and then an empty line.
    fn trailer(&mut self, byte: u8) -> Result<State, Malformed> {
        self.trailer_bytes = self.trailer_bytes.saturating_add(1);
        if self.trailer_bytes > self.max_trailer_bytes {
            return Err(Malformed("the trailer section is too long"));
        }
        self.trailer_line.push(byte);
        if byte != b'\n' {
            return Ok(State::Trailer);
        }
        match self.trailer_line.strip_suffix(b"\r\n") {
            Some([]) => return Ok(State::Done),
            Some(line) => field_line(line).map_err(Malformed)?,
            None => return Err(Malformed("a trailer line ends with LF alone")),
        };
        self.trailer_line.clear();
        Ok(State::Trailer)
    }
}

fn hex_digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The content and the bytes after its end, or the error. `None` if more input is needed.
    fn decode(pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, Vec<u8>)>, Malformed> {
        let mut chunked = Chunked::new(100);
        let mut content = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let mut rest = *piece;
            loop {
                match chunked.step(rest)? {
                    Step::Content(range) => {
                        content.extend_from_slice(&rest[range.clone()]);
                        rest = &rest[range.end..];
                    }
                    Step::More => break,
                    Step::End(end) => {
                        let left = [&rest[end..], &pieces[index + 1..].concat()].concat();
                        return Ok(Some((content, left)));
                    }
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn chunks_are_put_together_and_what_follows_is_left() {
        let ok = |text: &str| {
            decode(&[text.as_bytes()])
                .unwrap()
                .map(|(c, l)| (String::from_utf8(c).unwrap(), String::from_utf8(l).unwrap()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(ok("5\r\nhello\r\n0\r\n\r\nPOST"), pair("hello", "POST"));
        assert_eq!(ok("0\r\n\r\n"), pair("", ""));
        assert_eq!(
            ok("2;a=b\r\nhe\r\n0003 ; c=\"d;e\"\r\nllo\r\n000;x\r\nA: b\r\nc:\r\n\r\n"),
            pair("hello", "")
        );
        assert_eq!(
            ok("a\r\n0123456789\r\nA\r\n\r\n\0\r\n\r\n\r\n\r\r\n0\r\n\r\n"),
            pair("0123456789\r\n\0\r\n\r\n\r\n\r", "")
        );
        for partial in [
            "",
            "5",
            "5\r",
            "5\r\n",
            "5\r\nhel",
            "5\r\nhello",
            "5\r\nhello\r",
            "0\r\n",
            "0\r\nA: b\r\n",
            "0\r\n\r",
            "5;",
        ] {
            assert_eq!(decode(&[partial.as_bytes()]), Ok(None), "{partial:?}");
        }
    }

    #[test]
    fn a_malformed_coding_is_refused() {
        let long = format!("1;{}", "x".repeat(MAX_EXTENSION_BYTES));
        let trailer = format!("0\r\n{}\r\n", "a: b\r\n".repeat(17));
        for text in [
            "\r\n",
            "x",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "g\r\n",
            "1\n",
            "1\r",
            "1\rx",
            "1 2\r\nx\r\n",
            ";a\r\n",
            " 1\r\n",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rx",
            "11111111111111111\r\n",
            "00000000000000001\r\n",
            "1;a\nb",
            "1;\r\n",
            "1;bad[=x\r\n",
            "1;=x\r\n",
            "1;a=\"b\r\n",
            "1;a b\r\n",
            "1 \r\n",
            "1;a\0",
            "1\0\r\n",
            "0\r\nA b\r\n\r\n",
            "0\r\n A: b\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\n",
            "0\n",
            "0\r\nA : b\r\n",
            "0\r\nA: \u{1}\r\n",
            &long,
            &trailer,
        ] {
            let malformed = decode(&[text.as_bytes()]);
            let expected_partial = text == "1\r";
            assert_eq!(malformed.is_err(), !expected_partial, "{text:?} {malformed:?}");
        }
    }

    #[test]
    fn what_a_chunk_announces_is_known_when_its_size_is() {
        let mut chunked = Chunked::new(100);
        for (input, step, announced) in [
            (&b"fffffffffffffff"[..], Step::More, 0),
            (b"f;a=b\r", Step::More, 0),
            (b"\n", Step::More, u64::MAX),
            (b"abc", Step::Content(0..3), u64::MAX - 3),
        ] {
            assert_eq!(chunked.step(input), Ok(step));
            assert_eq!(chunked.announced(), announced);
        }
    }

    proptest! {
        #[test]
        fn any_content_in_any_chunks_and_any_pieces_comes_out_the_same(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..6),
            cut in 1usize..20,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\nleft");
            let pieces: Vec<&[u8]> = text.chunks(cut).collect();
            prop_assert_eq!(decode(&pieces), Ok(Some((chunks.concat(), b"left".to_vec()))));
        }

        #[test]
        fn the_verdict_does_not_depend_on_how_the_bytes_were_cut(bytes in "[0-9a-f]{0,2}[;x= \"\\\\\r\n]{0,6}[a0\r\n:]{0,12}") {
            let bytes = bytes.as_bytes();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(decode(&[bytes]), decode(&single));
        }
    }
}
