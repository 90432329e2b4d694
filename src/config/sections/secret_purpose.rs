//! Pure. What a secret of the configuration is for, in the words of its problems.

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It verifies what a sender has signed.
    Signature,
    /// A sender shows it when a webhook is set up.
    VerifyToken,
    /// A client of the admin listener shows it.
    AdminToken,
    /// It binds an ACME account to a customer of the authority.
    AcmeAccount,
    /// It signs what is forwarded.
    Assertion,
}

impl Purpose {
    /// The noun for the secret.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Signature => "secret",
            Self::VerifyToken | Self::AdminToken => "token",
            Self::AcmeAccount | Self::Assertion => "key",
        }
    }

    /// The name of an environment variable, as an example.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Signature => "PROPIFY_WEBHOOK_SECRET",
            Self::VerifyToken => "META_VERIFY_TOKEN",
            Self::AdminToken => "HOOKGATE_ADMIN_TOKEN",
            Self::AcmeAccount => "ACME_ACCOUNT_KEY",
            Self::Assertion => "HOOKGATE_ASSERTION_KEY",
        }
    }

    /// The path of a file, as an example.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Signature => "/run/secrets/propify",
            Self::VerifyToken => "/run/secrets/meta-verify-token",
            Self::AdminToken => "/run/secrets/hookgate-admin",
            Self::AcmeAccount => "/run/secrets/acme-key",
            Self::Assertion => "/run/secrets/hookgate-assertion",
        }
    }

    /// What to do about a secret that is empty.
    pub(crate) const fn put(self) -> &'static str {
        match self {
            Self::Signature => "put the secret there that the sender gave you",
            Self::VerifyToken => "put the token there that you have given to the sender",
            Self::AdminToken => "put a random token there: openssl rand -hex 32",
            Self::AcmeAccount => "put the key there that the authority gave you",
            Self::Assertion => "put a key of your own there",
        }
    }

    /// What to do about a secret that is a sample.
    pub(crate) const fn replace(self) -> &'static str {
        match self {
            Self::Signature => {
                "use the one that the sender gave you, or set a random one there: openssl rand -hex 32"
            }
            Self::VerifyToken | Self::AdminToken | Self::AcmeAccount | Self::Assertion => self.put(),
        }
    }

    /// How to get a longer secret.
    pub(crate) const fn renew(self) -> &'static str {
        match self {
            Self::Signature | Self::VerifyToken => "set another at the sender, from openssl rand -hex 32",
            Self::AdminToken | Self::Assertion => "set another, from openssl rand -hex 32",
            Self::AcmeAccount => "ask the authority for another",
        }
    }
}
