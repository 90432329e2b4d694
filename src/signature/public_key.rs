//! Pure. Public-key signatures. They are checked while the message arrives.
//!
//! Nothing in this file is secret: the keys, the signatures, and the time of a comparison may be known.

use ed25519_dalek::{StreamVerifier, VerifyingKey as Ed25519Key};
use p256::ecdsa::VerifyingKey as P256Key;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::pkcs8::DecodePublicKey as _;
use sha2::{Digest as _, Sha256};

use super::tag::{Tag, Tags};

/// The error for bytes that are no public key of the algorithm. It says nothing else about the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no public key of this algorithm")]
pub struct BadKey;

/// A sender's public key.
#[derive(Clone, Debug)]
pub(super) enum PublicKey {
    Ed25519(Ed25519Key),
    P256(P256Key),
}

/// A message that is being hashed, with its claimed signatures.
pub(super) enum Running {
    /// One hash for each signature: the hash begins with a part of the signature (RFC 8032, section 5.1.7).
    Ed25519(Vec<StreamVerifier>),
    P256(P256Key, Sha256),
}

impl PublicKey {
    /// Reads 32 bytes (RFC 8032, section 5.1.5), or a `SubjectPublicKeyInfo` that contains them (RFC 8410,
    /// section 4).
    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, BadKey> {
        let raw = match bytes.len() {
            32 => Some(bytes),
            _ => bytes.strip_prefix(ED25519_SPKI),
        };
        let raw: &[u8; 32] = raw.and_then(|raw| raw.try_into().ok()).ok_or(BadKey)?;
        let key = Ed25519Key::from_bytes(raw).map_err(|_not_a_point| BadKey)?;
        // A key of small order is refused: a single signature would be valid for many messages.
        if key.is_weak() { Err(BadKey) } else { Ok(Self::Ed25519(key)) }
    }

    /// Reads a `SubjectPublicKeyInfo` (RFC 5480, section 2), or the point alone (SEC 1, section 2.3.3).
    pub(super) fn p256(bytes: &[u8]) -> Result<Self, BadKey> {
        let key = P256Key::from_public_key_der(bytes).ok().or_else(|| P256Key::from_sec1_bytes(bytes).ok());
        key.map(Self::P256).ok_or(BadKey)
    }

    /// Begins with a message that should have one of the `claimed` signatures.
    pub(super) fn start(&self, claimed: &Tags) -> Running {
        match self {
            Self::Ed25519(key) => {
                let signatures = claimed.iter().take(MOST_SIGNATURES);
                let signatures =
                    signatures.filter_map(|tag| ed25519_dalek::Signature::from_slice(tag.as_bytes()).ok());
                Running::Ed25519(
                    signatures.filter_map(|signature| key.verify_stream(&signature).ok()).collect(),
                )
            }
            Self::P256(key) => Running::P256(*key, Sha256::new()),
        }
    }
}

impl Running {
    /// How many times each byte of the message is hashed.
    pub(super) fn passes(&self) -> usize {
        match self {
            Self::Ed25519(verifiers) => verifiers.len(),
            Self::P256(..) => 1,
        }
    }

    /// The cost of the decision, as the number of bytes that can be hashed in the same time.
    pub(super) fn weight(&self, claimed: &Tags) -> usize {
        let signatures = match self {
            Self::Ed25519(verifiers) => verifiers.len(),
            Self::P256(..) => claimed.len().min(MOST_SIGNATURES),
        };
        signatures.max(1).saturating_mul(MULTIPLICATION)
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Ed25519(verifiers) => verifiers.iter_mut().for_each(|verifier| verifier.update(piece)),
            Self::P256(_, hash) => hash.update(piece),
        }
    }

    pub(super) fn verifies(self, claimed: &Tags) -> bool {
        match self {
            Self::Ed25519(verifiers) => {
                verifiers.into_iter().any(|verifier| verifier.finalize_and_verify().is_ok())
            }
            Self::P256(key, hash) => {
                let digest = hash.finalize();
                let signatures = claimed.iter().take(MOST_SIGNATURES);
                let mut signatures =
                    signatures.filter_map(|tag| p256::ecdsa::Signature::from_slice(tag.as_bytes()).ok());
                signatures.any(|signature| key.verify_prehash(&digest, &signature).is_ok())
            }
        }
    }
}

/// An ECDSA signature in DER, as a tag of fixed length.
pub(super) fn tag_of_der(der: &[u8]) -> Option<Tag> {
    Tag::of(&p256::ecdsa::Signature::from_der(der).ok()?.to_bytes())
}

/// The bytes that precede the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo`.
pub(super) const ED25519_SPKI: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The cost of checking a signature on the curve, as the number of bytes that can be hashed in the same time.
const MULTIPLICATION: usize = 128 * 1024;

/// The most signatures that are tried. Guards against requests with many signatures: each costs a pass over
/// the content, or a multiplication on the curve.
const MOST_SIGNATURES: usize = 4;
