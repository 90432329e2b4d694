//! Shell. Sets up the process: the limit on descriptors, no core dumps, what the allocator keeps, and a panic
//! hook that logs.
//!
//! The process holds keys and content in memory. So no other process may read its memory, and a crash must
//! not write memory to disk.

use std::any::Any;
use std::collections::HashSet;
use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tracing::{error, warn};

use crate::config::{Config, Upstream};
use crate::telemetry;

/// The descriptors that are not for connections: listeners, event queues, standard streams, and a secret's
/// file while it is read.
const SPARE_DESCRIPTORS: u64 = 64;

/// The part of these descriptors that every process needs.
const FEWEST_DESCRIPTORS: u64 = 16;

/// The block by which the allocator learns how much freed memory to keep.
const LEARNT_BLOCK: usize = 1 << 20;

/// Has the allocator of glibc keep up to two of these blocks at the end of each of its heaps.
///
/// By default, glibc gives memory back to the system when 128 KiB at the end of a heap are free. The next
/// content then takes the memory again. glibc raises this threshold when a program frees a larger block with
/// a mapping of its own. This function frees such a block. `bench/queue --only fallback`, 64 senders of 16
/// KiB: 26.9 µs of CPU per request without this function, 25.5 with it. Other allocators only make and free a
/// block.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LEARNT_BLOCK)));
}

/// Protects the memory of the process, and raises the limit on descriptors.
///
/// A failure is logged and does not stop the start.
pub fn prepare(config: &Config) {
    keep_freed_memory();
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

/// Installs a panic hook. It writes one log line and nothing else.
///
/// The line has the place of the panic. It has the message only if the message is a constant, because a
/// formatted message may contain a client's content.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        error!(
            location = location.as_deref(),
            thread = thread.name(),
            text = constant_text(panic.payload()),
            "panic: a defect in hookgate; the work under way there is lost"
        );
        if thread.name() == Some("main") {
            // The process ends with this thread.
            telemetry::flush();
        }
    }));
}

/// The message of a panic, if it was not formatted at run time.
fn constant_text(payload: &dyn Any) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

/// Turns off core dumps. The limit turns off dumps to a file. A program that collects dumps ignores the limit
/// (core(5)), so the dumpable flag is cleared too. Then no other process of the same user can read the memory
/// either.
fn forbid_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, NO_DUMPS)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

const NO_DUMPS: Rlimit = Rlimit { current: Some(0), maximum: Some(0) };

/// The limit on the descriptors of this process. `None` if there is no limit.
#[must_use]
pub fn descriptors_allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit on descriptors to the hard limit, and returns it. `None` if there is no limit.
fn raise_descriptors() -> io::Result<Option<u64>> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}

/// The connection limit: `max_connections`, or less if there are not enough descriptors for the clients and
/// their upstream connections. `allowed` is the result of [`descriptors_allowed`].
///
/// Guards against unverified clients: if they held every descriptor, an authentic request could not be
/// forwarded.
#[must_use]
pub fn places(config: &Config, allowed: Option<u64>) -> usize {
    let most = config.server.max_connections.get();
    let Some(allowed) = allowed else { return most };
    let wanted = u64::try_from(most).unwrap_or(u64::MAX);
    let others = descriptors_needed(config).saturating_sub(wanted);
    // If there are very few descriptors: half of the descriptors that the process does not need itself.
    let own = u64::try_from(listening(config)).unwrap_or(u64::MAX).saturating_add(FEWEST_DESCRIPTORS);
    let half = allowed.saturating_sub(own).checked_div(2).unwrap_or(0);
    let available = allowed.saturating_sub(others).max(half).max(1);
    usize::try_from(available).unwrap_or(usize::MAX).min(most)
}

/// How many descriptors are needed: one for each client, each idle upstream connection, each concurrent
/// delivery of a stored event, and each listener of each worker.
///
/// A request under way may need one more. Such requests are verified, so a client cannot exploit this. The
/// operator has to allow for it.
#[must_use]
pub fn descriptors_needed(config: &Config) -> u64 {
    #[expect(
        clippy::mutable_key_type,
        reason = "a connector's hash and equality are those of digests, which never change"
    )]
    let upstreams: HashSet<_> = config.routes.iter().map(|route| &route.upstream).collect();
    let idle: usize = upstreams.iter().map(|upstream| idle(upstream, 0)).fold(0, usize::saturating_add);
    let all = config.server.max_connections.get().saturating_add(idle).saturating_add(listening(config));
    let all = all.saturating_add(if config.queue.is_some() { of_deliveries(config) } else { 0 });
    u64::try_from(all).unwrap_or(u64::MAX).saturating_add(SPARE_DESCRIPTORS)
}

/// The most connections to all origins of an upstream, if `used` of them are in use.
fn idle(upstream: &Upstream, used: usize) -> usize {
    upstream.max_idle.max(used).saturating_mul(upstream.origins().count())
}

/// The descriptors of the delivery thread: a connection for each delivery that may be under way. Idle
/// connections are included.
fn of_deliveries(config: &Config) -> usize {
    let routes = config.routes.iter().map(|route| {
        let copies = route.delivery.copies.iter();
        let upstreams = std::iter::once(&route.upstream).chain(copies);
        upstreams
            .map(|upstream| idle(upstream, route.delivery.concurrency.get()))
            .fold(0, usize::saturating_add)
    });
    routes.fold(0, usize::saturating_add)
}

/// The descriptors of the workers: their listeners, and about three for each event queue.
fn listening(config: &Config) -> usize {
    config.server.workers.get().saturating_mul(config.listen().count().saturating_add(3))
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
    fn only_a_constant_panic_message_is_logged() {
        let word = String::from("content");
        let text_of = |panics: Box<dyn FnOnce() + std::panic::UnwindSafe>| {
            let payload = std::panic::catch_unwind(panics).unwrap_err();
            constant_text(payload.as_ref())
        };
        assert_eq!(text_of(Box::new(|| panic!("a constant"))), Some("a constant"));
        assert_eq!(text_of(Box::new(move || panic!("{word}"))), None);
    }
}
