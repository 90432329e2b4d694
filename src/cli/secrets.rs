//! Shell. `hookgate secrets`: prints which secrets a running gateway still needs.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::admin::{self, AdminClient};
use super::args::Secrets;
use super::exit::{Exit, Failure};
use super::terminal::{Paint, Terminal};
use crate::admin::SecretsReport;
use crate::admin::rotation_status::{self, RotationStatus};
use crate::cli::configuration::ConfigFile;

/// Requests the secrets from the gateway's admin listener, and prints the status of each.
///
/// # Errors
/// A [`Failure`] if there is no answer.
pub(super) fn secrets(terminal: &mut Terminal, file: &ConfigFile, asked: &Secrets) -> Result<Exit, Failure> {
    let admin = AdminClient::of(terminal, file, asked.admin.as_ref())?;
    let report = fetch(&admin)?;
    if asked.json {
        print_json(terminal, &report);
    } else {
        print(terminal, &report);
    }
    Ok(Exit::Done)
}

/// Requests the gateway's report about its secrets.
///
/// # Errors
/// A [`Failure`] if there is no answer, or another server answers.
pub(super) fn fetch(admin: &AdminClient) -> Result<SecretsReport, Failure> {
    let answer = admin.page("/secrets", PATIENCE).map_err(|error| {
        Failure::failed(format!("no answer from the admin listener at {admin}"))
            .because(error)
            .hint("is the gateway running, and does its configuration have `[admin]`? --admin names another address")
    })?;
    let other_server = || Failure::failed(admin.stranger(&answer.content));
    if let Some(why) = admin::refusal(&answer) {
        return Err(Failure::failed(format!("the admin listener at {admin} does not tell: {why}")));
    }
    if answer.status != StatusCode::OK {
        return Err(other_server());
    }
    serde_json::from_slice(&answer.content).map_err(|error| other_server().because(error))
}

/// The time limit for the answer. The admin listener's own limits are not longer.
const PATIENCE: Duration = Duration::from_secs(5);

fn print(terminal: &mut Terminal, report: &SecretsReport) {
    let out = &mut terminal.out;
    for secret in &report.secrets {
        let standing = RotationStatus::of(secret, report);
        let label = out.paint(Paint::Strong, &secret.label);
        let routes = secret.routes.join(", ");
        out.line(format_args!("{label}  ({}: {routes})", secret.scheme));
        let count = secret.verified;
        let events = if count == 0 { String::new() } else { format!("; {count} since the start") };
        out.line(format_args!("  {}{events}", rotation_status::seen(secret, report)));
        let paint = if standing.is_safe_to_remove() { Paint::Good } else { Paint::Strong };
        let words = out.paint(paint, standing.words());
        out.line(format_args!("  {words}"));
    }
    terminal
        .note("this is what one gateway has seen since it was started: ask each, where there are several");
}

fn print_json(terminal: &mut Terminal, report: &SecretsReport) {
    let secrets = report.secrets.iter().map(|secret| {
        let standing = RotationStatus::of(secret, report);
        json!({
            "label": secret.label,
            "name": secret.name,
            "scheme": secret.scheme,
            "routes": secret.routes,
            "verified": secret.verified,
            "last_seen": secret.last_seen,
            "not_after": secret.not_after,
            "safe_to_remove": standing.is_safe_to_remove(),
            "verdict": standing.words(),
        })
    });
    let secrets: Vec<_> = secrets.collect();
    terminal.out.json(&json!({ "now": report.now, "started": report.started, "secrets": secrets }));
}
