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
    #[error("the template has the content twice")]
    SecondBody,
    /// A brace has no counterpart.
    #[error("this brace has no counterpart")]
    Brace,
    /// No part has this name.
    #[error("no part has this name")]
    Unknown,
    /// Two parts can have any length, and nothing stands between them.
    #[error("nothing stands between these parts, so a forger could move the border between them")]
    NothingBetween,
    /// A value that may have the character that follows it is not directly before the content.
    #[error(
        "a value that may contain the text after it must be the last part before `{{body}}`, with a text between them: otherwise a forger could move the end of the value"
    )]
    EndUnclear,
    /// The query that has the content's digest is not signed.
    #[error("the query with the digest is not signed, so any content would verify")]
    DigestUnsigned,
    /// There are other parts beside the JWT. The JWT is all that is signed.
    #[error("only the JWT is signed, so the template has no other part")]
    NotAlone,
}
