//! A whole connection: whatever a client sends, every request that reaches the upstream has a valid signature
//! over exactly its content, and conforms to RFC 9112 strictly.
//!
//! The client's connection is in memory. The upstream is a socket on loopback. It is kept from one run to the
//! next, because the gateway keeps its connections. The first three bytes determine how the client's bytes
//! are cut, what the upstream answers, and whether the client's bytes are a text with placeholders: control
//! characters stand for texts that no mutation would produce.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;

use hookgate::runtime::worker::Worker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{LocalSet, spawn_local};

use super::{FIXTURE, choice, stage, strict, tag};

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new("8KiB"));
}

/// Panics if a request reaches the upstream that must not reach it.
pub fn holds(data: &[u8]) {
    let _reached = reached(data);
}

/// Does the same as [`holds`]. Returns how many requests reached the upstream.
pub fn reached(data: &[u8]) -> usize {
    STAGE.with_borrow_mut(|stage| stage.run(data))
}

/// The gateway and its upstream.
pub(super) struct Stage {
    pub(super) runtime: Runtime,
    pub(super) local: LocalSet,
    pub(super) worker: Rc<Worker>,
    upstream: Rc<Upstream>,
}

#[derive(Default)]
struct Upstream {
    answer: Cell<u8>,
    requests: Cell<usize>,
    violations: RefCell<Vec<String>>,
}

impl Stage {
    /// A gateway with this `max_buffered`.
    pub(super) fn new(max_buffered: &'static str) -> Self {
        let runtime = stage::runtime();
        let local = LocalSet::new();
        let upstream = Rc::new(Upstream::default());
        let worker = local.block_on(&runtime, async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            let port = listener.local_addr().expect("it is bound").port();
            spawn_local(Rc::clone(&upstream).listen(listener));
            worker(port, max_buffered)
        });
        Self { runtime, local, worker, upstream }
    }

    /// Begins a run, in which the upstream answers in this way.
    pub(super) fn answer(&self, answer: u8) {
        self.upstream.answer.set(answer);
        self.upstream.requests.set(0);
    }

    /// Ends a run. Returns how many requests reached the upstream. Panics if one of them must not have.
    pub(super) fn take_requests(&self) -> usize {
        let violations = self.upstream.violations.take();
        assert!(violations.is_empty(), "{violations:?}");
        self.upstream.requests.get()
    }

    fn run(&mut self, data: &[u8]) -> usize {
        let (cut, data) = choice(data);
        let (answer, data) = choice(data);
        let (kind, data) = choice(data);
        let sent = if kind % 2 == 1 { expand(data) } else { data.to_vec() };
        self.answer(answer);
        let worker = Rc::clone(&self.worker);
        let received = self.local.block_on(&self.runtime, stage::converse(worker, sent, cut)).received;
        let requests = self.take_requests();
        assert!(
            received.is_empty() || received.starts_with(b"HTTP/1."),
            "{:?}",
            received.escape_ascii().to_string()
        );
        requests
    }
}

fn worker(upstream: u16, max_buffered: &str) -> Rc<Worker> {
    stage::worker(&format!(
        r#"
        [limits]
        max_body = "2KiB"
        max_buffered = "{max_buffered}"
        max_header_bytes = "2KiB"
        [upstream]
        idle_timeout = "1h"
        [forward]
        verified_field = "x-verified"
        x_forwarded = true
        [signature]
        scheme = "propify"
        secrets = [{{ env = "KEY" }}]
        [[routes]]
        path = "/w"
        upstream = "http://127.0.0.1:{upstream}"
        [[routes]]
        path = "/m/{{model}}"
        upstream = "http://127.0.0.1:{upstream}"
        [[routes]]
        path = "/r/{{*rest}}"
        upstream = "http://127.0.0.1:{upstream}"
        "#
    ))
}

/// The texts for which control characters stand.
fn expand(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    let signature = |content: &[u8]| format!("propify-signature: {}\r\n", hex::encode(tag(content)));
    for byte in text {
        match byte {
            0x01 => out.extend_from_slice(b"POST /w HTTP/1.1\r\nhost: a\r\n"),
            0x02 => out.extend_from_slice(signature(FIXTURE.as_bytes()).as_bytes()),
            0x03 => out.extend_from_slice(FIXTURE.as_bytes()),
            0x04 => out.extend_from_slice(signature(b"").as_bytes()),
            0x05 => out.extend_from_slice(format!("content-length: {}\r\n", FIXTURE.len()).as_bytes()),
            0x06 => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            0x07 => {
                out.extend_from_slice(format!("{:x}\r\n{FIXTURE}\r\n0\r\n\r\n", FIXTURE.len()).as_bytes());
            }
            0x08 => out.extend_from_slice(b"\r\n"),
            0x0e => out.extend_from_slice(b"POST /m/leases HTTP/1.1\r\nhost: a\r\n"),
            0x0f => out.extend_from_slice(&[b'x'; 500]),
            0x10 => out.extend_from_slice(b"connection: "),
            0x11 => out.extend_from_slice(b"expect: 100-continue\r\n"),
            0x12 => out.extend_from_slice(b"content_length: 1\r\n"),
            0x13 => out.extend_from_slice(b"propify.signature: x\r\n"),
            0x14 => out.extend_from_slice(b"POST /r/a%2e/../b HTTP/1.1\r\nhost: a\r\n"),
            other => out.push(*other),
        }
    }
    out
}

impl Upstream {
    async fn listen(self: Rc<Self>, listener: TcpListener) {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                // Thousands of connections a second would use up all ports. A reset frees the port
                // immediately.
                let _any = stream.set_zero_linger();
                spawn_local(Rc::clone(&self).serve(stream));
            }
        }
    }

    /// Reads requests, checks each request, and answers as the run determines.
    async fn serve(self: Rc<Self>, mut stream: TcpStream) {
        let mut unread = Vec::new();
        loop {
            loop {
                match request(&unread) {
                    Err(violation) => {
                        let bytes = unread.escape_ascii();
                        self.violations.borrow_mut().push(format!("{violation}: {bytes}"));
                        return;
                    }
                    Ok(None) => break,
                    Ok(Some(len)) => {
                        unread.drain(..len);
                        self.requests.set(self.requests.get() + 1);
                        // The gateway waits for an answer before it sends another request.
                        if !unread.is_empty() {
                            self.violations.borrow_mut().push("bytes behind the request".to_owned());
                        }
                        let (text, then) = self.answer();
                        if stream.write_all(text).await.is_err() || then == Then::Close {
                            return;
                        }
                    }
                }
            }
            match stream.read_buf(&mut unread).await {
                Ok(n) if n > 0 => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn answer(&self) -> (&'static [u8], Then) {
        match self.answer.get() % 16 {
            0 => (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", Then::Close),
            1 => (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Then::Keep),
            2 => (b"", Then::Close),
            3 => (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", Then::Close),
            4 => (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok, and more", Then::Keep),
            5 => (b"HTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Then::Keep),
            6 => (b"nonsense\r\n\r\n", Then::Close),
            7 => (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", Then::Close),
            8 => (
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
                Then::Close,
            ),
            _ => (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Then::Keep),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
}

/// The oracle. Returns the length of the first request in the bytes; `None` if it is not complete.
fn request(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some((request, head)) = strict::head(bytes)? else { return Ok(None) };
    let length = request.content_length()?.ok_or("no content-length")?;
    let end = usize::try_from(length).ok().and_then(|length| head.checked_add(length)).ok_or("too long")?;
    let Some(content) = bytes.get(head..end) else { return Ok(None) };
    if request.minor != 1 || request.method != "POST" || !request.target.starts_with(b"/") {
        return Err("another request line than can be forwarded".to_owned());
    }
    let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = std::str::from_utf8(path).map_err(|_not_text| "a path that is no text")?;
    let captured = path.strip_prefix("/m/").or_else(|| path.strip_prefix("/r/"));
    match captured {
        None if path == "/w" => {}
        None => return Err("a path that no route has".to_owned()),
        Some(captured) if captured.split('/').all(strict::is_clear) => {}
        Some(_) => return Err("a captured part of the path that could be read otherwise".to_owned()),
    }
    for name in ["content-length", "transfer-encoding", "propify-signature", "x-verified", "x-forwarded-for"]
    {
        if let [lookalike, ..] = request.lookalikes(name)[..] {
            return Err(format!("{lookalike} came through"));
        }
    }
    if request.all("x-verified") != [b"scheme=propify, secret=current"] {
        return Err("x-verified is not ours".to_owned());
    }
    if request.all("host").len() != 1 {
        return Err("not one host".to_owned());
    }
    for name in [
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "expect",
    ] {
        if !request.all(name).is_empty() {
            return Err(format!("{name} came through"));
        }
    }
    match request.all("propify-signature")[..] {
        [claimed] if hex::decode(claimed).is_ok_and(|claimed| claimed == tag(content)) => Ok(Some(end)),
        _ => Err("not authentic".to_owned()),
    }
}
