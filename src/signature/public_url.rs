//! Pure. The origins of the URLs that a sender sends to, as the sender knows them.
//!
//! An origin may have credentials, because some senders sign them as a part of the URL. Credentials are never
//! printed.

use std::fmt;

/// The origins that a sender may send to: at least one. The sender signs one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrls(Vec<PublicUrl>);

/// An origin, without a slash at the end: `https://hooks.example.com`. It may have credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// The most origins of a route. Each costs a pass over the content of a forged request.
pub const MOST_URLS: usize = 4;

impl PublicUrls {
    /// The origins, with the usual one first. `None` if there is no origin.
    #[must_use]
    pub fn new(origins: Vec<String>) -> Option<Self> {
        let all: Vec<_> = origins.into_iter().map(PublicUrl).collect();
        (!all.is_empty()).then_some(Self(all))
    }

    /// The origins, with the usual one first.
    pub fn iter(&self) -> impl Iterator<Item = &PublicUrl> {
        self.0.iter()
    }
}

impl From<&str> for PublicUrls {
    fn from(origin: &str) -> Self {
        Self(vec![PublicUrl(origin.to_owned())])
    }
}

/// Prints the origins without credentials.
impl fmt::Display for PublicUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{url}")?;
        }
        Ok(())
    }
}

impl PublicUrl {
    /// The origin with its credentials, to be signed. Must not be printed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The scheme, the credentials with their `@`, the host, and the port with its colon.
    fn parts(&self) -> (&str, &str, &str, &str) {
        let (scheme, authority) = self.0.split_once("://").unwrap_or(("", &self.0));
        let host = authority.rfind('@').map_or(0, |at| at.saturating_add(1));
        let (credentials, host) = authority.split_at_checked(host).unwrap_or(("", authority));
        let port = host.rfind(':').filter(|at| {
            let digits = host.get(at.saturating_add(1)..).unwrap_or_default();
            digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        let (host, port) = host.split_at_checked(port.unwrap_or(host.len())).unwrap_or((host, ""));
        (scheme, credentials, host, port)
    }

    /// The host without its port, if the scheme is `https`.
    #[must_use]
    pub fn https_host(&self) -> Option<&str> {
        let (scheme, _, host, _) = self.parts();
        (scheme == "https").then_some(host)
    }

    /// The origin without its port, or else with the default port of its scheme.
    pub(super) fn with_other_port(&self) -> String {
        let (scheme, credentials, host, port) = self.parts();
        let other = match (port, scheme) {
            ("", "http") => ":80",
            ("", _) => ":443",
            _ => "",
        };
        format!("{scheme}://{credentials}{host}{other}")
    }
}

/// Prints the origin without credentials.
impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, credentials, host, port) = self.parts();
        let credentials = if credentials.is_empty() { "" } else { "**********@" };
        write!(f, "{scheme}://{credentials}{host}{port}")
    }
}

/// Prints the origin without credentials.
impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_another_port_and_keeps_its_credentials() {
        for (origin, other, host) in [
            ("https://a.example", "https://a.example:443", Some("a.example")),
            ("https://a.example:443", "https://a.example", Some("a.example")),
            ("https://a.example:8443", "https://a.example", Some("a.example")),
            ("http://a.example", "http://a.example:80", None),
            ("https://me:p%40ss@a.example", "https://me:p%40ss@a.example:443", Some("a.example")),
            ("https://me:1@a.example:443", "https://me:1@a.example", Some("a.example")),
            ("https://[2001:db8::1]", "https://[2001:db8::1]:443", Some("[2001:db8::1]")),
            ("https://[2001:db8::1]:444", "https://[2001:db8::1]", Some("[2001:db8::1]")),
        ] {
            let url = PublicUrl(origin.to_owned());
            assert_eq!((&*url.with_other_port(), url.https_host()), (other, host), "{origin}");
        }
    }

    #[test]
    fn credentials_are_never_printed() {
        let urls = PublicUrls::new(vec!["https://me:hunter2@a.example:444".into(), "http://b".into()]);
        let urls = urls.unwrap();
        for shown in [format!("{urls:?}"), urls.to_string()] {
            assert!(shown.contains("https://**********@a.example:444") && shown.contains("http://b"));
            assert!(!shown.contains("me:") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
