//! Shell. Requests of `hookgate events` and `hookgate tail` to `/api/v1` of a running gateway.

use std::env;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::args::Gateway;
use crate::admin::body::read_bounded;
use crate::cli::admin::AdminClient;
use crate::cli::configuration::ConfigFile;
use crate::cli::exit::Failure;
use crate::cli::http_exchange;
use crate::cli::input;
use crate::cli::terminal::{Terminal, printable};
use crate::config::bounded_read;
use crate::listen::stream::Stream;
use crate::upstream::dial::{dial, secure};
use crate::upstream::origin::Origin;

/// How long establishing a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the gateway may take for the head of an answer, and for each piece of its content. The gateway
/// needs at most a minute for its slowest answer.
const ANSWER: Duration = Duration::from_secs(70);

/// The most bytes of a document: twice the largest content that a route can allow.
const LARGEST: usize = 1 << 30;

/// The most bytes of a refusal.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// The most bytes of a token's file.
const LARGEST_TOKEN: usize = 4096;

/// The API of a running gateway.
pub(crate) struct Api {
    listener: AdminClient,
    authorization: Option<HeaderValue>,
}

/// A refusal in the gateway's words.
#[derive(Debug, Deserialize)]
struct Refused {
    error: String,
    reason: Option<String>,
}

impl Api {
    /// The API of the gateway in the options, or else of the gateway in the configuration.
    pub(crate) fn of(terminal: &mut Terminal, file: &ConfigFile, gateway: &Gateway) -> Result<Self, Failure> {
        input::at_most_one(&[
            ("the configuration", gateway.admin.is_none().then(|| file.path())),
            ("the token", gateway.token_file.as_deref()),
        ])?;
        let listener = AdminClient::of(terminal, file, gateway.admin.as_ref())?;
        let token = match (&gateway.token_env, &gateway.token_file) {
            (Some(name), _) => Some(env::var(name).map_err(|error| {
                Failure::usage(format!("the environment variable {name} has no token")).because(error)
            })?),
            (None, Some(path)) => {
                let read = bounded_read::read_once(path, LARGEST_TOKEN).map_err(io::Error::from);
                let failed =
                    |error| Failure::failed(format!("cannot read {}", path.display())).because(error);
                let content = read.map_err(failed)?;
                Some(String::from_utf8_lossy(&content.bytes).trim_end().to_owned())
            }
            (None, None) => None,
        };
        let authorization = token.map(|token| HeaderValue::try_from(format!("Bearer {token}"))).transpose();
        let mut authorization =
            authorization.map_err(|_what| Failure::usage("the token is no value of a field"))?;
        if let Some(authorization) = &mut authorization {
            authorization.set_sensitive(true);
            if listener.is_open_to_readers() {
                terminal.note(format_args!(
                    "the token travels to {listener} in clear text: give [admin] a `tls`, and name it with https://"
                ));
            }
        }
        Ok(Self { listener, authorization })
    }

    /// The address of the admin listener.
    pub(crate) fn origin(&self) -> &Origin {
        self.listener.origin()
    }

    /// Requests a document.
    pub(super) async fn get(&self, target: &str) -> Result<Value, Failure> {
        self.document(Method::GET, target, None).await
    }

    /// Requests a change.
    pub(crate) async fn post(&self, target: &str, document: &Value) -> Result<Value, Failure> {
        self.document(Method::POST, target, Some(document)).await
    }

    async fn document(
        &self,
        method: Method,
        target: &str,
        document: Option<&Value>,
    ) -> Result<Value, Failure> {
        let (_connection, content) = self.ask(method, target, document).await?;
        let (content, cut) = match timeout(ANSWER, read_bounded(content, LARGEST)).await {
            Ok(read) => read.map_err(|error| self.broken().because(error))?,
            Err(_elapsed) => return Err(self.broken()),
        };
        if cut {
            return Err(self.broken());
        }
        serde_json::from_slice(&content).map_err(|error| self.no_gateway(&content).because(error))
    }

    /// Requests lines. `take` gets them in pieces as they arrive. It returns whether it takes further pieces.
    pub(crate) async fn lines(
        &self,
        target: &str,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Failure> {
        let (_connection, mut content) = self.ask(Method::GET, target, None).await?;
        loop {
            match timeout(ANSWER, content.frame()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data()
                        && !take(&piece)
                    {
                        return Ok(());
                    }
                }
                // The words of the error are about framing: the gateway has ended, or the connection to it.
                Ok(Some(Err(_))) | Err(_) => return Err(self.broken()),
            }
        }
    }

    /// Sends a request on a connection of its own. Returns the task of the connection, and the content of a
    /// successful answer.
    async fn ask(
        &self,
        method: Method,
        target: &str,
        document: Option<&Value>,
    ) -> Result<(JoinSet<()>, Incoming), Failure> {
        let request = self.request(method, target, document)?;
        let address = self.listener.to_string();
        let unreachable = |error: io::Error| {
            Failure::failed(format!("no answer from the admin listener at {address}"))
                .because(error)
                .hint("is the gateway running, and does its configuration have `[admin]`? --admin names another address")
        };
        let stream = match timeout(CONNECT, connect(&self.listener)).await {
            Ok(connected) => connected.map_err(unreachable)?,
            Err(_elapsed) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken().because(error))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // The errors of the connection also appear in the answer.
            let _ended = connection.await;
        });
        let answer = match timeout(ANSWER, sender.send_request(request)).await {
            Ok(answer) => answer.map_err(|error| self.broken().because(error))?,
            Err(_elapsed) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
        };
        let status = answer.status();
        let content = answer.into_body();
        if status.is_success() {
            return Ok((tasks, content));
        }
        let refusal = match timeout(ANSWER, read_bounded(content, LARGEST_REFUSAL)).await {
            Ok(read) => read.map_err(|error| self.broken().because(error))?.0,
            Err(_elapsed) => return Err(self.broken()),
        };
        Err(self.refused(status, &refusal))
    }

    fn request(
        &self,
        method: Method,
        target: &str,
        document: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let content = document.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{target}"))
            .header(HOST, self.listener.origin().authority())
            .header(USER_AGENT, concat!("hookgate/", env!("CARGO_PKG_VERSION")));
        if document.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(Bytes::from(content)));
        request.map_err(|error| Failure::failed("the request cannot be sent").because(error))
    }

    fn refused(&self, status: StatusCode, content: &[u8]) -> Failure {
        let Ok(Refused { error, reason }) = serde_json::from_slice(content) else {
            return self.no_gateway(content);
        };
        let error = printable(error.as_bytes());
        match reason.as_deref() {
            Some("no_queue" | "no_recent") => Failure::config(error),
            Some(_) | None if status == StatusCode::UNAUTHORIZED => {
                Failure::failed(format!("the admin listener at {} refuses: {error}", self.listener))
                    .hint("name a token of its `[admin]` with --token-env or --token-file")
            }
            Some(_) | None => Failure::failed(error),
        }
    }

    fn broken(&self) -> Failure {
        Failure::failed(format!("the answer of the admin listener at {} broke off", self.listener))
    }

    fn no_gateway(&self, content: &[u8]) -> Failure {
        Failure::failed(self.listener.stranger(content))
    }
}

async fn connect(listener: &AdminClient) -> io::Result<Stream> {
    let origin = listener.origin();
    let tls = match (listener.tls(), origin) {
        (None, Origin::Tls(_)) => http_exchange::system_trust()?,
        (tls, Origin::Tcp(_) | Origin::Tls(_) | Origin::Unix(_)) => tls.cloned(),
    };
    secure(dial(origin, CONNECT).await?, origin, tls.as_ref()).await
}
