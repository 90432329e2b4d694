//! Shell. What both front ends share of a connection: its stream, its limits, its buffers, and the watch for
//! clients that read too slowly.

pub mod buffer;
pub mod client_read_rate;
pub mod limits;
pub mod read_buffer;
pub mod slow_reader;
pub mod transport;
