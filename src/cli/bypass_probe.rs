//! Pure. A URL at which an app may be reachable without the gateway.

use http::Uri;
use http::uri::PathAndQuery;

use crate::config::redact::url;
use crate::upstream::origin::Origin;

/// A URL at which an attacker may reach the app.
#[derive(Clone, Debug)]
pub(super) struct BypassProbe {
    /// The URL as it is shown: without possible credentials.
    pub(super) text: String,
    /// The origin of the URL.
    pub(super) origin: Origin,
    /// The path and the query of the URL.
    pub(super) target: PathAndQuery,
}

impl BypassProbe {
    /// Parses a URL.
    ///
    /// # Errors
    /// The error in the URL, as a text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no URL: write it as http://HOST:PORT/PATH");
        let uri: Uri = text.parse().map_err(|_why| wrong())?;
        let scheme =
            uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or_else(wrong)?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let origin = Origin::parse(&format!("{scheme}://{authority}")).map_err(|error| error.to_string())?;
        let target = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        Ok(Self { text: url::redacted(text).into_owned(), origin, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bypass_probe_is_a_url_with_any_path() {
        for (text, authority, target, is_tls) in [
            ("http://app.example:3000/webhook/a?b", "app.example:3000", "/webhook/a?b", false),
            ("http://192.0.2.1", "192.0.2.1:80", "/", false),
            ("https://app.example/x", "app.example:443", "/x", true),
            ("https://app.example:8443", "app.example:8443", "/", true),
        ] {
            let door = BypassProbe::parse(text).unwrap();
            assert_eq!(
                (door.origin.authority(), door.target.as_str()),
                (authority.to_owned(), target),
                "{text}"
            );
            assert_eq!(matches!(door.origin, Origin::Tls(_)), is_tls);
        }
        for text in ["", "app.example", "ftp://a", "http://a:0", "http://u@a", "/a"] {
            assert!(BypassProbe::parse(text).is_err(), "{text}");
        }
    }
}
