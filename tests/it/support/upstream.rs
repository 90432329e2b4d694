//! A scripted upstream. It records every byte and parses requests strictly. When it is dropped, it checks the
//! oracle.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::support::PATIENCE;
use crate::support::in_time::{is_in_time, joined};
use crate::support::message::{self, Field, Violation};
use crate::support::reserved::Reserved;
use crate::support::sign::{SECRET, signature_with};

/// An upstream on a port of its own.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// The requirements that the oracle makes on requests, besides strict HTTP.
#[derive(Clone)]
pub(crate) struct Oracle {
    field: &'static str,
    prefix: &'static str,
    secrets: Vec<&'static str>,
    authentic: bool,
}

impl Default for Oracle {
    fn default() -> Self {
        Self { field: "propify-signature", prefix: "", secrets: vec![SECRET], authentic: true }
    }
}

impl Oracle {
    /// Sets another scheme: the name of the signature field, and the prefix of its digits.
    pub(crate) fn scheme(mut self, field: &'static str, prefix: &'static str) -> Self {
        (self.field, self.prefix) = (field, prefix);
        self
    }

    /// Accepts a signature that is made with any of these secrets.
    pub(crate) fn secrets(mut self, secrets: &[&'static str]) -> Self {
        self.secrets = secrets.to_vec();
        self
    }

    /// Accepts requests that are not authentic. For a gateway in observe mode.
    pub(crate) fn observing(mut self) -> Self {
        self.authentic = false;
        self
    }
}

/// A request that reached the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Each byte of the target, as the character with this code.
    pub(crate) target: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) content: Vec<u8>,
}

impl Request {
    /// The values of all lines of a field, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<Vec<u8>> {
        self.fields.iter().filter(|field| field.is(name)).map(|field| field.value.clone()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.is(name))
    }
}

#[derive(Default)]
struct Shared {
    record: Mutex<Record>,
    changed: Condvar,
}

#[derive(Default)]
struct Record {
    requests: Vec<Request>,
    violations: Vec<Violation>,
    connections: usize,
    /// The number of connections that the gateway has closed.
    closed: usize,
    bytes: usize,
    /// The address of the test's own connection. It is the last connection.
    last: Option<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.record());
        self.changed.notify_all();
    }
}

type Script = dyn Fn(&mut Connection) + Send + Sync;

impl Upstream {
    /// Answers every request with these bytes.
    pub(crate) fn answering(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        Self::scripted(move |connection| {
            while connection.request().is_some() {
                connection.send(&answer);
            }
        })
    }

    /// Answers every request with 200 and `ok`.
    pub(crate) fn ok() -> Self {
        Self::answering(OK)
    }

    /// Runs the script on each connection. When the script returns, the upstream's side is closed. Bytes that
    /// still arrive are recorded.
    pub(crate) fn scripted(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::with_oracle(Oracle::default(), script)
    }

    /// Answers every request with 200 and `ok`. Uses another oracle.
    pub(crate) fn ok_under(oracle: Oracle) -> Self {
        Self::with_oracle(oracle, |connection| {
            while connection.request().is_some() {
                connection.send(OK);
            }
        })
    }

    pub(crate) fn with_oracle(
        oracle: Oracle,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), oracle, script)
    }

    /// As [`Upstream::scripted`], at a given address.
    pub(crate) fn scripted_at(
        address: SocketAddr,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind(address).unwrap(), Oracle::default(), script)
    }

    fn on(
        listener: TcpListener,
        oracle: Oracle,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, &oracle, &(Arc::new(script) as Arc<Script>))
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The upstream's URL, for the configuration.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All complete requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.record().requests.clone()
    }

    /// Waits for `count` requests.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Request> {
        self.wait(|record| record.requests.len() >= count, "requests").requests.clone()
    }

    /// The only request. Fails if there is more than one.
    pub(crate) fn only_request(&self) -> Request {
        let mut requests = self.wait_for(1);
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// Waits until the gateway has closed `count` connections.
    pub(crate) fn wait_closed(&self, count: usize) {
        drop(self.wait(|record| record.closed >= count, "closed connections"));
    }

    fn wait(&self, enough: impl Fn(&Record) -> bool, what: &str) -> MutexGuard<'_, Record> {
        let record = self.shared.record();
        let (record, timeout) =
            self.shared.changed.wait_timeout_while(record, PATIENCE, |record| !enough(record)).unwrap();
        assert!(!timeout.timed_out(), "not enough {what}");
        record
    }

    /// The number of connections.
    pub(crate) fn connections(&self) -> usize {
        self.shared.record().connections
    }

    /// The number of connections that the gateway has closed.
    pub(crate) fn closed(&self) -> usize {
        self.shared.record().closed
    }

    /// The number of bytes received.
    pub(crate) fn bytes(&self) -> usize {
        self.shared.record().bytes
    }

    /// Takes the violations that the oracle has found.
    pub(crate) fn take_violations(&self) -> Vec<Violation> {
        std::mem::take(&mut self.shared.record().violations)
    }

    /// Records the bytes that are still in flight. The gateway should have ended before.
    pub(crate) fn settle(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        // Connections are accepted in order. So every connection of the gateway comes before this one.
        let last = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        last.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        self.shared.change(|record| record.last = last.local_addr().unwrap().as_socket());
        last.connect(&self.address.into()).unwrap();
        joined(acceptor);
        let threads = std::mem::take(&mut self.shared.record().threads);
        for thread in threads {
            assert!(is_in_time(|| thread.is_finished()), "a script does not end");
            if thread.join().is_err() {
                self.shared.change(|record| record.violations.push("a script panicked".to_owned()));
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.settle();
        let violations = self.take_violations();
        assert!(violations.is_empty(), "what reached the upstream should not have: {violations:#?}");
    }
}

/// The usual answer of an upstream.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The URL of an upstream that refuses connections. Nobody else can listen there until this process ends.
pub(crate) fn refusing() -> String {
    let reserved = Box::leak(Box::new(Reserved::new()));
    format!("http://{}", reserved.address())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, oracle: &Oracle, script: &Arc<Script>) {
    loop {
        let (stream, peer) = listener.accept().expect("the upstream accepts");
        let mut record = shared.record();
        if record.last == Some(peer) {
            break;
        }
        let index = record.connections;
        record.connections += 1;
        let (shared, oracle, script) = (Arc::clone(shared), oracle.clone(), Arc::clone(script));
        let thread = std::thread::spawn(move || {
            let mut connection = Connection::new(stream, index, shared, oracle);
            script(&mut connection);
            connection.finish();
        });
        record.threads.push(thread);
    }
}

/// A connection from the gateway, which a script uses.
pub(crate) struct Connection {
    stream: Option<TcpStream>,
    index: usize,
    buffer: Vec<u8>,
    pending: std::collections::VecDeque<Request>,
    shared: Arc<Shared>,
    oracle: Oracle,
}

impl Connection {
    fn new(stream: TcpStream, index: usize, shared: Arc<Shared>, oracle: Oracle) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream: Some(stream),
            index,
            buffer: Vec::new(),
            pending: std::collections::VecDeque::new(),
            shared,
            oracle,
        }
    }

    /// The number of the connection, counted from 0.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The next complete request. `None` if no further request arrives.
    pub(crate) fn request(&mut self) -> Option<Request> {
        while self.pending.is_empty() && self.read_more() {}
        self.pending.pop_front()
    }

    /// Waits until the head of the next request has arrived. Reads few bytes more.
    pub(crate) fn request_head(&mut self) -> bool {
        while self.pending.is_empty() && !self.buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            if !self.read_more() {
                return false;
            }
        }
        true
    }

    /// Writes bytes. Returns `false` if the gateway does not accept them.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.as_mut().is_some_and(|stream| stream.write_all(bytes.as_ref()).is_ok())
    }

    /// Whether the gateway's side is open and has sent no unread byte.
    pub(crate) fn is_open(&self) -> bool {
        let Some(stream) = &self.stream else { return false };
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Reads until the gateway closes the connection.
    pub(crate) fn wait_closed(&mut self) {
        while self.read_more() {}
    }

    /// Closes the upstream's side with a FIN.
    pub(crate) fn half_close(&mut self) {
        if let Some(stream) = &self.stream {
            drop(stream.shutdown(Shutdown::Write));
        }
    }

    /// Closes the connection immediately. Bytes that have arrived are not read.
    pub(crate) fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Closes the connection after the bytes that were sent, without reading the bytes that have arrived. The
    /// kernel then sends a reset.
    pub(crate) fn reset_in_good_time(&mut self) {
        self.stream = None;
    }

    /// Reads until `count` bytes have arrived that belong to no complete request.
    pub(crate) fn read_at_least(&mut self, count: usize) {
        while self.pending.is_empty() && self.buffer.len() < count && self.read_more() {}
    }

    fn read_more(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut piece = [0; 64 * 1024];
        match stream.read(&mut piece) {
            // A signal such as SIGCHLD interrupts a read that has a time limit.
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Ok(0) | Err(_) => {
                self.stream = None;
                self.shared.change(|record| record.closed += 1);
                false
            }
            Ok(n) => {
                self.shared.change(|record| record.bytes += n);
                self.buffer.extend_from_slice(&piece[..n]);
                self.parse();
                self.stream.is_some()
            }
        }
    }

    fn parse(&mut self) {
        loop {
            match read_request(&self.buffer, &self.oracle) {
                Ok(None) => return,
                Ok(Some((request, len))) => {
                    self.buffer.drain(..len);
                    self.pending.push_back(request.clone());
                    self.shared.change(|record| record.requests.push(request));
                }
                Err(violation) => {
                    let read = self.buffer[..self.buffer.len().min(2000)].escape_ascii().to_string();
                    self.shared.change(|record| record.violations.push(format!("{violation} in {read}")));
                    // The test has failed, so it should not wait for an answer.
                    self.stream = None;
                    return;
                }
            }
        }
    }

    /// Closes the upstream's side, and records the bytes that still arrive.
    fn finish(mut self) {
        self.half_close();
        self.wait_closed();
    }
}

/// Parses one request, and checks it with the oracle.
fn read_request(bytes: &[u8], oracle: &Oracle) -> Result<Option<(Request, usize)>, Violation> {
    let Some(head) = message::head(bytes)? else { return Ok(None) };
    let (method, target) = request_line(&head.start)?;
    let hosts = head.fields.iter().filter(|field| field.is("host")).count();
    if hosts != 1 {
        return Err(format!("{hosts} host lines"));
    }
    if let Some(field) = head.fields.iter().find(|field| HOP_BY_HOP.iter().any(|name| field.is(name))) {
        return Err(format!("a hop-by-hop field: {field:?}"));
    }
    let length = match message::content_length(&head.fields)? {
        Some(length) => length,
        // A method that usually has no content may omit a length of 0 (RFC 9110, section 8.6).
        None if matches!(method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE") => 0,
        None => return Err("no content-length".to_owned()),
    };
    let Some(content) = bytes.get(head.len..head.len + length) else { return Ok(None) };
    if oracle.authentic {
        authentic(&head.fields, content, oracle)?;
    }
    let content = content.to_vec();
    Ok(Some((Request { method, target, fields: head.fields, content }, head.len + length)))
}

fn request_line(line: &[u8]) -> Result<(String, String), Violation> {
    let violation = || format!("not a request line: {:?}", line.escape_ascii().to_string());
    let [method, target, b"HTTP/1.1"] = line.split(|byte| *byte == b' ').collect::<Vec<_>>()[..] else {
        return Err(violation());
    };
    let (path, query) = target.split_at(target.iter().position(|byte| *byte == b'?').unwrap_or(target.len()));
    let is_path =
        path.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(byte));
    let is_query = query.iter().all(|byte| (byte.is_ascii_graphic() && *byte != b'#') || !byte.is_ascii());
    if !message::is_token(method) || !target.starts_with(b"/") || !is_path || !is_query {
        return Err(violation());
    }
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect();
    Ok((text(method), text(target)))
}

fn authentic(fields: &[Field], content: &[u8], oracle: &Oracle) -> Result<(), Violation> {
    let lines: Vec<_> = fields.iter().filter(|field| field.is(oracle.field)).collect();
    let [line] = lines[..] else { return Err(format!("not one signature: {lines:?}")) };
    let good = oracle.secrets.iter().any(|secret| {
        let expected = format!("{}{}", oracle.prefix, signature_with(secret, content));
        line.value.eq_ignore_ascii_case(expected.as_bytes())
    });
    if good { Ok(()) } else { Err(format!("{line:?} is no signature of the {} bytes", content.len())) }
}

/// The fields that must never be forwarded: those of RFC 9110, section 7.6.1, and those that hookgate's
/// documentation adds.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "expect",
    "http2-settings",
];
