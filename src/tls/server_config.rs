//! Pure. The acceptor of one generation of the configuration: its certificates by name, its versions, its
//! tickets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, ServerConfig, ServerConnection,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureScheme, SupportedProtocolVersion, version};

use crate::tls::acme::challenge;
use crate::tls::acme::issued::Issued;
use crate::tls::authorities::Authorities;
use crate::tls::certificate::Facts;
use crate::tls::key_pair::KeyPair;
use crate::tls::provider::provider;
use crate::tls::session::{ClientCertificate, Session, verifier};

/// The settings of `[tls]`, without its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The certificates; at least one, unless they come from an authority. The first is the default.
    pub certificates: Vec<KeyPair>,
    /// The lowest version.
    pub min_version: MinVersion,
    /// The time for a handshake.
    pub handshake_timeout: Duration,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// The authorities of client certificates, if clients are asked for one.
    pub client_ca: Option<Authorities>,
}

/// The lowest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2
    #[default]
    Tls12,
    /// TLS 1.3
    Tls13,
}

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => rustls::ALL_VERSIONS,
            Self::Tls13 => ONLY_TLS13,
        }
    }
}

static ONLY_TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// Accepts TLS under one generation of the configuration.
pub struct Acceptor {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    settings: Settings,
    tickets: Arc<dyn ProducesTickets>,
}

impl Acceptor {
    /// The acceptor of these settings, without an authority. See [`Acceptor::issuing`].
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(settings: Settings, before: Option<&Self>) -> Result<Self, Error> {
        Self::issuing(settings, None, before)
    }

    /// The acceptor of these settings, and of certificates that an authority issues while the acceptor is in
    /// force. The acceptor resumes sessions of the acceptor `before`, unless `client_ca` has changed: the
    /// client certificate of a resumed session was verified when the session began.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn issuing(
        settings: Settings,
        issuing: Option<Issuing>,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let before = before.filter(|before| before.settings.client_ca == settings.client_ca);
        let tickets = before.map_or_else(Ticketer::new, |before| Ok(Arc::clone(&before.tickets)))?;
        let certificates = Arc::new(Certificates { files: settings.certificates.clone(), issuing });
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_protocol_versions(settings.min_version.versions())?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificates>::clone(&certificates);
        let mut config = builder
            .with_client_cert_verifier(client_verifier(settings.client_ca.as_ref())?)
            .with_cert_resolver(resolver);
        // The fastest cipher suite that the client offers: OpenSSL's clients prefer a slower one.
        config.ignore_client_order = true;
        let protocols: &[&[u8]] = if settings.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        if certificates.issuing.is_some() {
            // This protocol is the last in the list, so it is chosen only if the client offers none of
            // the others.
            config.alpn_protocols.push(challenge::PROTOCOL.to_vec());
        }
        // Sessions are kept by the clients, in tickets whose keys change every six hours.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&tickets);
        Ok(Self { config: Arc::new(config), certificates, settings, tickets })
    }

    /// The configuration in the form that rustls takes.
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The names of [`Issuing`] for which there is no certificate yet.
    #[must_use]
    pub fn missing(&self) -> Vec<Arc<str>> {
        let issuing = self.certificates.issuing.iter();
        issuing.flat_map(|issuing| issuing.missing().cloned()).collect()
    }

    /// What requests may know of a connection whose handshake is complete.
    #[must_use]
    pub fn session(&self, connection: &ServerConnection) -> Session {
        let server_name = connection.server_name().map(str::to_owned);
        let certificates = self.certificates.facts(server_name.as_deref());
        let chain = connection.peer_certificates().unwrap_or_default();
        let client = self.settings.client_ca.as_ref().and_then(|ca| ClientCertificate::verified(chain, ca));
        Session::new(server_name, certificates, client)
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn client_verifier(authorities: Option<&Authorities>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    match authorities {
        None => Ok(WebPkiClientVerifier::no_client_auth()),
        Some(authorities) => verifier(authorities)
            .ok_or_else(|| Error::General("no certificate authority of clients".to_owned())),
    }
}

/// The certificates that an authority issues for these names.
#[derive(Clone, Debug)]
pub struct Issuing {
    /// The names.
    pub domains: Vec<Arc<str>>,
    /// What was issued so far.
    pub issued: Arc<Issued>,
}

impl Issuing {
    /// The certificate for a name, if there is one.
    fn certificate(&self, name: &str) -> Option<KeyPair> {
        self.issued.certificate(self.domain(name)?)
    }

    /// The name of [`Issuing::domains`] that a client asks for.
    fn domain(&self, name: &str) -> Option<&Arc<str>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.domains.iter().find(|domain| domain.eq_ignore_ascii_case(name))
    }

    fn first(&self) -> Option<KeyPair> {
        self.domains.iter().find_map(|domain| self.issued.certificate(domain))
    }

    fn missing(&self) -> impl Iterator<Item = &Arc<str>> {
        self.domains.iter().filter(|domain| self.issued.certificate(domain).is_none())
    }
}

/// The certificates of files, the default first, and those of an authority.
#[derive(Debug)]
struct Certificates {
    files: Vec<KeyPair>,
    issuing: Option<Issuing>,
}

impl Certificates {
    /// The certificates that cover a name. If no certificate covers the name, or the client asks for no name:
    /// the default certificate. Files come before the authority.
    fn of(&self, name: Option<&str>) -> Vec<KeyPair> {
        let covers = |pair: &&KeyPair| name.is_some_and(|name| pair.facts.covers(name));
        let of_files: Vec<KeyPair> = self.files.iter().filter(covers).cloned().collect();
        if !of_files.is_empty() {
            return of_files;
        }
        let issuing = self.issuing.as_ref();
        let issued = issuing.zip(name).and_then(|(issuing, name)| issuing.certificate(name));
        let first = || self.files.first().cloned().or_else(|| issuing.and_then(Issuing::first));
        issued.or_else(first).into_iter().collect()
    }

    fn facts(&self, name: Option<&str>) -> Vec<Arc<Facts>> {
        self.of(name).into_iter().map(|pair| pair.facts).collect()
    }

    /// Of several certificates for a name, the first whose key the client can verify.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let all = self.of(name);
        let fits = |pair: &&KeyPair| pair.certified().key.choose_scheme(schemes).is_some();
        let chosen = all.iter().find(fits).or_else(|| all.first())?;
        Some(Arc::clone(chosen.certified()))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        if let Some(issuing) = &self.issuing
            && is_challenge(hello.alpn())
        {
            return issuing.issued.challenge(issuing.domain(name?)?);
        }
        self.choose(name, hello.signature_schemes())
    }
}

/// Whether a client offers the protocol of challenges alone (RFC 8737, section 3).
fn is_challenge<'h>(offered: Option<impl Iterator<Item = &'h [u8]>>) -> bool {
    let mut offered = offered.into_iter().flatten();
    offered.next() == Some(challenge::PROTOCOL) && offered.next().is_none()
}
