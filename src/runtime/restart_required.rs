//! Pure. The keys whose new values take effect only after a restart.

use crate::config::{Address, Admin, Config, Log, Queue, Server, StoreAddress};

/// The part of a configuration that does not change after a server has started.
#[derive(Debug)]
pub(crate) struct Fixed {
    server: Server,
    tls: Option<Vec<Address>>,
    admin: Option<(Vec<Address>, u32, bool)>,
    store: Option<StoreAddress>,
    log: Log,
}

impl Fixed {
    /// Takes this part of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            server: config.server.clone(),
            tls: tls(config),
            admin: admin(config),
            store: store(config),
            log: config.log.clone(),
        }
    }

    /// Whether the server has an admin listener.
    pub(crate) fn has_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// The keys that have another value in `config`, by their names in gateway.toml.
    pub(crate) fn differs_from(&self, config: &Config) -> Vec<&'static str> {
        // The struct is destructured, so a new key does not compile until it is considered here.
        let Server {
            listen,
            workers,
            max_connections,
            unix_mode,
            sharing,
            h2c: _,
            proxy_protocol,
            max_connections_per_client: _,
            client_address: _,
            drain_delay: _,
            shutdown_grace: _,
        } = &self.server;
        let Log { format, level, access: _, request_id_field: _, diagnose: _, old_secret_warning: _ } =
            &self.log;
        let (server, log) = (&config.server, &config.log);
        let keys = [
            ("server.listen", *listen != server.listen),
            ("server.workers", *workers != server.workers),
            ("server.max_connections", *max_connections != server.max_connections),
            ("server.unix_mode", *unix_mode != server.unix_mode),
            ("server.reuse_port", *sharing != server.sharing),
            ("server.proxy_protocol", *proxy_protocol != server.proxy_protocol),
            ("tls.listen", self.tls != tls(config)),
            ("admin", self.admin != admin(config)),
            ("queue.store", self.store != store(config)),
            ("log.format", *format != log.format),
            ("log.level", *level != log.level),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// The addresses where clients speak TLS. Certificates need no restart.
fn tls(config: &Config) -> Option<Vec<Address>> {
    config.tls.as_ref().map(|tls| tls.listen.clone())
}

/// The addresses of the admin listener, the mode of its sockets, and whether it speaks TLS. Its tokens, its
/// certificate and the number of recent requests need no restart.
fn admin(config: &Config) -> Option<(Vec<Address>, u32, bool)> {
    let part = |admin: &Admin| {
        let Admin { listen, unix_mode, tokens: _, tls, recent: _, console: _ } = admin;
        (listen.clone(), *unix_mode, tls.is_some())
    };
    config.admin.as_ref().map(part)
}

/// The place of the store. A change of its limits needs no restart.
fn store(config: &Config) -> Option<StoreAddress> {
    let store =
        |Queue { store, max_bytes: _, min_free: _, keep_delivered: _, keep_dead: _, lease: _ }: &Queue| {
            store.clone()
        };
    config.queue.as_ref().map(store)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Fixed as Machine;
    use crate::tls::sample::self_signed;
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    fn config(text: &str) -> Config {
        let routes = "[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n\
                      signature = { scheme = \"propify\", secrets = [{ env = \"KEY\" }] }\n";
        let certificate = self_signed(&["localhost"]);
        let machine = Machine::new(NonZeroUsize::MIN)
            .with_variable("KEY", "0123456789abcdef")
            .with_file("a", certificate.cert)
            .with_file("b", certificate.key);
        let text = format!("{text}\n{routes}");
        crate::config::read("gateway.toml", &text, &machine, SystemTime::UNIX_EPOCH).unwrap().config
    }

    #[test]
    fn only_keys_that_need_a_restart_are_named() {
        let started = Fixed::of(&config(""));
        for (text, want) in [
            ("", &[][..]),
            ("limits.max_body = 1\nupstream.max_idle = 1\nforward.x_forwarded = \"overwrite\"", &[]),
            ("server.max_connections_per_client = 1\nlimits.max_failures_per_client = \"1/1m\"", &[]),
            ("server = { shutdown_grace = \"1s\", drain_delay = \"1s\" }\nlog.access = \"off\"", &[]),
            ("server = { listen = \"127.0.0.1:3\", workers = 7 }", &["server.listen", "server.workers"]),
            ("server.max_connections = 1", &["server.max_connections"]),
            ("server.proxy_protocol.trusted = [\"::1\"]", &["server.proxy_protocol"]),
            (
                "server = { unix_mode = \"0600\", reuse_port = true }",
                &["server.unix_mode", "server.reuse_port"],
            ),
            ("admin.listen = \"127.0.0.1:2\"", &["admin"]),
            ("admin = { listen = \"unix:/run/a\", unix_mode = \"0660\" }", &["admin"]),
            ("admin = { tokens = [{ name = \"a\", env = \"KEY\" }], listen = \"127.0.0.1:2\" }", &["admin"]),
            ("admin = { tls = { cert = \"a\", key = \"b\" }, listen = \"127.0.0.1:2\" }", &["admin"]),
            (
                "tls = { listen = \"127.0.0.1:4\", certificates = [{ cert = \"a\", key = \"b\" }] }",
                &["tls.listen"],
            ),
            ("queue = { store = \"a\" }", &["queue.store"]),
            ("log = { format = \"json\", level = \"error\" }", &["log.format", "log.level"]),
        ] {
            assert_eq!(started.differs_from(&config(text)), want, "{text}");
        }
    }
}
