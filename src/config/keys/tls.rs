//! Pure. The keys of TLS: `[tls]`, and those of upstreams and routes.

use crate::config::choices::{CLIENT_SETS, TLS_VERSIONS};
use crate::config::key_description::{Key, Value};
use crate::config::keys::forms::{LISTENERS, words};

/// `[tls]`
pub(crate) const TLS: &[Key] = &[
    Key::new("listen", LISTENERS).required().about(
        "The addresses that speak TLS: an address or a list of them, IP and port, or unix:/path. A change \
         takes a restart.",
    ),
    Key::new("certificates", Value::List { of: &Value::Table(KEY_PAIR), empty: false }).required().about(
        "Certificates with their keys. The one is shown that covers the name that the client asks for (SNI); \
         otherwise the first.",
    ),
    Key::new("min_version", Value::Word(|| words(&TLS_VERSIONS)))
        .or("\"1.2\"")
        .about("The lowest version of TLS that is spoken."),
    Key::new("handshake_timeout", Value::Duration)
        .or("\"10s\"")
        .about("Against clients that do not finish a handshake: time for all of it."),
    Key::new("http2", Value::Flag)
        .or("true")
        .about("Whether HTTP/2 may be offered. This version serves HTTP/1.1 only."),
    Key::new("client_ca", Value::Text(".")).about(
        "A file with the certificate authorities of clients. Clients are then asked for a certificate, and one \
         that does not verify ends the handshake. A route requires one with client_certificate.",
    ),
];

/// A certificate and its key.
pub(crate) const KEY_PAIR: &[Key] = &[
    Key::new("cert", Value::Text("."))
        .required()
        .about("The file with the certificate and the chain behind it, in PEM (fullchain.pem)."),
    Key::new("key", Value::Text(".")).required().about("The file with the private key, in PEM."),
];

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
