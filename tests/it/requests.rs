//! Recent requests over the admin listener: a page of them, and the stream.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::admin;
use crate::support::gateway::{OPERATOR, VIEWER};
use crate::support::{Client, FIXTURE, Gateway, PATIENCE, SECRET_NAME, Upstream, gateway, post, unsigned};

const PATH: &str = "/webhook/{name}";

/// Sends a GET of the API, with further lines in its head.
fn send(gateway: &Gateway, target: &str, lines: &str) -> TcpStream {
    admin::send(gateway.admin(), "GET", &format!("/api/v1/requests{target}"), lines, "")
}

/// The status code and the document of an answer.
fn get_with(gateway: &Gateway, target: &str, lines: &str) -> (u16, Value) {
    let mut text = String::new();
    send(gateway, target, lines).read_to_string(&mut text).unwrap();
    let (head, content) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(content).unwrap_or_else(|error| panic!("{error}: {content}")))
}

fn get(gateway: &Gateway, target: &str) -> (u16, Value) {
    get_with(gateway, target, "")
}

/// A stream of server-sent events.
///
/// The text is the id of the last event.
struct Following(BufReader<TcpStream>, String);

impl Following {
    fn start(gateway: &Gateway, target: &str, lines: &str) -> (Self, Value) {
        let stream = send(gateway, &format!("/stream{target}"), lines);
        let mut this = Self(BufReader::new(stream), String::new());
        let first = this.line();
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        while !this.line().is_empty() {}
        let (name, start) = this.next();
        assert_eq!(name, "start");
        (this, start)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// The next event: its name and its data. Lines of the chunked coding are passed over.
    fn next(&mut self) -> (String, Value) {
        let (mut name, mut id) = (String::new(), None);
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("event: ") {
                name = text.to_owned();
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.split_once('-').unwrap().1.parse::<u64>().unwrap());
                text.clone_into(&mut self.1);
            } else if let Some(text) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(text).unwrap();
                assert_eq!(id, if name == "start" { None } else { data["number"].as_u64() }, "{data}");
                return (name, data);
            }
        }
    }
}

/// A gateway that has served four requests: verified, forged, without a route, verified. The upstream comes
/// first, so that a test drops the gateway before it: an upstream waits until the gateway has closed its
/// connections.
fn after_four(admin: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::ok();
    let gateway = gateway().admin_with(admin).route(PATH, &upstream.url()).start();
    Client::connect(gateway.address()).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    let forged = post("{}").forged(FIXTURE).bytes();
    assert_eq!(Client::connect(gateway.address()).send(forged).response().status, 401);
    let lost = unsigned("{}").target("/wp-admin/%61?token=hunter2").bytes();
    assert_eq!(Client::connect(gateway.address()).send(lost).response().status, 404);
    Client::connect(gateway.address()).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    (upstream, gateway)
}

/// Waits until this many requests have ended. A request ends after its client has the answer.
fn wait_for(gateway: &Gateway, number: u64) {
    let end = std::time::Instant::now() + PATIENCE;
    while gateway.control().recent().end().number < number {
        assert!(std::time::Instant::now() < end, "not {number} requests");
        std::thread::yield_now();
    }
}

#[test]
fn the_latest_requests_come_first_with_what_became_of_them() {
    let (_upstream, gateway) = after_four("");
    wait_for(&gateway, 4);
    let (status, page) = get(&gateway, "?state=refused");
    assert_eq!(
        (status, &page["next"], &page["kept"], &page["left_out"]),
        (200, &Value::Null, &1000.into(), &0.into())
    );
    let requests = page["requests"].as_array().unwrap();
    let [lost, forged] = requests.as_slice() else { panic!("{page:#}") };
    assert_eq!((&lost["status"], &lost["reason"]), (&404.into(), &"no_route".into()));
    assert_eq!((&lost["method"], &lost["path"]), (&"POST".into(), &"/wp-admin/%61".into()));
    assert!(lost["route"].is_null() && !page.to_string().contains("hunter2"), "{page:#}");
    assert_eq!(
        (&forged["reason"], &forged["route"], &forged["path"]),
        (&"signature_mismatch".into(), &PATH.into(), &"/webhook/leases".into())
    );
    assert_eq!(forged["state"], "refused");
    assert!(forged["detail"].is_null() && forged["secret"].is_null() && forged["bytes_in"].is_number());

    let (_, page) = get(&gateway, "?state=verified&limit=1");
    let good = &page["requests"][0];
    assert_eq!(
        (&good["status"], &good["secret"], &good["kind"]),
        (&200.into(), &SECRET_NAME.into(), &"request".into())
    );
    assert!(good["upstream_ms"].is_number() && good["at"].as_str().unwrap().ends_with('Z'));
    let (_, second) = get(&gateway, &format!("?state=verified&limit=1&before={}", page["next"]));
    assert!(second["requests"][0]["number"].as_u64() < good["number"].as_u64() && second["next"].is_null());
}

#[test]
fn of_several_signatures_a_request_names_the_scheme_that_judged_it() {
    let upstream = Upstream::ok();
    let signatures = "signature = [\n\
        { scheme = \"gitlab-signed\", secrets = [{ value = \"c2lnbmluZyBrZXkgb2YgdGhlIHByb2plY3Q=\" }] },\n\
        { scheme = \"gitlab\", secrets = [{ value = \"the-token-of-the-project\" }] }]";
    let gateway = gateway().admin().route_with("/ci", &upstream.url(), signatures).start();
    let of_the_second = unsigned("{}").target("/ci").line("x-gitlab-token: another-token");
    assert_eq!(Client::connect(gateway.address()).send(of_the_second.bytes()).response().status, 401);
    let of_none = unsigned("{}").target("/ci");
    assert_eq!(Client::connect(gateway.address()).send(of_none.bytes()).response().status, 401);
    wait_for(&gateway, 2);
    let (_, page) = get(&gateway, "");
    let schemes: Vec<_> = page["requests"].as_array().unwrap().iter().map(|one| &one["scheme"]).collect();
    assert_eq!(schemes, ["gitlab-signed", "gitlab"]);
}

#[test]
fn the_stream_has_each_request_as_it_ends_and_goes_on_where_it_broke_off() {
    let (_upstream, gateway) = after_four("");
    wait_for(&gateway, 4);
    let (mut following, start) = Following::start(&gateway, "?past=1&state=verified", "");
    assert!(start["number"].as_u64().unwrap() >= 4 && start["kept"] == 1000, "{start}");
    let (name, past) = following.next();
    assert_eq!((name.as_str(), &past["status"]), ("request", &200.into()));
    Client::connect(gateway.address()).send(unsigned("{}").target("/lost").bytes()).response();
    Client::connect(gateway.address()).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    let (name, good) = following.next();
    assert_eq!(
        (name.as_str(), &good["state"], &good["path"]),
        ("request", &"verified".into(), &"/webhook/leases".into())
    );
    let last = format!("last-event-id: {}\r\n", following.1);
    drop(following);

    Client::connect(gateway.address()).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    let (mut following, _) = Following::start(&gateway, "?state=verified", &last);
    let (_, next) = following.next();
    assert!(next["number"].as_u64() > good["number"].as_u64(), "{next}");
    // The number is that of an earlier process: what there is comes from the start.
    let (mut following, _) = Following::start(&gateway, "?after=1000-3", "");
    assert_eq!(following.next().1["number"], 1);
}

#[test]
fn the_likely_cause_follows_in_the_stream_and_joins_the_request_on_the_page() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin().route(PATH, &upstream.url()).start();
    let (mut following, _) = Following::start(&gateway, "", "");
    Client::connect(gateway.address()).send(unsigned(FIXTURE).bytes()).response();
    let (name, request) = following.next();
    assert_eq!((name.as_str(), &request["reason"]), ("request", &"signature_missing".into()));
    // The diagnosis may be faster than the end of the answer.
    if request["cause"].is_null() {
        let (name, cause) = following.next();
        assert_eq!((name.as_str(), &cause["of"]), ("cause", &request["number"]));
        assert_eq!((&cause["request_id"], &cause["path"]), (&request["request_id"], &request["path"]));
        assert!(!cause["cause"]["advice"].as_str().unwrap().is_empty());
    }
    let (_, page) = get(&gateway, "");
    assert_eq!(page["requests"].as_array().unwrap().len(), 1, "{page:#}");
    assert!(!page["requests"][0]["cause"]["label"].as_str().unwrap().is_empty());
}

#[test]
fn attempts_to_deliver_events_are_among_the_requests() {
    let upstream = Upstream::ok();
    let more = "delivery = \"queue\"";
    let gateway = gateway().admin().queue("").route_with(PATH, &upstream.url(), more).start();
    let (mut following, _) = Following::start(&gateway, "", "");
    assert_eq!(Client::connect(gateway.address()).send(post(FIXTURE).bytes()).response().status, 202);
    let both = [following.next(), following.next()];
    let of = |kind: &str| &both.iter().find(|(name, _)| name == kind).unwrap_or_else(|| panic!("{both:?}")).1;
    let (request, delivery) = (of("request"), of("delivery"));
    assert!(request["event"].is_string());
    assert_eq!(request["event"], delivery["event"]);
    assert_eq!(
        (&delivery["outcome"], &delivery["status"], &delivery["attempt"]),
        (&"delivered".into(), &200.into(), &1.into())
    );
    assert_eq!((&delivery["route"], &delivery["upstream"]), (&PATH.into(), &upstream.url().into()));
    let (_, page) = get(&gateway, "?state=delivery&reason=delivered");
    assert_eq!(page["requests"].as_array().unwrap().len(), 1);
}

#[test]
fn the_rules_of_who_may_ask_are_those_of_the_events() {
    let tokens = "tokens = [{ name = \"viewer\", env = \"VIEWER\" }, { name = \"ops\", env = \"OPERATOR\", role = \"operate\" }]";
    let (_upstream, gateway) = after_four(tokens);
    for target in ["", "/stream"] {
        for (lines, want) in [
            ("origin: http://127.0.0.1\r\n", 403),
            ("sec-fetch-site: cross-site\r\n", 403),
            ("host: evil.example\r\n", 403),
            ("x-forwarded-for: 192.0.2.1\r\n", 401),
            ("authorization: Bearer wrong\r\n", 401),
        ] {
            assert_eq!(get_with(&gateway, target, lines).0, want, "{target} {lines}");
        }
    }
    for token in [VIEWER, OPERATOR] {
        assert_eq!(get_with(&gateway, "", &format!("authorization: Bearer {token}\r\n")).0, 200);
    }
    for (target, want) in [
        ("?state=lost", "there is no state"),
        ("?limit=0", "is a number"),
        ("?limit=1001", "is a number"),
        ("?before=1&before=2", "is there once"),
        ("?after=1", "there is no parameter"),
        ("?color=red", "there is no parameter"),
        ("/stream?limit=1", "there is no parameter"),
    ] {
        let (status, answer) = get(&gateway, target);
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(want), "{target}: {answer}");
    }
}

#[test]
fn a_gateway_that_keeps_nothing_says_so_and_a_reload_changes_that() {
    let upstream = Upstream::ok();
    let gateway = gateway().admin_with("recent = 0").route(PATH, &upstream.url()).start();
    let (mut client, second) = (Client::to(&gateway), post(FIXTURE).line("expect: 100-continue"));
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    // The interim response shows that the first request has ended. Its answer alone does not show that.
    assert_eq!(client.send(second.head()).response().status, 100);
    for target in ["", "/stream"] {
        let (status, answer) = get(&gateway, target);
        assert_eq!((status, &answer["reason"]), (404, &"no_recent".into()));
    }
    let address = gateway.admin();
    let setup = crate::support::gateway().admin_on(address).route(PATH, &upstream.url());
    gateway.reload(setup);
    client.send(second.body()).response().assert_answer("ok");
    wait_for(&gateway, 1);
    let (_, page) = get(&gateway, "");
    assert_eq!(page["requests"].as_array().unwrap().len(), 1, "{page}");
}
