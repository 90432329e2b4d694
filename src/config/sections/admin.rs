//! Pure. Reads `[admin]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::address::{self, Listen};
use crate::config::sections::secret::Context;
use crate::config::sections::tokens;
use crate::config::toml_table::Table;
use crate::config::{Admin, keys};

/// Reads `[admin]`, with the places of its addresses in the file. `None` if the table is missing. The tokens
/// are read only if `context` says where they come from.
pub(crate) fn read(root: &Table<'_>, context: Option<Context<'_>>) -> (Option<Admin>, Vec<Listen>) {
    let table = root.section("admin", "`[admin]`", keys::ADMIN);
    if !table.is_present() {
        return (None, Vec::new());
    }
    let listen = address::listen(&table, LISTEN);
    let addresses = listen.iter().map(|listen| listen.address.clone()).collect();
    let unix_mode = address::unix_mode(&table, UNIX_MODE);
    let tokens = context.map(|context| tokens::read(&table, context)).unwrap_or_default();
    (Some(Admin { listen: addresses, unix_mode, tokens }), listen)
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// Only the gateway's user and root may connect, because a client of a unix socket needs no token.
const UNIX_MODE: u32 = 0o600;
