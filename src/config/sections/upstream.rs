//! Pure. Reads a route's upstream, with the settings of `[upstream]` and of the route.

use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::config::address::Listen;
use crate::config::bounds::MOST_IDLE;
use crate::config::sections::pem_file;
use crate::config::sections::secret::Context;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Address, Upstream, keys};
use crate::tls::authorities::Authorities;
use crate::tls::client_config::Connector;
use crate::tls::key_pair::KeyPair;
use crate::upstream::origin::{Origin, OriginError};

/// The settings that `[upstream]` has for all upstreams, and that a route may override.
#[derive(Clone)]
pub(crate) struct Settings {
    connect_timeout: Duration,
    response_timeout: Duration,
    max_idle: usize,
    idle_timeout: Duration,
    /// The authorities that a table names.
    ca: Option<Authorities>,
    /// The certificate that is shown to upstreams.
    own: Option<KeyPair>,
    shared: Rc<Shared>,
}

/// What the settings of one file share: each connector is made once, and the system's roots are read if they are needed.
#[derive(Default)]
struct Shared {
    system: OnceCell<Option<Authorities>>,
    connectors: RefCell<Vec<Connector>>,
}

impl Settings {
    /// Reads `[upstream]`, for the routes that do not override it.
    pub(crate) fn common(root: &Table<'_>, context: Context<'_>) -> Self {
        let table = root.section("upstream", "`[upstream]`", keys::UPSTREAM);
        let defaults = Self {
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            max_idle: 64,
            idle_timeout: Duration::from_secs(4),
            ca: None,
            own: table.get("client_certificate").and_then(|item| pem_file::key_pair(&item, context)),
            shared: Rc::default(),
        };
        defaults.overridden(&table, context)
    }

    /// These settings, after the keys of a table have replaced the common values.
    pub(crate) fn overridden(&self, table: &Table<'_>, context: Context<'_>) -> Self {
        Self {
            connect_timeout: table.duration("connect_timeout", self.connect_timeout),
            response_timeout: table.duration("response_timeout", self.response_timeout),
            max_idle: table.count("max_idle", self.max_idle, 0..=MOST_IDLE),
            idle_timeout: table.duration("idle_timeout", self.idle_timeout),
            ca: table.get("ca").map_or_else(|| self.ca.clone(), |item| pem_file::authorities(&item, context)),
            own: self.own.clone(),
            shared: Rc::clone(&self.shared),
        }
    }

    /// Reads the system's roots if this upstream needs them, and reports if there are none.
    pub(crate) fn check(&self, origin: &Origin, item: &Item<'_>, context: Context<'_>) {
        if !matches!(origin, Origin::Tls(_)) || self.ca.is_some() {
            return;
        }
        let system = || Authorities::of_system(context.environment.system_roots());
        if self.shared.system.get_or_init(system).is_none() {
            item.error("no_roots", "this system trusts no certificate authority, so no `https://` upstream can be verified")
                .help("install the package ca-certificates, or name the issuer of the upstream's certificate: `ca = \"ca.pem\"`")
                .report(item.problems);
        }
    }

    /// The connector of these settings; `None` without authorities.
    fn connector(&self) -> Option<Connector> {
        let authorities = self.ca.as_ref().or_else(|| self.shared.system.get()?.as_ref())?;
        let made = Connector::new(authorities.clone(), self.own.clone()).ok()?;
        let mut connectors = self.shared.connectors.borrow_mut();
        if let Some(known) = connectors.iter().find(|known| **known == made) {
            return Some(known.clone());
        }
        connectors.push(made.clone());
        Some(made)
    }

    /// The upstream with this origin and these settings.
    pub(crate) fn of(self, origin: Origin) -> Upstream {
        let tls = match &origin {
            Origin::Tls(_) => self.connector(),
            Origin::Tcp(_) | Origin::Unix(_) => None,
        };
        let Self { connect_timeout, response_timeout, max_idle, idle_timeout, .. } = self;
        Upstream { origin, connect_timeout, response_timeout, max_idle, idle_timeout, tls }
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
        (Origin::Tcp(host) | Origin::Tls(host), Address::Tcp(own)) => (host, own),
        (Origin::Unix(path), Address::Unix(own)) => return path == own,
        (Origin::Tcp(_) | Origin::Tls(_), Address::Unix(_)) | (Origin::Unix(_), Address::Tcp(_)) => {
            return false;
        }
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
    let meant = format!("{}://{host}", if scheme == "https" { scheme } else { "http" });
    let likely = match error {
        OriginError::Path | OriginError::UserInformation => true,
        OriginError::NotUrl => matches!(scheme, "" | "http" | "https" | "tcp"),
        OriginError::Port | OriginError::SocketPath | OriginError::ServerName => false,
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
            ("https://app:3000/hooks", "https://app:3000"),
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
