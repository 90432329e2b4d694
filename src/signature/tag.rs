//! Pure. The tags of a message: what a signature field claims, and what a MAC comes to.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The value of a MAC, as bytes. There is no `==` for it, and it does not print.
#[derive(Clone)]
pub struct Tag {
    bytes: [u8; LONGEST_TAG],
    len: u8,
}

/// As many bytes as a SHA-512 and an Ed25519 signature have.
pub const LONGEST_TAG: usize = 64;

impl Tag {
    /// A tag of these bytes; `None` if they are more than [`LONGEST_TAG`].
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut tag = Self { bytes: [0; LONGEST_TAG], len: u8::try_from(bytes.len()).ok()? };
        tag.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(tag)
    }

    /// The tag that a shared token stands for: of one length for all of them, so that comparing tells nothing of how long
    /// the right one is.
    #[must_use]
    pub fn of_token(text: &[u8]) -> Option<Self> {
        Self::of(&Sha256::digest(text))
    }

    /// The bytes, for encoding them into a field.
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

/// The tags of one request, of which any may verify. A single one takes no memory of its own.
#[derive(Debug, Default)]
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

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.others.len().saturating_add(usize::from(self.first.is_some()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// In the order of the field.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.first.iter().chain(&self.others)
    }
}

impl From<Tag> for Tags {
    fn from(tag: Tag) -> Self {
        Self { first: Some(tag), others: Vec::new() }
    }
}
