//! Shell. `hookgate console`: prints a link to the console of a running gateway.

use serde_json::{Value, json};

use super::args::Console;
use super::events::client::Api;
use super::exit::{Exit, Failure};
use super::signals;
use super::terminal::Terminal;
use crate::cli::configuration::ConfigFile;
use crate::upstream::origin::Origin;

/// Asks for a link, and prints it.
///
/// # Errors
/// A [`Failure`] if the gateway does not answer, or gives no link.
pub(super) fn console(terminal: &mut Terminal, file: &ConfigFile, asked: &Console) -> Result<Exit, Failure> {
    let api = Api::of(terminal, file, &asked.gateway)?;
    let runtime = signals::runtime().map_err(|error| Failure::failed("no resources left").because(error))?;
    let made = runtime.block_on(api.post("console/links", &json!({})))?;
    let path = made.get("path").and_then(Value::as_str).unwrap_or_default();
    let seconds = made.get("expires_seconds").and_then(Value::as_u64).unwrap_or_default();
    let url = link(api.origin(), path);
    if asked.json {
        terminal.out.json(&json!({ "url": url, "expires_seconds": seconds }));
        return Ok(Exit::Done);
    }
    terminal.out.line(&url);
    terminal.note(format_args!("the link works once, within {} minutes", seconds / 60));
    if let Origin::Unix(socket) = api.origin() {
        terminal.note(format_args!(
            "a browser opens no unix socket: first run `ssh -L {PORT}:{} HOST` on the browser's machine",
            socket.display()
        ));
    }
    Ok(Exit::Done)
}

/// The port at which a person forwards a unix socket to a browser.
const PORT: u16 = 9901;

/// The URL for a browser.
fn link(origin: &Origin, path: &str) -> String {
    match origin {
        Origin::Tcp(_) | Origin::Tls(_) => format!("{origin}{path}"),
        Origin::Unix(_) => format!("http://localhost:{PORT}{path}"),
    }
}
