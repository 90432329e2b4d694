//! Pure. Reads a route's `public_url`: the origin that the sender sends to.

use http::Uri;

use crate::config::toml_value::Item;

/// Reads the origin (RFC 6454). The text is kept as written, without a slash at the end, because it is signed
/// as text.
pub(super) fn read(item: &Item<'_>) -> Option<String> {
    let text = item.text(EXAMPLE)?;
    let uri = text.parse::<Uri>().ok();
    let origin = text.strip_suffix('/').unwrap_or(text);
    let is_origin = uri.as_ref().is_some_and(|uri| {
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let scheme = uri.scheme_str().unwrap_or_default();
        matches!(scheme, "http" | "https")
            && !authority.contains('@')
            && origin.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) == Some(authority)
    });
    if is_origin {
        return Some(origin.to_owned());
    }
    let message = match uri {
        Some(_) if text.contains('@') => "an origin has no user name",
        Some(uri) if uri.authority().is_some() && uri.scheme().is_some() => {
            "write only the origin: path and query are taken from each request"
        }
        Some(_) | None => "not the origin of a URL",
    };
    item.error("bad_url", message).help(item.write(EXAMPLE)).refuse(item.problems)
}

const EXAMPLE: &str = "\"https://hooks.example.com\"";
