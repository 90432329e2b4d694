//! Pure. How a sender authenticates, as `www-authenticate` names it (RFC 9110, section 11.6.1).

/// How a sender authenticates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// With a signature, or with a token in a field of its own.
    #[default]
    Signature,
    /// With Basic credentials (RFC 7617).
    Basic,
    /// With a bearer token (RFC 6750).
    Bearer,
}

impl Authentication {
    /// The authentication of a shared token after this prefix.
    pub(super) fn of_prefix(prefix: &str) -> Self {
        if prefix.eq_ignore_ascii_case("basic ") {
            Self::Basic
        } else if prefix.eq_ignore_ascii_case("bearer ") {
            Self::Bearer
        } else {
            Self::Signature
        }
    }

    /// The value of `www-authenticate`. Basic and Bearer need a parameter (RFC 7617, section 2, and RFC 6750,
    /// section 3).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "Signature",
            Self::Basic => "Basic realm=\"webhooks\"",
            Self::Bearer => "Bearer realm=\"webhooks\"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::field::{Format, Notation};
    use crate::signature::scheme::Scheme;

    #[test]
    fn credentials_and_bearer_tokens_are_asked_for_as_such() {
        let plain = |prefix: &'static str| Format::Plain { prefix: prefix.into() };
        for (preset, format, want) in [
            ("gitlab", Format::Basic, Authentication::Basic),
            ("gitlab", plain("Basic "), Authentication::Basic),
            ("gitlab", plain("bearer "), Authentication::Bearer),
            ("gitlab", plain(""), Authentication::Signature),
            ("propify", plain("Bearer "), Authentication::Signature),
        ] {
            let scheme = Scheme::preset(preset).unwrap().clone();
            let scheme = Scheme { notation: Notation { format, ..scheme.notation }, ..scheme };
            assert_eq!(scheme.authentication(), want, "{scheme:?}");
        }
    }
}
