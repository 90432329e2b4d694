//! Pure. The client at the other end of a connection: its address, and the group that it counts in.

use std::fmt;
use std::net::IpAddr;

/// The address of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAddress {
    /// An IP address. An IPv4 address that is mapped into IPv6 is an IPv4 address.
    Ip(IpAddr),
    /// A process on this machine, over a unix socket.
    Unix,
}

impl ClientAddress {
    /// The client with this IP address.
    #[must_use]
    pub fn ip(address: IpAddr) -> Self {
        Self::Ip(address.to_canonical())
    }

    /// The group that it counts in.
    #[must_use]
    pub fn group(self) -> ClientGroup {
        ClientGroup(match self {
            Self::Ip(address @ IpAddr::V6(_)) => Self::Ip(masked(address, IPV6_PREFIX)),
            Self::Ip(IpAddr::V4(_)) | Self::Unix => self,
        })
    }
}

/// The prefix length of an IPv6 group: a client with one address of a /64 has 2^64 of them.
const IPV6_PREFIX: u8 = 64;

/// Clients that count as one in the connection limit and the memory budget: an IPv4 address, an IPv6 /64, or all unix
/// sockets of this machine together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientGroup(ClientAddress);

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// A set of clients: a network of IP addresses, or all unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The addresses with as many leading bits in common with this one.
    Ip(IpAddr, u8),
    /// All clients over unix sockets.
    Unix,
}

impl Network {
    /// Parses `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32` or `unix`. The bits behind the prefix must be 0: otherwise the
    /// operator probably means another network.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "unix" {
            return Some(Self::Unix);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        let sound = prefix <= most && masked(address, prefix) == address && address.to_canonical() == address;
        sound.then_some(Self::Ip(address, prefix))
    }

    /// Whether it contains a client.
    #[must_use]
    pub fn contains(&self, client: ClientAddress) -> bool {
        match (*self, client) {
            (Self::Ip(network, prefix), ClientAddress::Ip(address)) => {
                network.is_ipv4() == address.is_ipv4() && masked(address, prefix) == network
            }
            (Self::Unix, ClientAddress::Unix) => true,
            (Self::Ip(..), ClientAddress::Unix) | (Self::Unix, ClientAddress::Ip(_)) => false,
        }
    }
}

/// The first bits of an address, with zeros behind them.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        for (network, client, want) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::/0", "::1", true),
            ("::1", "::1", true),
        ] {
            let client = ClientAddress::ip(client.parse().unwrap());
            assert_eq!(Network::parse(network).unwrap().contains(client), want, "{network} {client}");
            assert!(
                !Network::Unix.contains(client)
                    && !Network::parse(network).unwrap().contains(ClientAddress::Unix)
            );
        }
        assert!(Network::parse("unix").unwrap().contains(ClientAddress::Unix));
    }

    #[test]
    fn an_ipv4_address_is_one_client_and_so_is_an_ipv6_network_of_64_bits() {
        let group = |address: &str| ClientAddress::ip(address.parse().unwrap()).group();
        assert_ne!(group("192.0.2.1"), group("192.0.2.2"));
        assert_eq!(group("192.0.2.1"), group("::ffff:192.0.2.1"));
        assert_eq!(group("2001:db8:0:1::1"), group("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(group("2001:db8:0:1::1"), group("2001:db8:0:2::1"));
        assert_ne!(group("::1"), ClientAddress::Unix.group());
        assert_eq!(ClientAddress::Unix.group(), ClientAddress::Unix.group());
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.1/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "localhost",
            "::ffff:10.0.0.0/104",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
