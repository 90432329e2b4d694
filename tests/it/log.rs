//! The log of a running gateway: the content of each line. No request waits until the log is read.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;
use tempfile::TempDir;

use crate::support::process::{Running, address_in};
use crate::support::{Client, FIXTURE, Reserved, SECRET, Upstream, post, unsigned};

/// A configuration with a JSON log, and a command that runs it.
pub(crate) struct Setup {
    folder: TempDir,
}

impl Setup {
    fn new(upstream: &str, log: &str) -> Self {
        Self::of(upstream, log, "")
    }

    /// A configuration with these lines in `[server]`.
    pub(crate) fn with_server(upstream: &str, server: &str) -> Self {
        Self::of(upstream, "", server)
    }

    fn of(upstream: &str, log: &str, server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n{server}\n[log]\nformat = \"json\"\n{log}\n\
             [signature]\nscheme = \"propify\"\nsecrets = [{{ name = \"current\", env = \"KEY\" }}]\n\
             [[routes]]\npath = \"/webhook/{{model}}\"\nupstream = \"{upstream}\"\n"
        );
        std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
        Self { folder }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.current_dir(self.folder.path()).env("KEY", SECRET).stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&self) -> (Running, SocketAddr) {
        let mut running = Running::start(&mut self.command());
        let address = address_in(&running.wait_for("\"listening\""));
        (running, address)
    }
}

/// Ends the gateway, and returns the access lines.
pub(crate) fn access_lines(mut running: Running) -> Vec<Value> {
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    let lines = running.seen.lines().map(|line| match serde_json::from_str::<Value>(line) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {line}"),
    });
    let access: Vec<Value> = lines.filter(|line| line["message"] == "request").collect();
    for line in &access {
        let want = [
            "timestamp",
            "level",
            "request_id",
            "client",
            "peer",
            "status",
            "bytes_in",
            "bytes_out",
            "duration_ms",
        ];
        assert!(want.iter().all(|field| !line[field].is_null()), "{line}");
    }
    access
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn each_request_leaves_one_line_that_says_how_it_ended() {
    let upstream = Upstream::ok();
    let setup = Setup::new(&upstream.url(), "request_id_field = \"x-request-id\"");
    let (running, address) = setup.start();
    let event = post(FIXTURE).line(format!("traceparent: {TRACE}")).line("x-request-id: evt/0001");
    Client::connect(address).send(event.bytes()).response().assert_answer("ok");
    let forged = unsigned(FIXTURE).line("traceparent: 00-0-0-00").line("x-request-id: a\"b");
    assert_eq!(Client::connect(address).send(forged.bytes()).response().status, 401);
    assert_eq!(upstream.only_request().values("traceparent"), [TRACE.as_bytes()], "it passes untouched");

    let lines = access_lines(running);
    let [good, bad] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(good["request_id"], "evt/0001");
    assert_eq!(good["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((&good["method"], &good["path"]), (&"POST".into(), &"/webhook/leases".into()));
    assert_eq!((&good["route"], &good["model"]), (&"/webhook/{model}".into(), &"leases".into()));
    assert_eq!((&good["status"], &good["secret"]), (&200.into(), &"current".into()));
    assert_eq!((&good["bytes_in"], &good["bytes_out"]), (&162.into(), &2.into()));
    assert!(good["upstream_ms"].is_number() && good["verified_ms"].is_number());
    assert!(good.get("reason").is_none());
    assert_eq!(bad["reason"], "signature_missing");
    assert_eq!(bad["request_id"].as_str().unwrap().len(), 16, "an id that is not fit is replaced");
    assert!(bad.get("trace_id").is_none() && bad.get("secret").is_none());
}

/// The lines of requests that no route serves, and of requests on a route with a parameter: the path is the
/// path that was sent.
#[test]
fn each_line_says_the_method_and_the_path_that_were_sent_and_nothing_of_a_query() {
    let upstream = Upstream::ok();
    let setup = Setup::new(&upstream.url(), "");
    let (running, address) = setup.start();
    let long = format!("/{}", "a".repeat(2000));
    let requests = [
        ("POST", "/nowhere?token=hunter2", "/nowhere"),
        ("GET", "/webhook/leases?token=hunter2", "/webhook/leases"),
        ("POST", "/webhook/%2e%2e", "/webhook/%2e%2e"),
        ("OPTIONS", "*", "*"),
        ("BREW", &long, &format!("{}…", &long[..512])),
    ];
    for (method, target, _) in requests {
        let request = format!("{method} {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        Client::connect(address).send(request.as_bytes()).response();
    }
    let malformed = "GET /a\u{1} HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(Client::connect(address).send(malformed.as_bytes()).response().status, 400);
    let lines = access_lines(running);
    assert_eq!(lines.len(), requests.len() + 1);
    for ((method, _, path), line) in requests.iter().zip(&lines) {
        assert_eq!((&line["method"], &line["path"]), (&(*method).into(), &(*path).into()), "{line}");
        assert!(!line.to_string().contains("hunter2"), "{line}");
    }
    let last = lines.last().unwrap();
    assert!(last["method"].is_null() && last["path"].is_null(), "{last}");
}

/// An operator who reads of a malformed request wants to know which sender it was.
#[test]
fn a_refused_head_has_its_method_and_path_if_its_request_line_is_understood() {
    let upstream = Upstream::ok();
    let setup = Setup::new(&upstream.url(), "");
    let (running, address) = setup.start();
    let long = format!("x: {}", "a".repeat(40_000));
    let fields = [
        ("no host", 400),
        ("host: a\r\ncontent-length: 1\r\ncontent-length: 1", 400),
        ("host: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked", 400),
        ("host: a\r\ncontent_length: 1", 400),
        ("host: a\r\ntransfer-encoding: gzip", 501),
        (long.as_str(), 431),
    ];
    for (fields, status) in fields {
        let request = format!("PUT /webhook/leases?token=hunter2 HTTP/1.1\r\n{fields}\r\n\r\n");
        let answer = Client::connect(address).send(request.as_bytes()).response();
        assert_eq!(answer.status, status, "{fields:.60}");
    }
    let lines = access_lines(running);
    assert_eq!(lines.len(), fields.len());
    for ((fields, _), line) in fields.iter().zip(&lines) {
        assert_eq!(
            (&line["method"], &line["path"]),
            (&"PUT".into(), &"/webhook/leases".into()),
            "{fields:.60}"
        );
        assert!(!line.to_string().contains("hunter2"), "{line}");
    }
}

/// An operator who reads of a mismatch wants to know which model came. Content that is not authentic has no
/// say.
#[test]
fn a_model_that_no_route_takes_is_in_the_line_if_it_is_signed() {
    let setup = Setup::new("http://127.0.0.1:9", "");
    let (running, address) = setup.start();
    let event = r#"{"meta":{"object":"jobs\u202e"}}"#;
    assert_eq!(Client::connect(address).send(post(event).bytes()).response().status, 403);
    assert_eq!(Client::connect(address).send(unsigned(event).bytes()).response().status, 401);
    let lines = access_lines(running);
    let [signed, other] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&signed["reason"], &signed["model"]), (&"model_mismatch".into(), &"jobs\u{202e}".into()));
    assert!(signed["detail"].as_str().unwrap().contains("`model`"), "{signed}");
    assert!(other["model"].is_null(), "{other}");
}

#[test]
fn whatever_strangers_write_each_line_is_one_json_object() {
    let setup = Setup::new("http://127.0.0.1:9", "request_id_field = \"x-request-id\"");
    let (running, address) = setup.start();
    let hostile = "\"},{\"level\":\"ERROR\",\"message\":\"\\";
    let mut sent = 0;
    for line in [
        format!("x-request-id: {hostile}"),
        format!("traceparent: {hostile}"),
        "x-request-id: \u{1b}]0;pwned\u{7}".to_owned(),
        "x-request-id: \u{9b}31m".to_owned(),
        format!("x-request-id: {}", "x".repeat(10_000)),
        format!("propify-signature: {hostile}"),
    ] {
        Client::connect(address).send(unsigned("{}").line(line).bytes()).response();
        sent += 1;
    }
    let model =
        "\\u0022}\\n{\\u001b[31m\\u202e\\u061c\\u180e\\u200b\\ufeff\\udb40\\udc01".replace("\\u0022", "\\\"");
    let event = format!("{{\"meta\":{{\"object\":\"{model}\"}}}}");
    assert_eq!(Client::connect(address).send(post(&event).bytes()).response().status, 403);
    for target in ["/%00\"}", "/a\\\"b", "/webhook/'\"<script>"] {
        Client::connect(address).send(post("{}").target(target).bytes()).response();
        sent += 1;
    }
    let lines = access_lines(running);
    assert_eq!(lines.len(), sent + 1);
    assert!(lines.iter().all(|line| line["level"] == "INFO" && line["peer"] == "127.0.0.1"), "{lines:?}");
    assert!(lines.iter().all(|line| line["request_id"].as_str().unwrap().len() == 16), "{lines:?}");
}

#[test]
fn the_access_log_can_be_refusals_only_or_off() {
    let upstream = Upstream::ok();
    for (access, want) in [("refused", 1), ("off", 0)] {
        let setup = Setup::new(&upstream.url(), &format!("access = \"{access}\""));
        let (running, address) = setup.start();
        Client::connect(address).send(post(FIXTURE).bytes()).response().assert_answer("ok");
        assert_eq!(Client::connect(address).send(unsigned(FIXTURE).bytes()).response().status, 401);
        assert_eq!(access_lines(running).len(), want, "{access}");
    }
}

/// A gateway whose standard output is a pipe that `JOURNAL_STREAM` names, or another one. Returns its lines,
/// of a request that its app does not answer, and of one that no route serves.
fn lines_for_the_journal(is_named: bool) -> Vec<String> {
    let setup = Setup::new("http://127.0.0.1:9", "");
    let (reader, writer) = std::io::pipe().unwrap();
    let stat = rustix::fs::fstat(&writer).unwrap();
    let inode = if is_named { stat.st_ino } else { stat.st_ino + 1 };
    let mut command = setup.command();
    command.env("JOURNAL_STREAM", format!("{}:{inode}", stat.st_dev)).stdout(writer).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut lines = Vec::new();
    let mut reader = std::io::BufReader::new(reader).lines().map_while(Result::ok);
    for line in reader.by_ref() {
        lines.push(line);
        if lines.last().unwrap().contains("\"listening\"") {
            break;
        }
    }
    let address = address_in(lines.last().unwrap());
    assert_eq!(Client::connect(address).send(post(FIXTURE).bytes()).response().status, 502);
    assert_eq!(Client::connect(address).send(unsigned("{}").target("/lost").bytes()).response().status, 404);
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    lines.extend(reader);
    child.wait().unwrap();
    lines
}

#[test]
fn each_line_for_the_journal_has_its_priority_and_no_other_line_has_one() {
    for is_named in [true, false] {
        let lines = lines_for_the_journal(is_named);
        for (mark, priority) in
            [("listening", "<6>"), ("upstream_unreachable", "<4>"), ("no_route", "<6>"), ("drained", "<6>")]
        {
            let line =
                lines.iter().find(|line| line.contains(mark)).unwrap_or_else(|| panic!("{mark}: {lines:?}"));
            let json = if is_named { line.strip_prefix(priority) } else { Some(line.as_str()) };
            let json = json.unwrap_or_else(|| panic!("no {priority}: {line}"));
            assert!(serde_json::from_str::<Value>(json).unwrap().is_object());
        }
    }
}

#[test]
fn requests_of_operators_that_are_refused_are_logged_with_the_client_once_a_minute() {
    let setup = Setup::with_server("http://127.0.0.1:9", "[admin]\nlisten = \"127.0.0.1:0\"");
    let mut running = Running::start(&mut setup.command());
    let admin = address_in(&running.wait_for("the admin listener answers"));
    for (token, status) in [("guessed", 401), ("guessed again", 401)] {
        let mut client = Client::connect(admin);
        let request =
            format!("GET /api/v1/routes HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {token}\r\n\r\n");
        assert_eq!(client.send(request.as_bytes()).response().status, status);
    }
    running.wait_for("refused requests because of who asks");
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    let of_refused = |line: &&str| line.contains("because of who asks");
    let [line] = running.seen.lines().filter(of_refused).collect::<Vec<_>>()[..] else {
        panic!("{}", running.seen)
    };
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["level"], &line["client"], &line["status"]),
        (&"INFO".into(), &"127.0.0.1".into(), &401.into())
    );
    assert_eq!((&line["requests"], &line["clients"]), (&1.into(), &1.into()));
    assert!(!running.seen.contains("guessed"), "{}", running.seen);
}

/// Bytes that the kernel has accepted count as sent. So the log must say that the rest of the answer was not
/// sent.
#[test]
fn an_answer_that_its_client_does_not_take_to_the_end_is_logged_as_that() {
    let setup = Setup::new("http://127.0.0.1:9", "");
    let (mut running, address) = setup.start();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let requests = b"POST /nowhere HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
    // The client reads nothing. So write until no more bytes are accepted.
    while client.write(&requests).is_ok() {}
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    running.wait_for("left by the client");
    let lines = access_lines(running);
    let is_short = |line: &&Value| line["detail"].as_str().is_some_and(|detail| detail.contains("left by"));
    let [short] = lines.iter().filter(is_short).collect::<Vec<_>>()[..] else { panic!("not one") };
    let detail = "no `path` of a route is this path: `hookgate check` lists them; \
                  left by the client, before the end of its answer";
    assert_eq!(short["detail"], detail);
    assert_eq!((&short["status"], &short["reason"]), (&404.into(), &"no_route".into()));
    let sent = |line: &Value| line["bytes_out"].as_u64().unwrap();
    let whole = sent(&lines[0]);
    assert!(sent(short) < whole, "{short}");
    assert!(lines.iter().all(|line| sent(line) == whole || line == short));
}

/// A pipe holds 64 KiB. These requests produce several times as many bytes of log lines.
#[test]
fn requests_are_answered_though_nobody_reads_the_log() {
    let upstream = Upstream::ok();
    let setup = Setup::new(&upstream.url(), "");
    let reserved = Reserved::new();
    let port = reserved.address();
    let file = setup.folder.path().join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("127.0.0.1:0", &port.to_string());
    std::fs::write(&file, text).unwrap();
    let (unread, writer) = std::io::pipe().unwrap();
    let mut child = setup.command().stdout(writer).stderr(Stdio::null()).spawn().unwrap();
    let end = std::time::Instant::now() + crate::support::process::PATIENCE;
    let mut client = loop {
        match Client::try_connect(port) {
            Ok(client) => break client,
            Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
        }
    };
    let request = unsigned(FIXTURE).target("/nowhere").without("content-type").forged("").bytes();
    for _ in 0..1000 {
        assert_eq!(client.send(&request).response().status, 404);
    }
    drop(unread);
    assert_eq!(client.send(&request).response().status, 404, "nor when the reader has gone");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The operator should know of this. The upstream decides how often it occurs, so the separate line is rate
/// limited.
#[test]
fn an_upstream_that_sends_more_than_its_answer_is_named_in_each_line_and_once_besides() {
    let upstream = Upstream::scripted(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\n");
    });
    let setup = Setup::new(&upstream.url(), "");
    let (mut running, address) = setup.start();
    for _ in 0..3 {
        Client::connect(address).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    let lines: Vec<Value> = running.seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = "the upstream sent more than its response: the rest was dropped, and the connection closed";
    let access: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(access.len(), 3);
    for line in access {
        assert_eq!(
            (&line["detail"], &line["status"], &line["level"]),
            (&said.into(), &200.into(), &"INFO".into())
        );
        assert!(line.get("reason").is_none(), "{line}");
    }
    let told: Vec<_> = lines.iter().filter(|line| line["message"] == said).collect();
    let [line] = told[..] else { panic!("{lines:?}") };
    assert_eq!((&line["upstream"], &line["level"]), (&upstream.url().into(), &"INFO".into()));
}

/// What hookgate writes to standard error, and where it writes its log, when it cannot start. Both streams
/// are one pipe, as in a terminal. `JOURNAL_STREAM` names it if the pipe stands for the journal.
fn lines_of_a_failed_start(setup: &Setup, is_journal: bool) -> Vec<String> {
    let (reader, writer) = std::io::pipe().unwrap();
    let stat = rustix::fs::fstat(&writer).unwrap();
    let mut command = setup.command();
    if is_journal {
        command.env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino));
    }
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let lines = std::io::BufReader::new(reader).lines().map_while(Result::ok).collect();
    assert!(!child.wait().unwrap().success());
    lines
}

#[test]
fn a_failed_start_is_an_error_in_the_journal_and_stands_behind_the_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new("http://127.0.0.1:9", "");
    let file = setup.folder.path().join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    std::fs::write(&file, text.replace("[[routes]]", "[[routes]]\nmode = \"observe\"")).unwrap();
    for (is_journal, want) in [(true, "<3>error: cannot start"), (false, "error: cannot start")] {
        let lines = lines_of_a_failed_start(&setup, is_journal);
        let at = lines.iter().position(|line| line.starts_with(want));
        let at = at.unwrap_or_else(|| panic!("{lines:?}"));
        let warnings = lines.iter().position(|line| line.contains("\"observing\"")).unwrap();
        assert!(warnings < at, "{lines:?}");
    }
}

#[test]
fn the_report_of_a_wrong_file_is_an_error_in_the_journal() {
    let setup = Setup::new("http://127.0.0.1:9", "levle = \"info\"");
    for (is_journal, want) in [(true, "<3>error[unknown_key]"), (false, "error[unknown_key]")] {
        let lines = lines_of_a_failed_start(&setup, is_journal);
        assert!(lines.iter().any(|line| line.starts_with(want)), "{lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("<3>") == is_journal), "{lines:?}");
    }
}
