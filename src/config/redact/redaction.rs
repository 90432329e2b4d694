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
    /// The place of a secret, or of a possible one.
    pub(super) fn secret(place: Range<usize>) -> Self {
        Self { place, with: '*' }
    }

    /// A comment without its `#`. Replaced by white space: most comments are not secrets, and asterisks would suggest one.
    pub(super) fn comment(place: Range<usize>) -> Self {
        Self { place: place.start.saturating_add(1)..place.end, with: ' ' }
    }
}
