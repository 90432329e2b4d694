//! An upstream with several origins: the first that can be connected to gets the request.

use crate::support::in_time::is_in_time;
use crate::support::upstream::refusing;
use crate::support::{Client, FIXTURE, Gateway, Reserved, Response, Upstream, assert_refused, gateway, post};

const PATH: &str = "/webhook/leases";

fn before(urls: &[&str]) -> Gateway {
    gateway().route_to_one_of(PATH, urls, "").start()
}

fn exchange(gateway: &Gateway) -> Response {
    Client::to(gateway).send(post(FIXTURE).bytes()).response()
}

#[test]
fn the_first_origin_gets_all_requests_while_it_can_be_connected_to() {
    let (first, second) = (Upstream::ok(), Upstream::answering(OTHER));
    let gateway = before(&[&first.url(), &second.url()]);
    for _ in 0..3 {
        exchange(&gateway).assert_answer("ok");
    }
    assert_eq!((first.requests().len(), second.connections()), (3, 0));
}

#[test]
fn the_first_that_can_be_connected_to_gets_the_request_unchanged() {
    let upstream = Upstream::ok();
    let gateway = before(&[&refusing(), "http://no-such-name.invalid:3000", &upstream.url()]);
    for _ in 0..3 {
        exchange(&gateway).assert_answer("ok");
    }
    let requests = upstream.wait_for(3);
    assert!(requests.iter().all(|request| request.content == FIXTURE));
    // A connection to it is used again.
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn without_any_origin_that_can_be_connected_to_the_upstream_is_unreachable() {
    let gateway = before(&[&refusing(), &refusing()]);
    for _ in 0..3 {
        assert_refused(&exchange(&gateway), 502, Some("upstream_unreachable"));
    }
}

/// Bytes of the request may have reached the app. It must not get the event twice.
#[test]
fn a_request_that_was_sent_goes_to_no_other_origin() {
    let first = Upstream::scripted(|connection| {
        connection.request();
    });
    let second = Upstream::ok();
    let gateway = before(&[&first.url(), &second.url()]);
    assert_refused(&exchange(&gateway), 502, Some("upstream_failed"));
    assert_eq!(second.connections(), 0);
}

#[test]
fn an_error_of_the_app_is_passed_on_and_goes_to_no_other_origin() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";
    let (first, second) = (Upstream::answering(busy), Upstream::ok());
    let gateway = before(&[&first.url(), &second.url()]);
    assert_eq!(exchange(&gateway).status, 503);
    assert_eq!(second.connections(), 0);
}

#[test]
fn an_origin_that_can_be_connected_to_again_gets_the_requests_again() {
    let reserved = Reserved::new();
    let place = reserved.address();
    let second = Upstream::ok();
    let gateway = before(&[&format!("http://{place}"), &second.url()]);
    exchange(&gateway).assert_answer("ok");
    let first = Upstream::scripted_at(place, |connection| {
        while connection.request().is_some() {
            connection.send(OTHER);
        }
    });
    // A task of its own connects again, at most once a second.
    assert!(is_in_time(|| exchange(&gateway).body == b"other"));
    let until_now = second.requests().len();
    exchange(&gateway).assert_answer("other");
    assert_eq!(second.requests().len(), until_now);
    drop(gateway);
    drop(first);
}

/// Events that are stored are delivered in the same way.
#[test]
fn a_stored_event_goes_to_the_first_origin_that_can_be_connected_to() {
    let upstream = Upstream::ok();
    let gateway = gateway()
        .queue("")
        .route_to_one_of(PATH, &[&refusing(), &upstream.url()], "delivery = \"queue\"")
        .start();
    assert_eq!(exchange(&gateway).status, 202);
    assert_eq!(upstream.only_request().content, FIXTURE);
}

const OTHER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother";
