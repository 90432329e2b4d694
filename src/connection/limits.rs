//! Pure. The limits on a client's connection.

use std::time::Duration;

/// The limits on the time and the bytes of a client on its connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of a head.
    pub max_header_bytes: usize,
    /// The longest time for a head: from accept, or from the first byte of the request, to the end of the
    /// head.
    pub header_timeout: Duration,
    /// The longest time between two requests.
    pub idle_timeout: Duration,
    /// How long a client may stop reading while bytes of a response wait for it.
    pub write_timeout: Duration,
    /// The least rate at which a client must read a response, in bytes per second. Only the time in which the
    /// client makes the gateway wait counts. 0 allows any rate.
    pub min_write_rate: u64,
}
