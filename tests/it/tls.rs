//! TLS towards clients: certificates, versions, refusals, and connections that end without `close_notify`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rcgen::{DnType, date_time_ymd};
use rustls::{CipherSuite, HandshakeKind};

use crate::support::gateway::Setup;
use crate::support::request::PATH;
use crate::support::tls::{Authority, Issued, TlsClient, until};
use crate::support::{
    Client, FIXTURE, Gateway, PATIENCE, Post, Upstream, gateway, nothing_reached, post, unsigned,
};

static TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

const CERTIFICATES: &str = "certificates = [{ cert = \"a.pem\", key = \"a.key\" }]";

fn with(certificate: &Issued) -> Setup {
    gateway().file("a.pem", certificate.cert.as_str()).file("a.key", certificate.key.as_str())
}

/// A gateway for `localhost`, with these lines of `[tls]` behind the certificate.
fn localhost(authority: &Authority, lines: &str, upstream: &Upstream) -> Gateway {
    let certificate = authority.issue(&["localhost", "127.0.0.1"]);
    with(&certificate).tls(&format!("{CERTIFICATES}\n{lines}")).route(PATH, &upstream.url()).start()
}

fn to_localhost(post: Post) -> Vec<u8> {
    post.without("host").line("host: localhost").bytes()
}

#[test]
fn a_signed_event_over_tls_reaches_the_upstream_and_a_forged_one_does_not() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    for versions in [TLS13, TLS12] {
        let config = authority.client().versions(versions).config();
        let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
        for _ in 0..3 {
            let response = client.send(to_localhost(post(FIXTURE))).response();
            assert_eq!((response.status, response.body.as_str()), (200, "ok"), "{response:?}");
        }
        assert_eq!(client.send(to_localhost(unsigned(FIXTURE))).response().status, 401);
        assert!(client.ends_properly(), "{versions:?}");
    }
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
}

/// How often handshakes have ended in this way.
fn handshakes(gateway: &Gateway, result: &str) -> u64 {
    let mut counts = gateway.control().meters().handshakes().counts();
    counts.find(|(label, _)| *label == result).unwrap().1
}

#[test]
fn the_certificate_is_the_one_for_the_name_that_is_asked_for() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let (a, b) = (authority.issue(&["a.example"]), authority.issue(&["b.example", "*.c.example"]));
    let gateway = with(&a)
        .file("b.pem", b.cert.as_str())
        .file("b.key", b.key.as_str())
        .tls("certificates = [{ cert = \"a.pem\", key = \"a.key\" }, { cert = \"b.pem\", key = \"b.key\" }]")
        .route(PATH, &upstream.url())
        .start();
    let config = authority.client().config();
    for (name, is_served) in
        [("a.example", true), ("b.example", true), ("x.c.example", true), ("d.example", false)]
    {
        let connected = TlsClient::connect(gateway.tls_address(), name, &config);
        assert_eq!(connected.is_ok(), is_served, "{name}");
        let Ok(mut client) = connected else { continue };
        let to = |host: &str| post(FIXTURE).without("host").line(format!("host: {host}")).bytes();
        assert_eq!(
            client.send(to(&format!("{}:8443", name.to_uppercase()))).response().status,
            200,
            "{name}"
        );
        let response = client.send(to("d.example")).response();
        assert_eq!(response.status, 421, "{response:?}");
        // Only the certificates for the connection's own name count.
        let other = if name == "a.example" { "b.example" } else { "a.example" };
        assert_eq!(
            TlsClient::connect(gateway.tls_address(), name, &config)
                .unwrap()
                .send(to(other))
                .response()
                .status,
            421
        );
    }
    until("the client's refusal is counted", || handshakes(&gateway, "certificate_refused") == 1);
}

/// In large records, and in records of one byte that the kernel merges.
#[test]
fn content_of_any_size_arrives_as_it_was_sent() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    for versions in [TLS13, TLS12] {
        let config = authority.client().versions(versions).config();
        let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
        for size in [0, 1, 16_383, 16_384, 16_385, 1 << 20] {
            let content: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            assert_eq!(client.send(to_localhost(post(&content))).response().status, 200, "{size}");
            assert!(upstream.requests().pop().unwrap().content == content, "{size}");
        }
        let (content, mut records) = (vec![b'x'; 20_000], Vec::new());
        for byte in to_localhost(post(&content)) {
            client.stream.conn.writer().write_all(&[byte]).unwrap();
            client.stream.conn.write_tls(&mut records).unwrap();
        }
        client.stream.sock.write_all(&records).unwrap();
        assert_eq!(client.response().status, 200);
        assert!(upstream.requests().pop().unwrap().content == content);
    }
}

/// rustls and OpenSSL offer AES-256 first, whose handshakes hash with SHA-384.
#[test]
fn the_fastest_cipher_suite_is_chosen_though_the_client_prefers_another() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    for (versions, expected) in [
        (TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256),
        (TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ] {
        let config = authority.client().versions(versions).config();
        let client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
        let chosen = client.stream.conn.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(chosen, Some(expected));
    }
}

#[test]
fn a_version_below_the_lowest_is_refused() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "min_version = \"1.3\"", &upstream);
    let connect = |versions| {
        TlsClient::connect(
            gateway.tls_address(),
            "localhost",
            &authority.client().versions(versions).config(),
        )
    };
    assert!(connect(TLS12).is_err());
    assert!(connect(TLS13).is_ok());
    until("both are counted", || {
        handshakes(&gateway, "incompatible") == 1 && handshakes(&gateway, "ok") == 1
    });
}

#[test]
fn plain_http_on_a_tls_port_is_told_so_in_plain_http() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let mut client = Client::connect(gateway.tls_address());
    let response = client.send(post(FIXTURE).bytes()).response();
    assert_eq!((response.status, response.value("content-type").as_deref()), (400, Some("text/plain")));
    assert!(response.text().contains("https://"), "{}", response.text());
    client.assert_closed();
    Client::connect(gateway.tls_address()).send(b"\x00\x01\x02").assert_gone();
    until("both are counted", || {
        handshakes(&gateway, "plain_http") == 1 && handshakes(&gateway, "not_tls") == 1
    });
    nothing_reached(gateway, upstream);
}

#[test]
fn tls_on_a_plain_port_is_refused_at_once() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let begin = Instant::now();
    assert!(TlsClient::connect(gateway.address(), "localhost", &authority.client().config()).is_err());
    // The time for a head is 10 s.
    assert!(begin.elapsed() < PATIENCE);
    nothing_reached(gateway, upstream);
}

#[test]
fn a_client_that_ends_its_side_properly_still_gets_the_answer() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    for versions in [TLS13, TLS12] {
        let config = authority.client().versions(versions).config();
        for ends_socket in [false, true] {
            let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
            client.send(to_localhost(post(FIXTURE))).close_notify();
            if ends_socket {
                client.truncate();
            }
            assert_eq!(client.response().status, 200, "{versions:?} {ends_socket}");
            assert!(client.ends_properly(), "{versions:?} {ends_socket}");
        }
    }
}

/// The request is complete; that the connection was cut behind it changes nothing.
#[test]
fn a_complete_request_is_answered_though_its_connection_is_cut_behind_it() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let config = authority.client().config();
    let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
    assert_eq!(client.send(to_localhost(post(FIXTURE))).truncate().response().status, 200);
}

#[test]
fn a_request_that_is_cut_is_incomplete_with_and_without_close_notify() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let config = authority.client().config();
    let counted = to_localhost(post(FIXTURE));
    let chunked = to_localhost(post(FIXTURE).chunked(&[FIXTURE.len()]));
    for (request, cut) in [(&counted, 1), (&chunked, 1), (&chunked, 5)] {
        for is_proper in [false, true] {
            let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
            client.send(&request[..request.len() - cut]);
            if is_proper {
                client.close_notify();
            }
            client.truncate();
            let answer = client.try_response();
            // hyper answers 400.
            assert!(
                !answer.as_ref().is_ok_and(|answer| answer.status != 400),
                "{cut} {is_proper} {answer:?}"
            );
        }
    }
    nothing_reached(gateway, upstream);
}

/// A record that is cut in the middle: the rest of it would have completed the request.
#[test]
fn a_record_that_is_cut_reaches_nothing() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let config = authority.client().config();
    let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
    let mut record = Vec::new();
    client.stream.conn.writer().write_all(&to_localhost(post(FIXTURE))).unwrap();
    client.stream.conn.write_tls(&mut record).unwrap();
    record.pop();
    client.stream.sock.write_all(&record).unwrap();
    assert!(client.truncate().try_response().is_err());
    nothing_reached(gateway, upstream);
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let config = authority.client().config();
    for versions in 0..3 {
        let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
        let head = "POST /webhook/leases HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n";
        client.send(head);
        for _ in 0..9 {
            // The gateway reads on for as long as it lingers.
            client.send([b'x'; 100_000]);
        }
        assert_eq!(client.response().status, 401, "{versions}");
        assert!(client.ends_properly());
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_handshake_that_does_not_end_is_given_up() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "handshake_timeout = \"100ms\"", &upstream);
    let mut silent = Client::connect(gateway.tls_address());
    let mut half = Client::connect(gateway.tls_address());
    half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    silent.assert_gone();
    half.assert_gone();
    until("both are counted", || handshakes(&gateway, "timeout") == 2);
}

/// rustls takes messages of up to 64 KiB, in records.
#[test]
fn a_handshake_that_is_too_large_is_given_up() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let mut client = Client::connect(gateway.tls_address());
    // A hello of 60,000 bytes in records of 1,000.
    let mut hello = vec![0x01, 0x00, 0xea, 0x60];
    hello.resize(60_004, 0);
    for piece in hello.chunks(1000) {
        let mut record = vec![0x16, 0x03, 0x01];
        record.extend(u16::try_from(piece.len()).unwrap().to_be_bytes());
        record.extend(piece);
        if !client.offer(&record) {
            break;
        }
    }
    client.rest();
    until("it is counted", || {
        ["failed", "closed", "not_tls"].iter().map(|result| handshakes(&gateway, result)).sum::<u64>() == 1
    });
    until("its memory is free", || gateway.control().buffered_bytes() == 0);
}

/// rustls keeps a message of the connection itself until it is complete, up to 64 KiB.
#[test]
fn a_client_that_sends_records_without_content_is_given_up() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let config = authority.client().config();
    let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
    assert_eq!(client.send(to_localhost(post(FIXTURE))).response().status, 200);
    // A change of keys is a record of 27 bytes that asks for nothing.
    let mut sent = 0;
    let is_given_up = (0..10_000).any(|_| {
        client.stream.conn.refresh_traffic_keys().unwrap();
        let mut records = Vec::new();
        client.stream.conn.write_tls(&mut records).unwrap();
        sent += records.len();
        client.stream.sock.write_all(&records).is_err()
    });
    assert!(is_given_up, "{sent} bytes");
    // Another client is served.
    let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
    assert_eq!(client.send(to_localhost(post(FIXTURE))).response().status, 200);
}

#[test]
fn a_handshake_makes_room_for_a_new_connection() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let certificate = authority.issue(&["localhost"]);
    let gateway = with(&certificate)
        .tls(CERTIFICATES)
        .server("max_connections = 2")
        .route(PATH, &upstream.url())
        .start();
    let mut stalled: Vec<Client> = (0..2).map(|_| Client::connect(gateway.tls_address())).collect();
    for client in &mut stalled {
        client.send(b"\x16\x03\x01");
    }
    let config = authority.client().config();
    let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
    assert_eq!(client.send(to_localhost(post(FIXTURE))).response().status, 200);
    until("it is counted", || handshakes(&gateway, "evicted") >= 1);
}

#[test]
fn sessions_are_resumed_over_a_reload_and_not_past_a_change_of_client_ca() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let (clients, others) = (Authority::new("clients"), Authority::new("others"));
    let certificate = authority.issue(&["localhost"]);
    let setup = |ca: &str| {
        with(&certificate)
            .file("clients.pem", ca)
            .tls(&format!("{CERTIFICATES}\nclient_ca = \"clients.pem\""))
            .route(PATH, &upstream.url())
    };
    let gateway = setup(&clients.pem).start();
    for versions in [TLS13, TLS12] {
        gateway.reload(setup(&clients.pem));
        let config = authority.client().with(&clients.issue(&["client"])).versions(versions).config();
        let kind = || {
            let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
            assert_eq!(client.send(to_localhost(post(FIXTURE))).response().status, 200);
            client.stream.conn.handshake_kind().unwrap()
        };
        assert_eq!(kind(), HandshakeKind::Full);
        assert_eq!(kind(), HandshakeKind::Resumed);
        gateway.reload(setup(&clients.pem));
        assert_eq!(kind(), HandshakeKind::Resumed);
        let both = format!("{}{}", clients.pem, others.pem);
        gateway.reload(setup(&both));
        assert_eq!(kind(), HandshakeKind::Full);
        assert_eq!(kind(), HandshakeKind::Resumed);
    }
}

#[test]
fn certificates_are_swapped_under_load_and_no_request_fails() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let certificates: Vec<Issued> = (0..2).map(|_| authority.issue(&["localhost"])).collect();
    let setup = |n: usize| with(&certificates[n % 2]).tls(CERTIFICATES).route(PATH, &upstream.url());
    let gateway = setup(0).start_on(2);
    let (config, is_over) = (authority.client().config(), AtomicBool::new(false));
    /// Ends the clients, even if the test fails.
    struct End<'f>(&'f AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let served = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|n| {
                let (address, config, is_over) = (gateway.tls_address(), &config, &is_over);
                scope.spawn(move || {
                    let mut kept = TlsClient::connect(address, "localhost", config).unwrap();
                    let mut served = 0;
                    while served < 5 || !is_over.load(Ordering::Relaxed) {
                        assert_eq!(kept.send(to_localhost(post(FIXTURE))).response().status, 200, "{n}");
                        let mut fresh = TlsClient::connect(address, "localhost", config).unwrap();
                        assert_eq!(fresh.send(to_localhost(post(FIXTURE))).response().status, 200, "{n}");
                        served += 2;
                    }
                    served
                })
            })
            .collect();
        let end = End(&is_over);
        for n in 1..=100 {
            gateway.reload(setup(n));
        }
        drop(end);
        clients.into_iter().map(|client| client.join().unwrap()).sum::<usize>()
    });
    assert!(served >= 15, "{served}");
    assert_eq!(gateway.control().number(), 101);
    assert_eq!(handshakes(&gateway, "failed"), 0);
}

#[test]
fn a_route_takes_only_clients_with_a_certificate_of_its_names() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let certificate = authority.issue(&["localhost"]);
    let gateway = with(&certificate)
        .file("clients.pem", clients.pem.as_str())
        .tls(&format!("{CERTIFICATES}\nclient_ca = \"clients.pem\""))
        .forward("client_certificate_field = \"x-client\"\nx_forwarded = true")
        .route_with(PATH, &upstream.url(), "client_certificate = { names = [\"sender.example\", \"By CN\"] }")
        .route("/open", &upstream.url())
        .start();
    let request = |path: &str| {
        let text = to_localhost(post(FIXTURE).line("x-client: forged").line("x-forwarded-proto: gopher"));
        String::from_utf8(text).unwrap().replace(PATH, path)
    };
    let by_cn = clients.issue_with(&[], |params| params.distinguished_name.push(DnType::CommonName, "By CN"));
    for (own, on_route, on_open, name) in [
        (None, 403, 200, None),
        (Some(clients.issue(&["sender.example"])), 200, 200, Some("sender.example")),
        (Some(clients.issue(&["other.example", "Sender.Example"])), 200, 200, Some("other.example")),
        (Some(by_cn), 200, 200, Some("By CN")),
        (Some(clients.issue(&["other.example"])), 403, 200, Some("other.example")),
    ] {
        for versions in [TLS13, TLS12] {
            let setup = authority.client().versions(versions);
            let config = own.iter().fold(setup, |setup, own| setup.with(own)).config();
            for (path, want) in [(PATH, on_route), ("/open", on_open)] {
                let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
                let response = client.send(request(path)).response();
                assert_eq!(response.status, want, "{name:?} {response:?}");
                if want == 403 {
                    assert!(response.body.contains("\"client_certificate\""), "{response:?}");
                    continue;
                }
                let forwarded = upstream.requests().pop().unwrap();
                let shown =
                    if path == PATH && name == Some("other.example") { Some("sender.example") } else { name };
                let want: Vec<Vec<u8>> = shown.iter().map(|name| name.as_bytes().to_vec()).collect();
                assert_eq!(forwarded.values("x-client"), want, "{path}");
                assert_eq!(forwarded.values("x-forwarded-proto"), [b"gopher, https".to_vec()]);
            }
        }
    }
    for own in [
        // An alert says why, also to a client that goes on sending.
        strangers.issue(&["sender.example"]),
        clients.issue_with(&["sender.example"], |params| params.not_after = date_time_ymd(2020, 1, 1)),
    ] {
        let config = authority.client().with(&own).config();
        let answer = TlsClient::connect(gateway.tls_address(), "localhost", &config)
            .and_then(|mut client| client.send_if_possible(request("/open")).try_response());
        let alert = answer.unwrap_err().to_string();
        assert!(alert.contains("received fatal alert"), "{alert}");
    }
    until("they are counted", || handshakes(&gateway, "client_certificate") == 2);
    assert_eq!(Client::to(&gateway).send(post(FIXTURE).bytes()).response().status, 403, "over plain HTTP");
}

/// The connection stays; what its certificate proves ends with the authority that it was verified against.
#[test]
fn a_withdrawn_authority_counts_for_open_connections_too() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let certificate = authority.issue(&["localhost"]);
    let setup = |ca: &str| {
        with(&certificate)
            .file("clients.pem", ca)
            .tls(&format!("{CERTIFICATES}\nclient_ca = \"clients.pem\""))
            .route_with(PATH, &upstream.url(), "client_certificate = { names = [\"sender.example\"] }")
    };
    let gateway = setup(&old.pem).start();
    let config = authority.client().with(&old.issue(&["sender.example"])).config();
    let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
    for (ca, want) in
        [(old.pem.clone(), 200), (format!("{}{}", new.pem, old.pem), 200), (new.pem.clone(), 403)]
    {
        gateway.reload(setup(&ca));
        assert_eq!(client.send(to_localhost(post(FIXTURE))).response().status, want);
        // A refusal before the content is read ends the connection.
        if want == 403 {
            assert!(client.ends_properly());
        }
    }
}

#[test]
fn an_inherited_socket_speaks_tls_if_its_address_is_one_of_tls() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let certificate = authority.issue(&["localhost"]);
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [plain, over_tls] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let setup = || with(&certificate).tls_on(over_tls, CERTIFICATES).route(PATH, &upstream.url());
    let [first, second] = listeners;
    let only_plain = first.try_clone().unwrap();
    let gateway = setup().start_with(vec![(first, plain), (second, over_tls)]).unwrap();
    let config = authority.client().config();
    let mut client = TlsClient::connect(over_tls, "localhost", &config).unwrap();
    assert_eq!(client.send(to_localhost(post(FIXTURE))).response().status, 200);
    Client::connect(plain).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    drop(gateway);
    let refused = setup().start_with(vec![(only_plain, plain)]).err();
    assert!(matches!(refused, Some(hookgate::runtime::StartError::NoTlsSocket)), "{refused:?}");
}

#[test]
fn the_proxys_announcement_comes_before_tls() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let certificate = authority.issue(&["localhost"]);
    let gateway = with(&certificate)
        .tls(CERTIFICATES)
        .server("proxy_protocol = { trusted = [\"127.0.0.1\"] }")
        .forward("x_forwarded = true")
        .route(PATH, &upstream.url())
        .start();
    let config = authority.client().config();
    let connect = || TcpStream::connect_timeout(&gateway.tls_address(), PATIENCE).unwrap();
    let mut socket = connect();
    socket.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n").unwrap();
    let mut client = TlsClient::over(socket, "localhost", &config).unwrap();
    assert_eq!(client.send(to_localhost(post(FIXTURE))).response().status, 200);
    assert_eq!(upstream.requests()[0].values("x-forwarded-for"), [b"192.0.2.7".to_vec()]);
    assert!(
        TlsClient::over(connect(), "localhost", &config).is_err(),
        "a trusted proxy must announce the client"
    );
}

/// What the client has not taken is not lost, and comes as it reads.
#[test]
fn a_large_answer_reaches_a_client_that_reads_slowly() {
    let body = "0123456789abcdef".repeat(256 * 1024);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (authority, upstream) = (Authority::new("us"), Upstream::answering(answer));
    let gateway = localhost(&authority, "", &upstream);
    for versions in [TLS13, TLS12] {
        let config = authority.client().versions(versions).config();
        let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
        client.send(to_localhost(post(FIXTURE)));
        let response = client.response();
        assert!(response.status == 200 && response.body == body, "{} bytes", response.body.len());
        assert_eq!(client.send(to_localhost(post(FIXTURE))).response().body.len(), body.len());
    }
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    let body = "x".repeat(8 << 20);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (authority, upstream) = (Authority::new("us"), Upstream::answering(answer));
    let certificate = authority.issue(&["localhost"]);
    let gateway = with(&certificate)
        .tls(CERTIFICATES)
        .limits("write_timeout = \"200ms\"")
        .route(PATH, &upstream.url())
        .start();
    let config = authority.client().config();
    let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
    client.send(to_localhost(post(FIXTURE)));
    until("the request is forwarded", || !upstream.requests().is_empty());
    until("the connection is closed", || gateway.control().meters().sum().connections == 0);
    let mut read = Vec::new();
    assert!(client.stream.read_to_end(&mut read).is_err(), "a cut answer does not look complete");
    assert!(read.len() < body.len());
}

/// A client of HTTP/1.0 knows the end of such an answer by the end of the connection alone.
#[test]
fn an_answer_that_ends_with_its_connection_ends_properly_only_if_it_is_complete() {
    let authority = Authority::new("us");
    for (last, is_complete) in [("0\r\n\r\n", true), ("", false)] {
        let upstream = Upstream::scripted(move |connection| {
            if connection.request().is_some() {
                let answer =
                    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n{last}");
                connection.send(answer.as_bytes());
            }
        });
        let gateway = localhost(&authority, "", &upstream);
        let config = authority.client().config();
        let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
        client.send(to_localhost(post(FIXTURE).version("HTTP/1.0")));
        let mut answer = Vec::new();
        let ended = client.stream.read_to_end(&mut answer);
        assert_eq!(ended.is_ok(), is_complete, "{last:?} {ended:?}");
        assert!(!is_complete || answer.ends_with(b"hello"), "{}", answer.escape_ascii());
    }
}

#[test]
fn an_idle_connection_ends_properly_when_the_gateway_drains() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let gateway = localhost(&authority, "", &upstream);
    let config = authority.client().config();
    let mut client = TlsClient::connect(gateway.tls_address(), "localhost", &config).unwrap();
    assert_eq!(client.send(to_localhost(post(FIXTURE))).response().status, 200);
    let mut shaking = Client::connect(gateway.tls_address());
    shaking.send(b"\x16");
    gateway.drain();
    assert!(client.ends_properly());
    shaking.assert_gone();
    assert_eq!(gateway.wait(), hookgate::runtime::Ended::Drained);
}
