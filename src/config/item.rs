//! Pure. One value of gateway.toml, and readers for its expected types.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use toml::de::{DeArray, DeTable, DeValue};

use super::problem::{Problem, Problems};
use crate::config::bounds::LONGEST;
use crate::config::{shown, suggest, unit};

/// How many bytes longer than the right words a wrong one may be and still be shown.
const LONGER: usize = 3;

/// A value and its key, with their places.
#[derive(Clone, Debug)]
pub(super) struct Item<'t> {
    /// The key.
    pub(super) name: &'static str,
    /// Whether it is the key's whole value, as opposed to an element of it.
    pub(super) whole: bool,
    /// Where the key is.
    pub(super) key: Range<usize>,
    /// The value.
    pub(super) value: &'t DeValue<'t>,
    /// Where the value is.
    pub(super) span: Range<usize>,
}

impl<'t> Item<'t> {
    /// Reads a string; `example` is one to copy, with its quotes.
    pub(super) fn text(&self, example: &str, problems: &mut Problems) -> Option<&'t str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong_type("a string", &self.write(example), problems);
        }
        text
    }

    /// Reads a table; `help` says how to write it.
    pub(super) fn table(&self, help: &str, problems: &mut Problems) -> Option<&'t DeTable<'t>> {
        let table = self.value.as_table();
        if table.is_none() {
            self.wrong_type("a table", help, problems);
        }
        table
    }

    /// Reads an array; `help` says how to write it.
    pub(super) fn array(&self, help: &str, problems: &mut Problems) -> Option<&'t DeArray<'t>> {
        let array = self.value.as_array();
        if array.is_none() {
            self.wrong_type("an array", help, problems);
        }
        array
    }

    /// The elements of an array, each an item under the array's key.
    pub(super) fn elements(&self, array: &'t DeArray<'t>) -> impl Iterator<Item = Self> {
        let Self { name, key, .. } = self.clone();
        array.iter().map(move |element| Self {
            name,
            whole: false,
            key: key.clone(),
            value: element.get_ref(),
            span: element.span(),
        })
    }

    /// Reads `true` or `false`.
    pub(super) fn flag(&self, problems: &mut Problems) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong_type("`true` or `false`", &self.write("true"), problems);
        }
        flag
    }

    /// Reads a number that is not negative; `example` is one to copy.
    pub(super) fn number(&self, example: &str, problems: &mut Problems) -> Option<u64> {
        let Some(integer) = self.value.as_integer() else {
            self.wrong_type("an integer", &self.write(example), problems);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        if number.is_none() {
            let fault = if integer.as_str().starts_with('-') { "negative" } else { "as large as this" };
            let message = format!("`{}` cannot be {fault}", self.name);
            problems
                .push(Problem::error("out_of_range", self.span.clone(), message).help(self.write(example)));
        }
        number
    }

    /// Reads a number of bytes, as an integer or with a unit.
    pub(super) fn size(&self, default: u64, problems: &mut Problems) -> Option<u64> {
        let example = format!("\"{}\"", unit::write_size(default));
        if self.value.is_integer() {
            return self.number(&example, problems);
        }
        let Some(text) = self.value.as_str() else {
            self.wrong_type("a size: an integer (bytes) or a string", &self.write(&example), problems);
            return None;
        };
        unit::parse_size(text)
            .map_err(|error| {
                problems.push(
                    Problem::error("bad_size", self.span.clone(), error.to_string()).help(error.help()),
                );
            })
            .ok()
    }

    /// Reads a duration from a millisecond to a day.
    pub(super) fn duration(&self, default: Duration, problems: &mut Problems) -> Option<Duration> {
        let example = format!("\"{}\"", unit::write_duration(default));
        let text = match (self.value.as_str(), self.value.as_integer()) {
            (Some(text), _) => text,
            (None, Some(integer)) => {
                let error = unit::parse_duration(integer.as_str());
                let help = error.err().map_or_else(|| self.write(&example), |error| error.help());
                self.wrong_type("a duration with its unit, as a string", &help, problems);
                return None;
            }
            (None, None) => {
                self.wrong_type("a duration, as a string", &self.write(&example), problems);
                return None;
            }
        };
        match unit::parse_duration(text) {
            Ok(Duration::ZERO) => {
                let message = format!("`{}` cannot be zero: nothing would be in time", self.name);
                problems.push(
                    Problem::error("out_of_range", self.span.clone(), message)
                        .help(format!("the default is `{example}`")),
                );
                None
            }
            Ok(duration) if duration > LONGEST => {
                let message = format!("`{}` can be {} at most", self.name, unit::write_duration(LONGEST));
                problems.push(
                    Problem::error("out_of_range", self.span.clone(), message)
                        .help(format!("the default is `{example}`")),
                );
                None
            }
            Ok(duration) => Some(duration),
            Err(error) => {
                problems.push(
                    Problem::error("bad_duration", self.span.clone(), error.to_string()).help(error.help()),
                );
                None
            }
        }
    }

    /// Reads one of several words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let words = || choices.iter().map(|(word, _)| *word);
        let all = suggest::list(words());
        let Some(text) = self.value.as_str() else {
            self.wrong_type("a string", &format!("one of {all}"), problems);
            return None;
        };
        let choice = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if choice.is_none() {
            // A text that is much longer than any of the words may be a secret that was written into the wrong key.
            let longest = words().map(str::len).max().unwrap_or(0).saturating_add(LONGER);
            let shown = if text.len() > longest { Cow::Borrowed("...") } else { shown::quote(text) };
            let message = format!("`{}` cannot be {shown:?}", self.name);
            let problem =
                Problem::error("bad_value", self.span.clone(), message).help(format!("one of {all}"));
            problems.push(match suggest::nearest(text, words()) {
                Some(meant) => problem.label(format!("did you mean `\"{meant}\"`?")),
                None => problem,
            });
        }
        choice
    }

    /// The help text `write ...` for this key.
    pub(super) fn write(&self, value: &str) -> String {
        format!("write `{} = {value}`", self.name)
    }

    /// The place of a part of this string, as exactly as its notation in the file allows.
    pub(super) fn part(&self, text: &str, at: Range<usize>) -> Range<usize> {
        // A string as long as its text and two quotes has no escapes, so its offsets are those of the file.
        if self.span.len() == text.len().saturating_add(2) && !at.is_empty() {
            let start = self.span.start.saturating_add(1);
            start.saturating_add(at.start)..start.saturating_add(at.end)
        } else {
            self.span.clone()
        }
    }

    fn wrong_type(&self, expected: &str, help: &str, problems: &mut Problems) {
        let name = if self.whole { format!("`{}`", self.name) } else { format!("each of `{}`", self.name) };
        let got = self.value.type_str();
        let article = if got.starts_with(['a', 'i']) { "an" } else { "a" };
        problems.push(
            Problem::error("wrong_type", self.span.clone(), format!("{name} must be {expected}"))
                .label(format!("this is {article} {got}"))
                .help(help),
        );
    }
}
