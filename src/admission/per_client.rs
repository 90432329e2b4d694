//! Pure. The most connections that each client may have (`max_connections_per_client`).

use std::num::NonZeroUsize;

use crate::admission::client::{ClientAddress, ExemptClients};
use crate::config::Config;

/// The most connections that each client may have, and the clients without a limit.
#[derive(Clone, Debug, Default)]
pub struct ConnectionsPerClient {
    most: Option<NonZeroUsize>,
    exempt: ExemptClients,
}

impl ConnectionsPerClient {
    /// The limit of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let most = config.server.max_connections_per_client;
        Self { most, exempt: ExemptClients::new(config.trusted_proxies()) }
    }

    /// The most connections of a client's group. `None` if there is no limit for this client.
    #[must_use]
    pub fn most(&self, client: ClientAddress) -> Option<NonZeroUsize> {
        self.most.filter(|_| !self.exempt.contains(client))
    }
}
