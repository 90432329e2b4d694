//! Many events at once: none is lost, none arrives twice.

use std::collections::BTreeSet;

use crate::support::{Client, Upstream, gateway, post};

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
