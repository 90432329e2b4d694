//! Pure. A private key. Commands sign test requests with the private key of a sender. The gateway itself has
//! only its own private key, for the requests that it forwards.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey as Ed25519Key};
use p256::ecdsa::{Signature as P256Signature, SigningKey as P256Key};
use p256::pkcs8::DecodePrivateKey as _;
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use crate::signature::secret::{Key, SecretEncoding};

/// The private half of a key pair. It is never printed, and is wiped on drop.
pub struct PrivateKey(Kind);

enum Kind {
    Ed25519(Ed25519Key),
    P256(P256Key),
    Rsa(Box<RsaKeyPair>),
}

/// The error for bytes that are no private key of the algorithm. It says nothing else about the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no private key of this algorithm")]
pub struct BadPrivateKey;

impl PrivateKey {
    /// Reads a key in the form that `openssl genpkey` writes (PEM, PKCS #8), or the key's bytes in
    /// hexadecimal or base64. A prefix `whsk_` is ignored.
    ///
    /// # Errors
    /// [`BadPrivateKey`], also if the algorithm has no private keys.
    pub fn read(algorithm: Algorithm, text: &[u8]) -> Result<Self, BadPrivateKey> {
        let text = text.trim_ascii();
        if let Some(armoured) = text.strip_prefix(PEM_BEGIN) {
            let end = armoured.windows(PEM_END.len()).position(|window| window == PEM_END);
            let inside = end.and_then(|end| armoured.get(..end)).ok_or(BadPrivateKey)?;
            let lines: Vec<u8> = inside.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let der =
                STANDARD.decode(Zeroizing::new(lines).as_slice()).map_err(|_undisclosed| BadPrivateKey)?;
            return Self::of_bytes(algorithm, &Zeroizing::new(der));
        }
        let bare = text.strip_prefix(b"whsk_").unwrap_or(text);
        let read =
            |encoding: SecretEncoding| Self::of_bytes(algorithm, encoding.decode(bare).ok()?.expose()).ok();
        read(SecretEncoding::Hex).or_else(|| read(SecretEncoding::Base64)).ok_or(BadPrivateKey)
    }

    /// The key with these bytes: PKCS #8 (RFC 5958), or the bare key. The public half may follow a bare
    /// Ed25519 key.
    ///
    /// # Errors
    /// [`BadPrivateKey`]
    pub fn of_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, BadPrivateKey> {
        let kind = match algorithm {
            Algorithm::Ed25519 => ed25519(bytes).map(Kind::Ed25519),
            Algorithm::EcdsaP256 => {
                let der = P256Key::from_pkcs8_der(bytes).ok();
                der.or_else(|| P256Key::from_slice(bytes).ok()).map(Kind::P256)
            }
            Algorithm::RsaSha256 => RsaKeyPair::from_pkcs8(bytes).ok().map(|key| Kind::Rsa(Box::new(key))),
            Algorithm::HmacSha256
            | Algorithm::HmacSha384
            | Algorithm::HmacSha512
            | Algorithm::HmacSha1
            | Algorithm::HmacMd5
            | Algorithm::Token => None,
        };
        kind.map(Self).ok_or(BadPrivateKey)
    }

    /// A random RSA key of 2048 bits.
    ///
    /// # Errors
    /// [`BadPrivateKey`] if the system has no random numbers.
    pub fn random_rsa() -> Result<Self, BadPrivateKey> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_unspecified| BadPrivateKey)?;
        Ok(Self(Kind::Rsa(Box::new(pair))))
    }

    /// The public key, in the form of a secret in gateway.toml.
    pub(super) fn public(&self) -> Key {
        Key::new(match &self.0 {
            Kind::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
            Kind::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Kind::Rsa(pair) => {
                let der: Result<PublicKeyX509Der<'_>, _> = pair.public_key().as_der();
                der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
            }
        })
    }

    /// The signature of a message, in the sender's form: an ECDSA signature is in DER.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Kind::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Kind::P256(key) => {
                let signature: P256Signature = p256::ecdsa::signature::Signer::sign(key, message);
                signature.to_der().as_bytes().to_vec()
            }
            Kind::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                // A key that was read can sign. If it could not, the signature would not verify.
                let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
                if signed.is_err() {
                    signature.clear();
                }
                signature
            }
        }
    }
}

fn ed25519(bytes: &[u8]) -> Option<Ed25519Key> {
    let bare = bytes.strip_prefix(ED25519_PKCS8).unwrap_or(bytes);
    let (seed, public) = bare.split_first_chunk::<32>()?;
    let key = Ed25519Key::from_bytes(seed);
    (public.is_empty() || public == key.verifying_key().as_bytes()).then_some(key)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

const PEM_BEGIN: &[u8] = b"-----BEGIN PRIVATE KEY-----";
const PEM_END: &[u8] = b"-----END PRIVATE KEY-----";

/// The bytes that precede the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const ED25519_PKCS8: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The private key in RFC 8410, section 10.3. Its public key is in section 10.1.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
                       MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                       -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    #[test]
    fn a_key_is_read_as_it_is_handed_out() {
        let seed = STANDARD.decode(PEM.lines().nth(1).unwrap()).unwrap().split_off(16);
        let pair = [seed.clone(), hex::decode(PUBLIC).unwrap()].concat();
        for text in [
            PEM.to_owned(),
            PEM.replace('\n', "\r\n"),
            hex::encode(&seed),
            format!("{}\n", STANDARD.encode(&seed)),
            format!("whsk_{}", STANDARD.encode(&pair)),
        ] {
            let key = PrivateKey::read(Algorithm::Ed25519, text.as_bytes()).unwrap();
            assert_eq!(hex::encode(key.public().expose()), PUBLIC);
            assert_eq!(format!("{key:?}"), "PrivateKey(..)");
        }
        for text in [PUBLIC.repeat(2), hex::encode(&seed[1..]), PEM.replace("END", "BEGIN"), String::new()] {
            assert_eq!(PrivateKey::read(Algorithm::Ed25519, text.as_bytes()).err(), Some(BadPrivateKey));
        }
        assert!(PrivateKey::read(Algorithm::EcdsaP256, PEM.as_bytes()).is_err());
        assert!(PrivateKey::read(Algorithm::HmacSha256, PEM.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text: Vec<u8>) {
            for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::RsaSha256] {
                let _any = PrivateKey::read(algorithm, &text);
                let _any = PrivateKey::read(algorithm, &[PEM_BEGIN, &text, PEM_END].concat());
            }
        }
    }
}
