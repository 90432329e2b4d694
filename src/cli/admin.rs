//! Shell. Requests that commands make to the admin listener of a running gateway.

use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use http::uri::PathAndQuery;
use serde::Deserialize;

use super::configuration;
use super::exit::Failure;
use super::terminal::Terminal;
use crate::cli::http_exchange::{self, Answer, NoAnswer, Outgoing, Patience};
use crate::config::{Address, Admin, load};
use crate::upstream::origin::Origin;

/// The address of the admin listener: `named`, or else the address of `[admin]` in the configuration. Nothing
/// else in the configuration is read, so missing secrets and errors in other tables do not matter.
///
/// # Errors
/// A [`Failure`] with exit code 78, if the configuration has no admin listener.
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
            None => format!("{} has no `[admin]`: the gateway cannot be asked how it is", file.display()),
            Some(_) => format!("{} leaves the admin listener's port to the system", file.display()),
        };
        Failure::config(what).hint(HOW_TO_TURN_IT_ON)
    })
}

/// What to do when there is no admin listener.
pub(super) const HOW_TO_TURN_IT_ON: &str = "add `[admin]` with `listen = \"127.0.0.1:9901\"` and restart the gateway, or name it with --admin http://HOST:PORT or --admin unix:/PATH";

/// The address of the admin listener in a configuration.
pub(super) fn of_config(admin: Option<&Admin>) -> Option<Origin> {
    match admin?.listen.first()? {
        Address::Unix(path) => Some(Origin::Unix(path.clone())),
        Address::Tcp(address) if address.port() == 0 => None,
        Address::Tcp(address) => {
            Origin::parse(&format!("http://{}", configuration::reachable(*address))).ok()
        }
    }
}

/// Requests a page of the admin listener.
///
/// # Errors
/// [`NoAnswer`]
pub(super) fn page(admin: &Origin, path: &'static str, limit: Duration) -> Result<Answer, NoAnswer> {
    http_exchange::now(Outgoing::get(admin, PathAndQuery::from_static(path), Patience::of(limit)))
}

/// The reason for a refusal in the gateway's words. `None` if the answer is not a refusal.
pub(super) fn refusal(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        status: String,
    }
    let refusal = || serde_json::from_slice(&answer.content).ok().map(|Refusal { status }| status);
    (answer.status == StatusCode::FORBIDDEN).then(refusal).flatten()
}
