//! Configuration files: every file in tests/config has its exact report in a second file.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "clippy.toml allows it in tests, but does not see that these are their helpers"
)]

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hookgate::config::environment::{FileError, Fixed};
use hookgate::config::problem::{Severity, Style};
use hookgate::config::{self, Address, Loaded};

/// The environment in which the files in tests/config are read.
fn environment() -> Fixed {
    Fixed::new(NonZeroUsize::new(4).unwrap())
        .with_variable("PROPIFY_WEBHOOK_SECRET", "5d1c4ca6d2a94b6c8e1f0a7b9c3d2e1f")
        .with_variable("GITHUB_WEBHOOK_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
        .with_variable("META_APP_SECRET", "c3d2e1f00f1e2d3c4b5a69788796a5b4")
        .with_variable("META_VERIFY_TOKEN", "8796a5b4c3d2e1f00f1e2d3c4b5a6978")
        .with_variable("SAME_AS_PROPIFY", "5d1c4ca6d2a94b6c8e1f0a7b9c3d2e1f")
        .with_variable("EMPTY", "")
        .with_variable("BLANK", " \n")
        .with_variable("SHORT", "tiny")
        .with_variable("SAMPLE", "changeme")
        .with_variable("STRAY", "9b8a7c6d5e4f30211203f4e5d6c7a8b9\n")
        .with_variable("ODD_HEX", "abc")
        .with_variable("BROKEN", "0123456789 0123456789")
        .with_variable("OF_SUPABASE", "v1,whsec_bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDE=")
        .with_variable("CUT_OFF", "whsec_bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDl")
        .with_variable("ONE_TOO_MANY", "bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDEya")
        .with_variable("HEX_0X", "0x6e6f742061207265616c207365637265743a2030303038")
        .with_variable(
            "LIST",
            "whsec_bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDE=|whsec_bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDI=",
        )
        .with_variable("QUOTED", "\"bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDM=\"")
        .with_variable("BEARER", "Bearer bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDQ=")
        .with_file("/run/secrets/marked", "\u{feff}bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDU=")
        .with_file("/run/secrets/lines", "bm90IGEgcmVhbCBzZWNy\nZXQ6IDAwMDY=\n")
        .with_file("/run/secrets/environment", "HOOK_SECRET=\"bm90IGEgcmVhbCBzZWNyZXQ6IDAwMDc=\"\n")
        .with_variable("ED25519", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        .with_file("/run/secrets/propify-previous", "1a2b3c4d5e6f708192a3b4c5d6e7f809")
        .with_file("/run/secrets/hookgate-admin", "f809e7d6c5b4a3928170f5e6d3c4b1a2")
        .with_file("tests/config/valid/propify-newline", "77aa88bb99cc00dd11ee22ff33440055\n")
        .with_open_file("/run/secrets/exposed", "31415926535897932384626433832795")
        .with_bad_file("/run/secrets/denied", FileError::Denied)
        .with_bad_file("/run/secrets", FileError::NotFile("a folder"))
}

/// 2026-07-01T00:00:00Z
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_782_864_000)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn read(path: &Path) -> Result<Loaded, config::problem::Report> {
    config::read(path.to_str().unwrap(), &fs::read_to_string(path).unwrap(), &environment(), now())
}

/// Compares a report with the expected report. With `BLESS=1`, writes the expected report instead.
fn expect(path: &Path, got: &str) {
    let beside = path.with_extension("stderr");
    if std::env::var_os("BLESS").is_some() {
        if got.is_empty() {
            let _absent = fs::remove_file(&beside);
        } else {
            fs::write(&beside, got).unwrap();
        }
    }
    let want = fs::read_to_string(&beside).unwrap_or_default();
    assert!(got == want, "{}: got\n{got}\nbut want\n{want}\n(BLESS=1 accepts it)", path.display());
}

#[test]
fn every_invalid_file_gets_its_exact_report() {
    for path in files("tests/config/invalid") {
        let report = read(&path).expect_err(&path.display().to_string());
        assert!(report.has_errors());
        expect(&path, &report.render(Style::Plain));
    }
}

/// What users of other programs write, one mistake in each file. Nobody has to know TOML, or hookgate, to
/// understand the message.
#[test]
fn every_mistaken_file_gets_its_exact_report() {
    let files = files("tests/config/mistaken");
    assert!(files.len() >= 72, "{}", files.len());
    for path in files {
        let report = read(&path).expect_err(&path.display().to_string());
        assert!(report.has_errors(), "{}", path.display());
        let helped =
            report.errors().filter(|problem| problem.help.is_some() || problem.label.is_some()).count();
        assert!(helped > 0, "{}: no error says what to do", path.display());
        expect(&path, &report.render(Style::Plain));
    }
}

#[test]
fn every_valid_file_is_read_with_its_exact_warnings() {
    for path in files("tests/config/valid") {
        let loaded = read(&path).unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
        assert!(!loaded.report.has_errors());
        expect(&path, &loaded.report.render(Style::Plain));
    }
}

#[test]
fn five_mistakes_are_five_problems_each_on_its_line() {
    let report = read(Path::new("tests/config/invalid/five.toml")).unwrap_err();
    let json = report.to_json();
    let lines: Vec<u64> = json.as_array().unwrap().iter().map(|one| one["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 7, 11, 16, 20]);
}

/// The JSON form and the text form name the same places.
#[test]
fn both_renderings_agree_on_the_place() {
    for path in files("tests/config/invalid") {
        let report = read(&path).unwrap_err();
        let text = report.render(Style::Plain);
        for problem in report.to_json().as_array().unwrap() {
            let place = format!("{}:{}:{}\n", path.display(), problem["line"], problem["column"]);
            assert!(text.contains(&place), "{place}{text}");
        }
    }
}

#[test]
fn no_report_shows_a_secret() {
    let mut reports = Vec::new();
    for path in files("tests/config/invalid").into_iter().chain(files("tests/config/mistaken")) {
        reports.push(read(&path).unwrap_err());
    }
    for path in files("tests/config/valid") {
        reports.push(read(&path).unwrap().report);
    }
    for report in reports {
        let shown = format!(
            "{}{}{report:?}",
            report.render(Style::Colored),
            serde_json::to_string(&report.to_json()).unwrap()
        );
        for secret in [
            "hunter2",
            "5d1c4ca6",
            "0f1e2d3c",
            "9b8a7c6d",
            "1a2b3c4d",
            "77aa88bb",
            "31415926",
            "changeme",
            "f809e7d6",
            "bm90IGEg",
            "6e6f7420",
            "not a real",
        ] {
            assert!(!shown.contains(secret), "{}: {secret}", report.name);
        }
    }
}

#[test]
fn the_example_of_the_contract_means_what_it_says() {
    let config = read(Path::new("tests/config/valid/contract.toml")).unwrap().config;
    assert_eq!(config.server.workers.get(), 2);
    assert_eq!(config.limits.max_buffered, 256 << 20);
    assert_eq!(config.admin.unwrap().listen, [Address::Tcp("127.0.0.1:9901".parse().unwrap())]);
    let paths: Vec<&str> = config.routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(paths, ["/webhook/leases", "/webhook/leads", "/webhook/{model}", "/hooks/github"]);
    let [leases, leads, _, github] = config.routes.as_slice() else { panic!() };
    assert!(std::sync::Arc::ptr_eq(&leases.verifier, &leads.verifier), "one signature is compiled once");
    let names: Vec<&str> = leases.verifier.secret_names().map(|name| &**name).collect();
    assert_eq!(names, ["current", "previous"]);
    assert_eq!(github.verifier.scheme().name, "github");
    assert_eq!(github.max_body, 4 << 20);
    assert_eq!(github.upstream.response_timeout, Duration::from_secs(10));
    assert_eq!(github.upstream.idle_timeout, Duration::from_secs(4));
}

#[test]
fn the_keys_of_the_queue_mean_what_they_say() {
    let config = read(Path::new("tests/config/valid/queue.toml")).unwrap().config;
    let queue = config.queue.unwrap();
    assert_eq!(queue.store, config::StoreAddress::File("tests/config/valid/events.db".into()));
    assert_eq!((queue.max_bytes, queue.min_free), (1 << 30, 1 << 30));
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!((queue.keep_delivered, queue.keep_dead), (hours(36), hours(90 * 24)));
    let name = |name: Option<http::HeaderName>| name.map(|name| name.to_string());
    assert_eq!(name(config.forward.event_id_field).as_deref(), Some("x-hookgate-event-id"));
    let [all, defaults, direct, ..] = config.routes.as_slice() else { panic!() };
    let delivery = &all.delivery;
    assert_eq!(delivery.mode, config::DeliveryMode::Queue);
    assert_eq!(delivery.ack_status.map(|status| status.as_u16()), Some(204));
    assert_eq!(delivery.order_by, Some(config::OrderBy::Pointer("/record_id".into())));
    assert_eq!(delivery.max_queued, 100 << 20);
    assert_eq!(delivery.deduplicate, Some(hours(3)));
    assert_eq!(delivery.copies.len(), 2);
    assert_eq!(delivery.concurrency.get(), 4);
    assert_eq!(delivery.interval, Some(Duration::from_secs(2)));
    assert_eq!(delivery.retry.schedule, [Duration::from_secs(1), Duration::from_secs(90)]);
    assert_eq!((delivery.retry.max_age, delivery.retry.give_up_on.len()), (hours(24), 0));
    let delivery = &defaults.delivery;
    assert_eq!(delivery.mode, config::DeliveryMode::Fallback);
    assert_eq!(delivery.order_by, Some(config::OrderBy::Route));
    assert_eq!(delivery.max_queued, 512 << 20);
    assert_eq!(delivery.retry.max_attempts.map(u32::from), Some(9));
    assert_eq!(delivery.retry.max_age, hours(7 * 24));
    assert_eq!(direct.delivery.mode, config::DeliveryMode::Direct);
    assert_eq!(
        (direct.delivery.deduplicate, direct.delivery.ack_status.map(|status| status.as_u16())),
        (Some(hours(720)), Some(202))
    );
}

/// Missing keys have the documented defaults. The example in the documentation sets every key to its default.
#[test]
fn a_minimal_file_has_the_defaults_of_the_contract() {
    let minimal = read(Path::new("tests/config/valid/minimal.toml")).unwrap().config;
    let contract = read(Path::new("tests/config/valid/contract.toml")).unwrap().config;
    assert_eq!(minimal.server.workers.get(), 4, "one per core");
    assert_eq!(minimal.server, config::Server { workers: minimal.server.workers, ..contract.server });
    assert_eq!(minimal.limits, contract.limits);
    assert_eq!(minimal.limits.write_timeout, Duration::from_secs(30));
    assert!(minimal.admin.is_none());
    assert_eq!(minimal.log, contract.log);
    assert_eq!(minimal.forward, config::Forward::default());
    assert_eq!(minimal.queue, None);
    let ([minimal], Some(contract)) = (minimal.routes.as_slice(), contract.routes.first()) else { panic!() };
    assert_eq!(
        minimal.upstream,
        config::Upstream { origin: minimal.upstream.origin.clone(), ..contract.upstream.clone() }
    );
    assert_eq!(minimal.methods, [http::Method::POST]);
    assert_eq!(minimal.max_body, 1 << 20);
    assert_eq!(minimal.mode, config::Mode::Enforce);
    assert_eq!(minimal.delivery, config::DeliveryOptions::direct());
}

#[test]
fn the_example_at_the_root_works_without_a_warning() {
    let loaded =
        read(Path::new("gateway.toml")).unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
    let warnings = loaded.report.problems.iter().filter(|problem| problem.severity != Severity::Note).count();
    assert_eq!(warnings, 0, "{}", loaded.report.render(Style::Plain));
}

#[test]
fn the_example_cut_short_anywhere_never_panics() {
    let text = fs::read_to_string("gateway.toml").unwrap();
    for (at, _) in text.char_indices().step_by(31) {
        let cut = &text[..at];
        if let Err(report) = config::read("gateway.toml", cut, &environment(), now()) {
            assert!(!report.render(Style::Plain).is_empty() && report.to_json().is_array(), "{cut}");
        }
    }
}
