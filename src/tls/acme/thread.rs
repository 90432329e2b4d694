//! Shell. The thread that orders certificates: one order at a time, for the name that is due first.
//!
//! The thread has its own runtime, so no request waits for the thread. The thread follows reloads. After a
//! failure, the old certificate stays. While no order is due, the thread asks the authority when it wants the
//! renewals.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::runtime::background::{self, Background, LAST_WAIT};
use crate::runtime::control::{Control, Generation};
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::tls::acme::ask;
use crate::tls::acme::failure::{Failure, Kind};
use crate::tls::acme::issued::Issued;
use crate::tls::acme::order::{Ordering, storage_failure};
use crate::tls::acme::renewal::{self, Plan, Suggestion, Window};
use crate::tls::acme::schedule::{self, Failures};
use crate::tls::acme::settings::Settings;
use crate::tls::acme::storage::Storage;
use crate::tls::key_pair::KeyPair;

/// The most time between two looks at the clock and at the folder: another process may have renewed a
/// certificate, and a machine may have slept.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The time for a whole order.
const ORDER_LIMIT: Duration = Duration::from_secs(300);

/// The time for a question about a renewal.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// The running thread.
#[derive(Debug)]
pub struct AcmeThread {
    stop: CancellationToken,
    thread: Option<Background>,
}

/// Reads the certificates of the folder, and starts the thread.
///
/// # Errors
/// The system cannot start a thread, or cannot start the thread's runtime.
pub fn start(control: &Arc<Control>) -> io::Result<AcmeThread> {
    let stop = CancellationToken::new();
    let mut thread = Thread::new(control);
    thread.configure();
    let (report, reported) = std::sync::mpsc::channel();
    let guard = PartGuard::over(ServerPart::Acme, control);
    let stopped = stop.clone();
    let work = move || {
        let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => {
                guard.end();
                let _no_receiver = report.send(Err(error));
                return;
            }
        };
        let _no_receiver = report.send(Ok(()));
        run(runtime, thread, stopped);
        guard.end();
    };
    let thread = background::start("acme", work)?;
    reported.recv().map_err(|_silent| io::Error::other("the thread has ended"))??;
    Ok(AcmeThread { stop, thread: Some(thread) })
}

fn run(runtime: LocalRuntime, mut thread: Thread, stop: CancellationToken) {
    let drain = thread.control.signals().drain.clone();
    runtime.block_on(async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = drain.cancelled() => {}
            () = thread.run() => {}
        }
    });
    // The shutdown does not wait for a name lookup that is under way.
    runtime.shutdown_background();
}

/// The thread ends with the server. An order under way is dropped: the authority lets it expire.
impl Drop for AcmeThread {
    fn drop(&mut self) {
        self.stop.cancel();
        let _left_behind = self.thread.take().map(|thread| thread.wait(LAST_WAIT));
    }
}

struct Thread {
    control: Arc<Control>,
    in_force: watch::Receiver<Arc<Generation>>,
    issued: Arc<Issued>,
    settings: Option<Arc<Settings>>,
    names: Vec<Name>,
    random: RandomState,
    drawn: u64,
}

/// Whether the folder is read for the first time. A reload can change the folder or the authority.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    New,
    Known,
}

/// A name, and when its certificate is ordered.
struct Name {
    domain: Arc<str>,
    due: SystemTime,
    /// The failures in a row.
    failures: usize,
    /// The plan for the certificate, if there is one.
    plan: Option<Plan>,
    /// Before this time, the authority is not asked about the certificate again: another process may have had
    /// the right to ask.
    ask_not_before: SystemTime,
}

/// What the thread does for a name. An order comes before a question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Order,
    Ask,
}

impl Name {
    fn new(domain: &Arc<str>, now: SystemTime) -> Self {
        let domain = Arc::clone(domain);
        Self { domain, due: now, failures: 0, plan: None, ask_not_before: SystemTime::UNIX_EPOCH }
    }

    /// When there is work for this name.
    fn work(&self, now: SystemTime) -> impl Iterator<Item = (Work, SystemTime)> {
        let ask = self.plan.as_ref().and_then(|plan| plan.ask(now));
        let ask = ask.map(|ask| (Work::Ask, ask.max(self.ask_not_before)));
        std::iter::once((Work::Order, self.due)).chain(ask)
    }
}

impl Thread {
    fn new(control: &Arc<Control>) -> Self {
        Self {
            control: Arc::clone(control),
            in_force: control.watch(),
            issued: Arc::clone(control.issued()),
            settings: None,
            names: Vec::new(),
            random: RandomState::new(),
            drawn: 0,
        }
    }

    /// Follows the configuration in force. Reads the certificates of the folder.
    fn configure(&mut self) {
        let settings = self.in_force.borrow_and_update().acme.clone();
        if settings == self.settings {
            return;
        }
        self.settings = settings;
        let now = SystemTime::now();
        let domains = self.settings.iter().flat_map(|settings| &settings.domains);
        self.names = domains.map(|domain| Name::new(domain, now)).collect();
        let domains: Vec<_> = self.names.iter().map(|name| Arc::clone(&name.domain)).collect();
        self.issued.keep_only(&domains);
        for index in 0..self.names.len() {
            self.look(index, Folder::New);
            self.recall(index, now);
        }
    }

    /// If an order is due now, but earlier orders failed in another run of the gateway: continues the wait
    /// after them.
    fn recall(&mut self, index: usize, now: SystemTime) {
        let (Some(settings), Some(name)) = (&self.settings, self.names.get(index)) else { return };
        if name.due > now || name.failures > 0 {
            return;
        }
        let domain = Arc::clone(&name.domain);
        match Storage::new(&settings.storage, &settings.directory).failures(&domain) {
            Ok(Some(failures)) => {
                let due = failures.due_at_start(now);
                info!(name = %domain, failures = failures.count, next = shown(due), "the last order has failed");
                self.set(index, due, failures.count);
            }
            Ok(None) => {}
            Err(error) => debug!(name = %domain, %error, "the failures in storage cannot be read"),
        }
    }

    async fn run(&mut self) {
        loop {
            self.configure();
            let now = SystemTime::now();
            let work = self.names.iter().enumerate().flat_map(|(index, name)| {
                let work = name.work(now);
                work.map(move |(work, at)| (at.duration_since(now).unwrap_or_default(), work, at, index))
            });
            match work.min() {
                Some((Duration::ZERO, Work::Order, _, index)) => self.order(index).await,
                Some((Duration::ZERO, Work::Ask, _, index)) => self.ask(index).await,
                Some((wait, ..)) => {
                    let _time_is_up = timeout(wait.min(LOOK_EVERY), self.in_force.changed()).await;
                    for index in 0..self.names.len() {
                        self.look(index, Folder::Known);
                    }
                }
                None => {
                    let _changed = self.in_force.changed().await;
                }
            }
            // The configuration goes with the process.
            if self.in_force.has_changed().is_err() {
                return;
            }
        }
    }

    /// Shows the certificate of the folder if it differs from the certificate that is shown. Takes over what
    /// another process has learned from the authority.
    fn look(&mut self, index: usize, folder: Folder) {
        let (Some(settings), Some(name)) = (&self.settings, self.names.get(index)) else { return };
        let (domain, now) = (Arc::clone(&name.domain), SystemTime::now());
        let storage = Storage::new(&settings.storage, &settings.directory);
        match storage.certificate(&domain) {
            Ok(Some(pair)) => {
                let before = self.issued.certificate(&domain);
                let is_newer = before.is_none_or(|before| age(&before) < age(&pair));
                let record = storage.renewal(&domain).unwrap_or_else(|error| {
                    debug!(name = %domain, %error, "what the authority has said about the renewal cannot be read");
                    None
                });
                if is_newer || folder == Folder::New {
                    let plan = Plan::of_kept(&pair.facts, pair.chain().first(), record, now, self.draw());
                    let (due, expires) = (plan.due(), shown(pair.facts.not_after));
                    info!(name = %domain, expires, is_due = due <= now, "certificate of [tls.acme] is read from storage");
                    self.issued.show(&domain, pair);
                    self.plan(index, plan, 0);
                } else if let Some(record) = record
                    && let Some(plan) = self.names.get_mut(index).and_then(|name| name.plan.as_mut())
                    && plan.adopt(record, now)
                {
                    self.follow_plan(index);
                }
            }
            Ok(None) => {}
            Err(error) if folder == Folder::New => {
                warn!(name = %domain, %error, "the certificate in storage cannot be used: another one is ordered");
            }
            Err(error) => debug!(name = %domain, %error, "the certificate in storage cannot be used"),
        }
    }

    fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        self.random.hash_one(self.drawn)
    }

    fn set(&mut self, index: usize, due: SystemTime, failures: usize) {
        if let Some(name) = self.names.get_mut(index) {
            (name.due, name.failures) = (due, failures);
            self.issued.change(&name.domain, |orders| orders.next = Some(due));
        }
    }

    /// Follows this plan for a certificate.
    fn plan(&mut self, index: usize, plan: Plan, failures: usize) {
        if let Some(name) = self.names.get_mut(index) {
            (name.plan, name.failures) = (Some(plan), failures);
            name.ask_not_before = SystemTime::UNIX_EPOCH;
            self.follow_plan(index);
        }
    }

    /// Renews when the plan says. After a failure, also one of another run of the gateway, the wait for the
    /// next order stays.
    fn follow_plan(&mut self, index: usize) {
        let Some(name) = self.names.get(index) else { return };
        let Some(plan) = &name.plan else { return };
        let is_early = plan.window().is_some_and(Window::is_early);
        self.issued.change(&name.domain, |orders| orders.is_early = is_early);
        if name.failures == 0 {
            self.set(index, plan.due(), 0);
            self.recall(index, SystemTime::now());
        }
    }

    /// Asks the authority when it wants the certificate to be renewed. Gives up if the settings change.
    async fn ask(&mut self, index: usize) {
        let (Some(settings), Some(name)) = (self.settings.clone(), self.names.get_mut(index)) else { return };
        let (domain, now) = (Arc::clone(&name.domain), SystemTime::now());
        let storage = Storage::new(&settings.storage, &settings.directory);
        name.ask_not_before = after(now, LOOK_EVERY);
        // With the right to order, no other process asks, or replaces the certificate.
        let lock = storage.lock();
        if !matches!(lock, Ok(Some(_))) {
            debug!(name = %domain, ?lock, "there is no right to ask about the renewal");
            return;
        }
        self.look(index, Folder::Known);
        let ask = self.names.get(index).and_then(|name| name.plan.as_ref()?.ask(now));
        let certificate = self.issued.certificate(&domain).filter(|_| ask.is_some_and(|ask| ask <= now));
        let certificate = certificate.and_then(|pair| renewal::identifier(pair.chain().first()?));
        let Some(certificate) = certificate else { return };
        let of_task = Arc::clone(&settings);
        let question = async move { ask::ask(&of_task, &certificate).await };
        let mut task = spawn_local(timeout(QUESTION_LIMIT, question));
        let asked = tokio::select! {
            asked = &mut task => asked,
            () = other_settings(&mut self.in_force, &settings) => {
                task.abort();
                return;
            }
        };
        let asked = match asked {
            Ok(Ok(asked)) => asked,
            Ok(Err(_elapsed)) => Err(Failure::new(Kind::TimedOut, "there was no answer within a minute")),
            Err(_panic) => Err(Failure::new(Kind::Defect, "the question has panicked")),
        };
        self.asked(index, asked);
        let record = self.names.get(index).and_then(|name| name.plan.as_ref()?.record());
        if let Some(Err(error)) = record.map(|record| storage.keep_renewal(&domain, record)) {
            debug!(name = %domain, %error, "what the authority has said about the renewal cannot be kept");
        }
        drop(lock);
    }

    /// Follows the authority's answer.
    fn asked(&mut self, index: usize, asked: Result<Option<Suggestion>, Failure>) {
        let (now, random) = (SystemTime::now(), self.draw());
        let Some(Name { domain, plan: Some(plan), .. }) = self.names.get_mut(index) else { return };
        let answered = asked.and_then(|answer| match answer {
            Some(suggestion) => plan
                .answered(suggestion, now, random)
                .map_err(|error| Failure::new(Kind::NotAcme, error.to_string())),
            None => {
                plan.not_offered(now);
                Ok(false)
            }
        });
        match (answered, plan.window()) {
            (Ok(true), Some(window)) => {
                let (renewal, start, end) = (shown(plan.due()), shown(window.start()), shown(window.end()));
                let explanation = window.explanation();
                if window.is_early() {
                    warn!(name = %domain, renewal, start, end, explanation, "the authority asks for an early renewal");
                } else {
                    info!(name = %domain, renewal, start, end, explanation, "the authority says when to renew");
                }
            }
            (Ok(_), _) => {}
            (Err(failure), _) => {
                plan.failed(now, failure.retry_after, random);
                let (cause, renewal) = (failure.to_string(), shown(plan.due()));
                let next = plan.ask(now).map(shown);
                if plan.failures() == 1 {
                    info!(name = %domain, cause, renewal, next, "the authority has not said when to renew");
                } else {
                    debug!(name = %domain, cause, renewal, next, "the authority has not said when to renew");
                }
            }
        }
        self.follow_plan(index);
    }

    /// Orders a certificate. Gives up if the settings change.
    async fn order(&mut self, index: usize) {
        let (Some(settings), Some(name)) = (self.settings.clone(), self.names.get(index)) else { return };
        let domain = Arc::clone(&name.domain);
        let storage = Storage::new(&settings.storage, &settings.directory);
        let lock = match storage.lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                debug!(name = %domain, "another process orders with the same storage");
                let failures = name.failures;
                self.set(index, after(SystemTime::now(), LOOK_EVERY), failures);
                self.look(index, Folder::Known);
                return;
            }
            Err(error) => return self.failed(index, &storage_failure(&settings, &error)),
        };
        // The process that had the lock may have renewed the certificate.
        self.look(index, Folder::Known);
        if self.names.get(index).is_none_or(|name| name.due > SystemTime::now()) {
            return;
        }
        if self.issued.certificate(&domain).is_none() {
            info!(name = %domain, directory = settings.directory, "there is no certificate yet: ordering one");
        } else {
            info!(name = %domain, directory = settings.directory, "renewing the certificate");
        }
        let issued = Arc::clone(&self.issued);
        let ordering =
            Ordering { settings: Arc::clone(&settings), storage, issued, domain: Arc::clone(&domain) };
        let mut task = spawn_local(timeout(ORDER_LIMIT, ordering.obtain()));
        let ordered = tokio::select! {
            ordered = &mut task => ordered,
            () = other_settings(&mut self.in_force, &settings) => {
                task.abort();
                // The challenge of the order is answered until the task has ended.
                task.await
            }
        };
        match ordered {
            Ok(Ok(Ok(pair))) => self.succeeded(index, &domain, pair),
            Ok(Ok(Err(failure))) => self.failed(index, &failure),
            Ok(Err(_elapsed)) => {
                self.failed(
                    index,
                    &Failure::new(Kind::TimedOut, "the order was not complete within 5 minutes"),
                );
            }
            Err(error) if error.is_cancelled() => {
                debug!(name = %domain, "the order is given up: the settings changed");
            }
            Err(_panic) => self.failed(index, &Failure::new(Kind::Defect, "the order has panicked")),
        }
        // The other processes now find what this order has left.
        drop(lock);
    }

    fn succeeded(&mut self, index: usize, domain: &Arc<str>, pair: KeyPair) {
        let (facts, random) = (Arc::clone(&pair.facts), self.draw());
        let first = pair.chain().first().cloned();
        self.issued.show(domain, pair);
        self.issued.change(domain, |orders| {
            orders.succeeded = orders.succeeded.saturating_add(1);
            orders.failure = None;
        });
        let plan = Plan::of_new(&facts, first.as_ref(), SystemTime::now(), random);
        let due = plan.due();
        if let Some(settings) = &self.settings
            && let Some(record) = plan.record()
            && let Err(error) =
                Storage::new(&settings.storage, &settings.directory).keep_renewal(domain, record)
        {
            debug!(name = %domain, %error, "the record of the renewal cannot be kept");
        }
        self.plan(index, plan, 0);
        self.keep_failures(domain, None);
        info!(name = %domain, expires = shown(facts.not_after), renewal = shown(due), "certificate obtained");
    }

    /// Keeps the failures of a name for the next start, or forgets them.
    fn keep_failures(&self, domain: &str, failures: Option<Failures>) {
        let Some(settings) = &self.settings else { return };
        let storage = Storage::new(&settings.storage, &settings.directory);
        let kept = match failures {
            Some(failures) => storage.keep_failures(domain, failures),
            None => storage.forget_failures(domain),
        };
        if let Err(error) = kept {
            debug!(name = domain, %error, "the failures cannot be kept in storage");
        }
    }

    fn failed(&mut self, index: usize, failure: &Failure) {
        let Some(name) = self.names.get(index) else { return };
        let (domain, failures) = (Arc::clone(&name.domain), name.failures.saturating_add(1));
        let (now, random) = (SystemTime::now(), self.draw());
        let due = after(now, schedule::back_off(failures, failure.retry_after, random));
        self.set(index, due, failures);
        // Most failures of the folder come before the authority is asked (`Storage::reserve`), so they are
        // not kept.
        if failure.kind != Kind::Storage {
            self.keep_failures(&domain, Some(Failures::new(failures, now, due, failure.retry_after)));
        }
        self.issued.change(&domain, |orders| {
            orders.failed = orders.failed.saturating_add(1);
            orders.failure = Some(failure.to_string());
        });
        let (cause, to_do, next) = (failure.to_string(), failure.kind.advice(), shown(due));
        match self.issued.certificate(&domain).filter(|pair| now < pair.facts.not_after) {
            Some(pair) => {
                let expires = shown(pair.facts.not_after);
                warn!(name = %domain, cause, to_do, failures, next, expires, "certificate not renewed: the old one stays");
            }
            None => error!(name = %domain, cause, to_do, failures, next, "no certificate obtained"),
        }
    }
}

/// Waits until a configuration with other settings is in force.
async fn other_settings(in_force: &mut watch::Receiver<Arc<Generation>>, settings: &Arc<Settings>) {
    let is_other = |generation: &Arc<Generation>| generation.acme.as_ref() != Some(settings);
    let _ended = in_force.wait_for(is_other).await;
}

/// The older of two certificates of a name has the lesser value.
fn age(pair: &KeyPair) -> (SystemTime, SystemTime) {
    (pair.facts.not_before, pair.facts.not_after)
}

fn after(now: SystemTime, wait: Duration) -> SystemTime {
    now.checked_add(wait).unwrap_or(now)
}

/// A time in the log.
fn shown(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}
