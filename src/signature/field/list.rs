//! Pure. The entries of a list in a signature field: how they are separated, and the names they have.

use std::borrow::Cow;

use crate::signature::window::Place;

/// The separator of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A space.
    Space,
}

/// How a list writes its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List<'n> {
    pub(super) separator: Separator,
    pub(super) equals: char,
    pub(super) tags: &'n [Cow<'static, str>],
    pub(super) sets: Option<Separator>,
}

/// What an entry of a list is.
pub(crate) enum Entry<'v> {
    /// The text of a tag, or of what should be a tag.
    Tag(&'v [u8]),
    /// The text of the signed time.
    Time(&'v [u8]),
    /// An entry of another name, or without a value. It is ignored.
    Other,
}

impl List<'_> {
    /// The sets of a value: lists of their own. Nearly always one.
    pub(super) fn sets<'v>(&self, value: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
        let sets = self.sets;
        parts(value, move |byte| sets.is_some_and(|separator| separator.is(byte)))
    }

    /// The entries of a set.
    pub(super) fn entries<'v>(&self, set: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
        let separator = self.separator;
        // Some senders put a comma and a space between entries, where others put a space.
        let bare = move |entry: &'v [u8]| match separator {
            Separator::Space => entry.strip_suffix(b",").unwrap_or(entry),
            Separator::Comma | Separator::Semicolon => entry,
        };
        parts(set, move |byte| separator.is(byte)).map(bare)
    }

    /// What an entry is. `number` is its number in its set, from 1.
    pub(crate) fn entry<'v>(&self, number: usize, entry: &'v [u8], time: Option<&Place>) -> Entry<'v> {
        let time = match time {
            Some(Place::Key(key)) => value_of(key, self.equals, entry),
            Some(Place::Entry(place)) => Some(entry).filter(|_| *place == number),
            Some(Place::Field(_) | Place::Claim(_) | Place::Pointer(_)) | None => None,
        };
        let tag = || match self.tags {
            [] => Some(entry),
            names => names.iter().find_map(|name| value_of(name, self.equals, entry)),
        };
        // An entry without a value is ignored, as in the libraries of the senders.
        match (time, tag()) {
            (Some([]), _) | (None, Some([]) | None) => Entry::Other,
            (Some(time), _) => Entry::Time(time),
            (None, Some(tag)) => Entry::Tag(tag),
        }
    }

    /// The text of an entry that is a tag, or should be one. It may be empty.
    pub(crate) fn written_tag<'v>(
        &self,
        number: usize,
        entry: &'v [u8],
        time: Option<&Place>,
    ) -> Option<&'v [u8]> {
        let is_time = time.is_some_and(|time| matches!(time, Place::Entry(place) if *place == number));
        match self.tags {
            [] => Some(entry).filter(|entry| !is_time && !entry.is_empty()),
            names => names.iter().find_map(|name| value_of(name, self.equals, entry)),
        }
    }

    /// The values of the entries with this name, in all sets.
    pub(crate) fn values_under<'v>(&self, name: &str, value: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
        let entries = self.sets(value).flat_map(|set| self.entries(set));
        entries.filter_map(move |entry| value_of(name, self.equals, entry))
    }

    /// The text between two entries.
    pub(crate) fn separator(&self) -> &'static str {
        self.separator.as_str()
    }

    /// The text of an entry with this name.
    pub(crate) fn entry_of(&self, name: &str, value: &str) -> String {
        format!("{name}{}{value}", self.equals)
    }

    /// Whether this byte ends an entry.
    pub(crate) fn ends_entry(&self, byte: u8) -> bool {
        self.separator.is(byte) || self.sets.is_some_and(|separator| separator.is(byte))
    }

    /// Whether the tags may have this name.
    pub(super) fn has_tags_under(&self, key: &str) -> bool {
        let entry = format!("{key}{}", self.equals);
        self.tags.iter().any(|name| value_of(name, self.equals, entry.as_bytes()).is_some())
    }

    /// The list with one tag, and with the time if the list has the time.
    pub(super) fn frame(&self, tag: &str, time: Option<(&Place, &str)>) -> String {
        let name = self.tags.first().map(|name| name.replace('*', "1"));
        let named = |name: &str, text: &str| format!("{name}{}{text}", self.equals);
        let tag = name.map_or_else(|| tag.to_owned(), |name| named(&name, tag));
        let separator = self.separator.as_str();
        match time {
            Some((Place::Key(key), time)) => format!("{}{separator}{tag}", named(key, time)),
            Some((Place::Entry(1), time)) => format!("{time}{separator}{tag}"),
            Some((Place::Entry(_), time)) => format!("{tag}{separator}{time}"),
            Some((Place::Field(_) | Place::Claim(_) | Place::Pointer(_), _)) | None => tag,
        }
    }
}

impl Separator {
    /// Every separator, with its name in gateway.toml.
    pub const ALL: [(&'static str, Self); 3] =
        [(",", Self::Comma), (";", Self::Semicolon), (" ", Self::Space)];

    fn is(self, byte: u8) -> bool {
        self.as_str().as_bytes() == [byte]
    }

    /// The separator as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Space => " ",
        }
    }
}

/// The parts of a text between separators, without white space around them. Empty parts are skipped.
fn parts(text: &[u8], is_separator: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    text.split(move |byte| is_separator(*byte)).map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// The value of an entry that has this name. A `*` in the name stands for a number.
fn value_of<'v>(name: &str, equals: char, entry: &'v [u8]) -> Option<&'v [u8]> {
    let rest = match name.split_once('*') {
        None => entry.strip_prefix(name.as_bytes())?,
        Some((before, behind)) => {
            let rest = entry.strip_prefix(before.as_bytes())?;
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest.get(digits..).filter(|_| digits > 0)?.strip_prefix(behind.as_bytes())?
        }
    };
    rest.split_first().filter(|(first, _)| char::from(**first) == equals).map(|(_, value)| value)
}
