//! Pure. How a sender signs, as data: which field, which MAC, which notation, and where it names the model.

use crate::secret::SecretEncoding;
use crate::signature::field::Notation;
use crate::signature::mac::Algorithm;

/// A sender's way to sign. A preset is one of these; there is no code per sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// The name in gateway.toml, for example `propify`.
    pub name: &'static str,
    /// The field that carries the signature, in lower case.
    pub field: &'static str,
    /// The MAC.
    pub algorithm: Algorithm,
    /// How the tag stands in the field.
    pub notation: Notation,
    /// What the MAC is computed over.
    pub signed: Signed,
    /// How the sender hands out its secrets, where gateway.toml does not say otherwise.
    pub secret_encoding: SecretEncoding,
    /// JSON pointers (RFC 6901) to the model's name in the content, in order of preference; empty where the sender has
    /// no notion of a model.
    pub model_pointers: &'static [&'static str],
    /// Where the sender documents it.
    pub documentation: &'static str,
}

/// What a scheme signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// The content (RFC 9110, section 6.4), byte for byte, and nothing else.
    Content,
}

impl Scheme {
    /// The scheme that ships under this name.
    #[must_use]
    pub fn preset(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|scheme| scheme.name == name)
    }
}

/// Every scheme that ships with hookgate.
pub static PRESETS: [Scheme; 3] = [
    Scheme {
        name: "propify",
        field: "propify-signature",
        algorithm: Algorithm::HmacSha256,
        notation: Notation { prefix: "" },
        signed: Signed::Content,
        secret_encoding: SecretEncoding::Utf8,
        model_pointers: &["/meta/object", "/data/object"],
        documentation: "Propify, webhooks: hex HMAC-SHA256 of the raw body in `propify-signature`",
    },
    Scheme {
        name: "propexo",
        field: "propexo-signature",
        algorithm: Algorithm::HmacSha256,
        notation: Notation { prefix: "" },
        signed: Signed::Content,
        secret_encoding: SecretEncoding::Utf8,
        model_pointers: &["/meta/object", "/data/object"],
        documentation: "Propexo (Propify under its other name), webhooks: hex HMAC-SHA256 of the raw body in \
                        `propexo-signature`",
    },
    Scheme {
        name: "github",
        field: "x-hub-signature-256",
        algorithm: Algorithm::HmacSha256,
        notation: Notation { prefix: "sha256=" },
        signed: Signed::Content,
        secret_encoding: SecretEncoding::Utf8,
        model_pointers: &[],
        documentation: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    },
];
