//! Pure. The causes of a mismatch, as data.

use std::sync::Arc;
use std::time::Duration;

use crate::signature::field::Encoding;
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

/// The likely cause of a mismatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The tag is right, its notation is not.
    Notation(NotationError),
    /// The notation is not the scheme's. Without the content it is unknown whether the tag is right.
    Form(NotationError),
    /// The field with this name occurs more than once, or is a list, with equal values.
    Doubled(String),
    /// The signature of the route's scheme is missing, and that of another scheme is there.
    OtherScheme {
        /// The missing field.
        missing: String,
        /// The field that is there instead.
        found: String,
        /// The other scheme.
        scheme: String,
        /// The path of a route with the other scheme, if there is one.
        path: Option<String>,
    },
    /// The signed time is outside its window.
    SignedTime {
        /// The difference from now.
        off: Duration,
        /// The direction of the difference.
        side: Side,
        /// The permitted difference in this direction.
        allowed: Duration,
    },
    /// The signed time is in this unit, which is not the scheme's.
    TimeUnit(Unit),
    /// The signature was made with this secret, which has expired.
    Expired(Arc<str>),
    /// The signature was made with the secret of another route.
    OtherRoute {
        /// The path of that route.
        path: String,
        /// The name of its secret.
        secret: Arc<str>,
    },
    /// The content was changed between sender and gateway.
    Content(ContentChange),
    /// The configured secret differs from the sender's.
    Key {
        /// The name of the secret.
        secret: Arc<str>,
        /// The difference.
        change: KeyChange,
    },
}

/// The direction in which a moment differs from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before now.
    Past,
    /// After now.
    Future,
}

/// How a signature field's value differs from its scheme's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotationError {
    /// It is empty.
    Empty,
    /// It is a list.
    List,
    /// It has white space or quotation marks around it.
    Wrapped,
    /// The scheme's prefix is missing.
    PrefixMissing(String),
    /// It has a prefix that is not the scheme's.
    OtherPrefix(String),
    /// The tag is in base64, not in hexadecimal.
    Base64,
    /// The tag is in hexadecimal, not in base64.
    Hexadecimal,
    /// The tag has the first number of hexadecimal digits, and must have the second.
    Length(usize, usize),
    /// The tag is base64 of the first number of bytes, and must have the second.
    Bytes(usize, usize),
    /// It is not a list of the scheme's form.
    NotList,
    /// The tag is not in this encoding, for none of the reasons above.
    NotEncoded(Encoding),
}

/// How the content differs from what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentChange {
    /// A newline was added at its end.
    NewlineAdded,
    /// A newline at its end was removed.
    NewlineLost,
    /// LF was changed to CR LF.
    CrlfForLf,
    /// CR LF was changed to LF.
    LfForCrlf,
    /// A byte order mark was added before it.
    ByteOrderMark,
    /// The JSON was serialized again, with other white space or other escapes.
    Reserialized,
    /// It was compressed after it was signed.
    Compressed,
    /// It was decompressed after it was signed, although its fields say that it is compressed. The signed bytes cannot be
    /// restored.
    Decompressed,
}

/// How the configured secret differs from the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It has white space around it that is not part of it.
    Untrimmed,
    /// It has quotation marks around it that are not part of it.
    Quoted,
    /// It lacks the newline at the end of the sender's secret.
    NewlineLost,
    /// It should be decoded with this encoding.
    Encoding(SecretEncoding),
}
