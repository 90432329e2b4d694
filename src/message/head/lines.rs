//! Pure. The lines of a head, and the parts of a field line.

use memchr::memchr;

use crate::message::head::token::{Name, are_field_value};

/// The number of bytes of the empty lines before a request line. These lines are ignored (RFC 9112, section
/// 2.2).
pub(crate) fn leading_empty_lines(bytes: &[u8]) -> usize {
    let pairs = bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count();
    pairs.saturating_mul(2)
}

/// The lines of a complete head, without their CRLF. The empty line at the end is not one of them.
#[derive(Clone)]
pub(super) struct Lines<'h> {
    pub(super) rest: &'h [u8],
}

impl<'h> Lines<'h> {
    /// The lines from the offset `at`. A line must begin there.
    pub(super) fn from(head: &'h [u8], at: usize) -> Self {
        Self { rest: head.get(at..).unwrap_or_default() }
    }
}

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let len = memchr(b'\n', self.rest)?.saturating_add(1);
        let (line, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        line.strip_suffix(b"\r\n").filter(|line| !line.is_empty())
    }
}

/// The name and the value of a field line (RFC 9112, section 5). The white space around the value is removed.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    parts_of_line(line).map(|(_, name, value)| (name, value))
}

pub(super) fn parts_of_line(line: &[u8]) -> Result<(Name, &[u8], &[u8]), &'static str> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err("a field line is folded");
    }
    let (len, kind) = Name::at_start(line);
    let Some((name @ [_, ..], [b':', value @ ..])) = line.split_at_checked(len) else {
        let has_colon = line.contains(&b':');
        return Err(if has_colon { "a field name is not a token" } else { "a field line has no colon" });
    };
    let value = trim(value);
    if !are_field_value(value) {
        return Err("a field value has a control character");
    }
    Ok((kind, name, value))
}

/// Removes the optional white space (RFC 9110, section 5.6.3) at the beginning of a text.
pub(super) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Removes the optional white space (RFC 9110, section 5.6.3) at both ends of a text.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
