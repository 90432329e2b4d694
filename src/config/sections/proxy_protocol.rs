//! Pure. Reads `proxy_protocol`: the listeners on which proxies announce the client, and the trusted proxies.

use crate::config::address::{self, Listen};
use crate::config::problem::{Problem, Problems};
use crate::config::sections::networks;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Address, ProxyProtocol, keys};

/// Reads `proxy_protocol` of `[server]`. `listen` are the configured listeners.
pub(crate) fn read(item: &Item<'_>, listen: &[Listen]) -> Option<ProxyProtocol> {
    let help = format!("write `{EXAMPLE}`");
    let table = Table::of(item, "`proxy_protocol`", &help, keys::PROXY_PROTOCOL)?;
    let trusted = networks::trusted(&table, "proxy_protocol")?;
    let asked = table.get("listen").map(|_| address::listen_as_written(&table));
    let all = || listen.iter().map(|listen| listen.address.clone()).collect();
    let listen = asked.map_or_else(all, |asked| {
        asked.into_iter().filter_map(|asked| among(asked, listen, item.problems)).collect()
    });
    Some(ProxyProtocol { listen, trusted })
}

/// Checks that hookgate listens on an address.
fn among(asked: Listen, listen: &[Listen], problems: &Problems) -> Option<Address> {
    if listen.iter().any(|own| own.address == asked.address) {
        return Some(asked.address);
    }
    let problem = Problem::error("bad_address", asked.span?, format!("{} is not listened on", asked.address));
    problem.help("name an address as it stands in `listen`").refuse(problems)
}

const EXAMPLE: &str = "proxy_protocol = { trusted = [\"10.0.0.0/8\"] }";
