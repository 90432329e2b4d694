//! Shell. `hookgate sign`: the field that a sender would add to a body.

use std::path::Path;

use serde_json::json;

use super::args::Sign;
use super::exit::{Exit, Failure};
use super::terminal::Terminal;
use super::{identity, input};

/// Signs a body.
///
/// # Errors
/// A [`Failure`] if there is no telling whose signature, or the body cannot be read.
pub(super) fn sign(terminal: &mut Terminal, file: &Path, asked: &Sign) -> Result<Exit, Failure> {
    let identity = identity::resolve(terminal, file, &asked.whose)?;
    identity::note_unsigned(terminal, &identity.verifier, asked.besides.given());
    let content = input::body(terminal, asked.body.as_deref())?;
    let signature = identity::sign(&identity.verifier, asked.secret.as_deref(), &content)?;
    if asked.json {
        terminal.out.json(&json!({
            "ok": true,
            "scheme": identity.verifier.scheme().name,
            "secret": &*signature.secret,
            "bytes": content.len(),
            "fields": [{ "name": signature.field, "value": signature.value }],
        }));
    } else {
        terminal.out.line(format_args!("{}: {}", signature.field, signature.value));
    }
    Ok(Exit::Done)
}
