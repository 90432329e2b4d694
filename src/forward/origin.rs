//! Pure. Where an upstream is: an origin (RFC 6454), from the text in the configuration.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::Uri;

/// The origin of an upstream: `http://host:port`, and nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    host: String,
    port: u16,
    address: Option<IpAddr>,
}

impl Origin {
    /// Reads an origin-only URL.
    ///
    /// # Errors
    /// [`OriginError`], which says what to write instead.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_why| OriginError::NotUrl)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(OriginError::Https),
            Some(_) | None => return Err(OriginError::NotUrl),
        }
        let authority = uri.authority().ok_or(OriginError::NotUrl)?;
        if authority.as_str().contains('@') {
            return Err(OriginError::UserInformation);
        }
        let after = text
            .get("http://".len()..)
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
            None => 80,
        };
        if bare.is_empty() {
            return Err(OriginError::NotUrl);
        }
        Ok(Self { host: bare.to_ascii_lowercase(), port, address: bare.parse().ok() })
    }

    /// The host: a name in lower case, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, where the host is one; a name has to be looked up.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.map(|address| SocketAddr::new(address, self.port))
    }

    /// `host:port` as it stands in a `host` field.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.address {
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            Some(IpAddr::V4(_)) | None => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

/// A text that is no origin hookgate can forward to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// Not of the form `http://host:port`.
    NotUrl,
    /// There is a path or a query behind the port.
    Path,
    /// There is a user name in it.
    UserInformation,
    /// The port is not a number from 1 to 65535.
    Port,
    /// TLS towards an upstream is not spoken.
    Https,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUrl => "not a URL of the form `http://host:port`",
            Self::Path => "an upstream has no path: the request target is forwarded unchanged",
            Self::UserInformation => "an upstream's URL cannot carry a user name",
            Self::Port => "a port is a number from 1 to 65535",
            Self::Https => "upstreams are reached over plain HTTP; TLS towards them is not supported",
        })
    }
}

impl std::error::Error for OriginError {}

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
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(origin.authority(), authority);
            assert_eq!(origin.address(), address.map(|address| address.parse().unwrap()));
        }
    }

    #[test]
    fn what_is_no_origin_is_told_why() {
        for (text, want) in [
            ("", OriginError::NotUrl),
            ("127.0.0.1:3001", OriginError::NotUrl),
            ("localhost", OriginError::NotUrl),
            ("ftp://a", OriginError::NotUrl),
            ("https://a", OriginError::Https),
            ("http://a/b", OriginError::Path),
            ("http://a/?", OriginError::Path),
            ("http://a?b", OriginError::Path),
            ("http://a#b", OriginError::Path),
            ("http://u@a", OriginError::UserInformation),
            ("http://u:p@a:1", OriginError::UserInformation),
            ("http://a:0", OriginError::Port),
            ("http://a:65536", OriginError::Port),
            ("http://a:", OriginError::Port),
        ] {
            assert_eq!(Origin::parse(text), Err(want), "{text}");
        }
    }
}
