//! Shell. The console: pages for people on the admin listener. docs/console.md describes it for its users,
//! and docs/decisions/0014-console.md says why it is made so.
//!
//! This file answers a request: it asks the guard and the sessions, and then reads a page or makes a change.

mod advice;
mod assets;
mod change;
mod dead_groups;
mod documents;
mod filter_form;
mod frame;
pub mod guard;
mod history;
mod pages;
mod place;
mod recent_pages;
mod recent_row;
mod render;
#[cfg(test)]
mod sample;
mod selection;
mod session;
mod text;
mod tree;

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::info;

use crate::admin::access::Asker;
use crate::admin::api::Api;
use crate::admin::api::access::{self, Who};
use crate::admin::api::refusal::Refusal;
use crate::admin::json_content::{self, document};
use crate::admin::response_content::Content;
use crate::admin::time_limit::TimeLimit;
use crate::config::{ConsoleMode, Role, Token};
use crate::runtime::control::Control;
use crate::tls::provider::provider;
use dead_groups::DeadCount;
use frame::{Access, Viewer};
use guard::{Channel, Purpose, Refused};
use history::{Ended, History, SAMPLE};
use pages::login;
use place::{Asked, Change, LINKS, Place};
use session::{CODE, LINK_LIFE, Operator, Right, SESSION_LIFE, Sessions};

/// The most bytes of a form. A hundred ids fit.
const MAX_FORM: usize = 16 * 1024;

/// The most pages that follow the stream at the same time. They leave connections of the listener for others.
const MOST_STREAMS: usize = 16;

/// The console of a gateway.
#[derive(Debug)]
pub(crate) struct Console {
    control: Arc<Control>,
    api: Arc<Api>,
    sessions: Arc<Mutex<Sessions>>,
    history: Mutex<History>,
    dead: Mutex<DeadCount>,
    /// The places of pages that follow the stream.
    streams: Arc<Semaphore>,
}

/// The connection of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) asker: Asker,
    pub(crate) channel: Channel,
}

/// The person who asks.
struct Person {
    /// The value of the session's cookie.
    session: String,
    operator: Operator,
    viewer: Viewer,
    /// Whether the person goes to the page. The script's requests take no notice from the session.
    is_navigation: bool,
    /// The last entry of the stream that the page knows, if the browser connects again.
    last_event_id: Option<String>,
}

impl Person {
    /// The person's name in the log, and for the API.
    fn who(&self) -> Who {
        match self.operator.right {
            Right::Token(_) => Who::Token(Arc::clone(&self.operator.name)),
            Right::Machine | Right::Socket => Who::Local,
        }
    }
}

impl Console {
    /// The console of the server with these controls.
    pub(crate) fn new(control: &Arc<Control>, api: &Arc<Api>) -> Self {
        Self {
            control: Arc::clone(control),
            api: Arc::clone(api),
            sessions: Arc::default(),
            history: Mutex::default(),
            dead: Mutex::default(),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        }
    }

    /// Whether a request is for the console.
    pub(crate) fn is_asked(&self, method: &Method, path: &str) -> bool {
        path == LINKS || (self.mode() != ConsoleMode::Off && Asked::of(method, path).is_some())
    }

    /// Takes samples of the request counters, while the console is on. Runs until the future is dropped.
    pub(crate) async fn watch(&self) {
        loop {
            let ended = (self.mode() != ConsoleMode::Off).then(|| Ended::of(&self.control.meters().sum()));
            self.history.lock().unwrap_or_else(PoisonError::into_inner).take(ended);
            // The wait ends only when the time has passed.
            let _elapsed = timeout(SAMPLE, pending::<()>()).await;
        }
    }

    fn mode(&self) -> ConsoleMode {
        self.control.generation().console
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A function that tells whether a session goes on, for the stream of its page.
    fn still(&self, session: &str) -> impl Fn() -> bool + Send + use<> {
        let (control, sessions) = (Arc::clone(&self.control), Arc::clone(&self.sessions));
        let session = session.to_owned();
        move || {
            let generation = control.generation();
            let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
            generation.console != ConsoleMode::Off
                && sessions.goes_on(&session, &generation.tokens, Instant::now())
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        visit: Visit,
        request: Request<Incoming>,
        time_limit: &TimeLimit,
    ) -> Response<Content> {
        let mut answer = if request.uri().path() == LINKS {
            let answer = self.link(visit, request.method(), request.uri(), request.headers());
            Content::whole(answer.unwrap_or_else(|refusal| document(refusal.status, &refusal.document())))
        } else {
            match self.page(visit, request, time_limit).await {
                Ok(answer) => answer,
                Err(Refused { status, why }) => html(status, login::refused(why)),
            }
        };
        guard::protect(answer.headers_mut());
        answer.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        answer
    }

    async fn page(
        &self,
        visit: Visit,
        request: Request<Incoming>,
        time_limit: &TimeLimit,
    ) -> Result<Response<Content>, Refused> {
        let (head, body) = request.into_parts();
        let channel = visit.channel;
        let generation = self.control.generation();
        let acceptor = generation.admin_acceptor.as_ref();
        let certificate = acceptor.and_then(|acceptor| acceptor.settings().certificates.first());
        let authority = head.uri.authority().map(http::uri::Authority::as_str);
        let facts = certificate.map(|pair| &*pair.facts);
        let host = guard::host(channel, &head.headers, authority, facts)?;
        let missing = Refused { status: StatusCode::NOT_FOUND, why: "there is no such page" };
        let asked = Asked::of(&head.method, head.uri.path()).ok_or(missing)?;
        let purpose = match &asked {
            Asked::Read(Place::Asset(_)) => Purpose::Asset,
            Asked::Read(Place::LiveStream) => Purpose::SameOrigin,
            Asked::Read(_) | Asked::OtherMethod(_) => Purpose::Page,
            Asked::Change(_) => Purpose::SameOrigin,
        };
        guard::origin(purpose, channel, host, &head.headers)?;
        let cookie = guard::cookie_name(channel, host);
        match asked {
            Asked::OtherMethod(allow) => {
                let mut answer = html(StatusCode::METHOD_NOT_ALLOWED, login::refused("method not allowed"));
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                Ok(answer)
            }
            Asked::Read(Place::Asset(name)) => asset(&name).ok_or(missing),
            Asked::Read(Place::Login(code)) => Ok(self.login(&code, &head, channel, &cookie)),
            Asked::Read(place) => match self.person(&head.headers, &cookie) {
                None => Ok(no_session()),
                Some(person) => Ok(self.render(&place, head.uri.query(), &person, time_limit).await),
            },
            Asked::Change(change) => {
                let Some(person) = self.person(&head.headers, &cookie) else { return Ok(no_session()) };
                if change == Change::Logout {
                    self.sessions().close(&person.session);
                    info!(who = %person.who(), "a session of the console ended");
                    return Ok(leads_to("/", Some(guard::set_cookie(channel, &cookie, "", 0))));
                }
                match person.viewer.access {
                    Access::Operate => {}
                    Access::ReadRole => {
                        return Err(may_not("the token of this session has the role \"read\""));
                    }
                    Access::ReadOnly => return Err(may_not("the console is read-only")),
                }
                let Ok(form) = json_content::content(body, MAX_FORM).await else {
                    return Err(Refused { status: StatusCode::BAD_REQUEST, why: "the form cannot be read" });
                };
                let form = String::from_utf8_lossy(&form).into_owned();
                Ok(self.change(change, &form, &person, time_limit).await)
            }
        }
    }

    /// The person of a session.
    fn person(&self, fields: &HeaderMap, cookie: &str) -> Option<Person> {
        let generation = self.control.generation();
        let session = guard::cookie(fields, cookie)?.to_owned();
        let operator = self.sessions().operator(&session, &generation.tokens, Instant::now())?;
        let access = match (generation.console, operator.role) {
            (ConsoleMode::On, Role::Operate) => Access::Operate,
            (ConsoleMode::On, Role::Read) => Access::ReadRole,
            (ConsoleMode::ReadOnly | ConsoleMode::Off, Role::Operate | Role::Read) => Access::ReadOnly,
        };
        let viewer = Viewer { name: operator.name.to_string(), access };
        let last_event_id =
            fields.get("last-event-id").and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let is_navigation = guard::is_navigation(fields);
        Some(Person { session, operator, viewer, is_navigation, last_event_id })
    }

    /// Makes a link, for a program that may use the API.
    fn link(
        &self,
        visit: Visit,
        method: &Method,
        target: &http::Uri,
        fields: &HeaderMap,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        if self.mode() == ConsoleMode::Off {
            return Err(Refusal::not_found(
                "the console is off: write `console = true` into `[admin]`, and reload",
            ));
        }
        if method != Method::POST {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "POST is needed"));
        }
        if visit.channel == Channel::Open {
            let why = "the console needs TLS on an address that other machines reach: `[admin]` `tls`";
            return Err(Refusal::new(StatusCode::FORBIDDEN, why));
        }
        // A form in a browser cannot send this media type.
        if !fields.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json")) {
            let why = "send `content-type: application/json`";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        let tokens = Arc::clone(&self.control.generation().tokens);
        let operator = match access::admit(visit.asker, target, fields, &tokens, Role::Read)? {
            Who::Local if !tokens.is_empty() && visit.asker != Asker::Socket => {
                let why = "a link needs a token, on the gateway's own machine too: send `authorization: Bearer TOKEN`";
                return Err(Refusal::new(StatusCode::UNAUTHORIZED, why));
            }
            Who::Local => {
                let right = if visit.asker == Asker::Socket { Right::Socket } else { Right::Machine };
                Operator { name: "local".into(), role: Role::Operate, right }
            }
            Who::Token(name) => of_token(name, &tokens),
        };
        info!(who = %operator.name, "a link to the console was made");
        let code = self.sessions().link(operator, &random()?, Instant::now());
        let made = json!({ "path": format!("/login/{code}"), "expires_seconds": LINK_LIFE.as_secs() });
        Ok(document(StatusCode::CREATED, &made))
    }

    /// Opens a link.
    fn login(&self, code: &str, head: &Parts, channel: Channel, cookie: &str) -> Response<Content> {
        if head.method == Method::HEAD || guard::is_in_advance(&head.headers) {
            return html(StatusCode::FORBIDDEN, login::refused("a link is opened by a person"));
        }
        if guard::is_from_elsewhere(&head.headers) {
            return html(StatusCode::OK, login::open(code));
        }
        let tokens = Arc::clone(&self.control.generation().tokens);
        let open = |random| self.sessions().open(code, &random, &tokens, Instant::now());
        let opened = random().ok().and_then(open);
        match opened {
            Some((value, operator)) => {
                info!(who = %operator.name, "a session of the console began");
                let field = guard::set_cookie(channel, cookie, &value, SESSION_LIFE.as_secs());
                leads_to("/", Some(field))
            }
            // The person has opened the link before, in this browser.
            None if self.person(&head.headers, cookie).is_some() => leads_to("/", None),
            None => {
                let why = "This link was used before, or is older than five minutes.";
                html(StatusCode::GONE, login::no_session(why))
            }
        }
    }
}

/// The operator with this token.
fn of_token(name: Arc<str>, tokens: &[Token]) -> Operator {
    let token = tokens.iter().find(|token| token.name == name);
    let role = token.map(|token| token.role).unwrap_or_default();
    // Without the token there is no digest that fits, so the session ends with its first request.
    Operator { role, right: Right::Token(token.map(Token::key_digest).unwrap_or_default()), name }
}

fn random() -> Result<[u8; CODE], Refusal> {
    let mut random = [0; CODE];
    let filled = provider().secure_random.fill(&mut random);
    filled.map_err(|_error| Refusal::unavailable("the system has no random numbers"))?;
    Ok(random)
}

fn no_session() -> Response<Content> {
    let why = "There is no session in this browser, or it has ended.";
    html(StatusCode::UNAUTHORIZED, login::no_session(why))
}

fn may_not(why: &'static str) -> Refused {
    Refused { status: StatusCode::FORBIDDEN, why }
}

/// An answer with a page.
fn html(status: StatusCode, page: String) -> Response<Content> {
    let mut answer = Response::new(Content::Whole(Full::new(Bytes::from(page))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

/// An answer that leads to another page.
fn leads_to(url: &str, cookie: Option<String>) -> Response<Content> {
    let mut answer = Response::new(Content::Whole(Full::default()));
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let url = HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(LOCATION, url);
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}

/// A file of the program. Its name changes with its content, so a browser may keep it.
fn asset(name: &str) -> Option<Response<Content>> {
    let asset = assets::find(name)?;
    let mut answer = Response::new(Content::Whole(Full::new(Bytes::from_static(asset.content))));
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    Some(answer)
}
