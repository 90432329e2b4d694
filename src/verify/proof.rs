//! Pure. The result of a check: the proof that a request is authentic, or why it is refused.

use std::sync::Arc;

use bytes::Bytes;

use crate::gateway::reason::Reason;
use crate::gateway::rejection::Rejection;
use crate::signature::{AuthenticRequest, ClaimError, Unverified};

/// The proof that a request is authentic: its content, and the secret that verified it.
///
/// Only [`Verifier::verify`](super::Verifier::verify) and the layer make a proof. So a function that takes a
/// proof cannot be called for a request that nobody checked.
///
/// ```
/// use hookgate::verify::Proof;
///
/// fn handle(event: &Proof) -> String {
///     format!("{} bytes, signed with `{}` ({})", event.content().len(), event.secret(), event.scheme())
/// }
/// # let _ = handle;
/// ```
#[derive(Clone, Debug)]
pub struct Proof {
    scheme: Arc<str>,
    secret: Arc<str>,
    content: Bytes,
}

impl Proof {
    /// Splits an authentic request into the proof and its head.
    pub(crate) fn of<H>(request: AuthenticRequest<'_, H>, scheme: Arc<str>) -> (Self, H) {
        let secret = Arc::clone(request.secret());
        let (head, content) = request.into_parts();
        (Self { scheme, secret, content }, head)
    }

    /// The name of the secret that verified the request.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The name of the scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The content, which is exactly the bytes that were checked. With a shared token or Basic credentials,
    /// the content is not signed.
    #[must_use]
    pub fn content(&self) -> &Bytes {
        &self.content
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The signature, or another signed field, is missing.
    #[error("the request is not signed")]
    Missing,
    /// There are several signatures where the scheme allows only one.
    #[error("the request has more than one signature")]
    Duplicate,
    /// A signed field, or the signed time, does not have the scheme's form.
    #[error("the signature is malformed")]
    Malformed,
    /// The signed time is outside its window.
    #[error("the signed time is outside its window")]
    Expired,
    /// No valid secret makes this signature of this content.
    #[error("the signature does not match the content")]
    Mismatch,
}

impl Refused {
    /// The word for the refusal in the gateway's answers, log and metrics, such as `signature_mismatch`.
    ///
    /// ```
    /// assert_eq!(hookgate::verify::Refused::Expired.reason(), "timestamp_expired");
    /// ```
    #[must_use]
    pub fn reason(self) -> &'static str {
        Rejection::from(self).reason().map_or("", Reason::as_str)
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Missing => Self::Unsigned(ClaimError::Missing),
            Refused::Duplicate => Self::Unsigned(ClaimError::Duplicate),
            Refused::Malformed => Self::Unsigned(ClaimError::Malformed),
            Refused::Expired => Self::Unsigned(ClaimError::Expired),
            Refused::Mismatch => Self::SignatureMismatch,
        }
    }
}

impl Refused {
    pub(super) fn of_claim(error: ClaimError) -> Self {
        match error {
            ClaimError::Missing => Self::Missing,
            ClaimError::Duplicate => Self::Duplicate,
            ClaimError::Malformed => Self::Malformed,
            ClaimError::Expired => Self::Expired,
        }
    }

    pub(crate) fn of_content(why: Unverified) -> Self {
        match why {
            Unverified::Tag | Unverified::Unclaimed => Self::Mismatch,
            Unverified::Time(error) => Self::of_claim(error),
        }
    }
}
