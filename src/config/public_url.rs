//! Pure. Reads a route's `public_url`: the origin that the sender sends to, or several such origins.

use http::Uri;

use crate::config::toml_value::Item;
use crate::signature::public_url::{MOST_URLS, PublicUrls};

/// Reads the origins. The sender signs one of them.
pub(super) fn read(item: &Item<'_>) -> Option<PublicUrls> {
    let Some(array) = item.value.as_array() else {
        return PublicUrls::new(vec![origin(item)?]);
    };
    let mut all: Vec<String> = Vec::new();
    for element in item.elements(array) {
        let origin = origin(&element)?;
        if all.contains(&origin) {
            let problem = element.error("duplicate_name", "this origin is there twice");
            return problem.help("remove one of them").refuse(item.problems);
        }
        all.push(origin);
    }
    if all.is_empty() || all.len() > MOST_URLS {
        let message = format!("a route has one origin, or {MOST_URLS} at most");
        return item.error("out_of_range", message).help(item.write(EXAMPLE)).refuse(item.problems);
    }
    PublicUrls::new(all)
}

/// Reads an origin (RFC 6454), which may have credentials. The text is kept as written, without a slash at
/// the end, because it is signed as text.
fn origin(item: &Item<'_>) -> Option<String> {
    let text = item.text(EXAMPLE)?;
    if let Some(origin) = origin_of(text) {
        return Some(origin.to_owned());
    }
    let message = match text.parse::<Uri>().ok() {
        Some(uri) if uri.authority().is_some() && uri.scheme().is_some() => {
            "write only the origin: path and query are taken from each request"
        }
        Some(_) | None => "not the origin of a URL",
    };
    item.error("bad_url", message).help(item.write(EXAMPLE)).refuse(item.problems)
}

/// The origin that a text is, without a slash at the end.
pub(crate) fn origin_of(text: &str) -> Option<&str> {
    let uri = text.parse::<Uri>().ok()?;
    let origin = text.strip_suffix('/').unwrap_or(text);
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or_default();
    let is_origin = matches!(scheme, "http" | "https")
        && origin.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) == Some(authority);
    is_origin.then_some(origin)
}

const EXAMPLE: &str = "\"https://hooks.example.com\"";
