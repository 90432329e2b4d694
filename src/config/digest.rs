//! Pure. Digests of the parts of a configuration. They compare two configurations and show neither.
//!
//! No digest contains a key, or a value derived from a key: a weak secret can be guessed from its digest. To
//! find out whether two processes have the same keys, `hookgate doctor` compares signatures instead.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Config, Queue, Route, Server, StoreAddress};
use crate::routing::router::ModelRule;
use crate::signature::Verifier;

/// A part of a configuration: a table, or a route.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Part {
    /// The part's name, such as `[limits]` or `route /webhook/leases`.
    pub name: String,
    /// The digest of the part's settings with the defaults, in hexadecimal.
    pub digest: String,
}

/// Computes the digests of a configuration's parts, in the order of gateway.toml.
///
/// The digests depend on the version of hookgate. Digests of two versions cannot be compared.
#[must_use]
pub fn parts(config: &Config) -> Vec<Part> {
    let Config { server, tls, limits, admin, log, forward, queue, routes } = config;
    let tables = [
        ("[server]", of_server(server)),
        ("[tls]", format!("{tls:?}")),
        ("[limits]", format!("{limits:?}")),
        ("[admin]", format!("{admin:?}")),
        ("[log]", format!("{log:?}")),
        ("[forward]", format!("{forward:?}")),
        ("[queue]", of_queue(queue.as_ref())),
    ];
    let tables = tables.into_iter().map(|(name, text)| Part { name: name.to_owned(), digest: digest(&text) });
    tables.chain(routes.iter().map(of_route)).collect()
}

/// All settings except the number of workers. The default is the number of cores, and the two configurations
/// may be read on machines with different numbers of cores.
fn of_server(server: &Server) -> String {
    let Server {
        listen,
        sharing,
        h2c,
        unix_mode,
        proxy_protocol,
        client_address,
        workers: _,
        max_connections,
        max_connections_per_client,
        drain_delay,
        shutdown_grace,
    } = server;
    format!(
        "{listen:?} {sharing:?} {h2c} {unix_mode} {proxy_protocol:?} {client_address:?} {max_connections} \
         {max_connections_per_client:?} {drain_delay:?} {shutdown_grace:?}"
    )
}

/// All settings except the folder of the store. A relative path begins at the folder of gateway.toml, and the
/// process that compares may know this folder by another name.
fn of_queue(queue: Option<&Queue>) -> String {
    let Some(Queue { store, max_bytes, min_free, keep_delivered, keep_dead, lease }) = queue else {
        return "none".to_owned();
    };
    let store = match store {
        StoreAddress::File(path) => format!("{:?}", path.file_name()),
        StoreAddress::Postgres(address) => address.shown.clone(),
    };
    format!("{store} {max_bytes} {min_free} {keep_delivered:?} {keep_dead:?} {lease:?}")
}

fn of_route(route: &Route) -> Part {
    let Route {
        path,
        model,
        requirements,
        upstream,
        verifier,
        public_url,
        methods,
        max_body,
        mode,
        allow,
        client_names,
        delivery,
        console_content,
        capture,
    } = route;
    let name = match model {
        ModelRule::Named(model) => format!("route {path} ({model})"),
        ModelRule::Any | ModelRule::Segment => format!("route {path}"),
    };
    let secrets: Vec<_> = verifier.all().flat_map(Verifier::secrets).collect();
    let schemes: Vec<_> = verifier.all().map(Verifier::scheme).collect();
    let text = format!(
        "{model:?} {requirements:?} {upstream:?} {schemes:?} {secrets:?} {public_url:?} {methods:?} {max_body} {mode:?} {allow:?} {client_names:?} {delivery:?} {console_content} {capture}"
    );
    Part { name, digest: digest(&text) }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text).get(..BYTES).unwrap_or_default())
}

/// The length of a digest: half of a SHA-256 digest. An attacker gains nothing from two configurations with
/// the same digest.
const BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Fixed;
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    fn of(text: &str, key: &str, cores: usize) -> Vec<Part> {
        let environment = Fixed::new(NonZeroUsize::new(cores).unwrap()).with_variable("KEY", key);
        let loaded = crate::config::read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH);
        parts(&loaded.unwrap().config)
    }

    const TEXT: &str = r#"
        limits.max_body = "1MiB"
        signature = { scheme = "propify", secrets = [{ env = "KEY" }] }
        [[routes]]
        path = "/a"
        model = "leads"
        upstream = "http://127.0.0.1:3"
        [[routes]]
        path = "/a"
        upstream = "http://127.0.0.1:4"
    "#;

    fn differing(text: &str) -> Vec<String> {
        let (before, after) = (of(TEXT, "0123456789abcdef", 1), of(text, "0123456789abcdef", 1));
        after.into_iter().filter(|part| !before.contains(part)).map(|part| part.name).collect()
    }

    #[test]
    fn equal_settings_have_equal_digests_and_each_change_shows_in_its_part() {
        assert_eq!(differing(TEXT), [""; 0]);
        assert_eq!(differing(&TEXT.replace("\"1MiB\"", "1048576 # as before")), [""; 0]);
        assert_eq!(differing(&TEXT.replace("1MiB", "2MiB")), ["[limits]", "route /a (leads)", "route /a"]);
        assert_eq!(differing(&TEXT.replace(":4", ":5")), ["route /a"]);
        assert_eq!(differing(&TEXT.replace("{ env = \"KEY\"", "{ name = \"x\", env = \"KEY\"")).len(), 2);
        assert_eq!(differing(&TEXT.replace("propify", "propexo")).len(), 2);
        assert_eq!(differing(&format!("server.max_connections = 7\n{TEXT}")), ["[server]"]);
        let stored = TEXT.replace(
            "[[routes]]\n        path = \"/a\"\n        model",
            "[[routes]]\n        delivery = \"queue\"\n        path = \"/a\"\n        model",
        );
        assert_eq!(differing(&format!("queue.store = \"a\"\n{stored}")), ["[queue]", "route /a (leads)"]);
    }

    #[test]
    fn the_name_of_the_files_folder_makes_no_difference() {
        let text = format!("queue.store = \"events.db\"\n{TEXT}");
        let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "0123456789abcdef");
        let read =
            |name| crate::config::read(name, &text, &environment, SystemTime::UNIX_EPOCH).unwrap().config;
        assert_eq!(parts(&read("gateway.toml")), parts(&read("/etc/hookgate/gateway.toml")));
    }

    #[test]
    fn neither_keys_nor_cores_are_in_a_digest() {
        assert_eq!(of(TEXT, "0123456789abcdef", 1), of(TEXT, "fedcba9876543210", 8));
    }
}
