//! Places in the connection limit. A client that sends no verified event cannot keep a place from a client
//! that does. It does not matter what the gateway waits for.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::upstream::OK;
use crate::support::{
    Client, FIXTURE, Gateway, Setup, Upstream, assert_refused, gate, gateway, post, unsigned,
};

const PATH: &str = "/webhook/leases";

/// Time limits that are longer than every test.
const FAR_OFF: &str = "header_timeout = \"1h\"\nbody_timeout = \"1h\"\nmin_body_rate = 0\nidle_timeout = \"1h\"\n\
                       write_timeout = \"1h\"";

/// The number of clients: five for each place.
const CLIENTS: usize = 10;

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn before(upstream: &Upstream) -> Setup {
    gateway().server("max_connections = 2").limits(FAR_OFF).route(PATH, &upstream.url())
}

/// Opens one connection after the other and keeps all of them. Sends an event while each is open.
fn events_are_served_beside(occupy: impl Fn(&Gateway) -> Client) {
    for workers in [1, 2] {
        let upstream = Upstream::ok();
        let gateway = before(&upstream).start_on(workers);
        let mut held = Vec::new();
        for _ in 0..CLIENTS {
            held.push(occupy(&gateway));
            Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
        }
    }
}

fn sending(bytes: impl AsRef<[u8]>) -> impl Fn(&Gateway) -> Client {
    move |gateway| {
        let mut client = Client::to(gateway);
        client.offer(bytes.as_ref());
        client
    }
}

#[test]
fn silent_clients_do_not_keep_the_places() {
    events_are_served_beside(sending(""));
}

#[test]
fn half_a_head_does_not_keep_the_places() {
    events_are_served_beside(sending("POST /webhook/leases HTTP/1.1\r\nhost: a\r\nx: "));
}

#[test]
fn a_body_that_does_not_come_does_not_keep_the_places() {
    events_are_served_beside(sending(post([b'x'; 100]).head()));
}

#[test]
fn a_body_that_comes_byte_by_byte_does_not_keep_the_places() {
    events_are_served_beside(sending([post([b'x'; 100]).head(), b"xxxx".to_vec()].concat()));
}

#[test]
fn chunked_content_without_a_chunk_does_not_keep_the_places() {
    events_are_served_beside(sending(post(FIXTURE).chunked(&[]).head()));
}

#[test]
fn a_client_that_sends_nothing_after_100_continue_does_not_keep_the_places() {
    events_are_served_beside(|gateway| {
        let mut client = Client::to(gateway);
        client.send(post(FIXTURE).line("expect: 100-continue").head());
        assert_eq!(client.response().status, 100);
        client
    });
}

#[test]
fn a_client_that_stays_after_a_refusal_does_not_keep_the_places() {
    events_are_served_beside(|gateway| {
        let mut client = Client::to(gateway);
        client.send(unsigned("x").head());
        assert_refused(&client.response(), 401, Some("signature_missing"));
        client
    });
}

#[test]
fn connections_kept_alive_do_not_keep_the_places() {
    events_are_served_beside(|gateway| {
        let mut client = Client::to(gateway);
        client.send("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_refused(&client.response(), 404, Some("no_route"));
        client
    });
}

fn nth_request(_: usize) -> String {
    "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100)
}

/// A client that pipelines as many requests as the gateway accepts. It reads no answer.
fn never_reading(gateway: &Gateway) -> Client {
    let mut client = Client::to(gateway);
    client.send_until_stuck(nth_request, Duration::from_millis(200));
    client
}

#[test]
fn answers_that_are_not_read_do_not_keep_the_places() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream).start();
    let _held: Vec<Client> = (0..2).map(|_| never_reading(&gateway)).collect();
    for _ in 0..CLIENTS {
        Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
}

#[test]
fn an_upstreams_answer_that_is_not_read_does_not_keep_a_place() {
    let length = 16 * 1024 * 1024;
    let upstream = Upstream::scripted(move |connection| {
        while let Some(request) = connection.request() {
            let length = if request.content == FIXTURE { 2 } else { length };
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
            connection.send(b"ok".repeat(length / 2));
        }
    });
    let gateway = before(&upstream).start();
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::to(&gateway);
        client.send(post("large").bytes());
        client.until("content-length");
        Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
        held.push(client);
    }
}

#[test]
fn clients_in_the_middle_of_many_refusals_do_not_keep_the_places() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream).start();
    let (address, stop) = (gateway.address(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // The clients also end if an assertion fails.
        let _ends = SetWhenDropped(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut client = Client::connect(address);
                    // The loop runs until the gateway closes the connection.
                    while !stop.load(Ordering::Relaxed) && client.offer(nth_request(0)) {
                        if client.try_read_some(64 * 1024).is_err() {
                            break;
                        }
                    }
                }
            });
        }
        for _ in 0..CLIENTS {
            Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
        }
    });
}

#[test]
fn a_proxys_announcement_that_does_not_come_does_not_keep_the_places() {
    let upstream = Upstream::ok();
    let server = "max_connections = 2\nproxy_protocol = { trusted = [\"127.0.0.1\"] }";
    let gateway = before(&upstream).server(server).start();
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        held.push(sending("PROXY TCP4 192.0.2.1 ")(&gateway));
        let announced = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec();
        let mut client = Client::to(&gateway);
        client.send([announced, post(FIXTURE).bytes()].concat()).response().assert_answer("ok");
    }
}

#[test]
fn observed_requests_whose_upstream_hangs_do_not_keep_the_places() {
    let upstream = Upstream::ok();
    // The kernel accepts connections for this app, but the app never answers.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", hangs.local_addr().unwrap());
    let gateway = before(&upstream).route_with("/observed", &url, "mode = \"observe\"").start();
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::to(&gateway);
        client.send(unsigned("x").target("/observed").bytes());
        held.push(client);
        Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
    assert_refused(&held.remove(0).response(), 503, Some("overloaded"));
}

#[test]
fn an_event_that_waits_for_its_upstream_keeps_its_place() {
    let (open, passed) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            passed.pass();
            connection.send(OK);
        }
    });
    let gateway = before(&upstream).start();
    let mut events: Vec<Client> = (0..2).map(|_| Client::to(&gateway)).collect();
    for client in &mut events {
        client.send(post(FIXTURE).bytes());
    }
    upstream.wait_for(2);
    let strangers: Vec<Client> = (0..CLIENTS).map(|_| sending("")(&gateway)).collect();
    for client in &mut events {
        client.assert_silent(Duration::from_millis(100));
    }
    drop(open);
    for client in &mut events {
        client.response().assert_answer("ok");
    }
    drop(strangers);
}

#[test]
fn a_request_whose_content_does_not_come_is_answered_503_when_its_place_is_wanted() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream).start();
    let mut waiting: Vec<Client> = (0..2).map(|_| sending(post([b'x'; 100]).head())(&gateway)).collect();
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    // This connection has waited longest, so it is evicted first.
    let response = waiting[0].response();
    assert_refused(&response, 503, Some("overloaded"));
    assert!(response.value("retry-after").is_some());
    assert_eq!(response.value("connection").as_deref(), Some("close"));
    waiting[0].assert_closed();
    waiting[1].send([b'x'; 100]);
    waiting[1].response().assert_answer("ok");
}

#[test]
fn a_new_connection_costs_one_place_however_many_workers_there_are() {
    let upstream = Upstream::ok();
    let setup = gateway().server("max_connections = 8").limits(FAR_OFF).route(PATH, &upstream.url());
    let gateway = setup.start_on(4);
    let mut resting: Vec<Client> = (0..8).map(|_| Client::to(&gateway)).collect();
    for client in &mut resting {
        client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    }
    let mut newcomer = Client::to(&gateway);
    newcomer.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    let closed = resting.iter().filter(|client| client.is_closed()).count();
    assert_eq!(closed, 1);
}

#[test]
fn clients_that_never_finish_a_head_do_not_keep_the_places() {
    let upstream = Upstream::ok();
    // Without eviction, these connections would keep the places for an hour.
    let setup = gateway().server("max_connections = 4").limits("header_timeout = \"1h\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    let mut half: Vec<Client> = (0..6).map(|_| Client::to(&gateway)).collect();
    half.iter_mut().for_each(|client| {
        client.offer("P");
    });
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
}
