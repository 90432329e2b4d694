//! Pure. Who is at the other end of a client's connection.

use std::fmt;
use std::net::IpAddr;

/// A client, as far as its connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A client with this address; one that was mapped from IPv4 into IPv6 is an IPv4 address.
    Ip(IpAddr),
    /// A process of this machine, over a unix socket.
    Unix,
}

impl Peer {
    /// The client with this address.
    #[must_use]
    pub fn ip(address: IpAddr) -> Self {
        Self::Ip(address.to_canonical())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}
