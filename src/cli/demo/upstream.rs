//! Shell. The app in the demo: it answers every event with 200, and reports the event.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::admin::body::read_bounded;

/// The app. It ends with its runtime.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// The received events. If no task reads them, the newest are dropped.
    pub(super) events: mpsc::Receiver<Received>,
}

/// One event, as the app received it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) bytes: usize,
    pub(super) digest: String,
}

impl Upstream {
    /// Starts the app on a free loopback port. The app serves while a thread waits for the runtime.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn start(runtime: &Runtime) -> io::Result<Self> {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (sender, events) = mpsc::channel(EVENTS);
        runtime.spawn(serve(listener, sender));
        Ok(Self { address, events })
    }
}

async fn serve(listener: TcpListener, events: mpsc::Sender<Received>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, events.clone()))),
            // The process may have no free descriptor. The app then waits, and does not end.
            Err(_) => drop(timeout(PAUSE, std::future::pending::<()>()).await),
        }
    }
}

async fn connection(stream: TcpStream, events: mpsc::Sender<Received>) {
    let service = service_fn(|request| take(request, &events));
    let mut server = http1::Builder::new();
    // The gateway sees every error of this connection, and reports it.
    drop(server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await);
}

async fn take(
    request: Request<Incoming>,
    events: &mpsc::Sender<Received>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok((content, false)) = read_bounded(body, MAX_CONTENT).await else {
        return Ok(answer(StatusCode::PAYLOAD_TOO_LARGE, Bytes::new()));
    };
    let received = Received {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        bytes: content.len(),
        digest: hex::encode(Sha256::digest(&content)),
    };
    let text = format!("{{\"received\":{}}}\n", received.bytes);
    // If the channel is full, the terminal has more lines than a person can read.
    drop(events.try_send(received));
    Ok(answer(StatusCode::OK, text.into()))
}

fn answer(status: StatusCode, content: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(content));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// How many events may wait to be printed.
const EVENTS: usize = 1024;

/// The most bytes of one event. The gateway's limit is lower.
const MAX_CONTENT: usize = 16 << 20;

/// The pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);
