//! The memory budget: large heads count as content does, and unverified content is shed for verified content.

use std::time::Instant;

use hookgate::admission::memory::{FREE_HEAD, with_reserve};

use crate::support::upstream::{OK, Oracle};
use crate::support::{
    Client, FIXTURE, Gateway, PATIENCE, Post, Upstream, assert_refused, gate, gateway, post, unsigned,
};

const PATH: &str = "/webhook/leases";
const KIB: usize = 1024;

/// How many bytes are reserved. They must never exceed `max_buffered`.
fn held(gateway: &Gateway, max_buffered: usize) -> usize {
    let held = gateway.control().buffered_bytes();
    let most = with_reserve(u64::try_from(max_buffered).unwrap());
    assert!(held <= most, "{held} bytes are held, and {most} may be");
    usize::try_from(held).unwrap()
}

/// Waits until the reserved bytes are as required.
fn await_held(gateway: &Gateway, max_buffered: usize, is_right: impl Fn(usize) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let held = held(gateway, max_buffered);
        if is_right(held) {
            return;
        }
        assert!(Instant::now() < end, "{held} bytes are held");
        std::thread::yield_now();
    }
}

/// An event whose head has `size` bytes.
fn with_head(event: &Post, size: usize) -> Post {
    let missing = size.checked_sub(event.head().len() + "x-large: \r\n".len()).unwrap();
    let event = event.clone().line(format!("x-large: {}", "y".repeat(missing)));
    assert_eq!(event.head().len(), size);
    event
}

#[test]
fn strangers_with_large_heads_and_slow_bodies_hold_no_more_than_there_is_and_keep_no_event_out() {
    const MAX: usize = 256 * KIB;
    let upstream = Upstream::ok();
    let gateway = gateway()
        .limits("max_body = \"64KiB\"\nmax_buffered = \"256KiB\"\nbody_timeout = \"1h\"\nmin_body_rate = 0")
        .route(PATH, &upstream.url())
        .start();
    let event = with_head(&post("slow"), 31 * KIB);
    let strangers: Vec<Client> = (0..60)
        .map(|_| {
            let mut client = Client::to(&gateway);
            client.offer(event.head());
            held(&gateway, MAX);
            client
        })
        .collect();
    await_held(&gateway, MAX, |held| held >= MAX / 2);
    for size in [0, 162, 4 * KIB, 64 * KIB] {
        Client::to(&gateway).send(post(vec![b'x'; size]).bytes()).response().assert_answer("ok");
        held(&gateway, MAX);
    }
    let large = with_head(&post(FIXTURE), 31 * KIB);
    Client::to(&gateway).send(large.bytes()).response().assert_answer("ok");
    drop(strangers);
    await_held(&gateway, MAX, |held| held == 0);
}

#[test]
fn half_a_large_head_counts_and_whoever_has_made_the_least_progress_goes_first() {
    const MAX: usize = 256 * KIB;
    let upstream = Upstream::ok();
    let gateway = gateway()
        .limits("max_body = \"64KiB\"\nmax_buffered = \"256KiB\"\nheader_timeout = \"1h\"")
        .route(PATH, &upstream.url())
        .start();
    let head = with_head(&post(FIXTURE), 31 * KIB).head();
    let half = &head[..head.len() - 10];
    let mut strangers: Vec<Client> = (0..60)
        .map(|_| {
            let mut client = Client::to(&gateway);
            client.offer(half);
            held(&gateway, MAX);
            client
        })
        .collect();
    await_held(&gateway, MAX, |held| held >= MAX / 2);
    for size in [0, 162, 4 * KIB, 64 * KIB] {
        Client::to(&gateway).send(post(vec![b'x'; size]).bytes()).response().assert_answer("ok");
        held(&gateway, MAX);
    }
    // Most connections were shed. They get the answer 503.
    let rest = &head[head.len() - 10..];
    let mut overloaded = 0;
    for client in &mut strangers {
        if client.offer(rest) && client.offer(FIXTURE) {
            let response = client.response();
            if response.status == 503 {
                assert_refused(&response, 503, Some("overloaded"));
                assert_eq!(response.value("connection").as_deref(), Some("close"));
                client.assert_closed();
                overloaded += 1;
            } else {
                response.assert_answer("ok");
            }
        }
    }
    assert!(overloaded >= 50, "{overloaded}");
    drop(strangers);
    await_held(&gateway, MAX, |held| held == 0);
}

#[test]
fn a_head_counts_from_one_byte_over_its_bound_on_and_until_the_request_has_gone() {
    const MAX: usize = 256 << 20;
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for (size, counted) in [(FREE_HEAD, 0), (FREE_HEAD + 1, FREE_HEAD + 1), (12_345, 12_345)] {
        for piece in [1000, size] {
            let mut client = Client::to(&gateway);
            let event = with_head(&post(FIXTURE).line("expect: 100-continue"), size);
            // The interim response 100 shows that the gateway has the head and waits for content.
            client.send_in_pieces(&event.head(), piece).until("100 Continue\r\n\r\n");
            assert_eq!(held(&gateway, MAX), counted, "{size} in pieces of {piece}");
            assert_eq!(client.send(FIXTURE).response().status, 100);
            client.response().assert_answer("ok");
            await_held(&gateway, MAX, |held| held == 0);
            // The connection stays open, but holds no reservation.
            let two = [with_head(&post(FIXTURE), size).bytes(), post(FIXTURE).bytes()].concat();
            client.send(two);
            client.response().assert_answer("ok");
            client.response().assert_answer("ok");
            await_held(&gateway, MAX, |held| held == 0);
        }
    }
}

#[test]
fn a_head_in_absolute_form_counts_too() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let target = format!("http://gateway.test{PATH}");
    let event = with_head(&post(FIXTURE).target(&target).line("expect: 100-continue"), 9000);
    let mut client = Client::to(&gateway);
    client.send(event.head()).until("100 Continue\r\n\r\n");
    await_held(&gateway, 256 << 20, |held| (8900..=9000).contains(&held));
    client.send(FIXTURE);
    assert_eq!(client.response().status, 100);
    client.response().assert_answer("ok");
    await_held(&gateway, 256 << 20, |held| held == 0);
}

/// A client that has reserved the whole `max_buffered` of 64 KiB on the enforcing route, with unverified
/// content.
fn holder(gateway: &Gateway, event: &Post) -> Client {
    let mut holder = Client::to(gateway);
    holder.send(event.head()).send(&event.body()[..63 * KIB]);
    await_held(gateway, 64 * KIB, |held| held == 64 * KIB);
    holder
}

#[test]
fn a_request_that_is_only_observed_makes_nobody_leave() {
    let upstream = Upstream::ok_under(Oracle::default().observing());
    let gateway = gateway()
        .limits("max_body = \"64KiB\"\nmax_buffered = \"64KiB\"\nbody_timeout = \"1h\"\nmin_body_rate = 0")
        .route(PATH, &upstream.url())
        .route_with("/observed", &upstream.url(), "mode = \"observe\"")
        .start();
    let slow = post(vec![b'x'; 64 * KIB]);
    let mut holder = holder(&gateway, &slow);
    let observed = unsigned(vec![b'y'; KIB]).target("/observed");
    let response = Client::to(&gateway).send(observed.bytes()).response();
    assert_refused(&response, 503, Some("overloaded"));
    // An authentic event of the same route is served.
    holder.send(&slow.body()[63 * KIB..]).response().assert_answer("ok");
    Client::to(&gateway).send(observed.bytes()).response().assert_answer("ok");
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_request_that_is_only_observed_is_shed_for_others_while_its_upstream_lets_it_wait() {
    const MAX: usize = 16 << 20;
    let (open, passed) = gate();
    let (forwarding, begun) = gate();
    let slow = Upstream::with_oracle(Oracle::default().observing(), move |connection| {
        if connection.request_head() {
            forwarding.open();
            passed.pass();
        }
    });
    let upstream = Upstream::ok();
    let gateway = gateway()
        .limits("max_body = \"16MiB\"\nmax_buffered = \"16MiB\"")
        .route(PATH, &upstream.url())
        .route_with("/observed", &slow.url(), "mode = \"observe\"")
        .start();
    // The content is larger than the buffers of the kernel for an app that does not read.
    let mut observed = Client::to(&gateway);
    observed.send(unsigned(vec![b'y'; MAX]).target("/observed").bytes());
    begun.pass();
    await_held(&gateway, MAX, |held| held == MAX);
    let large = post(vec![b'x'; 1 << 20]);
    Client::to(&gateway).send(large.bytes()).response().assert_answer("ok");
    assert_refused(&observed.response(), 503, Some("overloaded"));
    open.open();
    await_held(&gateway, MAX, |held| held == 0);
}

#[test]
fn an_authentic_request_of_a_route_that_observes_stays_while_its_upstream_lets_it_wait() {
    const MAX: usize = 16 << 20;
    let (open, passed) = gate();
    let (forwarding, begun) = gate();
    let slow = Upstream::with_oracle(Oracle::default().observing(), move |connection| {
        if connection.request_head() {
            forwarding.open();
            passed.pass();
            connection.request();
            connection.send(OK);
        }
    });
    let gateway = gateway()
        .limits("max_body = \"16MiB\"\nmax_buffered = \"16MiB\"")
        .route_with("/observed", &slow.url(), "mode = \"observe\"")
        .start();
    let mut authentic = Client::to(&gateway);
    authentic.send(post(vec![b'y'; MAX]).target("/observed").bytes());
    begun.pass();
    await_held(&gateway, MAX, |held| held == MAX);
    let large = post(vec![b'x'; 1 << 20]).target("/observed");
    let response = Client::to(&gateway).send(large.bytes()).response();
    assert_refused(&response, 503, Some("overloaded"));
    open.open();
    authentic.response().assert_answer("ok");
}

#[test]
fn an_events_content_that_comes_after_its_head_holds_no_memory_meanwhile() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .limits("max_body = \"64KiB\"\nmax_buffered = \"64KiB\"")
        .route(PATH, &upstream.url())
        .start();
    // There are many more requests than the memory budget would allow if each held a reservation.
    let mut waiting: Vec<(Client, Vec<u8>)> = (0..40)
        .map(|number| {
            let event = post(format!("{number}").repeat(2000));
            let mut client = Client::to(&gateway);
            client.send(event.head());
            (client, event.body())
        })
        .collect();
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    for (client, body) in &mut waiting {
        client.send(body).response().assert_answer("ok");
    }
}
