//! The admin listener over TLS: what it answers, its certificate, and the commands that ask it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::gateway::gateway;
use crate::support::in_time::OutputInTime as _;
use crate::support::process::Running;
use crate::support::request::PATH;
use crate::support::tls::{Authority, Issued, TlsClient};
use crate::support::{PATIENCE, Reserved, SECRET, Upstream};

const TLS: &str = "tls = { cert = \"admin.crt\", key = \"admin.key\" }";
const GET: &str = "HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A gateway whose admin listener speaks TLS with this certificate.
fn setup(certificate: &Issued, upstream: &Upstream, lines: &str) -> crate::support::gateway::Setup {
    gateway()
        .route(PATH, &upstream.url())
        .file("admin.crt", certificate.cert.clone())
        .file("admin.key", certificate.key.clone())
        .admin_with(lines)
}

/// What the listener answers to plain HTTP.
fn plainly(address: SocketAddr) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(format!("GET /healthz {GET}").as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_admin_listener_answers_over_tls_and_tells_plain_http_to_use_https() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = setup(&authority.issue(&["localhost"]), &upstream, TLS).start();
    let config = authority.client().config();
    for (target, status) in [("/healthz", 200), ("/readyz", 200), ("/secrets", 200), ("/api/v1/queue", 404)] {
        let mut client = TlsClient::connect(gateway.admin(), "localhost", &config).unwrap();
        let answer = client.send(format!("GET {target} {GET}")).response();
        assert_eq!(answer.status, status, "{target} {}", answer.body);
        assert!(client.ends_properly(), "{target}");
    }
    let answer = plainly(gateway.admin());
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    let mut client = TlsClient::connect(gateway.admin(), "localhost", &config).unwrap();
    let metrics = client.send(format!("GET /metrics {GET}")).response().body;
    let expiry = "hookgate_tls_certificate_expiry_timestamp_seconds{name=\"localhost\"} ";
    assert!(metrics.contains(expiry), "{metrics}");
    assert!(metrics.contains("hookgate_tls_handshakes_total{result=\"plain_http\"} 0"), "{metrics}");
}

#[test]
fn the_admin_listener_speaks_neither_http_2_nor_a_version_under_its_lowest() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let lines = TLS.replace(" }", ", min_version = \"1.3\" }");
    let gateway = setup(&authority.issue(&["localhost"]), &upstream, &lines).start();
    static ONLY_TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    let old = authority.client().versions(ONLY_TLS12).config();
    assert!(TlsClient::connect(gateway.admin(), "localhost", &old).is_err());
    let mut http2 = (*authority.client().config()).clone();
    http2.alpn_protocols = vec![b"h2".to_vec()];
    assert!(TlsClient::connect(gateway.admin(), "localhost", &http2.into()).is_err());
}

#[test]
fn a_reload_brings_another_certificate_of_the_admin_listener_into_force() {
    let (before, after, upstream) = (Authority::new("before"), Authority::new("after"), Upstream::ok());
    let gateway = setup(&before.issue(&["localhost"]), &upstream, TLS).start();
    let reaches = |authority: &Authority| {
        TlsClient::connect(gateway.admin(), "localhost", &authority.client().config()).is_ok()
    };
    assert!(reaches(&before) && !reaches(&after));
    let fixed = gateway.reload(setup(&after.issue(&["localhost"]), &upstream, TLS));
    assert!(!fixed.contains(&"tls.listen"), "{fixed:?}");
    assert!(reaches(&after) && !reaches(&before));
    // Without `tls`, the listener still speaks TLS until a restart.
    let fixed = gateway.reload(setup(&after.issue(&["localhost"]), &upstream, ""));
    assert!(fixed.contains(&"admin"), "{fixed:?}");
    assert!(reaches(&after));
}

/// A folder with a gateway.toml whose admin listener speaks TLS.
struct Folder {
    folder: TempDir,
    admin: Reserved,
}

impl Folder {
    fn new(upstream: &Upstream) -> Self {
        let (folder, plain, admin) = (tempfile::tempdir().unwrap(), Reserved::new(), Reserved::new());
        let text = format!(
            "[server]\nlisten = \"{}\"\nreuse_port = true\nmax_connections = 100\n[admin]\nlisten = \"{}\"\n{TLS}\n\
             [queue]\nstore = \"events.db\"\nmin_free = 1\n\
             [signature]\nscheme = \"propify\"\nsecrets = [{{ env = \"KEY\" }}]\n\
             [[routes]]\npath = \"{PATH}\"\nupstream = \"{}\"\ndelivery = \"queue\"\n",
            plain.address(),
            admin.address(),
            upstream.url()
        );
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        Self { folder, admin }
    }

    fn certificate(&self, certificate: &Issued) {
        for (name, content) in [("admin.crt", &certificate.cert), ("admin.key", &certificate.key)] {
            let (new, path) = (self.folder.path().join("new"), self.folder.path().join(name));
            fs::write(&new, content).unwrap();
            fs::rename(new, path).unwrap();
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(arguments).current_dir(self.folder.path()).env("KEY", SECRET).stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn ask(&self, arguments: &[&str], succeeds: bool) -> String {
        let output: Output = self.command(arguments).output_in_time();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), succeeds, "{arguments:?}: {text}");
        text
    }
}

#[test]
fn a_token_that_leaves_the_machine_over_plain_http_is_noted() {
    for (origin, is_noted) in
        [("http://0.0.0.0:1", true), ("http://127.0.0.1:1", false), ("https://0.0.0.0:1", false)]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(["events", "list", "--admin", origin, "--token-env", "TOKEN"]).env("TOKEN", "s3cr3t");
        let output = command.output_in_time();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.contains("in clear text"), is_noted, "{origin} {text}");
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[test]
fn the_commands_ask_over_https_and_believe_exactly_the_certificate_of_the_file() {
    let upstream = Upstream::ok();
    let folder = Folder::new(&upstream);
    // Neither the name nor the issuer matters.
    folder.certificate(&Authority::new("us").issue(&["gateway.internal"]));
    let mut running = Running::start(&mut folder.command(&["run"]));
    running.wait_for("the admin listener answers");
    let (https, http) =
        (format!("https://{}", folder.admin.address()), format!("http://{}", folder.admin.address()));
    let live = folder.ask(&["check", "--live"], true);
    assert!(live.contains(&https), "{live}");
    folder.ask(&["check", "--live", "--admin", &https], true);
    folder.ask(&["secrets"], true);
    folder.ask(&["events", "list"], true);
    // Content of many records arrives whole.
    let body = format!("{{\"meta\":{{\"object\":\"leases\"}},\"pad\":\"{}\"}}", "x".repeat(900_000));
    fs::write(folder.folder.path().join("body"), body).unwrap();
    folder.ask(&["send", PATH, "--body", "body"], true);
    let exported = folder.ask(&["events", "export"], true);
    assert!(exported.len() > 900_000 && exported.ends_with("}\n"), "{} bytes", exported.len());
    let doctor = folder.ask(&["doctor"], true);
    assert!(doctor.contains(&https) && doctor.contains("0 problems"), "{doctor}");
    for arguments in [
        &["check", "--live", "--admin", &http][..],
        &["secrets", "--admin", &http],
        &["events", "list", "--admin", &http],
        &["doctor", "--admin", &http],
    ] {
        let text = folder.ask(arguments, false);
        assert!(text.contains("name it with https://"), "{arguments:?}: {text}");
    }
    let line = running.wait_for("plain HTTP came to the admin listener");
    assert!(line.contains("https://"), "{line}");
    let check = folder.ask(&["check"], true);
    assert!(check.contains("gateway.internal") && check.contains("[admin]"), "{check}");

    folder.certificate(&Authority::new("others").issue(&["other.internal"]));
    running.wait_for("reloaded");
    folder.ask(&["check", "--live"], true);
    // A certificate that the gateway does not take: its key is another.
    fs::write(folder.folder.path().join("admin.crt"), Authority::new("us").issue(&["a"]).cert).unwrap();
    running.wait_for("not reloaded");
    let text = folder.ask(&["check", "--live"], false);
    assert!(text.contains("none of those that gateway.toml names"), "{text}");
    fs::remove_file(folder.folder.path().join("admin.crt")).unwrap();
    let text = folder.ask(&["check", "--live"], false);
    assert!(text.contains("admin.crt"), "{text}");
}
