//! Pure. The tags of a message: the tags that a signature field claims, and the tag that a MAC computes.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A tag: the value of a MAC, or a signature, as bytes. It has no `==`, and is never printed.
#[derive(Clone)]
pub struct Tag(Bytes);

#[derive(Clone)]
enum Bytes {
    /// At most [`LONGEST_SHORT_TAG`] bytes, and zeros after them.
    Short([u8; LONGEST_SHORT_TAG], u8),
    /// More bytes: only an RSA signature has so many.
    Long(Box<[u8]>),
}

/// The longest tag in bytes: an RSA signature of 8192 bits.
pub const LONGEST_TAG: usize = 1024;

/// The longest tag that needs no memory of its own: a tag of HMAC-SHA512, or of Ed25519.
const LONGEST_SHORT_TAG: usize = 64;

impl Tag {
    /// The tag with these bytes. `None` if there are more than [`LONGEST_TAG`].
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut short = [0; LONGEST_SHORT_TAG];
        let Some(place) = short.get_mut(..bytes.len()) else {
            return (bytes.len() <= LONGEST_TAG).then(|| Self(Bytes::Long(bytes.into())));
        };
        place.copy_from_slice(bytes);
        Some(Self(Bytes::Short(short, u8::try_from(bytes.len()).ok()?)))
    }

    /// The tag of a shared token. The tags of all tokens have the same length, so a comparison does not
    /// reveal the length of the right token.
    #[must_use]
    pub fn of_token(text: &[u8]) -> Option<Self> {
        Self::of(&Sha256::digest(text))
    }

    /// The bytes as words, with zeros after them. Used to compare tags of MACs. A longer tag has no words,
    /// and differs from each of them in its length.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        let bytes: &[u8] = match &self.0 {
            Bytes::Short(bytes, _) => bytes,
            Bytes::Long(_) => &[],
        };
        bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
    }

    /// The bytes, which are encoded into a field.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short(bytes, len) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

/// The claimed tags of one request. A single tag needs no heap memory.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    first: Option<Tag>,
    others: Vec<Tag>,
}

impl Tags {
    /// Adds a tag.
    pub fn push(&mut self, tag: Tag) {
        if self.first.is_none() {
            self.first = Some(tag);
        } else {
            self.others.push(tag);
        }
    }

    /// The number of tags.
    #[must_use]
    pub fn len(&self) -> usize {
        self.others.len().saturating_add(usize::from(self.first.is_some()))
    }

    /// Whether there are no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The tags in the order of the field.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.first.iter().chain(&self.others)
    }
}

impl From<Tag> for Tags {
    fn from(tag: Tag) -> Self {
        Self { first: Some(tag), others: Vec::new() }
    }
}
