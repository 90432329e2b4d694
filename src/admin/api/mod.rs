//! Shell. `/api/v1`: operators read and change stored events, and read recent requests. docs/api.md describes
//! the API for its users.
//!
//! Every part is bounded: pages, documents, ids in a request, concurrent requests, and the time for each
//! request.

pub mod access;
pub mod events;
mod export;
pub mod filter;
mod live_state;
mod overview;
mod path;
pub mod refusal;
mod replay;
mod replays;
pub(super) mod request_view;
mod requests;
pub mod routes;
mod store;
mod trend;
mod view;

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::time_limit::TimeLimit;
use crate::admin::access::Asker;
use crate::admin::json_content::{self, document};
use crate::admin::recent_stream::Source;
use crate::admin::response_content::Content;
use crate::config::{Role, Token};
use crate::queue::handle::Queue;
use crate::queue::id::EventId;
use crate::queue::time::Time;
use crate::runtime::control::Control;
use access::Who;
use live_state::LiveState;
use overview::Overview;
use path::{Call, MISSING, RecentCall};
use refusal::Refusal;
use replays::{Repeat, Replays};
use requests::MOST_STREAMS;
use trend::Trend;

/// The most bytes of a request's document. A thousand ids fit.
const MAX_CONTENT: usize = 128 * 1024;

/// How long the answer may take if the request changes or counts many events.
const LONG: Duration = Duration::from_secs(60);

/// The most events that are shown with their content at the same time. An event is shown until the last byte
/// of the answer is sent.
const MOST_SHOWN_AT_ONCE: usize = 4;

/// The most exports at the same time.
const MOST_EXPORTS: usize = 2;

/// The most requests at the same time that count or discard many events.
const MOST_LONG: usize = 4;

/// The time between two samples of the backlog.
const SAMPLE: Duration = Duration::from_secs(5);

/// The pause before the rows of replays are read again, if the store could not be read.
const LOAD_AGAIN: Duration = Duration::from_secs(1);

/// The state that requests to the API share.
#[derive(Debug)]
pub(crate) struct Api {
    control: Arc<Control>,
    replays: Replays,
    trend: Mutex<Trend>,
    shown: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    long: Semaphore,
}

impl Api {
    /// The API for the server with these controls.
    pub(crate) fn new(control: &Arc<Control>) -> Self {
        Self {
            control: Arc::clone(control),
            replays: Replays::default(),
            trend: Mutex::default(),
            shown: Arc::new(Semaphore::new(MOST_SHOWN_AT_ONCE)),
            exports: Arc::new(Semaphore::new(MOST_EXPORTS)),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            long: Semaphore::new(MOST_LONG),
        }
    }

    /// Continues the replays of earlier runs, and takes samples of the backlog. Runs until the future is
    /// dropped.
    pub(crate) async fn watch(&self) {
        loop {
            let pause = match self.control.queue() {
                Some(queue) => {
                    let loaded = self.replays.load(&self.control, queue).await;
                    let statistics = queue.statistics();
                    self.trend
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .sample(Instant::now(), &statistics);
                    if loaded { SAMPLE } else { LOAD_AGAIN }
                }
                None => SAMPLE,
            };
            // The wait ends only when the time has passed.
            let _elapsed = timeout(pause, pending::<()>()).await;
        }
    }

    /// A request of this client.
    ///
    /// # Errors
    /// The gateway has no queue.
    pub(crate) async fn asking<'a>(
        &'a self,
        who: Who,
        time_limit: &'a TimeLimit,
    ) -> Result<Asking<'a>, Refusal> {
        let queue = self.control.queue().ok_or_else(Refusal::no_queue)?.clone();
        let _later = self.replays.load(&self.control, &queue).await;
        Ok(Asking { api: self, queue, who, now: Time::of(SystemTime::now()), time_limit })
    }

    /// The question whether a client may still read. The holder of a token may, while the token is there and
    /// has its key.
    fn still(&self, who: Who, tokens: &[Token]) -> impl Fn() -> bool + Send + use<> {
        let digest_of = |tokens: &[Token], name: &str| {
            tokens.iter().find(|token| *token.name == *name).map(Token::key_digest)
        };
        let own = match who {
            Who::Local => None,
            Who::Token(name) => Some((digest_of(tokens, &name), name)),
        };
        let control = Arc::clone(&self.control);
        move || {
            own.as_ref().is_none_or(|(digest, name)| {
                digest.is_some() && *digest == digest_of(&control.generation().tokens, name)
            })
        }
    }

    /// Whether a path belongs to the API.
    pub(crate) fn is_asked(path: &str) -> bool {
        path == "/api" || path.starts_with("/api/")
    }

    /// Answers a request.
    pub(super) async fn answer(
        &self,
        asker: Asker,
        request: Request<Incoming>,
        time_limit: &TimeLimit,
    ) -> Response<Content> {
        match self.try_answer(asker, request, time_limit).await {
            Ok(answer) => answer,
            Err(refusal) => refused(&refusal),
        }
    }

    async fn try_answer(
        &self,
        asker: Asker,
        request: Request<Incoming>,
        time_limit: &TimeLimit,
    ) -> Result<Response<Content>, Refusal> {
        if let Some(call) = RecentCall::of(request.uri().path()) {
            let generation = self.control.generation();
            let (target, fields) = (request.uri(), request.headers());
            let who = access::admit(asker, target, fields, &generation.tokens, Role::Read)?;
            if request.method() != Method::GET {
                return Ok(not_allowed(&Method::GET));
            }
            let recent = Arc::clone(self.control.recent());
            let source = Source { recent, started: self.control.started_at() };
            let query = target.query().unwrap_or_default();
            let still = self.still(who, &generation.tokens);
            return requests::answer(source, &self.streams, call, query, fields, time_limit, still);
        }
        let call = Call::of(request.uri().path());
        let needed = call.as_ref().map_or(Role::Read, Call::role);
        let generation = self.control.generation();
        let who = access::admit(asker, request.uri(), request.headers(), &generation.tokens, needed)?;
        drop(generation);
        let call = call.ok_or_else(|| Refusal::not_found(MISSING))?;
        if request.method() != call.method() {
            return Ok(not_allowed(&call.method()));
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        let asked = self.asking(who, time_limit).await?;
        let found = match call {
            Call::Queue => asked.overview(),
            Call::Events => asked.list(&query).await?,
            Call::Count => asked.count(&query).await?,
            Call::Event(id) => {
                let (found, place) = asked.show(id, &query).await?;
                return Ok(Content::whole(json_content::document_holding(StatusCode::OK, &found, place)));
            }
            Call::Export => return asked.export(&query),
            Call::Replays => asked.replays(),
            Call::Replay(id) => asked.replay(id)?,
            Call::Discard => asked.discard(asked_for(request).await?, None).await?,
            Call::StartReplay => {
                let (status, found) = asked.start_replay(asked_for(request).await?, Repeat::Allowed).await?;
                return Ok(Content::whole(document(status, &found)));
            }
            Call::CancelReplay(id) => asked.cancel_replay(id).await?,
            Call::Pause => asked.pause(asked_for(request).await?).await?,
            Call::Resume => asked.resume(asked_for(request).await?).await?,
        };
        Ok(Content::whole(document(StatusCode::OK, &found)))
    }
}

/// One request, and the state that its answer needs.
pub(crate) struct Asking<'a> {
    api: &'a Api,
    queue: Queue,
    who: Who,
    now: Time,
    time_limit: &'a TimeLimit,
}

impl Asking<'_> {
    /// The state of deliveries that is only in memory.
    fn live(&self) -> LiveState {
        let generation = self.api.control.generation();
        let routes = generation.gateway.stored_names();
        LiveState {
            under_way: self.queue.under_way(),
            paused: self.queue.statistics().paused.into_iter().collect(),
            routes: routes.map(|(name, copies)| (name.clone(), copies.to_vec())).collect(),
        }
    }

    pub(crate) fn overview(&self) -> Value {
        let generation = self.api.control.generation();
        let (statistics, live) = (self.queue.statistics(), self.live());
        let trend = self.api.trend.lock().unwrap_or_else(PoisonError::into_inner);
        let storing = generation.gateway.storing_names();
        Overview {
            health: self.queue.health(),
            statistics: &statistics,
            live: &live,
            storing: storing.map(|(name, copies)| (name.clone(), copies.to_vec())).collect(),
            open_circuits: self.queue.open_circuits().into_iter().collect(),
            trend: &trend,
            at: Instant::now(),
            now: self.now,
        }
        .document()
    }

    pub(crate) fn replays(&self) -> Value {
        serde_json::json!({ "replays": self.api.replays.list() })
    }

    pub(crate) fn replay(&self, id: EventId) -> Result<Value, Refusal> {
        self.api.replays.get(id).ok_or_else(|| Refusal::not_found("there is no such replay"))
    }

    /// Takes a place among the events that are shown with their content.
    fn may_show(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = Arc::clone(&self.api.shown).try_acquire_owned().map_err(|_taken| {
            Refusal::unavailable(format!(
                "{MOST_SHOWN_AT_ONCE} events are being shown with their content: try again"
            ))
        })?;
        self.time_limit.extend(LONG);
        Ok(place)
    }

    /// Takes a place among the requests that may take long.
    fn may_take_long(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let place = self.api.long.try_acquire().map_err(|_taken| {
            Refusal::unavailable(format!("{MOST_LONG} requests of this kind are under way: try again"))
        })?;
        self.time_limit.extend(LONG);
        Ok(place)
    }
}

/// Reads the document of a request. The media type must be JSON: a form in a browser cannot send it.
async fn asked_for<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    if !is_json(request.headers()) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send a JSON document with `content-type: application/json`",
        ));
    }
    let content = json_content::content(request.into_body(), MAX_CONTENT).await.map_err(|answer| {
        let why = match answer.status() {
            StatusCode::PAYLOAD_TOO_LARGE => format!("the document is larger than {MAX_CONTENT} bytes"),
            _ => "the document is not complete".to_owned(),
        };
        Refusal::new(answer.status(), why)
    })?;
    serde_json::from_slice(&content)
        .map_err(|error| Refusal::bad(format!("the document is not understood: {error}")))
}

fn is_json(fields: &HeaderMap) -> bool {
    let media_type = fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn not_allowed(needed: &Method) -> Response<Content> {
    let mut answer = refused(&Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{needed} is needed")));
    if let Ok(allow) = HeaderValue::from_str(needed.as_str()) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

fn refused(refusal: &Refusal) -> Response<Content> {
    let mut answer = document(refusal.status, &refusal.document());
    if refusal.status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"hookgate\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    Content::whole(answer)
}
