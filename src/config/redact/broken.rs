//! Pure. Redacts a text that is not TOML, line by line.
//!
//! The structure of such a text is unknown: a key may be half a key, and a string may end where another should begin. So
//! each line is treated alone: brackets, known keys and single values of public keys are shown, and nothing after the first
//! thing that makes no sense. A line with an `@` shows no value: what precedes it may be a credential whose beginning
//! cannot be found.

use crate::config::redact::redaction::Redaction;
use crate::config::{keys, shown};

/// Collects the places to redact.
pub(crate) fn hide(text: &str, hidden: &mut Vec<Redaction>) {
    let mut state = State::START;
    let mut at = 0_usize;
    let mut has_at = has_at_sign(text);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let is_value = matches!(state, State::Value { .. });
        let token = Token::first(rest, is_value);
        let end = at.saturating_add(token.length);
        let (mut next, mut shown) = state.after(&token);
        if has_at && is_value && !matches!(token.kind, Kind::Blank | Kind::LineEnd) {
            (next, shown) = (State::Lost, Shown::Nothing);
        }
        if matches!(token.kind, Kind::LineEnd) {
            has_at = text.get(end..).is_some_and(has_at_sign);
        }
        match shown {
            Shown::All => {}
            Shown::Quotes => hidden.push(Redaction::secret(at.saturating_add(1)..end.saturating_sub(1))),
            Shown::Sign => hidden.push(Redaction::comment(at..end)),
            Shown::Nothing => match hidden.last_mut() {
                Some(last) if last.is_secret_until(at) => last.place.end = end,
                Some(_) | None => hidden.push(Redaction::secret(at..end)),
            },
        }
        state = next;
        at = end;
    }
}

/// Whether there is an `@` in the first line of a text.
fn has_at_sign(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains('@'))
}

/// The state within a line.
#[derive(Clone, Copy)]
enum State<'t> {
    /// A key is next. `path` is the part read so far, and `known` whether it consists of known keys only.
    Key { path: Path<'t>, known: bool },
    /// A value is next: that of `key`, or of "" if that is not public, within `arrays` arrays that began on this line.
    Value { key: &'t str, arrays: usize },
    /// After a value: a comma or a closing bracket is next.
    After { key: &'t str, arrays: usize },
    /// The rest of the line makes no sense.
    Lost,
}

#[derive(Clone, Copy)]
enum Path<'t> {
    Empty,
    /// Ends with this key.
    Key(&'t str),
    /// Ends with a full stop.
    Dot,
}

enum Shown {
    All,
    /// The quotes of a string.
    Quotes,
    /// The sign of a comment.
    Sign,
    Nothing,
}

impl<'t> State<'t> {
    const START: Self = Self::Key { path: Path::Empty, known: true };
    const END: Self = Self::After { key: "", arrays: 0 };

    /// The state after a token, and the part of the token that is shown.
    fn after(self, token: &Token<'t>) -> (Self, Shown) {
        let next = match (token.kind, self) {
            (Kind::LineEnd, _) => Self::START,
            (_, Self::Lost) => return (Self::Lost, Shown::Nothing),
            (Kind::Comment, _) => return (Self::Lost, Shown::Sign),
            (Kind::Blank, _) => self,
            (Kind::Word(word), _) => return self.after_word(word),
            (Kind::Text(content), Self::Value { key, arrays }) => {
                let shown = if shown::value(key, content) { Shown::All } else { Shown::Quotes };
                return (Self::After { key, arrays }, shown);
            }
            (Kind::Text(_), Self::Key { path: Path::Empty, .. }) => return (Self::END, Shown::Quotes),
            (Kind::OpenText(content), Self::Value { key, .. }) if shown::value(key, content) => Self::Lost,
            (Kind::Sign('='), Self::Key { path: Path::Key(key), known }) => {
                Self::Value { key: if known { key } else { "" }, arrays: 0 }
            }
            (Kind::Sign('.'), Self::Key { path: Path::Key(_), known }) => {
                Self::Key { path: Path::Dot, known }
            }
            (Kind::Sign(','), Self::After { arrays: 0, .. }) => Self::START,
            (Kind::Sign(','), Self::After { key, arrays }) => Self::Value { key, arrays },
            (Kind::Sign('['), Self::Value { key, arrays }) => {
                Self::Value { key, arrays: arrays.saturating_add(1) }
            }
            (Kind::Sign('[' | '{'), Self::Key { path: Path::Empty, .. }) => Self::START,
            (Kind::Sign('{'), Self::Value { .. }) => Self::START,
            (Kind::Sign(']'), Self::Value { key, arrays } | Self::After { key, arrays }) => {
                Self::After { key, arrays: arrays.saturating_sub(1) }
            }
            (Kind::Sign(']' | '}'), _) => Self::END,
            (Kind::Sign(_) | Kind::Text(_) | Kind::OpenText(_), _) => return (Self::Lost, Shown::Nothing),
        };
        (next, Shown::All)
    }

    fn after_word(self, word: &'t str) -> (Self, Shown) {
        let known = keys::all().any(|key| key == word);
        match self {
            Self::Key { path: Path::Empty | Path::Dot, known: before } if shown::key(word) => {
                (Self::Key { path: Path::Key(word), known: before && known }, Shown::All)
            }
            Self::Key { path: Path::Empty | Path::Dot, .. } => {
                (Self::Key { path: Path::Key(word), known: false }, Shown::Nothing)
            }
            Self::Value { key, arrays } if shown::value(key, word) => {
                (Self::After { key, arrays }, Shown::All)
            }
            // A comma is missing, if the token is a key at all.
            Self::After { arrays: 0, .. } if known => {
                (Self::Key { path: Path::Key(word), known: false }, Shown::All)
            }
            Self::Key { .. } | Self::Value { .. } | Self::After { .. } | Self::Lost => {
                (Self::Lost, Shown::Nothing)
            }
        }
    }
}

struct Token<'t> {
    kind: Kind<'t>,
    length: usize,
}

#[derive(Clone, Copy)]
enum Kind<'t> {
    LineEnd,
    Blank,
    /// The rest of the line.
    Comment,
    /// The text between quotes on one line.
    Text(&'t str),
    /// The text after a quote without another on its line; for a string over many lines, "\n".
    OpenText(&'t str),
    /// A key, or a value without quotes.
    Word(&'t str),
    /// Any other character.
    Sign(char),
}

impl<'t> Token<'t> {
    /// The first token of a text that is not empty. If `value`, words may have more characters.
    fn first(text: &'t str, value: bool) -> Self {
        let until = |end: Option<usize>| end.and_then(|end| text.get(..end)).unwrap_or(text);
        let c = text.chars().next().unwrap_or('\n');
        let kind = match c {
            '\n' => Kind::LineEnd,
            ' ' | '\t' | '\r' => Kind::Blank,
            '#' => return Self { kind: Kind::Comment, length: until(text.find('\n')).len() },
            '"' | '\'' => return Self::string(c, text),
            _ => {
                let in_value = |c: char| !c.is_whitespace() && !"\"'=,[]{}#".contains(c);
                let in_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
                let word = until(text.find(|c| if value { !in_value(c) } else { !in_key(c) }));
                if !word.is_empty() {
                    return Self { kind: Kind::Word(word), length: word.len() };
                }
                Kind::Sign(c)
            }
        };
        Self { kind, length: c.len_utf8() }
    }

    fn string(quote: char, text: &'t str) -> Self {
        for quotes in ["\"\"\"", "'''"] {
            if let Some(inner) = text.strip_prefix(quotes) {
                let length = inner.find(quotes).map_or(text.len(), |inner| inner.saturating_add(6));
                return Self { kind: Kind::OpenText("\n"), length };
            }
        }
        let (mut escaped, mut length) = (false, text.len());
        for (at, c) in text.char_indices().skip(1) {
            if c == quote && !escaped {
                let content = text.get(1..at).unwrap_or_default();
                return Self { kind: Kind::Text(content), length: at.saturating_add(1) };
            }
            if c == '\n' {
                length = at;
                break;
            }
            escaped = quote == '"' && c == '\\' && !escaped;
        }
        let line = text.get(..length).unwrap_or(text);
        let open = line.find('#').and_then(|end| line.get(..end)).unwrap_or(line).trim_end();
        Self { kind: Kind::OpenText(open.get(1..).unwrap_or_default()), length: open.len() }
    }
}
