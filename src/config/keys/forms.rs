//! Pure. The forms of values that keys of several tables take.

use crate::config::key_description::Value;

/// An app: plain HTTP and nothing behind the port, or a unix socket.
pub(crate) const ORIGIN: Value = Value::Text("^([Hh][Tt][Tt][Pp]://[^/?#@\\s]+/?|unix:/.*[^/])$");

/// The words of a choice.
pub(crate) fn words<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(word, _)| *word).collect()
}
