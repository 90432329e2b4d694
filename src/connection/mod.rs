//! Shell. What both front ends share of a connection: its stream, its limits, and its buffers.

pub mod buffer;
pub mod limits;
pub mod read_buffer;
pub mod transport;
