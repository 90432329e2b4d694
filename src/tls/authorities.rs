//! Pure. Certificate authorities: those that a file names, or the system's.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

/// Certificate authorities that are trusted for one purpose.
#[derive(Clone)]
pub struct Authorities {
    roots: Arc<RootCertStore>,
    digest: [u8; 32],
    source: Source,
}

#[derive(Clone, Copy)]
enum Source {
    File,
    System,
}

/// Why a file has no certificate authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesError {
    /// It has no certificate.
    #[error("there is no certificate in PEM in this file")]
    None,
    /// A certificate cannot be parsed; its number from 1.
    #[error("certificate {0} of this file cannot be parsed")]
    Bad(usize),
}

impl Authorities {
    /// Reads the certificates of a file in PEM.
    ///
    /// # Errors
    /// [`AuthoritiesError`]
    pub fn read(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let (mut roots, mut hash) = (RootCertStore::empty(), Sha256::new());
        for (index, section) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let bad = AuthoritiesError::Bad(index.saturating_add(1));
            let certificate = section.map_err(|_malformed| bad)?;
            hash.update(&certificate);
            roots.add(certificate).map_err(|_malformed| bad)?;
        }
        if roots.is_empty() {
            return Err(AuthoritiesError::None);
        }
        Ok(Self { roots: Arc::new(roots), digest: hash.finalize().into(), source: Source::File })
    }

    /// The authorities of a system's store. Certificates that cannot be parsed are left out. `None` if none
    /// is left.
    #[must_use]
    pub fn of_system(certificates: Vec<CertificateDer<'static>>) -> Option<Self> {
        let mut hash = Sha256::new();
        certificates.iter().for_each(|certificate| hash.update(certificate));
        let mut roots = RootCertStore::empty();
        let (added, _ignored) = roots.add_parsable_certificates(certificates);
        (added > 0).then(|| Self {
            roots: Arc::new(roots),
            digest: hash.finalize().into(),
            source: Source::System,
        })
    }

    /// The authorities in the form that rustls takes.
    #[must_use]
    pub fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }
}

/// Equal if the certificates are.
impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Authorities {}

impl std::hash::Hash for Authorities {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// Two machines may trust other roots, and be configured in the same way.
impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::File => f.write_str(&hex::encode(self.digest)),
            Source::System => f.write_str("system"),
        }
    }
}
