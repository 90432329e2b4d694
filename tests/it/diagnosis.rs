//! The log's diagnosis of signatures that do not verify. Each known mistake is reported as its own cause, and
//! as no other cause. Only the operator sees the cause.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookgate::diagnosis;
use serde_json::Value;

use crate::admin::{await_value, metrics, value};
use crate::support::process::{Running, address_in};
use crate::support::request::PATH;
use crate::support::upstream::Oracle;
use crate::support::{
    Client, Gateway, PATIENCE, Post, SECRET, Upstream, gateway, nothing_reached, post, signature,
    signature_with, unsigned,
};

/// A text in every body. No log line may contain it.
const MARK: &str = "mark-of-the-content";

/// A body in the form that Propify writes.
fn body() -> String {
    format!(r#"{{"meta":{{"object":"leases"}},"text":"{MARK}","list":[1,2]}}"#)
}

/// A gateway whose secret is `secret`, in an environment variable.
struct Setup {
    secret: String,
    entry: &'static str,
    scheme: &'static str,
    upstream: String,
    more: String,
    log: &'static str,
}

impl Setup {
    fn new() -> Self {
        let entry = "{ name = \"current\", env = \"KEY\" }";
        let upstream = "http://127.0.0.1:9".to_owned();
        Self { secret: SECRET.to_owned(), entry, scheme: "propify", upstream, more: String::new(), log: "" }
    }

    fn secret(text: impl Into<String>) -> Self {
        Self { secret: text.into(), ..Self::new() }
    }

    /// Starts the gateway without an upstream, and sends it this request. Returns the log lines.
    fn refuses(&self, request: &Post) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let (mut running, address) = self.start(folder.path());
        let response = Client::connect(address).send(request.bytes()).response();
        assert_eq!(response.status, 401, "{}", response.text());
        assert!(response.body.len() < 200 && !response.text().contains("cause"), "{}", response.text());
        assert!(!response.text().contains("minutes") && !response.text().contains("hours"));
        if self.log.is_empty() {
            running.wait_for("likely cause");
        }
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(0));
        assert!(!running.seen.contains(MARK), "{}", running.seen);
        for key in [SECRET, OTHER, self.secret.trim()] {
            assert!(!running.seen.contains(key), "{}", running.seen);
        }
        assert!(!running.seen.contains(&signature(body().as_bytes())), "{}", running.seen);
        running.seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn start(&self, folder: &Path) -> (Running, SocketAddr) {
        let Self { entry, scheme, upstream, more, log, .. } = self;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[log]\nformat = \"json\"\nlevel = \"trace\"\n{log}\n\
             [signature]\nscheme = \"{scheme}\"\nsecrets = [{entry}]\n\
             [[routes]]\npath = \"{PATH}\"\nupstream = \"{upstream}\"\n{more}\n"
        );
        std::fs::write(folder.join("gateway.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.current_dir(folder).env("KEY", &self.secret).env("OTHER", OTHER).stdin(Stdio::null());
        let mut running = Running::start(&mut command);
        let address: SocketAddr = address_in(&running.wait_for("\"listening\""));
        (running, address)
    }
}

const OTHER: &str = "another secret, that is long enough";

/// The only cause in the log.
#[track_caller]
fn cause(log: &[Value]) -> String {
    let causes: Vec<_> = log.iter().filter(|line| line["message"] == "likely cause").collect();
    let [line] = causes.as_slice() else { panic!("{causes:?} in {log:#?}") };
    let request = log.iter().find(|line| line["message"] == "request").expect("a line for the request");
    for field in ["request_id", "route", "reason", "trace_id"] {
        assert_eq!(line[field], request[field], "{field}");
    }
    assert_eq!(line["level"], "INFO");
    for field in ["detail", "advice"] {
        assert!(!line[field].as_str().unwrap().is_empty());
    }
    line["cause"].as_str().unwrap().to_owned()
}

/// A request that was signed over one body and has another body.
fn changed(signed: &[u8], arrives: &[u8]) -> Post {
    post(signed).forged(arrives)
}

fn signed_with(secret: &str) -> Post {
    unsigned(body()).line(format!("propify-signature: {}", signature_with(secret, body().as_bytes())))
}

fn field(value: &str) -> Post {
    unsigned(body()).line(format!("propify-signature: {value}"))
}

#[test]
fn a_mistake_in_the_secret_is_named() {
    for (text, want) in [
        (format!("{SECRET}\n"), "secret_white_space"),
        (format!(" {SECRET}"), "secret_white_space"),
        (format!("\"{SECRET}\""), "secret_quoted"),
        (STANDARD.encode(SECRET), "secret_encoding"),
        (hex::encode(SECRET), "secret_encoding"),
        (format!("v1,whsec_{}", STANDARD.encode(SECRET)), "secret_encoding"),
        (format!("HOOK_SECRET=\"{SECRET}\""), "secret_decorated"),
        (format!("Bearer {SECRET}"), "secret_decorated"),
        (format!("an old one, long enough|{SECRET}"), "secret_decorated"),
    ] {
        assert_eq!(cause(&Setup::secret(&text).refuses(&post(body()))), want, "{text:?}");
    }
    let newline = signed_with(&format!("{SECRET}\n"));
    assert_eq!(cause(&Setup::new().refuses(&newline)), "secret_newline");
    // The reverse case: the gateway decodes the secret from base64 or hexadecimal, but the sender uses the
    // text.
    for (text, entry) in [
        (STANDARD.encode(SECRET), "{ env = \"KEY\", encoding = \"base64\" }"),
        (hex::encode(SECRET), "{ env = \"KEY\", encoding = \"hex\" }"),
    ] {
        let setup = Setup { entry, ..Setup::secret(&text) };
        assert_eq!(cause(&setup.refuses(&signed_with(&text))), "secret_encoding");
    }
}

#[test]
fn a_change_of_the_body_is_named() {
    let body = body();
    let spaced = body.replace("\":", "\": ").replace(",\"", ", \"").replace("1,2", "1, 2");
    let escaped = body.replace(MARK, &format!("{MARK} \\u00e9\\/"));
    let plain = body.replace(MARK, &format!("{MARK} é/"));
    let garbled: String = plain.bytes().map(char::from).collect();
    let lines = "{\n\"text\": 1\n}\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    for (signed, arrives, want) in [
        (body.as_bytes(), format!("{body}\n").as_bytes(), "newline_added"),
        (format!("{body}\n").as_bytes(), body.as_bytes(), "newline_lost"),
        (lines.as_bytes(), lines.replace('\n', "\r\n").as_bytes(), "line_ends"),
        (lines.replace('\n', "\r\n").as_bytes(), lines.as_bytes(), "line_ends"),
        (body.as_bytes(), format!("\u{feff}{body}").as_bytes(), "byte_order_mark"),
        (body.as_bytes(), spaced.as_bytes(), "reserialized"),
        (spaced.as_bytes(), body.as_bytes(), "reserialized"),
        (plain.as_bytes(), escaped.as_bytes(), "reserialized"),
        (body.as_bytes(), &gzip, "compressed"),
        (body.as_bytes(), format!(" {body}\t").as_bytes(), "white_space"),
        (plain.as_bytes(), garbled.as_bytes(), "charset"),
        (plain.as_bytes(), plain.replace("\u{e9}/", "f?r").as_bytes(), "charset"),
        (body.as_bytes(), STANDARD.encode(&body).as_bytes(), "base64"),
        (body.as_bytes(), format!("{{\"payload\":{body}}}").as_bytes(), "envelope"),
        (format!("{{\"payload\": {body}}}").as_bytes(), body.as_bytes(), "envelope"),
        (b"a=x+y%2Fz&b=", b"a=x%20y%2fz&b=", "reserialized"),
        (body.as_bytes(), b"", "emptied"),
    ] {
        assert_eq!(cause(&Setup::new().refuses(&changed(signed, arrives))), want);
    }
    let decompressed = changed(&gzip, body.as_bytes()).line("content-encoding: gzip");
    assert_eq!(cause(&Setup::new().refuses(&decompressed)), "decompressed");
}

#[test]
fn a_secret_of_another_route_or_an_expired_one_is_named() {
    let other = r#"
        [[routes]]
        path = "/theirs"
        upstream = "http://127.0.0.1:9"
        signature = { scheme = "propify", secrets = [{ name = "theirs", env = "OTHER" }] }
    "#;
    let setup = Setup { more: other.to_owned(), ..Setup::new() };
    let log = setup.refuses(&signed_with(OTHER));
    assert_eq!(cause(&log), "other_route");
    let said = log.iter().find(|line| line["message"] == "likely cause").unwrap()["detail"].to_string();
    assert!(said.contains("`theirs`") && said.contains("/theirs"), "{said}");
    let entry = "{ name = \"current\", env = \"KEY\" }, \
                 { name = \"previous\", env = \"OTHER\", not_after = 2020-01-01T00:00:00Z }";
    let setup = Setup { entry, ..Setup::new() };
    assert_eq!(cause(&setup.refuses(&signed_with(OTHER))), "secret_expired");
}

#[test]
fn a_signature_of_another_form_is_named_though_no_body_was_read() {
    let tag = signature(body().as_bytes());
    let raw = hex::decode(&tag).unwrap();
    let declared = |post: Post| post.line("expect: 100-continue");
    for (request, want) in [
        (field(&STANDARD.encode(&raw)), "notation"),
        (field(&format!("sha256={tag}")), "notation"),
        (field(&format!("\"{tag}\"")), "notation"),
        (field(&tag[..40]), "notation"),
        (field(&format!("{tag}, {tag}")), "doubled"),
        (field(&tag).line(format!("propify-signature: {tag}")), "doubled"),
        (unsigned(body()).line(format!("propexo-signature: {tag}")), "other_scheme"),
        (unsigned(body()).line(format!("x-hub-signature-256: sha256={tag}")), "other_scheme"),
    ] {
        assert_eq!(cause(&Setup::new().refuses(&request)), want, "{request:?}");
        assert_eq!(cause(&Setup::new().refuses(&declared(request))), want, "with its body not even sent");
    }
    // In a list, the tag is examined alone.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let tag = hex::decode(signature(format!("{now}.{}", body()).as_bytes())).unwrap();
    let listed = unsigned(body()).line(format!("stripe-signature: t={now},v1={}", STANDARD.encode(tag)));
    let log = Setup { scheme: "stripe", ..Setup::new() }.refuses(&listed);
    assert_eq!(cause(&log), "notation");
    let said = log.iter().find(|line| line["message"] == "likely cause").unwrap()["detail"].to_string();
    assert!(said.contains("in base64, where this scheme writes hexadecimal"), "{said}");
}

#[test]
fn a_clock_that_is_off_is_named_with_how_far() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let setup = || Setup { scheme: "stripe", ..Setup::new() };
    let sent = |time: String| {
        let tag = signature(format!("{time}.{}", body()).as_bytes());
        unsigned(body()).line(format!("stripe-signature: t={time},v1={tag}"))
    };
    for (time, want) in [(now - 1025, "17 minutes ago"), (now + 7205, "2 hours ahead")] {
        let log = setup().refuses(&sent(time.to_string()));
        assert_eq!(cause(&log), "signed_time");
        let said = log.iter().find(|line| line["message"] == "likely cause").unwrap()["detail"].to_string();
        assert!(said.contains("a clock is wrong") && !said.contains("minutes"), "it is said twice: {said}");
        let request = log.iter().find(|line| line["message"] == "request").unwrap();
        assert_eq!(request["detail"], format!("the signed time is {want}, where 5 minutes are allowed"));
    }
    assert_eq!(cause(&setup().refuses(&sent(format!("{now}000")))), "time_unit");
}

#[test]
fn the_record_of_an_observed_request_says_how_far_its_time_is_off() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let in_field = format!("{}.{}", now - 1025, body());
    let in_content = format!(r#"{{"webhookTimestamp":{}000}}"#, now - 7205);
    let tag = |text: &str| signature(text.as_bytes()).rsplit('=').next().unwrap().to_owned();
    let (of_field, of_content) = (tag(&in_field), tag(&in_content));
    for (scheme, body, line, allowed) in [
        (
            "stripe",
            body(),
            format!("stripe-signature: t={},v1={of_field}", now - 1025),
            "17 minutes ago, where 5 minutes",
        ),
        ("linear", in_content, format!("linear-signature: {of_content}"), "2 hours ago, where 60 seconds"),
    ] {
        let setup = Setup {
            scheme,
            upstream: upstream.url(),
            more: "mode = \"observe\"".to_owned(),
            log: "diagnose = false",
            ..Setup::new()
        };
        let folder = tempfile::tempdir().unwrap();
        let (mut running, address) = setup.start(folder.path());
        Client::connect(address).send(unsigned(&body).line(line).bytes()).response().assert_answer("ok");
        running.signal("-TERM");
        assert_eq!(running.ended(), Some(0));
        let log: Vec<Value> = running.seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let request = log.iter().find(|line| line["message"] == "request").unwrap();
        assert_eq!(request["would_refuse"], "timestamp_expired");
        assert_eq!(request["detail"], format!("the signed time is {allowed} are allowed"));
    }
}

/// The time in the content is checked after the signature.
#[test]
fn the_record_says_how_far_the_time_in_verified_content_is_off_also_without_a_diagnosis() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let setup = Setup { scheme: "linear", log: "diagnose = false", ..Setup::new() };
    let body = format!(r#"{{"webhookTimestamp":{}000}}"#, now - 7205);
    for (signed, reason, detail) in [
        (
            &*body,
            "timestamp_expired",
            Value::from("the signed time is 2 hours ago, where 60 seconds are allowed"),
        ),
        ("{}", "signature_mismatch", Value::Null),
    ] {
        let tag = signature(signed.as_bytes()).rsplit('=').next().unwrap().to_owned();
        let log = setup.refuses(&unsigned(&body).line(format!("linear-signature: {tag}")));
        let request = log.iter().find(|line| line["message"] == "request").unwrap();
        assert_eq!((&request["reason"], &request["detail"]), (&reason.into(), &detail));
    }
}

#[test]
fn a_well_formed_forgery_has_no_likely_cause() {
    let unknown = signature_with("nobody here has this secret", body().as_bytes());
    let other = body().replace("leases", "leads");
    for request in [
        field(&unknown),
        changed(body().as_bytes(), other.as_bytes()),
        field("nonsense"),
        field(&unknown[1..]),
        field(&format!("{unknown},{}", signature(b""))),
        field(&unknown).line(format!("propify-signature: {}", signature(b""))),
    ] {
        let log = Setup::new().refuses(&request);
        let named: Vec<_> = log.iter().filter(|line| line["message"] == "likely cause").collect();
        assert!(named.is_empty(), "{named:?}");
        let looked = log.iter().filter(|line| line["message"] == "no likely cause");
        assert_eq!(looked.count(), 1, "it was looked into");
    }
}

#[test]
fn a_request_without_a_signature_is_named_and_where_the_sender_gets_its_secret() {
    for request in [unsigned(body()), unsigned(body()).line("x-hub-signature-256: nonsense")] {
        assert_eq!(cause(&Setup::new().refuses(&request)), "unsigned");
    }
    let log = Setup { scheme: "github", ..Setup::new() }.refuses(&unsigned(body()));
    assert_eq!(cause(&log), "unsigned");
    let line = log.iter().find(|line| line["message"] == "likely cause").unwrap();
    assert!(line["advice"].as_str().unwrap().contains("the field Secret of the webhook"), "{line}");
}

/// Guards against quadratic work. For each of these bodies, a search from every byte to the next non-space
/// would take minutes.
#[test]
fn a_running_diagnosis_does_not_delay_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, address) = Setup::new().start(folder.path());
    let body = format!("{{{}}}", " ".repeat(diagnosis::sample::LONGEST_CONTENT - 2));
    let forged = changed(b"{}", body.as_bytes());
    let mut client = Client::connect(address);
    for _ in 0..diagnosis::submitter::ROUTE_TOKENS {
        assert_eq!(client.send(forged.bytes()).response().status, 401);
    }
    running.signal("-TERM");
    running.wait_for("drained");
    assert_eq!(running.ended(), Some(0));
}

/// With so many secrets, the work for one sample exceeds its limit.
#[test]
fn a_diagnosis_beyond_the_work_limit_is_given_up_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = (0..500).map(|n| format!(", {{ name = \"{n}\", value = \"another secret, number {n}\" }}"));
    let entry = format!("{{ name = \"current\", env = \"KEY\" }}{}", secrets.collect::<String>());
    let setup = Setup { entry: entry.leak(), ..Setup::new() };
    let (mut running, address) = setup.start(folder.path());
    let body = vec![b'x'; diagnosis::sample::LONGEST_CONTENT];
    let response = Client::connect(address).send(changed(b"{}", &body).bytes()).response();
    assert_eq!(response.status, 401);
    let line: Value = serde_json::from_str(&running.wait_for("likely cause")).unwrap();
    assert_eq!((line["message"].as_str(), line["level"].as_str()), (Some("no likely cause"), Some("DEBUG")));
    assert!(line["detail"].as_str().unwrap().contains("given up"), "{line}");
}

#[test]
fn it_can_be_turned_off() {
    let log = Setup { log: "diagnose = false", ..Setup::new() }
        .refuses(&field(&format!("sha256={}", signature(body().as_bytes()))));
    assert!(log.iter().all(|line| line["message"].as_str() != Some("likely cause")), "{log:?}");
}

/// In observe mode, the body is read even if the signature is malformed. So the tag is tried too.
#[test]
fn a_route_that_observes_is_told_why_it_would_have_refused() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let setup =
        |mode: &str| gateway().admin().route_with(PATH, &upstream.url(), &format!("mode = \"{mode}\""));
    let gateway = setup("observe").start();
    let tag = signature(body().as_bytes());
    let unknown = signature_with("nobody here has this secret", body().as_bytes());
    for request in [
        changed(body().as_bytes(), format!("{}\n", body()).as_bytes()),
        field(&format!("sha256={tag}")),
        field(&format!("sha256={unknown}")),
    ] {
        Client::to(&gateway).send(request.bytes()).response().assert_answer("ok");
    }
    let series = |cause: &str| format!("hookgate_diagnosed_total{{route=\"{PATH}\",cause=\"{cause}\"}}");
    await_value(&gateway, &series("unexplained"), 1.0);
    for cause in ["newline_added", "notation"] {
        assert_eq!(value(&metrics(&gateway), &series(cause)), 1.0);
    }
}

/// The number of diagnosed samples, with any result.
fn diagnosed(metrics: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with("hookgate_diagnosed_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Waits until `tokens` samples are diagnosed. More are allowed only if enough time has passed for new
/// tokens.
#[track_caller]
fn assert_diagnosed(gateway: &Gateway, begin: Instant, tokens: u32, rest: Duration) {
    let end = Instant::now() + PATIENCE;
    let found = loop {
        let found = diagnosed(&metrics(gateway));
        if found >= f64::from(tokens) {
            break found;
        }
        assert!(Instant::now() < end, "{found}");
    };
    let times = u32::try_from(begin.elapsed().as_secs() / rest.as_secs()).unwrap() + 1;
    assert!(found <= f64::from(tokens * times), "{found}");
}

#[test]
fn of_many_forgeries_on_one_route_four_are_diagnosed() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start_on(2);
    let forged = changed(body().as_bytes(), b"[]").bytes();
    let mut clients = [Client::to(&gateway), Client::to(&gateway)];
    let begin = Instant::now();
    for _ in 0..500 {
        for client in &mut clients {
            assert_eq!(client.send(&forged).response().status, 401);
        }
    }
    let refused =
        format!("hookgate_requests_total{{route=\"{PATH}\",status=\"401\",reason=\"signature_mismatch\"}}");
    await_value(&gateway, &refused, 1000.0);
    assert_diagnosed(&gateway, begin, diagnosis::submitter::ROUTE_TOKENS, diagnosis::sample::ROUTE_PERIOD);
    nothing_reached(gateway, upstream);
}

#[test]
fn of_many_forgeries_on_every_route_eight_are_diagnosed() {
    let upstream = Upstream::ok();
    let routes = 0..20;
    let setup =
        routes.clone().fold(gateway().admin(), |setup, n| setup.route(&format!("/{n}"), &upstream.url()));
    let gateway = setup.start();
    let mut client = Client::to(&gateway);
    let begin = Instant::now();
    for n in routes.clone().chain(routes) {
        let forged = changed(body().as_bytes(), b"[]").target(&format!("/{n}"));
        assert_eq!(client.send(forged.bytes()).response().status, 401);
    }
    assert_diagnosed(&gateway, begin, diagnosis::submitter::TOTAL_TOKENS, diagnosis::submitter::TOTAL_PERIOD);
    nothing_reached(gateway, upstream);
}

#[test]
fn a_body_that_is_too_long_is_not_diagnosed() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    let longest = diagnosis::sample::LONGEST_CONTENT;
    let series = |cause: &str| format!("hookgate_diagnosed_total{{route=\"{PATH}\",cause=\"{cause}\"}}");
    let content = vec![b'x'; longest - 1];
    for arrives in [[b"\xef\xbb\xbf", content.as_slice()].concat(), [content.as_slice(), b"\n"].concat()] {
        let request = changed(&content, &arrives);
        assert_eq!(Client::to(&gateway).send(request.bytes()).response().status, 401);
    }
    // Samples are diagnosed in the order of their arrival.
    let text = await_value(&gateway, &series("newline_added"), 1.0);
    assert_eq!(value(&text, &series("byte_order_mark")), 0.0);
    nothing_reached(gateway, upstream);
}
