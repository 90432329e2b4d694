//! Pure. A certificate with its chain and its private key, read from PEM.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};
use sha2::{Digest as _, Sha256};

use crate::tls::certificate::Facts;
use crate::tls::host_name::HostName;
use crate::tls::provider::provider;

/// A certificate with its chain and its private key. The key is never printed.
#[derive(Clone)]
pub struct KeyPair {
    /// The facts of the certificate.
    pub facts: Arc<Facts>,
    /// The certificate's name in metrics and messages.
    pub label: Arc<str>,
    certified: Arc<CertifiedKey>,
    /// The digest of the chain. The key is not part of the digest, because it belongs to the first
    /// certificate.
    digest: [u8; 32],
}

/// Why two files are not a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyPairError {
    /// The first file has no certificate.
    #[error("there is no certificate in PEM in this file")]
    NoCertificate,
    /// A certificate cannot be parsed; its number from 1.
    #[error("certificate {0} of this file cannot be parsed")]
    BadCertificate(usize),
    /// The second file has no private key.
    #[error("there is no private key in PEM in this file")]
    NoKey,
    /// The key is encrypted.
    #[error("the private key is encrypted, and hookgate asks for no password")]
    EncryptedKey,
    /// The key is of a kind that is not supported.
    #[error("the private key is damaged, or of a kind that is not supported")]
    BadKey,
    /// The key is that of another certificate.
    #[error("the private key is not that of the first certificate")]
    Mismatch,
}

/// What is wrong with the chain of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// The certificate is not signed by the certificates after it.
    Broken,
    /// No certificate follows, although another certificate has issued this one.
    Alone,
}

impl KeyPair {
    /// Reads the certificate with its chain, and the key, from PEM.
    ///
    /// # Errors
    /// [`KeyPairError`]
    pub fn read(certificates: &[u8], key: &[u8]) -> Result<Self, KeyPairError> {
        let chain = chain(certificates)?;
        let mut facts = Vec::with_capacity(chain.len());
        for (index, certificate) in chain.iter().enumerate() {
            let bad = KeyPairError::BadCertificate(index.saturating_add(1));
            facts.push(Facts::read(certificate).map_err(|_malformed| bad)?);
        }
        let facts = Arc::new(facts.into_iter().next().ok_or(KeyPairError::NoCertificate)?);
        let key = private_key(key)?;
        let mut hash = Sha256::new();
        chain.iter().for_each(|certificate| hash.update(certificate));
        let digest = hash.finalize().into();
        let certified = match CertifiedKey::from_der(chain, key, provider()) {
            Ok(certified) => Arc::new(certified),
            Err(Error::InconsistentKeys(_)) => return Err(KeyPairError::Mismatch),
            Err(Error::InvalidCertificate(_)) => return Err(KeyPairError::BadCertificate(1)),
            Err(_unsupported) => return Err(KeyPairError::BadKey),
        };
        Ok(Self { label: facts.label().into(), facts, certified, digest })
    }

    /// The chain and the key in the form that rustls takes.
    #[must_use]
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The certificates, the server's own first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The fault of the chain, if it has one. The times in the certificates are not checked.
    #[must_use]
    pub fn chain_fault(&self, now: SystemTime) -> Option<ChainFault> {
        let (own, others) = self.chain().split_first()?;
        let Some((anchor, intermediates)) = others.split_last() else {
            return self.facts.is_issued.then_some(ChainFault::Alone);
        };
        let (now, name) = (unix(now.clamp(self.facts.not_before, self.facts.not_after)), self.server_name()?);
        let mut roots = RootCertStore::empty();
        if roots.add(anchor.clone()).is_err() {
            return Some(ChainFault::Broken);
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider()))
            .build()
            .ok()?;
        let verified = verifier.verify_server_cert(own, intermediates, &name, &[], now);
        is_broken(verified.err()?).then_some(ChainFault::Broken)
    }

    /// A name for which the certificate is certainly valid.
    fn server_name(&self) -> Option<ServerName<'static>> {
        match self.facts.hosts.first()? {
            HostName::Ip(address) => Some(ServerName::IpAddress((*address).into())),
            HostName::Dns(name) => ServerName::try_from(name.replacen('*', "a", 1)).ok(),
        }
    }
}

fn is_broken(error: Error) -> bool {
    use rustls::CertificateError::{BadSignature, UnknownIssuer};
    matches!(error, Error::InvalidCertificate(UnknownIssuer | BadSignature))
}

/// The time in the form that rustls takes.
#[must_use]
pub fn unix(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// The certificates of a file, in its order.
fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, KeyPairError> {
    let mut chain = Vec::new();
    for section in CertificateDer::pem_slice_iter(pem) {
        let bad = KeyPairError::BadCertificate(chain.len().saturating_add(1));
        chain.push(section.map_err(|_malformed| bad)?);
    }
    if chain.is_empty() { Err(KeyPairError::NoCertificate) } else { Ok(chain) }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, KeyPairError> {
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if pem.windows(encrypted.len()).any(|part| part == encrypted) => {
            Err(KeyPairError::EncryptedKey)
        }
        Err(pem::Error::NoItemsFound) => Err(KeyPairError::NoKey),
        Err(_malformed) => Err(KeyPairError::BadKey),
    }
}

/// Equal if the chains are: the key of a certificate does not change.
impl PartialEq for KeyPair {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for KeyPair {}

/// Never prints the key.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.label, hex::encode(self.digest))
    }
}
