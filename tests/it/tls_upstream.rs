//! TLS towards upstreams: which certificates the gateway accepts, and which certificate it shows.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hookgate::telemetry::metric::Outcome;
use rcgen::date_time_ymd;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::support::gateway::Setup;
use crate::support::request::PATH;
use crate::support::tls::{Authority, Issued, until};
use crate::support::{Client, FIXTURE, PATIENCE, assert_refused, exchange, gateway, post};

/// An app that speaks TLS and counts connections and requests.
struct App {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// The request heads, and the name in the certificate of whom they are from.
    requests: Arc<Mutex<Vec<(String, bool)>>>,
}

/// What an app answers, and whether it says that its connection ends.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Kept,
    /// Content that ends with the connection, with or without `close_notify`.
    UntilEnd {
        is_proper: bool,
    },
}

impl App {
    fn start(own: &Issued, client_ca: Option<&Authority>, answer: Answer) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = CertificateDer::pem_slice_iter(own.cert.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<_>>>::default());
        std::thread::spawn({
            let (connections, requests) = (Arc::clone(&connections), Arc::clone(&requests));
            move || {
                for socket in listener.incoming() {
                    connections.fetch_add(1, Ordering::Relaxed);
                    let (config, requests) = (Arc::clone(&config), Arc::clone(&requests));
                    std::thread::spawn(move || serve(socket.unwrap(), &config, &requests, answer));
                }
            }
        });
        Self { address, connections, requests }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }
}

fn serve(
    socket: TcpStream,
    config: &Arc<ServerConfig>,
    requests: &Mutex<Vec<(String, bool)>>,
    answer: Answer,
) -> Option<()> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket);
    let mut buffer = Vec::new();
    loop {
        while !buffer.ends_with(FIXTURE) {
            let mut piece = [0; 4096];
            let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
            buffer.extend_from_slice(&piece[..n]);
        }
        let head = String::from_utf8_lossy(&buffer).into_owned();
        buffer.clear();
        requests.lock().unwrap().push((head, stream.conn.peer_certificates().is_some()));
        match answer {
            Answer::Kept => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").ok()?,
            Answer::UntilEnd { is_proper } => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").ok()?;
                if is_proper {
                    stream.conn.send_close_notify();
                }
                stream.flush().ok()?;
                return None;
            }
        }
    }
}

fn believing(authority: &Authority, url: &str) -> Setup {
    gateway().file("ca.pem", authority.pem.as_str()).upstream("ca = \"ca.pem\"").route(PATH, url)
}

#[test]
fn an_event_is_forwarded_over_tls_and_connections_are_used_again() {
    let authority = Authority::new("apps");
    let app = App::start(&authority.issue(&["localhost", "127.0.0.1"]), None, Answer::Kept);
    for host in ["localhost", "127.0.0.1"] {
        let gateway = believing(&authority, &app.url(host)).start();
        let before = app.connections.load(Ordering::Relaxed);
        let mut client = Client::to(&gateway);
        for _ in 0..5 {
            client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
        }
        assert_eq!(app.connections.load(Ordering::Relaxed), before + 1, "{host}");
    }
    let requests = app.requests.lock().unwrap();
    assert!(
        requests.len() == 10 && requests.iter().all(|(head, _)| head.starts_with("POST /webhook/leases "))
    );
}

#[test]
fn an_upstream_that_does_not_verify_gets_no_request() {
    let (authority, stranger) = (Authority::new("apps"), Authority::new("stranger"));
    let expired = |params: &mut rcgen::CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    for (certificate, host) in [
        (stranger.issue(&["localhost"]), "localhost"),
        (authority.issue(&["other.example"]), "localhost"),
        (authority.issue(&["localhost"]), "127.0.0.1"),
        (authority.issue_with(&["localhost"], expired), "localhost"),
    ] {
        let app = App::start(&certificate, None, Answer::Kept);
        let gateway = believing(&authority, &app.url(host)).start();
        assert_refused(&exchange(&gateway, &post(FIXTURE)), 502, Some("upstream_unreachable"));
        assert_eq!(app.requests.lock().unwrap().len(), 0, "{host}");
        assert!(app.connections.load(Ordering::Relaxed) > 0);
    }
}

/// There is no fallback to plain HTTP.
#[test]
fn an_upstream_that_speaks_no_tls_gets_no_request() {
    let upstream =
        crate::support::Upstream::answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let authority = Authority::new("apps");
    let url = upstream.url().replace("http://", "https://");
    let gateway =
        believing(&authority, &url).upstream("ca = \"ca.pem\"\nconnect_timeout = \"500ms\"").start();
    assert_refused(&exchange(&gateway, &post(FIXTURE)), 502, Some("upstream_unreachable"));
    assert_eq!(upstream.requests().len(), 0);
    drop(gateway);
    std::mem::forget(upstream);
}

#[test]
fn a_handshake_counts_towards_the_time_to_connect() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let authority = Authority::new("apps");
    let gateway =
        believing(&authority, &url).upstream("ca = \"ca.pem\"\nconnect_timeout = \"100ms\"").start();
    assert_refused(&exchange(&gateway, &post(FIXTURE)), 502, Some("upstream_unreachable"));
}

#[test]
fn the_gateway_shows_its_own_certificate_to_an_upstream_that_asks() {
    let (authority, gateways) = (Authority::new("apps"), Authority::new("gateways"));
    let app = App::start(&authority.issue(&["localhost"]), Some(&gateways), Answer::Kept);
    let own = gateways.issue(&["gateway"]);
    let lines = "ca = \"ca.pem\"\nclient_certificate = { cert = \"own.pem\", key = \"own.key\" }";
    let setup = || believing(&authority, &app.url("localhost"));
    let with_own = setup().file("own.pem", own.cert).file("own.key", own.key).upstream(lines).start();
    exchange(&with_own, &post(FIXTURE)).assert_answer("ok");
    let without = setup().start();
    assert_eq!(exchange(&without, &post(FIXTURE)).status, 502);
    let requests = app.requests.lock().unwrap();
    assert!(requests.len() == 1 && requests[0].1, "{requests:?}");
}

/// Content that ends with the connection is complete only if the upstream says that it ends.
#[test]
fn an_answer_that_is_cut_does_not_look_complete() {
    let authority = Authority::new("apps");
    for is_proper in [true, false] {
        let app = App::start(&authority.issue(&["localhost"]), None, Answer::UntilEnd { is_proper });
        let gateway = believing(&authority, &app.url("localhost")).start();
        let response = exchange(&gateway, &post(FIXTURE));
        assert_eq!((response.status, response.complete), (200, is_proper), "{response:?}");
    }
}

#[test]
fn a_stored_event_is_delivered_over_tls() {
    let authority = Authority::new("apps");
    let app = App::start(&authority.issue(&["localhost"]), None, Answer::Kept);
    let url = app.url("localhost");
    let gateway = gateway()
        .file("ca.pem", authority.pem.as_str())
        .upstream("ca = \"ca.pem\"")
        .queue("")
        .route_with(PATH, &url, "delivery = \"queue\"")
        .start();
    assert_eq!(exchange(&gateway, &post(FIXTURE)).status, 202);
    let begin = std::time::Instant::now();
    while app.requests.lock().unwrap().is_empty() {
        assert!(begin.elapsed() < PATIENCE, "it is not delivered");
        std::thread::yield_now();
    }
}

/// A new authority counts for the next connection. Open connections were verified against the old authority,
/// and are not used again.
#[test]
fn another_authority_after_a_reload_counts_at_once() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let app = App::start(&old.issue(&["localhost"]), None, Answer::Kept);
    let gateway = believing(&old, &app.url("localhost")).start();
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    gateway.reload(believing(&new, &app.url("localhost")));
    assert_eq!(exchange(&gateway, &post(FIXTURE)).status, 502);
    gateway.reload(believing(&old, &app.url("localhost")));
    exchange(&gateway, &post(FIXTURE)).assert_answer("ok");
    // A request is counted after its client has the answer.
    until("both are counted", || {
        let outcomes = gateway.control().meters().sum().routes[PATH].outcomes.clone();
        outcomes[&Outcome { status: 200, reason: None }] == 2
    });
}
