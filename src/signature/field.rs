//! Pure. The notation of a signature field's value: from text to claimed tags, and back.

use std::borrow::Cow;
use std::iter;

use base64::Engine as _;

use super::algorithm::Algorithm;
use super::public_key;
use super::tag::{Tag, Tags};
use super::window::Place;
use crate::signature::secret::{BASE64, BASE64_URL};

/// How tags are written in their field.
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
        /// The prefix, byte for byte; often empty.
        prefix: Cow<'static, str>,
    },
    /// A list of named values. One name is the tags', and may occur several times: `t=1700000000,v1=ab,v1=cd`. White space
    /// around entries is ignored, and so are other names.
    List {
        /// The separator between two entries.
        separator: Separator,
        /// The character between a name and its value: `=` or `,`.
        equals: char,
        /// The tags' name.
        tag: Cow<'static, str>,
    },
}

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

/// How a tag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// In hexadecimal, in either case.
    Hex,
    /// In base64 (RFC 4648, section 4); padding is optional.
    Base64,
    /// In base64 for URLs (RFC 4648, section 5); padding is optional, and none is written.
    Base64Url,
}

/// The value of a signature field is not of its scheme's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisreadField {
    /// A list (RFC 9110, section 5.6.1), where the scheme allows one value.
    List,
    /// Not the scheme's format, or no tag of its algorithm.
    Malformed,
}

/// A parsed signature field.
#[derive(Debug)]
pub struct Reading<'v> {
    /// The claimed tags; at least one, at most [`MOST_TAGS`].
    pub tags: Tags,
    /// The value of the other name that was asked for.
    pub named: Option<&'v [u8]>,
}

/// More tags than this are refused. No sender has as many secrets. Guards against requests that make us compare many.
pub const MOST_TAGS: usize = 16;

impl Notation {
    /// Parses a field value: the tags that it claims, and the value that a list has under the name `other`.
    ///
    /// # Errors
    /// [`MisreadField`]. In a list, a value under the tags' name that is no tag is ignored, as senders' own libraries do.
    /// But there must be at least one tag, and `other` at most once.
    pub fn read<'v>(
        &self,
        algorithm: Algorithm,
        value: &'v [u8],
        other: Option<&str>,
    ) -> Result<Reading<'v>, MisreadField> {
        match &self.format {
            Format::Plain { prefix } => {
                if value.contains(&b',') && algorithm != Algorithm::Token {
                    return Err(MisreadField::List);
                }
                let text = value.strip_prefix(prefix.as_bytes()).ok_or(MisreadField::Malformed)?;
                let tag = self.tag(algorithm, text).ok_or(MisreadField::Malformed)?;
                Ok(Reading { tags: tag.into(), named: None })
            }
            Format::List { separator, equals, tag: name } => {
                let mut reading = Reading { tags: Tags::default(), named: None };
                let mut candidates: usize = 0;
                for entry in
                    value.split(|byte| separator.as_str().as_bytes() == [*byte]).map(<[u8]>::trim_ascii)
                {
                    let (key, text) = split_once(entry, *equals).ok_or(MisreadField::Malformed)?;
                    if key == name.as_bytes() {
                        candidates = candidates.saturating_add(1);
                        if candidates > MOST_TAGS {
                            return Err(MisreadField::Malformed);
                        }
                        if let Some(tag) = self.tag(algorithm, text) {
                            reading.tags.push(tag);
                        }
                    } else if other.is_some_and(|other| key == other.as_bytes())
                        && reading.named.replace(text).is_some()
                    {
                        return Err(MisreadField::Malformed);
                    }
                }
                if reading.tags.is_empty() { Err(MisreadField::Malformed) } else { Ok(reading) }
            }
        }
    }

    /// The field value that a sender writes for this tag, behind the other entries of its list.
    #[must_use]
    pub fn write(&self, tag: &Tag, named: Option<(&str, &str)>) -> String {
        self.frame(&self.encoding.write(tag.as_bytes()), named)
    }

    /// The field value, with this text in place of a tag.
    pub(crate) fn frame(&self, text: &str, named: Option<(&str, &str)>) -> String {
        match &self.format {
            Format::Plain { prefix } => format!("{prefix}{text}"),
            Format::List { separator, equals, tag } => {
                let entries = named.into_iter().chain(iter::once((&**tag, text)));
                let entries: Vec<_> = entries.map(|(name, text)| format!("{name}{equals}{text}")).collect();
                entries.join(separator.as_str())
            }
        }
    }

    fn tag(&self, algorithm: Algorithm, text: &[u8]) -> Option<Tag> {
        if algorithm == Algorithm::Token {
            return Tag::of_token(text).filter(|_| !text.is_empty());
        }
        let mut buffer = [0; LONGEST_DECODED];
        let bytes = self.encoding.read(text, algorithm.tag_len(), &mut buffer)?;
        if algorithm == Algorithm::EcdsaP256 { public_key::tag_of_der(bytes) } else { Tag::of(bytes) }
    }
}

/// The most bytes of a written tag: ECDSA in DER has up to 72.
const LONGEST_DECODED: usize = 96;

fn split_once(entry: &[u8], equals: char) -> Option<(&[u8], &[u8])> {
    let at = entry.iter().position(|byte| char::from(*byte) == equals)?;
    let (key, rest) = entry.split_at_checked(at)?;
    Some((key, rest.get(1..)?))
}

impl Format {
    /// Whether a list has its tags under this place.
    #[must_use]
    pub fn has_tags_under(&self, place: &Place) -> bool {
        match (self, place) {
            (Self::List { tag, .. }, Place::Key(key)) => tag == key,
            (Self::List { .. } | Self::Plain { .. }, _) => false,
        }
    }
}

impl Separator {
    /// Every separator, under the name it has in gateway.toml.
    pub const ALL: [(&'static str, Self); 3] =
        [(",", Self::Comma), (";", Self::Semicolon), (" ", Self::Space)];

    /// As text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Space => " ",
        }
    }
}

impl Encoding {
    /// Every encoding, under the name it has in gateway.toml.
    pub const ALL: [(&'static str, Self); 3] =
        [("hex", Self::Hex), ("base64", Self::Base64), ("base64url", Self::Base64Url)];

    /// Decodes a text. The result must have `len` bytes, if that is known, and must fit into the buffer.
    fn read<'b>(self, text: &[u8], len: Option<usize>, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let len = match self {
            Self::Hex => {
                // An odd digit remains, and is refused below.
                let len = len.unwrap_or(text.len() / 2);
                hex::decode_to_slice(text, buffer.get_mut(..len)?).ok()?;
                len
            }
            Self::Base64 | Self::Base64Url => {
                let engine = if self == Self::Base64 { &BASE64 } else { &BASE64_URL };
                let decoded = engine.decode_slice(text, buffer).ok()?;
                len.is_none_or(|len| len == decoded).then_some(decoded)?
            }
        };
        buffer.get(..len)
    }

    /// The text that a sender writes for these bytes.
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

#[cfg(test)]
mod tests;
