//! Pure. The settings of gateway.toml in their own types, with the defaults filled in.

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::admission::client::Network;
use crate::admission::failures::FailureRate;
use crate::admission::trusted_proxies::TrustedProxies;
use crate::routing::router::{ModelRule, Pattern};
use crate::routing::signed_model::Requirement;
use crate::signature::message_signature::Signer;
use crate::signature::public_url::PublicUrls;
use crate::signature::secret::Key;
use crate::signature::{Mode, Verifier};
use crate::tls::acme;
use crate::tls::client_config::Connector;
use crate::tls::server_config;
use crate::upstream::origin::Origin;

/// All settings of gateway.toml, with the defaults filled in.
#[derive(Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[tls]`, if it is on.
    pub tls: Option<Tls>,
    /// `[limits]`
    pub limits: Limits,
    /// `[admin]`, if it is on.
    pub admin: Option<Admin>,
    /// `[log]`
    pub log: Log,
    /// `[forward]`
    pub forward: Forward,
    /// `[queue]`, if the file has it. Without `[queue]`, no route stores events.
    pub queue: Option<Queue>,
    /// `[[routes]]`, in the order of the file. No two conflict, so [`crate::routing::router::Router::build`]
    /// accepts them.
    pub routes: Vec<Route>,
}

impl Config {
    /// The addresses that clients connect to: first the addresses of `[server]`, then of `[tls]`.
    pub fn listen(&self) -> impl Iterator<Item = &Address> {
        self.server.listen.iter().chain(self.tls.iter().flat_map(|tls| &tls.listen))
    }

    /// The networks of the proxies whose reports of the client are trusted.
    pub fn trusted_proxies(&self) -> impl Iterator<Item = Network> {
        let announcing = self.server.proxy_protocol.iter().flat_map(|proxies| &proxies.trusted);
        let reporting = self.server.client_address.iter().flat_map(|proxies| &proxies.networks);
        announcing.chain(reporting).copied()
    }
}

/// `[server]`: the listeners, workers and connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The addresses to listen on: at least one, and none twice.
    pub listen: Vec<Address>,
    /// Whether other processes may listen on the same addresses.
    pub sharing: Sharing,
    /// Whether clients may speak HTTP/2 without TLS.
    pub h2c: bool,
    /// The mode of a unix socket's file. A client needs write permission to connect.
    pub unix_mode: u32,
    /// The listeners on which proxies announce the client, and the trusted proxies.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// The proxies whose reports of the client the gateway believes. `None` if no proxy is trusted.
    pub client_address: Option<TrustedProxies>,
    /// The number of worker threads. Each has its own runtime, listener and connection pool.
    pub workers: NonZeroUsize,
    /// The most open connections, for all workers together. At the limit, one connection is closed for each
    /// new connection. If none can be closed, new connections wait in the kernel's queue.
    pub max_connections: NonZeroUsize,
    /// The most open connections of one client group. `None` if there is no limit.
    pub max_connections_per_client: Option<NonZeroUsize>,
    /// The delay between becoming unready and beginning a drain.
    pub drain_delay: Duration,
    /// The longest drain. Then the requests under way are cut off.
    pub shutdown_grace: Duration,
}

/// `[tls]`: the listeners that speak TLS, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The addresses to listen on; at least one, and none of `[server]`.
    pub listen: Vec<Address>,
    /// The other settings.
    pub settings: server_config::Settings,
    /// `[tls.acme]`, if certificates come from an authority.
    pub acme: Option<Arc<acme::settings::Settings>>,
    /// Whether the file names authorities of clients. If their file cannot be read, that is an error of its
    /// own.
    pub(super) names_authorities: bool,
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

/// `proxy_protocol`: trusted proxies announce the client address at the beginning of each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// The listeners on which proxies announce clients.
    pub listen: Vec<Address>,
    /// The trusted proxies. A trusted proxy must announce the client. A connection from any other address is
    /// read without an announcement.
    pub trusted: Vec<Network>,
}

/// Whether other processes may listen on the same addresses (`reuse_port`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Starting fails if another process listens there.
    Alone,
    /// The kernel spreads connections over all listening processes. The file of a unix socket is replaced.
    WithOthers,
}

/// `[limits]`: the limits of what a client may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a request's content, unless its route sets another limit.
    pub max_body: u64,
    /// The memory budget: the most bytes of content, and of heads over 4 KiB, in memory at the same time, for
    /// all connections together.
    pub max_buffered: u64,
    /// The most bytes of the request line and field lines.
    pub max_header_bytes: usize,
    /// The time from accept, or from the first byte of a request, to the end of its field lines.
    pub header_timeout: Duration,
    /// The time from the end of the field lines to the end of the content.
    pub body_timeout: Duration,
    /// The least rate at which content must arrive, in bytes per second. The rate is an average, and is
    /// checked only after a grace of 5 s. A client must also read its response at this rate. This average
    /// covers only the time in which writing blocks, and is checked only after a grace of `write_timeout`.
    pub min_body_rate: u64,
    /// How long a connection may stay idle between requests.
    pub idle_timeout: Duration,
    /// How long a client may stop reading while bytes of a response wait for it.
    pub write_timeout: Duration,
    /// The most failures of each client. `None` if there is no limit.
    pub max_failures_per_client: Option<FailureRate>,
}

/// `[admin]`: the listener for health, readiness, metrics and events.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The addresses to listen on.
    pub listen: Vec<Address>,
    /// The mode of a unix socket's file. A client needs write permission to connect, and no token.
    pub unix_mode: u32,
    /// The tokens of the clients that may read or manage events. No two tokens have the same name or the same
    /// key.
    pub tokens: Arc<[Token]>,
    /// `tls`: the settings with which the TCP addresses speak TLS. `None` if they speak plain HTTP. Unix
    /// sockets never speak TLS.
    pub tls: Option<server_config::Settings>,
    /// How many ended requests and deliveries are kept for looking at. None with 0.
    pub recent: usize,
    /// `console`: the pages for people.
    pub console: ConsoleMode,
}

/// The pages for people on the admin listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsoleMode {
    /// There are no pages.
    #[default]
    Off,
    /// The pages show everything and change nothing.
    ReadOnly,
    /// The pages show everything. A session with the role `operate` may also change.
    On,
}

/// The part of `[admin]` that commands need to reach the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress {
    /// The addresses of the listener.
    pub listen: Vec<Address>,
    /// `tls`: the file with the listener's certificate. `None` if the listener speaks plain HTTP.
    pub certificate: Option<PathBuf>,
}

/// A token of `[admin]`.
#[derive(Debug)]
pub struct Token {
    /// The token's name, for the log.
    pub name: Arc<str>,
    /// Which requests the token allows.
    pub role: Role,
    key: Key,
}

impl Token {
    /// A token with this key.
    #[must_use]
    pub fn new(name: Arc<str>, role: Role, key: Key) -> Self {
        Self { name, role, key }
    }

    /// Whether a client presents this token. The comparison takes the same time wherever the two keys differ.
    #[must_use]
    pub fn is(&self, presented: &[u8]) -> bool {
        self.key.expose().ct_eq(presented).into()
    }

    /// The SHA-256 of the key. A session of the console keeps the digest, to notice that the token has
    /// changed.
    #[must_use]
    pub fn key_digest(&self) -> [u8; 32] {
        Sha256::digest(self.key.expose()).into()
    }
}

/// Which requests a token allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The token allows reading.
    #[default]
    Read,
    /// The token allows reading and changing.
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
    /// The field with a request's id. An id is generated if this is `None`, or if the field of a request has
    /// no valid id.
    pub request_id_field: Option<HeaderName>,
    /// Whether a sample of signatures that do not verify is diagnosed.
    pub diagnose: bool,
    /// The time between two warnings that an old secret is in use. Zero turns the warnings off.
    pub old_secret_warning: Duration,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, and JSON otherwise.
    Auto,
    /// A form for people.
    Pretty,
    /// One JSON object in each line.
    Json,
}

/// The levels of a log line. `error`: an operator must act. `warn`: an operator should check something.
/// `info`: an ordinary event. `debug` and `trace`: details of the program's work.
pub use tracing::Level as LogLevel;

/// The requests that are logged. Metrics count all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Every request.
    All,
    /// Requests that did not get their upstream's answer.
    Refused,
    /// No request.
    Off,
}

/// `[forward]`: fields that are added to forwarded requests. By default, none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// The handling of `x-forwarded-for`, `x-forwarded-proto` and `x-forwarded-host`.
    pub x_forwarded: XForwarded,
    /// A field for the scheme and the secret that verified the request. A field that a sender may need is
    /// never allowed here.
    pub verified_field: Option<HeaderName>,
    /// Whether a `via` line is added (RFC 9110, section 7.6.3).
    pub via: bool,
    /// A field for the event's id on routes that store events.
    pub event_id_field: Option<HeaderName>,
    /// A field for the name in the client's certificate.
    pub client_certificate_field: Option<HeaderName>,
    /// `assertion`: how the gateway signs the requests that it forwards.
    pub assertion: Option<Arc<Signer>>,
}

/// How the `x-forwarded-*` fields are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XForwarded {
    /// They are forwarded unchanged, like any other field.
    #[default]
    Off,
    /// The gateway's values are appended. Only the last entry is the gateway's: the others are the client's
    /// claims.
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
    /// `model`, or the `{model}` of the path.
    pub model: ModelRule,
    /// `require` and `integration`: further values required in the signed content.
    pub requirements: Vec<Requirement>,
    /// `upstream`, with the settings of `[upstream]` and of the route.
    pub upstream: Upstream,
    /// The verifier of the route's `signature`. Routes without a `signature` share the verifier of the file's
    /// `[signature]`.
    pub verifier: Arc<Verifier>,
    /// `public_url`: the origins that the sender may send to.
    pub public_url: Option<PublicUrls>,
    /// `methods`; at least one.
    pub methods: Vec<Method>,
    /// `max_body`, in bytes.
    pub max_body: u64,
    /// `mode`
    pub mode: Mode,
    /// `allow`: the clients that the route takes. `None` if the route takes all clients.
    pub allow: Option<Arc<[Network]>>,
    /// `client_certificate`: a client's certificate must have one of these names. `None` if the route needs
    /// no client certificate.
    pub client_names: Option<Arc<[Arc<str>]>>,
    /// `delivery` and the keys that belong to `delivery`.
    pub delivery: DeliveryOptions,
    /// `console_content`: whether the console shows the content of the route's events.
    pub console_content: bool,
    /// `capture`: whether refused requests of the route are kept in memory for looking at.
    pub capture: bool,
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
    /// How long the content of a delivered event is kept. The other facts of the event are kept ten times as
    /// long.
    pub keep_delivered: Duration,
    /// How long a dead letter is kept.
    pub keep_dead: Duration,
    /// `lease`: how long other gateways that share the store wait for a lost gateway.
    pub lease: Duration,
}

/// The place of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A database file of SQLite.
    File(PathBuf),
    /// A server of PostgreSQL, which several gateways share.
    Postgres(Box<PostgresAddress>),
}

/// A store on a server of PostgreSQL.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    /// How the server is reached: hosts, database, user, password.
    pub connection: tokio_postgres::Config,
    /// `sslmode`
    pub tls: ServerTls,
    /// `sslrootcert`: the authorities that may have issued the server's certificate. `None` means the
    /// system's authorities.
    pub roots: Option<PathBuf>,
    /// `passfile`: a file with the password, if the URL has none.
    pub password_file: Option<PathBuf>,
    /// The URL without credentials.
    pub shown: String,
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Whether the connection to a server is encrypted, and how its certificate is checked: the values of libpq's
/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTls {
    /// `disable`: the connection is not encrypted.
    Disable,
    /// `prefer`, the default: the connection is encrypted if the server supports this. The certificate is not
    /// checked.
    Prefer,
    /// `require`: the connection is encrypted. The certificate is not checked, unless `sslrootcert` names
    /// authorities.
    Require,
    /// `verify-ca`: the certificate comes from a known authority.
    VerifyCa,
    /// `verify-full`: the certificate comes from a known authority, and is for this host.
    VerifyFull,
}

/// How a route's authentic requests are delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// `delivery`
    pub mode: DeliveryMode,
    /// `ack_status`: the status code of the gateway's answer to a stored request, and to a duplicate. `None`:
    /// the status code that the scheme demands that verified the request, and 200 for a duplicate.
    pub ack_status: Option<StatusCode>,
    /// `order_by`: which events are delivered one after the other.
    pub order_by: Option<OrderBy>,
    /// `max_queued`: the most bytes of undelivered events of the route.
    pub max_queued: u64,
    /// `deduplicate`: for how long the gateway answers a repeated event itself and does not forward it.
    pub deduplicate: Option<Duration>,
    /// `copies`: further upstreams. Each gets its own delivery of every event.
    pub copies: Vec<Upstream>,
    /// `refresh_signature`: whether a late delivery gets a new signature with the current time.
    pub refresh_signature: bool,
    /// `[retry]` and the route's `retry`.
    pub retry: Retry,
    /// `concurrency`: the most concurrent deliveries to one upstream.
    pub concurrency: NonZeroUsize,
    /// `rate`: the least time between two attempts at one upstream. `None` if there is no limit.
    pub interval: Option<Duration>,
}

impl DeliveryOptions {
    /// The options of a route that sets none.
    #[must_use]
    pub fn direct() -> Self {
        Self {
            mode: DeliveryMode::Direct,
            ack_status: None,
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

/// The default of `max_bytes` in `[queue]`.
pub(super) const DEFAULT_MAX_BYTES: u64 = 10 << 30;

/// The default of `concurrency`.
pub(super) const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// Where an authentic request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// To the upstream. The client gets the upstream's answer.
    #[default]
    Direct,
    /// To the upstream. If the upstream fails, into the store.
    Fallback,
    /// Into the store.
    Queue,
}

/// Which events of a route must wait for each other and are delivered one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// All events of the route.
    Route,
    /// Events with the same value at this JSON pointer (RFC 6901) in the signed content.
    Pointer(String),
}

/// `[retry]`: when a failed delivery is tried again, and when it is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The waits after failed attempts, at least one. The last wait repeats.
    pub schedule: Vec<Duration>,
    /// The age of an event after which a failed delivery becomes a dead letter.
    pub max_age: Duration,
    /// The number of attempts after which a failed delivery becomes a dead letter. `None` if there is no
    /// limit.
    pub max_attempts: Option<NonZeroU32>,
    /// The status codes that make a delivery a dead letter immediately, without a retry.
    pub give_up_on: Vec<StatusCode>,
}

impl Default for Retry {
    fn default() -> Self {
        let schedule = [5, 30, 120, 600, 1800, 3600, 7200].map(Duration::from_secs).to_vec();
        let max_age = Duration::from_secs(3 * 24 * 3600);
        Self { schedule, max_age, max_attempts: None, give_up_on: vec![StatusCode::GONE] }
    }
}

/// An upstream, with the settings of one route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// The upstream's origin.
    pub origin: Origin,
    /// Further origins of the same app. Each is used while the gateway cannot connect to the origins before
    /// it.
    pub backups: Vec<Backup>,
    /// How long establishing a connection may take.
    pub connect_timeout: Duration,
    /// The time limit for three waits: from the last byte of the request to the head of the response; for
    /// each further piece of the request while it is sent; and for each further piece of the response.
    pub response_timeout: Duration,
    /// The most idle connections to the upstream, for all workers together.
    pub max_idle: usize,
    /// How long a connection may stay idle before the gateway closes it. It must be less than the upstream's
    /// own limit. Otherwise a request could be sent over a connection that the upstream is closing.
    pub idle_timeout: Duration,
    /// How it is reached over TLS, if it is: its origin is an `https://` URL.
    pub tls: Option<Connector>,
}

/// A further origin of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backup {
    /// The origin.
    pub origin: Origin,
    /// How the origin is reached over TLS. `None` for plain HTTP.
    pub tls: Option<Connector>,
}

impl Upstream {
    /// The origins, in the order in which they are tried.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        std::iter::once(&self.origin).chain(self.backups.iter().map(|backup| &backup.origin))
    }

    /// Each origin as an upstream of its own, in the order in which they are tried.
    pub fn alone(&self) -> impl Iterator<Item = Self> {
        let first = Backup { origin: self.origin.clone(), tls: self.tls.clone() };
        std::iter::once(first).chain(self.backups.iter().cloned()).map(|Backup { origin, tls }| Self {
            origin,
            tls,
            backups: Vec::new(),
            ..*self
        })
    }
}
