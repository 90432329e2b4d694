//! The manifests in deploy/: their memory limits are high enough for their configurations.

use std::fs;
use std::num::NonZeroUsize;
use std::time::SystemTime;

use hookgate::admission::client::ClientAddress;
use hookgate::admission::memory_bound::Footprint;
use hookgate::config::environment::Fixed;
use hookgate::config::problem::Style;
use hookgate::config::{self, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::support::tls::Authority;

/// A manifest's memory limit must exceed its configuration's bound by a quarter. The kernel's socket buffers
/// need this part.
const MARGIN: u64 = 4;

/// Reads the configuration for a machine with many cores. It must not take more memory there.
fn read(text: &str, secret: &str) -> Config {
    let machine =
        Fixed::new(NonZeroUsize::new(128).unwrap()).with_file(secret, "3f1c0de5b8a94e6fa3f3f6f1a6f0c2d7");
    match config::read("/etc/hookgate/gateway.toml", text, &machine, SystemTime::UNIX_EPOCH) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{}", report.render(Style::Plain)),
    }
}

/// A quantity in a manifest, in bytes: `256Mi`, `512m`.
fn bytes(text: &str) -> u64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "Mi" | "m" => 20,
        "Gi" | "g" => 30,
        other => panic!("{other}"),
    };
    number.parse::<u64>().unwrap() << shift
}

/// The word that follows `mark`.
fn behind<'t>(text: &'t str, mark: &str) -> &'t str {
    let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("no {mark}"));
    rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap()
}

#[track_caller]
fn assert_fits(config: &Config, limit: u64) {
    let footprint = Footprint::of(config);
    let most = footprint.most();
    assert!(limit >= most + most / MARGIN, "{limit} is too little for {most}: {footprint:?}");
}

#[test]
fn pods_may_have_more_memory_than_their_configuration_can_take() {
    for name in ["sidecar", "queue"] {
        let manifest = fs::read_to_string(format!("deploy/kubernetes/{name}.yaml")).unwrap();
        pod_fits(&manifest);
    }
}

#[track_caller]
fn pod_fits(manifest: &str) {
    let (_, block) = manifest.split_once("  gateway.toml: |\n").unwrap();
    let lines = block.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let text: Vec<&str> = lines.map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let config = read(&text.join("\n"), "/run/secrets/propify/current");
    assert_fits(&config, bytes(behind(manifest, "limits: { memory: ")));
}

#[test]
fn the_example_with_an_authority_has_no_problem() {
    let text = fs::read_to_string("deploy/acme/gateway.toml").unwrap();
    let root = CertificateDer::from_pem_slice(Authority::new("root").pem.as_bytes()).unwrap();
    let machine = Fixed::new(NonZeroUsize::MIN)
        .with_variable("PROPIFY_WEBHOOK_SECRET", "3f1c0de5b8a94e6fa3f3f6f1a6f0c2d7")
        .with_system_root(root);
    match config::read("/etc/hookgate/gateway.toml", &text, &machine, SystemTime::UNIX_EPOCH) {
        Ok(loaded) => assert!(loaded.report.problems.is_empty(), "{}", loaded.report.render(Style::Plain)),
        Err(report) => panic!("{}", report.render(Style::Plain)),
    }
}

#[test]
fn the_composed_gateway_may_have_more_memory_than_its_configuration_can_take() {
    let manifest = fs::read_to_string("deploy/compose/compose.yaml").unwrap();
    let text = fs::read_to_string("deploy/compose/config/gateway.toml").unwrap();
    let config = read(&text, "/run/secrets/propify");
    assert_fits(&config, bytes(behind(&manifest, "mem_limit: ")));
}

#[test]
fn the_gateway_behind_a_proxy_believes_only_the_proxy() {
    let text = fs::read_to_string("deploy/proxies/gateway.toml").unwrap();
    let proxies = read(&text, "/run/secrets/propify").server.client_address.unwrap();
    assert!(proxies.trust(ClientAddress::ip([127, 0, 0, 1].into())));
    assert!(!proxies.trust(ClientAddress::ip([127, 0, 0, 2].into())));
}
