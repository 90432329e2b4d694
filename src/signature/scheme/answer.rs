//! Pure. What a sender does with the answer to an event, and without one.

/// Whether a sender uses what the app answers, beyond the status code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerUse {
    /// It only looks at the status code.
    #[default]
    Never,
    /// It uses the answer to some of its events. Nothing in the scheme says which.
    Sometimes,
    /// It uses every answer: an answer in the place of the app's is of no use to it.
    Always,
}

/// The answer that a sender takes for an event which is stored and delivered later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledgment {
    /// 202 with content: it takes any 2xx.
    #[default]
    Accepted,
    /// 200 with content: it does not take every 2xx.
    Ok,
    /// 200 without content: it takes no content.
    EmptyOk,
    /// 204.
    NoContent,
}

/// Whether a sender sends an event again that was not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redelivery {
    /// It does, or nothing is known of it.
    #[default]
    Some,
    /// It does not: an operator has to ask for it.
    Never,
}
