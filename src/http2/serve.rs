//! Shell. One HTTP/2 connection, from its first bytes to its close.
//!
//! hyper reads and writes the frames. A task of its own (`exchange`) serves each request. The task goes on
//! when the stream is reset or the connection ends, so a verified event is delivered. If the content was
//! incomplete at that moment, the request ends unverified.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::{Body as _, Incoming as HyperBody};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::admission::client::ClientAddress;
use crate::admission::connections::Entry;
use crate::admission::memory::{Exhausted, FREE_HEAD, Reservation};
use crate::connection::buffer::Buffer;
use crate::connection::transport::Transport as _;
use crate::gateway::{self, Incoming};
use crate::http2::content::RequestContent;
use crate::http2::head::{self, Parts};
use crate::http2::limits::{
    CONNECTION_WINDOW, LOCAL_RESETS, MAX_FRAME, MAX_STREAMS, MOST_REQUESTS, PENDING_RESETS, PING_INTERVAL,
    PING_TIMEOUT, SEND_BUFFER, STREAM, STREAM_WINDOW, header_list,
};
use crate::http2::response::{self, BrokenOff, ResponseContent};
use crate::http2::stream::Stream;
use crate::http2::streams::Streams;
use crate::http2::transport::{Socket, Transport};
use crate::listen;
use crate::message::content::Length;
use crate::message::forwarded::ReceivedIn;
use crate::message::head::{Framing, HeadError, RefusedHead, RequestHead, SentLine};
use crate::runtime::deadline::Deadline;
use crate::runtime::request_scope::Scope;
use crate::runtime::worker::Worker;
use crate::runtime::worker_view::View;
use crate::tls::session::Session;

/// The longest time in which a client must read the last frames of its connection, and the longest time in
/// which it must close the connection after GOAWAY.
const LINGER: Duration = Duration::from_secs(1);

/// The stream whose request was handed over last. hyper makes the task of a request right after that.
type Called = Rc<RefCell<Option<Rc<Stream>>>>;

/// What all requests of a connection share.
#[derive(Clone)]
struct Connection {
    worker: Rc<Worker>,
    streams: Rc<Streams>,
    called: Called,
    client: ClientAddress,
    session: Option<Arc<Session>>,
}

/// Serves a connection until either side ends the connection. `unread` was already read from the connection.
/// `drain` ends the connection after the requests under way. The future must be polled under [`watch`].
///
/// [`watch`]: crate::admission::connection_state::ConnectionState::watch
pub async fn serve(
    worker: Rc<Worker>,
    stream: listen::stream::Stream,
    unread: Buffer,
    client: ClientAddress,
    drain: CancellationToken,
    entry: &Arc<Entry>,
) {
    let _open = worker.tally().open();
    let limits = *worker.view().limits();
    let (streams, session) = (Streams::new(entry, client), stream.session().cloned());
    let reservation = worker.budget().reservation(client);
    let socket = Socket::new(stream, unread, &limits, &streams, reservation);
    let called = Called::default();
    let executor =
        Tasks { worker: Rc::clone(&worker), streams: Rc::clone(&streams), called: Rc::clone(&called) };
    let connection =
        Connection { worker: Rc::clone(&worker), streams: Rc::clone(&streams), called, client, session };
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(header_list(limits.max_header_bytes))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let ended = {
        let service = service_fn(|request| connection.call(request));
        let served = builder.serve_connection(TokioIo::new(Transport(Rc::clone(&socket))), service);
        let mut served = pin!(served);
        let mut drained = pin!(drain.cancelled());
        let mut life = Life::new(&worker, &streams, &socket);
        poll_fn(|cx| {
            loop {
                streams.wake(cx.waker());
                if let Poll::Ready(ended) = served.as_mut().poll(cx) {
                    return Poll::Ready(ended.map_or_else(Ended::Failed, |()| Ended::Closed));
                }
                if socket.forget_discarded() {
                    continue;
                }
                socket.hold_unsent(cx);
                if streams.is_evicted() {
                    streams.evict();
                    served.as_mut().graceful_shutdown();
                    // GOAWAY is written as far as the kernel takes it at once.
                    let _ended = served.as_mut().poll(cx);
                    return Poll::Ready(Ended::Evicted);
                }
                if !life.is_closing() && drained.as_mut().poll(cx).is_ready() {
                    life.close();
                    served.as_mut().graceful_shutdown();
                    continue;
                }
                match life.poll_over(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if life.is_closing() => return Poll::Ready(Ended::TimedOut),
                    Poll::Ready(()) => {
                        life.close();
                        served.as_mut().graceful_shutdown();
                    }
                }
            }
        })
        .await
    };
    socket.release();
    match ended {
        // An evicted connection does not linger, because its place is needed for another connection.
        Ended::Evicted => debug!(peer = %client, "connection closed for another one"),
        Ended::TimedOut => debug!(peer = %client, "connection timed out"),
        Ended::Closed => linger(&socket, &streams, entry).await,
        Ended::Failed(error) => {
            debug!(peer = %client, %error, "connection ended");
            linger(&socket, &streams, entry).await;
        }
    }
    // The connection keeps its place until its last request has ended, because verified events are still
    // delivered.
    poll_fn(|cx| streams.poll_ended(cx)).await;
}

/// Lets the client read the last frames, unless the place is needed, or requests are under way.
async fn linger(socket: &Socket, streams: &Streams, entry: &Entry) {
    if streams.len() > 0 {
        return;
    }
    entry.linger();
    tokio::select! {
        biased;
        () = entry.evicted() => {}
        () = socket.linger(LINGER) => {}
    }
}

/// How a connection has ended.
enum Ended {
    Closed,
    Failed(hyper::Error),
    Evicted,
    TimedOut,
}

/// The times of a connection.
struct Life<'c> {
    worker: &'c Worker,
    streams: &'c Streams,
    socket: &'c Socket,
    closing_since: Option<Instant>,
    deadline: Deadline,
}

impl<'c> Life<'c> {
    fn new(worker: &'c Worker, streams: &'c Streams, socket: &'c Socket) -> Self {
        Self { worker, streams, socket, closing_since: None, deadline: Deadline::default() }
    }

    /// Records that the client was told to open no more streams.
    fn close(&mut self) {
        self.closing_since = Some(Instant::now());
    }

    fn is_closing(&self) -> bool {
        self.closing_since.is_some()
    }

    /// Ready when the client has made the gateway wait for too long.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.wait() {
            Some((since, limit)) => self.deadline.set_at(since, limit),
            None => self.deadline.clear(),
        }
        self.deadline.poll_passed(cx)
    }

    /// The time since which the connection waits for its client, and the longest time of this wait. `None`
    /// while the connection does not wait for its client.
    fn wait(&self) -> Option<(Instant, Duration)> {
        let limits = *self.worker.view().limits();
        let closing = self.closing_since;
        let later = |since: Instant| closing.map_or(since, |closing| closing.max(since));
        let quiet = self.streams.quiet_since().map(|since| match closing {
            Some(_) => (later(since), self.worker.last_call()),
            None if self.streams.has_begun() => (since, limits.idle_timeout),
            None => (since, limits.header_timeout),
        });
        let in_head = self.socket.in_head_since().map(|since| (later(since), limits.header_timeout));
        let unsent = self.socket.unsent_since().map(|since| (later(since), limits.write_timeout));
        // Each of these ends the connection. Times that overflow never pass.
        [quiet, in_head, unsent].into_iter().flatten().min_by_key(|(since, limit)| {
            let end = since.checked_add(*limit);
            (end.is_none(), end)
        })
    }
}

/// Makes a task of each request that hyper serves.
#[derive(Clone)]
struct Tasks {
    worker: Rc<Worker>,
    streams: Rc<Streams>,
    called: Called,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Tasks {
    /// The task ends early if the client does not take up the response. hyper then resets the stream.
    fn execute(&self, future: F) {
        let (stream, streams) = (self.called.borrow_mut().take(), Rc::clone(&self.streams));
        let task = EndTask { began: streams.begin_task(), streams };
        self.worker.finish(async move {
            let _ended = task;
            let mut future = pin!(future);
            let mut deadline = Deadline::default();
            poll_fn(|cx| match (future.as_mut().poll(cx), &stream) {
                (Poll::Pending, Some(stream)) => stream.poll_over(cx, &mut deadline),
                (polled, _) => polled,
            })
            .await;
        });
    }
}

/// Ends the count of a task when the task is dropped, also in a panic.
struct EndTask {
    streams: Rc<Streams>,
    began: u64,
}

impl Drop for EndTask {
    fn drop(&mut self) {
        self.streams.end_task(self.began);
    }
}

impl Connection {
    /// Serves a request in a task of its own. The returned future waits for the response.
    fn call(
        &self,
        request: Request<HyperBody>,
    ) -> impl Future<Output = Result<Response<ResponseContent>, BrokenOff>> + 'static {
        let at = Instant::now();
        let view = self.worker.view();
        let limits = view.limits();
        let stream = Stream::open(&self.streams, at, limits.write_timeout, limits.min_write_rate);
        *self.called.borrow_mut() = Some(Rc::clone(&stream));
        let (answer, answered) = oneshot::channel();
        let mut exchange = Box::pin(exchange(self.clone(), view, stream, request, at));
        // The request begins here, before hyper hands over the next request. So each request has its memory,
        // or is refused, before there are further requests. The request's task polls it again at once.
        match exchange.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => hand_over(answer, response),
            Poll::Pending => self.worker.finish(async move { hand_over(answer, exchange.await) }),
        }
        async { answered.await.map_err(|_none| BrokenOff) }
    }
}

/// Hands a response over to hyper. Without a response, hyper resets the stream.
fn hand_over(
    answer: oneshot::Sender<Response<ResponseContent>>,
    response: Option<Response<ResponseContent>>,
) {
    let Some(response) = response else { return };
    if let Err(response) = answer.send(response) {
        response.into_body().abandon();
    }
}

/// Serves one request. `None` if there is no response, because the client has gone before its request was
/// complete.
async fn exchange(
    connection: Connection,
    view: Rc<View>,
    stream: Rc<Stream>,
    request: Request<HyperBody>,
    at: Instant,
) -> Option<Response<ResponseContent>> {
    let Connection { worker, streams, called: _, client, session } = connection;
    let is_for_head = request.method() == Method::HEAD;
    let (mut head, body) = read(request, view.limits().max_header_bytes);
    if streams.len() > MOST_REQUESTS {
        head = Err(overloaded(&head));
    }
    let limit = view.limits().header_timeout;
    if streams.len() > 1 {
        match reserve(&worker, client, STREAM, limit, Reservation::poll_grow_within_budget).await {
            Some(reservation) => stream.keep(reservation),
            None => head = Err(overloaded(&head)),
        }
    }
    let mut memory = None;
    if let Ok(large) = &head
        && large.footprint() > FREE_HEAD
    {
        memory = reserve(&worker, client, large.footprint(), limit, Reservation::poll_grow_to).await;
        if memory.is_none() {
            head = Err(overloaded(&head));
        }
    }
    let length = match head.as_ref().map(|head| head.facts().framing) {
        Ok(Framing::Length(0)) if body.is_end_stream() => Length::None,
        Ok(Framing::Length(length)) => Length::Known(length),
        Ok(Framing::Chunked) => Length::Unknown,
        Ok(Framing::None) | Err(_) => Length::None,
    };
    let content = RequestContent::new(&worker, body, Rc::clone(&stream), length);
    let received_in = ReceivedIn::Http2;
    let incoming = Incoming { head, content, peer: client, session, received_in, at: at.into_std(), memory };
    let (reply, guard) = {
        let mut handled = pin!(gateway::handle(view.gateway(), Scope::new(&worker, &view), incoming));
        let mut wake = pin!(streams.wake_when_evicted());
        poll_fn(|cx| {
            let _never = wake.as_mut().poll(cx);
            match handled.as_mut().poll(cx) {
                Poll::Pending if stream.hold_observed(cx) => handled.as_mut().poll(cx),
                polled @ (Poll::Ready(_) | Poll::Pending) => polled,
            }
        })
        .await
    };
    Some(response::of(reply?, guard, stream, is_for_head))
}

/// The head of a request, as the parser has accepted or refused it, and the content.
fn read(
    request: Request<HyperBody>,
    max_header_bytes: usize,
) -> (Result<RequestHead, RefusedHead>, HyperBody) {
    let (parts, body) = request.into_parts();
    let has_content = !body.is_end_stream();
    let parts = Parts { method: &parts.method, uri: &parts.uri, fields: &parts.headers, has_content };
    let head = head::read(&parts, max_header_bytes).map_err(|error| {
        // The method and the path are judged as in HTTP/1.1.
        let line = format!("{} {} HTTP/1.1\r\n", parts.method, parts.uri.path());
        RefusedHead::of_bytes(error, line.as_bytes())
    });
    (head, body)
}

/// The refusal of a request for which there is no memory.
fn overloaded(head: &Result<RequestHead, RefusedHead>) -> RefusedHead {
    let line = match head {
        Ok(head) => Some(SentLine::of(head)),
        Err(refused) => refused.line.clone(),
    };
    RefusedHead { error: HeadError::Overloaded, line }
}

/// Grows a reservation, with or without the reserve.
type Grow = fn(&mut Reservation, &mut Context<'_>, usize, std::time::Instant) -> Poll<Result<(), Exhausted>>;

/// Reserves memory. `None` if there is none for this client in time.
async fn reserve(
    worker: &Worker,
    client: ClientAddress,
    bytes: usize,
    limit: Duration,
    grow: Grow,
) -> Option<Reservation> {
    let mut reservation = worker.budget().reservation(client);
    let grown = timeout(limit, poll_fn(|cx| grow(&mut reservation, cx, bytes, Instant::now().into_std())));
    matches!(grown.await, Ok(Ok(()))).then_some(reservation)
}
