//! Pure. Reads a route's upstream, with the settings of `[upstream]` and of the route.

use std::cell::{OnceCell, RefCell};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::address::Listen;
use crate::config::bounds::MOST_IDLE;
use crate::config::placeholder::has_variable;
use crate::config::problem::Problem;
use crate::config::sections::pem_file;
use crate::config::sections::secret::Context;
use crate::config::settings::Backup;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Address, Upstream, keys, suggest};
use crate::tls::authorities::Authorities;
use crate::tls::client_config::Connector;
use crate::tls::key_pair::KeyPair;
use crate::upstream::origin::{Origin, OriginError};

/// The most origins of one upstream. A request may wait `connect_timeout` for each origin.
const MOST_ORIGINS: usize = 8;

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

/// What the settings of one file share: each connector is made once, and the system's roots are read if they
/// are needed.
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

    /// The upstream with these origins and these settings. `None` without an origin.
    pub(crate) fn of(self, origins: Vec<Origin>) -> Option<Upstream> {
        let tls = |origin: &Origin| match origin {
            Origin::Tls(_) => self.connector(),
            Origin::Tcp(_) | Origin::Unix(_) => None,
        };
        let mut all = origins.into_iter().map(|origin| Backup { tls: tls(&origin), origin });
        let Backup { origin, tls } = all.next()?;
        let backups = all.collect();
        let Self { connect_timeout, response_timeout, max_idle, idle_timeout, .. } = self;
        Some(Upstream { origin, backups, connect_timeout, response_timeout, max_idle, idle_timeout, tls })
    }
}

/// Reads a route's `upstream`: an origin, or a list of origins. Empty if there is an error.
pub(crate) fn origins(item: &Item<'_>, listen: &[Listen]) -> Vec<Origin> {
    let Some(array) = item.value.as_array().filter(|_| item.whole) else {
        return origin(item, listen).into_iter().collect();
    };
    if array.is_empty() {
        item.error("empty", "the list names no upstream").help(item.write(EXAMPLE)).report(item.problems);
    } else if array.len() > MOST_ORIGINS {
        let message = format!("this list has {} upstreams, and can have {MOST_ORIGINS} at most", array.len());
        item.error("out_of_range", message).help("name fewer").report(item.problems);
        return Vec::new();
    }
    let mut all: Vec<(Origin, Range<usize>)> = Vec::with_capacity(array.len());
    for element in item.elements(array) {
        let Some(origin) = origin(&element, listen) else { continue };
        match all.iter().find(|(other, _)| *other == origin).map(|(_, span)| span.clone()) {
            Some(first) => element
                .error("duplicate_upstream", "the list names this upstream twice")
                .related(first, "the first is here")
                .help("remove it")
                .report(item.problems),
            None => all.push((origin, element.span)),
        }
    }
    all.into_iter().map(|(origin, _)| origin).collect()
}

/// Reads a route's `upstream`, or one of its `copies`. The gateway's own addresses are refused.
pub(crate) fn origin(item: &Item<'_>, listen: &[Listen]) -> Option<Origin> {
    let example = if item.whole { EXAMPLE } else { "[\"http://127.0.0.1:3000\"]" };
    if let Some(problem) = not_text(item) {
        return problem.refuse(item.problems);
    }
    let text = item.text(example)?;
    let origin = match Origin::parse(text) {
        Ok(origin) => origin,
        Err(error) => {
            return item
                .error("bad_upstream", error.to_string())
                .help(advice(item, text, error))
                .refuse(item.problems);
        }
    };
    if let Some((message, help)) = odd_port(&origin) {
        item.warning("odd_port", message).help(help).report(item.problems);
    }
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

/// The problem of a value that is not a string, if the intended upstream can be guessed.
fn not_text(item: &Item<'_>) -> Option<Problem> {
    let error = |message| item.error("wrong_type", message);
    match item.value {
        DeValue::Integer(port) if port.as_str().parse().is_ok_and(|port: u16| port > 0) => {
            let url = format!("\"http://127.0.0.1:{}\"", port.as_str());
            Some(error("an upstream has a scheme, a host and a port").help(item.write_this(&url)))
        }
        DeValue::Table(table) if table.contains_key("env") => {
            Some(error("an upstream stands in gateway.toml itself, and not in a variable").help(NO_VARIABLES))
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

/// What is odd about the port of an upstream: the usual port of the other scheme.
fn odd_port(origin: &Origin) -> Option<(&'static str, &'static str)> {
    match origin {
        Origin::Tcp(host) if host.port() == 443 => Some((
            "`http://` speaks without TLS to port 443, which usually speaks TLS",
            "write `https://`, unless the app speaks plain HTTP there",
        )),
        Origin::Tls(host) if host.port() == 80 => Some((
            "`https://` speaks TLS to port 80, which usually does not",
            "write `http://`, unless the app speaks TLS there",
        )),
        Origin::Tcp(_) | Origin::Tls(_) | Origin::Unix(_) => None,
    }
}

/// The advice for a text that is no upstream.
fn advice(item: &Item<'_>, text: &str, error: OriginError) -> String {
    if has_variable(text) {
        return NO_VARIABLES.to_owned();
    }
    if !text.is_ascii() {
        return "write the host's name in ASCII, as DNS has it: `xn--...`".to_owned();
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if scheme.is_some_and(|scheme| OTHER_PROTOCOLS.contains(&scheme.as_str())) {
        return format!(
            "hookgate speaks HTTP to apps: name the HTTP server that runs the app, for example `{EXAMPLE}`"
        );
    }
    item.write_this(&instead(text, error))
}

/// Protocols of apps that hookgate does not speak.
const OTHER_PROTOCOLS: [&str; 7] = ["fastcgi", "fcgi", "uwsgi", "scgi", "ajp", "grpc", "grpcs"];

const NO_VARIABLES: &str = "gateway.toml has no variables: write the address itself, or let a program such as envsubst fill in the \
                            file before hookgate starts";

/// The URL that the operator probably meant, in quotes.
fn instead(text: &str, error: OriginError) -> String {
    // If a password contains a slash that is not encoded, the start of the password looks like a host.
    if text.contains('@') && !matches!(error, OriginError::UserInformation | OriginError::SocketPath) {
        return EXAMPLE.to_owned();
    }
    let text = text.trim().trim_matches(['\'', '"', ',', ';']);
    if let Some(socket) = socket(text) {
        return socket;
    }
    if error == OriginError::SocketPath {
        return "\"unix:/run/app.sock\"".to_owned();
    }
    // Of several URLs, the first.
    let text = text.split([',', ' ']).next().unwrap_or_default();
    let (scheme, rest) = scheme_of(text);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_whole = !rest.get(authority.len()..).is_some_and(|rest| rest.contains('@'));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).trim();
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let host = match host.strip_prefix(':').unwrap_or(host) {
        port if is_port(port) => format!("127.0.0.1:{port}"),
        _ if host.parse::<Ipv6Addr>().is_ok()
            && host
                .rsplit_once(':')
                .is_none_or(|(before, port)| !(is_port(port) && before.parse::<Ipv6Addr>().is_ok())) =>
        {
            format!("[{host}]")
        }
        _ => match host.rsplit_once(':') {
            Some((before, port)) if is_port(port) && before.parse::<Ipv6Addr>().is_ok() => {
                format!("[{before}]:{port}")
            }
            Some((_, port)) if is_port(port) => host.to_owned(),
            // Without a number, the usual port of the scheme is meant.
            Some((before, "" | "http" | "https")) if error == OriginError::Port => before.to_owned(),
            // A number that is no port is replaced by an example.
            Some((before, port))
                if error == OriginError::Port && port.bytes().all(|digit| digit.is_ascii_digit()) =>
            {
                format!("{before}:3000")
            }
            // Other text after the colon may be a password.
            Some(_) | None => host.to_owned(),
        },
    };
    let meant = format!("{scheme}://{host}");
    if is_whole && !host.is_empty() && Origin::parse(&meant).is_ok() {
        format!("\"{meant}\"")
    } else {
        EXAMPLE.to_owned()
    }
}

/// The unix socket that a text means, in quotes: `/run/app.sock`, `http://unix:/run/app.sock`,
/// `http+unix://%2Frun%2Fapp.sock`.
fn socket(text: &str) -> Option<String> {
    if text.starts_with("//") || text.contains('@') {
        return None;
    }
    let decoded = text.replace("%2F", "/").replace("%2f", "/");
    let path = match decoded.split_once("unix:") {
        Some((_, path)) => path,
        None => decoded.strip_prefix("http+unix:").unwrap_or(&decoded),
    };
    let path = if path.starts_with("//") { path.trim_start_matches('/') } else { path };
    let path = match path.starts_with('/') || path.len() == decoded.len() {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    let origin = Origin::parse(&format!("unix:{path}")).ok()?;
    Some(format!("\"{origin}\""))
}

/// The scheme that a text means, and what follows it. TLS is never left out.
fn scheme_of(text: &str) -> (&'static str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or(("", text));
    let bare = rest.trim_start_matches(':').trim_start_matches('/');
    // `https//app` lacks a colon, and `app:3000` has no scheme.
    if !rest.contains("//") && !rest.starts_with(":/") {
        return ("http", text.trim_start_matches('/'));
    }
    match word.to_ascii_lowercase().as_str() {
        "https" | "wss" | "h2" | "tls" | "ssl" => ("https", bare),
        "http" | "ws" | "h2c" | "tcp" | "" => ("http", bare),
        other => match suggest::nearest(other, ["http", "https"]) {
            Some("https") => ("https", bare),
            Some(_) if other.ends_with('s') => ("https", bare),
            Some(_) => ("http", bare),
            None => ("http", ""),
        },
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
            ("http://app:0", "http://app:3000"),
            ("http://app:70000", "http://app:3000"),
            ("https://app:https", "https://app"),
            ("https//app", "https://app"),
            ("htps://app", "https://app"),
            ("https:/app/x", "https://app"),
            ("http//127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("wss://app:1", "https://app:1"),
            ("h2c://app:3000", "http://app:3000"),
            ("3000", "http://127.0.0.1:3000"),
            (":4000", "http://127.0.0.1:4000"),
            ("::1", "http://[::1]"),
            ("http://::1:3000", "http://[::1]:3000"),
            ("http://a:1,http://b:2", "http://a:1"),
            ("http://a:1;", "http://a:1"),
            ("/run/app.sock", "unix:/run/app.sock"),
            ("http://unix:/run/app.sock", "unix:/run/app.sock"),
            ("http+unix://%2Frun%2Fapp.sock", "unix:/run/app.sock"),
            ("http:///", "http://127.0.0.1:3000"),
            ("", "http://127.0.0.1:3000"),
            ("unix:app.sock", "unix:/app.sock"),
        ] {
            let error = Origin::parse(text).unwrap_err();
            assert_eq!(instead(text, error), format!("\"{want}\""), "{text}");
        }
    }
}
