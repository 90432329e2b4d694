//! Pure. Reads `client_address`: the proxies that report the client of each request, and the field for it.

use crate::admission::client::Network;
use crate::admission::trusted_proxies::{ClientField, TrustedProxies};
use crate::config::keys;
use crate::config::sections::networks;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;

/// Reads `client_address` of `[server]`.
pub(crate) fn read(item: &Item<'_>) -> Option<TrustedProxies> {
    let help = format!("write `{EXAMPLE}`");
    let table = Table::of(item, "`client_address`", &help, keys::CLIENT_ADDRESS)?;
    let networks = networks::trusted(&table, "client_address")?;
    if networks.iter().any(Network::is_everything) {
        item.warning("trusts_everyone", "every client may claim any address")
            .help("name only the addresses of your own proxies")
            .report(item.problems);
    }
    Some(TrustedProxies { networks, field: table.choice("field", &ClientField::ALL, ClientField::default()) })
}

const EXAMPLE: &str = "client_address = { trusted = [\"10.0.0.0/8\"] }";
