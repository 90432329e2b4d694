//! Tests of the test support itself: the client with the upstream, without a gateway.

use crate::support::upstream::{OK, Oracle};
use crate::support::{Client, End, FIXTURE, Post, Upstream, gate, post, unsigned};

/// The oracle's verdict on one request, or on raw bytes.
fn verdict(bytes: impl AsRef<[u8]>) -> Result<(), String> {
    let mut upstream = Upstream::ok();
    let mut client = Client::connect(upstream.address());
    client.offer(bytes);
    client.half_close();
    drop(client.rest());
    upstream.settle();
    match upstream.take_violations().pop() {
        None => Ok(()),
        Some(violation) => Err(violation),
    }
}

#[test]
fn the_oracle_lets_authentic_strict_requests_pass() {
    assert_eq!(verdict(post(FIXTURE).bytes()), Ok(()));
    assert_eq!(verdict(post("").line("x-opaque: \u{e9}").bytes()), Ok(()));
    assert_eq!(verdict([post("a").bytes(), post("b").bytes()].concat()), Ok(()));
}

#[test]
fn the_oracle_sees_whatever_should_not_have_been_forwarded() {
    let bad: Vec<Post> = vec![
        unsigned(FIXTURE),
        post(FIXTURE).forged("forged"),
        post(FIXTURE).claiming(FIXTURE.len() - 1),
        post(FIXTURE).line("propify-signature: x"),
        post(FIXTURE).line("host: x"),
        post(FIXTURE).without("host"),
        post(FIXTURE).line("content-length: 162"),
        post(FIXTURE).chunked(&[]),
        post(FIXTURE).raw(""),
        post(FIXTURE).line("connection: close"),
        post(FIXTURE).line("expect: 100-continue"),
        post(FIXTURE).line("x: a\nb: c"),
        post(FIXTURE).line("x : a"),
        post(FIXTURE).target("http://x/"),
        post(FIXTURE).target("/#x"),
        post(FIXTURE).version("HTTP/1.0"),
    ];
    for request in bad {
        assert!(verdict(request.bytes()).is_err(), "{request:?}");
    }
    assert!(verdict([post("a").bytes(), b"garbage\r\n\r\n".to_vec()].concat()).is_err());
}

#[test]
fn an_oracle_may_have_another_scheme_other_secrets_or_only_observe() {
    for oracle in [
        Oracle::default().secrets(&["another", "propify_test_secret"]),
        Oracle::default().scheme("x", "y").observing(),
    ] {
        let upstream = Upstream::ok_under(oracle);
        Client::connect(upstream.address()).send(post("").bytes()).response().assert_answer("ok");
    }
}

#[test]
fn the_client_tells_a_whole_answer_from_one_that_breaks_off() {
    for (answer, complete) in [
        ("content-length: 2\r\n\r\nok", true),
        ("content-length: 3\r\n\r\nok", false),
        ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
        ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", false),
        ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n", false),
        ("\r\nok", true),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{answer}");
        let upstream = Upstream::scripted(move |connection| {
            connection.request();
            connection.send(&bytes);
        });
        let mut client = Client::connect(upstream.address());
        let response = client.send(post("").bytes()).response();
        assert_eq!((response.text().as_str(), response.complete), ("ok", complete), "{answer}");
        client.assert_closed();
    }
}

#[test]
fn the_client_tells_a_reset_from_a_close() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\n\r\nok");
        passed.pass();
        connection.reset();
    });
    let mut client = Client::connect(upstream.address());
    client.send(post("").bytes()).until("ok");
    open.open();
    assert!(!client.response().complete);
    assert_eq!(client.rest(), (Vec::new(), End::Reset));
}

#[test]
fn the_upstream_counts_what_it_hears() {
    let mut upstream = Upstream::scripted(|connection| {
        while connection.request().is_some() {
            connection.send(OK);
        }
    });
    for n in 1..=3 {
        Client::connect(upstream.address()).send(post("").bytes()).response().assert_answer("ok");
        upstream.wait_closed(n);
    }
    upstream.settle();
    assert_eq!((upstream.connections(), upstream.requests().len()), (3, 3));
    assert_eq!(upstream.bytes(), 3 * post("").bytes().len());
}
