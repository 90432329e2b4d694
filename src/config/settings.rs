//! Pure. What gateway.toml says, in types of its own, with the defaults filled in.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::admission::client::Network;
use crate::routing::model::Requirement;
use crate::routing::router::{ModelRule, Pattern};
use crate::signature::{Mode, Verifier};
use crate::upstream::origin::Origin;

/// Everything that gateway.toml says, with the defaults filled in.
#[derive(Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[limits]`
    pub limits: Limits,
    /// `[admin]`, if it is on.
    pub admin: Option<Admin>,
    /// `[log]`
    pub log: Log,
    /// `[forward]`
    pub forward: Forward,
    /// `[[routes]]`, in the order of the file. They do not conflict: [`crate::routing::router::Router::build`] takes them.
    pub routes: Vec<Route>,
}

/// `[server]`: the listeners and what serves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The addresses to listen on; at least one, no two the same.
    pub listen: Vec<Address>,
    /// Whether others may listen on the same addresses.
    pub sharing: Sharing,
    /// The mode of a unix socket's file: whoever may write to it may connect.
    pub unix_mode: u32,
    /// Where proxies in front of us say who the client is, if anywhere.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Threads, each with a runtime, a listener and a pool of its own.
    pub workers: NonZeroUsize,
    /// Connections served at once, all workers together; more wait in the kernel's queue.
    pub max_connections: NonZeroUsize,
    /// How long to go on as before, but for readiness, before a drain begins.
    pub drain_delay: Duration,
    /// How long a drain may take before what is still under way is cut off.
    pub shutdown_grace: Duration,
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a TCP port.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The address, where it is one of TCP.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `proxy_protocol`: proxies that announce the client at the beginning of each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// The listeners on which they do.
    pub listen: Vec<Address>,
    /// The proxies. They must announce the client; of all others nothing is believed, and nothing expected.
    pub trusted: Vec<Network>,
}

/// Whether others may listen where we do (`reuse_port`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// To start where somebody listens is an error.
    Alone,
    /// The kernel deals connections out to all who listen; the file of a unix socket becomes ours.
    WithOthers,
}

/// `[limits]`: what one sender may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of content a request may have, where its route does not say otherwise.
    pub max_body: u64,
    /// Bytes of content and of heads over 4 KiB held in memory at once, all connections together.
    pub max_buffered: u64,
    /// Bytes of request line and field lines.
    pub max_header_bytes: usize,
    /// From accept or the first byte of a request to the end of its field lines.
    pub header_timeout: Duration,
    /// From the end of the field lines to the end of the content.
    pub body_timeout: Duration,
    /// Bytes per second of content, averaged, after a grace of 5 s. It is also the least rate at which a client takes a
    /// response, averaged over the time that it makes us wait, after a grace of `write_timeout`.
    pub min_body_rate: u64,
    /// How long a connection may stay idle between requests.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of its response while some is waiting for it.
    pub write_timeout: Duration,
}

/// `[admin]`: health, readiness and metrics on a listener of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The addresses to listen on.
    pub listen: Vec<SocketAddr>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// What lines look like.
    pub format: LogFormat,
    /// The least severe level that is written.
    pub level: LogLevel,
    /// Which requests leave a line.
    pub access: AccessLog,
    /// The field that a request's id is taken from. Without one, and where it has none that is fit, an id is made.
    pub request_id_field: Option<HeaderName>,
    /// Whether it is found out, now and then, why a signature does not verify.
    pub diagnose: bool,
    /// How often it is said that an old secret is in use; zero for never.
    pub old_secret_warning: Duration,
}

/// What log lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The levels of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// An operator must act.
    Error,
    /// An operator should look.
    Warn,
    /// What happens.
    Info,
    /// What happens inside.
    Debug,
    /// Everything.
    Trace,
}

/// Which requests leave a line in the log. Metrics count all of them, whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Every request.
    All,
    /// Requests that did not get their upstream's answer.
    Refused,
    /// None.
    Off,
}

/// `[forward]`: what is added to a request on its way, which is nothing unless asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// What becomes of `x-forwarded-for`, `x-forwarded-proto` and `x-forwarded-host`.
    pub x_forwarded: XForwarded,
    /// A field that says by which scheme and secret the request was verified; never one that a sender could need.
    pub verified_field: Option<HeaderName>,
    /// Whether a `via` line is added (RFC 9110, section 7.6.3).
    pub via: bool,
}

/// What becomes of the fields that say where a request came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XForwarded {
    /// They pass unchanged, as any other field.
    #[default]
    Off,
    /// What we know is appended. Only the last entry is ours: the others are what the client claims.
    Append,
    /// What we know takes the place of what the client claims.
    Overwrite,
}

/// One `[[routes]]`.
#[derive(Debug)]
pub struct Route {
    /// `path`
    pub path: Pattern,
    /// `model`, or the path's `{model}`.
    pub model: ModelRule,
    /// `require` and `integration`: what else must stand in the signed content.
    pub requirements: Vec<Requirement>,
    /// `upstream`, with what `[upstream]` and the route say of it.
    pub upstream: Upstream,
    /// `signature`. Routes that use the one of the whole file share it.
    pub verifier: Arc<Verifier>,
    /// `public_url`: the origin that the sender believes to send to, without a slash at the end.
    pub public_url: Option<String>,
    /// `methods`; at least one.
    pub methods: Vec<Method>,
    /// `max_body`, in bytes.
    pub max_body: u64,
    /// `mode`
    pub mode: Mode,
}

/// An upstream, as one route uses it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Where it is.
    pub origin: Origin,
    /// For a connection to come about.
    pub connect_timeout: Duration,
    /// From the last byte of the request that is sent to the response's field lines; while the request is being sent, for each
    /// further piece of it; and for each further piece of the response.
    pub response_timeout: Duration,
    /// Kept-alive connections to it that may lie idle, all workers together.
    pub max_idle: usize,
    /// How long one may lie idle before it is closed: less than the upstream itself allows, so that a request does not
    /// meet a connection that is being closed.
    pub idle_timeout: Duration,
}
