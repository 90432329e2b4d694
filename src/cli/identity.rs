//! Shell. Whose signature a command makes or checks: scheme and secret, from a route or from the command line.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::args::{Origins, SecretPlace, Whose};
use super::exit::Failure;
use super::terminal::Terminal;
use super::{configuration, input};
use crate::config::Config;
use crate::secret::{Secret, SecretEncoding};
use crate::signature::Verifier;

/// A verifier, and what is known of where it came from.
pub(super) struct Identity {
    /// Checks and makes the signatures.
    pub(super) verifier: Arc<Verifier>,
    /// The secret as text, where the command line said where it is. A configuration's verifier keeps none.
    pub(super) text: Option<SecretText>,
    /// The configuration, where it came from one.
    pub(super) config: Option<Config>,
}

/// A secret as it was written down, for finding out what is wrong with it.
pub(super) struct SecretText {
    pub(super) text: Zeroizing<Vec<u8>>,
    pub(super) encoding: SecretEncoding,
}

/// What signed: the field, and the name of the secret.
pub(super) struct Signature {
    pub(super) field: &'static str,
    pub(super) value: String,
    pub(super) secret: Arc<str>,
}

/// Finds out whose signature is meant.
///
/// # Errors
/// A [`Failure`] if the configuration is wrong, or it does not become clear whose.
pub(super) fn resolve(terminal: &mut Terminal, file: &Path, whose: &Whose) -> Result<Identity, Failure> {
    match whose.means() {
        Origins::Flags { scheme, secret: place, encoding } => {
            let text = input::secret(terminal, place)?;
            let key = encoding.decode(&text).map_err(|error| {
                Failure::usage(format!("cannot use the secret in {}", place_name(place))).because(error)
            })?;
            let secret = Secret { name: place_name(place).into(), key, not_after: None };
            let verifier = Arc::new(Verifier::new(scheme.clone(), vec![secret]));
            Ok(Identity { verifier, text: Some(SecretText { text, encoding }), config: None })
        }
        Origins::Config { route } => {
            let config = configuration::load(terminal, file)?.config;
            let verifier = match route {
                Some(path) => Arc::clone(&configuration::route(&config, path)?.verifier),
                None => the_only_one(&config)?,
            };
            Ok(Identity { verifier, text: None, config: Some(config) })
        }
    }
}

/// Signs content, with the secret of this name or the first.
///
/// # Errors
/// Wrong usage if there is no such secret.
pub(super) fn sign(verifier: &Verifier, secret: Option<&str>, content: &[u8]) -> Result<Signature, Failure> {
    let mut names = verifier.secret_names();
    let name = match secret {
        Some(wanted) => names.find(|name| &***name == wanted),
        None => names.next(),
    };
    let signed = name.and_then(|name| Some((verifier.sign_with(name, content)?, Arc::clone(name))));
    let ((field, value), secret) = signed.ok_or_else(|| {
        let names: Vec<_> = verifier.secret_names().map(|name| &**name).collect();
        Failure::usage(format!("there is no secret `{}`", secret.unwrap_or_default()))
            .hint(format!("there are: {}", names.join(", ")))
    })?;
    Ok(Signature { field, value, secret })
}

/// Says which flags have no effect, because the scheme signs the body and nothing else.
pub(super) fn note_unsigned(
    terminal: &mut Terminal,
    verifier: &Verifier,
    given: impl Iterator<Item = &'static str>,
) {
    let given: Vec<_> = given.collect();
    if !given.is_empty() {
        let (flags, name) = (given.join(", "), verifier.scheme().name);
        terminal
            .note(format_args!("the scheme {name} signs the body and nothing else: {flags} has no effect"));
    }
}

fn the_only_one(config: &Config) -> Result<Arc<Verifier>, Failure> {
    let mut routes = config.routes.iter();
    let first = routes.next().ok_or_else(|| Failure::config("the configuration has no route"))?;
    if routes.all(|route| Arc::ptr_eq(&route.verifier, &first.verifier)) {
        return Ok(Arc::clone(&first.verifier));
    }
    Err(Failure::usage("the routes do not all have the same signature: which is meant?")
        .hint(format!("say --route PATH, one of {}", configuration::paths(config))))
}

/// Under which name the secret goes: safe to print.
fn place_name(place: SecretPlace<'_>) -> String {
    match place {
        SecretPlace::Env(name) => name.to_owned(),
        SecretPlace::File(path) => path.display().to_string(),
    }
}
