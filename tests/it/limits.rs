//! Limits for each client: its connections, and its failures.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};

use crate::support::client::uninterrupted;
use crate::support::request::PATH;
use crate::support::{
    Client, FIXTURE, Gateway, PATIENCE, Setup, Upstream, assert_refused, exchange, gateway, post, unsigned,
};

/// A connection that the gateway has accepted: it has served an event.
fn served(gateway: &Gateway) -> Client {
    let mut client = Client::to(gateway);
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    client
}

fn announcing(address: SocketAddr, client: &str) -> Client {
    let mut connection = Client::connect(address);
    connection.send(format!("PROXY TCP4 {client} 192.0.2.2 1 2\r\n"));
    // A connection over the limit is reset as soon as its client is known.
    connection.offer(post(FIXTURE).bytes());
    connection
}

fn two_for_each(upstream: &Upstream, more: &str) -> Setup {
    gateway().server(&format!("max_connections_per_client = 2\n{more}")).route(PATH, &upstream.url())
}

/// Whether a connection is reset before it carries a byte. The reset may come before `connect` has returned.
fn is_reset(gateway: &Gateway) -> bool {
    let further = TcpStream::connect(gateway.address()).and_then(|mut further| {
        further.set_read_timeout(Some(PATIENCE))?;
        uninterrupted(|| further.read(&mut [0]))
    });
    further.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// The value of the metric that counts connections over the limit.
fn closed(gateway: &Gateway) -> u64 {
    gateway.control().meters().sum().closed_connections
}

/// Waits until the gateway has closed this many connections over the limit.
#[track_caller]
fn wait_closed(gateway: &Gateway, count: u64) {
    let begin = std::time::Instant::now();
    while closed(gateway) < count {
        assert!(begin.elapsed() < PATIENCE, "{} of {count}", closed(gateway));
        std::thread::yield_now();
    }
}

#[test]
fn a_connection_over_the_limit_of_its_client_is_reset_and_counted_on_whatever_worker() {
    for workers in [1, 2] {
        let upstream = Upstream::ok();
        let gateway = two_for_each(&upstream, "").start_on(workers);
        let mut held = [served(&gateway), served(&gateway)];
        for count in 1..=5 {
            assert!(is_reset(&gateway));
            wait_closed(&gateway, count);
        }
        for client in &mut held {
            client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
        }
        assert_eq!(closed(&gateway), 5);
    }
}

#[test]
fn a_place_is_free_for_the_client_when_one_of_its_connections_has_ended() {
    let upstream = Upstream::ok();
    let gateway = two_for_each(&upstream, "").start();
    let mut held = vec![served(&gateway), served(&gateway)];
    held.remove(0).send(post(FIXTURE).line("connection: close").bytes()).response().assert_answer("ok");
    // The gateway gives the place back after it has closed the connection, which the client sees first.
    loop {
        let before = closed(&gateway);
        if let Ok(mut client) = Client::try_connect(gateway.address())
            && client.offer(post(FIXTURE).bytes())
            && client.try_read_some(1).is_ok()
        {
            break;
        }
        wait_closed(&gateway, before + 1);
    }
}

#[test]
fn behind_a_proxy_the_announced_client_counts_and_the_proxy_does_not() {
    let upstream = Upstream::ok();
    let gateway = two_for_each(&upstream, "proxy_protocol = { trusted = [\"127.0.0.1\"] }").start_on(2);
    let mut held = Vec::new();
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"] {
        held.push(announcing(gateway.address(), client));
        held.last_mut().unwrap().response().assert_answer("ok");
    }
    announcing(gateway.address(), "192.0.2.1").assert_gone();
    wait_closed(&gateway, 1);
    held.push(announcing(gateway.address(), "192.0.2.3"));
    held.last_mut().unwrap().response().assert_answer("ok");
    assert_eq!(closed(&gateway), 1);
}

#[test]
fn a_reload_changes_the_limit_of_connections_for_new_ones() {
    let upstream = Upstream::ok();
    let gateway = two_for_each(&upstream, "").start();
    let mut held = vec![served(&gateway), served(&gateway)];
    let without = gateway_without_limit(&upstream);
    assert_eq!(gateway.reload(without), [""; 0]);
    held.push(served(&gateway));
    assert_eq!(gateway.reload(two_for_each(&upstream, "")), [""; 0]);
    assert!(is_reset(&gateway));
    // The connections that were open before stay.
    for client in &mut held {
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
}

fn gateway_without_limit(upstream: &Upstream) -> Setup {
    gateway().route(PATH, &upstream.url())
}

/// Failures that stay counted for the whole test.
const THREE: &str = "max_failures_per_client = \"3/1d\"";

fn three_failures(upstream: &Upstream) -> Setup {
    gateway().limits(THREE).route(PATH, &upstream.url())
}

fn forged() -> Vec<u8> {
    post(FIXTURE).forged("other content").bytes()
}

#[test]
fn a_client_with_too_many_failures_is_refused_on_every_worker_and_before_its_content_is_read() {
    for workers in [1, 2] {
        let upstream = Upstream::ok();
        let gateway = three_failures(&upstream).start_on(workers);
        for _ in 0..3 {
            Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
            assert_refused(&Client::to(&gateway).send(forged()).response(), 401, Some("signature_mismatch"));
        }
        for _ in 0..4 {
            // Neither the content is needed for the answer, nor 100 Continue.
            let mut client = Client::to(&gateway);
            let response = client.send(post(FIXTURE).line("expect: 100-continue").head()).response();
            assert_refused(&response, 429, Some("too_many_failures"));
            assert_eq!(response.value("retry-after").as_deref(), Some("28800"), "a third of a day");
            assert_eq!(response.value("connection").as_deref(), Some("close"));
        }
    }
}

#[test]
fn verified_events_and_answers_of_the_app_never_count() {
    let upstream = Upstream::answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let gateway = three_failures(&upstream).start();
    let mut client = Client::to(&gateway);
    for _ in 0..20 {
        let response = client.send(post(FIXTURE).bytes()).response();
        assert_eq!((response.status, response.value("retry-after")), (404, None));
    }
}

#[test]
fn an_event_for_another_model_never_counts_because_it_is_authentic() {
    let upstream = Upstream::ok();
    let setup = gateway().limits(THREE).route_with(PATH, &upstream.url(), "model = \"leads\"");
    let gateway = setup.start();
    for _ in 0..20 {
        assert_refused(&exchange(&gateway, &post(FIXTURE)), 403, Some("model_mismatch"));
    }
}

#[test]
fn each_refusal_that_a_client_causes_counts_and_the_connection_can_stay_open() {
    let bad: [(&str, Vec<u8>); 5] = [
        ("404", b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        ("405", post("").method("GET").bytes()),
        ("401", unsigned("").bytes()),
        ("413", post("").claiming(99_999_999).head()),
        ("400", b"GET / HTTP/1.1\r\nhost a\r\n\r\n".to_vec()),
    ];
    for (name, request) in bad {
        let upstream = Upstream::ok();
        let gateway = three_failures(&upstream).start();
        for _ in 0..3 {
            let status = Client::to(&gateway).send(&request).response().status;
            assert!((400..429).contains(&status), "{name}: {status}");
        }
        let mut client = Client::to(&gateway);
        for _ in 0..3 {
            // Without content, the connection stays open.
            assert_refused(&client.send(unsigned("").bytes()).response(), 429, Some("too_many_failures"));
        }
        // A path without a route is refused as always.
        let nowhere = "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_refused(&client.send(nowhere).response(), 404, Some("no_route"));
    }
}

#[test]
fn behind_a_proxy_only_the_announced_client_is_refused() {
    let upstream = Upstream::ok();
    let setup = three_failures(&upstream).server("proxy_protocol = { trusted = [\"127.0.0.1\"] }");
    let gateway = setup.start();
    let send = |client: &str, request: &[u8]| {
        let mut connection = Client::connect(gateway.address());
        connection.send(format!("PROXY TCP4 {client} 192.0.2.2 1 2\r\n"));
        connection.send(request).response()
    };
    for _ in 0..3 {
        assert_refused(&send("192.0.2.1", &forged()), 401, Some("signature_mismatch"));
    }
    assert_refused(&send("192.0.2.1", &post(FIXTURE).bytes()), 429, Some("too_many_failures"));
    send("192.0.2.2", &post(FIXTURE).bytes()).assert_answer("ok");
    // The proxy's own requests, such as health checks, are exempt.
    for _ in 0..10 {
        let mut connection = Client::connect(gateway.address());
        connection.send("PROXY UNKNOWN\r\n");
        assert_refused(&connection.send(unsigned("").bytes()).response(), 401, Some("signature_missing"));
    }
}

#[test]
fn a_reload_keeps_the_failures_of_an_equal_limit_and_forgets_those_of_another() {
    let upstream = Upstream::ok();
    let gateway = three_failures(&upstream).start();
    for _ in 0..3 {
        assert_refused(&exchange(&gateway, &unsigned("")), 401, Some("signature_missing"));
    }
    assert_refused(&exchange(&gateway, &post(FIXTURE)), 429, Some("too_many_failures"));
    assert_eq!(gateway.reload(three_failures(&upstream).server("shutdown_grace = \"5s\"")), [""; 0]);
    assert_refused(&exchange(&gateway, &post(FIXTURE)), 429, Some("too_many_failures"));
    let other = gateway_without_limit(&upstream).limits("max_failures_per_client = \"4/1d\"");
    assert_eq!(gateway.reload(other), [""; 0]);
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    assert_eq!(gateway.reload(gateway_without_limit(&upstream)), [""; 0]);
    for _ in 0..10 {
        assert_refused(&exchange(&gateway, &unsigned("")), 401, Some("signature_missing"));
    }
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
}
