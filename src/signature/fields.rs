//! Pure. What verification reads of a request besides its content.

/// Read access to the field lines of a message: all that verification needs to know of a front end.
pub trait Fields {
    /// The value of every field line with this (lower-case) name, in the order received, as opaque bytes without
    /// the white space around them (RFC 9110, section 5.5).
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

/// What a scheme can sign of a request besides its content.
pub trait Signable: Fields {
    /// The method.
    fn method(&self) -> &str;
    /// Path and query, as they were received.
    fn target(&self) -> &[u8];
}
