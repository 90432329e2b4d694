//! Pure. Decorations of a secret: text around it that the sender, a file or a shell has added.
//!
//! Only an operator's own text is read here, at start-up. The time that this takes shows nothing to a client.

use zeroize::Zeroizing;

/// A decoration of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoration {
    /// `NAME=` before the secret, as in a file of environment variables.
    Assignment,
    /// Quotation marks around the secret.
    Quotes,
    /// `Bearer` or a similar word before the secret, as in an `authorization` field.
    Word,
    /// `v1,` before the secret, as Supabase shows it.
    Version,
    /// `whsec_` before the secret (Standard Webhooks).
    Prefix,
    /// Several secrets in one text, between `|` or commas.
    List,
    /// Line breaks within the secret.
    Lines,
}

impl Decoration {
    /// The decoration, as the end of a sentence that begins with the secret.
    #[must_use]
    pub fn as_predicate(self) -> &'static str {
        match self {
            Self::Assignment => "begins with a name and `=`",
            Self::Quotes => "has quotation marks around it",
            Self::Word => "begins with a word such as `Bearer`",
            Self::Version => "begins with `v1,`",
            Self::Prefix => "begins with `whsec_`",
            Self::List => "is a list",
            Self::Lines => "has several lines",
        }
    }

    /// The secret that is meant instead, as an adverbial.
    #[must_use]
    pub fn undone(self) -> &'static str {
        match self {
            Self::Assignment | Self::Quotes => "without them",
            Self::Word | Self::Version | Self::Prefix => "without it",
            Self::List => "with one part of it",
            Self::Lines => "in one line",
        }
    }

    /// The remedy.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Assignment => "write only the text after `=`",
            Self::Quotes => "take the quotation marks away from the secret",
            Self::Word => "write only the text after the word",
            Self::Version => "write only the text after `v1,`",
            Self::Prefix => "write only the text after `whsec_`",
            Self::List => "write one `{ ... }` in `secrets` for each part of the list",
            Self::Lines => "write the secret in one line, or one `{ ... }` in `secrets` for each line",
        }
    }

    /// Whether the decoration is likely a mistake in a secret that is used as text. A secret may begin with
    /// `whsec_` (Stripe), or be the whole value of an `authorization` field.
    fn is_suspicious(self, text: &[u8]) -> bool {
        match self {
            Self::Assignment | Self::Quotes | Self::Lines => true,
            Self::Version => text.starts_with(VERSIONED),
            Self::List => parts(text).all(|part| part.starts_with(PREFIX) || part.starts_with(VERSIONED)),
            Self::Word | Self::Prefix => false,
        }
    }
}

/// A text that a decorated secret may mean.
pub(crate) struct Bare {
    /// The outermost decoration.
    pub(crate) decoration: Decoration,
    /// The text without it, or without all decorations.
    pub(crate) text: Zeroizing<Vec<u8>>,
}

/// The texts that this secret may mean without its decorations. At most [`MOST_LAYERS`] and
/// [`MOST_PARTS`] together. Empty if the secret has no decoration.
pub(crate) fn bare(text: &[u8]) -> Vec<Bare> {
    let mut found = Vec::new();
    let mut outermost = None;
    let mut text = trimmed(text);
    for _ in 0..MOST_LAYERS {
        let Some(decoration) = outer(text) else { break };
        let shown = *outermost.get_or_insert(decoration);
        let mut add = |text: Vec<u8>| found.push(Bare { decoration: shown, text: Zeroizing::new(text) });
        match decoration {
            Decoration::List => {
                parts(text).take(MOST_PARTS).for_each(|part| add(part.to_vec()));
                break;
            }
            Decoration::Lines => {
                // The text is never reallocated, because only its last place is wiped.
                let mut joined = Vec::with_capacity(text.len());
                joined.extend(text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()));
                add(joined);
                break;
            }
            Decoration::Assignment
            | Decoration::Quotes
            | Decoration::Word
            | Decoration::Version
            | Decoration::Prefix => {
                let Some(inner) = inside(decoration, text) else { break };
                add(inner.to_vec());
                text = inner;
            }
        }
    }
    found
}

/// The decoration of a secret that is used as text, if it is likely a mistake.
pub(crate) fn suspicious(text: &[u8]) -> Option<Decoration> {
    let text = trimmed(text);
    outer(text).filter(|decoration| decoration.is_suspicious(text))
}

/// The text without white space around it. Characters that look like white space, or like nothing, count too:
/// a secret that was copied from a page may have them.
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
    };
    match std::str::from_utf8(text) {
        Ok(text) => text.trim_matches(blank).as_bytes(),
        Err(_) => text.trim_ascii(),
    }
}

/// The text without a byte order mark at its beginning, if it has one. Editors write the mark into files. No
/// secret begins with it.
pub(crate) fn without_byte_order_mark(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"\xef\xbb\xbf")
}

/// Whether the text is in UTF-16, as some shells write files.
pub(crate) fn is_utf16(text: &[u8]) -> bool {
    text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff")
}

/// The outermost decoration of a text without white space around it.
fn outer(text: &[u8]) -> Option<Decoration> {
    use Decoration::{Assignment, List, Prefix, Quotes, Version, Word};
    if text.starts_with(b"-----BEGIN ") {
        return None;
    }
    let around = [Quotes, Assignment, Word].into_iter().find(|one| inside(*one, text).is_some());
    around
        .or_else(|| text.contains(&b'\n').then_some(Decoration::Lines))
        .or_else(|| (text.contains(&b'|') && parts(text).nth(1).is_some()).then_some(List))
        .or_else(|| [Version, Prefix].into_iter().find(|one| inside(*one, text).is_some()))
        .or_else(|| (text.contains(&b',') && parts(text).nth(1).is_some()).then_some(List))
}

/// The text inside a decoration that stands around it or before it. `None` if it does not, or if there is no
/// text inside.
fn inside(decoration: Decoration, text: &[u8]) -> Option<&[u8]> {
    let inner = match decoration {
        Decoration::Quotes => {
            let marks: [&[u8]; 3] = [b"\"", b"'", b"`"];
            marks.into_iter().find_map(|mark| text.strip_prefix(mark)?.strip_suffix(mark))
        }
        Decoration::Assignment => after_name(text.strip_prefix(b"export ").unwrap_or(text)),
        Decoration::Word => WORDS.into_iter().find_map(|word| {
            let (before, after) = text.split_at_checked(word.len())?;
            before.eq_ignore_ascii_case(word).then_some(after)
        }),
        Decoration::Version => text.strip_prefix(VERSION),
        Decoration::Prefix => text.strip_prefix(PREFIX),
        Decoration::List | Decoration::Lines => None,
    };
    inner.map(trimmed).filter(|inner| !inner.is_empty())
}

/// The text after the name of a variable and `=`. Base64 may end with `=`, so a text of `=` alone is no
/// value.
fn after_name(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| *byte == b'=')?;
    let (name, value) = text.split_at_checked(end)?;
    let value = value.strip_prefix(b"=")?;
    let is_name = name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
        && name.len() > 1
        && !name.first().is_some_and(u8::is_ascii_digit);
    (is_name && value.iter().any(|byte| *byte != b'=')).then_some(value)
}

/// The parts of a list. An empty part does not count.
fn parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let separator = if text.contains(&b'|') { b'|' } else { b',' };
    text.split(move |byte| *byte == separator).map(trimmed).filter(|part| !part.is_empty())
}

/// The words before a secret in an `authorization` field.
const WORDS: [&[u8]; 3] = [b"bearer ", b"basic ", b"token "];

const VERSION: &[u8] = b"v1,";

const PREFIX: &[u8] = b"whsec_";

/// [`VERSION`] and [`PREFIX`].
const VERSIONED: &[u8] = b"v1,whsec_";

/// The most decorations around each other that are taken off.
const MOST_LAYERS: usize = 3;

/// The most parts of a list that are tried.
const MOST_PARTS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decoration_is_taken_off() {
        use Decoration::*;
        let cases: [(&str, Option<Decoration>, &[&str]); 20] = [
            ("plain-text_0815", None, &[]),
            ("bm8gbWFyaw==", None, &[]),
            ("NB==", None, &[]),
            ("\"x\"", Some(Quotes), &["x"]),
            ("'x'", Some(Quotes), &["x"]),
            ("\"", None, &[]),
            ("\"\"", None, &[]),
            ("HOOK_KEY=x", Some(Assignment), &["x"]),
            ("export HOOK_KEY='x'", Some(Assignment), &["'x'", "x"]),
            ("hook=x", None, &[]),
            ("bearer x", Some(Word), &["x"]),
            ("Bearer", None, &[]),
            ("v1,whsec_eA==", Some(Version), &["whsec_eA==", "eA=="]),
            ("whsec_eA==", Some(Prefix), &["eA=="]),
            ("v1,whsec_a|v1,whsec_b", Some(List), &["v1,whsec_a", "v1,whsec_b"]),
            ("a,b,c,d,e", Some(List), &["a", "b", "c", "d"]),
            ("a,", None, &[]),
            ("ab\ncd\r\nef", Some(Lines), &["abcdef"]),
            (" \u{a0}\"x\"\u{200b}\n", Some(Quotes), &["x"]),
            ("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", None, &[]),
        ];
        for (text, want, inner) in cases {
            let found = bare(text.as_bytes());
            let texts: Vec<_> =
                found.iter().map(|bare| String::from_utf8(bare.text.to_vec()).unwrap()).collect();
            assert_eq!(texts, inner, "{text}");
            assert!(found.iter().all(|bare| Some(bare.decoration) == want), "{text}");
            assert!(found.len() <= MOST_LAYERS + MOST_PARTS);
        }
    }

    #[test]
    fn a_decoration_that_may_belong_to_a_text_is_not_suspicious() {
        for text in ["whsec_x", "Bearer x", "Basic x", "a|b", "a,b", "v1,x", "correct horse"] {
            assert_eq!(suspicious(text.as_bytes()), None, "{text}");
        }
        for (text, want) in [
            ("'x'", Decoration::Quotes),
            ("KEY=x", Decoration::Assignment),
            ("x\ny", Decoration::Lines),
            ("v1,whsec_x", Decoration::Version),
            ("whsec_x|whsec_y", Decoration::List),
            ("v1,whsec_x|v1,whsec_y", Decoration::List),
        ] {
            assert_eq!(suspicious(text.as_bytes()), Some(want), "{text}");
        }
    }
}
