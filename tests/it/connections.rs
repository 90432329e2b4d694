//! The connection limit, and clients that delay a connection because they do not read or because they
//! disconnect.

use std::time::Duration;

use hookgate::runtime::Ended;

use crate::support::upstream::OK;
use crate::support::{Client, FIXTURE, Gateway, Upstream, gate, gateway, post};

const PATH: &str = "/webhook/leases";

#[test]
fn a_connection_over_the_limit_waits_and_is_served_in_turn() {
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
    // Only a wait can show that nothing happens.
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
fn idle_connections_are_evicted_for_new_ones() {
    let upstream = Upstream::ok();
    // Without eviction, these connections would stay for an hour.
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
    let gateway = gateway()
        .limits("write_timeout = \"300ms\"\nmin_body_rate = 0")
        .upstream("response_timeout = \"1h\"")
        .route(PATH, &upstream.url())
        .start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    upstream.wait_for(1);
    // Only the time to write can end this.
    upstream.wait_closed(1);
    let response = client.response();
    assert!(!response.complete);
}

/// Each piece is read in time. But the whole answer would take a minute, and would hold the upstream's
/// connection for so long.
#[test]
fn a_client_that_takes_its_answer_below_the_least_rate_is_cut_off_though_it_takes_some_all_the_time() {
    let body = vec![b'z'; 128 << 20];
    let upstream = Upstream::scripted(move |connection| {
        if connection.request().is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()));
            connection.send(&body);
        }
    });
    let limits = "write_timeout = \"500ms\"\nmin_body_rate = \"1GiB\"";
    let gateway = gateway().limits(limits).route(PATH, &upstream.url()).start();
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes()).until("\r\n\r\n");
    while upstream.closed() == 0 {
        client.read_some(64 * 1024);
        // The sleep makes the client slow.
        std::thread::sleep(Duration::from_millis(20));
    }
    let response = client.response();
    assert!(!response.complete && response.body.len() < 64 << 20, "{} bytes", response.body.len());
}

/// The kernel asks for more bytes when a third of its largest buffer is empty. At this rate, that takes
/// longer than the limit.
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
    // Reading so much takes longer than the limit. The sleep makes the client slow.
    for _ in 0..50 {
        client.read_some(16 * 1024);
        std::thread::sleep(Duration::from_millis(50));
    }
    let response = client.response();
    assert_eq!((response.complete, response.body.len()), (true, length));
}

/// Requests of two kinds, in an order without a period. So the test notices if two answers are swapped.
fn nth_request(n: usize) -> String {
    let method = if n.count_ones().is_multiple_of(2) { "POST /nowhere" } else { "GET /webhook/leases" };
    format!("{method} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn nth_status(n: usize) -> u16 {
    if n.count_ones().is_multiple_of(2) { 404 } else { 405 }
}

#[test]
fn a_client_that_never_reads_its_many_small_answers_is_cut_off() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("write_timeout = \"300ms\"").route(PATH, &upstream.url()).start();
    Client::to(&gateway).send_until_reset(nth_request(0).repeat(100).as_bytes());
}

#[test]
fn a_client_that_begins_to_read_late_gets_all_its_answers_in_order() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    let sent = client.send_until_stuck(nth_request, Duration::from_millis(300));
    for _ in 0..1000 {
        client.read_some(100);
    }
    for n in 0..sent {
        let response = client.response();
        assert_eq!((response.status, response.complete), (nth_status(n), true), "{n} of {sent}");
    }
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
}

#[test]
fn a_drain_waits_for_a_client_that_begins_to_read_late() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = Client::to(&gateway);
    let sent = client.send_until_stuck(nth_request, Duration::from_millis(300));
    gateway.drain();
    let mut answered = 0;
    let last = loop {
        let response = client.response();
        assert_eq!(
            (response.status, response.complete),
            (nth_status(answered), true),
            "{answered} of {sent}"
        );
        answered += 1;
        if response.value("connection").is_some() {
            break response;
        }
    };
    assert_eq!(last.value("connection").as_deref(), Some("close"));
    assert!(answered < sent, "all {sent} were answered: the client was not stuck");
    client.assert_closed();
    assert_eq!(gateway.wait(), Ended::Drained);
}

#[test]
fn an_answer_that_is_more_than_the_kernel_takes_at_once_is_whole_before_the_connection_ends() {
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            let length: usize = String::from_utf8_lossy(&request.content).parse().unwrap();
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
            connection.send(vec![b'z'; length]);
        }
    });
    let gateway = Gateway::before(&upstream);
    let most = 6 * 1024 * 1024;
    for length in [0, 2000, most, most + 1000, most + 2001] {
        let request = post(length.to_string().as_bytes()).line("connection: close");
        let mut client = Client::to(&gateway);
        let response = client.send(request.bytes()).response();
        assert_eq!((response.complete, response.body.len()), (true, length));
        client.assert_closed();
    }
}

#[test]
fn the_last_answer_is_complete_though_the_client_has_sent_bytes_that_are_not_read() {
    const LENGTH: usize = 6 * 1024 * 1024;
    let upstream = Upstream::scripted(|connection| {
        while connection.request().is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n"));
            connection.send(vec![b'z'; LENGTH]);
        }
    });
    let gateway = Gateway::before(&upstream);
    // The request is larger than one read, so the bytes after its content stay in the kernel.
    let request = post([b'q'; 70_000]).line("connection: close").bytes();
    for _ in 0..5 {
        let mut client = Client::to(&gateway);
        let response = client.send([&request[..], &request[..]].concat()).response();
        assert_eq!((response.complete, response.body.len()), (true, LENGTH));
        client.half_close().assert_closed();
    }
}

#[test]
fn the_reservation_of_an_unfinished_body_is_released_when_its_sender_goes() {
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
