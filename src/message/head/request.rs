//! Pure. The head of a request that passed the strict parser. Every later step reads this head, and this head
//! is forwarded.

use memchr::memchr;

use crate::message::head::facts::{Head, Version};
use crate::message::head::lines::{Lines, leading_empty_lines, trim};
use crate::message::head::lookalike::Guarded;
use crate::message::head::target::{RequestLine, Target};
use crate::message::head::token::is_same_name;
use crate::signature::{Fields, Signable};

/// A request line and field lines, as received.
///
/// Two parts are normalised. Empty lines before the request line are removed. A target in absolute-form
/// becomes origin-form (RFC 9112, section 3.2.2); its authority becomes the `host` field, if there was none.
#[derive(Debug)]
pub struct RequestHead {
    facts: Head,
    raw: Vec<u8>,
    method_end: usize,
    target_end: usize,
}

/// The bytes between the target and the first field line.
const VERSION: usize = " HTTP/1.1\r\n".len();

impl RequestHead {
    /// The head with these facts. `raw` must be the bytes that were parsed.
    #[must_use]
    pub fn new(facts: Head, raw: &[u8]) -> Self {
        Self::owned(facts, raw.get(..facts.len).unwrap_or_default().to_vec())
    }

    /// Makes the head as [`Self::new`] does, but without a copy. The bytes are exactly those of the head.
    #[must_use]
    pub fn owned(facts: Head, mut head: Vec<u8>) -> Self {
        head.drain(..leading_empty_lines(&head).min(head.len()));
        let (method_end, target_len) = facts.request_line;
        let target_start = method_end.saturating_add(1);
        if let Some(target_len) = target_len {
            let target_end = target_start.saturating_add(target_len);
            return Self { facts, method_end, target_end, raw: head };
        }
        let raw = in_origin_form(&head).unwrap_or_default();
        let target_len = raw.get(target_start..).and_then(|rest| memchr(b' ', rest)).unwrap_or(0);
        let target_end = target_start.saturating_add(target_len);
        Self { facts, method_end, target_end, raw }
    }

    /// The facts of the head.
    #[must_use]
    pub fn facts(&self) -> &Head {
        &self.facts
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        match self.raw.get(..self.method_end) {
            // Nearly every webhook is a POST. The comparison costs less than the check of the text.
            Some(b"POST") => "POST",
            Some(_) | None => self.text(0, self.method_end),
        }
    }

    /// Whether the method is HEAD.
    #[must_use]
    pub fn is_for_head(&self) -> bool {
        self.raw.get(..self.method_end) == Some(b"HEAD")
    }

    /// The request target in origin-form: path and query. A query may contain all bytes from 0x80 on.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.raw.get(self.method_end.saturating_add(1)..self.target_end).unwrap_or_default()
    }

    /// The path of the target, without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        let start = self.method_end.saturating_add(1);
        let query = memchr(b'?', self.target());
        self.text(start, query.map_or(self.target_end, |at| start.saturating_add(at)))
    }

    /// The name and value of every field line, in the order received. The white space around a value is
    /// removed.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.raw_lines().filter_map(|line| {
            let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
            Some((name, trim(value.get(1..)?)))
        })
    }

    /// Whether one of the head's fields is a lookalike of one of `fields`.
    #[must_use]
    pub fn has_lookalike_of(&self, fields: &Guarded) -> bool {
        fields.has_lookalike(self.lines().map(|(name, _)| name), self.facts.has_unusual_names)
    }

    /// The length of the head in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.raw.len()
    }

    /// The memory that the head takes, in bytes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.raw.capacity()
    }

    fn raw_lines(&self) -> Lines<'_> {
        Lines::from(&self.raw, self.target_end.saturating_add(VERSION))
    }

    /// A part of the head as text. Method and path are always ASCII.
    fn text(&self, start: usize, end: usize) -> &str {
        self.raw.get(start..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Signable for RequestHead {
    fn method(&self) -> &str {
        self.method()
    }

    fn target(&self) -> &[u8] {
        self.target()
    }
}

impl Fields for RequestHead {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.raw_lines().filter_map(|line| {
            let (start, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            is_same_name(start, name.as_bytes()).then(|| trim(value))
        })
    }
}

/// The head in origin-form. `None` if it was not in absolute-form.
fn in_origin_form(head: &[u8]) -> Option<Vec<u8>> {
    let mut lines = Lines::from(head, 0);
    let line = RequestLine::read(lines.next()?).ok()?;
    let Target::Absolute { authority, path_and_query } = line.target else { return None };
    let mut out = Vec::with_capacity(head.len().saturating_add(authority.len()));
    out.extend_from_slice(line.method);
    out.push(b' ');
    if path_and_query.first() != Some(&b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(path_and_query);
    out.extend_from_slice(match line.version {
        Version::Http10 => b" HTTP/1.0\r\n",
        Version::Http11 => b" HTTP/1.1\r\n",
    });
    let is_host = |line: &[u8]| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"host:"));
    if !lines.clone().any(is_host) {
        // An HTTP/1.0 request may lack the field. Then the target names the host.
        out.extend_from_slice(b"host: ");
        out.extend_from_slice(authority);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(lines.rest);
    out.shrink_to_fit();
    Some(out)
}
