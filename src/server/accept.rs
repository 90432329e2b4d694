//! Shell. One worker: accepts connections and serves them on its own thread.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::connection;
use super::worker::Worker;

/// What a worker is told from outside.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Stop accepting, and finish what is under way.
    pub drain: CancellationToken,
    /// End at once.
    pub abort: CancellationToken,
}

/// How long to wait after an accept that failed for want of something, at first and at most.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// Accepts until the drain begins, then waits for the connections, for at most `grace`. Gives back how many were cut off.
pub async fn run(
    worker: Rc<Worker>,
    index: usize,
    listeners: Vec<TcpListener>,
    signals: Signals,
    grace: Duration,
) -> usize {
    let tracker = worker.tracker();
    for listener in listeners {
        tracker.spawn_local(accept(Rc::clone(&worker), listener, signals.clone()));
    }
    tokio::select! {
        () = signals.drain.cancelled() => {}
        () = worker.crowd().make_room(index, worker.roster()) => {}
        () = worker.roster().watch_rests() => {}
    }
    tracker.close();
    tokio::select! {
        biased;
        ended = timeout(grace, tracker.wait()) => match ended {
            Ok(()) => 0,
            Err(_elapsed) => tracker.len(),
        },
        () = signals.abort.cancelled() => tracker.len(),
    }
}

async fn accept(worker: Rc<Worker>, listener: TcpListener, signals: Signals) {
    let mut backoff = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = signals.drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if backoff.take().is_some() {
                    info!("accepting connections again");
                }
                // Until it has a place nobody else is accepted: whoever else comes waits in the kernel's queue.
                tokio::select! {
                    biased;
                    place = worker.crowd().enter() => serve(&worker, stream, &signals, place),
                    () = signals.drain.cancelled() => {
                        serve_in_turn(&worker, stream, &signals);
                        break;
                    }
                }
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                let wait = match backoff {
                    None => {
                        error!(%error, "cannot accept connections; raise the limit on open files, or lower max_connections");
                        FIRST_BACKOFF
                    }
                    Some(wait) => LONGEST_BACKOFF.min(wait),
                };
                backoff = Some(wait.saturating_mul(2));
                let _drained = timeout(wait, signals.drain.cancelled()).await;
            }
        }
    }
    // What the kernel has already shaken hands with would be reset when the listener closes.
    while let Poll::Ready(Ok((stream, _))) = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await {
        serve_in_turn(&worker, stream, &signals);
    }
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, signals: &Signals, place: Option<OwnedSemaphorePermit>) {
    let (worker, drain) = (Rc::clone(worker), signals.drain.clone());
    worker.tracker().clone().spawn_local(async move {
        connect(worker, stream, drain).await;
        drop(place);
    });
}

/// Serves a connection as soon as there is a place for it.
fn serve_in_turn(worker: &Rc<Worker>, stream: TcpStream, signals: &Signals) {
    let (worker, drain) = (Rc::clone(worker), signals.drain.clone());
    worker.tracker().clone().spawn_local(async move {
        let place = worker.crowd().enter().await;
        connect(worker, stream, drain).await;
        drop(place);
    });
}

async fn connect(worker: Rc<Worker>, stream: TcpStream, drain: CancellationToken) {
    // A response that cannot be written at once should not wait for the client's acknowledgement on top.
    if stream.set_nodelay(true).is_ok()
        && let Ok(peer) = stream.peer_addr()
    {
        connection::serve(worker, stream, peer.ip().to_canonical(), drain).await;
    }
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
