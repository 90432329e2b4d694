//! Shell. What the process asks of the system: descriptors enough, no core dumps, and word of a panic.
//!
//! The process holds keys and other people's content in memory. So nobody else may read that memory, and none of it is
//! written to a disk when the process crashes.

use std::any::Any;
use std::collections::HashSet;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{error, warn};

use crate::config::Config;
use crate::telemetry;

/// Descriptors for everything else: listeners, event queues, standard streams, a secret's file being read.
const SPARE_DESCRIPTORS: u64 = 64;

/// Of these, what there is in any case.
const FEWEST_DESCRIPTORS: u64 = 16;

/// Keeps the memory of the process to itself, and takes as many descriptors as it may have.
///
/// What the system denies is logged, and no reason not to serve.
pub fn prepare(config: &Config) {
    if let Err(error) = forbid_dumps() {
        warn!(%error, "core dumps cannot be switched off: a crash may write keys to disk");
    }
    let allowed = match raise_descriptors() {
        Ok(allowed) => allowed,
        Err(error) => {
            warn!(%error, "the limit on open files cannot be raised");
            getrlimit(Resource::Nofile).current
        }
    };
    let needed = descriptors_needed(config);
    if let Some(allowed) = allowed.filter(|allowed| *allowed < needed) {
        warn!(
            allowed,
            needed,
            connections = places(config, Some(allowed)),
            "the limit on open files is too low for max_connections: raise it (`ulimit -n`, or LimitNOFILE= under \
             systemd), or lower max_connections"
        );
    }
}

/// From now on a panic leaves a line in the log, and nothing anywhere else.
///
/// The line says where, and of the message only what the program itself has written: a message that was put together may
/// quote what is being worked on, and that may be a sender's content.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        error!(
            location = location.as_deref(),
            thread = thread.name(),
            text = constant_text(panic.payload()),
            "panic: a defect in hookgate; what was under way there is lost"
        );
        if thread.name() == Some("main") {
            // The process ends with this thread.
            telemetry::flush();
        }
    }));
}

/// A panic's message, if it has no part that was put in at run time.
fn constant_text(payload: &dyn Any) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

/// No core dump, neither to a file (the limit) nor to a program that collects them, which asks for no limit (core(5)); nor
/// may another process of this user look into this one (the flag).
#[cfg(target_os = "linux")]
fn forbid_dumps() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    setrlimit(Resource::Core, NO_DUMPS)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// No core dump.
#[cfg(not(target_os = "linux"))]
fn forbid_dumps() -> io::Result<()> {
    Ok(setrlimit(Resource::Core, NO_DUMPS)?)
}

const NO_DUMPS: Rlimit = Rlimit { current: Some(0), maximum: Some(0) };

/// The descriptors that this process may have; `None` is without limit.
#[must_use]
pub fn descriptors_allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit on descriptors as far as it goes without a privilege, and gives it back; `None` is without limit.
fn raise_descriptors() -> io::Result<Option<u64>> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}

/// How many connections there may be at once: as many as the configuration says, or fewer where there are not descriptors
/// enough for them and for those to the upstreams. `allowed` is what [`descriptors_allowed`] gives.
///
/// Otherwise strangers would hold every descriptor, and an authentic request could not be forwarded for want of one.
#[must_use]
pub fn places(config: &Config, allowed: Option<u64>) -> usize {
    let most = config.server.max_connections.get();
    let Some(allowed) = allowed else { return most };
    let wanted = u64::try_from(most).unwrap_or(u64::MAX);
    let others = descriptors_needed(config).saturating_sub(wanted);
    // Where there are very few, every second one of those that are not the process' own.
    let own = u64::try_from(listening(config)).unwrap_or(u64::MAX).saturating_add(FEWEST_DESCRIPTORS);
    let half = allowed.saturating_sub(own).checked_div(2).unwrap_or(0);
    let room = allowed.saturating_sub(others).max(half).max(1);
    usize::try_from(room).unwrap_or(usize::MAX).min(most)
}

/// A descriptor for each client, for each upstream connection that lies idle, and for each listener of each worker.
///
/// Requests under way may take more, one each. They are verified, so that is for the operator to know and not for
/// strangers to exploit.
#[must_use]
pub fn descriptors_needed(config: &Config) -> u64 {
    let upstreams: HashSet<_> = config.routes.iter().map(|route| &route.upstream).collect();
    let idle: usize = upstreams.iter().map(|upstream| upstream.max_idle).fold(0, usize::saturating_add);
    let all = config.server.max_connections.get().saturating_add(idle).saturating_add(listening(config));
    u64::try_from(all).unwrap_or(u64::MAX).saturating_add(SPARE_DESCRIPTORS)
}

/// Descriptors of the workers: their listeners, and an event queue each, which comes to about three.
fn listening(config: &Config) -> usize {
    config.server.workers.get().saturating_mul(config.server.listen.len().saturating_add(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{environment::Fixed, read};
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    #[test]
    fn descriptors_are_counted_for_clients_idle_upstreams_and_listeners() {
        let text = r#"
            server = { max_connections = 1000, workers = 2, listen = ["127.0.0.1:1", "127.0.0.1:2"] }
            signature = { scheme = "propify", secrets = [{ env = "KEY" }] }
            [[routes]]
            path = "/a"
            upstream = "http://127.0.0.1:3"
            max_idle = 100
            [[routes]]
            path = "/b"
            upstream = "http://127.0.0.1:3"
            max_idle = 100
            [[routes]]
            path = "/c"
            upstream = "http://127.0.0.1:4"
            max_idle = 10
        "#;
        let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "a secret that is long enough");
        let config = read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH).unwrap().config;
        let others = 100 + 10 + 2 * (2 + 3) + SPARE_DESCRIPTORS;
        assert_eq!(descriptors_needed(&config), 1000 + others);
        for (allowed, want) in [
            (None, 1000),
            (Some(u64::MAX), 1000),
            (Some(others + 1001), 1000),
            (Some(others + 1000), 1000),
            (Some(others + 999), 999),
            (Some(2 * others), others),
            (Some(others), 79),
            (Some(40), 7),
            (Some(10), 1),
            (Some(0), 1),
        ] {
            assert_eq!(u64::try_from(places(&config, allowed)).unwrap(), want, "{allowed:?}");
        }
    }

    #[test]
    fn only_a_message_without_anything_put_in_is_told() {
        let word = String::from("content");
        let told = |panics: Box<dyn FnOnce() + std::panic::UnwindSafe>| {
            let payload = std::panic::catch_unwind(panics).unwrap_err();
            constant_text(payload.as_ref())
        };
        assert_eq!(told(Box::new(|| panic!("a constant"))), Some("a constant"));
        assert_eq!(told(Box::new(move || panic!("{word}"))), None);
    }
}
