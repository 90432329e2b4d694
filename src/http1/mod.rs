//! Shell. The front end for HTTP/1.1.

pub mod connection;
pub mod response;
pub mod serve;
pub mod wake_gated;
pub mod writer;
