//! Pure. A secret as the app gives it.

use std::fmt;
use std::time::SystemTime;

use zeroize::Zeroizing;

/// A secret that the sender and the app share, or the sender's public key.
///
/// Its text is never printed, and is wiped from memory when it is dropped.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use hookgate::verify::Secret;
///
/// let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let secrets = [
///     Secret::new("current", "the secret as the sender shows it"),
///     Secret::new("previous", "the secret before the rotation").not_after(end),
/// ];
/// assert!(!format!("{secrets:?}").contains("rotation"));
/// ```
pub struct Secret {
    pub(super) name: String,
    pub(super) text: Zeroizing<Vec<u8>>,
    pub(super) form: Form,
    pub(super) not_after: Option<SystemTime>,
}

/// What the bytes of a secret are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// The text as the sender shows it, in the encoding of the scheme.
    Text,
    /// The key itself.
    Key,
}

impl Secret {
    /// A secret in the form in which the sender shows it, for example with `whsec_`, or a public key as PEM.
    /// White space around the text is part of the secret: trim the newline at the end of a file. A
    /// [`Proof`](super::Proof) has the name of the secret that verified.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        let text = Zeroizing::new(text.into());
        Self { name: name.into(), text, form: Form::Text, not_after: None }
    }

    /// A secret whose key is these bytes, whatever the usual encoding of the scheme is.
    pub fn of_key(name: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        Self { form: Form::Key, ..Self::new(name, key) }
    }

    /// Ends the secret: from this time on, it verifies nothing.
    #[must_use]
    pub fn not_after(mut self, end: SystemTime) -> Self {
        self.not_after = Some(end);
        self
    }
}

/// Prints the name only.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?}, ..)", self.name)
    }
}
