//! Pure. Checks of routes against `[tls]`.

use crate::config::Tls;
use crate::config::problem::Problem;
use crate::config::sections::route_draft::Draft;
use crate::signature::public_url::{PublicUrl, PublicUrls};

/// Checks routes against `[tls]`. If a route requires client certificates, `[tls]` must ask clients for them.
/// The names that senders call must be in a certificate.
pub(super) fn check(drafts: &[Draft<'_>], tls: Option<&Tls>) {
    for draft in drafts {
        let table = &draft.table;
        let asks = tls.is_some_and(|tls| tls.names_authorities);
        if table.get("client_certificate").is_some() && !asks {
            let message =
                "no client is asked for a certificate, so every request of this route would be refused";
            Problem::error("missing_client_ca", table.place("client_certificate"), message)
                .help("name the authorities of the clients: `client_ca = \"clients.pem\"` in `[tls]`")
                .report(table.problems);
        }
        let Some(tls) = tls.filter(|tls| tls.acme.is_some() || !tls.settings.certificates.is_empty()) else {
            continue;
        };
        let is_covered = |host: &str| {
            tls.settings.certificates.iter().any(|pair| pair.facts.covers(host))
                || tls
                    .acme
                    .iter()
                    .flat_map(|acme| &acme.domains)
                    .any(|domain| domain.eq_ignore_ascii_case(host))
        };
        let mut hosts = draft.public_url.iter().flat_map(PublicUrls::iter).filter_map(PublicUrl::https_host);
        if let Some(host) = hosts.find(|host| !is_covered(host)) {
            let message = format!("no certificate of `[tls]` is for {host}");
            Problem::warning("certificate_names", table.place("public_url"), message)
                .help("add a certificate for this name, unless something else takes the sender's TLS")
                .report(table.problems);
        }
    }
}
