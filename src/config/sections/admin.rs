//! Pure. `[admin]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::address::{self, Listen};
use crate::config::toml_table::Table;
use crate::config::{Admin, keys};

/// Reads `[admin]`, with the places of its addresses; off if the table is missing.
pub(crate) fn read(root: &Table<'_>) -> (Option<Admin>, Vec<Listen>) {
    let table = root.section("admin", "`[admin]`", keys::ADMIN);
    if !table.is_present() {
        return (None, Vec::new());
    }
    let listen = address::listen_tcp(&table, LISTEN);
    let addresses = listen.iter().filter_map(|listen| listen.address.tcp()).collect();
    (Some(Admin { listen: addresses }), listen)
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
