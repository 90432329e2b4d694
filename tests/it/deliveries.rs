//! Deliveries of stored events over real sockets, from a store in memory.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hookgate::config::{DeliveryOptions, Retry};
use hookgate::queue::circuit::Standing;
use hookgate::queue::event::{AttemptOutcome, MOST_KEPT_OF_RESPONSE, Upstream as To};
use hookgate::queue::store::{Change, DeadCause, Destination, State};

use crate::support::deliveries::{Deliveries, config_with, head, main_of, quick, route};
use crate::support::in_time::{accepted, joined};
use crate::support::upstream::{OK, Oracle, refusing};
use crate::support::{FIXTURE, PATIENCE, Upstream, gate};

const PATH: &str = "/webhook/leases";
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

fn with_schedule(millis: &[u64]) -> DeliveryOptions {
    let schedule = millis.iter().copied().map(Duration::from_millis).collect();
    DeliveryOptions { retry: Retry { schedule, ..Retry::default() }, ..DeliveryOptions::direct() }
}

fn outcomes(deliveries: &Deliveries, id: i64) -> Vec<(AttemptOutcome, Option<u16>)> {
    deliveries.row(id).attempts.iter().map(|attempt| (attempt.outcome, attempt.status)).collect()
}

/// Waits until `is` returns true. No signal tells when the state changes, so this polls.
fn eventually(what: &str, is: impl Fn() -> bool) {
    let (never, wake) = (Mutex::new(()), Condvar::new());
    let mut guard = never.lock().unwrap();
    for _ in 0..PATIENCE.as_millis() / 5 {
        if is() {
            return;
        }
        guard = wake.wait_timeout(guard, Duration::from_millis(5)).unwrap().0;
    }
    panic!("not within time: {what}");
}

#[test]
fn an_event_is_delivered_byte_for_byte_as_it_was_stored() {
    for content in [FIXTURE.to_vec(), Vec::new(), vec![b'x'; 700_000]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let want = [head(PATH, &content), content.clone()].concat();
        let length = want.len();
        let app = std::thread::spawn(move || {
            let mut stream = accepted(&listener);
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(OK).unwrap();
            bytes
        });
        let deliveries = Deliveries::of(&[(PATH, url, quick())]);
        let id = deliveries.add(PATH, &content);
        let row = deliveries.wait_delivered(id);
        assert_eq!(joined(app), want);
        assert_eq!((row.attempts.len(), &row.attempts[0].response[..]), (1, &b"ok"[..]));
    }
}

#[test]
fn a_failed_attempt_is_made_again_and_what_the_app_answered_is_kept() {
    let long = vec![b'e'; MOST_KEPT_OF_RESPONSE + 1];
    let refusal =
        [format!("HTTP/1.1 500 No\r\ncontent-length: {}\r\n\r\n", long.len()).as_bytes(), &long].concat();
    let upstream = Upstream::scripted(move |connection| {
        if connection.request().is_some() {
            connection.send(&refusal);
        }
        while connection.request().is_some() {
            connection.send(OK);
        }
    });
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
    let id = deliveries.add(PATH, FIXTURE);
    let row = deliveries.wait_delivered(id);
    let want = [(AttemptOutcome::Refused, Some(500)), (AttemptOutcome::Delivered, Some(200))];
    assert_eq!(outcomes(&deliveries, id), want);
    assert_eq!(row.attempts[0].response, long[..MOST_KEPT_OF_RESPONSE]);
    let requests = upstream.wait_for(2);
    assert_eq!(requests[0].fields, requests[1].fields);
    assert_eq!(requests[1].content, FIXTURE);
    // The rest of the first answer was read, and the connection was used again.
    assert_eq!(upstream.connections(), 1);
    let counts = deliveries.counts.of(&main_of(PATH)).snapshot();
    assert_eq!(counts.outcomes.map(|(_, count)| count), [1, 1, 0, 0, 0]);
}

#[test]
fn a_longer_wait_that_the_app_asks_for_is_kept() {
    let answer = "HTTP/1.1 503 No\r\nRetry-After: 100\r\ncontent-length: 0\r\n\r\n";
    let upstream = Upstream::answering(answer);
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), with_schedule(&[20, 3_600_000]))]);
    let id = deliveries.add(PATH, FIXTURE);
    let row = deliveries.wait_attempts(id, 1);
    let wait = row.due.since(row.attempts[0].at);
    assert!(wait >= Duration::from_secs(100) && wait < Duration::from_secs(100) + PATIENCE, "{wait:?}");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn an_app_that_says_gone_ends_the_delivery_at_once() {
    let upstream = Upstream::answering("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n");
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
    let id = deliveries.add(PATH, FIXTURE);
    deliveries.wait(id, "dead", |row| row.state == State::Dead(DeadCause::Refused));
    assert_eq!(outcomes(&deliveries, id), [(AttemptOutcome::Refused, Some(410))]);
    let counted = || deliveries.counts.of(&main_of(PATH)).snapshot().dead.map(|(_, count)| count);
    eventually("it is counted", || counted() == [1, 0, 0]);
}

#[test]
fn the_last_attempt_leaves_a_dead_letter_with_its_cause() {
    let mut options = quick();
    options.retry.max_attempts = NonZeroU32::new(2);
    let deliveries = Deliveries::of(&[(PATH, refusing(), options)]);
    let id = deliveries.add(PATH, FIXTURE);
    let row = deliveries.wait(id, "dead", |row| row.state == State::Dead(DeadCause::Undeliverable));
    assert_eq!(outcomes(&deliveries, id), [(AttemptOutcome::Unreachable, None); 2]);
    assert!(row.attempts[0].detail.as_ref().unwrap().contains("cannot be reached"));
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Upstream::ok();
    let answer = format!("HTTP/1.1 307 There\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let upstream = Upstream::answering(answer);
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
    let id = deliveries.add(PATH, FIXTURE);
    deliveries.wait_attempts(id, 2);
    assert_eq!(outcomes(&deliveries, id)[0], (AttemptOutcome::Refused, Some(307)));
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn an_event_is_sent_to_the_address_of_the_moment() {
    let upstream = Upstream::ok();
    let deliveries = Deliveries::of(&[(PATH, refusing(), quick())]);
    let id = deliveries.add(PATH, FIXTURE);
    deliveries.wait_attempts(id, 1);
    deliveries.reload(&[(PATH, upstream.url(), quick())]);
    deliveries.wait_delivered(id);
    let all = outcomes(&deliveries, id);
    assert_eq!(all[0], (AttemptOutcome::Unreachable, None));
    assert_eq!(all.last(), Some(&(AttemptOutcome::Delivered, Some(200))));
    assert_eq!(upstream.only_request().content, FIXTURE);
}

#[test]
fn an_app_that_breaks_off_is_tried_again() {
    for part in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length", b"nonsense\r\n\r\n"] {
        let upstream = Upstream::scripted(move |connection| {
            if connection.index() == 0 && connection.request().is_some() {
                connection.send(part);
                return;
            }
            while connection.request().is_some() {
                connection.send(OK);
            }
        });
        let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
        let id = deliveries.add(PATH, FIXTURE);
        deliveries.wait_delivered(id);
        let want = [(AttemptOutcome::Failed, None), (AttemptOutcome::Delivered, Some(200))];
        assert_eq!(outcomes(&deliveries, id), want, "{}", part.escape_ascii());
    }
}

#[test]
fn nothing_that_an_app_sends_ends_the_thread() {
    let answers: [Vec<u8>; 8] = [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n".to_vec(),
        [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'a'; 100_000], b"\r\n\r\n"].concat(),
        vec![0; 1000],
        vec![0xff; 1000],
        b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100),
        b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_vec(),
        b"HTTP/1.1 503 No\r\nretry-after: 99999999999999999999999999\r\nretry-after: x\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 999 \r\ncontent-length: 18446744073709551616\r\n\r\n".to_vec(),
    ];
    let count = answers.len();
    let next = AtomicUsize::new(0);
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            let Some(answer) = answers.get(next.fetch_add(1, Ordering::Relaxed)) else {
                connection.send(OK);
                continue;
            };
            connection.send(answer);
            return;
        }
    });
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
    let id = deliveries.add(PATH, FIXTURE);
    deliveries.wait_delivered(id);
    let all = outcomes(&deliveries, id);
    assert_eq!(all.len(), count + 1, "{all:?}");
    assert!(all[..count].iter().all(|(outcome, _)| *outcome != AttemptOutcome::Delivered), "{all:?}");
}

#[test]
fn the_head_of_an_answer_decides_whatever_becomes_of_its_content() {
    // One answer has content that breaks off, the other has content without an end.
    for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok", "HTTP/1.1 200 OK\r\n\r\nok"] {
        let is_endless = !answer.contains("length");
        let upstream = Upstream::scripted(move |connection| {
            if connection.request().is_some() {
                connection.send(answer);
                while is_endless && connection.send([b'x'; 4096]) {}
            }
        });
        let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
        let id = deliveries.add(PATH, FIXTURE);
        let row = deliveries.wait_delivered(id);
        assert_eq!(row.attempts.len(), 1);
        let kept = &row.attempts[0].response;
        assert!(kept.starts_with(b"ok") && kept.len() == if is_endless { MOST_KEPT_OF_RESPONSE } else { 2 });
        upstream.wait_closed(1);
    }
}

#[test]
fn an_app_in_trouble_is_spared_and_gets_everything_when_it_is_back() {
    let is_up = Arc::new(AtomicBool::new(false));
    let upstream = Upstream::scripted({
        let is_up = Arc::clone(&is_up);
        move |connection| {
            while connection.request().is_some() {
                connection.send(if is_up.load(Ordering::Relaxed) { OK } else { UNAVAILABLE });
            }
        }
    });
    let healthy = Upstream::ok();
    let deliveries =
        Deliveries::of(&[(PATH, upstream.url(), with_schedule(&[50, 100])), ("/b", healthy.url(), quick())]);
    let ids: Vec<_> = (0..40).map(|_| deliveries.add(PATH, FIXTURE)).collect();
    eventually("the circuit is open", || deliveries.counts.is_open(&main_of(PATH)));
    // The other route is not affected.
    let other = deliveries.add("/b", FIXTURE);
    deliveries.wait_delivered(other);
    assert!(!deliveries.counts.is_open(&main_of("/b")));
    is_up.store(true, Ordering::Relaxed);
    let rows: Vec<_> = ids.iter().map(|id| deliveries.wait_delivered(*id)).collect();
    assert!(!deliveries.counts.is_open(&main_of(PATH)));
    // Only deliveries that were under way when the circuit opened have spent an attempt.
    let spent = rows.iter().map(|row| row.spent).sum::<u32>();
    assert!((5..=16 + 5).contains(&spent), "{spent}");
}

#[test]
fn the_circuit_of_a_route_that_is_gone_is_closed() {
    let upstream = Upstream::answering(UNAVAILABLE);
    let routes = [(PATH, upstream.url(), with_schedule(&[10_000])), ("/b", upstream.url(), quick())];
    let deliveries = Deliveries::of(&routes);
    let _ids: Vec<_> = (0..5).map(|_| deliveries.add(PATH, FIXTURE)).collect();
    let is_open = || {
        (deliveries.queue.circuit(&route(PATH)) == Standing::Open, deliveries.counts.is_open(&main_of(PATH)))
    };
    eventually("the circuit is open", || is_open() == (true, true));
    deliveries.reload(&routes[1..]);
    eventually("the circuit is closed", || is_open() == (false, false));
}

#[test]
fn a_circuit_that_opens_after_its_route_was_removed_is_not_open_when_the_route_is_back() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(UNAVAILABLE);
        }
    });
    let other = Upstream::ok();
    let deliveries =
        Deliveries::of(&[(PATH, upstream.url(), with_schedule(&[1])), ("/b", other.url(), quick())]);
    let ids: Vec<_> = (0..5).map(|_| deliveries.add(PATH, FIXTURE)).collect();
    upstream.wait_for(5);
    deliveries.reload(&[("/b", other.url(), quick())]);
    // The reload is in force when the next event of another route has been delivered.
    let id = deliveries.add("/b", FIXTURE);
    deliveries.wait_delivered(id);
    drop(open);
    ids.iter().for_each(|id| drop(deliveries.wait_attempts(*id, 1)));
    let is_open = || {
        (deliveries.queue.circuit(&route(PATH)) == Standing::Open, deliveries.counts.is_open(&main_of(PATH)))
    };
    eventually("the circuit is closed", || is_open() == (false, false));
    deliveries.reload(&[("/b", other.url(), quick()), (PATH, other.url(), quick())]);
    ids.iter().for_each(|id| drop(deliveries.wait_delivered(*id)));
    assert_eq!(is_open(), (false, false));
}

#[test]
fn an_open_circuit_whose_probe_is_under_way_is_open_when_its_route_is_removed_and_comes_back() {
    let answers = AtomicUsize::new(0);
    let ((go_on, first), (open, passed)) = (gate(), gate());
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            let gate = if answers.fetch_add(1, Ordering::Relaxed) < 5 { &first } else { &passed };
            gate.pass();
            connection.send(UNAVAILABLE);
        }
    });
    let other = Upstream::ok();
    let routes = [(PATH, upstream.url(), with_schedule(&[200])), ("/b", other.url(), quick())];
    let deliveries = Deliveries::of(&routes);
    let _ids: Vec<_> = (0..5).map(|_| deliveries.add(PATH, FIXTURE)).collect();
    // The first answers are to five different events, so they open the circuit.
    upstream.wait_for(5);
    drop(go_on);
    eventually("the circuit is open", || deliveries.queue.circuit(&route(PATH)) == Standing::Open);
    upstream.wait_for(6);
    for routes in [&routes[1..], &routes] {
        deliveries.reload(routes);
        let id = deliveries.add("/b", FIXTURE);
        deliveries.wait_delivered(id);
    }
    assert!(deliveries.queue.circuit(&route(PATH)) == Standing::Open);
    drop(open);
}

#[test]
fn no_more_are_under_way_than_the_concurrency() {
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (open, passed) = gate();
    let upstream = Upstream::scripted({
        let (under_way, most) = (Arc::clone(&under_way), Arc::clone(&most));
        move |connection| {
            while connection.request().is_some() {
                most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                passed.pass();
                under_way.fetch_sub(1, Ordering::SeqCst);
                connection.send(OK);
            }
        }
    });
    let options = DeliveryOptions { concurrency: NonZeroUsize::new(4).unwrap(), ..quick() };
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), options)]);
    let ids: Vec<_> = (0..12).map(|_| deliveries.add(PATH, FIXTURE)).collect();
    eventually("four are under way", || under_way.load(Ordering::SeqCst) == 4);
    drop(open);
    ids.iter().for_each(|id| drop(deliveries.wait_delivered(*id)));
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[test]
fn a_delivery_is_counted_as_under_way_from_its_start_on() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(OK);
        }
    });
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
    let under_way = || deliveries.counts.of(&main_of(PATH)).snapshot().under_way;
    for number in 1..=3 {
        deliveries.add(PATH, FIXTURE);
        upstream.wait_for(number);
        eventually("it is counted", || under_way() == number);
    }
    // None of them has ended meanwhile.
    assert_eq!(upstream.requests().len(), 3);
    drop(open);
    eventually("none is counted", || under_way() == 0);
}

#[test]
fn attempts_are_spaced_evenly_at_the_rate() {
    let upstream = Upstream::ok();
    let options = DeliveryOptions { interval: Some(Duration::from_millis(50)), ..quick() };
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), options)]);
    let ids: Vec<_> = (0..10).map(|_| deliveries.add(PATH, FIXTURE)).collect();
    let mut starts: Vec<_> = ids.iter().map(|id| deliveries.wait_delivered(*id).attempts[0].at).collect();
    starts.sort_unstable();
    // These times come from the delivery thread's clock. A millisecond is allowed for rounding.
    for pair in starts.windows(2) {
        assert!(pair[1].since(pair[0]) >= Duration::from_millis(44), "{starts:?}");
    }
}

#[test]
fn a_route_that_the_configuration_lacks_is_held_until_it_is_back() {
    let (upstream, other) = (Upstream::ok(), Upstream::ok());
    let deliveries = Deliveries::of(&[("/b", other.url(), quick())]);
    let held = deliveries.add(PATH, FIXTURE);
    let id = deliveries.add("/b", FIXTURE);
    deliveries.wait_delivered(id);
    assert_eq!(deliveries.row(held).attempts.len(), 0);
    deliveries.reload(&[("/b", other.url(), quick()), (PATH, upstream.url(), quick())]);
    deliveries.wait_delivered(held);
    deliveries.reload(&[("/b", other.url(), quick())]);
    let held = deliveries.add(PATH, FIXTURE);
    let id = deliveries.add("/b", FIXTURE);
    deliveries.wait_delivered(id);
    assert_eq!(deliveries.row(held).attempts.len(), 0);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_paused_route_is_held_from_the_pauses_commit_on_and_goes_on_when_it_is_resumed() {
    let (upstream, other) = (Upstream::ok(), Upstream::ok());
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick()), ("/b", other.url(), quick())]);
    deliveries.change(Change::Pause(route(PATH)));
    let held: Vec<_> = (0..3).map(|_| deliveries.add(PATH, FIXTURE)).collect();
    let id = deliveries.add("/b", FIXTURE);
    deliveries.wait_delivered(id);
    // A reload does not end the pause of a route.
    deliveries.reload(&[(PATH, upstream.url(), quick()), ("/b", other.url(), quick())]);
    let id = deliveries.add("/b", FIXTURE);
    deliveries.wait_delivered(id);
    assert_eq!(upstream.requests().len(), 0);
    deliveries.change(Change::Resume(route(PATH)));
    held.iter().for_each(|id| drop(deliveries.wait_delivered(*id)));
}

#[test]
fn a_copy_has_deliveries_of_its_own() {
    let (main, copy) = (Upstream::ok(), Upstream::answering(UNAVAILABLE));
    let mut config =
        crate::support::deliveries::config(&[(PATH, main.url(), quick()), ("/b", copy.url(), quick())]);
    let of_copy = config.routes[1].upstream.clone();
    config.routes[0].delivery.copies.push(of_copy);
    let deliveries = Deliveries::start(&config);
    let to = Destination { route: route(PATH), upstream: To::Copy(copy.url().into()) };
    let first = deliveries.add(PATH, FIXTURE);
    let second = deliveries.add_to(&to, None, head(PATH, FIXTURE), FIXTURE);
    deliveries.wait_delivered(first);
    deliveries.wait_attempts(second, 2);
    assert_eq!(main.requests().len(), 1);
    assert!(copy.requests().len() >= 2);
    let all = deliveries.counts.all();
    assert!(all.iter().any(|(known, counts)| *known == to && counts.outcomes[1].1 >= 2), "{all:?}");
}

#[test]
fn events_of_a_lane_are_delivered_one_after_the_other_in_the_order_of_their_commits() {
    let tries = AtomicUsize::new(0);
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            let fails = tries.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
            let answer: &[u8] = if fails { b"HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n" } else { OK };
            connection.send(answer);
        }
    });
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
    let ids: Vec<_> = (0..20).map(|_| deliveries.add_ordered(PATH, "a", FIXTURE)).collect();
    ids.iter().for_each(|id| drop(deliveries.wait_delivered(*id)));
    assert_eq!(deliveries.delivered(), ids);
    eventually("no lane is held", || deliveries.counts.of(&main_of(PATH)).snapshot().lanes_held == 0);
}

#[test]
fn a_lane_whose_first_event_is_gone_is_not_held() {
    let upstream = Upstream::answering(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), with_schedule(&[3_600_000]))]);
    let ids = ["a", "b", "c"].map(|lane| deliveries.add_ordered(PATH, lane, FIXTURE));
    let held = || deliveries.counts.of(&main_of(PATH)).snapshot().lanes_held;
    eventually("three lanes are held", || held() == 3);
    deliveries.discard(ids[0]);
    eventually("two lanes are held", || held() == 2);
    deliveries.damage(ids[1]);
    eventually("one lane is held", || held() == 1);
}

#[test]
fn an_end_that_the_store_does_not_take_is_recorded_again_and_the_event_is_not_sent_again() {
    let upstream = Upstream::ok();
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
    deliveries.refuse(2);
    let id = deliveries.add(PATH, FIXTURE);
    deliveries.wait_delivered(id);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_replay_of_an_event_whose_last_attempt_is_under_way_is_delivered() {
    let answers = AtomicUsize::new(0);
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            let is_first = answers.fetch_add(1, Ordering::Relaxed) == 0;
            connection.send(if is_first { UNAVAILABLE } else { OK });
        }
    });
    let retry = Retry { max_attempts: NonZeroU32::new(1), ..quick().retry };
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), DeliveryOptions { retry, ..quick() })]);
    let id = deliveries.add(PATH, FIXTURE);
    upstream.wait_for(1);
    deliveries.replay(id);
    drop(open);
    let row = deliveries.wait_delivered(id);
    assert_eq!(row.attempts.len(), 2);
    assert_eq!(deliveries.counts.of(&main_of(PATH)).snapshot().dead.map(|(_, count)| count), [0; 3]);
}

#[test]
fn a_damaged_record_is_counted_once_and_becomes_a_dead_letter() {
    let upstream = Upstream::ok();
    let deliveries = Deliveries::of(&[(PATH, upstream.url(), quick())]);
    deliveries.refuse(1);
    let id = deliveries.add_damaged(PATH, FIXTURE);
    let counted = || deliveries.counts.of(&main_of(PATH)).snapshot().dead[2];
    eventually("it is counted", || counted() == (DeadCause::Damaged, 1));
    // It is found again while the store has not marked it.
    let before = deliveries.reads();
    eventually("it is read again", || {
        deliveries.look(PATH);
        deliveries.reads() >= before + 6
    });
    deliveries.wait(id, "a dead letter", |row| row.state == State::Dead(DeadCause::Damaged));
    let good = deliveries.add(PATH, FIXTURE);
    deliveries.wait_delivered(good);
    assert_eq!((counted(), upstream.requests().len()), ((DeadCause::Damaged, 1), 1));
}

#[test]
fn a_drain_finishes_what_is_under_way_and_starts_nothing() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(OK);
        }
    });
    let options = DeliveryOptions { concurrency: NonZeroUsize::MIN, ..quick() };
    let mut deliveries = Deliveries::of(&[(PATH, upstream.url(), options)]);
    let first = deliveries.add(PATH, FIXTURE);
    upstream.wait_for(1);
    let second = deliveries.add(PATH, FIXTURE);
    deliveries.control.drain();
    drop(open);
    deliveries.drain();
    assert_eq!(deliveries.row(first).state, State::Delivered);
    assert_eq!((deliveries.row(second).state, deliveries.row(second).attempts.len()), (State::Queued, 0));
    assert_eq!(deliveries.control.failed(), None);
}

#[test]
fn what_waits_in_the_store_at_the_start_is_delivered() {
    let upstream = Upstream::ok();
    let config = crate::support::deliveries::config(&[(PATH, upstream.url(), quick())]);
    let mut ids = Vec::new();
    let deliveries = Deliveries::start_with(&config, |store| {
        ids.extend((0..300).map(|_| store.add(&main_of(PATH), None, head(PATH, FIXTURE), FIXTURE).0));
    });
    ids.iter().for_each(|id| drop(deliveries.wait_delivered(*id)));
    assert_eq!(upstream.requests().len(), 300);
}

#[test]
fn a_late_delivery_is_signed_anew_where_the_route_asks_for_it() {
    let answers = AtomicUsize::new(0);
    let upstream = Upstream::with_oracle(Oracle::default().observing(), move |connection| {
        while connection.request().is_some() {
            connection.send(if answers.fetch_add(1, Ordering::Relaxed) == 0 { UNAVAILABLE } else { OK });
        }
    });
    let name = crate::support::SECRET_NAME;
    let signature =
        format!("scheme = \"slack\"\nsecrets = [{{ name = \"{name}\", value = \"0123456789abcdef0123\" }}]");
    let options = DeliveryOptions { refresh_signature: true, ..quick() };
    let deliveries = Deliveries::start(&config_with(&[(PATH, upstream.url(), options)], &signature));
    let now =
        std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let stored = format!(
        "POST {PATH} HTTP/1.1\r\nhost: a\r\nx-slack-request-timestamp: {}\r\nx-slack-signature: v0={}\r\ncontent-length: 2\r\n\r\n",
        now - 1,
        "0".repeat(64)
    );
    let id = deliveries.add_to(&main_of(PATH), None, stored.into_bytes(), b"{}");
    deliveries.wait_delivered(id);
    let requests = upstream.wait_for(2);
    let of = |at: usize, field: &str| String::from_utf8(requests[at].values(field)[0].clone()).unwrap();
    assert_eq!(of(0, "x-slack-request-timestamp"), (now - 1).to_string());
    assert_eq!(of(0, "x-slack-signature"), format!("v0={}", "0".repeat(64)));
    let time = of(1, "x-slack-request-timestamp");
    assert!(time.parse::<u64>().unwrap() >= now);
    let signed = format!("v0:{time}:{{}}");
    let want = crate::support::sign::signature_with("0123456789abcdef0123", signed.as_bytes());
    assert_eq!(of(1, "x-slack-signature"), format!("v0={want}"));
}
