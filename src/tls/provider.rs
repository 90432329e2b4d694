//! Pure. The provider of cryptography for TLS: aws-lc-rs, and no other (docs/decisions/0007-tls.md).

use std::sync::{Arc, OnceLock};

use rustls::CipherSuite;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The provider. All parts of TLS share it.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.sort_by_key(|suite| !is_fastest(suite.suite()));
        Arc::new(provider)
    })
}

/// Whether processors compute all of a suite by instructions of their own. They have such instructions for
/// SHA-256, and mostly not for SHA-384, which the suites with AES-256 use. The keys of a handshake are
/// derived with this hash.
fn is_fastest(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_suites_come_first_and_none_is_left_out() {
        let suites: Vec<_> = provider().cipher_suites.iter().map(|suite| suite.suite()).collect();
        let first = suites.iter().take_while(|suite| is_fastest(**suite)).count();
        assert_eq!(first, 3, "{suites:?}");
        assert_eq!(suites.len(), aws_lc_rs::default_provider().cipher_suites.len());
    }
}
