//! Shell. TLS to the server: which checks of the certificate `sslmode` asks for.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::{PostgresAddress, ServerTls};
use crate::queue::postgres::error::{Error, Result};
use crate::tls::authorities::Authorities;
use crate::tls::certificate::Facts;
use crate::tls::provider::provider;

/// The settings of TLS for a server; `None` if the connection is not encrypted.
pub(super) fn settings(address: &PostgresAddress) -> Result<Option<ClientConfig>> {
    let builder = || {
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
        builder.with_protocol_versions(rustls::DEFAULT_VERSIONS).map_err(|error| Error::Tls(Box::new(error)))
    };
    let with = |trust, names| Arc::new(Verifier { trust: Some(trust), names });
    let verifier = match (address.tls, &address.roots) {
        (ServerTls::Disable, _) => return Ok(None),
        (ServerTls::VerifyFull, roots) => with(Trust::of(roots.as_deref())?, true),
        (ServerTls::VerifyCa, roots) => with(Trust::of(roots.as_deref())?, false),
        // Like libpq: an existing file of authorities is used.
        (ServerTls::Require, Some(roots)) => with(Trust::of(Some(roots))?, false),
        (ServerTls::Require | ServerTls::Prefer, _) => Arc::new(Verifier { trust: None, names: false }),
    };
    let builder = builder()?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(Some(builder.with_no_client_auth()))
}

/// The trusted certificates: the certificates of a file, or the system's authorities.
#[derive(Debug)]
struct Trust {
    roots: Arc<RootCertStore>,
    /// The certificates of the file. As in libpq, the server's own certificate may be one of them, if it is
    /// self-signed.
    file: Vec<CertificateDer<'static>>,
}

impl Trust {
    fn of(path: Option<&Path>) -> Result<Self> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| Error::Tls(error);
        let (authorities, file) = match path {
            Some(path) => {
                let shown = path.display();
                let pem = fs::read(path)
                    .map_err(|error| failed(format!("cannot read `sslrootcert` {shown}: {error}").into()))?;
                let authorities = Authorities::read(&pem)
                    .map_err(|error| failed(format!("`sslrootcert` {shown}: {error}").into()))?;
                (authorities, CertificateDer::pem_slice_iter(&pem).flatten().collect())
            }
            None => {
                let authorities = Authorities::of_system(rustls_native_certs::load_native_certs().certs)
                    .ok_or_else(|| failed("this system trusts no certificate authority".into()))?;
                (authorities, Vec::new())
            }
        };
        Ok(Self { roots: Arc::clone(authorities.roots()), file })
    }

    /// Checks that the server's certificate is trusted and valid now.
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> std::result::Result<(), rustls::Error> {
        let facts = Facts::read(certificate).map_err(|_malformed| CertificateError::BadEncoding)?;
        if facts.is_issued || !self.file.contains(certificate) {
            let parsed = ParsedCertificate::try_from(certificate)?;
            let algorithms = provider().signature_verification_algorithms.all;
            return verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots,
                intermediates,
                now,
                algorithms,
            );
        }
        let now = UNIX_EPOCH.checked_add(Duration::from_secs(now.as_secs()));
        match now {
            Some(now) if now < facts.not_before => Err(CertificateError::NotValidYet.into()),
            Some(now) if now <= facts.not_after => Ok(()),
            Some(_) | None => Err(CertificateError::Expired.into()),
        }
    }
}

/// Checks the server's certificate as `sslmode` asks for.
///
/// Without `trust`, any certificate is accepted: the connection is encrypted, but an attacker who can change
/// it on the way can also read it. Without `names`, the certificate may be for any name.
/// `sslmode=verify-full` is for networks that are not trusted.
#[derive(Debug)]
struct Verifier {
    trust: Option<Trust>,
    names: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if let Some(trust) = &self.trust {
            trust.check(end_entity, intermediates, now)?;
        }
        if self.names {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::sample::{issued, self_signed, valid};

    #[test]
    fn a_file_of_authorities_that_cannot_be_read_is_named() {
        let error = Trust::of(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        let text = crate::upstream::error::chain(&error);
        assert!(text.contains("cannot read `sslrootcert` /nowhere/ca.pem"), "{text}");
    }

    /// The result of a verifier with this file for a server's certificate.
    fn judged(
        file: &str,
        certificate: &str,
        names: bool,
        name: &str,
    ) -> std::result::Result<(), rustls::Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, file).unwrap();
        let verifier = Verifier { trust: Some(Trust::of(Some(&path)).unwrap()), names };
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], now).map(drop)
    }

    #[test]
    fn a_self_signed_certificate_is_trusted_if_the_file_has_it() {
        let name = "db.example.org";
        let own = self_signed(&[name]).cert;
        assert_eq!(judged(&own, &own, true, name), Ok(()));
        assert!(judged(&own, &own, true, "other.example.org").is_err());
        assert_eq!(judged(&own, &own, false, "other.example.org"), Ok(()));
        assert!(judged(&own, &self_signed(&[name]).cert, false, name).is_err());
        let old = valid(&[name], (1970, 1980)).cert;
        assert_eq!(judged(&old, &old, true, name), Err(CertificateError::Expired.into()));
        // A server must not show the certificate of an authority as its own, unless the file has this
        // certificate.
        let (authority, of_server) = issued(&[name]);
        assert_eq!(judged(&authority, &authority, false, name), Ok(()));
        assert_eq!(judged(&authority, &of_server.cert, true, name), Ok(()));
        assert!(judged(&own, &of_server.cert, false, name).is_err());
        // A certificate that an authority has issued is not an authority.
        assert!(judged(&of_server.cert, &of_server.cert, false, name).is_err());
    }
}
