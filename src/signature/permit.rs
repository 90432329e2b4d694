//! Pure. The operator's permission to forward requests that do not verify.

/// The operator's permission to forward a request that does not verify. Only a configuration makes it, for a
/// route that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit(());

impl Permit {
    /// The permission that `mode = "observe"` of a route gives, or `challenge = "forward-unsigned"` of a
    /// signature.
    #[must_use]
    pub(crate) const fn of_configuration() -> Self {
        Self(())
    }
}
