//! Pure. The value of a challenge, which an answer repeats.

/// The value of a challenge: short, with only letters, digits and the signs of base64. So it is no markup, ends no string,
/// and equals nothing that a scheme signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// A value with this text, if it is permitted.
    #[must_use]
    pub fn read(text: String) -> Option<Self> {
        let fine = (1..=LONGEST_VALUE).contains(&text.len()) && text.chars().all(is_of_value);
        fine.then_some(Self(text))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) fn is_of_value(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=')
}

/// The longest value in bytes. No sender's are longer: Slack's have 52 characters.
pub(super) const LONGEST_VALUE: usize = 256;
