//! Shell. One worker: accepts connections and serves them on its own thread.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::admission::client::{ClientAddress, Network};
use crate::admission::connections::{ConnectionLimit, Place};
use crate::http1::buffer::Buffer;
use crate::http1::serve;
use crate::listen::listener::Listener;
use crate::listen::proxy::{self, Patience};
use crate::listen::stream::Stream;
use crate::runtime::control::Signals;
use crate::runtime::front_end::{AcceptedConnection, FrontEnd};
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::runtime::worker::Worker;

/// How many connections more than there are places for are still accepted when a drain begins.
const LATECOMERS: usize = 64;

/// How long to wait after an accept that failed for want of something, at first and at most.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// At most so often it is said that accept fails.
const REPORT: Duration = Duration::from_secs(60);

/// How long a handshake may take that has begun when the drain does: a packet's way across a continent and back. Longer would
/// hold off more of those who could go elsewhere.
const HANDSHAKES: Duration = Duration::from_millis(100);

/// Accepts until the drain begins, then waits for the connections, for as long as the grace period. Gives back how many
/// were cut off.
pub async fn run(worker: Rc<Worker>, listeners: Vec<Listener>, signals: Signals) -> usize {
    let tracker = worker.tracker();
    for listener in listeners {
        let guard = PartGuard::over(ServerPart::AcceptLoop, worker.control());
        let accept = accept(Rc::clone(&worker), listener, signals.clone());
        tracker.spawn_local(async move {
            accept.await;
            guard.end();
        });
    }
    tokio::select! {
        () = signals.drain.cancelled() => {}
        () = worker.follow() => {}
        () = worker.connections().watch_rests() => {}
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
            Err(_elapsed) => tracker.len(),
        },
        () = signals.abort.cancelled() => tracker.len(),
    }
}

async fn accept(worker: Rc<Worker>, listener: Listener, signals: Signals) {
    let mut outage = Outage::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = signals.drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                let accepted = Accepted::new(accepted, listener.proxies());
                outage.ends();
                // Until it has a place nobody else is accepted: whoever else comes waits in the kernel's queue.
                tokio::select! {
                    biased;
                    place = worker.connection_limit().enter(accepted.peer) => serve(&worker, accepted, &signals, place),
                    () = signals.drain.cancelled() => {
                        serve_in_turn(&worker, accepted, &signals);
                        break;
                    }
                }
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                let wait = outage.goes_on(&error, Instant::now());
                tokio::select! {
                    biased;
                    () = signals.drain.cancelled() => {}
                    () = get_over(&error, wait, worker.connection_limit()) => {}
                }
            }
        }
    }
    // What the kernel shakes hands with, or has, would be reset when the listener closes.
    let mut most = worker.connection_limit().free().saturating_add(LATECOMERS);
    if listener.hold_off() {
        let rest = async {
            while most > 0
                && let Ok(accepted) = listener.accept().await
            {
                most = most.saturating_sub(1);
                serve_in_turn(&worker, Accepted::new(accepted, listener.proxies()), &signals);
            }
        };
        let _time_is_up = timeout(handshakes(&worker), rest).await;
    }
    let proxies = listener.proxies().to_vec();
    for accepted in listener.close(most) {
        serve_in_turn(&worker, Accepted::new(accepted, &proxies), &signals);
    }
}

/// Waits for so long, and then has a connection closed, if it is its descriptor that is wanted.
async fn get_over(error: &io::Error, wait: Option<Duration>, connection_limit: &Arc<ConnectionLimit>) {
    let limit = wait.unwrap_or(FIRST_BACKOFF);
    if wait.is_some() {
        let _time_is_up = timeout(limit, std::future::pending::<()>()).await;
    }
    if is_out_of_descriptors(error) {
        let _nobody_could_be_closed = timeout(limit, connection_limit.make_room()).await;
    }
}

/// A time in which accept fails for want of something.
#[derive(Debug, Default)]
struct Outage {
    has_failed: bool,
    /// How long was waited at last, if that was tried at all.
    backoff: Option<Duration>,
    said_at: Option<Instant>,
}

impl Outage {
    /// Takes note of an accept that failed, and says so, but not as often as strangers can make it fail. Gives back how long to wait:
    /// not before it fails for the second time, since a descriptor can be made free at once.
    fn goes_on(&mut self, error: &io::Error, now: Instant) -> Option<Duration> {
        let is_recent = self.said_at.is_some_and(|at| now.saturating_duration_since(at) < REPORT);
        if !is_recent {
            self.said_at = Some(now);
            error!(%error, "cannot accept connections; raise the limit on open files, or lower max_connections");
        }
        if std::mem::replace(&mut self.has_failed, true) {
            self.backoff = Some(next_backoff(self.backoff));
        }
        self.backoff
    }

    /// A connection was accepted.
    fn ends(&mut self) {
        self.has_failed = false;
        if self.backoff.take().is_some() {
            info!("accepting connections again");
        }
    }
}

/// How long to wait after another accept that failed.
fn next_backoff(last: Option<Duration>) -> Duration {
    last.map_or(FIRST_BACKOFF, |last| last.saturating_mul(2).min(LONGEST_BACKOFF))
}

/// No more than a part of what the whole drain may take.
fn handshakes(worker: &Worker) -> Duration {
    let grace = worker.view().generation().grace;
    HANDSHAKES.min(grace.checked_div(4).unwrap_or(Duration::ZERO))
}

/// A connection, who is at its other end, and whether that is a proxy that announces somebody else.
struct Accepted {
    stream: Stream,
    peer: ClientAddress,
    announces: bool,
}

impl Accepted {
    fn new((stream, peer): (Stream, ClientAddress), proxies: &[Network]) -> Self {
        Self { stream, peer, announces: proxies.iter().any(|proxy| proxy.contains(peer)) }
    }
}

fn serve(worker: &Rc<Worker>, accepted: Accepted, signals: &Signals, place: Place) {
    let (worker, drain) = (Rc::clone(worker), signals.drain.clone());
    worker.tracker().clone().spawn_local(connect(worker, accepted, drain, place));
}

/// Serves a connection as soon as there is a place for it.
fn serve_in_turn(worker: &Rc<Worker>, accepted: Accepted, signals: &Signals) {
    let (worker, drain) = (Rc::clone(worker), signals.drain.clone());
    worker.tracker().clone().spawn_local(async move {
        let place = worker.connection_limit().enter(accepted.peer).await;
        connect(worker, accepted, drain, place).await;
    });
}

/// Serves a connection. Its place outlives it: when the next one gets the place, the descriptor is free, too.
async fn connect(worker: Rc<Worker>, accepted: Accepted, drain: CancellationToken, place: Place) {
    let served = pin!(connect_at(worker, accepted, drain, &place));
    place.entry().watch(served).await;
}

async fn connect_at(worker: Rc<Worker>, accepted: Accepted, drain: CancellationToken, place: &Place) {
    let Accepted { mut stream, peer, announces } = accepted;
    // A response that cannot be written at once should not wait for the client's acknowledgement on top.
    if stream.send_at_once().is_err() {
        return;
    }
    let (peer, unread) = if announces {
        let limit = worker.view().limits().header_timeout;
        let patience = Patience { limit, last_call: serve::last_call(&worker) };
        let announced = tokio::select! {
            biased;
            announced = proxy::client(&mut stream, peer, patience, &drain, worker.control().unannounced()) => announced,
            () = place.entry().evicted() => None,
        };
        let Some((client, unread)) = announced else { return };
        place.belongs_to(client);
        (client, unread)
    } else {
        (peer, Buffer::default())
    };
    match worker.front_end() {
        FrontEnd::Http1 => serve::serve_rest(worker, stream, unread, peer, drain, place.entry()).await,
        FrontEnd::Other(serve) => {
            let entry = Arc::clone(place.entry());
            serve(AcceptedConnection { worker, stream, unread, peer, drain, entry }).await;
        }
    }
}

/// Whether this process, or the system, has no descriptor left: one is free again when a connection is closed.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Errors that accept passes on from the connection it was about to hand over (accept(2)): the next one may be fine.
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
    fn an_accept_that_fails_is_tried_again_at_once_and_then_waited_for_and_said_once_a_minute() {
        let error = io::Error::from(Errno::MFILE);
        let (start, mut outage) = (Instant::now(), Outage::default());
        for round in 0..3 {
            let at = start + REPORT * round / 2;
            let said_before = outage.said_at;
            let waits = [(); 3].map(|()| outage.goes_on(&error, at).map(|wait| wait.as_millis()));
            assert_eq!(waits, [None, Some(10), Some(20)]);
            assert_eq!(outage.said_at != said_before, round != 1, "{round}");
            outage.ends();
        }
        assert!(is_out_of_descriptors(&error));
        assert!(!is_out_of_descriptors(&Errno::CONNABORTED.into()));
    }

    #[test]
    fn the_wait_for_descriptors_grows_and_not_for_ever() {
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
