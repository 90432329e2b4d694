//! Pure. A table of gateway.toml, which is read key by key.
//!
//! Every problem is recorded, and the wrong key gets its default. So one mistake does not hide the next
//! mistake.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::de::DeTable;

use crate::config::key_description::{self, Key};
use crate::config::other_words::{self, Instead};
use crate::config::problem::{Problem, Problems};
use crate::config::toml_value::Item;
use crate::config::{keys, showable, size_and_duration, suggest};

/// A table whose keys are all known. A missing table has no keys.
#[derive(Clone, Debug)]
pub(super) struct Table<'t> {
    title: &'static str,
    span: Range<usize>,
    entries: Option<&'t DeTable<'t>>,
    known: &'static [Key],
    /// The problems of the file.
    pub(super) problems: &'t Problems,
}

impl<'t> Table<'t> {
    /// Opens a table, and reports every key that is not in `known`. `title` is the table's name in messages.
    pub(super) fn open(
        title: &'static str,
        span: Range<usize>,
        entries: &'t DeTable<'t>,
        known: &'static [Key],
        problems: &'t Problems,
    ) -> Self {
        for key in entries.keys() {
            if !key_description::has(known, key.get_ref()) {
                unknown(title, key.get_ref(), key.span(), known).report(problems);
            }
        }
        Self { title, span, entries: Some(entries), known, problems }
    }

    /// Opens the table that is the value of an item. `help` says how to write it.
    pub(super) fn of(
        item: &Item<'t>,
        title: &'static str,
        help: &str,
        known: &'static [Key],
    ) -> Option<Self> {
        let entries = item.table(help)?;
        Some(Self::open(title, item.span.clone(), entries, known, item.problems))
    }

    /// The table under a key. If the key is missing, an empty table.
    pub(super) fn section(&self, name: &'static str, title: &'static str, known: &'static [Key]) -> Self {
        let help = format!("write its keys under {title}");
        let table = self.get(name).and_then(|item| Self::of(&item, title, &help, known));
        table.unwrap_or_else(|| Self {
            title,
            span: self.span.clone(),
            entries: None,
            known,
            problems: self.problems,
        })
    }

    /// The place of the table: its header, or the whole table if it is inline.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether the table is present.
    pub(super) fn is_present(&self) -> bool {
        self.entries.is_some()
    }

    /// The value of a key, if the table has the key.
    pub(super) fn get(&self, name: &'static str) -> Option<Item<'t>> {
        let (key, value) = self.entries?.get_key_value(name)?;
        let (value, span) = (value.get_ref(), value.span());
        Some(Item { name, whole: true, key: key.span(), value, span, problems: self.problems })
    }

    /// The place of a key's value. If the key is missing, the place of the table.
    pub(super) fn place(&self, name: &'static str) -> Range<usize> {
        self.get(name).map_or_else(|| self.span(), |item| item.span)
    }

    /// The value of a required key. `example` is a value that the user can copy.
    pub(super) fn required(&self, name: &'static str, example: &str) -> Option<Item<'t>> {
        let item = self.get(name);
        if item.is_none() && !self.misspells(name) {
            Problem::error("missing_key", self.span(), format!("{} has no `{name}`", self.title))
                .help(format!("add `{name} = {example}`"))
                .report(self.problems);
        }
        item
    }

    /// Whether an unknown key was reported for which this name was suggested.
    fn misspells(&self, name: &'static str) -> bool {
        self.entries.into_iter().flat_map(|entries| entries.keys()).any(|key| {
            let key: &str = key.get_ref();
            !key_description::has(self.known, key) && meant(self.known, key) == Some(Instead::Key(name))
        })
    }

    /// Reads a duration that is not zero.
    pub(super) fn duration(&self, name: &'static str, default: Duration) -> Duration {
        self.get(name).and_then(|item| item.duration(default)).unwrap_or(default)
    }

    /// Reads a number of bytes within a range.
    pub(super) fn size(&self, name: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(item) = self.get(name) else { return default };
        let Some(bytes) = item.size(default, &range) else { return default };
        if range.contains(&bytes) {
            return bytes;
        }
        let (least, most) =
            (size_and_duration::write_size(*range.start()), size_and_duration::write_size(*range.end()));
        item.error("out_of_range", format!("`{name}` must be from {least} to {most}"))
            .help(format!("the default is `\"{}\"`", size_and_duration::write_size(default)))
            .report(self.problems);
        default
    }

    /// Reads a number within a range.
    pub(super) fn count(&self, name: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        let Some(item) = self.get(name) else { return default };
        let Some(number) = item.number(&default.to_string()) else { return default };
        match usize::try_from(number) {
            Ok(number) if range.contains(&number) => number,
            Ok(_) | Err(_) => {
                let message = format!("`{name}` must be from {} to {}", range.start(), range.end());
                item.error("out_of_range", message)
                    .help(format!("the default is `{default}`"))
                    .report(self.problems);
                default
            }
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn flag(&self, name: &'static str, default: bool) -> bool {
        self.get(name).and_then(|item| item.flag()).unwrap_or(default)
    }

    /// Reads one of several words.
    pub(super) fn choice<T: Copy>(&self, name: &'static str, choices: &[(&str, T)], default: T) -> T {
        self.get(name).and_then(|item| item.choice(choices)).unwrap_or(default)
    }
}

/// What a table has instead of an unknown key: by the list of other programs' words, or else by its letters.
fn meant(known: &'static [Key], key: &str) -> Option<Instead> {
    let nearest = || suggest::nearest(key, key_description::names(known)).map(Instead::Key);
    other_words::instead(known, key).or_else(nearest)
}

fn unknown(title: &str, key: &str, span: Range<usize>, known: &'static [Key]) -> Problem {
    // In the tables of secrets, an unknown key may be a secret, unless it is a misspelling of a known key.
    let among_secrets = [keys::SIGNATURE, keys::SECRET, keys::VERIFY_TOKEN, keys::TOKEN, keys::ASSERTION_KEY]
        .iter()
        .any(|keys| key_description::names(keys).eq(key_description::names(known)));
    let shown = if among_secrets { showable::key(key) } else { showable::is_plain_key(key) };
    let message =
        if shown { format!("{title} has no key {key:?}") } else { format!("{title} has no such key") };
    let problem = Problem::error("unknown_key", span, message)
        .help(format!("its keys are {}", suggest::list(key_description::names(known))));
    match meant(known, key) {
        Some(Instead::Key(meant)) => return problem.label(format!("did you mean `{meant}`?")),
        Some(Instead::Advice(advice)) => return problem.help(advice),
        None => {}
    }
    match keys::TABLES.iter().find(|(_, keys)| key_description::has(keys, key)) {
        Some((other, _)) => problem.label(format!("this belongs to {other}")),
        None => problem,
    }
}
