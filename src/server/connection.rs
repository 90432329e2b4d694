//! Shell. One client connection, from accept to close.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::crowd::Rest;
use super::hyper_side::HyperSide;
use super::seldom::Seldom;
use super::unread::Unread;
use super::wire::{Transport, Wire};
use super::worker::Worker;
use crate::gateway;
use crate::peer::Peer;

/// How long a client whose request was refused early may go on sending while it reads the answer.
const LINGER: Duration = Duration::from_secs(5);

/// The same while the gateway drains, or while others wait for the place.
const SHORT_LINGER: Duration = Duration::from_secs(1);
/// How long an idle connection waits at the end for a request that may be on its way.
const LAST_CALL: Duration = Duration::from_secs(1);

/// The least that hyper takes for its buffer. What it reads has a few dozen bytes.
const BUFFER: usize = 8 * 1024;

/// Serves a connection until either side ends it. `drain` ends it after the request under way.
pub async fn serve<IO: Transport + 'static>(
    worker: Rc<Worker>,
    io: IO,
    peer: Peer,
    drain: CancellationToken,
) {
    serve_rest(worker, io, Unread::default(), peer, drain).await;
}

/// As [`serve`], where some of the connection has been read.
pub async fn serve_rest<IO: Transport + 'static>(
    worker: Rc<Worker>,
    io: IO,
    unread: Unread,
    peer: Peer,
    drain: CancellationToken,
) {
    let _open = worker.tally().open();
    let member = worker.roster().join();
    let limits = *worker.view().limits();
    let wire = Wire::new(io, unread, limits, Rc::clone(worker.scratch()), Rc::clone(member.rest()));
    let ended = {
        let mut exchanges = pin!(exchanges(&worker, &wire, member.rest(), peer));
        let drained = pin!(drain.cancelled());
        tokio::select! {
            biased;
            ended = exchanges.as_mut() => ended,
            () = Seldom::new(drained) => {
                wire.drain(last_call(&worker));
                exchanges.await
            }
        }
    };
    match ended {
        Ok(()) if wire.is_unread() => {
            let limit = if wire.is_draining() || worker.crowd().is_wanting() { SHORT_LINGER } else { LINGER };
            wire.linger(limit).await;
        }
        Ok(()) => {}
        Err(error) => debug!(%peer, %error, "connection ended"),
    }
}

/// One exchange after the other. hyper, which holds more than 8 KiB for each connection, is called in when there is a head
/// for it, and sent away when the connection has been at rest for a while.
async fn exchanges<IO: Transport + 'static>(
    worker: &Rc<Worker>,
    wire: &Rc<Wire<IO>>,
    rest: &Rest,
    peer: Peer,
) -> hyper::Result<()> {
    while wire.has_next_head().await {
        let service = service_fn(|_told| gateway::exchange(Rc::clone(worker), Rc::clone(wire), peer));
        let connection = http1::Builder::new()
            // The wire knows when a client is gone; that it has half-closed does not mean it does not listen.
            .half_close(true)
            // What an upstream did not say is not added; our own answers have one.
            .auto_date_header(false)
            .max_buf_size(BUFFER)
            .serve_connection(HyperSide::new(Rc::clone(wire)), service);
        let mut connection = Box::pin(connection);
        let ended = poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if rest.is_long() && wire.is_flushed() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if let Some(ended) = ended.await {
            return ended;
        }
    }
    Ok(())
}

/// No more than half of what the whole drain may take: an idle connection is not cut off.
pub(super) fn last_call(worker: &Worker) -> Duration {
    let grace = worker.view().generation().grace;
    LAST_CALL.min(grace.checked_div(2).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests;
