//! Pure. The causes of a mismatch, as data.

use std::sync::Arc;
use std::time::Duration;

use crate::signature::field::Encoding;
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

/// The likely cause of a signature that does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The tag is right, its notation is not.
    Notation(NotationError),
    /// The notation is not the scheme's; whether the tag is right cannot be told without the content.
    Form(NotationError),
    /// The field with this name came more than once, or as a list, with the same value each time.
    Doubled(String),
    /// There is no signature of the route's scheme, but one of another.
    OtherScheme {
        /// The field that is missing.
        missing: String,
        /// The field that is there.
        found: String,
        /// The scheme that it belongs to.
        scheme: String,
        /// The path of the route that has this scheme, if one has.
        path: Option<String>,
    },
    /// The signed time is outside its window.
    SignedTime {
        /// By how much it differs from now.
        off: Duration,
        /// In which direction.
        side: Side,
        /// How much is allowed in this direction.
        allowed: Duration,
    },
    /// The signed time is written in this unit, which is not the scheme's.
    TimeUnit(Unit),
    /// It was made with a secret whose time is over.
    Expired(Arc<str>),
    /// It was made with the secret of another route.
    OtherRoute {
        /// The path of that route.
        path: String,
        /// The name of its secret.
        secret: Arc<str>,
    },
    /// The content was changed on its way.
    Content(ContentChange),
    /// The secret is not written here as the sender uses it.
    Key {
        /// The name of the secret.
        secret: Arc<str>,
        /// What is wrong with it.
        change: KeyChange,
    },
}

/// On which side of now a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before.
    Past,
    /// After.
    Future,
}

/// How a signature field's value differs from its scheme's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotationError {
    /// There is nothing in it.
    Empty,
    /// It is a list.
    List,
    /// There is white space or a quotation mark around it.
    Wrapped,
    /// The scheme's prefix is missing.
    PrefixMissing(String),
    /// There is a prefix that is not the scheme's.
    OtherPrefix(String),
    /// The tag is in base64, not in hexadecimal.
    Base64,
    /// The tag is in hexadecimal, not in base64.
    Hexadecimal,
    /// So many hexadecimal digits, which are not as many as a tag has, which is so many.
    Length(usize, usize),
    /// Base64 of so many bytes, which are not as many as a tag has, which is so many.
    Bytes(usize, usize),
    /// It is no list of the scheme's form.
    NotList,
    /// None of these; not in this encoding.
    NotEncoded(Encoding),
}

/// How the content differs from what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentChange {
    /// A newline at its end was not signed.
    NewlineAdded,
    /// A newline at its end was signed, and is gone.
    NewlineLost,
    /// CR LF stands where LF was signed.
    CrlfForLf,
    /// LF stands where CR LF was signed.
    LfForCrlf,
    /// A byte order mark was put before it.
    ByteOrderMark,
    /// The same JSON was signed in another spelling: other white space, other escapes.
    Reserialized,
    /// It is compressed, and was signed as it is without.
    Compressed,
    /// Its fields say that it is compressed, and it is not. What was signed cannot be made again.
    Decompressed,
}

/// How the configured secret differs from what the sender uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// There is white space around it that does not belong to it.
    Untrimmed,
    /// There are quotation marks around it that do not belong to it.
    Quoted,
    /// The sender's ends in a newline.
    NewlineLost,
    /// Its text is to be read in this encoding.
    Encoding(SecretEncoding),
}
