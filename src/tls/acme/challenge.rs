//! Pure. The certificate that answers a challenge of TLS-ALPN-01 (RFC 8737, section 3).

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::tls::provider::provider;

/// The protocol in ALPN that asks for the answer to a challenge.
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// The key and the request of a new certificate.
pub struct Request {
    /// The key, in PEM.
    pub key: Zeroizing<String>,
    /// The request (PKCS#10), in DER.
    pub request: Vec<u8>,
}

/// Why a key or certificate was not made: the system has no randomness, or the name is not one of DNS.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// The error of rcgen.
    #[error("the certificate or its request cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The error of rustls.
    #[error("the key cannot be used: {0}")]
    Key(#[from] rustls::Error),
}

/// Makes a self-signed certificate for this name with the digest of the key authorization.
///
/// # Errors
/// [`NotMade`]
pub fn answer(domain: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, NotMade> {
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not `CertifiedKey::from_der`: it refuses a certificate with a critical extension that it does not know.
    let key = provider().key_provider.load_private_key(key)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

/// Makes a key (ECDSA P-256), and the request of a certificate for this name.
///
/// # Errors
/// [`NotMade`]
pub fn request(domain: &str) -> Result<Request, NotMade> {
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?;
    Ok(Request { key: Zeroizing::new(key.serialize_pem()), request: request.der().to_vec() })
}
