//! Pure. The requests that may reach an upstream: an authentic request, or an observed request that the
//! operator permits.

use std::sync::Arc;

use bytes::Bytes;

use super::permit::Permit;
use super::verification::{AuthenticRequest, Mismatch};

/// How a request that does not verify is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The request is refused.
    Enforce,
    /// The request is forwarded and reported.
    Observe(Permit),
}

/// A request that did not verify, on a route in observe mode, or an unsigned set-up request. It is forwarded.
///
/// Only [`Mismatch::observe`] makes it, and only if the operator's configuration permits it.
#[derive(Debug)]
pub struct ObservedRequest<H> {
    head: H,
    content: Bytes,
}

/// A request that may reach an upstream. No other type may.
#[derive(Debug)]
pub enum Deliverable<'v, H> {
    /// A request with the proof that it is authentic.
    Authentic(AuthenticRequest<'v, H>),
    /// An authentic request on a route that stores the request if this attempt fails.
    Kept(&'v AuthenticRequest<'v, H>),
    /// A request without the proof. The operator permits it.
    Observed(ObservedRequest<H>),
}

impl<H> Deliverable<'_, H> {
    /// The head.
    pub fn head(&self) -> &H {
        match self {
            Self::Authentic(request) => request.head(),
            Self::Kept(request) => request.head(),
            Self::Observed(request) => &request.head,
        }
    }

    /// The content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        match self {
            Self::Authentic(request) => request.content(),
            Self::Kept(request) => request.content(),
            Self::Observed(request) => &request.content,
        }
    }

    /// The name of the secret that verified the request, if one did.
    #[must_use]
    pub fn secret(&self) -> Option<&Arc<str>> {
        match self {
            Self::Authentic(request) => Some(request.secret()),
            Self::Kept(request) => Some(request.secret()),
            Self::Observed(_) => None,
        }
    }

    /// Whether the request is authentic.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        matches!(self, Self::Authentic(_) | Self::Kept(_))
    }

    /// Takes the content, which is written to an upstream. Frees the head, unless the request is kept.
    #[must_use]
    pub fn into_content(self) -> Bytes {
        match self {
            Self::Authentic(request) => request.into_parts().1,
            Self::Kept(request) => request.share_content(),
            Self::Observed(request) => request.content,
        }
    }
}

impl<H> Mismatch<H> {
    /// Makes a request that may be forwarded although it did not verify. The operator of the route permits
    /// that.
    #[must_use]
    pub fn observe(self, _permit: Permit) -> ObservedRequest<H> {
        ObservedRequest { head: self.head, content: self.content.into() }
    }
}
