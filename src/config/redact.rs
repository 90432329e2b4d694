//! Pure. Redacts the secrets in a configuration's text. A text that may be shown is made only from the
//! redacted text.
//!
//! A credential in a URL is also a secret: its user information, query and fragment (`url`).
//!
//! A redaction keeps the number of bytes, so every byte offset in the text stays correct. The rule is a list
//! of the texts that may be shown (`showable`), not a guess about the look of secrets. Values are shown only
//! under keys where no secret belongs. Comments are not shown, because people keep secrets in comments.

mod broken;
mod redaction;
pub mod url;

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use redaction::Redaction;

use crate::config::{key_description, keys, showable};

/// Whether the TOML parser accepted a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// The parser accepted the text, so the document has the place of every secret.
    Sound,
    /// The parser found errors. The document is incomplete, so the text is searched line by line as well.
    Broken,
}

/// Redacts the secrets in a text. `document` is the parser's result for it.
pub(super) fn redact_secrets(text: &str, document: &DeTable<'_>, syntax: Syntax) -> String {
    let mut values = Values { text, hidden: Vec::new(), all: Vec::new() };
    values.in_table(document, Place::Elsewhere);
    let Values { mut hidden, all, .. } = values;
    match syntax {
        Syntax::Sound => comments(text, all, &mut hidden),
        Syntax::Broken => broken::hide(text, &mut hidden),
    }
    hidden.sort_by_key(|blot| blot.place.start);
    let mut hidden = hidden.into_iter().peekable();
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        while hidden.next_if(|blot| blot.place.end <= at).is_some() {}
        match hidden.peek() {
            Some(blot) if blot.place.contains(&at) && !matches!(c, '\n' | '\r') => {
                shown.extend(std::iter::repeat_n(blot.with, c.len_utf8()));
            }
            Some(_) | None => shown.push(c),
        }
    }
    shown
}

/// The places of a document's strings, and the places to redact.
struct Values<'t> {
    text: &'t str,
    hidden: Vec<Redaction>,
    all: Vec<Range<usize>>,
}

/// Which keys are public at the place of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The public keys of a signature and its secrets.
    Signature,
    /// No key: the value is in a table with an unknown key.
    Unknown,
    /// The names that the file gives to schemes.
    Schemes,
    /// Every known key.
    Elsewhere,
}

impl Values<'_> {
    fn in_table(&mut self, table: &DeTable<'_>, place: Place) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let shown = match place {
                Place::Elsewhere | Place::Schemes => showable::is_plain_key(name),
                Place::Signature | Place::Unknown => showable::key(name),
            };
            if !shown {
                self.hidden.push(Redaction::secret(key.span()));
            }
            self.in_value(name, value, place);
        }
    }

    fn in_value(&mut self, key: &str, value: &Spanned<DeValue<'_>>, place: Place) {
        let meant = if place == Place::Elsewhere { showable::meant(key) } else { key };
        self.in_value_of(key, meant, value, place);
    }

    /// Handles a value whose key has the meaning of the key `meant`. An array may have many values under one
    /// key.
    fn in_value_of(&mut self, key: &str, meant: &str, value: &Spanned<DeValue<'_>>, place: Place) {
        let shown = match value.get_ref() {
            DeValue::Table(table) => return self.in_table(table, place.below(key)),
            DeValue::Array(array) => {
                for element in array {
                    self.in_value_of(key, meant, element, place);
                }
                return;
            }
            DeValue::String(content) => {
                self.all.push(value.span());
                let shown = place.shows(meant) && showable::is_no_secret(meant, content);
                if shown && self.hides_credentials(meant, content, value.span()) {
                    return;
                }
                shown && showable::value(meant, content)
            }
            DeValue::Datetime(_) => place.shows(meant),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                place == Place::Elsewhere && place.shows(meant)
            }
        };
        if !shown {
            self.hidden.push(Redaction::secret(inside_quotes(self.text, value.span())));
        }
    }
}

impl Values<'_> {
    /// Redacts possible credentials in a value. Returns `false` if it cannot, because the value has escapes:
    /// its bytes are then not the bytes of the file.
    fn hides_credentials(&mut self, key: &str, content: &str, span: Range<usize>) -> bool {
        let inside = inside_quotes(self.text, span);
        if self.text.get(inside.clone()) != Some(content) {
            return false;
        }
        let place = |part: Range<usize>| {
            inside.start.saturating_add(part.start)..inside.start.saturating_add(part.end)
        };
        let places = showable::credentials(key, content).into_iter().map(place);
        self.hidden.extend(places.map(Redaction::secret));
        true
    }
}

impl Place {
    fn shows(self, key: &str) -> bool {
        match self {
            Self::Signature => keys::PUBLIC_IN_SIGNATURE.contains(&key),
            Self::Unknown | Self::Schemes => false,
            Self::Elsewhere => keys::is_public(key),
        }
    }

    /// The place for the values of a table under this key.
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (
                Self::Signature | Self::Elsewhere,
                "signature" | "secrets" | "verify_token" | "tokens" | "assertion",
            )
            | (Self::Signature, "key") => Self::Signature,
            (Self::Elsewhere, "schemes") => Self::Schemes,
            (
                Self::Elsewhere,
                "timestamp" | "named_fields" | "tolerance" | "proxy_protocol" | "client_address"
                | "certificates" | "client_certificate" | "acme",
            )
            | (Self::Schemes, _) => Self::Elsewhere,
            (Self::Elsewhere, key) if key_description::has(keys::ROOT, key) => Self::Elsewhere,
            (Self::Signature | Self::Unknown | Self::Elsewhere, _) => Self::Unknown,
        }
    }
}

fn inside_quotes(text: &str, span: Range<usize>) -> Range<usize> {
    let quoted = text.get(span.clone()).is_some_and(|text| text.len() >= 2 && text.starts_with(['"', '\'']));
    if quoted { span.start.saturating_add(1)..span.end.saturating_sub(1) } else { span }
}

/// Collects the comments of a text without errors. `values` are the places of its strings, in which a `#`
/// begins no comment.
fn comments(text: &str, mut values: Vec<Range<usize>>, hidden: &mut Vec<Redaction>) {
    values.sort_by_key(|range| range.start);
    let mut values = values.into_iter().peekable();
    for (at, _) in text.match_indices('#') {
        while values.next_if(|range| range.end <= at).is_some() {}
        if values.peek().is_none_or(|range| at < range.start) {
            let comment = text.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            hidden.push(Redaction::comment(at..at.saturating_add(comment.len())));
        }
    }
}

#[cfg(test)]
mod tests;
