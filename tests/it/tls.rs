//! TLS towards clients: certificates, versions, refusals, and what a connection without an end looks like.

use crate::support::gateway::Setup;
use crate::support::request::PATH;
use crate::support::tls::{Authority, Issued, TlsClient};
use crate::support::{Client, FIXTURE, Gateway, Upstream, gateway, post, unsigned};

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

fn to_localhost(post: crate::support::Post) -> Vec<u8> {
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
