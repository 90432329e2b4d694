//! Shell. `hookgate sign`: prints the fields that a sender would add to a body.

use std::path::Path;

use serde_json::json;

use super::args::Sign;
use super::exit::{Exit, Failure};
use super::terminal::Terminal;
use crate::cli::configuration::ConfigFile;
use crate::cli::request_args::{Lines, RequestArgs};
use crate::cli::{credentials, input};
use crate::signature::Verifier;

/// Signs a body.
///
/// # Errors
/// A [`Failure`] if the arguments are ambiguous, or the body cannot be read.
pub(super) fn sign(terminal: &mut Terminal, file: &ConfigFile, asked: &Sign) -> Result<Exit, Failure> {
    input::at_most_one(&[
        ("the configuration", asked.whose.scheme.is_none().then(|| file.path())),
        ("the secret", asked.whose.secret_file.as_deref()),
        ("the private key", asked.private_key_file.as_deref()),
        ("the body", Some(asked.body.as_deref().unwrap_or(Path::new("-")))),
    ])?;
    let mut identity = credentials::resolve(terminal, file, &asked.whose)?;
    identity.verifier = Verifier::with_secret(&identity.verifier, asked.secret.as_deref());
    let besides = &asked.besides;
    let (url, method) = (besides.url.is_some(), besides.method.is_some());
    credentials::note_unsigned(terminal, &identity.verifier, &besides.stamp, url, method);
    let scheme = identity.verifier.scheme();
    let request = RequestArgs::new(besides, scheme, identity.place.as_ref(), Lines::given(&asked.fields))?;
    let content = input::body(terminal, asked.body.as_deref())?;
    let secret = asked.secret.as_deref();
    let secret = secret.filter(|_| asked.private_key_file.is_none());
    let signer = credentials::signer(&identity.verifier, asked.private_key_file.as_deref())?;
    let signature = credentials::sign(&signer, secret, &request, &besides.stamp, &content)?;
    if asked.json {
        let fields: Vec<_> =
            signature.lines().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        terminal.out.json(&json!({
            "ok": true,
            "scheme": scheme.name,
            "secret": &*signature.secret,
            "bytes": content.len(),
            "target": signature.in_query.then(|| signature.target(&request.target)),
            "fields": fields,
        }));
    } else {
        if signature.in_query {
            terminal.out.line(signature.target(&request.target));
        }
        for (name, value) in signature.lines() {
            terminal.out.line(format_args!("{name}: {value}"));
        }
    }
    Ok(Exit::Done)
}
