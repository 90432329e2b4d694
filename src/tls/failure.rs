//! Pure. How a handshake ended, for the metrics and the log.

use std::io;

use rustls::{CertificateError, Error};

/// How a handshake with a client ended. Each is a label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It succeeded, with a new session.
    Full,
    /// It succeeded, with a session that was resumed.
    Resumed,
    /// The client sent plain HTTP.
    PlainHttp,
    /// The client sent something else.
    NotTls,
    /// Client and gateway have no version or no cipher in common.
    Incompatible,
    /// The client refused the gateway's certificate.
    CertificateRefused,
    /// The client's own certificate did not verify.
    ClientCertificate,
    /// It was not complete in time.
    TimedOut,
    /// The client ended the connection.
    Closed,
    /// The connection was closed for another one, or there was no memory for it.
    Evicted,
    /// It was the check of an authority that speaks ACME. The connection then ends.
    AcmeChallenge,
    /// There is no certificate yet.
    NoCertificate,
    /// Any other failure.
    Failed,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 13] = [
        Self::Full,
        Self::Resumed,
        Self::PlainHttp,
        Self::NotTls,
        Self::Incompatible,
        Self::CertificateRefused,
        Self::ClientCertificate,
        Self::TimedOut,
        Self::Closed,
        Self::Evicted,
        Self::AcmeChallenge,
        Self::NoCertificate,
        Self::Failed,
    ];

    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "ok",
            Self::Resumed => "resumed",
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::Incompatible => "incompatible",
            Self::CertificateRefused => "certificate_refused",
            Self::ClientCertificate => "client_certificate",
            Self::TimedOut => "timeout",
            Self::Closed => "closed",
            Self::Evicted => "evicted",
            Self::AcmeChallenge => "acme_challenge",
            Self::NoCertificate => "no_certificate",
            Self::Failed => "failed",
        }
    }

    /// What the log says of it, and what to do. `None` if nothing is wrong, or nothing can be done.
    #[must_use]
    pub const fn advice(self) -> Option<&'static str> {
        match self {
            Self::PlainHttp => Some(
                "plain HTTP came to a TLS listener: the sender's URL must begin with https://, or it must use the port of \
                 [server] listen",
            ),
            Self::Incompatible => Some(
                "a client has no TLS version or cipher in common with this gateway: it is older than TLS 1.2, or [tls] \
                 min_version excludes it",
            ),
            Self::CertificateRefused => Some(
                "a client refused this gateway's certificate: it does not know the issuer (does the file have the whole \
                 chain?), the name is another, or the certificate has expired",
            ),
            Self::ClientCertificate => Some(
                "a client's certificate did not verify against [tls] client_ca: its connection is closed",
            ),
            Self::NoCertificate => Some(
                "there is no certificate yet for these names of [tls.acme]: the log says when it is ordered, and why it was \
                 not obtained",
            ),
            Self::Full
            | Self::Resumed
            | Self::NotTls
            | Self::TimedOut
            | Self::Closed
            | Self::Evicted
            | Self::AcmeChallenge
            | Self::Failed => None,
        }
    }

    /// The outcome of a handshake that ended with this error.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match of_rustls(error) {
            Some(error) => Self::of_tls(error),
            None if error.kind() == io::ErrorKind::TimedOut => Self::TimedOut,
            None if error.kind() == io::ErrorKind::OutOfMemory => Self::Evicted,
            None => Self::Closed,
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enums of rustls grow, and all others are one label"
    )]
    fn of_tls(error: &Error) -> Self {
        use rustls::AlertDescription as Alert;
        match error {
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::InvalidMessage(_) => Self::NotTls,
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Self::ClientCertificate,
            Error::AlertReceived(
                Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::NoCertificate,
            ) => Self::CertificateRefused,
            Error::AlertReceived(Alert::ProtocolVersion | Alert::HandshakeFailure) => Self::Incompatible,
            Error::AlertReceived(Alert::UserCanceled | Alert::CloseNotify) => Self::Closed,
            _ => Self::Failed,
        }
    }
}

/// Why an upstream's certificate does not verify, or its handshake fails, in words.
#[must_use]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enums of rustls grow, and its own words are good enough for others"
)]
pub fn explain(error: &io::Error) -> Option<String> {
    let Some(error) = of_rustls(error) else {
        let ended = error.kind() == io::ErrorKind::UnexpectedEof;
        return ended.then(|| "it closed the connection during the TLS handshake".to_owned());
    };
    let reason = match error {
        Error::InvalidCertificate(wrong) => match wrong {
            CertificateError::UnknownIssuer => {
                "its certificate is of an unknown issuer (for an upstream, `ca` names the issuer)".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("its certificate is for another name ({error})")
            }
            CertificateError::ApplicationVerificationFailure => {
                "its certificate is none of those that gateway.toml names".to_owned()
            }
            // Another authority has the same name. For example, two authorities were made with one subject.
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                "its certificate was not signed by the authority of that name (for an upstream, `ca` names the issuer)"
                    .to_owned()
            }
            // The text is compared, because rustls does not export the type of this error.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                "its certificate is an authority's, not a server's: make it with `basicConstraints=CA:FALSE`"
                    .to_owned()
            }
            _ => format!("its certificate does not verify ({error})"),
        },
        Error::InvalidMessage(_) => "it does not speak TLS on this port".to_owned(),
        Error::PeerIncompatible(_) => {
            format!("it has no TLS version or cipher in common with hookgate ({error})")
        }
        Error::AlertReceived(_) => format!("it ended the handshake ({error})"),
        _ => format!("the TLS handshake failed ({error})"),
    };
    Some(reason)
}

fn of_rustls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;
    use std::time::Duration;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use crate::tls::provider::provider;
    use crate::tls::sample::issued;

    /// `openssl req -x509` makes such a certificate.
    #[test]
    fn a_certificate_of_an_authority_is_named_as_the_reason() {
        let certificate = CertificateDer::from_pem_slice(issued(&["a.example"]).0.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider()))
            .build()
            .unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600));
        let name = ServerName::try_from("a.example").unwrap();
        let error = verifier.verify_server_cert(&certificate, &[], &name, &[], now).unwrap_err();
        let reason = explain(&io::Error::other(error)).unwrap();
        assert!(reason.contains("basicConstraints=CA:FALSE"), "{reason}");
    }

    /// Both certificates have the same subject, and different keys.
    #[test]
    fn a_certificate_that_another_authority_of_that_name_has_signed_is_named_as_the_reason() {
        let made = |is_authority| {
            let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
            params.is_ca = match is_authority {
                true => rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
                false => rcgen::IsCa::ExplicitNoCa,
            };
            params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone()
        };
        let mut roots = RootCertStore::empty();
        roots.add(made(true)).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider()))
            .build()
            .unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600));
        let name = ServerName::try_from("a.example").unwrap();
        let error = verifier.verify_server_cert(&made(false), &[], &name, &[], now).unwrap_err();
        let reason = explain(&io::Error::other(error)).unwrap();
        assert!(reason.contains("not signed by the authority of that name"), "{reason}");
    }
}
