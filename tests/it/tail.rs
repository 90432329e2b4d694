//! `hookgate tail`, and the log for people: both have the same lines.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{PATIENCE, Running, address_in};
use crate::support::{Client, FIXTURE, SECRET, Upstream, post, unsigned};

/// A folder with a configuration whose admin listener is a unix socket in it, and whose log is for people.
fn folder(upstream: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[log]\nformat = \"pretty\"\n[admin]\nlisten = \"unix:{}\"\n\
         [signature]\nscheme = \"propify\"\nsecrets = [{{ name = \"current\", env = \"KEY\" }}]\n\
         [[routes]]\npath = \"/webhook/{{name}}\"\nupstream = \"{upstream}\"\n",
        socket.display()
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    folder
}

fn command(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command
        .current_dir(folder.path())
        .args(args)
        .env("KEY", SECRET)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

fn gateway(folder: &TempDir) -> (Running, SocketAddr) {
    let mut running = Running::start(&mut command(folder, &[]));
    let address = address_in(&running.wait_for("listening"));
    (running, address)
}

fn good(address: SocketAddr) {
    Client::connect(address).send(post(FIXTURE).bytes()).response().assert_answer("ok");
}

fn lost(address: SocketAddr, path: &str) {
    assert_eq!(Client::connect(address).send(unsigned("{}").target(path).bytes()).response().status, 404);
}

/// A line without its duration. In the API, durations are rounded, and so the last digit can differ.
fn without_duration(line: &str) -> &str {
    line.strip_suffix(" ms").and_then(|line| line.rsplit_once(' ')).map_or(line, |(line, _)| line.trim_end())
}

#[test]
fn the_lines_are_those_of_the_log_and_go_on_when_the_gateway_is_back() {
    let upstream = Upstream::ok();
    let folder = folder(&upstream.url());
    let (mut running, address) = gateway(&folder);
    good(address);
    let of_log = running.wait_for("POST /webhook/leases");
    assert!(of_log.contains("  200  propify/current ") && of_log.ends_with(" ms"), "{of_log}");
    let mut tail = Running::start(&mut command(&folder, &["tail"]));
    assert_eq!(without_duration(&tail.wait_for("POST")), without_duration(&of_log), "of the past");
    lost(address, "/lost?token=hunter2");
    let of_log = running.wait_for("/lost");
    assert_eq!(without_duration(&tail.wait_for("/lost")), without_duration(&of_log));
    assert!(of_log.contains("404  no_route ") && !of_log.contains("hunter2"), "{of_log}");
    assert!(tail.wait_for("no `path`").starts_with("          no `path`"), "the detail stands beneath");

    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    tail.wait_for("waiting for the gateway");
    let (_running, address) = gateway(&folder);
    lost(address, "/back");
    tail.wait_for("POST /back");
    assert_eq!(tail.seen.matches("/lost").count(), 1, "{}", tail.seen);
    assert!(!tail.seen.contains('\u{1b}'), "colours are for terminals");
    tail.signal("-INT");
    assert_eq!(tail.ended(), Some(0));
}

#[test]
fn filters_leave_requests_out_and_json_is_one_document_on_a_line() {
    let upstream = Upstream::ok();
    let folder = folder(&upstream.url());
    let (_running, address) = gateway(&folder);
    lost(address, "/one");
    good(address);
    lost(address, "/two");
    let mut tail =
        Running::start(&mut command(&folder, &["tail", "--refused", "--reason", "no_route", "--json"]));
    tail.wait_for("/two");
    tail.signal("-TERM");
    assert_eq!(tail.ended(), Some(0));
    let documents: Vec<Value> = tail.seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<_> = documents.iter().map(|document| document["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/one", "/two"]);

    let mut none = Running::start(&mut command(&folder, &["tail", "--status", "7xx"]));
    assert_eq!(none.ended(), Some(2), "{}", none.seen);
}

#[test]
fn a_reader_that_has_gone_ends_the_command_without_a_complaint() {
    let upstream = Upstream::ok();
    let folder = folder(&upstream.url());
    let (_running, address) = gateway(&folder);
    good(address);
    let mut child =
        command(&folder, &["tail"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("/webhook/leases"), "{first}");
    // The pipe is closed now. The next line finds that out.
    let end = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
        }
        good(address);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_gateway_that_is_not_there_at_first_is_a_failure() {
    let folder = folder("http://127.0.0.1:9");
    let mut tail = Running::start(&mut command(&folder, &["tail"]));
    assert_eq!(tail.ended(), Some(1));
    assert!(tail.seen.contains("no answer from the admin listener"), "{}", tail.seen);
}
