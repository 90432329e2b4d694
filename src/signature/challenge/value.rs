//! Pure. The value of a challenge. An answer repeats it.

/// The value of a challenge: short, and only letters, digits and the signs of base64. So it cannot be HTML,
/// cannot end a quoted string, and cannot equal a text that a scheme signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// The value with this text, if the text is allowed.
    #[must_use]
    pub fn read(text: String) -> Option<Self> {
        is_value(text.as_bytes()).then_some(Self(text))
    }

    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is a value.
pub(super) fn is_value(text: &[u8]) -> bool {
    (1..=LONGEST_VALUE).contains(&text.len()) && text.iter().all(|byte| is_of_value(char::from(*byte)))
}

pub(super) fn is_of_value(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=')
}

/// The longest value in bytes. No sender uses longer values: Slack's have 52 characters.
pub(super) const LONGEST_VALUE: usize = 256;
