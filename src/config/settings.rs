//! Pure. The settings of gateway.toml in their own types, with the defaults filled in.

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

/// All settings of gateway.toml, with the defaults filled in.
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

/// `[server]`: the listeners, workers and connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The addresses to listen on; at least one, no two the same.
    pub listen: Vec<Address>,
    /// Whether other processes may listen on the same addresses.
    pub sharing: Sharing,
    /// The mode of a unix socket's file. A client needs write permission to connect.
    pub unix_mode: u32,
    /// The listeners on which proxies announce the client, and the trusted proxies, if any.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Threads, each with its own runtime, listener and connection pool.
    pub workers: NonZeroUsize,
    /// The most connections at once over all workers; more wait in the kernel's queue.
    pub max_connections: NonZeroUsize,
    /// The delay between becoming unready and beginning a drain.
    pub drain_delay: Duration,
    /// The longest that a drain may take before requests under way are cut off.
    pub shutdown_grace: Duration,
}

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a TCP port.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The socket address of a TCP listener.
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

/// `proxy_protocol`: proxies that announce the client address at the beginning of each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// The listeners on which proxies announce clients.
    pub listen: Vec<Address>,
    /// The trusted proxies. They must announce the client. Connections from other addresses are read without an
    /// announcement.
    pub trusted: Vec<Network>,
}

/// Whether other processes may listen on the same addresses (`reuse_port`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Starting fails if another process listens there.
    Alone,
    /// The kernel distributes connections over all listening processes; the file of a unix socket is replaced.
    WithOthers,
}

/// `[limits]`: what a client may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a request's content, unless its route sets another limit.
    pub max_body: u64,
    /// The memory budget: bytes of content and of heads over 4 KiB in memory at once, over all connections.
    pub max_buffered: u64,
    /// The most bytes of the request line and field lines.
    pub max_header_bytes: usize,
    /// The time from accept, or from the first byte of a request, to the end of its field lines.
    pub header_timeout: Duration,
    /// The time from the end of the field lines to the end of the content.
    pub body_timeout: Duration,
    /// The least rate of content in bytes per second, averaged, after a grace of 5 s. It is also the least rate at which a
    /// client must read a response, averaged over the time in which writing blocks, after a grace of `write_timeout`.
    pub min_body_rate: u64,
    /// How long a connection may stay idle between requests.
    pub idle_timeout: Duration,
    /// How long a client may read nothing of its response while bytes are waiting for it.
    pub write_timeout: Duration,
}

/// `[admin]`: the listener for health, readiness and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The addresses to listen on.
    pub listen: Vec<SocketAddr>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The format of log lines.
    pub format: LogFormat,
    /// The least severe level that is logged.
    pub level: LogLevel,
    /// The requests that are logged.
    pub access: AccessLog,
    /// The field with a request's id. An id is generated if this is `None`, or if a request has no valid id in it.
    pub request_id_field: Option<HeaderName>,
    /// Whether a sample of signatures that do not verify is diagnosed.
    pub diagnose: bool,
    /// How often the log warns that an old secret is in use; zero for never.
    pub old_secret_warning: Duration,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The levels of a log line. `error`: an operator must act; `warn`: an operator should look; `info`: ordinary events; `debug`
/// and `trace`: what happens inside.
pub use tracing::Level as LogLevel;

/// The requests that are logged. Metrics count all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Every request.
    All,
    /// Requests that did not receive their upstream's answer.
    Refused,
    /// None.
    Off,
}

/// `[forward]`: fields added to forwarded requests; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// The handling of `x-forwarded-for`, `x-forwarded-proto` and `x-forwarded-host`.
    pub x_forwarded: XForwarded,
    /// A field for the scheme and the secret that verified the request; never one that a sender may need.
    pub verified_field: Option<HeaderName>,
    /// Whether a `via` line is added (RFC 9110, section 7.6.3).
    pub via: bool,
}

/// The handling of the `x-forwarded-*` fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XForwarded {
    /// They are forwarded unchanged, as any other field.
    #[default]
    Off,
    /// The gateway's values are appended. Only the last entry is the gateway's: the others are the client's claims.
    Append,
    /// The gateway's values replace the client's claims.
    Overwrite,
}

/// One `[[routes]]`.
#[derive(Debug)]
pub struct Route {
    /// `path`
    pub path: Pattern,
    /// `model`, or the path's `{model}`.
    pub model: ModelRule,
    /// `require` and `integration`: further values required in the signed content.
    pub requirements: Vec<Requirement>,
    /// `upstream`, with the settings of `[upstream]` and of the route.
    pub upstream: Upstream,
    /// `signature`. Routes with the signature of the whole file share it.
    pub verifier: Arc<Verifier>,
    /// `public_url`: the origin that the sender sends to, without a slash at the end.
    pub public_url: Option<String>,
    /// `methods`; at least one.
    pub methods: Vec<Method>,
    /// `max_body`, in bytes.
    pub max_body: u64,
    /// `mode`
    pub mode: Mode,
}

/// An upstream with the settings of one route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Its origin.
    pub origin: Origin,
    /// The time to establish a connection.
    pub connect_timeout: Duration,
    /// From the last byte of the request that is sent to the response's field lines; while the request is being sent, for each
    /// further piece of it; and for each further piece of the response.
    pub response_timeout: Duration,
    /// The most idle connections to it, over all workers.
    pub max_idle: usize,
    /// How long a connection may stay idle before it is closed: less than the upstream itself allows, so that no request is
    /// sent on a connection that the upstream is closing.
    pub idle_timeout: Duration,
}
