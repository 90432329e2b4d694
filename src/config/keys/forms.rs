//! Pure. Keys that occur in several tables, and the value types of such keys.

use crate::config::key_description::{Key, Value};

/// The environment variable of a secret.
pub(crate) const ENV: Key = Key::new("env", Value::Text("^[A-Za-z_][A-Za-z0-9_]*$"))
    .about("The environment variable that contains the secret or token.");

/// The file of a secret.
pub(crate) const FILE: Key = Key::new("file", Value::Text("."))
    .about("The file that contains the secret or token. A relative path begins at gateway.toml's folder.");

/// The URL of an app: HTTP or HTTPS without a path, or a unix socket.
pub(crate) const ORIGIN: Value = Value::Text("^([Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+/?|unix:/.*[^/])$");

/// An IP address and a port. The regular expression does not check every detail.
const TCP: Value = Value::Text("^(\\[[0-9A-Fa-f:.]+(%[0-9]+)?\\]|[0-9.]+):[0-9]{1,5}$");
const UNIX: Value = Value::Text("^unix:/.*[^/]$");
/// An address to listen on, or a list of addresses.
pub(crate) const LISTENERS: Value = Value::Either(&[LISTENER, Value::List { of: &LISTENER, empty: false }]);
const LISTENER: Value = Value::Either(&[TCP, UNIX]);

/// The possible words of a key.
pub(crate) fn words<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(word, _)| *word).collect()
}
