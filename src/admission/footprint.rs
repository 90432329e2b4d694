//! Pure. The most memory that a configuration can take: what `hookgate check` prints, and what a container's limit must be above.
//!
//! Each part is a bound that the code keeps to, by constants that are named where they are kept. What is estimated, because no
//! constant says it, is measured (docs/security.md, "What attacks cost") and has room.
//!
//! Three things are not in it. The kernel's socket buffers, which a container's limit does count, and which give way when
//! memory is short. Heads of upstreams' responses over [`RESPONSE_HEAD`]: what an app sends is its operator's. And what is sent to the
//! admin listener's `/verify` and `/state`, which only the machine itself may use.

use std::collections::HashSet;

use crate::admission::memory::{FREE_HEAD, with_reserve};
use crate::config::Config;
use crate::diagnosis::sample::{LONGEST_CONTENT, LONGEST_HEAD};
use crate::diagnosis::submit::TOTAL_TOKENS;
use crate::http1::connection::READ_SIZE;
use crate::http1::writer::FULL;
use crate::telemetry::sink;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The program, its libraries and its threads before anybody connects (measured: 6 MiB with two workers), and what the allocator
/// keeps of what a start takes.
pub const PROGRAM: u64 = 12 * MIB;

/// A worker: a stack, an event queue, an allocator's arena (measured: 0.05 MiB each at the start). A head that is just being made
/// into its upstream's is there twice, which is on top.
pub const WORKER: u64 = MIB;

/// A route and its secrets, twice, because a reload builds the next configuration beside the one in force (measured: 5 KiB).
pub const ROUTE: u64 = 16 * KIB;

/// The metrics of a route in one worker.
pub const ROUTE_OF_WORKER: u64 = 4 * KIB;

/// An idle connection to an upstream.
pub const IDLE_UPSTREAM: u64 = KIB;

/// Log lines that wait, and those that are being written.
pub const LOG: u64 = 2 * bytes(sink::CAPACITY);

/// The admin listener: 64 connections, each with a head of 8 KiB and an answer.
pub const ADMIN: u64 = 4 * MIB;

/// The task of a connection, and what a request under way needs besides heads and content (measured: 7 KiB).
pub const TASK: u64 = 8 * KIB;

/// The head of an upstream's response, as far as it is counted on.
pub const RESPONSE_HEAD: u64 = 4 * KIB;

/// A connection: its task; what has been read ahead; and a small head and the one that its upstream gets, or the response: its head,
/// what is being written of it, and the piece that has come since.
pub const CONNECTION: u64 = TASK + bytes(READ_SIZE) + larger(2 * bytes(FREE_HEAD), RESPONSE);

/// A response, as far as a connection holds it.
pub const RESPONSE: u64 = RESPONSE_HEAD + bytes(FULL) + 2 * bytes(READ_SIZE);

/// The copies of one content that are made to find out why it does not verify: 1 MiB decompressed, and others of what is kept.
pub const DIAGNOSIS: u64 = 4 * MIB;

/// The allocator cannot use all of what it has: one part in so many is added to whatever comes and goes.
pub const PACKING: u64 = 8;

const fn bytes(size: usize) -> u64 {
    // There is no conversion that may be called here; no constant is larger than either.
    #[expect(clippy::as_conversions, reason = "from a constant of the program")]
    {
        size as u64
    }
}

const fn larger(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

/// The most memory that a configuration can take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// What is there whoever connects: the program, workers, routes, waiting log lines, the admin listener, idle connections to
    /// upstreams.
    pub program: u64,
    /// What connections hold that is not in the budget.
    pub connections: u64,
    /// The budget, `max_buffered`, and its reserve.
    pub buffered: u64,
    /// What is kept of requests that do not verify, to find out why.
    pub diagnoses: u64,
}

impl Footprint {
    /// That of this configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let workers = count(config.server.workers.get());
        let upstreams: HashSet<_> = config.routes.iter().map(|route| &route.upstream).collect();
        let idle = upstreams.iter().map(|upstream| count(upstream.max_idle)).fold(0, u64::saturating_add);
        let worker = ROUTE_OF_WORKER
            .saturating_mul(count(config.routes.len()))
            .saturating_add(WORKER)
            .saturating_add(count(config.limits.max_header_bytes));
        let program = [
            PROGRAM,
            workers.saturating_mul(worker),
            ROUTE.saturating_mul(count(config.routes.len())),
            idle.saturating_mul(IDLE_UPSTREAM),
            LOG,
            if config.admin.is_some() { ADMIN } else { 0 },
        ];
        let connections = count(config.server.max_connections.get()).saturating_mul(CONNECTION);
        let kept = bytes(LONGEST_CONTENT)
            .saturating_add(bytes(LONGEST_HEAD))
            .saturating_mul(u64::from(TOTAL_TOKENS));
        Self {
            program: program.into_iter().fold(0, u64::saturating_add),
            connections: packed(connections),
            buffered: packed(with_reserve(config.limits.max_buffered)),
            diagnoses: if config.log.diagnose { packed(kept.saturating_add(DIAGNOSIS)) } else { 0 },
        }
    }

    /// All of it.
    #[must_use]
    pub fn most(&self) -> u64 {
        let parts = [self.program, self.connections, self.buffered, self.diagnoses];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

fn packed(bytes: u64) -> u64 {
    bytes.saturating_add(bytes.checked_div(PACKING).unwrap_or(0))
}

/// A size in whole MiB, rounded up.
#[must_use]
pub fn in_mib(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(MIB))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, environment::Fixed};
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    fn of(server: &str, limits: &str, rest: &str) -> Footprint {
        let text = format!(
            "[server]\nworkers = 2\n{server}\n[limits]\nmax_header_bytes = \"16KiB\"\n{limits}\n{rest}\n[[routes]]\npath = \"/a\"\n\
             upstream = \"http://127.0.0.1:1\"\nmax_idle = 10\n\
             signature = {{ scheme = \"propify\", secrets = [{{ env = \"KEY\" }}] }}\n"
        );
        let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", "a secret that is long enough");
        Footprint::of(
            &config::read("gateway.toml", &text, &environment, SystemTime::UNIX_EPOCH).unwrap().config,
        )
    }

    /// The numbers themselves, so that nobody changes a bound without seeing what it comes to.
    #[test]
    fn a_footprint_is_the_sum_of_what_the_constants_say() {
        assert_eq!(CONNECTION, (8 + 8 + 4 + 8 + 16) * KIB);
        assert_eq!(LOG, 8 * MIB);
        let small = of("max_connections = 1000", "max_buffered = \"64MiB\"", "");
        let worker = MIB + 16 * KIB + 4 * KIB;
        assert_eq!(small.program, 12 * MIB + 2 * worker + 16 * KIB + 10 * KIB + 8 * MIB);
        assert_eq!(small.connections, 1000 * CONNECTION / 8 * 9);
        assert_eq!(small.buffered, 72 * MIB / 8 * 9);
        assert_eq!(small.diagnoses, (8 * 272 * KIB + 4 * MIB) / 8 * 9);
        assert_eq!(small.most(), small.program + small.connections + small.buffered + small.diagnoses);
    }

    #[test]
    fn each_key_that_costs_memory_shows_in_it() {
        let usual = of("max_connections = 1000", "max_buffered = \"64MiB\"", "");
        let more = of("max_connections = 1001", "max_buffered = \"64MiB\"", "");
        assert_eq!(more.connections - usual.connections, CONNECTION / 8 * 9);
        let more = of("max_connections = 1000", "max_buffered = \"72MiB\"", "");
        assert_eq!(more.buffered - usual.buffered, 9 * MIB / 8 * 9);
        let none = of("max_connections = 1000", "max_buffered = \"64MiB\"", "[log]\ndiagnose = false");
        assert_eq!((none.diagnoses, none.program), (0, usual.program));
        let admin =
            of("max_connections = 1000", "max_buffered = \"64MiB\"", "[admin]\nlisten = \"127.0.0.1:0\"");
        assert_eq!(admin.program - usual.program, ADMIN);
    }

    #[test]
    fn the_largest_numbers_are_a_footprint_and_no_panic() {
        let most = of("max_connections = 10000000", "max_buffered = \"1024GiB\"", "");
        assert!(most.most() > 1 << 40);
    }

    #[test]
    fn a_part_of_a_mebibyte_counts_as_a_whole_one() {
        for (bytes, text) in [(0, "0MiB"), (1, "1MiB"), (MIB, "1MiB"), (MIB + 1, "2MiB")] {
            assert_eq!(in_mib(bytes), text);
        }
    }
}
