//! Pure. The configuration: complete, checked, in its own types.
//!
//! A [`Config`] is only made by [`read`], from the text of gateway.toml and its environment. Its holders need no further
//! checks.

pub mod cross_checks;
pub mod digest;
pub mod environment;
pub mod load;
pub mod problem;
pub mod redact;
pub mod unit;

mod address;
mod bounds;
mod date;
mod keys;
mod public_url;
mod sections;
mod settings;
mod suggest;

pub use crate::signature::Mode;

pub use crate::config::reader::{Loaded, read};
pub use settings::{AccessLog, Address, Admin, Config, Forward, Limits, Log, LogFormat, LogLevel};
pub use settings::{ProxyProtocol, Route, Server, Sharing, Upstream, XForwarded};

pub mod bounded_read;
pub mod choices;
pub mod json_pointer;
pub mod json_schema;
pub mod key_description;
pub mod reader;
pub mod showable;
#[cfg(test)]
mod tests;
pub mod toml_syntax;
pub mod toml_table;
pub mod toml_value;
