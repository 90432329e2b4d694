//! The commands over TLS: `send`, `doctor` and `check`, against a gateway in its own process.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::in_time::OutputInTime as _;
use crate::support::process::Running;
use crate::support::tls::Authority;
use crate::support::{Reserved, SECRET, Upstream};

/// A gateway with a certificate for `localhost`, and its folder.
struct Setup {
    folder: TempDir,
    over_tls: Reserved,
    _running: Running,
}

fn hookgate(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.args(args).current_dir(folder.path()).env("KEY", SECRET).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

impl Setup {
    fn new(authority: &Authority, upstream: &Upstream) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (plain, over_tls, admin) = (Reserved::new(), Reserved::new(), Reserved::new());
        let certificate = authority.issue(&["localhost"]);
        for (name, content) in
            [("a.pem", &certificate.cert), ("a.key", &certificate.key), ("ca.pem", &authority.pem)]
        {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let config = format!(
            "[server]\nlisten = \"{}\"\nreuse_port = true\nmax_connections = 100\n[admin]\nlisten = \"{}\"\n\
             [tls]\nlisten = \"{}\"\ncertificates = [{{ cert = \"a.pem\", key = \"a.key\" }}]\nclient_ca = \"ca.pem\"\n\
             [signature]\nscheme = \"propify\"\nsecrets = [{{ env = \"KEY\" }}]\n\
             [[routes]]\npath = \"/webhook/leases\"\nupstream = \"{}\"\n\
             [[routes]]\npath = \"/mutual\"\nupstream = \"{}\"\nclient_certificate = \"meta\"\n",
            plain.address(),
            admin.address(),
            over_tls.address(),
            upstream.url(),
            upstream.url()
        );
        fs::write(folder.path().join("gateway.toml"), config).unwrap();
        let mut running = Running::start(&mut hookgate(&folder, &["run"]));
        running.wait_for("listening");
        Self { folder, over_tls, _running: running }
    }

    fn run(&self, args: &[&str]) -> Output {
        hookgate(&self.folder, args).output_in_time()
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.over_tls.address().port())
    }
}

#[test]
fn send_speaks_https_and_believes_only_whom_it_should() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let setup = Setup::new(&authority, &upstream);
    let send =
        |url: &str, more: &[&str]| setup.run(&[&["send", "/webhook/leases", "--url", url], more].concat());
    let good = send(&setup.url(), &["--ca", "ca.pem"]);
    assert!(good.status.success() && text(&good).contains("200"), "{}", text(&good));
    let forged = send(&setup.url(), &["--ca", "ca.pem", "--forge", "tampered"]);
    assert!(forged.status.success() && text(&forged).contains("signature_mismatch"), "{}", text(&forged));
    let other_name = setup.url().replace("localhost", "127.0.0.1");
    fs::write(setup.folder.path().join("other.pem"), Authority::new("others").pem).unwrap();
    for (url, ca, why) in [
        (setup.url(), "other.pem", "unknown issuer"),
        (other_name, "ca.pem", "another name"),
        (setup.url(), "gateway.toml", "cannot be used"),
        (setup.url(), "none.pem", "cannot be used"),
    ] {
        let output = send(&url, &["--ca", ca]);
        assert!(!output.status.success() && text(&output).contains(why), "{ca}: {}", text(&output));
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn doctor_finds_a_listener_that_speaks_tls_and_looks_behind_https() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let setup = Setup::new(&authority, &upstream);
    let bypass = format!("{}/webhook/leases", setup.url());
    let output = setup.run(&["doctor", "--json", "--bypass", &bypass]);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    let findings = report["findings"].as_array().unwrap();
    for check in ["route", "bypass"] {
        let of: Vec<_> = findings.iter().filter(|finding| finding["check"] == check).collect();
        assert!(!of.is_empty() && of.iter().all(|finding| finding["level"] == "ok"), "{check}: {of:#?}");
    }
    let over_tls = setup.over_tls.address().to_string();
    assert!(
        findings.iter().any(|finding| finding["check"] == "route" && finding.to_string().contains(&over_tls))
    );
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn check_shows_where_a_certificate_does_not_fit() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let setup = Setup::new(&authority, &upstream);
    fs::write(setup.folder.path().join("a.key"), authority.issue(&["localhost"]).key).unwrap();
    let output = setup.run(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    for words in ["certificate_mismatch", "gateway.toml:9:", "\"a.key\" }]", "^^^", "help: "] {
        assert!(text(&output).contains(words), "{words}: {}", text(&output));
    }
}
