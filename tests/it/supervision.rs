//! Supervision: if a part of a server ends unexpectedly, the server becomes unready, finishes the requests
//! under way, and reports the failure.

use hookgate::runtime::Ended;
use hookgate::runtime::supervise::{PartGuard, ServerPart};

use crate::support::upstream::OK;
use crate::support::{Client, FIXTURE, Gateway, Upstream, gate, gateway, post};

fn readiness(gateway: &Gateway) -> u16 {
    let mut client = Client::connect(gateway.admin());
    client.send("GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").response().status
}

#[test]
fn a_part_that_panics_makes_the_server_unready_and_ends_it_behind_what_is_under_way() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(OK);
        }
    });
    let gateway = gateway().admin().route("/webhook/leases", &upstream.url()).start_on(2);
    assert_eq!(readiness(&gateway), 200);
    let mut client = Client::to(&gateway);
    client.send(post(FIXTURE).bytes());
    upstream.wait_for(1);
    let guard = PartGuard::over(ServerPart::AcceptLoop, gateway.control());
    let thread = std::thread::spawn(move || {
        let _guard = guard;
        panic!("for the test");
    });
    assert!(thread.join().is_err());
    assert_eq!(readiness(&gateway), 503);
    drop(open);
    client.response().assert_answer("ok");
    client.assert_closed();
    // No one has told the server to end.
    assert_eq!(gateway.wait(), Ended::Failed(ServerPart::AcceptLoop));
}

#[test]
fn a_server_that_is_told_to_end_has_not_failed_however_it_is_told() {
    for aborts in [false, true] {
        let upstream = Upstream::ok();
        let gateway = gateway().admin().route("/webhook/leases", &upstream.url()).start_on(2);
        let mut client = Client::to(&gateway);
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
        if aborts {
            gateway.control().abort();
        } else {
            gateway.drain();
        }
        let ended = gateway.wait();
        assert!(matches!(ended, Ended::Drained | Ended::CutOff(_)), "{ended:?}");
    }
}
