//! The admin listener on a unix socket: who may connect, what needs no token, and the commands that ask it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::in_time::OutputInTime as _;
use crate::support::process::{Running, address_in};
use crate::support::request::PATH;
use crate::support::{Client, FIXTURE, PATIENCE, Reserved, SECRET, post};

/// A folder with a gateway.toml whose admin listener is a unix socket, and with a store.
struct Folder {
    folder: TempDir,
    app: Reserved,
}

impl Folder {
    /// With further lines of `[server]` and of `[admin]`.
    fn new(server: &str, admin: &str) -> Self {
        let (folder, app) = (tempfile::tempdir().unwrap(), Reserved::new());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n{server}\n\
             [admin]\nlisten = \"unix:{}\"\n{admin}\n\
             [queue]\nstore = \"{}\"\nmin_free = 1\n\
             [signature]\nscheme = \"propify\"\nsecrets = [{{ name = \"current\", value = \"{SECRET}\" }}]\n\
             [[routes]]\npath = \"{PATH}\"\nupstream = \"http://{}\"\ndelivery = \"queue\"\n",
            path("admin.sock"),
            path("events.db"),
            app.address()
        );
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        Self { folder, app }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output_in_time()
    }

    fn start(&self) -> (Running, String) {
        let mut running = Running::start(&mut self.command(&["run"]));
        let line = running.wait_for("listening");
        running.wait_for("the admin listener answers");
        (running, line)
    }

    fn mode(&self) -> u32 {
        fs::metadata(self.socket()).unwrap().permissions().mode() & 0o777
    }
}

fn stop(mut running: Running) {
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0), "{}", running.seen);
}

/// Asks the socket with these field lines, and returns the answer.
fn get(socket: &Path, target: &str, lines: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\n{lines}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn answers(socket: &Path, target: &str, lines: &str, status: u16) -> String {
    let answer = get(socket, target, lines);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{lines:?}: {answer}");
    answer
}

#[test]
fn only_the_gateways_user_may_connect_and_the_socket_goes_with_the_gateway() {
    let folder = Folder::new("", "");
    drop(UnixListener::bind(folder.socket()).unwrap());
    let (running, _) = folder.start();
    assert_eq!(folder.mode(), 0o600, "the socket that was left is replaced");
    for target in ["/healthz", "/readyz", "/metrics", "/secrets"] {
        answers(&folder.socket(), target, "host: localhost\r\n", 200);
    }
    let second = folder.ask(&["run"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(
        said.contains("admin.sock") && said.contains("another process") && said.contains("[admin]"),
        "{said}"
    );
    answers(&folder.socket(), "/healthz", "host: localhost\r\n", 200);
    stop(running);
    assert!(!folder.socket().exists(), "the socket is removed");
}

#[test]
fn unix_mode_lets_a_group_connect() {
    let folder = Folder::new("", "unix_mode = \"0660\"");
    let (running, _) = folder.start();
    assert_eq!(folder.mode(), 0o660);
    stop(running);
}

#[test]
fn the_api_needs_no_token_on_a_unix_socket_and_refuses_pages_and_proxies() {
    let folder = Folder::new("", "tokens = [{ name = \"ops\", file = \"token\", role = \"operate\" }]");
    let token = folder.folder.path().join("token");
    fs::write(&token, "the-token-of-the-operators").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let (running, _) = folder.start();
    let list = |lines: &str, status| answers(&folder.socket(), "/api/v1/events", lines, status);
    for host in ["localhost", "hookgate", "127.0.0.1", ""] {
        assert!(list(&format!("host: {host}\r\n"), 200).contains("\"events\""), "{host}");
    }
    list("host: localhost\r\norigin: null\r\n", 403);
    list("host: evil.example\r\n", 403);
    list("host: localhost\r\nx-forwarded-for: 192.0.2.1\r\n", 401);
    list("host: localhost\r\nauthorization: Bearer wrong\r\n", 401);
    list("host: localhost\r\nauthorization: Bearer the-token-of-the-operators\r\n", 200);
    stop(running);
}

#[test]
fn every_command_that_asks_a_gateway_asks_over_a_unix_socket() {
    let folder = Folder::new("", "");
    let (running, line) = folder.start();
    let answer = Client::connect(address_in(&line)).send(post(FIXTURE).bytes()).response();
    assert_eq!(answer.status, 202, "{answer:?}");
    let named = format!("unix:{}", folder.socket().display());
    let done = |arguments: &[&str]| {
        let output = folder.ask(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    for admin in [&[][..], &["--admin", &named]] {
        assert!(done(&[&["check", "--live"], admin].concat()).contains(&named));
        assert!(done(&[&["events", "list"], admin].concat()).contains(PATH));
        assert!(done(&[&["secrets"], admin].concat()).contains("current"));
    }
    done(&["events", "pause", "--route", PATH]);
    let doctor = folder.ask(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let findings: Vec<_> = report["findings"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let (app, other): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.contains("\"upstream\""));
    assert!(app.iter().all(|finding| finding.contains(&folder.app.address().to_string())), "{app:?}");
    assert!(!other.iter().any(|finding| finding.contains("\"problem\"")), "{other:?}");
    assert!(other.iter().any(|finding| finding.contains(&named)), "{other:?}");
    stop(running);
    let live = folder.ask(&["check", "--live"]);
    assert_eq!(live.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&live.stderr).contains(&named));
}

/// With `reuse_port` the path leads to the old gateway until the new one has the store.
#[test]
fn a_successor_takes_the_socket_over_when_it_has_the_store() {
    let folder = Folder::new("reuse_port = true", "");
    let (first, _) = folder.start();
    let mut second = Running::start(&mut folder.command(&["run"]));
    second.wait_for("another hookgate has the store");
    answers(&folder.socket(), "/readyz", "host: localhost\r\n", 200);
    stop(first);
    second.wait_for("the admin listener answers");
    answers(&folder.socket(), "/readyz", "host: localhost\r\n", 200);
    stop(second);
    assert!(!folder.socket().exists());
}

#[test]
fn a_second_signal_removes_the_file_of_the_socket() {
    let folder = Folder::new("drain_delay = \"60s\"", "");
    let (mut running, _) = folder.start();
    assert!(folder.socket().exists());
    running.signal("-TERM");
    running.wait_for("not ready");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(143));
    assert!(!folder.socket().exists());
}
