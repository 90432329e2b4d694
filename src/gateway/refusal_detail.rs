//! Pure. The details of refusals, for the log: what came, what is allowed, and which key of gateway.toml
//! allows more.
//!
//! Clients cause refusals at will. So a detail has only fixed texts, numbers, and names from the
//! configuration.

use std::borrow::Cow;

use crate::gateway::rejection::Rejection;
use crate::routing::router::Router;

/// The detail of a field name that an app could read as the name of a field that the gateway sets.
pub(super) const LIKE_SET_FIELD: &str = "an app could read a field's name as that of one the gateway sets";

/// The detail of a field name that an app could read as the name of a field that the signature needs.
pub(super) const LIKE_SIGNED_FIELD: &str =
    "an app could read a field's name as that of one the signature needs";

impl Rejection {
    /// The detail of the refusal. Only the log has it.
    #[must_use]
    pub fn detail(&self) -> Option<Cow<'static, str>> {
        let text = match self {
            Self::Malformed(what)
            | Self::Ambiguous(what)
            | Self::ClientAddress(what)
            | Self::MalformedContent(what) => what,
            Self::ModelMismatch(Some(why)) => why.as_str(),
            Self::ModelMismatch(None) => {
                "no route of this path takes the signed model, which `model` has in the log"
            }
            Self::MethodNotAllowed(allow) if allow.is_empty() => {
                "CONNECT asks for a tunnel, and the gateway makes none"
            }
            Self::MethodNotAllowed(allow) => {
                return Some(format!("the route's `methods` allow {allow}").into());
            }
            Self::BodyTooLarge { declared: Some(length), most } => {
                return Some(format!("the content has {length} bytes, and `max_body` allows {most}").into());
            }
            Self::BodyTooLarge { declared: None, most } => {
                return Some(
                    format!("the content has more than the {most} bytes that `max_body` allows").into(),
                );
            }
            Self::TargetTooLong => "the request line is over 16 KiB, or over `max_header_bytes`",
            Self::HeadTooLarge => "the head is over `max_header_bytes`, or has over 100 field lines",
            Self::HeadTimeout => "the head took longer than `header_timeout`",
            Self::UnknownCoding => {
                "there is a transfer coding other than `chunked`: turn compression off there"
            }
            Self::UnknownVersion => {
                "the gateway speaks HTTP/1.1 and 1.0 here: HTTP/2 without TLS needs `h2c = true`, and with TLS `http2`"
            }
            Self::ExpectationFailed => "the field `expect` has another value than `100-continue`",
            Self::ClientNotAllowed => "the route's `allow` has no network with this client",
            Self::TooManyFailures(_) => "the client has more refusals than `max_failures_per_client` allows",
            Self::ClientCertificate => {
                "the connection has no client certificate with a name that the route allows"
            }
            Self::Misdirected => "no certificate of this connection covers the host of the request",
            Self::BodyTimeout => {
                "the content took longer than `body_timeout`, or was slower than `min_body_rate`"
            }
            Self::Overloaded => "`max_buffered` is used up, or another client needs the memory",
            Self::EqualUnderWay => "the first delivery of an equal event takes longer than response_timeout",
            Self::NoRoute
            | Self::Unsigned(_)
            | Self::BodyIncomplete
            | Self::SignatureMismatch
            | Self::UpstreamUnreachable
            | Self::UpstreamFailed
            | Self::UpstreamTimeout
            | Self::QueueFull
            | Self::QueueUnavailable => return None,
        };
        Some(text.into())
    }
}

/// How the path of a route differs from `path`, which has no route, if the difference is a usual one.
pub(super) fn of_missing_route(router: &Router, path: &str) -> &'static str {
    let has = |other: &str| router.find(other).is_some();
    let without_slash = path.strip_suffix('/').filter(|path| !path.is_empty());
    if without_slash.is_some_and(has) {
        "a route has this path without the slash at its end"
    } else if without_slash.is_none() && has(&format!("{path}/")) {
        "a route has this path with a slash at its end"
    } else if has(&path.to_ascii_lowercase()) {
        "a route has this path in lower case"
    } else if has(&path.split('/').filter(|part| !part.is_empty()).fold(String::new(), joined)) {
        "a route has this path with single slashes"
    } else {
        "no `path` of a route is this path: `hookgate check` lists them"
    }
}

fn joined(mut path: String, part: &str) -> String {
    path.push('/');
    path.push_str(part);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::router::{ModelRule, Pattern};

    #[test]
    fn a_detail_says_what_came_what_is_allowed_and_which_key_to_change() {
        for (rejection, want) in [
            (Rejection::MethodNotAllowed("POST, PUT".into()), "`methods` allow POST, PUT"),
            (Rejection::MethodNotAllowed(String::new()), "CONNECT"),
            (
                Rejection::BodyTooLarge { declared: Some(70_001), most: 70_000 },
                "70001 bytes, and `max_body` allows 70000",
            ),
            (Rejection::BodyTooLarge { declared: None, most: 70_000 }, "more than the 70000 bytes"),
            (Rejection::HeadTooLarge, "max_header_bytes"),
            (Rejection::UnknownVersion, "h2c"),
        ] {
            let detail = rejection.detail().unwrap();
            assert!(detail.contains(want) && detail.len() < 160, "{detail}");
        }
    }

    #[test]
    fn a_path_that_nearly_has_a_route_is_told_the_difference() {
        let routes = ["/hooks/leases", "/all/"].map(|path| (Pattern::parse(path).unwrap(), ModelRule::Any));
        let router = Router::build(routes.iter().map(|(path, model)| (path, model))).unwrap();
        for (path, want) in [
            ("/hooks/leases/", "without the slash"),
            ("/all", "with a slash"),
            ("/Hooks/Leases", "lower case"),
            ("//hooks//leases", "single slashes"),
            ("/other", "no `path`"),
            ("/", "no `path`"),
        ] {
            let said = of_missing_route(&router, path);
            assert!(said.contains(want), "{path}: {said}");
        }
    }
}
