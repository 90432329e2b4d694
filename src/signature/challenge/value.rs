//! Pure. The value of a challenge, which an answer repeats.

/// The value of a challenge: short, and of letters, digits and the signs of base64 alone. So it is no markup, breaks out of
/// no string, and is nothing that any of our schemes signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// A text, if it can be a value.
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

/// No sender's are longer: Slack's have 52 characters.
pub(super) const LONGEST_VALUE: usize = 256;
