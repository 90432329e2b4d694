//! Pure. Reads lists of networks.

use crate::admission::client::Network;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;

/// Reads the trusted proxies of a table: at least one. `key` is the table's key in the file.
pub(crate) fn trusted(table: &Table<'_>, key: &str) -> Option<Vec<Network>> {
    let trusted = table.required("trusted", EXAMPLE)?;
    let array = trusted.array(&trusted.write(EXAMPLE))?;
    if array.is_empty() {
        trusted
            .error("out_of_range", "no proxy is trusted")
            .help(format!("remove `{key}`, or name the addresses of the proxies"))
            .report(trusted.problems);
    }
    Some(trusted.elements(array).filter_map(|element| network(&element)).collect())
}

/// Reads a network.
fn network(item: &Item<'_>) -> Option<Network> {
    let text = item.text(EXAMPLE)?;
    let problem = || item.error("bad_address", "not an address or a network").help(HELP);
    Network::parse(text).or_else(|| problem().refuse(item.problems))
}

const EXAMPLE: &str = "[\"10.0.0.0/8\"]";
const HELP: &str = "for example `\"127.0.0.1\"`, `\"10.0.0.0/8\"` (no bits set behind the prefix), or `\"unix\"` for \
                    every client of a unix socket";
