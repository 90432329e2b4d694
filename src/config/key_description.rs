//! Pure. The description of a key of gateway.toml: its name, its type, and its purpose.

/// A key. The reader accepts no others, and the schema and the manual page are made from the same tables.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// Its type.
    pub(super) value: Value,
    /// Its purpose, in a sentence or two.
    pub(super) about: &'static str,
    /// Its default, in a notation valid in both TOML and JSON; `None` if it has none, or none that is the same everywhere.
    pub(super) default: Option<&'static str>,
    /// Whether its table must have it.
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

    /// Makes it required.
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
    /// A string that matches this regular expression, as far as one can express its form.
    Text(&'static str),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// A string, usually one of these words.
    Known(fn() -> Vec<&'static str>),
    /// `"10s"`, from a millisecond to a bound that the reader has.
    Duration,
    /// Bytes, as a number or as `"64KiB"`.
    Size {
        /// In bytes.
        least: u64,
        /// In bytes.
        most: u64,
    },
    /// A number.
    Count {
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
    /// One of these status codes.
    Status(&'static [u16]),
    /// A time: a TOML date with a time and an offset, or the same as a string.
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
    /// A table with exactly one of some of its keys.
    TableWithOne {
        /// All its keys.
        keys: &'static [Key],
        /// The keys of which exactly one is required.
        of: &'static [&'static str],
    },
    /// A table whose keys are names chosen in the file.
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

/// The names of these keys.
pub(super) fn names(keys: &'static [Key]) -> impl Iterator<Item = &'static str> + Clone {
    keys.iter().map(|key| key.name)
}
