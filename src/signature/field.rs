//! Pure. The notation of a signature field: parses the field's value into claimed tags, and writes it.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use memchr::memchr;

pub use self::list::Separator;
use self::list::{Entry, List};
use super::algorithm::Algorithm;
use super::public_key::{self, RSA_LENGTHS};
use super::tag::{LONGEST_TAG, Tag, Tags};
use super::window::Place;
use crate::signature::secret::{BASE64, BASE64_URL};

/// How a field writes its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notation {
    /// The format of the field's value.
    pub format: Format,
    /// How each tag is written.
    pub encoding: Encoding,
}

/// The format of a signature field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One tag.
    Plain {
        /// The text before the tag, byte for byte. Often empty. It may have commas. A word with a space after
        /// it names an authentication scheme (RFC 9110, section 11.1), so its letters may have any case.
        prefix: Cow<'static, str>,
    },
    /// Basic credentials (RFC 7617, section 2): `Basic` in any case, and the base64 of `user:password`. Only
    /// shared tokens are written in this way.
    Basic,
    /// A JWT (RFC 7519), whose claims have the content's digest. Its signature is the tag.
    Jwt {
        /// The text before the JWT, as in [`Format::Plain`]. Often `Bearer `.
        prefix: Cow<'static, str>,
        /// How long the sender lets a JWT be valid, if a JWT must say when it expires.
        lifetime: Option<Duration>,
    },
    /// A list. Each name of the tags may occur several times: `t=1700000000,v1=ab,v1=cd`. White space around
    /// entries, entries without a value, and values with other names are ignored.
    List {
        /// The separator between two entries.
        separator: Separator,
        /// The character between a name and its value, such as `=` or `,`.
        equals: char,
        /// The names of the tags. A `*` stands for a number. If there are no names, every entry that is not
        /// the time is a tag: `1700000000,ab,cd`.
        tags: Vec<Cow<'static, str>>,
        /// The separator between several lists, if a field may have several:
        /// `t=1700000000,v1=ab t=1700000000,v1=cd`. A tag counts only with the time of its own list.
        sets: Option<Separator>,
    },
}

/// How the bytes of a tag are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, in upper or lower case.
    Hex,
    /// Base64 (RFC 4648, section 4). Padding is optional.
    Base64,
    /// Base64 for URLs (RFC 4648, section 5). Padding is optional when it is read, and is not written.
    Base64Url,
}

/// Why the value of a signature field does not have the form of its scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisreadField {
    /// The value is a list (RFC 9110, section 5.6.1), but the scheme allows only one value.
    List,
    /// The value does not have the scheme's format, or it has no tag that the algorithm can make.
    Malformed,
}

/// A parsed signature field.
#[derive(Debug, Default)]
pub struct Reading<'v> {
    /// The claimed tags: at least one, and at most [`MOST_TAGS`].
    pub tags: Tags,
    /// The signed time, if the list has the time.
    pub named: Option<&'v [u8]>,
    /// The sets with other times. Nearly always empty, and fewer than [`MOST_SETS`].
    pub others: Vec<Self>,
}

impl Reading<'_> {
    /// Adds a set. Sets with the same time become one.
    fn add(&mut self, set: Self) {
        let same = if self.named == set.named {
            Some(self)
        } else if let Some(place) = self.others.iter().position(|other| other.named == set.named) {
            self.others.get_mut(place)
        } else {
            self.others.push(set);
            return;
        };
        if let Some(same) = same {
            set.tags.iter().for_each(|tag| same.tags.push(tag.clone()));
        }
    }
}

/// The most tags of a request. No sender has so many secrets. Guards against requests that cost many
/// comparisons.
pub const MOST_TAGS: usize = 16;

/// The most sets of a request. Each set with a time of its own costs a pass over the content.
pub const MOST_SETS: usize = 4;

impl Notation {
    /// Parses a field value: the claimed tags, and the signed time if `time` is a place in a list.
    ///
    /// # Errors [`MisreadField`]. In a list, two kinds of entries are ignored, as in the libraries of the
    /// senders: an entry without a value, and a value that has the tags' name but is not a tag. There must be
    /// at least one tag. The time may occur at most once in a set, and there are at most [`MOST_SETS`].
    pub fn read<'v>(
        &self,
        algorithm: Algorithm,
        value: &'v [u8],
        time: Option<&Place>,
    ) -> Result<Reading<'v>, MisreadField> {
        match &self.format {
            Format::Plain { prefix } => match without_prefix(prefix, value) {
                Some(text) if algorithm != Algorithm::Token && memchr(b',', text).is_some() => {
                    Err(MisreadField::List)
                }
                Some(text) => {
                    let tag = self.tag(algorithm, text).ok_or(MisreadField::Malformed)?;
                    Ok(Reading { tags: tag.into(), ..Reading::default() })
                }
                None if algorithm != Algorithm::Token && is_list_after(prefix, value) => {
                    Err(MisreadField::List)
                }
                None => Err(MisreadField::Malformed),
            },
            Format::Jwt { prefix, .. } => match without_prefix(prefix, value) {
                Some(text) if text.contains(&b',') => Err(MisreadField::List),
                Some(text) => {
                    let tag = jws_parts(text).and_then(|(_, tag)| self.jws_tag(algorithm, tag));
                    Ok(Reading { tags: tag.ok_or(MisreadField::Malformed)?.into(), ..Reading::default() })
                }
                None => Err(MisreadField::Malformed),
            },
            Format::Basic => {
                let credentials = basic_credentials(value).filter(|_| algorithm == Algorithm::Token);
                let tag = credentials.and_then(|(_, text)| self.tag(algorithm, &text));
                Ok(Reading { tags: tag.ok_or(MisreadField::Malformed)?.into(), ..Reading::default() })
            }
            Format::List { .. } => {
                let list = self.format.list().ok_or(MisreadField::Malformed)?;
                self.read_list(list, algorithm, value, time)
            }
        }
    }

    fn read_list<'v>(
        &self,
        list: List<'_>,
        algorithm: Algorithm,
        value: &'v [u8],
        time: Option<&Place>,
    ) -> Result<Reading<'v>, MisreadField> {
        let mut found: Option<Reading<'v>> = None;
        let mut candidates: usize = 0;
        for (number, set) in list.sets(value).enumerate() {
            if number >= MOST_SETS {
                return Err(MisreadField::Malformed);
            }
            let mut reading = Reading::default();
            for (number, entry) in (1..).zip(list.entries(set)) {
                match list.entry(number, entry, time) {
                    Entry::Tag(text) => {
                        candidates = candidates.saturating_add(1);
                        if candidates > MOST_TAGS {
                            return Err(MisreadField::Malformed);
                        }
                        if let Some(tag) = self.tag(algorithm, text) {
                            reading.tags.push(tag);
                        }
                    }
                    Entry::Time(text) => {
                        if reading.named.replace(text).is_some() {
                            return Err(MisreadField::Malformed);
                        }
                    }
                    Entry::Other => {}
                }
            }
            match &mut found {
                _ if reading.tags.is_empty() => {}
                Some(first) => first.add(reading),
                None => found = Some(reading),
            }
        }
        found.ok_or(MisreadField::Malformed)
    }

    /// The field value that a sender writes for this tag, and for the time if a list has the time.
    #[must_use]
    pub fn write(&self, tag: &Tag, time: Option<(&Place, &str)>) -> String {
        self.frame(&self.encoding.write(tag.as_bytes()), time)
    }

    /// The field value, with `text` in the place of a tag.
    pub(crate) fn frame(&self, text: &str, time: Option<(&Place, &str)>) -> String {
        match &self.format {
            Format::Plain { prefix } | Format::Jwt { prefix, .. } => format!("{prefix}{text}"),
            Format::Basic => format!("{BASIC}{}", BASE64.encode(text)),
            Format::List { .. } => self.format.list().map_or_else(String::new, |list| list.frame(text, time)),
        }
    }

    /// The text that the field has for a shared token.
    pub(crate) fn token_text<'t>(&self, token: &'t [u8]) -> Cow<'t, [u8]> {
        match &self.format {
            Format::Basic => Cow::Owned(BASE64.encode(token).into_bytes()),
            Format::Plain { .. } | Format::Jwt { .. } | Format::List { .. } => Cow::Borrowed(token),
        }
    }

    /// The tag of a JWS. An ECDSA signature has no DER there (RFC 7518, section 3.4).
    fn jws_tag(&self, algorithm: Algorithm, text: &[u8]) -> Option<Tag> {
        if algorithm != Algorithm::EcdsaP256 {
            return self.tag(algorithm, text);
        }
        let mut buffer = [0; LONGEST_DECODED];
        Tag::of(self.encoding.read(text, Some(ECDSA_LENGTH), &mut buffer)?)
    }

    fn tag(&self, algorithm: Algorithm, text: &[u8]) -> Option<Tag> {
        if algorithm == Algorithm::Token {
            return Tag::of_token(text).filter(|_| !text.is_empty());
        }
        if algorithm == Algorithm::RsaSha256 {
            return self.encoding.read_long(text).and_then(|bytes| Tag::of(&bytes));
        }
        let mut buffer = [0; LONGEST_DECODED];
        let bytes = self.encoding.read(text, algorithm.tag_len(), &mut buffer)?;
        if algorithm == Algorithm::EcdsaP256 { public_key::tag_of_der(bytes) } else { Tag::of(bytes) }
    }
}

/// The most bytes of a tag as it is written: an ECDSA signature in DER has up to 72 bytes.
const LONGEST_DECODED: usize = 96;

/// The length of an ECDSA signature without DER.
const ECDSA_LENGTH: usize = 64;

/// The signed bytes of a JWS, and its signature (RFC 7515, section 7.1).
pub(super) fn jws_parts(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = text.iter().rposition(|byte| *byte == b'.')?;
    let (input, tag) = text.split_at_checked(dot)?;
    Some((input, tag.get(1..)?))
}

/// The value without the prefix. `None` if it begins with another text.
pub(crate) fn without_prefix<'v>(prefix: &str, value: &'v [u8]) -> Option<&'v [u8]> {
    value.strip_prefix(prefix.as_bytes()).or_else(|| {
        let is_word =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        prefix.strip_suffix(' ').filter(|word| is_word(word))?;
        let (begin, rest) = value.split_at_checked(prefix.len())?;
        begin.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
    })
}

/// The name of Basic authentication, and the space after it.
pub(crate) const BASIC: &str = "Basic ";

/// The credentials in a value of Basic authentication, and the length of the text before them. Several spaces
/// may precede them (RFC 9110, section 11.4).
pub(crate) fn basic_credentials(value: &[u8]) -> Option<(usize, Vec<u8>)> {
    let text = without_prefix(BASIC, value)?;
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    let (_, text) = text.split_at_checked(spaces)?;
    Some((value.len().saturating_sub(text.len()), BASE64.decode(text).ok()?))
}

/// Whether a value has more commas than the prefix that it should have: then the value is a list.
pub(crate) fn is_list_after(prefix: &str, value: &[u8]) -> bool {
    let commas = |text: &[u8]| text.iter().filter(|byte| **byte == b',').count();
    commas(value) > commas(prefix.as_bytes())
}

impl Format {
    /// The list with one separator, one character between name and value, and one name of the tags.
    #[must_use]
    pub fn list_of(separator: Separator, equals: char, tag: &'static str) -> Self {
        Self::List { separator, equals, tags: vec![tag.into()], sets: None }
    }

    /// How the entries of a list are written. `None` if the format is no list.
    pub(crate) fn list(&self) -> Option<List<'_>> {
        match self {
            Self::List { separator, equals, tags, sets } => {
                Some(List { separator: *separator, equals: *equals, tags, sets: *sets })
            }
            Self::Plain { .. } | Self::Basic | Self::Jwt { .. } => None,
        }
    }

    /// Whether the list has its tags under the same name as `place`.
    #[must_use]
    pub fn has_tags_under(&self, place: &Place) -> bool {
        match (self.list(), place) {
            (Some(list), Place::Key(key)) => list.has_tags_under(key),
            (Some(_) | None, _) => false,
        }
    }

    /// Whether a space ends an entry of the list.
    pub(crate) fn has_spaces(&self) -> bool {
        self.list().is_some_and(|list| list.ends_entry(b' '))
    }

    /// Whether the entries of the list have names. `None` if the format is no list.
    #[must_use]
    pub fn has_names(&self) -> Option<bool> {
        self.list().map(|list| !list.tags.is_empty())
    }
}

impl Encoding {
    /// Every encoding, with its name in gateway.toml.
    pub const ALL: [(&'static str, Self); 3] =
        [("hex", Self::Hex), ("base64", Self::Base64), ("base64url", Self::Base64Url)];

    /// Decodes a text. The result must have `len` bytes, if that is given, and must fit into the buffer.
    fn read<'b>(self, text: &[u8], len: Option<usize>, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let decoded = match self {
            Self::Hex => base16ct::mixed::decode(text, buffer).ok()?.len(),
            Self::Base64 => BASE64.decode_slice(text, buffer).ok()?,
            Self::Base64Url => BASE64_URL.decode_slice(text, buffer).ok()?,
        };
        if len.is_none_or(|len| len == decoded) { buffer.get(..decoded) } else { None }
    }

    /// Decodes the text of an RSA signature.
    fn read_long(self, text: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = vec![0; base64::decoded_len_estimate(text.len()).min(LONGEST_TAG)];
        let len = self.read(text, None, &mut bytes)?.len();
        bytes.truncate(len);
        RSA_LENGTHS.contains(&len).then_some(bytes)
    }

    /// The text that a sender writes for the bytes of a tag.
    #[must_use]
    pub fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64Url => BASE64_URL.encode(bytes),
        }
    }

    /// The name in gateway.toml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }
}

pub(crate) mod list;
#[cfg(test)]
mod tests;
