//! Pure. Files in PEM that gateway.toml names: certificates, private keys, certificate authorities.

use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::config::environment::FileError;
use crate::config::sections::secret::Context;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{date, keys, placeholder, showable};
use crate::tls::authorities::Authorities;
use crate::tls::key_pair::{ChainFault, KeyPair, KeyPairError};

/// Reads a certificate and its key, which a table names with `cert` and `key`.
pub(crate) fn key_pair(item: &Item<'_>, context: Context<'_>) -> Option<KeyPair> {
    let help = item.write_this(EXAMPLE);
    let table = Table::of(item, "a certificate", &help, keys::KEY_PAIR)?;
    key_pair_in(&table, context)
}

/// Reads the certificate and its key that a table names with `cert` and `key`.
pub(crate) fn key_pair_in(table: &Table<'_>, context: Context<'_>) -> Option<KeyPair> {
    let cert = table.required("cert", "\"tls/fullchain.pem\"");
    let key = table.required("key", "\"tls/privkey.pem\"");
    let certificates = cert.as_ref().and_then(|cert| certificates(cert, context));
    let private = key.as_ref().and_then(|key| private_key(key, context));
    let (cert, key) = (cert?, key?);
    match KeyPair::read(&certificates?, &private?) {
        Ok(pair) => {
            judge(&cert, &pair, context.now)?;
            Some(pair)
        }
        Err(error) => {
            let (at, other, code, help) = match error {
                KeyPairError::NoCertificate | KeyPairError::BadCertificate(_) => (
                    &cert,
                    &key,
                    "certificate_unreadable",
                    "name the file that begins with `-----BEGIN CERTIFICATE-----`",
                ),
                KeyPairError::NoKey | KeyPairError::BadKey => (
                    &key,
                    &cert,
                    "certificate_unreadable",
                    "name the file with `-----BEGIN PRIVATE KEY-----`; keys are ECDSA (P-256, P-384, P-521), Ed25519 or RSA",
                ),
                KeyPairError::EncryptedKey => (
                    &key,
                    &cert,
                    "certificate_unreadable",
                    "decrypt it (openssl pkey -in FILE -out NEW), and let only hookgate's user read it",
                ),
                KeyPairError::Mismatch => (
                    &key,
                    &cert,
                    "certificate_mismatch",
                    "name the key with which this certificate was requested, and put the server's own certificate first \
                     in its file",
                ),
            };
            at.error(code, error.to_string())
                .related(other.span.clone(), "the other file")
                .help(help)
                .refuse(table.problems)
        }
    }
}

/// Reads the certificate authorities of a file.
pub(crate) fn authorities(item: &Item<'_>, context: Context<'_>) -> Option<Authorities> {
    let bytes = certificates(item, context)?;
    Authorities::read(&bytes).map_or_else(
        |error| {
            item.error("certificate_unreadable", error.to_string())
                .help("name a file with certificates in PEM, each between BEGIN CERTIFICATE and END CERTIFICATE")
                .refuse(item.problems)
        },
        Some,
    )
}

/// Judges a pair by the time and by its chain. `None` if it must not be used.
fn judge(cert: &Item<'_>, pair: &KeyPair, now: SystemTime) -> Option<()> {
    let facts = &pair.facts;
    if facts.not_after <= now {
        let message =
            format!("the certificate for {} has expired on {}", pair.label, date::show(facts.not_after));
        let help = "renew it: a client that verifies certificates does not connect";
        return cert.error("certificate_expired", message).help(help).refuse(cert.problems);
    }
    if facts.not_before > now {
        let message =
            format!("the certificate for {} is valid from {} only", pair.label, date::show(facts.not_before));
        let help = "check this machine's clock, or wait for that time";
        return cert.error("certificate_not_yet_valid", message).help(help).refuse(cert.problems);
    }
    if facts.is_overdue(now) {
        let message =
            format!("the certificate for {} expires on {}", pair.label, date::show(facts.not_after));
        cert.warning("certificate_expires", message).help("renew it now").report(cert.problems);
    }
    if !facts.has_alternative_names {
        let message =
            "this certificate has no subject alternative name of a host, and clients look nowhere else";
        cert.warning("certificate_names", message)
            .help("request one with the name that the sender calls as `subjectAltName`")
            .report(cert.problems);
    }
    match pair.chain_fault(now) {
        Some(ChainFault::Broken) => cert
            .warning(
                "certificate_chain",
                "the certificates behind the first one of this file did not sign it",
            )
            .help("put them in order: the server's own, then each that signed the one before it")
            .report(cert.problems),
        Some(ChainFault::Alone) => {
            let message = "this file has the server's own certificate alone: clients need those that lead to a root, too";
            crate::config::problem::Problem::note("certificate_alone", cert.span.clone(), message)
                .help("unless a root that clients know signed it directly, append the intermediate certificates (fullchain.pem)")
                .report(cert.problems);
        }
        None => {}
    }
    Some(())
}

fn certificates(item: &Item<'_>, context: Context<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let name = item.text("\"tls/fullchain.pem\"")?;
    match context.environment.certificates(&context.folder.join(name)) {
        Ok(file) => Some(file.bytes),
        Err(error) => unreadable(item, name, &error, context),
    }
}

fn private_key(item: &Item<'_>, context: Context<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let name = item.text("\"tls/privkey.pem\"")?;
    match context.environment.file(&context.folder.join(name)) {
        Ok(file) => {
            if file.readable_by_everyone {
                let shown = shown(name, context);
                item.warning("key_exposed", format!("every user of this machine can read {shown}"))
                    .help(format!("chmod o-r {shown}"))
                    .report(item.problems);
            }
            Some(file.bytes)
        }
        Err(error) => unreadable(item, name, &error, context),
    }
}

fn shown(name: &str, context: Context<'_>) -> String {
    if showable::value("file", name) {
        context.folder.join(name).to_string_lossy().into_owned()
    } else {
        "...".to_owned()
    }
}

fn unreadable<T>(item: &Item<'_>, name: &str, error: &FileError, context: Context<'_>) -> Option<T> {
    let shown = shown(name, context);
    let help = match error {
        FileError::Missing => placeholder::unexpanded(name)
            .unwrap_or("name a file that exists; a relative path begins at gateway.toml's folder")
            .to_owned(),
        FileError::Denied => {
            format!("let the user that hookgate runs as read it: chown, then chmod 400 {shown}")
        }
        FileError::NotFile(_) | FileError::TooLarge(_) | FileError::Other(_) => {
            "name a file in PEM".to_owned()
        }
    };
    item.error("certificate_unreadable", format!("{shown} cannot be read: {error}"))
        .help(help)
        .refuse(item.problems)
}

const EXAMPLE: &str = "{ cert = \"tls/fullchain.pem\", key = \"tls/privkey.pem\" }";

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::{Duration, SystemTime};

    use crate::config::environment::Fixed;
    use crate::config::read;
    use crate::tls::sample::{Sample, issued, lasting, self_signed, valid};

    /// The beginning of 2026.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    }

    /// The codes of all problems of a configuration with this certificate, and with further lines of a route.
    fn codes(cert: &str, key: &str, route: &str) -> Vec<&'static str> {
        let text = format!(
            "[tls]\nlisten = \"127.0.0.1:1\"\ncertificates = [{{ cert = \"a.pem\", key = \"a.key\" }}]\n\
             [signature]\nscheme = \"propify\"\nsecrets = [{{ env = \"KEY\" }}]\n\
             [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\n{route}\n"
        );
        let environment = Fixed::new(NonZeroUsize::MIN)
            .with_variable("KEY", "0123456789abcdef0123456789abcdef")
            .with_file("a.pem", cert)
            .with_file("a.key", key);
        let report = match read("gateway.toml", &text, &environment, now()) {
            Ok(loaded) => loaded.report,
            Err(report) => report,
        };
        report.problems.iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn a_pair_is_refused_if_it_does_not_match_is_no_pem_or_is_not_valid_now() {
        let Sample { cert, key } = self_signed(&["localhost"]);
        let none: [&str; 0] = [];
        assert_eq!(codes(&cert, &key, ""), none);
        let other = self_signed(&["localhost"]);
        let damaged = cert.replace("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA");
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let (past, future) = (valid(&["localhost"], (2020, 2026)), valid(&["localhost"], (2027, 2030)));
        for (cert, key, want) in [
            (cert.as_str(), other.key.as_str(), "certificate_mismatch"),
            ("", &key, "certificate_unreadable"),
            (&key, &key, "certificate_unreadable"),
            (&damaged, &key, "certificate_unreadable"),
            (&cert, "", "certificate_unreadable"),
            (&cert, &cert, "certificate_unreadable"),
            (&cert, encrypted, "certificate_unreadable"),
            (&past.cert, &past.key, "certificate_expired"),
            (&future.cert, &future.key, "certificate_not_yet_valid"),
        ] {
            assert_eq!(codes(cert, key, ""), [want], "{cert}{key}");
        }
    }

    #[test]
    fn a_certificate_is_warned_about_once_less_than_a_quarter_of_its_life_is_left_or_14_days() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        for (life, left, is_overdue) in
            [(90, 15, false), (90, 13, true), (45, 12, false), (45, 11, true), (6, 2, false), (6, 1, true)]
        {
            let Sample { cert, key } = lasting(&["localhost"], now() + DAY * left - DAY * life, DAY * life);
            let want: &[&str] = if is_overdue { &["certificate_expires"] } else { &[] };
            assert_eq!(codes(&cert, &key, ""), want, "{left} of {life} days");
        }
    }

    #[test]
    fn a_chain_that_does_not_lead_anywhere_is_reported() {
        let (authority, Sample { cert, key }) = issued(&["localhost"]);
        let (stranger, _) = issued(&["localhost"]);
        let none: [&str; 0] = [];
        assert_eq!(codes(&format!("{cert}{authority}"), &key, ""), none);
        assert_eq!(codes(&format!("{cert}{stranger}"), &key, ""), ["certificate_chain"]);
        assert_eq!(codes(&cert, &key, ""), ["certificate_alone"]);
    }

    #[test]
    fn a_certificate_is_for_the_names_that_senders_call() {
        let Sample { cert, key } = self_signed(&["hooks.example.com", "*.example.org"]);
        for (url, is_right) in [
            ("https://hooks.example.com", true),
            ("https://hooks.example.com:8443", true),
            ("https://a.example.org", true),
            ("http://other.example", true),
            ("https://example.org", false),
        ] {
            let found = codes(&cert, &key, &format!("public_url = \"{url}\""));
            assert_eq!(found.is_empty(), is_right, "{url} {found:?}");
        }
        let Sample { cert, key } = self_signed(&[]);
        assert_eq!(codes(&cert, &key, ""), ["certificate_names"]);
    }

    #[test]
    fn a_route_requires_certificates_only_if_clients_are_asked_for_them() {
        let Sample { cert, key } = self_signed(&["localhost"]);
        for lines in ["client_certificate = \"meta\"", "client_certificate = { names = [\"a\"] }"] {
            assert_eq!(codes(&cert, &key, lines), ["missing_client_ca"], "{lines}");
        }
        for lines in ["client_certificate = { names = [] }", "client_certificate = { names = [\"\"] }"] {
            assert_eq!(codes(&cert, &key, lines).len(), 2, "{lines}");
        }
    }
}
