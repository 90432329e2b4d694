//! Pure. The most memory that a configuration can take. `hookgate check` prints it, and a container's memory
//! limit must be above it.
//!
//! The code enforces each part. The constants are in the files that enforce them. Parts without a constant
//! are measured (docs/measurements.md, "What attacks cost") and rounded up.
//!
//! Three parts are not included. First, the kernel's socket buffers: a container's limit counts them, but
//! they shrink when memory is short. Second, heads of upstreams' responses over [`RESPONSE_HEAD`]: the
//! operator controls what the app sends. Third, requests to the admin listener's `/verify`, `/doctor` and
//! `/api`: only the machine itself and operators may use these paths.

use std::collections::HashSet;

use crate::admission::failures;
use crate::admission::memory::{FREE_HEAD, with_reserve};
use crate::config::{Admin, Config, DeliveryMode, Queue, StoreAddress, Upstream};
use crate::connection::read_buffer::READ_SIZE;
use crate::diagnosis::sample::{LONGEST_CONTENT, LONGEST_HEAD};
use crate::diagnosis::submitter::TOTAL_TOKENS;
use crate::http1::writer::FULL;
use crate::http2::limits;
use crate::queue::destination::MOST_READY_BYTES;
use crate::queue::event::MOST_KEPT_OF_RESPONSE;
use crate::queue::handle::MOST_HANDED;
use crate::queue::scheduler::{MOST_BYTES, MOST_DELIVERIES};
use crate::queue::sqlite;
use crate::queue::writer::{LARGEST_HANDED, MOST_UNSAVED};
use crate::telemetry::{recent, sink};
use crate::tls::handshake::MOST_ENCRYPTED;
use crate::tls::stream::{MOST_HANDSHAKE, MOST_QUIET};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The program with its libraries and threads, but without connections (measured: 8 to 10 MiB with two
/// workers, most of it code). Also the memory that the allocator keeps after start-up.
pub const PROGRAM: u64 = 14 * MIB;

/// A worker: a stack, an event queue, an allocator's arena (measured: 0.05 MiB for each worker at the start).
/// Also the second copy of a head, while the upstream's head is built from it.
pub const WORKER: u64 = MIB;

/// A route with its secrets. It counts twice: a reload builds the next configuration while the current one is
/// still in use (measured: 5 KiB).
pub const ROUTE: u64 = 16 * KIB;

/// The metrics of a route in one worker.
pub const ROUTE_OF_WORKER: u64 = 4 * KIB;

/// An idle connection to an upstream.
pub const IDLE_UPSTREAM: u64 = KIB;

/// The log lines that wait, and the log lines that are being written.
pub const LOG: u64 = 2 * bytes(sink::CAPACITY);

/// The admin listener: 64 connections, each with a head of 8 KiB and an answer.
pub const ADMIN: u64 = 4 * MIB;

/// TLS on the admin listener: 64 connections, each with the state of a TLS connection and the bytes of a
/// handshake.
pub const ADMIN_TLS: u64 = 64 * (TLS + bytes(MOST_HANDSHAKE));

/// The task of a connection, and the state of a request besides heads and content (measured: 7 KiB).
pub const TASK: u64 = 8 * KIB;

/// The largest head of an upstream's response that this bound includes.
pub const RESPONSE_HEAD: u64 = 4 * KIB;

/// A connection: its task, its read buffer, and the larger of two sizes. One is a small head with its
/// upstream's head, the other is a response.
pub const CONNECTION: u64 = TASK + bytes(READ_SIZE) + larger(2 * bytes(FREE_HEAD), RESPONSE);

/// The part of a response that a connection holds: its head, the bytes that are being written, and the next
/// piece.
pub const RESPONSE: u64 = RESPONSE_HEAD + bytes(FULL) + 2 * bytes(READ_SIZE);

/// The state of a TLS connection at rest (measured: 11 KiB).
pub const TLS_AT_REST: u64 = 16 * KIB;

/// The memory of a TLS connection, in addition to the memory of each connection: its state, received bytes
/// that are not content yet, the content of a record, and encrypted bytes that the kernel has not taken. A
/// handshake takes no more memory outside the memory budget.
pub const TLS: u64 = TLS_AT_REST + bytes(MOST_QUIET) + RECORD + bytes(MOST_ENCRYPTED) + 2 * KIB;

/// The memory of an HTTP/2 connection, in addition to the memory of each connection. Further streams count
/// towards the memory budget.
pub const HTTP2: u64 = bytes(limits::CONNECTION);

/// A TLS record with its header and its tag (RFC 8446, section 5.2).
pub const RECORD: u64 = 18 * KIB;

/// A sample in diagnosis with the copies of its content: 1 MiB of decompressed content, and further copies.
pub const DIAGNOSIS: u64 = 4 * MIB;

/// The queue, without its store. It holds events that are read from the store or handed over, attempts that
/// wait to be recorded while the store fails, and the data of deliveries, discarded events and duplicates.
pub const QUEUE: u64 = MOST_BYTES
    + MOST_READY_BYTES
    + bytes(MOST_HANDED) * LARGEST_HANDED
    + bytes(MOST_UNSAVED) * (bytes(MOST_KEPT_OF_RESPONSE) + KIB)
    + bytes(MOST_DELIVERIES) * KIB
    + 16 * MIB;

/// A store on PostgreSQL: 16 MiB for the values of a commit, 16 MiB for the same values in the form in which
/// they are sent, and 16 MiB for reads.
pub const SERVER_STORE: u64 = 48 * MIB;

/// An attempt to deliver a stored event, besides the event: its task, the request's head and the response.
pub const ATTEMPT: u64 = 2 * TASK + RESPONSE_HEAD;

/// The allocator's overhead, as a fraction of all memory that is allocated and freed: an eighth.
pub const PACKING: u64 = 8;

const fn bytes(size: usize) -> u64 {
    // This is the only conversion that a constant can use. No constant exceeds either type.
    #[expect(clippy::as_conversions, reason = "from a constant of the program")]
    {
        size as u64
    }
}

const fn larger(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

fn admin(admin: &Admin) -> u64 {
    let entries = u64::try_from(admin.recent).unwrap_or(u64::MAX).saturating_add(bytes(recent::MOST_WAITING));
    let recent = if admin.recent == 0 { 0 } else { entries.saturating_mul(bytes(recent::LARGEST_ENTRY)) };
    ADMIN.saturating_add(if admin.tls.is_some() { ADMIN_TLS } else { 0 }).saturating_add(recent)
}

/// The captured requests. They are parts of recent requests.
fn captured(config: &Config) -> u64 {
    let keeps = config.admin.as_ref().is_some_and(|admin| admin.recent > 0);
    let captures = keeps && config.routes.iter().any(|route| route.capture);
    if captures { packed(bytes(recent::capture::MOST_BYTES)) } else { 0 }
}

/// The most memory that a configuration can take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// The memory without connections: the program, workers, routes, waiting log lines, the admin listener,
    /// and idle connections to upstreams.
    pub program: u64,
    /// The memory of connections that the memory budget does not count.
    pub connections: u64,
    /// The memory budget, `max_buffered`, and its reserve.
    pub buffered: u64,
    /// The samples for diagnosis.
    pub diagnoses: u64,
    /// The queue of stored events; nothing without `[queue]`.
    pub queue: u64,
}

impl Footprint {
    /// The bound of this configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let workers = count(config.server.workers.get());
        #[expect(
            clippy::mutable_key_type,
            reason = "a connector's hash and equality are those of digests, which never change"
        )]
        let upstreams: HashSet<_> = config.routes.iter().map(|route| &route.upstream).collect();
        let at_rest = |upstream: &&Upstream| {
            let each = IDLE_UPSTREAM.saturating_add(if upstream.tls.is_some() { TLS_AT_REST } else { 0 });
            count(upstream.max_idle).saturating_mul(each)
        };
        let idle = upstreams.iter().map(at_rest).fold(0, u64::saturating_add);
        let worker = ROUTE_OF_WORKER
            .saturating_mul(count(config.routes.len()))
            .saturating_add(WORKER)
            .saturating_add(count(config.limits.max_header_bytes));
        let program = [
            PROGRAM,
            workers.saturating_mul(worker),
            ROUTE.saturating_mul(count(config.routes.len())),
            idle,
            LOG,
            config.admin.as_ref().map_or(0, admin),
            captured(config),
            // A reload makes the next limit while the current limit is in use.
            if config.limits.max_failures_per_client.is_some() { 2 * failures::MEMORY } else { 0 },
        ];
        let tls = config.tls.as_ref();
        let is_http2 = config.server.h2c || tls.is_some_and(|tls| tls.settings.http2);
        let connection = CONNECTION
            .saturating_add(if tls.is_some() { TLS } else { 0 })
            .saturating_add(if is_http2 { HTTP2 } else { 0 });
        let connections = count(config.server.max_connections.get()).saturating_mul(connection);
        let kept = bytes(LONGEST_CONTENT)
            .saturating_add(bytes(LONGEST_HEAD))
            .saturating_mul(u64::from(TOTAL_TOKENS));
        Self {
            program: program.into_iter().fold(0, u64::saturating_add),
            connections: packed(connections),
            buffered: packed(with_reserve(config.limits.max_buffered)),
            diagnoses: if config.log.diagnose { packed(kept.saturating_add(DIAGNOSIS)) } else { 0 },
            queue: config.queue.as_ref().map_or(0, |queue| of_queue(queue, config)),
        }
    }

    /// The sum of all parts.
    #[must_use]
    pub fn most(&self) -> u64 {
        let parts = [self.program, self.connections, self.buffered, self.diagnoses, self.queue];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// The memory of the queue.
fn of_queue(queue: &Queue, config: &Config) -> u64 {
    let store = match queue.store {
        StoreAddress::File(_) => sqlite::CACHES,
        StoreAddress::Postgres(_) => SERVER_STORE,
    };
    packed(QUEUE.saturating_add(store).saturating_add(delivering(config)))
}

/// The memory that each destination of stored events may always have: one event, and its attempts.
fn delivering(config: &Config) -> u64 {
    let storing = config.routes.iter().filter(|route| match route.delivery.mode {
        DeliveryMode::Direct => false,
        DeliveryMode::Fallback | DeliveryMode::Queue => true,
    });
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let of_route = storing.map(|route| {
        let attempts = ATTEMPT.saturating_mul(count(route.delivery.concurrency.get()));
        let event = route.max_body.saturating_add(count(config.limits.max_header_bytes));
        let destinations = count(route.delivery.copies.len()).saturating_add(1);
        destinations.saturating_mul(attempts.saturating_add(event))
    });
    of_route.fold(0, u64::saturating_add)
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

    /// The test states the numbers, so a change of a bound shows its result here.
    #[test]
    fn a_footprint_is_the_sum_of_what_the_constants_say() {
        assert_eq!(CONNECTION, (8 + 8 + 4 + 8 + 16) * KIB);
        assert_eq!(LOG, 8 * MIB);
        assert_eq!(TLS, (16 + 36 + 18 + 16 + 2) * KIB);
        assert_eq!(ADMIN_TLS, 64 * (88 + 32) * KIB);
        assert_eq!(HTTP2, (16 + 32 + 16 + 16 + 16 + 16) * KIB);
        let small = of("max_connections = 1000", "max_buffered = \"64MiB\"", "");
        let worker = MIB + 16 * KIB + 4 * KIB;
        assert_eq!(small.program, 14 * MIB + 2 * worker + 16 * KIB + 10 * KIB + 8 * MIB);
        assert_eq!(small.connections, 1000 * CONNECTION / 8 * 9);
        assert_eq!(small.buffered, 72 * MIB / 8 * 9);
        assert_eq!(small.diagnoses, (8 * 272 * KIB + 4 * MIB) / 8 * 9);
        assert_eq!(small.most(), small.program + small.connections + small.buffered + small.diagnoses);
        assert_eq!(QUEUE, (128 + 8 + 64 + 48 + 8 + 16) * MIB);
        assert_eq!(ATTEMPT, 20 * KIB);
    }

    #[test]
    fn each_key_that_costs_memory_shows_in_it() {
        let usual = of("max_connections = 1000", "max_buffered = \"64MiB\"", "");
        let more = of("max_connections = 1001", "max_buffered = \"64MiB\"", "");
        assert_eq!(more.connections - usual.connections, CONNECTION / 8 * 9);
        let more = of("max_connections = 1000\nh2c = true", "max_buffered = \"64MiB\"", "");
        assert_eq!(more.connections - usual.connections, 1000 * HTTP2 / 8 * 9);
        let more = of("max_connections = 1000", "max_buffered = \"72MiB\"", "");
        assert_eq!(more.buffered - usual.buffered, 9 * MIB / 8 * 9);
        let none = of("max_connections = 1000", "max_buffered = \"64MiB\"", "[log]\ndiagnose = false");
        assert_eq!((none.diagnoses, none.program), (0, usual.program));
        let admin =
            of("max_connections = 1000", "max_buffered = \"64MiB\"", "[admin]\nlisten = \"127.0.0.1:0\"");
        assert_eq!(admin.program - usual.program, ADMIN + 1256 * 3 * KIB);
        let few = "[admin]\nlisten = \"127.0.0.1:0\"\nrecent = 0";
        let few = of("max_connections = 1000", "max_buffered = \"64MiB\"", few);
        assert_eq!(few.program - usual.program, ADMIN);
        let limits = "max_buffered = \"64MiB\"\nmax_failures_per_client = \"60/1m\"";
        assert_eq!(of("max_connections = 1000", limits, "").program - usual.program, 6 * MIB);
        assert_eq!(usual.queue, 0);
        let store = "[queue]\nstore = \"events.db\"";
        let queue = of("max_connections = 1000", "max_buffered = \"64MiB\"", store);
        let of_file = QUEUE + 32_000 * KIB;
        assert_eq!(queue.queue, of_file / 8 * 9);
        let server = "[queue]\nstore = \"postgres://hookgate@db.example.org/hookgate\"";
        let server = of("max_connections = 1000", "max_buffered = \"64MiB\"", server);
        assert_eq!(server.queue, (QUEUE + SERVER_STORE) / 8 * 9);
        assert_eq!(queue.most() - usual.most(), queue.queue);
        let route = "[[routes]]\npath = \"/q\"\nupstream = \"http://127.0.0.1:1\"\ndelivery = \"queue\"\nmax_body = \"2MiB\"\n\
             copies = [\"http://127.0.0.1:2\"]\nconcurrency = 4\n\
             signature = { scheme = \"propify\", secrets = [{ env = \"KEY\" }] }";
        let storing = of("max_connections = 1000", "max_buffered = \"64MiB\"", &format!("{store}\n{route}"));
        let each = 4 * ATTEMPT + 2 * MIB + 16 * KIB;
        assert_eq!(storing.queue, (of_file + 2 * each) / 8 * 9);
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
