//! Pure. Checks a route's `allow` against the listeners.

use std::net::SocketAddr;

use crate::admission::client::{ClientAddress, Network};
use crate::config::address::Listen;
use crate::config::problem::Problem;
use crate::config::sections::route_draft::Draft;
use crate::config::{Address, Server};

/// Warns of routes whose `allow` has no client that can connect. If every listener is for this machine only,
/// the gateway sees the address of a proxy, unless a setting names the field with the client's address.
pub(super) fn check(drafts: &[Draft<'_>], server: &Server, listen: &[Listen]) {
    if server.client_address.is_some() || server.proxy_protocol.is_some() {
        return;
    }
    for draft in drafts {
        let Some(allow) = &draft.allow else { continue };
        if listen.is_empty() || listen.iter().any(|listen| can_see_one_of(&listen.address, allow)) {
            continue;
        }
        let message = "hookgate listens only for this machine, so it sees none of these clients";
        Problem::warning("missing_client_address", draft.table.place("allow"), message)
            .help(
                "name the proxy in front of hookgate in `[server]`: \
                 `client_address = { trusted = [\"127.0.0.1\"] }`",
            )
            .report(draft.table.problems);
    }
}

/// Whether a listener can have a connection from one of these networks.
fn can_see_one_of(address: &Address, allow: &[Network]) -> bool {
    match address {
        Address::Unix(_) => allow.iter().any(|network| network.contains(ClientAddress::Unix)),
        // Only the machine itself can connect to a loopback address, and from a loopback address.
        Address::Tcp(address) => {
            !address.ip().is_loopback() || allow.iter().any(|network| has_loopback(network, address))
        }
    }
}

/// Whether a network has loopback addresses of this version of IP.
fn has_loopback(network: &Network, listener: &SocketAddr) -> bool {
    match network {
        Network::Unix => false,
        Network::Ip(network) => {
            network.addr().is_ipv4() == listener.is_ipv4()
                && (network.addr().is_loopback() || network.contains(&listener.ip()))
        }
    }
}
