//! Pure. How upstreams are reached over TLS: which authorities are trusted, and which certificate is
//! shown.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, SignatureScheme};

use crate::tls::authorities::Authorities;
use crate::tls::key_pair::KeyPair;
use crate::tls::provider::provider;

/// The TLS settings towards an upstream. Clones share their sessions. Other connectors do not, even if they
/// are equal.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    authorities: Authorities,
    own: Option<KeyPair>,
}

impl Connector {
    /// A connector that verifies upstreams against `authorities`, and shows the certificate `own` to an
    /// upstream that asks for a certificate.
    ///
    /// # Errors
    /// The provider has no version of TLS in common with this program, which does not occur.
    pub fn new(authorities: Authorities, own: Option<KeyPair>) -> Result<Self, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(Arc::clone(authorities.roots()));
        let mut config = match &own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_cert_resolver(Arc::new(Own(Arc::clone(own.certified())))),
        };
        // The exchange with an upstream is HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), authorities, own })
    }

    /// The configuration in the form that rustls takes.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities && self.own == other.own
    }
}

impl Eq for Connector {}

impl Hash for Connector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.authorities.hash(state);
        self.own.as_ref().map(|own| &own.label).hash(state);
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.authorities, self.own)
    }
}

/// The one certificate that is shown, whatever authorities the upstream names.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_signer| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
