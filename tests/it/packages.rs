//! The files that the packages install.

use std::fs;
use std::num::NonZeroUsize;
use std::time::SystemTime;

use hookgate::config::environment::Fixed;
use hookgate::config::problem::Style;
use hookgate::config::{self, Address, Loaded};

/// The configuration that the Debian package installs. `secret` is the content of its secret's file.
fn installed(secret: Option<&str>) -> Result<Loaded, config::problem::Report> {
    let machine = Fixed::new(NonZeroUsize::new(4).unwrap());
    let machine = match secret {
        Some(secret) => machine.with_file("/etc/hookgate/secrets/propify", secret),
        None => machine,
    };
    let text = fs::read_to_string("deploy/package/debian/gateway.toml").unwrap();
    config::read("/etc/hookgate/gateway.toml", &text, &machine, SystemTime::UNIX_EPOCH)
}

#[test]
fn what_the_debian_package_installs_works_once_there_is_a_secret() {
    let loaded = installed(Some("3f1c0de5b8a94e6fa3f3f6f1a6f0c2d7"))
        .unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
    assert!(loaded.report.problems.is_empty(), "{}", loaded.report.render(Style::Plain));
    let server = loaded.config.server;
    assert!(
        server.listen.iter().all(|address| address.tcp().is_some_and(|tcp| tcp.ip().is_loopback())),
        "{server:?}"
    );
    let is_local = |address: &Address| address.tcp().is_none_or(|address| address.ip().is_loopback());
    assert!(loaded.config.admin.unwrap().listen.iter().all(is_local));
}

#[test]
fn without_one_that_is_all_there_is_to_say() {
    let report = installed(None).unwrap_err();
    let text = report.render(Style::Plain);
    assert_eq!(report.problems.len(), 1, "{text}");
    assert!(text.contains("/etc/hookgate/secrets/propify"), "{text}");
}

/// systemd must not stop the service before the configured time for a drain has passed.
#[test]
fn systemd_waits_for_longer_than_a_drain_may_take() {
    let server = installed(Some("3f1c0de5b8a94e6fa3f3f6f1a6f0c2d7")).unwrap().config.server;
    let unit = fs::read_to_string("deploy/package/systemd/hookgate.service").unwrap();
    let waits = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    let waits = config::size_and_duration::parse_duration(waits).unwrap();
    assert!(waits > server.drain_delay + server.shutdown_grace, "{waits:?}");
}

/// Every file that states the version states the same version.
#[test]
fn the_changelogs_know_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let debian = fs::read_to_string("deploy/package/debian/changelog").unwrap();
    assert!(debian.starts_with(&format!("hookgate ({version}-1) ")), "deploy/package/debian/changelog");
    let changelog = fs::read_to_string("CHANGELOG.md").unwrap();
    assert!(changelog.contains(&format!("\n## {version} ")), "CHANGELOG.md");
}

/// Every file that states the oldest supported Rust states the version that the tests use.
#[test]
fn every_image_that_is_named_is_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let mut named = 0;
    for file in [
        "Dockerfile",
        "README.md",
        "deploy/README.md",
        "deploy/compose/compose.yaml",
        "deploy/kubernetes/queue.yaml",
        "deploy/kubernetes/sidecar.yaml",
        "deploy/package/image",
        "docs/operations.md",
    ] {
        let text = fs::read_to_string(file).unwrap();
        let tags =
            text.split("hookgate:").skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        for tag in tags {
            let tag: String = tag.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            assert_eq!(tag.trim_end_matches('.'), version, "{file}");
            named += 1;
        }
    }
    assert!(named >= 8, "only {named} images were found");
    let chart = fs::read_to_string("deploy/helm/hookgate/Chart.yaml").unwrap();
    assert!(chart.contains(&format!("\nversion: {version}\nappVersion: \"{version}\"\n")), "{chart}");
}

#[test]
fn the_oldest_rust_that_is_promised_is_the_one_that_is_tested() {
    let promised = env!("CARGO_PKG_RUST_VERSION");
    let toolchain = fs::read_to_string("rust-toolchain.toml").unwrap();
    assert!(toolchain.contains(&format!("channel = \"{promised}.")), "rust-toolchain.toml");
    assert!(
        fs::read_to_string("Dockerfile").unwrap().contains(&format!("FROM rust:{promised}-")),
        "Dockerfile"
    );
}
