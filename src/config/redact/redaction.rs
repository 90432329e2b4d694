//! Pure. A place in a text to redact, and its replacement.

use std::ops::Range;

/// A place to redact.
pub(super) struct Redaction {
    /// The place in the text.
    pub(super) place: Range<usize>,
    /// The replacement for each byte.
    pub(super) with: char,
}

impl Redaction {
    /// Redacts a secret, or a text that may be one.
    pub(super) fn secret(place: Range<usize>) -> Self {
        Self { place, with: '*' }
    }

    /// Redacts a comment after its `#`. The replacement is white space: most comments are no secrets, and
    /// asterisks would suggest one.
    pub(super) fn comment(place: Range<usize>) -> Self {
        Self { place: place.start.saturating_add(1)..place.end, with: ' ' }
    }
}
