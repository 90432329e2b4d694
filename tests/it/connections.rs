//! How many connections there may be, and what a client can hold up by not reading or by going away.

use std::time::{Duration, Instant};

use crate::support::upstream::OK;
use crate::support::{Client, FIXTURE, PATIENCE, Upstream, assert_refused, gate, gateway, post};

const PATH: &str = "/webhook/leases";

#[test]
fn a_connection_over_the_most_waits_and_is_served_in_its_turn() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(OK);
        }
    });
    let gateway = gateway().server("max_connections = 2").route(PATH, &upstream.url()).start();
    let mut clients: Vec<_> = (0..2).map(|_| Client::to(&gateway)).collect();
    for client in &mut clients {
        client.send(post(FIXTURE).bytes());
    }
    upstream.wait_for(2);
    let mut third = Client::to(&gateway);
    third.send(post("the third").bytes());
    // That something does not happen can only be seen by looking for a while.
    third.assert_silent(Duration::from_millis(100));
    assert_eq!(upstream.requests().len(), 2, "the third was let in beside them");
    drop(open);
    for client in &mut clients {
        client.response().assert_answer("ok");
    }
    drop(clients);
    third.response().assert_answer("ok");
}

#[test]
fn idle_connections_are_let_go_when_others_want_in() {
    let upstream = Upstream::ok();
    // They would stay for an hour, were they not let go for others.
    let setup = gateway().server("max_connections = 2").limits("idle_timeout = \"1h\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    let mut idle: Vec<_> = (0..2).map(|_| Client::to(&gateway)).collect();
    for client in &mut idle {
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
}

#[test]
fn few_connections_are_enough_for_many_workers() {
    let upstream = Upstream::ok();
    let gateway = gateway().server("max_connections = 1").route(PATH, &upstream.url()).start_on(2);
    for _ in 0..20 {
        let request = post(FIXTURE).line("connection: close");
        Client::to(&gateway).send(request.bytes()).response().assert_answer("ok");
    }
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let body = vec![b'z'; 32 * 1024 * 1024];
    let upstream = Upstream::scripted(move |connection| {
        if connection.request().is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()));
            connection.send(&body);
        }
    });
    let gateway = gateway().limits("write_timeout = \"300ms\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    upstream.wait_for(1);
    let begin = Instant::now();
    upstream.wait_closed(1);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    let response = client.response();
    assert!(!response.complete);
}

#[test]
fn an_answer_to_a_client_that_reads_slowly_is_not_cut() {
    let length = 16 * 1024 * 1024;
    let body = vec![b'z'; length];
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
            connection.send(&body);
        }
    });
    let gateway = gateway().limits("write_timeout = \"1s\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    let begin = Instant::now();
    // Ten megabytes a second: the whole takes longer than the limit, each of the kernel's buffers does not.
    while begin.elapsed() < Duration::from_millis(1400) {
        client.read_some(512 * 1024);
        std::thread::sleep(Duration::from_millis(50));
    }
    let response = client.response();
    assert_eq!((response.complete, response.body.len()), (true, length));
}

/// At this pace it takes longer than the limit until a third of the kernel's largest buffer is empty, which is when the
/// kernel would ask for more.
#[test]
fn an_answer_to_a_client_that_reads_steadily_is_not_cut_however_much_the_kernel_would_take() {
    let length = 16 * 1024 * 1024;
    let body = vec![b'z'; length];
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
            connection.send(&body);
        }
    });
    let gateway = gateway().limits("write_timeout = \"2s\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        client.read_some(32 * 1024);
        std::thread::sleep(Duration::from_millis(50));
    }
    let response = client.response();
    assert_eq!((response.complete, response.body.len()), (true, length));
}

#[test]
fn a_client_that_never_stops_sending_after_its_refusal_is_cut_off() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_body = \"1KiB\"").route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(b"").claiming(usize::MAX / 4).head());
    assert_refused(&client.response(), 413, Some("body_too_large"));
    let begin = Instant::now();
    client.trickle(Duration::from_millis(20)).wait_until_refused();
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}

#[test]
fn what_an_unfinished_body_held_is_given_back_when_its_sender_goes() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .limits("max_body = \"64KiB\"\nmax_buffered = \"64KiB\"")
        .route(PATH, &upstream.url())
        .start();
    let whole = vec![b'x'; 64 * 1024];
    for round in 0..10 {
        let mut client = Client::to(&gateway);
        let request = if round % 2 == 0 { post(&whole) } else { post(&whole).chunked(&[10_000]) };
        let bytes = request.bytes();
        client.send(&bytes[..bytes.len() - 100]).half_close().assert_gone();
        Client::to(&gateway).send(post(&whole).bytes()).response().assert_answer("ok");
        let forged = post(FIXTURE).forged(&whole);
        assert_eq!(Client::to(&gateway).send(forged.bytes()).response().status, 401);
    }
}
