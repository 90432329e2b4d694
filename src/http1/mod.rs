//! Shell. The front end for HTTP/1.1.

pub mod connection;
pub mod poll_after_wake;
pub mod response;
pub mod serve;
pub mod writer;
