//! Pure. The border between a signed URL and the content.
//!
//! If nothing stands between a URL and the content that no URL can have, a forger could move characters from
//! one to the other: `/hook?a=1` before `[{}]` has the same signed text as `/hook` before `?a=1[{}]`. So the
//! content must begin, or end, with a byte that the URL cannot have. Empty content has no border.

/// The sides of the content on which its border with a URL is not clear from the template alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MeetsUrl {
    /// A URL stands before the content.
    pub(super) before: bool,
    /// A URL stands after the content.
    pub(super) after: bool,
}

/// Whether a URI can have this byte (RFC 3986, section 2).
pub(super) fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// Whether a URL beside the content can have this byte. Such a URL has no square brackets, because JSON
/// begins and ends with them.
pub(super) fn may_stand_beside_content(byte: u8) -> bool {
    is_uri_byte(byte) && !matches!(byte, b'[' | b']')
}

impl MeetsUrl {
    /// Whether the border of this content is clear.
    pub(super) fn is_clear(self, content: &[u8]) -> bool {
        let is_clear = |byte: Option<&u8>| byte.is_none_or(|byte| !may_stand_beside_content(*byte));
        (!self.before || is_clear(content.first())) && (!self.after || is_clear(content.last()))
    }
}
