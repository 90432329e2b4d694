//! Pure. `[tls]`: the listeners that speak TLS, their certificates, and the authorities of clients.

use std::sync::Arc;
use std::time::Duration;

use crate::config::address::{self, Listen};
use crate::config::choices::TLS_VERSIONS;
use crate::config::sections::secret::Context;
use crate::config::sections::{acme, pem_file};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Tls, keys};
use crate::tls::key_pair::KeyPair;
use crate::tls::server_config::{MinVersion, Settings};

/// Reads `[tls]`, with the places of its addresses. `None` if the table is missing.
pub(crate) fn read(root: &Table<'_>, context: Context<'_>) -> (Option<Tls>, Vec<Listen>) {
    let table = root.section("tls", "`[tls]`", keys::TLS);
    if !table.is_present() {
        return (None, Vec::new());
    }
    let has_addresses = table.required("listen", "\"0.0.0.0:8443\"").is_some();
    let listen = if has_addresses { address::listen_as_written(&table) } else { Vec::new() };
    let names_authorities = table.get("client_ca").is_some();
    let acme = table.get("acme");
    let item =
        if acme.is_some() { table.get("certificates") } else { table.required("certificates", EXAMPLE) };
    let certificates = item.map(|item| certificates(&item, context));
    let settings = Settings {
        certificates: certificates.unwrap_or_default(),
        min_version: table.choice("min_version", &TLS_VERSIONS, MinVersion::default()),
        handshake_timeout: table.duration("handshake_timeout", Duration::from_secs(10)),
        http2: table.flag("http2", true),
        client_ca: table.get("client_ca").and_then(|item| pem_file::authorities(&item, context)),
    };
    let acme =
        acme.and_then(|item| acme::read(&item, &settings.certificates, &listen, context)).map(Arc::new);
    let addresses = listen.iter().map(|listen| listen.address.clone()).collect();
    (Some(Tls { listen: addresses, settings, acme, names_authorities }), listen)
}

fn certificates(item: &Item<'_>, context: Context<'_>) -> Vec<KeyPair> {
    let Some(array) = item.array(&item.write(EXAMPLE)) else { return Vec::new() };
    if array.is_empty() {
        item.error("out_of_range", "there is no certificate to show")
            .help(item.write(EXAMPLE))
            .report(item.problems);
    }
    item.elements(array).filter_map(|element| pem_file::key_pair(&element, context)).collect()
}

const EXAMPLE: &str = "[{ cert = \"tls/fullchain.pem\", key = \"tls/privkey.pem\" }]";
