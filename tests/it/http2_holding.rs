//! Clients of HTTP/2 that hold a connection: by windows that they do not open, by requests that are under way
//! when the connection ends, and by ending only their own side.

use std::time::{Duration, Instant};

use h2::client::Builder;
use http::Request;

use crate::http2::{Http2, before, connect, ended, forged, h2c, push, run, signed, until};
use crate::support::request::PATH;
use crate::support::upstream::{OK, Oracle};
use crate::support::{Client, FIXTURE, PATIENCE, Upstream, gate, gateway, signature};

/// The strangers' requests are refused, and they read no refusal.
#[test]
fn streams_whose_responses_are_not_taken_up_are_shed_for_an_event() {
    let upstream = Upstream::ok();
    let setup = h2c().limits("max_body = \"64KiB\"\nmax_buffered = \"128KiB\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    let event = vec![b'x'; 30_000];
    run(async {
        let stream = connect(gateway.address()).await;
        let mut strangers = Http2::built(Builder::new().initial_window_size(0), stream).await;
        let mut held = Vec::new();
        for _ in 0..20 {
            let (response, content) = strangers.begin(forged(), true).await;
            held.push((response.await.unwrap(), content));
        }
        let mut client = Http2::to(gateway.address()).await;
        for _ in 0..3 {
            client.event(&event).await.unwrap().assert(200, "ok");
        }
        drop(held);
        until("all memory is given back", || gateway.control().budget().held() == 0).await;
    });
}

#[test]
fn the_end_of_a_response_is_not_held_while_other_responses_are_taken_up() {
    let upstream = Upstream::ok();
    let gateway = h2c().limits("write_timeout = \"300ms\"").route(PATH, &upstream.url()).start();
    run(async {
        let stream = connect(gateway.address()).await;
        let mut client = Http2::built(Builder::new().initial_window_size(5), stream).await;
        let (response, _content) = client.begin(forged(), true).await;
        let mut unread = response.await.unwrap().into_body();
        let reset = tokio::spawn(async move { while let Some(Ok(_)) = unread.data().await {} });
        let begin = Instant::now();
        while !reset.is_finished() {
            client.event(FIXTURE).await.unwrap().assert(200, "ok");
            assert!(begin.elapsed() < PATIENCE, "the stream is reset");
        }
        client.event(FIXTURE).await.unwrap().assert(200, "ok");
        drop(client);
        until("all memory is given back", || gateway.control().budget().held() == 0).await;
    });
}

#[test]
fn a_client_that_ends_its_own_side_gets_the_answers_to_its_whole_requests() {
    let (release, gate) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            gate.pass();
            connection.send(OK);
        }
    });
    let gateway = before(&upstream);
    let signature = signature(FIXTURE);
    let mut head = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", "a"),
        ("propify-signature", signature.as_str()),
    ] {
        // A literal without indexing, not in Huffman's code (RFC 7541, section 6.2.2).
        for part in [&[0][..], &[name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()] {
            head.extend_from_slice(part);
        }
    }
    let length = [0, 0, head.len() as u8];
    let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut client = Client::to(&gateway);
    client.send([&settings[..], &length, b"\x01\x04\0\0\0\x01", &head].concat());
    client.send([b"\0\0\xa2\0\x01\0\0\0\x01", FIXTURE].concat());
    client.half_close();
    upstream.wait_for(1);
    release.open();
    let (received, _end) = client.rest();
    // The last byte is a frame of its own.
    for frame in [b"\0\0\x01\0\0\0\0\0\x01o", b"\0\0\x01\0\0\0\0\0\x01k"] {
        assert!(received.windows(frame.len()).any(|bytes| bytes == frame), "{received:?}");
    }
}

/// A head that breaks off becomes no request, so no response is waited for.
#[test]
fn a_client_that_ends_within_a_head_is_not_waited_for() {
    let upstream = Upstream::ok();
    let setup = gateway().server("h2c = true").limits("header_timeout = \"1h\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    for head in [&b"\0\0\x01\x01\x01\0\0\0\x01\x83"[..], b"\0\0\x02\x01\x05\0\0\0\x01\x83"] {
        let mut client = Client::to(&gateway);
        client.send([&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], head].concat());
        client.half_close().rest();
    }
}

#[test]
fn a_connection_keeps_its_place_until_its_verified_event_is_delivered() {
    let (release, gate) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            gate.pass();
            connection.send(OK);
        }
    });
    let setup = gateway().server("h2c = true\nmax_connections = 1");
    let gateway = setup.route(PATH, &upstream.url()).start();
    let address = gateway.address();
    run(async {
        let mut client = Http2::to(address).await;
        let (_response, mut stream) = client.begin(signed(FIXTURE), false).await;
        push(&mut stream, FIXTURE, true).await.unwrap();
        until("the upstream has it", || upstream.requests().len() == 1).await;
        client.connection.abort();
        let next = async move { Http2::to(address).await.send(forged(), FIXTURE).await };
        let mut next = tokio::spawn(next);
        let early = tokio::time::timeout(Duration::from_millis(300), &mut next).await;
        assert!(early.is_err(), "{early:?}");
        release.open();
        next.await.unwrap().unwrap().assert(401, "signature_mismatch");
    });
}

/// The upstream of the requests answers only when the next client has its own answer.
#[test]
fn the_observed_requests_of_an_evicted_connection_end_without_their_upstream() {
    for (begins, leaves) in [(false, false), (true, false), (false, true)] {
        let (release, gate) = gate();
        let upstream = Upstream::with_oracle(Oracle::default().observing(), move |connection| {
            while connection.request().is_some() {
                if begins {
                    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome");
                }
                gate.pass();
                connection.send(OK);
            }
        });
        let setup = gateway().server("h2c = true\nmax_connections = 1");
        let gateway = setup.route_with(PATH, &upstream.url(), "mode = \"observe\"").start();
        run(async {
            let mut client = Http2::to(gateway.address()).await;
            let (response, mut stream) = client.begin(forged(), false).await;
            push(&mut stream, FIXTURE, true).await.unwrap();
            until("the upstream has it", || upstream.requests().len() == 1).await;
            let mut relayed = None;
            if begins {
                let mut content = response.await.unwrap().into_body();
                assert_eq!(content.data().await.unwrap().unwrap(), "some");
                relayed = Some(content);
            }
            if leaves {
                client.connection.abort();
            }
            let mut next = Http2::to(gateway.address()).await;
            let elsewhere = Request::post("http://localhost/elsewhere").body(()).unwrap();
            next.send(elsewhere, b"").await.unwrap().assert(404, "no_route");
            assert_eq!(ended(&gateway), 1, "{begins} {leaves}");
            if let Some(mut content) = relayed {
                let rest = content.data().await;
                assert!(matches!(rest, Some(Err(_))), "{rest:?}");
            }
            release.open();
        });
    }
}
