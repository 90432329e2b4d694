//! Responses: whatever an upstream answers, the client gets strict HTTP/1.1. The client's response is the
//! response that a simple parser finds in the upstream's bytes, or it is incomplete. Bytes after a complete
//! response do not change it, however the bytes are cut. The connection to the upstream is used again only if
//! no bytes follow the response.
//!
//! The first three bytes determine the size of the upstream's pieces, the client's request, and when the
//! upstream writes and closes. The rest is the upstream's bytes, or a text with placeholders: control
//! characters stand for texts that no mutation would produce.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookgate::runtime::worker::Worker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::stage::{self, Heard};
use super::strict::response::{End, Response, read};
use super::{choice, strict, tag};

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new());
}

/// The same limits as in `upstream` and `message::chunked`.
const MAX_INTERIM: usize = 64;
const MAX_FIELD_LINES: usize = 100;
const MAX_EXTENSION: usize = 4096;

/// Half of the largest head.
const LONGEST: usize = 32 * 1024;

/// Panics if the client gets another response.
pub fn holds(data: &[u8]) {
    let _ends = ends(data);
}

/// Does the same as [`holds`]. Returns the result for the answer.
pub fn ends(data: &[u8]) -> Ends {
    STAGE.with_borrow_mut(|stage| stage.run(data))
}

/// The result for an upstream's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Whether the client got all of the answer.
    pub is_relayed: bool,
    /// Whether the connection of the answer was used again.
    pub is_reused: bool,
}

/// The gateway and its upstream.
struct Stage {
    runtime: Runtime,
    local: LocalSet,
    worker: Rc<Worker>,
    upstream: Rc<Upstream>,
    socket: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.socket);
    }
}

#[derive(Default)]
struct Upstream {
    plan: RefCell<Plan>,
    is_written: Cell<bool>,
    connections: Cell<usize>,
    /// The connection on which each request arrived.
    requests: RefCell<Vec<usize>>,
}

/// How the upstream answers the first request of a run. It answers the second request in the simplest way.
#[derive(Clone, Default)]
struct Plan {
    bytes: Vec<u8>,
    piece: usize,
    is_early: bool,
    closes: bool,
}

impl Stage {
    fn new() -> Self {
        // Each thread of the tests has its own socket.
        static STAGES: AtomicUsize = AtomicUsize::new(0);
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("hookgate-response-{}-{number}", std::process::id()));
        let _left_behind = std::fs::remove_file(&socket);
        let (runtime, local) = (stage::runtime(), LocalSet::new());
        let upstream = Rc::new(Upstream::default());
        let worker = local.block_on(&runtime, async {
            let listener = UnixListener::bind(&socket).expect("a socket");
            spawn_local(Rc::clone(&upstream).listen(listener));
            stage::worker(&format!(
                r#"
                [upstream]
                idle_timeout = "1h"
                [signature]
                scheme = "propify"
                secrets = [{{ env = "KEY" }}]
                [[routes]]
                path = "/w"
                upstream = "unix:{}"
                methods = ["POST", "HEAD"]
                "#,
                socket.display()
            ))
        });
        Self { runtime, local, worker, upstream, socket }
    }

    fn run(&mut self, data: &[u8]) -> Ends {
        let (cut, data) = choice(data);
        let (asks, data) = choice(data);
        let (kind, data) = choice(data);
        let mut bytes = if kind % 2 == 1 { expand(data) } else { data.to_vec() };
        bytes.truncate(LONGEST);
        let (method, minor, line) = match asks % 6 {
            0 | 1 => ("POST", 1, ""),
            2 => ("HEAD", 1, ""),
            3 => ("POST", 0, ""),
            4 => ("POST", 0, "connection: keep-alive\r\n"),
            _ => ("HEAD", 0, "connection: keep-alive\r\n"),
        };
        let said = read(&bytes, method == "HEAD");
        // An upstream that sends less than it announced and does not close would only be ended by a deadline.
        // So it closes here.
        let can_stay = matches!(&said, Ok(Some(Response { end: End::Said(_), .. })));
        let piece = match usize::from(cut) {
            0 => bytes.len().max(1),
            some => some,
        };
        let plan = Plan { bytes, piece, is_early: kind & 2 != 0, closes: kind & 4 != 0 || !can_stay };
        let request = |method: &str, minor: u8, line: &str| {
            let signature = hex::encode(tag(b""));
            format!("{method} /w HTTP/1.{minor}\r\nhost: a\r\n{line}propify-signature: {signature}\r\n\r\n")
        };
        let upstream = &self.upstream;
        upstream.plan.replace(plan.clone());
        upstream.is_written.set(false);
        upstream.requests.borrow_mut().clear();
        let first = request(method, minor, line).into_bytes();
        let second = request("POST", 1, "").into_bytes();
        let worker = || Rc::clone(&self.worker);
        let (heard, after) = self.local.block_on(&self.runtime, async {
            let heard = stage::converse(worker(), first, asks / 6).await;
            while !upstream.is_written.get() {
                yield_now().await;
            }
            // The written bytes have arrived after the runtime has polled its sockets once more.
            yield_now().await;
            let after = if plan.closes { None } else { Some(stage::converse(worker(), second, 0).await) };
            (heard, after)
        });
        let is_relayed = judge(&heard, &said, &plan, method == "HEAD");
        let requests = self.upstream.requests.take();
        let is_reused = requests.len() == 2 && requests[0] == requests[1];
        assert_eq!(requests.len(), if plan.closes { 1 } else { 2 }, "requests that reached the upstream");
        if let (Some(after), Ok(Some(said))) = (after, &said) {
            let text = after.received.escape_ascii();
            assert_eq!(after.received, b"HTTP/1.1 204 No Content\r\n\r\n", "{text}");
            let may_be = said.end == End::Said(0) && said.is_persistent();
            assert!(may_be || !is_reused, "reused after {said:?}");
            // Content that a 204 announces may still arrive.
            let announces =
                ["content-length", "transfer-encoding"].iter().any(|name| !said.all(name).is_empty());
            let is_in_doubt = said.status == 204 && announces;
            if may_be && is_relayed && !is_in_doubt && said.all("keep-alive").is_empty() {
                assert!(is_reused, "not reused after {said:?}");
            }
        }
        Ends { is_relayed, is_reused }
    }
}

/// Whether the client got the upstream's response. Panics if the client got a wrong response.
fn judge(heard: &Heard, said: &Result<Option<Response>, String>, plan: &Plan, is_for_head: bool) -> bool {
    let text = heard.received.escape_ascii();
    let told = read(&heard.received, is_for_head).expect("what the client gets is strict HTTP");
    let is_clear = said.as_ref().is_ok_and(|said| said.as_ref().is_some_and(|said| must_pass(said, plan)));
    let Some(told) = told else {
        // If the response breaks off immediately, a client with a small buffer may not even have the whole
        // head.
        assert!(!is_clear, "no whole head: {text}, where the upstream said {said:?}");
        return false;
    };
    assert!(!told.is_sloppy && told.interim == 0, "{text}");
    let is_complete = match told.end {
        End::Said(left) => {
            assert_eq!(left, 0, "bytes behind the response: {text}");
            true
        }
        End::Closed => {
            assert!(!told.is_persistent());
            !heard.is_reset
        }
        End::Missing => false,
    };
    let is_told = said.as_ref().is_ok_and(|said| said.as_ref().is_some_and(|said| is_same_head(said, &told)));
    if !is_told {
        assert!(is_ours(&told), "{text}, where the upstream said {said:?}");
        assert!(!is_clear, "{text}, where the upstream said {said:?}");
        return false;
    }
    let Ok(Some(said)) = said else { unreachable!("it is the same") };
    match said.end {
        End::Missing => {
            assert!(!is_complete, "what broke off looks complete: {text}, where the upstream said {said:?}");
            if said.all("transfer-encoding").is_empty() {
                assert!(said.content.starts_with(&told.content), "{text}, where the upstream said {said:?}");
            }
            return false;
        }
        // Surplus bytes belong to no response, and are no reason to cut the response off.
        End::Said(_) | End::Closed => {}
    }
    assert!(is_complete || !is_clear, "it breaks off: {text}, where the upstream said {said:?}");
    if is_complete {
        assert_eq!(told.content, said.content, "where the upstream said {said:?}");
    }
    is_complete
}

/// Whether the gateway must relay the response, because nothing in it permits a refusal.
fn must_pass(said: &Response, plan: &Plan) -> bool {
    let is_all = match said.end {
        End::Said(_) | End::Closed => true,
        End::Missing => false,
    };
    let is_short = said.interim <= MAX_INTERIM && said.fields.len() <= MAX_FIELD_LINES;
    is_all
        && !said.is_sloppy
        && is_short
        && (plan.bytes.len() <= MAX_EXTENSION || !plan.bytes.contains(&b';'))
}

/// A refusal of the gateway's own.
fn is_ours(told: &Response) -> bool {
    matches!(told.status, 502 | 504) && told.all("content-type") == [b"application/problem+json"]
}

/// Hop-by-hop fields, and the fields that a `connection` line cannot remove.
const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
const KEPT: [&str; 4] = ["host", "content-length", "content-type", "propify-signature"];

fn is_same_head(said: &Response, told: &Response) -> bool {
    let reason = &said.reason[..];
    let named = said.options();
    let goes = |name: &str| {
        let is_named = named.iter().any(|other| other == name && name != "close" && name != "keep-alive");
        // A 204 has no `content-length` (RFC 9110, section 8.6).
        let is_idle = said.status == 204 && name == "content-length";
        is_idle || HOP_BY_HOP.contains(&name) || (is_named && !KEPT.contains(&name))
    };
    let want = said.fields.iter().filter(|(name, _)| !goes(&name.to_ascii_lowercase()));
    // The gateway writes its own framing, and its own `connection` field.
    let got = told.fields.iter().filter(|(name, value)| match &name[..] {
        "connection" => !(value == b"close" || value == b"keep-alive"),
        "transfer-encoding" => value != b"chunked",
        _ => true,
    });
    told.status == said.status && told.reason == reason && got.eq(want)
}

/// The texts for which control characters stand.
fn expand(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    for byte in text {
        match byte {
            0x01 => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
            0x02 => out.extend_from_slice(b"content-length: "),
            0x03 => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            0x04 => out.extend_from_slice(b"5\r\nhello\r\n"),
            0x05 => out.extend_from_slice(b"0\r\n\r\n"),
            0x06 => out.extend_from_slice(b"connection: "),
            0x07 => out.extend_from_slice(b"close\r\n"),
            0x08 => out.extend_from_slice(b"\r\n"),
            0x0e => out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
            0x0f => out.extend_from_slice(&[b'x'; 500]),
            0x10 => out.extend_from_slice(b"HTTP/1.0 200 OK\r\n"),
            0x11 => out.extend_from_slice(b"X-Custom-ID: a\r\n"),
            0x12 => out.extend_from_slice(b"HTTP/1.1 204 No Content\r\n"),
            0x13 => out.extend_from_slice(b"content-length: 5\r\n"),
            0x14 => out.extend_from_slice(b"hello"),
            other => out.push(*other),
        }
    }
    out
}

impl Upstream {
    async fn listen(self: Rc<Self>, listener: UnixListener) {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let number = self.connections.get();
                self.connections.set(number + 1);
                spawn_local(Rc::clone(&self).serve(stream, number));
            }
        }
    }

    async fn serve(self: Rc<Self>, mut stream: UnixStream, number: usize) {
        let plan = self.plan.borrow().clone();
        let is_first = self.requests.borrow().is_empty() && !self.is_written.get();
        if is_first && plan.is_early {
            self.write(&mut stream, &plan).await;
        }
        let mut unread = Vec::new();
        loop {
            match strict::head(&unread).expect("a request is strict HTTP") {
                Some((request, head)) => {
                    assert_eq!(request.all("propify-signature"), [hex::encode(tag(b"")).as_bytes()]);
                    unread.drain(..head);
                    let is_first = self.requests.borrow().is_empty();
                    self.requests.borrow_mut().push(number);
                    if !is_first {
                        let _gone =
                            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
                        return;
                    }
                    if !plan.is_early {
                        self.write(&mut stream, &plan).await;
                    }
                    if plan.closes {
                        return;
                    }
                }
                None => match stream.read_buf(&mut unread).await {
                    Ok(n) if n > 0 => {}
                    Ok(_) | Err(_) => return,
                },
            }
        }
    }

    /// Writes the answer. The gateway may close the connection before the end.
    async fn write(&self, stream: &mut UnixStream, plan: &Plan) {
        // Each piece makes the runtime poll its sockets. The first pieces are enough for the test.
        let (first, rest) = plan.bytes.split_at((plan.piece * MAX_PIECES).min(plan.bytes.len()));
        for piece in first.chunks(plan.piece).chain([rest]) {
            if piece.is_empty() || stream.write_all(piece).await.is_err() {
                break;
            }
            yield_now().await;
        }
        self.is_written.set(true);
    }
}

const MAX_PIECES: usize = 24;
