//! A gateway, and a client whose end of the connection is in memory.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use hookgate::admission::client::ClientAddress;
use hookgate::admission::connections::ConnectionLimit;
use hookgate::config::environment::Fixed;
use hookgate::connection::transport::Transport;
use hookgate::http1::serve;
use hookgate::runtime::control::Control;
use hookgate::runtime::worker::Worker;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::SECRET;

/// The runtime of one stage.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A worker with this configuration. The secret is in the variable `KEY`.
pub fn worker(text: &str) -> Rc<Worker> {
    let environment = Fixed::new(NonZeroUsize::MIN).with_variable("KEY", SECRET);
    let loaded = hookgate::config::read("gateway.toml", text, &environment, SystemTime::UNIX_EPOCH);
    let config = loaded.expect("the configuration is valid").config;
    let control = Control::new(&config, hookgate::diagnosis::submitter::channel().0)
        .expect("the routes do not conflict");
    Worker::new(control, ConnectionLimit::new(10), 1)
}

/// The first `MANY_PIECES` pieces have the chosen size. The later pieces are `LARGER` times as large, because
/// each piece makes the runtime poll every task.
const MANY_PIECES: usize = 128;
const LARGER: usize = 8;

/// What a client receives on a connection.
pub struct Heard {
    /// All received bytes.
    pub received: Vec<u8>,
    /// Whether the gateway asked for a reset of the connection.
    pub is_reset: bool,
}

/// Serves a client that sends these bytes, closes its side, and reads all the time. `cut` determines the size
/// of the sent pieces, and how many unread bytes the connection can hold.
pub async fn converse(worker: Rc<Worker>, sent: Vec<u8>, cut: u8) -> Heard {
    let (client, gateway) = tokio::io::duplex(if cut % 2 == 1 { 64 } else { 64 * 1024 });
    let is_reset = Rc::new(Cell::new(false));
    let gateway = Wired(gateway, Rc::clone(&is_reset));
    let (mut read, mut write) = tokio::io::split(client);
    let piece = match cut / 2 {
        0 => sent.len().max(1),
        some => usize::from(some),
    };
    let turns = Turns::default();
    let write = async {
        // Most heads are shorter than these pieces together. A head that begins later is still cut.
        let (first, rest) = sent.split_at((piece * MANY_PIECES).min(sent.len()));
        for piece in first.chunks(piece).chain(rest.chunks(piece * LARGER)) {
            // The gateway may have closed the connection.
            if write.write_all(piece).await.is_err() {
                break;
            }
            turns.pass().await;
        }
        let _gone = write.shutdown().await;
    };
    let read = async {
        let mut received = Vec::new();
        let _cut_off = read.read_to_end(&mut received).await;
        received
    };
    let serve = serve::serve(worker, gateway, ClientAddress::Unix, CancellationToken::new());
    let all = async {
        let ((), (), received) = tokio::join!(serve, write, read);
        received
    };
    Heard { received: turns.take(all).await, is_reset: is_reset.get() }
}

/// The gateway's end of the connection. A connection in memory cannot be reset, so this type records whether
/// the gateway asked for a reset.
struct Wired(DuplexStream, Rc<Cell<bool>>);

impl Transport for Wired {
    fn reset_on_close(&self, reset: bool) {
        self.1.set(reset);
    }
}

impl AsyncRead for Wired {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wired {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Turns within one task: a future of a `join!` that has written a piece lets the other futures run, and then
/// continues.
///
/// The runtime's own `yield_now` polls clocks and sockets each time. This took nine tenths of a run.
#[derive(Default)]
struct Turns(Cell<bool>);

impl Turns {
    /// Lets the other futures run once.
    async fn pass(&self) {
        let mut has_passed = false;
        poll_fn(|_| {
            if has_passed {
                return Poll::Ready(());
            }
            has_passed = true;
            self.0.set(true);
            Poll::Pending
        })
        .await;
    }

    /// Polls all futures. Polls them again as long as one of them has only yielded its turn.
    async fn take<T>(&self, all: impl Future<Output = T>) -> T {
        let mut all = pin!(all);
        poll_fn(|cx| {
            loop {
                let polled = all.as_mut().poll(cx);
                if polled.is_ready() || !self.0.replace(false) {
                    return polled;
                }
            }
        })
        .await
    }
}
