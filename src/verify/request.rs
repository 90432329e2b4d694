//! Pure. A request as values, and the containers of fields that the check can read.

use std::fmt;
use std::time::SystemTime;

use http::header::{HeaderMap, HeaderValue};

use crate::signature::{Fields, Signable};

/// A request to check.
///
/// `fields` is a [`HeaderMap`], or a slice, an array or a vector of pairs of name and value, or any other
/// type that implements [`Fields`].
#[derive(Debug)]
pub struct Request<'r, F: ?Sized> {
    /// The method. Most schemes do not sign it.
    pub method: &'r str,
    /// The path and the query, exactly as they were received. Most schemes do not sign them.
    pub target: &'r str,
    /// The field lines.
    pub fields: &'r F,
    /// The content, exactly as it was received: neither decoded, nor parsed and written again.
    pub content: &'r [u8],
    /// The time at which the request is checked. Use the clock of the system, except in tests.
    pub now: SystemTime,
}

/// The head of a request, without its content.
pub(super) struct Head<'r, F: ?Sized> {
    method: &'r str,
    target: &'r str,
    fields: &'r F,
}

impl<F: ?Sized> fmt::Debug for Head<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

impl<'r, F: ?Sized> Request<'r, F> {
    pub(super) fn head(&self) -> Head<'r, F> {
        Head { method: self.method, target: self.target, fields: self.fields }
    }
}

impl<F: Fields + ?Sized> Fields for Head<'_, F> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.values(name)
    }
}

impl<F: Fields + ?Sized> Signable for Head<'_, F> {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> &[u8] {
        self.target.as_bytes()
    }
}

impl Fields for HeaderMap {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// Names may be in any case. White space around a value does not belong to it.
impl<N: AsRef<str>, V: AsRef<[u8]>> Fields for [(N, V)] {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.iter().filter(move |(other, _)| other.as_ref().eq_ignore_ascii_case(name));
        named.map(|(_, value)| trimmed(value.as_ref()))
    }
}

/// As for a slice.
impl<N: AsRef<str>, V: AsRef<[u8]>, const COUNT: usize> Fields for [(N, V); COUNT] {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.as_slice().values(name)
    }
}

/// As for a slice.
impl<N: AsRef<str>, V: AsRef<[u8]>> Fields for Vec<(N, V)> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.as_slice().values(name)
    }
}

/// A value without the white space around it (RFC 9110, section 5.5).
fn trimmed(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(is_text) else { return &[] };
    let end = value.iter().rposition(is_text).map_or(value.len(), |last| last.saturating_add(1));
    value.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_values_without_white_space_around_them() {
        let fields = [("X-A", " \t1 2\t "), ("x-b", "3"), ("x-a", ""), ("X-a", "  ")];
        let found: Vec<_> = fields.values("x-a").collect();
        assert_eq!(found, [&b"1 2"[..], b"", b""]);
        assert_eq!(Fields::values(&fields[1..2], "x-b").collect::<Vec<_>>(), [b"3"]);
        assert_eq!(fields.values("x-c").count(), 0);
    }
}
