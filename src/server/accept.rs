//! Shell. One worker: accepts connections and serves them on its own thread.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::announced::{self, Patience};
use super::connection;
use super::control::Signals;
use super::listener::Listener;
use super::unread::Unread;
use super::worker::Worker;
use crate::peer::{Network, Peer};
use crate::stream::Stream;

/// How many connections more than there are places for are still accepted when a drain begins.
const LATECOMERS: usize = 64;

/// How long to wait after an accept that failed for want of something, at first and at most.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// How long a handshake may take that has begun when the drain does: a packet's way across a continent and back. Longer would
/// hold off more of those who could go elsewhere.
const HANDSHAKES: Duration = Duration::from_millis(100);

/// Accepts until the drain begins, then waits for the connections, for as long as the grace period. Gives back how many
/// were cut off.
pub async fn run(worker: Rc<Worker>, index: usize, listeners: Vec<Listener>, signals: Signals) -> usize {
    let tracker = worker.tracker();
    for listener in listeners {
        tracker.spawn_local(accept(Rc::clone(&worker), listener, signals.clone()));
    }
    tokio::select! {
        () = signals.drain.cancelled() => {}
        () = worker.crowd().make_room(index, worker.roster()) => {}
        () = worker.follow() => {}
        () = worker.roster().watch_rests() => {}
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
    let mut backoff = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = signals.drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                let accepted = Accepted::new(accepted, listener.proxies());
                if backoff.take().is_some() {
                    info!("accepting connections again");
                }
                // Until it has a place nobody else is accepted: whoever else comes waits in the kernel's queue.
                tokio::select! {
                    biased;
                    place = worker.crowd().enter() => serve(&worker, accepted, &signals, place),
                    () = signals.drain.cancelled() => {
                        serve_in_turn(&worker, accepted, &signals);
                        break;
                    }
                }
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if backoff.is_none() {
                    error!(%error, "cannot accept connections; raise the limit on open files, or lower max_connections");
                }
                let wait = next_backoff(backoff);
                backoff = Some(wait);
                let _drained = timeout(wait, signals.drain.cancelled()).await;
            }
        }
    }
    // What the kernel shakes hands with, or has, would be reset when the listener closes.
    let mut most = worker.crowd().free().saturating_add(LATECOMERS);
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
    peer: Peer,
    announces: bool,
}

impl Accepted {
    fn new((stream, peer): (Stream, Peer), proxies: &[Network]) -> Self {
        Self { stream, peer, announces: proxies.iter().any(|proxy| proxy.contains(peer)) }
    }
}

fn serve(worker: &Rc<Worker>, accepted: Accepted, signals: &Signals, place: Option<OwnedSemaphorePermit>) {
    let (worker, drain) = (Rc::clone(worker), signals.drain.clone());
    worker.tracker().clone().spawn_local(async move {
        connect(worker, accepted, drain).await;
        drop(place);
    });
}

/// Serves a connection as soon as there is a place for it.
fn serve_in_turn(worker: &Rc<Worker>, accepted: Accepted, signals: &Signals) {
    let (worker, drain) = (Rc::clone(worker), signals.drain.clone());
    worker.tracker().clone().spawn_local(async move {
        let place = worker.crowd().enter().await;
        connect(worker, accepted, drain).await;
        drop(place);
    });
}

async fn connect(worker: Rc<Worker>, accepted: Accepted, drain: CancellationToken) {
    let Accepted { mut stream, peer, announces } = accepted;
    // A response that cannot be written at once should not wait for the client's acknowledgement on top.
    if stream.send_at_once().is_err() {
        return;
    }
    let (peer, unread) = if announces {
        let limit = worker.view().limits().header_timeout;
        let patience = Patience { limit, last_call: connection::last_call(&worker) };
        match announced::client(&mut stream, peer, patience, &drain, worker.control().unannounced()).await {
            Some(client) => client,
            None => return,
        }
    } else {
        (peer, Unread::default())
    };
    connection::serve_rest(worker, stream, unread, peer, drain).await;
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
