//! Pure. The value types of keys that occur in several tables.

use crate::config::key_description::Value;

/// The URL of an app: plain HTTP without a path, or a unix socket.
pub(crate) const ORIGIN: Value = Value::Text("^([Hh][Tt][Tt][Pp]://[^/?#@\\s]+/?|unix:/.*[^/])$");

/// The possible words of a key.
pub(crate) fn words<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(word, _)| *word).collect()
}
