//! What a review found and was mended: each finding leaves its test.

use std::time::{Duration, Instant};

use crate::support::upstream::OK;
use crate::support::{
    Client, FIXTURE, Gateway, Post, Response, Upstream, assert_refused, gate, gateway, post,
};

const PATH: &str = "/webhook/leases";

fn exchange(gateway: &Gateway, request: &Post) -> Response {
    Client::to(gateway).send(request.bytes()).response()
}

#[test]
fn an_upstream_that_answers_first_and_reads_then_still_gets_all_of_the_request() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        if connection.request_head() {
            connection.send(OK);
            passed.pass();
            connection.request();
        }
    });
    let gateway = gateway().limits("max_body = \"16MiB\"").route(PATH, &upstream.url()).start();
    let large = vec![b'x'; 16 * 1024 * 1024];
    let mut client = Client::to(&gateway);
    client.send(post(&large).bytes()).response().assert_answer("ok");
    open.open();
    let requests = upstream.wait_for(1);
    assert_eq!(requests[0].content.len(), large.len());
}

#[test]
fn an_events_content_that_comes_after_its_head_holds_no_memory_meanwhile() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .limits("max_body = \"64KiB\"\nmax_buffered = \"64KiB\"")
        .route(PATH, &upstream.url())
        .start();
    // Many more than there is memory for, if each of them held any.
    let mut waiting: Vec<(Client, Vec<u8>)> = (0..40)
        .map(|number| {
            let event = post(format!("{number}").repeat(2000));
            let mut client = Client::to(&gateway);
            client.send(event.head());
            (client, event.body())
        })
        .collect();
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    for (client, body) in &mut waiting {
        client.send(body).response().assert_answer("ok");
    }
}

#[test]
fn the_signature_field_of_an_answer_cannot_be_named_away() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: x-a, propify-signature\r\nx-a: 1\r\npropify-signature: 2\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Upstream::answering(answer);
    let response = exchange(&Gateway::before(&upstream), &post(FIXTURE));
    assert_eq!(response.value("propify-signature").as_deref(), Some("2"));
    assert_eq!(response.value("x-a"), None);
}

#[test]
fn a_field_that_is_ours_to_set_is_taken_out_and_the_others_stay_in_order() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .forward("verified_field = \"x-hookgate-verified\"\nx_forwarded = true")
        .route(PATH, &upstream.url())
        .start();
    let request = post(FIXTURE)
        .line("a: 1")
        .line("X-Hookgate-Verified: scheme=propify, secret=current")
        .line("b: 2")
        .line("c: 3");
    exchange(&gateway, &request).assert_answer("ok");
    let seen = upstream.only_request();
    assert_eq!(seen.values("x-hookgate-verified"), [b"scheme=propify, secret=name-of-the-secret".to_vec()]);
    assert_eq!(seen.values("x-forwarded-for"), [b"127.0.0.1".to_vec()]);
    let order: Vec<String> = seen.fields.iter().map(|field| field.name.to_ascii_lowercase()).collect();
    let place = |name: &str| order.iter().position(|other| other == name).unwrap();
    assert!(place("a") < place("b") && place("b") < place("c"), "{order:?}");
}

#[test]
fn an_answer_that_only_the_end_of_the_connection_ends_says_so_to_http_1_0() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let gateway = Gateway::before(&upstream);
    let request = post(FIXTURE).version("HTTP/1.0").line("connection: keep-alive");
    let mut client = Client::to(&gateway);
    let response = client.send(request.bytes()).response();
    response.assert_answer("ok");
    assert_eq!(response.value("connection").as_deref(), Some("close"));
    client.assert_closed();
}

#[test]
fn clients_that_never_finish_a_head_do_not_keep_the_places() {
    let upstream = Upstream::ok();
    // They would keep the places for an hour, were they not let go for others.
    let setup = gateway().server("max_connections = 4").limits("header_timeout = \"1h\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    let mut half: Vec<Client> = (0..6).map(|_| Client::to(&gateway)).collect();
    half.iter_mut().for_each(|client| {
        client.offer("P");
    });
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
}

#[test]
fn a_drain_does_not_wait_for_a_head_that_does_not_come() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut half = Client::to(&gateway);
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    half.send("POST /w HT");
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    let begin = Instant::now();
    gateway.drain();
    let _ended = gateway.wait();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[test]
fn a_megabyte_in_chunks_of_one_byte_is_read_in_reasonable_time() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let content = vec![b'x'; 128 * 1024];
    let begin = Instant::now();
    exchange(&gateway, &post(&content).chunked(&vec![1; content.len()])).assert_answer("ok");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!(upstream.only_request().content, content);
}

#[test]
fn a_target_that_is_too_long_whatever_the_head_may_have_is_refused_as_such() {
    let upstream = Upstream::ok();
    let gateway = gateway().limits("max_header_bytes = \"200KiB\"").route(PATH, &upstream.url()).start();
    let target = format!("{PATH}?{}", "x".repeat(66_000));
    let response = exchange(&gateway, &post(FIXTURE).target(&target));
    assert_refused(&response, 414, None);
}
