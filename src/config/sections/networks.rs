//! Pure. Reads lists of networks: trusted proxies, and the clients that a route takes.

use std::sync::Arc;

use crate::admission::client::Network;
use crate::admission::networks::{NETWORK_SETS, NetworkSet};
use crate::config::problem::Problem;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{showable, suggest};

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

/// Reads the clients that a route takes: networks, and the names of sets. At least one.
pub(crate) fn allowed(item: &Item<'_>) -> Option<Arc<[Network]>> {
    let array = item.array(&item.write(ALLOWED))?;
    if array.is_empty() {
        let problem = item.error("out_of_range", "a route that takes no client takes no request");
        return problem.help("remove `allow`, or name the networks of the clients").refuse(item.problems);
    }
    let mut networks = Vec::new();
    for element in item.elements(array) {
        let text = element.text(ALLOWED)?;
        match (Network::parse(text), NetworkSet::named(text)) {
            (Some(network), _) => networks.push(network),
            (None, Some(set)) => {
                networks.extend(set.networks());
                let message = format!("the set `{text}` has the networks of {}", set.date());
                element
                    .note("network_set", message)
                    .help(format!("the current list: {}", set.source()))
                    .report(item.problems);
            }
            (None, None) => unknown(&element, text).report(item.problems),
        }
    }
    Some(networks.into())
}

/// The problem of a text that is neither a network nor the name of a set.
fn unknown(item: &Item<'_>, text: &str) -> Problem {
    let names = || NETWORK_SETS.iter().map(|set| set.name);
    let is_name = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if is_name && let Some(meant) = suggest::nearest(text, names()) {
        let message = format!("there is no set of networks `{}`", showable::quote(text));
        return item.error("bad_address", message).meant(Some(meant)).help(sets(names()));
    }
    let problem = item.error("bad_address", "not an address, a network or a set of networks");
    problem.help(format!("{HELP}; {}", sets(names())))
}

fn sets<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    format!("the sets are {}", suggest::list(names))
}

/// Reads a network.
fn network(item: &Item<'_>) -> Option<Network> {
    let text = item.text(EXAMPLE)?;
    let problem = || item.error("bad_address", "not an address or a network").help(HELP);
    Network::parse(text).or_else(|| problem().refuse(item.problems))
}

const EXAMPLE: &str = "[\"10.0.0.0/8\"]";
const ALLOWED: &str = "[\"github\", \"192.0.2.0/24\"]";
const HELP: &str = "for example `\"127.0.0.1\"`, `\"10.0.0.0/8\"` (no bits set behind the prefix), or `\"unix\"` for \
                    every client of a unix socket";
