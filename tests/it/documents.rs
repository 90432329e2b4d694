//! The documents: their links lead somewhere, and their figures are those of the code and of the tables.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use hookgate::admission::memory_bound::Footprint;
use hookgate::admission::{eviction, failures, memory, memory_bound as bound, rate};
use hookgate::config::environment::Fixed;
use hookgate::config::problem::Style;
use hookgate::config::{self, Config};
use hookgate::diagnosis::{sample, submitter};
use hookgate::http2::limits as http2;
use hookgate::queue::{circuit, destination, event, handle, scheduler, sqlite, store, writer};
use hookgate::runtime::reload;
use hookgate::signature::scheme::{PRESETS, Source};
use hookgate::telemetry::{recent, sink};
use hookgate::tls::stream;
use hookgate::upstream::response;

/// Every document, and the text of every example, of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = vec!["deploy/prometheus/alerts.yml".into()];
    let mut folders = vec![PathBuf::from(".")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let skipped = ["target", "node_modules", "dist", "build", "corpus", "artifacts"];
            if path.is_dir() && !name.starts_with('.') && !skipped.contains(&name) {
                folders.push(path);
            } else if name.ends_with(".md") {
                found.push(path.strip_prefix(".").unwrap().to_owned());
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// A document as one line, without the marks of a list or a table's row at the beginning of a line.
fn text(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchor of a heading, as the usual renderers make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(path: &Path) -> HashSet<String> {
    let text = fs::read_to_string(path).unwrap();
    prose(&text)
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// The targets of the links of a document.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let joined = prose(text).collect::<Vec<_>>().join("\n");
    for part in joined.split("](").skip(1) {
        found.push(part.split(')').next().unwrap().to_owned());
    }
    found
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_a_heading_that_exist() {
    let mut wrong = Vec::new();
    for document in documents().iter().filter(|path| path.extension().is_some_and(|name| name == "md")) {
        for link in links(&fs::read_to_string(document).unwrap()) {
            if link.contains(':') {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let known = target.exists() && (heading.is_empty() || anchors(&target).contains(heading));
            if !known {
                wrong.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How a sender retries is known in one place, its preset. Other texts may repeat a sentence of it, and say
/// nothing else.
#[test]
fn no_document_has_a_schedule_of_a_sender_that_its_preset_does_not_have() {
    let presets: Vec<(&str, &str)> = PRESETS
        .iter()
        .filter_map(|scheme| match scheme.source {
            Source::Shipped { sender, retries, .. } => Some((sender, retries)),
            _ => None,
        })
        .collect();
    let tries = |sentence: &str| {
        let numbers = ["hours", "minutes", "days", "times"];
        let words = ["tries", "again", "gives up", "given up", "retries"];
        words.iter().any(|word| sentence.contains(word))
            && sentence.split([' ', ',', '.', ':']).any(|word| numbers.contains(&word))
    };
    let mut wrong = Vec::new();
    for document in documents() {
        for sentence in text(&document).split(['.', '|', ';', ':']).filter(|sentence| tries(sentence)) {
            for (sender, retries) in &presets {
                let named = sentence.split(|c: char| !c.is_alphanumeric()).any(|word| word == *sender);
                if named && !retries.contains(sentence.trim()) {
                    wrong.push(format!("{}: {}", document.display(), sentence.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "say what holds for any sender, or move it to the preset:\n{}",
        wrong.join("\n")
    );
}

/// A configuration in which every limit has its default.
fn defaults() -> Config {
    with("")
}

/// The shortest configuration, with further tables, on a machine with two cores.
fn with(tables: &str) -> Config {
    let machine =
        Fixed::new(NonZeroUsize::new(2).unwrap()).with_file("s", "3f1c0de5b8a94e6fa3f3f6f1a6f0c2d7");
    let route = "[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n\
                 signature = { scheme = \"github\", secrets = [{ file = \"s\" }] }\n";
    match config::read("gateway.toml", &format!("{tables}{route}"), &machine, SystemTime::UNIX_EPOCH) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{}", report.render(Style::Plain)),
    }
}

fn kib(bytes: impl TryInto<u64>) -> u64 {
    bytes.try_into().ok().unwrap() >> 10
}

fn mib(bytes: impl TryInto<u64>) -> u64 {
    bytes.try_into().ok().unwrap() >> 20
}

/// MiB, for one decimal place.
fn tenths(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap()) / f64::from(1 << 20)
}

/// The requests that are kept for looking at by default.
fn recent_requests() -> usize {
    with("[admin]\nlisten = \"127.0.0.1:0\"\n").admin.unwrap().recent
}

/// A number with commas: `10,000`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    match digits.len().checked_sub(3) {
        Some(split @ 1..) => format!("{},{}", &digits[..split], &digits[split..]),
        _ => digits,
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs()
}

/// Each figure in prose that comes from a constant or a default: the document, and the words with the figure.
fn figures() -> Vec<(&'static str, String)> {
    const OPERATIONS: &str = "docs/operations.md";
    const SECURITY: &str = "docs/security.md";
    const TLS: &str = "docs/tls.md";
    let defaults = defaults();
    let (server, limits) = (&defaults.server, &defaults.limits);
    let upstream = &defaults.routes[0].upstream;
    // A change is found by one look and loaded by the next. The rest of the time is for reading and checking.
    let in_force = (2 * reload::LOOK_EVERY + Duration::from_secs(1)).as_secs();
    let queue = bound::QUEUE;
    assert_eq!(
        queue,
        ((136 + 64 + 48 + 24) << 20),
        "the parts of the queue's memory in operations.md add up to its bound"
    );
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\n";
    let usual = Footprint::of(&with(admin));
    // The certificate does not matter here, and HTTP/2 takes as much memory without TLS.
    let parts = |bytes: u64| bytes.div_ceil(1 << 20);
    let each = kib(bound::CONNECTION + bound::TLS + bound::HTTP2);
    vec![
        (
            OPERATIONS,
            format!(
                "memory: at most {}MiB: {}MiB for the program, {}MiB for connections, {}MiB for bodies and large heads, {}MiB for diagnoses",
                parts(usual.most()),
                parts(usual.program),
                parts(usual.connections),
                parts(usual.buffered),
                parts(usual.diagnoses)
            ),
        ),
        (OPERATIONS, format!("each of the 10,000 connections can take {each} KiB")),
        (
            OPERATIONS,
            format!(
                "the sum is {} MiB, because each",
                parts(usual.most() - usual.connections + usual.connections / kib(bound::CONNECTION) * each)
            ),
        ),
        (OPERATIONS, format!("in force within {in_force} seconds, without a restart")),
        (OPERATIONS, format!("one of a file is loaded within {in_force} seconds")),
        ("src/cli/doctor/checks.rs", format!("a change is loaded within {in_force} seconds")),
        ("src/cli/doctor/checks.rs", format!("one of a file is loaded within {in_force} seconds")),
        ("docs/configuration.md", format!("is in force within {in_force} seconds")),
        ("deploy/compose/compose.yaml", format!("is in force within {in_force} seconds")),
        ("deploy/kubernetes/sidecar.yaml", format!("is in force within {in_force} seconds")),
        (OPERATIONS, format!("the program | {} MiB, {} MiB and", mib(bound::PROGRAM), mib(bound::WORKER))),
        (
            OPERATIONS,
            format!(
                "{} KiB and {} KiB for each worker for each route, {} KiB for each idle connection to an upstream and {} KiB more over TLS, {} MiB of log lines that wait, {} MiB for `[admin]` with {:.1} MiB for its `recent` requests ({} KiB for each) and {:.1} MiB more with its `tls`, {} MiB for `max_failures_per_client`",
                kib(bound::ROUTE),
                kib(bound::ROUTE_OF_WORKER),
                kib(bound::IDLE_UPSTREAM),
                kib(bound::TLS_AT_REST),
                mib(bound::LOG),
                mib(bound::ADMIN),
                tenths((recent_requests() + recent::MOST_WAITING) as u64 * recent::LARGEST_ENTRY as u64),
                kib(recent::LARGEST_ENTRY as u64),
                tenths(bound::ADMIN_TLS),
                2 * mib(failures::MEMORY)
            ),
        ),
        (OPERATIONS, format!("`max_connections` times {} KiB", kib(bound::CONNECTION))),
        (OPERATIONS, format!("{} KiB more: 16 for its state, 54 for", kib(bound::TLS))),
        (OPERATIONS, format!("or `h2c`), {} KiB more", kib(bound::HTTP2))),
        (
            OPERATIONS,
            format!("stream of a connection takes {} KiB of `max_buffered`", kib(http2::STREAM as u64)),
        ),
        (
            OPERATIONS,
            format!(
                "{} requests of {} KiB and {} MiB for looking into one",
                submitter::TOTAL_TOKENS,
                kib((sample::LONGEST_CONTENT + sample::LONGEST_HEAD) as u64),
                mib(bound::DIAGNOSIS)
            ),
        ),
        (
            OPERATIONS,
            format!(
                "{} MiB of events that are being delivered, {} MiB of events that are handed over, {} MiB of attempts",
                mib(scheduler::MOST_BYTES + destination::MOST_READY_BYTES),
                mib(handle::MOST_HANDED as u64 * store::LARGEST_HANDED),
                mib(writer::MOST_UNSAVED as u64 * (event::MOST_KEPT_OF_RESPONSE as u64 + 1024))
            ),
        ),
        (OPERATIONS, format!("{} MiB of pages of the store", mib(sqlite::CACHES + (1 << 20)))),
        (OPERATIONS, format!("{} KiB for each of `concurrency`", kib(bound::ATTEMPT))),
        (
            OPERATIONS,
            format!(
                "a body over {} KiB, or more than {} KiB of path",
                kib(sample::LONGEST_CONTENT as u64),
                kib(sample::LONGEST_HEAD as u64)
            ),
        ),
        (OPERATIONS, format!("at most {} MiB, in at most 250 ms", mib(sample::MOST_WORK as u64))),
        (
            SECURITY,
            format!(
                "{} in {} s a route, {} in {} s; {} KiB each",
                submitter::ROUTE_TOKENS,
                seconds(sample::ROUTE_PERIOD),
                submitter::TOTAL_TOKENS,
                seconds(submitter::TOTAL_PERIOD),
                kib(sample::LONGEST_CONTENT as u64)
            ),
        ),
        (SECURITY, format!("`max_connections` | {} |", grouped(server.max_connections.get()))),
        (SECURITY, format!("`header_timeout` | {} s |", seconds(limits.header_timeout))),
        (SECURITY, format!("| {} KiB; 100 |", kib(limits.max_header_bytes as u64))),
        (SECURITY, format!("`max_body` | {} MiB |", mib(defaults.routes[0].max_body))),
        (
            SECURITY,
            format!(
                "| {} s, {} KiB/s after {} s |",
                seconds(limits.body_timeout),
                kib(limits.min_body_rate),
                seconds(rate::GRACE)
            ),
        ),
        (SECURITY, format!("`max_buffered` | {} MiB |", mib(limits.max_buffered))),
        (SECURITY, format!("`idle_timeout` | {} s |", seconds(limits.idle_timeout))),
        (SECURITY, format!("`write_timeout` | {} s |", seconds(limits.write_timeout))),
        (SECURITY, format!("opened less than {} ms ago", eviction::JUST_OPENED.as_millis())),
        (TLS, format!("send at most {} KiB in its handshake", kib(stream::MOST_HANDSHAKE as u64))),
        (TLS, format!("The bytes over {} KiB count", kib(memory::FREE_HEAD as u64))),
        (TLS, format!("after {} KiB of records without content", kib(stream::MOST_QUIET as u64))),
        (SECURITY, format!("streams of a connection | {} |", http2::MAX_STREAMS)),
        (SECURITY, format!("requests of a connection under way | {} |", http2::MOST_REQUESTS)),
        (
            SECURITY,
            format!(
                "windows | {} KiB a stream, {} KiB a connection |",
                kib(u64::from(http2::STREAM_WINDOW)),
                kib(u64::from(http2::CONNECTION_WINDOW))
            ),
        ),
        (SECURITY, format!("unread content of a connection | {} KiB |", kib(http2::FREE_UNREAD as u64))),
        (SECURITY, format!("before the request is served | {} |", http2::PENDING_RESETS)),
        (SECURITY, format!("or too many streams | {} |", grouped(http2::LOCAL_RESETS))),
        (
            SECURITY,
            format!(
                "pings | every {} s, answered within {} s |",
                seconds(http2::PING_INTERVAL),
                seconds(http2::PING_TIMEOUT)
            ),
        ),
        (
            SECURITY,
            format!(
                "`connect_timeout`, `response_timeout` | {} s, {} s |",
                seconds(upstream.connect_timeout),
                seconds(upstream.response_timeout)
            ),
        ),
        (SECURITY, format!("| {} KiB and 100 lines", kib(response::MAX_HEAD as u64))),
        (SECURITY, format!("opened less than {} ms ago", eviction::JUST_OPENED.as_millis())),
        (SECURITY, format!("An ordinary event (up to {} KiB", kib(memory::ORDINARY))),
        (SECURITY, format!("**The memory is fixed**: {} MiB", mib(failures::MEMORY))),
        (
            "README.md",
            format!("heads over {} KiB, take all of `max_buffered`", kib(memory::FREE_HEAD as u64)),
        ),
        ("docs/configuration.md", format!("At most {} MiB of lines wait", mib(sink::CAPACITY as u64))),
        (
            "docs/queue.md",
            format!(
                "opens after {} different events",
                ["no", "one", "two", "three", "four", "five"][circuit::OPENS_AFTER]
            ),
        ),
        ("docs/queue.md", format!("gets at most {} further deliveries", destination::MOST_UNSETTLED)),
    ]
}

#[test]
fn figures_in_prose_are_those_of_the_code() {
    let missing: Vec<String> = figures()
        .into_iter()
        .filter(|(document, words)| !text(document).contains(words))
        .map(|(document, words)| format!("{document} does not say: {words}"))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// What is said of speed in a sentence, and the table that has it: the document, the words, the document of
/// the table, its row.
#[test]
fn figures_of_speed_in_prose_are_those_of_a_table() {
    const PERFORMANCE: &str = "docs/performance.md";
    const MEASUREMENTS: &str = "docs/measurements.md";
    let pairs = [
        (
            PERFORMANCE,
            "0.54 of it for a request of 512 bytes over 64",
            PERFORMANCE,
            "| CPU per request, 512B@64 | 0.85 × HAProxy | 0.54 × |",
        ),
        (PERFORMANCE, "another-machine), 0.87.", MEASUREMENTS, "as a ratio to HAProxy's | 0.87 |"),
        (
            PERFORMANCE,
            "[0.53 of what HAProxy adds]",
            PERFORMANCE,
            "| added p50 latency at 512 B | 0.55 × HAProxy | 0.53 × |",
        ),
        (
            PERFORMANCE,
            "4.90 MiB when idle, and 24.0 MiB with 5,000",
            PERFORMANCE,
            "| hookgate | 4.90 | 8.96 | 24.0 |",
        ),
        (
            PERFORMANCE,
            "| the disk is slow | 51,129 | 22,657 | 16,128 |",
            MEASUREMENTS,
            "| 512 B | 51,129 | 22,657 | 1.6 / 15.7 | 0.44 | 16,128 |",
        ),
        (
            PERFORMANCE,
            "| the disk is fast | 67,783 | 45,655 | 29,797 |",
            MEASUREMENTS,
            "| 64 | 67,783 | 45,655 | 1.2 / 4.5 | 0.67 | 29,797 |",
        ),
        (
            PERFORMANCE,
            "0.44 of what is forwarded directly while the disk is slow, and 0.67",
            MEASUREMENTS,
            "| 1.6 / 15.7 | 0.44 |",
        ),
        (
            "README.md",
            "On an AMD EPYC, they are 2.9, 9.1 and 10.8.",
            MEASUREMENTS,
            "`node` takes 2.9 times hookgate's CPU time at 512B@64. `node-express` takes 9.1 times hookgate's CPU time at 512B@64, and 10.8 times at `512B@64 bad`.",
        ),
        ("docs/security.md", "the gateway had 78 MiB resident", MEASUREMENTS, "5.9 to 77.8 MiB"),
        (
            "docs/security.md",
            "about 0.1 ms with an ECDSA certificate, 0.3 ms with RSA 2048",
            MEASUREMENTS,
            "| hookgate | 121 | 148 | 318 |",
        ),
        ("docs/security.md", "the slowest in 24 ms", MEASUREMENTS, "| silent | 20, 24 ms |"),
    ];
    for (document, words, of_table, row) in pairs {
        // A table's columns are padded.
        assert!(text(document).contains(words), "{document} does not say: {words}");
        assert!(text(of_table).contains(row), "{of_table} has no such row: {row}");
    }
}

#[test]
fn the_readme_names_every_command() {
    let help = Command::new(env!("CARGO_BIN_EXE_hookgate")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() > 10, "{help}");
    let readme = text("README.md");
    for name in names {
        assert!(
            readme.contains(&format!("| `hookgate {name}")) || name == "run",
            "README.md has no row for {name}"
        );
    }
}
