//! Shell. One client connection, from accept to close.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::admission::client::ClientAddress;
use crate::admission::connections::Entry;
use crate::connection::buffer::Buffer;
use crate::connection::transport::Transport;
use crate::gateway::{self, Incoming};
use crate::http1::connection::content::RequestContent;
use crate::http1::connection::{Connection, Received};
use crate::http1::poll_after_wake::PollAfterWake;
use crate::http1::writer::{self, Guard};
use crate::message::forwarded::ReceivedIn;
use crate::runtime::request_scope::Scope;
use crate::runtime::worker::Worker;

/// How long a client may continue to send after its request was refused early. The client can read the answer
/// meanwhile.
const LINGER: Duration = Duration::from_secs(5);

/// The same time while the gateway drains, or while other connections wait for a place.
const SHORT_LINGER: Duration = Duration::from_secs(1);

/// Serves a connection until either side ends it. `drain` ends it after the current request.
pub async fn serve<IO: Transport + 'static>(
    worker: Rc<Worker>,
    io: IO,
    client: ClientAddress,
    drain: CancellationToken,
) {
    let place = worker.connection_limit().enter_uncounted(client);
    let entry = Arc::clone(place.entry());
    let served = pin!(serve_rest(worker, io, Buffer::default(), client, drain, &entry));
    entry.watch(served).await;
}

/// Serves a connection as [`serve`] does, after some of its bytes were already read. The future must be
/// polled under [`watch`].
///
/// [`watch`]: crate::admission::connection_state::ConnectionState::watch
pub async fn serve_rest<IO: Transport + 'static>(
    worker: Rc<Worker>,
    io: IO,
    unread: Buffer,
    client: ClientAddress,
    drain: CancellationToken,
    entry: &Arc<Entry>,
) {
    let _open = worker.tally().open();
    let limits = *worker.view().limits();
    let (scratch, reservation) = (Rc::clone(worker.scratch()), worker.budget().reservation(client));
    let connection = Connection::new(io, unread, limits, scratch, Arc::clone(entry), reservation);
    let ended = {
        let mut exchanges = pin!(exchanges(&worker, &connection, client));
        let drained = pin!(drain.cancelled());
        tokio::select! {
            biased;
            ended = exchanges.as_mut() => ended,
            () = PollAfterWake::new(drained) => {
                connection.drain(worker.last_call());
                exchanges.await
            }
        }
    };
    match ended {
        // An evicted connection does not linger. The bytes that its client still sends would keep the place
        // from the next connection.
        Ok(()) if entry.is_evicted() => debug!(peer = %client, "connection closed for another one"),
        Ok(()) if connection.is_unread() => {
            let limit = if connection.is_draining() || worker.connection_limit().is_wanting() {
                SHORT_LINGER
            } else {
                LINGER
            };
            connection.linger(limit).await;
        }
        Ok(()) => {}
        Err(error) => debug!(peer = %client, %error, "connection ended"),
    }
}

/// Serves one request after the other. The state of a request is in one box, which is freed when the request
/// ends. So an idle connection costs little memory.
async fn exchanges<IO: Transport + 'static>(
    worker: &Rc<Worker>,
    connection: &Rc<Connection<IO>>,
    client: ClientAddress,
) -> Result<(), Box<dyn Error>> {
    let mut open = None;
    loop {
        let received = poll_fn(|cx| {
            let received = connection.poll_received(cx);
            take_note(&mut open, connection);
            received
        });
        let Some(received) = received.await? else { break };
        let exchange = Box::write(Box::new_uninit(), exchange(worker, connection, client, received));
        let (keeps_open, unwritten) = Box::into_pin(exchange).await?;
        open = unwritten;
        if !keeps_open {
            break;
        }
    }
    let finished = connection.finish().await;
    take_note(&mut open, connection);
    finished?;
    connection.notify_of_end();
    Ok(())
}

/// Records how many bytes of a response are unsent. The request has ended when no bytes are left.
fn take_note<IO: Transport>(open: &mut Option<Guard>, connection: &Connection<IO>) {
    if let Some(guard) = open {
        guard.unwritten = connection.unsent();
        guard.is_evicted = connection.entry().is_evicted();
        if guard.unwritten == 0 {
            *open = None;
        }
    }
}

/// The error that no client is left to answer.
#[derive(Debug)]
struct Abandoned;

impl std::fmt::Display for Abandoned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the client went away before its request was complete")
    }
}

impl Error for Abandoned {}

/// Serves one request. Returns whether another request may follow on the connection. Also returns the guard
/// of the request, if some bytes of its response are unsent.
async fn exchange<IO: Transport + 'static>(
    worker: &Rc<Worker>,
    connection: &Rc<Connection<IO>>,
    client: ClientAddress,
    received: Received,
) -> Result<(bool, Option<Guard>), Box<dyn Error>> {
    let (reply, guard) = {
        // The view is held only while the request is served. So after a reload, no idle connection keeps keys
        // of the old configuration.
        let view = worker.view();
        connection.set_limits(view.limits());
        let incoming = incoming(connection, client, received);
        // The future is pinned where it is made. It is large, and passing it by value would move it twice.
        let handled = pin!(gateway::handle(view.gateway(), Scope::new(worker, &view), incoming));
        handled.await
    };
    let Some(reply) = reply else { return Err(Abandoned.into()) };
    let (keeps_open, guard) = writer::write(connection, reply, guard).await?;
    Ok((keeps_open, guard.filter(|_| connection.has_unsent())))
}

/// A request, as the gateway takes it.
fn incoming<IO: Transport>(
    connection: &Rc<Connection<IO>>,
    client: ClientAddress,
    received: Received,
) -> Incoming<RequestContent<IO>> {
    let Received { head, at, reservation } = received;
    Incoming {
        head,
        content: RequestContent::new(connection),
        peer: client,
        session: connection.session(),
        received_in: ReceivedIn::Http1,
        at: at.into_std(),
        memory: reservation,
    }
}

#[cfg(test)]
mod tests;
