//! Pure. A text that is no TOML: what is wrong with it, and what of it can be read all the same.

use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use super::problem::Problem;

/// What the parser's errors say, the first of each line: the others follow from it. `shown` is the text with its secrets
/// hidden, `document` what the parser made of it.
pub(super) fn problems(shown: &str, document: &DeTable<'_>, errors: &[Error]) -> Vec<Problem> {
    let mut sorted: Vec<(Range<usize>, &Error)> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error)).collect();
    sorted.sort_by_key(|(span, _)| span.start);
    sorted.dedup_by_key(|(span, _)| line_start(shown, span.start));
    sorted.into_iter().map(|(span, error)| problem(shown, document, span, error.message())).collect()
}

/// The text with the lines that have errors in them made blank, or their whole table where it is a header that is wrong.
/// Where the rest is TOML, its own mistakes can be told as well.
pub(super) fn without_errors(text: &str, errors: &[Error]) -> String {
    let mut blank: Vec<Range<usize>> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let start = line_start(text, span.start);
        let header = text.get(start..).is_some_and(|line| line.trim_start().starts_with('['));
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
        let mut earlier = Vec::new();
        let header =
            shown.get(line_start(shown, span.start)..).is_some_and(|line| line.trim_start().starts_with('['));
        places(document, text, header, &mut earlier);
        let earlier =
            earlier.into_iter().filter(|place| place.end <= span.start).max_by_key(|place| place.start);
        let problem = Problem::error("duplicate_key", span, format!("`{text}` is there twice"));
        return match earlier {
            Some(earlier) => problem.related(earlier, "the first time").help("remove one of them"),
            None => problem.help("remove one of them"),
        };
    }
    if message.starts_with("string values must be quoted") {
        return if text.is_empty() {
            Problem::error("syntax", span, "a value is missing here")
        } else {
            let help = format!("write `\"{text}\"`");
            Problem::error("syntax", span, "text must stand in quotes").help(help)
        };
    }
    Problem::error("syntax", span, message)
}

/// Where a key of this name is, in the top level only or anywhere.
fn places(table: &DeTable<'_>, name: &str, top: bool, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if key.get_ref() == name {
            found.push(key.span());
        }
        if !top {
            within(value.get_ref(), name, found);
        }
    }
}

fn within(value: &DeValue<'_>, name: &str, found: &mut Vec<Range<usize>>) {
    if let Some(table) = value.as_table() {
        places(table, name, false, found);
    }
    for element in value.as_array().into_iter().flatten() {
        within(element.get_ref(), name, found);
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at.saturating_add(1))
}

fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| at.saturating_add(length))
}
