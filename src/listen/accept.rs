//! Shell. One worker: accepts connections and serves them on its own thread.

use std::io;
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::admission::client::{ClientAddress, Network};
use crate::admission::connections::{ClientIsFull, ConnectionLimit, Place};
use crate::connection::buffer::Buffer;
use crate::connection::transport::Transport as _;
use crate::http1::serve;
use crate::http2;
use crate::http2::preface::{self, Spoken};
use crate::listen::listener::{Listener, Speaks};
use crate::listen::proxy_header_reader::{self, Patience};
use crate::listen::stream::Stream;
use crate::runtime::control::Signals;
use crate::runtime::front_end::{AcceptedConnection, FrontEnd};
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::runtime::worker::Worker;
use crate::tls::failure::Outcome;
use crate::tls::handshake::{self, Failed};

/// How many connections beyond the free places are accepted when a drain begins.
const EXTRA_ACCEPTS: usize = 64;

/// The most bytes that are read to recognise HTTP/2.
const FIRST: usize = 1024;

/// The wait after a failed accept (no descriptors, no memory): the first wait and the longest wait.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// The least time between two log lines about failed accepts.
const REPORT: Duration = Duration::from_secs(60);

/// How long a listener waits for unfinished handshakes when the drain begins: one round trip across a
/// continent. A longer wait would delay clients that can connect to another process.
const HANDSHAKES: Duration = Duration::from_millis(100);

/// Accepts connections until the drain begins. Then waits for the connections to end, at most for the grace
/// period. Returns the number of connections that were cut off.
pub async fn run(
    worker: Rc<Worker>,
    front_end: FrontEnd,
    listeners: Vec<Listener>,
    signals: Signals,
) -> usize {
    let tracker = worker.tracker();
    for listener in listeners {
        let guard = PartGuard::over(ServerPart::AcceptLoop, worker.control());
        let accept = accept(Rc::clone(&worker), front_end, listener, signals.clone());
        tracker.spawn_local(async move {
            accept.await;
            guard.end();
        });
    }
    tokio::select! {
        () = signals.drain.cancelled() => {}
        () = worker.follow() => {}
    }
    if !signals.drain.is_cancelled() {
        worker.control().fail(ServerPart::Worker);
    }
    tracker.close();
    let grace = worker.view().generation().grace;
    tokio::select! {
        biased;
        ended = timeout(grace, tracker.wait()) => match ended {
            Ok(()) => 0,
            Err(_elapsed) => worker.tally().connections(),
        },
        () = signals.abort.cancelled() => worker.tally().connections(),
    }
}

async fn accept(worker: Rc<Worker>, front_end: FrontEnd, listener: Listener, signals: Signals) {
    let mut outage = Outage::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = signals.drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                let accepted = Accepted::new(accepted, listener.proxies(), listener.speaks());
                outage.ended();
                // Wait for a place before the next connection is accepted. Until then, further clients wait
                // in the kernel's queue.
                tokio::select! {
                    biased;
                    place = enter(&worker, &accepted) => {
                        if let Some(place) = place {
                            serve(&worker, front_end, accepted, &signals, place);
                        }
                    }
                    () = signals.drain.cancelled() => {
                        serve_in_turn(&worker, front_end, accepted, &signals);
                        break;
                    }
                }
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                let wait = outage.failed(&error, Instant::now());
                tokio::select! {
                    biased;
                    () = signals.drain.cancelled() => {}
                    () = back_off(&error, wait, worker.connection_limit()) => {}
                }
            }
        }
    }
    // Closing the listener resets unfinished handshakes and the connections in the kernel's queue.
    let mut most = worker.connection_limit().free().saturating_add(EXTRA_ACCEPTS);
    if listener.hold_off() {
        let rest = async {
            while most > 0
                && let Ok(accepted) = listener.accept().await
            {
                most = most.saturating_sub(1);
                serve_in_turn(
                    &worker,
                    front_end,
                    Accepted::new(accepted, listener.proxies(), listener.speaks()),
                    &signals,
                );
            }
        };
        let _time_is_up = timeout(handshakes(&worker), rest).await;
    }
    let (proxies, speaks) = (listener.proxies().to_vec(), listener.speaks());
    for accepted in listener.close(most) {
        serve_in_turn(&worker, front_end, Accepted::new(accepted, &proxies, speaks), &signals);
    }
}

/// Waits. If the process is out of descriptors, evicts a connection then.
async fn back_off(error: &io::Error, wait: Option<Duration>, connection_limit: &Arc<ConnectionLimit>) {
    let limit = wait.unwrap_or(FIRST_BACKOFF);
    if wait.is_some() {
        let _time_is_up = timeout(limit, std::future::pending::<()>()).await;
    }
    if is_out_of_descriptors(error) {
        let _none_could_be_closed = timeout(limit, connection_limit.make_room()).await;
    }
}

/// A period in which accept fails because a resource is missing.
#[derive(Debug, Default)]
struct Outage {
    has_failed: bool,
    /// The last wait; `None` before the first wait.
    backoff: Option<Duration>,
    logged_at: Option<Instant>,
}

impl Outage {
    /// Records a failed accept. Logs it at most once per [`REPORT`], because clients can cause it. Returns
    /// how long to wait. After the first failure there is no wait, because a descriptor may be freed
    /// immediately.
    fn failed(&mut self, error: &io::Error, now: Instant) -> Option<Duration> {
        let is_recent = self.logged_at.is_some_and(|at| now.saturating_duration_since(at) < REPORT);
        if !is_recent {
            self.logged_at = Some(now);
            error!(%error, "cannot accept connections; raise the limit on open files, or lower max_connections");
        }
        if mem::replace(&mut self.has_failed, true) {
            self.backoff = Some(next_backoff(self.backoff));
        }
        self.backoff
    }

    /// Records a successful accept, which ends the outage.
    fn ended(&mut self) {
        self.has_failed = false;
        if self.backoff.take().is_some() {
            info!("accepting connections again");
        }
    }
}

fn next_backoff(last: Option<Duration>) -> Duration {
    last.map_or(FIRST_BACKOFF, |last| last.saturating_mul(2).min(LONGEST_BACKOFF))
}

/// How long to wait for handshakes: at most a quarter of the grace period.
fn handshakes(worker: &Worker) -> Duration {
    let grace = worker.view().generation().grace;
    HANDSHAKES.min(grace.checked_div(4).unwrap_or(Duration::ZERO))
}

/// An accepted connection, its remote address, whether that address is a proxy that announces the client
/// (PROXY protocol), and whether the client speaks TLS.
struct Accepted {
    stream: Stream,
    peer: ClientAddress,
    announces: bool,
    speaks: Speaks,
}

impl Accepted {
    fn new((stream, peer): (Stream, ClientAddress), proxies: &[Network], speaks: Speaks) -> Self {
        Self { stream, peer, announces: proxies.iter().any(|proxy| proxy.contains(peer)), speaks }
    }
}

/// Waits for a place for a connection. `None` if its client has as many connections as it may have. The
/// caller then drops the connection.
async fn enter(worker: &Worker, accepted: &Accepted) -> Option<Place> {
    let (stream, client) = (&accepted.stream, accepted.peer);
    let most = worker.view().generation().per_client.most(client);
    let place = worker.connection_limit().enter(client, most).await;
    place.map_err(|ClientIsFull| refuse(worker, stream, client)).ok()
}

/// Prepares a connection over `max_connections_per_client` for its end: a reset, so that nothing of the
/// connection stays in the kernel.
fn refuse(worker: &Worker, stream: &Stream, client: ClientAddress) {
    stream.reset_on_close(true);
    let repeated = worker.control().meters().closed_connections().count(Instant::now().into_std());
    if let Some(connections) = repeated {
        info!(
            %client,
            connections,
            "a client has max_connections_per_client: its further connections are reset (this line comes once a minute; \
             `connections` counts those of all clients)"
        );
    }
}

fn serve(worker: &Rc<Worker>, front_end: FrontEnd, accepted: Accepted, signals: &Signals, place: Place) {
    let (worker, drain) = (Rc::clone(worker), signals.drain.clone());
    worker.tracker().clone().spawn_local(connect(worker, front_end, accepted, drain, place));
}

/// Serves a connection as soon as a place is free.
fn serve_in_turn(worker: &Rc<Worker>, front_end: FrontEnd, accepted: Accepted, signals: &Signals) {
    let (worker, drain) = (Rc::clone(worker), signals.drain.clone());
    worker.tracker().clone().spawn_local(async move {
        let Some(place) = enter(&worker, &accepted).await else { return };
        connect(worker, front_end, accepted, drain, place).await;
    });
}

/// Serves a connection. The place is given back last, so the connection that takes it next finds the
/// descriptor free.
async fn connect(
    worker: Rc<Worker>,
    front_end: FrontEnd,
    accepted: Accepted,
    drain: CancellationToken,
    place: Place,
) {
    let served = pin!(connect_at(worker, front_end, accepted, drain, &place));
    place.entry().watch(served).await;
}

async fn connect_at(
    worker: Rc<Worker>,
    front_end: FrontEnd,
    accepted: Accepted,
    drain: CancellationToken,
    place: &Place,
) {
    let Accepted { mut stream, peer, announces, speaks: secured } = accepted;
    // Nagle's algorithm would hold back the end of a response until the client acknowledges the rest.
    if stream.send_at_once().is_err() {
        return;
    }
    let (peer, mut unread) = if announces {
        let limit = worker.view().limits().header_timeout;
        let patience = Patience { limit, last_call: worker.last_call() };
        let announced = tokio::select! {
            biased;
            announced = proxy_header_reader::client(&mut stream, peer, patience, &drain, worker.control().unannounced()) => announced,
            () = place.entry().evicted() => None,
        };
        let Some((client, unread)) = announced else { return };
        let most = worker.view().generation().per_client.most(client);
        if let Err(ClientIsFull) = place.belongs_to(client, most) {
            return refuse(&worker, &stream, client);
        }
        (client, unread)
    } else {
        (peer, Buffer::default())
    };
    let (stream, is_http2) = match secured {
        Speaks::Plain if worker.view().generation().h2c => {
            let spoken = Box::pin(listen_for_preface(&worker, &mut stream, &mut unread, &drain, place));
            let Some(is_http2) = spoken.await else { return };
            (stream, is_http2)
        }
        Speaks::Plain => (stream, false),
        Speaks::Tls => {
            // Boxed, because this future would enlarge the future of every plain connection.
            let shaken = Box::pin(shake_hands(&worker, stream, mem::take(&mut unread), peer, &drain, place));
            let Some(stream) = shaken.await else { return };
            let is_http2 = stream.has_chosen_http2();
            (stream, is_http2)
        }
    };
    if is_http2 {
        // Boxed for the same reason.
        return Box::pin(http2::serve::serve(worker, stream, unread, peer, drain, place.entry())).await;
    }
    match front_end {
        FrontEnd::Http1 => serve::serve_rest(worker, stream, unread, peer, drain, place.entry()).await,
        FrontEnd::Other(serve) => {
            let entry = Arc::clone(place.entry());
            serve(AcceptedConnection { worker, stream, unread, peer, drain, entry }).await;
        }
    }
}

/// Reads the first bytes of a client that may speak HTTP/2 with prior knowledge. Returns whether it does;
/// `None` if the connection has ended.
async fn listen_for_preface(
    worker: &Worker,
    stream: &mut Stream,
    unread: &mut Buffer,
    drain: &CancellationToken,
    place: &Place,
) -> Option<bool> {
    let limit = worker.view().limits().header_timeout;
    let listening = async {
        loop {
            match preface::spoken(unread.as_slice()) {
                Spoken::Http2 => return Some(true),
                Spoken::Other => return Some(false),
                Spoken::Unknown => {}
            }
            let mut bytes = Vec::with_capacity(FIRST);
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                // The bytes that have arrived are served, because the client may have ended only its own
                // side.
                return (!unread.is_empty()).then_some(false);
            }
            unread.append(&bytes);
        }
    };
    let too_late = async {
        drain.cancelled().await;
        let _time_is_up = timeout(worker.last_call(), std::future::pending::<()>()).await;
    };
    tokio::select! {
        biased;
        spoken = timeout(limit, listening) => spoken.ok().flatten(),
        () = place.entry().evicted() => None,
        () = too_late => None,
    }
}

/// Shakes hands with the client of a TLS listener. `None` if that fails; the connection is then closed.
async fn shake_hands(
    worker: &Worker,
    stream: Stream,
    unread: Buffer,
    peer: ClientAddress,
    drain: &CancellationToken,
    place: &Place,
) -> Option<Stream> {
    let acceptor = worker.view().generation().acceptor.clone()?;
    let reservation = worker.budget().reservation(peer);
    let limit = acceptor.settings().handshake_timeout;
    let accepting = handshake::accept(&acceptor, worker.handshake_turns(), stream, unread, reservation);
    let too_late = async {
        drain.cancelled().await;
        let _time_is_up = timeout(worker.last_call(), std::future::pending::<()>()).await;
    };
    let failed = |outcome| Failed { outcome, error: None };
    let shaken = tokio::select! {
        biased;
        shaken = timeout(limit, accepting) => shaken.unwrap_or_else(|_elapsed| Err(failed(Outcome::TimedOut))),
        () = place.entry().evicted() => Err(failed(Outcome::Evicted)),
        () = too_late => Err(failed(Outcome::TimedOut)),
    };
    let outcome = shaken.as_ref().map_or_else(|failed| failed.outcome, |(_, outcome)| *outcome);
    let handshakes = worker.control().meters().handshakes();
    let repeated = handshakes.count(outcome, Instant::now().into_std());
    match shaken {
        Ok((stream, _outcome)) => Some(Stream::Tls(Box::new(stream))),
        Err(Failed { error, .. }) => {
            let error = error.as_ref().map(ToString::to_string);
            debug!(%peer, outcome = outcome.as_str(), error, "handshake failed");
            if let (Some(advice), Some(connections)) = (outcome.advice(), repeated) {
                // Clients can cause this at will, so the log has one line a minute for each outcome.
                let missing = (outcome == Outcome::NoCertificate).then(|| acceptor.missing().join(", "));
                info!(%peer, outcome = outcome.as_str(), error, connections, missing, "{advice}");
            }
            None
        }
    }
}

/// Whether this process or the system has no descriptor left. Closing a connection frees one.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Whether the error belongs to the connection that accept was about to return (accept(2)). The next accept
/// may succeed.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_accept_is_retried_at_once_then_after_a_wait_and_logged_once_a_minute() {
        let error = io::Error::from(Errno::MFILE);
        let (start, mut outage) = (Instant::now(), Outage::default());
        for round in 0..3 {
            let at = start + REPORT * round / 2;
            let logged_before = outage.logged_at;
            let waits = [(); 3].map(|()| outage.failed(&error, at).map(|wait| wait.as_millis()));
            assert_eq!(waits, [None, Some(10), Some(20)]);
            assert_eq!(outage.logged_at != logged_before, round != 1, "{round}");
            outage.ended();
        }
        assert!(is_out_of_descriptors(&error));
        assert!(!is_out_of_descriptors(&Errno::CONNABORTED.into()));
    }

    #[test]
    fn the_wait_after_failed_accepts_doubles_up_to_a_second() {
        let mut last = None;
        let waits: Vec<_> = (0..10)
            .map(|_| {
                last = Some(next_backoff(last));
                last.unwrap_or_default().as_millis()
            })
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
    }
}
