//! Pure. Handles text that is not TOML: finds its problems, and the part that can still be read.

use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use crate::config::brackets::{self, Unpaired};
use crate::config::key_description::Value;
use crate::config::other_format::OtherFormat;
use crate::config::problem::Problem;
use crate::config::size_and_duration::{parse_duration, parse_size};
use crate::config::{keys, line_mistakes};

/// The problems of a text with syntax errors. Only the first error of each line counts, because the others
/// follow from it. `shown` is the text with its secrets redacted, and `document` is the parser's result.
pub(super) fn problems(text: &str, shown: &str, document: &DeTable<'_>, errors: &[Error]) -> Vec<Problem> {
    let mut sorted: Vec<(Range<usize>, &str)> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    sorted.sort_by_key(|(span, _)| span.start);
    if let Some(format) = OtherFormat::of(text) {
        let at = sorted.first().map_or(0..0, |(span, _)| span.clone());
        return vec![Problem::error("syntax", at, format.message()).help(format.help())];
    }
    sorted.dedup_by_key(|(span, _)| line_start(shown, span.start));
    let line = |at: usize| line_start(shown, at);
    let mut problems: Vec<Problem> = Vec::new();
    // The words for the other problems of a line depend on its text. A line that begins with a mistake hides
    // brackets.
    let unpaired = brackets::unpaired(text).filter(|_| {
        !text.contains(line_mistakes::is_odd_control)
            && sorted.iter().all(|(span, _)| {
                mistake(text, shown, span, "").is_none_or(|problem| problem.span.start >= span.start)
            })
    });
    match unpaired {
        Some(Unpaired::Open(at)) => {
            // What follows is read as a part of the array or the table.
            sorted.retain(|(span, _)| line(span.start) < line(at));
            problems.push(unclosed(shown, at));
        }
        Some(Unpaired::Close(at)) => {
            sorted.retain(|(span, _)| line(span.start) != line(at));
            let problem = Problem::error("syntax", at..at.saturating_add(1), "this bracket closes nothing");
            problems.push(problem.help("remove it, or open it before"));
        }
        None => {}
    }
    problems.extend(sorted.into_iter().map(|(span, message)| problem(text, shown, document, span, message)));
    problems
}

/// Whether the text is in another format, so that no part of it can be read.
pub(super) fn is_other_format(text: &str) -> bool {
    OtherFormat::of(text).is_some()
}

/// The text with every line that has an error blanked. If the header of a table has the error, the whole
/// table is blanked. If the rest is TOML, the problems in it can be reported as well.
pub(super) fn without_errors(text: &str, errors: &[Error]) -> String {
    let mut blank: Vec<Range<usize>> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let start = line_start(text, span.start);
        let header = is_header(text, start);
        let next_line = line_end(text, span.end);
        let end = if header {
            let rest = text.get(next_line..).unwrap_or_default();
            rest.find("\n[").map_or(text.len(), |at| next_line.saturating_add(at))
        } else {
            next_line
        };
        blank.push(start..end);
    }
    let blanked = |at: usize| blank.iter().any(|range| range.contains(&at));
    let mut rest = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if blanked(at) && !matches!(c, '\r' | '\n') {
            rest.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            rest.push(c);
        }
    }
    rest
}

fn problem(text: &str, shown: &str, document: &DeTable<'_>, span: Range<usize>, message: &str) -> Problem {
    let part = shown.get(span.clone()).unwrap_or_default();
    if message == "duplicate key" {
        let problem = Problem::error("duplicate_key", span.clone(), format!("`{part}` is there twice"))
            .help("remove one of them");
        return match earlier(shown, document, &span) {
            Some(earlier) => problem.related(earlier, "the first time"),
            None => problem,
        };
    }
    if let Some(problem) = mistake(text, shown, &span, message) {
        return problem;
    }
    if !NO_NUMBER.iter().any(|other| message.starts_with(other)) {
        return match SAID_PLAINLY.iter().find(|(start, ..)| message.starts_with(start)) {
            Some((_, message, help)) => Problem::error("syntax", span, *message).help(*help),
            None => Problem::error("syntax", span, message),
        };
    }
    if part.is_empty() {
        return Problem::error("syntax", span, "a value is missing here")
            .help("write a value, or remove the key");
    }
    let span = whole_word(shown, span);
    let word = text.get(span.clone()).unwrap_or_default();
    if let Some((message, help)) = line_mistakes::word(word) {
        return Problem::error("syntax", span, message).help(help);
    }
    let word = shown.get(span.clone()).unwrap_or_default();
    let help = if word.contains('*') {
        "write `\"...\"`".to_owned()
    } else {
        in_quotes(word, key_before(shown, span.start))
    };
    Problem::error("syntax", span, "text must stand in quotes").help(help)
}

/// The advice for a word without quotes that is the value of this key. The advice must not lead to the next
/// error, so it also has the right unit.
fn in_quotes(word: &str, key: &str) -> String {
    let write = |word: &str| format!("write `\"{word}\"`");
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return write(word);
    }
    let size = match parse_size(word) {
        Ok(_) => Some(word.to_owned()),
        Err(error) => error.instead().map(str::to_owned),
    };
    let duration = match parse_duration(word) {
        Ok(_) => Some(word.to_owned()),
        Err(error) => error.instead().map(str::to_owned),
    };
    let keys = || keys::TABLES.iter().flat_map(|(_, keys)| *keys).filter(|known| known.name == key);
    let is_size = keys().any(|key| matches!(key.value, Value::Size { .. }));
    let is_duration = keys().any(|key| matches!(key.value, Value::Duration));
    match (size, duration) {
        (Some(size), _) if is_size && !is_duration => write(&size),
        (_, Some(duration)) if is_duration && !is_size => write(&duration),
        (Some(size), Some(duration)) if size != duration => {
            format!("write `\"{size}\"` for a size, `\"{duration}\"` for a duration")
        }
        (Some(instead), _) | (None, Some(instead)) => write(&instead),
        (None, None) => write(word),
    }
}

/// The key of the value that begins here. Empty if no key with `=` stands before the value.
fn key_before(shown: &str, value: usize) -> &str {
    let before = shown.get(line_start(shown, value)..value).unwrap_or_default().trim_end();
    let Some(before) = before.strip_suffix('=') else { return "" };
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    before.trim_end().rsplit(|c| !is_part(c)).next().unwrap_or_default()
}

/// A common mistake in the line of an error. Returns `None` for a missing quote or value: the parser points
/// at them.
fn mistake(text: &str, shown: &str, span: &Range<usize>, message: &str) -> Option<Problem> {
    let start = line_start(text, span.start);
    let range = start..line_end(text, start);
    let error = span.start.saturating_sub(start);
    let found = line_mistakes::of(text.get(range.clone())?, shown.get(range)?, error)?;
    let at = start.saturating_add(found.at.start)..start.saturating_add(found.at.end);
    let problem = Problem::error("syntax", at, found.message).help(found.help);
    // A word without quotes may hold a character of a text processor, and nothing else is wrong with it.
    (!message.starts_with("duplicate")).then_some(problem)
}

/// The parser's messages that need other words, each with advice.
const SAID_PLAINLY: [(&str, &str, &str); 11] = [
    (
        "invalid unquoted key",
        "this cannot be in a key",
        "a key has letters, digits, `_` and `-`, and `=` between it and its value: `key = \"value\"`",
    ),
    (
        "invalid comment character",
        "a control character stands in this comment",
        line_mistakes::REMOVE_CONTROL,
    ),
    ("missing key for inline table", "a table in braces has keys with values", "write `{ key = \"value\" }`"),
    ("invalid basic string", "this text has no closing quote", "write `\"` where it ends"),
    ("invalid literal string", "this text has no closing quote", "write `'` where it ends"),
    ("missing opening quote", "this text has no opening quote", "write `\"` where it begins"),
    (
        "missing comma between array elements",
        "a `,` is missing before this",
        "write `,` between two elements",
    ),
    ("missing comma between key-value pairs", "a `,` is missing before this", "write `,` between two keys"),
    ("missing assignment between key-value pairs", "a key and its value have `=` between them", "write `=`"),
    (
        "carriage return must be followed by newline",
        "this file has line ends of an old Mac",
        "save it with the line ends of Unix (LF)",
    ),
    (
        "unexpected key or value, expected newline",
        "something stands behind the value",
        "write one key with one value on each line",
    ),
];

fn unclosed(shown: &str, at: usize) -> Problem {
    let bracket = at..at.saturating_add(1);
    let closing = if shown.get(bracket.clone()) == Some("[") { "]" } else { "}" };
    Problem::error("syntax", bracket, "this is never closed").help(format!("write `{closing}` where it ends"))
}

/// The parser's messages for text without quotes. The first character of the text decides which message
/// appears.
const NO_NUMBER: [&str; 3] = ["string values must be quoted", "invalid float", "invalid boolean"];

/// The place where a duplicate key occurs first.
fn earlier(shown: &str, document: &DeTable<'_>, key: &Range<usize>) -> Option<Range<usize>> {
    if is_header(shown, key.start) {
        return same_header(shown, key.start);
    }
    let mut found = Vec::new();
    places(document, shown.get(key.clone())?, &mut found);
    found.into_iter().filter(|place| place.end <= key.start).max_by_key(|place| place.start)
}

/// The place of an earlier header of the same table that the key is in.
fn same_header(text: &str, key: usize) -> Option<Range<usize>> {
    let (before, line) = text.split_at_checked(line_start(text, key))?;
    let header = line.get(..line.find(']')?.saturating_add(1))?.trim_start();
    before
        .match_indices(header)
        .map(|(at, header)| at..at.saturating_add(header.len()))
        .find(|place| starts_line(text, place.start))
}

/// Collects the places of keys with this name.
fn places(table: &DeTable<'_>, name: &str, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if key.get_ref() == name {
            found.push(key.span());
        }
        within(value.get_ref(), name, found);
    }
}

fn within(value: &DeValue<'_>, name: &str, found: &mut Vec<Range<usize>>) {
    if let Some(table) = value.as_table() {
        places(table, name, found);
    }
    for element in value.as_array().into_iter().flatten() {
        within(element.get_ref(), name, found);
    }
}

/// The span, extended to whole words.
fn whole_word(text: &str, span: Range<usize>) -> Range<usize> {
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '=' | ',' | '[' | ']' | '{' | '}' | '"' | '\'' | '#');
    let before = text.get(..span.start).unwrap_or_default();
    let after = text.get(span.end..).unwrap_or_default();
    let more = after.find(ends).unwrap_or(after.len());
    before.trim_end_matches(|c| !ends(c)).len()..span.end.saturating_add(more)
}

/// Whether the line of this place begins like the header of a table.
fn is_header(text: &str, at: usize) -> bool {
    text.get(line_start(text, at)..).is_some_and(|line| line.trim_start().starts_with('['))
}

/// Whether only white space precedes this place on its line.
fn starts_line(text: &str, at: usize) -> bool {
    text.get(line_start(text, at)..at).is_some_and(|before| before.trim().is_empty())
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at.saturating_add(1))
}

fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| at.saturating_add(length))
}
