//! Pure. The errors in the text of a template.

use std::ops::Range;

/// An error in a template, and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct TemplateError {
    /// The place in the text, in bytes.
    pub at: Range<usize>,
    /// The kind of error.
    pub fault: TemplateFault,
}

/// The kinds of errors in a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// There is no `{body}`. Then any content would verify.
    #[error("without `{{body}}`, any content at all would verify")]
    NoBody,
    /// There is a second `{body}`.
    #[error("the content is signed once")]
    SecondBody,
    /// A brace has no counterpart.
    #[error("this brace has no partner")]
    Brace,
    /// No part has this name.
    #[error("there is no such part")]
    Unknown,
    /// Two parts can have any length, and nothing stands between them.
    #[error("nothing stands between these parts, so a forger could move the border between them")]
    NothingBetween,
    /// A value that may have the character that follows it is not directly before the content.
    #[error(
        "a value that may have the text behind it must be the last before `{{body}}`, with a text between them: else a forger could move its end"
    )]
    EndUnclear,
    /// The query that has the content's digest is not signed.
    #[error("the query with the digest is not signed, so any content would verify")]
    DigestUnsigned,
    /// There are other parts beside the JWT. The JWT is all that is signed.
    #[error("a JWT is all that is signed, so nothing else can stand here")]
    NotAlone,
}
