//! Pure. The settings of gateway.toml in their own types, with the defaults filled in.

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use subtle::ConstantTimeEq as _;

use crate::admission::client::Network;
use crate::routing::router::{ModelRule, Pattern};
use crate::routing::signed_model::Requirement;
use crate::signature::secret::Key;
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
    /// `[queue]`, if it is there. Without it no route stores events.
    pub queue: Option<Queue>,
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

/// `[admin]`: the listener for health, readiness, metrics and events.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The addresses to listen on.
    pub listen: Vec<Address>,
    /// The mode of a unix socket's file. A client needs write permission to connect, and no token.
    pub unix_mode: u32,
    /// The tokens of those who may read or manage events there; no two of the same name or with the same key.
    pub tokens: Arc<[Token]>,
}

/// A token of `[admin]`.
#[derive(Debug)]
pub struct Token {
    /// Its name, for the log.
    pub name: Arc<str>,
    /// What it allows.
    pub role: Role,
    key: Key,
}

impl Token {
    /// A token with this key.
    #[must_use]
    pub fn new(name: Arc<str>, role: Role, key: Key) -> Self {
        Self { name, role, key }
    }

    /// Whether a client presents this token. The comparison takes the same time wherever the two differ.
    #[must_use]
    pub fn is(&self, presented: &[u8]) -> bool {
        self.key.expose().ct_eq(presented).into()
    }
}

/// What a token allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// To read.
    #[default]
    Read,
    /// To read and to change.
    Operate,
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
    /// A field for the event's id on routes that store events.
    pub event_id_field: Option<HeaderName>,
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

impl Config {
    /// Whether a route stores events, or deduplicates.
    #[must_use]
    pub fn needs_store(&self) -> bool {
        let needs = |delivery: &DeliveryOptions| {
            delivery.mode != DeliveryMode::Direct || delivery.deduplicate.is_some()
        };
        self.routes.iter().any(|route| needs(&route.delivery))
    }
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
    /// `delivery` and the keys that belong to it.
    pub delivery: DeliveryOptions,
}

/// `[queue]`: the store of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// `store`: where events are kept.
    pub store: StoreAddress,
    /// The most bytes that the store may take.
    pub max_bytes: u64,
    /// The bytes of the disk that the store leaves free.
    pub min_free: u64,
    /// How long the content of a delivered event is kept. Its other data are kept ten times as long.
    pub keep_delivered: Duration,
    /// How long a dead letter is kept.
    pub keep_dead: Duration,
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A file of SQLite.
    File(PathBuf),
}

/// How a route's authentic requests are delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// `delivery`
    pub mode: DeliveryMode,
    /// `ack_status`: the status code of our answer to a request that was stored.
    pub ack_status: StatusCode,
    /// Whether that answer has content. With 204 it has none.
    pub ack_content: AckContent,
    /// The status code of our answer to a duplicate: `ack_status` if the route names it, and 200 otherwise.
    pub duplicate_status: StatusCode,
    /// `order_by`: which events are delivered one after the other.
    pub order_by: Option<OrderBy>,
    /// `max_queued`: the most bytes of undelivered events of the route.
    pub max_queued: u64,
    /// `deduplicate`: for how long an event like one that was delivered or stored is answered and not forwarded.
    pub deduplicate: Option<Duration>,
    /// `copies`: further upstreams, each with deliveries of its own.
    pub copies: Vec<Upstream>,
    /// `refresh_signature`: whether a late delivery is signed anew with the present time.
    pub refresh_signature: bool,
    /// `[retry]` and the route's `retry`.
    pub retry: Retry,
    /// `concurrency`: the most deliveries to one upstream at once.
    pub concurrency: NonZeroUsize,
    /// `rate`: the least time between two attempts of one upstream. `None` without a limit.
    pub interval: Option<Duration>,
}

impl DeliveryOptions {
    /// The options of a route that names none.
    #[must_use]
    pub fn direct() -> Self {
        Self {
            mode: DeliveryMode::Direct,
            ack_status: StatusCode::ACCEPTED,
            ack_content: AckContent::EventId,
            duplicate_status: StatusCode::OK,
            order_by: None,
            max_queued: DEFAULT_MAX_BYTES / 2,
            deduplicate: None,
            copies: Vec::new(),
            refresh_signature: false,
            retry: Retry::default(),
            concurrency: DEFAULT_CONCURRENCY,
            interval: None,
        }
    }
}

/// The default of `[queue]` `max_bytes`.
pub(super) const DEFAULT_MAX_BYTES: u64 = 10 << 30;

/// The default of `concurrency`.
pub(super) const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// The content of the gateway's answer to a stored request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckContent {
    /// JSON with the event's id.
    EventId,
    /// Nothing: 204, or a sender that takes no content.
    Empty,
}

/// Where an authentic request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// To the upstream, whose answer is passed on.
    #[default]
    Direct,
    /// To the upstream, or into the store if the upstream fails.
    Fallback,
    /// Into the store.
    Queue,
}

/// Which events of a route are delivered one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// All of the route.
    Route,
    /// Those with the same value at this JSON pointer (RFC 6901) into the signed content.
    Pointer(String),
}

/// `[retry]`: when a failed delivery is tried again, and when it is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The waits after each failed attempt; the last one repeats. Not empty.
    pub schedule: Vec<Duration>,
    /// The age of an event after which a failed delivery is a dead letter.
    pub max_age: Duration,
    /// The attempts after which a failed delivery is a dead letter. `None` without a limit.
    pub max_attempts: Option<NonZeroU32>,
    /// The status codes that make a delivery a dead letter at once.
    pub give_up_on: Vec<StatusCode>,
}

impl Default for Retry {
    fn default() -> Self {
        let schedule = [5, 30, 120, 600, 1800, 3600, 7200].map(Duration::from_secs).to_vec();
        let max_age = Duration::from_secs(3 * 24 * 3600);
        Self { schedule, max_age, max_attempts: None, give_up_on: vec![StatusCode::GONE] }
    }
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
