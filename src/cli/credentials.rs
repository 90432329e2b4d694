//! Shell. The scheme and the secret with which a command signs or verifies. They come from a route or from
//! the command line.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::cli::args::{Origins, SecretPlace, Stamp, Whose};
use crate::cli::configuration::ConfigFile;
use crate::cli::exit::Failure;
use crate::cli::request_args::{self, RequestArgs};
use crate::cli::terminal::Terminal;
use crate::cli::{configuration, input};
use crate::config::Config;
use crate::diagnosis::causes;
use crate::signature::algorithm::Algorithm;
use crate::signature::private_key::PrivateKey;
use crate::signature::public_url::PublicUrls;
use crate::signature::secret::Secret;
use crate::signature::sign::{CannotSign, Signature};
use crate::signature::{Verifier, sign};

/// A verifier, and where it comes from.
pub(super) struct Identity {
    /// Makes and verifies signatures.
    pub(super) verifier: Arc<Verifier>,
    /// The configuration, if the verifier comes from one.
    pub(super) config: Option<Config>,
    /// The public origins and the path of the route, if a route was named.
    pub(super) place: Option<(Option<PublicUrls>, String)>,
}

/// Finds the verifier for the arguments.
///
/// # Errors
/// A [`Failure`] if the configuration has errors, or the arguments are ambiguous.
pub(super) fn resolve(
    terminal: &mut Terminal,
    file: &ConfigFile,
    whose: &Whose,
) -> Result<Identity, Failure> {
    match whose.means() {
        Origins::Flags { scheme, secret: place, encoding } => {
            let text = input::secret(terminal, place)?;
            let unusable = || Failure::usage(format!("cannot use the secret in {}", place_name(place)));
            let key = encoding.decode(&text).map_err(|error| unusable().because(error))?;
            let name: Arc<str> = place_name(place).into();
            let secret = Secret { name: Arc::clone(&name), key, not_after: None };
            let verifier = Verifier::new(scheme.clone(), vec![secret]).map_err(|error| {
                unusable().because(error).hint("say how it is written: --secret-encoding base64 or hex")
            })?;
            let verifier = verifier.suspecting(&name, causes::key_changes(&text, encoding));
            Ok(Identity { verifier: Arc::new(verifier), config: None, place: None })
        }
        Origins::Config { route } => {
            let config = configuration::load(terminal, file)?.config;
            let route = route.map(|path| configuration::route(&config, path)).transpose()?;
            let verifier = match route {
                Some(route) => Arc::clone(&route.verifier),
                None => the_only_one(&config)?,
            };
            let place = route.map(|route| (route.public_url.clone(), route.path.to_string()));
            Ok(Identity { verifier, config: Some(config), place })
        }
    }
}

/// The verifier that makes signatures. It uses the private key in `file`. Without a file, it uses the secret
/// that also verifies.
///
/// # Errors
/// Wrong usage if the scheme has no private keys, or if the file has no such key.
pub(super) fn signer(verifier: &Arc<Verifier>, file: Option<&Path>) -> Result<Arc<Verifier>, Failure> {
    let Some(file) = file else { return Ok(Arc::clone(verifier)) };
    let (scheme, shown) = (verifier.scheme(), file.display().to_string());
    if scheme.algorithm.is_symmetric() {
        let why = format!("by the scheme {}, one signs with the secret: it has no private keys", scheme.name);
        return Err(Failure::usage(why).hint("leave --private-key-file away"));
    }
    let text = input::private_key(file)?;
    let unusable = || Failure::usage(format!("cannot use the private key in {shown}"));
    let private = PrivateKey::read(scheme.algorithm, &text).map_err(|error| {
        unusable().because(error).hint(match scheme.algorithm {
            Algorithm::EcdsaP256 => {
                "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one"
            }
            Algorithm::RsaSha256 => {
                "`openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048` makes one"
            }
            Algorithm::HmacMd5
            | Algorithm::HmacSha1
            | Algorithm::HmacSha256
            | Algorithm::HmacSha384
            | Algorithm::HmacSha512
            | Algorithm::Ed25519
            | Algorithm::Token => "`openssl genpkey -algorithm ed25519` makes one",
        })
    })?;
    let signer = Verifier::of_sender(scheme.clone(), &shown, private);
    Ok(Arc::new(signer.map_err(|error| unusable().because(error))?))
}

/// Signs content with the secret of this name, or else with the first secret. If the scheme signs an
/// identifier and none is given, generates one.
///
/// # Errors
/// Wrong usage if the secret does not exist, or the scheme cannot sign the content.
pub(super) fn sign(
    verifier: &Verifier,
    secret: Option<&str>,
    asked: &RequestArgs,
    stamp: &Stamp,
    content: &[u8],
) -> Result<Signature, Failure> {
    let made_up = match (&verifier.scheme().id, &stamp.id) {
        (Some(_), None) => Some(event_id()?),
        (Some(_) | None, _) => None,
    };
    let id = stamp.id.as_deref().or(made_up.as_deref());
    let stamp = sign::Stamp { timestamp: stamp.timestamp.as_deref(), id };
    let signed = verifier.signature(secret, &asked.context(SystemTime::now()), stamp, content);
    signed.map_err(|error| {
        let failure = cannot_sign(verifier, secret, error);
        if error == CannotSign::NoDigest {
            let origin = asked.origin.as_ref().and_then(|origins| origins.iter().next());
            let origin = origin.map(ToString::to_string).unwrap_or_default();
            let target = verifier.target(&asked.target, content);
            return failure.hint(format!("for this body, say --url '{origin}{target}'"));
        }
        failure
    })
}

fn cannot_sign(verifier: &Verifier, secret: Option<&str>, error: CannotSign) -> Failure {
    let scheme = &verifier.scheme().name;
    match error {
        CannotSign::NoSecret => {
            let names: Vec<_> = verifier.all().flat_map(Verifier::secret_names).map(|name| &**name).collect();
            Failure::usage(format!("there is no secret `{}`", secret.unwrap_or_default()))
                .hint(format!("there are: {}", names.join(", ")))
        }
        CannotSign::PublicKey => Failure::usage(format!("cannot sign by the scheme {scheme}"))
            .because(error)
            .hint("--private-key-file FILE names one: of a pair that you have made, with its public half as the secret"),
        CannotSign::NoId
        | CannotSign::NotSignable
        | CannotSign::UnclearBorder
        | CannotSign::NotForm
        | CannotSign::NoDigest => {
            let content = verifier.scheme().content.as_str();
            Failure::usage(format!("cannot sign by the scheme {scheme}, which signs `{content}`"))
                .because(error)
        }
    }
}

/// A unique event identifier.
fn event_id() -> Result<String, Failure> {
    let random = input::random_secret()
        .map_err(|error| Failure::failed("cannot make up an identifier").because(error))?;
    Ok(format!("msg_{}", random.get(..24).unwrap_or_default()))
}

/// Prints a note about options without effect: the scheme does not sign their values.
pub(super) fn note_unsigned(
    terminal: &mut Terminal,
    verifier: &Verifier,
    stamp: &Stamp,
    url: bool,
    method: bool,
) {
    let scheme = verifier.scheme();
    let useless = request_args::unsigned(scheme, stamp, url, method);
    if !useless.is_empty() {
        let (flags, name) = (useless.join(", "), &scheme.name);
        let signs = match scheme.content.is_body() {
            true => "the body and nothing else".to_owned(),
            false => format!("`{}`", scheme.content.as_str()),
        };
        terminal.note(format_args!("the scheme {name} signs {signs}: {flags} has no effect"));
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

/// A name for the secret. It may be printed.
fn place_name(place: SecretPlace<'_>) -> String {
    match place {
        SecretPlace::Env(name) => name.to_owned(),
        SecretPlace::File(path) => path.display().to_string(),
    }
}
