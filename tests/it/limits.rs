//! Limits for each client: its connections.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};

use crate::support::request::PATH;
use crate::support::{Client, FIXTURE, Gateway, PATIENCE, Setup, Upstream, gateway, post};

/// A connection that the gateway has accepted: it has served an event.
fn served(gateway: &Gateway) -> Client {
    let mut client = Client::to(gateway);
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    client
}

fn announcing(address: SocketAddr, client: &str) -> Client {
    let mut connection = Client::connect(address);
    connection.send(format!("PROXY TCP4 {client} 192.0.2.2 1 2\r\n"));
    connection.send(post(FIXTURE).bytes());
    connection
}

fn two_for_each(upstream: &Upstream, more: &str) -> Setup {
    gateway().server(&format!("max_connections_per_client = 2\n{more}")).route(PATH, &upstream.url())
}

/// Whether a connection is reset before it carries a byte. The reset may come before `connect` has returned.
fn is_reset(gateway: &Gateway) -> bool {
    let further = TcpStream::connect(gateway.address()).and_then(|mut further| {
        further.set_read_timeout(Some(PATIENCE))?;
        further.read(&mut [0])
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
