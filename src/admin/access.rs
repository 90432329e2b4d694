//! Pure. Access control of the admin listener: decides by the origin of a request what the client may read.
//!
//! An address alone does not identify a program: a page in a browser on the gateway's machine runs code of
//! another party. Such a page is recognised by fields that a browser always sends.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri};

use crate::admission::client::ClientAddress;

/// Where the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The client is on the gateway's own machine, or in its container. The value is the local address of the
    /// connection. `None` if that is a loopback address.
    Here(Option<IpAddr>),
    /// The client is on the gateway's own machine and uses a unix socket. The mode of the socket's file says
    /// who may connect.
    Socket,
    /// The client is elsewhere. A listener that is open to a scraper must not let the scraper's whole network
    /// try signatures.
    Elsewhere,
}

impl Asker {
    /// Determines the place of the client from the two addresses of a connection.
    pub(crate) fn of(client: ClientAddress, local: Option<IpAddr>) -> Self {
        let ip = match client {
            ClientAddress::Ip(ip) => ip.to_canonical(),
            ClientAddress::Unix => return Self::Socket,
        };
        let local = local.map(|local| local.to_canonical());
        if ip.is_loopback() || local == Some(ip) { Self::Here(local) } else { Self::Elsewhere }
    }

    /// Why the client may not try signatures or compare configurations. `None` for a program on the gateway's
    /// own machine: such a client is allowed. A page in a browser on that machine is refused.
    ///
    /// `host` is checked because an attacker can make the name of a site resolve to this machine (DNS
    /// rebinding). The site's page then sends requests to its own origin, and a browser adds no `origin` to
    /// GET and HEAD.
    pub(crate) fn may_look_closer(self, target: &Uri, fields: &HeaderMap) -> Option<&'static str> {
        let own = match self {
            Self::Elsewhere => return Some("only from the gateway's own machine"),
            Self::Here(_) | Self::Socket if Self::is_a_page(fields) => {
                return Some("not for pages in a browser");
            }
            Self::Here(own) => own,
            Self::Socket => return self.may_read(fields),
        };
        let mut hosts = fields.get_all(HOST).iter();
        let by_host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => leads_here(host.as_bytes(), own),
            (None | Some(_), _) => false,
        };
        let by_target =
            target.authority().is_none_or(|authority| leads_here(authority.as_str().as_bytes(), own));
        (!by_host || !by_target).then_some("ask by an address of this machine, or as localhost")
    }

    /// Whether a page in a browser sent the request. Browsers send `origin` with every method except GET and
    /// HEAD (Fetch, section 3.2). Other clients never send it.
    pub(crate) fn is_a_page(fields: &HeaderMap) -> bool {
        fields.contains_key(ORIGIN) || is_of_a_page(fields)
    }

    /// Why the client may not read the names of the gateway's secrets. `None` if it may. An attacker's page
    /// can make the name of its own site resolve to this machine (DNS rebinding), and read the answer. Then
    /// `host` has the name of that site.
    pub(crate) fn may_read(self, fields: &HeaderMap) -> Option<&'static str> {
        match self {
            Self::Elsewhere => None,
            // A browser opens no unix socket, but may reach a proxy in front of the socket.
            Self::Here(_) | Self::Socket => (!fields
                .get_all(HOST)
                .iter()
                .all(|host| is_ours(host.as_bytes()) || (self == Self::Socket && host.is_empty())))
            .then_some("on the gateway's own machine, ask by its address or as localhost"),
        }
    }
}

/// Whether the browser says that a page sent the request, and not the user (Fetch Metadata). Browsers say
/// this for loopback addresses.
fn is_of_a_page(fields: &HeaderMap) -> bool {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    fields.get_all(SEC_FETCH_SITE).iter().any(|site| site != "none")
}

/// Whether a `host` is a loopback address, the local address, or `localhost` (RFC 6761, section 6.3). No site
/// can have such a name. Only the usual notation is accepted, and no other notation such as `127.1`.
fn leads_here(host: &[u8], own: Option<IpAddr>) -> bool {
    let Ok(text) = std::str::from_utf8(host) else { return false };
    let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((name, port)) => (name, port.strip_prefix(':').or(port.is_empty().then_some(""))),
        None => {
            let (name, port) = text.split_once(':').unwrap_or((text, ""));
            (name, Some(port))
        }
    };
    let is_number = port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_v6 = text.starts_with('[');
    is_number
        && match name.parse::<IpAddr>() {
            Ok(ip) => {
                ip.is_ipv6() == is_v6 && (ip.to_canonical().is_loopback() || own == Some(ip.to_canonical()))
            }
            Err(_) => !is_v6 && name.eq_ignore_ascii_case("localhost"),
        }
}

/// Whether a host cannot be the name of a site. Such a host is an address, or a name without a dot: only this
/// machine or its network resolves such a name.
fn is_ours(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok() || !name.contains('.')
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::HeaderValue;

    use super::*;

    fn here(address: &str) -> Asker {
        Asker::Here(Some(address.parse().unwrap()))
    }

    #[test]
    fn only_connections_over_loopback_or_from_the_listeners_own_address_are_local() {
        for (peer, local, want) in [
            ("127.0.0.1:1", "127.0.0.1:9", here("127.0.0.1")),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:9", here("127.0.0.1")),
            ("[::1]:1", "[::1]:9", here("::1")),
            ("192.0.2.1:1", "192.0.2.1:9", here("192.0.2.1")),
            ("192.0.2.2:1", "192.0.2.1:9", Asker::Elsewhere),
            ("192.0.2.2:1", "127.0.0.1:9", Asker::Elsewhere),
            ("[::ffff:192.0.2.2]:1", "[::ffff:192.0.2.1]:9", Asker::Elsewhere),
        ] {
            let [peer, local] = [peer, local].map(|address| address.parse::<SocketAddr>().unwrap().ip());
            assert_eq!(Asker::of(ClientAddress::ip(peer), Some(local)), want, "{peer} {local}");
        }
        let client = ClientAddress::ip("192.0.2.1".parse().unwrap());
        assert_eq!(Asker::of(client, None), Asker::Elsewhere, "where the local address is unknown");
        assert_eq!(Asker::of(ClientAddress::Unix, None), Asker::Socket);
    }

    #[test]
    fn a_host_that_may_be_a_sites_name_is_refused_on_this_machine() {
        for (host, want) in [
            ("127.0.0.1:9901", true),
            ("[::1]:9901", true),
            ("192.0.2.1", true),
            ("localhost:9901", true),
            ("hookgate:9901", true),
            ("evil.example:9901", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.", false),
            ("", false),
            ("a b", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.append(HOST, HeaderValue::from_static(host));
            assert_eq!(Asker::Here(None).may_read(&fields).is_none(), want, "{host}");
            assert_eq!(Asker::Elsewhere.may_read(&fields), None);
            fields.append(HOST, HeaderValue::from_static("evil.example"));
            assert!(Asker::Here(None).may_read(&fields).is_some(), "{host} and another");
        }
        assert_eq!(Asker::Here(None).may_read(&HeaderMap::new()), None, "HTTP/1.0 needs none");
    }

    #[test]
    fn only_an_address_or_localhost_as_host_may_try_signatures() {
        let target = Uri::from_static("/verify/a");
        let asks = |asker: Asker, target: &Uri, lines: &[(&'static str, &str)]| {
            let mut fields = HeaderMap::new();
            for (name, value) in lines {
                fields.append(*name, HeaderValue::from_str(value).unwrap());
            }
            asker.may_look_closer(target, &fields).is_none()
        };
        for (host, want) in [
            ("127.0.0.1", true),
            ("127.0.0.1:9901", true),
            ("127.9.9.9:1", true),
            ("[::1]", true),
            ("[::1]:9901", true),
            ("[0:0:0:0:0:0:0:1]:9901", true),
            ("[::ffff:127.0.0.1]:9901", true),
            ("192.0.2.1:9901", true),
            ("localhost", true),
            ("localhost:9901", true),
            ("LocalHost:9901", true),
            ("127.0.0.1:", true),
            ("192.0.2.2:9901", false),
            ("0.0.0.0:9901", false),
            ("[::]:9901", false),
            ("evil.example", false),
            ("127.0.0.1.nip.io", false),
            ("127.0.0.1.", false),
            ("localhost.", false),
            ("localhost.evil.example:9901", false),
            ("a.localhost", false),
            ("hookgate:9901", false),
            ("127.1", false),
            ("127.0.0.01", false),
            ("0x7f.1", false),
            ("0x7f000001", false),
            ("2130706433", false),
            ("::1", false),
            ("[127.0.0.1]", false),
            ("[::1", false),
            ("[::1]9901", false),
            ("[localhost]", false),
            ("127.0.0.1:9901:1", false),
            ("127.0.0.1:x", false),
            ("a@127.0.0.1", false),
            ("127.0.0.1@evil.example", false),
            ("127.0.0.1, evil.example", false),
            ("", false),
            (":9901", false),
        ] {
            assert_eq!(asks(here("192.0.2.1"), &target, &[("host", host)]), want, "{host}");
            assert!(!asks(Asker::Elsewhere, &target, &[("host", host)]), "{host}");
        }
        let good = ("host", "127.0.0.1");
        assert!(!asks(here("::1"), &target, &[]), "none");
        assert!(!asks(here("::1"), &target, &[good, good]), "two");
        for (name, value, want) in [
            ("origin", "null", false),
            ("origin", "http://127.0.0.1", false),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "same-site", false),
            ("sec-fetch-site", "same-origin", false),
            ("sec-fetch-site", "none", true),
            ("user-agent", "curl", true),
        ] {
            assert_eq!(asks(here("::1"), &target, &[good, (name, value)]), want, "{name}: {value}");
        }
        for (target, want) in [("http://127.0.0.1/verify/a", true), ("http://evil.example/verify/a", false)] {
            assert_eq!(asks(here("::1"), &Uri::from_static(target), &[good]), want, "{target}");
        }
    }
}
