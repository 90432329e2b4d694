//! Pure. The causes of a mismatch, as data, and their descriptions.
//!
//! The gateway's log and `hookgate verify` print the same texts. No text has a byte of a key, of content or
//! of a signature. A text has only numbers, and names from the configuration and from schemes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::diagnosis::causes::time_span::Span;
use crate::signature::decoration::Decoration;
use crate::signature::field::Encoding;
use crate::signature::scheme::SecretOrigin;
use crate::signature::secret::SecretEncoding;
use crate::signature::window::{Timestamp, Unit};

/// The likely cause of a mismatch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The tag is right, but its notation is not.
    #[error("the tag is right, but {0}")]
    Notation(NotationError),
    /// The notation is not the scheme's. There is no content, so it is unknown whether the tag is right.
    #[error("{0}; whether the signature is right was not checked")]
    Form(NotationError),
    /// The value of a signed field has the character that follows it in the signed text.
    #[error("the field `{field}`, which is signed, has a `{end}`, which ends it in the signed text")]
    HoldsItsEnd {
        /// The name of the field.
        field: String,
        /// The character.
        end: char,
    },
    /// The field with this name occurs more than once or is a list. All its values are equal.
    #[error("the field `{0}` came more than once, each time with the same value")]
    Doubled(String),
    /// The signature of the route's scheme is missing, but the request has the signature of another scheme.
    #[error("there is no field `{missing}`, but there is `{found}`, as the scheme {scheme} signs{}{}", alike(*.others), if *.is_sha1 { " (HMAC-SHA1)" } else { "" })]
    OtherScheme {
        /// The missing field.
        missing: String,
        /// The field that the request has instead.
        found: String,
        /// The other scheme.
        scheme: String,
        /// How many further schemes sign in the same form.
        others: usize,
        /// Whether the other scheme signs with HMAC-SHA1.
        is_sha1: bool,
        /// The path of a route with the other scheme, if a route has it.
        path: Option<String>,
    },
    /// The signature of the route's scheme is missing, but the request has one that senders of this scheme
    /// made before they used SHA-256.
    #[error(
        "there is no field `{missing}`, but there is `{found}` with an HMAC-SHA1, as {senders} signed before they used SHA-256"
    )]
    FormerSignature {
        /// The missing field.
        missing: String,
        /// The field of the older signature.
        found: &'static str,
        /// The senders that made such signatures.
        senders: &'static str,
        /// A shipped scheme that takes the signature, if there is one.
        scheme: Option<String>,
    },
    /// The request has no signature at all.
    #[error("there is no field `{missing}`, and no signature of another known scheme either")]
    Unsigned {
        /// The missing field.
        missing: String,
        /// Who makes the sender's secret, if the scheme is one of the shipped.
        secret: Option<SecretOrigin>,
    },
    /// There is a signature, but the field with this name, which the scheme signs, is missing.
    #[error("there is a signature, but not the field `{0}`, which is signed, too")]
    Incomplete(String),
    /// The signed time is outside its window.
    #[error("{0}: {OF_SIGNED_TIME}")]
    SignedTime(TimeDifference),
    /// The signed time is in this unit, but the scheme uses another unit.
    #[error("the signed time is {}, which is not how this scheme writes it", written_as(*.0))]
    TimeUnit(Unit),
    /// The signature was made with this secret, which has expired.
    #[error("it was made with the secret `{0}`, which is past its `not_after`")]
    Expired(Arc<str>),
    /// The signature was made with the secret of another route.
    #[error("it was made with the secret `{secret}` of another route, {path}")]
    OtherRoute {
        /// The path of the other route.
        path: String,
        /// The name of the other route's secret.
        secret: Arc<str>,
    },
    /// The content was changed between the sender and the gateway.
    #[error("{0}")]
    Content(ContentChange),
    /// The configured secret differs from the sender's secret.
    #[error("{}", .change.of_secret(.secret))]
    Key {
        /// The name of the secret.
        secret: Arc<str>,
        /// How the configured secret differs from the sender's.
        change: KeyChange,
    },
}

/// What explains a signed time outside its window.
const OF_SIGNED_TIME: &str = "a clock is wrong, or the event came late or again";

/// How far a signed time is outside its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", said(*.off, *.side, *.allowed))]
pub struct TimeDifference {
    /// How far the signed time is from the present.
    pub off: Duration,
    /// Whether the signed time is in the past or in the future.
    pub side: Side,
    /// How far the signed time may be in this direction.
    pub allowed: Duration,
}

fn said(off: Duration, side: Side, allowed: Duration) -> String {
    let (off, allowed) = Span(off).beside_limit(allowed);
    let verb = if allowed.starts_with("1 ") { "is" } else { "are" };
    format!("the signed time is {off} {side}, where {allowed} {verb} allowed")
}

impl TimeDifference {
    /// The difference of a time from the present. `None` if the time is within the window.
    pub(crate) fn of(window: &Timestamp, moment: SystemTime, now: SystemTime) -> Option<Self> {
        let (off, side, allowed) = match now.duration_since(moment) {
            Ok(off) => (off, Side::Past, window.past),
            Err(ahead) => (ahead.duration(), Side::Future, window.future),
        };
        (off > allowed).then_some(Self { off, side, allowed })
    }
}

impl Cause {
    /// The cause as text. If the record of the request already has the difference of the signed time, the
    /// text does not repeat it.
    pub(crate) fn text(&self, has_difference: bool) -> String {
        match (self, has_difference) {
            (Self::SignedTime(_), true) => OF_SIGNED_TIME.to_owned(),
            (cause, _) => cause.to_string(),
        }
    }
}

/// The direction in which a time differs from the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Side {
    /// Before the present.
    #[error("ago")]
    Past,
    /// After the present.
    #[error("ahead")]
    Future,
}

/// How a signature field's value differs from its scheme's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotationError {
    /// The value is empty.
    #[error("the signature is empty")]
    Empty,
    /// The value is a list.
    #[error("the signature is a list, where one is allowed")]
    List,
    /// The value has white space or quotation marks around it.
    #[error("there is white space or a quotation mark around the signature")]
    Wrapped,
    /// The scheme's prefix is missing.
    #[error("the signature lacks its prefix `{0}`")]
    PrefixMissing(String),
    /// The value has a prefix that is not the scheme's.
    #[error("the signature has the prefix `{0}`, which this scheme does not write")]
    OtherPrefix(String),
    /// The tag is in base64, not in hexadecimal.
    #[error("the signature is in base64, where this scheme writes hexadecimal")]
    Base64,
    /// The tag is in hexadecimal, not in base64.
    #[error("the signature is in hexadecimal, where this scheme writes base64")]
    Hexadecimal,
    /// The tag has a wrong number of hexadecimal digits. The fields are the present number and the right
    /// number.
    #[error("the signature has {0} hexadecimal digits instead of {1}{hash}", hash = as_many_as(*.0))]
    Length(usize, usize),
    /// The tag is base64 of a wrong number of bytes. The fields are the present number and the right number.
    #[error("the signature is base64 of {0} bytes, where this scheme writes {1}{hash}", hash = as_many_as(.0.saturating_mul(2)))]
    Bytes(usize, usize),
    /// The value is not a list of the scheme's form.
    #[error("the signature is not a list of the form that this scheme writes")]
    NotList,
    /// The tag is not in this encoding. None of the reasons above explains it.
    #[error("the signature is not {}", name_of(*.0))]
    NotEncoded(Encoding),
}

/// How the content differs from the signed content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentChange {
    /// A newline was added at the end.
    #[error("the body ends in a newline that was not signed; without it, it verifies")]
    NewlineAdded,
    /// A newline at the end was removed.
    #[error("the body was signed with a newline at its end, which is gone")]
    NewlineLost,
    /// LF was changed to CR LF.
    #[error("the body has CR LF line ends; with LF, it verifies")]
    CrlfForLf,
    /// CR LF was changed to LF.
    #[error("the body has LF line ends; with CR LF, it verifies")]
    LfForCrlf,
    /// A byte order mark was added at the beginning.
    #[error("the body begins with a byte order mark that was not signed")]
    ByteOrderMark,
    /// A byte order mark at the beginning was removed.
    #[error("the body was signed with a byte order mark at its beginning, which is gone")]
    ByteOrderMarkLost,
    /// White space was added at the beginning or at the end.
    #[error("there is white space around the body that was not signed; without it, it verifies")]
    WhiteSpaceAdded,
    /// A space at the end was removed.
    #[error("the body was signed with a space at its end, which is gone")]
    WhiteSpaceLost,
    /// Text in UTF-8 was read as Latin-1 or Windows-1252, and written as UTF-8.
    #[error("letters of the body are garbled: it was read as Latin-1; read as UTF-8, it verifies")]
    ReadAsLatin1,
    /// Text was written in Latin-1 instead of UTF-8.
    #[error("the body is in Latin-1; in UTF-8, it verifies")]
    WrittenAsLatin1,
    /// Characters were replaced by `?` or U+FFFD. The signed bytes cannot be restored.
    #[error(
        "the body has `?` or U+FFFD in place of letters; whether it would verify with them was not checked"
    )]
    CharactersLost,
    /// The content was encoded in base64.
    #[error("the body is in base64; decoded, it verifies")]
    Base64,
    /// The content was put into a JSON object or a form.
    #[error("the body was put into a JSON object or a form; a member or field of it verifies")]
    Wrapped,
    /// The content was taken out of a JSON object or a form.
    #[error("the body was taken out of `payload` of a JSON object or a form; put back into it, it verifies")]
    Unwrapped,
    /// The form was written again, with other percent-encodings.
    #[error("the form was parsed and written again; with other percent-encodings, it verifies")]
    FormRewritten,
    /// There is no content. The signed bytes cannot be restored.
    #[error("the body is empty; if the sender signed one, it was lost on its way")]
    Emptied,
    /// The JSON was serialized again, with other white space or other escapes.
    #[error("the body was parsed and written again; with other white space or escapes, it verifies")]
    Reserialized,
    /// The content was compressed after it was signed.
    #[error("the body was compressed after it was signed; decompressed, it verifies")]
    Compressed,
    /// The content was decompressed after it was signed, but its fields still say that it is compressed. The
    /// signed bytes cannot be restored.
    #[error(
        "the body is not compressed, though its `content-encoding` says so: it was decompressed on its way"
    )]
    Decompressed,
}

/// How the configured secret differs from the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// The secret has white space around it that does not belong to it.
    Untrimmed,
    /// The secret has quotation marks around it that do not belong to it.
    Quoted,
    /// The sender's secret ends with a newline that is missing here.
    NewlineLost,
    /// The secret has this decoration, which does not belong to it. Quotation marks are
    /// [`KeyChange::Quoted`].
    Decorated(Decoration),
    /// The secret must be decoded with this encoding.
    Encoding(SecretEncoding),
}

impl KeyChange {
    /// The description of the change, for the secret with this name.
    fn of_secret(self, secret: &str) -> String {
        match self {
            Self::Untrimmed => {
                format!("the secret `{secret}` has white space around it; without it, it verifies")
            }
            Self::Quoted => {
                format!("the secret `{secret}` has quotation marks around it; without them, it verifies")
            }
            Self::NewlineLost => {
                format!("the sender's secret ends in a newline, `{secret}` here does not")
            }
            Self::Decorated(decoration) => {
                let (found, undone) = (decoration.as_predicate(), decoration.undone());
                format!("the secret `{secret}` {found}; {undone}, it verifies")
            }
            Self::Encoding(SecretEncoding::Utf8) => format!("the secret `{secret}` is meant as plain text"),
            Self::Encoding(SecretEncoding::Base64) => format!("the secret `{secret}` is meant as base64"),
            Self::Encoding(SecretEncoding::Hex) => format!("the secret `{secret}` is meant as hexadecimal"),
        }
    }
}

/// How many further schemes sign in the same form, as a text.
fn alike(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => " (and one other)".to_owned(),
        more => format!(" (and {more} others)"),
    }
}

fn written_as(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "in seconds",
        Unit::Milliseconds => "in milliseconds",
        Unit::Microseconds => "in microseconds",
        Unit::Rfc3339 => "a date (RFC 3339)",
        Unit::HttpDate => "a date of HTTP (RFC 9110)",
    }
}

/// The hash function whose result has this many hexadecimal digits, as a text.
fn as_many_as(digits: usize) -> &'static str {
    match digits {
        40 => " (as many as a SHA-1 has)",
        64 => " (as many as a SHA-256 has)",
        96 => " (as many as a SHA-384 has)",
        128 => " (as many as a SHA-512 has)",
        _ => "",
    }
}

fn name_of(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "hexadecimal",
        Encoding::Base64 => "base64",
        Encoding::Base64Url => "base64 for URLs",
    }
}
