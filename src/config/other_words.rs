//! Pure. Names of keys and tables that other programs have, and what gateway.toml has instead.

use super::keys;
use crate::config::key_description;

/// What gateway.toml has instead of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// A key of the same table.
    Key(&'static str),
    /// Something else. The text says what to write.
    Advice(&'static str),
}

/// What a table has instead of this word. `known` are the keys of the table.
pub(super) fn instead(known: &[key_description::Key], word: &str) -> Option<Instead> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let is = |table: &[key_description::Key]| {
        table.iter().map(|key| key.name).eq(known.iter().map(|key| key.name))
    };
    let (_, words) = WORDS.iter().find(|(table, _)| is(table))?;
    words.iter().find(|(all, _)| all.contains(&word.as_str())).map(|(_, instead)| *instead)
}

/// Whether the word is in one of the lists. Such a word is no secret.
pub(super) fn is_known(word: &str) -> bool {
    WORDS.iter().flat_map(|(_, words)| *words).any(|(all, _)| all.contains(&word))
}

type Words = &'static [(&'static [&'static str], Instead)];

use Instead::{Advice, Key};

const SECRETS: Instead = Advice(
    "a secret stands in a signature, by the name of its variable or its file: `signature = { scheme = \"github\", secrets = [{ env = \
     \"GITHUB_WEBHOOK_SECRET\" }] }`",
);
const LISTEN: Instead = Key("listen");
const TLS: Instead = Advice(
    "TLS has a table of its own: `[tls]` with `listen = \"0.0.0.0:8443\"` and `certificates = [{ cert = \"tls.crt\", key = \"tls.key\" }]`",
);
const CERTIFICATES: Instead =
    Advice("write both in one line: `certificates = [{ cert = \"tls.crt\", key = \"tls.key\" }]`");
const ACME: Instead = Advice(
    "add `[tls.acme]` with `domains = [\"hooks.example.com\"]`: hookgate then obtains certificates itself",
);
const LOG: Instead = Advice("write `level` and `format` under `[log]`");

const WORDS: [(&[key_description::Key], Words); 11] = [
    (
        keys::ROUTE,
        &[
            (
                &[
                    "url",
                    "target",
                    "backend",
                    "to",
                    "forward_to",
                    "forward",
                    "proxy_pass",
                    "proxy",
                    "destination",
                    "dest",
                    "origin",
                    "app",
                    "service",
                    "server",
                    "upstream_url",
                    "uri",
                    "address",
                    "endpoint_url",
                ],
                Key("upstream"),
            ),
            (
                &["match", "prefix", "location", "endpoint", "route", "pattern", "from", "source", "paths"],
                Key("path"),
            ),
            (&["timeout", "read_timeout", "proxy_timeout"], Key("response_timeout")),
            (&["method", "verbs", "verb"], Key("methods")),
            (&["max_size", "body_limit", "max_body_size", "client_max_body_size", "limit"], Key("max_body")),
            (
                &["allow_ips", "ip_whitelist", "whitelist", "allowlist", "ips", "allowed_ips", "source_ips"],
                Key("allow"),
            ),
            (&["secret", "secrets", "secret_env", "key", "token"], SECRETS),
            (
                &["scheme", "sender", "provider", "type", "verify", "auth"],
                Advice(
                    "write it in the route's signature: `signature = { scheme = \"github\", secrets = [{ env = \"GITHUB_WEBHOOK_SECRET\" }] }`",
                ),
            ),
            (
                &["name", "id", "description", "title", "comment"],
                Advice("a route has no name: log and metrics show its path. A comment begins with `#`"),
            ),
            (
                &["strip_prefix", "rewrite", "rewrite_path", "replace_path", "strip_path", "path_rewrite"],
                Advice("the request is forwarded unchanged: the app gets the path that the sender calls"),
            ),
            (
                &["host", "hostname", "hosts", "domain", "domains", "server_name"],
                Advice("routes are told apart by their paths alone: the host is passed on as it is received"),
            ),
            (
                &["headers", "set_headers", "add_headers", "header"],
                Advice(
                    "the fields of a request are forwarded unchanged; `[forward]` has those that hookgate can add",
                ),
            ),
            (
                &["deny", "block", "blocklist", "blacklist"],
                Advice("write whom to let in: `allow = [\"192.0.2.0/24\"]`; all others are refused"),
            ),
            (
                &["retries", "max_retries", "retry_count", "backoff"],
                Advice(
                    "a stored event is sent again: `delivery = \"queue\"`, and `retry = { max_attempts = 50 }`",
                ),
            ),
            (
                &["queue", "async", "store", "buffer"],
                Advice("write `delivery = \"queue\"`, and the place of the store under `[queue]`"),
            ),
            (
                &["enforce", "enabled", "dry_run", "log_only"],
                Advice(
                    "write `mode = \"observe\"` to forward what does not verify, too, or `mode = \"enforce\"`",
                ),
            ),
            (
                &["tls", "ssl", "https"],
                Advice(
                    "hookgate takes TLS under `[tls]`, for all routes; to the app, it speaks TLS with `upstream = \"https://...\"`",
                ),
            ),
            (
                &["insecure", "insecure_skip_verify", "tls_skip_verify", "verify_ssl", "proxy_ssl_verify"],
                Advice(
                    "the certificate of an upstream is always verified: name its issuer with `ca = \"ca.pem\"`",
                ),
            ),
            (
                &["rate_limit", "limit_rate"],
                Advice("write `rate = \"50/s\"` to pace the deliveries of stored events"),
            ),
        ],
    ),
    (
        keys::SERVER,
        &[
            (
                &[
                    "port",
                    "host",
                    "bind",
                    "address",
                    "addr",
                    "hostname",
                    "ip",
                    "interface",
                    "listen_address",
                    "bind_address",
                ],
                LISTEN,
            ),
            (&["threads", "worker_processes", "worker_threads", "cores"], Key("workers")),
            (&["max_conns", "maxconn", "worker_connections", "connections"], Key("max_connections")),
            (&["shutdown_timeout", "grace", "graceful_timeout", "grace_period"], Key("shutdown_grace")),
            (
                &["trust_proxy", "trusted_proxies", "real_ip", "forwarded_allow_ips", "set_real_ip_from"],
                Key("client_address"),
            ),
            (
                &[
                    "tls",
                    "ssl",
                    "https",
                    "cert",
                    "key",
                    "certificate",
                    "certificates",
                    "cert_file",
                    "key_file",
                ],
                TLS,
            ),
            (&["log", "log_level", "loglevel", "access_log"], LOG),
            (
                &["upstream", "app", "backend"],
                Advice("each route has its app: `upstream` under `[[routes]]`"),
            ),
            (
                &["daemon", "user", "group", "pid", "pidfile"],
                Advice("the manager of the service sets that, such as systemd (`User=`)"),
            ),
        ],
    ),
    (
        keys::ROOT,
        &[
            (&["ssl", "https", "certificates", "acme", "letsencrypt"], TLS),
            (
                &["metrics", "prometheus", "health", "monitoring", "management"],
                Advice(
                    "health and metrics are on the admin listener: `[admin]` with `listen = \"127.0.0.1:9901\"`",
                ),
            ),
            (&["logging", "logs", "logger", "log_level"], Key("log")),
            (
                &["env", "environment", "vars", "variables"],
                Advice(
                    "variables are set where hookgate is started (`EnvironmentFile=` under systemd), and named here: `secrets = [{ env = \"NAME\" }]`",
                ),
            ),
            (
                &["include", "imports", "import", "conf_d"],
                Advice("gateway.toml is one file: write everything into it"),
            ),
            (&["version", "title", "name"], Advice("remove it: gateway.toml has no version and no name")),
            (
                &["timeouts", "timeout"],
                Advice("the limits for senders are under `[limits]`, those for apps under `[upstream]`"),
            ),
            (
                &["listen", "port", "host", "bind"],
                Advice("write `listen = \"127.0.0.1:8080\"` under `[server]`"),
            ),
            (&["secret", "secrets"], SECRETS),
            (&["route", "locations", "paths", "hooks", "webhooks", "endpoints"], Key("routes")),
            (&["store", "database", "storage", "db"], Key("queue")),
        ],
    ),
    (
        keys::TLS,
        &[
            (
                &[
                    "cert",
                    "key",
                    "cert_file",
                    "key_file",
                    "certificate",
                    "certfile",
                    "keyfile",
                    "ssl_certificate",
                    "ssl_certificate_key",
                    "private_key",
                ],
                CERTIFICATES,
            ),
            (
                &["letsencrypt", "auto", "autocert", "domains", "domain", "email", "contact", "lets_encrypt"],
                ACME,
            ),
            (&["ca", "client_auth", "client_ca_file", "ca_file"], Key("client_ca")),
            (&["port", "bind", "address", "host"], LISTEN),
            (
                &["min_tls_version", "protocols", "ssl_protocols", "minimum_version", "version"],
                Key("min_version"),
            ),
            (&["h2", "http_2"], Key("http2")),
            (
                &["ciphers", "ssl_ciphers", "cipher_suites"],
                Advice("the ciphers are fixed: TLS 1.3 and the modern ones of TLS 1.2"),
            ),
            (&["enabled"], Advice("the table itself turns TLS on: remove the key")),
        ],
    ),
    (
        keys::ADMIN,
        &[
            (&["port", "bind", "address", "host", "addr"], LISTEN),
            (&["enabled", "enable"], Advice("the table itself turns the listener on: remove the key")),
            (&["token", "password", "user", "username", "auth"], Key("tokens")),
            (&["path", "metrics_path"], Advice("the paths are fixed: `/healthz`, `/readyz` and `/metrics`")),
        ],
    ),
    (
        keys::LIMITS,
        &[
            (
                &["timeout", "read_timeout", "request_timeout"],
                Advice("the head of a request has `header_timeout`, its content `body_timeout`"),
            ),
            (&["keepalive", "keepalive_timeout", "keep_alive"], Key("idle_timeout")),
            (
                &["max_headers", "max_header_size", "header_size", "large_client_header_buffers"],
                Key("max_header_bytes"),
            ),
            (
                &["max_size", "body_limit", "max_body_size", "client_max_body_size", "max_request_size"],
                Key("max_body"),
            ),
            (&["max_memory", "memory"], Key("max_buffered")),
            (
                &["rate_limit", "rate", "requests_per_second"],
                Advice("write `max_failures_per_client = \"60/1m\"`; events that verify are not limited"),
            ),
        ],
    ),
    (
        keys::LOG,
        &[
            (
                &["file", "path", "output", "dir", "filename"],
                Advice(
                    "the log goes to standard output: the manager of the service keeps it (journald, Docker)",
                ),
            ),
            (&["verbosity", "verbose", "debug"], Key("level")),
            (&["json", "style", "type"], Key("format")),
            (&["access_log", "requests"], Key("access")),
        ],
    ),
    (
        keys::SIGNATURE,
        &[
            (
                &["type", "sender", "provider", "algorithm", "preset", "kind", "name", "vendor", "service"],
                Key("scheme"),
            ),
            (&["secret_env", "secret_file", "env", "file", "key", "keys", "value"], Key("secrets")),
        ],
    ),
    (
        keys::SECRET,
        &[
            (&["env_var", "from_env", "environment", "variable", "var", "envvar", "secret_env"], Key("env")),
            (&["path", "from_file", "secret_file", "filename"], Key("file")),
            (
                &["secret", "key", "text", "plain", "password", "token"],
                Advice(
                    "name the variable or the file that holds the secret: `{ env = \"PROPIFY_WEBHOOK_SECRET\" }`",
                ),
            ),
            (&["expires", "expires_at", "until", "valid_until"], Key("not_after")),
            (&["format", "type"], Key("encoding")),
        ],
    ),
    (
        keys::RETRY,
        &[
            (&["retries", "max_retries", "attempts", "tries"], Key("max_attempts")),
            (
                &[
                    "backoff",
                    "interval",
                    "intervals",
                    "delay",
                    "delays",
                    "wait",
                    "min_backoff",
                    "max_backoff",
                ],
                Key("schedule"),
            ),
            (&["timeout", "give_up_after", "ttl", "deadline"], Key("max_age")),
        ],
    ),
    (
        keys::QUEUE,
        &[
            (&["path", "file", "db", "database", "url", "dsn", "storage", "backend"], Key("store")),
            (
                &["enabled", "enable"],
                Advice("a route turns its queue on: `delivery = \"queue\"` under `[[routes]]`"),
            ),
            (&["max_size", "size", "limit"], Key("max_bytes")),
            (&["retention", "keep", "ttl"], Key("keep_delivered")),
            (
                &["retries", "max_retries", "backoff"],
                Advice("how often is under `[retry]`: `schedule`, `max_age` and `max_attempts`"),
            ),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_named_instead_is_one_of_its_table() {
        for (table, words) in &WORDS {
            for (all, instead) in *words {
                if let Key(name) = instead {
                    assert!(key_description::has(table, name), "{name}");
                }
                for word in *all {
                    assert!(!key_description::has(table, word), "{word} is a key itself");
                }
            }
        }
    }

    #[test]
    fn a_word_is_found_in_its_table_only() {
        assert_eq!(instead(keys::ROUTE, "proxy-pass"), Some(Key("upstream")));
        assert_eq!(instead(keys::SERVER, "Port"), Some(Key("listen")));
        assert_eq!(instead(keys::LIMITS, "proxy_pass"), None);
        assert!(is_known("proxy_pass") && !is_known("hunter2"));
    }
}
