//! Shell. Listeners, and the connections that they accept.

pub mod accept;
pub mod bind;
pub mod inherit;
pub mod listener;
pub mod proxy_header_reader;
pub mod proxy_protocol;
pub mod stream;
