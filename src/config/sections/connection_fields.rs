//! Pure. The names of fields that are about the connection or the framing of a message.

/// Fields that every HTTP implementation interprets, and hop-by-hop fields.
pub(crate) const OF_THE_CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
