//! Pure. Connectors for commands: one accepts the known certificates of a gateway, one accepts any
//! certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::tls::provider::provider;

/// Which certificates are trusted. Names, times and issuers are not checked.
#[derive(Clone, Debug)]
enum Trust {
    /// One of these.
    Known(Vec<CertificateDer<'static>>),
    /// Any certificate. Only for a request that contains no secret, and whose answer is not trusted.
    Any,
}

/// A configuration that trusts only these certificates.
///
/// # Errors
/// The provider has no version of TLS in common with this program, which does not occur.
pub(crate) fn known(certificates: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, Error> {
    config(Trust::Known(certificates))
}

/// A configuration that trusts any certificate.
///
/// # Errors
/// As [`known`].
pub(crate) fn any() -> Result<Arc<ClientConfig>, Error> {
    config(Trust::Any)
}

fn config(trust: Trust) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(rustls::ALL_VERSIONS)?.dangerous();
    let mut config = builder.with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self {
            Self::Known(certificates) if !certificates.contains(end_entity) => {
                // No verification of rustls ends like this.
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            Self::Known(_) | Self::Any => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
