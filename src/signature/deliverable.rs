//! Pure. What may reach an upstream: a request with its proof, or one that the operator wants forwarded without.

use std::sync::Arc;

use super::verification::{AuthenticRequest, Mismatch};

/// What becomes of a request that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is forwarded all the same, and reported.
    Observe(Permit),
}

/// The operator's permission to forward what does not verify. A configuration makes one for each route that asks for it, and
/// nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit(());

impl Permit {
    /// The permission that a route's `mode = "observe"` gives.
    #[must_use]
    pub(crate) const fn of_configuration() -> Self {
        Self(())
    }
}

/// A request of a route in observe mode that did not verify, and is to be forwarded all the same.
///
/// Only [`Mismatch::observe`] makes one, and only where the operator's configuration says so.
#[derive(Debug)]
pub struct ObservedRequest<H> {
    head: H,
    content: Vec<u8>,
}

/// What may reach an upstream: nothing else does.
#[derive(Debug)]
pub enum Deliverable<'v, H> {
    /// A request with the proof that it is authentic.
    Authentic(AuthenticRequest<'v, H>),
    /// A request that the operator wants forwarded without one.
    Observed(ObservedRequest<H>),
}

impl<H> Deliverable<'_, H> {
    /// The head.
    pub fn head(&self) -> &H {
        match self {
            Self::Authentic(request) => request.head(),
            Self::Observed(request) => &request.head,
        }
    }

    /// The content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        match self {
            Self::Authentic(request) => request.content(),
            Self::Observed(request) => &request.content,
        }
    }

    /// The name of the secret that verified, if one did.
    #[must_use]
    pub fn secret(&self) -> Option<&Arc<str>> {
        match self {
            Self::Authentic(request) => Some(request.secret()),
            Self::Observed(_) => None,
        }
    }

    /// Whether it is authentic.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        matches!(self, Self::Authentic(_))
    }

    /// Takes it apart, for writing it to an upstream: head and content.
    pub fn into_parts(self) -> (H, Vec<u8>) {
        match self {
            Self::Authentic(request) => request.into_parts(),
            Self::Observed(request) => (request.head, request.content),
        }
    }
}

impl<H> Mismatch<H> {
    /// Lets the request pass, as the operator of the route permits.
    #[must_use]
    pub fn observe(self, _permit: Permit) -> ObservedRequest<H> {
        ObservedRequest { head: self.head, content: self.content }
    }
}
