//! Pure. The client at the other end of a connection: its address, and the client group to which it belongs.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// The address of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAddress {
    /// An IP address. An IPv4 address in its IPv6-mapped form is stored as IPv4.
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

    /// The client group to which this client belongs.
    #[must_use]
    pub fn group(self) -> ClientGroup {
        ClientGroup(match self {
            Self::Ip(IpAddr::V6(address)) => {
                Self::Ip(Ipv6Addr::from_bits(address.to_bits() & IPV6_GROUP).into())
            }
            Self::Ip(IpAddr::V4(_)) | Self::Unix => self,
        })
    }
}

/// The bits that name an IPv6 group, a /64. A client with one address of a /64 can use all 2^64 of them.
const IPV6_GROUP: u128 = u128::MAX << 64;

/// Clients that count as one in the connection limit and the memory budget: an IPv4 address, an IPv6 /64, or
/// all unix sockets of this machine together.
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
    /// IP addresses.
    Ip(IpNet),
    /// All clients over unix sockets.
    Unix,
}

impl Network {
    /// Parses `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32` or `unix`. The bits after the prefix must be 0.
    /// Otherwise the operator probably means another network.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "unix" {
            return Some(Self::Unix);
        }
        let network = match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_no_address) => text.parse::<IpNet>().ok()?,
        };
        let sound = network.trunc() == network && network.addr().to_canonical() == network.addr();
        sound.then_some(Self::Ip(network))
    }

    /// Whether the network contains all addresses of a version of IP.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        match self {
            Self::Ip(network) => network.prefix_len() == 0,
            Self::Unix => false,
        }
    }

    /// Whether the network contains a client.
    #[must_use]
    pub fn contains(&self, client: ClientAddress) -> bool {
        match (*self, client) {
            (Self::Ip(network), ClientAddress::Ip(address)) => network.contains(&address),
            (Self::Unix, ClientAddress::Unix) => true,
            (Self::Ip(..), ClientAddress::Unix) | (Self::Unix, ClientAddress::Ip(_)) => false,
        }
    }
}

/// The clients to which no limit per client applies: trusted proxies and unix sockets. Many clients can be
/// behind each of them.
#[derive(Clone, Debug, Default)]
pub struct ExemptClients(Vec<Network>);

impl ExemptClients {
    /// Exempts all unix sockets, and these networks of trusted proxies.
    pub fn new(proxies: impl IntoIterator<Item = Network>) -> Self {
        Self(proxies.into_iter().collect())
    }

    /// Whether a client is exempt.
    #[must_use]
    pub fn contains(&self, client: ClientAddress) -> bool {
        client == ClientAddress::Unix || self.0.iter().any(|proxies| proxies.contains(client))
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
    fn only_unix_sockets_and_trusted_proxies_are_exempt() {
        let exempt = ExemptClients::new(Network::parse("10.0.0.0/8"));
        let ip = |address: &str| ClientAddress::ip(address.parse().unwrap());
        assert!(exempt.contains(ip("10.1.2.3")) && exempt.contains(ClientAddress::Unix));
        assert!(!exempt.contains(ip("11.0.0.1")) && !exempt.contains(ip("2001:db8::1")));
        assert!(ExemptClients::default().contains(ClientAddress::Unix));
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
