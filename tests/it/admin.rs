//! The admin listener and the log over real sockets, as an operator, a supervisor and Prometheus see them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::Value;

use crate::support::in_time::{OutputInTime as _, accepted, joined};
use crate::support::{
    Client, Gateway, PATIENCE, SECRET, SECRET_NAME, Upstream, gate, gateway, post, signature, unsigned,
};

/// A response of the admin listener: status, field lines, body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nhost: admin\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

fn get(gateway: &Gateway, path: &str) -> Answer {
    ask(gateway.admin(), &format!("GET {path}"))
}

pub(crate) fn metrics(gateway: &Gateway) -> String {
    let answer = get(gateway, "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    answer.body
}

/// The value of the series with exactly this name and these labels.
#[track_caller]
pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{metrics}")).parse().unwrap()
}

/// Waits until a series has the value `want`. The gateway counts a response when it is written, perhaps after
/// the client has read it.
#[track_caller]
pub(crate) fn await_value(gateway: &Gateway, series: &str, want: f64) -> String {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let text = metrics(gateway);
        if value(&text, series) == want {
            return text;
        }
        assert!(std::time::Instant::now() < end, "{series} is not {want} in\n{text}");
    }
}

const PATH: &str = "/webhook/leases";

#[test]
fn every_request_is_counted_by_how_it_ended() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    for _ in 0..3 {
        client.send(post("{}").bytes()).response().assert_answer("ok");
    }
    for (request, status) in
        [(unsigned("{}"), 401), (post("{}").forged("[]"), 401), (post("{}").target("/hostile/path"), 404)]
    {
        assert_eq!(Client::to(&gateway).send(request.bytes()).response().status, status);
    }
    assert_eq!(Client::to(&gateway).send("NONSENSE\r\n\r\n").response().status, 400);

    let requests = |status: u16, reason: &str| {
        format!("hookgate_requests_total{{route=\"{PATH}\",status=\"{status}\",reason=\"{reason}\"}}")
    };
    await_value(&gateway, "hookgate_requests_total{route=\"\",status=\"400\",reason=\"\"}", 1.0);
    let text = await_value(&gateway, &requests(200, ""), 3.0);
    assert_eq!(value(&text, &requests(401, "signature_missing")), 1.0);
    assert_eq!(value(&text, &requests(401, "signature_mismatch")), 1.0);
    assert_eq!(value(&text, &requests(502, "upstream_failed")), 0.0);
    assert_eq!(value(&text, "hookgate_requests_total{route=\"\",status=\"404\",reason=\"no_route\"}"), 1.0);
    let verified = format!("hookgate_verified_total{{route=\"{PATH}\",secret=\"{SECRET_NAME}\"}}");
    assert_eq!(value(&text, &verified), 3.0);
    let last = format!("hookgate_secret_last_seen_timestamp_seconds{{secret=\"{SECRET_NAME}\"}}");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - value(&text, &last)).abs() < 60.0);
    assert!((now - value(&text, "hookgate_start_time_seconds")).abs() < 60.0);
    assert_eq!(value(&text, "hookgate_request_duration_seconds_count"), 7.0);
    let bucket = "hookgate_request_duration_seconds_bucket{le=\"+Inf\"}";
    assert_eq!(value(&text, bucket), 7.0);
    let count = format!("hookgate_upstream_duration_seconds_count{{route=\"{PATH}\"}}");
    assert_eq!(value(&text, &count), 3.0);
    assert_eq!(value(&text, "hookgate_config_generation"), 1.0);
    assert_eq!(value(&text, "hookgate_config_reloads_total{result=\"success\"}"), 0.0);
    assert_eq!(value(&text, "hookgate_buffered_bytes"), 0.0);
    assert_eq!(value(&text, "hookgate_ready"), 1.0);
    assert!(value(&text, "hookgate_connections") >= 1.0, "the first client is still there");
    assert!(!text.contains("hostile"), "no label comes from a stranger");
    assert!(!text.contains(SECRET));
}

#[test]
fn held_bytes_and_open_connections_are_shown_while_they_last() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    let event = post("x".repeat(10_000));
    let (head, body) = (event.head(), event.body());
    client.send(head).send(&body[..9_000]);
    await_value(&gateway, "hookgate_buffered_bytes", 10_000.0);
    await_value(&gateway, "hookgate_connections", 1.0);
    client.send(&body[9_000..]).response().assert_answer("ok");
    await_value(&gateway, "hookgate_buffered_bytes", 0.0);
    drop(client);
    await_value(&gateway, "hookgate_connections", 0.0);
}

#[test]
fn a_route_that_observes_says_what_it_would_have_refused() {
    let upstream = Upstream::ok_under(crate::support::upstream::Oracle::default().observing());
    let gateway = gateway().admin().route_with(PATH, &upstream.url(), "mode = \"observe\"").start();
    let mut client = Client::to(&gateway);
    client.send(unsigned("{}").bytes()).response().assert_answer("ok");
    let series =
        |reason: &str| format!("hookgate_would_refuse_total{{route=\"{PATH}\",reason=\"{reason}\"}}");
    let text = await_value(&gateway, &series("signature_missing"), 1.0);
    assert_eq!(value(&text, &series("signature_mismatch")), 0.0);
    let forwarded = format!("hookgate_requests_total{{route=\"{PATH}\",status=\"200\",reason=\"\"}}");
    assert_eq!(value(&text, &forwarded), 1.0);
    assert_eq!(
        value(&text, &format!("hookgate_verified_total{{route=\"{PATH}\",secret=\"{SECRET_NAME}\"}}")),
        0.0
    );
}

#[test]
fn secrets_of_one_name_are_told_apart_and_each_says_when_it_was_last_seen() {
    let upstream = Upstream::ok_under(
        crate::support::upstream::Oracle::default().scheme("x-hub-signature-256", "sha256="),
    );
    let github = format!(
        "signature = {{ scheme = \"github\", secrets = [{{ name = \"{SECRET_NAME}\", value = \"{SECRET}\" }}] }}"
    );
    let gateway = gateway()
        .admin()
        .route("/propify", "http://127.0.0.1:9")
        .route_with("/github", &upstream.url(), &github)
        .start();
    let event =
        unsigned("{}").target("/github").line(format!("x-hub-signature-256: sha256={}", signature(b"{}")));
    Client::to(&gateway).send(event.bytes()).response().assert_answer("ok");
    let text = await_value(
        &gateway,
        &format!("hookgate_verified_total{{route=\"/github\",secret=\"{SECRET_NAME}\"}}"),
        1.0,
    );
    let last = |label: &str| format!("hookgate_secret_last_seen_timestamp_seconds{{secret=\"{label}\"}}");
    assert_eq!(value(&text, &last(SECRET_NAME)), 0.0, "that of the first signature");
    assert!(value(&text, &last(&format!("{SECRET_NAME}@/github"))) > 0.0);

    let report: Value = serde_json::from_str(&get(&gateway, "/secrets").body).unwrap();
    let secrets = report["secrets"].as_array().unwrap();
    assert_eq!(secrets[0]["last_seen"], Value::Null);
    assert_eq!(secrets[1]["label"], format!("{SECRET_NAME}@/github"));
    assert_eq!((&secrets[1]["verified"], &secrets[1]["scheme"]), (&Value::from(1), &Value::from("github")));
    assert!(secrets[1]["last_seen"].as_u64().unwrap() >= report["started"].as_u64().unwrap());
}

#[test]
fn it_is_ready_until_the_drain_begins_and_answers_until_it_is_over() {
    let (release, held) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            held.pass();
            connection.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    let ready = get(&gateway, "/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "{\"generation\":1,\"status\":\"ready\"}\n"));
    let mut client = Client::to(&gateway);
    client.send(post("{}").bytes());
    upstream.wait_for(1);
    gateway.drain();
    assert_eq!(get(&gateway, "/readyz").status, 503);
    assert_eq!(get(&gateway, "/healthz").status, 200);
    assert_eq!(value(&metrics(&gateway), "hookgate_ready"), 0.0);
    let admin = gateway.admin();
    release.open();
    assert_eq!(client.response().status, 204);
    drop(client);
    gateway.wait();
    assert!(TcpStream::connect(admin).is_err(), "it ends with the gateway");
}

#[test]
fn it_answers_get_and_head_on_its_paths_and_nothing_else() {
    let gateway = gateway().admin().route(PATH, "http://127.0.0.1:9").start();
    let admin = gateway.admin();
    for path in ["/healthz", "/readyz", "/metrics", "/secrets"] {
        let (got, head) = (ask(admin, &format!("GET {path}")), ask(admin, &format!("HEAD {path}")));
        assert_eq!((got.status, head.status), (200, 200), "{path}");
        assert!(!got.body.is_empty() && head.body.is_empty(), "{path}");
        assert!(got.head.contains("connection: close"), "{}", got.head);
        let refused = ask(admin, &format!("POST {path}"));
        assert_eq!(refused.status, 405);
        assert!(refused.head.contains("allow: get, head"), "{}", refused.head);
    }
    for path in ["/", "/metrics/", "/webhook/leases", "/healthz/../metrics"] {
        assert_eq!(ask(admin, &format!("GET {path}")).status, 404, "{path}");
    }
    assert_eq!(ask(admin, "GET /metrics?x=1").status, 200);
}

#[test]
fn silent_clients_do_not_keep_a_supervisor_out_for_long() {
    let gateway = gateway().admin().route(PATH, "http://127.0.0.1:9").start();
    let silent: Vec<TcpStream> =
        (0..80).map(|_| TcpStream::connect_timeout(&gateway.admin(), PATIENCE).unwrap()).collect();
    assert_eq!(get(&gateway, "/healthz").status, 200);
    drop(silent);
    let mut endless = TcpStream::connect(gateway.admin()).unwrap();
    endless.set_read_timeout(Some(PATIENCE)).unwrap();
    let _refused_before_its_end = endless.write_all(format!("GET /{} HTTP", "x".repeat(20_000)).as_bytes());
    let mut answer = Vec::new();
    let _reset = endless.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", answer.escape_ascii());
}

#[test]
fn a_taken_admin_address_is_the_reported_reason_for_not_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = gateway().admin_on(address).route(PATH, "http://127.0.0.1:9").try_start(1).err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

#[test]
fn the_command_reports_why_the_admin_listener_does_not_answer() {
    let why = r#"{"status":"ask by its address"}"#;
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", admin.local_addr().unwrap());
    let answers = std::thread::spawn(move || {
        let mut stream = accepted(&admin);
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        let length = why.len();
        write!(stream, "HTTP/1.1 403 Forbidden\r\ncontent-length: {length}\r\n\r\n{why}").unwrap();
    });
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let told = command.args(["secrets", "--admin", &url]).output_in_time();
    joined(answers);
    assert_eq!(told.status.code(), Some(1));
    let text = String::from_utf8(told.stderr).unwrap();
    assert!(text.contains("does not tell: ask by its address"), "{text}");
}

#[test]
fn the_command_says_which_secrets_are_still_needed() {
    let upstream = Upstream::ok();
    let secrets = format!(
        "scheme = \"propify\"\nsecrets = [{{ name = \"current\", value = \"{SECRET}\" }}, \
         {{ name = \"previous\", value = \"another secret\" }}]"
    );
    let gateway = gateway().admin().signature(&secrets).route(PATH, &upstream.url()).start();
    Client::to(&gateway).send(post("{}").bytes()).response().assert_answer("ok");
    await_value(&gateway, &format!("hookgate_verified_total{{route=\"{PATH}\",secret=\"current\"}}"), 1.0);
    let url = format!("http://{}", gateway.admin());
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(["secrets", "--admin", &url]).args(args).output_in_time()
    };
    let told = run(&[]);
    assert_eq!(told.status.code(), Some(0));
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("last verified an event") && text.contains("1 since the start"), "{text}");
    assert!(text.contains("in use: keep it"), "{text}");
    assert!(text.contains("has verified nothing since the gateway was started"), "{text}");
    assert!(text.contains("too early to say"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
    let told: Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    let safe: Vec<_> = told["secrets"].as_array().unwrap().iter().map(|one| &one["safe_to_remove"]).collect();
    assert_eq!(safe, [false, false]);
    drop(gateway);
    let gone = run(&[]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8(gone.stderr).unwrap().contains("no answer from the admin listener"));
}
