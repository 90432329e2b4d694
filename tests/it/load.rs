//! Many concurrent events: each arrives exactly once.

use std::collections::BTreeSet;

use std::time::Duration;

use crate::support::{Client, SECRET, SECRET_NAME, Setup, Upstream, assert_refused, gateway, post};

const CONNECTIONS: usize = 64;
const EVENTS: usize = 2000;

#[test]
fn every_event_of_many_connections_is_answered_and_arrives_once() {
    let upstream = Upstream::ok();
    let gateway = gateway().route("/webhook/leases", &upstream.url()).start_on(2);
    let address = gateway.address();
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for n in (connection..EVENTS).step_by(CONNECTIONS) {
                    let content = format!("{{\"event\":{n}}}");
                    let request = post(&content);
                    let request = if n % 3 == 0 { request.chunked(&[5]) } else { request };
                    client.send(request.bytes()).response().assert_answer("ok");
                }
            });
        }
    });
    let requests = upstream.requests();
    assert_eq!(requests.len(), EVENTS);
    let different: BTreeSet<_> = requests.into_iter().map(|request| request.content).collect();
    assert_eq!(different.len(), EVENTS);
}

/// A gateway that accepts bodies of up to 16 MiB. It tries each body with 200 secrets, so a refusal takes
/// seconds.
fn many_secrets(upstream: &Upstream) -> Setup {
    let secrets = (0..200).map(|n| format!(", {{ name = \"{n}\", value = \"another secret, number {n}\" }}"));
    let secrets: String = secrets.collect();
    let secrets = format!("{{ name = \"{SECRET_NAME}\", value = \"{SECRET}\" }}{secrets}");
    gateway().signature(&format!("scheme = \"propify\"\nsecrets = [{secrets}]")).route_with(
        "/webhook/leases",
        &upstream.url(),
        "max_body = \"16MiB\"",
    )
}

fn forged() -> Vec<u8> {
    post(b"signed").forged(vec![b'x'; 16 << 20]).bytes()
}

/// The forgery is verified piece by piece. So requests that arrive meanwhile are answered first.
#[test]
fn a_forgery_tried_with_many_secrets_delays_no_other_request() {
    let upstream = Upstream::ok();
    let gateway = many_secrets(&upstream).start();
    let (mut forger, mut sender) = (Client::to(&gateway), Client::to(&gateway));
    forger.send(forged());
    for _ in 0..3 {
        sender.send(post(b"{}").bytes()).response().assert_answer("ok");
    }
    forger.assert_silent(Duration::from_millis(1));
    assert_eq!(upstream.requests().len(), 3);
}

/// The forgery is complete but not verified. So it is shed for an ordinary event that is verified.
#[test]
fn a_forgery_tried_with_many_secrets_is_shed_for_an_event() {
    let upstream = Upstream::ok();
    let gateway = many_secrets(&upstream).limits("max_buffered = \"16MiB\"").start();
    let (mut forger, mut sender) = (Client::to(&gateway), Client::to(&gateway));
    forger.send(forged());
    sender.send(post(b"{}").bytes()).response().assert_answer("ok");
    assert_refused(&forger.response(), 503, Some("overloaded"));
    assert_eq!(upstream.requests().len(), 1);
}
