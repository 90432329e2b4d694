//! Pure. Handles text that is not TOML: finds its problems, and the part that can still be read.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::config::problem::Problem;

/// The problems of a text with syntax errors. Only the first error of each line counts, because the others
/// follow from it. `shown` is the text with its secrets redacted, and `document` is the parser's result.
pub(super) fn problems(shown: &str, document: &DeTable<'_>, errors: &[Error]) -> Vec<Problem> {
    let mut sorted: Vec<(Range<usize>, &str)> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    sorted.sort_by_key(|(span, _)| span.start);
    sorted.dedup_by_key(|(span, _)| line_start(shown, span.start));
    let opened = errors
        .iter()
        .filter(|error| UNCLOSED.iter().any(|message| error.message().starts_with(message)))
        .find_map(|error| opened(shown, document, error.span()?.start));
    if let Some(opened) = opened {
        sorted.retain(|(span, _)| span.start < opened);
    }
    let others = sorted.into_iter().map(|(span, message)| problem(shown, document, span, message));
    others.chain(opened.map(|at| unclosed(shown, at))).collect()
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

fn problem(shown: &str, document: &DeTable<'_>, span: Range<usize>, message: &str) -> Problem {
    let text = shown.get(span.clone()).unwrap_or_default();
    if message == "duplicate key" {
        let problem = Problem::error("duplicate_key", span.clone(), format!("`{text}` is there twice"))
            .help("remove one of them");
        return match earlier(shown, document, &span) {
            Some(earlier) => problem.related(earlier, "the first time"),
            None => problem,
        };
    }
    if !NO_NUMBER.iter().any(|other| message.starts_with(other)) {
        return Problem::error("syntax", span, message);
    }
    if text.is_empty() {
        return Problem::error("syntax", span, "a value is missing here");
    }
    let span = whole_word(shown, span);
    let text = shown.get(span.clone()).unwrap_or_default();
    let instead = if text.contains('*') { "..." } else { text };
    Problem::error("syntax", span, "text must stand in quotes").help(format!("write `\"{instead}\"`"))
}

fn unclosed(shown: &str, at: usize) -> Problem {
    let bracket = at..at.saturating_add(1);
    let closing = if shown.get(bracket.clone()) == Some("[") { "]" } else { "}" };
    Problem::error("syntax", bracket, "this is never closed").help(format!("write `{closing}` where it ends"))
}

/// The parser's messages at the end of an unclosed array or table. The errors after the opening bracket
/// follow from this error.
const UNCLOSED: [&str; 2] = ["unclosed array, ", "unclosed inline table"];

/// The parser's messages for text without quotes. The first character of the text decides which message
/// appears.
const NO_NUMBER: [&str; 3] = ["string values must be quoted", "invalid float", "invalid boolean"];

/// The start of the outermost array or inline table that reaches to the place `at`.
fn opened(text: &str, table: &DeTable<'_>, at: usize) -> Option<usize> {
    table.values().find_map(|value| opened_in(text, value, at))
}

fn opened_in(text: &str, value: &Spanned<DeValue<'_>>, at: usize) -> Option<usize> {
    let span = value.span();
    let bracket = text.get(span.start..).is_some_and(|text| text.starts_with(['[', '{']));
    if bracket && !starts_line(text, span.start) {
        return (span.start <= at && at <= span.end).then_some(span.start);
    }
    match value.get_ref().as_table() {
        Some(table) => opened(text, table, at),
        None => value.get_ref().as_array()?.iter().find_map(|element| opened_in(text, element, at)),
    }
}

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
