//! The tests' own HPACK (RFC 7541): an encoder that hides nothing, and a decoder for what a server sends.

use std::collections::VecDeque;

/// The static table (RFC 7541, appendix A). Index 1 is the first.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The symbols of the Huffman code by the length of their codes, as far as text needs them (RFC 7541,
/// appendix B). The code is canonical: codes of a length are in the order of the symbols, and shorter codes
/// come first.
const HUFFMAN: [(u32, &[u8]); 12] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, b"\\\xc3\xd0"),
    (20, b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2"),
];

/// An integer with a prefix of `bits`. `first` has the bits before the prefix (RFC 7541, section 5.1).
pub(crate) fn integer(first: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let mut bytes = vec![first | most as u8];
    let mut rest = value - most;
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

fn string(text: &[u8]) -> Vec<u8> {
    [integer(0, 7, text.len()), text.to_vec()].concat()
}

/// A field line that is spelled out and enters no table.
pub(crate) fn literal(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![0], string(name.as_ref()), string(value.as_ref())].concat()
}

/// A field line that is spelled out and enters the dynamic table.
pub(crate) fn literal_into_table(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![0x40], string(name.as_ref()), string(value.as_ref())].concat()
}

/// A field line of a table. The newest line of the dynamic table has the index 62.
pub(crate) fn indexed(index: usize) -> Vec<u8> {
    integer(0x80, 7, index)
}

/// A change of the dynamic table's size.
pub(crate) fn table_size(size: usize) -> Vec<u8> {
    integer(0x20, 5, size)
}

/// A field block of lines that are spelled out.
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(lines: &[(N, V)]) -> Vec<u8> {
    lines.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// A name and a value.
pub(crate) type Line = (Vec<u8>, Vec<u8>);

/// Decodes the field blocks of one connection. Fails the test where a block is malformed.
pub(crate) struct Decoder {
    table: VecDeque<Line>,
    size: usize,
    max_size: usize,
    /// The bound that the client has announced with SETTINGS_HEADER_TABLE_SIZE.
    limit: usize,
}

impl Decoder {
    pub(crate) fn new(limit: usize) -> Self {
        Self { table: VecDeque::new(), size: 0, max_size: 4096, limit: limit.max(4096) }
    }

    pub(crate) fn decode(&mut self, mut block: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(first) = block.first() {
            if first & 0x80 != 0 {
                let index = take_integer(&mut block, 7);
                lines.push(self.line(index));
            } else if first & 0x40 != 0 {
                let line = self.take_literal(&mut block, 6);
                self.insert(line.clone());
                lines.push(line);
            } else if first & 0x20 != 0 {
                self.max_size = take_integer(&mut block, 5);
                assert!(self.max_size <= self.limit, "a table of {}", self.max_size);
                self.evict();
            } else {
                lines.push(self.take_literal(&mut block, 4));
            }
        }
        lines
    }

    fn line(&self, index: usize) -> Line {
        assert_ne!(index, 0, "the index 0");
        match STATIC.get(index - 1) {
            Some((name, value)) => (name.as_bytes().to_vec(), value.as_bytes().to_vec()),
            None => self.table.get(index - 1 - STATIC.len()).expect("an index of the table").clone(),
        }
    }

    fn take_literal(&self, block: &mut &[u8], bits: u32) -> Line {
        let name = match take_integer(block, bits) {
            0 => take_string(block),
            index => self.line(index).0,
        };
        (name, take_string(block))
    }

    fn insert(&mut self, line: Line) {
        self.size += size_of_line(&line);
        self.table.push_front(line);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.max_size {
            let line = self.table.pop_back().expect("a line");
            self.size -= size_of_line(&line);
        }
    }
}

/// RFC 7541, section 4.1.
fn size_of_line((name, value): &Line) -> usize {
    name.len() + value.len() + 32
}

fn take_integer(block: &mut &[u8], bits: u32) -> usize {
    let mut next = || {
        let (first, rest) = block.split_first().expect("a field block that is whole");
        *block = rest;
        usize::from(*first)
    };
    let most = (1_usize << bits) - 1;
    let mut value = next() & most;
    if value == most {
        for shift in (0..).step_by(7) {
            let byte = next();
            value += (byte & 127) << shift;
            if byte < 128 {
                break;
            }
        }
    }
    value
}

fn take_string(block: &mut &[u8]) -> Vec<u8> {
    let is_huffman = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = take_integer(block, 7);
    let (text, rest) = block.split_at(length);
    *block = rest;
    if is_huffman { huffman(text) } else { text.to_vec() }
}

fn huffman(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let (mut code, mut length) = (0_u32, 0);
    for byte in bytes {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            if let Some(symbol) = symbol(code, length) {
                text.push(symbol);
                (code, length) = (0, 0);
            }
        }
    }
    assert!(length < 8 && code == (1 << length) - 1, "padding that is none, or a rare symbol: {bytes:x?}");
    text
}

/// The symbol with this code of this length.
fn symbol(code: u32, length: u32) -> Option<u8> {
    let (mut first, mut before) = (0_u32, HUFFMAN[0].0);
    for (bits, symbols) in HUFFMAN {
        first <<= bits - before;
        if bits == length {
            let at = code.checked_sub(first)?;
            return symbols.get(usize::try_from(at).unwrap()).copied();
        }
        first += u32::try_from(symbols.len()).unwrap();
        before = bits;
    }
    None
}

#[cfg(test)]
fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

#[test]
fn the_tests_own_hpack_reads_the_examples_of_rfc_7541() {
    let text = |lines: Vec<Line>| {
        let lines = lines.into_iter().map(|(name, value)| {
            format!("{}: {}", String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap())
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    // C.4: requests.
    let mut requests = Decoder::new(4096);
    let first = requests.decode(&unhex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"));
    assert_eq!(text(first), ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com");
    let second = requests.decode(&unhex("8286 84be 5886 a8eb 1064 9cbf"));
    assert!(text(second).ends_with(":authority: www.example.com\ncache-control: no-cache"));
    let third = requests.decode(&unhex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"));
    assert!(text(third).ends_with("www.example.com\ncustom-key: custom-value"));
    // C.6: responses, with a table of 256 bytes.
    let mut responses = Decoder { max_size: 256, ..Decoder::new(256) };
    let first = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
                 63c7 8f0b 97c8 e9ae 82ae 43d3";
    let common =
        "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com";
    assert_eq!(text(responses.decode(&unhex(&first.replace('\n', "")))), format!(":status: 302\n{common}"));
    assert_eq!(text(responses.decode(&unhex("4883 640e ffc1 c0bf"))), format!(":status: 307\n{common}"));
}

#[test]
fn the_tests_own_hpack_reads_what_it_writes() {
    let lines = [("a", "b".repeat(300)), ("x-long", "y".repeat(30)), ("", String::new())];
    let decoded = Decoder::new(4096).decode(&block(&lines));
    assert_eq!(decoded.len(), 3);
    for ((name, value), (name_too, value_too)) in lines.iter().zip(&decoded) {
        assert_eq!((name.as_bytes(), value.as_bytes()), (name_too.as_slice(), value_too.as_slice()));
    }
    let bomb = [literal_into_table("x", "y"), indexed(62), indexed(62), table_size(0), indexed(2)].concat();
    assert_eq!(Decoder::new(4096).decode(&bomb).len(), 4);
}
