//! The front end on hyper (docs/decisions/0001-http1.md). With `HOOKGATE_TEST_FRONT_END=hyper`, it serves the
//! gateways that tests start in their own process.
//!
//! hookgate's parser judges each head before hyper sees it ([`gate`]). hyper must then read the same request.

mod content;
mod exceptions;
mod gate;
mod response;

use std::cell::Cell;
use std::env;
use std::error::Error;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hookgate::connection::transport::Transport as _;
use hookgate::gateway::{self, Incoming};
use hookgate::message::forwarded::ReceivedIn;
use hookgate::message::head::{Framing, Persistence, RequestHead, ResponseContext, Version};
use hookgate::runtime::front_end::{AcceptedConnection, FrontEnd};
use hookgate::runtime::request_scope::Scope;
use hyper::body::{Body as _, Incoming as HyperBody};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;

use content::RequestContent;
use exceptions::is_excepted;
use gate::{Gate, Judged};

/// How long an idle connection waits for a request at the end, and how long a refused client may continue to
/// send. hookgate's own front end has the same limits.
const LAST_CALL: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(5);

/// Whether the suite runs with hyper.
pub(crate) fn is_chosen() -> bool {
    match env::var("HOOKGATE_TEST_FRONT_END") {
        Ok(name) if name == "hyper" => true,
        Ok(name) if !name.is_empty() => panic!("there is no front end {name}"),
        _ => false,
    }
}

/// The front end that serves the gateways of the tests.
pub(crate) fn chosen() -> FrontEnd {
    if is_chosen() && !is_excepted() {
        FrontEnd::Other(|accepted| Box::pin(serve(accepted)))
    } else {
        FrontEnd::Http1
    }
}

/// Why a request has no response, or only a part of it.
type Fault = Box<dyn Error + Send + Sync>;

async fn serve(accepted: AcceptedConnection) {
    let AcceptedConnection { worker, stream, unread, peer, drain, entry } = accepted;
    let _open = worker.tally().open();
    let limits = *worker.view().limits();
    let reservation = worker.budget().reservation(peer);
    let session = stream.session().cloned();
    let gate = Gate::new(stream, unread.as_slice(), limits, Arc::clone(&entry), reservation);
    let service = service_fn(|request: Request<HyperBody>| {
        let (gate, entry, worker) = (Rc::clone(&gate), Arc::clone(&entry), Rc::clone(&worker));
        let session = session.clone();
        async move {
            let received = gate.received().expect("hyper reads no request but those that were judged");
            if let Ok(head) = &received.head {
                agrees(head, &request);
            }
            let view = worker.view();
            gate.set_limits(view.limits());
            let asked = ResponseContext {
                is_for_head: request.method() == Method::HEAD,
                version: if request.version() == hyper::Version::HTTP_10 {
                    Version::Http10
                } else {
                    Version::Http11
                },
                persistence: Persistence::Default,
            };
            let is_complete = Rc::new(Cell::new(request.body().is_end_stream()));
            let content = RequestContent::new(&gate, &entry, request.into_body(), Rc::clone(&is_complete));
            let incoming = Incoming {
                head: received.head,
                content,
                peer,
                session,
                received_in: ReceivedIn::Http1,
                at: received.at.into_std(),
                memory: received.reservation,
            };
            let (reply, guard) = gateway::handle(view.gateway(), Scope::new(&worker, &view), incoming).await;
            let Some(reply) = reply else { return Err("the client went away".into()) };
            let is_last = worker.is_draining()
                || gate.has_failed()
                || !is_complete.get()
                || entry.is_evicted()
                || guard.resources().is_wanting();
            Ok::<_, Fault>(response::of(reply, guard, &gate, asked, is_last))
        }
    });
    let mut builder = http1::Builder::new();
    builder.half_close(true).auto_date_header(false);
    let served = builder.serve_connection(TokioIo::new(Judged(Rc::clone(&gate))), service);
    let ended = {
        let mut served = pin!(served);
        tokio::select! {
            biased;
            ended = served.as_mut() => ended,
            () = drain.cancelled() => {
                let grace = worker.view().generation().grace;
                gate.drain(LAST_CALL.min(grace / 2));
                served.await
            }
        }
    };
    if ended.is_ok() && !entry.is_evicted() && gate.is_unread() {
        let is_short = gate.is_draining() || worker.connection_limit().is_wanting();
        gate.linger(if is_short { LAST_CALL } else { LINGER }).await;
    }
}

/// Panics if hyper reads a request that differs from the judged one.
fn agrees(head: &RequestHead, request: &Request<HyperBody>) {
    assert_eq!(request.method().as_str(), head.method(), "hyper reads another method");
    let (path, query) = (request.uri().path(), request.uri().query());
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    assert_eq!(target.as_bytes(), head.target(), "hyper reads another target");
    let is_10 = request.version() == hyper::Version::HTTP_10;
    assert_eq!(is_10, head.facts().version == Version::Http10, "hyper reads another version");
    let length = request.body().size_hint().exact();
    let want = match head.facts().framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked => None,
    };
    assert_eq!(length, want, "hyper reads another framing");
}
