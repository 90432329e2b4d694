//! Pure. The names of hosts in certificates. Decides whether a name covers the host of a request (RFC 9525,
//! section 6).

use std::fmt;
use std::net::IpAddr;

/// A name of a host, as a certificate has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostName {
    /// A DNS name in lower case; its first label may be `*`.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
}

impl HostName {
    /// A DNS name, in any case and perhaps with a dot at its end.
    #[must_use]
    pub fn dns(name: &str) -> Self {
        Self::Dns(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
    }

    /// Whether a host without a port is covered by this name. A `*` stands for exactly one label.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Ip(address) => ip(host) == Some(*address),
            Self::Dns(name) => covers(name, host.strip_suffix('.').unwrap_or(host)),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => write!(f, "{address}"),
        }
    }
}

fn covers(name: &str, host: &str) -> bool {
    let Some(parent) = name.strip_prefix("*.") else { return name.eq_ignore_ascii_case(host) };
    // An address has no labels that a wildcard could stand for.
    let of_host = host.split_once('.').filter(|(label, _)| !label.is_empty() && ip(host).is_none());
    of_host.is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
}

fn ip(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// The host of an authority (`host:port`), without the port.
#[must_use]
pub fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons inside the brackets of an IPv6 address are not in front of a port.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_covers_its_host_in_any_case_and_a_wildcard_exactly_one_label() {
        for (name, host, want) in [
            ("hooks.example.com", "hooks.example.com", true),
            ("hooks.example.com", "HOOKS.Example.com.", true),
            ("hooks.example.com", "example.com", false),
            ("hooks.example.com", "a.hooks.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "A.EXAMPLE.COM", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("localhost", "localhost", true),
        ] {
            assert_eq!(HostName::dns(name).covers(host), want, "{name} {host}");
        }
        let ip = |text: &str| HostName::Ip(text.parse().unwrap());
        assert!(
            ip("127.0.0.1").covers("127.0.0.1") && ip("::1").covers("[::1]") && ip("::1").covers("[0:0::1]")
        );
        assert!(!ip("127.0.0.1").covers("127.0.0.2") && !ip("127.0.0.1").covers("localhost"));
    }

    #[test]
    fn a_port_is_not_part_of_the_host() {
        for (authority, want) in [
            ("a.example", "a.example"),
            ("a.example:8443", "a.example"),
            ("a.example:", "a.example"),
            ("[::1]:8443", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
        ] {
            assert_eq!(without_port(authority), want);
        }
    }
}
