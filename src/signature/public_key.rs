//! Pure. Public-key signatures. They are checked while the message arrives.
//!
//! Nothing in this file is secret: the keys, the signatures, and the time of a comparison may be known.

use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use ed25519_dalek::{StreamVerifier, VerifyingKey as Ed25519Key};
use p256::ecdsa::VerifyingKey as P256Key;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::pkcs8::DecodePublicKey as _;
use sha2::{Digest as _, Sha256};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode as _, Reader as _, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

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
    Rsa(Arc<RsaKey>),
}

/// A public key of RSA.
#[derive(Debug)]
pub(super) struct RsaKey {
    key: ParsedPublicKey,
    /// The length of the modulus in bytes. Signatures have the same length.
    len: usize,
}

/// A message that is being hashed, with its claimed signatures.
pub(super) enum Running {
    /// One hash for each signature: the hash begins with a part of the signature (RFC 8032, section 5.1.7).
    Ed25519(Vec<StreamVerifier>),
    P256(P256Key, Sha256),
    Rsa(Arc<RsaKey>, digest::Context),
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

    /// Reads a `SubjectPublicKeyInfo` (RFC 5280, section 4.1), or the `RSAPublicKey` in it (RFC 8017,
    /// appendix A.1.1). The modulus must have 2048 to 8192 bits.
    pub(super) fn rsa(bytes: &[u8]) -> Result<Self, BadKey> {
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, bytes).map_err(|_undisclosed| BadKey)?;
        let len = modulus_len(&key).filter(|len| RSA_LENGTHS.contains(len)).ok_or(BadKey)?;
        Ok(Self::Rsa(Arc::new(RsaKey { key, len })))
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
            Self::Rsa(key) => Running::Rsa(Arc::clone(key), digest::Context::new(&digest::SHA256)),
        }
    }
}

impl Running {
    /// How many times each byte of the message is hashed.
    pub(super) fn passes(&self) -> usize {
        match self {
            Self::Ed25519(verifiers) => verifiers.len(),
            Self::P256(..) | Self::Rsa(..) => 1,
        }
    }

    /// The cost of the decision, as the number of bytes that can be hashed in the same time.
    pub(super) fn weight(&self, claimed: &Tags) -> usize {
        let signatures = match self {
            Self::Ed25519(verifiers) => verifiers.len(),
            Self::P256(..) | Self::Rsa(..) => claimed.len().min(MOST_SIGNATURES),
        };
        let each = match self {
            Self::Ed25519(_) | Self::P256(..) => MULTIPLICATION,
            // A multiplication takes time with the square of the length.
            Self::Rsa(key, _) => key.len.saturating_mul(key.len),
        };
        signatures.max(1).saturating_mul(each)
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Ed25519(verifiers) => verifiers.iter_mut().for_each(|verifier| verifier.update(piece)),
            Self::P256(_, hash) => hash.update(piece),
            Self::Rsa(_, hash) => hash.update(piece),
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
            Self::Rsa(key, hash) => {
                let digest = hash.finish();
                let mut signatures = claimed.iter().take(MOST_SIGNATURES);
                signatures.any(|tag| key.key.verify_digest_sig(&digest, tag.as_bytes()).is_ok())
            }
        }
    }
}

/// The length of the modulus of a key in bytes.
fn modulus_len(key: &ParsedPublicKey) -> Option<usize> {
    let der: PublicKeyX509Der<'_> = key.as_der().ok()?;
    let info = SubjectPublicKeyInfoRef::try_from(der.as_ref()).ok()?;
    let mut reader = SliceReader::new(info.subject_public_key.as_bytes()?).ok()?;
    let modulus = reader.sequence(|numbers| {
        let modulus = UintRef::decode(numbers)?;
        UintRef::decode(numbers).map(|_exponent| modulus)
    });
    let len: Result<u32, _> = modulus.ok()?.as_bytes().len().try_into();
    usize::try_from(len.ok()?).ok()
}

/// The lengths of a modulus and of a signature of RSA in bytes: 2048 to 8192 bits.
pub(super) const RSA_LENGTHS: std::ops::RangeInclusive<usize> = 256..=1024;

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
