//! Shell. `hookgate verify`: says whether a body and its signature verify, and if not, why.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;

use super::args::Verify;
use super::exit::{Exit, Failure};
use super::terminal::{Paint, Terminal};
use crate::cli::configuration::ConfigFile;
use crate::cli::credentials::Identity;
use crate::cli::request_args::{Lines, RequestArgs};
use crate::cli::{credentials, input};
use crate::diagnosis::causes::{self, Cause, Span, Work};
use crate::signature::algorithm::Algorithm;
use crate::signature::form;
use crate::signature::{ClaimError, Context, Fields, Verifier};

/// Verifies a body.
///
/// # Errors
/// A [`Failure`] if the arguments are ambiguous, or the body cannot be read.
pub(super) fn verify(terminal: &mut Terminal, file: &ConfigFile, asked: &Verify) -> Result<Exit, Failure> {
    input::at_most_one(&[
        ("the configuration", asked.whose.scheme.is_none().then(|| file.path())),
        ("the secret", asked.whose.secret_file.as_deref()),
        ("the body", Some(asked.body.as_deref().unwrap_or(Path::new("-")))),
    ])?;
    let mut identity = credentials::resolve(terminal, file, &asked.whose)?;
    let mut lines = Lines::given(&asked.fields);
    identity.verifier = Verifier::shared_judge(&identity.verifier, &lines);
    let (besides, scheme) = (&asked.besides, identity.verifier.scheme());
    let (url, method) = (besides.url.is_some(), besides.method.is_some());
    credentials::note_unsigned(terminal, &identity.verifier, &besides.stamp, url, method);
    lines.push_stamp(scheme, &besides.stamp);
    let in_query = asked.signature.as_ref().zip(scheme.parameter.as_ref());
    if let (Some(value), None) = (&asked.signature, in_query) {
        lines.push(&scheme.field, value);
    }
    let mut request = RequestArgs::new(besides, scheme, identity.place.as_ref(), lines)?;
    if let Some((value, name)) = in_query {
        request.target = form::with_parameter(&request.target, name, value);
    }
    let content = input::body(terminal, asked.body.as_deref())?;
    let verdict = judge(&identity, &request.context(SystemTime::now()), &content);
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

enum Verdict {
    /// The body verifies with the secret of this name.
    Verified(Arc<str>),
    Refused {
        /// The reason in the gateway's rejection.
        reason: &'static str,
        why: String,
        cause: Option<Cause>,
    },
}

fn judge<F: Fields>(identity: &Identity, context: &Context<'_, F>, content: &[u8]) -> Verdict {
    let verifier = &identity.verifier;
    let scheme = verifier.scheme();
    let (reason, why) = match verifier.claim(context) {
        Ok(_) => match causes::verified_by(verifier, context, content) {
            Some(secret) => match verifier.check_time_in(content, context.now) {
                Ok(()) => return Verdict::Verified(secret),
                Err(ClaimError::Expired) => ("timestamp_expired", expired(verifier, context, content)),
                Err(ClaimError::Malformed | ClaimError::Missing | ClaimError::Duplicate) => (
                    "signature_malformed",
                    "the time in the body is missing, or not as it must be".to_owned(),
                ),
            },
            None => ("signature_mismatch", not_signed_with(verifier)),
        },
        Err(ClaimError::Missing) => {
            let is_there = |name: &str| context.fields.values(name).next().is_some();
            let missing = scheme.fields().find(|name| !scheme.names_of(name).any(is_there));
            let why = match &scheme.parameter {
                Some(name) => format!("the query has no parameter `{name}`"),
                None => format!("there is no field `{}`", missing.unwrap_or(&scheme.field)),
            };
            ("signature_missing", why)
        }
        Err(error @ ClaimError::Duplicate) => ("signature_duplicate", error.to_string()),
        Err(ClaimError::Expired) => ("timestamp_expired", expired(verifier, context, content)),
        Err(ClaimError::Malformed) => {
            let value = context.fields.values(&scheme.field).next().unwrap_or_default();
            // If the field has the right notation, the signed content differs.
            let named = scheme.notation.read(scheme.algorithm, value, None).is_ok();
            let why = match named {
                _ if scheme.parameter.is_some() => error_in_query(),
                true => format!(
                    "what the scheme signs (`{}`) is not all there as it must be",
                    scheme.content.as_str()
                ),
                false => causes::misread(scheme, value).to_string(),
            };
            ("signature_malformed", why)
        }
    };
    Verdict::Refused { reason, why, cause: cause(identity, context, content) }
}

fn error_in_query() -> String {
    "the parameter of the query is not of the scheme's form".to_owned()
}

fn not_signed_with(verifier: &Verifier) -> String {
    let names: Vec<_> = verifier.secret_names().map(|name| format!("`{name}`")).collect();
    let (scheme, names) = (verifier.scheme(), names.join(" or "));
    if scheme.algorithm == Algorithm::Token {
        return format!("the token is not the secret {names}");
    }
    let what = match scheme.content.is_body() {
        true => "the body, as it stands, was",
        false => "the body and the other signed parts were",
    };
    format!("{what} not signed with the secret {names}")
}

/// Explains why a signed time is outside its window. Also says whether the signature is valid apart from
/// that.
fn expired<F: Fields>(verifier: &Verifier, context: &Context<'_, F>, content: &[u8]) -> String {
    let moment = verifier.moment(context.fields).or_else(|| verifier.content_moment(content));
    let Some(moment) = moment else { return ClaimError::Expired.to_string() };
    let (off, side) = match context.now.duration_since(moment) {
        Ok(age) => (Span(age), "ago"),
        Err(ahead) => (Span(ahead.duration()), "ahead"),
    };
    let Context { method, target, origin, fields, .. } = *context;
    let then = Context { method, target, origin, fields, now: moment };
    let rest = match causes::verified_by(verifier, &then, content) {
        Some(secret) => format!("; but for that, it verifies with the secret `{secret}`"),
        None => ", and it would not have verified then either".to_owned(),
    };
    format!("the signed time is {off} {side}, outside the scheme's window{rest}")
}

fn cause<F: Fields>(identity: &Identity, context: &Context<'_, F>, content: &[u8]) -> Option<Cause> {
    let verifier = &identity.verifier;
    let routes = identity.config.iter().flat_map(|config| &config.routes);
    let others = routes
        .filter(|route| !Arc::ptr_eq(&route.verifier, verifier))
        .map(|route| (route.path.as_str(), &*route.verifier));
    // This diagnosis has no time limit, because the user waits for it.
    let mut goes_on = || true;
    let mut work = Work::new(usize::MAX, &mut goes_on);
    causes::likely_cause(verifier, context, Some(content), others, &mut work).ok().flatten()
}

fn print(terminal: &mut Terminal, identity: &Identity, content: &[u8], verdict: &Verdict) {
    let out = &mut terminal.out;
    let (scheme, bytes) = (&identity.verifier.scheme().name, content.len());
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
    let (scheme, bytes) = (&identity.verifier.scheme().name, content.len());
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
    "no usual cause explains it: the sender uses another secret, or the body is not the one that it signed";
