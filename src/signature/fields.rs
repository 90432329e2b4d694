//! Pure. The parts of a request that verification reads besides its content.

/// Read access to the field lines of a message. A front end implements it.
pub trait Fields {
    /// The value of every field line with this (lower-case) name, in the order received, as opaque bytes without
    /// the white space around them (RFC 9110, section 5.5).
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

/// The parts of a request that a scheme can sign besides its content.
pub trait Signable: Fields {
    /// The method.
    fn method(&self) -> &str;
    /// Path and query, as they were received.
    fn target(&self) -> &[u8];
}
