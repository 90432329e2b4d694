//! Shell. The controls of a running server. Any thread may use them to reload, drain and abort, and to read
//! the server's state.
//!
//! The current configuration is one [`Generation`], which a reload replaces as a whole. Workers watch it. A
//! request compares version numbers, and takes the lock around the generation only after a reload.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::admission::memory::Budget;
use crate::admission::per_client::ConnectionsPerClient;
use crate::config::digest::{self, Part};
use crate::config::{Address, Config, ConsoleMode, Token};
use crate::connection::limits::Limits;
use crate::diagnosis::submitter::Submitter;
use crate::gateway::Gateway;
use crate::queue::duplicates::Duplicates;
use crate::queue::handle::Queue;
use crate::queue::store_limits;
use crate::routing::router::{Conflict, Router};
use crate::runtime::process;
use crate::runtime::restart_required;
use crate::runtime::supervised_part::ServerPart;
use crate::telemetry::metric::Meters;
use crate::telemetry::recent::Recent;
use crate::telemetry::repeated_log_line::Repeated;
use crate::tls::acme;
use crate::tls::acme::issued::Issued;
use crate::tls::server_config::{self, Acceptor, Issuing};

/// A compiled configuration and its number. The first has the number 1, and each reload adds one.
#[derive(Debug)]
pub struct Generation {
    /// The number of the configuration.
    pub number: u64,
    /// The gateway that serves requests.
    pub gateway: Gateway,
    /// The limits of a client connection.
    pub limits: Limits,
    /// How many connections each client may have.
    pub per_client: ConnectionsPerClient,
    /// The delay between becoming unready and beginning a drain.
    pub drain_delay: Duration,
    /// The longest time for a drain.
    pub grace: Duration,
    /// Whether clients may speak HTTP/2 without TLS.
    pub h2c: bool,
    /// How often the log warns that an old secret is in use; zero for never.
    pub old_secret_warning: Duration,
    /// Digests of the configuration's parts, without its secrets.
    pub parts: Vec<Part>,
    /// The keys whose new values take effect only after a restart.
    pub fixed: Vec<&'static str>,
    /// How many descriptors the configuration may need.
    pub descriptors: u64,
    /// The acceptor of the TLS listeners, if there are such listeners.
    pub acceptor: Option<Arc<Acceptor>>,
    /// `[tls.acme]`, if certificates come from an authority.
    pub acme: Option<Arc<acme::settings::Settings>>,
    /// The acceptor of the admin listener, if the listener speaks TLS.
    pub admin_acceptor: Option<Arc<Acceptor>>,
    /// The tokens of `[admin]`.
    pub tokens: Arc<[Token]>,
    /// `console` of `[admin]`.
    pub console: ConsoleMode,
    /// The paths of routes with `console_content = "never"`. Routes with the same path are hidden together.
    pub hidden_content: BTreeSet<String>,
    /// The paths of routes with `capture = true`.
    pub capturing: BTreeSet<String>,
    /// The limits and times in `[queue]`, if the configuration has that table.
    pub queue: Option<store_limits::Settings>,
}

impl Generation {
    fn compile(
        config: &Config,
        number: u64,
        fixed: Vec<&'static str>,
        budget: &Arc<Budget>,
        meters: &Meters,
        submitter: &Submitter,
        (before, issued): (Option<&Self>, &Arc<Issued>),
    ) -> Result<Arc<Self>, CompileError> {
        let router = Router::build(config.routes.iter().map(|route| (&route.path, &route.model)))
            .map_err(CompileError::Routes)?;
        let acceptor_before = before.and_then(|before| before.acceptor.as_ref());
        let (acceptor, acme) = match &config.tls {
            // The listeners remain until a restart, and so do their certificates.
            None => (acceptor_before.cloned(), before.and_then(|before| before.acme.clone())),
            Some(tls) => {
                let acme = tls.acme.clone();
                let issuing = acme
                    .as_ref()
                    .map(|acme| Issuing { domains: acme.domains.clone(), issued: Arc::clone(issued) });
                let made = Acceptor::issuing(tls.settings.clone(), issuing, acceptor_before.map(Arc::as_ref));
                (Some(Arc::new(made.map_err(CompileError::Tls)?)), acme)
            }
        };
        let tls = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        let admin_acceptor = next_acceptor(tls, before.and_then(|before| before.admin_acceptor.as_ref()))?;
        let limits = Limits {
            max_header_bytes: config.limits.max_header_bytes,
            header_timeout: config.limits.header_timeout,
            idle_timeout: config.limits.idle_timeout,
            write_timeout: config.limits.write_timeout,
            min_write_rate: config.limits.min_body_rate,
        };
        let mut gateway = Gateway::new(config, router, Arc::clone(budget), meters, submitter);
        if let Some(before) = before {
            gateway.continue_after(&before.gateway);
        }
        Ok(Arc::new(Self {
            number,
            gateway,
            limits,
            per_client: ConnectionsPerClient::of(config),
            drain_delay: config.server.drain_delay,
            grace: config.server.shutdown_grace,
            h2c: config.server.h2c,
            old_secret_warning: config.log.old_secret_warning,
            parts: digest::parts(config),
            fixed,
            descriptors: process::descriptors_needed(config),
            queue: config.queue.as_ref().map(store_limits::Settings::of),
            acceptor,
            acme,
            admin_acceptor,
            tokens: config.admin.as_ref().map(|admin| Arc::clone(&admin.tokens)).unwrap_or_default(),
            console: config.admin.as_ref().map(|admin| admin.console).unwrap_or_default(),
            hidden_content: hidden(config),
            capturing: capturing(config),
        }))
    }
}

/// The acceptor of a generation with these settings of TLS. Listeners remain until a restart. If a reload
/// removes the settings, the acceptor of the generation before remains, too.
fn next_acceptor(
    settings: Option<&server_config::Settings>,
    before: Option<&Arc<Acceptor>>,
) -> Result<Option<Arc<Acceptor>>, CompileError> {
    let Some(settings) = settings else { return Ok(before.cloned()) };
    let made = Acceptor::new(settings.clone(), before.map(Arc::as_ref)).map_err(CompileError::Tls)?;
    Ok(Some(Arc::new(made)))
}

/// The paths of routes whose content the console does not show.
fn hidden(config: &Config) -> BTreeSet<String> {
    let hidden = config.routes.iter().filter(|route| !route.console_content);
    hidden.map(|route| route.path.as_str().to_owned()).collect()
}

/// The paths of routes that capture refused requests.
fn capturing(config: &Config) -> BTreeSet<String> {
    let capturing = config.routes.iter().filter(|route| route.capture);
    capturing.map(|route| route.path.as_str().to_owned()).collect()
}

/// Why a configuration cannot be compiled. A configuration from [`crate::config::read`] has no conflicts.
#[derive(Debug)]
pub enum CompileError {
    /// Routes conflict.
    Routes(Vec<Conflict>),
    /// TLS cannot be set up: the system has no randomness.
    Tls(rustls::Error),
}

/// The signals that a worker gets from outside.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// The worker stops accepting, and finishes the requests under way.
    pub drain: CancellationToken,
    /// The worker ends immediately.
    pub abort: CancellationToken,
}

/// The reloads so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// How many reloads applied a new generation.
    pub ok: u64,
    /// How many reloads changed nothing because the configuration had an error.
    pub failed: u64,
    /// Whether the last reload failed. If so, the current generation differs from the file.
    pub is_outdated: bool,
}

/// The controls of a running server.
#[derive(Debug)]
pub struct Control {
    in_force: watch::Sender<Arc<Generation>>,
    budget: Arc<Budget>,
    meters: Meters,
    recent: Arc<Recent>,
    submitter: Submitter,
    issued: Arc<Issued>,
    started_at: SystemTime,
    started: restart_required::Fixed,
    listening: OnceLock<Vec<Address>>,
    queue: OnceLock<(Queue, Duplicates)>,
    signals: Signals,
    /// When the drain or the abort began.
    end_began: OnceLock<Instant>,
    ready: AtomicBool,
    /// The first part of the server that failed.
    failed: OnceLock<ServerPart>,
    reloads: Mutex<Reloads>,
    unannounced: Mutex<Repeated>,
}

impl Control {
    /// Creates the controls of a server that starts with this configuration. Samples of events that do not
    /// verify go to `submitter`.
    ///
    /// # Errors
    /// [`CompileError`]
    pub fn new(config: &Config, submitter: Submitter) -> Result<Arc<Self>, CompileError> {
        let budget = Budget::new(config.limits.max_buffered);
        let meters = Meters::default();
        let issued = Arc::default();
        let tls = (None, &issued);
        let generation = Generation::compile(config, FIRST, Vec::new(), &budget, &meters, &submitter, tls)?;
        Ok(Arc::new(Self {
            in_force: watch::Sender::new(generation),
            budget,
            meters,
            recent: Recent::new(recent_places(config)),
            submitter,
            issued,
            started_at: SystemTime::now(),
            started: restart_required::Fixed::of(config),
            listening: OnceLock::new(),
            queue: OnceLock::new(),
            signals: Signals::default(),
            end_began: OnceLock::new(),
            ready: AtomicBool::new(false),
            failed: OnceLock::new(),
            reloads: Mutex::default(),
            unannounced: Mutex::default(),
        }))
    }

    /// Applies a configuration to every request that begins from now on, on every worker. A request under way
    /// keeps the configuration with which it began.
    ///
    /// Returns the keys whose new values take effect only after a restart.
    ///
    /// # Errors
    /// [`CompileError`]
    pub fn reload(&self, config: &Config) -> Result<Vec<&'static str>, CompileError> {
        let fixed = self.started.differs_from(config);
        let number = self.number().saturating_add(1);
        let before = self.generation();
        let compiled = Generation::compile(
            config,
            number,
            fixed.clone(),
            &self.budget,
            &self.meters,
            &self.submitter,
            (Some(&before), &self.issued),
        );
        let next = compiled.inspect_err(|_error| self.reload_failed())?;
        self.budget.set_max(config.limits.max_buffered);
        if self.started.has_admin() {
            self.recent.set_places(recent_places(config));
        }
        self.in_force.send_replace(next);
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.ok = reloads.ok.saturating_add(1);
        reloads.is_outdated = false;
        Ok(fixed)
    }

    /// Records that a configuration could not be applied.
    pub fn reload_failed(&self) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.failed = reloads.failed.saturating_add(1);
        reloads.is_outdated = true;
    }

    /// Counts connections of trusted proxies that did not announce their client.
    pub(crate) fn unannounced(&self) -> &Mutex<Repeated> {
        &self.unannounced
    }

    /// The reloads so far.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        *self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the current generation.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.in_force.borrow().number
    }

    /// The current generation.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.in_force.borrow())
    }

    /// A receiver of the current generation. Each reload notifies it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Generation>> {
        self.in_force.subscribe()
    }

    /// Whether a load balancer should send requests here. True once every listener is open, until a drain
    /// begins.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The addresses on which the server listens. If the system chose a port, the address has that port.
    /// Inherited sockets are included.
    #[must_use]
    pub fn listening(&self) -> &[Address] {
        self.listening.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Records that every listener is open, at these addresses.
    pub(crate) fn set_ready(&self, listening: Vec<Address>) {
        self.listening.get_or_init(|| listening);
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Makes readiness checks fail. Requests are still served.
    pub fn set_not_ready(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }

    /// How many bytes of content and of large heads are held in memory now.
    #[must_use]
    pub fn buffered_bytes(&self) -> u64 {
        self.budget.held()
    }

    /// The memory budget that counts these bytes.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The metrics since the server was started.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// The recent requests and deliveries. None are kept without an admin listener.
    #[must_use]
    pub fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }

    /// The certificates that an authority has issued.
    #[must_use]
    pub fn issued(&self) -> &Arc<Issued> {
        &self.issued
    }

    /// The queue, if the server was started with one.
    #[must_use]
    pub fn queue(&self) -> Option<&Queue> {
        self.queue.get().map(|(queue, _)| queue)
    }

    /// The claims of events under way, if the server was started with a queue.
    #[must_use]
    pub fn duplicates(&self) -> Option<&Duplicates> {
        self.queue.get().map(|(_, duplicates)| duplicates)
    }

    /// Gives the server its queue. A second queue is ignored.
    pub fn set_queue(&self, queue: Queue) {
        self.queue.get_or_init(|| (queue, Duplicates::default()));
    }

    /// When the server was started.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        self.started_at
    }

    /// Stops accepting, and lets the requests under way finish within the grace period. Returns immediately.
    pub fn drain(&self) {
        self.set_not_ready();
        self.end_began.get_or_init(Instant::now);
        self.signals.drain.cancel();
    }

    /// Ends the server immediately. Requests under way are cut off.
    pub fn abort(&self) {
        self.set_not_ready();
        self.end_began.get_or_init(Instant::now);
        self.signals.abort.cancel();
        self.signals.drain.cancel();
    }

    /// Records that a part of the server ended unexpectedly, and begins a drain.
    pub(crate) fn fail(&self, part: ServerPart) {
        self.set_not_ready();
        self.failed.get_or_init(|| part);
        error!(%part, "a part of the server has ended by itself: a defect in hookgate; the process drains, and ends with 1");
        self.drain();
    }

    /// The part of the server whose failure began the drain. `None` if no part failed.
    #[must_use]
    pub fn failed(&self) -> Option<ServerPart> {
        self.failed.get().copied()
    }

    /// Whether a drain or an abort has begun.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.signals.drain.is_cancelled()
    }

    /// The part of the grace period that is left. The whole period before a drain begins.
    #[must_use]
    pub fn grace_left(&self) -> Duration {
        let past = self.end_began.get().map(Instant::elapsed).unwrap_or_default();
        self.generation().grace.saturating_sub(past)
    }

    /// Waits until a drain or an abort has begun.
    pub async fn ending(&self) {
        self.signals.drain.cancelled().await;
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }
}

/// How many recent requests are kept.
fn recent_places(config: &Config) -> usize {
    config.admin.as_ref().map_or(0, |admin| admin.recent)
}

/// The number of the generation that a server starts with.
const FIRST: u64 = 1;
