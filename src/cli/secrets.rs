//! Shell. `hookgate secrets`: which secrets a running gateway still needs.

use std::path::Path;

use http::Method;
use http::StatusCode;
use http::uri::PathAndQuery;
use serde_json::json;

use super::args::Secrets;
use super::exchange::{self, NoAnswer, Outgoing};
use super::exit::{Exit, Failure};
use super::standing::{self, Standing};
use super::terminal::{Paint, Terminal};
use super::{configuration, send};
use crate::admin::SecretsReport;
use crate::forward::origin::Origin;

/// Asks the gateway's admin listener, and says in words what it means.
///
/// # Errors
/// A [`Failure`] if it gives no answer.
pub(super) fn secrets(terminal: &mut Terminal, file: &Path, asked: &Secrets) -> Result<Exit, Failure> {
    let admin = match &asked.admin {
        Some(admin) => admin.clone(),
        None => configured(terminal, file)?,
    };
    let report = fetch(&admin)?;
    if asked.json {
        print_json(terminal, &report);
    } else {
        print(terminal, &report);
    }
    Ok(Exit::Done)
}

fn configured(terminal: &mut Terminal, file: &Path) -> Result<Origin, Failure> {
    let config = configuration::load(terminal, file)?.config;
    let listen = config.admin.and_then(|admin| admin.listen.first().copied());
    let address = listen.map(configuration::reachable).filter(|address| address.port() != 0);
    address.and_then(|address| Origin::parse(&format!("http://{address}")).ok()).ok_or_else(|| {
        Failure::usage("the configuration does not say where the admin listener is")
            .hint("add `[admin]` with a `listen`, or name it with --admin http://HOST:PORT")
    })
}

fn fetch(admin: &Origin) -> Result<SecretsReport, Failure> {
    let outgoing = Outgoing {
        gateway: admin,
        method: Method::GET,
        target: PathAndQuery::from_static("/secrets"),
        fields: exchange::fields(admin, std::iter::empty(), std::iter::empty()),
        content: Vec::new(),
    };
    let address = admin.authority();
    let answer = send::exchange_now(outgoing).map_err(|error: NoAnswer| {
        Failure::failed(format!("no answer from the admin listener at {address}"))
            .because(error)
            .hint("is the gateway running, and does its configuration have `[admin]`? --admin names another address")
    })?;
    let stranger = || Failure::failed(format!("what answers at {address} is no admin listener of hookgate"));
    if answer.status != StatusCode::OK {
        return Err(stranger());
    }
    serde_json::from_slice(&answer.content).map_err(|error| stranger().because(error))
}

fn print(terminal: &mut Terminal, report: &SecretsReport) {
    let out = &mut terminal.out;
    for secret in &report.secrets {
        let standing = Standing::of(secret, report);
        let label = out.paint(Paint::Strong, &secret.label);
        let routes = secret.routes.join(", ");
        out.line(format_args!("{label}  ({}: {routes})", secret.scheme));
        let count = secret.verified;
        let events = if count == 0 { String::new() } else { format!("; {count} since the start") };
        out.line(format_args!("  {}{events}", standing::seen(secret, report)));
        let paint = if standing.is_safe_to_remove() { Paint::Good } else { Paint::Strong };
        let words = out.paint(paint, standing.words());
        out.line(format_args!("  {words}"));
    }
    terminal
        .note("this is what one gateway has seen since it was started: ask each, where there are several");
}

fn print_json(terminal: &mut Terminal, report: &SecretsReport) {
    let secrets = report.secrets.iter().map(|secret| {
        let standing = Standing::of(secret, report);
        json!({
            "label": secret.label,
            "name": secret.name,
            "scheme": secret.scheme,
            "routes": secret.routes,
            "verified": secret.verified,
            "last_seen": secret.last_seen,
            "safe_to_remove": standing.is_safe_to_remove(),
            "verdict": standing.words(),
        })
    });
    let secrets: Vec<_> = secrets.collect();
    terminal.out.json(&json!({ "now": report.now, "started": report.started, "secrets": secrets }));
}
