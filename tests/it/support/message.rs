//! The tests' own parser of HTTP/1.1 (RFC 9112). It is strict, and independent of hookgate's parser.

use std::fmt;

/// A field line, as received.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name in the spelling of the message.
    pub(crate) name: String,
    /// The value without surrounding white space.
    pub(crate) value: Vec<u8>,
}

impl Field {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value.escape_ascii())
    }
}

/// Why a message is not strict HTTP/1.1.
pub(crate) type Violation = String;

/// The start line and the field lines of a message, and the length of the head in bytes.
pub(crate) struct Head {
    pub(crate) start: Vec<u8>,
    pub(crate) fields: Vec<Field>,
    pub(crate) len: usize,
}

/// Parses a head. `None` if it is incomplete.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, Violation> {
    let mut lines = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n') else {
            let so_far = &bytes[at..];
            let stray = so_far.iter().position(|byte| *byte == b'\r').is_some_and(|cr| cr + 1 < so_far.len());
            return if stray { Err("a bare CR".to_owned()) } else { Ok(None) };
        };
        let Some(line) = bytes[at..at + end].strip_suffix(b"\r") else {
            return Err(format!("a bare LF after {:?}", bytes[at..at + end].escape_ascii().to_string()));
        };
        if line.contains(&b'\r') {
            return Err(format!("a bare CR in {:?}", line.escape_ascii().to_string()));
        }
        at += end + 1;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let Some((start, rest)) = lines.split_first() else {
        return Err("an empty line where a message should begin".to_owned());
    };
    let fields = rest.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
    Ok(Some(Head { start: start.to_vec(), fields, len: at }))
}

/// Parses a field line without its CRLF (RFC 9112, section 5).
fn field(line: &[u8]) -> Result<Field, Violation> {
    let violation = |what: &str| Err(format!("{what}: {:?}", line.escape_ascii().to_string()));
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return violation("a field line without a colon");
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return violation("a field name that is no token");
    }
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return violation("a control byte in a field value");
    }
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = value.iter().position(|byte| !is_white(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_white(byte)).map_or(begin, |last| last + 1);
    Ok(Field { name: String::from_utf8(name.to_vec()).unwrap(), value: value[begin..end].to_vec() })
}

/// Whether the bytes are a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// The value of `content-length`. The field may occur once.
pub(crate) fn content_length(fields: &[Field]) -> Result<Option<usize>, Violation> {
    let mut values = fields.iter().filter(|field| field.is("content-length"));
    let Some(field) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("two content-length lines".to_owned());
    }
    let digits = !field.value.is_empty() && field.value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(&field.value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| format!("not a length: {field:?}"))
}

/// A chunked body (RFC 9112, section 7.1), decoded up to the last received byte.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunked {
    /// The content that is decoded so far.
    pub(crate) content: Vec<u8>,
    /// The trailer section, once it is complete. Then the body is complete, too.
    pub(crate) trailers: Option<Vec<Field>>,
    /// How many bytes were parsed.
    pub(crate) len: usize,
}

/// Decodes a chunked body strictly.
pub(crate) fn chunked(bytes: &[u8]) -> Result<Chunked, Violation> {
    let mut decoded = Chunked::default();
    loop {
        let rest = &bytes[decoded.len..];
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(decoded) };
        let size = std::str::from_utf8(&rest[..end]).ok().filter(|text| !text.starts_with('+'));
        let Some(size) = size.and_then(|text| usize::from_str_radix(text, 16).ok()) else {
            return Err(format!("not a chunk size: {:?}", rest[..end].escape_ascii().to_string()));
        };
        let data = &rest[end + 2..];
        if size == 0 {
            // A trailer section is parsed like a head. A start line is put before it (RFC 9112, section
            // 7.1.2).
            let first = b"first\r\n".as_slice();
            let Some(trailers) = head(&[first, data].concat())? else { return Ok(decoded) };
            decoded.len += end + 2 + trailers.len - first.len();
            decoded.trailers = Some(trailers.fields);
            return Ok(decoded);
        }
        if data.len() < size + 2 {
            decoded.content.extend_from_slice(&data[..data.len().min(size)]);
            return Ok(decoded);
        }
        if &data[size..size + 2] != b"\r\n" {
            return Err("chunk data that runs on".to_owned());
        }
        decoded.content.extend_from_slice(&data[..size]);
        decoded.len += end + 2 + size + 2;
    }
}

#[test]
fn the_tests_own_reader_takes_what_is_strict_and_nothing_else() {
    let good = head(b"POST / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX: \xff\tb \r\n\r\nrest").unwrap().unwrap();
    assert_eq!(good.start, b"POST / HTTP/1.1");
    assert_eq!(good.len, 47);
    let values: Vec<_> = good.fields.iter().map(|field| field.value.as_slice()).collect();
    assert_eq!(values, [b"a".as_slice(), b"", b"\xff\tb"]);
    assert!(head(b"POST / HTTP/1.1\r\nHost: a\r\n").unwrap().is_none());
    for bad in [
        b"\r\n\r\n".as_slice(),
        b"a\nb: c\r\n\r\n",
        b"a\r\nb: c\n\r\n",
        b"a\r\nb: c\rd\r\n\r\n",
        b"a\r\nb: c\rd",
        b"a\r\nb : c\r\n\r\n",
        b"a\r\n b: c\r\n\r\n",
        b"a\r\nb\r\n\r\n",
        b"a\r\n: c\r\n\r\n",
        b"a\r\nb: \0\r\n\r\n",
    ] {
        assert!(head(bad).is_err(), "{}", bad.escape_ascii());
    }
    let whole = chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\nnext").unwrap();
    assert_eq!((whole.content.as_slice(), whole.len), (b"abcde".as_slice(), 26));
    assert!(whole.trailers.is_some());
    assert_eq!(chunked(b"3\r\nab").unwrap().content, b"ab");
    assert_eq!(chunked(b"3\r\nabc\r\n0\r\n").unwrap().trailers, None);
    assert!(chunked(b"x\r\n").is_err());
    assert!(chunked(b"1\r\nabc\r\n").is_err());
}
