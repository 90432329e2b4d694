//! Shell. The diagnosis: a thread that finds out why signatures do not verify, and which old secrets are
//! still in use. No request waits for it.
//!
//! Clients can cause any number of mismatches, so the kept samples are bounded in bytes and in number. A
//! diagnosis costs a token. Each route has a few tokens in a period, and all routes together have only a few
//! more. Without a token, nothing is copied or kept. The work for one sample is bounded in bytes and in time.
//!
//! The end of the process does not wait for the diagnosis: the current sample is given up, and the backlog is
//! dropped.

pub mod causes;
pub mod rate_limit;
pub mod rotation;
pub mod sample;
pub mod submitter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, info, warn};

use crate::diagnosis::causes::{Cause, GivenUp};
use crate::diagnosis::rotation::Rotation;
use crate::diagnosis::sample::Sample;
use crate::diagnosis::submitter::{Backlog, Order, Submitter};
use crate::gateway::reason::Reason;
use crate::runtime::background::{self, Background, LAST_WAIT};
use crate::runtime::control::Control;
use crate::runtime::error::StartError;
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::telemetry;
use crate::telemetry::metric::{Tally, UNEXPLAINED};
use crate::telemetry::recent::entry::LikelyCause;
use crate::telemetry::request_id::TraceId;

/// The longest time for one sample. Guards against a slow or busy processor: usually [`sample::MOST_WORK`]
/// takes a fifth of it.
const LONGEST: Duration = Duration::from_millis(250);

/// The longest time between two checks of whether a warning is due. A reload may change when it is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The running diagnosis thread.
#[derive(Debug)]
pub struct Diagnosis {
    orders: SyncSender<Order>,
    ends: Arc<AtomicBool>,
    thread: Option<Background>,
}

/// Starts the thread. It diagnoses the samples of `backlog`.
///
/// # Errors
/// [`StartError::Thread`]
pub fn start(
    control: &Arc<Control>,
    submitter: Submitter,
    backlog: Backlog,
) -> Result<Diagnosis, StartError> {
    let ends = Arc::new(AtomicBool::new(false));
    let worker = worker(control, &ends);
    let guard = PartGuard::over(ServerPart::Diagnosis, control);
    let work = move || {
        worker.run(&backlog);
        guard.end();
    };
    let thread = background::start("diagnosis", work).map_err(StartError::Thread)?;
    Ok(Diagnosis { orders: submitter.orders, ends, thread: Some(thread) })
}

fn worker(control: &Arc<Control>, ends: &Arc<AtomicBool>) -> Thread {
    Thread {
        ends: Arc::clone(ends),
        control: Arc::clone(control),
        tally: control.meters().tally(),
        rotation: Rotation::default(),
        looked: Instant::now(),
    }
}

/// Ends the thread when the server ends, even if the backlog has samples.
impl Drop for Diagnosis {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // If the backlog is full, the thread is awake anyway.
        let _is_awake = self.orders.try_send(Order::End);
        let _left_behind = self.thread.take().map(|thread| thread.wait(LAST_WAIT));
    }
}

struct Thread {
    /// Tells the thread to end.
    ends: Arc<AtomicBool>,
    control: Arc<Control>,
    tally: Tally,
    rotation: Rotation,
    /// When the thread last checked for old secrets in use.
    looked: Instant,
}

impl Thread {
    fn run(mut self, backlog: &Backlog) {
        while !self.ends.load(Ordering::Relaxed) {
            let wait = self.look(Instant::now()).min(LOOK_EVERY);
            match backlog.0.recv_timeout(wait) {
                Ok(Order::Sample(sample)) => self.diagnose(&sample),
                Ok(Order::End) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn diagnose(&mut self, sample: &Sample) {
        let begun = Instant::now();
        let ends = Arc::clone(&self.ends);
        let mut goes_on = || !ends.load(Ordering::Relaxed) && begun.elapsed() < LONGEST;
        let found = sample.cause(&mut goes_on);
        tell(sample, &found);
        if let Ok(Some(cause)) = &found {
            let cause =
                LikelyCause { label: cause.as_str(), detail: sample.text(cause), advice: cause.advice() };
            self.control.recent().explain(sample.id(), cause);
        }
        if let Some(label) = &sample.label {
            let cause = found.as_ref().ok().and_then(Option::as_ref);
            self.tally.diagnosed(label.slot, cause.map_or(UNEXPLAINED, Cause::as_str));
        }
    }

    /// Warns of old secrets that are in use, if the warning is due. Returns the time until the next check.
    fn look(&mut self, now: Instant) -> Duration {
        let generation = self.control.generation();
        let every = generation.old_secret_warning;
        if every.is_zero() {
            return Duration::MAX;
        }
        let passed = now.saturating_duration_since(self.looked);
        let rest = every.saturating_sub(passed);
        if !rest.is_zero() {
            return rest;
        }
        self.looked = now;
        let sum = self.control.meters().sum();
        for old in self.rotation.look(generation.gateway.labels(), &sum, SystemTime::now()) {
            let (secret, routes, events) = (&old.label, old.routes.join(", "), old.events);
            let (detail, advice, minutes) = (old.to_string(), old.advice(), passed.as_secs() / 60);
            warn!(secret, routes, events, minutes, detail, advice, "an old secret is in use");
        }
        every
    }
}

/// Logs the cause. The level is `info` at most, because a client can cause the line.
fn tell(sample: &Sample, found: &Result<Option<Cause>, GivenUp>) {
    let (request_id, trace_id, reason) = (
        sample.request_id(),
        sample.trace_id.as_ref().map(TraceId::as_str),
        sample.reason.map(Reason::as_str),
    );
    let route = sample.label.as_ref().map(|label| &*label.path);
    match found {
        Ok(Some(cause)) => {
            let (label, detail, advice) = (cause.as_str(), sample.text(cause), cause.advice());
            if telemetry::emit_cause(&sample.request_line(), &detail, &advice) {
                return;
            }
            info!(request_id, trace_id, route, reason, cause = label, detail, advice, "likely cause");
        }
        Ok(None) => debug!(request_id, trace_id, route, reason, "no likely cause"),
        Err(GivenUp) => {
            let detail = "given up: it would take more work than one request is worth";
            debug!(request_id, trace_id, route, reason, detail, "no likely cause");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::sample::RouteContexts;
    use super::submitter::{ROUTE_TOKENS, RouteSubmitter, TOTAL_TOKENS, WAITING, channel};
    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::config::environment::Fixed;
    use crate::signature::{Context, Fields};
    use crate::telemetry::record::{Record, RequestId};

    /// Fields that a test forbids to read.
    struct Untouchable;

    impl Fields for Untouchable {
        fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            assert!(name.is_empty(), "{name} was looked at");
            std::iter::empty()
        }
    }

    #[test]
    fn without_a_token_not_even_the_fields_are_read() {
        let text = "[signature]\nscheme = \"propify\"\nsecrets = [{ env = \"A\" }]\n\
                    [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"";
        let environment = Fixed::new(NonZeroUsize::MIN).with_variable("A", "0123456789abcdef");
        let loaded = crate::config::read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH).unwrap();
        let contexts = Arc::new(RouteContexts::of(&loaded.config, ROUTE_TOKENS));
        let record = Record::new(RequestId(1), ClientAddress::ip(std::net::Ipv4Addr::LOCALHOST.into()));
        let now = SystemTime::UNIX_EPOCH;
        let (submitter, backlog) = channel();
        let route_submitter = RouteSubmitter::new(&submitter, &contexts, 0);
        for _ in 0..ROUTE_TOKENS {
            route_submitter.open(&record, None, &Context::of(&Lines, now), Some(b"content"));
        }
        route_submitter.open(&record, None, &Context::of(&Untouchable, now), Some(b"content"));
        let of_route = usize::try_from(ROUTE_TOKENS).unwrap();
        assert_eq!(backlog.0.try_iter().count(), of_route, "what there are tokens for is handed in");

        let contexts = Arc::new(RouteContexts::of(&loaded.config, 1000));
        let route_submitter = RouteSubmitter::new(&submitter, &contexts, 0);
        for _ in ROUTE_TOKENS..TOTAL_TOKENS {
            route_submitter.open(&record, None, &Context::of(&Lines, now), Some(b"content"));
        }
        route_submitter.open(&record, None, &Context::of(&Untouchable, now), Some(b"content"));
        let of_all = usize::try_from(TOTAL_TOKENS).unwrap();
        assert_eq!(backlog.0.try_iter().count(), of_all - of_route);
    }

    #[test]
    fn the_end_drops_the_backlog_and_gives_up_the_current_sample() {
        let text = "[signature]\nscheme = \"propify\"\nsecrets = [{ env = \"A\" }]\n\
                    [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"";
        let environment = Fixed::new(NonZeroUsize::MIN).with_variable("A", "0123456789abcdef");
        let now = SystemTime::UNIX_EPOCH;
        let loaded = crate::config::read("gateway.toml", text, &environment, now).unwrap();
        let (submitter, backlog) = channel();
        let control = Control::new(&loaded.config, submitter.clone()).unwrap();
        let contexts = Arc::new(RouteContexts::of(&loaded.config, ROUTE_TOKENS));
        let record = Record::new(RequestId(1), ClientAddress::ip(std::net::Ipv4Addr::LOCALHOST.into()));
        let route_submitter = RouteSubmitter::new(&submitter, &contexts, 0);
        for _ in 0..3 {
            route_submitter.open(&record, None, &Context::of(&Lines, now), Some(b"content"));
        }
        let ends = Arc::new(AtomicBool::new(true));
        worker(&control, &ends).run(&backlog);
        assert_eq!(backlog.0.try_iter().count(), 3, "none was looked into");

        route_submitter.open(&record, None, &Context::of(&Lines, now), Some(b"content"));
        let Ok(Order::Sample(sample)) = backlog.0.try_recv() else { panic!("it was handed in") };
        assert_eq!(sample.cause(&mut || false), Err(GivenUp));
        assert!(matches!(sample.cause(&mut || true), Ok(Some(Cause::Unsigned { .. }))));
    }

    struct Lines;

    impl Fields for Lines {
        fn values<'a>(&'a self, _: &'a str) -> impl Iterator<Item = &'a [u8]> {
            std::iter::empty()
        }
    }

    #[test]
    fn the_backlog_holds_a_sample_for_each_token() {
        assert_eq!(WAITING, usize::try_from(TOTAL_TOKENS).unwrap());
    }
}
