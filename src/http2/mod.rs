//! Shell. The front end for HTTP/2, on hyper (docs/decisions/0009-http2.md).

pub mod frames;
pub mod head;
pub mod limits;
pub mod preface;
pub mod serve;

mod content;
mod response;
mod stream;
mod stream_clients;
mod streams;
mod transport;
