//! Pure. Who asks the admin listener, and what that one may see.
//!
//! Where a connection comes from does not say who is behind it: a page in a browser on the gateway's machine is somebody
//! else's program. What gives it away is what no page can leave out.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

/// Where whoever asks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// On the gateway's own machine, or in its container.
    Here,
    /// Somewhere else. That the listener is open to a scraper does not mean that all of its network may try signatures.
    Elsewhere,
}

impl Asker {
    /// By the two ends of its connection.
    pub(super) fn of(peer: SocketAddr, local: io::Result<SocketAddr>) -> Self {
        let ip = peer.ip().to_canonical();
        let is_own = local.is_ok_and(|local| local.ip().to_canonical() == ip);
        if ip.is_loopback() || is_own { Self::Here } else { Self::Elsewhere }
    }

    /// Why it may not try signatures or compare configurations, if it may not.
    pub(super) fn may_look_closer(self, fields: &HeaderMap) -> Option<&'static str> {
        match self {
            Self::Elsewhere => Some("only from the gateway's own machine"),
            // Browsers send it with whatever is neither GET nor HEAD (Fetch, section 3.2), and nobody else does.
            Self::Here if fields.contains_key(ORIGIN) => Some("not for pages in a browser"),
            Self::Here => None,
        }
    }

    /// Why it may not read what names the gateway's secrets, if it may not. A stranger's page can have the name of its own
    /// site lead to this machine (DNS rebinding) and then read the answer; that name is in `host`.
    pub(super) fn may_read(self, fields: &HeaderMap) -> Option<&'static str> {
        match self {
            Self::Elsewhere => None,
            Self::Here => (!fields.get_all(HOST).iter().all(|host| is_ours(host.as_bytes())))
                .then_some("on the gateway's own machine, ask by its address or as localhost"),
        }
    }
}

/// Whether this can be no site's name: an address, or a name without a dot, which only this machine or its network gives.
fn is_ours(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok() || !name.contains('.')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_who_comes_over_loopback_or_from_the_listeners_own_address_is_here() {
        for (peer, local, want) in [
            ("127.0.0.1:1", "127.0.0.1:9", Asker::Here),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:9", Asker::Here),
            ("[::1]:1", "[::1]:9", Asker::Here),
            ("192.0.2.1:1", "192.0.2.1:9", Asker::Here),
            ("192.0.2.2:1", "192.0.2.1:9", Asker::Elsewhere),
            ("192.0.2.2:1", "127.0.0.1:9", Asker::Elsewhere),
            ("[::ffff:192.0.2.2]:1", "[::ffff:192.0.2.1]:9", Asker::Elsewhere),
        ] {
            assert_eq!(Asker::of(peer.parse().unwrap(), Ok(local.parse().unwrap())), want, "{peer} {local}");
        }
        let unknown = Err(io::ErrorKind::NotConnected.into());
        assert_eq!(Asker::of("192.0.2.1:1".parse().unwrap(), unknown), Asker::Elsewhere);
    }

    #[test]
    fn a_name_that_could_be_a_sites_is_not_answered_on_this_machine() {
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
            assert_eq!(Asker::Here.may_read(&fields).is_none(), want, "{host}");
            assert_eq!(Asker::Elsewhere.may_read(&fields), None);
            fields.append(HOST, HeaderValue::from_static("evil.example"));
            assert!(Asker::Here.may_read(&fields).is_some(), "{host} and another");
        }
        assert_eq!(Asker::Here.may_read(&HeaderMap::new()), None, "HTTP/1.0 needs none");
    }
}
