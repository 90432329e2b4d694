//! Captured requests over real sockets: what `capture = true` on a route keeps of refused requests, and what
//! it never keeps.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::admin;
use crate::support::http2::Http2;
use crate::support::upstream::Oracle;
use crate::support::{Client, FIXTURE, Gateway, PATIENCE, Setup, Upstream, gateway, post, unsigned};

const PATH: &str = "/webhook/leases";

/// A gateway with a route that captures, and one that does not.
fn start(setup: Setup, upstream: &Upstream, lines: &str) -> Gateway {
    let lines = format!("capture = true\nmethods = [\"POST\"]\n{lines}");
    setup.admin().route_with(PATH, &upstream.url(), &lines).route("/other", &upstream.url()).start()
}

fn get(gateway: &Gateway, target: &str) -> (u16, Value) {
    let answer = admin::ask(gateway.admin(), "GET", &format!("/api/v1/requests{target}"), "", "");
    let text = String::from_utf8(answer).unwrap();
    let (head, content) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(content).unwrap())
}

/// The request that ended as the `nth`, counted from 1, with its content. A likely cause has a number, too.
fn captured(gateway: &Gateway, nth: usize) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let (_, page) = get(gateway, "?limit=1000");
        let requests = page["requests"].as_array().unwrap();
        if let Some(request) = requests.iter().rev().nth(nth - 1) {
            return get(gateway, &format!("/{}?content=true", request["number"])).1;
        }
        assert!(Instant::now() < end, "{page}");
    }
}

fn content(document: &Value) -> Vec<u8> {
    STANDARD.decode(document["captured"]["content_base64"].as_str().unwrap_or_default()).unwrap()
}

fn value<'d>(document: &'d Value, name: &str) -> Option<&'d str> {
    let fields = document["captured"]["fields"].as_array()?;
    fields.iter().find(|field| field["name"] == name)?["value"].as_str()
}

#[test]
fn a_forged_request_is_kept_byte_for_byte_without_its_credentials() {
    let upstream = Upstream::ok();
    let gateway = start(gateway(), &upstream, "");
    let forged = post(FIXTURE)
        .forged(b"{\"a\":\"\xff<script>\"}")
        .target("/webhook/leases?x=1&token=guess")
        .line("cookie: session=guess")
        .line("authorization: Bearer guess");
    assert_eq!(Client::to(&gateway).send(forged.bytes()).response().status, 401);
    let document = captured(&gateway, 1);
    assert_eq!(document["reason"], "signature_mismatch");
    assert_eq!(content(&document), b"{\"a\":\"\xff<script>\"}");
    let kept = &document["captured"];
    assert_eq!(kept["target"], "/webhook/leases?x=1&token=(hidden, 5 bytes)");
    assert_eq!(value(&document, "cookie"), Some("(hidden, 13 bytes)"));
    assert_eq!(value(&document, "authorization"), Some("(hidden, 12 bytes)"));
    assert!(
        value(&document, "propify-signature").is_some_and(|value| !value.contains("hidden")),
        "{document}"
    );
    assert!(!document.to_string().contains("guess"), "{document}");
    let (_, without) = get(&gateway, "/1");
    assert!(
        without["captured"].get("content_base64").is_none() && without["captured"]["content_kept"] == 17,
        "{without}"
    );
    let (_, page) = get(&gateway, "");
    assert!(page["requests"][0].get("captured").is_none(), "a list has no captured request: {page}");
    assert_eq!((get(&gateway, "/99").0, get(&gateway, "/1?content=yes").0), (404, 400));
}

#[test]
fn a_shared_token_is_never_kept() {
    let upstream = Upstream::ok();
    let setup =
        gateway().signature("scheme = \"gitlab\"\nsecrets = [{ value = \"a-long-shared-token-of-gitlab\" }]");
    let gateway = start(setup, &upstream, "");
    let forged = unsigned("{}").line("x-gitlab-token: a-guess");
    assert_eq!(Client::to(&gateway).send(forged.bytes()).response().status, 401);
    assert_eq!(value(&captured(&gateway, 1), "x-gitlab-token"), Some("(hidden, 7 bytes)"));
}

#[test]
fn nothing_more_is_read_for_a_capture() {
    let upstream = Upstream::ok();
    let gateway = start(gateway(), &upstream, "max_body = \"100B\"");
    for (request, status) in [
        (unsigned("{}").claiming(50), 401),
        (unsigned("{}").method("PUT").claiming(50), 405),
        (post("{}").claiming(101), 413),
    ] {
        // The rest of the content never comes.
        assert_eq!(Client::to(&gateway).send(request.bytes()).response().status, status);
    }
    for number in 1..=3 {
        let document = captured(&gateway, number);
        assert_eq!(document["captured"]["content_received"], 0, "{document}");
        assert!(value(&document, "content-length").is_some(), "{document}");
    }
}

#[test]
fn neither_good_requests_nor_other_routes_are_captured() {
    let upstream = Upstream::ok();
    let gateway = start(gateway(), &upstream, "");
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    assert_eq!(captured(&gateway, 1)["state"], "verified");
    Client::to(&gateway).send(unsigned("{}").target("/other").bytes()).response();
    Client::to(&gateway).send(unsigned("{}").target("/nowhere").bytes()).response();
    for number in 1..=3 {
        let document = captured(&gateway, number);
        assert!(document.get("captured").is_none(), "{document}");
    }
    assert_eq!(gateway.control().recent().capture_room().unwrap().taken(), 0);
}

#[test]
fn an_observed_request_is_captured_and_forwarded() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let gateway = start(gateway(), &upstream, "mode = \"observe\"");
    Client::to(&gateway).send(unsigned("{\"a\":1}").bytes()).response().assert_answer("ok");
    let document = captured(&gateway, 1);
    assert_eq!((document["state"].as_str(), content(&document)), (Some("observed"), b"{\"a\":1}".to_vec()));
}

#[test]
fn over_http2_the_same_is_kept() {
    let upstream = Upstream::ok();
    let gateway = start(gateway().server("h2c = true"), &upstream, "");
    let forged = post(FIXTURE).forged("{}").line("cookie: session=guess");
    assert_eq!(Http2::to(&gateway).exchange(&forged).status(), Some(401));
    let document = captured(&gateway, 1);
    assert_eq!((content(&document), document["captured"]["target"].as_str()), (b"{}".to_vec(), Some(PATH)));
    assert_eq!(value(&document, "cookie"), Some("(hidden, 13 bytes)"));
}

#[test]
fn a_flood_of_forged_requests_takes_no_more_than_the_bound() {
    let upstream = Upstream::ok();
    let gateway = start(gateway().limits("max_body = \"1MiB\""), &upstream, "");
    let forged = post(FIXTURE).forged(vec![b'a'; 100 << 10]).bytes();
    let mut client = Client::to(&gateway);
    for _ in 0..100 {
        assert_eq!(client.send(&forged).response().status, 401);
    }
    // A request is kept once it has ended, and the last one has ended after the client has its response.
    captured(&gateway, 100);
    let room = gateway.control().recent().capture_room().unwrap();
    assert!(room.taken() > 0 && room.taken() <= 33 * (70 << 10), "{}", room.taken());
    let page = get(&gateway, "?limit=1000").1;
    let numbers = page["requests"].as_array().unwrap().iter().map(|request| &request["number"]);
    let kept = numbers.filter(|number| get(&gateway, &format!("/{number}")).1.get("captured").is_some());
    assert_eq!(kept.count(), 32);
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
}
