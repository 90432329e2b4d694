//! Pure. An upstream's origin (RFC 6454), parsed from the configuration.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use http::Uri;
use rustls::pki_types::ServerName;

/// The origin of an upstream: `http://host:port` or `https://host:port` without a path, or `unix:/path` for a
/// unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An upstream over TCP.
    Tcp(Host),
    /// An upstream over TLS.
    Tls(Host),
    /// An upstream over a unix socket, at this absolute path.
    Unix(PathBuf),
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    name: String,
    port: u16,
    address: Option<IpAddr>,
}

impl Origin {
    /// Parses a URL that is only an origin, or the path of a unix socket.
    ///
    /// # Errors
    /// [`OriginError`]. Its text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        match text.strip_prefix("unix:") {
            Some(path) => socket_path(path).map(Self::Unix).ok_or(OriginError::SocketPath),
            None => Host::parse(text).map(|(scheme, host)| match scheme {
                Scheme::Http => Self::Tcp(host),
                Scheme::Https => Self::Tls(host),
            }),
        }
    }

    /// The value of a `host` field: `host:port`, or `localhost` for a unix socket.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp(host) | Self::Tls(host) => host.authority(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// The path of a unix socket, if it is valid. A valid path is absolute: a relative path would depend on the
/// working directory. The path is also short enough for the kernel (unix(7): 108 bytes with the final NUL).
#[must_use]
pub fn socket_path(text: &str) -> Option<PathBuf> {
    let good =
        text.starts_with('/') && !text.ends_with('/') && text.len() <= LONGEST_PATH && !text.contains('\0');
    good.then(|| PathBuf::from(text))
}

/// The longest path of a unix socket: 107 bytes, less room for a temporary suffix. The socket has this suffix
/// of nine bytes before it listens.
const LONGEST_PATH: usize = 96;

/// The scheme of a URL.
#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

impl Host {
    fn parse(text: &str) -> Result<(Scheme, Self), OriginError> {
        let uri: Uri = text.parse().map_err(|_why| OriginError::NotUrl)?;
        let (scheme, prefix, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, "http://", 80),
            Some("https") => (Scheme::Https, "https://", 443),
            Some(_) | None => return Err(OriginError::NotUrl),
        };
        let authority = uri.authority().ok_or(OriginError::NotUrl)?;
        if authority.as_str().contains('@') {
            return Err(OriginError::UserInformation);
        }
        let after = text
            .get(prefix.len()..)
            .and_then(|rest| rest.get(authority.as_str().len()..))
            .unwrap_or_default();
        if !matches!(after, "" | "/") {
            return Err(OriginError::Path);
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let explicit = authority.as_str().len() != host.len();
        let port = match authority.port_u16() {
            Some(0) => return Err(OriginError::Port),
            Some(port) => port,
            None if explicit => return Err(OriginError::Port),
            None => default_port,
        };
        if bare.is_empty() {
            return Err(OriginError::NotUrl);
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bare.parse::<IpAddr>().is_err() && !bare.chars().all(is_name) {
            return Err(OriginError::Host);
        }
        if bare.parse::<IpAddr>().is_err() {
            let labels: Vec<&str> = bare.strip_suffix('.').unwrap_or(bare).split('.').collect();
            if labels.iter().any(|label| label.is_empty() || label.starts_with('-') || label.ends_with('-')) {
                return Err(OriginError::Label);
            }
            // Some resolvers read `10.1` as 10.0.0.1, and others as a name (URL Standard, "ends in a
            // number").
            let is_number = |label: &&str| {
                label.bytes().all(|byte| byte.is_ascii_digit())
                    || (label.starts_with("0x") && labels.len() == 1)
            };
            if labels.last().is_some_and(is_number) {
                return Err(OriginError::Number);
            }
        }
        let host = Self { name: bare.to_ascii_lowercase(), port, address: bare.parse().ok() };
        if matches!(scheme, Scheme::Https) && ServerName::try_from(host.name()).is_err() {
            return Err(OriginError::ServerName);
        }
        Ok((scheme, host))
    }

    /// The host: a name in lower case, or an IP address without brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is an IP address. `None` for a name, which must be resolved.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.map(|address| SocketAddr::new(address, self.port))
    }

    fn authority(&self) -> String {
        match self.address {
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            Some(IpAddr::V4(_)) | None => format!("{}:{}", self.name, self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => write!(f, "http://{}", host.authority()),
            Self::Tls(host) => write!(f, "https://{}", host.authority()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is not an origin that hookgate can forward to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The text does not have the form `http://host:port`.
    #[error("not a URL of the form `http://host:port` or `https://host`")]
    NotUrl,
    /// A path or a query follows the port.
    #[error("an upstream has no path: the request target is forwarded unchanged")]
    Path,
    /// The URL has a user name.
    #[error("an upstream's URL cannot carry a user name")]
    UserInformation,
    /// The port is not a number from 1 to 65535.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// The host has characters that no name of a host has.
    #[error("the name of a host has letters, digits, `-`, `.` and `_`")]
    Host,
    /// A part of the host's name is empty, or begins or ends with `-`.
    #[error("each part of a host's name begins and ends with a letter or a digit")]
    Label,
    /// The host ends in a number, and is no IP address.
    #[error("an IPv4 address has four numbers from 0 to 255")]
    Number,
    /// No certificate can have the name of the host.
    #[error("no certificate is for such a name, so `https://` cannot be verified")]
    ServerName,
    /// The text is not a valid path of a unix socket.
    #[error("a unix socket has an absolute path of at most 96 bytes: `unix:/run/app.sock`")]
    SocketPath,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read() {
        for (text, authority, address) in [
            ("http://127.0.0.1:3001", "127.0.0.1:3001", Some("127.0.0.1:3001")),
            ("http://127.0.0.1:3001/", "127.0.0.1:3001", Some("127.0.0.1:3001")),
            ("http://[::1]:80", "[::1]:80", Some("[::1]:80")),
            ("http://App.internal", "app.internal:80", None),
            ("http://app:65535", "app:65535", None),
            ("https://App.internal", "app.internal:443", None),
            ("https://[::1]:8443/", "[::1]:8443", Some("[::1]:8443")),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(origin.authority(), authority);
            let (Origin::Tcp(host) | Origin::Tls(host)) = origin else { panic!("{text}") };
            assert_eq!(host.address(), address.map(|address| address.parse().unwrap()));
        }
    }

    #[test]
    fn a_unix_socket_has_an_absolute_path_that_fits() {
        let longest = format!("unix:/{}", "a".repeat(95));
        for text in ["unix:/run/app.sock", &longest] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!((origin.to_string().as_str(), origin.authority().as_str()), (text, "localhost"));
        }
        for text in
            ["unix:", "unix:run/app.sock", "unix:/run/", "unix:@app", &format!("{longest}a"), "unix:/a\0b"]
        {
            assert_eq!(Origin::parse(text), Err(OriginError::SocketPath), "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_told_why() {
        for (text, want) in [
            ("", OriginError::NotUrl),
            ("127.0.0.1:3001", OriginError::NotUrl),
            ("localhost", OriginError::NotUrl),
            ("ftp://a", OriginError::NotUrl),
            ("https://a/b", OriginError::Path),
            ("https://-a-", OriginError::Label),
            ("http://-a", OriginError::Label),
            ("http://a..b", OriginError::Label),
            ("http://1.2.3", OriginError::Number),
            ("http://1.2.3.4.5", OriginError::Number),
            ("http://0x7f000001", OriginError::Number),
            ("http://a/b", OriginError::Path),
            ("http://a/?", OriginError::Path),
            ("http://a?b", OriginError::Path),
            ("http://a#b", OriginError::Path),
            ("http://u@a", OriginError::UserInformation),
            ("http://u:p@a:1", OriginError::UserInformation),
            ("http://a:0", OriginError::Port),
            ("http://a:65536", OriginError::Port),
            ("http://a:", OriginError::Port),
            ("http://*:3000", OriginError::Host),
            ("http://$HOST:3000", OriginError::Host),
        ] {
            assert_eq!(Origin::parse(text), Err(want), "{text}");
        }
    }
}
