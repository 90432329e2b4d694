//! Pure. Reads `[server]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::address::{self, Listen};
use crate::config::bounds::{MOST_CONNECTIONS, MOST_WORKERS};
use crate::config::sections::{client_address, proxy_protocol};
use crate::config::toml_table::Table;
use crate::config::{Server, Sharing, keys};

/// Reads `[server]`, with the places of its addresses in the file. `further` are the addresses of other
/// tables that clients connect to.
pub(crate) fn read(root: &Table<'_>, cores: NonZeroUsize, further: &[Listen]) -> (Server, Vec<Listen>) {
    let table = root.section("server", "`[server]`", keys::SERVER);
    let listen = address::listen(&table, LISTEN);
    let all: Vec<_> = listen.iter().chain(further).cloned().collect();
    let shared = table.flag("reuse_port", false);
    let max_connections = at_least_one(table.count("max_connections", 10_000, 1..=MOST_CONNECTIONS));
    let server = Server {
        listen: listen.iter().map(|listen| listen.address.clone()).collect(),
        sharing: if shared { Sharing::WithOthers } else { Sharing::Alone },
        h2c: table.flag("h2c", false),
        unix_mode: address::unix_mode(&table, UNIX_MODE),
        proxy_protocol: table.get("proxy_protocol").and_then(|item| proxy_protocol::read(&item, &all)),
        client_address: table.get("client_address").and_then(|item| client_address::read(&item)),
        workers: at_least_one(table.count("workers", cores.get(), 1..=MOST_WORKERS)),
        max_connections,
        max_connections_per_client: per_client(&table, max_connections),
        drain_delay: table.duration("drain_delay", Duration::ZERO),
        shutdown_grace: table.duration("shutdown_grace", Duration::from_secs(30)),
    };
    (server, listen)
}

/// Reads `max_connections_per_client`. Warns of a limit that `max_connections` makes useless.
fn per_client(table: &Table<'_>, all: NonZeroUsize) -> Option<NonZeroUsize> {
    let item = table.get("max_connections_per_client")?;
    let number = item.number("1000")?;
    let most = usize::try_from(number).ok().filter(|number| *number <= MOST_CONNECTIONS);
    let Some(most) = most.and_then(NonZeroUsize::new) else {
        let message = format!("`max_connections_per_client` must be from 1 to {MOST_CONNECTIONS}");
        return item
            .error("out_of_range", message)
            .help("for example `1000`; without this key, there is no limit")
            .refuse(item.problems);
    };
    if most >= all {
        item.warning("limit_without_effect", format!("`max_connections` ({all}) is reached first"))
            .help("one client can then take every place: write a smaller number, or remove this key")
            .report(item.problems);
    }
    Some(most)
}

fn at_least_one(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// With this mode, the socket's user and group may connect.
const UNIX_MODE: u32 = 0o660;
