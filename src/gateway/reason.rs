//! Pure. Why a request is refused, as one word. The response, the log and the metrics use the same word.

/// The word for a refusal. Malformed HTTP has no word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// `no_route`
    NoRoute,
    /// `client_not_allowed`
    ClientNotAllowed,
    /// `too_many_failures`
    TooManyFailures,
    /// `client_certificate`
    ClientCertificate,
    /// `method_not_allowed`
    MethodNotAllowed,
    /// `signature_missing`
    SignatureMissing,
    /// `signature_duplicate`
    SignatureDuplicate,
    /// `signature_malformed`
    SignatureMalformed,
    /// `timestamp_expired`
    TimestampExpired,
    /// `body_too_large`
    BodyTooLarge,
    /// `body_timeout`
    BodyTimeout,
    /// `body_incomplete`
    BodyIncomplete,
    /// `overloaded`
    Overloaded,
    /// `signature_mismatch`
    SignatureMismatch,
    /// `model_mismatch`
    ModelMismatch,
    /// `upstream_unreachable`
    UpstreamUnreachable,
    /// `upstream_failed`
    UpstreamFailed,
    /// `upstream_timeout`
    UpstreamTimeout,
    /// `duplicate`
    Duplicate,
    /// `queue_full`
    QueueFull,
    /// `queue_unavailable`
    QueueUnavailable,
}

impl Reason {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::TooManyFailures => "too_many_failures",
            Self::ClientCertificate => "client_certificate",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::SignatureMissing => "signature_missing",
            Self::SignatureDuplicate => "signature_duplicate",
            Self::SignatureMalformed => "signature_malformed",
            Self::TimestampExpired => "timestamp_expired",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyIncomplete => "body_incomplete",
            Self::Overloaded => "overloaded",
            Self::SignatureMismatch => "signature_mismatch",
            Self::ModelMismatch => "model_mismatch",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::Duplicate => "duplicate",
            Self::QueueFull => "queue_full",
            Self::QueueUnavailable => "queue_unavailable",
        }
    }

    /// Whether an operator should look for the cause, because the sender has done nothing wrong.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        match self {
            Self::UpstreamUnreachable
            | Self::UpstreamFailed
            | Self::UpstreamTimeout
            | Self::QueueFull
            | Self::QueueUnavailable => true,
            Self::NoRoute
            | Self::ClientNotAllowed
            | Self::TooManyFailures
            | Self::ClientCertificate
            | Self::MethodNotAllowed
            | Self::SignatureMissing
            | Self::SignatureDuplicate
            | Self::SignatureMalformed
            | Self::TimestampExpired
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::BodyIncomplete
            | Self::Overloaded
            | Self::SignatureMismatch
            | Self::ModelMismatch
            | Self::Duplicate => false,
        }
    }
}
