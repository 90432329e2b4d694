//! Pure. What a key of gateway.toml is: its name, what may stand under it, and what it is for.

/// A key. The reader knows no others, and the schema and the manual page are made from the same tables.
#[derive(Debug)]
pub(super) struct Key {
    /// What it is called.
    pub(super) name: &'static str,
    /// What may stand under it.
    pub(super) value: Value,
    /// What it is for, in a sentence or two.
    pub(super) about: &'static str,
    /// Its default, as TOML and JSON both write it; `None` where there is none, or none that is the same everywhere.
    pub(super) default: Option<&'static str>,
    /// Whether its table is wrong without it.
    pub(super) required: bool,
}

impl Key {
    /// A key that may be left out.
    pub(super) const fn new(name: &'static str, value: Value, about: &'static str) -> Self {
        Self { name, value, about, default: None, required: false }
    }

    /// The same, with the default.
    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// The same, where it must not be left out.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// What may stand under a key.
#[derive(Debug)]
pub(super) enum Value {
    /// `true` or `false`.
    Flag,
    /// A string of the form that a regular expression says, as far as one can.
    Text(&'static str),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// A string, and usually one of these words.
    Known(fn() -> Vec<&'static str>),
    /// `"10s"`, from a millisecond to a day.
    Duration,
    /// Bytes, as a number or as `"64KiB"`.
    Size {
        /// In bytes.
        least: u64,
        /// In bytes.
        most: u64,
    },
    /// A number of things.
    Count {
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
    /// A moment: a TOML date with a time and a zone, or the same as a string.
    Moment,
    /// An array.
    List {
        /// Of these.
        of: &'static Value,
        /// That it may be empty.
        empty: bool,
    },
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table with exactly one of some of its keys.
    TableWithOne {
        /// All its keys.
        keys: &'static [Key],
        /// Those of which there is one.
        of: &'static [&'static str],
    },
    /// A table whose keys are names that the file makes up.
    Named {
        /// What a name is made of.
        name: &'static str,
        /// What is under each.
        value: &'static Value,
    },
    /// Any of several.
    Either(&'static [Value]),
    /// `true`, `false` or this word.
    FlagOr(&'static str),
}

/// Whether one of these keys is called so.
pub(super) fn has(keys: &[Key], name: &str) -> bool {
    keys.iter().any(|key| key.name == name)
}

/// What these keys are called.
pub(super) fn names(keys: &'static [Key]) -> impl Iterator<Item = &'static str> + Clone {
    keys.iter().map(|key| key.name)
}
