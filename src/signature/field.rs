//! Pure. The notation of a signature field: parses the field's value into claimed tags, and writes it.

use std::borrow::Cow;
use std::iter;

use base64::Engine as _;

use super::algorithm::Algorithm;
use super::public_key;
use super::tag::{Tag, Tags};
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
    /// A list of named values. The tags share one name, which may occur several times:
    /// `t=1700000000,v1=ab,v1=cd`. White space around entries and values with other names are ignored.
    List {
        /// The separator between two entries.
        separator: Separator,
        /// The character between a name and its value: `=` or `,`.
        equals: char,
        /// The name of the tags.
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
#[derive(Debug)]
pub struct Reading<'v> {
    /// The claimed tags: at least one, and at most [`MOST_TAGS`].
    pub tags: Tags,
    /// The value that the list has under the requested other name.
    pub named: Option<&'v [u8]>,
}

/// The most tags of a request. No sender has so many secrets. Guards against requests that cost many
/// comparisons.
pub const MOST_TAGS: usize = 16;

impl Notation {
    /// Parses a field value: the claimed tags, and the value that a list has under the name `other`.
    ///
    /// # Errors
    /// [`MisreadField`]. In a list, an entry without a value and a value that has the tags' name but is no tag
    /// are ignored, as in the senders' own libraries. There must be at least one tag, and `other` may occur
    /// at most once.
    pub fn read<'v>(
        &self,
        algorithm: Algorithm,
        value: &'v [u8],
        other: Option<&str>,
    ) -> Result<Reading<'v>, MisreadField> {
        match &self.format {
            Format::Plain { prefix } => match without_prefix(prefix, value) {
                Some(text) if text.contains(&b',') && algorithm != Algorithm::Token => {
                    Err(MisreadField::List)
                }
                Some(text) => {
                    let tag = self.tag(algorithm, text).ok_or(MisreadField::Malformed)?;
                    Ok(Reading { tags: tag.into(), named: None })
                }
                None if algorithm != Algorithm::Token && is_list_after(prefix, value) => {
                    Err(MisreadField::List)
                }
                None => Err(MisreadField::Malformed),
            },
            Format::Basic => {
                let credentials = basic_credentials(value).filter(|_| algorithm == Algorithm::Token);
                let tag = credentials.and_then(|(_, text)| self.tag(algorithm, &text));
                Ok(Reading { tags: tag.ok_or(MisreadField::Malformed)?.into(), named: None })
            }
            Format::List { separator, equals, tag: name } => {
                let mut reading = Reading { tags: Tags::default(), named: None };
                let mut candidates: usize = 0;
                for entry in
                    value.split(|byte| separator.as_str().as_bytes() == [*byte]).map(<[u8]>::trim_ascii)
                {
                    // An entry without a value says nothing, as in the senders' own libraries.
                    let Some((key, text)) = split_once(entry, *equals) else { continue };
                    if text.is_empty() {
                        continue;
                    }
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

    /// The field value that a sender writes for this tag. In a list, the other entries come first.
    #[must_use]
    pub fn write(&self, tag: &Tag, named: Option<(&str, &str)>) -> String {
        self.frame(&self.encoding.write(tag.as_bytes()), named)
    }

    /// The field value, with `text` in the place of a tag.
    pub(crate) fn frame(&self, text: &str, named: Option<(&str, &str)>) -> String {
        match &self.format {
            Format::Plain { prefix } => format!("{prefix}{text}"),
            Format::Basic => format!("{BASIC}{}", BASE64.encode(text)),
            Format::List { separator, equals, tag } => {
                let entries = named.into_iter().chain(iter::once((&**tag, text)));
                let entries: Vec<_> = entries.map(|(name, text)| format!("{name}{equals}{text}")).collect();
                entries.join(separator.as_str())
            }
        }
    }

    /// The text that the field has for a shared token.
    pub(crate) fn token_text<'t>(&self, token: &'t [u8]) -> Cow<'t, [u8]> {
        match &self.format {
            Format::Basic => Cow::Owned(BASE64.encode(token).into_bytes()),
            Format::Plain { .. } | Format::List { .. } => Cow::Borrowed(token),
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

/// The most bytes of a tag as it is written: an ECDSA signature in DER has up to 72 bytes.
const LONGEST_DECODED: usize = 96;

/// The value without the prefix. `None` if it begins with another text.
fn without_prefix<'v>(prefix: &str, value: &'v [u8]) -> Option<&'v [u8]> {
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

fn split_once(entry: &[u8], equals: char) -> Option<(&[u8], &[u8])> {
    let at = entry.iter().position(|byte| char::from(*byte) == equals)?;
    let (key, rest) = entry.split_at_checked(at)?;
    Some((key, rest.get(1..)?))
}

impl Format {
    /// Whether the list has its tags under the same name as `place`.
    #[must_use]
    pub fn has_tags_under(&self, place: &Place) -> bool {
        match (self, place) {
            (Self::List { tag, .. }, Place::Key(key)) => tag == key,
            (Self::List { .. } | Self::Plain { .. } | Self::Basic, _) => false,
        }
    }
}

impl Separator {
    /// Every separator, with its name in gateway.toml.
    pub const ALL: [(&'static str, Self); 3] =
        [(",", Self::Comma), (";", Self::Semicolon), (" ", Self::Space)];

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

impl Encoding {
    /// Every encoding, with its name in gateway.toml.
    pub const ALL: [(&'static str, Self); 3] =
        [("hex", Self::Hex), ("base64", Self::Base64), ("base64url", Self::Base64Url)];

    /// Decodes a text. The result must have `len` bytes, if that is given, and must fit into the buffer.
    fn read<'b>(self, text: &[u8], len: Option<usize>, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let len = match self {
            Self::Hex => {
                // If the number of digits is odd, a digit remains. The check below refuses that.
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

#[cfg(test)]
mod tests;
