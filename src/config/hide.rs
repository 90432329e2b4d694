//! Pure. Blots the secrets out of a configuration's text, before anything that is shown is made from it.
//!
//! What is hidden becomes `*`, byte for byte, so that every place in the text stays where it is. It hides too much rather
//! than too little: whatever stands where only a secret could be meant, under whatever name.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret::is_variable_name;
use super::suggest;

/// Whether the TOML parser had anything to say against a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// It had not: every secret is where the document says it is.
    Sound,
    /// It had: the document is the best that could be made of the text, and the text is searched as well.
    Broken,
}

/// The text without its secrets. `document` is what the parser made of it.
pub(super) fn hide_secrets(text: &str, document: &DeTable<'_>, syntax: Syntax) -> String {
    let mut values = Values { text, hidden: Vec::new(), all: Vec::new() };
    values.in_table(document, false);
    let Values { mut hidden, all, .. } = values;
    match syntax {
        Syntax::Sound => comments(text, all, &mut hidden),
        Syntax::Broken => in_text(text, 0, &mut hidden),
    }
    hidden.sort_by_key(|range| range.start);
    let mut hidden = hidden.into_iter().peekable();
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        while hidden.next_if(|range| range.end <= at).is_some() {}
        match hidden.peek() {
            Some(range) if range.contains(&at) && !matches!(c, '\n' | '\r') => {
                shown.extend(std::iter::repeat_n('*', c.len_utf8()));
            }
            Some(_) | None => shown.push(c),
        }
    }
    shown
}

/// The places of a document's values, and of those that may be secrets.
struct Values<'t> {
    text: &'t str,
    hidden: Vec<Range<usize>>,
    all: Vec<Range<usize>>,
}

impl Values<'_> {
    /// Collects below a table; `within` a signature or anything named after a secret, all is hidden but what is known not
    /// to be one.
    fn in_table(&mut self, table: &DeTable<'_>, within: bool) {
        for (key, value) in table {
            let key = key.get_ref().as_ref();
            self.in_value(key, value, within || key == "signature" || holds_secret(key));
        }
    }

    fn in_value(&mut self, key: &str, value: &Spanned<DeValue<'_>>, within: bool) {
        match value.get_ref() {
            DeValue::Table(table) => self.in_table(table, within),
            DeValue::Array(array) => {
                for element in array {
                    self.in_value(key, element, within);
                }
            }
            DeValue::String(content) => {
                self.all.push(value.span());
                let public = match key {
                    "scheme" | "name" | "file" | "encoding" | "secret_encoding" | "not_after"
                    | "tolerance" | "past" | "future" => true,
                    "env" => is_variable_name(content),
                    _ => false,
                };
                if within && !public {
                    self.hidden.push(inside_quotes(self.text, value.span()));
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
                if within && key != "not_after" {
                    self.hidden.push(value.span());
                }
            }
        }
    }
}

/// Whether what is set under this key may be a secret, wherever in the file it is.
fn holds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let named = ["value", "secret", "password", "token", "key"].iter().any(|word| key.contains(word));
    named || suggest::nearest(&key, ["value"]).is_some()
}

fn inside_quotes(text: &str, span: Range<usize>) -> Range<usize> {
    let quoted = text.get(span.clone()).is_some_and(|text| text.len() >= 2 && text.starts_with(['"', '\'']));
    if quoted { span.start.saturating_add(1)..span.end.saturating_sub(1) } else { span }
}

/// Collects what to hide in the comments of a sound document: secrets are commented out, too. `values` are the places of
/// its strings, in which a `#` begins no comment.
fn comments(text: &str, mut values: Vec<Range<usize>>, hidden: &mut Vec<Range<usize>>) {
    values.sort_by_key(|range| range.start);
    let mut values = values.into_iter().peekable();
    for (at, _) in text.match_indices('#') {
        while values.next_if(|range| range.end <= at).is_some() {}
        if values.peek().is_none_or(|range| at < range.start) {
            let comment = text.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            in_text(comment, at, hidden);
        }
    }
}

/// Collects what to hide in a text that is no TOML and begins at `base`: all that follows a word for a secret on its line.
fn in_text(text: &str, base: usize, hidden: &mut Vec<Range<usize>>) {
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let from_word = rest.get(start..).unwrap_or_default();
        let end = from_word.find(|c| !is_word(c)).unwrap_or(from_word.len());
        let (word, after) = from_word.split_at(end);
        rest = after;
        let Some(value) = holds_secret(word).then(|| value_after(after)).flatten() else { continue };
        let length = ["\"\"\"", "'''"]
            .iter()
            .find_map(|quotes| {
                value.strip_prefix(quotes).map(|inner| inner.find(quotes).unwrap_or(inner.len()))
            })
            .map_or_else(|| value.find('\n').unwrap_or(value.len()), |inner| inner.saturating_add(3));
        let at = base.saturating_add(text.len().saturating_sub(value.len()));
        hidden.push(at..at.saturating_add(length));
        rest = value.get(length..).unwrap_or_default();
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// What follows a key on its line, be there an equals sign, a colon or only a space, if it can be a secret: the
/// elements of an array or a table are looked at one by one.
fn value_after(after_key: &str) -> Option<&str> {
    let blank = |c: char| matches!(c, ' ' | '\t');
    let after_key = after_key.strip_prefix(['"', '\'']).unwrap_or(after_key);
    let trimmed = after_key.trim_start_matches(blank);
    let value = match trimmed.strip_prefix(['=', ':']) {
        Some(value) => value.trim_start_matches(['=', ' ', '\t']),
        None if trimmed.len() < after_key.len() && trimmed.starts_with(['"', '\'']) => trimmed,
        None => return None,
    };
    let elements = value.strip_prefix('[').map(|elements| elements.trim_start_matches([' ', '\t', '[']));
    match elements {
        _ if value.starts_with('{') => None,
        Some(elements) if elements.starts_with(['{', '\r', '\n', '#', ']']) || elements.is_empty() => None,
        Some(elements) => Some(elements),
        None => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let (document, errors) = DeTable::parse_recoverable(text);
        let syntax = if errors.is_empty() { Syntax::Sound } else { Syntax::Broken };
        let shown = hide_secrets(text, document.get_ref(), syntax);
        assert_eq!(shown.len(), text.len(), "every place stays where it is: {text}");
        shown
    }

    #[test]
    fn a_secret_is_hidden_and_nothing_else() {
        let text = "[signature]\nscheme = \"propify\"\nsecrets = [{ name = \"a\", value = \"hunter2é\" }, { env = \"HUNTER\" }]\n";
        let want = "[signature]\nscheme = \"propify\"\nsecrets = [{ name = \"a\", value = \"*********\" }, { env = \"HUNTER\" }]\n";
        assert_eq!(shown(text), want);
        assert_eq!(shown("path = \"/#value = x\""), "path = \"/#value = x\"");
        assert_eq!(shown("[server]\nlisten = \"127.0.0.1:80\"\n"), "[server]\nlisten = \"127.0.0.1:80\"\n");
    }

    /// Every way to write a secret down that we could think of, at the right place and at wrong ones.
    #[test]
    fn a_secret_is_hidden_wherever_it_stands() {
        for text in [
            "signature = { scheme = \"propify\", secrets = [{ value = 'hunter2' }] }",
            "signature.secrets = [{ value = \"\"\"\nhunter2\nhunter2\"\"\" }]",
            "[signature]\nsecrets = [{ vlaue = \"hunter2\" }]",
            "[signature]\nsecrets = [{ env = \"hunter2!\" }]",
            "[signature]\nsecrets = [\"hunter2\", ['hunter2']]",
            "[signature]\nsecrets = \"hunter2\"",
            "[signature]\nsecret = \"hunter2\"",
            "[signature]\nfoo = { bar = [\"hunter2\"] }",
            "[[routes]]\nsecret = \"hunter2\"",
            "[[routes]]\nsignature = \"hunter2\"",
            "[[routes]]\nsecrets = [{ foo = \"hunter2\" }]",
            "[[routes]]\nsignatur = { secrets = [{ value = \"hunter2\" }] }",
            "webhook_secret = \"hunter2\"",
            "value = \"hunter2\"",
            "a = 1 # value = \"hunter2\"",
            "a = \"#\" # secrets = [\"hunter2\"] # ",
            "# secret: hunter2",
            // No TOML from here on.
            "value = hunter2",
            "value = hunter2 hunter2, hunter2",
            "value = \"hunter2",
            "value = \"hunter2\"hunter2\"",
            "value \"hunter2\"",
            "value: \"hunter2\"",
            "\"value\" == 'hunter2'",
            "vlaue = 'hunter2",
            "value = \"\"\"\nhunter2\nhunter2",
            "secrets = [hunter2]",
            "secrets = [ \"hunter2\", \"hunter2\"",
            "secrets = [{ value = \"hunter2\"",
            "secrets = [\n{ name = \"a\", value = \"hunter2\" \"b\" }\n",
            "secrets = [{ value = \"a\", value = \"hunter2\" }]",
            "[signature\nvalue = \"hunter2\"\n",
        ] {
            assert!(!shown(text).contains("hunter2"), "{text}\n{}", shown(text));
        }
    }

    #[test]
    fn a_broken_file_still_shows_what_is_no_secret() {
        let text = "[server\nlisten = 127.0.0.1:80 # the secret of\nsecrets = [{ env = \"A_SECRET\" }\n";
        assert_eq!(shown(text), text);
    }
}
