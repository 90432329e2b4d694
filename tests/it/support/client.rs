//! A client that writes raw bytes and parses responses strictly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;

use crate::support::in_time::join_at_end;
use crate::support::message::{self, Field};
use crate::support::sign::{SECRET, SECRET_NAME};
use crate::support::{Gateway, PATIENCE, Post};

/// A connection to the gateway.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    end: Option<End>,
}

/// A client that writes slowly, on a thread of its own.
pub(crate) struct Trickle {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Trickle {
    /// Writes these bytes after each pause.
    pub(crate) fn start(mut stream: TcpStream, bytes: Vec<u8>, pause: Duration) -> Self {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
                && stream.write_all(&bytes).is_ok()
            {}
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Trickle {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            join_at_end(thread);
        }
    }
}

/// How the gateway ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a FIN.
    Fin,
    /// With a reset.
    Reset,
}

/// A response, up to the point where it was received.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    /// Whether a client would take the response as complete.
    pub(crate) complete: bool,
    /// The head and the body, as they were received.
    pub(crate) raw: Vec<u8>,
}

impl Client {
    pub(crate) fn to(gateway: &Gateway) -> Self {
        Self::connect(gateway.address())
    }

    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the gateway accepts")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new(), end: None })
    }

    /// Writes all of the bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the gateway takes what is sent");
        self
    }

    /// Writes what the gateway accepts, because it may have closed the connection. Returns `false` if it did
    /// not accept every byte.
    pub(crate) fn offer(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Writes `request(0)`, `request(1)` and so on, until no byte is accepted for `time`. Returns the number
    /// of requests. A thread completes the last request when the gateway reads again.
    pub(crate) fn send_until_stuck(&mut self, request: fn(usize) -> String, time: Duration) -> usize {
        self.stream.set_write_timeout(Some(time)).unwrap();
        for n in 0.. {
            let text = request(n).into_bytes();
            let mut written = 0;
            while written < text.len() {
                match uninterrupted(|| self.stream.write(&text[written..])) {
                    Ok(more) => written += more,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.stream.set_write_timeout(Some(PATIENCE)).unwrap();
                        let mut stream = self.stream.try_clone().unwrap();
                        std::thread::spawn(move || stream.write_all(&text[written..]));
                        return n + 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        unreachable!("there is no end of numbers")
    }

    /// Writes the same bytes again and again, until the gateway resets the connection.
    pub(crate) fn send_until_reset(&mut self, bytes: &[u8]) {
        loop {
            match uninterrupted(|| self.stream.write(bytes)) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    return;
                }
                Err(error) => {
                    panic!("the gateway takes no more bytes, and leaves the connection open: {error}")
                }
            }
        }
    }

    /// Writes in pieces. Each piece is a packet of its own, unless the kernel merges them.
    pub(crate) fn send_in_pieces(&mut self, bytes: &[u8], size: usize) -> &mut Self {
        for piece in bytes.chunks(size) {
            if !self.offer(piece) {
                break;
            }
        }
        self
    }

    /// Writes a byte after each pause, until the trickle is dropped. The sleep makes the client slow; no test
    /// waits for the sleep itself.
    pub(crate) fn trickle(&self, pause: Duration) -> Trickle {
        self.trickle_of(b"x", pause)
    }

    /// Writes these bytes after each pause until the trickle is dropped.
    pub(crate) fn trickle_of(&self, bytes: &'static [u8], pause: Duration) -> Trickle {
        Trickle::start(self.stream.try_clone().unwrap(), bytes.to_vec(), pause)
    }

    /// Ends the writing side of the connection.
    pub(crate) fn half_close(&mut self) -> &mut Self {
        // The gateway may have closed the connection already.
        drop(self.stream.shutdown(Shutdown::Write));
        self
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads once. Returns `false` at the end of the connection.
    fn read_more(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        let mut piece = [0; 64 * 1024];
        match uninterrupted(|| self.stream.read(&mut piece)) {
            Ok(0) => self.end = Some(End::Fin),
            Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                self.end = Some(End::Reset);
            }
            Err(error) => {
                panic!("nothing more comes ({error}) after {:?}", self.buffer.escape_ascii().to_string())
            }
        }
        self.end.is_none()
    }

    /// Reads once, at most `limit` bytes.
    pub(crate) fn read_some(&mut self, limit: usize) {
        let mut piece = vec![0; limit];
        let n = uninterrupted(|| self.stream.read(&mut piece)).expect("more comes");
        self.buffer.extend_from_slice(&piece[..n]);
    }

    /// Reads as [`Self::read_some`] does, but returns errors. The end of the connection is not a failure.
    pub(crate) fn try_read_some(&mut self, limit: usize) -> io::Result<()> {
        let n = uninterrupted(|| self.stream.read(&mut vec![0; limit]))?;
        if n == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Whether the gateway has closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Asserts that nothing arrives for `time`.
    pub(crate) fn assert_silent(&mut self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let peeked = uninterrupted(|| self.stream.peek(&mut [0]));
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "something came");
    }

    /// Reads until the received bytes that are not consumed yet contain `needle`.
    pub(crate) fn until(&mut self, needle: &str) -> &mut Self {
        let needle = needle.as_bytes();
        while !self.buffer.windows(needle.len()).any(|window| window == needle) {
            assert!(
                self.read_more(),
                "ended without {}: {}",
                needle.escape_ascii(),
                self.buffer.escape_ascii()
            );
        }
        self
    }

    /// The next response to a request. The method of the request is not HEAD.
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("POST")
    }

    /// The next response. It may be an interim response.
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        self.maybe_response_to(method).expect("the connection ended without a response")
    }

    /// The next response. `None` if the connection ends before its first byte.
    pub(crate) fn maybe_response(&mut self) -> Option<Response> {
        self.maybe_response_to("POST")
    }

    fn maybe_response_to(&mut self, method: &str) -> Option<Response> {
        let head = loop {
            match message::head(&self.buffer) {
                Ok(Some(head)) => break head,
                Ok(None) if self.read_more() => {}
                Ok(None) if self.buffer.is_empty() => return None,
                Ok(None) => panic!("a head broke off: {}", self.buffer.escape_ascii()),
                Err(violation) => panic!("{violation} in {}", self.buffer.escape_ascii()),
            }
        };
        let start = String::from_utf8_lossy(&head.start).into_owned();
        let (version, rest) = start.split_once(' ').expect("a status line");
        let (status, reason) = rest.split_once(' ').expect("a status line with a space behind the code");
        assert!(matches!(version, "HTTP/1.1" | "HTTP/1.0"), "{start}");
        assert_eq!(status.len(), 3, "{start}");
        let mut response = Response {
            version: version.to_owned(),
            status: status.parse().expect("a status"),
            reason: reason.to_owned(),
            fields: head.fields,
            body: Vec::new(),
            trailers: Vec::new(),
            complete: false,
            raw: Vec::new(),
        };
        let body_len = self.read_body(head.len, method, &mut response);
        response.raw = self.buffer.drain(..head.len + body_len).collect();
        Some(response)
    }

    /// Reads a body with the framing that its head gives (RFC 9112, section 6.3). Returns the number of
    /// consumed bytes.
    fn read_body(&mut self, at: usize, method: &str, response: &mut Response) -> usize {
        let length = message::content_length(&response.fields).expect("an unambiguous length");
        let codings: Vec<_> = response.values("transfer-encoding");
        assert!(codings.is_empty() || length.is_none(), "both framings: {:?}", response.fields);
        if method == "HEAD" || matches!(response.status, 100..200 | 204 | 304) {
            response.complete = true;
            return 0;
        }
        if !codings.is_empty() {
            assert_eq!(codings, ["chunked"]);
            loop {
                let decoded = message::chunked(&self.buffer[at..]).expect("well-formed chunks");
                response.complete = decoded.trailers.is_some();
                if response.complete || !self.read_more() {
                    response.body = decoded.content;
                    response.trailers = decoded.trailers.unwrap_or_default();
                    return if response.complete { decoded.len } else { self.buffer.len() - at };
                }
            }
        }
        let wanted = length.unwrap_or(usize::MAX - at);
        while self.buffer.len() < at + wanted && self.read_more() {}
        let len = wanted.min(self.buffer.len() - at);
        response.body = self.buffer[at..at + len].to_vec();
        response.complete = match length {
            Some(length) => len == length,
            None => self.end == Some(End::Fin),
        };
        len
    }

    /// All bytes up to the end of the connection, and how it ended.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        while self.read_more() {}
        (std::mem::take(&mut self.buffer), self.end.expect("it has ended"))
    }

    /// Asserts that no further byte arrives, and that the connection ends with a FIN.
    pub(crate) fn assert_closed(&mut self) {
        let (rest, end) = self.rest();
        assert_eq!((rest.escape_ascii().to_string().as_str(), end), ("", End::Fin));
    }

    /// Asserts that the connection ends without another byte, with a FIN or with a reset.
    pub(crate) fn assert_gone(&mut self) {
        let (rest, _) = self.rest();
        assert_eq!(rest.escape_ascii().to_string(), "");
    }
}

impl Response {
    /// The values of all lines of a field, as text.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let lines = self.fields.iter().filter(|field| field.is(name));
        lines.map(|field| field.value.escape_ascii().to_string()).collect()
    }

    /// The value of a field that has exactly one line.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        assert!(values.len() < 2, "{name} is repeated: {values:?}");
        values.pop()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts that this is the upstream's answer, and that it is complete.
    pub(crate) fn assert_answer(&self, body: &str) -> &Self {
        assert_eq!((self.status, self.text().as_str(), self.complete), (200, body, true), "{self:?}");
        self
    }
}

/// Calls the system until no signal such as SIGCHLD interrupts the call. The kernel does not restart a call
/// that has a time limit.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Sends one request on a new connection.
pub(crate) fn exchange(gateway: &Gateway, request: &Post) -> Response {
    Client::to(gateway).send(request.bytes()).response()
}

/// Asserts that a response is hookgate's own refusal with this status and reason, and shows nothing else.
///
/// The refusal of malformed HTTP has no `reason`. Then it need not have a body.
pub(crate) fn assert_refused<'r>(response: &'r Response, status: u16, reason: Option<&str>) -> &'r Response {
    assert_eq!(response.status, status, "{}", response.raw.escape_ascii());
    assert!(response.complete, "{}", response.raw.escape_ascii());
    if reason.is_some() || !response.body.is_empty() {
        assert_eq!(response.value("content-type").as_deref(), Some("application/problem+json"));
        let problem: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        if let Some(reason) = reason {
            assert_eq!(problem["reason"], reason, "{problem}");
        }
    }
    if status == 401 {
        assert!(response.value("www-authenticate").is_some_and(|value| !value.is_empty()), "{response:?}");
    }
    let text = String::from_utf8_lossy(&response.raw);
    for hint in [SECRET, SECRET_NAME, "127.0.0.1", "localhost"] {
        assert!(!text.contains(hint), "{hint} in {text}");
    }
    let tag = response.raw.split(|byte| !byte.is_ascii_hexdigit()).find(|run| run.len() >= 64);
    assert_eq!(tag, None, "something like a tag in {text}");
    response
}
