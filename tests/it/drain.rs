//! The drain: requests under way are finished, and no new requests begin.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use hookgate::runtime::Ended;

use crate::support::upstream::OK;
use crate::support::{Client, FIXTURE, Gateway, PATIENCE, Upstream, gate, gateway, post};

const PATH: &str = "/webhook/leases";

/// Waits until the gateway accepts no connection any more.
fn assert_refuses_connections(gateway: &Gateway) {
    let deadline = Instant::now() + PATIENCE;
    // The connection may be refused, or may get no answer.
    while TcpStream::connect_timeout(&gateway.address(), Duration::from_millis(100)).is_ok() {
        assert!(Instant::now() < deadline, "it still accepts");
        std::thread::yield_now();
    }
}

/// A gateway whose time limits are longer than every test. So a drain that waits for one of them fails the
/// test.
fn patient(upstream: &Upstream) -> Gateway {
    let setup = gateway().server("shutdown_grace = \"1h\"");
    setup.limits("idle_timeout = \"1h\"\nheader_timeout = \"1h\"").route(PATH, &upstream.url()).start()
}

/// Waits until the gateway has ended.
#[track_caller]
fn wait(gateway: Gateway) -> Ended {
    let (ends, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || ends.send(gateway.wait()));
    ended.recv_timeout(PATIENCE).expect("the gateway ends")
}

/// An upstream that answers when the gate is opened.
fn gated() -> (crate::support::Release, Upstream) {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(OK);
        }
    });
    (open, upstream)
}

#[test]
fn a_drain_finishes_what_is_under_way_and_takes_nothing_new() {
    for workers in [1, 2] {
        let (open, upstream) = gated();
        let gateway = gateway().route(PATH, &upstream.url()).start_on(workers);
        let mut clients: Vec<_> = (0..4).map(|_| Client::to(&gateway)).collect();
        for client in &mut clients {
            client.send(post(FIXTURE).bytes());
        }
        upstream.wait_for(4);
        gateway.drain();
        assert_refuses_connections(&gateway);
        drop(open);
        for client in &mut clients {
            let response = client.response();
            response.assert_answer("ok");
            assert_eq!(response.value("connection").as_deref(), Some("close"));
            client.assert_closed();
        }
        gateway.wait();
    }
}

#[test]
fn a_drain_waits_for_a_body_that_is_still_arriving() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let request = post(FIXTURE).line("expect: 100-continue");
    let mut client = Client::to(&gateway);
    // The interim response 100 shows that the request is under way.
    assert_eq!(client.send(request.head()).response().status, 100);
    client.send(&request.body()[..50]);
    gateway.drain();
    assert_refuses_connections(&gateway);
    let response = client.send(&request.body()[50..]).response();
    response.assert_answer("ok");
    assert_eq!(response.value("connection").as_deref(), Some("close"));
    client.assert_closed();
    gateway.wait();
    assert_eq!(upstream.only_request().content, FIXTURE);
}

#[test]
fn a_drain_finishes_an_answer_that_is_being_streamed() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        passed.pass();
        connection.send("world");
    });
    let gateway = patient(&upstream);
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes()).until("hello");
    gateway.drain();
    assert_refuses_connections(&gateway);
    open.open();
    client.response().assert_answer("helloworld");
    // The head was sent before the drain, so it could not announce the close. The connection is closed
    // nevertheless, without waiting for its time limit.
    client.assert_closed();
    wait(gateway);
}

#[test]
fn a_drain_closes_idle_connections_on_both_sides() {
    let upstream = Upstream::ok();
    let gateway = patient(&upstream);
    let mut clients: Vec<_> = (0..3).map(|_| Client::to(&gateway)).collect();
    for client in &mut clients {
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
    gateway.drain();
    for client in &mut clients {
        client.assert_closed();
    }
    wait(gateway);
    upstream.wait_closed(1);
}

#[test]
fn a_drain_delivers_an_event_whose_sender_has_gone() {
    let (open, upstream) = gated();
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    upstream.wait_for(1);
    client.reset();
    gateway.drain();
    assert_refuses_connections(&gateway);
    drop(open);
    gateway.wait();
    assert_eq!(upstream.only_request().content, FIXTURE);
}

#[test]
fn a_drain_takes_no_longer_than_its_grace() {
    let upstream = Upstream::scripted(|connection| connection.wait_closed());
    let setup = gateway().server("shutdown_grace = \"300ms\"").limits("body_timeout = \"1h\"");
    let gateway = setup.upstream("response_timeout = \"1h\"").route(PATH, &upstream.url()).start();
    let mut waiting = Client::to(&gateway);
    waiting.send(post(FIXTURE).bytes());
    let mut sending = Client::to(&gateway);
    sending.send(post(FIXTURE).line("expect: 100-continue").head());
    assert_eq!(sending.response().status, 100);
    upstream.wait_for(1);
    gateway.drain();
    assert_eq!(wait(gateway), Ended::CutOff(2));
    // Both connections end, whichever bytes were sent on them.
    drop((waiting.rest(), sending.rest()));
}

#[test]
fn a_gateway_without_anything_to_do_drains_at_once() {
    let upstream = Upstream::ok();
    let gateway = patient(&upstream);
    gateway.drain();
    gateway.drain();
    assert_eq!(wait(gateway), Ended::Drained);
}

#[test]
fn a_request_on_its_way_over_an_idle_connection_is_answered_and_told_to_close() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut used = Client::to(&gateway);
    used.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    let mut unused = Client::to(&gateway);
    gateway.drain();
    assert_refuses_connections(&gateway);
    for client in [&mut used, &mut unused] {
        let response = client.send(post(FIXTURE).bytes()).response();
        response.assert_answer("ok");
        assert_eq!(response.value("connection").as_deref(), Some("close"));
        client.assert_closed();
    }
    gateway.wait();
}

#[test]
fn a_drain_does_not_wait_for_a_head_that_does_not_come() {
    let upstream = Upstream::ok();
    let setup = gateway().server("shutdown_grace = \"5m\"").limits("header_timeout = \"5m\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    let mut half = Client::to(&gateway);
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    half.send("POST /w HT");
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    gateway.drain();
    wait(gateway);
}
