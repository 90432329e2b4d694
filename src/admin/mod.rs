//! Shell. The admin listener: a small server on its own thread, for the operators of the gateway.
//!
//! The listener is open before the workers accept and until they have drained. Nothing on the workers'
//! threads can block it. It is meant for a trusted network. Even so, a client can use little: few
//! connections, one request on each, and a short time. With `[admin] tls`, its TCP addresses speak TLS.

pub mod access;
pub mod answer;
pub mod api;
pub mod body;
pub mod console;
pub mod doctor;
pub mod json_content;
mod recent_stream;
mod refused_clients;
pub mod response_content;
pub(crate) mod rotation_status;
pub mod time_limit;
mod tls;
pub mod verify;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::admission::client::ClientAddress;
use crate::config::{self, Address, Sharing};
use crate::listen::bind::{Claim, claim_one};
use crate::listen::listener::{Listener, Listening, SocketFile, Speaks};
use crate::listen::stream::Stream;
use crate::runtime::background::{self, Background, LAST_WAIT};
use crate::runtime::control::Control;
use crate::runtime::error::StartError;
use crate::runtime::supervise::{PartGuard, ServerPart};

use crate::admin::access::Asker;
use crate::admin::console::guard::Channel;
use crate::admin::console::{Console, Visit};
use crate::admin::response_content::Content;
use api::Api;
use refused_clients::{Counted, RefusedClients};
use time_limit::TimeLimit;
use tls::AdminTls;

pub use crate::admin::doctor::{Compared, Difference, IssuedState, State};
pub use crate::admin::verify::Examination;
pub use answer::{SecretReport, SecretsReport};

/// The most connections that are served at the same time. Others wait until one ends. Each ends within
/// [`TIME_LIMIT`].
const MAX_CONNECTIONS: usize = 64;

/// The time for a connection from accept to close, with its request and its answer. Some answers of the API
/// may take longer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The most bytes of a request's head. hyper accepts no lower limit.
const MAX_HEAD: usize = 8 * 1024;

/// The pause after a failed accept.
const BACKOFF: Duration = Duration::from_millis(100);

/// Bound addresses, before they listen.
#[derive(Debug)]
pub struct Bound {
    runtime: Runtime,
    claims: Vec<Claim>,
    speaks: Speaks,
}

/// Binds the listeners.
///
/// # Errors
/// [`StartError`]
pub fn bind(admin: &config::Admin, sharing: Sharing) -> Result<Bound, StartError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let claim = |address| claim_one(address, 1, admin.unix_mode, sharing);
    let claims = admin.listen.iter().map(claim).collect::<Result<_, _>>()?;
    let speaks = if admin.tls.is_some() { Speaks::Tls } else { Speaks::Plain };
    Ok(Bound { runtime, claims, speaks })
}

/// The listeners of an address, for the runtime that is entered. Adds the files of unix sockets to `files`.
fn listen(claim: Claim, files: &mut Vec<Weak<SocketFile>>) -> Result<Vec<Listener>, StartError> {
    let address = claim.address();
    let sockets = claim.listen(1)?;
    files.extend(sockets.iter().filter_map(Listening::file).map(|file| Arc::downgrade(&file)));
    let listeners = sockets.into_iter().map(Listening::into_listener).collect::<io::Result<_>>();
    listeners.map_err(|error| StartError::Bind(address, error))
}

/// The running admin listener.
#[derive(Debug)]
pub struct Admin {
    addresses: Vec<Address>,
    files: Vec<Weak<SocketFile>>,
    stop: CancellationToken,
    thread: Option<Background>,
}

impl Bound {
    /// Starts listening and answering, for the server with these controls.
    ///
    /// With `reuse_port`, the path of a unix socket leads to the previous process until now.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(self, control: &Arc<Control>) -> Result<Admin, StartError> {
        let Self { runtime, claims, speaks } = self;
        let addresses = claims.iter().map(Claim::address).collect();
        let mut files = Vec::new();
        let listeners = {
            let _entered = runtime.enter();
            claims.into_iter().map(|claim| listen(claim, &mut files)).collect::<Result<Vec<_>, _>>()?
        };
        let stop = CancellationToken::new();
        let (control, stopped) = (Arc::clone(control), stop.clone());
        let guard = PartGuard::over(ServerPart::Admin, &control);
        let serve = move || {
            runtime.block_on(async {
                let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
                let api = Arc::new(Api::new(&control));
                let console = Arc::new(Console::new(&control, &api));
                let watching = Arc::clone(&api);
                let tls = (speaks == Speaks::Tls).then(|| Arc::new(AdminTls::new(MAX_CONNECTIONS)));
                let _until_end = tokio::spawn(async move { watching.watch().await });
                let sampling = Arc::clone(&console);
                let _until_end = tokio::spawn(async move { sampling.watch().await });
                let refused = Arc::<Mutex<RefusedClients>>::default();
                let mut loops = JoinSet::new();
                for listener in listeners.into_iter().flatten() {
                    let guard = PartGuard::over(ServerPart::Admin, &control);
                    let shared = Shared {
                        control: Arc::clone(&control),
                        api: Arc::clone(&api),
                        console: Arc::clone(&console),
                        tls: tls.clone(),
                        refused: Arc::clone(&refused),
                    };
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
        Ok(Admin { addresses, files, stop, thread: Some(thread) })
    }
}

impl Admin {
    /// The addresses on which the listener listens.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Removes the files of the unix sockets, for an end of the process that waits for nothing.
    pub fn remover(&self) -> impl Fn() + Send + use<> {
        let files = self.files.clone();
        move || files.iter().filter_map(Weak::upgrade).for_each(|file| file.remove())
    }
}

/// The listener ends with the server. Answers that are under way are cut off.
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
    console: Arc<Console>,
    /// For TCP addresses that speak TLS.
    tls: Option<Arc<AdminTls>>,
    /// Counts the requests that were refused because of their origin, for the log.
    refused: Arc<Mutex<RefusedClients>>,
}

impl Shared {
    /// Logs, at most once a minute, requests that were refused because of their origin: a client may be
    /// guessing tokens, or a page of another site may be sending requests. The line names the last client,
    /// and counts the clients since the last line.
    fn tell_of_refused(&self, client: ClientAddress, status: StatusCode) {
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = refused.count(client, Instant::now().into_std());
        drop(refused);
        if let Some(Counted { requests, clients }) = counted {
            info!(%client, status = status.as_u16(), requests, clients, "the admin listener refused requests because of who asks");
        }
    }
}

async fn accept(listener: Listener, shared: Shared, permits: Arc<Semaphore>) {
    let mut failing = false;
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, client)) => {
                if std::mem::take(&mut failing) {
                    info!("the admin listener accepts again");
                }
                tokio::spawn(serve(stream, client, shared.clone(), permit));
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "the admin listener cannot accept");
                }
                drop(permit);
                // The wait ends only when the time has passed.
                let _elapsed = timeout(BACKOFF, std::future::pending::<()>()).await;
            }
        }
    }
}

/// The local address of a connection, if it has one.
fn local_ip(stream: &Stream) -> Option<IpAddr> {
    match stream {
        Stream::Tcp(stream) => stream.local_addr().ok().map(|local| local.ip()),
        Stream::Tls(stream) => local_ip(stream.socket()),
        Stream::Unix(_) => None,
    }
}

async fn serve(stream: Stream, client: ClientAddress, shared: Shared, permit: OwnedSemaphorePermit) {
    let (began, time_limit) = (Instant::now(), TimeLimit::new(TIME_LIMIT));
    let stream = match (&shared.tls, stream) {
        (Some(tls), stream @ Stream::Tcp(_)) => {
            let accepting = Box::pin(tls.accept(&shared.control, stream, client));
            let Some(Some(stream)) = time_limit.bound(began, accepting).await else { return };
            stream
        }
        (None, stream) | (Some(_), stream @ (Stream::Unix(_) | Stream::Tls(_))) => stream,
    };
    let local = local_ip(&stream);
    let asker = Asker::of(client, local);
    let (is_socket, is_tls) = (asker == Asker::Socket, matches!(stream, Stream::Tls(_)));
    let visit = Visit { asker, channel: Channel::of(local, is_socket, is_tls) };
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let (shared, time_limit) = (shared.clone(), time_limit.clone());
        async move {
            let Shared { control, api, console, .. } = &shared;
            let answer = if console.is_asked(request.method(), request.uri().path()) {
                console.answer(visit, request, &time_limit).await
            } else if Api::is_asked(request.uri().path()) {
                api.answer(asker, request, &time_limit).await
            } else {
                Content::whole(answer::answer(control, asker, request).await)
            };
            shared.tell_of_refused(client, answer.status());
            Ok::<_, Infallible>(answer)
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
