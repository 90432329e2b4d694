//! HTTP/2 from clients: over TLS, and without TLS with prior knowledge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use hookgate::runtime::Ended;
use http::{HeaderMap, Request, StatusCode};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::support::message::Field;
use crate::support::request::PATH;
use crate::support::tls::{Authority, ClientSetup};
use crate::support::upstream::OK;
use crate::support::{
    Client, FIXTURE, Gateway, PATIENCE, Setup, Upstream, digest, gate, gateway, nothing_reached, post,
    signature,
};

/// A client that speaks HTTP/2.
pub(crate) struct Http2 {
    pub(crate) requests: SendRequest<Bytes>,
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    // Otherwise the end of each window would wait for an acknowledgement.
    stream.set_nodelay(true).unwrap();
    stream
}

/// A response with all of its content.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    content: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap()
    }

    #[track_caller]
    pub(crate) fn assert(&self, status: u16, part: &str) {
        assert!(self.status.as_u16() == status && self.text().contains(part), "{self:?}");
    }
}

impl Http2 {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self::over(connect(address).await).await
    }

    async fn over_tls(address: SocketAddr, setup: ClientSetup) -> Self {
        let mut config = Arc::unwrap_or_clone(setup.config());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = connect(address).await;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self::built(&Builder::new(), stream).await
    }

    pub(crate) async fn built(
        builder: &Builder,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    /// Begins a request. Its content is still to be sent, unless it has none.
    pub(crate) async fn begin(
        &mut self,
        request: Request<()>,
        is_empty: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        self.requests = self.requests.clone().ready().await.unwrap();
        self.requests.send_request(request, is_empty).unwrap()
    }

    pub(crate) async fn send(&mut self, request: Request<()>, content: &[u8]) -> Result<Answer, h2::Error> {
        let (response, mut stream) = self.begin(request, content.is_empty()).await;
        // A refusal stops the content, and is read nevertheless.
        let _is_stopped = push(&mut stream, content, true).await;
        answer(response).await
    }

    /// Sends a whole event with its signature.
    pub(crate) async fn event(&mut self, content: &[u8]) -> Result<Answer, h2::Error> {
        self.send(signed(content), content).await
    }

    /// Waits until the gateway has ended the connection.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        drop(self.requests);
        tokio::time::timeout(PATIENCE, self.connection).await.expect("the connection ends").unwrap()
    }
}

pub(crate) async fn push(
    stream: &mut SendStream<Bytes>,
    mut content: &[u8],
    is_end: bool,
) -> Result<(), h2::Error> {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        while stream.capacity() == 0 {
            match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(capacity) => drop(capacity?),
                None => return Err(Reason::CANCEL.into()),
            }
        }
        let (now, later) = content.split_at(stream.capacity().min(content.len()));
        content = later;
        stream.send_data(Bytes::copy_from_slice(now), is_end && content.is_empty())?;
    }
    Ok(())
}

async fn answer(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let response = tokio::time::timeout(PATIENCE, response).await.expect("a response comes")?;
    let (parts, mut body) = response.into_parts();
    let content = all(&mut body).await?;
    Ok(Answer { status: parts.status, fields: parts.headers, content })
}

async fn all(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut content = Vec::new();
    while let Some(piece) = tokio::time::timeout(PATIENCE, body.data()).await.expect("content comes") {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

/// A request with the signature of this content.
pub(crate) fn signed(content: &[u8]) -> Request<()> {
    request(&signature(content))
}

pub(crate) fn forged() -> Request<()> {
    request(&"0".repeat(64))
}

fn request(signature: &str) -> Request<()> {
    let request = Request::post(format!("http://localhost{PATH}")).header("propify-signature", signature);
    request.body(()).unwrap()
}

fn with_length(mut request: Request<()>, length: usize) -> Request<()> {
    request.headers_mut().insert("content-length", length.into());
    request
}

/// Runs a test with sockets of its own runtime.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// A gateway that takes HTTP/2 with prior knowledge.
pub(crate) fn h2c() -> Setup {
    gateway().server("h2c = true")
}

pub(crate) fn before(upstream: &Upstream) -> Gateway {
    h2c().route(PATH, &upstream.url()).start()
}

/// Waits until the condition holds. The connections of the test go on meanwhile.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        tokio::task::yield_now().await;
    }
}

/// How many requests of the route have ended: their records were emitted.
pub(crate) fn ended(gateway: &Gateway) -> u64 {
    let sum = gateway.control().meters().sum();
    sum.routes.get(PATH).map_or(0, |route| route.outcomes.values().sum())
}

#[test]
fn a_signed_event_over_http2_reaches_the_upstream_and_a_forged_one_does_not() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        for _ in 0..3 {
            client.event(FIXTURE).await.unwrap().assert(200, "ok");
            client.send(forged(), FIXTURE).await.unwrap().assert(401, "signature_mismatch");
        }
    });
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn http2_over_tls_is_chosen_by_alpn_unless_it_is_turned_off() {
    let (authority, upstream) = (Authority::new("us"), Upstream::ok());
    let issued = authority.issue(&["localhost"]);
    let with = |lines: &str| {
        let certificates = "certificates = [{ cert = \"a.pem\", key = \"a.key\" }]";
        let setup = gateway().file("a.pem", issued.cert.as_str()).file("a.key", issued.key.as_str());
        setup.tls(&format!("{certificates}\n{lines}")).route(PATH, &upstream.url()).start()
    };
    let gateway = with("");
    run(async {
        let mut client = Http2::over_tls(gateway.tls_address(), authority.client()).await;
        client.event(FIXTURE).await.unwrap().assert(200, "ok");
        client.send(forged(), FIXTURE).await.unwrap().assert(401, "signature_mismatch");
        let elsewhere = Request::post(format!("https://elsewhere{PATH}")).body(()).unwrap();
        assert_eq!(client.send(elsewhere, b"").await.unwrap().status, 421);
    });
    let without = with("http2 = false");
    run(async {
        let mut config = Arc::unwrap_or_clone(authority.client().config());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = connect(without.tls_address()).await;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    });
}

#[test]
fn without_h2c_the_preface_is_a_version_that_is_not_served() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let response = Client::to(&gateway).send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").response();
    assert_eq!(response.status, 505);
    nothing_reached(gateway, upstream);
}

#[test]
fn with_h2c_requests_of_http_1_are_served_as_before_in_whatever_pieces() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    let mut client = Client::to(&gateway);
    for byte in post(FIXTURE).bytes() {
        client.send([byte]);
    }
    client.response().assert_answer("ok");
    client.send(post(FIXTURE).bytes()).response().assert_answer("ok");
    // `PROPFIND` begins like the preface.
    assert_eq!(Client::to(&gateway).send(b"PROPFIND / HTTP/1.1\r\nhost: a\r\n\r\n").response().status, 404);
}

#[test]
fn content_of_any_size_arrives_unchanged() {
    let upstream = Upstream::ok();
    let setup = h2c().limits("max_body = \"32MiB\"\nmax_buffered = \"64MiB\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    let contents: Vec<Vec<u8>> = [0, 1, 16_384, 65_535, 65_536, 1 << 20, 25_000_000]
        .into_iter()
        .map(|size: usize| (0..size).map(|n| (n % 251) as u8).collect())
        .collect();
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        for content in &contents {
            client.event(content).await.unwrap().assert(200, "ok");
            let request = with_length(signed(content), content.len());
            client.send(request, content).await.unwrap().assert(200, "ok");
        }
    });
    let requests = upstream.wait_for(2 * contents.len());
    for (pair, content) in requests.chunks(2).zip(&contents) {
        for request in pair {
            assert_eq!(digest(&request.content), digest(content), "{}", content.len());
            let lengths = request.values("content-length");
            assert!(content.is_empty() || lengths == [content.len().to_string().into_bytes()], "{lengths:?}");
            assert!(!request.has("transfer-encoding"));
        }
    }
}

#[test]
fn the_upstream_gets_the_request_that_it_would_have_had_in_http_1_1() {
    let upstream = Upstream::ok();
    let gateway = h2c().route(PATH, &upstream.url()).start();
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        let request = Request::post(format!("http://a.example:8443{PATH}?q=%20&r"))
            .header("x-one", "1")
            .header("cookie", "a=1")
            .header("te", "trailers")
            .header("x-two", "2")
            .header("cookie", "b=2")
            .header("x-two", "3")
            .header("propify-signature", signature(FIXTURE));
        client.send(request.body(()).unwrap(), FIXTURE).await.unwrap().assert(200, "ok");
    });
    let request = upstream.only_request();
    assert_eq!((request.method.as_str(), request.target), ("POST", format!("{PATH}?q=%20&r")));
    let line = |field: &Field| format!("{}: {}", field.name, String::from_utf8_lossy(&field.value));
    let lines: Vec<_> = request.fields.iter().map(line).collect();
    let signed = format!("propify-signature: {}", signature(FIXTURE));
    let want =
        ["host: a.example:8443", "x-one: 1", "cookie: a=1; b=2", "x-two: 2", "x-two: 3", signed.as_str()];
    assert_eq!(lines[..want.len()], want);
}

#[test]
fn via_says_that_a_request_came_in_http2_whether_it_is_stored_or_not() {
    let upstream = Upstream::ok();
    let stored = "/stored";
    let gateway = h2c()
        .forward("via = true")
        .queue("")
        .route(PATH, &upstream.url())
        .route_with(stored, &upstream.url(), "delivery = \"queue\"")
        .start();
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        for path in [PATH, stored] {
            let request = Request::post(format!("http://a.example{path}"))
                .header("via", "1.1 edge")
                .header("propify-signature", signature(FIXTURE));
            client.send(request.body(()).unwrap(), FIXTURE).await.unwrap();
        }
    });
    for request in upstream.wait_for(2) {
        assert_eq!(request.values("via"), [&b"1.1 edge"[..], b"2.0 hookgate"], "{}", request.target);
    }
}

#[test]
fn a_host_that_differs_from_the_authority_is_refused() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        let with_host = |host: &str| {
            let mut request = signed(FIXTURE);
            request.headers_mut().insert("host", host.parse().unwrap());
            request
        };
        client.send(with_host("other"), FIXTURE).await.unwrap().assert(400, "");
        client.send(with_host("LOCALHOST"), FIXTURE).await.unwrap().assert(200, "ok");
    });
}

#[test]
fn a_refusal_comes_before_any_content_and_the_content_is_stopped() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        let unsigned = Request::post(format!("http://localhost{PATH}")).body(()).unwrap();
        let requests = [
            (unsigned, 401, "signature_missing"),
            (with_length(signed(FIXTURE), 2 << 20), 413, "body_too_large"),
            (Request::get(format!("http://localhost{PATH}")).body(()).unwrap(), 405, ""),
            (Request::post("http://localhost/elsewhere").body(()).unwrap(), 404, "no_route"),
        ];
        for (request, status, reason) in requests {
            let (response, mut stream) = client.begin(request, false).await;
            answer(response).await.unwrap().assert(status, reason);
            let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
            assert_eq!(reset, Reason::NO_ERROR);
        }
        client.event(FIXTURE).await.unwrap().assert(200, "ok");
    });
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        // The gateway refuses the first two itself, and h2 refuses the third, which is far larger.
        for (path, field, status, title) in
            [(17 * 1024, 1, 414, "long"), (1, 33 * 1024, 431, "large"), (1, 80 * 1024, 431, "")]
        {
            let request = Request::post(format!("http://localhost/{}", "p".repeat(path)))
                .header("x", "y".repeat(field))
                .body(())
                .unwrap();
            client.send(request, b"").await.unwrap().assert(status, title);
        }
        client.event(FIXTURE).await.unwrap().assert(200, "ok");
    });
}

/// hyper takes a reset with NO_ERROR for the end of the content.
#[test]
fn content_that_is_cut_by_a_reset_is_never_forwarded_even_if_the_part_is_signed() {
    let upstream = Upstream::ok();
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
            for request in [signed(FIXTURE), with_length(signed(FIXTURE), FIXTURE.len() + 1)] {
                let (_response, mut stream) = client.begin(request, false).await;
                push(&mut stream, FIXTURE, false).await.unwrap();
                // The answer to another request shows that the content has arrived.
                client.send(forged(), FIXTURE).await.unwrap().assert(401, "");
                stream.send_reset(reason);
            }
        }
        client.send(forged(), FIXTURE).await.unwrap().assert(401, "");
        // The connection ends before the content does.
        let (_response, mut stream) = client.begin(signed(FIXTURE), false).await;
        push(&mut stream, FIXTURE, false).await.unwrap();
        client.send(forged(), FIXTURE).await.unwrap().assert(401, "");
        client.connection.abort();
    });
    nothing_reached(gateway, upstream);
}

#[test]
fn a_verified_event_is_delivered_if_its_stream_is_reset_or_its_connection_ends() {
    let (release, gate) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            gate.pass();
            connection.send(OK);
        }
    });
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        let (response, mut stream) = client.begin(signed(FIXTURE), false).await;
        push(&mut stream, FIXTURE, true).await.unwrap();
        until("the upstream has it", || upstream.requests().len() == 1).await;
        stream.send_reset(Reason::CANCEL);
        drop((response, stream));
        client.send(forged(), FIXTURE).await.unwrap().assert(401, "");
        release.open();
        until("it is delivered", || ended(&gateway) == 2).await;
        // The exchange with the upstream has ended in order: its connection is used again.
        release.open();
        client.event(FIXTURE).await.unwrap().assert(200, "ok");
        assert_eq!((upstream.connections(), upstream.requests().len()), (1, 2));

        let (_response, mut stream) = client.begin(signed(FIXTURE), false).await;
        push(&mut stream, FIXTURE, true).await.unwrap();
        until("the upstream has it", || upstream.requests().len() == 3).await;
        client.connection.abort();
        release.open();
        until("it is delivered", || ended(&gateway) == 4).await;
        release.open();
        let mut client = Http2::to(gateway.address()).await;
        client.event(FIXTURE).await.unwrap().assert(200, "ok");
        assert_eq!((upstream.connections(), upstream.requests().len()), (1, 4));
    });
}

#[test]
fn the_streams_of_a_connection_are_served_at_the_same_time() {
    let (release, gate) = gate();
    let gate = Arc::new(gate);
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            gate.pass();
            connection.send(OK);
        }
    });
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        client.send(forged(), b"").await.unwrap().assert(401, "");
        let mut responses = Vec::new();
        for _ in 0..32 {
            let (response, mut stream) = client.begin(signed(FIXTURE), false).await;
            push(&mut stream, FIXTURE, true).await.unwrap();
            responses.push(response);
        }
        until("the upstream has all of them", || upstream.requests().len() == 32).await;
        drop(release);
        for response in responses {
            answer(response).await.unwrap().assert(200, "ok");
        }
    });
}

#[test]
fn a_drain_lets_the_streams_under_way_finish_and_ends_the_connection() {
    let (release, gate) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            gate.pass();
            connection.send(OK);
        }
    });
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        let (response, mut stream) = client.begin(signed(FIXTURE), false).await;
        push(&mut stream, FIXTURE, true).await.unwrap();
        until("the upstream has it", || upstream.requests().len() == 1).await;
        let mut idle = Http2::to(gateway.address()).await;
        idle.send(forged(), FIXTURE).await.unwrap().assert(401, "");
        gateway.drain();
        idle.ended().await.unwrap();
        release.open();
        answer(response).await.unwrap().assert(200, "ok");
        drop(stream);
        client.ended().await.unwrap();
    });
    assert_eq!(gateway.wait(), Ended::Drained);
}

#[test]
fn a_connection_that_a_drain_cuts_off_counts_once_however_many_streams_it_has() {
    let upstream = Upstream::scripted(|connection| connection.wait_closed());
    let setup = gateway().server("h2c = true\nshutdown_grace = \"300ms\"");
    let gateway = setup.upstream("response_timeout = \"1h\"").route(PATH, &upstream.url()).start();
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            let (response, mut stream) = client.begin(signed(FIXTURE), false).await;
            push(&mut stream, FIXTURE, true).await.unwrap();
            held.push(response);
        }
        until("the upstream has them", || upstream.connections() == 3).await;
        gateway.drain();
        assert_eq!(gateway.wait(), Ended::CutOff(1));
    });
}

#[test]
fn an_idle_connection_is_evicted_and_one_that_waits_for_its_upstream_is_not() {
    let (release, gate) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            gate.pass();
            connection.send(OK);
        }
    });
    let setup = gateway().server("h2c = true\nmax_connections = 1");
    let gateway = setup.route(PATH, &upstream.url()).start();
    run(async {
        let mut idle = Http2::to(gateway.address()).await;
        idle.send(forged(), FIXTURE).await.unwrap().assert(401, "");
        let mut client = Http2::to(gateway.address()).await;
        let (response, mut stream) = client.begin(signed(FIXTURE), false).await;
        push(&mut stream, FIXTURE, true).await.unwrap();
        until("the upstream has it", || upstream.requests().len() == 1).await;
        let _ended = idle.ended().await;
        // A second stream, which waits for its content, makes the connection no easier to evict.
        let (_other, mut content) = client.begin(signed(FIXTURE), false).await;
        push(&mut content, b"{", false).await.unwrap();
        let next = tokio::spawn(Http2::to(gateway.address()));
        release.open();
        answer(response).await.unwrap().assert(200, "ok");
        release.open();
        next.await.unwrap().event(FIXTURE).await.unwrap().assert(200, "ok");
    });
}

#[test]
fn a_response_is_passed_on_as_it_comes_with_its_fields_in_order() {
    let (release, gate) = gate();
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            connection.send(
                "HTTP/1.1 201 Made\r\nX-A: 1\r\nconnection: x-gone\r\nx-gone: 1\r\nSet-Cookie: a\r\nx-b:  2 \r\n\
                 set-cookie: b\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
            );
            gate.pass();
            connection.send("6\r\nsecond\r\n0\r\n\r\n");
        }
    });
    let gateway = before(&upstream);
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        let (response, mut stream) = client.begin(signed(FIXTURE), false).await;
        push(&mut stream, FIXTURE, true).await.unwrap();
        let (parts, mut body) = response.await.unwrap().into_parts();
        assert_eq!(parts.status, 201);
        let fields: Vec<_> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(fields, [("x-a", "1"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-b", "2")]);
        let mut first = Vec::new();
        while first.len() < "first".len() {
            first.extend_from_slice(&body.data().await.unwrap().unwrap());
        }
        assert_eq!(first, b"first");
        release.open();
        assert_eq!(all(&mut body).await.unwrap(), b"second");
    });
}

#[test]
fn a_response_that_breaks_off_never_looks_complete() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\nxx\r\n",
    ] {
        let upstream = Upstream::scripted(move |connection| {
            if connection.request().is_some() {
                connection.send(answer);
            }
        });
        let gateway = before(&upstream);
        run(async {
            let mut client = Http2::to(gateway.address()).await;
            let broken = client.event(FIXTURE).await.unwrap_err();
            assert!(broken.is_reset(), "{broken:?}");
            client.send(forged(), FIXTURE).await.unwrap().assert(401, "");
        });
    }
}

#[test]
fn a_response_without_content_has_none() {
    for (answer, status, length) in [
        (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], 204, None),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", 304, Some("7")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, Some("0")),
    ] {
        let upstream = Upstream::answering(answer);
        let gateway = before(&upstream);
        run(async {
            let mut client = Http2::to(gateway.address()).await;
            let answer = client.event(FIXTURE).await.unwrap();
            let found = answer.fields.get("content-length").map(|length| length.to_str().unwrap());
            assert_eq!((answer.status.as_u16(), found, answer.text()), (status, length, ""));
        });
    }
}

#[test]
fn an_event_of_a_route_that_stores_is_acknowledged() {
    let upstream = Upstream::ok();
    let setup = h2c().queue("").route_with(PATH, &upstream.url(), "delivery = \"queue\"");
    let gateway = setup.start();
    run(async {
        let mut client = Http2::to(gateway.address()).await;
        client.event(FIXTURE).await.unwrap().assert(202, "queued");
        until("it is delivered", || upstream.requests().len() == 1).await;
    });
    assert_eq!(upstream.only_request().content, FIXTURE);
}

#[test]
fn streams_that_hold_memory_are_shed_for_an_event_and_all_memory_is_given_back() {
    let upstream = Upstream::ok();
    let setup = h2c().limits("max_body = \"64KiB\"\nmax_buffered = \"128KiB\"\nbody_timeout = \"60s\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    let event = vec![b'x'; 30_000];
    run(async {
        let mut holders = Http2::to(gateway.address()).await;
        let mut held = Vec::new();
        for _ in 0..8 {
            let (response, mut stream) = holders.begin(signed(&event), false).await;
            let _is_refused = push(&mut stream, &event[..20_000], false).await;
            held.push((response, stream));
        }
        let mut client = Http2::to(gateway.address()).await;
        for _ in 0..3 {
            client.event(&event).await.unwrap().assert(200, "ok");
        }
        // The stream is refused, or its connection has ended for all that it holds.
        let (response, _stream) = held.remove(0);
        if let Ok(answer) = answer(response).await {
            answer.assert(503, "overloaded");
        }
        drop(held);
        client.event(&event).await.unwrap().assert(200, "ok");
        until("all memory is given back", || gateway.control().budget().held() == 0).await;
    });
}

/// The gateway resets the stream whose response is not taken up, also if only the end of the response is
/// left. The other streams of the connection go on.
#[test]
fn a_client_that_opens_no_window_does_not_hold_a_response_for_ever() {
    let large = "y".repeat(8000);
    let length = Upstream::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: 8000\r\n\r\n{large}"));
    let chunked = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1f40\r\n{large}\r\n0\r\n\r\n"
    ));
    let gateways = [&length, &chunked]
        .map(|upstream| h2c().limits("write_timeout = \"300ms\"").route(PATH, &upstream.url()).start());
    run(async {
        for gateway in &gateways {
            for (window, request, status) in [
                (0, forged(), 401),
                (5, forged(), 401),
                (0, signed(FIXTURE), 200),
                (1, signed(FIXTURE), 200),
                (7_999, signed(FIXTURE), 200),
            ] {
                let stream = connect(gateway.address()).await;
                let mut client = Http2::built(Builder::new().initial_window_size(window), stream).await;
                let (response, mut content) = client.begin(request, false).await;
                push(&mut content, FIXTURE, true).await.unwrap();
                let (parts, mut body) = response.await.unwrap().into_parts();
                assert_eq!(parts.status, status);
                let mut end = body.data().await;
                while let Some(Ok(_)) = end {
                    end = body.data().await;
                }
                let reset = end.and_then(Result::err).and_then(|error| error.reason());
                assert_eq!(reset, Some(Reason::CANCEL), "{window}");
                let (response, _content) = client.begin(signed(b""), true).await;
                assert_eq!(response.await.unwrap().status(), 200, "{window}");
            }
        }
    });
}

#[test]
fn a_connection_on_which_nothing_happens_is_closed() {
    let upstream = Upstream::ok();
    let setup = h2c().limits("header_timeout = \"2s\"\nidle_timeout = \"2s\"");
    let gateway = setup.route(PATH, &upstream.url()).start();
    // The connections wait at the same time.
    let parts = [&b"PRI * HT"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PART_OF_A_HEAD].map(|bytes| {
        let mut client = Client::to(&gateway);
        client.send(bytes);
        client
    });
    run(async {
        let unused = Http2::to(gateway.address()).await;
        let mut client = Http2::to(gateway.address()).await;
        client.send(forged(), FIXTURE).await.unwrap().assert(401, "");
        unused.ended().await.unwrap();
        client.ended().await.unwrap();
    });
    for mut client in parts {
        client.rest();
    }
    nothing_reached(gateway, upstream);
}

/// The preface, SETTINGS, and HEADERS without END_HEADERS.
const PART_OF_A_HEAD: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x82";
