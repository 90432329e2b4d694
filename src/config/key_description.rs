//! Pure. The description of a key of gateway.toml: its name, its type, and its purpose.

/// A key of gateway.toml. The reader accepts no other keys. The schema and the manual page are made from the
/// same tables.
#[derive(Debug)]
pub(super) struct Key {
    /// The key's name.
    pub(super) name: &'static str,
    /// The type of the key's value.
    pub(super) value: Value,
    /// The key's purpose, in a sentence or two.
    pub(super) about: &'static str,
    /// The key's default, in a notation that is valid in TOML and in JSON. `None` if there is no default, or
    /// if it depends on the machine or on other keys.
    pub(super) default: Option<&'static str>,
    /// Whether the table must have the key.
    pub(super) required: bool,
}

impl Key {
    /// An optional key.
    pub(super) const fn new(name: &'static str, value: Value) -> Self {
        Self { name, value, about: "", default: None, required: false }
    }

    /// Sets the purpose.
    pub(super) const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// Sets the default.
    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Makes the key required.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// The type of a key's value.
#[derive(Debug)]
pub(super) enum Value {
    /// `true` or `false`.
    Flag,
    /// A string that matches this regular expression. The reader may check more than the expression can.
    Text(&'static str),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// A string, usually one of these words.
    Known(fn() -> Vec<&'static str>),
    /// A duration such as `"10s"`. The shortest duration is a millisecond. The reader sets the longest
    /// duration.
    Duration,
    /// Bytes, as a number or as `"64KiB"`.
    Size {
        /// The least number of bytes.
        least: u64,
        /// The greatest number of bytes.
        most: u64,
    },
    /// A number.
    Count {
        /// The least number.
        least: usize,
        /// The greatest number.
        most: usize,
    },
    /// One of these status codes.
    Status(&'static [u16]),
    /// A time: a TOML date with a time and an offset, or a string of that form.
    Moment,
    /// An array.
    List {
        /// The type of its elements.
        of: &'static Value,
        /// Whether it may be empty.
        empty: bool,
    },
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table that must have exactly one of certain keys.
    TableWithOne {
        /// All keys of the table.
        keys: &'static [Key],
        /// The keys of which exactly one is required.
        of: &'static [&'static str],
    },
    /// A table whose keys are names that the file chooses.
    Named {
        /// The form of a name.
        name: &'static str,
        /// The type of each value.
        value: &'static Value,
    },
    /// Any of these types.
    Either(&'static [Value]),
    /// `true`, `false` or this word.
    FlagOr(&'static str),
}

/// Whether a key has this name.
pub(super) fn has(keys: &[Key], name: &str) -> bool {
    keys.iter().any(|key| key.name == name)
}

/// The names of all `keys`.
pub(super) fn names(keys: &'static [Key]) -> impl Iterator<Item = &'static str> + Clone {
    keys.iter().map(|key| key.name)
}
