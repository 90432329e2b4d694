//! Pure. The tags of a message: the tags that a signature field claims, and the tag that a MAC computes.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A tag: the value of a MAC, as bytes. It has no `==`, and is never printed.
#[derive(Clone)]
pub struct Tag {
    bytes: [u8; LONGEST_TAG],
    len: u8,
}

/// The longest tag in bytes: a tag of HMAC-SHA512, or of Ed25519.
pub const LONGEST_TAG: usize = 64;

impl Tag {
    /// The tag with these bytes. `None` if there are more than [`LONGEST_TAG`].
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut tag = Self { bytes: [0; LONGEST_TAG], len: u8::try_from(bytes.len()).ok()? };
        tag.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(tag)
    }

    /// The tag of a shared token. The tags of all tokens have the same length, so a comparison does not
    /// reveal the length of the right token.
    #[must_use]
    pub fn of_token(text: &[u8]) -> Option<Self> {
        Self::of(&Sha256::digest(text))
    }

    /// The bytes as words, with zeros after them. Used to compare tags.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
    }

    /// The bytes, which are encoded into a field.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
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
