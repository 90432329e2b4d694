//! Pure. Reads a route's upstream, with the settings of `[upstream]` and of the route.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::address::Listen;
use crate::config::bounds::MOST_IDLE;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Address, Upstream, keys};
use crate::upstream::origin::{Origin, OriginError};

/// The settings that `[upstream]` has for all upstreams, and that a route may override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    connect_timeout: Duration,
    response_timeout: Duration,
    max_idle: usize,
    idle_timeout: Duration,
}

impl Settings {
    /// Reads `[upstream]`, for the routes that do not override it.
    pub(crate) fn common(root: &Table<'_>) -> Self {
        let table = root.section("upstream", "`[upstream]`", keys::UPSTREAM);
        let defaults = Self {
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            max_idle: 64,
            idle_timeout: Duration::from_secs(4),
        };
        defaults.overridden(&table)
    }

    /// These settings, after the keys of a table have replaced the common values.
    pub(crate) fn overridden(&self, table: &Table<'_>) -> Self {
        Self {
            connect_timeout: table.duration("connect_timeout", self.connect_timeout),
            response_timeout: table.duration("response_timeout", self.response_timeout),
            max_idle: table.count("max_idle", self.max_idle, 0..=MOST_IDLE),
            idle_timeout: table.duration("idle_timeout", self.idle_timeout),
        }
    }

    /// The upstream with this origin and these settings.
    pub(crate) fn of(self, origin: Origin) -> Upstream {
        let Self { connect_timeout, response_timeout, max_idle, idle_timeout } = self;
        Upstream { origin, connect_timeout, response_timeout, max_idle, idle_timeout }
    }
}

/// Reads a route's `upstream`, or one of its `copies`. The gateway's own addresses are refused.
pub(crate) fn origin(item: &Item<'_>, listen: &[Listen]) -> Option<Origin> {
    let example = if item.whole { EXAMPLE } else { "[\"http://127.0.0.1:3000\"]" };
    let text = item.text(example)?;
    let origin = match Origin::parse(text) {
        Ok(origin) => origin,
        Err(error) => {
            return item
                .error("bad_upstream", error.to_string())
                .help(item.write_this(&instead(text, error)))
                .refuse(item.problems);
        }
    };
    let own = listen.iter().find(|listen| reaches(&origin, listen));
    if let Some(own) = own {
        let message =
            format!("{} is where this gateway listens: requests would go round in circles", own.address);
        let problem = item.error("upstream_is_self", message);
        item.problems.push(match &own.span {
            Some(span) => problem.related(span.clone(), "the gateway"),
            None => problem.help(format!("the gateway listens on {} by default", own.address)),
        });
        return None;
    }
    Some(origin)
}

/// Whether a connection to the origin certainly reaches this listener.
fn reaches(origin: &Origin, listen: &Listen) -> bool {
    let (host, own) = match (origin, &listen.address) {
        (Origin::Tcp(host), Address::Tcp(own)) => (host, own),
        (Origin::Unix(path), Address::Unix(own)) => return path == own,
        (Origin::Tcp(_), Address::Unix(_)) | (Origin::Unix(_), Address::Tcp(_)) => return false,
    };
    let ip = match host.address() {
        Some(address) => address.ip(),
        None if host.name() == "localhost" => IpAddr::from([127, 0, 0, 1]),
        None => return false,
    };
    let loopback = own.ip().is_unspecified() && (ip.is_loopback() || ip.is_unspecified());
    host.port() == own.port() && (ip == own.ip() || loopback)
}

/// The URL that the operator probably meant, in quotes.
fn instead(text: &str, error: OriginError) -> String {
    if error == OriginError::SocketPath {
        return "\"unix:/run/app.sock\"".to_owned();
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // If a password contains a slash that is not encoded, the start of the password looks like a host.
    let is_whole = !rest.get(authority.len()..).is_some_and(|rest| rest.contains('@'));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).trim();
    let meant = format!("http://{host}");
    let likely = match error {
        OriginError::Path | OriginError::UserInformation | OriginError::Https => true,
        OriginError::NotUrl => matches!(scheme, "" | "http" | "tcp"),
        OriginError::Port | OriginError::SocketPath => false,
    };
    if likely && is_whole && Origin::parse(&meant).is_ok() {
        format!("\"{meant}\"")
    } else {
        EXAMPLE.to_owned()
    }
}

const EXAMPLE: &str = "\"http://127.0.0.1:3000\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_origin_gets_a_suggestion() {
        for (text, want) in [
            ("http://app:3000/hooks?x", "http://app:3000"),
            ("http://u:p@app:3000/", "http://app:3000"),
            ("http://u:12/34@app:3000/", "http://127.0.0.1:3000"),
            ("https://app:3000", "http://app:3000"),
            ("app:3000", "http://app:3000"),
            ("127.0.0.1:3000/hooks", "http://127.0.0.1:3000"),
            ("//app", "http://app"),
            ("tcp://app:1", "http://app:1"),
            ("ftp://app:1", "http://127.0.0.1:3000"),
            ("http://app:0", "http://127.0.0.1:3000"),
            ("http:///", "http://127.0.0.1:3000"),
            ("", "http://127.0.0.1:3000"),
            ("unix:app.sock", "unix:/run/app.sock"),
        ] {
            let error = Origin::parse(text).unwrap_err();
            assert_eq!(instead(text, error), format!("\"{want}\""), "{text}");
        }
    }
}
