//! Shell. Requests of the commands to the admin listener of a running gateway.

use std::net::SocketAddr;
use std::path::Path;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use super::configuration;
use super::exchange::{self, Answer, NoAnswer, Outgoing, Patience};
use super::exit::Failure;
use super::send;
use super::terminal::Terminal;
use crate::config::{Admin, load};
use crate::upstream::origin::Origin;

/// A request to the admin listener.
pub(super) struct Question<'q> {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) content: &'q [u8],
}

impl Question<'_> {
    /// A GET of a page.
    pub(super) fn page(path: &'static str) -> Self {
        let target = PathAndQuery::from_static(path);
        Self { method: Method::GET, target, fields: Vec::new(), content: &[] }
    }
}

/// The address of the admin listener: `named`, or else that of `[admin]` in the configuration, of which nothing else is
/// read. Secrets, and errors elsewhere in the file, do not matter here.
///
/// # Errors
/// A [`Failure`] with exit code 78, if the configuration has none.
pub(super) fn origin(
    terminal: &mut Terminal,
    file: &Path,
    named: Option<&Origin>,
) -> Result<Origin, Failure> {
    if let Some(origin) = named {
        return Ok(origin.clone());
    }
    let admin = load::load_admin(file).map_err(|error| configuration::failure(terminal, file, &error))?;
    of_config(admin.as_ref()).ok_or_else(|| {
        let what = match admin {
            None => format!("{} has no `[admin]`: nobody can ask the gateway how it is", file.display()),
            Some(_) => format!("{} leaves the admin listener's port to the system", file.display()),
        };
        Failure::config(what).hint(HOW_TO_TURN_IT_ON)
    })
}

/// What to do when there is no admin listener.
pub(super) const HOW_TO_TURN_IT_ON: &str = "add `[admin]` with `listen = \"127.0.0.1:9901\"` and restart the gateway, or name it with --admin http://HOST:PORT";

/// The address of the admin listener in a configuration.
pub(super) fn of_config(admin: Option<&Admin>) -> Option<Origin> {
    let listen = admin?.listen.first().copied();
    let address = listen.map(configuration::reachable).filter(|address: &SocketAddr| address.port() != 0)?;
    Origin::parse(&format!("http://{address}")).ok()
}

/// Sends a request to the admin listener.
///
/// # Errors
/// [`NoAnswer`]
pub(super) fn ask(admin: &Origin, question: Question<'_>, patience: Patience) -> Result<Answer, NoAnswer> {
    let Question { method, target, fields, content } = question;
    let fields = exchange::fields(admin, std::iter::empty(), fields.into_iter());
    send::exchange_now(Outgoing {
        gateway: admin,
        method,
        target,
        fields,
        content: content.to_vec(),
        patience,
        preface: &[],
    })
}

/// The reason for a refusal, in the gateway's words, if the answer is one.
pub(super) fn refusal(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        status: String,
    }
    let refusal = || serde_json::from_slice(&answer.content).ok().map(|Refusal { status }| status);
    (answer.status == StatusCode::FORBIDDEN).then(refusal).flatten()
}
