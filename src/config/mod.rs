//! Pure. The configuration: complete, checked, in its own types.
//!
//! A [`Config`] is only made by [`read`], from the text of gateway.toml and its environment. Its holders need no further
//! checks.

pub mod cross_checks;
pub mod digest;
pub mod environment;
pub mod files;
pub mod load;
pub mod problem;
pub mod redact;
pub mod schema;
pub mod shown;
pub mod unit;

mod address;
mod bounds;
mod challenge;
mod date;
mod draft;
mod file;
mod item;
mod key;
mod keys;
mod pointer;
mod proxy;
mod public_url;
mod routes;
mod schemes;
mod secret;
mod sections;
mod settings;
mod signature;
mod suggest;
mod syntax;
mod table;
mod upstream;
mod words;

pub use crate::signature::Mode;

pub use file::{Loaded, read};
pub use settings::{AccessLog, Address, Admin, Config, Forward, Limits, Log, LogFormat, LogLevel};
pub use settings::{ProxyProtocol, Route, Server, Sharing, Upstream, XForwarded};

#[cfg(test)]
mod tests;
