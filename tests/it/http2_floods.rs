//! The known floods over HTTP/2. During each flood of one client, a sender on another connection is served,
//! and memory stays bounded. Only authentic requests reach the upstream (its oracle checks that).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookgate::admission::memory::with_reserve;
use hookgate::http2::limits::{MAX_STREAMS, MOST_REQUESTS};

use crate::support::http2::frame::{
    ACK, CANCEL, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE,
    PING, REFUSED_STREAM, SETTINGS, WITH_PRIORITY,
};
use crate::support::http2::{Http2, MAX_WINDOW, Outcome, PREFACE, hpack};
use crate::support::request::PATH;
use crate::support::tls::until;
use crate::support::upstream::OK;
use crate::support::{Client, FIXTURE, Gateway, Post, Setup, Upstream, gate, gateway, post, unsigned};

const KIB: usize = 1024;

/// The most streams of a connection, and the most requests of a connection that are under way.
const STREAMS: usize = MAX_STREAMS as usize;
const REQUESTS: usize = MOST_REQUESTS;

fn h2c() -> Setup {
    gateway().server("h2c = true")
}

fn before(upstream: &Upstream) -> Gateway {
    h2c().route(PATH, &upstream.url()).start()
}

/// Asserts that senders on connections of their own are served.
#[track_caller]
fn assert_serves(gateway: &Gateway) {
    let mut good = Http2::to(gateway);
    for _ in 0..3 {
        good.exchange(&post(FIXTURE)).assert_answer("ok");
    }
    Client::to(gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
}

/// Sends `frames(0)`, `frames(1)` and so on, and reads what comes back. Stops when the gateway ends the
/// connection. Returns whether it did.
fn flood(client: &mut Http2, count: u32, mut frames: impl FnMut(u32) -> Vec<Frame>) -> bool {
    (0..count).any(|number| !client.offer(&frames(number)) || !client.settle())
}

/// The same, while another sender sends events over a connection of its own, opened before.
#[track_caller]
fn flood_beside_a_sender(
    gateway: &Gateway,
    count: u32,
    frames: impl FnMut(&mut Http2, u32) -> Vec<Frame> + Send,
) -> Http2 {
    let mut good = Http2::to(gateway);
    good.exchange(&post(FIXTURE)).assert_answer("ok");
    let mut bad = Http2::to(gateway);
    std::thread::scope(|scope| {
        let (bad, mut frames) = (&mut bad, frames);
        scope.spawn(move || {
            for number in 0..count {
                let frames = frames(bad, number);
                if !bad.offer(&frames) || !bad.settle() {
                    break;
                }
            }
        });
        for _ in 0..20 {
            good.exchange(&post(FIXTURE)).assert_answer("ok");
        }
    });
    assert_serves(gateway);
    bad
}

/// Asserts that the gateway has ended the connection because of a flood.
#[track_caller]
fn assert_calmed(client: &mut Http2) {
    let goaway = client.ending();
    assert_eq!(goaway.map(|goaway| goaway.code), Some(ENHANCE_YOUR_CALM), "{goaway:?}");
}

/// Asserts that no memory is reserved once nothing is under way.
#[track_caller]
fn assert_free(gateway: &Gateway) {
    until("all memory is free", || gateway.control().buffered_bytes() == 0);
}

/// CVE-2023-44487.
#[test]
fn a_client_that_resets_each_stream_is_disconnected() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let event = unsigned(FIXTURE);
    let mut bad = flood_beside_a_sender(&gateway, 100, |client, _| {
        (0..100)
            .flat_map(|_| {
                let head = client.head(&event);
                [head.clone(), Frame::rst_stream(head.stream, CANCEL)]
            })
            .collect()
    });
    assert_calmed(&mut bad);
    assert_free(&gateway);
}

/// Each event is authentic, so each is forwarded although its stream was reset. So the number of events under
/// way must be bounded by something else than the number of open streams.
#[test]
fn authentic_events_whose_streams_are_reset_are_under_way_in_a_bounded_number() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        if connection.request_head() {
            passed.pass();
        }
        while connection.request().is_some() {
            connection.send(OK);
        }
    });
    // No event ends meanwhile, however slow the machine is.
    let gateway = h2c().upstream("response_timeout = \"1h\"").route(PATH, &upstream.url()).start();
    let mut bad = Http2::to(&gateway);
    let (mut sent, event) = (0, post(FIXTURE));
    // One after the other: so that each is taken before it is reset.
    while sent < 500 {
        let stream = bad.post(&event);
        if !bad.settle() || !bad.offer(&[Frame::rst_stream(stream, CANCEL)]) {
            break;
        }
        sent += 1;
    }
    let under_way = upstream.connections();
    assert!((1..=REQUESTS + 1).contains(&under_way), "{under_way} of {sent} events are under way");
    drop(open);
    drop(bad);
    assert_free(&gateway);
    assert_serves(&gateway);
}

/// CVE-2024-27316 and others.
#[test]
fn a_head_that_never_ends_ends_the_connection() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let line = hpack::literal("x-more", "y".repeat(1000));
    for (name, piece) in [
        ("empty", Vec::new()),
        ("small", hpack::literal("a", "")),
        ("a byte", vec![0x82]),
        ("large", line.repeat(15)),
    ] {
        let mut bad = flood_beside_a_sender(&gateway, 1, |client, _| {
            let head = client.head(&post(FIXTURE)).without(END_HEADERS);
            let more = Frame::continuation(head.stream, &piece);
            std::iter::once(head).chain(std::iter::repeat_n(more, 3000)).collect()
        });
        assert!(bad.ending().is_some(), "{name}");
    }
    assert_free(&gateway);
}

#[test]
fn a_head_of_many_continuations_is_served_if_it_is_small() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let mut client = Http2::to(&gateway);
    let head =
        client.head(&unsigned("").line(format!("propify-signature: {}", crate::support::signature(b""))));
    let mut frames = vec![Frame::new(HEADERS, 0, head.stream, []).end()];
    frames.extend(
        head.payload.chunks(head.payload.len() / 3).map(|part| Frame::continuation(head.stream, part)),
    );
    let last = frames.pop().unwrap().flags(END_HEADERS);
    frames.push(last);
    client.send_all(&frames).answer(head.stream).assert_answer("ok");
}

/// CVE-2025-8671: frames by which a client makes the gateway reset the stream.
#[test]
fn a_client_that_makes_the_gateway_reset_its_streams_is_disconnected() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    type Make = fn(u32) -> Frame;
    let faults: [(&str, Make); 5] = [
        ("a window update of 0", |stream| Frame::window_update(stream, 0)),
        ("a window that overflows", |stream| Frame::window_update(stream, MAX_WINDOW)),
        ("content after the end", |stream| Frame::data(stream, "x")),
        ("a stream that depends on itself", |stream| Frame::priority(stream, stream, 1)),
        ("a second head after the end", |stream| Frame::headers(stream, hpack::literal("a", "b")).end()),
    ];
    for (name, fault) in faults {
        let mut is_ended = false;
        let mut bad = Http2::to(&gateway);
        for _ in 0..300 {
            let frames: Vec<Frame> = (0..10)
                .flat_map(|_| {
                    let head = bad.head(&unsigned("")).end();
                    [head.clone(), fault(head.stream)]
                })
                .collect();
            is_ended = !bad.offer(&frames) || !bad.settle();
            if is_ended {
                break;
            }
        }
        // A stream that depends on itself is no error any more (RFC 9113, section 5.3.2).
        assert!(is_ended || name.contains("depends"), "{name}");
        assert_serves(&gateway);
    }
    assert_free(&gateway);
}

/// The client waits until the gateway is about to answer: an upstream that waits holds the streams open.
#[test]
fn streams_that_are_reset_by_the_clients_errors_leave_a_bounded_number_of_events_under_way() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        if connection.request_head() {
            passed.pass();
        }
        while connection.request().is_some() {
            connection.send(OK);
        }
    });
    let gateway = before(&upstream);
    let mut bad = Http2::to(&gateway);
    for _ in 0..500 {
        let stream = bad.post(&post(FIXTURE));
        if !bad.settle() || !bad.offer(&[Frame::window_update(stream, MAX_WINDOW)]) {
            break;
        }
    }
    until("one is under way", || upstream.connections() > 0);
    let under_way = upstream.connections();
    assert!((1..=REQUESTS + 1).contains(&under_way), "{under_way} events are under way");
    drop(open);
    drop(bad);
    assert_free(&gateway);
    assert_serves(&gateway);
}

#[test]
fn settings_pings_priorities_window_updates_and_unknown_frames_without_end_hinder_nobody() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    type Make = fn(u32) -> Frame;
    let kinds: [(&str, Make); 9] = [
        ("settings", |number| Frame::settings(&[(INITIAL_WINDOW_SIZE, 65_535 + number)])),
        ("empty settings", |_| Frame::settings(&[])),
        ("unknown settings", |_| Frame::settings(&[(0xfa, 7); 50])),
        ("acknowledgements", |_| Frame::new(SETTINGS, ACK, 0, [])),
        ("pings", |number| Frame::ping(number.into())),
        ("pongs", |_| Frame::new(PING, ACK, 0, [7; 8])),
        ("priorities", |number| Frame::priority(2 * number + 1, 0, 7)),
        ("window updates", |_| Frame::window_update(0, 1)),
        ("unknown frames", |number| Frame::new(0xfa, 0xff, number, "opaque")),
    ];
    for (name, make) in kinds {
        let bad = flood_beside_a_sender(&gateway, 20, |_, number| {
            (0..500).map(|n| make(500 * number + n)).collect()
        });
        // Either each was taken, or the connection was ended.
        assert!(bad.goaway().is_none_or(|goaway| goaway.code != 2), "{name}: {:?}", bad.goaway());
    }
    assert_free(&gateway);
}

/// The client does not read the acknowledgements. The gateway must stop reading, not collect them.
#[test]
fn answers_that_a_client_does_not_read_stop_its_flood() {
    let upstream = Upstream::ok();
    let gateway = h2c().limits("write_timeout = \"1s\"").route(PATH, &upstream.url()).start();
    type Make = fn(u64) -> Frame;
    let kinds: [Make; 3] = [
        Frame::ping,
        |_| Frame::settings(&[]),
        // Each of these is answered with RST_STREAM or GOAWAY.
        |number| {
            Frame::headers(2 * u32::try_from(number).unwrap() + 1, hpack::literal("not-strict", "")).end()
        },
    ];
    for make in kinds {
        let mut bad = Http2::to(&gateway).with_small_buffer();
        bad.impolite().patience(Duration::from_millis(200));
        // Loopback takes at most some megabytes in both directions.
        // A connection that has ended is read for up to a second more.
        let is_stopped = (0..20_000).any(|batch| {
            let frames: Vec<Frame> = (0..1000).map(|n| make(1000 * batch + n)).collect();
            !bad.offer(&frames)
        });
        assert!(is_stopped);
        assert_serves(&gateway);
    }
    assert_free(&gateway);
}

#[test]
fn empty_frames_without_end_hinder_nobody() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for end in [false, true] {
        let mut stream = 0;
        let mut bad = flood_beside_a_sender(&gateway, 20, |client, number| {
            let mut frames = Vec::new();
            if number == 0 {
                let head = client.head(&post(FIXTURE));
                stream = head.stream;
                frames.push(head);
            }
            frames.extend(std::iter::repeat_n(Frame::data(stream, []), 500));
            if end {
                frames.extend(std::iter::repeat_n(Frame::data(stream, []).padded(0), 100));
            }
            frames
        });
        // The connection was ended, or the event can still be completed.
        if bad.settle() {
            bad.content(stream, FIXTURE, true).answer(stream).assert_answer("ok");
        }
    }
    assert_free(&gateway);
}

#[test]
fn content_in_frames_of_one_byte_is_served_or_refused_but_hinders_nobody() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for (size, must_be_served) in [(FIXTURE.len(), true), (4 * KIB, true), (60 * KIB, false)] {
        for padding in [None, Some(0), Some(200)] {
            let content = vec![b'x'; size];
            let (mut stream, mut rest) = (0, content.as_slice());
            let event = post(&content);
            let mut bad =
                flood_beside_a_sender(&gateway, u32::try_from(size / 100 + 1).unwrap(), |client, number| {
                    let mut frames = Vec::new();
                    if number == 0 {
                        let head = client.head(&event);
                        stream = head.stream;
                        frames.push(head);
                    }
                    let (now, later) = rest.split_at(rest.len().min(100));
                    rest = later;
                    frames.extend(now.iter().enumerate().map(|(at, byte)| {
                        let frame = Frame::data(stream, [*byte]);
                        let frame = padding.into_iter().fold(frame, Frame::padded);
                        if later.is_empty() && at + 1 == now.len() { frame.end() } else { frame }
                    }));
                    frames
                });
            let outcome = bad.outcome(stream);
            let is_served = outcome == Outcome::Status(200);
            assert!(is_served || !must_be_served, "{size} bytes with padding {padding:?}: {outcome:?}");
        }
    }
    assert_free(&gateway);
}

/// A block has few bytes, and the bytes are decoded into many fields.
#[test]
fn a_bomb_of_compressed_fields_is_refused() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for references in [100, 16_000] {
        let mut bad = Http2::to(&gateway);
        for _ in 0..40 {
            let head = bad.head(&post("")).end();
            let bomb = [
                hpack::literal_into_table("x-bomb", "y".repeat(3900)),
                hpack::indexed(62).repeat(references),
            ];
            let block = [head.payload, bomb.concat()].concat();
            let frames = Frame::head(head.stream, END_STREAM, &block);
            if !bad.offer(&frames) {
                break;
            }
            match bad.outcome(head.stream) {
                Outcome::Status(status) => assert_eq!(status, 431),
                Outcome::Reset(_) => {}
                Outcome::Goaway(_) | Outcome::Closed => break,
            }
        }
        assert_serves(&gateway);
    }
    assert_free(&gateway);
    assert_eq!(upstream.requests().len(), 8);
}

#[test]
fn a_connection_has_no_more_streams_than_it_may_have() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let mut bad = Http2::to(&gateway);
    bad.settle();
    let heads: Vec<Frame> = (0..2000).map(|_| bad.head(&post(FIXTURE))).collect();
    let mut is_over = false;
    for batch in heads.chunks(50) {
        is_over = is_over || !bad.offer(batch) || !bad.settle();
    }
    assert_serves(&gateway);
    let outcomes: Vec<_> = heads.iter().filter_map(|head| bad.so_far(head.stream)).collect();
    let refused = outcomes.iter().filter(|answer| answer.reset == Some(REFUSED_STREAM)).count();
    assert_eq!(outcomes.len(), refused, "only refused streams have ended");
    assert!(is_over || refused == heads.len() - STREAMS, "{refused} are refused");
    if !is_over {
        // The others are served.
        for head in &heads[..STREAMS] {
            bad.content(head.stream, FIXTURE, true).answer(head.stream).assert_answer("ok");
        }
    }
    drop(bad);
    assert_free(&gateway);
}

/// Until a client has read the settings, it may take it that there are 100 streams (RFC 9113, section 6.5.2).
/// Go, Node and nghttp2 do. A refused stream costs them the event, or the connection.
#[test]
fn a_burst_of_a_hundred_events_before_the_settings_are_read_is_served() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let mut client = Http2::connect(gateway.address());
    let mut frames = vec![Frame::settings(&[(INITIAL_WINDOW_SIZE, MAX_WINDOW)])];
    let streams: Vec<u32> = (0..100)
        .map(|_| {
            let head = client.head(&post(FIXTURE));
            let stream = head.stream;
            frames.extend([head, Frame::data(stream, FIXTURE).end()]);
            stream
        })
        .collect();
    client.send_bytes([PREFACE.to_vec(), frames.iter().flat_map(Frame::bytes).collect()].concat());
    for stream in streams {
        client.answer(stream).assert_answer("ok");
    }
    assert_eq!(upstream.requests().len(), 100);
}

#[test]
fn two_thousand_unfinished_streams_hold_no_more_memory_than_there_is_and_keep_no_event_out() {
    const MAX: u64 = 1024 * 1024;
    let upstream = Upstream::ok();
    let gateway = h2c()
        .limits("max_body = \"64KiB\"\nmax_buffered = \"1MiB\"\nbody_timeout = \"1h\"\nmin_body_rate = 0")
        .route(PATH, &upstream.url())
        .start();
    let event = post(vec![b'x'; 64 * KIB]);
    let mut clients: Vec<Http2> = Vec::new();
    for _ in 0..2000 / 32 {
        let mut client = Http2::to(&gateway);
        for _ in 0..32 {
            let head = client.head(&event);
            // 7 KiB each: within the window of the connection, for all of them together.
            if !client.offer(&[head.clone(), Frame::data(head.stream, &event.body()[..7 * KIB])]) {
                break;
            }
        }
        clients.push(client);
        let held = gateway.control().buffered_bytes();
        assert!(held <= with_reserve(MAX), "{held} bytes are held");
    }
    assert_serves(&gateway);
    for size in [0, 162, 4 * KIB, 60 * KIB] {
        let answer = Http2::to(&gateway).exchange(&post(vec![b'x'; size]));
        assert_eq!(answer.status(), Some(200), "{size} bytes: {}", answer.text());
    }
    let held = gateway.control().buffered_bytes();
    assert!(held <= with_reserve(MAX), "{held} bytes are held");
    drop(clients);
    assert_free(&gateway);
}

/// An upstream with an answer of 4 MiB. It counts the bytes that it could write.
fn large_answers() -> (Upstream, Arc<AtomicUsize>) {
    let written = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::scripted({
        let written = Arc::clone(&written);
        move |connection| {
            while connection.request().is_some() {
                connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 4096 * KIB));
                for _ in 0..64 {
                    if !connection.send(vec![b'y'; 64 * KIB]) {
                        return;
                    }
                    written.fetch_add(64 * KIB, Ordering::Relaxed);
                }
            }
        }
    });
    (upstream, written)
}

#[test]
fn a_client_without_a_window_gets_no_response_and_is_given_up_in_time() {
    const LENGTH: usize = 64 * KIB;
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n{}",
        "y".repeat(LENGTH)
    ));
    let gateway = h2c().limits("write_timeout = \"500ms\"").route(PATH, &upstream.url()).start();
    let address = gateway.address();
    let give_up = move |window| {
        let mut bad = Http2::connect(address);
        bad.greet_with(&[(INITIAL_WINDOW_SIZE, window)]);
        let streams: Vec<u32> = (0..STREAMS).map(|_| bad.post(&post(FIXTURE))).collect();
        for stream in streams {
            let answer = bad.answer(stream);
            assert_eq!(answer.status(), Some(200), "{answer:?}");
            assert!(!answer.complete && answer.reset.is_some(), "{:?}", answer.reset);
            assert!(answer.body.len() <= usize::try_from(window).unwrap(), "{}", answer.body.len());
        }
    };
    std::thread::scope(|scope| {
        for window in [0, 1, 100] {
            scope.spawn(move || give_up(window));
        }
    });
}

/// The gateway's own refusals wait for their clients' windows. The memory of their streams is shed for
/// others.
#[test]
fn clients_that_open_no_window_keep_no_event_out() {
    const MAX: u64 = 1024 * 1024;
    let upstream = Upstream::ok();
    let gateway = h2c()
        .limits("max_body = \"64KiB\"\nmax_buffered = \"1MiB\"\nwrite_timeout = \"1h\"")
        .route(PATH, &upstream.url())
        .start();
    let clients: Vec<Http2> = (0..3)
        .map(|_| {
            let mut bad = Http2::connect(gateway.address());
            bad.greet_with(&[(INITIAL_WINDOW_SIZE, 0)]);
            let heads: Vec<Frame> = (0..100).map(|_| bad.head(&unsigned("")).end()).collect();
            bad.offer(&heads);
            bad.settle();
            bad
        })
        .collect();
    let held = gateway.control().buffered_bytes();
    assert!(held <= with_reserve(MAX), "{held} bytes are held");
    for size in [0, 162, 4 * KIB, 60 * KIB] {
        let event = post(vec![b'x'; size]);
        Client::to(&gateway).send(event.bytes()).response().assert_answer("ok");
        let answer = Http2::to(&gateway).exchange(&event);
        assert_eq!(answer.status(), Some(200), "{size} bytes: {}", answer.text());
    }
    drop(clients);
    assert_free(&gateway);
}

#[test]
fn a_client_that_reads_nothing_makes_the_gateway_keep_little_of_its_responses() {
    let (upstream, written) = large_answers();
    let gateway = h2c().limits("write_timeout = \"1h\"").route(PATH, &upstream.url()).start();
    let mut bad = Http2::to(&gateway).with_small_buffer();
    for _ in 0..STREAMS {
        let head = bad.head(&post(FIXTURE));
        bad.send_all(&[head.clone(), Frame::data(head.stream, FIXTURE).end()]);
    }
    upstream.wait_for(STREAMS);
    for _ in 0..20 {
        Http2::to(&gateway).exchange(&unsigned("")).status();
    }
    // The kernel buffers up to some megabytes for each connection of the upstream; the gateway must not read
    // the rest.
    let read = written.load(Ordering::Relaxed);
    assert!(read < STREAMS * 4096 * KIB, "all of the answers was read");
    drop(bad);
    drop(gateway);
}

#[test]
fn a_head_that_does_not_come_in_time_ends_the_connection() {
    let upstream = Upstream::ok();
    let gateway = h2c().limits("header_timeout = \"1s\"").route(PATH, &upstream.url()).start();
    let event = post(FIXTURE);
    let connect = || {
        let mut slow = Http2::to(&gateway);
        slow.exchange(&event).assert_answer("ok");
        slow
    };
    // Each case takes as long as a head may take, so the cases run in parallel.
    std::thread::scope(|scope| {
        // Nothing; half of the preface; the preface alone; half of the settings.
        for bytes in [b"".as_slice(), b"PRI * HT", PREFACE, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04"] {
            let mut slow = Http2::connect(gateway.address());
            scope.spawn(move || slow.send_bytes(bytes).ending());
        }
        // A head that is cut in its frame, between its frames, and in the header of a frame.
        for cut in 0..3 {
            let mut slow = connect();
            let head = slow.head(&event);
            let bytes = match cut {
                0 => head.bytes()[..20].to_vec(),
                1 => head.without(END_HEADERS).bytes(),
                _ => head.bytes()[..5].to_vec(),
            };
            scope.spawn(move || slow.send_bytes(bytes).ending());
        }
        // Bytes that trickle make no difference.
        let mut slow = connect();
        let head = slow.head(&event).without(END_HEADERS);
        slow.send(&head);
        let more = Frame::continuation(head.stream, []);
        let trickle = slow.trickle(more.bytes(), Duration::from_millis(20));
        slow.ending();
        drop(trickle);
    });
    assert_serves(&gateway);
}

#[test]
fn content_that_does_not_come_in_time_is_408_on_its_stream_and_the_others_are_served() {
    let upstream = Upstream::ok();
    let gateway = h2c().limits("body_timeout = \"300ms\"").route(PATH, &upstream.url()).start();
    let mut client = Http2::to(&gateway);
    let head = client.head(&post(FIXTURE));
    client.send_all(&[head.clone(), Frame::data(head.stream, &FIXTURE[..7])]);
    client.exchange(&post(FIXTURE)).assert_answer("ok");
    assert_eq!(client.outcome(head.stream), Outcome::Status(408));
    client.exchange(&post(FIXTURE)).assert_answer("ok");
}

/// A head that ends over and over again: trailers, and heads with priorities.
#[test]
fn heads_in_the_place_of_trailers_hinder_nobody() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let mut stream = 0;
    let bad = flood_beside_a_sender(&gateway, 5, |client, number| {
        let mut frames = Vec::new();
        if number == 0 {
            let head = client.head(&post(FIXTURE));
            stream = head.stream;
            frames.push(head);
        }
        let trailers = Frame::new(
            HEADERS,
            END_HEADERS | WITH_PRIORITY,
            stream,
            [[0; 5].as_slice(), &hpack::literal("a", "b")].concat(),
        );
        frames.extend(std::iter::repeat_n(trailers, 200));
        frames
    });
    // Trailers end a stream, so these are malformed.
    assert!(bad.goaway().is_some() || bad.so_far(stream).is_some_and(|answer| answer.reset.is_some()));
    assert_free(&gateway);
}

#[test]
fn refused_requests_without_end_hinder_nobody() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for refused in [
        unsigned(FIXTURE),
        unsigned(FIXTURE).target("/none"),
        post(FIXTURE).method("PUT"),
        post(FIXTURE).forged("x"),
    ] {
        // Half of them with content that comes after the refusal.
        let bad = flood_beside_a_sender(&gateway, 20, |client, _| {
            (0..20)
                .flat_map(|_| {
                    let head = client.head(&refused);
                    [head.clone(), Frame::data(head.stream, refused.body()).end()]
                })
                .collect()
        });
        assert_eq!(bad.received(GOAWAY), 0, "{refused:?}: {:?}", bad.goaway());
    }
    assert_free(&gateway);
}

/// A flood ends only its own connection: the client may connect again.
#[test]
fn a_flood_costs_a_client_its_connection_only() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    for _ in 0..5 {
        let mut bad = Http2::to(&gateway);
        let is_ended = flood(&mut bad, 50, |number| {
            (0..100)
                .flat_map(|n| {
                    let stream = 200 * number + 2 * n + 1;
                    let head = Frame::headers(stream, hpack::block(&Http2::lines(&unsigned(""))));
                    [head, Frame::rst_stream(stream, CANCEL)]
                })
                .collect()
        });
        assert!(is_ended);
        assert_serves(&gateway);
    }
}

/// Asserts that the event of a request that is never read by its client is still delivered.
#[test]
fn an_event_is_delivered_although_its_client_has_gone() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        if connection.request_head() {
            passed.pass();
        }
        if connection.request().is_some() {
            connection.send(OK);
        }
    });
    let gateway = before(&upstream);
    let events: [Post; 3] = [post("a"), post("b"), post("c")];
    let mut client = Http2::to(&gateway);
    let streams: Vec<u32> = events.iter().map(|event| client.post(event)).collect();
    until("they are under way", || upstream.connections() == 3);
    client.send(&Frame::rst_stream(streams[0], CANCEL));
    client.settle();
    client.reset();
    drop(open);
    upstream.wait_for(3);
}
