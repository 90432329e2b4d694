//! Pure. The keys of TLS: in `[tls]`, for upstreams and for routes.

use crate::config::choices::{CLIENT_SETS, TLS_VERSIONS};
use crate::config::key_description::{Key, Value};
use crate::config::keys::forms::{ENV, FILE, LISTENERS, words};

/// `[tls]`
pub(crate) const TLS: &[Key] = &[
    Key::new("listen", LISTENERS).required().about(
        "The addresses that speak TLS: an address or a list of them, IP and port, or unix:/path. A change \
         takes a restart.",
    ),
    Key::new("certificates", Value::List { of: &Value::Table(KEY_PAIR), empty: false }).about(
        "Certificates with their private keys. The client gets the first certificate that covers the requested \
         name (SNI), or else the first of the list. Required without [tls.acme].",
    ),
    MIN_VERSION,
    Key::new("handshake_timeout", Value::Duration)
        .or("\"10s\"")
        .about("The longest time for a complete handshake. Guards against clients that do not finish theirs."),
    Key::new("http2", Value::Flag)
        .or("true")
        .about("Whether HTTP/2 is offered, beside HTTP/1.1."),
    Key::new("client_ca", Value::Text(".")).about(
        "A file with the authorities of client certificates. With this key, hookgate asks each client for a \
         certificate, and a certificate that does not verify ends the handshake. client_certificate of a route \
         requires a certificate.",
    ),
    Key::new("acme", Value::Table(ACME)).about(
        "Certificates from an authority that speaks ACME, such as Let's Encrypt. They are obtained and renewed \
         through the TLS listener (TLS-ALPN-01), which the authority must reach at port 443.",
    ),
];

/// `[tls.acme]`
pub(crate) const ACME: &[Key] = &[
    Key::new("domains", Value::List { of: &DOMAIN, empty: false })
        .required()
        .about("The names that senders call. Each gets a certificate of its own. No wildcards."),
    Key::new("storage", Value::Text("."))
        .required()
        .about("The folder of the account, the certificates and their keys. It is made if it is not there."),
    Key::new("contact", Value::Either(&[MAIL, Value::List { of: &MAIL, empty: true }])).about(
        "Mail addresses for the authority. With [tls.acme] you agree to the authority's terms of service.",
    ),
    Key::new("directory", Value::Text("^https://[^/?#@\\s]+"))
        .or("\"https://acme-v02.api.letsencrypt.org/directory\"")
        .about("The URL of the authority's directory."),
    Key::new("directory_ca", Value::Text(".")).about(
        "A file with the certificate authorities that the directory's server is verified against. Default: \
         those that the system trusts.",
    ),
    Key::new("external_account", Value::Table(EXTERNAL_ACCOUNT)).about(
        "The account with an authority that takes only customers (external account binding). It is used when \
         hookgate makes its own account.",
    ),
];

/// `external_account` of `[tls.acme]`
pub(crate) const EXTERNAL_ACCOUNT: &[Key] = &[
    Key::new("key_id", Value::Text("."))
        .required()
        .about("The identifier of the key, as the authority shows it."),
    Key::new("key", Value::TableWithOne { keys: EXTERNAL_ACCOUNT_KEY, of: &["env", "file", "value"] })
        .required()
        .about("The key (HMAC), in base64 as the authority shows it."),
];

/// `key` of `external_account`
pub(crate) const EXTERNAL_ACCOUNT_KEY: &[Key] =
    &[ENV, FILE, Key::new("value", Value::Text(".")).about("The key itself, for tests only.")];

/// A name of DNS in ASCII.
const DOMAIN: Value =
    Value::Text("^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$");

/// A mail address.
const MAIL: Value = Value::Text("^[^@\\s]+@[^@\\s]+$");

/// A certificate and its key.
pub(crate) const KEY_PAIR: &[Key] = &[CERT, KEY];

const CERT: Key = Key::new("cert", Value::Text("."))
    .required()
    .about("The file with the certificate and the chain behind it, in PEM (fullchain.pem).");

const KEY: Key = Key::new("key", Value::Text(".")).required().about("The file with the private key, in PEM.");

const MIN_VERSION: Key = Key::new("min_version", Value::Word(|| words(&TLS_VERSIONS)))
    .or("\"1.2\"")
    .about("The lowest version of TLS that is spoken.");

/// `tls` of `[admin]`
pub(crate) const ADMIN_TLS: Key = Key::new("tls", Value::Table(ADMIN_KEY_PAIR)).about(
    "The certificate with which the admin listener speaks TLS. Unix sockets do not speak TLS. Default: plain HTTP.",
);

/// The value of `tls` of `[admin]`.
pub(crate) const ADMIN_KEY_PAIR: &[Key] = &[CERT, KEY, MIN_VERSION];

/// The certificate that hookgate shows to upstreams.
pub(crate) const OWN_CERTIFICATE: Key = Key::new("client_certificate", Value::Table(KEY_PAIR))
    .about("The certificate that hookgate shows to https upstreams that ask for one.");

/// The certificate authorities of upstreams.
pub(crate) const CA: Key = Key::new("ca", Value::Text(".")).about(
    "A file with the certificate authorities that https upstreams are verified against. Default: those that \
     the system trusts.",
);

/// The certificate that a route requires of its clients.
pub(crate) const CLIENT_CERTIFICATE: Key = Key::new(
    "client_certificate",
    Value::Either(&[Value::Word(|| words(&CLIENT_SETS)), Value::Table(CLIENT_NAMES)]),
)
.about(
    "Only clients with a certificate that has one of these names; meta: the one of Meta's webhooks. It needs \
     client_ca in [tls]. Others: 403, client_certificate.",
);

/// A route's `client_certificate`.
pub(crate) const CLIENT_NAMES: &[Key] =
    &[Key::new("names", Value::List { of: &Value::Text("."), empty: false })
        .required()
        .about("Subject alternative names, or common names.")];
