//! Shell. `hookgate check --live`: says whether a running gateway is ready. Used for the health checks of
//! containers.
//!
//! The check must not report a working gateway as broken. So it reads only the admin listener's address from
//! the configuration. An error that is made in the file after the start does not affect the running
//! configuration, and is reported elsewhere.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::cli::admin::AdminClient;
use crate::cli::args::Check;
use crate::cli::configuration::ConfigFile;
use crate::cli::exit::{Exit, Failure};
use crate::cli::http_exchange::{Answer, NoAnswer};
use crate::cli::terminal::{Terminal, printable};

/// Requests `/readyz`.
///
/// # Errors
/// A [`Failure`] if the configuration has no admin listener, or the gateway is not ready.
pub(super) fn check(terminal: &mut Terminal, file: &ConfigFile, asked: &Check) -> Result<Exit, Failure> {
    let admin = AdminClient::of(terminal, file, asked.admin.as_ref())?;
    let standing = readiness(&admin, asked.timeout);
    if asked.json {
        let (ready, detail) = match &standing {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        terminal.out.json(&json!({ "ready": ready, "detail": detail }));
        return Ok(if ready { Exit::Done } else { Exit::Failed });
    }
    let words = standing.map_err(Failure::failed)?;
    terminal.out.line(words);
    Ok(Exit::Done)
}

/// Whether the gateway with this admin listener is ready, as a sentence.
///
/// # Errors
/// A sentence that says why the gateway is not ready.
pub(super) fn readiness(admin: &AdminClient, limit: Duration) -> Result<String, String> {
    standing(admin, admin.page("/readyz", limit))
}

/// The result as a sentence: `Ok` if the gateway is ready, and `Err` if it is not.
fn standing(admin: &AdminClient, answer: Result<Answer, NoAnswer>) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Readiness {
        status: String,
        route: Option<String>,
        detail: Option<String>,
        generation: Option<u64>,
    }
    let answer = answer.map_err(|error| {
        let why = Failure::failed("").because(error).to_string();
        format!("not ready: the admin listener at {admin} gives no answer{why}")
    })?;
    let readiness = serde_json::from_slice::<Readiness>(&answer.content).ok();
    match (answer.status, readiness) {
        (StatusCode::OK, Some(Readiness { generation: Some(generation), .. })) => Ok(format!(
            "ready: the gateway at {admin} serves, with configuration {generation} since its start"
        )),
        (StatusCode::SERVICE_UNAVAILABLE, Some(Readiness { status, route, detail, .. })) => {
            let status = printable(status.as_bytes());
            let route = route.map(|route| format!(": {}", printable(route.as_bytes()))).unwrap_or_default();
            let detail =
                detail.map(|detail| format!(": {}", printable(detail.as_bytes()))).unwrap_or_default();
            Err(format!("not ready: the gateway at {admin} says: {status}{route}{detail}"))
        }
        (_, _) => Err(format!("not ready: {}", admin.stranger(&answer.content))),
    }
}
