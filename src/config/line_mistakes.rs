//! Pure. What is wrong with a line that is not TOML: characters of a text processor, signs of other formats,
//! missing signs.

use std::ops::Range;

use crate::config::showable;
use crate::telemetry::hidden_characters::is_hidden;

/// A mistake in a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The place in the line, in bytes.
    pub(super) at: Range<usize>,
    /// The message.
    pub(super) message: String,
    /// What to write instead.
    pub(super) help: String,
}

impl Mistake {
    fn new(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: help.into() }
    }
}

/// The mistake in a line, of which the parser complains at the byte `error`. `None` if there is no better
/// message than the parser's. `shown` is the line with its secrets redacted: only its words are repeated.
pub(super) fn of(line: &str, shown: &str, error: usize) -> Option<Mistake> {
    let indent = line.len().saturating_sub(line.trim_start().len());
    let code = line.trim();
    let whole = indent..indent.saturating_add(code.len());
    left_over(code, whole.clone())
        .or_else(|| typography(line))
        .or_else(|| assignment(code, shown.get(whole.clone()).unwrap_or_default(), whole.clone()))
        .or_else(|| behind_value(line, error))
        .or_else(|| header(code, whole))
}

/// What was copied or merged into the file.
fn left_over(code: &str, whole: Range<usize>) -> Option<Mistake> {
    let is = |marks: &[&str]| marks.iter().any(|mark| code.starts_with(mark));
    let (message, help) = if is(&["<<<<<<<", "=======", ">>>>>>>", "|||||||"]) {
        (
            "a merge left two versions here",
            "keep one of them, and remove the lines of `<<<<<<<`, `=======` and `>>>>>>>`",
        )
    } else if is(&["```", "~~~"]) {
        ("this is a mark of Markdown", "remove this line")
    } else if is(&["//", "/*", "*/", ";", "--", "<!--", "REM ", "rem "]) {
        ("a comment begins with `#`", "write `#` at its beginning")
    } else if is(&["$ ", "> ", "% "]) {
        ("this line is a command of a shell", "remove this line")
    } else if is(&["+", "-", "@@"]) && !code.starts_with("---") {
        (
            "this line is a piece of a patch",
            "remove the `+` at the beginning of lines, and the lines with `-`",
        )
    } else if code == "EOF" {
        ("this line ends a text in a shell script", "remove this line")
    } else if is(&["export ", "set ", "declare "]) {
        (
            "this line sets a variable of a shell",
            "export the variable before hookgate starts, and name it here: `{ env = \"NAME\" }`",
        )
    } else if is(&["include ", "import ", "source "]) {
        ("a gateway.toml cannot include other files", "write everything into one file")
    } else {
        return None;
    };
    Some(Mistake::new(whole, message, help))
}

/// Characters that look like others, or like nothing. They come from web pages, chats and text processors.
fn typography(line: &str) -> Option<Mistake> {
    let code = line.split('#').next().unwrap_or_default();
    let quotes: String = code.chars().filter(|c| QUOTES.contains(c)).collect();
    code.char_indices().find_map(|(at, c)| {
        let place = at..at.saturating_add(c.len_utf8());
        let number = u32::from(c);
        if QUOTES.contains(&c) {
            let mut all: Vec<String> = Vec::new();
            for quote in quotes.chars().map(|quote| format!("`{quote}`")) {
                if !all.contains(&quote) {
                    all.push(quote);
                }
            }
            let message = "this is a quotation mark of a text processor";
            return Some(Mistake::new(
                place,
                message,
                format!("write `\"` instead of {}", all.join(" and ")),
            ));
        }
        if c == '`' {
            return Some(Mistake::new(place, "text does not stand in backticks", "write `\"` instead"));
        }
        if let Some((_, name)) = INVISIBLE.iter().find(|(known, _)| *known == c) {
            let help = if c.is_whitespace() {
                "write an ordinary space instead"
            } else {
                "remove it: delete the characters around it, and type them again"
            };
            return Some(Mistake::new(
                place,
                format!("an invisible character stands here: U+{number:04X}, {name}"),
                help,
            ));
        }
        if is_odd_control(c) {
            return Some(Mistake::new(
                place,
                format!("a control character stands here: U+{number:04X}"),
                REMOVE_CONTROL,
            ));
        }
        let (_, plain) = LOOKALIKES.iter().find(|(known, _)| *known == c)?;
        Some(Mistake::new(
            place,
            format!("this is U+{number:04X}, and only looks like `{plain}`"),
            format!("write `{plain}`"),
        ))
    })
}

/// Whether a character is a control character that no text file has. A tab and line ends do not count.
pub(super) fn is_odd_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r')
}

/// What to do about a control character.
pub(super) const REMOVE_CONTROL: &str = "remove it: delete the characters around it, and type them again; it comes from a terminal or from an editor";

/// A key with something else than `=` between it and its value.
fn assignment(code: &str, shown: &str, whole: Range<usize>) -> Option<Mistake> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let bare = code.trim_start_matches('"');
    let quote = code.len().saturating_sub(bare.len());
    let length = bare.find(|c| !is_part(c)).unwrap_or(bare.len());
    let key = bare.get(..length)?;
    let after = bare.get(length..)?.trim_start_matches('"').trim_start();
    if let Some((at, c)) =
        code.split(['=', '"', '\'', '#']).next()?.char_indices().find(|(_, c)| !c.is_ascii())
    {
        let start = whole.start.saturating_add(at);
        let message = format!("this is U+{:04X}, and no letter of a key", u32::from(c));
        return Some(Mistake::new(start..start.saturating_add(c.len_utf8()), message, "type the key again"));
    }
    if key.is_empty() {
        return None;
    }
    let sign = [":=", "=>", "->", "==", ":", "\"", "'"].into_iter().find(|sign| after.starts_with(sign));
    let is_alone = after.is_empty();
    if sign.is_none() && !is_alone && after.starts_with(['=', '[', ']', '{', '}', ',']) {
        return None;
    }
    // A word of the file may be a secret.
    let is_shown = showable::key(key) || shown.get(quote..quote.saturating_add(length)) == Some(key);
    let key = if is_shown { key } else { "KEY" };
    let message = if is_alone {
        "this is neither a key with a value nor a table"
    } else {
        "a key and its value have `=` between them"
    };
    Some(Mistake::new(whole, message, format!("write `{key} = ...`")))
}

/// What stands behind a complete value.
fn behind_value(line: &str, error: usize) -> Option<Mistake> {
    let rest = line.get(error..)?;
    let skipped = rest.len().saturating_sub(rest.trim_start().len());
    let (start, rest) = (error.saturating_add(skipped), rest.trim());
    let one = start..start.saturating_add(1);
    let all = start..start.saturating_add(rest.len());
    if rest == "," || rest == ";" {
        return Some(Mistake::new(
            one,
            format!("a line of gateway.toml does not end with `{rest}`"),
            "remove it",
        ));
    }
    if rest.starts_with("//") || rest.starts_with("--") || rest.starts_with("/*") {
        return Some(Mistake::new(all, "a comment begins with `#`", "write `#` at its beginning"));
    }
    let is_next_key = rest.trim_start_matches([',', ';', ' ']).split_once('=').is_some_and(|(key, _)| {
        let key = key.trim();
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    let before = line.get(..start).unwrap_or_default();
    (is_next_key && !before.contains(['{', '[']))
        .then(|| Mistake::new(one, "another key begins on this line", "write each key on a line of its own"))
}

/// The header of a table without its last bracket.
fn header(code: &str, whole: Range<usize>) -> Option<Mistake> {
    let bare = code.trim_start_matches('[').trim_end_matches(']').trim();
    let opened = code.len().saturating_sub(code.trim_start_matches('[').len());
    let closed = code.len().saturating_sub(code.trim_end_matches(']').len());
    let is_name =
        !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    (is_name && (1..=2).contains(&opened) && opened != closed).then(|| {
        let (before, after) = if opened == 2 { ("[[", "]]") } else { ("[", "]") };
        let message = format!("the name of a table stands between `{before}` and `{after}`");
        Mistake::new(whole, message, format!("close it with `{after}`"))
    })
}

/// What to write instead of a word without quotes. `None` if the word only lacks its quotes.
pub(super) fn word(word: &str) -> Option<(&'static str, &'static str)> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(("this is no value of TOML", "write `true`, or the word in quotes")),
        "false" | "no" | "off" => Some(("this is no value of TOML", "write `false`, or the word in quotes")),
        "null" | "nil" | "none" | "undefined" | "~" => {
            Some(("there is no value for nothing", "remove the key: it then has its default"))
        }
        _ => None,
    }
}

const QUOTES: [char; 15] = ['“', '”', '„', '‟', '‘', '’', '‚', '‛', '«', '»', '‹', '›', '″', '′', '＂'];

const LOOKALIKES: [(char, char); 9] = [
    ('–', '-'),
    ('—', '-'),
    ('−', '-'),
    ('‐', '-'),
    ('‑', '-'),
    ('＝', '='),
    ('：', ':'),
    ('［', '['),
    ('］', ']'),
];

const INVISIBLE: [(char, &str); 22] = [
    ('\u{a0}', "a no-break space"),
    ('\u{ad}', "a soft hyphen"),
    ('\u{180e}', "a vowel separator"),
    ('\u{2000}', "a wide space"),
    ('\u{2001}', "a wide space"),
    ('\u{2002}', "a wide space"),
    ('\u{2003}', "a wide space"),
    ('\u{2004}', "a space"),
    ('\u{2005}', "a space"),
    ('\u{2006}', "a space"),
    ('\u{2007}', "a figure space"),
    ('\u{2008}', "a space"),
    ('\u{2009}', "a thin space"),
    ('\u{200a}', "a hair space"),
    ('\u{200b}', "a zero width space"),
    ('\u{200c}', "a zero width non-joiner"),
    ('\u{200d}', "a zero width joiner"),
    ('\u{202f}', "a narrow no-break space"),
    ('\u{205f}', "a mathematical space"),
    ('\u{2060}', "a word joiner"),
    ('\u{3000}', "an ideographic space"),
    ('\u{feff}', "a byte order mark"),
];

/// The invisible character that a value has, with its name. No value of gateway.toml has one on purpose.
pub(super) fn invisible(text: &str) -> Option<(char, &'static str)> {
    text.chars().find_map(|c| {
        let known = INVISIBLE.iter().find(|(known, _)| *known == c).copied();
        known.or_else(|| (!c.is_control() && is_hidden(c)).then_some((c, "which shows nothing")))
    })
}

/// The quotation mark of a text processor at both ends of a text, within the quotes of TOML.
pub(super) fn quoted_twice(text: &str) -> Option<char> {
    let first = text.chars().next().filter(|c| QUOTES.contains(c))?;
    text.chars().next_back().filter(|c| QUOTES.contains(c)).map(|_| first)
}
