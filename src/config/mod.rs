//! Pure. The complete and checked configuration, in its own types.
//!
//! Only [`read`] makes a [`Config`], from the text of gateway.toml and its environment. So code that has a
//! `Config` checks nothing again.

pub mod bounded_read;
pub mod digest;
pub mod environment;
pub mod json_schema;
pub mod load;
pub mod problem;
pub mod redact;

mod address;
mod bounds;
mod brackets;
mod choices;
mod client_checks;
mod cross_checks;
pub(crate) mod date;
mod delivery_checks;
mod json_pointer;
mod key_description;
mod keys;
mod line_mistakes;
pub(crate) mod one_scheme;
mod other_format;
mod other_words;
mod placeholder;
pub(crate) mod public_url;
mod reader;
mod sections;
mod settings;
mod showable;
pub(crate) mod suggest;
mod tls_checks;
mod toml_syntax;
mod toml_table;
mod toml_value;

pub use crate::signature::Mode;

pub use reader::{Loaded, read};
pub use settings::{AccessLog, Address, Admin, AdminAddress, Config, ConsoleMode, DeliveryMode};
pub use settings::{DeliveryOptions, Forward};
pub use settings::{Limits, Log, LogFormat, LogLevel, OrderBy, ProxyProtocol, Queue, Retry, Role, Route};
pub use settings::{PostgresAddress, Server, ServerTls, Sharing, StoreAddress};
pub use settings::{Tls, Token, Upstream, XForwarded};

pub mod size_and_duration;
#[cfg(test)]
mod tests;
