//! Pure. The gateway's assertion on a request that it forwards: a signature (RFC 9421) over the request and
//! the digest of its content (RFC 9530). An app verifies the assertion, and knows that the request came
//! through the gateway.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use memchr::memchr;
use sfv::{BareItem, DictSerializer, Dictionary, Item, ListEntry, Parser};

use crate::config;
use crate::message::head::is_same_name;
use crate::queue::id::EventId;
use crate::signature::message_signature::{Component, Signer};
use crate::signature::scheme::Scheme;

/// The label of the gateway's members in `signature` and `signature-input`.
const LABEL: &str = "hookgate";

/// The `tag` of the gateway's signatures.
const TAG: &str = "hookgate";

const SIGNATURE: &str = "signature";
const SIGNATURE_INPUT: &str = "signature-input";
const CONTENT_DIGEST: &str = "content-digest";

/// The fields in which an assertion is written.
pub const FIELDS: [&str; 3] = [SIGNATURE, SIGNATURE_INPUT, CONTENT_DIGEST];

/// The bytes that an assertion usually adds to a head.
const USUAL_SIZE: usize = 512;

/// How a route's requests are asserted.
#[derive(Clone, Debug)]
pub struct Assertion {
    signer: Arc<Signer>,
    /// The field for the event's id.
    event_id_field: Option<HeaderName>,
    /// Whether the scheme's own signature is in a field that the assertion needs for itself.
    takes_field: bool,
}

/// The facts of a verified request that its assertion needs.
#[derive(Clone, Copy, Debug)]
pub struct Asserted {
    /// The SHA-256 digest of the content.
    pub digest: [u8; 32],
    /// The time of the delivery.
    pub at: SystemTime,
}

impl Assertion {
    /// The assertions of a route with this scheme. `None` if the configuration asks for none.
    #[must_use]
    pub fn new(forward: &config::Forward, scheme: &Scheme) -> Option<Self> {
        Some(Self {
            signer: Arc::clone(forward.assertion.as_ref()?),
            event_id_field: forward.event_id_field.clone(),
            takes_field: takes_field_of(scheme),
        })
    }

    /// The assertions of a route that also has this scheme.
    #[must_use]
    pub fn beside(self, scheme: &Scheme) -> Self {
        Self { takes_field: self.takes_field || takes_field_of(scheme), ..self }
    }

    /// The head of a verified request with the gateway's assertion. `event` is the id that the gateway has
    /// given to the event. `room` is the memory that the caller needs behind the head.
    #[must_use]
    pub fn signed(&self, head: &[u8], asserted: &Asserted, event: Option<EventId>, room: usize) -> Vec<u8> {
        let digest = format!("sha-256=:{}:", STANDARD.encode(asserted.digest));
        // Other digests of the sender are not checked, so the gateway does not sign them.
        let is_right = only_value(head, CONTENT_DIGEST) == Some(digest.as_bytes());
        let mut out = self.rest(head, is_right, room);
        if !is_right {
            push_line(&mut out, CONTENT_DIGEST, &digest);
        }
        let (input, signature) = {
            let (method, target) = request_line(&out);
            let (path, query) = path_and_query(target);
            let digest = only_value(&out, CONTENT_DIGEST).unwrap_or_default();
            let mut components = vec![
                Component { name: "@method", value: method },
                Component { name: "@path", value: path },
                Component { name: "@query", value: query },
                Component { name: CONTENT_DIGEST, value: digest },
            ];
            // A stored head may be older than the configuration. The gateway signs only what it has written.
            let id = event.map(|event| event.to_string());
            if let (Some(field), Some(id)) = (&self.event_id_field, &id)
                && only_value(&out, field.as_str()) == Some(id.as_bytes())
            {
                components.push(Component { name: field.as_str(), value: id.as_bytes() });
            }
            self.signer.sign(&components, TAG, asserted.at)
        };
        push_line(&mut out, SIGNATURE_INPUT, &format!("{LABEL}={input}"));
        push_line(&mut out, SIGNATURE, &format!("{LABEL}=:{}:", STANDARD.encode(signature)));
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The head of a request that is forwarded although it is not verified: without members under the
    /// gateway's label.
    #[must_use]
    pub fn removed(&self, head: &[u8], room: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(head.len().saturating_add(room));
        let are_dictionaries = [SIGNATURE, SIGNATURE_INPUT].map(|field| others(head, field).is_some());
        for line in raw_lines(head) {
            match dictionary_of(line).and_then(|field| are_dictionaries.get(field)) {
                Some(_) if self.takes_field => out.extend_from_slice(line),
                Some(true) => push_others(&mut out, line),
                Some(false) => {}
                None => out.extend_from_slice(line),
            }
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The head without its end, and without everything that the assertion replaces.
    fn rest(&self, head: &[u8], keeps_digest: bool, room: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(head.len().saturating_add(USUAL_SIZE).saturating_add(room));
        let keeps_others = !self.takes_field && has_message_signatures(head);
        for line in raw_lines(head) {
            match dictionary_of(line) {
                Some(_) if keeps_others => push_others(&mut out, line),
                Some(_) => {}
                None if !keeps_digest && is_line_of(line, CONTENT_DIGEST) => {}
                None => out.extend_from_slice(line),
            }
        }
        out
    }
}

/// Whether a scheme's own signature is in a field that an assertion needs for itself.
#[must_use]
pub fn takes_field_of(scheme: &Scheme) -> bool {
    scheme.fields().any(|field| is_one_of(field.as_bytes(), &[SIGNATURE, SIGNATURE_INPUT]))
}

fn is_one_of(name: &[u8], fields: &[&str]) -> bool {
    fields.iter().any(|field| is_same_name(name, field.as_bytes()))
}

/// The request line and the field lines, with their ends. The head is one that the gateway has written.
fn raw_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split_inclusive(|byte| *byte == b'\n').filter(|line| *line != b"\r\n")
}

/// The name and value of a field line. The request line is not a field line: the text before its first colon
/// has a space.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
    Some((name, value.get(1..)?.trim_ascii()))
}

fn is_line_of(line: &[u8], name: &str) -> bool {
    field(line).is_some_and(|(field, _)| is_same_name(field, name.as_bytes()))
}

/// Which of `signature` (0) and `signature-input` (1) this line belongs to.
fn dictionary_of(line: &[u8]) -> Option<usize> {
    [SIGNATURE, SIGNATURE_INPUT].iter().position(|name| is_line_of(line, name))
}

fn values<'h>(head: &'h [u8], name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let of_field = move |(field, value)| is_same_name(field, name.as_bytes()).then_some(value);
    raw_lines(head).filter_map(field).filter_map(of_field)
}

fn only_value<'h>(head: &'h [u8], name: &'h str) -> Option<&'h [u8]> {
    let mut values = values(head, name);
    values.next().filter(|_| values.next().is_none())
}

fn parse(value: &[u8]) -> Option<Dictionary> {
    Parser::new(value).parse().ok()
}

/// The members of a dictionary (RFC 9651, section 3.2), without the gateway's own. `None` if a line is not a
/// dictionary.
fn others(head: &[u8], name: &str) -> Option<Dictionary> {
    let mut members = Dictionary::new();
    for value in values(head, name) {
        members.extend(parse(value)?);
    }
    members.shift_remove(LABEL);
    Some(members)
}

/// Whether the sender's members are HTTP message signatures (RFC 9421, sections 4.1 and 4.2), each with its
/// input. Beside something else, a strict library would not read the gateway's members.
fn has_message_signatures(head: &[u8]) -> bool {
    let (Some(inputs), Some(signatures)) = (others(head, SIGNATURE_INPUT), others(head, SIGNATURE)) else {
        return false;
    };
    inputs.len() == signatures.len()
        && inputs.values().all(|input| matches!(input, ListEntry::InnerList(_)))
        && inputs.keys().all(|label| signatures.get(label).is_some_and(is_byte_sequence))
}

fn is_byte_sequence(entry: &ListEntry) -> bool {
    matches!(entry, ListEntry::Item(Item { bare_item: BareItem::ByteSequence(_), .. }))
}

/// Writes a line of a dictionary without the gateway's label. Other lines are written unchanged.
fn push_others(out: &mut Vec<u8>, line: &[u8]) {
    let Some((name, value)) = field(line) else { return };
    let Some(mut members) = parse(value) else { return };
    if members.shift_remove(LABEL).is_none() {
        if !members.is_empty() {
            out.extend_from_slice(line);
        }
        return;
    }
    let mut others = DictSerializer::new();
    others.members(&members);
    if let Some(others) = others.finish() {
        for piece in [name, b": ", others.as_bytes(), b"\r\n"] {
            out.extend_from_slice(piece);
        }
    }
}

/// The method and the target.
fn request_line(head: &[u8]) -> (&[u8], &[u8]) {
    let line = memchr(b'\r', head).and_then(|end| head.get(..end)).unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The values of `@path` and `@query` (RFC 9421, sections 2.2.6 and 2.2.7). A target without a query has the
/// query `?`.
fn path_and_query(target: &[u8]) -> (&[u8], &[u8]) {
    let (path, query) = match memchr(b'?', target).and_then(|at| target.split_at_checked(at)) {
        Some(split) => split,
        None => (target, &b"?"[..]),
    };
    (if path.is_empty() { b"/" } else { path }, query)
}

fn push_line(out: &mut Vec<u8>, name: &str, value: &str) {
    for piece in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests;
