//! Pure. How a sender treats the answer to an event, and how it treats a missing answer.

use http::StatusCode;

/// Whether a sender uses more of an app's answer than the status code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerUse {
    /// The sender uses only the status code.
    #[default]
    Never,
    /// The sender uses the answer to some of its events. The scheme does not say which.
    Sometimes,
    /// The sender uses every answer. An answer of the gateway's own would be of no use to it.
    Always,
}

/// The answer that a sender accepts for an event that is stored and delivered later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledgment {
    /// 202 with content. The sender accepts any 2xx.
    #[default]
    Accepted,
    /// 200 with content. The sender does not accept every 2xx.
    Ok,
    /// 200 without content. The sender accepts no content.
    EmptyOk,
    /// 204.
    NoContent,
}

impl Acknowledgment {
    /// The status code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Accepted => StatusCode::ACCEPTED,
            Self::Ok | Self::EmptyOk => StatusCode::OK,
            Self::NoContent => StatusCode::NO_CONTENT,
        }
    }

    /// Whether the sender accepts content.
    #[must_use]
    pub fn has_content(self) -> bool {
        match self {
            Self::Accepted | Self::Ok => true,
            Self::EmptyOk | Self::NoContent => false,
        }
    }
}

/// Whether a sender repeats an event that was not accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redelivery {
    /// The sender repeats the event, or it is not known.
    #[default]
    Some,
    /// The sender does not repeat the event. An operator must ask for it.
    Never,
}

/// Who makes the secret of an integration. The text says where the sender shows it, or where it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretOrigin {
    /// The receiver chooses the secret, and tells it to the sender there.
    Chosen(&'static str),
    /// The sender makes the secret, and shows it there.
    Given(&'static str),
}

/// What the gateway's answer to a refused signature contains. The status code is 401 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// Problem details (RFC 9457).
    #[default]
    Problem,
    /// Nothing. The sender checks the answers to wrong signatures, and accepts no content in them.
    Empty,
}
