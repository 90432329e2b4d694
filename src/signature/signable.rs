//! Pure. The parts of a request that verification reads, besides the content.

/// Read access to the field lines of a message. Each front end implements this trait.
pub trait Fields {
    /// The values of all field lines with this lower-case name, in the order received. A value is opaque
    /// bytes, without the white space around it (RFC 9110, section 5.5).
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

/// The parts of a request that a scheme can sign, besides the content.
pub trait Signable: Fields {
    /// The method.
    fn method(&self) -> &str;
    /// The path and the query, as they were received.
    fn target(&self) -> &[u8];
}
