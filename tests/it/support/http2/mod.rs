//! A client that writes any frame of HTTP/2, and reads strictly what comes back.

pub(crate) mod frame;
pub(crate) mod hpack;

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::SockRef;

use crate::support::client::Trickle;
use crate::support::message;
use crate::support::tls::TlsClient;
use crate::support::{Gateway, PATIENCE, Post};
use frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADER_TABLE_SIZE, HEADERS,
    INITIAL_WINDOW_SIZE, MAX_FRAME, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use hpack::Line;

/// What a client says first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest window.
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;

/// A connection to the gateway.
pub(crate) struct Http2 {
    stream: Transport,
    input: Vec<u8>,
    decoder: hpack::Decoder,
    /// Whether the client acknowledges settings and answers pings.
    is_polite: bool,
    next: u32,
    answers: BTreeMap<u32, Answer>,
    /// The field block that continues, and its stream.
    block: Option<(Frame, Vec<u8>)>,
    /// How many bytes the gateway takes on this connection, and on each stream.
    window: i64,
    initial_window: i64,
    windows: BTreeMap<u32, i64>,
    /// The kinds of frames that came, counted.
    received: BTreeMap<u8, usize>,
    goaway: Option<Goaway>,
    pongs: VecDeque<[u8; 8]>,
    is_closed: bool,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// The end of a connection, as the gateway announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Goaway {
    /// The last stream that the gateway has taken.
    pub(crate) last: u32,
    pub(crate) code: u32,
}

/// What has come on a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Of the final response. Interim responses are in `interim`.
    pub(crate) fields: Vec<Line>,
    pub(crate) interim: Vec<u16>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Line>,
    /// Whether the gateway has ended the stream in order.
    pub(crate) complete: bool,
    /// The error code of RST_STREAM.
    pub(crate) reset: Option<u32>,
}

/// How a stream has ended, or its connection before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a response, complete or not.
    Status(u16),
    /// With RST_STREAM before a final response.
    Reset(u32),
    /// With GOAWAY, and the end of the connection.
    Goaway(Goaway),
    /// With the end of the connection.
    Closed,
}

impl Answer {
    pub(crate) fn status(&self) -> Option<u16> {
        self.value(":status").map(|status| status.parse().expect("a status"))
    }

    /// The value of a field that has at most one line.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        assert!(values.len() < 2, "{name} is repeated: {values:?}");
        values.pop()
    }

    /// The values of all lines of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let lines = self.fields.iter().filter(|(own, _)| own == name.as_bytes());
        lines.map(|(_, value)| value.escape_ascii().to_string()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts that this is the upstream's answer, and that it is complete.
    #[track_caller]
    pub(crate) fn assert_answer(&self, body: &str) -> &Self {
        assert_eq!((self.status(), self.text().as_str(), self.complete), (Some(200), body, true), "{self:?}");
        self
    }

    fn has_ended(&self) -> bool {
        self.complete || self.reset.is_some()
    }

    fn add_block(&mut self, lines: Vec<Line>) {
        let is_strict = lines.iter().all(|(name, _)| {
            let name = name.strip_prefix(b":").unwrap_or(name);
            message::is_token(name) && !name.iter().any(u8::is_ascii_uppercase)
        });
        assert!(is_strict, "a name that HTTP/2 does not have: {lines:?}");
        let hop_by_hop = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
        let bad = lines.iter().find(|(name, _)| hop_by_hop.iter().any(|bad| name == bad.as_bytes()));
        assert_eq!(bad, None, "a field of HTTP/1.1");
        if self.status().is_some() {
            assert!(!lines.iter().any(|(name, _)| name.starts_with(b":")), "trailers: {lines:?}");
            self.trailers = lines;
            return;
        }
        assert!(lines.first().is_some_and(|(name, _)| name == b":status"), "{lines:?}");
        assert_eq!(lines.iter().filter(|(name, _)| name.starts_with(b":")).count(), 1, "{lines:?}");
        self.fields = lines;
        if let Some(status @ 100..200) = self.status() {
            self.interim.push(status);
            self.fields.clear();
        }
    }
}

impl Http2 {
    /// Connects to the plain listener, and says the preface with windows that need no updates.
    pub(crate) fn to(gateway: &Gateway) -> Self {
        let mut client = Self::connect(gateway.address());
        client.greet();
        client
    }

    /// Connects to the TLS listener. The configuration must offer `h2` (`ClientSetup::protocols`).
    pub(crate) fn over_tls(gateway: &Gateway, name: &str, config: &Arc<ClientConfig>) -> Self {
        let client = TlsClient::connect(gateway.tls_address(), name, config).unwrap();
        assert_eq!(client.stream.conn.alpn_protocol(), Some(b"h2".as_slice()), "ALPN");
        let mut client = Self::new(Transport::Tls(Box::new(client.stream)));
        client.greet();
        client
    }

    /// Connects, and says nothing.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the gateway accepts");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::new(Transport::Plain(stream))
    }

    fn new(stream: Transport) -> Self {
        Self {
            stream,
            input: Vec::new(),
            decoder: hpack::Decoder::new(4096),
            is_polite: true,
            next: 1,
            answers: BTreeMap::new(),
            block: None,
            window: 65_535,
            initial_window: 65_535,
            windows: BTreeMap::new(),
            received: BTreeMap::new(),
            goaway: None,
            pongs: VecDeque::new(),
            is_closed: false,
        }
    }

    /// Says the preface and large windows.
    pub(crate) fn greet(&mut self) -> &mut Self {
        self.greet_with(&[(HEADER_TABLE_SIZE, 4096), (INITIAL_WINDOW_SIZE, MAX_WINDOW)]);
        self.send(&Frame::window_update(0, MAX_WINDOW - 65_535))
    }

    /// Says the preface and these settings.
    pub(crate) fn greet_with(&mut self, settings: &[(u16, u32)]) -> &mut Self {
        self.send_bytes([PREFACE, &Frame::settings(settings).bytes()].concat())
    }

    /// Acknowledges no settings, and answers no ping.
    pub(crate) fn impolite(&mut self) -> &mut Self {
        self.is_polite = false;
        self
    }

    /// An id for a new stream.
    pub(crate) fn id(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// Writes all of the bytes.
    pub(crate) fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.write(bytes.as_ref()).expect("the gateway takes what is sent");
        self
    }

    /// Writes a frame.
    pub(crate) fn send(&mut self, frame: &Frame) -> &mut Self {
        self.send_bytes(frame.bytes())
    }

    /// Writes frames, in one write.
    pub(crate) fn send_all(&mut self, frames: &[Frame]) -> &mut Self {
        self.send_bytes(frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>())
    }

    /// Writes what the gateway takes: it may have ended the connection. Returns `false` if it did not take
    /// all.
    pub(crate) fn offer(&mut self, frames: &[Frame]) -> bool {
        self.write(&frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>()).is_ok()
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.stream {
            Transport::Plain(stream) => stream.write_all(bytes),
            Transport::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => &stream.sock,
        }
    }

    /// Ends the client's side of the connection.
    pub(crate) fn half_close(&mut self) -> &mut Self {
        drop(self.socket().shutdown(Shutdown::Write));
        self
    }

    /// Closes the connection with a TCP reset.
    pub(crate) fn reset(self) {
        SockRef::from(self.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// How long the client tries to write. After that, [`Self::offer`] returns `false`.
    pub(crate) fn patience(&mut self, time: Duration) -> &mut Self {
        self.socket().set_write_timeout(Some(time)).unwrap();
        self
    }

    /// Writes these bytes after each pause, until the trickle is dropped. The sleep makes the client slow; no
    /// test waits for the sleep itself.
    pub(crate) fn trickle(&self, bytes: Vec<u8>, pause: Duration) -> Trickle {
        Trickle::start(self.socket().try_clone().unwrap(), bytes, pause)
    }

    /// Makes the kernel keep little of what the gateway writes.
    pub(crate) fn with_small_buffer(self) -> Self {
        SockRef::from(self.socket()).set_recv_buffer_size(4096).unwrap();
        self
    }

    /// The pseudo-fields and fields of an event. The `host` line becomes `:authority`.
    pub(crate) fn lines(post: &Post) -> Vec<Line> {
        let head = message::head(&post.head()).unwrap().unwrap();
        let start: Vec<_> = head.start.split(|byte| *byte == b' ').collect();
        let [method, target, _version] = start[..] else { panic!("a request line: {start:?}") };
        let mut lines: Vec<Line> = vec![
            (b":method".to_vec(), method.to_vec()),
            (b":scheme".to_vec(), b"http".to_vec()),
            (b":path".to_vec(), target.to_vec()),
        ];
        for field in head.fields {
            let name = if field.is("host") { ":authority".to_owned() } else { field.name.to_lowercase() };
            lines.push((name.into_bytes(), field.value));
        }
        // Pseudo-fields come first.
        lines.sort_by_key(|(name, _)| !name.starts_with(b":"));
        lines
    }

    /// The frame with the head of an event, on a new stream.
    pub(crate) fn head(&mut self, post: &Post) -> Frame {
        let id = self.id();
        Frame::headers(id, hpack::block(&Self::lines(post)))
    }

    /// Sends an event. Returns its stream.
    pub(crate) fn post(&mut self, post: &Post) -> u32 {
        let (head, content) = (self.head(post), post.body());
        if content.is_empty() {
            self.send(&head.clone().end());
        } else {
            self.send(&head);
            self.content(head.stream, &content, true);
        }
        head.stream
    }

    /// Sends an event, and waits for its answer.
    pub(crate) fn exchange(&mut self, post: &Post) -> Answer {
        let stream = self.post(post);
        self.answer(stream)
    }

    /// Sends lines as a request without content. Returns its stream.
    pub(crate) fn request<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, lines: &[(N, V)]) -> u32 {
        let id = self.id();
        self.offer(&Frame::head(id, END_STREAM, &hpack::block(lines)));
        id
    }

    /// Sends content, as the gateway's windows allow. Stops where the gateway has ended the stream or the
    /// connection.
    pub(crate) fn content(&mut self, stream: u32, content: &[u8], end: bool) -> &mut Self {
        let mut rest = content;
        while !rest.is_empty() && !self.has_ended(stream) {
            let own = *self.windows.entry(stream).or_insert(self.initial_window);
            let most = usize::try_from(own.min(self.window).max(0)).unwrap().min(MAX_FRAME);
            if most == 0 {
                self.read_frame();
                continue;
            }
            let (piece, tail) = rest.split_at(most.min(rest.len()));
            rest = tail;
            let frame = Frame::data(stream, piece);
            let frame = if end && rest.is_empty() { frame.end() } else { frame };
            self.charge(stream, piece.len());
            if !self.offer(&[frame]) {
                break;
            }
        }
        self
    }

    fn charge(&mut self, stream: u32, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap();
        self.window -= bytes;
        *self.windows.entry(stream).or_insert(self.initial_window) -= bytes;
    }

    fn has_ended(&self, stream: u32) -> bool {
        self.is_closed || self.answers.get(&stream).is_some_and(Answer::has_ended)
    }

    /// Waits for the end of a stream. Fails if its connection ends before.
    #[track_caller]
    pub(crate) fn answer(&mut self, stream: u32) -> Answer {
        while !self.has_ended(stream) {
            self.read_frame();
        }
        let answer = self.answers.remove(&stream);
        answer.unwrap_or_else(|| panic!("the connection ended without an answer: {:?}", self.goaway))
    }

    /// Waits for the end of a stream, or of the connection.
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        while !self.has_ended(stream) {
            self.read_frame();
        }
        let answer = self.answers.remove(&stream).unwrap_or_default();
        match (answer.status(), answer.reset, self.goaway) {
            (Some(status), ..) => Outcome::Status(status),
            (None, Some(code), _) => Outcome::Reset(code),
            (None, None, Some(goaway)) => Outcome::Goaway(goaway),
            (None, None, None) => Outcome::Closed,
        }
    }

    /// What has come on a stream so far.
    pub(crate) fn so_far(&self, stream: u32) -> Option<&Answer> {
        self.answers.get(&stream)
    }

    /// How many frames of this kind have come.
    pub(crate) fn received(&self, kind: u8) -> usize {
        self.received.get(&kind).copied().unwrap_or(0)
    }

    pub(crate) fn goaway(&self) -> Option<Goaway> {
        self.goaway
    }

    /// Reads until the condition holds, or the connection ends. Returns whether the condition holds.
    pub(crate) fn read_until(&mut self, mut condition: impl FnMut(&Self) -> bool) -> bool {
        while !condition(self) {
            if self.read_frame().is_none() {
                return condition(self);
            }
        }
        true
    }

    /// Sends a ping and waits for its answer: the gateway has then read all frames before it. Returns `false`
    /// if the connection ends before.
    pub(crate) fn settle(&mut self) -> bool {
        let number = 0x7365_7474_6c65_0000 + u64::from(self.next);
        self.pongs.clear();
        self.offer(&[Frame::ping(number)])
            && self.read_until(|client| client.pongs.contains(&number.to_be_bytes()))
    }

    /// Reads to the end of the connection. Returns how the gateway announced it.
    pub(crate) fn ending(&mut self) -> Option<Goaway> {
        while self.read_frame().is_some() {}
        self.goaway
    }

    /// All bytes to the end of the connection, which need not be frames.
    pub(crate) fn ending_bytes(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.input);
        let mut piece = [0; 4096];
        while let n @ 1.. = self.read(&mut piece) {
            bytes.extend_from_slice(&piece[..n]);
        }
        bytes
    }

    fn read(&mut self, piece: &mut [u8]) -> usize {
        loop {
            let read = match &mut self.stream {
                Transport::Plain(stream) => stream.read(piece),
                Transport::Tls(stream) => stream.read(piece),
            };
            match read {
                Ok(n) => return n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
                    ) =>
                {
                    return 0;
                }
                Err(error) => panic!("nothing more comes ({error}); so far {:?}", self.answers),
            }
        }
    }

    /// The next frame. `None` at the end of the connection.
    pub(crate) fn read_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.input) {
                self.take_in(&frame);
                return Some(frame);
            }
            let mut piece = [0; 64 * 1024];
            let n = self.read(&mut piece);
            if n == 0 {
                self.is_closed = true;
                return None;
            }
            self.input.extend_from_slice(&piece[..n]);
        }
    }

    fn take_in(&mut self, frame: &Frame) {
        *self.received.entry(frame.kind).or_default() += 1;
        if self.block.is_some() {
            assert_eq!(frame.kind, CONTINUATION, "{frame:?} within a field block");
        }
        match frame.kind {
            HEADERS | CONTINUATION => self.take_block(frame),
            DATA => {
                let answer = self.answers.entry(frame.stream).or_default();
                assert!(!answer.has_ended() && answer.status().is_some(), "{frame:?}");
                answer.body.extend_from_slice(frame.content());
                answer.complete = frame.has(END_STREAM);
            }
            RST_STREAM => {
                self.answers.entry(frame.stream).or_default().reset = Some(frame.number(0));
            }
            GOAWAY => {
                self.goaway = Some(Goaway { last: frame.number(0) & MAX_WINDOW, code: frame.number(4) });
            }
            SETTINGS if !frame.has(ACK) => self.take_settings(frame),
            PING if frame.has(ACK) => self.pongs.push_back(frame.payload[..].try_into().unwrap()),
            PING if self.is_polite => {
                let pong = Frame { flags: ACK, ..frame.clone() };
                let _may_have_ended = self.offer(&[pong]);
            }
            WINDOW_UPDATE => {
                let more = i64::from(frame.number(0));
                if frame.stream == 0 {
                    self.window += more;
                } else {
                    *self.windows.entry(frame.stream).or_insert(self.initial_window) += more;
                }
            }
            _ => {}
        }
    }

    fn take_settings(&mut self, frame: &Frame) {
        for setting in frame.payload.chunks_exact(6) {
            let value = u32::from_be_bytes(setting[2..].try_into().unwrap());
            if setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes() {
                let change = i64::from(value) - self.initial_window;
                self.initial_window += change;
                self.windows.values_mut().for_each(|window| *window += change);
            }
        }
        if self.is_polite {
            let _may_have_ended = self.offer(&[Frame::new(SETTINGS, ACK, 0, [])]);
        }
    }

    fn take_block(&mut self, frame: &Frame) {
        let (first, mut block) = self.block.take().unwrap_or((frame.clone(), Vec::new()));
        assert_eq!(first.stream, frame.stream, "a field block on two streams");
        block.extend_from_slice(frame.content());
        if !frame.has(END_HEADERS) {
            self.block = Some((first, block));
            return;
        }
        let lines = self.decoder.decode(&block);
        let answer = self.answers.entry(frame.stream).or_default();
        assert!(!answer.has_ended(), "{frame:?} on a stream that has ended");
        answer.add_block(lines);
        answer.complete = first.has(END_STREAM);
    }
}
