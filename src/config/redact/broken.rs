//! Pure. Redacts a text that is not TOML, line by line.
//!
//! The structure of such a text is unknown: a key may be incomplete, and a string may end where another
//! should begin. So each line is treated alone. Only brackets, known keys, and the single value of a public
//! key are shown. If a line has an `@`, none of its values is shown: the text before the `@` may be a
//! credential, and its beginning cannot be found.

use crate::config::redact::redaction::Redaction;
use crate::config::{keys, showable};

/// Collects the places to redact.
pub(super) fn hide(text: &str, hidden: &mut Vec<Redaction>) {
    let mut at = 0_usize;
    for line in text.split_inclusive('\n') {
        let end = at.saturating_add(line.len());
        let code = line.split('#').next().unwrap_or_default();
        if code.len() < line.len() {
            hidden.push(Redaction::comment(at.saturating_add(code.len())..end));
        }
        assignment(code, at, line.contains('@'), hidden);
        at = end;
    }
}

/// Redacts `key = value`, or the header of a table. `code` begins at the byte `at`.
fn assignment(code: &str, at: usize, has_at_sign: bool, hidden: &mut Vec<Redaction>) {
    let inside = code.trim_start_matches(|c| OPENING.contains(&c) || c == '{');
    let at = at.saturating_add(code.len().saturating_sub(inside.len()));
    let Some((path, value)) = inside.split_once('=') else {
        let _known = known_key(inside.trim_end_matches(CLOSING), at, hidden);
        return;
    };
    let key = known_key(path, at, hidden);
    let end = at.saturating_add(inside.len());
    let value = value.trim_start_matches(OPENING);
    let start = end.saturating_sub(value.len());
    match key {
        Some(_) if value.starts_with('{') => assignment(value, start, has_at_sign, hidden),
        Some(key) if !has_at_sign && is_shown(key, value.trim_end_matches(CLOSING)) => {}
        Some(_) | None => hidden.push(Redaction::secret(start..end)),
    }
}

/// Redacts the unknown parts of a dotted key. Returns the last part, if all parts are known.
fn known_key<'t>(path: &'t str, mut at: usize, hidden: &mut Vec<Redaction>) -> Option<&'t str> {
    let mut are_known = true;
    let mut last = None;
    for part in path.split('.') {
        let end = at.saturating_add(part.len());
        let name = part.trim();
        if !showable::key(name) {
            let start = end.saturating_sub(part.trim_start().len());
            hidden.push(Redaction::secret(start..start.saturating_add(name.len())));
        }
        are_known &= keys::all().any(|known| known == name);
        last = Some(name);
        at = end.saturating_add(1);
    }
    last.filter(|_| are_known)
}

/// Whether a value may be shown: it is one word, or one string on this line. The string may lack its closing
/// quote.
fn is_shown(key: &str, value: &str) -> bool {
    let Some(quote @ ('"' | '\'')) = value.chars().next() else {
        let ends_word = |c: char| c.is_whitespace() || "\"'=,[]{}".contains(c);
        return !value.contains(ends_word) && showable::value(key, value);
    };
    let content = value.strip_prefix(quote).unwrap_or_default();
    showable::value(key, content.strip_suffix(quote).unwrap_or(content))
}

/// The characters that may precede a value or the name of a table.
const OPENING: [char; 3] = ['[', ' ', '\t'];

/// The characters that may follow a value or the name of a table.
const CLOSING: [char; 7] = [']', '}', ',', ' ', '\t', '\r', '\n'];
