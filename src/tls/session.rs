//! Pure. The facts of a TLS connection that a request may use.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::tls::authorities::Authorities;
use crate::tls::certificate::Facts;
use crate::tls::host_name::without_port;
use crate::tls::key_pair::unix;
use crate::tls::provider::provider;

/// The TLS connection of a request.
#[derive(Debug)]
pub struct Session {
    /// The name that the client asked for (SNI).
    server_name: Option<String>,
    /// The certificates for that name, or the default one.
    certificates: Vec<Arc<Facts>>,
    client: Option<ClientCertificate>,
}

/// The verified certificate of a client.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The certificate, and the chain that the client sent behind it.
    chain: Vec<CertificateDer<'static>>,
    facts: Facts,
    /// The authorities that it was verified against.
    verified_by: Authorities,
}

impl Session {
    /// A connection to `server_name` with these certificates.
    #[must_use]
    pub fn new(
        server_name: Option<String>,
        certificates: Vec<Arc<Facts>>,
        client: Option<ClientCertificate>,
    ) -> Self {
        Self { server_name, certificates, client }
    }

    /// Whether a certificate of the connection covers the host of a request, which may have a port (RFC 9110,
    /// section 7.4).
    #[must_use]
    pub fn covers(&self, authority: &[u8]) -> bool {
        let Ok(authority) = std::str::from_utf8(authority) else { return false };
        let host = without_port(authority);
        self.certificates.iter().any(|facts| facts.covers(host))
    }

    /// The client's certificate, if it is valid under the authorities that are in force now. The connection
    /// may be older than these authorities.
    #[must_use]
    pub fn client(&self, in_force: Option<&Authorities>, now: SystemTime) -> Option<&ClientCertificate> {
        let (client, in_force) = (self.client.as_ref()?, in_force?);
        let is_valid = now <= client.facts.not_after;
        (is_valid && (client.verified_by == *in_force || client.verifies_against(in_force, now)))
            .then_some(client)
    }

    /// The name that the client asked for.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }
}

impl ClientCertificate {
    /// The certificate that a handshake has verified. `None` if it cannot be read.
    #[must_use]
    pub fn verified(chain: &[CertificateDer<'_>], verified_by: &Authorities) -> Option<Self> {
        let facts = Facts::read(chain.first()?).ok()?;
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Some(Self { chain, facts, verified_by: verified_by.clone() })
    }

    /// The first of these names that the certificate has. The case of DNS names does not matter.
    #[must_use]
    pub fn one_of<'n>(&self, names: &'n [Arc<str>]) -> Option<&'n Arc<str>> {
        names.iter().find(|name| self.facts.names.iter().any(|own| own.eq_ignore_ascii_case(name)))
    }

    /// The certificate's first name, if it has a name that can be shown.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.facts.names.first().map(String::as_str)
    }

    fn verifies_against(&self, authorities: &Authorities, now: SystemTime) -> bool {
        let (Some(verifier), Some((own, others))) = (verifier(authorities), self.chain.split_first()) else {
            return false;
        };
        verifier.verify_client_cert(own, others, unix(now)).is_ok()
    }
}

/// Verifies the certificates of clients that send one.
#[must_use]
pub fn verifier(authorities: &Authorities) -> Option<Arc<dyn ClientCertVerifier>> {
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(authorities.roots()), Arc::clone(provider()));
    builder.allow_unauthenticated().build().ok()
}
