//! Pure. The listeners of a configuration and their certificates, as tables and as JSON.

use serde_json::{Value, json};

use super::table::aligned;
use crate::config::{Address, Config, date};
use crate::tls::key_pair::KeyPair;
use crate::tls::server_config::{MinVersion, Settings};

/// A listener.
struct Row<'c> {
    address: &'c Address,
    speaks: &'static str,
    versions: Versions,
    clients: &'static str,
}

/// The versions of HTTP that a listener serves.
#[derive(Clone, Copy)]
enum Versions {
    /// HTTP/1.1, and 1.0.
    Http1,
    /// HTTP/2 too, to clients that choose it in the TLS handshake.
    Http2,
    /// HTTP/2 too, to clients that begin with it (h2c).
    Http2Plain,
}

impl Versions {
    fn of(with_http2: bool, also: Self) -> Self {
        if with_http2 { also } else { Self::Http1 }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Http1 => "1.1",
            Self::Http2 => "1.1, 2",
            Self::Http2Plain => "1.1, 2 (h2c)",
        }
    }

    const fn list(self) -> &'static [&'static str] {
        match self {
            Self::Http1 => &["1.1"],
            Self::Http2 | Self::Http2Plain => &["1.1", "2"],
        }
    }
}

/// The lines of the table of listeners: a heading, and a line for each.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let headings = ["LISTENER", "SPEAKS", "HTTP", "FOR"].map(str::to_owned);
    let rows = rows(config).map(|row| {
        let [speaks, versions, clients] = [row.speaks, row.versions.text(), row.clients].map(str::to_owned);
        [row.address.to_string(), speaks, versions, clients]
    });
    let rows: Vec<_> = std::iter::once(headings).chain(rows).collect();
    aligned(&rows)
}

/// The lines of the table of certificates: a heading, and a line for each. Empty if there is no certificate.
pub(super) fn certificate_lines(config: &Config) -> Vec<String> {
    let headings = ["CERTIFICATE", "EXPIRES", "TABLE"].map(str::to_owned);
    let rows = certificates(config)
        .map(|(pair, table)| [names(pair).join(", "), date::show(pair.facts.not_after), table.to_owned()]);
    let rows: Vec<_> = std::iter::once(headings).chain(rows).collect();
    if rows.len() > 1 { aligned(&rows) } else { Vec::new() }
}

/// The listeners, with a document for each.
pub(super) fn documents(config: &Config) -> Vec<Value> {
    let document = |row: Row<'_>| {
        json!({
            "address": row.address.to_string(),
            "speaks": row.speaks,
            "http": row.versions.list(),
            "for": row.clients,
        })
    };
    rows(config).map(document).collect()
}

/// The certificates, with a document for each.
pub(super) fn certificate_documents(config: &Config) -> Vec<Value> {
    let document = |(pair, table): (&KeyPair, &str)| json!({ "names": names(pair), "expires": date::show(pair.facts.not_after), "table": table });
    certificates(config).map(document).collect()
}

fn rows(config: &Config) -> impl Iterator<Item = Row<'_>> {
    let plain = config.server.listen.iter().map(|address| {
        let versions = Versions::of(config.server.h2c, Versions::Http2Plain);
        Row { address, speaks: HTTP, versions, clients: SENDERS }
    });
    let tls = config.tls.iter().flat_map(|tls| {
        let speaks = over_tls(&tls.settings);
        let versions = Versions::of(tls.settings.http2, Versions::Http2);
        tls.listen.iter().map(move |address| Row { address, speaks, versions, clients: SENDERS })
    });
    let admin = config.admin.iter().flat_map(|admin| {
        admin.listen.iter().map(move |address| {
            let settings = admin.tls.as_ref().filter(|_settings| address.tcp().is_some());
            let speaks = settings.map_or(HTTP, over_tls);
            Row { address, speaks, versions: Versions::Http1, clients: OPERATORS }
        })
    });
    plain.chain(tls).chain(admin)
}

fn certificates(config: &Config) -> impl Iterator<Item = (&KeyPair, &'static str)> {
    let tls = config.tls.iter().flat_map(|tls| &tls.settings.certificates).map(|pair| (pair, "[tls]"));
    let admin = config.admin.iter().filter_map(|admin| admin.tls.as_ref());
    tls.chain(admin.flat_map(|settings| &settings.certificates).map(|pair| (pair, "[admin]")))
}

/// The names of a certificate, its hosts first.
fn names(pair: &KeyPair) -> Vec<String> {
    let hosts: Vec<_> = pair.facts.hosts.iter().map(ToString::to_string).collect();
    if hosts.is_empty() { vec![pair.label.to_string()] } else { hosts }
}

fn over_tls(settings: &Settings) -> &'static str {
    match settings.min_version {
        MinVersion::Tls12 => "https (TLS 1.2, 1.3)",
        MinVersion::Tls13 => "https (TLS 1.3)",
    }
}

const HTTP: &str = "http";
const SENDERS: &str = "senders";
const OPERATORS: &str = "operators";

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use super::*;
    use crate::config::environment::Fixed;
    use crate::config::read;
    use crate::tls::sample::valid;

    #[test]
    fn each_listener_and_each_certificate_has_one_line() {
        let (one, other) =
            (valid(&["hooks.example.com", "*.example.org"], (1970, 2030)), valid(&["gateway"], (1970, 2031)));
        let environment = Fixed::new(NonZeroUsize::MIN)
            .with_variable("KEY", "0123456789abcdef0123456789abcdef")
            .with_file("a.pem", one.cert)
            .with_file("a.key", one.key)
            .with_file("b.pem", other.cert)
            .with_file("b.key", other.key);
        let text = "[server]\nlisten = [\"127.0.0.1:8080\", \"unix:/run/a\"]\n\
                    [tls]\nlisten = \"0.0.0.0:443\"\ncertificates = [{ cert = \"a.pem\", key = \"a.key\" }]\nmin_version = \"1.3\"\n\
                    [admin]\nlisten = [\"0.0.0.0:9901\", \"unix:/run/b\"]\ntls = { cert = \"b.pem\", key = \"b.key\" }\n\
                    [signature]\nscheme = \"propify\"\nsecrets = [{ env = \"KEY\" }]\n\
                    [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\n";
        let config = read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH).unwrap().config;
        assert_eq!(
            lines(&config),
            [
                "LISTENER        SPEAKS                HTTP    FOR",
                "127.0.0.1:8080  http                  1.1     senders",
                "unix:/run/a     http                  1.1     senders",
                "0.0.0.0:443     https (TLS 1.3)       1.1, 2  senders",
                "0.0.0.0:9901    https (TLS 1.2, 1.3)  1.1     operators",
                "unix:/run/b     http                  1.1     operators",
            ]
        );
        assert_eq!(
            certificate_lines(&config),
            [
                "CERTIFICATE                       EXPIRES               TABLE",
                "hooks.example.com, *.example.org  2030-01-01T00:00:00Z  [tls]",
                "gateway                           2031-01-01T00:00:00Z  [admin]",
            ]
        );
        let documents = documents(&config);
        assert_eq!((documents.len(), &documents[2]["http"]), (5, &json!(["1.1", "2"])));
        assert_eq!(certificate_documents(&config)[0]["names"][1], "*.example.org");
        let other = text
            .replace("[server]", "[server]\nh2c = true")
            .replace("min_version", "http2 = false\nmin_version");
        let config = read("gateway.toml", &other, &environment, SystemTime::UNIX_EPOCH).unwrap().config;
        let versions: Vec<_> = rows(&config).map(|row| row.versions.text()).collect();
        assert_eq!(versions, ["1.1, 2 (h2c)", "1.1, 2 (h2c)", "1.1", "1.1", "1.1"]);
    }
}
