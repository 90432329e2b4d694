//! Pure. A place in a text that is hidden, and what becomes of it.

use std::ops::Range;

/// A place to hide.
pub(super) struct Redaction {
    /// Where it is in the text.
    pub(super) place: Range<usize>,
    /// What each byte of it becomes.
    pub(super) with: char,
}

impl Redaction {
    /// A place where a secret is, or may be.
    pub(super) fn secret(place: Range<usize>) -> Self {
        Self { place, with: '*' }
    }

    /// Whether it is the place of a secret that ends here.
    pub(super) fn is_secret_until(&self, at: usize) -> bool {
        self.with == '*' && self.place.end == at
    }

    /// All of a comment but its `#`. White space, as most comments are no secrets, and stars would say that they are.
    pub(super) fn comment(place: Range<usize>) -> Self {
        Self { place: place.start.saturating_add(1)..place.end, with: ' ' }
    }
}
