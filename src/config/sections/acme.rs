//! Pure. `[tls.acme]`: the names whose certificates an authority issues, and the authority.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;

use crate::config::address::Listen;
use crate::config::environment::StoreFault;
use crate::config::problem::Problem;
use crate::config::sections::pem_file;
use crate::config::sections::secret::{self, Context};
use crate::config::sections::secret_purpose::Purpose;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Address, keys, showable};
use crate::signature::secret::SecretEncoding;
use crate::tls::acme::settings::{ExternalAccount, LETS_ENCRYPT, Settings};
use crate::tls::authorities::Authorities;
use crate::tls::client_config::Connector;
use crate::tls::key_pair::KeyPair;

/// Reads `[tls.acme]`. `files` are the certificates of `[tls]`, and `listen` are its addresses.
pub(crate) fn read(
    item: &Item<'_>,
    files: &[KeyPair],
    listen: &[Listen],
    context: Context<'_>,
) -> Option<Settings> {
    let table = Table::of(item, "`[tls.acme]`", "write its keys under `[tls.acme]`", keys::ACME)?;
    let domains = table.required("domains", DOMAINS).map(|item| domains(&item, files)).unwrap_or_default();
    let storage = table.required("storage", STORAGE).and_then(|item| storage(&item, context));
    let contact = table.get("contact").map(|item| contact(&item)).unwrap_or_default();
    let directory = match table.get("directory") {
        None => Some(LETS_ENCRYPT.to_owned()),
        Some(item) => directory(&item),
    };
    let authorities = match table.get("directory_ca") {
        Some(item) => pem_file::authorities(&item, context),
        None => {
            check_port(&table, listen);
            Authorities::of_system(context.environment.system_roots()).or_else(|| no_roots(&table))
        }
    };
    let external_account = match table.get("external_account") {
        Some(item) => external_account(&item, context).map(Some),
        None => Some(None),
    };
    let connector = Connector::new(authorities?, None).ok()?;
    let (directory, storage, external_account) = (directory?, storage?, external_account?);
    Some(Settings { domains, contact, directory, connector, storage, external_account })
}

fn external_account(item: &Item<'_>, context: Context<'_>) -> Option<ExternalAccount> {
    let table = Table::of(item, "`external_account`", &item.write(EXTERNAL_ACCOUNT), keys::EXTERNAL_ACCOUNT)?;
    let key_id = table.required("key_id", "\"kid-1\"").and_then(|item| {
        let text = item.text("\"kid-1\"")?;
        let is_identifier = !text.is_empty() && !text.contains(char::is_control);
        if is_identifier {
            return Some(text.to_owned());
        }
        let help = "write the identifier as the authority shows it";
        item.error("bad_key_id", "this is no identifier of a key").help(help).refuse(item.problems)
    });
    let key = table.required("key", EXTERNAL_ACCOUNT_KEY).and_then(|item| {
        let help = item.write(EXTERNAL_ACCOUNT_KEY);
        let table = Table::of(&item, "`key` of `external_account`", &help, keys::EXTERNAL_ACCOUNT_KEY)?;
        secret::key_of(&table, Purpose::AcmeAccount, SecretEncoding::Base64, context)
    });
    Some(ExternalAccount { key_id: key_id?, key: Arc::new(key?) })
}

fn no_roots<T>(table: &Table<'_>) -> Option<T> {
    let message =
        "this system trusts no certificate authority, so the server of `directory` cannot be verified";
    Problem::error("no_roots", table.span(), message)
        .help("install the package ca-certificates, or name an authority with `directory_ca`")
        .refuse(table.problems)
}

/// The authority connects to port 443 (RFC 8737, section 3). Another port may be right behind a balancer.
fn check_port(table: &Table<'_>, listen: &[Listen]) {
    let is_443 = |listen: &Listen| match &listen.address {
        Address::Tcp(address) => address.port() == 443,
        Address::Unix(_) => false,
    };
    if !listen.is_empty() && !listen.iter().any(is_443) {
        let message = "the authority connects to port 443 of each name, and `[tls]` does not listen there";
        Problem::note("acme_port", table.place("domains"), message)
            .help("forward port 443 to this listener without taking its TLS, or listen on 0.0.0.0:443")
            .report(table.problems);
    }
}

fn domains(item: &Item<'_>, files: &[KeyPair]) -> Vec<Arc<str>> {
    let Some(array) = item.array(&item.write(DOMAINS)) else { return Vec::new() };
    if array.is_empty() {
        item.error("out_of_range", "there is no name to obtain a certificate for")
            .help(item.write(DOMAINS))
            .report(item.problems);
    }
    let mut all: Vec<Arc<str>> = Vec::new();
    for element in item.elements(array) {
        let Some(domain) = domain(&element) else { continue };
        if all.contains(&domain) {
            element
                .error("duplicate_name", "this name is listed twice")
                .help("remove one")
                .report(item.problems);
            continue;
        }
        if files.iter().any(|pair| pair.facts.covers(&domain)) {
            let message =
                format!("a certificate of `certificates` covers {domain}, and is shown in place of this one");
            element.warning("acme_unused", message).help("remove one of them").report(item.problems);
        }
        all.push(domain);
    }
    all
}

fn domain(item: &Item<'_>) -> Option<Arc<str>> {
    let text = item.text("\"hooks.example.com\"")?;
    let (message, help) = if text.starts_with("*.") {
        (
            "no certificate with a wildcard can be obtained in this way (TLS-ALPN-01)",
            "list each name, or obtain it by DNS-01 with another client, and name its files in `certificates`",
        )
    } else if text.parse::<IpAddr>().is_ok() {
        (
            "certificates are obtained for names, and this is an IP address",
            "write a name that leads to this gateway",
        )
    } else if !text.is_ascii() {
        ("this name is not in ASCII", "write it as DNS has it, with `xn--`")
    } else if !is_name(text) {
        ("this is no name of DNS", "write the host alone, without scheme, port and path: `hooks.example.com`")
    } else {
        return Some(text.to_ascii_lowercase().into());
    };
    item.error("bad_domain", message).help(help).refuse(item.problems)
}

fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn contact(item: &Item<'_>) -> Vec<String> {
    if item.value.as_str().is_some() {
        return mail(item).into_iter().collect();
    }
    let Some(array) = item.array(&item.write(CONTACT)) else { return Vec::new() };
    item.elements(array).filter_map(|element| mail(&element)).collect()
}

fn mail(item: &Item<'_>) -> Option<String> {
    let text = item.text(CONTACT)?;
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_address = address.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty()
            && !host.is_empty()
            && !host.contains('@')
            && address.bytes().all(|b| b.is_ascii_graphic())
    });
    if is_address {
        return Some(format!("mailto:{address}"));
    }
    item.error("bad_contact", "this is no mail address").help(item.write_this(CONTACT)).refuse(item.problems)
}

fn directory(item: &Item<'_>) -> Option<String> {
    let text = item.text(&format!("\"{LETS_ENCRYPT}\""))?;
    let is_url = text.starts_with("https://")
        && text.parse::<Uri>().is_ok_and(|url| {
            url.authority()
                .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
        });
    if is_url {
        return Some(text.to_owned());
    }
    item.error("bad_directory", "the directory of an authority is an https URL")
        .help(item.write(&format!("\"{LETS_ENCRYPT}\"")))
        .refuse(item.problems)
}

fn storage(item: &Item<'_>, context: Context<'_>) -> Option<PathBuf> {
    let text = item.text(STORAGE)?;
    if text.is_empty() || text.contains(char::is_control) {
        return item
            .error("bad_storage", "not the path of a folder")
            .help(item.write(STORAGE))
            .refuse(item.problems);
    }
    let path = context.folder.join(text);
    let within = context.environment.store(&path.join("lock"));
    let usable = match within {
        // The folder is made, if its parent allows it.
        Err(StoreFault::NoFolder) => context.environment.store(&path),
        other => other,
    };
    if let Err(fault) = usable {
        warn_of(item, text, &path, fault);
    }
    Some(path)
}

/// A warning and no error, because the path may be right for the user or the container of the running
/// gateway.
fn warn_of(item: &Item<'_>, text: &str, path: &Path, fault: StoreFault) {
    let path = if showable::value("storage", text) { path.display().to_string() } else { "...".to_owned() };
    let message = match fault {
        StoreFault::NoFolder => format!("the folder around {path} does not exist"),
        StoreFault::NotFolder => format!("{path} is not a folder"),
        StoreFault::FolderDenied | StoreFault::Denied => format!("this user may not write to {path}"),
        StoreFault::ReadOnly => format!("{path} is on a disk that is read-only here"),
    };
    item.warning("storage_unusable", message)
        .help("make it for the user that hookgate runs as: `install -d -m 0700 -o USER FOLDER`")
        .report(item.problems);
}

const DOMAINS: &str = "[\"hooks.example.com\"]";
const STORAGE: &str = "\"/var/lib/hookgate/acme\"";
const CONTACT: &str = "\"ops@example.com\"";
const EXTERNAL_ACCOUNT: &str = "{ key_id = \"kid-1\", key = { file = \"/run/secrets/acme-key\" } }";
const EXTERNAL_ACCOUNT_KEY: &str = "{ file = \"/run/secrets/acme-key\" }";

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use super::*;
    use crate::config::environment::Fixed;
    use crate::tls::sample::{issued, self_signed};

    fn read(
        lines: &str,
        route: &str,
        change: impl FnOnce(Fixed) -> Fixed,
    ) -> (Option<Settings>, Vec<&'static str>) {
        let text = format!(
            "[tls]\nlisten = \"127.0.0.1:443\"\n{lines}\n[signature]\nscheme = \"propify\"\n\
             secrets = [{{ env = \"KEY\" }}]\n[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\n{route}\n"
        );
        let own = self_signed(&["own.example"]);
        let environment = Fixed::new(NonZeroUsize::MIN)
            .with_variable("KEY", "0123456789abcdef0123456789abcdef")
            .with_file("ca.pem", issued(&["ca"]).0)
            .with_file("own.pem", own.cert)
            .with_file("own.key", own.key);
        match crate::config::read("gateway.toml", &text, &change(environment), SystemTime::now()) {
            Ok(loaded) => {
                let acme = loaded.config.tls.and_then(|tls| tls.acme).map(|acme| (*acme).clone());
                (acme, loaded.report.problems.iter().map(|problem| problem.code).collect())
            }
            Err(report) => (None, report.problems.iter().map(|problem| problem.code).collect()),
        }
    }

    fn codes(acme: &str) -> Vec<&'static str> {
        read(&format!("[tls.acme]\nstorage = \"acme\"\ndirectory_ca = \"ca.pem\"\n{acme}"), "", |it| it).1
    }

    #[test]
    fn names_are_those_that_tls_alpn_01_can_prove() {
        let none: [&str; 0] = [];
        for good in ["[\"hooks.example.com\"]", "[\"localhost\", \"a.b\"]", "[\"xn--bcher-kva.example\"]"] {
            assert_eq!(codes(&format!("domains = {good}")), none, "{good}");
        }
        for bad in [
            "*.example.com",
            "127.0.0.1",
            "::1",
            "bücher.example",
            "a.example:443",
            "https://a",
            "a..b",
            "-a.b",
            "",
        ] {
            assert_eq!(codes(&format!("domains = [\"{bad}\"]")), ["bad_domain"], "{bad}");
        }
        assert_eq!(codes("domains = []"), ["out_of_range"]);
        assert_eq!(codes("domains = [\"a.example\", \"A.example\"]"), ["duplicate_name"]);
        assert_eq!(codes(""), ["missing_key"]);
    }

    #[test]
    fn a_directory_is_an_https_url_and_a_contact_a_mail_address() {
        let with = |line: &str| codes(&format!("domains = [\"a.example\"]\n{line}"));
        let none: [&str; 0] = [];
        for good in
            ["directory = \"https://localhost:14000/dir\"", "contact = \"mailto:a@b\"", "contact = [\"a@b\"]"]
        {
            assert_eq!(with(good), none, "{good}");
        }
        for bad in
            ["http://a.example/dir", "https://", "https://a b/", "https://u:p@a.example/", "letsencrypt"]
        {
            assert_eq!(with(&format!("directory = \"{bad}\"")), ["bad_directory"], "{bad}");
        }
        for bad in ["\"ops\"", "[\"@b\"]", "[\"a@b@c\"]"] {
            assert_eq!(with(&format!("contact = {bad}")), ["bad_contact"], "{bad}");
        }
    }

    #[test]
    fn an_external_account_has_an_identifier_and_a_key_in_base64() {
        let acme = "[tls.acme]\nstorage = \"acme\"\ndirectory_ca = \"ca.pem\"\ndomains = [\"a.example\"]\n";
        let with = |line: &str| {
            let key = |it: Fixed| {
                it.with_file("eab", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n")
            };
            read(&format!("{acme}external_account = {line}"), "", key)
        };
        let (settings, found) = with("{ key_id = \"kid-1\", key = { file = \"eab\" } }");
        assert_eq!(found, ["secret_newline"]);
        let account = settings.unwrap().external_account.unwrap();
        assert_eq!((&*account.key_id, account.key.len()), ("kid-1", 48));
        for (bad, code) in [
            ("{ key_id = \"kid-1\" }", "missing_key"),
            ("{ key = { file = \"eab\" } }", "missing_key"),
            ("{ key_id = \"\", key = { file = \"eab\" } }", "bad_key_id"),
            ("{ key_id = \"kid-1\", key = { file = \"none\" } }", "secret_unreadable"),
            ("{ key_id = \"kid-1\", key = { env = \"NONE\" } }", "secret_unset"),
        ] {
            assert!(with(bad).1.contains(&code), "{bad}: {:?}", with(bad).1);
        }
    }

    #[test]
    fn certificates_are_needed_only_without_an_authority() {
        let acme = "[tls.acme]\nstorage = \"acme\"\ndirectory_ca = \"ca.pem\"\ndomains = [\"Hooks.example\"]";
        let (settings, found) = read(acme, "", |it| it);
        let settings = settings.unwrap();
        assert!(found.is_empty(), "{found:?}");
        assert_eq!((&*settings.domains[0], settings.directory.as_str()), ("hooks.example", LETS_ENCRYPT));
        assert_eq!(read("", "", |it| it).1, ["missing_key"]);
        let files = "certificates = [{ cert = \"own.pem\", key = \"own.key\" }]";
        assert_eq!(read(&format!("{files}\n{acme}"), "", |it| it).1, [""; 0]);
        let both = acme.replace("Hooks", "own");
        assert_eq!(read(&format!("{files}\n{both}"), "", |it| it).1, ["acme_unused"]);
        for (url, is_right) in [("https://hooks.example", true), ("https://other.example", false)] {
            let found = read(acme, &format!("public_url = \"{url}\""), |it| it).1;
            assert_eq!(found.is_empty(), is_right, "{url} {found:?}");
        }
    }

    #[test]
    fn a_public_authority_needs_the_systems_roots_and_port_443() {
        let acme = "[tls.acme]\nstorage = \"acme\"\ndomains = [\"a.example\"]";
        assert_eq!(read(acme, "", |it| it).1, ["no_roots"]);
        let roots = |it: Fixed| {
            use rustls::pki_types::pem::PemObject as _;
            it.with_system_root(
                rustls::pki_types::CertificateDer::from_pem_slice(issued(&["ca"]).0.as_bytes()).unwrap(),
            )
        };
        assert_eq!(read(acme, "", roots).1, [""; 0]);
        let elsewhere =
            format!("{acme}\n[server]\n").replace("[tls.acme]", "min_version = \"1.2\"\n[tls.acme]");
        assert_eq!(read(&elsewhere, "", roots).1, [""; 0]);
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_warned_about() {
        let acme = "[tls.acme]\nstorage = \"acme\"\ndirectory_ca = \"ca.pem\"\ndomains = [\"a.example\"]";
        let denied = |it: Fixed| it.with_bad_store("acme/lock", StoreFault::FolderDenied);
        assert_eq!(read(acme, "", denied).1, ["storage_unusable"]);
        let missing = |it: Fixed| it.with_bad_store("acme/lock", StoreFault::NoFolder);
        assert_eq!(read(acme, "", missing).1, [""; 0], "it is made");
        let no_parent = |it| missing(it).with_bad_store("acme", StoreFault::NoFolder);
        assert_eq!(read(acme, "", no_parent).1, ["storage_unusable"]);
    }
}
