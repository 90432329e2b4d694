//! Pure. Every key that gateway.toml may have.

/// The top level.
pub(super) const ROOT: &[&str] =
    &["server", "limits", "upstream", "admin", "log", "forward", "schemes", "signature", "routes"];

/// `[server]`
pub(super) const SERVER: &[&str] = &[
    "listen",
    "reuse_port",
    "unix_mode",
    "proxy_protocol",
    "workers",
    "max_connections",
    "drain_delay",
    "shutdown_grace",
];

/// `proxy_protocol` of `[server]`.
pub(super) const PROXY_PROTOCOL: &[&str] = &["trusted", "listen"];

/// `[limits]`
pub(super) const LIMITS: &[&str] = &[
    "max_body",
    "max_buffered",
    "max_header_bytes",
    "header_timeout",
    "body_timeout",
    "min_body_rate",
    "idle_timeout",
    "write_timeout",
];

/// `[upstream]`
pub(super) const UPSTREAM: &[&str] = &["connect_timeout", "response_timeout", "max_idle", "idle_timeout"];

/// `[admin]`
pub(super) const ADMIN: &[&str] = &["listen"];

/// `[log]`
pub(super) const LOG: &[&str] =
    &["format", "level", "access", "request_id_field", "diagnose", "old_secret_warning"];

/// `[forward]`
pub(super) const FORWARD: &[&str] = &["x_forwarded", "verified_field"];

/// `[schemes.NAME]`
pub(super) const SCHEME: &[&str] = &[
    "algorithm",
    "header",
    "format",
    "prefix",
    "separator",
    "tag",
    "encoding",
    "secret_encoding",
    "content",
    "timestamp",
    "tolerance",
    "id",
    "model_pointers",
    "integration_pointers",
    "challenge",
];

/// A scheme's `challenge`.
pub(super) const CHALLENGE: &[&str] = &["when", "value", "query", "token", "answer"];

/// A scheme's `timestamp`.
pub(super) const TIMESTAMP: &[&str] = &["header", "key", "unit"];

/// A scheme's `tolerance`, where past and future have one each.
pub(super) const TOLERANCE: &[&str] = &["past", "future"];

/// `[signature]`, and a route's `signature`.
pub(super) const SIGNATURE: &[&str] = &["scheme", "secrets", "tolerance", "challenge", "verify_token"];

/// A signature's `verify_token`.
pub(super) const VERIFY_TOKEN: &[&str] = &["env", "file", "value"];

/// An element of `secrets`.
pub(super) const SECRET: &[&str] = &["name", "env", "file", "value", "encoding", "not_after"];

/// `[[routes]]`
pub(super) const ROUTE: &[&str] = &[
    "path",
    "upstream",
    "model",
    "require",
    "integration",
    "signature",
    "public_url",
    "methods",
    "max_body",
    "connect_timeout",
    "response_timeout",
    "max_idle",
    "idle_timeout",
    "mode",
];

/// The tables, as people write them, with their keys: to say where a key belongs that is not where it should be.
pub(super) const TABLES: [(&str, &[&str]); 16] = [
    ("the top level", ROOT),
    ("`[server]`", SERVER),
    ("`proxy_protocol`", PROXY_PROTOCOL),
    ("`[limits]`", LIMITS),
    ("`[upstream]`", UPSTREAM),
    ("`[admin]`", ADMIN),
    ("`[log]`", LOG),
    ("`[forward]`", FORWARD),
    ("`[schemes.NAME]`", SCHEME),
    ("a scheme's `timestamp`", TIMESTAMP),
    ("a scheme's `tolerance`", TOLERANCE),
    ("a scheme's `challenge`", CHALLENGE),
    ("`[[routes]]`", ROUTE),
    ("`[signature]`", SIGNATURE),
    ("an element of `secrets`", SECRET),
    ("`verify_token`", VERIFY_TOKEN),
];

/// The keys of a signature and its secrets under which no secret is meant to stand: those that are shown. A new key is
/// none of them until it is put here.
pub(super) const PUBLIC_IN_SIGNATURE: &[&str] = &[
    "scheme",
    "name",
    "env",
    "file",
    "encoding",
    "secret_encoding",
    "not_after",
    "tolerance",
    "past",
    "future",
    "challenge",
];

/// Whether no secret is meant to stand under this key, wherever it is.
pub(super) fn is_public(key: &str) -> bool {
    let elsewhere =
        [SERVER, PROXY_PROTOCOL, LIMITS, UPSTREAM, ADMIN, LOG, FORWARD, SCHEME, TIMESTAMP, TOLERANCE, ROUTE]
            .iter()
            .any(|keys| keys.contains(&key));
    PUBLIC_IN_SIGNATURE.contains(&key) || (elsewhere && key != "signature")
}

/// Every key, and many of them more than once.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|(_, keys)| keys.iter().copied())
}
