//! The process as the system sees it: its limits, the access of other processes to it, and the traces of a
//! panic.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::in_time::OutputInTime as _;
use crate::support::process::{Running, address_in};
use crate::support::upstream::OK;
use crate::support::{Client, FIXTURE, SECRET, Upstream, gate, post};

const CONFIG: &str = r#"
server = { listen = "127.0.0.1:0", max_connections = 500, workers = 1 }
signature = { scheme = "propify", secrets = [{ env = "KEY" }] }
routes = [{ path = "/", upstream = "http://127.0.0.1:9", max_idle = 20 }]
"#;

/// A running gateway. A shell command starts it, and may set limits first.
struct Gateway {
    /// It has seen the log output up to the moment when the gateway served.
    running: Running,
    _folder: TempDir,
}

impl Gateway {
    fn start(limits: &str, user: Option<u32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let config = folder.path().join("gateway.toml");
        fs::write(&config, CONFIG).unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{limits} exec \"$0\" --config \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_hookgate"))
            .arg(&config)
            .env("KEY", "a secret that is long enough");
        if let Some(user) = user {
            command.uid(user);
        }
        let mut running = Running::start(&mut command);
        running.wait_for("\"listening\"");
        Self { running, _folder: folder }
    }

    fn proc(&self, name: &str) -> std::path::PathBuf {
        format!("/proc/{}/{name}", self.running.id()).into()
    }

    /// The soft limit and the hard limit.
    fn limit(&self, name: &str) -> (String, String) {
        let limits = fs::read_to_string(self.proc("limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("a limit of that name");
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }
}

#[test]
fn the_process_leaves_no_core_dump() {
    let gateway = Gateway::start("ulimit -c unlimited;", None);
    assert_eq!(gateway.limit("Max core file size"), ("0".to_owned(), "0".to_owned()));
}

/// A process that is not dumpable cannot be inspected: root owns the files of its memory in /proc.
#[test]
fn no_other_process_of_the_same_user_can_look_into_it() {
    let me = fs::metadata("/proc/self").unwrap().uid();
    let user = if me == 0 { 12_345 } else { me };
    let gateway = Gateway::start("", (me == 0).then_some(user));
    assert_eq!(fs::metadata(gateway.proc("")).unwrap().uid(), user, "it runs as that user");
    for file in ["environ", "maps", "mem"] {
        assert_ne!(fs::metadata(gateway.proc(file)).unwrap().uid(), user, "{file}");
    }
}

#[test]
fn the_limit_on_open_files_is_raised_as_far_as_it_goes() {
    let gateway = Gateway::start("ulimit -Sn 100; ulimit -Hn 1500;", None);
    assert_eq!(gateway.limit("Max open files"), ("1500".to_owned(), "1500".to_owned()));
    assert!(!gateway.running.seen.contains("limit on open files"), "{}", gateway.running.seen);
}

#[test]
fn a_limit_on_open_files_that_is_too_low_for_max_connections_is_said() {
    let gateway = Gateway::start("ulimit -n 500;", None);
    let warning = gateway.running.seen.lines().find(|line| line.contains("limit on open files is too low"));
    let warning: serde_json::Value = serde_json::from_str(warning.expect("a warning")).unwrap();
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["allowed"], 500);
    assert_eq!(warning["needed"], 500 + 20 + 4 + 64);
    assert_eq!(warning["connections"], 500 - 20 - 4 - 64);
}

/// A hookgate with few descriptors, and an upstream.
fn with_descriptors(count: u32, upstream: &str, folder: &TempDir) -> (Running, SocketAddr) {
    let config = folder.path().join("gateway.toml");
    let limits = "limits = { header_timeout = \"1h\", idle_timeout = \"1h\" }\n";
    fs::write(&config, format!("{limits}{}", CONFIG.replace("http://127.0.0.1:9", upstream))).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {count}; exec \"$0\" --config \"$1\"")])
        .arg(env!("CARGO_BIN_EXE_hookgate"))
        .arg(&config)
        .env("KEY", SECRET);
    let mut running = Running::start(&mut command);
    let address = address_in(&running.wait_for("\"listening\""));
    (running, address)
}

#[test]
fn clients_that_hold_all_free_descriptors_do_not_keep_events_from_the_app() {
    let (upstream, folder) = (Upstream::ok(), tempfile::tempdir().unwrap());
    let (mut running, address) = with_descriptors(40, &upstream.url(), &folder);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.extend((0..10).map(|_| TcpStream::connect(address).unwrap()));
        Client::connect(address).send(post(FIXTURE).target("/").bytes()).response().assert_answer("ok");
    }
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    assert!(!running.seen.contains("cannot accept"), "{}", running.seen);
}

/// The process has no descriptor left, because its limit is now lower than at the start.
#[test]
fn without_a_descriptor_another_connection_is_evicted_and_that_is_logged_once() {
    let (upstream, folder) = (Upstream::ok(), tempfile::tempdir().unwrap());
    let (mut running, address) = with_descriptors(400, &upstream.url(), &folder);
    let event = || Client::connect(address).send(post(FIXTURE).target("/").bytes()).response();
    event().assert_answer("ok");
    let mut silent: Vec<_> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    event().assert_answer("ok");
    running.limit_descriptors(50);
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).unwrap());
        event().assert_answer("ok");
    }
    running.wait_for("cannot accept connections");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    assert_eq!(running.seen.matches("cannot accept connections").count(), 1, "{}", running.seen);
}

/// Without a descriptor and without a connection to evict, clients wait in the kernel's queue. A loop that
/// only retries would use a whole core meanwhile.
#[test]
fn without_descriptors_nobody_is_accepted_and_no_time_is_spent_until_there_are_some_again() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(OK);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (mut running, address) = with_descriptors(400, &upstream.url(), &folder);
    let event = post(FIXTURE).target("/").bytes();
    let mut events: Vec<_> = (0..10).map(|_| Client::connect(address)).collect();
    for client in &mut events {
        client.send(&event);
    }
    upstream.wait_for(10);
    running.limit_descriptors(20);
    let mut late = Client::connect(address);
    late.send(&event);
    running.wait_for("cannot accept connections");
    let (before, begin) = (running.ticks(), Instant::now());
    thread::sleep(Duration::from_secs(1));
    let (spent, time) = (running.ticks() - before, begin.elapsed());
    assert!(u128::from(spent) * 10 < time.as_millis() / 5, "{spent} hundredths of a second in {time:?}");
    running.limit_descriptors(400);
    running.wait_for("accepting connections again");
    assert_eq!(running.seen.matches("cannot accept connections").count(), 1, "{}", running.seen);
    drop(open);
    for client in events.iter_mut().chain([&mut late]) {
        client.response().assert_answer("ok");
    }
}

/// The test below runs this in a process of its own, because a panic hook applies to the whole process.
#[test]
#[ignore = "no test, but a process that panics"]
fn panic_as_a_child() {
    let log = hookgate::config::Log {
        format: hookgate::config::LogFormat::Json,
        level: hookgate::config::LogLevel::INFO,
        access: hookgate::config::AccessLog::All,
        request_id_field: None,
        diagnose: true,
        old_secret_warning: Duration::ZERO,
    };
    hookgate::telemetry::init(&log);
    hookgate::runtime::process::log_panics();
    let content = String::from("é: content of a request");
    let _caught = std::panic::catch_unwind(|| content[1..].len());
    let _caught = std::panic::catch_unwind(|| panic!("a constant"));
    hookgate::telemetry::flush();
}

#[test]
fn a_panic_is_logged_without_what_it_was_about() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::panic_as_a_child", "--ignored", "--nocapture"])
        .output_in_time();
    let out = String::from_utf8(output.stdout).unwrap();
    let logged: Vec<serde_json::Value> = out
        .lines()
        .filter_map(|line| {
            serde_json::from_str(line.strip_prefix("test process::panic_as_a_child ... ").unwrap_or(line))
                .ok()
        })
        .collect();
    assert_eq!(logged.len(), 2, "{out}");
    for line in &logged {
        assert_eq!(line["level"], "ERROR");
        assert!(line["location"].as_str().unwrap().contains("process.rs:"), "{line}");
    }
    assert_eq!(logged[1]["text"], "a constant");
    let all = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!all.contains("content of a request"), "{all}");
}
