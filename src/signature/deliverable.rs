//! Pure. What may reach an upstream: an authentic request, or an observed one that the operator permits.

use std::sync::Arc;

use bytes::Bytes;

use super::verification::{AuthenticRequest, Mismatch};

/// What to do with a request that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse it.
    Enforce,
    /// Forward it, and report it.
    Observe(Permit),
}

/// The operator's permission to forward a request that does not verify. Only a configuration makes one, for each route that
/// asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit(());

impl Permit {
    /// The permission that a route's `mode = "observe"` gives.
    #[must_use]
    pub(crate) const fn of_configuration() -> Self {
        Self(())
    }
}

/// A request that did not verify, on a route in observe mode; it is forwarded.
///
/// Only [`Mismatch::observe`] makes one, and only where the operator's configuration says so.
#[derive(Debug)]
pub struct ObservedRequest<H> {
    head: H,
    content: Bytes,
}

/// A request that may reach an upstream. Nothing else does.
#[derive(Debug)]
pub enum Deliverable<'v, H> {
    /// A request with the proof that it is authentic.
    Authentic(AuthenticRequest<'v, H>),
    /// The same, on a route that stores the request if this attempt fails.
    Kept(&'v AuthenticRequest<'v, H>),
    /// A request without a proof, which the operator permits.
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

    /// The name of the secret that verified, if one did.
    #[must_use]
    pub fn secret(&self) -> Option<&Arc<str>> {
        match self {
            Self::Authentic(request) => Some(request.secret()),
            Self::Kept(request) => Some(request.secret()),
            Self::Observed(_) => None,
        }
    }

    /// Whether it is authentic.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        matches!(self, Self::Authentic(_) | Self::Kept(_))
    }

    /// The content, to be written to an upstream. The head is freed, unless it is kept.
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
    /// Permits the request to be forwarded, as the operator of the route allows.
    #[must_use]
    pub fn observe(self, _permit: Permit) -> ObservedRequest<H> {
        ObservedRequest { head: self.head, content: self.content.into() }
    }
}
