//! Shell. `hookgate verify`: whether a body and its signature verify, and if not, why.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;

use super::args::Verify;
use super::exit::{Exit, Failure};
use super::identity::Identity;
use super::terminal::{Paint, Terminal};
use super::{identity, input};
use crate::secret::Secret;
use crate::signature::diagnosis::{self, Cause};
use crate::signature::{ClaimError, Fields, Verifier};

/// Verifies a body.
///
/// # Errors
/// A [`Failure`] if there is no telling whose signature, or the body cannot be read.
pub(super) fn verify(terminal: &mut Terminal, file: &Path, asked: &Verify) -> Result<Exit, Failure> {
    let identity = identity::resolve(terminal, file, &asked.whose)?;
    identity::note_unsigned(terminal, &identity.verifier, asked.besides.given());
    let content = input::body(terminal, asked.body.as_deref())?;
    let lines = Lines::given(identity.verifier.scheme().field, asked);
    let verdict = judge(&identity, &lines, &content, SystemTime::now());
    if asked.json {
        print_json(terminal, &identity, &content, &verdict);
    } else {
        print(terminal, &identity, &content, &verdict);
    }
    Ok(match verdict {
        Verdict::Verified(_) => Exit::Done,
        Verdict::Refused { .. } => Exit::Failed,
    })
}

/// The field lines that were given.
struct Lines(Vec<(String, Vec<u8>)>);

impl Lines {
    /// White space around a value is no part of it (RFC 9110, section 5.5).
    fn given(signature_field: &str, asked: &Verify) -> Self {
        let signature = asked
            .signature
            .iter()
            .map(|value| (signature_field.to_owned(), value.trim_matches([' ', '\t']).as_bytes().to_vec()));
        let others =
            asked.fields.iter().map(|line| (line.name.as_str().to_owned(), line.value.as_bytes().to_vec()));
        Self(signature.chain(others).collect())
    }
}

impl Fields for Lines {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_slice())
    }
}

enum Verdict {
    /// By the secret of this name.
    Verified(Arc<str>),
    Refused {
        /// As in the gateway's refusal.
        reason: &'static str,
        why: String,
        cause: Option<Cause>,
    },
}

fn judge(identity: &Identity, lines: &Lines, content: &[u8], now: SystemTime) -> Verdict {
    let verifier = &identity.verifier;
    let (reason, why) = match verifier.claim(lines) {
        Ok(_) => match diagnosis::verified_by(verifier, lines, content, now) {
            Some(secret) => return Verdict::Verified(secret),
            None => ("signature_mismatch", not_signed_with(verifier)),
        },
        Err(error @ ClaimError::Missing) => ("signature_missing", error.to_string()),
        Err(error @ ClaimError::Duplicate) => ("signature_duplicate", error.to_string()),
        Err(ClaimError::Malformed) => {
            let scheme = verifier.scheme();
            let value = lines.values(scheme.field).next().unwrap_or_default();
            ("signature_malformed", diagnosis::misread(scheme.notation, value).to_string())
        }
    };
    Verdict::Refused { reason, why, cause: cause(identity, lines, content, now) }
}

fn not_signed_with(verifier: &Verifier) -> String {
    let names: Vec<_> = verifier.secret_names().map(|name| format!("`{name}`")).collect();
    format!("the body, as it stands, was not signed with the secret {}", names.join(" or "))
}

fn cause(identity: &Identity, lines: &Lines, content: &[u8], now: SystemTime) -> Option<Cause> {
    let verifier = &identity.verifier;
    let routes = identity.config.iter().flat_map(|config| &config.routes);
    let others = routes
        .filter(|route| !Arc::ptr_eq(&route.verifier, verifier))
        .map(|route| (route.path.as_str(), &*route.verifier));
    let keyed = diagnosis::likely_cause(verifier, lines, content, now, others);
    keyed.or_else(|| {
        let secret = identity.text.as_ref()?;
        let change = diagnosis::key_change(&secret.text, secret.encoding, |key| {
            let secret = Secret { name: "".into(), key, not_after: None };
            let verifier = Verifier::new(verifier.scheme().clone(), vec![secret]);
            diagnosis::verified_by(&verifier, lines, content, now).is_some()
        });
        change.map(Cause::Key)
    })
}

fn print(terminal: &mut Terminal, identity: &Identity, content: &[u8], verdict: &Verdict) {
    let out = &mut terminal.out;
    let (scheme, bytes) = (identity.verifier.scheme().name, content.len());
    match verdict {
        Verdict::Verified(secret) => {
            let word = out.paint(Paint::Good, "verifies");
            out.line(format_args!(
                "{word}: signed with the secret `{secret}` (scheme {scheme}, {bytes} bytes)"
            ));
        }
        Verdict::Refused { reason, why, cause } => {
            let word = out.paint(Paint::Bad, "does not verify");
            out.line(format_args!("{word}: {why} ({reason}; scheme {scheme}, {bytes} bytes)"));
            if let Some(cause) = cause {
                let (likely, to_do) = (out.paint(Paint::Strong, "likely cause"), cause.advice());
                out.line(format_args!("  {likely}: {cause}"));
                let label = out.paint(Paint::Strong, "what to do");
                out.line(format_args!("  {label}:   {to_do}"));
            } else if *reason == "signature_mismatch" {
                out.line(format_args!("  {UNEXPLAINED}"));
            }
        }
    }
}

fn print_json(terminal: &mut Terminal, identity: &Identity, content: &[u8], verdict: &Verdict) {
    let (scheme, bytes) = (identity.verifier.scheme().name, content.len());
    terminal.out.json(&match verdict {
        Verdict::Verified(secret) => json!({
            "ok": true,
            "scheme": scheme,
            "bytes": bytes,
            "secret": &**secret,
        }),
        Verdict::Refused { reason, why, cause } => json!({
            "ok": false,
            "scheme": scheme,
            "bytes": bytes,
            "reason": reason,
            "why": why,
            "cause": cause.as_ref().map(Cause::as_str),
            "likely": cause.as_ref().map(ToString::to_string),
            "advice": cause.as_ref().map(Cause::advice),
        }),
    });
}

const UNEXPLAINED: &str =
    "no usual slip explains it: the sender uses another secret, or the body is not the one it signed";
