//! Pure. The lines of a head: where each of them ends, and the parts of a field line.

use memchr::memchr;

use crate::message::head::token::{Name, are_field_value};

/// Where the first lines of a head end, so that they are not searched for again by everybody who goes through them.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub(super) struct LineEnds {
    known: usize,
    /// Each is the offset behind a line feed, counted from the request line.
    at: [u16; LineEnds::MOST],
}

/// How much is known of it makes no other head of it.
impl PartialEq for LineEnds {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl LineEnds {
    /// As many lines as the requests of most senders have.
    pub(super) const MOST: usize = 20;

    /// The next line ends here. What does not fit is not known, nor is anything behind it.
    pub(super) fn push(&mut self, end: usize) {
        if let (Some(place), Ok(end)) = (self.at.get_mut(self.known), u16::try_from(end)) {
            *place = end;
            self.known = self.known.saturating_add(1);
        }
    }

    fn as_slice(&self) -> &[u16] {
        self.at.get(..self.known).unwrap_or_default()
    }
}

/// How many bytes the empty lines before a request line have, which are ignored (RFC 9112, section 2.2).
pub(crate) fn leading_empty_lines(bytes: &[u8]) -> usize {
    let pairs = bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count();
    pairs.saturating_mul(2)
}

/// The lines of a complete head, without their CRLF and without the empty line at the end.
#[derive(Clone)]
pub(super) struct Lines<'h> {
    pub(super) rest: &'h [u8],
    /// Where the rest begins in the head, and where the lines end from there on, as far as that is known.
    at: usize,
    ends: &'h [u16],
}

impl<'h> Lines<'h> {
    /// Those from `at` on, where a line must begin.
    pub(super) fn from(head: &'h [u8], at: usize, ends: &'h LineEnds) -> Self {
        let ends = ends.as_slice();
        let passed = ends.iter().take_while(|end| usize::from(**end) <= at).count();
        Self { rest: head.get(at..).unwrap_or_default(), at, ends: ends.get(passed..).unwrap_or_default() }
    }
}

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let len = match self.ends.split_first() {
            Some((end, ends)) => {
                self.ends = ends;
                usize::from(*end).checked_sub(self.at)?
            }
            None => memchr(b'\n', self.rest)?.saturating_add(1),
        };
        let (line, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.at = self.at.saturating_add(len);
        line.strip_suffix(b"\r\n").filter(|line| !line.is_empty())
    }
}

/// Name and value of a field line (RFC 9112, section 5), the value without the white space around it.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    parts_of_line(line).map(|(_, name, value)| (name, value))
}

pub(super) fn parts_of_line(line: &[u8]) -> Result<(Name, &[u8], &[u8]), &'static str> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err("a field line is folded");
    }
    let Some((name, value)) = memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else {
        return Err("a field line has no colon");
    };
    let Some(kind) = Name::of(name) else {
        return Err("a field name is not a token");
    };
    let value = trim(value.get(1..).unwrap_or_default());
    if !are_field_value(value) {
        return Err("a field value has a control character");
    }
    Ok((kind, name, value))
}

/// Without the optional white space (RFC 9110, section 5.6.3) at its beginning.
pub(super) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Without the optional white space (RFC 9110, section 5.6.3) at both ends.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
