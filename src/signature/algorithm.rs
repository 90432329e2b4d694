//! Pure. The algorithms that senders authenticate with: MACs, public-key signatures, and shared tokens.

/// How a scheme makes its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC (RFC 2104) over SHA-256 (FIPS 180-4): tags of 32 bytes.
    HmacSha256,
    /// HMAC over SHA-384: tags of 48 bytes.
    HmacSha384,
    /// HMAC over SHA-512: tags of 64 bytes.
    HmacSha512,
    /// HMAC over SHA-1: tags of 20 bytes. Collisions of SHA-1 do not break HMAC (RFC 6194, section 2.3).
    HmacSha1,
    /// HMAC over MD5: tags of 16 bytes. Collisions of MD5 do not break HMAC (RFC 6151, section 2.3). Only old
    /// senders use it.
    HmacMd5,
    /// Ed25519 (RFC 8032). Only the sender can sign. The configured secret is the sender's public key.
    Ed25519,
    /// ECDSA over P-256 with SHA-256 (FIPS 186-5), in DER. The configured secret is the sender's public key.
    EcdsaP256,
    /// RSA with PKCS #1 v1.5 padding and SHA-256 (RFC 8017, section 8.2). The configured secret is the
    /// sender's public key, of 2048 to 8192 bits.
    RsaSha256,
    /// The value of the field is the secret itself. It authenticates the sender, but not the content.
    Token,
}

impl Algorithm {
    /// Every algorithm, with its name in gateway.toml.
    pub const ALL: [(&'static str, Self); 9] = [
        ("hmac-sha256", Self::HmacSha256),
        ("hmac-sha384", Self::HmacSha384),
        ("hmac-sha512", Self::HmacSha512),
        ("hmac-sha1", Self::HmacSha1),
        ("hmac-md5", Self::HmacMd5),
        ("ed25519", Self::Ed25519),
        ("ecdsa-p256", Self::EcdsaP256),
        ("rsa-sha256", Self::RsaSha256),
        ("token", Self::Token),
    ];

    /// The length of a tag in the field, in bytes. `None` if it varies.
    #[must_use]
    pub fn tag_len(self) -> Option<usize> {
        match self {
            Self::HmacMd5 => Some(16),
            Self::HmacSha1 => Some(20),
            Self::HmacSha256 => Some(32),
            Self::HmacSha384 => Some(48),
            Self::HmacSha512 | Self::Ed25519 => Some(64),
            Self::EcdsaP256 | Self::RsaSha256 | Self::Token => None,
        }
    }

    /// The usual name of the algorithm, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "HMAC-SHA256",
            Self::HmacSha384 => "HMAC-SHA384",
            Self::HmacSha512 => "HMAC-SHA512",
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacMd5 => "HMAC-MD5",
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256 => "ECDSA P-256",
            Self::RsaSha256 => "RSA-SHA256",
            Self::Token => "shared token",
        }
    }

    /// The name of the algorithm in a JWS (RFC 7518, section 3.1, and RFC 8037, section 3.1), if it has one.
    #[must_use]
    pub fn jws_name(self) -> Option<&'static str> {
        match self {
            Self::HmacSha256 => Some("HS256"),
            Self::HmacSha384 => Some("HS384"),
            Self::HmacSha512 => Some("HS512"),
            Self::Ed25519 => Some("EdDSA"),
            Self::EcdsaP256 => Some("ES256"),
            Self::RsaSha256 => Some("RS256"),
            Self::HmacSha1 | Self::HmacMd5 | Self::Token => None,
        }
    }

    /// Whether the key that verifies can also sign.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        match self {
            Self::HmacMd5
            | Self::HmacSha1
            | Self::HmacSha256
            | Self::HmacSha384
            | Self::HmacSha512
            | Self::Token => true,
            Self::Ed25519 | Self::EcdsaP256 | Self::RsaSha256 => false,
        }
    }
}
