//! Shell. The admin listener: a small server on its own thread, for the operators of the gateway.
//!
//! It listens before the workers accept and until they have drained, and nothing on their threads blocks it. It is meant
//! for a trusted network. A client that misbehaves can still use little: a few connections, each for one request and a
//! short time.

pub mod access;
mod answer;
pub mod api;
pub mod body;
pub mod doctor;
pub mod json_content;
pub mod response_content;
mod time_limit;
pub mod verify;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::{Address, Sharing};
use crate::runtime::background::{self, Background, LAST_WAIT};
use crate::runtime::control::Control;
use crate::runtime::error::StartError;
use crate::runtime::supervise::{PartGuard, ServerPart};

use crate::admin::access::Asker;
use crate::admin::response_content::Content;
use api::Api;
use time_limit::TimeLimit;

pub use crate::admin::doctor::{Compared, Difference, State};
pub use crate::admin::verify::Examination;
pub use answer::{SecretReport, SecretsReport};

/// Connections served at once. Others wait until one ends; each ends within [`TIME_LIMIT`].
const MAX_CONNECTIONS: usize = 64;

/// The time for a connection, from accept to close: its request and the answer. Some answers of the API may take longer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The most bytes of a request's head; the least that hyper accepts.
const MAX_HEAD: usize = 8 * 1024;

/// Connections that may wait in the kernel's queue.
const BACKLOG: u32 = 128;

/// The pause after a failed accept.
const BACKOFF: Duration = Duration::from_millis(100);

/// Bound listeners, before any connection is accepted.
#[derive(Debug)]
pub struct Bound {
    runtime: Runtime,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

/// Binds the listeners.
///
/// # Errors
/// [`StartError`]
pub fn bind(listen: &[SocketAddr], sharing: Sharing) -> Result<Bound, StartError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let entered = runtime.enter();
    let mut listeners = Vec::with_capacity(listen.len());
    let mut addresses = Vec::with_capacity(listen.len());
    for address in listen {
        let bound = listener(*address, sharing).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (actual, listener) = bound.map_err(|error| StartError::Bind(Address::Tcp(*address), error))?;
        listeners.push(listener);
        addresses.push(actual);
    }
    drop(entered);
    Ok(Bound { runtime, listeners, addresses })
}

fn listener(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    match sharing {
        Sharing::Alone => {}
        // A new process starts while the old one runs. Both listen here and answer for themselves, until the old one ends.
        Sharing::WithOthers => socket.set_reuseport(true)?,
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The running admin listener.
#[derive(Debug)]
pub struct Admin {
    addresses: Vec<SocketAddr>,
    stop: CancellationToken,
    thread: Option<Background>,
}

impl Bound {
    /// Starts answering, for the server with these controls.
    ///
    /// # Errors
    /// [`StartError::Thread`]
    pub fn start(self, control: &Arc<Control>) -> Result<Admin, StartError> {
        let Self { runtime, listeners, addresses } = self;
        let stop = CancellationToken::new();
        let (control, stopped) = (Arc::clone(control), stop.clone());
        let guard = PartGuard::over(ServerPart::Admin, &control);
        let serve = move || {
            runtime.block_on(async {
                let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
                let api = Arc::new(Api::new(&control));
                let watching = Arc::clone(&api);
                let _until_end = tokio::spawn(async move { watching.watch().await });
                let mut loops = JoinSet::new();
                for listener in listeners {
                    let guard = PartGuard::over(ServerPart::Admin, &control);
                    let shared = Shared { control: Arc::clone(&control), api: Arc::clone(&api) };
                    let accept = accept(listener, shared, Arc::clone(&permits));
                    let stopped = stopped.clone();
                    loops.spawn(async move {
                        tokio::select! {
                            () = stopped.cancelled() => guard.end(),
                            () = accept => drop(guard),
                        }
                    });
                }
                stopped.cancelled().await;
                while loops.join_next().await.is_some() {}
            });
            guard.end();
        };
        let thread = background::start("admin", serve).map_err(StartError::Thread)?;
        Ok(Admin { addresses, stop, thread: Some(thread) })
    }
}

impl Admin {
    /// The addresses listened on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// It ends with the server. Answers under way are cut off.
impl Drop for Admin {
    fn drop(&mut self) {
        self.stop.cancel();
        let _left_behind = self.thread.take().map(|thread| thread.wait(LAST_WAIT));
    }
}

/// The state that all connections share.
#[derive(Clone)]
struct Shared {
    control: Arc<Control>,
    api: Arc<Api>,
}

async fn accept(listener: TcpListener, shared: Shared, permits: Arc<Semaphore>) {
    let mut failing = false;
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if std::mem::take(&mut failing) {
                    info!("the admin listener accepts again");
                }
                let asker = Asker::of(peer, stream.local_addr());
                tokio::spawn(serve(stream, asker, shared.clone(), permit));
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "the admin listener cannot accept");
                }
                drop(permit);
                // This waits for the time alone.
                let _elapsed = timeout(BACKOFF, std::future::pending::<()>()).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, asker: Asker, shared: Shared, permit: OwnedSemaphorePermit) {
    let (began, time_limit) = (Instant::now(), TimeLimit::new(TIME_LIMIT));
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let (Shared { control, api }, time_limit) = (shared.clone(), time_limit.clone());
        async move {
            Ok::<_, Infallible>(if Api::is_asked(request.uri().path()) {
                api.answer(asker, request, &time_limit).await
            } else {
                Content::whole(answer::answer(&control, asker, request).await)
            })
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match time_limit.bound(began, connection).await {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(%error, "an admin connection ended"),
        None => debug!("an admin connection took too long"),
    }
    drop(permit);
}
