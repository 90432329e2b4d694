//! Pure. The trusted proxies (`client_address`), and the client that they report.

use std::net::IpAddr;

use crate::admission::client::{ClientAddress, Network};
use crate::message::forwarded::{Protocol, address_of_entry, elements, entries_from_right, last_protocol};
use crate::signature::Fields;

/// The proxies whose reports of the client the gateway believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    /// The addresses of the proxies.
    pub networks: Vec<Network>,
    /// The field in which the proxies report the client.
    pub field: ClientField,
}

/// A field in which proxies report the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientField {
    /// `x-forwarded-for`
    #[default]
    XForwardedFor,
    /// `forwarded` (RFC 7239)
    Forwarded,
}

impl ClientField {
    /// All fields, with their names.
    pub const ALL: [(&str, Self); 2] =
        [("x-forwarded-for", Self::XForwardedFor), ("forwarded", Self::Forwarded)];

    /// The field's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// The program at the other end of a request's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastHop {
    /// A client, or a proxy that no setting names. No proxies are trusted.
    #[default]
    Unknown,
    /// The client. Its fields are its own claims.
    Client,
    /// A trusted proxy, which reports the client in this field.
    Proxy(ClientAddress, ClientField),
}

/// The client of a request, the other end of the connection, and the client's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The client address.
    pub client: ClientAddress,
    /// The program at the other end of the connection.
    pub last_hop: LastHop,
    /// The protocol between the client and the trusted proxy, if the proxy reports the protocol.
    pub protocol: Option<Protocol>,
}

impl Arrival {
    /// The client's protocol: the protocol that the trusted proxy reports, or else the protocol of the
    /// connection.
    #[must_use]
    pub fn protocol_over(&self, is_tls: bool) -> Protocol {
        let of_connection = if is_tls { Protocol::Https } else { Protocol::Http };
        self.protocol.unwrap_or(of_connection)
    }
}

/// The error that the report of a trusted proxy has no address of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress(pub &'static str);

impl TrustedProxies {
    /// Whether a connection comes from a trusted proxy.
    #[must_use]
    pub fn trust(&self, address: ClientAddress) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The client of a request that came over a connection from `peer`.
    ///
    /// If the peer is a trusted proxy, the client is the last address in the field that is no trusted proxy,
    /// over all lines. If all addresses are trusted proxies, the client is the first address. If the request
    /// has no such field, the client is the peer.
    ///
    /// # Errors
    /// [`NoAddress`] if the client's entry or a later entry is no address. Entries before the client's entry
    /// are not read, because the client can have written them.
    pub fn arrival(&self, peer: ClientAddress, fields: &impl Fields) -> Result<Arrival, NoAddress> {
        if !self.trust(peer) {
            return Ok(Arrival { client: peer, last_hop: LastHop::Client, protocol: None });
        }
        let lines: Vec<&[u8]> = fields.values(self.field.name()).collect();
        let (client, protocol) = match self.field {
            ClientField::XForwardedFor => {
                let last = fields.values("x-forwarded-proto").last();
                (self.of_entries(&lines)?, last.and_then(last_protocol))
            }
            ClientField::Forwarded => match self.of_elements(&lines)? {
                Some((client, protocol)) => (Some(client), protocol),
                None => (None, None),
            },
        };
        let client = client.unwrap_or(peer);
        Ok(Arrival { client, last_hop: LastHop::Proxy(peer, self.field), protocol })
    }

    /// The client in lines of `x-forwarded-for`.
    fn of_entries(&self, lines: &[&[u8]]) -> Result<Option<ClientAddress>, NoAddress> {
        let mut first = None;
        for entry in lines.iter().rev().flat_map(|line| entries_from_right(line)) {
            let address = address_of_entry(entry).ok_or(NO_ENTRY)?;
            let address = ClientAddress::ip(address);
            if !self.trust(address) {
                return Ok(Some(address));
            }
            first = Some(address);
        }
        Ok(first)
    }

    /// The client in lines of `forwarded`, and its protocol.
    fn of_elements(&self, lines: &[&[u8]]) -> Result<Option<(ClientAddress, Option<Protocol>)>, NoAddress> {
        let mut first = None;
        for line in lines.iter().rev() {
            let of_line = self.of_line(line)?;
            match of_line {
                OfLine::Client(address, protocol) => return Ok(Some((address, protocol))),
                OfLine::Proxies(address, protocol) => first = Some((address, protocol)),
                OfLine::Empty => {}
            }
        }
        Ok(first)
    }

    /// The last client in a line of `forwarded`. The line is read from left to right, because commas in
    /// quoted strings can be recognised only in this direction.
    fn of_line(&self, line: &[u8]) -> Result<OfLine, NoAddress> {
        let mut last = Ok(OfLine::Empty);
        let read = elements(line, |element| {
            match element.address().map(|address: IpAddr| ClientAddress::ip(address)) {
                None => last = Err(NO_ELEMENT),
                Some(address) if !self.trust(address) => last = Ok(OfLine::Client(address, element.protocol)),
                Some(address) => {
                    if last == Ok(OfLine::Empty) {
                        last = Ok(OfLine::Proxies(address, element.protocol));
                    }
                }
            }
        });
        read.ok_or(NO_LINE)?;
        last
    }
}

/// The result of a line of `forwarded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfLine {
    /// The line has no element.
    Empty,
    /// All addresses are trusted proxies. The value is the first address.
    Proxies(ClientAddress, Option<Protocol>),
    /// The last address that is no trusted proxy.
    Client(ClientAddress, Option<Protocol>),
}

const NO_ENTRY: NoAddress = NoAddress("an entry of x-forwarded-for from a trusted proxy is no address");
const NO_ELEMENT: NoAddress =
    NoAddress("an element of forwarded from a trusted proxy has no address in `for`");
const NO_LINE: NoAddress = NoAddress("forwarded from a trusted proxy does not have the form of RFC 7239");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines of one field.
    struct Lines<'l>(&'l [(&'l str, &'l str)]);

    impl Fields for Lines<'_> {
        fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            self.0.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_bytes())
        }
    }

    fn proxies(field: ClientField) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48", "unix"];
        TrustedProxies { networks: networks.map(|network| Network::parse(network).unwrap()).into(), field }
    }

    fn address(text: &str) -> ClientAddress {
        if text == "unix" { ClientAddress::Unix } else { ClientAddress::ip(text.parse().unwrap()) }
    }

    fn client(field: ClientField, peer: &str, lines: &[&str]) -> Result<String, NoAddress> {
        let lines: Vec<_> = lines.iter().map(|line| (field.name(), *line)).collect();
        let arrival = proxies(field).arrival(address(peer), &Lines(&lines));
        arrival.map(|arrival| arrival.client.to_string())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        for (peer, lines, want) in [
            ("10.0.0.1", &["192.0.2.1"][..], "192.0.2.1"),
            ("unix", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9, 192.0.2.1, 10.0.0.2:80 , 10.0.0.3"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9", "192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1", "", " , "], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1, ::ffff:10.0.0.2, 2001:db8:1::1"], "192.0.2.1"),
            ("10.0.0.1", &["[2001:db8:2::1]:80, [2001:db8:1::1]:80"], "2001:db8:2::1"),
            // What stands before the client's entry is not read.
            ("10.0.0.1", &["garbage, unknown, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["\"", "10.0.0.9", "192.0.2.1"], "192.0.2.1"),
            // All addresses are trusted: the first.
            ("10.0.0.1", &["10.0.0.4, 10.0.0.3", "10.0.0.2"], "10.0.0.4"),
            // No field, or an empty one: the peer.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("unix", &[" ,"], "unix"),
            // The peer is not trusted, whatever it says.
            ("192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
            ("192.0.2.1", &["garbage"], "192.0.2.1"),
            ("11.0.0.0", &["203.0.113.9"], "11.0.0.0"),
        ] {
            assert_eq!(
                client(ClientField::XForwardedFor, peer, lines).as_deref(),
                Ok(want),
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn what_is_no_address_after_the_client_is_refused() {
        for lines in [
            &["unknown"][..],
            &["192.0.2.1, _hidden"],
            &["192.0.2.1", "garbage, 10.0.0.2"],
            &["192.0.2.1, 10.0.0.2:65536"],
            &["garbage, 10.0.0.2, 10.0.0.3"],
        ] {
            assert_eq!(client(ClientField::XForwardedFor, "10.0.0.1", lines), Err(NO_ENTRY), "{lines:?}");
        }
        for (line, want) in [
            ("for=192.0.2.1, for=unknown", NO_ELEMENT),
            ("for=192.0.2.1, for=_hidden, for=10.0.0.2", NO_ELEMENT),
            ("for=192.0.2.1, by=10.0.0.2", NO_ELEMENT),
            ("for=\"192.0.2.1:65536\"", NO_ELEMENT),
            ("garbage, for=192.0.2.1", NO_LINE),
            ("for=192.0.2.1;x=\", for=10.0.0.2", NO_LINE),
        ] {
            assert_eq!(client(ClientField::Forwarded, "10.0.0.1", &[line]), Err(want), "{line}");
        }
    }

    #[test]
    fn forwarded_is_read_like_x_forwarded_for() {
        for (lines, want) in [
            (&["for=203.0.113.9, For=\"192.0.2.1:80\";proto=http, for=10.0.0.2"][..], "192.0.2.1"),
            (&["for=unknown, for=192.0.2.1"], "192.0.2.1"),
            (&["garbage", "for=192.0.2.1", "for=10.0.0.2"], "192.0.2.1"),
            (&["for=\"[2001:db8:2::1]\", for=\"[2001:db8:1::1]\""], "2001:db8:2::1"),
            (&["for=10.0.0.4, for=10.0.0.3", "for=10.0.0.2"], "10.0.0.4"),
            (&["", ","], "10.0.0.1"),
        ] {
            assert_eq!(client(ClientField::Forwarded, "10.0.0.1", lines).as_deref(), Ok(want), "{lines:?}");
        }
        assert_eq!(client(ClientField::Forwarded, "192.0.2.1", &["garbage"]).as_deref(), Ok("192.0.2.1"));
    }

    #[test]
    fn only_a_trusted_proxy_says_how_the_client_came() {
        let of = |field, peer: &str, lines: &[(&str, &str)]| {
            proxies(field).arrival(address(peer), &Lines(lines)).unwrap().protocol
        };
        let lines =
            [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "http"), ("x-forwarded-proto", "https")];
        assert_eq!(of(ClientField::XForwardedFor, "10.0.0.1", &lines), Some(Protocol::Https));
        assert_eq!(of(ClientField::XForwardedFor, "192.0.2.9", &lines), None);
        // The protocol of the client's element, not of a later one.
        let lines =
            [("forwarded", "for=203.0.113.9;proto=http, for=192.0.2.1;proto=https, for=10.0.0.2;proto=http")];
        assert_eq!(of(ClientField::Forwarded, "10.0.0.1", &lines), Some(Protocol::Https));
        assert_eq!(of(ClientField::Forwarded, "192.0.2.9", &lines), None);
    }

    proptest! {
        /// A client behind a trusted proxy cannot choose its address, whatever it sends in a line of its own.
        #[test]
        fn a_client_cannot_choose_its_address(forged in "[ -~]*", field in 0_usize..2) {
            let (field, own) = [
                (ClientField::XForwardedFor, "192.0.2.1"),
                (ClientField::Forwarded, "for=\"192.0.2.1:80\""),
            ][field];
            let apart = client(field, "10.0.0.1", &[&forged, own]);
            prop_assert_eq!(apart.as_deref(), Ok("192.0.2.1"));
            let together = client(field, "10.0.0.1", &[&format!("{forged}, {own}")]);
            prop_assert!(together.is_err() || together.as_deref() == Ok("192.0.2.1"), "{together:?}");
        }
    }
}
