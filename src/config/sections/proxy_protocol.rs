//! Pure. Reads `proxy_protocol`: the listeners on which proxies announce the client, and the trusted proxies.

use crate::admission::client::Network;
use crate::config::address::{self, Listen};
use crate::config::problem::{Problem, Problems};
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Address, ProxyProtocol, keys};

/// Reads `proxy_protocol` of `[server]`. `listen` are the configured listeners.
pub(crate) fn read(item: &Item<'_>, listen: &[Listen]) -> Option<ProxyProtocol> {
    let help = format!("write `{EXAMPLE}`");
    let table = Table::of(item, "`proxy_protocol`", &help, keys::PROXY_PROTOCOL)?;
    let trusted = table.required("trusted", "[\"10.0.0.0/8\"]")?;
    let array = trusted.array(&trusted.write("[\"10.0.0.0/8\"]"))?;
    if array.is_empty() {
        let problem = trusted.error("out_of_range", "no proxy is trusted");
        problem.help("remove `proxy_protocol`, or name the addresses of the proxies").report(item.problems);
    }
    let trusted = trusted.elements(array).filter_map(|element| network(&element)).collect();
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

fn network(item: &Item<'_>) -> Option<Network> {
    let text = item.text("[\"10.0.0.0/8\"]")?;
    let help = "for example `\"127.0.0.1\"`, `\"10.0.0.0/8\"` (no bits set behind the prefix), or `\"unix\"` for \
                every client of a unix socket";
    let problem = || item.error("bad_address", "not an address or a network").help(help);
    Network::parse(text).or_else(|| problem().refuse(item.problems))
}

const EXAMPLE: &str = "proxy_protocol = { trusted = [\"10.0.0.0/8\"] }";
