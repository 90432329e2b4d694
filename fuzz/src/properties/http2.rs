//! A whole connection over HTTP/2: whatever a client sends after the preface, every request that reaches the
//! upstream has a valid signature over exactly its content, and conforms to RFC 9112 strictly. When the
//! connection has ended, no memory is reserved and no task is left.
//!
//! The client's connection is a pair of unix sockets. The upstream is that of [`super::connection`]. The
//! first two bytes determine what the upstream answers, and whether the client's bytes are frames as they
//! are, or a program that writes frames: random bytes seldom are a head that HPACK can read.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use hookgate::admission::client::ClientAddress;
use hookgate::connection::buffer::Buffer;
use hookgate::http2::serve;
use hookgate::listen::stream::Stream;
use hookgate::runtime::worker::Worker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::connection::Stage;
use super::{FIXTURE, choice, tag};

/// The most bytes that a run sends. More would not fit into the buffers of the sockets.
const MOST: usize = 64 * 1024;

/// How often the runtime looks for the end of the requests before the client closes its side. A request that
/// hyper has not handed over by then is lost.
const TURNS_BEFORE_CLOSE: usize = 100;
/// How often the runtime looks for the end of the requests after the client has closed its side.
const TURNS: usize = 100_000;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

thread_local! {
    /// Each further stream of a connection takes 32 KiB.
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new("128KiB"));
}

/// Panics if a request reaches the upstream that must not reach it, or if the connection leaves something
/// behind.
pub fn holds(data: &[u8]) {
    let _reached = reached(data);
}

/// Does the same as [`holds`]. Returns how many requests reached the upstream.
pub fn reached(data: &[u8]) -> usize {
    let (answer, data) = choice(data);
    let (kind, data) = choice(data);
    let frames = if kind % 2 == 1 { Program::run(data) } else { data.to_vec() };
    let sent = [PREFACE, &frames[..frames.len().min(MOST)]].concat();
    STAGE.with_borrow_mut(|stage| {
        stage.answer(answer);
        let worker = Rc::clone(&stage.worker);
        let received = stage.local.block_on(&stage.runtime, async {
            let (client, gateway) = UnixStream::pair().expect("a pair of sockets");
            let place = worker.connection_limit().enter_uncounted(ClientAddress::Unix);
            let (drain, unread) = (CancellationToken::new(), Buffer::default());
            let gateway = Stream::Unix(gateway);
            let serve =
                serve::serve(Rc::clone(&worker), gateway, unread, ClientAddress::Unix, drain, place.entry());
            let serve = pin!(serve);
            let (mut read, mut write) = client.into_split();
            let write = async {
                // The gateway may have closed the connection.
                let _gone = write.write_all(&sent).await;
                settle(&worker, TURNS_BEFORE_CLOSE).await;
                let _gone = write.shutdown().await;
            };
            let read = async {
                let mut received = Vec::new();
                let _cut_off = read.read_to_end(&mut received).await;
                received
            };
            let ((), (), received) = tokio::join!(place.entry().watch(serve), write, read);
            settle(&worker, TURNS).await;
            assert!(worker.tracker().is_empty(), "a task does not end");
            received
        });
        assert_eq!(worker.control().buffered_bytes(), 0, "memory is still reserved");
        let settings = received.get(3).is_none_or(|kind| *kind == 4);
        assert!(settings, "{:?}", received.escape_ascii().to_string());
        stage.take_requests()
    })
}

/// Lets all tasks run until the requests have ended, or so many times.
async fn settle(worker: &Worker, turns: usize) {
    for turn in 0..turns {
        // The first turns are the connection's own.
        if turn > 8 && worker.tracker().is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// Writes frames. Each instruction is a byte, and most take another one as a number.
#[derive(Default)]
struct Program {
    out: Vec<u8>,
    /// The stream that the next frames belong to, and the last one that was opened.
    stream: u32,
    last: u32,
}

impl Program {
    fn run(mut code: &[u8]) -> Vec<u8> {
        let mut program = Self::default();
        while !code.is_empty() && program.out.len() < MOST {
            let (instruction, rest) = choice(code);
            let (number, rest) = choice(rest);
            code = program.step(instruction, number, rest);
        }
        program.out
    }

    /// Returns the rest of the code.
    fn step<'c>(&mut self, instruction: u8, number: u8, code: &'c [u8]) -> &'c [u8] {
        let (taken, rest) = code.split_at(usize::from(number).min(code.len()));
        let end = if number & 1 == 1 { END_STREAM } else { 0 };
        match instruction % 18 {
            // Events, with and without the end of the stream, and with a text of the code as further lines.
            0 => self.open(END_HEADERS | end, &block(FIXTURE.as_bytes(), &[])),
            1 => self.open(END_HEADERS | END_STREAM, &block(b"", &[])),
            2 => {
                self.open(END_HEADERS, &block(FIXTURE.as_bytes(), &lines(taken)));
                return rest;
            }
            3 => {
                self.open(END_HEADERS | END_STREAM, &block(b"", &lines(taken)));
                return rest;
            }
            // A head that goes on, or one that is all the code's.
            4 => self.open(end, &block(FIXTURE.as_bytes(), &[])),
            5 => {
                self.open(END_HEADERS, &lines(taken));
                return rest;
            }
            6 => self.frame(0, END_STREAM, FIXTURE.as_bytes()),
            7 => self.frame(0, end, &FIXTURE.as_bytes()[..usize::from(number) % FIXTURE.len()]),
            8 => self.frame(0, end, &FIXTURE.as_bytes()[usize::from(number) % FIXTURE.len()..]),
            9 => {
                self.frame(0, 0, taken);
                return rest;
            }
            10 => self.frame(3, 0, &[0, 0, 0, number % 14]),
            11 => self.frame(8, 0, &[0, 0, 0, number]),
            12 => {
                let stream = std::mem::take(&mut self.stream);
                let value = [0, 0, number, 0xff];
                self.frame(4, 0, &[[0, 4].as_slice(), &value].concat());
                self.stream = stream;
            }
            13 => {
                self.frame(CONTINUATION, END_HEADERS * (number & 1), &lines(taken));
                return rest;
            }
            14 => self.stream = (u32::from(number) * 2 + 1).min(self.last.max(1)),
            // Any frame on this stream or on the connection.
            15 => {
                let (kind, code) = choice(code);
                let (flags, code) = choice(code);
                let (length, code) = choice(code);
                let (taken, rest) = code.split_at(usize::from(length).min(code.len()));
                let stream = self.stream;
                self.stream = if number & 1 == 1 { 0 } else { stream };
                self.frame(kind % 12, flags, taken);
                self.stream = stream;
                return rest;
            }
            16 => self.frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                &lines(&FIXTURE.as_bytes()[..usize::from(number % 9)]),
            ),
            _ => {
                self.out.extend_from_slice(taken);
                return rest;
            }
        }
        code
    }

    /// Writes a head on a new stream.
    fn open(&mut self, flags: u8, block: &[u8]) {
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        self.stream = self.last;
        self.frame(HEADERS, flags, block);
    }

    fn frame(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("it is short").to_be_bytes();
        self.out.extend_from_slice(&length[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&self.stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }
}

/// The field block of an event with this content, and with more bytes behind it.
fn block(content: &[u8], more: &[u8]) -> Vec<u8> {
    let tag = hex::encode(tag(content));
    let lines = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/w"),
        (":authority", "a"),
        ("propify-signature", &tag),
    ];
    let mut block: Vec<u8> =
        lines.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect();
    block.extend_from_slice(more);
    block
}

/// The lines of a text, with a name and a value of each, as a field block. A line that begins with `!` is
/// taken as HPACK.
fn lines(text: &[u8]) -> Vec<u8> {
    let block = text.split(|byte| *byte == b'\n').flat_map(|line| match line {
        [b'!', hpack @ ..] => hpack.to_vec(),
        line => {
            // A pseudo-field begins with a colon.
            let colon = line.iter().skip(1).position(|byte| *byte == b':').map_or(line.len(), |at| at + 1);
            literal(&line[..colon], line.get(colon + 1..).unwrap_or_default())
        }
    });
    block.collect()
}

/// A line that is spelled out, with lengths below 127.
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let part = |bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(126)];
        [&[u8::try_from(bytes.len()).expect("it is below 127")], bytes].concat()
    };
    [vec![0], part(name), part(value)].concat()
}
