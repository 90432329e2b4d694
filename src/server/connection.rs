//! Shell. One client connection, from accept to close.

use std::future::{Future as _, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::crowd::Rest;
use super::wire::{HyperSide, Transport, Wire};
use super::worker::Worker;
use crate::gateway;

/// How long a client whose request was refused early may go on sending while it reads the answer.
const LINGER: Duration = Duration::from_secs(5);

/// What hyper needs on top of the largest head: its own bookkeeping of partial reads.
const HEAD_SLACK: usize = 1024;

/// The least that hyper takes for its buffer.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// Serves a connection until either side ends it. `drain` ends it after the request under way.
pub async fn serve<IO: Transport + 'static>(
    worker: Rc<Worker>,
    io: IO,
    peer: IpAddr,
    drain: CancellationToken,
) {
    let member = worker.roster().join();
    let wire = Wire::new(io, worker.limits().clone(), Rc::clone(worker.scratch()), Rc::clone(member.rest()));
    let ended = {
        let mut exchanges = pin!(exchanges(&worker, &wire, member.rest(), peer));
        tokio::select! {
            biased;
            ended = exchanges.as_mut() => ended,
            () = drain.cancelled() => {
                wire.drain();
                exchanges.await
            }
        }
    };
    match ended {
        Ok(()) if wire.is_unread() => wire.linger(LINGER).await,
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
    peer: IpAddr,
) -> hyper::Result<()> {
    let buffer = wire.max_header_bytes().saturating_add(HEAD_SLACK).max(SMALLEST_BUFFER);
    while wire.has_next_head().await {
        let service =
            service_fn(|request| gateway::exchange(Rc::clone(worker), Rc::clone(wire), peer, request));
        let connection = http1::Builder::new()
            // The wire knows when a client is gone; that it has half-closed does not mean it does not listen.
            .half_close(true)
            .preserve_header_case(true)
            // What an upstream did not say is not added; our own answers have one.
            .auto_date_header(false)
            .max_buf_size(buffer)
            .serve_connection(HyperSide(Rc::clone(wire)), service);
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
