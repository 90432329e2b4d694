//! Pure. One value of gateway.toml, and functions that read the expected types.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::de::{DeArray, DeTable, DeValue};

use crate::config::bounds::{Durations, TIMEOUT};
use crate::config::problem::{Problem, Problems};
use crate::config::{line_mistakes, showable, size_and_duration, suggest};

/// A wrong word is shown only if it is at most this many bytes longer than the longest right word.
const LONGER: usize = 3;

/// A value and its key, with their places.
#[derive(Clone, Debug)]
pub(super) struct Item<'t> {
    /// The key.
    pub(super) name: &'static str,
    /// Whether this is the key's whole value. Otherwise it is an element of the value.
    pub(super) whole: bool,
    /// The place of the key.
    pub(super) key: Range<usize>,
    /// The value.
    pub(super) value: &'t DeValue<'t>,
    /// The place of the value.
    pub(super) span: Range<usize>,
    /// The problems of the file.
    pub(super) problems: &'t Problems,
}

impl<'t> Item<'t> {
    /// Reads a string. `example` is a value that the user can copy, with its quotes.
    pub(super) fn text(&self, example: &str) -> Option<&'t str> {
        let Some(text) = self.value.as_str() else {
            return self.wrong_type("a string", &self.write(example));
        };
        match self.odd_characters(text) {
            Some(problem) => problem.refuse(self.problems),
            None => Some(text),
        }
    }

    /// The problem of a text with characters that come from a text processor or a web page. A secret may have
    /// any character.
    fn odd_characters(&self, text: &str) -> Option<Problem> {
        if self.name == "value" {
            return None;
        }
        if let Some(mark) = line_mistakes::quoted_twice(text) {
            let message =
                format!("this text has quotation marks of a text processor within its quotes: `{mark}`");
            return Some(self.error("quoted_twice", message).help("remove them"));
        }
        line_mistakes::invisible(text).map(|(c, name)| {
            let message =
                format!("an invisible character stands in this text: U+{:04X}, {name}", u32::from(c));
            let help = "delete the text, and type it again: such characters come from web pages and chats";
            self.error("invisible_character", message).help(help)
        })
    }

    /// Reads a table. `help` says how to write it.
    pub(super) fn table(&self, help: &str) -> Option<&'t DeTable<'t>> {
        self.value.as_table().or_else(|| self.wrong_type("a table", help))
    }

    /// The entries of a table whose keys are chosen in the file. Each entry is an item with the name of this
    /// key.
    pub(super) fn entries(&self, table: &'t DeTable<'t>) -> impl Iterator<Item = (&'t str, Self)> {
        let (name, problems) = (self.name, self.problems);
        table.iter().map(move |(key, value)| {
            let (value, span) = (value.get_ref(), value.span());
            let item = Self { name, whole: false, key: key.span(), value, span, problems };
            (&**key.get_ref(), item)
        })
    }

    /// Reads an array. `help` says how to write it.
    pub(super) fn array(&self, help: &str) -> Option<&'t DeArray<'t>> {
        self.value.as_array().or_else(|| self.wrong_type("an array", help))
    }

    /// The elements of an array. Each element is an item with the name of the array's key.
    pub(super) fn elements(&self, array: &'t DeArray<'t>) -> impl Iterator<Item = Self> {
        let Self { name, key, problems, .. } = self.clone();
        array.iter().map(move |element| Self {
            name,
            whole: false,
            key: key.clone(),
            value: element.get_ref(),
            span: element.span(),
            problems,
        })
    }

    /// Reads `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        flag.or_else(|| self.wrong_type("`true` or `false`", &self.write("true")))
    }

    /// Reads a number that is not negative. `example` is a number that the user can copy.
    pub(super) fn number(&self, example: &str) -> Option<u64> {
        let Some(integer) = self.value.as_integer() else {
            return self.wrong_type("an integer", &self.number_meant(example));
        };
        u64::from_str_radix(integer.as_str(), integer.radix()).ok().or_else(|| {
            let fault = if integer.as_str().starts_with('-') { "negative" } else { "as large as this" };
            let message = format!("`{}` cannot be {fault}", self.name);
            self.error("out_of_range", message).help(self.write(example)).refuse(self.problems)
        })
    }

    /// The advice for a value that should be a number.
    fn number_meant(&self, example: &str) -> String {
        let text = self.value.as_str().unwrap_or_default().trim();
        let (digits, thousands) = match text.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, "000"),
            None => (text, ""),
        };
        if !digits.is_empty() && digits.len() < 12 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.write_this(&format!("{digits}{thousands}"));
        }
        match text.to_ascii_lowercase().as_str() {
            "auto" | "default" | "unlimited" | "infinite" | "max" | "none" => {
                format!("remove it for the default, or {}", self.write(example))
            }
            _ => self.write(example),
        }
    }

    /// Reads a number of bytes, as an integer or with a unit. The caller checks the range. A text of another
    /// form gives an error here only if the size that it means is within the range: the advice must not lead
    /// to the next error.
    pub(super) fn size(&self, default: u64, range: &RangeInclusive<u64>) -> Option<u64> {
        let example = format!("\"{}\"", size_and_duration::write_size(default));
        if self.value.is_integer() {
            return self.number(&example);
        }
        let Some(text) = self.value.as_str() else {
            let help = self.write(&example);
            return self.wrong_type("a size: an integer (bytes) or a string", &help);
        };
        let error = match size_and_duration::parse_size(text) {
            Ok(size) => return Some(size),
            Err(error) => error,
        };
        let meant = error.instead().and_then(|instead| size_and_duration::parse_size(instead).ok());
        meant
            .filter(|meant| !range.contains(meant))
            .or_else(|| self.error("bad_size", error.to_string()).help(error.help()).refuse(self.problems))
    }

    /// Reads a duration from a millisecond to a day.
    pub(super) fn duration(&self, default: Duration) -> Option<Duration> {
        self.duration_within(TIMEOUT, default)
    }

    /// Reads a duration within bounds. `usual` is the default, or an example if there is no default.
    pub(super) fn duration_within(&self, bounds: Durations, usual: Duration) -> Option<Duration> {
        let example = format!("\"{}\"", size_and_duration::write_duration(usual));
        let Some(text) = self.value.as_str() else {
            let number = self
                .value
                .as_integer()
                .and_then(|number| size_and_duration::parse_duration(number.as_str()).err());
            let expected = match &number {
                Some(_) => "a duration with its unit, as a string",
                None => "a duration, as a string",
            };
            let help = match self.value {
                DeValue::Float(number) => size_and_duration::parse_duration(&format!("{}s", number.as_str()))
                    .map_or_else(|error| error.help().to_owned(), |_duration| self.write_this(&example)),
                DeValue::Boolean(_) if bounds.hint == TIMEOUT.hint => {
                    format!("there is always a limit: {}", self.write_this(&example))
                }
                DeValue::Integer(number) if number.as_str() == "0" => {
                    format!("there is always a limit: {}", self.write_this(&example))
                }
                DeValue::Integer(_) => {
                    number.map_or_else(|| self.write_this(&example), |error| error.help().to_owned())
                }
                DeValue::Boolean(_)
                | DeValue::String(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => self.write_this(&example),
            };
            return self.wrong_type(expected, &help);
        };
        let is_allowed = |duration: &Duration| !duration.is_zero() && *duration <= bounds.most;
        let parsed = size_and_duration::parse_duration(text).or_else(|error| {
            // The advice must not lead to the next error.
            let meant = error.instead().and_then(|instead| size_and_duration::parse_duration(instead).ok());
            meant.filter(|meant| !is_allowed(meant)).ok_or(error)
        });
        let message = match parsed {
            Ok(Duration::ZERO) => format!("`{}` cannot be zero: {}", self.name, bounds.not_zero),
            Ok(duration) if duration > bounds.most => {
                format!("`{}` can be {} at most", self.name, size_and_duration::write_duration(bounds.most))
            }
            Ok(duration) => return Some(duration),
            Err(error) => {
                return self
                    .error("bad_duration", error.to_string())
                    .help(error.help())
                    .refuse(self.problems);
            }
        };
        self.error("out_of_range", message).help(format!("{} `{example}`", bounds.hint)).refuse(self.problems)
    }

    /// Reads one of several words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words = || choices.iter().map(|(word, _)| *word);
        let help = format!("one of {}", suggest::list(words()));
        let Some(text) = self.value.as_str() else {
            return self.wrong_type("a string", &help);
        };
        let choice = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        choice.or_else(|| {
            if let Some(problem) = self.odd_characters(text) {
                return problem.refuse(self.problems);
            }
            // A text much longer than every right word may be a secret, written as the value of the wrong
            // key.
            let longest = words().map(str::len).max().unwrap_or(0).saturating_add(LONGER);
            let shown = if text.len() > longest { Cow::Borrowed("...") } else { showable::quote(text) };
            let problem = self.error("bad_value", format!("`{}` cannot be {shown:?}", self.name)).help(help);
            problem.meant(suggest::nearest(text, words())).refuse(self.problems)
        })
    }

    /// An error in the value.
    pub(super) fn error(&self, code: &'static str, message: impl Into<String>) -> Problem {
        Problem::error(code, self.span.clone(), message)
    }

    /// A warning about the value.
    pub(super) fn warning(&self, code: &'static str, message: impl Into<String>) -> Problem {
        Problem::warning(code, self.span.clone(), message)
    }

    /// A note about the value.
    pub(super) fn note(&self, code: &'static str, message: impl Into<String>) -> Problem {
        Problem::note(code, self.span.clone(), message)
    }

    /// The help text `write ...` for this key.
    pub(super) fn write(&self, value: &str) -> String {
        format!("write `{} = {value}`", self.name)
    }

    /// The help text `write ...` for this value. It names the key if this is the key's whole value.
    pub(super) fn write_this(&self, value: &str) -> String {
        if self.whole { self.write(value) } else { format!("write `{value}`") }
    }

    /// The place of a part of this string. If the string has escapes, the place of the whole string.
    pub(super) fn part(&self, text: &str, at: Range<usize>) -> Range<usize> {
        // If the string is as long as its text and two quotes, it has no escapes. Then its offsets are
        // offsets in the file.
        if self.span.len() == text.len().saturating_add(2) && !at.is_empty() {
            let start = self.span.start.saturating_add(1);
            start.saturating_add(at.start)..start.saturating_add(at.end)
        } else {
            self.span.clone()
        }
    }

    fn wrong_type<T>(&self, expected: &str, help: &str) -> Option<T> {
        let name = if self.whole { format!("`{}`", self.name) } else { format!("each of `{}`", self.name) };
        let got = self.value.type_str();
        let article = if got.starts_with(['a', 'i']) { "an" } else { "a" };
        let problem = self.error("wrong_type", format!("{name} must be {expected}"));
        problem.label(format!("this is {article} {got}")).help(help).refuse(self.problems)
    }
}
