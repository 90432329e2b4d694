//! Shell. TLS to the server: which checks of the certificate `sslmode` asks for.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::{PostgresAddress, ServerTls};
use crate::queue::postgres::error::{Error, Result};
use crate::tls::authorities::Authorities;
use crate::tls::provider::provider;

/// The settings of TLS for a server; `None` if the connection is not encrypted.
pub(super) fn settings(address: &PostgresAddress) -> Result<Option<ClientConfig>> {
    let builder = || {
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
        builder.with_protocol_versions(rustls::DEFAULT_VERSIONS).map_err(|error| Error::Tls(Box::new(error)))
    };
    let chain_only = |roots| Arc::new(AnyName { check: Some(roots) });
    let verifier = match (address.tls, &address.roots) {
        (ServerTls::Disable, _) => return Ok(None),
        (ServerTls::VerifyFull, roots) => {
            let roots = roots_of(roots.as_deref())?;
            return Ok(Some(builder()?.with_root_certificates(roots).with_no_client_auth()));
        }
        (ServerTls::VerifyCa, roots) => chain_only(roots_of(roots.as_deref())?),
        // Like libpq: an existing file of authorities is used.
        (ServerTls::Require, Some(roots)) => chain_only(roots_of(Some(roots))?),
        (ServerTls::Require | ServerTls::Prefer, _) => Arc::new(AnyName { check: None }),
    };
    let builder = builder()?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(Some(builder.with_no_client_auth()))
}

/// The authorities of a file, or the system's.
fn roots_of(path: Option<&Path>) -> Result<Arc<RootCertStore>> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| Error::Tls(error);
    let authorities = match path {
        Some(path) => {
            let shown = path.display();
            let pem = fs::read(path)
                .map_err(|error| failed(format!("cannot read `sslrootcert` {shown}: {error}").into()))?;
            Authorities::read(&pem)
                .map_err(|error| failed(format!("`sslrootcert` {shown}: {error}").into()))?
        }
        None => Authorities::of_system(rustls_native_certs::load_native_certs().certs)
            .ok_or_else(|| failed("this system trusts no certificate authority".into()))?,
    };
    Ok(Arc::clone(authorities.roots()))
}

/// Accepts a certificate for any name: a certificate of an authority, or any certificate. The connection is
/// encrypted, but an attacker who can change it on the way can also read it. `sslmode=verify-full` is for
/// networks that are not trusted.
#[derive(Debug)]
struct AnyName {
    check: Option<Arc<RootCertStore>>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.check {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = provider().signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
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

    #[test]
    fn a_file_of_authorities_that_cannot_be_read_is_named() {
        let error = roots_of(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        let text = crate::upstream::error::chain(&error);
        assert!(text.contains("cannot read `sslrootcert` /nowhere/ca.pem"), "{text}");
    }
}
