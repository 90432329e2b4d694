//! Shell. Diagnosis: the thread that finds out why signatures do not verify, and which old secrets are still in use. No request
//! waits for it.
//!
//! Clients can cause any number of mismatches, so what is kept of them is bounded, in bytes and in number. Each mismatch that
//! is looked into takes a token. Every route has a few tokens, all routes together have not many more, and each comes back some
//! time after it was used. Where there is no token left, a mismatch costs a comparison, and nothing is copied or kept. What is
//! done for one mismatch is bounded in bytes and in time.
//!
//! At the end of the process nothing waits for the diagnosis: the one under way is given up, and the backlog is dropped.

pub mod allowance;
pub mod rotation;
pub mod sample;
pub mod submit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, info, warn};

use crate::diagnosis::allowance::Allowance;
use crate::diagnosis::rotation::Rotation;
use crate::diagnosis::sample::Sample;
use crate::diagnosis::submit::{Backlog, Order, Submitter};
use crate::runtime::background::{self, Background, LAST_WAIT};
use crate::runtime::control::Control;
use crate::runtime::error::StartError;
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::signature::causes::{Cause, GivenUp};
use crate::telemetry::metric::{Tally, UNEXPLAINED};

/// How long a token of a route is away, once it was used.
pub const ROUTE_REST: Duration = Duration::from_secs(40);
/// How long a token of all routes together is away.
pub const TOTAL_REST: Duration = Duration::from_secs(15);

/// How long the diagnosis of one sample may take. Guards against a processor that is slow, or busy: [`sample::MOST_WORK`] takes a fifth of it.
const LONGEST: Duration = Duration::from_millis(250);

/// At least so often it is looked up whether the time for the next warning has come, which a reload may change.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The thread, while it works.
#[derive(Debug)]
pub struct Diagnosis {
    orders: SyncSender<Order>,
    ends: Arc<AtomicBool>,
    thread: Option<Background>,
}

/// Begins to look into what is handed in.
///
/// # Errors
/// [`StartError::Thread`]
pub fn start(
    control: &Arc<Control>,
    submitter: Submitter,
    backlog: Backlog,
) -> Result<Diagnosis, StartError> {
    let ends = Arc::new(AtomicBool::new(false));
    let worker = worker(control, &submitter, &ends);
    let guard = PartGuard::over(ServerPart::Diagnosis, control);
    let work = move || {
        worker.run(&backlog);
        guard.end();
    };
    let thread = background::start("diagnosis", work).map_err(StartError::Thread)?;
    Ok(Diagnosis { orders: submitter.orders, ends, thread: Some(thread) })
}

fn worker(control: &Arc<Control>, submitter: &Submitter, ends: &Arc<AtomicBool>) -> Thread {
    Thread {
        ends: Arc::clone(ends),
        control: Arc::clone(control),
        allowance: Arc::clone(&submitter.allowance),
        tally: control.meters().tally(),
        resting: [Resting::new(ROUTE_REST), Resting::new(TOTAL_REST)],
        rotation: Rotation::default(),
        looked: Instant::now(),
    }
}

/// The thread ends with the server, whatever its backlog is.
impl Drop for Diagnosis {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Where the backlog is full, the thread is awake.
        let _is_awake = self.orders.try_send(Order::End);
        let _left_behind = self.thread.take().map(|thread| thread.wait(LAST_WAIT));
    }
}

struct Thread {
    /// Set when it is to end.
    ends: Arc<AtomicBool>,
    control: Arc<Control>,
    allowance: Arc<Allowance>,
    tally: Tally,
    /// The tokens of the routes, and those of all together.
    resting: [Resting; 2],
    rotation: Rotation,
    /// When it was last looked which secrets are in use.
    looked: Instant,
}

impl Thread {
    fn run(mut self, backlog: &Backlog) {
        while !self.ends.load(Ordering::Relaxed) {
            let now = Instant::now();
            self.resting.iter_mut().for_each(|resting| resting.wake(now));
            let wait = self.look(now).min(LOOK_EVERY);
            let wait = self.resting.iter().filter_map(|resting| resting.wait(now)).fold(wait, Duration::min);
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
        if let Some(label) = sample.label() {
            let cause = found.as_ref().ok().and_then(Option::as_ref);
            self.tally.diagnosed(label.slot, cause.map_or(UNEXPLAINED, Cause::as_str));
        }
        let now = Instant::now();
        let [of_route, of_all] = &mut self.resting;
        if let Some(allowance) = sample.allowance() {
            of_route.put(allowance, now);
        }
        of_all.put(&self.allowance, now);
    }

    /// Warns of old secrets that are in use, if it is time to. Gives back when it will be.
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

/// What a client can cause is logged at `info` at most.
fn tell(sample: &Sample, found: &Result<Option<Cause>, GivenUp>) {
    let (request_id, trace_id, reason) = (sample.request_id(), sample.trace_id(), sample.reason());
    let route = sample.label().map(|label| &*label.path);
    match found {
        Ok(Some(cause)) => {
            let (label, detail, advice) = (cause.as_str(), cause.to_string(), cause.advice());
            info!(request_id, trace_id, route, reason, cause = label, detail, advice, "likely cause");
        }
        Ok(None) => debug!(request_id, trace_id, route, reason, "no likely cause"),
        Err(GivenUp) => {
            let detail = "given up: it would take more work than one request is worth";
            debug!(request_id, trace_id, route, reason, detail, "no likely cause");
        }
    }
}

/// Tokens that were used, and come back after some time.
struct Resting {
    time: Duration,
    /// In the order in which they come back.
    tokens: VecDeque<(Instant, Arc<Allowance>)>,
}

impl Resting {
    fn new(time: Duration) -> Self {
        Self { time, tokens: VecDeque::new() }
    }

    fn put(&mut self, allowance: &Arc<Allowance>, now: Instant) {
        if let Some(until) = now.checked_add(self.time) {
            self.tokens.push_back((until, Arc::clone(allowance)));
        }
    }

    /// Gives back those whose time has come.
    fn wake(&mut self, now: Instant) {
        while let Some((_, allowance)) = self.tokens.pop_front_if(|(until, _)| *until <= now) {
            allowance.give_back();
        }
    }

    /// How long until the next comes back.
    fn wait(&self, now: Instant) -> Option<Duration> {
        self.tokens.front().map(|(until, _)| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::sample::RouteContexts;
    use super::submit::{ROUTE_TOKENS, RouteSubmitter, TOTAL_TOKENS, WAITING, channel};
    use super::*;
    use crate::admission::client::ClientAddress;
    use crate::config::environment::Fixed;
    use crate::signature::{Context, Fields};
    use crate::telemetry::record::{Record, RequestId};

    #[test]
    fn a_token_comes_back_when_its_time_has_come_and_not_before() {
        let (allowance, now) = (Arc::new(Allowance::of(1)), Instant::now());
        let mut resting = Resting::new(Duration::from_secs(40));
        assert!(allowance.take());
        resting.put(&allowance, now);
        assert_eq!(resting.wait(now), Some(Duration::from_secs(40)));
        resting.wake(now + Duration::from_millis(39_999));
        assert!(allowance.is_spent());
        resting.wake(now + Duration::from_secs(40));
        assert!(!allowance.is_spent() && resting.wait(now).is_none());
    }

    /// Fields that nobody may look at.
    struct Untouchable;

    impl Fields for Untouchable {
        fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            assert!(name.is_empty(), "{name} was looked at");
            std::iter::empty()
        }
    }

    #[test]
    fn without_a_token_not_even_the_fields_are_looked_at() {
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
            route_submitter.open(&record, None, || Context::of(&Lines, now), Some(b"content"));
        }
        route_submitter.open(&record, None, || Context::of(&Untouchable, now), Some(b"content"));
        let of_route = usize::try_from(ROUTE_TOKENS).unwrap();
        assert_eq!(backlog.0.try_iter().count(), of_route, "what there are tokens for is handed in");

        let contexts = Arc::new(RouteContexts::of(&loaded.config, 1000));
        let route_submitter = RouteSubmitter::new(&submitter, &contexts, 0);
        for _ in ROUTE_TOKENS..TOTAL_TOKENS {
            route_submitter.open(&record, None, || Context::of(&Lines, now), Some(b"content"));
        }
        route_submitter.open(&record, None, || Context::of(&Untouchable, now), Some(b"content"));
        let of_all = usize::try_from(TOTAL_TOKENS).unwrap();
        assert_eq!(backlog.0.try_iter().count(), of_all - of_route);
    }

    #[test]
    fn at_the_end_what_waits_is_dropped_and_what_is_under_way_given_up() {
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
            route_submitter.open(&record, None, || Context::of(&Lines, now), Some(b"content"));
        }
        let ends = Arc::new(AtomicBool::new(true));
        worker(&control, &submitter, &ends).run(&backlog);
        assert_eq!(backlog.0.try_iter().count(), 3, "none was looked into");

        route_submitter.open(&record, None, || Context::of(&Lines, now), Some(b"content"));
        let Ok(Order::Sample(sample)) = backlog.0.try_recv() else { panic!("it was handed in") };
        assert_eq!(sample.cause(&mut || false), Err(GivenUp));
        assert_eq!(sample.cause(&mut || true), Ok(None));
    }

    struct Lines;

    impl Fields for Lines {
        fn values<'a>(&'a self, _: &'a str) -> impl Iterator<Item = &'a [u8]> {
            std::iter::empty()
        }
    }

    #[test]
    fn there_is_room_for_every_case_that_there_is_a_token_for_and_the_end() {
        assert_eq!(WAITING, usize::try_from(TOTAL_TOKENS).unwrap() + 1);
    }
}
