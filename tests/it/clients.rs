//! The client's address: which proxies may report the address, and which checks use it.

use hookgate::admission::client::ClientAddress;
use hookgate::admission::eviction::FRESH;
use serde_json::Value;

use crate::log::{Setup, access_lines};
use crate::support::request::{HOST, PATH};
use crate::support::{Client, FIXTURE, Gateway, Upstream, assert_refused, exchange, gateway, post, unsigned};

const BEHIND_PROXY: &str = "client_address = { trusted = [\"127.0.0.1\", \"10.0.0.0/8\"] }";
const BEHIND_STRANGER: &str = "client_address = { trusted = [\"10.0.0.0/8\"] }";
const RFC7239: &str = "client_address = { trusted = [\"127.0.0.1\", \"10.0.0.0/8\"], field = \"forwarded\" }";

fn addresses(line: &Value) -> [&str; 2] {
    [line["client"].as_str().unwrap(), line["peer"].as_str().unwrap()]
}

#[test]
fn the_log_has_the_client_that_a_trusted_proxy_reports_beside_the_proxy() {
    let upstream = Upstream::ok();
    let setup = Setup::with_server(&upstream.url(), BEHIND_PROXY);
    let (running, address) = setup.start();
    let mut proxy = Client::connect(address);
    for lines in [
        &["x-forwarded-for: 203.0.113.9, 192.0.2.1"][..],
        &["X-Forwarded-For: 203.0.113.9", "x-forwarded-for: [2001:db8::1]:80, 10.0.0.2"],
        &[],
    ] {
        let request = lines.iter().fold(post(FIXTURE), |request, line| request.line(line));
        proxy.send(request.bytes()).response().assert_answer("ok");
    }
    let garbage = post(FIXTURE).line("x-forwarded-for: 192.0.2.1, unknown");
    assert_refused(&proxy.send(garbage.bytes()).response(), 400, None);
    // After a refusal, the gateway waits for the client's end of the connection, also in a drain.
    drop(proxy);

    let lines = access_lines(running);
    let [chain, two_lines, none, garbage] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(addresses(chain), ["192.0.2.1", "127.0.0.1"]);
    assert_eq!(addresses(two_lines), ["2001:db8::1", "127.0.0.1"]);
    assert_eq!(addresses(none), ["127.0.0.1", "127.0.0.1"]);
    assert_eq!(addresses(garbage), ["127.0.0.1", "127.0.0.1"]);
    assert_eq!(garbage["detail"], "an entry of x-forwarded-for from a trusted proxy is no address");
    assert_eq!(garbage["level"], "INFO");
}

#[test]
fn a_client_that_is_no_trusted_proxy_is_not_believed() {
    let upstream = Upstream::ok();
    let setup = Setup::with_server(&upstream.url(), BEHIND_STRANGER);
    let (running, address) = setup.start();
    for claim in ["192.0.2.1", "garbage", "10.0.0.1"] {
        let request = post(FIXTURE).line(format!("x-forwarded-for: {claim}"));
        Client::connect(address).send(request.bytes()).response().assert_answer("ok");
    }
    for line in access_lines(running) {
        assert_eq!(addresses(&line), ["127.0.0.1", "127.0.0.1"]);
    }
}

/// Starts a gateway that adds the forwarded fields.
fn forwarding(server: &str, upstream: &Upstream) -> Gateway {
    gateway().server(server).forward("x_forwarded = true").route(PATH, &upstream.url()).start()
}

#[test]
fn the_app_gets_the_chain_of_a_trusted_proxy_and_no_other() {
    let forged = [
        "x-forwarded-for: 203.0.113.9",
        "x-forwarded-proto: https",
        "forwarded: for=203.0.113.9;proto=http, for=192.0.2.1;proto=https",
    ];
    for (server, want, proto) in [
        (BEHIND_PROXY, "203.0.113.9, 127.0.0.1", "https"),
        (RFC7239, "192.0.2.1, 127.0.0.1", "https"),
        (BEHIND_STRANGER, "127.0.0.1", "http"),
    ] {
        let upstream = Upstream::ok();
        let gateway = forwarding(server, &upstream);
        let request = forged.iter().fold(post(FIXTURE), |request, line| request.line(line));
        exchange(&gateway, &request).assert_answer("ok");
        let request = upstream.only_request();
        assert_eq!(request.values("x-forwarded-for"), [want.as_bytes()], "{server}");
        assert_eq!(request.values("x-forwarded-proto"), [proto.as_bytes()], "{server}");
        assert_eq!(request.values("x-forwarded-host"), [HOST.as_bytes()], "{server}");
    }
}

#[test]
fn a_field_that_an_app_takes_for_the_proxys_is_refused() {
    let upstream = Upstream::ok();
    let gateway = gateway().server(BEHIND_PROXY).route(PATH, &upstream.url()).start();
    let request = post(FIXTURE).line("x-forwarded-for: 192.0.2.1").line("x_forwarded_for: 203.0.113.9");
    assert_refused(&exchange(&gateway, &request), 400, None);
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_client_that_the_route_does_not_take_is_refused_before_its_content_is_read() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .server(BEHIND_PROXY)
        .route_with(PATH, &upstream.url(), "allow = [\"192.0.2.0/24\", \"github\"]\nmode = \"observe\"")
        .route("/open", &upstream.url())
        .admin()
        .start();
    let from =
        |request: crate::support::Post, client: &str| request.line(format!("x-forwarded-for: {client}"));
    for (client, want) in [
        ("192.0.2.1", 200),
        ("192.0.2.255", 200),
        ("192.0.3.0", 403),
        ("140.82.112.1", 200),
        ("2a0a:a440::1", 200),
        ("::ffff:192.0.2.1", 200),
        ("2001:db8::1", 403),
        ("10.0.0.1", 403),
    ] {
        let response = exchange(&gateway, &from(post(FIXTURE), client));
        assert_eq!(response.status, want, "{client}");
        if want == 403 {
            assert_refused(&response, 403, Some("client_not_allowed"));
        }
    }
    // The client comes before the method, the signature, and the content.
    for request in [
        unsigned(FIXTURE),
        post(FIXTURE).method("PUT"),
        post(FIXTURE).line("expect: 100-continue").claiming(1000),
    ] {
        let mut client = Client::to(&gateway);
        let response = client.send(from(request, "192.0.3.1").head()).response();
        assert_refused(&response, 403, Some("client_not_allowed"));
    }
    exchange(&gateway, &from(post(FIXTURE).target("/open"), "192.0.3.1")).assert_answer("ok");
    assert_eq!(upstream.requests().len(), 6);
    let metrics = Client::connect(gateway.admin())
        .send("GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .response()
        .text();
    let counted = format!("route=\"{PATH}\",status=\"403\",reason=\"client_not_allowed\"}} 6");
    assert!(metrics.contains(&counted), "{metrics}");
}

#[test]
fn a_client_without_a_proxy_is_known_by_its_own_address() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .route_with(PATH, &upstream.url(), "allow = [\"127.0.0.0/8\"]")
        .route_with("/unix", &upstream.url(), "allow = [\"unix\", \"::1\"]")
        .start();
    let claim = post(FIXTURE).line("x-forwarded-for: 203.0.113.9");
    exchange(&gateway, &claim).assert_answer("ok");
    let response = exchange(&gateway, &claim.target("/unix"));
    assert_refused(&response, 403, Some("client_not_allowed"));
    assert_ne!(ClientAddress::Unix.group(), ClientAddress::ip([127, 0, 0, 1].into()).group());
}

#[test]
fn at_the_connection_limit_a_proxy_loses_a_connection_of_the_client_with_the_most() {
    let upstream = Upstream::ok();
    let limit = format!("{BEHIND_PROXY}\nmax_connections = 3");
    let limits = "body_timeout = \"1h\"\nmin_body_rate = 0";
    let gateway = gateway().server(&limit).limits(limits).route(PATH, &upstream.url()).start();
    let open = |client: &str| {
        let request = post(FIXTURE).line("expect: 100-continue").line(format!("x-forwarded-for: {client}"));
        let mut connection = Client::to(&gateway);
        assert_eq!(connection.send(request.head()).response().status, 100);
        connection
    };
    // The first has waited longest. So it would be evicted if all three counted for the proxy.
    let mut lone = open("192.0.2.1");
    let [mut one, mut other] = [open("192.0.2.2"), open("192.0.2.2")];
    // A fresh connection is evicted after all others. The sleep makes all three old, so a slow machine
    // changes nothing.
    std::thread::sleep(FRESH);
    exchange(&gateway, &post(FIXTURE).line("connection: close")).assert_answer("ok");
    lone.send(FIXTURE).response().assert_answer("ok");
    let statuses = [&mut one, &mut other].map(|connection| {
        connection.offer(FIXTURE);
        connection.maybe_response().map(|response| response.status)
    });
    assert_eq!(statuses.iter().filter(|status| **status == Some(200)).count(), 1, "{statuses:?}");
}

#[test]
fn a_reload_changes_which_proxies_are_believed() {
    let upstream = Upstream::ok();
    let setup = |server: &str| {
        gateway().server(server).route_with(PATH, &upstream.url(), "allow = [\"192.0.2.1\", \"127.0.0.1\"]")
    };
    let gateway = setup(BEHIND_STRANGER).start();
    let request = post(FIXTURE).line("x-forwarded-for: 203.0.113.9");
    let mut client = Client::to(&gateway);
    client.send(request.bytes()).response().assert_answer("ok");
    assert_eq!(gateway.reload(setup(BEHIND_PROXY)), [""; 0]);
    assert_refused(&client.send(request.bytes()).response(), 403, Some("client_not_allowed"));
}
